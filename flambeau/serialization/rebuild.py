"""The functions that a checkpoint asks to be called, by the names that torch gave them.

They are the only ones that build tensors while a file is read. Every argument comes from the file
and is checked: sizes, strides and offsets must stay inside the storage, types must be the expected
ones, and attributes can be set only under names that mean nothing to the class itself.

>>> rebuild_meta_tensor(torch.float32, (2, 3), (3, 1), False)
tensor(..., device='meta', size=(2, 3))
"""

from __future__ import annotations

import pickle
from typing import Any

import flambeau
from flambeau.serialization.names import written_as

# What a tensor keeps beside the user's own attributes; a file neither holds nor sets it.
GRADIENT_STATE = frozenset({"_grad", "_retains"})


def _refuse(reason: str) -> None:
    raise pickle.UnpicklingError(f"The file describes an impossible tensor: {reason}.")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _check_geometry(available: int | None, offset: Any, size: Any, stride: Any) -> None:
    """Refuse a view that is ill-formed or reaches beyond the `available` elements."""
    for name, value in (("size", size), ("stride", stride)):
        if not isinstance(value, (tuple, list)) or not all(_is_count(each) for each in value):
            _refuse(f"its {name} is {value!r:.80}")
    if len(size) != len(stride):
        _refuse(f"size {tuple(size)} and stride {tuple(stride)} differ in length")
    if not _is_count(offset):
        _refuse(f"its storage offset is {offset!r:.80}")
    needed = 0
    if 0 not in size:
        needed = 1 + offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # The greatest index must fit in 64 bits even where no memory backs it.
    if needed > (2**62 if available is None else available):
        _refuse(
            f"size {tuple(size)}, stride {tuple(stride)} and offset {offset} need {needed} "
            f"elements, its storage holds {available}"
        )


def _build(storage: Any, dtype: Any, offset: Any, size: Any, stride: Any) -> Any:
    if type(storage) is not flambeau.TypedStorage:
        _refuse(f"its storage is of type {type(storage).__name__}")
    if not isinstance(dtype, flambeau.dtype):
        _refuse(f"its dtype is {dtype!r:.80}")
    untyped = storage._untyped_storage
    _check_geometry(untyped.nbytes() // dtype.itemsize, offset, size, stride)
    if untyped.device.type == "meta":
        return flambeau.empty_strided(size, stride, dtype=dtype, device="meta")
    empty = flambeau.empty(0, dtype=dtype, device=untyped.device)
    return empty.set_(untyped, offset, tuple(size), tuple(stride))


def _finish(tensor: Any, requires_grad: Any, metadata: Any) -> Any:
    if metadata:
        if not isinstance(metadata, dict) or not set(metadata) <= {"conj", "neg"}:
            _refuse(f"its metadata is {metadata!r:.80}")
        tensor = tensor.conj() if metadata.get("conj") else tensor
        tensor = tensor.neg() if metadata.get("neg") else tensor
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


@written_as("torch._utils", "_rebuild_tensor")
def rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Any:
    """A tensor as files of the first torch versions describe it."""
    return _build(storage, getattr(storage, "dtype", None), storage_offset, size, stride)


@written_as("torch._utils", "_rebuild_tensor_v2")
def rebuild_tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> Any:
    """A tensor on a typed storage. Hooks are never kept: files hold an empty table for them."""
    tensor = _build(storage, getattr(storage, "dtype", None), storage_offset, size, stride)
    return _finish(tensor, requires_grad, metadata)


@written_as("torch._utils", "_rebuild_tensor_v3")
def rebuild_tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Any:
    """A tensor on an untyped storage, for the dtypes that have no storage class."""
    tensor = _build(storage, dtype, storage_offset, size, stride)
    return _finish(tensor, requires_grad, metadata)


@written_as("torch._utils", "_rebuild_meta_tensor_no_storage")
def rebuild_meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    """A tensor without memory."""
    if not isinstance(dtype, flambeau.dtype):
        _refuse(f"its dtype is {dtype!r:.80}")
    _check_geometry(None, 0, size, stride)
    tensor = flambeau.empty_strided(size, stride, dtype=dtype, device="meta")
    return _finish(tensor, requires_grad, None)


@written_as("torch._utils", "_rebuild_parameter")
def rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Any:
    """An `nn.Parameter` over the memory of `data`."""
    if not isinstance(data, flambeau.Tensor):
        _refuse(f"a parameter's data is of type {type(data).__name__}")
    return flambeau.nn.Parameter(data, bool(requires_grad))


@written_as("torch._utils", "_rebuild_parameter_with_state")
def rebuild_parameter_with_state(
    data: Any, requires_grad: Any, backward_hooks: Any, state: Any
) -> Any:
    """An `nn.Parameter` with attributes that the program had set on it."""
    return set_attributes(rebuild_parameter(data, requires_grad, backward_hooks), state)


def set_attributes(obj: Any, state: Any) -> Any:
    """Set the attributes that a file lists for a tensor.

    Names that the class defines are refused: some of them decide which memory the tensor reads.
    """
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, dict):
            _refuse(f"its attributes are of type {type(part).__name__}")
        for name, value in part.items():
            is_own = (
                type(name) is str and not name.startswith("__") and not hasattr(type(obj), name)
            )
            if not is_own or name in GRADIENT_STATE:
                _refuse(f"it sets the attribute {name!r:.80}")
            setattr(obj, name, value)
    return obj


@written_as("torch._tensor", "_rebuild_from_type_v2")
def rebuild_from_type(function: Any, new_type: type, arguments: tuple[Any, ...], state: Any) -> Any:
    """A tensor of a subclass, or one with attributes; the unpickler has checked `function`."""
    tensor = function(*arguments)
    if type(tensor) is not new_type:
        tensor = tensor.as_subclass(new_type)
    own_setter = getattr(new_type, "__setstate__", None)
    if own_setter is not getattr(flambeau.Tensor, "__setstate__", None):
        tensor.__setstate__(state)
        return tensor
    return set_attributes(tensor, state)


@written_as("torch.serialization", "_get_layout")
def get_layout(name: Any) -> Any:
    """The layout that prints as `name`.

    >>> get_layout("torch.strided")
    torch.strided
    """
    layout = getattr(flambeau, str(name).rpartition(".")[2], None)
    if not isinstance(layout, flambeau.layout) or str(layout) != name:
        raise pickle.UnpicklingError(f"The file names an unknown layout: {name!r:.80}.")
    return layout


REBUILD_FUNCTIONS = (
    rebuild_tensor,
    rebuild_tensor_v2,
    rebuild_tensor_v3,
    rebuild_meta_tensor,
    rebuild_parameter,
    rebuild_parameter_with_state,
)

# Kinds of tensors that torch writes and Flambeau does not have.
UNSUPPORTED_GLOBALS = {
    "torch._utils._rebuild_qtensor": "quantized tensors",
    "torch._utils._rebuild_sparse_tensor": "sparse tensors",
    "torch._utils._rebuild_nested_tensor": "nested tensors",
    "torch._utils._rebuild_wrapper_subclass": "tensor wrapper subclasses",
    "torch._utils._rebuild_device_tensor_from_numpy": "tensors of devices without storages",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "tensors of devices without storages",
}

"""Copies and conversions: clone, copy_, contiguous, to, type and the dtype shortcuts.

>>> torch.tensor([1.5]).to(torch.int64)
tensor([1])
"""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.device import device as device_type
from flambeau.core.spec import Spec
from flambeau.core.strides import dense_strides
from flambeau.core.strides import format_strides as in_format
from flambeau.ops.arrays import empty
from flambeau.ops.creation_arguments import place
from flambeau.ops.kinds import NONE, pointwise
from flambeau.ops.registry import engine, is_tensor


def format_strides(shape: Any, specs: Any, arguments: Any) -> Any:
    """Strides of a copy in the asked memory format."""
    asked = arguments.get("memory_format")
    if asked is None or asked is layouts.preserve_format:
        return dense_strides(shape, specs[0].strides)
    return in_format(shape, asked)


@pointwise(grad=lambda g: g, methods=("clone",), inplace=False, strides=format_strides)
def clone(input, *, memory_format=None):
    """A copy with memory of its own; gradients flow through.

    >>> torch.clone(torch.tensor([1, 2]))
    tensor([1, 2])
    """
    return input


@pointwise(
    grad=lambda g: g,
    public=None,
    methods=(),
    inplace=False,
    node="ToCopyBackward",
    strides=format_strides,
    result=lambda compute, dtype, **rest: dtype,
    numbers="static",
    promote=NONE,
    promotes=("input",),
)
def _to_copy(input, dtype, memory_format=None):
    """A copy in another dtype."""
    return input


@pointwise(
    grad={"src": lambda g: g},
    public=None,
    methods=("_copy",),
    node="CopyBackwards",
    promote=NONE,
    promotes=("input",),
)
def copy(input, src):
    """`src` in the dtype and shape of `input`; `_copy_` writes it into `input`."""
    return src


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Writes the values of `src`, broadcast and converted, into the tensor."""
    if not is_tensor(src):
        raise errors.argument_type_error("copy_", "other", 1, "Tensor", src)
    if self.device.type == "meta" and src.device.type != "meta":
        src = src.to("meta")  # only the shapes must fit: there is nothing to write into
    elif src.device.type == "meta" and self.device.type != "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    return self._copy_(src)


def contiguous(self: Any, memory_format: Any = None) -> Any:
    """The tensor itself if its elements lie in row-major order (or in the asked format), else a
    copy that does.

    >>> torch.ones(2, 3).t().contiguous().stride()
    (2, 1)
    """
    if memory_format is None:
        if self._spec.contiguous:
            return self
        memory_format = layouts.contiguous_format
    if memory_format is layouts.preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    if self.is_contiguous(memory_format=memory_format):
        return self
    return self.clone(memory_format=memory_format)


def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The tensor in another dtype or on another device; itself if nothing changes.

    >>> torch.ones(2).to(torch.int32)
    tensor([1, 1], dtype=torch.int32)
    """
    if len(args) == 1 and not kwargs:  # the usual forms
        wanted = args[0]
        if wanted is self._spec.dtype or wanted is self._spec.device:
            return self
        if isinstance(wanted, dtypes.dtype):
            return convert(self, wanted, None)
        if isinstance(wanted, (str, device_type)):
            return convert(self, None, wanted)
    dtype = where = None
    memory_format, copying = kwargs.pop("memory_format", None), kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    for value in (
        *args[:2],
        kwargs.pop("other", None),
        kwargs.pop("device", None),
        kwargs.pop("dtype", None),
    ):
        if isinstance(value, dtypes.dtype):
            dtype = value
        elif is_tensor(value):
            dtype, where = value.dtype, value.device
        elif (
            isinstance(value, (device_type, str))
            or isinstance(value, int)
            and not isinstance(value, bool)
            and value is args[0]
        ):
            where = value
        elif value in (float, int, bool, complex):
            dtype = {
                float: dtypes.float64,
                int: dtypes.int64,
                bool: dtypes.bool_,
                complex: dtypes.complex128,
            }[value]
        elif value is not None and not isinstance(value, bool):
            raise TypeError(
                "to() received an invalid combination of arguments - got "
                f"({', '.join(errors.type_name(a) for a in args)}), but expected one of:\n"
                " * (torch.device device = None, torch.dtype dtype = None, "
                "bool non_blocking = False, bool copy = False, *, "
                "torch.memory_format memory_format = None)\n"
                " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, "
                "torch.memory_format memory_format = None)\n"
                " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, "
                "torch.memory_format memory_format = None)\n"
            )
    if kwargs:
        raise errors.unexpected_argument("to", next(iter(kwargs)))
    copying = copying or any(a is True for a in args[2:])
    return convert(self, dtype, where, memory_format, copying)


def convert(
    self: Any, dtype: Any, where: Any, memory_format: Any = None, copying: bool = False
) -> Any:
    """`to` with its arguments sorted out."""
    if where is not None:
        target = place(where)
        if target is not self.device:
            return move(self, target, dtype)
    if (
        (dtype is None or dtype is self.dtype)
        and not copying
        and (
            memory_format is None
            or memory_format is layouts.preserve_format
            or self.is_contiguous(memory_format=memory_format)
        )
    ):
        return self
    if dtype is None or dtype is self.dtype:
        copied = self.clone(memory_format=memory_format)
        return copied
    if self.dtype.is_complex and not dtype.is_complex:
        warnings.warn(
            "Casting complex values to real discards the imaginary part", UserWarning, stacklevel=3
        )
        return convert(self.real, dtype, None, memory_format)
    return _to_copy.call(self, dtype, memory_format)


def move(self: Any, target: device_type, dtype: Any) -> Any:
    """A tensor on another device: only to and from `meta` so far."""
    if target.type != "meta":
        raise errors.no_data()
    return empty(Spec.of(self._spec.shape, self._spec.strides, dtype or self.dtype, target))


def shortcut(name: str, kind: Any) -> Any:
    """`x.float()` and its kin."""

    def method(self: Any, memory_format: Any = None) -> Any:
        return (
            self
            if self._spec.dtype is kind and memory_format is None
            else convert(self, kind, None, memory_format)
        )

    method.__name__, method.__doc__ = name, f"The tensor as {kind}."
    return method


SHORTCUTS = [
    shortcut(name, kind)
    for name, kind in {
        "float": dtypes.float32,
        "double": dtypes.float64,
        "half": dtypes.float16,
        "bfloat16": dtypes.bfloat16,
        "long": dtypes.int64,
        "int": dtypes.int32,
        "short": dtypes.int16,
        "char": dtypes.int8,
        "byte": dtypes.uint8,
        "bool": dtypes.bool_,
        "cfloat": dtypes.complex64,
        "cdouble": dtypes.complex128,
    }.items()
]


def type(self: Any, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    """The type as text (`torch.FloatTensor`), or the tensor converted to a dtype or such a type.

    >>> torch.ones(1).type()
    'torch.FloatTensor'
    """
    if dtype is None:
        return self._spec.dtype.tensor_type
    if isinstance(dtype, str):
        found = next((d for d in dtypes.DTYPES.values() if d.tensor_type == dtype), None)
        if found is None:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = found
    elif not isinstance(dtype, dtypes.dtype):
        dtype = getattr(dtype, "dtype", dtype)
        if not isinstance(dtype, dtypes.dtype):
            raise TypeError("dtype must be a type, str, or dtype object")
    return convert(self, dtype, None)


def type_as(self: Any, other: Any) -> Any:
    """The tensor in the dtype (and on the device) of another."""
    return convert(self, other.dtype, other.device)


def cpu(self: Any, memory_format: Any = None) -> Any:
    """The tensor on the CPU."""
    return convert(self, None, "cpu", memory_format)


def cuda(
    self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Any:
    """The tensor on a GPU."""
    return convert(
        self,
        None,
        "cuda"
        if device is None
        else device_type("cuda", device)
        if isinstance(device, int)
        else device,
    )


def resolve_conj(input: Any) -> Any:
    """The tensor itself: conjugates are computed at once here."""
    return input


def resolve_neg(input: Any) -> Any:
    """The tensor itself."""
    return input


def conj(input: Any) -> Any:
    """Complex conjugate; a real tensor itself.

    >>> torch.conj(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return input.conj_physical() if input._spec.dtype.is_complex else input


METHODS = [
    copy_,
    contiguous,
    to,
    type,
    type_as,
    cpu,
    cuda,
    resolve_conj,
    resolve_neg,
    conj,
    *SHORTCUTS,
]
__all__ = ["conj", "resolve_conj", "resolve_neg"]
_ = engine

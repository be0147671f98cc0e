"""Making tensors: empty, zeros, tensor, arange ..., their `_like` and `new_` forms, and the old
constructors.

    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    >>> torch.tensor([[1, 2], [3, 4]]).dtype
    torch.int64
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.device import get_default_device
from flambeau.core.promotion import number_dtype as of_number
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import dense_strides, format_strides
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.arrays import from_array
from flambeau.ops.creation_arguments import check_dtype, check_layout, finish, place, sizes_of
from flambeau.ops.registry import is_tensor
from flambeau.ops.sequences import array_from, as_number

# ---- uninitialised and constant tensors ----------------------------------------------------------


def empty(
    *size: Any,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
    names: Any = None,
) -> Any:
    """A tensor whose contents are whatever the memory held.

    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    shape = sizes_of("empty", size)
    if out is not None:
        return out.resize_(shape)
    check_layout(layout)
    strides = (
        None
        if memory_format in (None, layouts.contiguous_format, layouts.preserve_format)
        else format_strides(shape, memory_format)
    )
    return finish(
        empty_of(Spec.of(shape, strides, check_dtype("empty", dtype), place(device))),
        requires_grad,
        pin_memory,
    )


def constant(name: str, value: Any, text: str) -> Callable[..., Any]:
    """zeros and ones."""

    def function(
        *size: Any,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        names: Any = None,
    ) -> Any:
        shape = sizes_of(name, size)
        check_layout(layout)
        if out is not None:
            return out.resize_(shape).fill_(value)
        made = empty_of(Spec.of(shape, None, check_dtype(name, dtype), place(device)))
        made.fill_(value)
        return finish(made, requires_grad, pin_memory)

    function.__name__, function.__doc__ = name, text
    return function


def accept_size_keyword(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets `size=` be a keyword too."""

    def wrapper(*args: Any, size: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if size is None else function(tuple(size), **kwargs)

    wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
    wrapper.__wrapped__ = function  # type: ignore[attr-defined]
    return wrapper


zeros = accept_size_keyword(
    constant("zeros", 0, "A tensor of zeros.\n\n    >>> torch.zeros(2)\n    tensor([0., 0.])\n    ")
)
ones = accept_size_keyword(
    constant("ones", 1, "A tensor of ones.\n\n    >>> torch.ones(2)\n    tensor([1., 1.])\n    ")
)
empty = accept_size_keyword(empty)


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Any:
    """A tensor filled with one value.

    >>> torch.full((2,), 7)
    tensor([7, 7])
    """
    if not isinstance(size, (tuple, list)):
        raise errors.argument_type_error("full", "size", 1, "tuple of ints", size)
    if dtype is None:
        dtype = fill_value.dtype if is_tensor(fill_value) else number_dtype(fill_value)
    shape = sizes_of("full", (size,))
    check_layout(layout)
    made = (
        empty_of(Spec.of(shape, None, dtype, place(device))) if out is None else out.resize_(shape)
    )
    return finish(made.fill_(fill_value), requires_grad, pin_memory)


def number_dtype(value: Any) -> Any:
    """The dtype of a tensor made from a Python number."""
    return of_number(value)


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """An uninitialised tensor with given strides.

    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides "
            f"({len(stride)})"
        )
    return finish(
        empty_of(
            Spec.of(tuple(size), tuple(stride), check_dtype("empty_strided", dtype), place(device))
        ),
        requires_grad,
    )


def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], **options: Any) -> Any:
    """An uninitialised dense tensor whose dimensions lie in memory in the given order, outermost
    first.

    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(
            (
                "Number of dimensions in the tensor input does not match the length of the "
                "physical "
                f"layout; i.e. len(size) = {len(size)} is not equal to len(physical_layout) = "
                f"{len(physical_layout)}"
            )
            if len(size) != len(physical_layout)
            else "Duplicate dim not allowed"
        )
    strides, step = [0] * len(size), 1
    for d in reversed(physical_layout):
        strides[d] = step
        step *= max(1, size[d])
    return empty_strided(size, strides, **options)


def like(input: Any, dtype: Any, layout: Any, device: Any, memory_format: Any) -> Any:
    """An uninitialised tensor of the input's shape; its layout is kept where it is dense."""
    if not is_tensor(input):
        raise errors.argument_type_error("empty_like", "input", 1, "Tensor", input)
    check_layout(layout)
    spec = input._spec
    if memory_format is None or memory_format is layouts.preserve_format:
        strides = spec.strides if spec.contiguous else dense_strides(spec.shape, spec.strides)
    else:
        strides = format_strides(spec.shape, memory_format)
    return empty_of(
        Spec.of(
            spec.shape,
            strides,
            dtype or spec.dtype,
            spec.device if device is None else place(device),
        )
    )


def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Any:
    """An uninitialised tensor of the input's shape and dtype.

    >>> torch.empty_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    return finish(like(input, dtype, layout, device, memory_format), requires_grad, pin_memory)


def filled_like(name: str, value: Any) -> Callable[..., Any]:
    """zeros_like and ones_like."""

    def function(
        input: Any,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        out: Any = None,
    ) -> Any:
        return finish(
            like(input, dtype, layout, device, memory_format).fill_(value),
            requires_grad,
            pin_memory,
        )

    function.__name__ = name
    function.__doc__ = f"A tensor of the input's shape and dtype filled with {value}."
    return function


zeros_like, ones_like = filled_like("zeros_like", 0), filled_like("ones_like", 1)


def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of the input's shape and dtype filled with one value.

    >>> torch.full_like(torch.zeros(2), 5)
    tensor([5., 5.])
    """
    return finish(
        like(input, dtype, layout, device, memory_format).fill_(fill_value),
        requires_grad,
        pin_memory,
    )


# ---- from data -----------------------------------------------------------------------------------


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A new tensor with a copy of Python numbers, nested lists or an array.

    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    if is_tensor(data):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), "
            "rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        made = data.detach().clone()
    else:
        made = from_data(data, dtype)
    if dtype is not None or device is not None:
        made = made.to(device=place(device) if device is not None else None, dtype=dtype)
    elif get_default_device().type != "cpu" and not is_tensor(data):
        made = made.to(get_default_device())
    return finish(made, requires_grad, pin_memory)


def from_data(data: Any, dtype: Any) -> Any:
    """A tensor from Python data; torch's inference of the dtype and its errors."""
    if type(data) in (bool, int, float, complex):  # not NumPy's float64, which keeps its dtype
        kind = dtype or number_dtype(data)
        return empty_of(Spec.of((), None, kind, CPU)).fill_(as_number(data, kind))
    return from_array(array_from(data, dtype), dtype or None)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """The data as a tensor, without a copy where it already is one or an array.

    >>> torch.as_tensor([1, 2])
    tensor([1, 2])
    """
    if is_tensor(data):
        return (
            data.to(device=device, dtype=dtype) if dtype is not None or device is not None else data
        )
    if (
        type(data).__module__ == "numpy"
        and hasattr(data, "__array_interface__")
        and getattr(data, "ndim", None)
    ):
        made = from_numpy(data)
        return (
            made.to(device=device, dtype=dtype) if dtype is not None or device is not None else made
        )
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Any:
    """The object as a tensor, sharing its memory unless a copy is asked for or needed.

    >>> torch.asarray([1, 2])
    tensor([1, 2])
    """
    made = as_tensor(obj, dtype, device)
    if copy and is_tensor(obj) and made is obj or copy and not is_tensor(obj):
        made = made.clone()
    if is_tensor(obj) and not requires_grad:
        made = made.detach()
    return finish(made, requires_grad)


def from_numpy(ndarray: Any) -> Any:
    """A tensor that shares the array's memory.

    >>> import numpy
    >>> torch.from_numpy(numpy.array([1, 2]))
    tensor([1, 2])
    """
    import numpy

    if not isinstance(ndarray, numpy.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if ndarray.dtype.name not in dtypes.DTYPES:
        raise TypeError(
            "can't convert np.ndarray of type "
            f"{ndarray.dtype.type.__module__}.{ndarray.dtype.type.__name__}. "
            "The only supported types "
            "are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, "
            "uint64, uint32, uint16, uint8, and bool."
        )
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. "
            "Conversion between byte orders is currently not supported."
        )
    if any(s < 0 for s in ndarray.strides):
        raise errors.negative_strides()
    if not ndarray.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor "
            "will result in undefined behavior. You may want to copy the array to protect its "
            "data or make it writable before converting "
            "it to a tensor. This type of warning will be suppressed for the rest of this program.",
            UserWarning,
            stacklevel=2,
        )
    return from_array(ndarray)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor over the memory of any object that speaks DLPack (an array of another library).

    >>> import numpy
    >>> torch.from_dlpack(numpy.arange(3))
    tensor([0, 1, 2])
    """
    import numpy

    if is_tensor(ext_tensor):
        return ext_tensor.clone() if copy else ext_tensor.detach()
    made = from_array(numpy.from_dlpack(ext_tensor))
    return made.clone() if copy else made


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Any:
    """A 1-D tensor over the memory of an object with the buffer protocol.

    >>> torch.frombuffer(bytearray(b"ab"), dtype=torch.uint8)
    tensor([97, 98], dtype=torch.uint8)
    """
    import numpy

    size = dtype.itemsize
    total = memoryview(buffer).nbytes
    if total == 0 or count == 0:
        raise ValueError(f"both buffer length ({total}) and count ({count}) must not be 0")
    if not 0 <= offset < total:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({total} bytes) minus 1"
        )
    if count < 0 and (total - offset) % size:
        raise ValueError(
            f"buffer length ({total - offset} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({size})"
        )
    number = (total - offset) // size if count < 0 else count
    if offset + number * size > total:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({total} bytes)"
        )
    raw = numpy.frombuffer(buffer, dtype.numpy_name or "uint16", number, offset)
    made = from_array(raw)
    return finish(made if dtype.numpy_name else made.view(dtype), requires_grad)


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """A 0-d tensor of the default dtype.

    >>> torch.scalar_tensor(2)
    tensor(2.)
    """
    made = empty_of(Spec.of((), None, dtype or dtypes.get_default_dtype(), place(device))).fill_(s)
    return finish(made, requires_grad)


# ---- methods -------------------------------------------------------------------------------------


def fill_(self: Any, value: Any) -> Any:
    """Fills the tensor with one value, in place."""
    if is_tensor(value) and value.ndim:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} "
            "dimensions."
        )
    return self._fill_(value)


def zero_(self: Any) -> Any:
    """Fills the tensor with zeros, in place."""
    return self._zero_()


def new_kwargs(self: Any, dtype: Any, device: Any) -> dict[str, Any]:
    """dtype and device of the tensor where none are asked for."""
    return {"dtype": dtype or self.dtype, "device": self.device if device is None else device}


def new_empty(
    self: Any,
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`empty` with this tensor's dtype and device."""
    return empty(*size, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_zeros(
    self: Any,
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`zeros` with this tensor's dtype and device."""
    return zeros(*size, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_ones(
    self: Any,
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`ones` with this tensor's dtype and device."""
    return ones(*size, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_full(
    self: Any,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`full` with this tensor's dtype and device."""
    return full(size, fill_value, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_tensor(
    self: Any,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`tensor` with this tensor's dtype and device."""
    return tensor(data, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_empty_strided(
    self: Any,
    size: Any,
    stride: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`empty_strided` with this tensor's dtype and device."""
    return empty_strided(
        size, stride, requires_grad=requires_grad, **new_kwargs(self, dtype, device)
    )


for _with_size in (new_empty, new_zeros, new_ones):
    globals()[_with_size.__name__] = accept_size_keyword(_with_size)
new_empty, new_zeros, new_ones = (
    globals()[_name] for _name in ("new_empty", "new_zeros", "new_ones")
)


METHODS = [fill_, zero_, new_empty, new_zeros, new_ones, new_full, new_tensor, new_empty_strided]
__all__ = [
    "as_tensor", "asarray", "empty", "empty_like", "empty_permuted", "empty_strided", "from_numpy",
    "frombuffer", "full", "full_like", "ones", "ones_like", "scalar_tensor", "tensor", "zeros",
    "zeros_like",
]  # fmt: skip

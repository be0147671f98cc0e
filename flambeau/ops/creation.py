"""Making tensors: empty, zeros, tensor, arange ..., their `_like` and `new_` forms, and the old constructors.

    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    >>> torch.tensor([[1, 2], [3, 4]]).dtype
    torch.int64
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.device import device as device_type
from flambeau.core.device import get_default_device
from flambeau.core.promotion import number_dtype as of_number
from flambeau.core.shape import Size
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import dense_strides, format_strides
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.arrays import from_array, raw_array
from flambeau.ops.kinds import NONE, pointwise
from flambeau.ops.registry import engine, is_tensor
from flambeau.ops.sequences import array_from


# ---- filling in place ----------------------------------------------------------------------------------------------------------


@pointwise(promote=NONE, promotes=("input",), grad={"value": lambda g: g}, methods=("_fill",), public="fill")
def fill(input, value):
    """`value` in the shape and dtype of `input`.

    >>> torch.fill(torch.zeros(2), 3.0)
    tensor([3., 3.])
    """
    return value


@pointwise(promote=NONE, promotes=("input",), public=None, methods=("_zero",), node="ZeroBackward")
def zero(input):
    """Zeros in the shape and dtype of `input`."""
    return Expr.constant(0, input.dtype)


@pointwise(promote=NONE, promotes=("input",), public=None, methods=(), inplace=False)
def unit(input):
    """Ones in the shape and dtype of `input`: the gradient that backward starts from."""
    return Expr.constant(1, input.dtype)


# ---- arguments ---------------------------------------------------------------------------------------------------------------


def sizes_of(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f(torch.Size([2, 3]))` alike."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    result = []
    for position, size in enumerate(sizes):
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            kinds = " of ints" if len(sizes) > 1 else ""
            if len(sizes) == 1:
                raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {errors.type_name(size)}")
            raise TypeError(
                f"{name}(): argument 'size' (position 1) must be tuple{kinds}, but found element of type {errors.type_name(size)} at pos {position}"
            )
        number = size.__index__()
        if number < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {number}: {errors.brackets(s.__index__() for s in sizes)}"
            )
        result.append(number)
    return tuple(result)


def place(where: Any) -> device_type:
    """The device asked for; an error that says what is missing where there is none."""
    if where is None:
        return get_default_device()
    found = where if isinstance(where, device_type) else device_type(where)
    if found.type == "cpu":
        return CPU
    if found.type == "meta":
        return found if found.index is None else device_type("meta")
    return missing_device(found)


def missing_device(found: device_type) -> device_type:
    """torch's error for a device that this machine (or this build) has not."""
    if found.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled\n  Flambeau sees no usable GPU: use device='cpu'")
    raise RuntimeError(f"PyTorch is not linked with support for {found.type} devices\n  use device='cpu' or 'meta'")


def finish(tensor: Any, requires_grad: bool, pin_memory: bool = False) -> Any:
    """Applies `requires_grad` to a new tensor."""
    if pin_memory:
        raise RuntimeError("Need to provide pin_memory allocator to use pin memory.")
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def check_layout(layout: Any) -> None:
    """Only strided tensors exist."""
    if layout is not None and layout is not layouts.strided:
        raise errors.unsupported(f"layout {layout}")


def check_dtype(name: str, dtype: Any) -> Any:
    """The dtype asked for, or the default one."""
    if dtype is None:
        return dtypes.get_default_dtype()
    if not isinstance(dtype, dtypes.dtype):
        python = {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_, complex: dtypes.complex128}.get(dtype)
        if python is None:
            raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {errors.type_name(dtype)}")
        return python
    return dtype


# ---- uninitialised and constant tensors ------------------------------------------------------------------------------------------


def empty(
    *size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False, memory_format: Any = None, names: Any = None,
) -> Any:  # fmt: skip
    """A tensor whose contents are whatever the memory held.

    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    shape = sizes_of("empty", size or ((),))
    if out is not None:
        return out.resize_(shape)
    check_layout(layout)
    strides = None if memory_format in (None, layouts.contiguous_format, layouts.preserve_format) else format_strides(shape, memory_format)
    return finish(empty_of(Spec.of(shape, strides, check_dtype("empty", dtype), place(device))), requires_grad, pin_memory)


def constant(name: str, value: Any, text: str) -> Callable[..., Any]:
    """zeros and ones."""

    def function(
        *size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False, names: Any = None,
    ) -> Any:  # fmt: skip
        if "size" in names_of(size):
            size = (size[0]["size"],)
        shape = sizes_of(name, size or ((),))
        check_layout(layout)
        if out is not None:
            return out.resize_(shape).fill_(value)
        made = empty_of(Spec.of(shape, None, check_dtype(name, dtype), place(device)))
        made.fill_(value)
        return finish(made, requires_grad, pin_memory)

    function.__name__, function.__doc__ = name, text
    return function


def names_of(size: tuple[Any, ...]) -> Any:
    """Keys of a dictionary given as size: torch's `zeros(size=(2, 3))`."""
    return size[0] if len(size) == 1 and isinstance(size[0], dict) else ()


def accept_size_keyword(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets `size=` be a keyword too."""

    def wrapper(*args: Any, size: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if size is None else function(tuple(size), **kwargs)

    wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
    wrapper.__wrapped__ = function  # type: ignore[attr-defined]
    return wrapper


zeros = accept_size_keyword(constant("zeros", 0, "A tensor of zeros.\n\n    >>> torch.zeros(2)\n    tensor([0., 0.])\n    "))
ones = accept_size_keyword(constant("ones", 1, "A tensor of ones.\n\n    >>> torch.ones(2)\n    tensor([1., 1.])\n    "))
empty = accept_size_keyword(empty)


def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False, names: Any = None,
) -> Any:  # fmt: skip
    """A tensor filled with one value.

    >>> torch.full((2,), 7)
    tensor([7, 7])
    """
    if dtype is None:
        dtype = fill_value.dtype if is_tensor(fill_value) else number_dtype(fill_value)
    shape = sizes_of("full", (size,) if isinstance(size, (tuple, list)) else ((size,),))
    check_layout(layout)
    made = empty_of(Spec.of(shape, None, dtype, place(device))) if out is None else out.resize_(shape)
    return finish(made.fill_(fill_value), requires_grad, pin_memory)


def number_dtype(value: Any) -> Any:
    """The dtype of a tensor made from a Python number."""
    return of_number(value)


def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """An uninitialised tensor with given strides.

    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    if len(size) != len(stride):
        raise RuntimeError(f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})")
    return finish(empty_of(Spec.of(tuple(size), tuple(stride), check_dtype("empty_strided", dtype), place(device))), requires_grad)


def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], **options: Any) -> Any:
    """An uninitialised dense tensor whose dimensions lie in memory in the given order, outermost first.

    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(f"Number of dimensions in the tensor input does not match the length of the physical layout; i.e. len(size) = {len(size)} is not equal to len(physical_layout) = {len(physical_layout)}" if len(size) != len(physical_layout) else "Duplicate dim not allowed")  # fmt: skip
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
    return empty_of(Spec.of(spec.shape, strides, dtype or spec.dtype, spec.device if device is None else place(device)))


def empty_like(
    input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
    memory_format: Any = None,
) -> Any:  # fmt: skip
    """An uninitialised tensor of the input's shape and dtype.

    >>> torch.empty_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    return finish(like(input, dtype, layout, device, memory_format), requires_grad, pin_memory)


def filled_like(name: str, value: Any) -> Callable[..., Any]:
    """zeros_like and ones_like."""

    def function(
        input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
        memory_format: Any = None, out: Any = None,
    ) -> Any:  # fmt: skip
        return finish(like(input, dtype, layout, device, memory_format).fill_(value), requires_grad, pin_memory)

    function.__name__ = name
    function.__doc__ = f"A tensor of the input's shape and dtype filled with {value}."
    return function


zeros_like, ones_like = filled_like("zeros_like", 0), filled_like("ones_like", 1)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False, memory_format: Any = None,
) -> Any:  # fmt: skip
    """A tensor of the input's shape and dtype filled with one value.

    >>> torch.full_like(torch.zeros(2), 5)
    tensor([5., 5.])
    """
    return finish(like(input, dtype, layout, device, memory_format).fill_(fill_value), requires_grad, pin_memory)


# ---- from data ---------------------------------------------------------------------------------------------------------------


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Any:
    """A new tensor with a copy of Python numbers, nested lists or an array.

    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    if is_tensor(data):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
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
    if isinstance(data, (bool, int, float, complex)):
        kind = dtype or number_dtype(data)
        if isinstance(data, int) and not isinstance(data, bool) and not -(1 << 63) <= data < 1 << (64 if kind is dtypes.uint64 else 63) and kind.category < 2:
            raise RuntimeError("Overflow when unpacking long long")
        if isinstance(data, complex) and not kind.is_complex:
            raise RuntimeError(f"value cannot be converted to type {kind.c_name} without overflow")
        return empty_of(Spec.of((), None, kind, CPU)).fill_(data)
    return from_array(array_from(data, dtype), dtype or None)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """The data as a tensor, without a copy where it already is one or an array.

    >>> torch.as_tensor([1, 2])
    tensor([1, 2])
    """
    if is_tensor(data):
        return data.to(device=device, dtype=dtype) if dtype is not None or device is not None else data
    if type(data).__module__ == "numpy" and hasattr(data, "__array_interface__") and getattr(data, "ndim", 0):
        made = from_numpy(data)
        return made.to(device=device, dtype=dtype) if dtype is not None or device is not None else made
    return tensor(data, dtype=dtype, device=device)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False) -> Any:
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
            f"can't convert np.ndarray of type {ndarray.dtype.type.__module__}.{ndarray.dtype.type.__name__}. The only supported types "
            "are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported."
        )
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. "
            "(You can probably work around this by making a copy of your array  with array.copy().) "
        )
    if not ndarray.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to this tensor "
            "will result in undefined behavior. You may want to copy the array to protect its data or make it writable before converting "
            "it to a tensor. This type of warning will be suppressed for the rest of this program.",
            UserWarning,
            stacklevel=2,
        )
    return from_array(ndarray)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
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
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({total} bytes) minus 1")
    if count < 0 and (total - offset) % size:
        raise ValueError(f"buffer length ({total - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({size})")
    number = (total - offset) // size if count < 0 else count
    if offset + number * size > total:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({total} bytes)"
        )
    raw = numpy.frombuffer(buffer, dtype.numpy_name or "uint16", number, offset)
    made = from_array(raw)
    return finish(made if dtype.numpy_name else made.view(dtype), requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """A 0-d tensor of the default dtype.

    >>> torch.scalar_tensor(2)
    tensor(2.)
    """
    made = empty_of(Spec.of((), None, dtype or dtypes.get_default_dtype(), place(device))).fill_(s)
    return finish(made, requires_grad)


# ---- sequences ---------------------------------------------------------------------------------------------------------------


def number_of(value: Any) -> Any:
    """A Python number from a number, a NumPy scalar or a 0-d tensor."""
    return value.item() if hasattr(value, "item") else value


def arange(
    *bounds: Any, start: Any = None, end: Any = None, step: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Evenly spaced numbers in [start, end).

    >>> torch.arange(1, 10, 3)
    tensor([1, 4, 7])
    """
    if len(bounds) == 1 and end is None:
        first, last, by = start or 0, bounds[0], step
    elif len(bounds) == 1:
        first, last, by = bounds[0], end, step
    else:
        values = [*bounds, None, None, None]
        first = start if values[0] is None else values[0]
        last = end if values[1] is None else values[1]
        by = step if values[2] is None else values[2]
    first, last, by = number_of(0 if first is None else first), number_of(last), number_of(1 if by is None else by)
    if last is None:
        raise TypeError("arange() missing 1 required positional arguments: \"end\"")
    if dtype is None:
        dtype = dtypes.int64 if all(isinstance(v, int) for v in (first, last, by)) else dtypes.get_default_dtype()
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(v) for v in (first, last)):
        raise RuntimeError(f"unsupported range: {first} -> {last}")
    if (last - first) * by < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = math.ceil((last - first) / by) if not all(isinstance(v, int) for v in (first, last, by)) else -((first - last) // by)
    where = place(device)
    made = empty_of(Spec.of((count,), None, dtype, where)) if out is None else out.resize_((count,))
    if where.type != "meta" and count:
        write(made, lambda numpy: first + numpy.arange(count, dtype=counting_dtype(dtype)) * by)
    return finish(made, requires_grad)


def counting_dtype(dtype: Any) -> str:
    """The dtype in which a sequence is computed."""
    return "int64" if dtype.category < 2 else "float64"


def write(made: Any, compute: Callable[[Any], Any]) -> None:
    """Writes the array that `compute(numpy)` gives into a new tensor."""
    import numpy

    values = compute(numpy)
    if made.dtype.numpy_name is None:
        made.copy_(from_array(values.astype("float32")))
    else:
        raw_array(made, made.dtype.numpy_name)[...] = values.astype(made.dtype.numpy_name)


def linspace(
    start: Any, end: Any, steps: int, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """`steps` evenly spaced numbers from `start` to `end`, both included.

    >>> torch.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    dtype = sequence_dtype("linspace", start, end, steps, dtype)
    start, end = number_of(start), number_of(end)
    made = empty_of(Spec.of((steps,), None, dtype, place(device))) if out is None else out.resize_((steps,))
    if made.device.type != "meta" and steps:
        write(made, lambda numpy: spaced(numpy, start, end, steps, dtype))
    return finish(made, requires_grad)


def sequence_dtype(name: str, start: Any, end: Any, steps: Any, dtype: Any) -> Any:
    """dtype of linspace and logspace; their errors."""
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise TypeError(f"{name}(): argument 'steps' (position 3) must be int, not {errors.type_name(steps)}")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is not None:
        return dtype
    if any(isinstance(number_of(v), complex) for v in (start, end)):
        return dtypes.default_complex_dtype()
    return dtypes.get_default_dtype()


def spaced(numpy: Any, start: Any, end: Any, steps: int, dtype: Any) -> Any:
    """The values of linspace: counted from both ends, in the dtype's own arithmetic, as torch does it."""
    kind = {"float16": "float32", "bfloat16": "float32"}.get(dtype.name, dtype.name if dtype.category > 1 else "float64")
    number = numpy.dtype(kind).type
    if steps == 1:
        return numpy.array([start], kind)
    if dtype.category < 2:
        step = (float(end) - float(start)) / (steps - 1)
        i = numpy.arange(steps)
        values = numpy.where(i < steps // 2, start + step * i, end - step * (steps - i - 1))
        return numpy.trunc(values)
    step = number((number(end) - number(start)) / number(steps - 1))
    i = numpy.arange(steps).astype(kind)
    return numpy.where(i < steps // 2, number(start) + step * i, number(end) - step * (steps - 1 - i))


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """`base` to the powers of a linspace.

    >>> torch.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    dtype = sequence_dtype("logspace", start, end, steps, dtype)
    start, end, base = number_of(start), number_of(end), number_of(base)
    made = empty_of(Spec.of((steps,), None, dtype, place(device))) if out is None else out.resize_((steps,))
    if made.device.type != "meta" and steps:
        wide = dtypes.float64 if dtype.category < 2 else dtype
        write(made, lambda numpy: numpy.power(numpy.array(base, "complex128" if wide.is_complex else "float64"), spaced(numpy, start, end, steps, wide).astype("complex128" if wide.is_complex else "float64")))
    return finish(made, requires_grad)


def eye(
    n: int, m: int | None = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Ones on the diagonal, zeros elsewhere.

    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    columns = n if m is None else m
    for name, value in (("n", n), ("m", columns)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    made = zeros(n, columns, dtype=dtype, device=device) if out is None else out.resize_((n, columns)).zero_()
    if n and columns:
        made.diagonal().fill_(1)
    return finish(made, requires_grad)


# ---- methods -------------------------------------------------------------------------------------------------------------------


def fill_(self: Any, value: Any) -> Any:
    """Fills the tensor with one value, in place."""
    if is_tensor(value) and value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    return self._fill_(value)


def zero_(self: Any) -> Any:
    """Fills the tensor with zeros, in place."""
    return self._zero_()


def new_kwargs(self: Any, dtype: Any, device: Any) -> dict[str, Any]:
    """dtype and device of the tensor where none are asked for."""
    return {"dtype": dtype or self.dtype, "device": self.device if device is None else device}


def new_empty(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Any:
    """`empty` with this tensor's dtype and device."""
    return empty(*size, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Any:
    """`zeros` with this tensor's dtype and device."""
    return zeros(*size, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Any:
    """`ones` with this tensor's dtype and device."""
    return ones(*size, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_full(self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Any:
    """`full` with this tensor's dtype and device."""
    return full(size, fill_value, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Any:
    """`tensor` with this tensor's dtype and device."""
    return tensor(data, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


def new_empty_strided(self: Any, size: Any, stride: Any, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """`empty_strided` with this tensor's dtype and device."""
    return empty_strided(size, stride, requires_grad=requires_grad, **new_kwargs(self, dtype, device))


for _with_size in (new_empty, new_zeros, new_ones):
    globals()[_with_size.__name__] = accept_size_keyword(_with_size)
new_empty, new_zeros, new_ones = (globals()[_name] for _name in ("new_empty", "new_zeros", "new_ones"))


# ---- the old constructors ------------------------------------------------------------------------------------------------------


def legacy_constructor(cls: type, name: str, *args: Any, **kwargs: Any) -> Any:
    """`torch.Tensor(2, 3)`, `torch.Tensor([1, 2])`, `torch.FloatTensor(...)`: sizes, data or another tensor."""
    engine.start()
    kind = legacy_dtype(name)
    where = kwargs.pop("device", None)
    if kwargs:
        raise TypeError(f"new() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if not args:
        made = empty(0, dtype=kind)
    elif len(args) == 1 and is_tensor(args[0]):
        if args[0].dtype is not kind:
            raise TypeError(f"expected {kind.tensor_type.removeprefix('torch.').removesuffix('Tensor')} (got {args[0].dtype.scalar_name})")
        made = args[0].detach()
    elif len(args) == 1 and isinstance(args[0], (Size, int)) and not isinstance(args[0], bool):
        made = empty(tuple(args[0]) if isinstance(args[0], Size) else args[0], dtype=kind)
    elif len(args) == 1:
        if isinstance(args[0], (float, str)) and not isinstance(args[0], str):
            raise TypeError(f"new(): data must be a sequence (got {type(args[0]).__name__})")
        made = tensor(args[0], dtype=kind)
    else:
        made = empty(*args, dtype=kind)
    if where is not None:
        made = made.to(place(where))
    plain = cls is engine.Tensor or cls is engine.Parameter
    return made if plain else made.as_subclass(cls)


def legacy_dtype(name: str) -> Any:
    """dtype of `torch.FloatTensor` and its kin; `torch.Tensor` is of the default dtype."""
    if name == "torch.FloatTensor":
        return dtypes.get_default_dtype()
    return next(d for d in dtypes.DTYPES.values() if d.tensor_type == name)


def typed_constructor(kind: Any) -> type:
    """The class `torch.LongTensor`: calling it makes a tensor, `isinstance` asks for the dtype."""
    name = kind.tensor_type.rpartition(".")[2]

    class Meta(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return is_tensor(instance) and instance.dtype is kind

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return legacy_constructor(engine.Tensor, kind.tensor_type, *args, **kwargs) if kind is not dtypes.float32 else float_constructor(*args, **kwargs)

    return Meta(name, (), {"__module__": "torch", "dtype": kind, "__doc__": f"Old constructor of {kind} tensors."})


def float_constructor(*args: Any, **kwargs: Any) -> Any:
    """`torch.FloatTensor(...)`: float32 whatever the default dtype is."""
    return legacy_constructor(engine.Tensor, "torch.FloatTensor", *args, **kwargs).to(dtypes.float32)


CONSTRUCTORS = {
    kind.tensor_type.rpartition(".")[2]: typed_constructor(kind)
    for kind in dtypes.DTYPES.values()
    if kind.name in ("float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool")
}
globals().update(CONSTRUCTORS)

METHODS = [fill_, zero_, new_empty, new_zeros, new_ones, new_full, new_tensor, new_empty_strided]
__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "empty_permuted", "empty_strided", "eye", "from_numpy", "frombuffer",
    "full", "full_like", "linspace", "logspace", "ones", "ones_like", "scalar_tensor", "tensor", "zeros", "zeros_like", *CONSTRUCTORS,
]  # fmt: skip

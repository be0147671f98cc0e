"""Tensors made from what there is: numbers, lists, NumPy arrays, buffers, other libraries' tensors.

>>> torch.tensor([[1, 2], [3, 4]]).dtype
torch.int64
"""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.device import get_default_device
from flambeau.core.spec import CPU, Spec
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.arrays import from_array
from flambeau.ops.creation import filled, number_dtype
from flambeau.ops.creation_arguments import blank, check_layout, finish, place
from flambeau.ops.registry import engine, is_tensor
from flambeau.ops.sequences import array_from, as_number
from flambeau.runtime import sequences

# NumPy's letters of the dtypes that both have; `flags.carray`: writable, aligned, row-major, native
PLAIN = frozenset("?bBhHiIlLqQefdFD")


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
    made = from_numbers(data, dtype) if type(data) in NUMBERS else None
    if made is not None:
        pass
    elif is_tensor(data):
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
    if device is not None or dtype is not None and made.dtype is not dtype:
        made = made.to(device=place(device) if device is not None else None, dtype=dtype)
    elif get_default_device().type != "cpu" and not is_tensor(data):
        made = made.to(get_default_device())
    return finish(made, requires_grad, pin_memory)


NUMBERS = (list, tuple, float, int, bool)
CODES = {
    dtypes.bool_: sequences.AS_BOOL,
    dtypes.int64: sequences.AS_INT64,
    dtypes.float32: sequences.AS_FLOAT32,
    dtypes.float64: sequences.AS_FLOAT64,
}
# the least kind of dtype that holds each kind of numbers
CATEGORIES = {
    sequences.NUMBER_BOOLS: 0,
    sequences.NUMBER_INTS: 1,
    sequences.NUMBER_FLOATS: 2,
    sequences.NUMBER_NONE: 2,
}


def from_numbers(data: Any, dtype: Any) -> Any:
    """A tensor of plain Python numbers, read by native code; None where it cannot be."""
    measured = engine.core.measure_numbers(data)
    if measured is None:
        return None
    category = CATEGORIES[measured[0]]
    if dtype is None:
        dtype = (dtypes.bool_, dtypes.int64, dtypes.get_default_dtype())[category]
    code = CODES.get(dtype)
    if code is None or dtype.category < category and measured[0] != sequences.NUMBER_NONE:
        return None
    made = empty_of(Spec.of(measured[1:], None, dtype, CPU))
    return made if engine.core.write_numbers(data, made._storage, code) else None


def from_data(data: Any, dtype: Any) -> Any:
    """A tensor from Python data; torch's inference of the dtype and its errors."""
    if type(data) in (bool, int, float, complex):  # not NumPy's float64, which keeps its dtype
        kind = dtype or number_dtype(data)
        return filled(blank.call(((),), kind, "tensor"), as_number(data, kind))
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
    if ndarray.flags.carray and ndarray.dtype.char in PLAIN:
        return from_array(ndarray)
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
    source = ext_tensor if hasattr(ext_tensor, "__dlpack__") else Capsule(ext_tensor)
    made = from_array(numpy.from_dlpack(source))
    return made.clone() if copy else made


class Capsule:
    """A bare DLPack capsule, of memory of the CPU, as an object that NumPy asks for it."""

    def __init__(self, capsule: Any):
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


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
    check_layout(layout)
    made = empty_of(Spec.of((), None, dtype or dtypes.get_default_dtype(), place(device))).fill_(s)
    return finish(made, requires_grad, pin_memory)


def mapped_file(filename: Any, shared: bool, nbytes: int) -> Any:
    """The first bytes of a file as an array: they are read when they are looked at. With `shared`
    what is written goes to the file, which becomes as long as is asked.
    """
    import numpy

    mode = "read-write" if shared else "read-only"
    try:
        with open(filename, "ab" if shared else "rb") as file:
            length = file.seek(0, 2)
            if shared and length < nbytes:
                length = file.truncate(nbytes)
    except OSError as error:
        text = f"unable to open file <{filename}> in {mode} mode: {error.strerror} ({error.errno})"
        raise RuntimeError(text) from None
    if length < nbytes:
        raise RuntimeError(
            f"file <{filename}> size <{length}> is smaller than the required mapping size "
            f"<{nbytes}>"
        )
    if nbytes == 0:
        return numpy.empty(0, numpy.uint8)
    return numpy.memmap(filename, numpy.uint8, "r+" if shared else "c", shape=(nbytes,))


def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """A tensor of `size` elements over the bytes of a file, in the machine's byte order; with
    `shared` what is written to the tensor is written to the file.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers")
    >>> torch.from_file(path, shared=True, size=2).fill_(1.5)
    tensor([1.5000, 1.5000])
    >>> torch.from_file(path, size=2)
    tensor([1.5000, 1.5000])
    """
    check_layout(layout)
    engine.start()
    kind = dtype or dtypes.get_default_dtype()
    mapped = mapped_file(filename, bool(shared), (size or 0) * kind.itemsize)
    made = from_array(mapped).view(kind).to(place(device))
    return finish(made, requires_grad, pin_memory)


__all__ = [
    "as_tensor", "asarray", "from_dlpack", "from_file", "from_numpy", "frombuffer", "scalar_tensor",
    "tensor",
]  # fmt: skip

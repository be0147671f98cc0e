"""Nested Python sequences as arrays, with torch's inference of shape and dtype and its error texts.

    array_from([[1, 2], [3, 4]], None)          # an int64 ndarray

Called by ops.from_data.tensor.
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.promotion import promote_types
from flambeau.ops.registry import is_tensor


def array_from(data: Any, dtype: Any) -> Any:
    """`data` (lists, tuples, arrays, tensors, numbers in any nesting) as a fresh ndarray."""
    import numpy

    if isinstance(data, numpy.ndarray) or isinstance(data, numpy.generic):
        if any(step < 0 for step in getattr(data, "strides", ())):
            raise errors.negative_strides()
        return checked(numpy.array(data, order="C"), data)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__") or isinstance(data, dict):
        if hasattr(data, "__array__"):
            return checked(numpy.array(data), data)
        if hasattr(data, "__index__"):
            return numpy.array(data.__index__())
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    shape = shape_of(data)
    kind = dtype or inferred(data)
    leaves: list[Any] = []
    collect(data, shape, 0, leaves)
    if kind.numpy_name is None:
        kind = dtypes.float32
    numbers = [as_number(leaf, kind) for leaf in leaves]
    return numpy.array(numbers, dtype=kind.numpy_name).reshape(shape)


def as_number(leaf: Any, kind: Any) -> Any:
    """A leaf as a Python number for the dtype `kind`, or torch's error."""
    if is_tensor(leaf):
        if leaf.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        leaf = leaf.item()
    if not isinstance(leaf, (int, float, complex)) and not hasattr(leaf, "__index__"):
        if not hasattr(leaf, "dtype"):
            raise not_a_number(leaf, kind)
        leaf = leaf.item()
    if kind.category == 0:
        return bool(leaf)
    if isinstance(leaf, complex) and not kind.is_complex:
        raise not_a_number(leaf, kind)
    if kind.category == 1:
        return whole_number(leaf, kind)
    return float(leaf) if kind.category > 1 and isinstance(leaf, int) else leaf


def not_a_number(leaf: Any, kind: Any) -> TypeError:
    """Python's own text, which torch passes on."""
    if kind.category < 2:
        return TypeError(f"'{type(leaf).__name__}' object cannot be interpreted as an integer")
    return TypeError(f"must be real number, not {type(leaf).__name__}")


def whole_number(value: Any, kind: Any) -> int:
    """A number as an integer that `kind` can hold; negative ones wrap around in unsigned dtypes."""
    top = (1 << 8 * kind.itemsize - kind.is_signed) - 1
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << (
        64 if kind is dtypes.uint64 else 63
    ):
        raise ValueError("Overflow when unpacking long long")
    if value != value or not -top - 1 <= value <= top:
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
    return int(value) & top if not kind.is_signed else int(value)


def checked(array: Any, data: Any) -> Any:
    """The array, if torch has its dtype."""
    if array.dtype.name not in dtypes.DTYPES:
        if array.dtype.kind in "US":
            raise TypeError(
                f"can't convert np.ndarray of type numpy.{array.dtype.type.__name__}. "
                "The only supported types are: float64, float32, "
                "float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
                "uint16, uint8, and bool."
            )
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{array.dtype.type.__name__}. "
            "The only supported types are: float64, float32, "
            "float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, "
            "uint8, and bool."
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def shape_of(data: Any) -> tuple[int, ...]:
    """Sizes along the first elements."""
    shape: list[int] = []
    while is_sequence(data) or isinstance(data, (str, bytes)) and len(data):
        if len(shape) > 128 or isinstance(data, str):  # a letter of a text is a text again
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        shape.append(len(data))
        if len(data) == 0 or isinstance(data, bytes):
            break
        data = data[0]
    return tuple(shape)


def is_sequence(data: Any) -> bool:
    """Whether torch descends into it."""
    return (
        hasattr(data, "__len__")
        and hasattr(data, "__getitem__")
        and not isinstance(data, (str, bytes, dict))
        and not is_tensor(data)
    )


def collect(data: Any, shape: tuple[int, ...], depth: int, leaves: list[Any]) -> None:
    """Appends the leaves in order; torch's errors for ragged data."""
    if depth == len(shape):
        leaves.append(data)
        return
    if shape[depth] == 0:  # torch does not look into the others then
        return
    if not is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[depth]:
        raise ValueError(
            f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})"
        )
    if depth == len(shape) - 1:
        leaves.extend(data)
        return
    for item in data:
        collect(item, shape, depth + 1, leaves)


def inferred(data: Any) -> Any:
    """The dtype in which all numbers of nested sequences meet;
    an empty one has the default float dtype.
    """
    found = None
    for kind in {type(data)} if not is_sequence(data) else set(map(type, data)):
        if kind in PYTHON_KINDS:
            found = promoted(found, PYTHON_KINDS[kind]())
        else:
            for item in data:
                if type(item) is kind:
                    found = promoted(found, dtype_of(item))
    return found or dtypes.get_default_dtype()


PYTHON_KINDS = {
    bool: lambda: dtypes.bool_, int: lambda: dtypes.int64, float: dtypes.get_default_dtype,
    complex: dtypes.default_complex_dtype,
}  # fmt: skip


def promoted(first: Any, second: Any) -> Any:
    """The dtype in which two meet; None is none yet."""
    return second if first is None else promote_types(first, second)


def dtype_of(item: Any) -> Any:
    """The dtype that torch gives to what is no plain Python number."""
    if isinstance(item, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
    if is_tensor(item):
        return item.dtype
    name = getattr(getattr(item, "dtype", None), "name", None)
    if name in dtypes.DTYPES:
        return dtypes.DTYPES[name]
    if is_sequence(item):
        return inferred(item)
    for kind, dtype in PYTHON_KINDS.items():
        if isinstance(item, kind):
            return dtype()
    if hasattr(item, "__index__"):
        return dtypes.int64
    raise RuntimeError(f"Could not infer dtype of {type(item).__name__}")

"""Nested Python sequences as arrays, with torch's inference of shape and dtype and its error texts.

    array_from([[1, 2], [3, 4]], None)          # an int64 ndarray

Called by ops.creation.tensor.
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.ops.registry import is_tensor


def array_from(data: Any, dtype: Any) -> Any:
    """`data` (lists, tuples, arrays, tensors, numbers in any nesting) as a fresh ndarray."""
    import numpy

    if isinstance(data, numpy.ndarray) or isinstance(data, numpy.generic):
        return checked(numpy.array(data, order="C"), data)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        if hasattr(data, "__array__"):
            return checked(numpy.array(data), data)
        if hasattr(data, "__index__"):
            return numpy.array(data.__index__())
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    shape = shape_of(data)
    leaves: list[Any] = []
    collect(data, shape, 0, leaves)
    kind = dtype or inferred(leaves)
    if kind.numpy_name is None:
        kind = dtypes.float32
    try:
        return numpy.array(leaves, dtype=kind.numpy_name).reshape(shape)
    except OverflowError:
        raise RuntimeError("Overflow when unpacking long long") from None
    except (TypeError, ValueError):
        return numpy.array([convert(leaf, kind) for leaf in leaves], dtype=kind.numpy_name).reshape(
            shape
        )


def convert(leaf: Any, kind: Any) -> Any:
    """A leaf for a dtype that NumPy would not convert it to by itself."""
    if isinstance(leaf, complex) and not kind.is_complex:
        raise TypeError(f"can't convert complex to {'int' if kind.category < 2 else 'float'}")
    if isinstance(leaf, float) and kind.category == 1:
        if leaf != leaf or leaf in (float("inf"), float("-inf")):
            raise ValueError(
                f"cannot convert float {'NaN' if leaf != leaf else 'infinity'} to integer"
            )
        return int(leaf)
    return leaf


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
    while is_sequence(data):
        if len(shape) > 128:
            raise ValueError("too many dimensions")
        shape.append(len(data))
        if len(data) == 0:
            break
        data = data[0]
    return tuple(shape)


def is_sequence(data: Any) -> bool:
    """Whether torch descends into it."""
    if is_tensor(data):
        return bool(data.ndim)
    return (
        hasattr(data, "__len__")
        and hasattr(data, "__getitem__")
        and not isinstance(data, (str, bytes, dict))
        and getattr(data, "ndim", 1) != 0
    )


def collect(data: Any, shape: tuple[int, ...], depth: int, leaves: list[Any]) -> None:
    """Appends the leaves in order; torch's errors for ragged data."""
    if depth == len(shape):
        if is_sequence(data):
            raise ValueError(
                f"only one element tensors can be converted to Python scalars"
                if is_tensor(data)
                else f"expected sequence of length {0} at dim {depth} (got {len(data)})"
            )
        if isinstance(data, str):
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        leaves.append(data.item() if hasattr(data, "item") else data)
        return
    if not is_sequence(data):
        if isinstance(data, str):
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        raise TypeError(f"not a sequence") if data is None else TypeError("not a sequence")
    if len(data) != shape[depth]:
        raise ValueError(
            f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})"
        )
    if depth == len(shape) - 1 and not is_tensor(data):
        for item in data:
            if type(item) is float or type(item) is int or type(item) is bool:
                leaves.append(item)
            else:
                collect(item, shape, depth + 1, leaves)
        return
    for item in data:
        collect(item, shape, depth + 1, leaves)


def inferred(leaves: list[Any]) -> Any:
    """bool, int64, the default float or the default complex dtype, whichever holds all leaves."""
    kinds = {type(leaf) for leaf in leaves}
    if not kinds:
        return dtypes.get_default_dtype()
    for kind in kinds:
        if not issubclass(kind, (bool, int, float, complex)):
            if hasattr(kind, "__index__"):
                continue
            raise RuntimeError(f"Could not infer dtype of {kind.__name__}")
    if any(issubclass(kind, complex) for kind in kinds):
        return dtypes.default_complex_dtype()
    if any(issubclass(kind, float) for kind in kinds):
        return dtypes.get_default_dtype()
    return dtypes.bool_ if kinds == {bool} else dtypes.int64

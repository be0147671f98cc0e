"""Type promotion: which dtype an operation computes in and returns.

Called by the dispatcher on a plan-cache miss. torch's rule has three ranks: tensors with
dimensions decide, zero-dimensional tensors may only lift the category (bool < integral < floating <
complex), Python numbers likewise below them.
https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc

>>> from flambeau.core.dtype import float32, float64, int64
>>> result_dtype([(float32, DIMENSIONED), (float64, ZERO_DIM)])
torch.float32
>>> result_dtype([(int64, DIMENSIONED), (float32, NUMBER)])
torch.float32
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from flambeau.core import dtype as dtypes
from flambeau.core.dtype import COMPLEX, FLOATING, INTEGRAL, dtype
from flambeau.core.errors import argument_type_error

#: ranks of an operand, as used by `result_dtype`
NUMBER, ZERO_DIM, DIMENSIONED = range(3)


class Promotion(enum.Enum):
    """How an operation derives its compute dtype and its result dtype from its operands."""

    #: the promoted dtype: add, mul, relu
    SAME = "same"
    #: bool and integers become the default floating dtype: tanh, true division
    FLOAT = "float"
    #: compute in the promoted dtype, return bool: eq, isnan
    BOOL_RESULT = "bool_result"
    #: bool and integers become int64: sum, prod, cumsum
    INT_TO_LONG = "int_to_long"
    #: compute in the promoted dtype, return its real counterpart: abs, angle
    COMPLEX_TO_FLOAT = "complex_to_float"
    #: operands stay as they are, the first one's dtype is returned: the op itself decides
    NONE = "none"


_NARROW_FLOATS = (dtypes.float16, dtypes.bfloat16)
_BARE_UNSIGNED = (dtypes.uint16, dtypes.uint32, dtypes.uint64)


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype, of a kind not below either, that both can be cast to.

    >>> torch.promote_types(torch.uint8, torch.int8)
    torch.int16
    >>> torch.promote_types(torch.float16, torch.bfloat16)
    torch.float32
    """
    _require_dtype("promote_types", "type1", 1, type1)
    _require_dtype("promote_types", "type2", 2, type2)
    return _PROMOTED[type1.index][type2.index] or _refuse(type1, type2)


def _require_dtype(function: str, name: str, position: int, value: object) -> None:
    if not isinstance(value, dtype):
        raise argument_type_error(function, name, position, "torch.dtype", value)


def _refuse(type1: dtype, type2: dtype) -> dtype:
    narrow = any(kind.name.startswith("float8") for kind in (type1, type2))
    kinds = "Float8 Types" if narrow else "uint16, uint32, uint64 types"
    raise RuntimeError(
        f"Promotion for {kinds} is not supported, "
        f"attempted to promote {type1.scalar_name} and {type2.scalar_name}\n"
        "  cast one of them first, e.g. with .to(torch.int64)"
    )


def _promote(a: dtype, b: dtype) -> dtype | None:
    """One cell of the table; None where torch refuses."""
    if a is b:
        return a
    if a.name.startswith("float8") or b.name.startswith("float8"):
        return None
    low, high = (a, b) if (a.category, a.itemsize) <= (b.category, b.itemsize) else (b, a)
    if low in _BARE_UNSIGNED or high in _BARE_UNSIGNED:
        # with uint16/32/64 torch defines only the step up to a real floating type
        return high if high.category == FLOATING else None
    if high.category == COMPLEX and low.category >= FLOATING:
        return _complex_pair(low, high)
    if low.category != high.category:
        return high
    if low.category == FLOATING:
        return dtypes.float32 if high in _NARROW_FLOATS else high
    if low.category == INTEGRAL and low.itemsize == high.itemsize:
        return dtypes.int16  # uint8 with int8
    return high


def _complex_pair(low: dtype, high: dtype) -> dtype:
    """Promote the parts, then go back to complex: complex32 with bfloat16 is complex64."""
    part = _promote(low.to_real(), high.to_real())
    assert part is not None
    return part.to_complex()


_ALL = tuple(dtypes.DTYPES.values())
_PROMOTED: tuple[tuple[dtype | None, ...], ...] = tuple(
    tuple(_promote(a, b) for b in _ALL) for a in _ALL
)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether torch's casting rules allow `from_` to become `to` in an in-place result.

    >>> torch.can_cast(torch.float32, torch.int64), torch.can_cast(torch.int64, torch.float16)
    (False, True)
    """
    _require_dtype("can_cast", "from_", 1, from_)
    _require_dtype("can_cast", "to", 2, to)
    return from_.category <= to.category


def number_dtype(value: object) -> dtype:
    """The dtype a Python number takes part with: bool, int64, or the default float or complex.

    >>> number_dtype(True), number_dtype(3), number_dtype(2.5), number_dtype(1j)
    (torch.bool, torch.int64, torch.float32, torch.complex64)
    """
    if isinstance(value, bool):
        return dtypes.bool_
    if isinstance(value, int):
        return dtypes.int64
    if isinstance(value, float):
        return dtypes.get_default_dtype()
    if isinstance(value, complex):
        return dtypes.default_complex_dtype()
    raise TypeError(f"expected a Python number, but got {type(value).__name__}")


def result_dtype(entries: Iterable[tuple[dtype, int]]) -> dtype:
    """torch's promoted dtype of operands given as (dtype, rank); see the module's first lines.

    >>> result_dtype([(dtypes.uint8, DIMENSIONED), (dtypes.int64, NUMBER)])
    torch.uint8
    >>> result_dtype([(dtypes.float16, DIMENSIONED), (dtypes.complex64, NUMBER)])
    torch.complex32
    """
    by_rank: list[dtype | None] = [None, None, None]
    for each, rank in entries:
        before = by_rank[rank]
        by_rank[rank] = each if before is None else promote_types(before, each)
    result: dtype | None = None
    for strongest in by_rank:  # numbers first, then zero-dimensional, then dimensioned
        result = _combine(strongest, result)
    if result is None:
        raise ValueError("result_dtype needs at least one operand")
    return result


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """A higher rank keeps its dtype unless the lower one is of a higher category."""
    if higher is None or lower is None:
        return higher or lower
    if lower.category <= higher.category:
        return higher
    if lower.category == COMPLEX and higher.category == FLOATING:
        return higher.to_complex()  # keeps the precision of the higher rank
    if lower.category >= FLOATING and not lower.name.startswith("float8"):
        return lower  # unlike promote_types, for uint16/32/64 too
    return promote_types(higher, lower)


def resolve(kind: Promotion, entries: Sequence[tuple[dtype, int]]) -> tuple[dtype, dtype]:
    """(compute dtype, result dtype) of an operation with promotion `kind` on these operands.

    The compute dtype is what operands are converted to; kernels widen float16 further by
    themselves (`dtype.compute`).

    >>> resolve(Promotion.FLOAT, [(dtypes.int64, DIMENSIONED)])
    (torch.float32, torch.float32)
    >>> resolve(Promotion.BOOL_RESULT, [(dtypes.int64, DIMENSIONED), (dtypes.float32, NUMBER)])
    (torch.float32, torch.bool)
    """
    if kind is Promotion.NONE:
        first = entries[0][0]
        return first, first
    common = result_dtype(entries)
    if kind is Promotion.FLOAT and common.category < FLOATING:
        common = dtypes.get_default_dtype()
    elif kind is Promotion.INT_TO_LONG and common.category < FLOATING:
        common = dtypes.int64
    elif kind is Promotion.BOOL_RESULT:
        return common, dtypes.bool_
    elif kind is Promotion.COMPLEX_TO_FLOAT:
        return common, common.to_real()
    return common, common

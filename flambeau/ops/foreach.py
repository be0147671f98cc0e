"""`_foreach_add(tensors, other)` and its kin: one op on each tensor of a list.

>>> torch._foreach_add([torch.zeros(1), torch.ones(2)], 1.0)
(tensor([1.]), tensor([2., 2.]))

They are made here from the tensors' methods. What they take beside the list is a list of the same
length, or one value for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau.ops.registry import engine, is_tensor

Tensors = Sequence[Any]
UNARY = """abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p
    log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc""".split()
BINARY = "add sub mul div pow clamp_min clamp_max maximum minimum".split()
# an extreme with a number is a bound
WITH_NUMBER = {"maximum": "clamp_min", "minimum": "clamp_max"}


def check_lists(*lists: Any) -> None:
    """torch's errors for lists that are empty or of different lengths."""
    first = lists[0]
    if not first:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for other in lists[1:]:
        if isinstance(other, (tuple, list)) and len(other) != len(first):
            if other and not is_tensor(other[0]):
                raise RuntimeError("Tensor list must have same number of elements as scalar list.")
            raise RuntimeError(
                "Tensor lists must have the same number of tensors, "
                f"got {len(first)} and {len(other)}"
            )


def spread(value: Any, count: int) -> Sequence[Any]:
    """One value for each tensor."""
    return value if isinstance(value, (tuple, list)) else [value] * count


def unary(name: str) -> Iterator[Callable[..., Any]]:
    """`_foreach_NAME` and `_foreach_NAME_`."""

    def new(self: Tensors) -> Any:
        check_lists(self)
        return tuple([getattr(x, name)() for x in self])

    def in_place(self: Tensors) -> Any:
        check_lists(self)
        for x in self:
            getattr(x, name + "_")()
        return self

    yield named(new, name, f"`{name}` of each tensor.")
    yield named(in_place, name + "_", f"`{name}` of each tensor, in place.")


def binary(name: str) -> Iterator[Callable[..., Any]]:
    """The same for ops with a second operand: a number, a tensor, or a list of them."""

    def rows(self: Any, other: Any) -> tuple[Sequence[Any], Sequence[Any]]:
        tensors = self if isinstance(self, (tuple, list)) else other
        check_lists(tensors, other)
        if is_tensor(other) and other.ndim:
            raise RuntimeError(
                f"scalar tensor expected to be 0 dim but it has {other.ndim} dimensions and "
                f"{other.numel()} elements."
            )
        return spread(self, len(tensors)), spread(other, len(tensors))

    def method(other: Any) -> str:
        return name if is_tensor(other) else WITH_NUMBER.get(name, name)

    def new(self: Any, other: Any, **options: Any) -> Any:
        tensors, others = rows(self, other)
        if not is_tensor(tensors[0]):  # a number to the powers in a list
            return tuple([y.__rpow__(x) for x, y in zip(tensors, others, strict=True)])
        call = getattr(engine.Tensor, method(others[0]))
        return tuple([call(x, y, **options) for x, y in zip(tensors, others, strict=True)])

    def in_place(self: Tensors, other: Any, **options: Any) -> Any:
        tensors, others = rows(self, other)
        found = method(others[0])
        if found in WITH_NUMBER:  # without an in-place form
            for x, y in zip(tensors, others, strict=True):
                x.copy_(getattr(x, found)(y))
            return self
        call = getattr(engine.Tensor, found + "_")
        for x, y in zip(tensors, others, strict=True):
            call(x, y, **options)
        return self

    yield named(new, name, f"`{name}` of each tensor with its other operand.")
    yield named(in_place, name + "_", f"`{name}` of each tensor with its other operand, in place.")


def ternary(name: str) -> Iterator[Callable[..., Any]]:
    """addcmul and addcdiv: two lists, and a factor for all or one for each."""

    def each(self: Tensors, first: Tensors, second: Tensors, factors: Any, suffix: str) -> Any:
        factors = factors.tolist() if is_tensor(factors) else factors
        check_lists(self, first, second, factors)
        rows = zip(self, first, second, spread(factors, len(self)), strict=True)
        return tuple([getattr(x, name + suffix)(a, b, value=value) for x, a, b, value in rows])

    def new(self: Tensors, tensor1: Tensors, tensor2: Tensors, value: Any = 1) -> Any:
        return each(self, tensor1, tensor2, value, "")

    def in_place(self: Tensors, tensor1: Tensors, tensor2: Tensors, value: Any = 1) -> Any:
        each(self, tensor1, tensor2, value, "_")
        return self

    yield named(new, name, f"`{name}` of each three tensors.")
    yield named(in_place, name + "_", f"`{name}` of each three tensors, in place.")


def named(function: Callable[..., Any], name: str, text: str) -> Callable[..., Any]:
    """The function under its public name."""
    function.__name__, function.__doc__ = f"_foreach_{name}", text
    return function


def _foreach_lerp(self: Tensors, tensors1: Tensors, weight: Any) -> Any:
    """`lerp` from each tensor to its other one."""
    check_lists(self, tensors1, weight)
    rows = zip(self, tensors1, spread(weight, len(self)), strict=True)
    return tuple([x.lerp(end, w) for x, end, w in rows])


def _foreach_lerp_(self: Tensors, tensors1: Tensors, weight: Any) -> Any:
    """`lerp` from each tensor to its other one, in place."""
    check_lists(self, tensors1, weight)
    for x, end, w in zip(self, tensors1, spread(weight, len(self)), strict=True):
        x.lerp_(end, w)
    return self


def _foreach_norm(self: Tensors, ord: Any = 2, dtype: Any = None) -> Any:
    """The norm of each tensor.

    >>> torch._foreach_norm([torch.tensor([3.0, 4.0]), torch.ones(4)])
    (tensor(5.), tensor(2.))
    """
    check_lists(self)
    return tuple([x.norm(ord, dtype=dtype) for x in self])


def _foreach_powsum(self: Tensors, ord: Any = 2, dtype: Any = None) -> Any:
    """The sum of the absolute values' powers of each tensor."""
    check_lists(self)
    return tuple([x.abs().pow(ord).sum(dtype=dtype) for x in self])


def _foreach_max(self: Tensors) -> Any:
    """The greatest element of each tensor."""
    check_lists(self)
    return tuple([x.max() for x in self])


def _foreach_mm(self: Tensors, other: Tensors) -> Any:
    """The product of each two matrices."""
    check_lists(self, other)
    return tuple([a.mm(b) for a, b in zip(self, other, strict=True)])


def _foreach_clone(self: Tensors) -> Any:
    """A copy of each tensor."""
    check_lists(self)
    return tuple([x.clone() for x in self])


def _foreach_copy_(self: Tensors, src: Tensors, non_blocking: bool = False) -> Any:
    """Writes the values of each other tensor into the first one."""
    check_lists(self, src)
    for x, value in zip(self, src, strict=True):
        x.copy_(value)
    return self


def _foreach_zero_(self: Tensors) -> Any:
    """Fills each tensor with zeros."""
    check_lists(self)
    for x in self:
        x.zero_()
    return self


_MADE = [
    *(f for name in UNARY for f in unary(name)),
    *(f for name in BINARY for f in binary(name)),
    *(f for name in ("addcmul", "addcdiv") for f in ternary(name)),
]
globals().update({f.__name__: f for f in _MADE})
__all__ = [
    *(f.__name__ for f in _MADE),
    "_foreach_clone", "_foreach_copy_", "_foreach_lerp", "_foreach_lerp_", "_foreach_max",
    "_foreach_mm", "_foreach_norm", "_foreach_powsum", "_foreach_zero_",
]  # fmt: skip

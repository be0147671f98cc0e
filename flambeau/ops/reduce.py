"""Reductions: a monoid over dimensions, and the rule that hands the gradient back to the elements.

`dim=None` (or empty) means all dimensions. See ops.kinds.Reduce for what is derived, codegen.monoids for the monoids.

    >>> torch.tensor([[1, 2], [3, 4]]).sum(0)
    tensor([4, 6])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen import monoids
from flambeau.core.promotion import Promotion
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.kinds import INT_TO_LONG, reduced_dims, reduction


def unreduce(value: Any, spec: Spec, dim: Any, keepdim: bool) -> Any:
    """A reduced tensor put back next to the input's elements: lost dimensions return with size 1, then it is expanded."""
    if dim is not None:
        value = restored(value, spec, dim, keepdim)
    return value.expand(spec.shape)


def restored(value: Any, spec: Spec, dim: Any, keepdim: bool) -> Any:
    """A reduced tensor with the lost dimensions back as size 1."""
    if keepdim or spec.ndim == 0:
        return value
    dims = reduced_dims(dim, spec.ndim)
    if len(dims) < spec.ndim:
        for d in dims:
            value = value.unsqueeze(d)
    return value


def whole_or_dims(base: str) -> Any:
    """torch numbers the node of a full reduction 0, that of one over dimensions 1."""
    return lambda dim=None, **rest: f"{base}{0 if dim is None else 1}"


@reduction(
    monoid=lambda element, out, **_: monoids.sum_of(element, out[0]), promote=INT_TO_LONG, node=whole_or_dims("SumBackward"),
    grad=lambda g, input_like, dim, keepdim: unreduce(g, input_like, dim, keepdim),
)  # fmt: skip
def sum(input, dim: Dims = None, keepdim=False, *, dtype=None):  # noqa: F821
    """Sum over `dim`.

    >>> torch.sum(torch.ones(2, 3), dim=1)
    tensor([3., 3.])
    """
    return input


def element_count(spec: Spec, dim: Any) -> int:
    """How many elements each result takes in."""
    count = 1
    for d in reduced_dims(dim, spec.ndim):
        count *= spec.shape[d]
    return count


def check_mean(input: Spec, dtype: Any = None, **rest: Any) -> None:
    """torch's error for means of integers."""
    kind = dtype or input.dtype
    if kind.category < 2:
        what = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {what} dtype must be either a floating point or complex dtype. Got: {kind.scalar_name}"
        )


@reduction(
    monoid=lambda element, out, **_: monoids.mean_of(element, out[0]), promote=Promotion.SAME, check=check_mean,
    node=whole_or_dims("MeanBackward"),
    grad=lambda g, input_like, dim, keepdim: unreduce(g, input_like, dim, keepdim) / element_count(input_like, dim),
)  # fmt: skip
def mean(input, dim: Dims = None, keepdim=False, *, dtype=None):  # noqa: F821
    """Mean over `dim`; the input must be floating or complex.

    >>> torch.mean(torch.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    return input


_ = wrap_dim

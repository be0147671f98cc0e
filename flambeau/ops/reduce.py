"""Reductions: a monoid over dimensions, and the rule that hands the gradient back to the elements.

`dim=None` (or empty) means all dimensions. See ops.kinds.Reduce for what is derived,
codegen.monoids for the monoids.

    >>> torch.tensor([[1, 2], [3, 4]]).sum(0)
    tensor([4, 6])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen import monoids
from flambeau.codegen.dtypes import KIND
from flambeau.codegen.expr import where
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.promotion import Promotion
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.kinds import INT_TO_LONG, Dims, composite, reduced_dims, reduction
from flambeau.ops.registry import OPS, is_tensor


def unreduce(value: Any, spec: Spec, dim: Any, keepdim: bool) -> Any:
    """A reduced tensor put back next to the input's elements: lost dimensions return with size 1,
    then it is expanded.
    """
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
    monoid=lambda element, out, **_: monoids.sum_of(element, out[0]),
    promote=INT_TO_LONG,
    node=whole_or_dims("SumBackward"),
    grad=lambda g, input_like, dim, keepdim: unreduce(g, input_like, dim, keepdim),
)
def sum(input, dim: Dims = None, keepdim=False, *, dtype=None):
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
            f"mean(): could not infer output dtype. {what} dtype must be either a floating point "
            f"or complex dtype. Got: {kind.scalar_name}"
        )


@reduction(
    monoid=lambda element, out, **_: monoids.mean_of(element, out[0]),
    promote=Promotion.SAME,
    check=check_mean,
    node=whole_or_dims("MeanBackward"),
    grad=lambda g, input_like, dim, keepdim: (
        unreduce(g, input_like, dim, keepdim) / element_count(input_like, dim)
    ),
)
def mean(input, dim: Dims = None, keepdim=False, *, dtype=None):
    """Mean over `dim`; the input must be floating or complex.

    >>> torch.mean(torch.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    return input


# ---- products ------------------------------------------------------------------------------------


def product_gradient(g: Any, y: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    """Each element's gradient is the product of all others: y / x, or where there are zeros the
    products before and after.
    """
    spec = input._spec
    if spec.ndim == 0:
        return g
    if dim is None:
        return product_gradient(g, y, input.reshape(-1), 0, False).reshape(tuple(spec.shape))
    g, y = restored(g, spec, dim, keepdim), restored(y, spec, dim, keepdim)
    if spec.device.type != "meta" and not (input == 0).any().item():
        return g * (y / input).conj()
    dim = wrap_dim(dim, spec.ndim)
    rest, one = max(0, spec.shape[dim] - 1), input.narrow(dim, 0, 1).detach()
    one = one.new_ones(tuple(one.shape))
    cat = OPS["cat"].call
    before = cat([one, input.narrow(dim, 0, rest)], dim).cumprod(dim)
    after = cat([one, input.narrow(dim, 1, rest).flip(dim)], dim).cumprod(dim).flip(dim)
    return g * (before * after).conj()


def check_single_dim(input: Spec, dim: Any, **rest: Any) -> None:
    """Ops that reduce all elements or one dimension."""
    if isinstance(dim, (tuple, list)):
        raise errors.argument_type_error("prod", "dim", 2, "int", dim)


@reduction(
    monoid=lambda element, out, **_: monoids.product_of(element, out[0]),
    promote=INT_TO_LONG,
    node=whole_or_dims("ProdBackward"),
    check=check_single_dim,
    grad=lambda g, y, input, dim, keepdim: product_gradient(g, y, input, dim, keepdim),
)
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """Product of all elements, or along a dimension.

    >>> torch.prod(torch.tensor([[1, 2], [3, 4]]), 1)
    tensor([ 2, 12])
    """
    return input


# ---- truth ---------------------------------------------------------------------------------------


def truth_dtype(dtype: Any, compute: Any, **rest: Any) -> Any:
    """any and all give bool, but uint8 for uint8."""
    return (dtype if dtype is dtypes.uint8 else dtypes.bool_,)


@reduction(
    monoid=lambda element, out, **_: monoids.any_of(out[0]), outputs=truth_dtype, empty_dim="none"
)
def any(input, dim: Dims = None, keepdim=False):
    """Whether some element is not zero.

    >>> torch.any(torch.tensor([[0, 1], [0, 0]]), 1)
    tensor([ True, False])
    """
    return input != 0


@reduction(
    monoid=lambda element, out, **_: monoids.all_of(out[0]), outputs=truth_dtype, empty_dim="none"
)
def all(input, dim: Dims = None, keepdim=False):
    """Whether every element is not zero.

    >>> torch.all(torch.tensor([[0, 1], [1, 1]]), 1)
    tensor([False,  True])
    """
    return input != 0


@reduction(
    monoid=lambda element, out, **_: monoids.sum_of(element, out[0]),
    outputs=lambda *_, **rest: (dtypes.int64,),
)
def count_nonzero(input, dim: Dims = None):
    """How many elements are not zero.

    >>> torch.count_nonzero(torch.tensor([[0, 1], [2, 3]]), dim=0)
    tensor([1, 2])
    """
    return (input != 0).to("int64")


@reduction(
    monoid=lambda element, out, **_: monoids.all_of(out[0]),
    outputs=lambda *_, **rest: (dtypes.bool_,),
    public=None,
    methods=(),
)
def _all_equal(input, other):
    """Whether two tensors of one shape have the same elements."""
    return input == other


@composite
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements, as a Python bool.

    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    for position, (name, value) in enumerate((("input", input), ("other", other))):
        if not is_tensor(value):
            raise errors.argument_type_error("equal", name, position + 1, "Tensor", value)
    if input.shape != other.shape:
        return False
    answer: bool = _all_equal.call(input, other).item()
    return answer


# ---- not a number --------------------------------------------------------------------------------


def check_nansum(input: Spec, **rest: Any) -> None:
    """torch's error for complex numbers."""
    if input.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")


@reduction(
    monoid=lambda element, out, **_: monoids.sum_of(element, out[0]),
    promote=INT_TO_LONG,
    check=check_nansum,
    grad=lambda g, input, dim, keepdim: (
        unreduce(g, input._spec, dim, keepdim) * input.isnan().logical_not()
    ),
)
def nansum(input, dim: Dims = None, keepdim=False, *, dtype=None):
    """Sum over `dim`, NaN counting as zero.

    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    return where(input.isnan(), 0, input) if KIND[input.dtype] == "f" else input


@composite(fused=True)
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over `dim` of the elements that are not NaN.

    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    kind = input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{kind.scalar_name}"
        )
    total = nansum.call(input, dim, keepdim, dtype=dtype)
    return total / input.detach().isnan().logical_not().sum(dim, keepdim)

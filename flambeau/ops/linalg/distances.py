"""Distances between all pairs of rows: cdist and pdist.

The differences of the rows are never stored: a reduction runs over them, and so does its gradient.
Many rows and p = 2 go by |x|^2 + |y|^2 - 2 x y, one matrix product.

    >>> torch.cdist(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.zeros(1, 2))
    tensor([[0.],
            [5.]])
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.autograd.recording import record
from flambeau.codegen.expr import where as choose
from flambeau.codegen.monoids import sum_of
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, reduction, structured
from flambeau.ops.norms import norm_monoid, norm_parameters
from flambeau.ops.registry import OPS
from flambeau.ops.triangle import triu_indices

MODES = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}
MANY = 25  # rows from which the matrix product is the better way, as in torch


# ---- any p -----------------------------------------------------------------------------------


def slope(difference: Any, y: Any, p: float) -> Any:
    """How a difference's share in the p-norm `y` grows with it, but for the factor in `weights`."""
    if p == 2:
        return difference
    if p == 1:
        return difference.sgn()
    if math.isinf(p):
        return difference.sgn() * (difference.abs() == y)
    if p < 1:
        return difference.sgn() * difference.abs().pow(p - 1).where(difference != 0, 0)
    if p < 2:
        return difference.sgn() * difference.abs().pow(p - 1)
    return difference * difference.abs().pow(p - 2)


def weights(g: Any, y: Any, p: float) -> Any:
    """The factor of `slope` that all elements of a pair share."""
    if p == 1 or math.isinf(p):
        return g
    return (g / (y if p == 2 else y.pow(p - 1))).masked_fill(y == 0, 0)


@reduction(
    public=None,
    methods=(),
    monoid=lambda element, out, **_: sum_of(element, out[0]),
)
def _pair_slopes(w, y, input, other, p, dim):
    """The sum over the other side's rows of w * slope(input - other)."""
    difference = input - other
    if math.isinf(p):
        return w * difference.sgn() * (difference.abs() == y).to(w.dtype)
    if p < 1:
        power = choose(difference == 0, 0.0, difference.abs().pow(p - 1))
        return w * difference.sgn() * power
    return w * slope(difference, y, p)


def pair_gradient(sign: int, over: int) -> Any:
    """The rule of `_cdist` by one side: the other side's rows are the dimension `over`."""

    def rule(g: Any, y: Any, input: Any, other: Any, p: float) -> Any:
        if p == 0:
            return (input if sign > 0 else other) * 0
        g, y = g.unsqueeze(-1), y.unsqueeze(-1)
        w = weights(g, y, p)
        if is_grad_enabled():
            return (w * slope(input - other, y, p)).sum(over, True) * sign
        return _pair_slopes.call(w, y, input, other, p, (over,)).unsqueeze(over) * sign

    return rule


@reduction(
    public=None,
    methods=(),
    node="CdistBackward",
    monoid=lambda element, out, p, **_: norm_monoid(element, out, p),
    parameters=lambda p, **_: norm_parameters(p),
    grad={"input": pair_gradient(1, -2), "other": pair_gradient(-1, -3)},
)
def _cdist(input, other, p, dim):
    """The p-norm over `dim` of input - other."""
    return input - other


# ---- p = 2 by a matrix product ---------------------------------------------------------------


def euclidean_gradient(first: bool) -> Any:
    """The rule by one side: with r = g / y, the sum of r (x - y) over the pairs."""

    def rule(g: Any, y: Any, x1: Any, x2: Any) -> Any:
        ratio = (g / y).masked_fill(y == 0, 0)
        if first:
            return x1 * ratio.sum(-1, True) - ratio @ x2
        return x2 * ratio.sum(-2, False).unsqueeze(-1) - ratio.mT @ x1

    return rule


@structured(
    public=None, methods=(), grad={"x1": euclidean_gradient(True), "x2": euclidean_gradient(False)}
)
def _euclidean_dist(call, x1, x2):
    """Euclidean distances from one product of matrices."""
    a, b = x1._spec, x2._spec
    batch = tuple(broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    output = Spec.of((*batch, a.shape[-2], b.shape[-2]), None, a.dtype, a.device)
    plan = call.plan(["x1", "x2"], [output])

    def run(x1: Any, x2: Any) -> Any:
        x, y = x1.detach(), x2.detach()
        x_square, y_square = (t.pow(2).sum(-1, True) for t in (x, y))
        left = cat.call([x * -2, x_square, x_square.new_ones(tuple(x_square.shape))], -1)
        right = cat.call([y, y_square.new_ones(tuple(y_square.shape)), y_square], -1)
        result = (left @ right.mT).clamp(min=0).sqrt()
        record(plan, (x1, x2), (result,))
        return result

    return plan.use_python(run)


# ---- cdist and pdist -------------------------------------------------------------------------


def check_cdist(a: Spec, b: Spec, p: float) -> None:
    """torch's checks of cdist."""
    for spec, name in ((a, "X1"), (b, "X2")):
        if spec.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {spec.ndim}D")
    for spec, name in ((a, "X1"), (b, "X2")):
        if not spec.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {spec.dtype.scalar_name}"
            )
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected scalar type {a.dtype.scalar_name} but found {b.dtype.scalar_name}"
        )
    if a.dtype.itemsize < 4:
        raise errors.not_implemented_for("cdist", a.dtype.scalar_name)


@composite(methods=())
def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Any:
    """The p-norm distance of every row of x1 to every row of x2, for batches of them.

    >>> torch.cdist(torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0]]), p=1)
    tensor([[3.],
            [2.]])
    """
    if compute_mode not in MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    a, b = OPS["cdist"].check_tensor(x1, "x1")._spec, OPS["cdist"].check_tensor(x2, "x2")._spec
    check_cdist(a, b, p)
    by_product = MODES[compute_mode]
    if by_product is None:
        by_product = max(a.shape[-2], b.shape[-2]) > MANY
    if p == 2 and by_product and a.shape[-1]:
        return _euclidean_dist.call(x1, x2)
    missing = a.ndim - b.ndim
    if missing:
        short, other = (x2, x1) if missing > 0 else (x1, x2)
        short = short.reshape((1,) * (other.ndim - short.ndim) + tuple(short.shape))
        x1, x2 = (x1, short) if missing > 0 else (short, x2)
    return _cdist.call(x1.unsqueeze(-2), x2.unsqueeze(-3), float(p), (-1,))


@composite(methods=())
def pdist(input: Any, p: float = 2) -> Any:
    """The distances between all pairs of rows of one matrix, in the order (0, 1), (0, 2), ...

    >>> torch.pdist(torch.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    spec = OPS["pdist"].check_tensor(input, "input")._spec
    if spec.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {spec.ndim}D")
    if not spec.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = triu_indices(spec.shape[0], spec.shape[0], 1).unbind(0)
    whole = _cdist.call(input.unsqueeze(1), input.unsqueeze(0), float(p), (-1,))
    return whole[first, second]

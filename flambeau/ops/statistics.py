"""Spread and norms: std, var, std_mean, var_mean, logsumexp, vector norms, closeness.

`std(input, unbiased)`, `std(input, dim, unbiased, keepdim)` and `std(input, dim, *, correction,
keepdim)` are one function; the sum of squared deviations is divided by the number of elements less
the correction (1 when nothing is said).

    >>> torch.tensor([1.0, 2.0, 3.0]).std(correction=0)
    tensor(0.8165)
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from flambeau.codegen import monoids
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.kinds import reduced_dims, reduction, structured
from flambeau.ops.reduce import element_count, restored, unreduce
from flambeau.ops.registry import OPS


class Unset:
    """Stands for an argument that was not given, where None means something else."""


# ---- variance ------------------------------------------------------------------------------------


def check_spread(name: str) -> Any:
    """The check of std and var, which also warns where too few elements are left."""

    def check(input: Spec, dim: Any, correction: float, **rest: Any) -> None:
        if element_count(input, dim) - correction <= 0:
            warnings.warn(
                f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than "
                "the reduction factor (input numel "
                "divided by output numel).",
                UserWarning,
                stacklevel=7,
            )

    return check


def deviations(input: Any, dim: Any, correction: float) -> Any:
    """The gradient of the variance: 2 / (n - correction) * (x - mean)."""
    freedom = max(0.0, element_count(input._spec, dim) - correction)
    scale = 2.0 / freedom if freedom else math.inf
    mean = input.mean() if dim is None else input.mean(dim, True)
    return (input - mean) * scale


def variance_gradient(g: Any, input: Any, dim: Any, keepdim: bool, correction: float) -> Any:
    """By the input, from the gradient of the variance."""
    return restored(g, input._spec, dim, keepdim) * deviations(input, dim, correction)


def deviation_gradient(
    g: Any, y: Any, input: Any, dim: Any, keepdim: bool, correction: float
) -> Any:
    """By the input, from the gradient of the standard deviation; zero where that is zero."""
    variance = g.where(y != 0, 0) / (y * 2).where(y != 0, 1)
    return variance_gradient(variance, input, dim, keepdim, correction)


def pair_gradient(root: bool) -> Any:
    """The rule of std_mean and var_mean; either gradient may be missing."""

    def rule(
        g0: Any, g1: Any, y0: Any, input: Any, dim: Any, keepdim: bool, correction: float
    ) -> Any:
        total = None
        if g0 is not None and root:
            total = deviation_gradient(g0, y0, input, dim, keepdim, correction)
        elif g0 is not None:
            total = variance_gradient(g0, input, dim, keepdim, correction)
        if g1 is not None:
            mean = unreduce(g1, input._spec, dim, keepdim) / element_count(input._spec, dim)
            total = mean if total is None else total + mean
        return total

    return rule


def _spread(name: str, root: bool) -> None:
    """Registers the reductions behind `name` and `name`_mean."""
    common: dict[str, Any] = {
        "public": None,
        "methods": (),
        "parameters": lambda correction, **_: (float(correction),),
        "monoid": lambda element, out, **_: monoids.variance_of(element, out, root),
    }
    reduction(
        name=f"_{name}",
        node=lambda **_: f"{name.capitalize()}Backward0",
        check=check_spread(name),
        grad=deviation_gradient if root else variance_gradient,
        **common,
    )(_elements)
    reduction(
        name=f"_{name}_mean",
        node=lambda **_: f"{name.capitalize()}MeanBackward0",
        check=check_spread(f"{name}_mean"),
        outputs=lambda dtype, compute, **_: (dtype, dtype),
        grad=pair_gradient(root),
        **common,
    )(_elements)


def _elements(input: Any, dim: Any, keepdim: bool, correction: float) -> Any:
    return input


_spread("std", True)
_spread("var", False)


def _plan_spread(
    call: Any, name: str, input: Any, dim: Any, unbiased: Any, keepdim: Any, correction: Any
) -> Any:
    """The plan for any of the signatures."""
    spec = call.op.check_tensor(input, "input")._spec
    given = {"dim": dim, "unbiased": unbiased, "correction": correction}
    if isinstance(dim, bool) and unbiased is None:
        dim, unbiased = None, dim
    wrong = (
        dim is not None
        and not isinstance(dim, (int, tuple, list))
        or unbiased is not None
        and (not isinstance(unbiased, bool) or correction is not Unset)
    )
    if wrong:
        extra = {k: v for k, v in given.items() if v is not None and v is not Unset}
        raise errors.invalid_combination(name, [input], extra, SPREADS)
    amount = 1 if correction is Unset or correction is None else correction
    if unbiased is not None:
        amount = int(unbiased)
    dim = tuple(dim) or None if isinstance(dim, (tuple, list)) else dim
    reduced_dims(dim, spec.ndim)
    if not (spec.dtype.is_floating_point or spec.dtype.is_complex):
        subject = name if "_" in name else "std and var"
        raise RuntimeError(f"{subject} only support floating point and complex dtypes")
    if spec.dtype.is_complex:
        return complex_spread(name, input, dim, keepdim, amount)
    arguments = {"input": input, "dim": dim, "keepdim": bool(keepdim), "correction": amount}
    return OPS[f"_{name}"].make(arguments, call.places)


SPREADS = (
    "(Tensor input, tuple of ints dim, bool unbiased = True, bool keepdim = False, *, Tensor out "
    "= None)",
    "(Tensor input, tuple of ints dim = None, *, Number correction = None, bool keepdim = False, "
    "Tensor out = None)",
    "(Tensor input, bool unbiased = True)",
    "(Tensor input, tuple of names dim, bool unbiased = True, bool keepdim = False, *, Tensor out "
    "= None)",
    "(Tensor input, tuple of names dim, *, Number correction = None, bool keepdim = False, Tensor "
    "out = None)",
)


def complex_spread(name: str, input: Any, dim: Any, keepdim: bool, correction: float) -> Any:
    """The variance of complex numbers: that of the real parts and that of the imaginary parts
    together.
    """
    options = {"keepdim": keepdim, "correction": correction}
    total = var.call(input.real, dim, **options) + var.call(input.imag, dim, **options)
    if name.startswith("std"):
        total = total.sqrt()
    if name.endswith("_mean"):
        return total, input.mean(dim, keepdim)
    return total


@structured()
def std(call, input, dim=None, unbiased=None, keepdim=False, *, correction=Unset):
    """Standard deviation over `dim`.

    >>> torch.std(torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    return _plan_spread(call, "std", input, dim, unbiased, keepdim, correction)


@structured()
def var(call, input, dim=None, unbiased=None, keepdim=False, *, correction=Unset):
    """Variance over `dim`.

    >>> torch.var(torch.tensor([[1.0, 3.0], [2.0, 2.0]]), 1)
    tensor([2., 0.])
    """
    return _plan_spread(call, "var", input, dim, unbiased, keepdim, correction)


@structured(methods=())
def std_mean(call, input, dim=None, unbiased=None, keepdim=False, *, correction=Unset):
    """Standard deviation and mean, in one pass.

    >>> torch.std_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return _plan_spread(call, "std_mean", input, dim, unbiased, keepdim, correction)


@structured(methods=())
def var_mean(call, input, dim=None, unbiased=None, keepdim=False, *, correction=Unset):
    """Variance and mean, in one pass.

    >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]), correction=0)
    (tensor(0.6667), tensor(2.))
    """
    return _plan_spread(call, "var_mean", input, dim, unbiased, keepdim, correction)

"""Pointwise ops, part seven: error, gamma and zeta functions, and functions of probabilities.

>>> torch.lgamma(torch.tensor([4.0]))
tensor([1.7918])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.codegen import bessel, special_loops
from flambeau.codegen.expr import Expr
from flambeau.codegen.expr import where as choose
from flambeau.codegen.special import trigamma
from flambeau.core import errors
from flambeau.ops.arithmetic import rounded_as
from flambeau.ops.elementary import function
from flambeau.ops.kinds import FLOAT, composite, pointwise
from flambeau.ops.registry import OPS
from flambeau.ops.rules import no_derivative

TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
ROOT_TWO, ROOT_TWO_PI = math.sqrt(2), math.sqrt(2 * math.pi)


def either(compute: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function for gradient rules: of expressions by its formula, of Tensors by the op `name`."""

    def apply(*args: Any) -> Any:
        if any(isinstance(arg, Expr) for arg in args):
            like = next(arg for arg in args if isinstance(arg, Expr))
            return compute(
                *[a if isinstance(a, Expr) else Expr.constant(a, like.dtype) for a in args]
            )
        return OPS[name].call(*args)

    return apply


def special(name: str, compute: Any, grad: Any, text: str, kernel: str = "", **options: Any) -> Any:
    """A function of one argument that only torch.special names."""
    return function(
        f"special_{name}", grad, text, compute, kernel=kernel or f"{name}_vml_cpu", takes="f",
        public=f"_special_{name}", methods=(), inplace=False, **options,
    )  # fmt: skip


# ---- error functions -----------------------------------------------------------------------------

erf = function(
    "erf",
    lambda g, input: g * TWO_OVER_ROOT_PI * (-(input * input)).exp(),
    "Error function.",
    kernel="erf_vml_cpu",
    takes="f",
)
erfc = function(
    "erfc",
    lambda g, input: -g * TWO_OVER_ROOT_PI * (-(input * input)).exp(),
    "1 - erf(x).",
    kernel="erfc_vml_cpu",
    takes="f",
)
erfinv = function(
    "erfinv",
    lambda g, y: g / TWO_OVER_ROOT_PI * (y * y).exp(),
    "Inverse of the error function.",
    kernel="erfinv_vml_cpu",
    takes="f",
)
scaled_erfc = either(bessel.erfcx, "special_erfcx")
erfcx = special(
    "erfcx",
    bessel.erfcx,
    lambda g, input, y: g * (2 * input * y - TWO_OVER_ROOT_PI),
    "exp(x**2) erfc(x), which does not vanish for large x.",
    kernel="erfcx",
)


@pointwise(
    promote=FLOAT, numbers="static", kernel="logit_cpu", takes="f",
    grad=lambda g, input, eps: choose(
        outside(input, eps), edge_gradient(eps), g / (input * (1 - input))
    ),
)  # fmt: skip
def logit(input, eps=None):
    """log(x / (1 - x)), with x kept in [eps, 1 - eps].

    >>> torch.logit(torch.tensor([0.5, 0.75]))
    tensor([0.0000, 1.0986])
    """
    stored = input
    if eps is not None:
        input = choose(input < eps, eps, choose(input > 1 - eps, 1 - eps, input))
    odds = input / rounded_as(stored, 1 - input)
    return rounded_as(stored, odds).log()


def outside(input: Any, eps: Any) -> Any:
    """Where logit has no slope."""
    bound = 0.0 if eps is None else eps
    return (input < bound) | (input > 1 - bound)


def edge_gradient(eps: Any) -> float:
    """NaN outside [0, 1] without eps, zero with it."""
    return math.nan if eps is None else 0.0


# ---- the normal distribution ---------------------------------------------------------------------


def log_normal(x: Expr) -> Expr:
    """The logarithm of the normal distribution function, of small values without underflow."""
    scaled = x / ROOT_TWO
    low = (bessel.erfcx(-scaled) / 2).log() - scaled * scaled
    return choose(x < -1, low, (-scaled.erfc() / 2).log1p())


ndtr = special(
    "ndtr",
    lambda x: (x / -ROOT_TWO).erfc() / 2,
    lambda g, input: g * (-0.5 * input * input).exp() / ROOT_TWO_PI,
    "Distribution function of the standard normal distribution.",
)
log_ndtr = special(
    "log_ndtr",
    log_normal,
    lambda g, input: g / scaled_erfc(input / -ROOT_TWO) * (ROOT_TWO / math.sqrt(math.pi)),
    "Logarithm of ndtr.",
    kernel="log_ndtr_cpu",
)
ndtri = special(
    "ndtri",
    bessel.ndtri,
    lambda g, y: g * ROOT_TWO_PI * (0.5 * y * y).exp(),
    "Inverse of ndtr.",
    kernel="ndtri_cpu",
)
entr = special(
    "entr",
    lambda x: choose(x.isnan() | (x > 0), -x * x.log(), choose(x == 0, 0.0, -math.inf)),
    lambda g, input: -g * (1 + input.log()),
    "-x log(x): the entropy that an outcome of probability x contributes.",
    kernel="entr",
)

# ---- gamma functions -----------------------------------------------------------------------------

lgamma = function(
    "lgamma",
    lambda g, input: g * input.digamma(),
    "Logarithm of the absolute gamma function.",
    kernel="lgamma_vml_cpu",
    takes="f",
)
digamma = function(
    "digamma",
    lambda g, input: g * derivative_of_digamma(1, input),
    "Derivative of lgamma.",
    kernel="digamma",
    takes="f",
)


def check_order(input: Any, n: int) -> None:
    """Derivatives are counted from 0."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")


def derivative_of_digamma(n: int, x: Any) -> Any:
    """The n-th derivative of digamma: n! zeta(n + 1, x), with alternating signs."""
    if not isinstance(x, Expr):
        return x.polygamma(n)
    if n == 0:
        return x.digamma()
    if n == 1:
        return trigamma(x)
    sign = 1.0 if n % 2 else -1.0
    return sign * math.factorial(n) * special_loops.zeta(Expr.constant(n + 1, x.dtype), x)


@pointwise(
    promote=FLOAT,
    numbers="static",
    public=None,
    methods=("polygamma",),
    name="_polygamma",
    promotes=("input",),
    node="PolygammaBackward",
    check=check_order,
    kernel="polygamma",
    takes="f",
    grad=lambda g, input, n: g * derivative_of_digamma(n + 1, input),
)
def _polygamma(input, n):
    """The n-th derivative of digamma."""
    return derivative_of_digamma(n, input)


@composite(methods=())
def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of the digamma function.

    >>> torch.polygamma(1, torch.tensor([1.0]))
    tensor([1.6449])
    """
    if not hasattr(input, "polygamma"):
        raise errors.argument_type_error("polygamma", "input", 2, "Tensor", input)
    return input.polygamma(n)


def check_dimension(input: Any, p: int) -> None:
    """The multivariate gamma function has at least one dimension."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")


@pointwise(
    promote=FLOAT,
    numbers="static",
    promotes=("input",),
    check=check_dimension,
    kernel="lgamma_vml_cpu",
    takes="f",
    grad=lambda g, input, p: g * sum((input - i / 2).digamma() for i in range(p)),
)
def mvlgamma(input, p):
    """Logarithm of the multivariate gamma function of dimension `p`.

    >>> torch.mvlgamma(torch.tensor([2.0]), 1)
    tensor([0.])
    """
    total = sum(((input - i / 2).lgamma() for i in range(1, p)), input.lgamma())
    return total + p * (p - 1) / 4 * math.log(math.pi)


BY_ORDER = no_derivative("the derivative for 'igamma: input' is not implemented.")


def density(g: Any, input: Any, other: Any) -> Any:
    """Derivative of the lower incomplete gamma function by its bound."""
    return g * ((input - 1) * other.log() - other - input.lgamma()).exp()


@pointwise(
    kernel="igamma_cpu", takes="f", plain_numbers="none",
    grad={"input": BY_ORDER, "other": lambda g, input, other: density(g, input, other)},
)  # fmt: skip
def igamma(input, other):
    """The regularised lower incomplete gamma function.

    >>> torch.igamma(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([0.8647])
    """
    return special_loops.call("lower_gamma", input, other)


@pointwise(
    kernel="igammac_cpu", takes="f", plain_numbers="none",
    grad={"input": BY_ORDER, "other": lambda g, input, other: -density(g, input, other)},
)  # fmt: skip
def igammac(input, other):
    """The regularised upper incomplete gamma function.

    >>> torch.igammac(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([0.1353])
    """
    return special_loops.call("upper_gamma", input, other)


hurwitz_zeta = either(special_loops.zeta, "special_zeta")


@pointwise(
    name="special_zeta",
    public="_special_zeta",
    methods=(),
    inplace=False,
    promote=FLOAT,
    kernel="zeta",
    takes="f",
    plain_numbers="any",
    grad={
        "input": no_derivative("the derivative for 'zeta' is not implemented."),
        "other": lambda g, input, other: -g * input * hurwitz_zeta(input + 1, other),
    },
)
def special_zeta(input, other):
    """The Hurwitz zeta function."""
    return special_loops.zeta(input, other)

"""Pointwise ops, part two: powers, exponentials, logarithms, circular and hyperbolic functions,
error and gamma functions.

    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.ops.arithmetic import conjugate, is_complex
from flambeau.ops.kinds import COMPLEX_TO_FLOAT, FLOAT, pointwise

TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def function(name: str, grad: Any, text: str, compute: Any = None, **options: Any) -> Any:
    """A function of one floating argument that is a row of the scalar table (or `compute`
    of it).
    """

    def body(input):
        return getattr(input, name)() if compute is None else compute(input)

    body.__name__, body.__doc__ = name, text
    return pointwise(promote=FLOAT, grad=grad, **options)(body)


# ---- exponentials and logarithms -----------------------------------------------------------------

exp = function("exp", lambda g, y: g * conjugate(y), "e to the power of the element.")
exp2 = function(
    "exp2", lambda g, y: g * conjugate(y * math.log(2)), "2 to the power of the element."
)
expm1 = function("expm1", lambda g, y: g * conjugate(y + 1), "exp(x) - 1, exact near zero.")
log = function("log", lambda g, input: g / conjugate(input), "Natural logarithm.")
log2 = function("log2", lambda g, input: g / conjugate(input * math.log(2)), "Logarithm to base 2.")
log10 = function(
    "log10", lambda g, input: g / conjugate(input * math.log(10)), "Logarithm to base 10."
)
log1p = function("log1p", lambda g, input: g / conjugate(input + 1), "log(1 + x), exact near zero.")
sqrt = function("sqrt", lambda g, y: g / conjugate(2 * y), "Square root.")
rsqrt = function("rsqrt", lambda g, y: -0.5 * g * conjugate(y * y * y), "1 / sqrt(x).")
sigmoid = function(
    "sigmoid", lambda g, y: g * conjugate((1 - y) * y), "1 / (1 + exp(-x)).", aliases=()
)

# ---- circular and hyperbolic functions -----------------------------------------------------------


def inverse(name: str, grad: Any, text: str) -> Any:
    """An inverse function with its `arc` alias."""
    alias = "arc" + name[1:]
    return function(name, grad, text, methods=(name, alias), aliases=(alias,))


sin = function("sin", lambda g, input: g * conjugate(input.cos()), "Sine.")
cos = function("cos", lambda g, input: -g * conjugate(input.sin()), "Cosine.")
tan = function("tan", lambda g, y: g * conjugate(1 + y * y), "Tangent.")
asin = inverse("asin", lambda g, input: g * conjugate((1 - input * input).rsqrt()), "Inverse sine.")
acos = inverse(
    "acos", lambda g, input: -g * conjugate((1 - input * input).rsqrt()), "Inverse cosine."
)
atan = inverse("atan", lambda g, input: g / conjugate(input * input + 1), "Inverse tangent.")
sinh = function("sinh", lambda g, input: g * conjugate(input.cosh()), "Hyperbolic sine.")
cosh = function("cosh", lambda g, input: g * conjugate(input.sinh()), "Hyperbolic cosine.")
tanh = function("tanh", lambda g, y: g * conjugate(1 - y * y), "Hyperbolic tangent.")
asinh = inverse(
    "asinh", lambda g, input: g * conjugate((input * input + 1).rsqrt()), "Inverse hyperbolic sine."
)
acosh = inverse(
    "acosh",
    lambda g, input: g * conjugate(((input - 1).rsqrt() * (input + 1).rsqrt())),
    "Inverse hyperbolic cosine.",
)
atanh = inverse(
    "atanh", lambda g, input: g / conjugate(1 - input * input), "Inverse hyperbolic tangent."
)


@pointwise(
    promote=FLOAT,
    aliases=("arctan2",),
    methods=("atan2", "arctan2"),
    kernel="atan2_cpu",
    takes="f",
    plain_numbers="none",
    grad={
        "input": lambda g, input, other: g * other / (input * input + other * other),
        "other": lambda g, input, other: -g * input / (input * input + other * other),
    },
)
def atan2(input, other):
    """Angle of the point (`other`, `input`).

    >>> torch.atan2(torch.tensor(1.0), torch.tensor(1.0))
    tensor(0.7854)
    """
    return input.atan2(other)


@pointwise(
    kernel="hypot_cpu",
    takes="f",
    plain_numbers="none",
    grad={
        "input": lambda g, input, y: g * (input / y),
        "other": lambda g, other, y: g * (other / y),
    },
)
def hypot(input, other):
    """Length of the hypotenuse, without overflow.

    >>> torch.hypot(torch.tensor(3.0), torch.tensor(4.0))
    tensor(5.)
    """
    return input.hypot(other)


@pointwise(
    promote=FLOAT,
    grad=lambda g, input: g * choose(input == 0, -math.pi * math.pi * input / 3, sinc_slope(input)),
)
def sinc(input):
    """sin(pi x) / (pi x), 1 at zero.

    >>> torch.sinc(torch.tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """
    scaled = input * math.pi
    safe = choose(scaled == 0, scaled * 0 + 1, scaled)
    return choose(input == 0, input * 0 + 1, safe.sin() / safe)


def sinc_slope(x: Any) -> Any:
    """Derivative of sinc away from zero."""
    t = x * math.pi
    return (t * t.cos() - t.sin()) / (t * x)


# ---- powers --------------------------------------------------------------------------------------


def check_power(input: Any, exponent: Any) -> None:
    """torch refuses negative integer powers of integers, and powers of booleans."""
    kind = getattr(input, "dtype", None)
    if (
        isinstance(exponent, int)
        and not isinstance(exponent, bool)
        and exponent < 0
        and kind is not None
        and kind.category < 2
    ):
        raise RuntimeError("Integers to negative integer powers are not allowed.")


def power_node(input: Any, exponent: Any) -> str:
    """torch's name: 0 for a number as exponent, 2 for a number as base, 1 for two tensors."""
    if not hasattr(exponent, "dtype"):
        return "PowBackward0"
    return "PowBackward1" if hasattr(input, "dtype") else "PowBackward2"


def power_gradient(g: Any, input: Any, exponent: Any) -> Any:
    """exponent * input ** (exponent - 1), zero where the exponent is."""
    if isinstance(exponent, (int, float, complex)):
        if exponent == 0:
            return g * 0
        if exponent == 1:
            return g
        return g * conjugate(exponent * (input if exponent == 2 else input ** (exponent - 1)))
    return choose(exponent == 0, g * 0, g * conjugate(exponent * input ** (exponent - 1)))


def exponent_gradient(g: Any, input: Any, exponent: Any, y: Any) -> Any:
    """y * log(input); zero where the base is zero and the exponent is not negative."""
    if isinstance(input, (int, float, complex)):
        if input == 0:
            return choose(exponent >= 0, g * 0, g * conjugate(y * float("-inf")))
        return g * conjugate(y * log_of_number(input))
    positive = exponent.real >= 0 if complex_valued(exponent) else exponent >= 0
    return choose((input == 0) & positive, g * 0, g * conjugate(y * input.log()))


def log_of_number(value: Any) -> Any:
    """Logarithm of a Python number, complex or NaN where torch's is."""
    if isinstance(value, complex):
        return cmath.log(value)
    return math.log(value) if value > 0 else math.nan


def complex_valued(value: Any) -> bool:
    """Whether an expression or a tensor is complex."""
    return "complex" in str(getattr(value, "dtype", ""))


@pointwise(
    numbers="static",
    methods=("pow", "__pow__"),
    node=power_node,
    check=check_power,
    promotes=("input", "exponent"),
    grad={"input": power_gradient, "exponent": exponent_gradient},
)
def pow(input, exponent):
    """`input` to the power of `exponent`; either may be a number.

    >>> torch.pow(torch.tensor([1.0, 3.0]), 2)
    tensor([1., 9.])
    """
    return power(input, exponent)


def power(input: Any, exponent: Any) -> Any:
    """The expression of a power; small constant exponents are products."""
    value = exponent.value if getattr(exponent, "op", "") == "constant" else exponent
    if not isinstance(value, (int, float)):
        return input.pow(exponent)
    if value == 2:
        return input * input
    if value == 3:
        return input * input * input
    if value == 1:
        return input
    if not str(input.dtype).startswith(("int", "uint", "bool")):
        if value == 0.5:
            return input.sqrt()
        if value == -0.5:
            return input.rsqrt()
        if value == -1:
            return 1 / input
        if value == -2:
            return 1 / (input * input)
    return input.pow(exponent)


@pointwise(
    numbers="static",
    methods=("__rpow__",),
    inplace=False,
    public=None,
    reflected=True,
    node=power_node,
    promotes=("input", "exponent"),
    grad={"input": power_gradient, "exponent": exponent_gradient},
)
def _reflected_pow(input, exponent):
    """`other ** input`."""
    return power(input, exponent)


@pointwise(
    numbers="static",
    check=check_power,
    promotes=("input", "exponent"),
    promote=FLOAT,
    node="PowBackward",
    result=lambda compute, **rest: dtypes.float64 if not compute.is_complex else dtypes.complex128,
    grad={"input": power_gradient, "exponent": exponent_gradient},
)
def float_power(input, exponent):
    """`pow` in double precision.

    >>> torch.float_power(torch.tensor([2]), 3)
    tensor([8.], dtype=torch.float64)
    """
    wide = "complex128" if input.dtype.startswith("complex") else "float64"
    return input.to(wide).pow(exponent.to(wide) if hasattr(exponent, "to") else exponent)


@pointwise(
    promote=FLOAT,
    plain_numbers="none",
    grad={
        "input": lambda g, other: g * (other * math.log(2)).exp(),
        "other": lambda g, y: g * y * math.log(2),
    },
)
def ldexp(input, other):
    """`input * 2**other`.

    >>> torch.ldexp(torch.tensor([1.0]), torch.tensor([3]))
    tensor([8.])
    """
    return input * other.exp2()


@pointwise(
    inplace=False, kernel="logaddexp_cpu", takes="f", plain_numbers="none",
    grad={
        "input": lambda g, input, other: g / (1 + (other - input).exp()),
        "other": lambda g, input, other: g / (1 + (input - other).exp()),
    },
)  # fmt: skip
def logaddexp(input, other):
    """log(exp(a) + exp(b)) without overflow.

    >>> torch.logaddexp(torch.tensor(0.0), torch.tensor(0.0))
    tensor(0.6931)
    """
    top, gap = input.maximum(other), -(input - other).abs()
    return choose(input.isinf() & (input == other), input, top + gap.exp().log1p())


@pointwise(
    inplace=False, kernel="logaddexp2_cpu", takes="f", plain_numbers="none",
    grad={
        "input": lambda g, input, other: g / (1 + (other - input).exp2()),
        "other": lambda g, input, other: g / (1 + (input - other).exp2()),
    },
)  # fmt: skip
def logaddexp2(input, other):
    """log2(2**a + 2**b) without overflow.

    >>> torch.logaddexp2(torch.tensor(0.0), torch.tensor(0.0))
    tensor(1.)
    """
    top, gap = input.maximum(other), -(input - other).abs()
    return choose(input.isinf() & (input == other), input, top + gap.exp2().log1p() / math.log(2))


def xlog(name: str, log_of: Any, slope: Any, text: str) -> Any:
    """xlogy and xlog1py: zero where `input` is, NaN where `other` is."""

    def body(input, other):
        return choose(other.isnan(), other, choose(input == 0, input * 0, input * log_of(other)))

    body.__name__, body.__doc__ = name, text
    return pointwise(
        promote=FLOAT,
        kernel=f"{name}_cpu",
        takes="f",
        plain_numbers="any",
        inplace=name == "xlogy",
        public=name if name == "xlogy" else "_special_xlog1py",
        methods=None if name == "xlogy" else (),
        grad={
            "input": lambda g, input, other: (
                g
                * choose((input == 0) & (other <= (0 if name == "xlogy" else -1)), 0, log_of(other))
            ),
            "other": lambda g, input, other: g * slope(input, other),
        },
    )(body)


def as_tensor_like(value: Any, log: Any) -> Any:
    """log of an operand that may be a Python number."""
    return log_of_number(value) if isinstance(value, (int, float)) else log(value)


xlogy = xlog(
    "xlogy",
    lambda v: as_tensor_like(v, lambda t: t.log()),
    lambda x, y: x / y,
    "x * log(y), zero where x is.",
)
xlog1py = xlog(
    "xlog1py",
    lambda v: as_tensor_like(v, lambda t: t.log1p()),
    lambda x, y: x / (y + 1),
    "x * log1p(y), zero where x is.",
)

# ---- error and gamma functions -------------------------------------------------------------------

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
lgamma = function(
    "lgamma",
    lambda g, input: g * input.digamma(),
    "Logarithm of the absolute gamma function.",
    kernel="lgamma_vml_cpu",
    takes="f",
)
digamma = function(
    "digamma",
    lambda g, input: g * input.polygamma(1),
    "Derivative of lgamma.",
    kernel="digamma",
    takes="f",
)


@pointwise(
    promote=FLOAT,
    numbers="static",
    inplace=True,
    kernel="logit_cpu",
    takes="f",
    grad=lambda g, input, eps: choose(
        outside(input, eps), edge_gradient(g, eps), g / (input * (1 - input))
    ),
)
def logit(input, eps=None):
    """log(x / (1 - x)), with x kept in [eps, 1 - eps].

    >>> torch.logit(torch.tensor([0.5, 0.75]))
    tensor([0.0000, 1.0986])
    """
    if eps is not None:
        input = choose(input < eps, eps, choose(input > 1 - eps, 1 - eps, input))
    return (input / (1 - input)).log()


def outside(input: Any, eps: Any) -> Any:
    """Where logit has no slope."""
    bound = 0.0 if eps is None else eps
    return (input < bound) | (input > 1 - bound)


def edge_gradient(g: Any, eps: Any) -> Any:
    """NaN outside [0, 1] without eps, zero with it."""
    return g * (math.nan if eps is None else 0.0)


# ---- complex numbers -----------------------------------------------------------------------------


@pointwise(
    promote=COMPLEX_TO_FLOAT,
    inplace=False,
    grad=lambda g, input: angle_gradient(g, input),
    public="angle",
    result=lambda compute, input: (
        compute.to_real()
        if compute.is_complex
        else compute
        if compute.is_floating_point
        else dtypes.get_default_dtype()
    ),
)
def angle(input):
    """Angle in radians; of reals 0 or pi.

    >>> torch.angle(torch.tensor([1j, -1.0]))
    tensor([1.5708, 3.1416])
    """
    if input.dtype.startswith("complex"):
        return input.angle()
    if input.dtype.startswith("float"):
        return choose(input.isnan(), input, choose(input < 0, input * 0 + math.pi, input * 0))
    wide = input.to("float32")
    return choose(wide < 0, wide * 0 + math.pi, wide * 0)


def angle_gradient(g: Any, input: Any) -> Any:
    """The gradient turns with the number."""
    if not complex_valued(input):
        return g * 0
    size = input.abs()
    safe = choose(size == 0, size * 0 + 1, size)
    return choose(size == 0, input * 0, input * 1j * (g / (safe * safe)))


@pointwise(grad=lambda g: g.conj(), inplace=True, methods=("conj_physical",))
def conj_physical(input):
    """Complex conjugate, computed at once.

    >>> torch.conj_physical(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return input.conj() if input.dtype.startswith("complex") else input

"""Pointwise ops, part five: exponentials, logarithms, circular and hyperbolic functions.

>>> torch.exp(torch.tensor([0.0, 1.0]))
tensor([1.0000, 2.7183])
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.ops.arithmetic import conjugate
from flambeau.ops.kinds import FLOAT, pointwise


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
    lambda g, input: g * conjugate((input - 1).rsqrt() * (input + 1).rsqrt()),
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

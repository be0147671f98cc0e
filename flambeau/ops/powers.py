"""Pointwise ops, part six: powers, and logarithms of sums and products.

>>> torch.pow(torch.tensor([1.0, 3.0]), 2)
tensor([1., 9.])
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.ops.arithmetic import conjugate, is_complex
from flambeau.ops.kinds import FLOAT, pointwise


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
    positive = exponent.real >= 0 if is_complex(exponent) else exponent >= 0
    return choose((input == 0) & positive, g * 0, g * conjugate(y * input.log()))


def log_of_number(value: Any) -> Any:
    """Logarithm of a Python number, complex or NaN where torch's is."""
    if isinstance(value, complex):
        return cmath.log(value)
    return math.log(value) if value > 0 else math.nan


@pointwise(
    numbers="static",
    methods=("pow", "__pow__"),
    kernel="pow",
    takes="ifc",
    plain_numbers="any",
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
    plain_numbers="any",
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
    inplace=False, kernel="logaddexp_cpu", takes="fc", plain_numbers="none",
    grad={
        "input": lambda g, input, other: g / conjugate(1 + (other - input).exp()),
        "other": lambda g, input, other: g / conjugate(1 + (input - other).exp()),
    },
)  # fmt: skip
def logaddexp(input, other):
    """log(exp(a) + exp(b)) without overflow.

    >>> torch.logaddexp(torch.tensor(0.0), torch.tensor(0.0))
    tensor(0.6931)
    """
    if input.dtype.startswith("complex"):
        return complex_logaddexp(input, other)
    top, gap = input.maximum(other), -(input - other).abs()
    return choose(input.isinf() & (input == other), input, top + gap.exp().log1p())


def complex_logaddexp(a: Any, b: Any) -> Any:
    """logaddexp of complex expressions: the one of greater real part counts first."""
    smaller = a.real < b.real
    low, high = choose(smaller, a, b), choose(smaller, b, a)
    endless = high.real.isinf() & (high.real == low.real)
    both = (low.exp() + high.exp()).log()
    return choose(endless, choose(high.real < 0, low, both), high + (low - high).exp().log1p())


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

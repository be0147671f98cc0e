"""Pointwise ops, part three: rounding and signs.

>>> torch.floor(torch.tensor([1.5, -1.5]))
tensor([ 1., -2.])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.ops.arithmetic import is_complex
from flambeau.ops.kinds import BOOL_RESULT, FLOAT, pointwise


def nothing(g: Any) -> Any:
    """The gradient of a function of steps: zero, also where an infinite one arrives."""
    return choose(g == 0, g, 0)


def check_rounding(name: str) -> Any:
    """A check that refuses complex numbers, with torch's words for it."""

    def check(input: Any) -> None:
        if input.dtype.is_complex:
            raise NotImplementedError(f"{name} is not supported for complex inputs")

    return check


def rounding(name: str, text: str) -> Any:
    """floor, ceil and trunc: integers stay as they are, the gradient is zero."""

    def body(input):
        return getattr(input, name)() if input.dtype.startswith("float") else input

    body.__name__, body.__doc__ = name, text
    return pointwise(
        grad=nothing,
        check=check_rounding(name),
        kernel=f"{name}_vml_cpu",
        takes="if",
        aliases=("fix",) if name == "trunc" else (),
        methods=("trunc", "fix") if name == "trunc" else None,
    )(body)


floor = rounding("floor", "The greatest integer not above the element.")
ceil = rounding("ceil", "The least integer not below the element.")
trunc = rounding("trunc", "The element without its fractional part.")


@pointwise(grad=nothing, numbers="static", kernel="round_vml_cpu", takes="if")
def round(input, *, decimals=0):
    """The nearest integer, ties to even; to `decimals` places after the point.

    >>> torch.round(torch.tensor([0.5, 1.5, 2.345]), decimals=2)
    tensor([0.5000, 1.5000, 2.3400])
    """
    if not input.dtype.startswith("float"):
        return input
    if decimals == 0:
        return input.round()
    power = 10.0 ** (decimals if decimals > 0 else -decimals)
    return (input * power).round() / power if decimals > 0 else (input / power).round() * power


@pointwise(grad=lambda g: g, kernel="frac_cpu", takes="f")
def frac(input):
    """The fractional part, with the element's sign.

    >>> torch.frac(torch.tensor([1.5, -2.25]))
    tensor([ 0.5000, -0.2500])
    """
    return input - input.trunc()


def check_sign(input: Any) -> None:
    """torch sends complex numbers to sgn."""
    if input.dtype.is_complex:
        raise NotImplementedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. "
            "Please use torch.sgn instead."
        )


@pointwise(grad=nothing, check=check_sign)
def sign(input):
    """-1, 0 or 1.

    >>> torch.sign(torch.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return input.sign()


def sgn_gradient(g: Any, input: Any, y: Any) -> Any:
    """Zero for reals; for complex numbers the projection across the direction of `input`."""
    if not is_complex(input):
        return g * 0
    size = input.abs()
    tangent = g - (g * y.conj()).real * y
    return choose(size == 0, g * 0, tangent / choose(size == 0, size * 0 + 1, size))


@pointwise(grad=sgn_gradient)
def sgn(input):
    """The sign; of complex numbers, the number divided by its absolute value.

    >>> torch.sgn(torch.tensor([3 + 4j]))
    tensor([0.6000+0.8000j])
    """
    return input.sgn()


def check_signbit(input: Any) -> None:
    """Complex numbers have no sign bit."""
    if input.dtype.is_complex:
        raise NotImplementedError("signbit is not implemented for complex tensors.")


@pointwise(promote=BOOL_RESULT, inplace=False, check=check_signbit)
def signbit(input):
    """Whether the sign is negative, of zero too.

    >>> torch.signbit(torch.tensor([-0.0, 1.0]))
    tensor([ True, False])
    """
    if input.dtype.startswith("float"):
        return input.signbit()
    return input < 0 if input.dtype.startswith("int") else input != input


@pointwise(
    promote=FLOAT,
    kernel="copysign_cpu",
    takes="f",
    grad={
        "input": lambda g, input, y: g * choose(input == 0, 0, y / input),
        "other": lambda g: g * 0,
    },
)
def copysign(input, other):
    """The size of `input` with the sign of `other`.

    >>> torch.copysign(torch.tensor([1.0, -2.0]), -1.0)
    tensor([-1., -2.])
    """
    return input.copysign(other)


@pointwise(
    grad={
        "input": lambda g, input, other: choose(input == other, 0, g),
        "other": lambda g: g * 0,
    },
    kernel="nextafter_cpu",
    takes="f",
    plain_numbers="none",
)
def nextafter(input, other):
    """The next representable number from `input` towards `other`.

    >>> torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)) > 1
    tensor(True)
    """
    return input.nextafter(other)

"""Exponentials, logarithms and hyperbolic functions of float32 as polynomials, so that loops over
them are vectorised.

Called through `codegen/math.py`. The argument reductions are the classical ones (Cody and Waite,
Software Manual for the Elementary Functions, 1980; Muller, Elementary Functions, 2016); the
coefficients are minimax fits (Remez exchange in 50 digits, with the relative error of the function
as weight), rounded to float32. Errors stay below 2 units in the last place.

    >>> find("exp", "float32")(Expr.input(0, "float32")).dtype
    'float32'
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.codegen.expr import Expr, fma, where
from flambeau.codegen.math import expansion

INFINITY, NAN = float("inf"), float("nan")
# ln 2 in two parts, of which the first has 10 bits, so that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
EXP = (0.5, 0.166666657, 0.0416662954, 0.00833349768, 0.00139447558, 0.000197901361)
EXPM1 = (0.5, 0.166666657, 0.0416664705, 0.00833341666, 0.00139340048, 0.000198261885)
EXP2 = (
    0.693147182,
    0.240226507,
    0.0555041023,
    0.00961803738,
    0.00133339362,
    0.000154668829,
    1.51960894e-05,
)
LOG = (
    0.333333105,
    -0.249999866,
    0.20002231,
    -0.166692585,
    0.142185658,
    -0.12384136,
    0.118734963,
    -0.117913812,
    0.069160834,
)


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """The polynomial with these coefficients, lowest first (Horner's scheme)."""
    result = Expr.constant(coefficients[-1], x.dtype)
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def clamp(x: Expr, low: float, high: float) -> Expr:
    """x between bounds; NaN gives a bound, so that what follows is defined."""
    x = where(x < high, x, high)
    result: Expr = where(x > low, x, low)
    return result


def power_of_two(n: Expr) -> Expr:
    """2 to the int32 power n, which must lie in the range of normal float32 numbers."""
    return shift_left(n + 127, 23).bitcast("float32")


def shift_left(n: Expr, amount: int) -> Expr:
    """n << amount."""
    return Expr.make("shift_left", (n, Expr.constant(amount, n.dtype)), n.dtype)


def shift_right(n: Expr, amount: int) -> Expr:
    """n >> amount, with the sign."""
    return Expr.make("shift_right", (n, Expr.constant(amount, n.dtype)), n.dtype)


def scale(x: Expr, n: Expr) -> Expr:
    """x times 2 to the int32 power n, also into the denormals and up to the overflow."""
    half = shift_right(n, 1)
    return x * power_of_two(half) * power_of_two(n - half)


def to_integer(x: Expr) -> Expr:
    """An integral float32, known to be in range, as int32."""
    return Expr.make("truncate", (x,), "int32")


def split_exponent(x: Expr) -> tuple[Expr, Expr]:
    """x = n ln 2 + r with the integer n (float32) and |r| <= ln 2 / 2."""
    n = (x * 1.44269504).round()
    return n, fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))


@expansion("exp", "s")
def _exp(x: Expr) -> Expr:
    return exp_scaled(x, 0)


def exp_scaled(x: Expr, shift: int) -> Expr:
    """exp(x) * 2**shift without overflow in between."""
    bound = clamp(x, -104.0, 89.0 + 0.7 * -min(shift, 0))
    n, r = split_exponent(bound)
    result = scale(1 + fma(r * r, polynomial(r, EXP), r), to_integer(n) + shift)
    return where(x.isnan(), x, result)


@expansion("exp2", "s")
def _exp2(x: Expr) -> Expr:
    bound = clamp(x, -151.0, 129.0)
    n = bound.round()
    r = bound - n
    return where(x.isnan(), x, scale(fma(r, polynomial(r, EXP2), 1), to_integer(n)))


@expansion("expm1", "s")
def _expm1(x: Expr) -> Expr:
    bound = clamp(x, -18.0, 89.0)
    n, r = split_exponent(bound)
    fraction = fma(r * r, polynomial(r, EXPM1), r)
    # 2**n may overflow although the result does not: work with half of it.
    half = power_of_two(to_integer(n) - 1)
    result = fma(half, fraction, half - 0.5) * 2
    result = where(n == 0, fraction, result)
    return where(x.isnan() | (x == 0), x, result)


def split_mantissa(x: Expr) -> tuple[Expr, Expr]:
    """Normal x = 2**e * m with the integer e (int32) and m in [sqrt(1/2), sqrt(2))."""
    bits = x.bitcast("int32")
    e = shift_right(bits - 0x3F3504F3, 23)
    return e, (bits - shift_left(e, 23)).bitcast("float32")


def _logarithm(x: Expr) -> tuple[Expr, Expr]:
    """The exponent of positive x (float32) and its mantissa less 1."""
    small = x < 1.17549435e-38
    e, m = split_mantissa(where(small, x * 8388608.0, x))
    return e.to("float32") - where(small, 23.0, 0.0).to("float32"), m - 1


def _log_edges(x: Expr, result: Expr) -> Expr:
    """The logarithm of 0, of negative numbers, of infinity and NaN."""
    result = where(x < 0, NAN, where(x == 0, -INFINITY, result))
    return where((x == INFINITY) | x.isnan(), x, result)


@expansion("log", "s")
def _log(x: Expr) -> Expr:
    e, f = _logarithm(x)
    square = f * f
    tail = fma(e, LN2_LOW, square * f * polynomial(f, LOG))
    return _log_edges(x, fma(e, LN2_HIGH, f + fma(square, -0.5, tail)))


def _log_in_base(x: Expr, factor: tuple[float, float], exponent: tuple[float, float]) -> Expr:
    """The logarithm in a base: 1 / ln(base) and the base's logarithm of 2, each in two parts."""
    e, f = _logarithm(x)
    square = f * f
    tail = fma(square, -0.5, square * f * polynomial(f, LOG))
    low = fma(e, exponent[1], fma(f, factor[1], tail * (factor[0] + factor[1])))
    high = f.bitcast("int32") & -4096
    top = high.bitcast("float32")
    low = fma(f - top, factor[0], low)
    return _log_edges(x, fma(e, exponent[0], fma(top, factor[0], low)))


@expansion("log2", "s")
def _log2(x: Expr) -> Expr:
    return _log_in_base(x, (1.4423828125, 3.1225681e-4), (1.0, 0.0))


@expansion("log10", "s")
def _log10(x: Expr) -> Expr:
    return _log_in_base(x, (0.434326171875, -3.1689971e-5), (0.301025390625, 4.6050390e-6))


@expansion("log1p", "s")
def _log1p(x: Expr) -> Expr:
    u = 1 + x
    # What the rounding of 1 + x lost, to first order.
    lost = where(x.abs() < 1, x - (u - 1), 1 - (u - x))
    e, m = split_mantissa(where(u < 1.7e38, u, 1.7e38))
    f = fma(lost, power_of_two(-e), m - 1)
    square = f * f
    n = e.to("float32")
    tail = fma(n, LN2_LOW, square * f * polynomial(f, LOG))
    result = fma(n, LN2_HIGH, f + fma(square, -0.5, tail))
    # Above 1.7e38 adding 1 changes nothing, and the exponent of u is out of range.
    result = where(x > 1.6e38, x.log(), result)
    result = where(x < -1, NAN, where(x == -1, -INFINITY, result))
    return where((x == INFINITY) | x.isnan() | (x == 0), x, result)


@expansion("tanh", "s")
def _tanh(x: Expr) -> Expr:
    # tanh(y) = t / (t + 2) with t = exp(2 y) - 1 loses nothing for small y.
    t = clamp(x.abs() * 2, 0.0, 20.0).expm1()
    return where(x.isnan(), x, (t / (t + 2)).copysign(x))


@expansion("sinh", "s")
def _sinh(x: Expr) -> Expr:
    size = x.abs()
    t = clamp(size, 0.0, 20.0).expm1()
    small = (t + t / (t + 1)) * 0.5
    return where(x.isnan(), x, where(size < 20, small, exp_scaled(size, -1)).copysign(x))


@expansion("cosh", "s")
def _cosh(x: Expr) -> Expr:
    half = exp_scaled(x.abs(), -1)
    return half + 0.25 / half


@expansion("asinh", "s")
def _asinh(x: Expr) -> Expr:
    size = x.abs()
    square = size * size
    small = (size + square / (1 + (square + 1).sqrt())).log1p()
    return where(size < 1e9, small, size.log() + 0.693147181).copysign(x)


@expansion("acosh", "s")
def _acosh(x: Expr) -> Expr:
    above = x - 1
    small = (above + (above * above + 2 * above).sqrt()).log1p()
    return where(x < 1, NAN, where(x < 1e9, small, x.log() + 0.693147181))


@expansion("atanh", "s")
def _atanh(x: Expr) -> Expr:
    size = x.abs()
    return ((2 * size / (1 - size)).log1p() * 0.5).copysign(x)

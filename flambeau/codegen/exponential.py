"""Exponentials, logarithms and hyperbolic functions as polynomials, so that loops over them are
vectorised.

Called through `codegen/math.py`. The argument reductions are the classical ones (Cody and Waite,
Software Manual for the Elementary Functions, 1980; Muller, Elementary Functions, 2016); the
coefficients are minimax fits (Remez exchange in 50 digits, with the relative error of the function
as weight). Errors stay about 2 units in the last place.

    >>> polynomial(Expr.input(0, "float32"), (1, 2, 3))
    fma(fma(3.0, in0, 2.0), in0, 1.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.codegen.expr import Expr, fma, where
from flambeau.codegen.math import build_shift, expansion

INFINITY, NAN = float("inf"), float("nan")
ROOT_TWO = 1.4142135623730951
SERIAL = 4  # coefficients up to which Horner's scheme is quicker
LOG2_E, LN2 = 1.4426950408889634, 0.6931471805599453


@dataclass(frozen=True)
class Format:
    """What the algorithms must know of a floating-point format.

    Constants in two parts have few bits in the first, so that its product with an exponent is
    exact. `rounder`: adding it rounds to an integer, which then stands in the low bits.
    """

    integer: str
    mantissa: int  # stored bits
    bias: int
    rounder: float
    tiny: float  # the smallest normal number
    root_half: int  # the bits of sqrt(1/2)
    split: int  # a mask that leaves about half of the mantissa
    ln2: tuple[float, float]
    log2_e: tuple[float, float]
    log10_e: tuple[float, float]
    log10_2: tuple[float, float]
    exp_range: tuple[float, float]  # beyond, the result is 0 or infinite
    exp2_range: tuple[float, float]
    tanh_range: float  # twice the argument from which on tanh is 1
    large: float  # its square is far from the overflow, and 1 is nothing beside it
    exp: tuple[float, ...]  # (exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2
    expm1: tuple[float, ...]  # the same, weighted for expm1


# fmt: off
FORMATS = {
    "float32": Format(
        integer="int32", mantissa=23, bias=127, rounder=12582912.0, tiny=2.0**-126,
        root_half=0x3F3504F3, split=-4096,
        ln2=(0.693359375, -2.1219444005469057e-4), log2_e=(1.4423828125, 3.1222838896340e-4),
        log10_e=(0.434326171875, -3.1689971748e-5), log10_2=(0.301025390625, 4.6050389811952e-6),
        exp_range=(-104.0, 89.0), exp2_range=(-151.0, 129.0), tanh_range=20.0, large=1e9,
        exp=(0.5, 0.166666657, 0.0416662954, 0.00833349768, 0.00139447558, 0.000197901361),
        expm1=(0.5, 0.166666657, 0.0416664705, 0.00833341666, 0.00139340048, 0.000198261885),
    ),
    "float64": Format(
        integer="int64", mantissa=52, bias=1023, rounder=6755399441055744.0, tiny=2.0**-1022,
        root_half=0x3FE6A09E667F3BCD, split=-(1 << 32),
        ln2=(6.93147180369123816490e-01, 1.90821492927058770002e-10),
        log2_e=(1.44269504072144627571, 1.67517131648865118353e-10),
        log10_e=(4.34294481878168880939e-01, 2.50829467116452752298e-11),
        log10_2=(3.01029995663611771306e-01, 3.69423907715893078616e-13),
        exp_range=(-746.0, 710.0), exp2_range=(-1076.0, 1025.0), tanh_range=44.0, large=1e100,
        exp=(
            0.5, 0.16666666666666682, 0.0416666666666661, 0.00833333333331702,
            0.001388888888911407, 0.00019841269896414993, 2.4801586928962455e-05,
            2.7557234835236924e-06, 2.7557580208349696e-07, 2.5112045022643462e-08,
            2.0827066294776224e-09,
        ),
        expm1=(
            0.5, 0.16666666666666677, 0.04166666666666655, 0.008333333333322014,
            0.0013888888888949208, 0.00019841269885264524, 2.4801587189517436e-05,
            2.7557245002607787e-06, 2.7557392428847435e-07, 2.5108779674226456e-08,
            2.087765360569576e-09,
        ),
    ),
}
# (log(1 + f) - f + f**2 / 2) / f**3 in float32; (log((1 + s) / (1 - s)) - 2 s) / s**3 by s**2 in
# float64
LOG_SINGLE = (
    0.333333105, -0.249999866, 0.20002231, -0.166692585, 0.142185658, -0.12384136, 0.118734963,
    -0.117913812, 0.069160834,
)
LOG_DOUBLE = (
    0.6666666666666734, 0.39999999999414326, 0.2857142874247595, 0.22222198563254136,
    0.18183564882244996, 0.15314035381957478, 0.14796110331347817,
)
# (2**r - 1) / r for |r| <= 1/2
EXP2_SINGLE = (
    0.693147182, 0.240226507, 0.0555041023, 0.00961803738, 0.00133339362, 0.000154668829,
    1.51960894e-05,
)
# fmt: on


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """The polynomial with these coefficients, lowest first: short ones by Horner's scheme, longer
    ones by their even and odd halves, which processors compute at the same time.
    """
    if len(coefficients) > SERIAL:
        square = x * x
        return fma(polynomial(square, coefficients[1::2]), x, polynomial(square, coefficients[::2]))
    result = Expr.constant(coefficients[-1], x.dtype)
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def clamp(x: Expr, low: float, high: float) -> Expr:
    """x between bounds; NaN gives a bound, so that what follows is defined."""
    x = where(x < high, x, high)
    return where(x > low, x, low)


def shift_left(n: Expr, amount: int) -> Expr:
    """n << amount."""
    return build_shift("shift_left", n, Expr.constant(amount, n.dtype))


def shift_right(n: Expr, amount: int) -> Expr:
    """n >> amount, with the sign."""
    return build_shift("shift_right", n, Expr.constant(amount, n.dtype))


def power_of_two(n: Expr, dtype: str) -> Expr:
    """2 to the integer power n, which must lie in the range of normal numbers of `dtype`."""
    form = FORMATS[dtype]
    return shift_left(n + form.bias, form.mantissa).bitcast(dtype)


def scale(x: Expr, n: Expr) -> Expr:
    """x times 2 to the integer power n, also into the denormals and up to the overflow."""
    half = shift_right(n, 1)
    return x * power_of_two(half, x.dtype) * power_of_two(n - half, x.dtype)


def nearest_integer(x: Expr) -> tuple[Expr, Expr]:
    """x rounded, as a float and as an integer; x must be small beside the largest integer."""
    form = FORMATS[x.dtype]
    shifted = x + form.rounder
    bits = shifted.bitcast(form.integer)
    return shifted - form.rounder, bits - Expr.constant(form.rounder, x.dtype).bitcast(form.integer)


def split_exponent(x: Expr) -> tuple[Expr, Expr, Expr]:
    """x = n ln 2 + r with |r| <= ln 2 / 2: n as a float and as an integer, and r."""
    high, low = FORMATS[x.dtype].ln2
    n, integer = nearest_integer(x * LOG2_E)
    return n, integer, fma(n, -low, fma(n, -high, x))


def exp_scaled(x: Expr, shift: int) -> Expr:
    """exp(x) * 2**shift without overflow in between."""
    form = FORMATS[x.dtype]
    bound = clamp(x, form.exp_range[0], form.exp_range[1] - LN2 * min(shift, 0))
    _, n, r = split_exponent(bound)
    result = scale(1 + fma(r * r, polynomial(r, form.exp), r), n + shift if shift else n)
    return where(x.isnan(), x, result)


@expansion("exp", "sd")
def _exp(x: Expr) -> Expr:
    return exp_scaled(x, 0)


def exp_below(x: Expr) -> Expr:
    """exp(x) for x known to be small (a score less the greatest of its row), at half the cost:
    results that are no normal numbers become 0, and nothing is done about an overflow.
    """
    form = FORMATS[x.dtype]
    low = (2 - form.bias) * LN2
    bound = where(x < low, low, x)  # NaN stays
    shifted = fma(bound, LOG2_E, form.rounder)
    n, bits = shifted - form.rounder, shifted.bitcast(form.integer)
    r = fma(n, -form.ln2[1], fma(n, -form.ln2[0], bound))
    power = 1 + fma(r * r, polynomial(r, form.exp), r)
    # n stands in the low bits of `shifted`; those of the rounder are shifted out
    one = form.bias << form.mantissa
    factor = (shift_left(bits, form.mantissa) + one).bitcast(x.dtype)
    result: Expr = where(x < low, 0.0, power * factor)
    return result


def _exp2_parts(x: Expr) -> tuple[Expr, Expr]:
    """2**x = power * 2**integer."""
    n, integer = nearest_integer(x)
    r = x - n
    if x.dtype == "float32":
        return fma(r, polynomial(r, EXP2_SINGLE), 1), integer
    r = r * LN2
    return 1 + fma(r * r, polynomial(r, FORMATS[x.dtype].exp), r), integer


def normal_exp2(x: Expr) -> Expr:
    """2**x for x known to give a normal number."""
    power, integer = _exp2_parts(x)
    return power * power_of_two(integer, x.dtype)


@expansion("exp2", "sd")
def _exp2(x: Expr) -> Expr:
    power, integer = _exp2_parts(clamp(x, *FORMATS[x.dtype].exp2_range))
    return where(x.isnan(), x, scale(power, integer))


@expansion("expm1", "sd")
def _expm1(x: Expr) -> Expr:
    form = FORMATS[x.dtype]
    bound = clamp(x, -form.tanh_range, form.exp_range[1])
    n, integer, r = split_exponent(bound)
    fraction = fma(r * r, polynomial(r, form.expm1), r)
    # 2**n may overflow although the result does not: work with half of it.
    half = power_of_two(integer - 1, x.dtype)
    result = fma(half, fraction, half - 0.5) * 2
    result = where(n == 0, fraction, result)
    return where(x.isnan() | (x == 0), x, result)


def split_mantissa(x: Expr) -> tuple[Expr, Expr]:
    """Normal x = 2**e * m with the integer e and m in [sqrt(1/2), sqrt(2))."""
    form = FORMATS[x.dtype]
    bits = x.bitcast(form.integer)
    e = shift_right(bits - form.root_half, form.mantissa)
    return e, (bits - shift_left(e, form.mantissa)).bitcast(x.dtype)


def _logarithm(x: Expr) -> tuple[Expr, Expr]:
    """The exponent of positive x (a float) and its mantissa less 1."""
    form = FORMATS[x.dtype]
    small = x < form.tiny
    e, m = split_mantissa(where(small, x * 2.0**form.mantissa, x))
    lifted = where(small, Expr.constant(form.mantissa, x.dtype), 0)
    return e.to(x.dtype) - lifted, m - 1


def _log_tail(f: Expr) -> Expr:
    """log(1 + f) - f + f**2 / 2 for 1 + f in [sqrt(1/2), sqrt(2))."""
    if f.dtype == "float32":
        return f * f * f * polynomial(f, LOG_SINGLE)
    s = f / (f + 2)
    square = s * s
    return s * fma(square, polynomial(square, LOG_DOUBLE), f * f * 0.5)


def _log_edges(x: Expr, result: Expr) -> Expr:
    """The logarithm of 0, of negative numbers, of infinity and NaN."""
    result = where(x < 0, NAN, where(x == 0, -INFINITY, result))
    return where((x == INFINITY) | x.isnan(), x, result)


@expansion("log", "sd")
def _log(x: Expr) -> Expr:
    high, low = FORMATS[x.dtype].ln2
    e, f = _logarithm(x)
    tail = fma(e, low, _log_tail(f))
    return _log_edges(x, fma(e, high, f + fma(f * f, -0.5, tail)))


def _log_in_base(x: Expr, factor: tuple[float, float], exponent: tuple[float, float]) -> Expr:
    """The logarithm in a base: 1 / ln(base) and the base's logarithm of 2, each in two parts."""
    form = FORMATS[x.dtype]
    e, f = _logarithm(x)
    tail = fma(f * f, -0.5, _log_tail(f))
    low = fma(e, exponent[1], fma(f, factor[1], tail * (factor[0] + factor[1])))
    top = (f.bitcast(form.integer) & form.split).bitcast(x.dtype)
    low = fma(f - top, factor[0], low)
    return _log_edges(x, fma(e, exponent[0], fma(top, factor[0], low)))


@expansion("log2", "sd")
def _log2(x: Expr) -> Expr:
    return _log_in_base(x, FORMATS[x.dtype].log2_e, (1.0, 0.0))


@expansion("log10", "sd")
def _log10(x: Expr) -> Expr:
    form = FORMATS[x.dtype]
    return _log_in_base(x, form.log10_e, form.log10_2)


@expansion("log1p", "sd")
def _log1p(x: Expr) -> Expr:
    form = FORMATS[x.dtype]
    u = 1 + x
    # What the rounding of 1 + x lost, to first order; nothing that matters for the largest x.
    lost = where(x.abs() < 1, x - (u - 1), 1 - (u - x))
    e, m = split_mantissa(u)
    f = fma(lost, power_of_two((-e).maximum(1 - form.bias), x.dtype), m - 1)
    n = e.to(x.dtype)
    tail = fma(n, form.ln2[1], _log_tail(f))
    result = fma(n, form.ln2[0], f + fma(f * f, -0.5, tail))
    result = where(x < -1, NAN, where(x == -1, -INFINITY, result))
    return where((x == INFINITY) | x.isnan() | (x == 0), x, result)


@expansion("log1p_of_unit", "sd")
def _log1p_of_unit(x: Expr) -> Expr:
    """log(1 + x) for x from 0 to 1: no edges, and nothing is lost by halving 1 + x."""
    high, low = FORMATS[x.dtype].ln2
    large = x > ROOT_TWO - 1
    f = where(large, fma(x, 0.5, -0.5), x)
    tail = fma(f * f, -0.5, _log_tail(f))
    return where(large, f + (tail + low) + high, f + tail)


@expansion("tanh", "sd")
def _tanh(x: Expr) -> Expr:
    # tanh(y) = t / (t + 2) with t = exp(2 y) - 1 loses nothing for small y.
    t = clamp(x.abs() * 2, 0.0, FORMATS[x.dtype].tanh_range).expm1()
    return where(x.isnan(), x, (t / (t + 2)).copysign(x))


@expansion("sinh", "sd")
def _sinh(x: Expr) -> Expr:
    size, bound = x.abs(), FORMATS[x.dtype].tanh_range
    t = clamp(size, 0.0, bound).expm1()
    small = (t + t / (t + 1)) * 0.5
    return where(x.isnan(), x, where(size < bound, small, exp_scaled(size, -1)).copysign(x))


@expansion("cosh", "sd")
def _cosh(x: Expr) -> Expr:
    half = exp_scaled(x.abs(), -1)
    return half + 0.25 / half


@expansion("asinh", "sd")
def _asinh(x: Expr) -> Expr:
    # asinh(x) = log1p(x + x**2 / (1 + sqrt(1 + x**2))), for large x log(x) + log(2).
    size, large = x.abs(), FORMATS[x.dtype].large
    square = size * size
    grown = where(size < large, size + square / (1 + (square + 1).sqrt()), size)
    return (grown.log1p() + where(size < large, Expr.constant(0, x.dtype), LN2)).copysign(x)


@expansion("acosh", "sd")
def _acosh(x: Expr) -> Expr:
    above, large = x - 1, FORMATS[x.dtype].large
    grown = where(x < large, above + (above * above + 2 * above).sqrt(), x)
    result = grown.log1p() + where(x < large, Expr.constant(0, x.dtype), LN2)
    return where(x < 1, NAN, result)


@expansion("atanh", "sd")
def _atanh(x: Expr) -> Expr:
    size = x.abs()
    return ((2 * size / (1 - size)).log1p() * 0.5).copysign(x)

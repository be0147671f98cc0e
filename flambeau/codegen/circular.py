"""Circular functions and their inverses as polynomials, so that loops over them are vectorised.

Called through `codegen/math.py`; for the coefficients see `codegen/exponential.py`. The argument is
reduced in float64.
"""

from __future__ import annotations

from flambeau.codegen.exponential import FORMATS, polynomial
from flambeau.codegen.expr import Expr, fma, library, where
from flambeau.codegen.math import expansion

PI = 3.141592653589793
# pi / 2 in three parts, the first two of 33 bits, so that products with 20-bit integers are exact
# (fdlibm, e_rem_pio2.c).
HALF_PI_PARTS = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
ROUNDER = FORMATS["float64"].rounder
# Beyond this, products of the parts would be rounded where there is no fused multiply-add.
LARGE = 2.0**20
# fmt: off
# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 by r**2, for |r| <= pi / 4
SIN = {
    "float32": (-0.166666672, 0.00833332911, -0.000198393303, 2.71827457e-06),
    "float64": (
        -0.16666666666666632, 0.008333333333322413, -0.00019841269829807865,
        2.7557313691941534e-06, -2.5050758119152938e-08, 1.589679587377617e-10,
    ),
}
COS = {
    "float32": (0.0416666679, -0.00138888834, 2.47995158e-05, -2.72099442e-07),
    "float64": (
        0.0416666666666666, -0.0013888888888874125, 2.4801587289482344e-05,
        -2.7557314352377933e-07, 2.0875723279083294e-09, -1.1359648088325183e-11,
    ),
}
# (f(r) - r) / r**3 by r**2: tan up to pi / 4, asin up to 1 / 2, atan up to pi / 4
TAN = (
    0.333333522, 0.133326054, 0.0540661328, 0.021251848, 0.0109106386, -1.19242043e-06,
    0.0044192709,
)
ASIN = {
    "float32": (0.166667551, 0.0749519616, 0.0454832986, 0.0241146684, 0.042278219),
    "float64": (
        0.16666666666666666, 0.07500000000000118, 0.044642857142551895, 0.03038194447553234,
        0.02237215744350722, 0.017352816540325496, 0.01396378001220357, 0.011566459612121669,
        0.009621842970100282, 0.009319560794767446, 0.0030448799094556773, 0.019554513336123378,
        -0.01924167174674304, 0.02961201126495512,
    ),
}
ATAN = {
    "float32": (
        -0.333333015, 0.199986354, -0.14265202, 0.109573148, -0.0841860846, 0.0582185797,
        -0.0314384252, 0.0110544525, -0.00182482356,
    ),
    "float64": (  # up to pi / 8
        -0.3333333333333333, 0.19999999999999804, -0.14285714285659779, 0.11111111105150588,
        -0.09090908753259112, 0.07692296368042296, -0.0666642476020052, 0.05878927554473807,
        -0.05230443640686948, 0.045515447340221615, -0.03456931506332609, 0.016284375050043393,
    ),
}
HALF_PI = {  # in two parts
    "float32": (1.57079637, -4.37113883e-8),
    "float64": (1.5707963267948966, 6.123233995736766e-17),
}
TAN_EIGHTH = 0.41421356237309503
# fmt: on


def quadrant(x: Expr) -> tuple[Expr, Expr]:
    """x = q pi/2 + r for |x| < LARGE: q (int64, right in its low bits) and r of x's dtype."""
    wide = x.to("float64")
    shifted = fma(wide, 2 / PI, ROUNDER)
    n = shifted - ROUNDER
    for part in HALF_PI_PARTS:
        wide = fma(n, -part, wide)
    return shifted.bitcast("int64"), wide.to(x.dtype)


def sine_near(r: Expr) -> Expr:
    """sin(r) for |r| <= pi / 4."""
    square = r * r
    return fma(r * square, polynomial(square, SIN[r.dtype]), r)


def cosine_near(r: Expr) -> Expr:
    """cos(r) for |r| <= pi / 4."""
    square = r * r
    return fma(square * square, polynomial(square, COS[r.dtype]), fma(square, -0.5, 1))


def _unless_large(value: Expr, x: Expr, function: str) -> Expr:
    slow = library(function, x.to("float64")).to(x.dtype)
    return value.unless(x.abs() >= LARGE, slow)


def _wave(x: Expr, shift: int, function: str) -> Expr:
    q, r = quadrant(x)
    q = q + shift if shift else q
    value = where((q & 1) != 0, cosine_near(r), sine_near(r))
    return _unless_large(where((q & 2) != 0, -value, value), x, function)


@expansion("sin", "sd")
def _sin(x: Expr) -> Expr:
    return where(x == 0, x, _wave(x, 0, "sin"))


@expansion("cos", "sd")
def _cos(x: Expr) -> Expr:
    return _wave(x, 1, "cos")


@expansion("tan", "s")
def _tan(x: Expr) -> Expr:
    q, r = quadrant(x)
    square = r * r
    value = fma(r * square, polynomial(square, TAN), r)
    value = where((q & 1) != 0, -1 / value, value)
    return where(x == 0, x, _unless_large(value, x, "tan"))


@expansion("tan", "d")
def _tan_double(x: Expr) -> Expr:
    q, r = quadrant(x)
    sine, cosine, odd = sine_near(r), cosine_near(r), (q & 1) != 0
    value = where(odd, -cosine, sine) / where(odd, sine, cosine)
    return where(x == 0, x, _unless_large(value, x, "tan"))


def from_half_pi(angle: Expr) -> Expr:
    """pi / 2 - angle, with pi / 2 to twice the precision of its format."""
    high, low = HALF_PI[angle.dtype]
    return high - (angle - low)


def _half_angle(x: Expr) -> tuple[Expr, Expr]:
    """Whether |x| > 1/2, and the arcsine of sqrt((1 - |x|) / 2) if so, of |x| if not."""
    size = x.abs()
    large = size > 0.5
    square = where(large, (1 - size) * 0.5, size * size)
    y = where(large, square.sqrt(), size)
    return large, fma(y * square, polynomial(square, ASIN[x.dtype]), y)


@expansion("asin", "sd")
def _asin(x: Expr) -> Expr:
    large, angle = _half_angle(x)
    return where(large, from_half_pi(2 * angle), angle).copysign(x)


@expansion("acos", "sd")
def _acos(x: Expr) -> Expr:
    large, angle = _half_angle(x)
    signed = angle.copysign(x)
    return where(large, where(x < 0, 2 * from_half_pi(angle), 2 * angle), from_half_pi(signed))


def _arc(numerator: Expr, denominator: Expr) -> Expr:
    """The angle whose tangent is numerator / denominator, for 0 <= numerator <= denominator."""
    dtype = numerator.dtype
    if dtype == "float32":
        return _arc_tangent(numerator / denominator)
    # atan(n / d) = pi / 4 + atan((n - d) / (n + d))
    steep = numerator > TAN_EIGHTH * denominator
    above = where(steep, numerator - denominator, numerator)
    angle = _arc_tangent(above / where(steep, numerator + denominator, denominator))
    high, low = HALF_PI[dtype]
    return where(steep, angle + low / 2 + high / 2, angle)


def _arc_tangent(t: Expr) -> Expr:
    square = t * t
    return fma(t * square, polynomial(square, ATAN[t.dtype]), t)


@expansion("atan", "sd")
def _atan(x: Expr) -> Expr:
    size = x.abs()
    large = size > 1
    one = Expr.constant(1, x.dtype)
    angle = _arc(where(large, one, size), where(large, size, one))
    return where(large, from_half_pi(angle), angle).copysign(x)


@expansion("atan2", "sd")
def _atan2(y: Expr, x: Expr) -> Expr:
    height, width = y.abs(), x.abs()
    steep = height > width
    small, large = where(steep, width, height), where(steep, height, width)
    # 0 / 0 and inf / inf stand for the angles 0 and pi / 4.
    both = small == large
    angle = where(both & (small == 0), 0.0, where(both, PI / 4, _arc(small, large)))
    angle = where(steep, from_half_pi(angle), angle)
    angle = where(x.signbit(), PI - angle, angle)
    return where(x.isnan() | y.isnan(), x + y, angle.copysign(y))

"""Powers, distances, error and gamma functions. Called through `codegen/math.py`; for the
coefficients see `codegen/exponential.py`.
"""

from __future__ import annotations

from flambeau.codegen.exponential import (
    INFINITY,
    LOG2_E,
    NAN,
    clamp,
    exp_below,
    nearest_integer,
    normal_exp2,
    polynomial,
    power_of_two,
    split_mantissa,
)
from flambeau.codegen.expr import Expr, fma, library, where
from flambeau.codegen.math import expansion

# fmt: off
# erf(x) / x - 1 by x**2 below 1, log(1 - erf(x)) by x from there to where erf(x) is 1
ERF_SMALL = {
    "float32": (
        0.128379107, -0.37612626, 0.112835996, -0.0268544015, 0.00518944394, -0.000801994291,
        7.88584584e-05,
    ),
    "float64": (
        0.12837916709551257, -0.3761263890318375, 0.11283791670954882, -0.026866170645077365,
        0.005223977624823159, -0.0008548326981106062, 0.00012055331120733565,
        -1.4925595465516356e-05, 1.646100336155761e-06, -1.6350340005264212e-07,
        1.4659937977469205e-08, -1.1373399075145577e-09, 5.957977687301131e-11,
    ),
}
LOG_ERFC = {
    "float32": (
        0.000188467369, -1.12958026, -0.633216381, -0.108422093, 0.0252103359, -0.00420528371,
        0.000441472454, -2.16975986e-05,
    ),
    "float64": (
        -4.995007350937261e-07, -1.128374120637762, -0.6366434934317902, -0.10270379834209366,
        0.018990839103461596, 0.0004097378436237374, -0.001915033267337101, 0.0007699224118570016,
        -0.00013460272297356434, -2.048588470221004e-05, 2.2907158672584623e-05,
        -8.69279420599148e-06, 2.1416861561345575e-06, -3.743707499737123e-07,
        4.656182121138453e-08, -3.9467304078112665e-09, 2.0518585861881453e-10,
        -4.946311366287612e-12,
    ),
}
ERF_ONE = {"float32": 4.0, "float64": 6.0}
# fmt: on
# Phi(-t) exp(t**2 / 2) / u by u = 1 / (1 + 0.34 t); the form is that of Hastings (Approximations
# for digital computers, 1955)
MILLS_SCALE = 0.34
MILLS = (
    0.13612447679042816,
    0.12873120605945587,
    0.1606520265340805,
    -0.03914981335401535,
    0.27360039949417114,
    -0.20612742006778717,
    0.04616910591721535,
)
# log2(1 + f) / f and 2**r to the precision that a float32 power needs
# fmt: off
LOG2 = (
    1.4426950408687074, -0.7213475208688087, 0.48089836139474823, -0.3606736748260336,
    0.28853729351799245, -0.24045316554832877, 0.20617535796378536, -0.18030060294314848,
    0.15876982508974558, -0.14315645410953007, 0.14474829971960665, -0.1428392782789769,
    0.07737058748458983,
)
EXP2 = (
    1.0000000005546157, 0.6931472057704139, 0.2402264688685821, 0.05550328708094414,
    0.009618489205217176, 0.001339995865203473, 0.00015345795398936444,
)
# fmt: on
# Asymptotic series of digamma: B(2k) / 2k (Abramowitz and Stegun, 6.3.18).
DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
# Giles, Approximating the erfinv function (GPU Computing Gems, 2010), single precision.
ERFINV_CENTRE = (
    1.50140941,
    0.246640727,
    -0.00417768164,
    -0.00125372503,
    0.000218580870,
    -4.39150654e-6,
    -3.5233877e-6,
    3.43273939e-7,
    2.81022636e-8,
)
ERFINV_TAIL = (
    2.83297682,
    1.00167406,
    0.00943887047,
    -0.0076224613,
    0.00573950773,
    -0.00367342844,
    0.00134934322,
    0.000100950558,
    -0.000200214257,
)


@expansion("erf", "sd")
def _erf(x: Expr) -> Expr:
    size, last = x.abs(), ERF_ONE[x.dtype]
    small = fma(x, polynomial(x * x, ERF_SMALL[x.dtype]), x)
    bound = where(size < last, size, last)
    exponent = polynomial(bound, [c * LOG2_E for c in LOG_ERFC[x.dtype]])
    large = (1 - normal_exp2(exponent)).copysign(x)
    return where(size < 1, small, where(x.isnan(), x, large))


def normal_distribution(x: Expr) -> tuple[Expr, Expr]:
    """Phi(x), the share of the standard normal distribution below a float32 x, to one unit in the
    last place of 1; and exp(-x**2 / 2), from which it comes, its slope but for a constant.
    """
    size = x.abs()
    bell = exp_below(size * size * -0.5)
    u = 1 / fma(size, MILLS_SCALE, 1)
    tail = bell * (u * polynomial(u, MILLS))
    below: Expr = where(x < 0, tail, 1 - tail)
    return below, bell


def _giles(x: Expr) -> Expr:
    """The inverse error function to six digits."""
    w = -((1 - x) * (1 + x)).log()
    centre = polynomial(w - 2.5, ERFINV_CENTRE)
    tail = polynomial(where(w > 5, w, 5.0).sqrt() - 3, ERFINV_TAIL)
    result: Expr = where(w < 5, centre, tail) * x
    return result


def _erfinv_edges(x: Expr, y: Expr) -> Expr:
    y = where(x.abs() == 1, Expr.constant(INFINITY, x.dtype).copysign(x), y)
    return where(x.abs() > 1, NAN, y)


@expansion("erfinv", "s")
def _erfinv(x: Expr) -> Expr:
    return _erfinv_edges(x, _giles(x.to("float64")).to("float32"))


@expansion("erfinv", "d")
def _erfinv_double(x: Expr) -> Expr:
    # Halley's iteration on erf(y) - x, from some digits; near 1 on 1 - x - erfc(y), where nothing
    # cancels.
    size = x.abs()
    y = _giles(size)
    for _ in range(3):
        residual = where(size > 0.5, (1 - size) - y.erfc(), y.erf() - size)
        step = residual * 0.886226925452758 * (y * y).exp()
        y = y - step / (1 + y * step)
    y = where(x == 0, x, y.copysign(x))
    return _erfinv_edges(x, y)


@expansion("digamma", "d")
def _digamma(x: Expr) -> Expr:
    """Reflection for negative arguments, recurrence up to 10, then the asymptotic series."""
    negative = x < 0
    y = where(negative, 1 - x, x)
    total = Expr.constant(0, x.dtype)
    for _ in range(10):
        small = y < 10
        total = total - where(small, 1 / y, 0.0)
        y = where(small, y + 1, y)
    inverse = 1 / y
    square = inverse * inverse
    result = total + y.log() - 0.5 * inverse - square * polynomial(square, DIGAMMA)
    fraction = x - x.trunc()
    pole = (x < 0) & (fraction == 0)
    result = where(
        negative, result - 3.141592653589793 / (3.141592653589793 * fraction).tan(), result
    )
    result = where(pole, NAN, result)
    return where(
        x == 0, Expr.constant(-INFINITY, x.dtype).copysign(-x), where(x == INFINITY, x, result)
    )


@expansion("digamma", "s")
def _digamma_single(x: Expr) -> Expr:
    return x.to("float64").digamma().to("float32")


@expansion("hypot", "s")
def _hypot(x: Expr, y: Expr) -> Expr:
    a, b = x.to("float64"), y.to("float64")
    return where(x.isinf() | y.isinf(), INFINITY, (a * a + b * b).sqrt().to("float32"))


@expansion("hypot", "d")
def _hypot_double(x: Expr, y: Expr) -> Expr:
    a, b = x.abs(), y.abs()
    large, small = where(a > b, a, b), where(a > b, b, a)
    ratio = where(large == 0, 0.0, small / large)
    result = large * fma(ratio, ratio, 1).sqrt()
    return where(x.isinf() | y.isinf(), INFINITY, where(a.isnan() | b.isnan(), a + b, result))


@expansion("pow", "sd")
def _pow(x: Expr, y: Expr) -> Expr:
    """The exponents for which a product or a root does; else the general power."""
    if y.op == "constant":
        if y.value in (2.0, 3.0):
            return x * x if y.value == 2 else x * x * x
        if y.value in (0.0, 1.0):
            return x if y.value else Expr.constant(1, x.dtype)
        if y.value in (-1.0, -2.0):
            return 1 / x if y.value == -1 else 1 / (x * x)
        if y.value == 0.5:
            return x.sqrt()
        if y.value == -0.5:
            return 1 / x.sqrt()
    if x.dtype == "float64":
        return library("pow", x, y)
    return _pow_single(x, y)


def _pow_single(x: Expr, y: Expr) -> Expr:
    """The power of float32 numbers, as 2 ** (y log2 |x|) in float64."""
    size = x.abs()
    e, m = split_mantissa(where(size < 2.0**-126, size * 2.0**23, size))
    e = where(size < 2.0**-126, e - 23, e)
    f = m.to("float64") - 1
    logarithm = fma(f, polynomial(f, LOG2), e.to("float64"))
    logarithm = where(size.isinf(), INFINITY, where(size == 0, -INFINITY, logarithm))
    exponent = clamp(y.to("float64") * logarithm, -200.0, 200.0)
    n, integer = nearest_integer(exponent)
    r = exponent - n
    result = (polynomial(r, EXP2) * power_of_two(integer, "float64")).to("float32")
    result = where(x.isnan() | y.isnan(), x + y, result)
    whole, half = y == y.trunc(), y * 0.5
    odd = whole & (half != half.trunc())
    signed = where(odd & x.signbit(), -result, result)
    # No power of a negative number but to a whole exponent; infinite exponents count as whole.
    result = where((x < 0) & ~whole & (x.abs() < INFINITY), NAN, signed)
    return where((y == 0) | (x == 1) | ((x == -1) & y.isinf()), 1.0, result)

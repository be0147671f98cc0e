"""Powers, distances, error and gamma functions. Called through `codegen/math.py`; for the
coefficients see `codegen/exponential.py`.
"""

from __future__ import annotations

from flambeau.codegen.circular import cosine_near, sine_near
from flambeau.codegen.exponential import (
    FORMATS,
    INFINITY,
    LOG2_E,
    NAN,
    clamp,
    exp_below,
    nearest_integer,
    normal_exp2,
    polynomial,
    power_of_two,
    scale,
    split_exponent,
    split_mantissa,
)
from flambeau.codegen.expr import Expr, build, fma, library, where
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


# fmt: off
# erfinv(x) / x by x**2 up to x = 1/2; beyond in his form with w = -log(1 - x**2): by w - 3.125 up
# to 6.25, by sqrt(w) - 3.25 up to 16, by sqrt(w) - 5
ERFINV_HALF = (
    0.886226925452758, 0.23201366653465413, 0.12755617530570315, 0.0865521292292127,
    0.06495961850081922, 0.051731254206879476, 0.042837384875337906, 0.03645508815312888,
    0.03181328872213812, 0.026965869444275724, 0.030926683556297817, -0.0015180991341034915,
    0.08735877922389056, -0.09659612543622662, 0.12013988506575553,
)
ERFINV_NEAR = (
    1.6536545626831027, 0.2401581824255897, -0.006033670871427011, -0.0007407025341669402,
    0.0001867342080212427, -1.3882523361276876e-05, -1.3654691796592068e-06,
    4.2347877672780653e-07, -2.907038666019143e-08, -4.112633104297614e-09, 1.0512202440121784e-09,
    -5.4154417754696635e-11, -1.2977505202014966e-11, 2.6335724924608484e-12,
    -8.106594456438496e-14, -4.0554139746886e-14, 6.581955305929239e-15, 2.166994626283574e-17,
    -1.290702354613073e-16, 1.1125794759379464e-17, 1.1027771591500033e-18, -1.6787330615256773e-19,
    -2.362369698566107e-22,
)
ERFINV_MIDDLE = (
    3.0838856104922208, 1.0052589676941592, 0.0053709145535581985, -0.0037512085075638536,
    0.0024914420976198813, -0.0016882755561681802, 0.0009532893521118177, -0.00035503751863069763,
    2.4031363245440546e-05, 6.828484052292924e-05, -4.731952918337189e-05, 1.2475343474376931e-05,
    2.9273723115986924e-06, -4.013946398190292e-06, 1.4958263152984917e-06, 1.832399988132858e-08,
    -2.6860975725571463e-07, 9.071950571029922e-08, -3.831039946072411e-10,
)
ERFINV_FAR = (
    4.849906401408584, 1.010300464864542, -0.00013871931834984972, -0.0002150301196652802,
    7.599527731888768e-05, -1.9681773003487734e-05, 4.526060254214377e-06, -9.930148005063563e-07,
    2.2901417928715802e-07, -6.760498881121213e-08, 2.9127625933424432e-08, -1.516272695719642e-08,
    7.640190739319166e-09, -3.5706538614422482e-09, 1.4922864930745095e-09, -3.809566385046982e-10,
    -2.319023183133077e-11, 2.95991389121816e-11,
)
# (1 + 2 x) exp(x**2) erfc(x) for x >= 0 by (x - centre) / (x + centre) (the form is that of
# Shepherd and Laframboise, Chebyshev approximation of (1 + 2x) exp(x**2) erfc x, 1981), and an x
# where erfc is 0
ERFC = {
    "float32": (
        1.2648381714854655, -0.12235688066377556, -0.09902337186073049, 0.15763282971578418,
        -0.10298317209615546, 0.03273708975767058, 0.0010076517556969267, -0.004290757153058597,
        0.0003508853950101214, 0.00046790983088029005,
    ),
    "float64": (
        1.2375126308378275, -0.14024059858554702, 0.003585415485479575, 0.08227673849014977,
        -0.10880393014246645, 0.09230432116025894, -0.05869339857631061, 0.028362277420377335,
        -0.00974657968596217, 0.001755625843431864, 0.000293714390578856, -0.00029015404203352704,
        5.164649341002877e-05, 2.2384138525656757e-05, -1.1437980374495534e-05,
        -9.733875167494142e-07, 1.7419011945194367e-06, -5.741076073013916e-08,
        -2.4851108650210706e-07, 2.3398534313040898e-08, 3.195398612057818e-08,
        -3.798189797736207e-09, -2.618520156503145e-09, 3.2052623379289157e-10,
    ),
}
ERFC_CENTRE, ERFC_ZERO = {"float32": 2.5, "float64": 3.75}, {"float32": 11.0, "float64": 28.0}
# lgamma(u) / ((u - 1) (u - 2)) by u - 2 from 1 to 2.5; what lgamma(y) differs from the start of
# Stirling's series, times y, by 1 / y**2; sin(pi r) / r by r**2 up to 1 / 2
LGAMMA = (
    0.42278433490, -0.10031730265, 0.03296503329, -0.01238413160, 0.00499777448, -0.00210952369,
    0.00092323126, -0.00039141133, 0.00015624706, -0.00014695779, 4.91174949e-05, 8.25755090e-05,
    7.31744753e-05,
)
STIRLING = (0.08333333312, -0.00277769419, 0.00078839018, -0.00048476336)
STIRLING_START = 0.4189385332046728  # log(2 pi) / 2 - 1 / 2
SINE_PI = (
    3.141592653536, -5.167712764593, 2.550163317938, -0.599252186532, 0.08205035020, -0.00702830386,
)
# Asymptotic series of trigamma: the Bernoulli numbers B(2k), k from 1
TRIGAMMA = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798
)
# 2/3 in two parts; (log((1 + s) / (1 - s)) - 2 s - 2/3 s**3) / s**5 by s**2
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
LOG_REST = (
    0.4, 0.2857142857142938, 0.2222222222164882, 0.1818181833699257, 0.15384594791762352,
    0.13334813971292003, 0.11705988156500907, 0.11725771221811145,
)
# fmt: on


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
    size = x.abs()
    w = -((1 - size) * (1 + size)).log()
    root = w.sqrt()
    far = where(w < 16, polynomial(root - 3.25, ERFINV_MIDDLE), polynomial(root - 5, ERFINV_FAR))
    outer = where(w < 6.25, polynomial(w - 3.125, ERFINV_NEAR), far)
    return _erfinv_edges(x, where(size < 0.5, polynomial(x * x, ERFINV_HALF), outer) * x)


@expansion("erfc", "sd")
def _erfc(x: Expr) -> Expr:
    size, centre = x.abs(), ERFC_CENTRE[x.dtype]
    size = where(size < ERFC_ZERO[x.dtype], size, ERFC_ZERO[x.dtype])
    square = size * size
    lost = fma(size, size, -square)
    bell = (-square).exp()
    t = (size - centre) / (size + centre)
    tail = (bell - bell * lost) * polynomial(t, ERFC[x.dtype]) / fma(size, 2, 1)
    small = 1 - fma(x, polynomial(square, ERF_SMALL[x.dtype]), x)
    result = where(x.abs() < 0.5, small, where(x < 0, 2 - tail, tail))
    return where(x.isnan(), x, result)


@expansion("lgamma", "s")
def _lgamma(x: Expr) -> Expr:
    """Around 1 and 2 a polynomial that has these zeros, from 3.5 on Stirling's series, between and
    below a step of the recurrence; negative arguments by reflection, in one logarithm with it.
    """
    y = x.abs()
    low, high = y < 1.5, y > 2.5
    far = y >= 3.5
    t = where(low, y - 1, where(high, y - 3, y - 2))
    near = t * (t + 1) * polynomial(t, LGAMMA)
    inverse = 1 / y
    start = fma(y - 0.5, y.log() - 1, STIRLING_START)
    result = where(far, fma(inverse, polynomial(inverse * inverse, STIRLING), start), near)
    # what the step of the recurrence leaves: lgamma(y) = result - log(factor)
    factor = where(low, y, where(high & ~far, 1 / (y - 1), 1.0))
    r = y - y.round()
    sine = (r * polynomial(r * r, SINE_PI)).abs() * 0.31830988
    factor = where(x < 0, y / factor * sine, factor)
    result = where(x < 0, -result, result) - factor.log()
    return where(y == INFINITY, INFINITY, where(x.isnan(), x, result))


@expansion("lgamma", "d")
def _lgamma_double(x: Expr) -> Expr:
    return library("lgamma", x)


def trigamma(x: Expr) -> Expr:
    """The derivative of digamma: reflection, recurrence up to 8, then the asymptotic series."""
    if x.dtype != "float64":
        return trigamma(x.to("float64")).to(x.dtype)
    mirrored = x < 0.5
    y = where(mirrored, 1 - x, x)
    total = Expr.constant(0, x.dtype)
    for _ in range(8):
        small, inverse = y < 8, 1 / y
        total = total + where(small, inverse * inverse, 0.0)
        y = where(small, y + 1, y)
    inverse = 1 / y
    square = inverse * inverse
    series = inverse + square * 0.5 + inverse * square * polynomial(square, TRIGAMMA)
    half = (x - x.round()) * 1.5707963267948966
    sine = 2 * sine_near(half) * cosine_near(half)
    reflected = 9.869604401089358 / (sine * sine)
    result: Expr = where(mirrored, reflected - (total + series), total + series)
    return where(x == -INFINITY, INFINITY, where(x == INFINITY, 0.0, result))


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
    return _pow_single(x, y) if x.dtype == "float32" else _pow_double(x, y)


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
    return _signed_power(x, y, result)


def _signed_power(x: Expr, y: Expr, result: Expr) -> Expr:
    """x ** y from |x| ** y."""
    result = where(x.isnan() | y.isnan(), x + y, result)
    whole, half = y == y.trunc(), y * 0.5
    odd = whole & (half != half.trunc())
    signed = where(odd & x.signbit(), -result, result)
    # No power of a negative number but to a whole exponent; infinite exponents count as whole.
    result = where((x < 0) & ~whole & (x.abs() < INFINITY), NAN, signed)
    return where((y == 0) | (x == 1) | ((x == -1) & y.isinf()), 1.0, result)


def _exact_product(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """a * b, and what its rounding lost."""
    product = a * b
    return product, build("exact_fma", a, b, -product)


def _logarithm(size: Expr) -> tuple[Expr, Expr]:
    """log(size) as the sum of two float64, to some 68 bits."""
    form = FORMATS["float64"]
    small = size < form.tiny
    e, m = split_mantissa(where(small, size * 2.0**form.mantissa, size))
    e = e.to("float64") - where(small, Expr.constant(form.mantissa, "float64"), 0)
    f = m - 1
    d = f + 2
    inverse = 1 / d
    s = f * inverse
    rest = (build("exact_fma", -s, d, f) - s * (f - (d - 2))) * inverse  # (f / d) - s
    square, square_rest = _exact_product(s, s)
    square_rest = fma(s * 2, rest, square_rest)
    cube, cube_rest = _exact_product(square, s)
    cube_rest = fma(square, rest, fma(square_rest, s, cube_rest))
    third, third_rest = _exact_product(cube, Expr.constant(TWO_THIRDS[0], "float64"))
    third_rest = fma(cube, TWO_THIRDS[1], fma(cube_rest, TWO_THIRDS[0], third_rest))
    third_rest = fma(square * cube, polynomial(square, LOG_REST), third_rest)
    whole, twice = e * form.ln2[0], s * 2
    first = whole + twice
    second = first + third
    low = (twice - (first - whole)) + (third - (second - first))
    low = low + fma(e, form.ln2[1], fma(rest, 2, third_rest))
    high = second + low
    return high, low - (high - second)


def _pow_double(x: Expr, y: Expr) -> Expr:
    """The power of float64 numbers, as exp(y log |x|)."""
    form, size = FORMATS["float64"], x.abs()
    high, low = _logarithm(size)
    high = where(size.isinf(), INFINITY, where(size == 0, -INFINITY, high))
    exponent, rest = _exact_product(y, high)
    bound = clamp(exponent, *form.exp_range)
    _, integer, r = split_exponent(bound)
    r = r + where(bound == exponent, fma(y, low, rest), 0.0)
    return _signed_power(x, y, scale(1 + fma(r * r, polynomial(r, form.exp), r), integer))

"""Bessel, Airy, scaled error and inverse normal functions as expressions. Called by the bodies of
ops.special_functions.

Each interval has one Chebyshev series (codegen/bessel_tables.py, made by tools/fit_functions.py) of
a form in which the function is smooth; everything is computed in float64. Formulas: NIST Digital
Library of Mathematical Functions, chapters 9 and 10.

    >>> bessel_j0(Expr.input(0, "float32")).dtype
    'float32'
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flambeau.codegen.bessel_tables import TABLES
from flambeau.codegen.expr import Expr, where

INFINITY, NAN = math.inf, math.nan
TWO_OVER_PI = 2 / math.pi


def series(name: str, u: Expr) -> Expr:
    """The Chebyshev series `name` at `u`, by Clenshaw's recurrence."""
    (low, high), coefficients = TABLES[name]
    t = (2 * u - (low + high)) / (high - low)
    first, second = Expr.constant(coefficients[-1], u.dtype), Expr.constant(0.0, u.dtype)
    for c in reversed(coefficients[1:-1]):
        first, second = 2 * t * first - second + c, first
    return t * first - second + coefficients[0]


def in_double(function: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    """`function` of a float64, for any floating argument."""

    def wide(x: Expr) -> Expr:
        return function(x.to("float64")).to(x.dtype)

    wide.__name__, wide.__doc__ = function.__name__, function.__doc__
    return wide


def at_least(x: Expr, bound: float) -> Expr:
    """`x`, or the bound where x is below it: for the branch that is not taken."""
    return where(x < bound, bound, x)


# -- modified Bessel functions
# -----------------------------------------------------------------------


@in_double
def i0e(x: Expr) -> Expr:
    """exp(-|x|) I0(x)."""
    size = x.abs()
    large = at_least(size, 8.0)
    return where(
        size <= 8, series("I0E_SMALL", size), series("I0E_LARGE", 1 / large) / large.sqrt()
    )


@in_double
def i0(x: Expr) -> Expr:
    """I0(x)."""
    return x.abs().exp() * i0e(x)


@in_double
def i1e(x: Expr) -> Expr:
    """exp(-|x|) I1(x)."""
    size = x.abs()
    large = at_least(size, 8.0)
    value = where(
        size <= 8, size * series("I1E_SMALL", size), series("I1E_LARGE", 1 / large) / large.sqrt()
    )
    return where(x < 0, -value, value)


@in_double
def i1(x: Expr) -> Expr:
    """I1(x)."""
    return x.abs().exp() * i1e(x)


def _second_kind(x: Expr, small: Expr, large: str, scaled: bool) -> Expr:
    """K0 and K1: `small` up to 2, a scaled series beyond; infinite at 0, undefined below."""
    far = at_least(x, 2.0)
    value = series(large, 1 / far) / far.sqrt()
    if scaled:
        small = small * x.exp()
    else:
        value = value * (-far).exp()
    return where(x < 0, NAN, where(x == 0, INFINITY, where(x <= 2, small, value)))


def _k0(x: Expr, scaled: bool) -> Expr:
    near = where((x <= 0) | (x > 2), 1.0, x)
    return _second_kind(
        x, series("K0_SMALL", near * near) - (near * 0.5).log() * i0(near), "K0_LARGE", scaled
    )


def _k1(x: Expr, scaled: bool) -> Expr:
    near = where((x <= 0) | (x > 2), 1.0, x)
    small = series("K1_SMALL", near * near) / near + (near * 0.5).log() * i1(near)
    return _second_kind(x, small, "K1_LARGE", scaled)


modified_bessel_k0 = in_double(lambda x: _k0(x, False))
modified_bessel_k1 = in_double(lambda x: _k1(x, False))
scaled_modified_bessel_k0 = in_double(lambda x: _k0(x, True))
scaled_modified_bessel_k1 = in_double(lambda x: _k1(x, True))

# -- Bessel functions
# --------------------------------------------------------------------------------


def _wave(order: int, size: Expr, second: bool) -> Expr:
    """J and Y for arguments from 5 on: an amplitude times a cosine and a sine."""
    far = at_least(size, 5.0)
    inverse = 1 / (far * far)
    p, q = series(f"P{order}", inverse), series(f"Q{order}", inverse) / far
    angle = far - (2 * order + 1) * math.pi / 4
    cosine, sine = angle.cos(), angle.sin()
    amplitude = (TWO_OVER_PI / far).sqrt()
    return amplitude * (p * sine + q * cosine if second else p * cosine - q * sine)


@in_double
def bessel_j0(x: Expr) -> Expr:
    """J0(x)."""
    size = x.abs()
    value = where(size <= 5, series("J0_SMALL", x * x), _wave(0, size, False))
    return where(x.isinf(), 0.0, value)


@in_double
def bessel_j1(x: Expr) -> Expr:
    """J1(x)."""
    size = x.abs()
    value = where(size <= 5, size * series("J1_SMALL", x * x), _wave(1, size, False))
    return where(x.isinf(), 0.0, where(x < 0, -value, value))


def _second(x: Expr, near: Expr, far: Expr) -> Expr:
    """Y0 and Y1: undefined below 0, minus infinity there."""
    value = where(x <= 5, near, where(x.isinf(), 0.0, far))
    return where(x < 0, NAN, where(x == 0, -INFINITY, value))


@in_double
def bessel_y0(x: Expr) -> Expr:
    """Y0(x)."""
    near = where((x <= 0) | (x > 5), 1.0, x)
    small = series("Y0_SMALL", near * near) + TWO_OVER_PI * near.log() * series(
        "J0_SMALL", near * near
    )
    return _second(x, small, _wave(0, x, True))


@in_double
def bessel_y1(x: Expr) -> Expr:
    """Y1(x)."""
    near = where((x <= 0) | (x > 5), 1.0, x)
    j1 = near * series("J1_SMALL", near * near)
    small = series("Y1_SMALL", near * near) / near + TWO_OVER_PI * near.log() * j1
    return _second(x, small, _wave(1, x, True))


@in_double
def spherical_bessel_j0(x: Expr) -> Expr:
    """sin(x) / x."""
    small, square = x.abs() < 0.5, x * x
    near = 1 - square / 6 * (
        1 - square / 20 * (1 - square / 42 * (1 - square / 72 * (1 - square / 110)))
    )
    return where(x.isinf(), 0.0, where(small, near, x.sin() / where(small, 1.0, x)))


@in_double
def airy_ai(x: Expr) -> Expr:
    """Ai(x)."""
    far = at_least(x.abs(), 2.09)
    z, root = far * far.sqrt() * (2 / 3), far.sqrt().sqrt()
    inverse = 1 / (z * z)
    p, q = series("AIRY_P", inverse), series("AIRY_Q", inverse) / z
    angle = z - math.pi / 4
    wave = (p * angle.cos() + q * angle.sin()) / (math.sqrt(math.pi) * root)
    decay = series("AIRY_LARGE", 1 / z) / root * (-z).exp()
    middle = series("AIRY_MIDDLE", where(x.abs() > 2.09, 0.0, x))
    value = where(x.abs() <= 2.09, middle, where(x > 0, decay, wave))
    return where(x.isinf(), where(x > 0, 0.0, NAN), where(x.isnan(), x, value))


# -- normal distribution
# -----------------------------------------------------------------------------


@in_double
def erfcx(x: Expr) -> Expr:
    """exp(x**2) erfc(x) (Shepherd and Laframboise, Mathematics of Computation 36, 1981)."""
    size = x.abs()
    t = where(size.isinf(), 1.0, (size - 3.75) / (size + 3.75))
    value = series("ERFCX", t) / (1 + 2 * size)
    return where(x < 0, 2 * (x * x).exp() - value, value)


@in_double
def ndtri(p: Expr) -> Expr:
    """The number below which a standard normal variable falls with probability p."""
    lower = where(p > 0.5, 1 - p, p)
    centre = p - 0.5
    square = where(centre.abs() > 0.38, 0.0, centre * centre)
    r = at_least((-2 * where(lower <= 0, 1.0, lower).log()).sqrt(), 1.8)
    near = series("NDTRI_NEAR", where(r > 6, 6.0, r))
    inverse = 1 / at_least(r, 6.0)
    far = series("NDTRI_FAR", inverse) * -inverse.log()
    tail = r + where(r <= 6, near, far) / r
    value = where(
        centre.abs() <= 0.38,
        centre * series("NDTRI_CENTRE", square),
        where(centre < 0, -tail, tail),
    )
    ends = where(p == 0, -INFINITY, where(p == 1, INFINITY, value))
    return where((p < 0) | (p > 1), NAN, ends)

"""Special functions whose number of steps depends on the argument: scalar functions in the native
language, called from expressions one element at a time.

    >>> zeta(Expr.input(0, "float64"), Expr.input(1, "float64")).op
    'native'

The Hurwitz zeta function is summed as by Euler and Maclaurin (NIST 25.11.5), the incomplete gamma
functions by their series and continued fraction (NIST 8.7.1, 8.9.2), the orthogonal polynomials by
their recurrences (NIST 18.9). `codegen/emit.py` puts the text of a function into the kernels that
call it (`pieces`).
"""

from __future__ import annotations

import functools
import re
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.native import Extern, Unit, f64, i64, native

INFINITY, NAN = float("inf"), float("nan")
EPSILON = 1.1102230246251565e-16
exp = Extern("exp", f64, f64)
log = Extern("log", f64, f64)
power = Extern("pow", f64, f64, f64)
cosine = Extern("cos", f64, f64)
arc_cosine = Extern("acos", f64, f64)
sine = Extern("sin", f64, f64)
floor = Extern("floor", f64, f64)
size_of = Extern("fabs", f64, f64)
log_gamma = Extern("lgamma", f64, f64)


# -- zeta ------------------------------------------------------------------------------------------


@native
def euler_maclaurin(k: i64) -> f64:
    """(2k)! / B(2k), k from 1 to 12."""
    if k < 7:
        if k == 1:
            return 12.0
        if k == 2:
            return -720.0
        if k == 3:
            return 30240.0
        if k == 4:
            return -1209600.0
        if k == 5:
            return 47900160.0
        return -1892437580.3183791
    if k == 7:
        return 74724249600.0
    if k == 8:
        return -2950130727918.1642
    if k == 9:
        return 116467828143500.67
    if k == 10:
        return -4597978722407472.0
    if k == 11:
        return 1.8152105401943546e17
    return -7.166165256175667e18


@native
def hurwitz(x: f64, q: f64) -> f64:
    """The sum of (q + n)**-x over n >= 0."""
    if x == 1.0:
        return INFINITY
    if x < 1.0:
        return NAN
    if q <= 0.0:
        if q == floor(q):
            return INFINITY
        if x != floor(x):
            return NAN
    total = power(q, -x)
    a = q
    b = f64(0.0)
    steps = i64(0)
    while steps < 9 or a <= 9.0:
        steps += 1
        a += 1.0
        b = power(a, -x)
        total += b
        if size_of(b) < EPSILON * size_of(total):
            return total
    w = a
    total += b * w / (x - 1.0)
    total -= 0.5 * b
    factor = f64(1.0)
    k = f64(0.0)
    for i in range(12):
        factor *= x + k
        b = b / w
        term = factor * b / euler_maclaurin(i + 1)
        total += term
        if size_of(term) < EPSILON * size_of(total):
            return total
        k += 1.0
        factor *= x + k
        b = b / w
        k += 1.0
    return total


# -- incomplete gamma functions -------------------------------------------------------------------


@native
def gamma_series(a: f64, x: f64) -> f64:
    """The lower function, for x up to about a."""
    total, term, n = f64(1.0), f64(1.0), a
    for _ in range(100000):
        n += 1.0
        term *= x / n
        total += term
        if term < EPSILON * total:
            break
    return total * exp(a * log(x) - x - log_gamma(a + 1.0))


@native
def gamma_fraction(a: f64, x: f64) -> f64:
    """The upper function, for x beyond a: Lentz's form of the continued fraction."""
    tiny = f64(1e-300)
    b = x + 1.0 - a
    c = 1.0 / tiny
    d = 1.0 / b
    result = d
    for i in range(100000):
        n = f64(i + 1)
        step = n * (a - n)
        b += 2.0
        d = step * d + b
        if size_of(d) < tiny:
            d = tiny
        c = b + step / c
        if size_of(c) < tiny:
            c = tiny
        d = 1.0 / d
        change = d * c
        result *= change
        if size_of(change - 1.0) < EPSILON:
            break
    return result * exp(a * log(x) - x - log_gamma(a))


@native
def lower_gamma(a: f64, x: f64) -> f64:
    """P(a, x)."""
    if x != x or a != a or x < 0.0 or a < 0.0:
        return NAN
    if a == 0.0:
        return 1.0 if x > 0.0 else NAN
    if x == 0.0:
        return 0.0
    if a == INFINITY:
        return NAN if x == INFINITY else 0.0
    if x == INFINITY:
        return 1.0
    if x > a + 1.0:
        return 1.0 - gamma_fraction(a, x)
    return gamma_series(a, x)


@native
def upper_gamma(a: f64, x: f64) -> f64:
    """Q(a, x)."""
    if x != x or a != a or x < 0.0 or a < 0.0:
        return NAN
    if a == 0.0:
        return 0.0 if x > 0.0 else NAN
    if x == 0.0:
        return 1.0
    if a == INFINITY:
        return NAN if x == INFINITY else 1.0
    if x == INFINITY:
        return 0.0
    if x > a + 1.0:
        return gamma_fraction(a, x)
    return 1.0 - gamma_series(a, x)


# -- orthogonal polynomials ------------------------------------------------------------------------


@native
def sign_at(x: f64, n: i64) -> f64:
    """x**n for x of size 1."""
    return 1.0 if x > 0.0 or n % 2 == 0 else -1.0


@native
def three_terms(first: f64, second: f64, x: f64, n: i64) -> f64:
    """The n-th of a sequence with p(k + 1) = 2 x p(k) - p(k - 1)."""
    p, q = first, second
    if n == 0:
        return p
    for _ in range(n - 1):
        r = 2.0 * x * q - p
        p = q
        q = r
        if q != q:
            break
    return q


@native
def chebyshev_t(x: f64, degree: f64) -> f64:
    """The polynomial of the first kind."""
    n = i64(degree)
    if n < 0:
        return 0.0
    if size_of(x) == 1.0:
        return sign_at(x, n)
    if n > 6 and size_of(x) < 1.0:
        return cosine(f64(n) * arc_cosine(x))
    return three_terms(1.0, x, x, n)


@native
def chebyshev_u(x: f64, degree: f64) -> f64:
    """The polynomial of the second kind."""
    n = i64(degree)
    if n < 0:
        return 0.0
    if size_of(x) == 1.0:
        return sign_at(x, n) * f64(n + 1)
    if n > 8 and size_of(x) < 1.0:
        angle = arc_cosine(x)
        return sine(f64(n + 1) * angle) / sine(angle)
    return three_terms(1.0, 2.0 * x, x, n)


@native
def chebyshev_v(x: f64, degree: f64) -> f64:
    """The polynomial of the third kind."""
    n = i64(degree)
    if n < 0:
        return 0.0
    if size_of(x) == 1.0:
        return 1.0 if x > 0.0 else sign_at(x, n) * f64(n + n + 1)
    if n > 8 and size_of(x) < 1.0:
        angle = arc_cosine(x)
        return cosine((f64(n) + 0.5) * angle) / cosine(angle * 0.5)
    return three_terms(1.0, 2.0 * x - 1.0, x, n)


@native
def chebyshev_w(x: f64, degree: f64) -> f64:
    """The polynomial of the fourth kind."""
    n = i64(degree)
    if n < 0:
        return 0.0
    if size_of(x) == 1.0:
        return f64(n + n + 1) if x > 0.0 else sign_at(x, n)
    if n > 8 and size_of(x) < 1.0:
        angle = arc_cosine(x)
        return sine((f64(n) + 0.5) * angle) / sine(angle * 0.5)
    return three_terms(1.0, 2.0 * x + 1.0, x, n)


@native
def hermite_h(x: f64, degree: f64) -> f64:
    """The physicist's polynomial."""
    n = i64(degree)
    p, q = f64(1.0), 2.0 * x
    if n < 0:
        return 0.0
    if n == 0:
        return p
    for k in range(1, n):
        r = 2.0 * x * q - 2.0 * f64(k) * p
        p = q
        q = r
        if q != q:
            break
    return q


@native
def hermite_he(x: f64, degree: f64) -> f64:
    """The probabilist's polynomial."""
    n = i64(degree)
    p, q = f64(1.0), x
    if n < 0:
        return 0.0
    if n == 0:
        return p
    for k in range(1, n):
        r = x * q - f64(k) * p
        p = q
        q = r
        if q != q:
            break
    return q


@native
def laguerre_l(x: f64, degree: f64) -> f64:
    """The Laguerre polynomial."""
    n = i64(degree)
    p, q = f64(1.0), 1.0 - x
    if n < 0:
        return 0.0
    if n == 0 or x == 0.0:
        return p
    for k in range(1, n):
        r = ((f64(k + k) + 1.0 - x) * q - f64(k) * p) / f64(k + 1)
        p = q
        q = r
        if q != q:
            break
    return q


@native
def legendre_p(x: f64, degree: f64) -> f64:
    """The Legendre polynomial."""
    n = i64(degree)
    p, q = f64(1.0), x
    if n < 0:
        return 0.0
    if size_of(x) == 1.0:
        return sign_at(x, n)
    if n == 0:
        return p
    for k in range(1, n):
        r = (f64(k + k + 1) * x * q - f64(k) * p) / f64(k + 1)
        p = q
        q = r
        if q != q:
            break
    return q


# -- as expressions
# ----------------------------------------------------------------------------------

FUNCTIONS = {
    function.name: function
    for function in (
        hurwitz, lower_gamma, upper_gamma, chebyshev_t, chebyshev_u, chebyshev_v, chebyshev_w,
        hermite_h, hermite_he, laguerre_l, legendre_p,
    )
}  # fmt: skip


@functools.cache
def unit(name: str) -> Unit:
    return Unit("special", [FUNCTIONS[name]])


def call(name: str, *args: Expr) -> Expr:
    """A call of a native function; the key of its sources is part of the expression's identity."""
    wide = tuple(arg.to("float64") for arg in args)
    value = Expr.make("native", wide, "float64", (name, unit(name).key()))
    return value.to(args[0].dtype)


def zeta(x: Expr, q: Expr) -> Expr:
    """The Hurwitz zeta function."""
    return call("hurwitz", x, q)


def pieces(name: str) -> dict[str, str]:
    """The declarations and definitions that a kernel needs which calls a function, by symbol."""
    text, found = unit(name).text_with_intrinsics(), {}
    for match in re.finditer(r"^declare .*?@([\w.]+)\(.*$", text, re.M):
        found[match[1]] = match[0]
    for match in re.finditer(r'^define (?:internal )?(.*?@"([^"]+)"\((?s:.*?)^\}$)', text, re.M):
        found[f'@"{match[2]}"'] = f"define internal {match[1]}"
    return found


def symbol(value: Any) -> str:
    """The name of a `native` node's function in IR."""
    return f'@"{unit(value[0]).symbol(FUNCTIONS[value[0]])}"'

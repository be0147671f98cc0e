"""Complex arithmetic in pairs of real expressions. Called by `codegen/emit.py` while it lowers a
kernel's expressions.

Each rule takes the parts of its arguments and returns the parts of the result (one part if the
result is real):

    >>> x, y = Expr.input(0, "float32"), Expr.input(1, "float32")
    >>> RULES["conj"]((x, y))
    (in0, neg(in1))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.codegen.dtypes import KIND, real_dtype
from flambeau.codegen.expr import Expr, where

Pair = tuple[Expr, ...]
RULES: dict[str, Callable[..., Pair]] = {}
LN2, LN10 = 0.6931471805599453, 2.302585092994046


def expand(node: Expr, args: Sequence[Pair]) -> Pair:
    """The real parts of `node`, whose arguments have been expanded to `args`; `node` or an argument
    is complex.
    """
    if node.op in ("input", "slot"):
        place = node.value[0] if node.op == "input" else node.value
        real = real_dtype(node.dtype)
        return Expr.make("part", (), real, (place, 0)), Expr.make("part", (), real, (place, 1))
    if node.op == "complex":
        return args[0][0], args[1][0]
    if node.op == "to":
        return _convert(args[0], node.dtype)
    if node.op == "where":
        condition, a, b = args
        return tuple(where(condition[0], x, y) for x, y in zip(a, b))
    if node.op not in RULES:
        raise NotImplementedError(f"{node.op} is not implemented for complex numbers")
    return RULES[node.op](*args)


def _convert(z: Pair, dtype: str) -> Pair:
    real = real_dtype(dtype)
    if KIND[dtype] != "c":
        return (((z[0] != 0) | (z[1] != 0)) if dtype == "bool" else z[0].to(dtype),)
    imaginary = z[1].to(real) if len(z) == 2 else Expr.constant(0, real)
    return z[0].to(real), imaginary


def rule(name: str) -> Callable[[Callable[..., Pair]], Callable[..., Pair]]:
    """Register the rule for an operation of the scalar table."""

    def register(function: Callable[..., Pair]) -> Callable[..., Pair]:
        RULES[name] = function
        return function

    return register


def _constant(value: float, like: Expr) -> Expr:
    return Expr.constant(value, like.dtype)


def _times_i(z: Pair) -> Pair:
    return -z[1], z[0]


@rule("add")
def add(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


@rule("sub")
def sub(a: Pair, b: Pair) -> Pair:
    return a[0] - b[0], a[1] - b[1]


@rule("mul")
def mul(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


@rule("fma")
def _fma(a: Pair, b: Pair, c: Pair) -> Pair:
    return add(mul(a, b), c)


@rule("square")
def _square(z: Pair) -> Pair:
    return mul(z, z)


@rule("div")
def div(a: Pair, b: Pair) -> Pair:
    """Scaled against overflow; by zero and by infinity as in Annex G of the C standard."""
    scale = b[0].abs().maximum(b[1].abs())
    safe = where((scale == 0) | scale.isinf(), 1.0, scale)
    c, d = b[0] / safe, b[1] / safe
    norm = c * c + d * d
    x, y = (a[0] * c + a[1] * d) / norm / safe, (a[1] * c - a[0] * d) / norm / safe
    endless = _constant(float("inf"), c).copysign(b[0])
    x, y = where(scale == 0, endless * a[0], x), where(scale == 0, endless * a[1], y)
    vanishes = scale.isinf() & a[0].isfinite() & a[1].isfinite()
    return where(vanishes, 0.0, x), where(vanishes, 0.0, y)


@rule("reciprocal")
def _reciprocal(z: Pair) -> Pair:
    return div((_constant(1, z[0]), _constant(0, z[0])), z)


@rule("neg")
def _neg(z: Pair) -> Pair:
    return -z[0], -z[1]


@rule("conj")
def _conj(z: Pair) -> Pair:
    return z[0], -z[1]


@rule("real")
def _real(z: Pair) -> Pair:
    return (z[0],)


@rule("imag")
def _imag(z: Pair) -> Pair:
    return (z[1],)


@rule("abs")
def _abs(z: Pair) -> Pair:
    return (z[0].hypot(z[1]),)


@rule("angle")
def _angle(z: Pair) -> Pair:
    return (z[1].atan2(z[0]),)


@rule("sgn")
def _sgn(z: Pair) -> Pair:
    size = z[0].hypot(z[1])
    return where(size == 0, 0.0, z[0] / size), where(size == 0, 0.0, z[1] / size)


@rule("eq")
def _eq(a: Pair, b: Pair) -> Pair:
    return ((a[0] == b[0]) & (a[1] == b[1]),)


@rule("ne")
def _ne(a: Pair, b: Pair) -> Pair:
    return ((a[0] != b[0]) | (a[1] != b[1]),)


@rule("isnan")
def _isnan(z: Pair) -> Pair:
    return (z[0].isnan() | z[1].isnan(),)


@rule("isinf")
def _isinf(z: Pair) -> Pair:
    return (z[0].isinf() | z[1].isinf(),)


@rule("isfinite")
def _isfinite(z: Pair) -> Pair:
    return (z[0].isfinite() & z[1].isfinite(),)


@rule("logical_not")
def _logical_not(z: Pair) -> Pair:
    return ((z[0] == 0) & (z[1] == 0),)


def _truth(z: Pair) -> Expr:
    return (z[0] != 0) | (z[1] != 0)


@rule("logical_and")
def _logical_and(a: Pair, b: Pair) -> Pair:
    return (_truth(a) & _truth(b),)


@rule("logical_or")
def _logical_or(a: Pair, b: Pair) -> Pair:
    return (_truth(a) | _truth(b),)


@rule("logical_xor")
def _logical_xor(a: Pair, b: Pair) -> Pair:
    return (_truth(a) ^ _truth(b),)


@rule("exp")
def exp(z: Pair) -> Pair:
    size = z[0].exp()
    # exp(-inf) is 0 in every direction, and a real argument has a real result.
    x, y = where(size == 0, 0.0, size * z[1].cos()), where(size == 0, 0.0, size * z[1].sin())
    return x, where(z[1] == 0, z[1], y)


@rule("exp2")
def _exp2(z: Pair) -> Pair:
    return exp((z[0] * LN2, z[1] * LN2))


@rule("expm1")
def _expm1(z: Pair) -> Pair:
    # exp(x) cos(y) - 1 = expm1(x) cos(y) - 2 sin(y / 2)**2
    half = (z[1] * 0.5).sin()
    return z[0].expm1() * z[1].cos() - 2 * half * half, z[0].exp() * z[1].sin()


@rule("log")
def log(z: Pair) -> Pair:
    return z[0].hypot(z[1]).log(), z[1].atan2(z[0])


@rule("log2")
def _log2(z: Pair) -> Pair:
    x, y = log(z)
    return x / LN2, y / LN2


@rule("log10")
def _log10(z: Pair) -> Pair:
    x, y = log(z)
    return x / LN10, y / LN10


@rule("log1p")
def _log1p(z: Pair) -> Pair:
    # |1 + z|**2 - 1 without the 1 that would swallow a small z
    excess = z[0] * (2 + z[0]) + z[1] * z[1]
    near = excess.abs() < 0.5
    size = where(near, 0.5 * where(near, excess, 0.0).log1p(), (z[0] + 1).hypot(z[1]).log())
    return size, z[1].atan2(z[0] + 1)


@rule("sqrt")
def sqrt(z: Pair) -> Pair:
    x, y = z
    large = ((x.abs() * 0.5) + (x.hypot(y) * 0.5)).sqrt()
    small = y / (2 * large)
    positive = x >= 0
    real, imaginary = where(positive, large, small.abs()), where(positive, small, large.copysign(y))
    zero = (x == 0) & (y == 0)
    return where(zero, 0.0, real), where(zero, y, imaginary)


@rule("rsqrt")
def _rsqrt(z: Pair) -> Pair:
    return _reciprocal(sqrt(z))


@rule("pow")
def _pow(a: Pair, b: Pair) -> Pair:
    x, y = exp(mul(b, log(a)))
    zero_base, zero_power = (a[0] == 0) & (a[1] == 0) & (b[0] > 0), (b[0] == 0) & (b[1] == 0)
    x, y = where(zero_base, 0.0, x), where(zero_base, 0.0, y)
    return where(zero_power, 1.0, x), where(zero_power, 0.0, y)


@rule("sigmoid")
def _sigmoid(z: Pair) -> Pair:
    x, y = exp((-z[0], -z[1]))
    return _reciprocal((1 + x, y))


@rule("sinh")
def sinh(z: Pair) -> Pair:
    return z[0].sinh() * z[1].cos(), z[0].cosh() * z[1].sin()


@rule("cosh")
def cosh(z: Pair) -> Pair:
    return z[0].cosh() * z[1].cos(), z[0].sinh() * z[1].sin()


@rule("tanh")
def tanh(z: Pair) -> Pair:
    """Kahan, Branch cuts for complex elementary functions, 1987."""
    x, y = z
    t, s = y.tan(), where(x.abs() > 20, 0.0, x).sinh()
    b = 1 + t * t
    norm = 1 + b * s * s
    real, imaginary = b * (1 + s * s).sqrt() * s / norm, t / norm
    large = x.abs() > 20
    decay = 4 * y.sin() * y.cos() * (-2 * x.abs()).exp()
    return where(large, _constant(1, x).copysign(x), real), where(large, decay, imaginary)


@rule("sin")
def _sin(z: Pair) -> Pair:
    x, y = sinh(_times_i(z))
    return y, -x


@rule("cos")
def _cos(z: Pair) -> Pair:
    return cosh(_times_i(z))


@rule("tan")
def _tan(z: Pair) -> Pair:
    x, y = tanh(_times_i(z))
    return y, -x


# Inverse functions: Kahan, Branch cuts for complex elementary functions, 1987.


def _one_minus(z: Pair) -> Pair:
    return 1 - z[0], -z[1]


def _one_plus(z: Pair) -> Pair:
    return 1 + z[0], z[1]


@rule("asin")
def asin(z: Pair) -> Pair:
    below, above = sqrt(_one_minus(z)), sqrt(_one_plus(z))
    real = z[0].atan2(below[0] * above[0] - below[1] * above[1])
    return real, (below[0] * above[1] - below[1] * above[0]).asinh()


@rule("acos")
def acos(z: Pair) -> Pair:
    below, above = sqrt(_one_minus(z)), sqrt(_one_plus(z))
    real = 2 * below[0].atan2(above[0])
    return real, (above[0] * below[1] - above[1] * below[0]).asinh()


@rule("acosh")
def _acosh(z: Pair) -> Pair:
    below, above = sqrt((z[0] - 1, z[1])), sqrt(_one_plus(z))
    real = (below[0] * above[0] + below[1] * above[1]).asinh()
    return real, 2 * below[1].atan2(above[0])


@rule("asinh")
def _asinh(z: Pair) -> Pair:
    x, y = asin(_times_i(z))
    return y, -x


@rule("atanh")
def atanh(z: Pair) -> Pair:
    x, y = z
    size = x.abs()  # odd in x; for x < 0 the logarithm's argument would cancel
    real = 0.25 * (4 * size / ((1 - size) * (1 - size) + y * y)).log1p()
    return real.copysign(x), 0.5 * (2 * y).atan2((1 - x) * (1 + x) - y * y)


@rule("atan")
def _atan(z: Pair) -> Pair:
    x, y = atanh(_times_i(z))
    return y, -x

"""Expansions of scalar operations into simpler ones, written in expressions, so that LLVM
vectorises the loop around them.

`codegen/emit.py` looks here first for every operation of the scalar table, then for its LLVM
template. This file has what is exact (integers, rounding, comparisons, choice) and finds the rest:
`codegen/exponential.py` and `codegen/circular.py` have the polynomials for floats,
`codegen/special.py` the error and gamma functions.

    >>> find("square", "int64")(Expr.input(0, "int64"))
    mul(in0, in0)
"""

from __future__ import annotations

from collections.abc import Callable

from flambeau.codegen.dtypes import ITEMSIZE, KIND
from flambeau.codegen.expr import Expr, build, fma, library, where

Expansion = Callable[..., Expr]
EXPANSIONS: dict[tuple[str, str], Expansion] = {}


def expansion(name: str, kinds: str) -> Callable[[Expansion], Expansion]:
    """Register the expansion of `name` for argument kinds; `s` and `d` stand for float32 and
    float64.
    """

    def register(function: Expansion) -> Expansion:
        for kind in kinds:
            EXPANSIONS[name, kind] = function
        return function

    return register


def find(name: str, dtype: str) -> Expansion | None:
    """The expansion of `name` for arguments of `dtype`, None if there is none."""
    kind = {"float32": "s", "float64": "d"}.get(dtype, KIND[dtype])
    return EXPANSIONS.get((name, kind))


def narrowed(node: Expr) -> str:
    """The operation of `node`, or a quicker one that serves for its argument's range."""
    if node.op == "log1p":
        (x,) = node.args
        if x.op in ("exp", "exp2") and x.args[0].op == "neg" and x.args[0].args[0].op == "abs":
            return "log1p_of_unit"
    return node.op


def convert(x: Expr, dtype: str) -> Expr | None:
    """A float to integer conversion as C compilers do it on x86, whose results torch shows; None if
    one instruction does.

    What does not fit gives the lowest integer; narrow integers take the low bits of an int32,
    uint32 those of an int64.
    """
    if KIND[x.dtype] != "f" or KIND[dtype] not in "iu":
        return None
    if dtype == "uint64":
        high = x >= 2.0**63
        small = where(high, x - 2.0**63, x).to("int64").bitcast("uint64")
        return where(high & (x < 2.0**64), small + 2**63, small)
    wide = "int64" if dtype in ("int64", "uint32") else "int32"
    bound = 2.0 ** (8 * ITEMSIZE[wide] - 1)
    fits = (x >= -bound) & (x < bound)
    value: Expr = where(fits, Expr.make("truncate", (x,), wide), Expr.constant(-int(bound), wide))
    return value.to(dtype)


def bfloat16_bits(x: Expr) -> Expr:
    """The bits (uint16) of a float32 rounded to bfloat16, ties to even.

    In integers, because the instructions for it (vcvtneps2bf16) take denormals for 0.
    """
    bits = x.bitcast("uint32")
    odd = build_shift("shift_right", bits, Expr.constant(16, "uint32")) & 1
    rounded = build_shift("shift_right", bits + 0x7FFF + odd, Expr.constant(16, "uint32"))
    result: Expr = where(x.isnan(), Expr.constant(0x7FC0, "uint32"), rounded)
    return result.to("uint16")


def from_bfloat16_bits(bits: Expr) -> Expr:
    """The float32 with the upper half `bits` (uint16)."""
    return build_shift("shift_left", bits.to("uint32"), Expr.constant(16, "uint32")).bitcast(
        "float32"
    )


def same_bits(x: Expr) -> tuple[Expr, int]:
    """The bits of a float as a signed integer, and their number."""
    bits = 8 * ITEMSIZE[x.dtype]
    return x.bitcast(f"int{bits}"), bits


@expansion("square", "sdiub")
def _square(x: Expr) -> Expr:
    return x * x


@expansion("reciprocal", "sd")
def _reciprocal(x: Expr) -> Expr:
    return 1 / x


@expansion("sigmoid", "sd")
def _sigmoid(x: Expr) -> Expr:
    # exp(-|x|) neither overflows nor loses the small results of negative arguments.
    e = (-x.abs()).exp()
    return where(x < 0, e, 1) / (1 + e)


@expansion("rsqrt", "sd")
def _rsqrt(x: Expr) -> Expr:
    return 1 / x.sqrt()


@expansion("floor", "iu")
@expansion("ceil", "iu")
@expansion("trunc", "iu")
@expansion("round", "iu")
@expansion("conj", "sdiub")
@expansion("real", "sdiub")
@expansion("abs", "ub")
@expansion("sign", "b")
@expansion("sgn", "b")
def _unchanged(x: Expr) -> Expr:
    return x


@expansion("frac", "sd")
def _frac(x: Expr) -> Expr:
    return x - x.trunc()


@expansion("imag", "sdiub")
def _imag(x: Expr) -> Expr:
    return Expr.constant(0, x.dtype)


@expansion("angle", "sd")
def _angle(x: Expr) -> Expr:
    return where(x < 0, 3.141592653589793, where(x.isnan(), x, 0.0))


@expansion("sign", "sdi")
@expansion("sgn", "sdi")
def _sign(x: Expr) -> Expr:
    # As torch: the sign of NaN is 0.
    return where(x > 0, 1, where(x < 0, Expr.constant(-1, x.dtype), 0))


@expansion("sign", "u")
@expansion("sgn", "u")
def _sign_unsigned(x: Expr) -> Expr:
    return (x != 0).to(x.dtype)


@expansion("minimum", "sd")
def _minimum(a: Expr, b: Expr) -> Expr:
    return where(a.isnan(), a, where(a < b, a, b))


@expansion("maximum", "sd")
def _maximum(a: Expr, b: Expr) -> Expr:
    return where(a.isnan(), a, where(a > b, a, b))


@expansion("fmin", "sd")
def _fmin(a: Expr, b: Expr) -> Expr:
    return where(b.isnan() | (a < b), a, b)


@expansion("fmax", "sd")
def _fmax(a: Expr, b: Expr) -> Expr:
    return where(b.isnan() | (a > b), a, b)


@expansion("fmin", "iub")
def _fmin_exact(a: Expr, b: Expr) -> Expr:
    return a.minimum(b)


@expansion("fmax", "iub")
def _fmax_exact(a: Expr, b: Expr) -> Expr:
    return a.maximum(b)


@expansion("isnan", "iub")
@expansion("isinf", "iub")
@expansion("signbit", "ub")
def _never(x: Expr) -> Expr:
    return Expr.constant(False, "bool")


@expansion("isfinite", "iub")
def _always(x: Expr) -> Expr:
    return Expr.constant(True, "bool")


@expansion("isinf", "sd")
def _isinf(x: Expr) -> Expr:
    return x.abs() == float("inf")


@expansion("isfinite", "sd")
def _isfinite(x: Expr) -> Expr:
    return x.abs() < float("inf")


@expansion("signbit", "sdi")
def _signbit(x: Expr) -> Expr:
    return (same_bits(x)[0] if KIND[x.dtype] == "f" else x) < 0


@expansion("logical_and", "sdiu")
def _logical_and(a: Expr, b: Expr) -> Expr:
    return a.to("bool") & b.to("bool")


@expansion("logical_or", "sdiu")
def _logical_or(a: Expr, b: Expr) -> Expr:
    return a.to("bool") | b.to("bool")


@expansion("logical_xor", "sdiu")
def _logical_xor(a: Expr, b: Expr) -> Expr:
    return a.to("bool") ^ b.to("bool")


@expansion("logical_not", "sdiub")
def _logical_not(x: Expr) -> Expr:
    return ~x.to("bool")


@expansion("bitwise_left_shift", "iu")
def _left_shift(x: Expr, amount: Expr) -> Expr:
    # Shifting by more than the width (or by a negative amount) leaves nothing.
    inside = _shift_inside(x, amount)
    return where(inside, build_shift("shift_left", x, where(inside, amount, 0)), 0)


@expansion("bitwise_right_shift", "iu")
def _right_shift(x: Expr, amount: Expr) -> Expr:
    last = 8 * ITEMSIZE[x.dtype] - 1
    inside = _shift_inside(x, amount)
    if KIND[x.dtype] == "i":
        return build_shift("shift_right", x, where(inside, amount, last))
    return where(inside, build_shift("shift_right", x, where(inside, amount, 0)), 0)


def _shift_inside(x: Expr, amount: Expr) -> Expr:
    unsigned = amount.bitcast("u" + x.dtype) if KIND[x.dtype] == "i" else amount
    return unsigned < 8 * ITEMSIZE[x.dtype]


def build_shift(op: str, x: Expr, amount: Expr) -> Expr:
    """A shift by an amount that is known to be below the width."""
    return Expr.make(op, (x, amount), x.dtype)


def _divisor(a: Expr, b: Expr) -> Expr:
    """`b` without the values on which the division instruction traps: 0, and -1 below the lowest
    integer.
    """
    bad = b == 0
    if KIND[a.dtype] == "i":
        lowest = -(1 << (8 * ITEMSIZE[a.dtype] - 1))
        bad = bad | ((b == -1) & (a == lowest))
    return where(bad, 1, b)


def _divided(value: Expr, b: Expr) -> Expr:
    """`value`, or 0 and an error where the divisor `b` is 0."""
    if b.op == "constant" and b.value != 0:
        return value
    zero = b == 0
    result: Expr = where(zero, 0, value)
    return result.checked(zero)


def _instruction(op: str, a: Expr, b: Expr) -> Expr:
    return Expr.make(op, (a, _divisor(a, b)), a.dtype)


def _quotient(a: Expr, b: Expr) -> Expr:
    """a / b towards zero; what is not representable and division by 0 give some number.

    Vectors have no integer division: it is done in float64, where quotients of up to 52 bits, cut
    off, are exact; longer ones are rare.
    """
    if b.op == "constant":
        return _instruction("trunc_divide", a, b)
    divisor, dtype = _divisor(a, b), a.dtype
    quotient = Expr.make("truncate", (a.to("float64") / divisor.to("float64"),), dtype)
    if ITEMSIZE[dtype] < 8:
        return quotient
    bound = 1 << 52
    large = (a >= bound) | (b >= bound)
    if KIND[dtype] == "i":
        large = large | (a <= -bound) | (b <= -bound)
    return quotient.unless(large, Expr.make("trunc_divide", (a, divisor), dtype))


@expansion("floor_divide", "iu")
def _floor_divide(a: Expr, b: Expr) -> Expr:
    quotient = _quotient(a, b)
    if KIND[a.dtype] == "u":
        return _divided(quotient, b)
    rest = a - quotient * b
    return _divided(where((rest != 0) & ((rest < 0) != (b < 0)), quotient - 1, quotient), b)


@expansion("remainder", "iu")
def _remainder(a: Expr, b: Expr) -> Expr:
    rest = _rest(a, b)
    if KIND[a.dtype] == "u":
        return _divided(rest, b)
    return _divided(where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest), b)


@expansion("fmod", "iu")
def _fmod(a: Expr, b: Expr) -> Expr:
    return _divided(_rest(a, b), b)


def _rest(a: Expr, b: Expr) -> Expr:
    """What the division towards zero leaves."""
    return a - _quotient(a, b) * b


@expansion("fmod", "s")
def _fmod_single(a: Expr, b: Expr) -> Expr:
    # In float64 a quotient of 29 bits and its product with 24 bits are exact.
    x, y = a.to("float64"), b.to("float64")
    rest = fma(-(x / y).trunc(), y, x).to("float32").copysign(a)
    slow = library("fmod", x, y).to("float32")
    return rest.unless(~((x.abs() < y.abs() * 2.0**29) & b.isfinite()), slow)


@expansion("fmod", "d")
def _fmod_double(a: Expr, b: Expr) -> Expr:
    # The rounded quotient may be too large by 1, and then the rest has the wrong sign.
    size, divisor = a.abs(), b.abs()
    rest = build("exact_fma", -(size / divisor).trunc(), divisor, size)
    rest = where(rest < 0, rest + divisor, rest).copysign(a)
    return rest.unless(~((size < divisor * 2.0**52) & b.isfinite()), library("fmod", a, b))


@expansion("floor_divide", "sd")
def _floor_divide_float(a: Expr, b: Expr) -> Expr:
    # The quotient of a minus its remainder is nearly an integer, so that rounding finds it
    # (Python's float.__floordiv__).
    rest = a.fmod(b)
    quotient = (a - rest) / b
    quotient = where((rest != 0) & ((b < 0) != (rest < 0)), quotient - 1, quotient)
    floor = quotient.floor()
    floor = where(quotient - floor > 0.5, floor + 1, floor)
    floor = where(quotient == 0, Expr.constant(0, a.dtype).copysign(a / b), floor)
    return where(b == 0, a / b, floor)


@expansion("remainder", "sd")
def _remainder_float(a: Expr, b: Expr) -> Expr:
    rest = a.fmod(b)
    return where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


@expansion("pow", "iu")
def _pow_integer(base: Expr, exponent: Expr) -> Expr:
    """A negative exponent leaves 1, -1 or 0."""
    if exponent.op == "constant" and 0 <= exponent.value <= 4:
        return _small_power(base, exponent.value)
    result = Expr.make("integer_power", (base, exponent), base.dtype)
    if KIND[base.dtype] == "u":
        return result
    odd = (exponent & 1) != 0
    minus = where(odd, Expr.constant(-1, base.dtype), 1)
    inverse = where(base == 1, 1, where(base == -1, minus, 0))
    return where(exponent < 0, inverse, result)


def _small_power(base: Expr, exponent: int) -> Expr:
    if exponent == 0:
        return Expr.constant(1, base.dtype)
    return base if exponent == 1 else base * _small_power(base, exponent - 1)


@expansion("nextafter", "sd")
def _nextafter(x: Expr, y: Expr) -> Expr:
    # Floats of one sign are ordered as their bits are: one step away from zero adds 1.
    bits, width = same_bits(x)
    toward = (y > x) == (x > 0)
    stepped = where(toward, bits + 1, bits - 1).bitcast(x.dtype)
    smallest = Expr.constant(1, f"int{width}").bitcast(x.dtype)
    stepped = where(x == 0, smallest.copysign(y), stepped)
    stepped = where(x == y, y, stepped)
    return where(x.isnan() | y.isnan(), x + y, stepped)

"""The scalar table: every operation a kernel can apply to one element, one row each.

A row gives the name, the number of arguments (which meet in one dtype first), the result dtype, the
LLVM instruction by kind of argument, the CUDA C text and a NumPy reference. Kinds: `f` float, `d`
float64 only, `i` signed, `u` unsigned, `b` bool. In a template `{t}` is the LLVM type of the
arguments, `{s}` its suffix in intrinsic names, `{0}` an argument. Where no template fits,
`codegen/math.py` expands the operation into others. Called by `codegen/expr.py` (building) and
`codegen/emit.py` (text).

    >>> TABLE["sqrt"].llvm["f"]
    'call {t} @llvm.sqrt.{s}({t} {0})'
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One scalar operation. `reference` takes the NumPy module, then arrays."""

    name: str
    arity: int
    result: str
    llvm: dict[str, str]
    cuda: str
    reference: Callable[..., Any]


TABLE: dict[str, Row] = {}


def row(
    name: str,
    arity: int,
    result: str,
    llvm: dict[str, str],
    cuda: str,
    reference: Callable[..., Any],
) -> None:
    """Add a row; keys of `llvm` may name several kinds at once. `result`: same, float (of
    integers), real (of complex), bool.
    """
    templates = {kind: text for kinds, text in llvm.items() for kind in kinds}
    TABLE[name] = Row(name, arity, result, templates, cuda, reference)


def _intrinsic(name: str) -> str:
    return f"call {{t}} @llvm.{name}.{{s}}({{t}} {{0}})"


def _choice(name: str) -> str:
    return f"call {{t}} @llvm.{name}.{{s}}({{t}} {{0}}, {{t}} {{1}})"


def _comparison(name: str) -> dict[str, str]:
    forms = {"f": "fcmp o", "i": "icmp s", "ub": "icmp u"}
    return {kinds: f"{form}{name} {{t}} {{0}}, {{1}}" for kinds, form in forms.items()}


def _each(function: Callable[[float], float]) -> Callable[..., Any]:
    return lambda np, x: np.vectorize(function, otypes=[np.float64])(np.asarray(x, np.float64))


# fmt: off
# arithmetic
row("add", 2, "same", {"f": "fadd {t} {0}, {1}", "iu": "add {t} {0}, {1}", "b": "or {t} {0}, {1}"},
    "({0} + {1})", lambda np, x, y: x + y)
row("sub", 2, "same", {"f": "fsub {t} {0}, {1}", "iu": "sub {t} {0}, {1}"},
    "({0} - {1})", lambda np, x, y: x - y)
row("mul", 2, "same", {"f": "fmul {t} {0}, {1}", "iu": "mul {t} {0}, {1}", "b": "and {t} {0}, {1}"},
    "({0} * {1})", lambda np, x, y: x * y)
row("div", 2, "float", {"f": "fdiv {t} {0}, {1}"}, "({0} / {1})", lambda np, x, y: x / y)
row("fma", 3, "same", {"f": "call {t} @llvm.fmuladd.{s}({t} {0}, {t} {1}, {t} {2})"},
    "fma({0}, {1}, {2})", lambda np, x, y, z: x * y + z)
row("exact_fma", 3, "same", {"f": "call {t} @llvm.fma.{s}({t} {0}, {t} {1}, {t} {2})"},
    "fma({0}, {1}, {2})", lambda np, x, y, z: x * y + z)
row("neg", 1, "same", {"f": "fneg {t} {0}", "iu": "sub {t} zeroinitializer, {0}"},
    "(-{0})", lambda np, x: -x)
row("abs", 1, "real", {"f": _intrinsic("fabs"), "i": "call {t} @llvm.abs.{s}({t} {0}, i1 false)"},
    "abs({0})", lambda np, x: np.abs(x))
row("square", 1, "same", {}, "({0} * {0})", lambda np, x: x * x)
row("reciprocal", 1, "float", {}, "(1 / {0})", lambda np, x: 1 / x)
row("sqrt", 1, "float", {"f": _intrinsic("sqrt")}, "sqrt({0})", lambda np, x: np.sqrt(x))
row("rsqrt", 1, "float", {}, "rsqrt({0})", lambda np, x: 1 / np.sqrt(x))
row("pow", 2, "same", {}, "pow({0}, {1})", lambda np, x, y: np.power(x, y))
row("floor_divide", 2, "same", {}, "floor_divide({0}, {1})", lambda np, x, y: np.floor_divide(x, y))
row("remainder", 2, "same", {}, "remainder({0}, {1})", lambda np, x, y: np.remainder(x, y))
row("fmod", 2, "same", {}, "fmod({0}, {1})", lambda np, x, y: np.fmod(x, y))
row("trunc_divide", 2, "same", {"i": "sdiv {t} {0}, {1}", "u": "udiv {t} {0}, {1}"},
    "({0} / {1})", lambda np, x, y: np.fix(x / y))
row("trunc_remainder", 2, "same", {"i": "srem {t} {0}, {1}", "u": "urem {t} {0}, {1}"},
    "({0} % {1})", lambda np, x, y: np.fmod(x, y))
row("hypot", 2, "float", {},
    "hypot({0}, {1})", lambda np, x, y: np.hypot(x, y))

# rounding, signs and choice
row("floor", 1, "same", {"f": _intrinsic("floor")}, "floor({0})", lambda np, x: np.floor(x))
row("ceil", 1, "same", {"f": _intrinsic("ceil")}, "ceil({0})", lambda np, x: np.ceil(x))
row("trunc", 1, "same", {"f": _intrinsic("trunc")}, "trunc({0})", lambda np, x: np.trunc(x))
row("round", 1, "same", {"f": _intrinsic("roundeven")}, "rint({0})", lambda np, x: np.round(x))
row("frac", 1, "same", {}, "({0} - trunc({0}))", lambda np, x: x - np.trunc(x))
row("sign", 1, "same", {}, "sign({0})", lambda np, x: np.sign(x))
row("sgn", 1, "same", {}, "sign({0})", lambda np, x: np.sign(x))
row("copysign", 2, "float", {"f": "call {t} @llvm.copysign.{s}({t} {0}, {t} {1})"},
    "copysign({0}, {1})", lambda np, x, y: np.copysign(x, y))
row("nextafter", 2, "same", {}, "nextafter({0}, {1})", lambda np, x, y: np.nextafter(x, y))
row("minimum", 2, "same", {"i": _choice("smin"), "u": _choice("umin"), "b": "and {t} {0}, {1}"},
    "minimum({0}, {1})", lambda np, x, y: np.minimum(x, y))
row("maximum", 2, "same", {"i": _choice("smax"), "u": _choice("umax"), "b": "or {t} {0}, {1}"},
    "maximum({0}, {1})", lambda np, x, y: np.maximum(x, y))
row("fmin", 2, "same", {}, "fmin({0}, {1})", lambda np, x, y: np.fmin(x, y))
row("fmax", 2, "same", {}, "fmax({0}, {1})", lambda np, x, y: np.fmax(x, y))

# comparisons and logic
row("eq", 2, "bool", {"f": "fcmp oeq {t} {0}, {1}", "iub": "icmp eq {t} {0}, {1}"},
    "({0} == {1})", lambda np, x, y: x == y)
row("ne", 2, "bool", {"f": "fcmp une {t} {0}, {1}", "iub": "icmp ne {t} {0}, {1}"},
    "({0} != {1})", lambda np, x, y: x != y)
row("lt", 2, "bool", _comparison("lt"),
    "({0} < {1})", lambda np, x, y: x < y)
row("le", 2, "bool", _comparison("le"),
    "({0} <= {1})", lambda np, x, y: x <= y)
row("gt", 2, "bool", _comparison("gt"),
    "({0} > {1})", lambda np, x, y: x > y)
row("ge", 2, "bool", _comparison("ge"),
    "({0} >= {1})", lambda np, x, y: x >= y)
row("isnan", 1, "bool", {"f": "fcmp uno {t} {0}, {0}"}, "isnan({0})", lambda np, x: np.isnan(x))
row("isinf", 1, "bool", {}, "isinf({0})", lambda np, x: np.isinf(x))
row("isfinite", 1, "bool", {}, "isfinite({0})", lambda np, x: np.isfinite(x))
row("signbit", 1, "bool", {}, "signbit({0})", lambda np, x: np.signbit(x))
row("logical_and", 2, "bool", {"b": "and {t} {0}, {1}"},
    "({0} && {1})", lambda np, x, y: np.logical_and(x, y))
row("logical_or", 2, "bool", {"b": "or {t} {0}, {1}"},
    "({0} || {1})", lambda np, x, y: np.logical_or(x, y))
row("logical_xor", 2, "bool", {"b": "xor {t} {0}, {1}"},
    "(!{0} != !{1})", lambda np, x, y: np.logical_xor(x, y))
row("logical_not", 1, "bool", {}, "(!{0})", lambda np, x: np.logical_not(x))
row("bitwise_and", 2, "same", {"iub": "and {t} {0}, {1}"}, "({0} & {1})", lambda np, x, y: x & y)
row("bitwise_or", 2, "same", {"iub": "or {t} {0}, {1}"}, "({0} | {1})", lambda np, x, y: x | y)
row("bitwise_xor", 2, "same", {"iub": "xor {t} {0}, {1}"}, "({0} ^ {1})", lambda np, x, y: x ^ y)
row("bitwise_not", 1, "same", {"iub": "xor {t} {0}, {ones}"}, "(~{0})", lambda np, x: ~x)
row("bitwise_left_shift", 2, "same", {},
    "left_shift({0}, {1})", lambda np, x, y: np.left_shift(x, y))
row("bitwise_right_shift", 2, "same", {},
    "right_shift({0}, {1})", lambda np, x, y: np.right_shift(x, y))
row("shift_left", 2, "same", {"iu": "shl {t} {0}, {1}"},
    "({0} << {1})", lambda np, x, y: np.left_shift(x, y))
row("shift_right", 2, "same", {"i": "ashr {t} {0}, {1}", "u": "lshr {t} {0}, {1}"},
    "({0} >> {1})", lambda np, x, y: np.right_shift(x, y))

# exponentials and logarithms
row("exp", 1, "float", {}, "exp({0})", lambda np, x: np.exp(x))
row("exp2", 1, "float", {}, "exp2({0})", lambda np, x: np.exp2(x))
row("expm1", 1, "float", {}, "expm1({0})", lambda np, x: np.expm1(x))
row("log", 1, "float", {}, "log({0})", lambda np, x: np.log(x))
row("log2", 1, "float", {}, "log2({0})", lambda np, x: np.log2(x))
row("log10", 1, "float", {}, "log10({0})", lambda np, x: np.log10(x))
row("log1p", 1, "float", {}, "log1p({0})", lambda np, x: np.log1p(x))
row("sigmoid", 1, "float", {}, "(1 / (1 + exp(-{0})))", lambda np, x: 1 / (1 + np.exp(-x)))

# circular and hyperbolic functions
row("sin", 1, "float", {}, "sin({0})", lambda np, x: np.sin(x))
row("cos", 1, "float", {}, "cos({0})", lambda np, x: np.cos(x))
row("tan", 1, "float", {}, "tan({0})", lambda np, x: np.tan(x))
row("asin", 1, "float", {}, "asin({0})", lambda np, x: np.arcsin(x))
row("acos", 1, "float", {}, "acos({0})", lambda np, x: np.arccos(x))
row("atan", 1, "float", {}, "atan({0})", lambda np, x: np.arctan(x))
row("atan2", 2, "float", {},
    "atan2({0}, {1})", lambda np, x, y: np.arctan2(x, y))
row("sinh", 1, "float", {}, "sinh({0})", lambda np, x: np.sinh(x))
row("cosh", 1, "float", {}, "cosh({0})", lambda np, x: np.cosh(x))
row("tanh", 1, "float", {}, "tanh({0})", lambda np, x: np.tanh(x))
row("asinh", 1, "float", {}, "asinh({0})", lambda np, x: np.arcsinh(x))
row("acosh", 1, "float", {}, "acosh({0})", lambda np, x: np.arccosh(x))
row("atanh", 1, "float", {}, "atanh({0})", lambda np, x: np.arctanh(x))

# error function, gamma function
row("erf", 1, "float", {}, "erf({0})", _each(math.erf))
row("erfc", 1, "float", {}, "erfc({0})", _each(math.erfc))
row("erfinv", 1, "float", {}, "erfinv({0})", _each(math.nan.__mul__))
row("lgamma", 1, "float", {}, "lgamma({0})", _each(math.lgamma))
row("digamma", 1, "float", {}, "digamma({0})", _each(math.nan.__mul__))

# complex numbers (codegen/complex.py expands them into parts)
row("real", 1, "real", {}, "real({0})", lambda np, x: np.real(x))
row("imag", 1, "real", {}, "imag({0})", lambda np, x: np.imag(x))
row("conj", 1, "same", {}, "conj({0})", lambda np, x: np.conj(x))
row("angle", 1, "float real", {}, "arg({0})", lambda np, x: np.angle(x))
# fmt: on

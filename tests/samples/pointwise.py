"""Samples of pointwise ops, from their signatures: each parameter without a default is an operand.

`DOMAIN` names the operands of the ops that are not defined on all numbers; `OPTIONS` adds calls
with options; `numpy_reference` finds the function of NumPy or SciPy that means the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import flambeau as torch
from flambeau.ops.registry import OPS

DEFAULT = ("x", "y", "z")

DOMAIN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("log log2 log10 sqrt rsqrt lgamma digamma".split(), ("positive",)),
    **dict.fromkeys("special_entr i0 special_i0e special_i1 special_i1e".split(), ("positive",)),
    **dict.fromkeys("special_log_ndtr special_ndtr".split(), ("x",)),
    **dict.fromkeys("asin acos atanh erfinv log1p".split(), ("unit",)),
    **dict.fromkeys("logit special_ndtri".split(), ("fraction",)),
    **dict.fromkeys("pow float_power".split(), ("positive", "y")),
    "_reflected_pow": ("x", "positive_vector"),
    **dict.fromkeys("igamma igammac".split(), ("positive", "positive_vector")),
    **dict.fromkeys("gcd lcm bitwise_and bitwise_or bitwise_xor".split(), ("integers", "bits")),
    **dict.fromkeys("bitwise_left_shift bitwise_right_shift".split(), ("integers", "bits")),
    **dict.fromkeys("_reflected_left_shift _reflected_right_shift".split(), ("integers", "bits")),
    **dict.fromkeys("bitwise_not _invert".split(), ("integers",)),
    **dict.fromkeys("special_bessel_y0 special_bessel_y1 special_airy_ai".split(), ("positive",)),
    **{
        f"special_{scaled}modified_bessel_k{order}": ("positive",)
        for scaled in ("", "scaled_")
        for order in (0, 1)
    },
    "acosh": ("above_one",),
    "special_zeta": ("above_one", "positive_vector"),
    "mvlgamma": ("above_one",),
    "xlogy": ("x", "positive_vector"),
    "xlog1py": ("x", "positive_vector"),
    "ldexp": ("x", "bits"),
    "polar": ("positive", "y"),
    "complex": ("x", "w"),
    "angle": ("complex",),
    "addcdiv": ("x", "y", "positive"),
    "nextafter": ("x", "y"),
    "remainder": ("x", "positive_vector"),
    "_reflected_remainder": ("x", "positive_vector"),
    "fmod": ("x", "positive_vector"),
    "copy": ("x", "y"),
    "fill": ("x", "number"),
    "prelu_kernel": ("x", "positive_vector"),
    "rrelu_with_noise": ("x", "positive"),
    "threshold": ("x",),
    "probability_loss": ("fraction", "targets"),
    "logit_loss": ("x", "targets"),
    "soft_margin_loss": ("x", "w"),
    **{
        f"special_{kind}": ("unit", "bits")
        for kind in (
            "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v",
            "chebyshev_polynomial_w", "shifted_chebyshev_polynomial_t",
            "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
            "shifted_chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he",
            "laguerre_polynomial_l", "legendre_polynomial_p",
        )
    },
}  # fmt: skip

# arguments that are no operands, by op
STATIC: dict[str, dict[str, Any]] = {
    "mvlgamma": {"p": 2},
    "threshold": {"threshold": 0.1, "value": 2.0},
    "_polygamma": {"n": 1},
    "clamp": {"min": -0.9, "max": 0.9},
    "_to_copy": {"dtype": torch.float64},
    "logit": {"eps": None},
}

OPTIONS: dict[str, list[Callable[..., Any]]] = {
    "add": [lambda x, y: torch.add(x, y, alpha=2), lambda x: x + 1, lambda complex: complex + 1j],
    "sub": [lambda x, y: torch.sub(x, y, alpha=3), lambda x: 2 - x, lambda integers: integers - 4],
    "mul": [lambda x: x * 3, lambda complex, y: complex * y, lambda x: x * x],
    "div": [
        lambda x, y: torch.div(x, y, rounding_mode="floor"),
        lambda x, y: torch.div(x, y, rounding_mode="trunc"),
        lambda integers: integers / 3,
        lambda complex, complex_vector: complex / complex_vector,
    ],
    "floor_divide": [lambda integers, naturals: integers // naturals],
    "remainder": [lambda integers, naturals: integers % naturals],
    "pow": [
        lambda x: x**2, lambda positive: positive**0.5, lambda positive: 2**positive,
        lambda complex: complex**2, lambda integers: integers**2,
    ],
    "addcmul": [lambda x, y, z: torch.addcmul(x, y, z, value=0.5)],
    "addcdiv": [lambda x, y, positive: torch.addcdiv(x, y, positive, value=-2)],
    "lerp": [lambda x, y: torch.lerp(x, y, 0.3), lambda x, y: torch.lerp(x, y, 0.8)],
    "round": [lambda x: torch.round(x, decimals=1)],
    "clamp": [lambda x: x.clamp(min=0.5), lambda x, y, w: x.clamp(y, w)],
    "nan_to_num": [lambda mask: torch.nan_to_num(mask / 0.0, 5.0, posinf=9.0)],
    "logit": [lambda fraction: torch.logit(fraction, 0.12)],
    "gelu": [lambda x: torch.nn.functional.gelu(x, approximate="tanh")],
    "elu": [lambda x: torch.nn.functional.elu(x, 1.7)],
    "softplus": [lambda x: torch.nn.functional.softplus(x, 2.0, 3.0)],
    "abs": [lambda complex: complex.abs(), lambda integers: integers.abs()],
    "sgn": [lambda complex: complex.sgn()],
    "exp": [lambda complex: complex.exp()],
    "log": [lambda complex: complex.log()],
    "sqrt": [lambda complex: complex.sqrt()],
    "tanh": [lambda complex: complex.tanh()],
    "sin": [lambda complex: complex.sin(), lambda integers: integers.sin()],
    "reciprocal": [lambda complex: complex.reciprocal()],
    "square": [lambda complex: complex.square()],
    "conj_physical": [lambda complex: complex.conj()],
    "logical_not": [lambda mask: mask.logical_not()],
    "eq": [lambda complex: complex == complex, lambda mask: mask == False],  # noqa: E712
    "where": [
        lambda mask, x, y: torch.where(mask, x, y),
        lambda mask, x: torch.where(mask, x, 0.0),
        lambda mask, x, y: x.where(mask, y),
    ],
    "masked_fill": [lambda x, mask: x.masked_fill(mask, 0.5)],
    "frexp": [lambda x: torch.frexp(x)],
    "mse_slope": [], "smooth_l1_slope": [], "huber_slope": [],
}  # fmt: skip

# torch's name -> NumPy's or SciPy's, where they differ
NUMPY = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh", "atan2": "arctan2", "sub": "subtract", "mul": "multiply", "div": "divide",
    "neg": "negative", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift", "_invert": "invert", "pow": "power", "sgn": "sign",
}  # fmt: skip
SCIPY = {
    "sigmoid": "expit", "lgamma": "gammaln", "digamma": "psi", "mvlgamma": "multigammaln",
    "igamma": "gammainc", "igammac": "gammaincc", "special_bessel_j0": "j0",
    "special_bessel_j1": "j1", "special_bessel_y0": "y0", "special_bessel_y1": "y1",
    "special_modified_bessel_i0": "i0", "special_modified_bessel_i1": "i1",
    "special_modified_bessel_k0": "k0", "special_modified_bessel_k1": "k1",
    "special_scaled_modified_bessel_k0": "k0e", "special_scaled_modified_bessel_k1": "k1e",
}  # fmt: skip


def derived() -> Iterator[tuple[str, int, tuple[str, ...], Callable[..., Any]]]:
    """(op, number, operands, call) of every pointwise op, and of the calls in OPTIONS."""
    torch.ones(())  # starts the engine, which fills the registry
    for op in OPS.values():
        kind = type(op).__name__
        if kind == "Pointwise" and not op.target and op.name not in OPTIONS.keys() & SLOPES:
            names, call = from_signature(op)
            yield op.name, 0, names, call
    for name, calls in OPTIONS.items():
        for number, call in enumerate(calls, 1):
            yield name, number, tuple(call.__code__.co_varnames[: call.__code__.co_argcount]), call


# the gradients of losses as one kernel each: they run in the backward of the losses
SLOPES = {"mse_slope", "smooth_l1_slope", "huber_slope"}


def from_signature(op: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """The operands of an op, and the call that passes them with the static arguments."""
    static = STATIC.get(op.name, {})
    needed = [p.name for p in op.parameters if p.default is p.empty and p.name not in static]
    names = DOMAIN.get(op.name, DEFAULT)[: len(needed)]

    def call(*operands: Any) -> Any:
        return op.call(*operands, **static)

    return names, call


def numpy_reference(name: str) -> Callable[..., Any] | None:
    """The function of NumPy or SciPy with the meaning of a pointwise op, if there is one."""
    from scipy import special

    if name in DIFFERENT:
        return None
    base = name.removeprefix("special_")
    return (
        getattr(special, SCIPY.get(name, "") or base, None)
        if name in SCIPY or not hasattr(np, NUMPY.get(base, base))
        else getattr(np, NUMPY.get(base, base))
    )


# ops whose namesake in NumPy or SciPy means or takes something else
DIFFERENT = {
    "mvlgamma","clamp", "where", "copy", "fill", "round", "complex", "angle", "nan_to_num", "fmax",
    "special_airy_ai", "softplus", "log_sigmoid", "unit", "zero", "threshold", "relu"}  # fmt: skip

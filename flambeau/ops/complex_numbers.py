"""Pointwise ops, part eight: complex numbers and their parts, degrees, mantissas.

>>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
tensor([1.+2.j])
"""

from __future__ import annotations

import math
from typing import Any

from flambeau import return_types
from flambeau.codegen.expr import Expr
from flambeau.codegen.expr import where as choose
from flambeau.codegen.loops import plan_pointwise
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.arithmetic import is_complex
from flambeau.ops.kinds import (
    COMPLEX_TO_FLOAT,
    FLOAT,
    byte_strides,
    compute_name,
    pointwise,
    structured,
)


@pointwise(
    promote=COMPLEX_TO_FLOAT,
    inplace=False,
    grad=lambda g, input: angle_gradient(g, input),
    result=lambda compute, input: (
        compute.to_real()
        if compute.is_complex
        else compute
        if compute.is_floating_point
        else dtypes.get_default_dtype()
    ),
)
def angle(input):
    """Angle in radians; of reals 0 or pi.

    >>> torch.angle(torch.tensor([1j, -1.0]))
    tensor([1.5708, 3.1416])
    """
    if input.dtype.startswith("complex"):
        return input.angle()
    if input.dtype.startswith("float"):
        return choose(input.isnan(), input, choose(input < 0, input * 0 + math.pi, input * 0))
    wide = input.to("float32")
    return choose(wide < 0, wide * 0 + math.pi, wide * 0)


def angle_gradient(g: Any, input: Any) -> Any:
    """The gradient turns with the number."""
    if not is_complex(input):
        return g * 0
    size = input.abs()
    safe = choose(size == 0, size * 0 + 1, size)
    return choose(size == 0, input * 0, input * 1j * (g / (safe * safe)))


@pointwise(grad=lambda g: g.conj(), inplace=True, methods=("conj_physical",))
def conj_physical(input):
    """Complex conjugate, computed at once.

    >>> torch.conj_physical(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return input.conj() if input.dtype.startswith("complex") else input


# ---- made from two reals -------------------------------------------------------------------------


def check_parts(input: Any, other: Any) -> None:
    """torch's errors for parts that no complex number can have."""
    kinds = [input.dtype, other.dtype]
    if any(kind.name not in ("float16", "float32", "float64") for kind in kinds):
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{kinds[0].scalar_name} and {kinds[1].scalar_name}"
        )
    if kinds[0] is dtypes.float16:
        raise errors.unsupported("complex32 tensors", "convert the parts to float32")
    if kinds[0] is not kinds[1]:
        raise RuntimeError(
            f"Expected object of scalar type {kinds[0].scalar_name} but got scalar type "
            f"{kinds[1].scalar_name} for second argument"
        )


def joined(real: Expr, imag: Expr) -> Expr:
    """The complex expression of two parts."""
    return Expr.make(
        "complex", (real, imag), "complex128" if real.dtype == "float64" else "complex64"
    )


def complex_result(compute: Any, **rest: Any) -> Any:
    """complex64 of float32, complex128 of float64."""
    return compute.to_complex()


@pointwise(
    check=lambda real, imag: check_parts(real, imag),
    result=complex_result,
    methods=(),
    inplace=False,
    plain_numbers="none",
    grad={"real": lambda g: g.real, "imag": lambda g: g.imag},
)
def complex(real, imag):
    """Complex numbers of two parts.

    >>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([1.+2.j])
    """
    return joined(real, imag)


@pointwise(
    check=lambda abs, angle: check_parts(abs, angle),
    result=complex_result,
    methods=(),
    inplace=False,
    plain_numbers="none",
    grad={
        "abs": lambda g, abs, angle: g.real * angle.cos() + g.imag * angle.sin(),
        "angle": lambda g, abs, angle: (g.imag * angle.cos() - g.real * angle.sin()) * abs,
    },
)
def polar(abs, angle):
    """Complex numbers of absolute values and angles.

    >>> torch.polar(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([2.+0.j])
    """
    return joined(abs * angle.cos(), abs * angle.sin())


def check_out(target: Any, inputs: Any, result: Any) -> None:
    """torch's error for an output of another dtype."""
    if target.dtype is not result.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {result.dtype.scalar_name} but got scalar type "
            f"{target.dtype.scalar_name} for argument 'out'"
        )


complex.out_check = polar.out_check = check_out


# ---- degrees -------------------------------------------------------------------------------------


def check_degrees(name: str) -> Any:
    """A check that refuses complex numbers."""

    def check(input: Any) -> None:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} is not supported for complex tensors.")

    return check


@pointwise(promote=FLOAT, check=check_degrees("deg2rad"), grad=lambda g: g * (math.pi / 180))
def deg2rad(input):
    """Degrees as radians.

    >>> torch.deg2rad(torch.tensor([180.0]))
    tensor([3.1416])
    """
    return input * (math.pi / 180)


@pointwise(promote=FLOAT, check=check_degrees("rad2deg"), grad=lambda g: g * (180 / math.pi))
def rad2deg(input):
    """Radians as degrees.

    >>> torch.rad2deg(torch.tensor([torch.pi]))
    tensor([180.])
    """
    return input * (180 / math.pi)


# ---- mantissas -----------------------------------------------------------------------------------


def split_power(x: Expr) -> tuple[Expr, Expr]:
    """x = mantissa * 2**exponent, the mantissa between a half and one; 0,
    infinities and NaN stay.
    """
    wide = x.to("float64")
    tiny = wide.abs() < 2.0**-1022
    bits = choose(tiny, wide * 2.0**54, wide).bitcast("int64")
    exponent = (bits >> 52) & 0x7FF
    mantissa = ((bits & ~(0x7FF << 52)) | (1022 << 52)).bitcast("float64")
    special = (wide == 0) | wide.isinf() | wide.isnan()
    exponent = choose(special, 0, exponent - choose(tiny, 1022 + 54, 1022))
    return choose(special, wide, mantissa).to(x.dtype), exponent.to("int32")


@structured(grad=lambda g0, y1: g0 / y1.exp2())
def frexp(call, input):
    """The mantissa (between a half and one) and the exponent of 2 of each element.

    >>> torch.frexp(torch.tensor([6.0]))
    torch.return_types.frexp(
    mantissa=tensor([0.7500]),
    exponent=tensor([3], dtype=torch.int32))
    """
    spec = call.op.check_tensor(input, "input")._spec
    if not spec.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    results = [spec.like(spec.shape), Spec.of(spec.shape, None, dtypes.int32, spec.device)]
    mantissa, exponent = split_power(Expr.input(0, spec.dtype.name).to(compute_name(spec.dtype)))
    plan = call.plan(["input"], results)
    strides = [byte_strides(s, spec.shape) for s in (spec, *results)]
    loops = plan_pointwise(
        (mantissa, exponent), [spec.dtype.name], (spec.dtype.name, "int32"), spec.shape, strides
    )
    return plan.use_kernel(loops).finish(return_types.frexp.of)

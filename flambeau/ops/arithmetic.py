"""Pointwise ops, part one: arithmetic. (ops.comparison, ops.rounding, ops.choice, ops.elementary,
ops.special_functions and ops.activation have the others.)

Each op is one scalar expression with its derivative rules. The body and the rules speak the
vocabulary of codegen.expr, which Tensors speak too; `input` and `other` are torch's names. See
ops.kinds for what the constructor derives: broadcasting, promotion, in-place forms, methods, fused
backward.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import Expr, fma
from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.promotion import number_dtype
from flambeau.ops.kinds import COMPLEX_TO_FLOAT, FLOAT, INT_TO_LONG, SAME, pointwise
from flambeau.ops.rules import no_derivative


def scaled(value: Any, factor: Any) -> Any:
    """`value * factor`, without the multiplication where the factor is the default 1."""
    return value if type(factor) is int and factor == 1 else value * factor


def conjugate(value: Any) -> Any:
    """The complex conjugate of a tensor, an expression or a Python number."""
    return value.conjugate() if isinstance(value, (int, float, complex)) else value.conj()


def category(value: Any) -> int:
    """0 bool, 1 integer, 2 float, 3 complex: of a tensor or a Python number."""
    kind = getattr(value, "dtype", None)
    return (number_dtype(value) if kind is None else kind).category


def is_complex(value: Any) -> bool:
    """Whether an expression, a tensor or a number is complex."""
    return isinstance(value, complex) or "complex" in str(getattr(value, "dtype", ""))


def check_alpha(input: Any, other: Any, alpha: Any = 1) -> None:
    """torch's errors for a scale factor that the dtypes cannot take."""
    kind = max(category(input), category(other))
    if not isinstance(alpha, (bool, int, float, complex)):
        if getattr(alpha, "ndim", 1) == 0 and not alpha.requires_grad:
            return  # a tensor of one number is a number
        raise errors.argument_type_error("add", "alpha", None, "Number", alpha)
    if isinstance(alpha, bool) and kind > 0:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and kind < 2:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if isinstance(alpha, complex) and kind < 3:
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )


def check_subtraction(input: Any, other: Any, alpha: Any = 1) -> None:
    """torch has no `-` on booleans."""
    booleans = [is_bool(x) for x in (input, other)]
    if all(booleans):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    if any(booleans):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    check_alpha(input, other, alpha)


def is_bool(value: Any) -> bool:
    """Whether a tensor or a Python number is boolean."""
    return isinstance(value, bool) or getattr(value, "dtype", None) is dtypes.bool_


def number_of_overload(base: str, *names: str) -> Any:
    """torch numbers an op's overloads: 1 where these operands are numbers, 0 for tensors."""
    return lambda **arguments: (
        base + ("0" if any(hasattr(arguments[n], "dtype") for n in names) else "1")
    )


@pointwise(
    methods=("add", "__add__", "__radd__"), check=check_alpha, plain_numbers="all",
    grad={"input": lambda g: g, "other": lambda g, alpha: scaled(g, conjugate(alpha))},
)  # fmt: skip
def add(input, other, *, alpha=1):
    """`input + alpha * other`.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    return multiply_add(other, alpha, input)


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a * b + c in one rounding, as torch's kernels do it; exact for integers;
    a + c where b is the default 1.
    """
    if type(b) is int and b == 1:
        return a + c
    return fma(a, b, c) if a.dtype.startswith("float") else a * b + c


@pointwise(
    methods=("sub", "__sub__", "subtract"),
    aliases=("subtract",),
    check=check_subtraction,
    plain_numbers="all",
    grad={"input": lambda g: g, "other": lambda g, alpha: -scaled(g, conjugate(alpha))},
)
def sub(input, other, *, alpha=1):
    """`input - alpha * other`.

    >>> torch.sub(torch.tensor([5, 7]), 2)
    tensor([3, 5])
    """
    return (
        input - other if type(alpha) is int and alpha == 1 else multiply_add(other, -alpha, input)
    )


@pointwise(
    methods=("__rsub__",),
    check=check_subtraction,
    inplace=False,
    node=number_of_overload("RsubBackward", "other"),
    grad={"input": lambda g, alpha: -scaled(g, conjugate(alpha)), "other": lambda g: g},
)
def rsub(input, other, *, alpha=1):
    """`other - alpha * input`.

    >>> torch.rsub(torch.tensor([5, 7]), 10)
    tensor([5, 3])
    """
    return other - scaled(input, alpha)


@pointwise(
    methods=("mul", "__mul__", "__rmul__", "multiply"),
    aliases=("multiply",),
    plain_numbers="all",
    grad={
        "input": lambda g, other: g * conjugate(other),
        "other": lambda g, input: g * conjugate(input),
    },
)
def mul(input, other):
    """`input * other`.

    >>> torch.mul(torch.tensor([1, 2]), 3)
    tensor([3, 6])
    """
    return input * other


def rounding_mode_error(mode: Any) -> RuntimeError:
    """torch's error for an unknown rounding mode."""
    return RuntimeError(
        f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'"
    )


def check_division(input: Any, other: Any, rounding_mode: Any = None) -> None:
    """Only the three rounding modes exist."""
    if rounding_mode not in (None, "trunc", "floor"):
        raise rounding_mode_error(rounding_mode)


def division_gradient(g: Any, other: Any, rounding_mode: Any) -> Any:
    """g / other; zero where the quotient was rounded."""
    return g / conjugate(other) if rounding_mode is None else g * 0


def divisor_gradient(g: Any, input: Any, other: Any, rounding_mode: Any) -> Any:
    """-g * input / other**2; zero where the quotient was rounded."""
    return -g * conjugate((input / other) / other) if rounding_mode is None else g * 0


@pointwise(
    promote=lambda rounding_mode, **rest: FLOAT if rounding_mode is None else SAME,
    check=check_division,
    plain_numbers="all",
    methods=("div", "divide", "true_divide", "__truediv__", "__div__"),
    aliases=("divide", "true_divide"),
    grad={"input": division_gradient, "other": divisor_gradient},
)
def div(input, other, *, rounding_mode=None):
    """`input / other`; rounded down ("floor") or towards zero ("trunc") if asked.

    >>> x = torch.tensor([7, -7])
    >>> torch.div(x, 2), torch.div(x, 2, rounding_mode="floor")
    (tensor([ 3.5000, -3.5000]), tensor([ 3, -4]))
    """
    if rounding_mode is None:
        return input / other
    if rounding_mode == "floor":
        return input.floor_divide(other)
    if not input.dtype.startswith("float"):
        return (input - input.fmod(other)).floor_divide(other)
    return rounded_as(input, input / other).trunc()


def rounded_as(stored: Any, value: Any) -> Any:
    """`value`, rounded to half precision where `stored` is in it: torch rounds every step there."""
    dtype = str(stored.value[1]) if stored.op == "input" else ""
    return value.to(dtype) if dtype in ("float16", "bfloat16") else value


@pointwise(
    promote=FLOAT,
    methods=("__rtruediv__", "__rdiv__"),
    inplace=False,
    public=None,
    reflected=True,
    node="DivBackward",
    grad={
        "input": lambda g, other: g / conjugate(other),
        "other": lambda g, input, other: -g * conjugate((input / other) / other),
    },
)
def _reflected_divide(input, other):
    """`other / input`, which torch computes as `other * (1 / input)`."""
    return (1 / other) * input


NO_FLOOR_GRADIENT = dict.fromkeys(
    ("input", "other"),
    no_derivative("derivative for aten::floor_divide is not implemented", RuntimeError),
)


def floored(input: Any, other: Any) -> Any:
    """The quotient rounded down, which has a derivative (zero), unlike floor_divide."""
    if isinstance(input, Expr):
        return input.floor_divide(other)
    return input.div(other, rounding_mode="floor")


@pointwise(
    methods=("floor_divide", "__floordiv__"),
    node=lambda **_: "NotImplemented",
    grad=NO_FLOOR_GRADIENT,
    kernel="div_floor_cpu",
    takes="if",
    plain_numbers="all",
)
def floor_divide(input, other):
    """`input / other` rounded down.

    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return input.floor_divide(other)


@pointwise(
    methods=("__rfloordiv__",),
    inplace=False,
    public=None,
    reflected=True,
    node=lambda **_: "NotImplemented",
    grad=NO_FLOOR_GRADIENT,
    kernel="div_floor_cpu",
    takes="if",
)
def _reflected_floor_divide(input, other):
    """`other // input`."""
    return input.floor_divide(other)


@pointwise(
    methods=("remainder", "__mod__"), kernel="remainder_cpu", takes="if", plain_numbers="any",
    grad={"input": lambda g: g, "other": lambda g, input, other: -g * floored(input, other)},
)  # fmt: skip
def remainder(input, other):
    """Remainder with the sign of the divisor, as Python's `%`.

    >>> torch.remainder(torch.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    return input.remainder(other)


@pointwise(
    methods=("__rmod__",),
    inplace=False,
    public=None,
    reflected=True,
    node="RemainderBackward",
    kernel="remainder_cpu",
    takes="if",
    grad={"input": lambda g: g, "other": lambda g, input, other: -g * floored(input, other)},
)
def _reflected_remainder(input, other):
    """`other % input`."""
    return input.remainder(other)


@pointwise(
    grad={"input": lambda g: g, "other": lambda g, input, other: -g * (input / other).trunc()},
    kernel="fmod_cpu",
    takes="if",
)
def fmod(input, other):
    """Remainder with the sign of the dividend, as C's `fmod`.

    >>> torch.fmod(torch.tensor([7.0, -7.0]), 3)
    tensor([ 1., -1.])
    """
    return input.fmod(other)


@pointwise(methods=("neg", "__neg__", "negative"), aliases=("negative",), grad=lambda g: -g)
def neg(input):
    """`-input`.

    >>> torch.neg(torch.tensor([1, -2]))
    tensor([-1,  2])
    """
    if input.dtype == "bool":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or "
            "`logical_not()` operator instead."
        )
    return -input


def check_positive(input: Any) -> None:
    """torch's `+` refuses booleans."""
    if is_bool(input):
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")


@pointwise(inplace=False, grad=lambda g: g, check=check_positive, methods=("positive", "__pos__"))
def positive(input):
    """`+input`.

    >>> torch.positive(torch.tensor([1, -2]))
    tensor([ 1, -2])
    """
    return input


@pointwise(
    promote=COMPLEX_TO_FLOAT,
    methods=("abs", "__abs__", "absolute"),
    aliases=("absolute",),
    kernel="abs_cpu",
    takes="ifc",
    grad=lambda g, input: g * input.sgn(),
)
def abs(input):
    """Absolute value.

    >>> torch.abs(torch.tensor([-1, 2]))
    tensor([1, 2])
    """
    return input if input.dtype.startswith("uint") or input.dtype == "bool" else input.abs()


@pointwise(
    node="PowBackward",
    promote=lambda input: INT_TO_LONG if is_bool(input) else SAME,
    grad=lambda g, input: g * conjugate(2 * input),
)
def square(input):
    """`input * input`.

    >>> torch.square(torch.tensor([-1, 3]))
    tensor([1, 9])
    """
    return input * input


@pointwise(promote=FLOAT, grad=lambda g, y: -g * conjugate(y * y))
def reciprocal(input):
    """`1 / input`.

    >>> torch.reciprocal(torch.tensor([2.0, 4.0]))
    tensor([0.5000, 0.2500])
    """
    return 1 / input


@pointwise(
    promotes=("input", "tensor1", "tensor2"),
    grad={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: scaled(g, conjugate(value)) * conjugate(tensor2),
        "tensor2": lambda g, tensor1, value: scaled(g, conjugate(value)) * conjugate(tensor1),
    },
)  # fmt: skip
def addcmul(input, tensor1, tensor2, *, value=1):
    """`input + value * tensor1 * tensor2`.

    >>> torch.addcmul(torch.ones(1), torch.tensor([2.0]), torch.tensor([3.0]), value=10)
    tensor([61.])
    """
    return multiply_add(scaled(tensor1, value), tensor2, input)


def check_addcdiv(input: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> None:
    """torch refuses integer division here."""
    if tensor1.dtype.category < 2 and tensor2.dtype.category < 2:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, "
            "and in a future  release addcdiv will perform a true division of "
            "tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + "
            "value * torch.trunc(tensor1 / tensor2))"
            ".to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for "
            "float inputs. The future addcdiv "
            "behavior is just the latter implementation: (input + value * tensor1 / tensor2), "
            "for all dtypes."
        )


@pointwise(
    promotes=("input", "tensor1", "tensor2"),
    check=check_addcdiv,
    grad={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: scaled(g, conjugate(value)) / conjugate(tensor2),
        "tensor2": lambda g, tensor1, tensor2, value: (
            -scaled(g, conjugate(value)) * conjugate(tensor1 / (tensor2 * tensor2))
        ),
    },
)
def addcdiv(input, tensor1, tensor2, *, value=1):
    """`input + value * tensor1 / tensor2`.

    >>> torch.addcdiv(torch.ones(1), torch.tensor([6.0]), torch.tensor([3.0]), value=10)
    tensor([21.])
    """
    return input + scaled(tensor1, value) / tensor2


def check_lerp(input: Any, end: Any, weight: Any) -> None:
    """torch's lerp promotes nothing, and is for floats."""
    if input.dtype.category < 2:
        kernel = "lerp_kernel_tensor" if hasattr(weight, "dtype") else "lerp_kernel_scalar"
        raise errors.not_implemented_for(kernel, input.dtype.scalar_name)
    for name, value in (("end", end), ("weight", weight)):
        kind = getattr(value, "dtype", None)
        if kind is not None and kind is not input.dtype:
            raise RuntimeError(
                f"expected dtype {input.dtype.c_name} for `{name}` but got dtype {kind.c_name}"
            )


@pointwise(
    promotes=("input", "end"), check=check_lerp,
    grad={
        "input": lambda g, weight: g * conjugate(1 - weight),
        "end": lambda g, weight: g * conjugate(weight),
        "weight": lambda g, input, end: g * conjugate(end - input),
    },
)  # fmt: skip
def lerp(input, end, weight):
    """`input + weight * (end - input)`, exact at both ends.

    >>> torch.lerp(torch.tensor([0.0, 10.0]), torch.tensor([10.0, 20.0]), 0.5)
    tensor([ 5., 15.])
    """
    nearer_start = weight.abs() < 0.5
    return choose(
        nearer_start,
        multiply_add(weight, end - input, input),
        multiply_add(input - end, 1 - weight, end),
    )

"""Pointwise ops, part one: arithmetic, comparison, logic, rounding, choice. (ops.elementary has exp, sin ...; ops.activation relu ...)

One scalar expression each, with its derivative rules. The body and the rules speak the vocabulary of codegen.expr, which Tensors
speak too; `input` and `other` are torch's names. See ops.kinds for what the constructor derives: broadcasting, promotion, in-place
forms, methods, fused backward.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import fma
from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.ops.kinds import BOOL_RESULT, COMPLEX_TO_FLOAT, FLOAT, NONE, SAME, pointwise


def scaled(value: Any, factor: Any) -> Any:
    """`value * factor`, without the multiplication where the factor is the default 1."""
    return value if type(factor) is int and factor == 1 else value * factor


def conjugate(value: Any) -> Any:
    """The complex conjugate of a tensor, an expression or a Python number."""
    return value.conjugate() if isinstance(value, (int, float, complex)) else value.conj()


def check_alpha(input: Any, other: Any, alpha: Any = 1) -> None:
    """torch's errors for a scale factor that the dtypes cannot take, and for `-` of booleans."""
    kinds = [x.dtype.category for x in (input, other) if hasattr(x, "dtype")]
    if isinstance(alpha, bool) and not (kinds and max(kinds) == 0):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and max(kinds) < 2 and not isinstance(other, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")


def check_subtraction(input: Any, other: Any, alpha: Any = 1) -> None:
    """torch has no `-` on booleans."""
    if all(is_bool(x) for x in (input, other)):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
        )
    if any(is_bool(x) for x in (input, other)):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
            "`logical_not()` operator instead."
        )
    check_alpha(input, other, alpha)


def is_bool(value: Any) -> bool:
    """Whether a tensor or a Python number is boolean."""
    return isinstance(value, bool) or getattr(value, "dtype", None) is dtypes.bool_


def check_no_bool(name: str) -> Any:
    """A check that refuses boolean tensors as torch's kernel of that name does."""

    def check(input: Any, *rest: Any, **others: Any) -> None:
        if is_bool(input):
            raise RuntimeError(f'"{name}" not implemented for \'Bool\'')

    return check


def no_complex(name: str) -> Any:
    """A check that refuses complex operands as torch's kernel of that name does."""

    def check(*values: Any, **named: Any) -> None:
        for value in (*values, *named.values()):
            kind = getattr(value, "dtype", None)
            if kind is not None and kind.is_complex:
                raise RuntimeError(f"\"{name}\" not implemented for '{kind.scalar_name}'")

    return check


def number_of_overload(base: str, *names: str) -> Any:
    """torch numbers an op's overloads: 1 where these operands are numbers, 0 where they are tensors."""
    return lambda **arguments: base + ("0" if any(hasattr(arguments[n], "dtype") for n in names) else "1")


# ---- arithmetic ------------------------------------------------------------------------------------------------------------


@pointwise(
    methods=("add", "__add__", "__radd__"), check=check_alpha,
    grad={"input": lambda g: g, "other": lambda g, alpha: scaled(g, conjugate(alpha))},
)  # fmt: skip
def add(input, other, *, alpha=1):
    """`input + alpha * other`.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    return multiply_add(other, alpha, input)


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a * b + c in one rounding, as torch's kernels do it; exact for integers; a + c where b is the default 1."""
    if type(b) is int and b == 1:
        return a + c
    return fma(a, b, c) if a.dtype.startswith("float") else a * b + c


@pointwise(
    methods=("sub", "__sub__", "subtract"), aliases=("subtract",), check=check_subtraction,
    grad={"input": lambda g: g, "other": lambda g, alpha: -scaled(g, conjugate(alpha))},
)  # fmt: skip
def sub(input, other, *, alpha=1):
    """`input - alpha * other`.

    >>> torch.sub(torch.tensor([5, 7]), 2)
    tensor([3, 5])
    """
    return input - other if type(alpha) is int and alpha == 1 else multiply_add(other, -alpha, input)


@pointwise(
    methods=("__rsub__",), check=check_subtraction, inplace=False, node=number_of_overload("RsubBackward", "other"),
    grad={"input": lambda g, alpha: -scaled(g, conjugate(alpha)), "other": lambda g: g},
)  # fmt: skip
def rsub(input, other, *, alpha=1):
    """`other - alpha * input`.

    >>> torch.rsub(torch.tensor([5, 7]), 10)
    tensor([5, 3])
    """
    return other - scaled(input, alpha)


@pointwise(
    methods=("mul", "__mul__", "__rmul__", "multiply"), aliases=("multiply",),
    grad={"input": lambda g, other: g * conjugate(other), "other": lambda g, input: g * conjugate(input)},
)  # fmt: skip
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
    promote=lambda rounding_mode, **rest: FLOAT if rounding_mode is None else SAME, check=check_division,
    methods=("div", "divide", "true_divide", "__truediv__", "__div__"), aliases=("divide", "true_divide"),
    grad={"input": division_gradient, "other": divisor_gradient},
)  # fmt: skip
def div(input, other, *, rounding_mode=None):
    """`input / other`; rounded down ("floor") or towards zero ("trunc") if asked.

    >>> torch.div(torch.tensor([7, -7]), 2), torch.div(torch.tensor([7, -7]), 2, rounding_mode="floor")
    (tensor([ 3.5000, -3.5000]), tensor([ 3, -4]))
    """
    if rounding_mode is None:
        return input / other
    if rounding_mode == "floor":
        return input.floor_divide(other)
    return (input / other).trunc() if input.dtype.startswith("float") else (input - input.fmod(other)).floor_divide(other)


@pointwise(
    promote=FLOAT, methods=("__rtruediv__",), inplace=False, public=None, reflected=True, node="MulBackward",
    grad={
        "input": lambda g, other: g / conjugate(other),
        "other": lambda g, input, other: -g * conjugate((input / other) / other),
    },
)  # fmt: skip
def _reflected_divide(input, other):
    """`other / input`, which torch computes as `other * (1 / input)`."""
    return (1 / other) * input


@pointwise(
    methods=("floor_divide", "__floordiv__"), grad={"input": lambda g: g * 0, "other": lambda g: g * 0},
    check=no_complex("floor_divide_cpu"),
)  # fmt: skip
def floor_divide(input, other):
    """`input / other` rounded down.

    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return input.floor_divide(other)


@pointwise(methods=("__rfloordiv__",), inplace=False, public=None, reflected=True)
def _reflected_floor_divide(input, other):
    """`other // input`."""
    return input.floor_divide(other)


@pointwise(
    methods=("remainder", "__mod__"), check=no_complex("remainder_cpu"),
    grad={"input": lambda g: g, "other": lambda g, input, other: -g * input.floor_divide(other)},
)  # fmt: skip
def remainder(input, other):
    """Remainder with the sign of the divisor, as Python's `%`.

    >>> torch.remainder(torch.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    return input.remainder(other)


@pointwise(methods=("__rmod__",), inplace=False, public=None, reflected=True, node="RemainderBackward",
           grad={"input": lambda g: g, "other": lambda g, input, other: -g * input.floor_divide(other)})  # fmt: skip
def _reflected_remainder(input, other):
    """`other % input`."""
    return input.remainder(other)


@pointwise(grad={"input": lambda g: g, "other": lambda g, input, other: -g * (input / other).trunc()}, check=no_complex("fmod_cpu"))
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
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
            "`logical_not()` operator instead."
        )
    return -input


@pointwise(inplace=False, grad=lambda g: g, check=check_no_bool("positive"), methods=("positive", "__pos__"))
def positive(input):
    """`+input`.

    >>> torch.positive(torch.tensor([1, -2]))
    tensor([ 1, -2])
    """
    return input


@pointwise(
    promote=COMPLEX_TO_FLOAT, methods=("abs", "__abs__", "absolute"), aliases=("absolute",),
    grad=lambda g, input: g * input.sgn(),
)  # fmt: skip
def abs(input):
    """Absolute value.

    >>> torch.abs(torch.tensor([-1, 2]))
    tensor([1, 2])
    """
    return input if input.dtype.startswith("uint") or input.dtype == "bool" else input.abs()


@pointwise(node="PowBackward", grad=lambda g, input: g * conjugate(2 * input), inplace=True)
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
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of "
            "tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2))"
            ".to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv "
            "behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
        )


@pointwise(
    promotes=("input", "tensor1", "tensor2"), check=check_addcdiv,
    grad={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: scaled(g, conjugate(value)) / conjugate(tensor2),
        "tensor2": lambda g, tensor1, tensor2, value: -scaled(g, conjugate(value)) * conjugate(tensor1 / (tensor2 * tensor2)),
    },
)  # fmt: skip
def addcdiv(input, tensor1, tensor2, *, value=1):
    """`input + value * tensor1 / tensor2`.

    >>> torch.addcdiv(torch.ones(1), torch.tensor([6.0]), torch.tensor([3.0]), value=10)
    tensor([21.])
    """
    return input + scaled(tensor1, value) / tensor2


def check_lerp(input: Any, end: Any, weight: Any) -> None:
    """torch's lerp promotes nothing."""
    for name, value in (("end", end), ("weight", weight)):
        kind = getattr(value, "dtype", None)
        if kind is not None and kind is not input.dtype:
            raise RuntimeError(f"expected dtype {input.dtype.c_name} for `{name}` but got dtype {kind.c_name}")


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
    return choose(nearer_start, multiply_add(weight, end - input, input), multiply_add(input - end, 1 - weight, end))


# ---- comparison --------------------------------------------------------------------------------------------------------------


def comparison(name: str, sign: str, aliases: tuple[str, ...], compare: Any) -> Any:
    """One of the six comparisons, which differ in the operator only."""

    def body(input, other):
        return compare(input, other)

    body.__name__ = name
    body.__doc__ = f"Whether `input {sign} other`, element by element."
    ordered = sign not in ("==", "!=")
    dunder = "__" + {"greater": "gt", "less": "lt"}.get(name, name) + "__"
    return pointwise(
        promote=BOOL_RESULT, methods=(name, dunder, *aliases), aliases=aliases, check=no_complex(f"{name}_cpu") if ordered else None
    )(body)


eq = comparison("eq", "==", (), lambda a, b: a == b)
ne = comparison("ne", "!=", ("not_equal",), lambda a, b: a != b)
lt = comparison("lt", "<", ("less",), lambda a, b: a < b)
le = comparison("le", "<=", ("less_equal",), lambda a, b: a <= b)
gt = comparison("gt", ">", ("greater",), lambda a, b: a > b)
ge = comparison("ge", ">=", ("greater_equal",), lambda a, b: a >= b)


# ---- logic and bits ----------------------------------------------------------------------------------------------------------


def truth(value: Any) -> Any:
    """An expression as a boolean."""
    return value if value.dtype == "bool" else value != 0


def logical(name: str, combine: Any) -> Any:
    """A logical operation on the truth of two operands."""

    def body(input, other):
        return combine(truth(input), truth(other))

    body.__name__, body.__doc__ = name, f"{name.replace('_', ' ').capitalize()} of the truth of both operands."
    return pointwise(promote=BOOL_RESULT)(body)


logical_and = logical("logical_and", lambda a, b: a & b)
logical_or = logical("logical_or", lambda a, b: a | b)
logical_xor = logical("logical_xor", lambda a, b: a ^ b)


@pointwise(promote=BOOL_RESULT)
def logical_not(input):
    """Whether the element is zero.

    >>> torch.logical_not(torch.tensor([0, 3]))
    tensor([ True, False])
    """
    return truth(input).logical_not()


def check_bits(name: str) -> Any:
    """A check that refuses floats, as torch's kernels of bit operations do."""

    def check(input: Any, other: Any = 0) -> None:
        for value in (input, other):
            kind = getattr(value, "dtype", None)
            if kind is not None and kind.category > 1:
                raise RuntimeError(f"\"{name}\" not implemented for '{kind.scalar_name}'")
            if isinstance(value, float):
                raise RuntimeError(f"\"{name}\" not implemented for 'Float'")

    return check


def bitwise(name: str, dunder: str, combine: Any, kernel: str) -> Any:
    """A bit operation and its operator."""

    def body(input, other):
        return combine(input, other)

    body.__name__, body.__doc__ = name, f"{name.replace('_', ' ').capitalize()} of two integer or boolean operands."
    shift = "shift" in name
    reflected = () if shift else (f"__r{dunder}__",)
    return pointwise(methods=(name, f"__{dunder}__", *reflected), check=check_bits(kernel))(body)


bitwise_and = bitwise("bitwise_and", "and", lambda a, b: a & b, "bitwise_and_cpu")
bitwise_or = bitwise("bitwise_or", "or", lambda a, b: a | b, "bitwise_or_cpu")
bitwise_xor = bitwise("bitwise_xor", "xor", lambda a, b: a ^ b, "bitwise_xor_cpu")
bitwise_left_shift = bitwise("bitwise_left_shift", "lshift", lambda a, b: a.bitwise_left_shift(b), "lshift_cpu")
bitwise_right_shift = bitwise("bitwise_right_shift", "rshift", lambda a, b: a.bitwise_right_shift(b), "rshift_cpu")


@pointwise(methods=("__rlshift__",), inplace=False, public=None, reflected=True)
def _reflected_left_shift(input, other):
    """`other << input`."""
    return input.bitwise_left_shift(other)


@pointwise(methods=("__rrshift__",), inplace=False, public=None, reflected=True)
def _reflected_right_shift(input, other):
    """`other >> input`."""
    return input.bitwise_right_shift(other)


@pointwise(methods=("bitwise_not", "__invert__"), check=check_bits("bitwise_not_cpu"))
def bitwise_not(input):
    """Every bit turned over; of booleans, `not`.

    >>> torch.bitwise_not(torch.tensor([0, 5]))
    tensor([-1, -6])
    """
    return input.logical_not() if input.dtype == "bool" else input.bitwise_not()


# ---- rounding and signs ----------------------------------------------------------------------------------------------------


def rounding(name: str, text: str) -> Any:
    """floor, ceil and trunc: integers stay as they are, the gradient is zero."""

    def body(input):
        return getattr(input, name)() if input.dtype.startswith("float") else input

    body.__name__, body.__doc__ = name, text
    return pointwise(
        grad=lambda g: g * 0, check=no_complex(name), aliases=("fix",) if name == "trunc" else (),
        methods=("trunc", "fix") if name == "trunc" else None,
    )(body)  # fmt: skip


floor = rounding("floor", "The greatest integer not above the element.")
ceil = rounding("ceil", "The least integer not below the element.")
trunc = rounding("trunc", "The element without its fractional part.")


@pointwise(grad=lambda g: g * 0, numbers="static", check=no_complex("round_cpu"))
def round(input, *, decimals=0):
    """The nearest integer, ties to even; to `decimals` places after the point.

    >>> torch.round(torch.tensor([0.5, 1.5, 2.345]), decimals=2)
    tensor([0.5000, 1.5000, 2.3400])
    """
    if not input.dtype.startswith("float"):
        return input
    if decimals == 0:
        return input.round()
    power = 10.0 ** (decimals if decimals > 0 else -decimals)
    return (input * power).round() / power if decimals > 0 else (input / power).round() * power


@pointwise(grad=lambda g: g)
def frac(input):
    """The fractional part, with the element's sign.

    >>> torch.frac(torch.tensor([1.5, -2.25]))
    tensor([ 0.5000, -0.2500])
    """
    if not input.dtype.startswith("float"):
        raise RuntimeError(f"\"frac\" not implemented for '{dtypes.DTYPES[input.dtype].scalar_name}'")
    return input - input.trunc()


@pointwise(grad=lambda g: g * 0)
def sign(input):
    """-1, 0 or 1.

    >>> torch.sign(torch.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    if input.dtype.startswith("complex"):
        raise RuntimeError("Unlike NumPy, torch.sign doesn't support complex numbers. For complex tensors use torch.sgn instead.")
    return input.sign()


def sgn_gradient(g: Any, input: Any, y: Any) -> Any:
    """Zero for reals; for complex numbers the projection across the direction of `input`."""
    if not is_complex(input):
        return g * 0
    size = input.abs()
    tangent = g - (g * y.conj()).real * y
    return choose(size == 0, g * 0, tangent / choose(size == 0, size * 0 + 1, size))


def is_complex(value: Any) -> bool:
    """Whether an expression or a tensor is complex."""
    return str(value.dtype).rpartition(".")[2].startswith("complex")


@pointwise(grad=sgn_gradient)
def sgn(input):
    """The sign; of complex numbers, the number divided by its absolute value.

    >>> torch.sgn(torch.tensor([3 + 4j]))
    tensor([0.6000+0.8000j])
    """
    return input.sgn()


@pointwise(promote=BOOL_RESULT, inplace=False)
def signbit(input):
    """Whether the sign is negative, of zero too.

    >>> torch.signbit(torch.tensor([-0.0, 1.0]))
    tensor([ True, False])
    """
    if input.dtype.startswith("float"):
        return input.signbit()
    return input < 0 if input.dtype.startswith("int") else input != input


@pointwise(
    promote=FLOAT,
    grad={"input": lambda g, input, y: g * choose(input == 0, 0, y / input), "other": lambda g: g * 0},
)  # fmt: skip
def copysign(input, other):
    """The size of `input` with the sign of `other`.

    >>> torch.copysign(torch.tensor([1.0, -2.0]), -1.0)
    tensor([-1., -2.])
    """
    return input.copysign(other)


@pointwise(grad={"input": lambda g: g, "other": lambda g: g * 0}, check=no_complex("nextafter"))
def nextafter(input, other):
    """The next representable number from `input` towards `other`.

    >>> torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)) > 1
    tensor(True)
    """
    return input.nextafter(other)


# ---- classification --------------------------------------------------------------------------------------------------------


def classification(name: str, floating: Any, integer: bool, text: str) -> Any:
    """A test of floating elements; every integer answers alike."""

    def body(input):
        if input.dtype.startswith("complex"):
            real, imag = floating(input.real), floating(input.imag)
            return real & imag if name == "isfinite" else real | imag
        return floating(input) if input.dtype.startswith("float") else (input == input if integer else input != input)

    body.__name__, body.__doc__ = name, text
    return pointwise(promote=BOOL_RESULT, inplace=False)(body)


isnan = classification("isnan", lambda x: x.isnan(), False, "Whether the element is not a number.")
isinf = classification("isinf", lambda x: x.isinf(), False, "Whether the element is infinite.")
isfinite = classification("isfinite", lambda x: x.isfinite(), True, "Whether the element is neither infinite nor NaN.")


@pointwise(promote=BOOL_RESULT, inplace=False, check=no_complex("isposinf"))
def isposinf(input):
    """Whether the element is positive infinity.

    >>> torch.isposinf(torch.tensor([float("inf"), 1.0]))
    tensor([ True, False])
    """
    return input == float("inf") if input.dtype.startswith("float") else input != input


@pointwise(promote=BOOL_RESULT, inplace=False, check=no_complex("isneginf"))
def isneginf(input):
    """Whether the element is negative infinity.

    >>> torch.isneginf(torch.tensor([float("-inf"), 1.0]))
    tensor([ True, False])
    """
    return input == float("-inf") if input.dtype.startswith("float") else input != input


@pointwise(promote=BOOL_RESULT, inplace=False)
def isreal(input):
    """Whether the imaginary part is zero.

    >>> torch.isreal(torch.tensor([1 + 1j, 2 + 0j]))
    tensor([False,  True])
    """
    return input.imag == 0 if input.dtype.startswith("complex") else (input == input) | (input != input)


# ---- choice ------------------------------------------------------------------------------------------------------------------


def half_where_equal(g: Any, first: Any, second: Any, wins: Any) -> Any:
    """Where two operands are equal, each gets half the gradient."""
    return choose(first == second, g / 2, choose(wins, g, 0))


def extreme(name: str, take: Any, wins: Any, text: str) -> Any:
    """maximum, minimum, fmax, fmin."""

    def body(input, other):
        return take(input, other)

    body.__name__, body.__doc__ = name, text
    return pointwise(
        inplace=False, check=no_complex(f"{name}_cpu"),
        grad={
            "input": lambda g, input, other: half_where_equal(g, input, other, wins(input, other)),
            "other": lambda g, input, other: half_where_equal(g, input, other, wins(input, other).logical_not()),
        },
    )(body)  # fmt: skip


maximum = extreme("maximum", lambda a, b: a.maximum(b), lambda a, b: a >= b, "The greater of two elements; NaN if either is.")
minimum = extreme("minimum", lambda a, b: a.minimum(b), lambda a, b: a <= b, "The smaller of two elements; NaN if either is.")
fmax = extreme("fmax", lambda a, b: a.fmax(b), lambda a, b: (a >= b) | (b != b), "The greater of two elements; NaN only if both are.")
fmin = extreme("fmin", lambda a, b: a.fmin(b), lambda a, b: (a <= b) | (b != b), "The smaller of two elements; NaN only if both are.")


def check_clamp(input: Any, min: Any = None, max: Any = None) -> None:
    """At least one bound, no complex numbers."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if any(getattr(getattr(v, "dtype", None), "is_complex", False) for v in (input, min, max)):
        raise RuntimeError("clamp is not supported for complex types")


def within(input: Any, min: Any, max: Any) -> Any:
    """Whether the element lies within the bounds (None: no bound)."""
    if min is None:
        return input <= max
    return input >= min if max is None else (input >= min) & (input <= max)


@pointwise(
    promotes=("input", "min", "max"), methods=("clamp", "clip"), aliases=("clip",), check=check_clamp,
    node=number_of_overload("ClampBackward", "min", "max"),
    grad={
        "input": lambda g, input, min, max: choose(within(input, min, max), g, 0),
        "min": lambda g, input, min, max: choose(input < min if max is None else (input < min) & (min < max), g, 0),
        "max": lambda g, input, min, max: choose(input > max if min is None else (input > max) | (max < min), g, 0),
    },
)  # fmt: skip
def clamp(input, min=None, max=None):
    """The element kept within bounds.

    >>> torch.clamp(torch.tensor([-1.0, 0.5, 3.0]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is not None:
        input = choose((input < min) | (min != min), min, input)
    if max is not None:
        input = choose((input > max) | (max != max), max, input)
    return input


@pointwise(promotes=("input", "min"), grad={"input": lambda g, input, min: choose(input >= min, g, 0), "min": lambda g, input, min: choose(input < min, g, 0)})
def clamp_min(input, min):
    """The element, not below `min`.

    >>> torch.clamp_min(torch.tensor([-1.0, 0.5]), 0)
    tensor([0.0000, 0.5000])
    """
    return choose((input < min) | (min != min), min, input)


@pointwise(promotes=("input", "max"), grad={"input": lambda g, input, max: choose(input <= max, g, 0), "max": lambda g, input, max: choose(input > max, g, 0)})
def clamp_max(input, max):
    """The element, not above `max`.

    >>> torch.clamp_max(torch.tensor([-1.0, 0.5]), 0)
    tensor([-1.,  0.])
    """
    return choose((input > max) | (max != max), max, input)


@pointwise(promotes=("input", "values"), grad={"input": lambda g, input: choose(input == 0, 0, g), "values": lambda g, input: choose(input == 0, g, 0)})
def heaviside(input, values):
    """0 below zero, `values` at zero, 1 above.

    >>> torch.heaviside(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return choose(input == 0, values, choose(input < 0, input * 0, input * 0 + 1))


@pointwise(
    numbers="static", inplace=True, promote=NONE, promotes=("input",), node="NanToNumBackward",
    grad=lambda g, input: choose(input.isnan() | input.isinf(), 0, g),
)  # fmt: skip
def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    """NaN and infinities replaced by numbers.

    >>> torch.nan_to_num(torch.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    if not input.dtype.startswith("float"):
        return input
    info = dtypes.finfo(dtypes.DTYPES[input.dtype])
    result = choose(input.isnan(), 0.0 if nan is None else nan, input)
    result = choose(result == float("inf"), info.max if posinf is None else posinf, result)
    return choose(result == float("-inf"), info.min if neginf is None else neginf, result)


@pointwise(check=check_bits("gcd_cpu"))
def gcd(input, other):
    """Greatest common divisor of integers (at most 64 steps of Euclid's algorithm).

    >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([18, 5]))
    tensor([6, 1])
    """
    a, b = input.abs() if input.dtype.startswith("int") else input, other.abs() if other.dtype.startswith("int") else other
    for _ in range(92 if input.dtype == "int64" else 46 if input.dtype == "int32" else 24):
        zero = b == 0
        a, b = choose(zero, a, b), choose(zero, b, a.remainder(choose(zero, b + 1, b)))
    return a


def check_condition(condition: Any, input: Any, other: Any) -> None:
    """The condition must be boolean (or, deprecated, bytes)."""
    kind = getattr(condition, "dtype", None)
    if kind is None:
        raise errors.argument_type_error("where", "condition", 1, "Tensor", condition)
    if kind is not dtypes.bool_ and kind is not dtypes.uint8:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {kind.scalar_name}")


@pointwise(
    promotes=("input", "other"), public=None, methods=(), inplace=False, check=check_condition, name="where",
    grad={"input": lambda g, condition: choose(condition, g, 0), "other": lambda g, condition: choose(condition, 0, g)},
)  # fmt: skip
def _where(condition, input, other):
    """`input` where the condition holds, else `other`."""
    return choose(truth(condition), input, other)


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`input` where the condition holds, else `other`; with one argument the places where it holds.

    >>> torch.where(torch.tensor([True, False]), torch.tensor([1, 2]), 0)
    tensor([1, 0])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    result = _where.call(condition, input, other)
    return result if out is None else out.resize_(result.shape).copy_(result)


def method_where(self: Any, condition: Any, other: Any) -> Any:
    """The tensor where the condition holds, else `other`."""
    return _where.call(condition, self, other)


method_where.__name__ = "where"
METHODS = [method_where]
__all__ = ["where"]

"""Pointwise ops, part two: comparisons, logic, bits, and questions about an element.

>>> torch.lt(torch.tensor([1, 2]), 2)
tensor([ True, False])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.ops.kinds import BOOL_RESULT, pointwise

# ---- comparison ---------------------------------------------------------------------------------


def comparison(name: str, sign: str, aliases: tuple[str, ...], compare: Any) -> Any:
    """One of the six comparisons, which differ in the operator only."""

    def body(input, other):
        return compare(input, other)

    body.__name__ = name
    body.__doc__ = f"Whether `input {sign} other`, element by element."
    ordered = sign not in ("==", "!=")
    dunder = "__" + {"greater": "gt", "less": "lt"}.get(name, name) + "__"
    return pointwise(
        promote=BOOL_RESULT,
        methods=(name, dunder, *aliases),
        aliases=aliases,
        kernel=f"{name}_cpu",
        takes="bif" if ordered else "bifc",
    )(body)


eq = comparison("eq", "==", (), lambda a, b: a == b)
ne = comparison("ne", "!=", ("not_equal",), lambda a, b: a != b)
lt = comparison("lt", "<", ("less",), lambda a, b: a < b)
le = comparison("le", "<=", ("less_equal",), lambda a, b: a <= b)
gt = comparison("gt", ">", ("greater",), lambda a, b: a > b)
ge = comparison("ge", ">=", ("greater_equal",), lambda a, b: a >= b)


# ---- logic and bits -----------------------------------------------------------------------------


def truth(value: Any) -> Any:
    """An expression as a boolean."""
    return value if value.dtype == "bool" else value != 0


def logical(name: str, combine: Any) -> Any:
    """A logical operation on the truth of two operands."""

    def body(input, other):
        return combine(truth(input), truth(other))

    body.__name__, body.__doc__ = (
        name,
        f"{name.replace('_', ' ').capitalize()} of the truth of both operands.",
    )
    return pointwise(promote=BOOL_RESULT, plain_numbers="none")(body)


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


def bitwise(name: str, dunder: str, combine: Any, kernel: str) -> Any:
    """A bit operation and its operator."""

    def body(input, other):
        return combine(input, other)

    body.__name__, body.__doc__ = (
        name,
        f"{name.replace('_', ' ').capitalize()} of two integer or boolean operands.",
    )
    shift = "shift" in name
    reflected = () if shift else (f"__r{dunder}__",)
    return pointwise(
        methods=(name, f"__{dunder}__", *reflected),
        kernel=kernel,
        takes="i" if shift else "bi",
        plain_numbers="any",
    )(body)


bitwise_and = bitwise("bitwise_and", "and", lambda a, b: a & b, "bitwise_and_cpu")
bitwise_or = bitwise("bitwise_or", "or", lambda a, b: a | b, "bitwise_or_cpu")
bitwise_xor = bitwise("bitwise_xor", "xor", lambda a, b: a ^ b, "bitwise_xor_cpu")
bitwise_left_shift = bitwise(
    "bitwise_left_shift", "lshift", lambda a, b: a.bitwise_left_shift(b), "lshift_cpu"
)
bitwise_right_shift = bitwise(
    "bitwise_right_shift", "rshift", lambda a, b: a.bitwise_right_shift(b), "rshift_cpu"
)


@pointwise(
    methods=("__rlshift__",),
    inplace=False,
    public=None,
    reflected=True,
    kernel="lshift_cpu",
    takes="i",
)
def _reflected_left_shift(input, other):
    """`other << input`."""
    return input.bitwise_left_shift(other)


@pointwise(
    methods=("__rrshift__",),
    inplace=False,
    public=None,
    reflected=True,
    kernel="rshift_cpu",
    takes="i",
)
def _reflected_right_shift(input, other):
    """`other >> input`."""
    return input.bitwise_right_shift(other)


@pointwise(kernel="bitwise_not_cpu", takes="bi")
def bitwise_not(input):
    """Every bit turned over; of booleans, `not`.

    >>> torch.bitwise_not(torch.tensor([0, 5]))
    tensor([-1, -6])
    """
    return turned(input)


def check_invert(input: Any) -> None:
    """`~` has an error of its own."""
    if input.dtype.category > 1:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )


@pointwise(methods=("__invert__",), inplace=False, public=None, check=check_invert)
def _invert(input):
    """`~input`."""
    return turned(input)


def turned(input: Any) -> Any:
    """Every bit turned over."""
    return input.logical_not() if input.dtype == "bool" else input.bitwise_not()


@pointwise(kernel="gcd_cpu", takes="i", plain_numbers="none")
def gcd(input, other):
    """Greatest common divisor of integers (at most 64 steps of Euclid's algorithm).

    >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([18, 5]))
    tensor([6, 1])
    """
    return common_divisor(input, other)


@pointwise(kernel="lcm_cpu", takes="i", plain_numbers="none")
def lcm(input, other):
    """Least common multiple of integers.

    >>> torch.lcm(torch.tensor([4, 0]), torch.tensor([6, 5]))
    tensor([12,  0])
    """
    divisor = common_divisor(input, other)
    product = input.floor_divide(choose(divisor == 0, 1, divisor)) * other
    return magnitude(choose(divisor == 0, 0, product))


def magnitude(value: Any) -> Any:
    """The absolute value of an integer expression."""
    return value.abs() if value.dtype.startswith("int") else value


def common_divisor(a: Any, b: Any) -> Any:
    """Greatest common divisor, by as many steps of Euclid's algorithm
    as two Fibonacci numbers need.
    """
    steps = {"int8": 11, "uint8": 13, "int16": 23, "int32": 46}.get(a.dtype, 92)
    a, b = magnitude(a), magnitude(b)
    for _ in range(steps):
        zero = b == 0
        a, b = choose(zero, a, b), choose(zero, b, a.remainder(choose(zero, 1, b)))
    return magnitude(a)


# ---- questions ----------------------------------------------------------------------------------


def classification(name: str, floating: Any, integer: bool, text: str) -> Any:
    """A test of floating elements; every integer answers alike."""

    def body(input):
        if input.dtype.startswith("complex"):
            real, imag = floating(input.real), floating(input.imag)
            return real & imag if name == "isfinite" else real | imag
        return (
            floating(input)
            if input.dtype.startswith("float")
            else (input == input if integer else input != input)
        )

    body.__name__, body.__doc__ = name, text
    return pointwise(promote=BOOL_RESULT, inplace=False)(body)


isnan = classification("isnan", lambda x: x.isnan(), False, "Whether the element is not a number.")
isinf = classification("isinf", lambda x: x.isinf(), False, "Whether the element is infinite.")
isfinite = classification(
    "isfinite", lambda x: x.isfinite(), True, "Whether the element is neither infinite nor NaN."
)


def check_real(name: str) -> Any:
    """A check that refuses complex numbers."""

    def check(input: Any) -> None:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} does not support complex inputs.")

    return check


@pointwise(promote=BOOL_RESULT, inplace=False, check=check_real("isposinf"))
def isposinf(input):
    """Whether the element is positive infinity.

    >>> torch.isposinf(torch.tensor([float("inf"), 1.0]))
    tensor([ True, False])
    """
    return input == float("inf") if input.dtype.startswith("float") else input != input


@pointwise(promote=BOOL_RESULT, inplace=False, check=check_real("isneginf"))
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
    return (
        input.imag == 0
        if input.dtype.startswith("complex")
        else (input == input) | (input != input)
    )

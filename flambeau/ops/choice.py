"""Pointwise ops, part four: the greater, the smaller, bounds, choices by condition.

>>> torch.where(torch.tensor([True, False]), torch.tensor([1, 2]), 0)
tensor([1, 0])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.ops.arithmetic import number_of_overload
from flambeau.ops.comparison import truth
from flambeau.ops.kinds import NONE, Pointwise, pointwise
from flambeau.ops.rules import no_derivative


def half_where_equal(g: Any, first: Any, second: Any, wins: Any) -> Any:
    """Where two operands are equal, each gets half the gradient."""
    return choose(first == second, g / 2, choose(wins, g, 0))


def check_ordered(name: str) -> Any:
    """A check that refuses complex numbers, which have no order."""

    def check(input: Any, other: Any) -> None:
        if any(getattr(getattr(v, "dtype", None), "is_complex", False) for v in (input, other)):
            raise RuntimeError(f"{name} not implemented for complex tensors.")

    return check


def extreme(name: str, take: Any, wins: Any, text: str) -> Any:
    """maximum, minimum, fmax, fmin."""

    def body(input, other):
        return take(input, other)

    body.__name__, body.__doc__ = name, text
    return pointwise(
        inplace=False,
        check=check_ordered(name),
        plain_numbers="none",
        grad={
            "input": lambda g, input, other: half_where_equal(g, input, other, wins(input, other)),
            "other": lambda g, input, other: half_where_equal(
                g, input, other, wins(input, other).logical_not()
            ),
        },
    )(body)


maximum = extreme(
    "maximum",
    lambda a, b: a.maximum(b),
    lambda a, b: a >= b,
    "The greater of two elements; NaN if either is.",
)
minimum = extreme(
    "minimum",
    lambda a, b: a.minimum(b),
    lambda a, b: a <= b,
    "The smaller of two elements; NaN if either is.",
)
fmax = extreme(
    "fmax",
    lambda a, b: a.fmax(b),
    lambda a, b: (a >= b) | (b != b),
    "The greater of two elements; NaN only if both are.",
)
fmin = extreme(
    "fmin",
    lambda a, b: a.fmin(b),
    lambda a, b: (a <= b) | (b != b),
    "The smaller of two elements; NaN only if both are.",
)


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
    node=number_of_overload("ClampBackward", "min", "max"),
    promotes=("input", "min", "max"),
    methods=("clamp", "clip"),
    aliases=("clip",),
    check=check_clamp,
    grad={
        "input": lambda g, input, min, max: choose(within(input, min, max), g, 0),
        "min": lambda g, input, min, max: choose(
            input < min if max is None else (input < min) & (min < max), g, 0
        ),
        "max": lambda g, input, min, max: choose(
            input > max if min is None else (input > max) | (max < min), g, 0
        ),
    },
)
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


@pointwise(
    promotes=("input", "min"),
    grad={
        "input": lambda g, input, min: choose(input >= min, g, 0),
        "min": lambda g, input, min: choose(input < min, g, 0),
    },
)
def clamp_min(input, min):
    """The element, not below `min`.

    >>> torch.clamp_min(torch.tensor([-1.0, 0.5]), 0)
    tensor([0.0000, 0.5000])
    """
    return choose((input < min) | (min != min), min, input)


@pointwise(
    promotes=("input", "max"),
    grad={
        "input": lambda g, input, max: choose(input <= max, g, 0),
        "max": lambda g, input, max: choose(input > max, g, 0),
    },
)
def clamp_max(input, max):
    """The element, not above `max`.

    >>> torch.clamp_max(torch.tensor([-1.0, 0.5]), 0)
    tensor([-1.,  0.])
    """
    return choose((input > max) | (max != max), max, input)


def check_heaviside(input: Any, values: Any) -> None:
    """torch's heaviside promotes nothing."""
    kinds = [getattr(v, "dtype", None) for v in (input, values)]
    if any(kind is not None and kind.is_complex for kind in kinds):
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if None not in kinds and kinds[0] is not kinds[1]:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


@pointwise(
    check=check_heaviside,
    plain_numbers="none",
    promotes=("input", "values"),
    node=lambda **_: "NotImplemented",
    grad=dict.fromkeys(
        ("input", "values"),
        no_derivative("derivative for aten::heaviside is not implemented", RuntimeError),
    ),
)
def heaviside(input, values):
    """0 below zero, `values` at zero, 1 above.

    >>> torch.heaviside(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return choose(input == 0, values, choose(input > 0, 1, 0))


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


def check_condition(condition: Any, input: Any, other: Any) -> None:
    """The condition must be boolean (or, deprecated, bytes)."""
    if (input is None) is not (other is None):
        raise TypeError("where() takes a condition, or a condition and two values")
    kind = getattr(condition, "dtype", None)
    if kind is None:
        raise errors.argument_type_error("where", "condition", 1, "Tensor", condition)
    if kind is not dtypes.bool_ and kind is not dtypes.uint8:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{kind.scalar_name}"
        )


class Where(Pointwise):
    """With the condition alone it asks where that holds."""

    def make(self, arguments: dict[str, Any], places: Any) -> Any:
        if arguments["input"] is None and arguments["other"] is None:
            return self.check_tensor(arguments["condition"], "condition").nonzero(as_tuple=True)
        return super().make(arguments, places)


def choose_by(condition, input=None, other=None):
    """`input` where the condition holds, else `other`; with the condition alone, the places where
    it holds.

    >>> torch.where(torch.tensor([True, False]), torch.tensor([1, 2]), 0)
    tensor([1, 0])
    """
    return choose(truth(condition), input, other)


where = Where(
    choose_by,
    name="where",
    promotes=("input", "other"),
    methods=(),
    inplace=False,
    check=check_condition,
    plain_numbers="all",
    grad={
        "input": lambda g, condition: choose(condition, g, 0),
        "other": lambda g, condition: choose(condition, 0, g),
    },
)


def method_where(self: Any, condition: Any, other: Any) -> Any:
    """The tensor where the condition holds, else `other`."""
    return where.call(condition, self, other)


method_where.__name__ = "where"
METHODS = [method_where]

"""Pointwise ops: one scalar expression each, with its derivative rules.

The body and the rules speak the vocabulary of codegen.expr, which Tensors speak too. `input` and `other` are torch's names. See
ops.kinds for what the constructor derives (broadcasting, promotion, `out=`, in-place forms, methods, fused backward).

    >>> torch.tanh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.ops.kinds import BOOL_RESULT, FLOAT, SAME, pointwise


def scaled(value: Any, factor: Any) -> Any:
    """`value * factor`, without the multiplication where the factor is the default 1."""
    return value if isinstance(factor, int) and factor == 1 else value * factor


# ---- arithmetic ------------------------------------------------------------------------------------------------------------


@pointwise(
    methods=("add", "__add__", "__radd__"),
    grad={"input": lambda g: g, "other": lambda g, alpha: scaled(g, conjugate(alpha))},
)
def add(input, other, *, alpha=1):  # type: ignore[no-untyped-def]
    """`input + alpha * other`.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    return input + scaled(other, alpha)


def conjugate(value: Any) -> Any:
    """The complex conjugate of a tensor, an expression or a Python number."""
    return value.conjugate() if isinstance(value, (int, float, complex)) else value.conj()


@pointwise(
    methods=("sub", "__sub__"), aliases=("subtract",),
    grad={"input": lambda g: g, "other": lambda g, alpha: -scaled(g, conjugate(alpha))},
)  # fmt: skip
def sub(input, other, *, alpha=1):  # type: ignore[no-untyped-def]
    """`input - alpha * other`.

    >>> torch.sub(torch.tensor([5, 7]), 2)
    tensor([3, 5])
    """
    return input - scaled(other, alpha)


@pointwise(
    methods=("mul", "__mul__", "__rmul__", "multiply"), aliases=("multiply",),
    grad={"input": lambda g, other: g * conjugate(other), "other": lambda g, input: g * input.conj()},
)  # fmt: skip
def mul(input, other):  # type: ignore[no-untyped-def]
    """`input * other`.

    >>> torch.mul(torch.tensor([1, 2]), 3)
    tensor([3, 6])
    """
    return input * other


@pointwise(grad=lambda g, y: g * (1 - y * y).conj(), promote=FLOAT)
def tanh(input):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent.

    >>> torch.tanh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return input.tanh()


@pointwise(grad=lambda g, y: choose(y <= 0, 0, g))
def relu(input):  # type: ignore[no-untyped-def]
    """`input` where positive, else 0; NaN passes through.

    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return choose(input <= 0, 0, input)


@pointwise(promote=BOOL_RESULT, methods=("gt", "__gt__"), aliases=("greater",))
def gt(input, other):  # type: ignore[no-untyped-def]
    """Whether `input > other`.

    >>> torch.gt(torch.tensor([1, 3]), 2)
    tensor([False,  True])
    """
    return input > other


__promotions__ = (SAME,)

"""Every `torch._foreach_*` function: the same names, and the same results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

NAMES = [name for name in dir(torch) if name.startswith("_foreach")]
BINARY = "add sub mul div maximum minimum clamp_min clamp_max pow".split()


def operands(of: Any, base: str) -> tuple[list[Any], list[tuple[Any, ...]]]:
    """A list of tensors, and the further arguments of some calls."""
    a = [of.arange(1.0, 3.0), of.arange(2.0, 5.0) * 0.3]
    b = [x + 1 for x in a]
    if base == "mm":
        return [of.ones(2, 2)], [([of.ones(2, 3)],)]
    if base in ("addcmul", "addcdiv"):
        factors = of.tensor([1.0, 2.0])
        return a, [(b, b), (b, b, 2.0), (b, b, [1.0, 2.0]), (b, b, factors)]
    if base == "lerp":
        return a, [(b, 0.3), (b, [0.1, 0.2]), (b, b)]
    if base in BINARY:
        scalar = [(of.tensor(2.0),)] if base in ("add", "mul", "div") else []
        return a, [(2.0,), ([2.0, 3.0],), (b,), *scalar]
    return a, [(b,)] if base == "copy" else [()]


def results(of: Any, name: str) -> list[Any]:
    """What all calls of the function give, as arrays."""
    tensors, calls = operands(of, name.removeprefix("_foreach_").rstrip("_"))
    arrays = []
    for arguments in calls:
        fresh = [x.clone() for x in tensors]
        result = getattr(of, name)(fresh, *arguments)
        arrays += [x.numpy() for x in (fresh if name.endswith("_") else result)]
    return arrays


@pytest.mark.parametrize("name", NAMES)
def test_results(name: str) -> None:
    for ours, theirs in zip(results(flambeau, name), results(torch, name), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_errors() -> None:
    """Lists that do not go together."""
    for of in (torch, flambeau):
        a = [of.ones(2), of.ones(3)]
        for call, text in (
            (lambda t, a: t._foreach_add(a, a[:1]), "Tensor lists must have the same number of"),
            (
                lambda t, a: t._foreach_add(a, [1.0]),
                "Tensor list must have same number of elements",
            ),
            (lambda t, a: t._foreach_exp([]), "Tensor list must have at least one tensor."),
            (lambda t, a: t._foreach_add(a, t.ones(2)), "scalar tensor expected to be 0 dim but"),
        ):
            with pytest.raises(RuntimeError, match=text):
                call(of, a)

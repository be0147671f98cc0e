"""Random tensors equal torch's bit by bit, whatever the dtype, the size and the layout.

One long sequence of mixed calls: every call starts from the state where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

SIZES = (0, 1, 15, 16, 17, 100, 624, 1249)
Call = Callable[[Any, int, Any], Any]
FLOATS: dict[str, Call] = {
    "rand": lambda t, n, d: t.rand(n, dtype=d),
    "randn": lambda t, n, d: t.randn(n, dtype=d),
    "uniform_": lambda t, n, d: t.empty(n, dtype=d).uniform_(-2, 3),
    "normal_": lambda t, n, d: t.empty(n, dtype=d).normal_(1, 2),
    "bernoulli_": lambda t, n, d: t.empty(n, dtype=d).bernoulli_(0.3),
    "bernoulli": lambda t, n, d: t.bernoulli(t.rand(n, dtype=d)),
    "bernoulli of a tensor": lambda t, n, d: t.empty(n, dtype=d).bernoulli_(t.rand(n)),
    "exponential_": lambda t, n, d: t.empty(n, dtype=d).exponential_(2),
    "geometric_": lambda t, n, d: t.empty(n, dtype=d).geometric_(0.2),
    "random_": lambda t, n, d: t.empty(n, dtype=d).random_(),
    "random_(5)": lambda t, n, d: t.empty(n, dtype=d).random_(5),
    "transposed": lambda t, n, d: t.empty(n, 3, dtype=d).t().normal_(),
    "rows of a view": lambda t, n, d: t.zeros(n + 2, 3, dtype=d)[1:-1].normal_(),
    "every second": lambda t, n, d: t.zeros(2 * n, dtype=d)[::2].uniform_(),
    "like": lambda t, n, d: t.randn_like(t.zeros(n, 2, dtype=d)),
    "dropout": lambda t, n, d: t.nn.functional.dropout(t.ones(n, dtype=d), 0.3),
    "normal of tensors": lambda t, n, d: t.normal(t.rand(n, dtype=d), t.rand(n, dtype=d)),
}
INTEGERS: dict[str, Call] = {
    "randint": lambda t, n, d: t.randint(0, 2, (n,), dtype=d),
    "bernoulli_": lambda t, n, d: t.empty(n, dtype=d).bernoulli_(0.7),
    "random_": lambda t, n, d: t.empty(n, dtype=d).random_(),
}
OTHERS: dict[str, Call] = {
    "wide randint": lambda t, n, d: t.randint(-5, 2**40, (n,)),
    "whole randint": lambda t, n, d: t.randint(-(2**62), 2**62, (n,)),
    "randperm": lambda t, n, d: t.randperm(n),
    "short randperm": lambda t, n, d: t.randperm(n, dtype=t.int32),
    "complex": lambda t, n, d: t.view_as_real(t.randn(n, dtype=t.complex64)),
    "generator": lambda t, n, d: t.rand(n, generator=t.Generator().manual_seed(3)),
    "randint_like": lambda t, n, d: t.randint_like(t.zeros(n), 10),
}


def compare(name: str, call: Call, dtype: str) -> None:
    """All sizes; bfloat16 goes through float32, which holds it."""
    for size in SIZES:
        theirs = call(torch, size, getattr(torch, dtype))
        ours = call(flambeau, size, getattr(flambeau, dtype))
        assert str(ours.dtype) == str(theirs.dtype)
        if dtype == "bfloat16":
            theirs, ours = theirs.float(), ours.float()
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), f"{name} {dtype} {size}")


def test_random_tensors() -> None:
    torch.manual_seed(7)
    flambeau.manual_seed(7)
    for calls, dtypes in (
        (FLOATS, ("float32", "float64", "float16", "bfloat16")),
        (INTEGERS, ("int64", "int32", "int16", "int8", "uint8", "bool")),
        (OTHERS, ("float32",)),
    ):
        for name, call in calls.items():
            for dtype in dtypes:
                compare(name, call, dtype)
    assert flambeau.get_rng_state().tolist() == torch.get_rng_state().tolist()

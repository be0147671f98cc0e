"""Tensors from Python numbers and nested lists: what native code reads (runtime.sequences) and what
it leaves to ops.sequences; both give what NumPy reads, in torch's dtypes.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.core.dtype import float32, float64, int64
from flambeau.ops.from_data import from_numbers
from flambeau.runtime.system import engine

NUMBERS = {
    "bool": lambda draw: draw.random() < 0.5,
    "int64": lambda draw: draw.randrange(-(2**63), 2**63),
    "float32": lambda draw: draw.uniform(-1e6, 1e6),
}


def nested(draw: random.Random, shape: tuple[int, ...], leaf: Any) -> Any:
    """Lists and tuples of this shape, with `leaf(draw)` at the bottom."""
    if not shape:
        return leaf(draw)
    items = [nested(draw, shape[1:], leaf) for _ in range(shape[0])]
    return tuple(items) if draw.random() < 0.3 else items


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (3, 1, 2), (1,) * 9])
def test_plain_numbers(kind: str, shape: tuple[int, ...]) -> None:
    data = nested(random.Random(str(shape)), shape, NUMBERS[kind])
    found = torch.tensor(data)
    assert (found.dtype, tuple(found.shape)) == (getattr(torch, kind), shape)
    np.testing.assert_array_equal(found.numpy(), np.array(data, kind))
    assert from_numbers(data, None) is not None


@pytest.mark.parametrize(
    ("data", "dtype"),
    [([1, 2.5], float32), ([True, 2], int64), ([True, 2.0, 3], float32), ([], float32),
     ([[], []], float32)],
)  # fmt: skip
def test_kinds_meet(data: Any, dtype: Any) -> None:
    assert torch.tensor(data).dtype is dtype


def test_a_given_dtype_and_the_default_one() -> None:
    assert torch.tensor([1, True], dtype=float64).tolist() == [1.0, 1.0]
    assert torch.tensor([2.75], dtype=int64).tolist() == [2]
    assert torch.tensor([0, 3], dtype=torch.bool).tolist() == [False, True]
    torch.set_default_dtype(float64)
    try:
        assert torch.tensor([1.5]).dtype is float64
    finally:
        torch.set_default_dtype(float32)


@pytest.mark.parametrize(
    "data",
    [[1, [2]], [[1], 2], [[1, 2], [3]], [1, "a"], [None], [1j], [2**63], [np.float64(1)], range(3),
     [[1], []], [torch.tensor(1)]],
    ids=repr,
)  # fmt: skip
def test_the_rest_is_left_to_python(data: Any) -> None:
    assert from_numbers(data, None) is None


def test_numbers_beyond_64_bits() -> None:
    assert torch.tensor(2**70, dtype=float64).item() == 2.0**70
    assert torch.tensor([2**70], dtype=float64).tolist() == [2.0**70]
    with pytest.raises((RuntimeError, ValueError)):
        torch.tensor(2**70)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "float16", "int64"])
def test_what_is_no_number_is_refused(dtype: str) -> None:
    for wrong in (["a"], [1, "a"], [None], [1.0, None]):
        with pytest.raises((TypeError, ValueError)):
            torch.tensor(wrong, dtype=getattr(torch, dtype))


def test_deep_nesting_is_refused_by_native_code() -> None:
    data: Any = 1
    for _ in range(20):
        data = [data]
    assert engine.core.measure_numbers(data) is None
    assert torch.tensor(data).shape == (1,) * 20

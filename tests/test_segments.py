"""Segment reductions, chunks, masked indexing and hashes: values and gradients.

pytest tests/test_segments.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
def test_segment_reduce(reduce: str) -> None:
    """Two rows with segments of their own, one of them empty, against plain slices."""
    data = torch.tensor(np.random.default_rng(0).normal(size=(2, 6, 3)), requires_grad=True)
    lengths = torch.tensor([[2, 0, 4], [3, 1, 2]])
    result = torch.segment_reduce(data, reduce, lengths=lengths, axis=1)
    neutral = {"sum": 0.0, "mean": math.nan, "max": -math.inf, "min": math.inf, "prod": 1.0}
    for row in range(2):
        start = 0
        for k, length in enumerate(lengths[row].tolist()):
            part = data.detach().numpy()[row, start : start + length]
            start += length
            expected = getattr(np, reduce)(part, axis=0) if length else [neutral[reduce]] * 3
            np.testing.assert_allclose(result.detach().numpy()[row, k], expected, rtol=1e-12)
    offsets = torch.tensor([[0, 2, 2, 6], [0, 3, 4, 6]])
    same = torch.segment_reduce(data, reduce, offsets=offsets, axis=1)
    np.testing.assert_array_equal(same.detach().numpy(), result.detach().numpy())


def test_segment_reduce_gradient() -> None:
    data = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2, 3, 1])
    for reduce in ("sum", "mean", "max", "prod"):
        assert torch.autograd.gradcheck(
            lambda x, r=reduce: torch.segment_reduce(x, r, lengths=lengths), (data,)
        )


def test_segment_reduce_refuses() -> None:
    x = torch.ones(4)
    with pytest.raises(RuntimeError, match="Either lengths or offsets must be defined"):
        torch.segment_reduce(x, "sum")
    with pytest.raises(RuntimeError, match="Expected all rows of lengths along axis to sum to"):
        torch.segment_reduce(x, "sum", lengths=torch.tensor([1, 1]))
    with pytest.raises(RuntimeError, match="lengths contains negative value!"):
        torch.segment_reduce(x, "sum", lengths=torch.tensor([-1, 5]))


def test_masked_index_takes_nothing_where_the_mask_is_false() -> None:
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    mask = torch.tensor([[True, False], [False, True]])
    rows, columns = torch.tensor([[0], [9]]), torch.tensor([[1, 9]])
    result = torch._unsafe_masked_index(x, mask, [rows, columns], -1.0)
    assert result.tolist() == [[1.0, -1.0], [-1.0, 5.0]]
    result.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_hash_is_the_exclusive_or_of_the_bits() -> None:
    values = np.random.default_rng(1).normal(size=(3, 4))
    expected = np.bitwise_xor.reduce(values.view(np.uint64), axis=1)
    found = torch.hash_tensor(torch.tensor(values), 1)
    assert found.dtype is torch.uint64 and found.tolist() == expected.tolist()


def test_gradient_with_coordinates() -> None:
    x = torch.tensor([0.0, 1.0, 3.0, 6.0], dtype=torch.float64)
    for order in (1, 2):
        (found,) = torch.gradient(x**2, spacing=(x,), edge_order=order)
        expected = np.gradient(x.numpy() ** 2, x.numpy(), edge_order=order)
        np.testing.assert_allclose(found.numpy(), expected)

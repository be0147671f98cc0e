"""Sorting, selection, distinct elements and scans beside NumPy: every algorithm's range of lengths,
dtypes, layouts, special values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import flambeau as torch

Array = np.ndarray
# lengths that insertion, merging and the radix sort meet, and their borders
LENGTHS = [0, 1, 2, 15, 16, 17, 33, 64, 65, 160, 161, 257, 1000]
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    """Random elements with many ties, negative zeros and NaN."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if dtype.startswith("float"):
        a = (rng.integers(-9, 9, shape) * 0.25).astype(dtype)
        a[rng.random(shape) < 0.05] = -0.0
        a[rng.random(shape) < 0.05] = np.nan
        return a
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def same(result: Any, expected: Array) -> None:
    """Equal to the bit, NaN equal to NaN."""
    np.testing.assert_array_equal(result.numpy(), expected)
    if expected.dtype.kind == "f":
        np.testing.assert_array_equal(
            np.signbit(result.numpy()[expected == 0]), np.signbit(expected[expected == 0])
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_sort_is_stable(dtype: str) -> None:
    for length in LENGTHS:
        a = values((3, length), dtype, length)
        order = np.argsort(a, axis=1, kind="stable")
        result = torch.from_numpy(a).sort(1)
        same(result.indices, order)
        same(result.values, np.take_along_axis(a, order, 1))
        # descending keeps the order of equal elements too; NaN comes first
        turned = np.argsort(a[:, ::-1], axis=1, kind="stable")[:, ::-1]
        turned = length - 1 - turned
        same(torch.from_numpy(a).sort(1, descending=True).indices, turned)
        same(torch.from_numpy(a).argsort(), order)


def test_sort_of_strided_tensors() -> None:
    a = values((40, 6, 5), "float32")
    for dim in range(3):
        order = np.argsort(a, axis=dim, kind="stable")
        for x in (
            torch.from_numpy(a),
            torch.from_numpy(np.ascontiguousarray(a.T)).permute(2, 1, 0),
            torch.from_numpy(np.repeat(a, 2, 0))[::2],
        ):
            result = x.sort(dim)
            same(result.indices, order)
            same(result.values, np.take_along_axis(a, order, dim))
    same(torch.from_numpy(a).msort(), np.take_along_axis(a, np.argsort(a, 0, kind="stable"), 0))


def test_large_sort() -> None:
    for dtype in ("float32", "int64"):
        a = (
            np.random.default_rng(0).standard_normal(200_000).astype(dtype)
            if dtype[0] == "f"
            else values((200_000,), dtype)
        )
        result = torch.from_numpy(a).sort()
        order = np.argsort(a, kind="stable")
        same(result.values, a[order])
        same(result.indices, order)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bool"])
@pytest.mark.parametrize("largest", [True, False])
def test_topk(dtype: str, largest: bool) -> None:
    for length, k in ((5, 2), (64, 2), (300, 9), (300, 200), (5000, 100), (100, 0)):
        a = values((2, length), dtype, length)
        result = torch.from_numpy(a).topk(k, largest=largest)
        ascending = np.argsort(a, axis=1, kind="stable")
        order = (
            length - 1 - np.argsort(a[:, ::-1], axis=1, kind="stable")[:, ::-1]
            if largest
            else ascending
        )
        same(result.values, np.take_along_axis(a, order[:, :k], 1))
        same(result.indices, order[:, :k])
    with pytest.raises(RuntimeError, match="selected index k out of range"):
        torch.ones(3).topk(4)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32", "float64"])
def test_selection(dtype: str) -> None:
    for length in LENGTHS[1:]:
        a = values((3, length), dtype, length)
        x, ordered = torch.from_numpy(a), np.sort(a, axis=1)
        for k in {1, (length + 1) // 2, length}:
            result = x.kthvalue(k, 1)
            np.testing.assert_array_equal(result.values.numpy(), ordered[:, k - 1])
            np.testing.assert_array_equal(
                np.take_along_axis(a, result.indices.numpy()[:, None], 1)[:, 0], ordered[:, k - 1]
            )
        missing = np.isnan(a).sum(1) if dtype.startswith("float") else np.zeros(3, int)
        middle = np.where(missing > 0, length - 1, (length - 1) // 2)
        np.testing.assert_array_equal(x.median(1).values.numpy(), ordered[np.arange(3), middle])
        numbers = np.maximum(length - missing - 1, 0) // 2
        np.testing.assert_array_equal(x.nanmedian(1).values.numpy(), ordered[np.arange(3), numbers])
        np.testing.assert_array_equal(x[0].median().numpy(), ordered[0, middle[0]])
    with pytest.raises(RuntimeError, match="selected number k out of range for dimension 0"):
        torch.ones(3).kthvalue(4)


def test_mode() -> None:
    a = np.random.default_rng(0).integers(0, 5, (4, 90))
    result = torch.from_numpy(a).mode(1)
    for row, value, place in zip(a, result.values.tolist(), result.indices.tolist(), strict=True):
        counts = np.bincount(row)
        assert value == counts.argmax() and row[place] == value and value not in row[place + 1 :]


def test_unique() -> None:
    a = np.random.default_rng(0).integers(-4, 4, (6, 50))
    x = torch.from_numpy(a)
    found = torch.unique(x, return_inverse=True, return_counts=True)
    expected = np.unique(a, return_inverse=True, return_counts=True)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.reshape(tuple(mine.shape)))
    rows = np.repeat(a[:3, :2], 2, axis=0)
    found = torch.unique(torch.from_numpy(rows), return_inverse=True, return_counts=True, dim=0)
    expected = np.unique(rows, return_inverse=True, return_counts=True, axis=0)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.reshape(tuple(mine.shape)))
    values, inverse, counts = torch.unique_consecutive(
        torch.tensor([1, 1, 2, 1]), return_inverse=True, return_counts=True
    )
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == (
        [1, 2, 1],
        [0, 0, 1, 2],
        [2, 1, 1],
    )
    assert len(torch.tensor([math.nan, math.nan]).unique()) == 2


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int32", "int64", "float32", "float64", "complex64"]
)
def test_scans(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((7,), (3, 100), (100, 3), (5, 6, 70), (70, 6, 5), (1, 1), (2, 0)):
        a = rng.standard_normal(shape) * 2 if dtype[0] in "fc" else rng.integers(0, 2, shape)
        a = a.astype(dtype)
        wide = "int64" if dtype[0] in "bui" else dtype
        for x in (
            torch.from_numpy(a),
            torch.from_numpy(np.ascontiguousarray(a.T)).permute(*range(a.ndim)[::-1]),
        ):
            for dim in range(a.ndim):
                for name in ("cumsum", "cumprod"):
                    expected = getattr(np, name)(
                        a.astype(
                            "complex128"
                            if dtype[0] == "c"
                            else "float64"
                            if dtype[0] == "f"
                            else wide
                        ),
                        axis=dim,
                    )
                    result = getattr(x, name)(dim)
                    assert str(result.dtype) == f"torch.{wide}"
                    np.testing.assert_allclose(
                        result.numpy(),
                        expected,
                        rtol=3e-5 if dtype in ("float32", "complex64") else 1e-12,
                        atol=1e-5,
                    )
                if dtype[0] == "f":
                    expected = np.logaddexp.accumulate(a.astype("float64"), axis=dim)
                    np.testing.assert_allclose(
                        x.logcumsumexp(dim).numpy(), expected, rtol=1e-5, atol=1e-6
                    )
                if dtype[0] != "c":
                    for name, extreme in (("cummax", np.maximum), ("cummin", np.minimum)):
                        result = getattr(x, name)(dim)
                        np.testing.assert_array_equal(
                            result.values.numpy(), extreme.accumulate(a, axis=dim)
                        )
                        np.testing.assert_array_equal(
                            np.take_along_axis(a, result.indices.numpy(), dim),
                            result.values.numpy(),
                        )


def test_scans_of_nan_and_ties() -> None:
    result = torch.tensor([1.0, 1.0, math.nan, 5.0, math.nan]).cummax(0)
    assert result.indices.tolist() == [0, 1, 2, 2, 4]
    x = torch.tensor([1, 2, 3], dtype=torch.int32)
    assert (
        x.cumsum(0).dtype is torch.int64
        and x.cumsum_(0).dtype is torch.int32
        and x.tolist() == [1, 3, 6]
    )
    assert torch.cumsum(x, 0, dtype=torch.float64).dtype is torch.float64


def test_long_sums_are_precise() -> None:
    a = np.random.default_rng(0).random(1_000_000).astype("float32")
    total = torch.from_numpy(a).cumsum(0)
    np.testing.assert_allclose(total.numpy(), np.cumsum(a.astype("float64")), rtol=1e-7)


def test_differences_and_integrals() -> None:
    a = np.random.default_rng(0).standard_normal((4, 6))
    x, step = torch.from_numpy(a), torch.linspace(0, 1, 6, dtype=torch.float64)
    np.testing.assert_allclose(x.diff(n=2, dim=0).numpy(), np.diff(a, 2, axis=0))
    np.testing.assert_allclose(
        x.diff(prepend=x[:, :1], append=x).numpy(), np.diff(a, prepend=a[:, :1], append=a)
    )
    trapezoid = getattr(np, "trapezoid", None) or np.trapz
    np.testing.assert_allclose(torch.trapezoid(x, step).numpy(), trapezoid(a, step.numpy()))
    np.testing.assert_allclose(
        torch.cumulative_trapezoid(x, dx=0.5)[:, -1].numpy(), trapezoid(a, dx=0.5)
    )


@pytest.mark.parametrize(
    "name",
    [
        "cumsum",
        "cumprod",
        "cumprod zero",
        "logcumsumexp",
        "cummax",
        "sort",
        "topk",
        "kthvalue",
        "median",
        "median whole",
        "mode",
    ],
)
def test_gradients(name: str) -> None:
    """Gradients beside central differences, in float64."""
    functions: dict[str, Any] = {
        "cumsum": lambda x: x.cumsum(1),
        "cumprod": lambda x: x.cumprod(0),
        "cumprod zero": lambda x: (x * zero).cumprod(1),
        "logcumsumexp": lambda x: x.logcumsumexp(1),
        "cummax": lambda x: x.cummax(1)[0],
        "sort": lambda x: x.sort(0, True)[0],
        "topk": lambda x: x.topk(2)[0],
        "kthvalue": lambda x: x.kthvalue(2, 0)[0],
        "median": lambda x: x.median(1)[0],
        "median whole": lambda x: x.median(),
        "mode": lambda x: x.mode(1)[0],
    }
    zero = torch.tensor([1.0, 0.0, 2.0, 0.0], dtype=torch.float64)
    a, step = np.random.default_rng(3).standard_normal((3, 4)), 1e-6

    def total(array: Array) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy(array.copy()).requires_grad_()
        y = functions[name](x)
        return (
            y * torch.arange(1, y.numel() + 1, dtype=torch.float64).reshape(tuple(y.shape))
        ).sum(), x

    value, x = total(a)
    value.backward()
    for place in np.ndindex(*a.shape):
        up, down = a.copy(), a.copy()
        up[place] += step
        down[place] -= step
        numeric = (total(up)[0].item() - total(down)[0].item()) / (2 * step)
        assert x.grad[place].item() == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int32", "float32", "float64"])
@pytest.mark.parametrize("length", [1, 3, 24, 64])
def test_many_short_lines(dtype: str, length: int) -> None:
    """Lines that are ordered several at once, along either dimension, the last block not full."""
    a = values((37, length), dtype, length)
    for x, dim in ((torch.from_numpy(a), 1), (torch.from_numpy(a.T.copy()), 0)):
        order = np.argsort(a, axis=1, kind="stable")
        values_of, indices = x.sort(dim)
        same(values_of if dim else values_of.t(), np.take_along_axis(a, order, 1))
        same(indices if dim else indices.t(), order)
        k = (length + 1) // 2
        middle = np.take_along_axis(a, order, 1)[:, k - 1]
        np.testing.assert_array_equal(x.kthvalue(k, dim).values.numpy(), middle)
        top = x.topk(k, dim, largest=False).indices
        same(top if dim else top.t(), order[:, :k])
        np.testing.assert_array_equal(
            x.nanmedian(dim).values.numpy(), [np.sort(row)[_middle(row)] for row in a]
        )


def _middle(row: Array) -> int:
    """The place of the median among the numbers of a row."""
    numbers = len(row) - (int(np.isnan(row).sum()) if row.dtype.kind == "f" else 0)
    return max(0, numbers - 1) // 2


def test_selection_from_orders_that_are_hard() -> None:
    """Sorted, reversed, constant, two values, far apart: where pivots from a sample go wrong."""
    n = 3001
    for a in (
        np.arange(n),
        np.arange(n)[::-1].copy(),
        np.zeros(n),
        np.arange(n) % 2,
        np.arange(n) ** 5,
    ):
        x = torch.from_numpy(a.astype("f4"))
        for k in (1, 2, n // 3, n - 1, n):
            assert x.kthvalue(k).values.item() == np.sort(a.astype("f4"))[k - 1]
            index = x.kthvalue(k).indices.item()
            assert index == np.nonzero(a.astype("f4") == np.sort(a.astype("f4"))[k - 1])[0][0]

"""Pooling against its definition, window by window, over random shapes and options."""

from __future__ import annotations

import itertools
import random

import numpy
import pytest

import flambeau as torch
from flambeau.nn import functional as F

POOLS = {
    1: (F.max_pool1d, F.avg_pool1d),
    2: (F.max_pool2d, F.avg_pool2d),
    3: (F.max_pool3d, F.avg_pool3d),
}
ADAPTIVE = {
    1: (F.adaptive_max_pool1d, F.adaptive_avg_pool1d),
    2: (F.adaptive_max_pool2d, F.adaptive_avg_pool2d),
    3: (F.adaptive_max_pool3d, F.adaptive_avg_pool3d),
}


def places_of(starts, kernel, dilation):
    return itertools.product(
        *([s + i * d for i in range(k)] for s, k, d in zip(starts, kernel, dilation))
    )


def maxima(x, kernel, stride, padding, dilation, counts):
    """(values, flat places) of every window."""
    space = x.shape[2:]
    values = numpy.empty((*x.shape[:2], *counts), x.dtype)
    places = numpy.empty(values.shape, numpy.int64)
    for at in numpy.ndindex(values.shape):
        starts = [i * s - p for i, s, p in zip(at[2:], stride, padding)]
        inside = [
            w
            for w in places_of(starts, kernel, dilation)
            if all(0 <= i < n for i, n in zip(w, space))
        ]
        best = max(inside, key=lambda w: x[at[:2] + w])
        values[at], places[at] = x[at[:2] + best], numpy.ravel_multi_index(best, space)
    return values, places


def averages(x, kernel, stride, padding, counts, include, divisor):
    space = x.shape[2:]
    values = numpy.empty((*x.shape[:2], *counts), x.dtype)
    for at in numpy.ndindex(values.shape):
        starts = [i * s - p for i, s, p in zip(at[2:], stride, padding)]
        ends = [min(s + k, n + p) for s, k, n, p in zip(starts, kernel, space, padding)]
        padded = numpy.prod([e - s for s, e in zip(starts, ends)])
        window = tuple(slice(max(s, 0), min(e, n)) for s, e, n in zip(starts, ends, space))
        inside = x[at[:2] + window]
        values[at] = inside.sum() / (divisor or (padded if include else inside.size))
    return values


def options(rng, ndim):
    """Random (input, kernel, stride, padding, dilation) such that there are windows."""
    kernel = [rng.choice((1, 2, 2, 3, 4)) for _ in range(ndim)]
    stride = [rng.choice((1, 2, 2, 3)) for _ in range(ndim)]
    if rng.random() < 0.3:
        kernel = stride = [2] * ndim
    padding = [rng.randint(0, k // 2) for k in kernel]
    limit = {1: 400, 2: 20, 3: 7}[ndim]
    space = [rng.randint(k * 2 + 1, limit + k * 2) for k in kernel]
    shape = (rng.randint(1, 3), rng.randint(1, 3), *space)
    x = numpy.random.default_rng(rng.randint(0, 99)).standard_normal(shape).astype("float32")
    return x, kernel, stride, padding, [rng.choice((1, 1, 2)) for _ in kernel]


def as_tensor(rng, x):
    """The values in one of several layouts."""
    tensor = torch.from_numpy(x)
    if x.ndim == 4 and rng.random() < 0.3:
        return tensor.contiguous(memory_format=torch.channels_last)
    if rng.random() < 0.2:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    return tensor


@pytest.mark.parametrize("seed", range(60))
def test_maximum(seed: int) -> None:
    rng = random.Random(seed)
    ndim = rng.choice((1, 2, 2, 3))
    x, kernel, stride, padding, dilation = options(rng, ndim)
    given, ceil_mode = as_tensor(rng, x).requires_grad_(), rng.random() < 0.5
    pool = POOLS[ndim][0]
    values, places = pool(given, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
    wanted = maxima(x, kernel, stride, padding, dilation, values.shape[2:])
    assert numpy.array_equal(values.detach().numpy(), wanted[0])
    assert numpy.array_equal(places.numpy(), wanted[1])
    with torch.no_grad():
        assert torch.equal(pool(given, kernel, stride, padding, dilation, ceil_mode), values)
    values.backward(torch.ones_like(values) * 2)
    counted = numpy.zeros((*x.shape[:2], int(numpy.prod(x.shape[2:]))), "float32")
    for at in numpy.ndindex(*places.shape[:2]):
        numpy.add.at(counted[at], wanted[1][at].reshape(-1), 2)
    assert numpy.array_equal(given.grad.numpy().reshape(counted.shape), counted)


@pytest.mark.parametrize("seed", range(60))
def test_average(seed: int) -> None:
    rng = random.Random(seed)
    ndim = rng.choice((1, 2, 2, 3))
    x, kernel, stride, padding, _ = options(rng, ndim)
    given, ceil_mode, include = as_tensor(rng, x), rng.random() < 0.5, rng.random() < 0.5
    divisor = rng.choice((None, None, 5)) if ndim > 1 else None
    extra = () if ndim == 1 else (divisor,)
    y = POOLS[ndim][1](given, kernel, stride, padding, ceil_mode, include, *extra)
    wanted = averages(x, kernel, stride, padding, y.shape[2:], include, divisor)
    numpy.testing.assert_allclose(y.numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(30))
def test_adaptive_forms(seed: int) -> None:
    rng = random.Random(seed)
    ndim = rng.choice((1, 2, 2, 3))
    x = options(rng, ndim)[0]
    sizes = [rng.choice((1, 2, n // 2, n, n + 1)) for n in x.shape[2:]]
    values, places = ADAPTIVE[ndim][0](as_tensor(rng, x), sizes, return_indices=True)
    means = ADAPTIVE[ndim][1](as_tensor(rng, x), sizes).numpy()
    for at in numpy.ndindex(means.shape):
        window = tuple(
            slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(at[2:], x.shape[2:], sizes)
        )
        inside = x[at[:2] + window]
        assert values[at].item() == inside.max()
        assert x[at[:2]].reshape(-1)[places[at].item()] == inside.max()
        assert abs(means[at] - inside.mean()) < 1e-5


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_gradients_of_averages(ndim: int) -> None:
    x = torch.randn(2, 2, *(7, 6, 5)[:ndim], dtype=torch.float64, requires_grad=True)
    pool, adaptive = POOLS[ndim][1], ADAPTIVE[ndim][1]
    for function in (
        lambda t: pool(t, 3, 2, 1, True, False),
        lambda t: pool(t, 2),
        lambda t: adaptive(t, 3),
        lambda t: adaptive(t, (7, 6, 5)[:ndim]),
    ):
        assert torch.autograd.gradcheck(function, (x,))
        assert torch.autograd.gradgradcheck(function, (x,))


def test_nan_and_infinity() -> None:
    nan, low = float("nan"), float("-inf")
    x = torch.tensor([[[1.0, nan, 2.0, low, low, low]]])
    values, places = F.max_pool1d(x, 3, return_indices=True)
    assert values.isnan().tolist() == [[[True, False]]]
    assert places.tolist() == [[[1, 3]]]
    values, places = F.max_pool2d(x.view(1, 1, 2, 3).repeat(1, 1, 1, 2), 2, return_indices=True)
    assert places.tolist() == [[[[1, 2, 4]]]]


def test_dtypes() -> None:
    for dtype in (torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.float64):
        x = torch.arange(16).to(dtype).view(1, 1, 4, 4)
        assert F.max_pool2d(x, 2).flatten().tolist() == [5, 7, 13, 15]
    assert F.avg_pool2d(torch.arange(16).view(1, 1, 4, 4), 2).flatten().tolist() == [2, 4, 10, 12]
    with pytest.raises(RuntimeError, match="not implemented"):
        F.max_pool2d(torch.ones(1, 1, 4, 4, dtype=torch.complex64), 2)


@pytest.mark.parametrize("channels", [1, 3, 4, 24, 100])
def test_channels_last(channels: int) -> None:
    """The same values, gradients and places as in rows, laid out as the input is."""
    rows = torch.randn(2, channels, 9, 10)
    for pool in (
        lambda t: F.max_pool2d(t, 3, 2, 1, 2),
        lambda t: F.max_pool2d(t, 2, return_indices=True)[0],
        lambda t: F.avg_pool2d(t, 3, 2, 1, True, False),
        lambda t: F.adaptive_avg_pool2d(t, (3, 5)),
        lambda t: F.adaptive_max_pool2d(t, 4),
    ):
        results = []
        for format in (torch.contiguous_format, torch.channels_last):
            x = rows.clone(memory_format=format).requires_grad_()
            y = pool(x)
            (grad,) = torch.autograd.grad((y * y).sum(), x)
            assert y.is_contiguous(memory_format=format)
            assert grad.is_contiguous(memory_format=format)
            results.append((y, grad))
        assert torch.allclose(results[0][0], results[1][0], atol=1e-6)
        assert torch.allclose(results[0][1], results[1][1], atol=1e-6)

"""Reductions, norms, softmax and statistics beside NumPy and SciPy, in several dtypes and layouts;
gradients beside differences.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import flambeau as torch

Array = np.ndarray
SHAPES = [(5,), (3, 4), (2, 3, 40), (300, 7), (7, 300), (1, 1)]


def layouts(a: Array) -> list[torch.Tensor]:
    """The same elements contiguous, transposed, and with gaps."""
    gaps = torch.from_numpy(np.repeat(a, 2, axis=-1))[..., ::2]
    return [
        torch.from_numpy(a),
        torch.from_numpy(np.ascontiguousarray(a.T)).permute(*range(a.ndim)[::-1]),
        gaps,
    ]


def dims_of(a: Array) -> list[Any]:
    pairs: list[Any] = [None, *range(a.ndim)]
    return pairs + ([(0, a.ndim - 1)] if a.ndim > 1 else [])


def sample(shape: tuple[int, ...], dtype: str) -> Array:
    rng = np.random.default_rng(len(shape))
    if dtype == "bool":
        return rng.random(shape) > 0.5
    return (rng.standard_normal(shape) * 3).astype(dtype)


ALONG: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (lambda x, d: x.sum(d), lambda a, d: a.sum(axis=d)),
    "mean": (lambda x, d: x.mean(d), lambda a, d: a.mean(axis=d)),
    "amax": (lambda x, d: x.amax(() if d is None else d), lambda a, d: a.max(axis=d)),
    "amin": (lambda x, d: x.amin(() if d is None else d), lambda a, d: a.min(axis=d)),
    "any": (lambda x, d: (x > 2).any(d), lambda a, d: (a > 2).any(axis=d)),
    "all": (lambda x, d: (x > -5).all(d), lambda a, d: (a > -5).all(axis=d)),
    "count_nonzero": (lambda x, d: x.count_nonzero(d), lambda a, d: np.count_nonzero(a, axis=d)),
    "std": (lambda x, d: x.std(d, correction=0), lambda a, d: a.std(axis=d)),
    "var": (
        lambda x, d: x.var(d),
        lambda a, d: a.var(axis=d, ddof=1) if a.size > 1 else np.full(a.sum(axis=d).shape, np.nan),
    ),
    "norm": (lambda x, d: x.norm(dim=d), lambda a, d: np.sqrt((a * a).sum(axis=d))),
    "norm 3": (lambda x, d: x.norm(3, dim=d), lambda a, d: (abs(a) ** 3).sum(axis=d) ** (1 / 3)),
    "norm inf": (lambda x, d: x.norm(math.inf, dim=d), lambda a, d: abs(a).max(axis=d)),
    "nansum": (lambda x, d: x.nansum(d), lambda a, d: np.nansum(a, axis=d)),
    "logsumexp": (
        lambda x, d: x.logsumexp(tuple(range(x.ndim)) if d is None else d),
        lambda a, d: scipy.special.logsumexp(a, axis=d),
    ),
}


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_reductions(name: str, dtype: str) -> None:
    ours, reference = ALONG[name]
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for shape in SHAPES:
        a = sample(shape, dtype)
        for x in layouts(a):
            for dim in dims_of(a):
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    expected, result = np.asarray(reference(a.astype("f8"), dim)), ours(x, dim)
                assert tuple(result.shape) == expected.shape, (shape, dim)
                np.testing.assert_allclose(
                    result.numpy(),
                    expected,
                    rtol=tolerance,
                    atol=tolerance,
                    err_msg=f"{shape} {dim}",
                )


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "bool", "uint8"])
def test_extremes(dtype: str) -> None:
    for shape in SHAPES:
        a = sample(shape, dtype)
        for x in layouts(a):
            assert x.max().item() == a.max() and x.min().item() == a.min()
            for dim in range(a.ndim):
                for result, values, places in (
                    (x.max(dim), a.max(axis=dim), a.argmax(axis=dim)),
                    (x.min(dim), a.min(axis=dim), a.argmin(axis=dim)),
                ):
                    np.testing.assert_array_equal(result.values.numpy(), values)
                    np.testing.assert_array_equal(result.indices.numpy(), places)
                if dtype != "bool":
                    np.testing.assert_array_equal(x.argmax(dim).numpy(), a.argmax(axis=dim))
                    assert x.argmin().item() == a.argmin()
                low, high = x.aminmax(dim=dim)
                np.testing.assert_array_equal(low.numpy(), a.min(axis=dim))
                np.testing.assert_array_equal(high.numpy(), a.max(axis=dim))


@pytest.mark.parametrize(
    "dtype, result",
    [("bool", "int64"), ("uint8", "int64"), ("int32", "int64"), ("float32", "float32")],
)
def test_sums_of_narrow_integers_are_long(dtype: str, result: str) -> None:
    a = sample((4, 5), dtype)
    for name in ("sum", "prod", "cumsum", "cumprod"):
        x = torch.from_numpy(a)
        total = getattr(x, name)(1)
        assert str(total.dtype) == f"torch.{result}", name
        np.testing.assert_allclose(
            total.numpy(), getattr(a.astype(result), name)(axis=1), rtol=1e-4
        )


def test_signatures_of_max() -> None:
    x = torch.tensor([[1.0, 5.0], [3.0, 2.0]])
    assert (
        str(x.max(1))
        == "torch.return_types.max(\nvalues=tensor([5., 3.]),\nindices=tensor([1, 0]))"
    )
    assert torch.equal(torch.max(x, torch.tensor(2.5)), torch.tensor([[2.5, 5.0], [3.0, 2.5]]))
    assert torch.equal(x.max(dim=0, keepdim=True)[0], torch.tensor([[3.0, 5.0]]))
    assert torch.equal(x.max(axis=0).values, torch.tensor([3.0, 5.0]))
    with pytest.raises(TypeError, match=r"max\(\) received an invalid combination of arguments"):
        torch.max(x, "a")
    with pytest.raises(
        RuntimeError,
        match=r"max\(\): Expected reduction dim to be specified for input.numel\(\) == 0",
    ):
        torch.empty(0).max()
    with pytest.raises(
        IndexError, match=r"max\(\): Expected reduction dim 1 to have non-zero size"
    ):
        torch.empty(2, 0).max(1)


def test_nan_is_greatest_and_least() -> None:
    x = torch.tensor([1.0, math.nan, 3.0])
    assert math.isnan(x.max().item()) and math.isnan(x.min().item())
    assert x.max(0).indices.item() == 1 and x.argmin().item() == 1
    assert x.nansum().item() == 4 and x.nanmean().item() == 2


def test_corrections() -> None:
    x = torch.tensor([1.0, 2.0, 4.0])
    a = x.numpy()
    for call, ddof in (
        (x.std(), 1),
        (x.std(False), 0),
        (x.std(unbiased=True), 1),
        (x.std(correction=2), 2),
        (x.std(0, False), 0),
    ):
        assert call.item() == pytest.approx(a.std(ddof=ddof), rel=1e-6)
    assert [v.item() for v in torch.var_mean(x, correction=0)] == pytest.approx(
        [a.var(), a.mean()], rel=1e-6
    )
    with pytest.warns(UserWarning, match=r"std\(\): degrees of freedom is <= 0"):
        assert math.isnan(torch.ones(1).std().item())
    with pytest.raises(
        RuntimeError, match="std and var only support floating point and complex dtypes"
    ):
        torch.ones(3, dtype=torch.int64).std()


@pytest.mark.parametrize(
    "dtype, tolerance",
    [("float32", 1e-6), ("float64", 1e-14), ("float16", 2e-3), ("bfloat16", 2e-2)],
)
def test_softmax(dtype: str, tolerance: float) -> None:
    for shape in SHAPES:
        a = sample(shape, "float64")
        for x in layouts(a):
            for dim in range(a.ndim):
                narrow = x.to(getattr(torch, dtype))
                result = narrow.softmax(dim)
                logarithm = torch.log_softmax(narrow, dim)
                exact = narrow.double().numpy()
                assert result.dtype is narrow.dtype and result.is_contiguous()
                np.testing.assert_allclose(
                    result.double().numpy(),
                    scipy.special.softmax(exact, dim),
                    rtol=tolerance,
                    atol=tolerance,
                )
                np.testing.assert_allclose(
                    logarithm.double().numpy(),
                    scipy.special.log_softmax(exact, dim),
                    rtol=tolerance,
                    atol=tolerance,
                )


def test_softmax_of_infinities() -> None:
    assert torch.softmax(torch.tensor([-math.inf, 2.0]), 0).tolist() == [0.0, 1.0]
    assert all(map(math.isnan, torch.softmax(torch.tensor([math.inf, 1.0]), 0).tolist()))
    assert torch.softmax(torch.tensor([1, 1]), 0, dtype=torch.float32).tolist() == [0.5, 0.5]
    with pytest.raises(
        NotImplementedError, match="\"softmax_lastdim_kernel_impl\" not implemented for 'Long'"
    ):
        torch.softmax(torch.tensor([1, 1]), 0)


def test_closeness() -> None:
    a, b = torch.tensor([1.0, math.inf, math.nan]), torch.tensor([1.0 + 1e-7, math.inf, math.nan])
    assert torch.isclose(a, b).tolist() == [True, True, False]
    assert torch.allclose(a, b, equal_nan=True) and not torch.allclose(a, b)
    assert torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2])) and not torch.equal(a[:1], a[:2])
    with pytest.raises(RuntimeError, match="Float did not match Long"):
        torch.isclose(a, torch.ones(3, dtype=torch.int64))


def test_statistics_beside_numpy() -> None:
    a = sample((4, 30), "float64")
    x = torch.from_numpy(a)
    np.testing.assert_allclose(torch.cov(x).numpy(), np.cov(a))
    np.testing.assert_allclose(torch.corrcoef(x).numpy(), np.corrcoef(a))
    np.testing.assert_allclose(
        torch.quantile(x, torch.tensor([0.1, 0.5], dtype=torch.float64), dim=1).numpy(),
        np.quantile(a, [0.1, 0.5], axis=1),
    )
    np.testing.assert_allclose(torch.histc(x, 7).numpy(), np.histogram(a, 7)[0])
    counts, edges = torch.histogram(x, 5, range=(-2.0, 2.0))
    np.testing.assert_allclose(counts.numpy(), np.histogram(a, 5, (-2, 2))[0])
    np.testing.assert_allclose(edges.numpy(), np.histogram(a, 5, (-2, 2))[1])
    whole = torch.from_numpy((abs(a) * 3).astype("int64").reshape(-1))
    np.testing.assert_array_equal(torch.bincount(whole).numpy(), np.bincount(whole.numpy()))
    assert x.trace().item() == pytest.approx(np.trace(a))


DIFFERENTIABLE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "max": lambda x: x.max(),
    "max along": lambda x: x.max(1)[0],
    "amin": lambda x: x.amin((0, 1)),
    "aminmax": lambda x: sum(x.aminmax(dim=0)),
    "prod": lambda x: x.prod(1),
    "std": lambda x: x.std(1),
    "var_mean": lambda x: sum(torch.var_mean(x, 0)),
    "norm": lambda x: x.norm(),
    "norm 3": lambda x: x.norm(3, dim=0),
    "norm half": lambda x: x.norm(0.5),
    "norm inf": lambda x: x.norm(math.inf, dim=1),
    "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(0),
    "log_softmax": lambda x: x.log_softmax(1),
    "dist": lambda x: x.dist(torch.eye(3, 4, dtype=torch.float64)),
    "renorm": lambda x: x.renorm(2, 0, 1.0),
    "nanmean": lambda x: x.nanmean(1),
    "quantile": lambda x: x.quantile(0.3, dim=1),
    "trace": lambda x: x.trace(),
}


def total_and_slope(
    function: Any, array: Array, weights: Array, direction: Array
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The elements as a leaf, the weighted sum of results, and its derivative in a direction."""
    x = torch.from_numpy(array.copy()).requires_grad_()
    y = function(x)
    total = (y * torch.from_numpy(weights)).sum()
    (g,) = torch.autograd.grad(total, x, create_graph=True)
    return x, total, (g * torch.from_numpy(direction)).sum()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name: str) -> None:
    """First and second derivatives beside central differences."""
    function, step, rng = DIFFERENTIABLE[name], 1e-5, np.random.default_rng(1)
    a, direction = sample((3, 4), "float64"), rng.standard_normal((3, 4))
    weights = rng.standard_normal(tuple(function(torch.from_numpy(a)).shape))
    x, *values = total_and_slope(function, a, weights, direction)
    numeric = np.zeros((2, *a.shape))
    for place in np.ndindex(*a.shape):
        moved = []
        for sign in (1, -1):
            b = a.copy()
            b[place] += sign * step
            moved.append([v.item() for v in total_and_slope(function, b, weights, direction)[1:]])
        numeric[(slice(None), *place)] = (np.array(moved[0]) - moved[1]) / (2 * step)
    for value, expected in zip(values, numeric, strict=True):
        found = None
        if value.requires_grad:
            (found,) = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)
        np.testing.assert_allclose(
            np.zeros_like(a) if found is None else found.numpy(), expected, rtol=1e-4, atol=1e-5
        )


def test_products_with_zeros() -> None:
    for row in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 1.0]):
        x = torch.tensor(row, requires_grad=True)
        x.prod().backward()
        assert x.grad.tolist() == [math.prod(row[:i] + row[i + 1 :]) for i in range(len(row))]


def test_equal_extremes_share_the_gradient() -> None:
    x = torch.tensor([1.0, 2.0, 2.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]
    x.grad = None
    x.amax(0).backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]
    x.grad = None
    x.max(0)[0].backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_names_of_nodes() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    names = {
        "MaxBackward1": x.max(),
        "MaxBackward0": x.max(0)[0],
        "AmaxBackward0": x.amax(0),
        "StdBackward0": x.std(),
        "VarBackward0": x.var(1),
        "ProdBackward0": x.prod(),
        "ProdBackward1": x.prod(0),
        "LinalgVectorNormBackward0": x.norm(),
        "LogsumexpBackward0": x.logsumexp(1),
        "SoftmaxBackward0": x.softmax(1),
        "LogSoftmaxBackward0": x.log_softmax(1),
        "CumsumBackward0": x.cumsum(0),
        "SortBackward0": x.sort()[0],
        "TopkBackward0": x.topk(1)[0],
        "MedianBackward0": x.median(),
        "MedianBackward1": x.median(1)[0],
        "TraceBackward0": x.trace(),
    }
    assert {name: y.grad_fn.name() for name, y in names.items()} == {name: name for name in names}

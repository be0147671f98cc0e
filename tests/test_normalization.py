"""Normalisations against NumPy in float64: values, statistics, layouts, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

SHAPE = (3, 6, 5, 7)
LAYOUTS = ("rows", "channels_last", "transposed")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) * 2 + 3


def tensor(values: np.ndarray, dtype: Any = torch.float64, layout: str = "rows") -> Any:
    found = torch.from_numpy(values).to(dtype)
    if layout == "channels_last":
        return found.to(memory_format=torch.channels_last)
    if layout == "transposed":
        return found.transpose(-1, -2).contiguous().transpose(-1, -2)
    return found


def standardised(x: np.ndarray, axes: tuple[int, ...], eps: float = 1e-5) -> np.ndarray:
    variance = x.var(axes, keepdims=True)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(variance + eps)


def per_channel(vector: np.ndarray) -> np.ndarray:
    return vector.reshape(-1, 1, 1)


def by_layer(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return standardised(x, (2, 3)) * w + b


def by_group(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    parts = standardised(x.reshape(3, 2, 3, 5, 7), (2, 3, 4)).reshape(SHAPE)
    return parts * per_channel(w) + per_channel(b)


def by_batch(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return standardised(x, (0, 2, 3)) * per_channel(w) + per_channel(b)


def by_instance(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return standardised(x, (2, 3)) * per_channel(w) + per_channel(b)


def by_running(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (x - 0.5) / np.sqrt(2 + 1e-5) * per_channel(w) + per_channel(b)


def by_root(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean((2, 3), keepdims=True) + 1e-5) * w + 0 * b


def running(x: Any, w: Any, b: Any) -> Any:
    mean, variance = torch.full((6,), 0.5, dtype=w.dtype), torch.full((6,), 2.0, dtype=w.dtype)
    return F.batch_norm(x, mean, variance, w, b)


# name: function, NumPy's, shape of weight and bias
CASES: dict[str, tuple[Callable[..., Any], Callable[..., np.ndarray], tuple[int, ...]]] = {
    "layer": (lambda x, w, b: F.layer_norm(x, (5, 7), w, b), by_layer, (5, 7)),
    "group": (lambda x, w, b: F.group_norm(x, 2, w, b), by_group, (6,)),
    "batch": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), by_batch, (6,)),
    "instance": (lambda x, w, b: F.instance_norm(x, None, None, w, b), by_instance, (6,)),
    "running": (running, by_running, (6,)),
    "root": (lambda x, w, b: F.rms_norm(x, (5, 7), w, 1e-5) + 0 * b, by_root, (5, 7)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_values(name: str, dtype: Any, layout: str) -> None:
    function, reference, shape = CASES[name]
    x, w, b = (tensor(numbers(*s, seed=k), dtype) for k, s in enumerate((SHAPE, shape, shape)))
    expected = reference(*(v.double().numpy() for v in (x, w, b)))
    x = tensor(x.double().numpy(), dtype, layout)
    found = function(x, w, b).double().numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_both_orders(name: str, layout: str) -> None:
    function, _, shape = CASES[name]
    x, w, b = (tensor(numbers(*s, seed=k)) for k, s in enumerate(((2, 6, 5, 7), shape, shape)))
    x = tensor(x.numpy()[:, :, :3, :2] if len(shape) == 1 else x.numpy(), torch.float64, layout)
    leaves = [t.detach().requires_grad_() for t in (x, w, b)]
    assert torch.autograd.gradcheck(function, leaves)
    if x.numel() < 100:
        assert torch.autograd.gradgradcheck(function, leaves)


def test_second_gradient_of_layer_norm() -> None:
    x, w, b = (tensor(numbers(*s, seed=3)) for s in ((3, 4), (4,), (4,)))
    leaves = [t.requires_grad_() for t in (x, w, b)]
    assert torch.autograd.gradgradcheck(lambda x, w, b: F.layer_norm(x, (4,), w, b), leaves)
    assert torch.autograd.gradgradcheck(lambda x, w: F.rms_norm(x, (4,), w), leaves[:2])


@pytest.mark.parametrize("shape", [(2, 300_000), (4097, 33), (4, 2, 200, 200), (1, 1)])
def test_long_and_short_rows_keep_their_accuracy(shape: tuple[int, ...]) -> None:
    values = numbers(*shape).astype("float32") * 10 + 100
    found = F.layer_norm(torch.from_numpy(values), shape[-1:]).numpy()
    expected = standardised(values.astype("float64"), (-1,))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    if len(shape) == 4:
        found = F.batch_norm(torch.from_numpy(values), None, None, training=True).numpy()
        expected = standardised(values.astype("float64"), (0, 2, 3))
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_only_some_operands_need_a_gradient() -> None:
    x, w, b = torch.randn(8, 6, 4), torch.ones(6), torch.zeros(6)
    for needed in range(1, 8):
        leaves = [t.detach().requires_grad_(bool(needed >> k & 1)) for k, t in enumerate((x, w, b))]
        F.batch_norm(leaves[0], None, None, *leaves[1:], True).square().sum().backward()
        for k, leaf in enumerate(leaves):
            assert (leaf.grad is not None) == bool(needed >> k & 1)


def test_native_names_give_statistics() -> None:
    x = torch.from_numpy(numbers(4, 6, 5))
    output, mean, scale = torch.native_layer_norm(x, (5,), None, None, 1e-5)
    assert mean.shape == scale.shape == (4, 6, 1)
    np.testing.assert_allclose(mean.numpy()[..., 0], x.numpy().mean(-1))
    output, mean, scale = torch.native_group_norm(x, None, None, 4, 6, 5, 3, 1e-5)
    assert output.shape == x.shape and mean.shape == (4, 3)
    output, mean, scale = torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)
    variance = x.numpy().var((0, 2))
    np.testing.assert_allclose(scale.numpy(), 1 / np.sqrt(variance + 1e-5))
    assert not mean.requires_grad and output.stride() == x.stride()


def test_running_statistics_move() -> None:
    x = torch.from_numpy(numbers(4, 6, 5)).float()
    mean, variance = torch.zeros(6), torch.ones(6)
    F.batch_norm(x, mean, variance, training=True, momentum=0.25)
    values = x.double().numpy()
    np.testing.assert_allclose(mean.numpy(), 0.25 * values.mean((0, 2)), rtol=1e-5)
    unbiased = values.var((0, 2), ddof=1)
    np.testing.assert_allclose(variance.numpy(), 0.75 + 0.25 * unbiased, rtol=1e-5)


def test_nodes_are_named_as_in_torch() -> None:
    x, w = torch.randn(2, 4, 3, 3, requires_grad=True), torch.ones(4)
    assert F.layer_norm(x, (3,)).grad_fn.name() == "NativeLayerNormBackward0"
    assert F.group_norm(x, 2).grad_fn.name() == "NativeGroupNormBackward0"
    assert F.batch_norm(x, w, w).grad_fn.name() == "NativeBatchNormBackward0"
    assert F.batch_norm(x, None, None, training=True).grad_fn.name() == "NativeBatchNormBackward0"
    assert F.instance_norm(x).grad_fn.name() == "ViewBackward0"


def test_native_dropout_gives_its_mask() -> None:
    x = torch.ones(1000, requires_grad=True)
    output, mask = torch.native_dropout(x, 0.25, True)
    assert mask.dtype == torch.bool and 650 < mask.sum() < 850
    np.testing.assert_allclose(output.detach().numpy(), mask.numpy() / 0.75, rtol=1e-6)
    output.sum().backward()
    backward = torch.ops.aten.native_dropout_backward(torch.ones(1000), mask, 1 / 0.75)
    np.testing.assert_allclose(x.grad.numpy(), backward.numpy())


@pytest.mark.parametrize("shape", [(2, 24, 5, 7), (1, 160, 9, 9), (3, 6, 3, 3), (2, 7, 40, 40)])
@pytest.mark.parametrize("affine", [False, True])
def test_group_norm_of_channels_last(shape: tuple[int, ...], affine: bool) -> None:
    """The same values and gradients as in rows, laid out as the input is."""
    rows, g = torch.randn(shape) * 2 + 100, torch.randn(shape)
    groups = 1 if shape[1] == 7 else 2
    results = []
    for format in (torch.contiguous_format, torch.channels_last):
        layer = torch.nn.GroupNorm(groups, shape[1], affine=affine)
        if affine:
            torch.nn.init.uniform_(layer.weight, generator=torch.Generator().manual_seed(0))
        x = rows.clone(memory_format=format).requires_grad_()
        y = layer(x)
        found = torch.autograd.grad(y, (x, *layer.parameters()), g.clone(memory_format=format))
        assert y.is_contiguous(memory_format=format)
        assert found[0].is_contiguous(memory_format=format)
        results.append((y, *found))
    for a, b in zip(*results):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-3)

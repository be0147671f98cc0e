"""Scaled dot-product attention against NumPy in float64: blocks, masks, layouts, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

# batch, heads, queries, keys, features, features of the values: one block, several, odd sizes
SHAPES = [
    (1, 1, 1, 1, 1, 1), (2, 3, 5, 5, 8, 8), (1, 2, 64, 64, 32, 32), (1, 1, 70, 130, 16, 5),
    (1, 1, 65, 1100, 4, 4), (1, 1, 600, 3, 8, 8), (1, 2, 700, 700, 8, 8),
]  # fmt: skip


def operands(shape: tuple[int, ...], dtype: Any = torch.float64) -> list[Any]:
    b, h, length, source, e, v = shape
    values = np.random.default_rng(sum(shape))
    sizes = ((b, h, length, e), (b, h, source, e), (b, h, source, v))
    return [torch.from_numpy(values.standard_normal(size)).to(dtype) for size in sizes]


def reference(q: Any, k: Any, v: Any, allowed: Any = None, added: Any = 0.0) -> np.ndarray:
    q, k, v = (x.double().numpy() for x in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + added
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(shape: tuple[int, ...], dtype: Any) -> None:
    q, k, v = operands(shape, dtype)
    tolerance = {"rtol": 0, "atol": 3e-6 if dtype == torch.float32 else 1e-13}
    causal = np.tri(shape[2], shape[3], dtype=bool)
    added = np.random.default_rng(1).standard_normal((shape[2], shape[3]))
    open_ = added > 1
    bias = torch.from_numpy(added).to(dtype)
    attend = F.scaled_dot_product_attention
    for found, expected in (
        (attend(q, k, v), reference(q, k, v)),
        (attend(q, k, v, is_causal=True), reference(q, k, v, causal)),
        (attend(q, k, v, bias), reference(q, k, v, None, bias.double().numpy())),
        (attend(q, k, v, torch.from_numpy(open_)), reference(q, k, v, open_)),
    ):
        np.testing.assert_allclose(found.double().numpy(), expected, **tolerance)


@pytest.mark.parametrize("shape", [(2, 1, 5, 4, 3, 3), (1, 2, 70, 90, 2, 3)], ids=str)
@pytest.mark.parametrize("kind", ["plain", "causal", "mask"])
def test_gradients_of_both_orders(shape: tuple[int, ...], kind: str) -> None:
    leaves = [x.requires_grad_() for x in operands(shape)]
    mask = torch.from_numpy(np.random.default_rng(2).standard_normal((shape[2], shape[3])) > 0)

    def attend(q: Any, k: Any, v: Any) -> Any:
        result = F.scaled_dot_product_attention(
            q, k, v, mask if kind == "mask" else None, is_causal=kind == "causal"
        )
        return result if shape[2] < 10 else result.sum((0, 1, 2))

    assert torch.autograd.gradcheck(attend, leaves)
    if shape[2] < 10:
        assert torch.autograd.gradgradcheck(attend, leaves)


def test_kernel_and_algebra_have_the_same_gradients() -> None:
    shape = (2, 2, 130, 600, 8, 8)
    leaves = [x.requires_grad_() for x in operands(shape)]
    output = F.scaled_dot_product_attention(*leaves, is_causal=True)
    weight = torch.from_numpy(np.random.default_rng(4).standard_normal(output.shape))
    found = torch.autograd.grad(output, leaves, weight, retain_graph=True)
    plain = torch.autograd.grad(output, leaves, weight, create_graph=True)
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-12)


def test_layouts_and_broadcasts() -> None:
    q, k, v = operands((2, 4, 20, 20, 8, 8))
    turned = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    attend = F.scaled_dot_product_attention
    expected = reference(q, k, v)
    np.testing.assert_allclose(attend(*turned).numpy(), expected, atol=1e-13)
    assert attend(*turned).stride() == turned[0].stride()
    np.testing.assert_allclose(attend(q[0], k[0], v[0]).numpy(), expected[0], atol=1e-13)
    shared = attend(q, k[:1, :1], v[:1, :1]).numpy()
    np.testing.assert_allclose(shared, reference(q, k[:1, :1], v[:1, :1]), atol=1e-13)
    grouped = attend(q, k[:, :2], v[:, :2], enable_gqa=True).numpy()
    keys, values = (x[:, :2].repeat_interleave(2, 1) for x in (k, v))
    np.testing.assert_allclose(grouped, reference(q, keys, values), atol=1e-13)


def test_queries_without_keys_give_zeros() -> None:
    leaves = [x.requires_grad_() for x in operands((1, 1, 3, 4, 2, 2))]
    closed = torch.zeros(3, 4, dtype=torch.bool)
    output = F.scaled_dot_product_attention(*leaves, closed)
    assert not output.detach().numpy().any()
    output.sum().backward()
    assert not any(leaf.grad.numpy().any() for leaf in leaves)


def test_nothing_to_attend_from_or_to() -> None:
    some, none = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 0, 8)
    assert F.scaled_dot_product_attention(none, some, some).shape == (2, 4, 0, 8)
    assert not F.scaled_dot_product_attention(some, none, none).numpy().any()


def test_half_precision_and_threads() -> None:
    q, k, v = operands((4, 8, 100, 100, 16, 16), torch.float32)
    exact = reference(q, k, v)
    short = F.scaled_dot_product_attention(*(x.bfloat16() for x in (q, k, v)))
    assert short.dtype == torch.bfloat16
    np.testing.assert_allclose(short.double().numpy(), exact, atol=2e-2)
    before = torch.get_num_threads()
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found = F.scaled_dot_product_attention(q, k, v + 0).numpy()
            np.testing.assert_allclose(found, exact, atol=2e-6)
    finally:
        torch.set_num_threads(before)

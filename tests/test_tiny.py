"""Run this first: in a few seconds it says whether anything works at all. One op of each kind, one
gradient, one training step, one file. `python -m pytest tests/test_tiny.py`"""

from __future__ import annotations

import gc
import io
import math

import numpy as np
import pytest

import flambeau as torch


def test_a_tensor() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (x.shape, x.dtype, x.stride()) == ((2, 2), torch.float32, (2, 1))
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert repr(x) == "tensor([[1., 2.],\n        [3., 4.]])"


def test_pointwise() -> None:
    x = torch.tensor([0.0, 1.0, -2.0])
    assert torch.allclose(x.tanh(), torch.tensor([math.tanh(v) for v in (0.0, 1.0, -2.0)]))
    assert (x + torch.ones(2, 1)).tolist() == [[1.0, 2.0, -1.0]] * 2
    assert (x > 0).tolist() == [False, True, False]


def test_reduction() -> None:
    x = torch.arange(6).view(2, 3)
    assert (x.sum().item(), x.sum(dtype=torch.float32).dtype) == (15, torch.float32)
    assert x.sum(dim=0).tolist() == [3, 5, 7]
    values, indices = x.max(dim=1)
    assert (values.tolist(), indices.tolist()) == ([2, 5], [2, 2])


def test_view() -> None:
    x = torch.zeros(2, 3)
    x.t()[1].fill_(5)
    x[0, ::2] = 7
    assert x.tolist() == [[7.0, 5.0, 7.0], [0.0, 5.0, 0.0]]


def test_structured() -> None:
    a = torch.arange(6.0).view(2, 3)
    b = torch.arange(12.0).view(3, 4)
    assert np.array_equal((a @ b).numpy(), a.numpy() @ b.numpy())
    assert torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).sum() == 16


def test_composite() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]])
    expected = np.exp(x.numpy()) / np.exp(x.numpy()).sum()
    assert np.allclose(torch.softmax(x, dim=1).numpy(), expected)


def test_random_numbers() -> None:
    torch.manual_seed(0)
    assert torch.rand(2).tolist() == pytest.approx([0.4962566, 0.7682218], abs=1e-7)


def test_gradient() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    assert y.grad_fn.name() == "SumBackward0"
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_gradients_are_freed_with_their_last_reference() -> None:
    x = torch.ones(1000, requires_grad=True)
    y = x * 2
    torch.autograd.grad(y.sum(), x)
    gc.disable()
    try:
        before = torch.memory_stats()["used_bytes"]
        for _ in range(3):
            torch.autograd.grad((x * 2).sum(), x)
        assert torch.memory_stats()["used_bytes"] == before
    finally:
        gc.enable()


def test_training_step() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x = torch.randn(16, 3)
    y = x.sum(1, keepdim=True)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_file() -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.eye(2), "step": 3}, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer)
    assert loaded["step"] == 3
    assert torch.equal(loaded["w"], torch.eye(2))


def test_error() -> None:
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied \(2x3 and 4x5\)"):
        torch.ones(2, 3) @ torch.ones(4, 5)

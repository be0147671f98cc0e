"""Fused kernels of compiled functions: fewer steps, the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.compiler.compiled import Compiled
from flambeau.nn import functional as F

SIZE = (64, 300)


def chain(x: Any, y: Any) -> Any:
    return ((x + y) * 2 - x / 3).tanh().relu()


def several_results(x: Any, y: Any) -> Any:
    a = x * y
    b = a.sin()
    return b + 1, b - a


def broadcast(x: Any, y: Any) -> Any:
    return (x * y[0] + y[:, :1]).exp() - x.mean()


def in_place(x: Any, y: Any) -> Any:
    z = x + 1
    z *= y
    z.add_(x).clamp_(min=0)
    return z


def windows(x: Any, y: Any) -> Any:
    """In-place work on parts of a tensor that others read."""
    z = x * 2
    w = z.t() + 1
    z[:, 1:] += y[:, :-1]
    z[0] = 5
    return z * w.t()


def reduced(x: Any, y: Any) -> Any:
    return ((x - y) ** 2).mean(), (x * y).sum(1), (x.abs() + 1).amax(0)


def argument_in_place(x: Any, y: Any) -> Any:
    total = x.clone()
    for _ in range(3):
        total = total.mul_(0.5).add_(y)
    return total + x


def conditions(x: Any, y: Any) -> Any:
    return torch.where(x > y, x, y * 2).masked_fill(x == 0, 3).to(torch.float64) * 0.1


FUNCTIONS = {
    f.__name__: f
    for f in (
        chain, several_results, broadcast, in_place, windows, reduced, argument_in_place,
        conditions,
    )
}  # fmt: skip
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def operands(dtype: Any, transposed: bool = False) -> tuple[Any, Any]:
    torch.manual_seed(0)
    x, y = torch.randn(SIZE).to(dtype), torch.randn(SIZE).to(dtype)
    return (x.t().contiguous().t(), y) if transposed else (x, y)


def program_of(function: Any) -> Any:
    assert isinstance(function, Compiled)
    assert function.reason is None, function.reason
    return function.entries[0].program


def leaves(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_bits(name: str, dtype: Any, transposed: bool) -> None:
    function = FUNCTIONS[name]
    fast = torch.compile(function)
    for _ in range(4):
        x, y = operands(dtype, transposed)
        kept = x.clone()
        for found, expected in zip(leaves(fast(x, y)), leaves(function(x, y)), strict=True):
            assert found.dtype is expected.dtype and found.stride() == expected.stride()
            assert torch.equal(found, expected)
        assert torch.equal(x, kept)
    assert len(fast.entries) == 1


@pytest.mark.parametrize("name", ["chain", "several_results", "broadcast", "reduced", "conditions"])
def test_the_same_gradients(name: str) -> None:
    function = FUNCTIONS[name]
    fast = torch.compile(function)
    for _ in range(4):
        grads = []
        for f in (function, fast):
            x, y = operands(torch.float32)
            x.requires_grad_()
            y.requires_grad_()
            sum(part.double().sum() for part in leaves(f(x, y))).backward()
            grads.append((x.grad, y.grad))
        assert torch.equal(grads[0][0], grads[1][0])
        assert torch.equal(grads[0][1], grads[1][1])


def kernels(function: Callable[..., Any], *arguments: Any) -> int:
    """The kernels of a compiled function."""
    fast = torch.compile(function)
    for _ in range(3):
        fast(*arguments)
    return int(program_of(fast).step_count)


def test_how_many_kernels() -> None:
    x, y = operands(torch.float32)
    assert kernels(chain, x, y) == 1
    assert kernels(several_results, x, y) == 1
    assert kernels(in_place, x, y) == 1
    assert kernels(reduced, x, y) == 3
    assert kernels(lambda x: F.gelu(x * 2 + 1, approximate="tanh") * x, x) == 1


def test_a_training_step_of_pointwise_work_is_two_kernels() -> None:
    """Forward, backward and update of one parameter: the loss, and the new parameter."""
    weight = torch.nn.Parameter(torch.randn(SIZE))
    target = torch.randn(SIZE)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step() -> Any:
        optimizer.zero_grad()
        loss = ((weight * 2 - target) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    fast = torch.compile(step)
    for _ in range(4):
        fast()
    assert program_of(fast).step_count <= 5

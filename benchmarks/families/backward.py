"""The backward pass: what a node costs, in chains, trees and models, on small and large tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Step


def passes(torch: Any, root: Any) -> Step:
    """A pass over a graph that stays."""
    return lambda: root.backward(retain_graph=True)


def chain(torch: Any, length: int, size: int) -> Step:
    """Nodes one after the other."""
    x = torch.randn(size, requires_grad=True)
    w, y = torch.randn(size), x
    for _ in range(length):
        y = y * w
    return passes(torch, y.sum())


def tree(torch: Any, leaves: int) -> Step:
    """Gradients that meet."""
    x = torch.randn(10, requires_grad=True)
    sums = [x * float(i) for i in range(leaves)]
    while len(sums) > 1:
        sums = [a + b for a, b in zip(sums[::2], sums[1::2])]
    return passes(torch, sums[0].sum())


def views(torch: Any, count: int) -> Step:
    """Windows of one tensor."""
    x = torch.randn(count, 64, requires_grad=True)
    return passes(torch, torch.stack([x[i] * 2 for i in range(count)]).sum())


def perceptron(torch: Any, width: int, batch: int) -> Step:
    """A whole pass, forward and back."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.Tanh())
    x = torch.randn(batch, width)
    return lambda: model(x).square().mean().backward()


def penalty(torch: Any) -> Step:
    """A gradient of a gradient."""
    x, w = torch.randn(32, 20), torch.randn(20, 20, requires_grad=True)

    def step() -> Any:
        (g,) = torch.autograd.grad((x @ w).tanh().sum(), w, create_graph=True)
        return torch.autograd.grad((g * g).sum(), w)

    return step


def hooked(torch: Any) -> Step:
    """Nodes with hooks."""
    x = torch.randn(10, requires_grad=True)
    y = x
    for _ in range(20):
        y = y * 1.5
        y.register_hook(lambda grad: None)
    return passes(torch, y.sum())


def function(torch: Any) -> Step:
    """Nodes written in Python."""

    class Double(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = torch.randn(10, requires_grad=True)
    y = x
    for _ in range(20):
        y = Double.apply(y)
    return passes(torch, y.sum())


def cases(torch: Any) -> Iterator[tuple[str, Any]]:
    for length in (1, 20, 1000):
        yield f"chain of {length}, 10 elements", lambda n=length: chain(torch, n, 10)
    yield "chain of 20, 1 M elements", lambda: chain(torch, 20, 1 << 20)
    yield "tree of 256 leaves", lambda: tree(torch, 256)
    yield "32 rows of a tensor", lambda: views(torch, 32)
    for width, batch in ((16, 8), (128, 64), (1024, 64)):
        label = f"perceptron {width}, batch {batch}"
        yield label, lambda w=width, b=batch: perceptron(torch, w, b)
    yield "gradient of a gradient", lambda: penalty(torch)
    yield "20 nodes with hooks", lambda: hooked(torch)
    yield "20 custom functions", lambda: function(torch)

"""The cost of a call: operations and views on ten elements, where arithmetic costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.rows import Step


def operations(torch: Any) -> dict[str, Callable[[], Step]]:
    """Calls that compute something."""
    x, y, z = torch.randn(10), torch.randn(10), torch.rand(10)
    w = torch.randn(10, requires_grad=True)
    i, m = torch.arange(10), torch.randn(2, 5)
    return {
        "add": lambda: lambda: x + y,
        "add a number": lambda: lambda: x + 1,
        "mul, recorded": lambda: lambda: x * w,
        "exp": lambda: lambda: x.exp(),
        "relu": lambda: lambda: torch.relu(x),
        "compare": lambda: lambda: x > y,
        "where": lambda: lambda: torch.where(m > 0, m, 0.0),
        "clamp": lambda: lambda: x.clamp(0.0, 1.0),
        "add_": lambda: lambda: z.add_(1),
        "sum": lambda: lambda: x.sum(),
        "max of rows": lambda: lambda: m.max(1),
        "argmax": lambda: lambda: x.argmax(),
        "softmax": lambda: lambda: torch.softmax(m, 1),
        "cat": lambda: lambda: torch.cat((x, y)),
        "stack": lambda: lambda: torch.stack((x, y)),
        "gather by index": lambda: lambda: x[i],
        "masked": lambda: lambda: x[x > 0],
        "assign to a slice": lambda: lambda: z.__setitem__(slice(2, 5), 1.0),
        "clone": lambda: lambda: x.clone(),
        "to float64": lambda: lambda: x.to(torch.float64),
        "zeros": lambda: lambda: torch.zeros(10),
        "tensor of a list": lambda: lambda: torch.tensor([1.0, 2.0, 3.0]),
        "randn": lambda: lambda: torch.randn(10),
        "item": lambda: lambda: x[0].item(),
    }


def views(torch: Any) -> dict[str, Callable[[], Step]]:
    """Calls that only make another window on the same memory."""
    x, m = torch.randn(10), torch.randn(2, 5)
    return {
        "view": lambda: lambda: x.view(2, 5),
        "reshape": lambda: lambda: m.reshape(-1),
        "transpose": lambda: lambda: m.transpose(0, 1),
        "select": lambda: lambda: m[1],
        "slice": lambda: lambda: x[2:8:2],
        "unsqueeze": lambda: lambda: x.unsqueeze(0),
        "expand": lambda: lambda: m[:1].expand(4, 5),
        "permute": lambda: lambda: m.permute(1, 0),
        "chunk": lambda: lambda: x.chunk(2)[0],
        "detach": lambda: lambda: x.detach(),
    }


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    yield from operations(torch).items()
    yield from views(torch).items()

"""Single operations: one table, every row written once against the torch API.

A row is a function that gets the module under test and returns a step: a call without arguments
that does one unit of work and returns its result. Group `tiny` is bound by the cost of a call,
`large` by memory or arithmetic; `benchmarks.training` has the whole training steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.rows import LARGE, TABLE, TINY, Step, Workload, row

MILLION = 1 << 20


# ---- tiny ----------------------------------------------------------------------------------------
@row(TINY, "add, 10 elements")
def _(torch: Any) -> Step:
    a, b = torch.randn(10), torch.randn(10)
    return lambda: a + b


@row(TINY, "mul with recording, 10")
def _(torch: Any) -> Step:
    a, w = torch.randn(10), torch.randn(10, requires_grad=True)
    return lambda: a * w


@row(TINY, "bias and relu, 32x10")
def _(torch: Any) -> Step:
    a, b = torch.randn(32, 10), torch.randn(10)
    return lambda: (a + b).relu()


@row(TINY, "view, t, slice")
def _(torch: Any) -> Step:
    a = torch.randn(4, 6)
    return lambda: a.view(2, 12).t()[3:7, 0]


@row(TINY, "tanh, sum, backward")
def _(torch: Any) -> Step:
    a, w = torch.randn(10), torch.randn(10, requires_grad=True)

    def step() -> Any:
        (a * w).tanh().sum().backward()
        return w.grad

    return step


@row(TINY, "nn.Linear, 32x20 to 10")
def _(torch: Any) -> Step:
    layer, x = torch.nn.Linear(20, 10), torch.randn(32, 20)
    return lambda: layer(x)


@row(TINY, "matmul, 8x8")
def _(torch: Any) -> Step:
    a, b = torch.randn(8, 8), torch.randn(8, 8)
    return lambda: a @ b


@row(TINY, "where, max, item")
def _(torch: Any) -> Step:
    a, b = torch.randn(10), torch.randn(10)
    return lambda: torch.where(a > b, a, b).max().item()


@row(TINY, "x += 1, in place")
def _(torch: Any) -> Step:
    a = torch.zeros(10)
    return lambda: a.add_(1)


# ---- large ---------------------------------------------------------------------------------------
UNARY = ["relu", "exp", "sigmoid", "tanh", "sin", "gelu"]


def _unary(name: str) -> Callable[[Any], Step]:
    def build(torch: Any) -> Step:
        place = torch.nn.functional if name == "gelu" else torch
        function, x = getattr(place, name), torch.randn(1 << 24)
        return lambda: function(x)

    return build


TABLE.extend(
    Workload(LARGE, f"{name}, 16 M", _unary(name), moves=2 * 64 * MILLION) for name in UNARY
)


@row(LARGE, "add, 16 M", moves=3 * 64 * MILLION)
def _(torch: Any) -> Step:
    a, b = torch.randn(1 << 24), torch.randn(1 << 24)
    return lambda: a + b


@row(LARGE, "chain of five, 4 M", moves=(3 + 2 + 3 + 2 + 1) * 16 * MILLION)
def _(torch: Any) -> Step:
    a, b = torch.randn(1 << 22), torch.randn(1 << 22)
    return lambda: ((a * b + a).tanh() - b).abs().sum()


@row(LARGE, "sum, 16 M", moves=64 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(1 << 24)
    return lambda: x.sum()


@row(LARGE, "mean of columns, 4096x1024", moves=16 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(4096, 1024)
    return lambda: x.mean(0)


@row(LARGE, "softmax, 4096x1024", moves=2 * 16 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(4096, 1024)
    return lambda: torch.softmax(x, -1)


@row(LARGE, "layer_norm, 4096x1024", moves=2 * 16 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(4096, 1024)
    return lambda: torch.nn.functional.layer_norm(x, (1024,))


@row(LARGE, "cross_entropy and backward")
def _(torch: Any) -> Step:
    x, y = torch.randn(2048, 1000, requires_grad=True), torch.randint(0, 1000, (2048,))

    def step() -> Any:
        x.grad = None
        torch.nn.functional.cross_entropy(x, y).backward()
        return x.grad

    return step


@row(LARGE, "transposed copy, 4096x2048", moves=2 * 32 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(4096, 2048)
    return lambda: x.t().contiguous()


@row(LARGE, "matmul, 1024", computes=2 * 1024**3)
def _(torch: Any) -> Step:
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return lambda: a @ b


@row(LARGE, "batched matmul, 64x128x128", computes=64 * 2 * 128**3)
def _(torch: Any) -> Step:
    a, b = torch.randn(64, 128, 128), torch.randn(64, 128, 128)
    return lambda: a @ b


@row(LARGE, "conv 3x3, 64 channels", computes=8 * 56**2 * 64 * 64 * 9 * 2)
def _(torch: Any) -> Step:
    x, w = torch.randn(8, 64, 56, 56), torch.randn(64, 64, 3, 3)
    return lambda: torch.nn.functional.conv2d(x, w, padding=1)


@row(LARGE, "sort, 1 M")
def _(torch: Any) -> Step:
    x = torch.randn(1 << 20)
    return lambda: torch.sort(x)[0]


@row(LARGE, "cumsum of rows, 2048x2048")
def _(torch: Any) -> Step:
    x = torch.randn(2048, 2048)
    return lambda: x.cumsum(1)


@row(LARGE, "masked assignment, 2 M")
def _(torch: Any) -> Step:
    x = torch.randn(1 << 21)

    def step() -> Any:
        y = x.clone()
        y[y < 0] = 0
        return y

    return step


@row(LARGE, "randn, 4 M")
def _(torch: Any) -> Step:
    return lambda: torch.randn(1 << 22)


@row(LARGE, "AdamW step, 10 M parameters", moves=7 * 4 * 10**7)
def _(torch: Any) -> Step:
    parameters = [torch.nn.Parameter(torch.randn(1000, 1000)) for _ in range(10)]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    for parameter in parameters:
        parameter.grad = torch.randn(1000, 1000)

    def step() -> Any:
        optimizer.step()
        return parameters[0]

    return step


@row(LARGE, "conv 3x3 and backward, 32 channels", computes=3 * 8 * 32**2 * 32 * 64 * 9 * 2)
def _(torch: Any) -> Step:
    x = torch.randn(8, 32, 32, 32, requires_grad=True)
    w = torch.randn(64, 32, 3, 3, requires_grad=True)

    def step() -> Any:
        x.grad = w.grad = None
        torch.nn.functional.conv2d(x, w, padding=1).sum().backward()
        return w.grad

    return step


@row(LARGE, "depthwise conv 3x3, 96 channels", computes=4 * 56**2 * 96 * 9 * 2)
def _(torch: Any) -> Step:
    x, w = torch.randn(4, 96, 56, 56), torch.randn(96, 1, 3, 3)
    return lambda: torch.nn.functional.conv2d(x, w, padding=1, groups=96)


@row(LARGE, "max_pool2d, 8x64x56x56", moves=8 * 64 * 56**2 * 5)
def _(torch: Any) -> Step:
    x = torch.randn(8, 64, 56, 56)
    return lambda: torch.nn.functional.max_pool2d(x, 2)


@row(LARGE, "batch_norm in training, 8x64x56x56", moves=3 * 4 * 8 * 64 * 56**2)
def _(torch: Any) -> Step:
    layer, x = torch.nn.BatchNorm2d(64), torch.randn(8, 64, 56, 56)
    return lambda: layer(x)


@row(LARGE, "causal attention, 4x8x256x64", computes=2 * 4 * 8 * 256**2 * 64)
def _(torch: Any) -> Step:
    q = torch.randn(4, 8, 256, 64)
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)


@row(LARGE, "embedding, 16 k of 128", moves=2 * 4 * 64 * 256 * 128)
def _(torch: Any) -> Step:
    index, table = torch.randint(0, 20000, (64, 256)), torch.randn(20000, 128)
    return lambda: torch.nn.functional.embedding(index, table)


@row(LARGE, "argmax of rows, 4096x1024", moves=16 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(4096, 1024)
    return lambda: x.argmax(1)


@row(LARGE, "topk of rows, 1024x4096", moves=16 * MILLION)
def _(torch: Any) -> Step:
    x = torch.randn(1024, 4096)
    return lambda: torch.topk(x, 10, dim=1)[0]

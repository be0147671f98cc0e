"""What is measured: one table, every row written once against the torch API.

A row is a function that gets the module under test and returns a step: a call without arguments
that does one unit of work and returns its result. Groups: `tiny` is bound by the cost of a call,
`train` is whole training steps of small models, `large` is bound by memory or arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Step = Callable[[], Any]
TINY, TRAIN, LARGE = "tiny", "train", "large"


class Workload(NamedTuple):
    """One row of the table."""

    group: str
    name: str
    build: Callable[[Any], Step]


TABLE: list[Workload] = []


def row(group: str, name: str) -> Callable[[Callable[[Any], Step]], Callable[[Any], Step]]:
    """Decorator: the function builds the step of this row."""

    def enter(build: Callable[[Any], Step]) -> Callable[[Any], Step]:
        TABLE.append(Workload(group, name, build))
        return build

    return enter


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


# ---- train ---------------------------------------------------------------------------------------
def training_step(model: Any, loss_of: Any, optimizer: Any, x: Any, y: Any) -> Step:
    """Forward, backward, update."""

    def step() -> Any:
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


@row(TRAIN, "linear regression, SGD")
def _(torch: Any) -> Step:
    x = torch.rand(100, 1)
    y = 2 * x + 3 + 0.5 * torch.randn(100, 1)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return training_step(model, torch.nn.MSELoss(), optimizer, x, y)


@row(TRAIN, "MLP 20-10-5-1, Adam")
def _(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5), nn.Sigmoid(), nn.Linear(5, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training_step(model, nn.MSELoss(), optimizer, torch.randn(32, 20), torch.randn(32, 1))


@row(TRAIN, "MLP 784-256-128-10, Adam")
def _(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.randn(128, 784), torch.randint(0, 10, (128,))
    return training_step(model, nn.CrossEntropyLoss(), optimizer, x, y)


@row(TRAIN, "CNN on 8x8 images, SGD")
def _(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(64, 1, 8, 8), torch.randint(0, 10, (64,))
    return training_step(model, nn.CrossEntropyLoss(), optimizer, x, y)


# ---- large ---------------------------------------------------------------------------------------
UNARY = ["relu", "exp", "sigmoid", "tanh", "sin"]


def _unary(name: str) -> Callable[[Any], Step]:
    def build(torch: Any) -> Step:
        function, x = getattr(torch, name), torch.randn(1 << 24)
        return lambda: function(x)

    return build


TABLE.extend(Workload(LARGE, f"{name}, 16 M", _unary(name)) for name in UNARY)


@row(LARGE, "add, 16 M")
def _(torch: Any) -> Step:
    a, b = torch.randn(1 << 24), torch.randn(1 << 24)
    return lambda: a + b


@row(LARGE, "chain of five, 4 M")
def _(torch: Any) -> Step:
    a, b = torch.randn(1 << 22), torch.randn(1 << 22)
    return lambda: ((a * b + a).tanh() - b).abs().sum()


@row(LARGE, "sum, 16 M")
def _(torch: Any) -> Step:
    x = torch.randn(1 << 24)
    return lambda: x.sum()


@row(LARGE, "mean of columns, 4096x1024")
def _(torch: Any) -> Step:
    x = torch.randn(4096, 1024)
    return lambda: x.mean(0)


@row(LARGE, "softmax, 4096x1024")
def _(torch: Any) -> Step:
    x = torch.randn(4096, 1024)
    return lambda: torch.softmax(x, -1)


@row(LARGE, "layer_norm, 4096x1024")
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


@row(LARGE, "transposed copy, 4096x2048")
def _(torch: Any) -> Step:
    x = torch.randn(4096, 2048)
    return lambda: x.t().contiguous()


@row(LARGE, "matmul, 1024")
def _(torch: Any) -> Step:
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return lambda: a @ b


@row(LARGE, "batched matmul, 64x128x128")
def _(torch: Any) -> Step:
    a, b = torch.randn(64, 128, 128), torch.randn(64, 128, 128)
    return lambda: a @ b


@row(LARGE, "conv 3x3, 64 channels")
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


@row(LARGE, "AdamW step, 10 M parameters")
def _(torch: Any) -> Step:
    parameters = [torch.nn.Parameter(torch.randn(1000, 1000)) for _ in range(10)]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    for parameter in parameters:
        parameter.grad = torch.randn(1000, 1000)

    def step() -> Any:
        optimizer.step()
        return parameters[0]

    return step

"""Whole training steps of small models: forward, loss, backward, update.

Each model gives two rows, one as written and one under `torch.compile`; `startup`'s memory figures
run the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.rows import COMPILED, TABLE, TRAIN, Step, Workload


def training_step(model: Any, loss_of: Any, optimizer: Any, x: Any, y: Any) -> Step:
    """One step on one batch."""

    def step() -> Any:
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def linear_regression(torch: Any) -> Step:
    x = torch.rand(100, 1)
    y = 2 * x + 3 + 0.5 * torch.randn(100, 1)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return training_step(model, torch.nn.MSELoss(), optimizer, x, y)


def tiny_mlp(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5), nn.Sigmoid(), nn.Linear(5, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training_step(model, nn.MSELoss(), optimizer, torch.randn(32, 20), torch.randn(32, 1))


def digits_mlp(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.randn(128, 784), torch.randint(0, 10, (128,))
    return training_step(model, nn.CrossEntropyLoss(), optimizer, x, y)


def small_cnn(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(64, 1, 8, 8), torch.randint(0, 10, (64,))
    return training_step(model, nn.CrossEntropyLoss(), optimizer, x, y)


def digits_cnn(torch: Any) -> Step:
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    return training_step(model, nn.CrossEntropyLoss(), optimizer, x, y)


def residual_block(torch: Any) -> Step:
    nn = torch.nn

    class Block(nn.Module):
        """Two 3x3 convolutions around which the input is carried."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            self.second = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            self.norms = nn.ModuleList([nn.BatchNorm2d(64), nn.BatchNorm2d(64)])

        def forward(self, x: Any) -> Any:
            inner = torch.relu(self.norms[0](self.first(x)))
            return torch.relu(self.norms[1](self.second(inner)) + x)

    model = Block()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.randn(8, 64, 28, 28)
    return training_step(model, nn.MSELoss(), optimizer, x, torch.randn(8, 64, 28, 28))


def small_gpt(torch: Any) -> Step:
    nn, functional = torch.nn, torch.nn.functional
    letters, width, heads, length, batch = 65, 128, 4, 64, 8

    class Attention(nn.Module):
        """Causal self-attention."""

        def __init__(self) -> None:
            super().__init__()
            self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            b, t, d = x.shape
            parts = self.project(x).split(width, dim=2)
            q, k, v = (part.view(b, t, heads, d // heads).transpose(1, 2) for part in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.mix(y.transpose(1, 2).contiguous().view(b, t, d))

    class Block(nn.Module):
        """Attention and a two-layer network, each with a norm before it and a way around it."""

        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
            self.attention = Attention()
            self.network = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norms[0](x))
            return x + self.network(self.norms[1](x))

    class Model(nn.Module):
        """Two blocks between an embedding and a projection to letters."""

        def __init__(self) -> None:
            super().__init__()
            self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters, bias=False)

        def forward(self, index: Any) -> Any:
            x = self.letters(index) + self.places(torch.arange(length))
            return self.head(self.norm(self.blocks(x)))

    model = Model()
    loss_of = lambda out, y: functional.cross_entropy(out.view(-1, letters), y.view(-1))
    x, y = torch.randint(0, letters, (batch, length)), torch.randint(0, letters, (batch, length))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return training_step(model, loss_of, optimizer, x, y)


def lstm(torch: Any) -> Step:
    nn = torch.nn
    layer, head = nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 5)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()])
    x, y = torch.randn(16, 30, 32), torch.randint(0, 5, (16,))
    return training_step(lambda z: head(layer(z)[0][:, -1]), nn.CrossEntropyLoss(), optimizer, x, y)


MODELS: dict[str, Callable[[Any], Step]] = {
    "linear regression, SGD": linear_regression,
    "MLP 20-10-5-1, Adam": tiny_mlp,
    "MLP 784-256-128-10, Adam": digits_mlp,
    "CNN on 8x8 images, SGD": small_cnn,
    "CNN on 28x28 images, SGD": digits_cnn,
    "residual block, SGD": residual_block,
    "GPT, 2 blocks of 128, AdamW": small_gpt,
    "LSTM 32-64, 30 steps, Adam": lstm,
}
TABLE.extend(Workload(TRAIN, name, build) for name, build in MODELS.items())


def compiled(build: Callable[[Any], Step]) -> Callable[[Any], Step]:
    """The same step under `torch.compile`."""
    return lambda torch: torch.compile(build(torch))


TABLE.extend(
    Workload(COMPILED, name, compiled(build)) for name, build in MODELS.items() if build is not lstm
)

"""Recurrent layers: LSTM, GRU and RNN from small to large, forward and training, and cells.

python -m benchmarks sweep recurrent
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
SIZES = ((1, 10, 16, 16), (16, 30, 32, 64), (32, 50, 128, 128), (64, 20, 256, 512))


def layer(
    torch: Any, kind: str, sizes: tuple[int, int, int, int], train: bool, **options: Any
) -> Callable[[], Step]:
    """A layer over sizes (batch, steps, inputs, hidden)."""

    def build() -> Step:
        batch, steps, inputs, hidden = sizes
        module = getattr(torch.nn, kind)(inputs, hidden, **options)
        x = torch.randn(steps, batch, inputs)

        def forward() -> Any:
            with torch.no_grad():
                return module(x)[0]

        def learn() -> Any:
            module.zero_grad()
            module(x)[0].sum().backward()
            return module.weight_ih_l0.grad

        return learn if train else forward

    return build


def cell(torch: Any, kind: str, batch: int, inputs: int, hidden: int) -> Callable[[], Step]:
    """One step of a cell, without gradients."""

    def build() -> Step:
        module, x = getattr(torch.nn, kind)(inputs, hidden), torch.randn(batch, inputs)

        def run() -> Any:
            with torch.no_grad():
                return module(x)

        return run

    return build


def packed(torch: Any, kind: str) -> Callable[[], Step]:
    """Sequences of different lengths, training."""

    def build() -> Step:
        module, x = getattr(torch.nn, kind)(32, 64), torch.randn(30, 16, 32)
        lengths = [30 - i for i in range(16)]

        def run() -> Any:
            module.zero_grad()
            sequence = torch.nn.utils.rnn.pack_padded_sequence(x, lengths)
            module(sequence)[0].data.sum().backward()
            return module.weight_ih_l0.grad

        return run

    return build


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """(label, build) pairs."""
    for kind in ("LSTM", "GRU", "RNN"):
        for sizes in SIZES:
            label = f"{kind} batch {sizes[0]} steps {sizes[1]} {sizes[2]}-{sizes[3]}"
            for train in (False, True):
                how = "train" if train else "forward"
                yield f"{label} {how}", layer(torch, kind, sizes, train)
    deep = {"num_layers": 2, "bidirectional": True}
    yield "LSTM 2 layers, both directions", layer(torch, "LSTM", SIZES[1], True, **deep)
    yield "LSTM packed", packed(torch, "LSTM")
    for kind in ("LSTMCell", "GRUCell", "RNNCell"):
        yield f"{kind} 16x32-64", cell(torch, kind, 16, 32, 64)

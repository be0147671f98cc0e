"""Matrix products: square, as in networks, tall and skinny, vectors, batches; transposed operands,
other dtypes, and a linear layer with its gradients.

Layouts are named as BLAS does: NT is a row-major matrix times a transposed one (a linear layer).

    python -m benchmarks sweep matmul
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
SQUARE = (8, 32, 64, 128, 256, 512, 1024)
SHAPES = (  # m, n, k
    (128, 256, 784), (512, 512, 128), (512, 128, 512), (16, 1024, 1024), (1024, 16, 1024),
    (1024, 1024, 16), (1, 1024, 1024), (1024, 1, 1024), (4096, 64, 64),
)  # fmt: skip
BATCHES = ((64, 32, 32, 32), (1000, 4, 4, 4), (8, 128, 128, 128), (32, 64, 64, 32))
LINEAR = ((32, 20, 10), (128, 784, 256), (512, 128, 512), (512, 512, 128))


def operand(torch: Any, shape: tuple[int, ...], turned: bool, dtype: str) -> Any:
    """A matrix or a batch of them; `turned` ones lie column by column."""
    if turned:
        shape = (*shape[:-2], shape[-1], shape[-2])
    if "int" in dtype:
        x = torch.randint(0, 9, shape, dtype=getattr(torch, dtype))
    else:
        x = torch.randn(*shape).to(getattr(torch, dtype))
    return x.transpose(-1, -2) if turned else x


def product(
    torch: Any, sizes: tuple[int, ...], layout: str = "NN", dtype: str = "float32"
) -> Callable[[], Step]:
    """`a @ b` for sizes (..., m, n, k)."""

    def build() -> Step:
        *batch, m, n, k = sizes
        a = operand(torch, (*batch, m, k), layout[0] == "T", dtype)
        b = operand(torch, (*batch, k, n), layout[1] == "T", dtype)
        return lambda: a @ b

    return build


def vectors(torch: Any, name: str, size: int) -> Callable[[], Step]:
    """dot, outer and mv."""

    def build() -> Step:
        x, y = torch.randn(size), torch.randn(size)
        if name == "mv":
            matrix = torch.randn(size, size)
            return lambda: matrix.mv(x)
        return lambda: getattr(torch, name)(x, y)

    return build


def linear(torch: Any, rows: int, inputs: int, outputs: int, backward: bool) -> Callable[[], Step]:
    """A linear layer, forward or forward and backward."""

    def build() -> Step:
        layer = torch.nn.Linear(inputs, outputs)
        x = torch.randn(rows, inputs, requires_grad=backward)

        def train() -> Any:
            layer.weight.grad = layer.bias.grad = x.grad = None
            layer(x).sum().backward()
            return layer.weight.grad

        return train if backward else lambda: layer(x)

    return build


def sums(torch: Any, name: str, *shapes: tuple[int, ...]) -> Callable[[], Step]:
    """addmm and baddbmm."""

    def build() -> Step:
        operands = [torch.randn(*shape) for shape in shapes]
        return lambda: getattr(torch, name)(*operands, beta=0.5, alpha=2)

    return build


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """(label, build) pairs."""
    for n in SQUARE:
        yield f"matmul {n}x{n}x{n}", product(torch, (n, n, n))
    for layout in ("NT", "TN", "TT"):
        yield f"matmul 256x256x256 {layout}", product(torch, (256, 256, 256), layout)
    for m, n, k in SHAPES:
        yield f"matmul {m}x{n}x{k} NT", product(torch, (m, n, k), "NT")
    for sizes in BATCHES:
        yield f"bmm {'x'.join(map(str, sizes))}", product(torch, sizes)
    for dtype in ("float64", "bfloat16", "float16", "int64", "int32", "int8"):
        yield f"matmul 256x256x256 {dtype}", product(torch, (256, 256, 256), "NN", dtype)
    for name, size in (("dot", 1000), ("dot", 1 << 20), ("outer", 1000), ("mv", 2048)):
        yield f"{name} {size}", vectors(torch, name, size)
    for sizes in LINEAR:
        for backward in (False, True):
            how = "forward and backward" if backward else "forward"
            yield f"linear {'x'.join(map(str, sizes))} {how}", linear(torch, *sizes, backward)
    yield "addmm 256x256x256", sums(torch, "addmm", *[(256, 256)] * 3)
    yield "baddbmm 32x64x64x64", sums(torch, "baddbmm", *[(32, 64, 64)] * 3)

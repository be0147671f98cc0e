"""Sorting, searching, indexing, joining and rearranging.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
Function = Callable[[Any], Any]

# name, function of (a tensor), shape of it
MOVES: list[tuple[str, Function, tuple[int, ...]]] = [
    ("sort", lambda x: x.sort(), (1_000_000,)),
    ("sort rows", lambda x: x.sort(1), (1024, 1024)),
    ("argsort", lambda x: x.argsort(), (1000,)),
    ("topk 10 rows", lambda x: x.topk(10, 1), (1024, 1024)),
    ("kthvalue rows", lambda x: x.kthvalue(100, 1), (1024, 1024)),
    ("median rows", lambda x: x.median(1), (1024, 1024)),
    ("nonzero", lambda x: (x > 1).nonzero(), (1000, 1000)),
    ("masked_select", lambda x: x[x > 0], (1000, 1000)),
    ("masked_fill", lambda x: x.masked_fill(x > 0, 0.0), (1000, 1000)),
    ("contiguous of t", lambda x: x.t().contiguous(), (2048, 2048)),
    ("contiguous of permute", lambda x: x.permute(0, 2, 1, 3).contiguous(), (32, 128, 8, 64)),
    ("contiguous of expand", lambda x: x.expand(1000, 1000).contiguous(), (1000, 1)),
    ("roll", lambda x: x.roll(3, 1), (1000, 1000)),
    ("repeat_interleave", lambda x: x.repeat_interleave(4, 0), (250, 1000)),
    ("tril", lambda x: x.tril(), (1000, 1000)),
]


def unique(torch: Any) -> Step:
    x = torch.randint(0, 1000, (1_000_000,))
    return lambda: x.unique()


def searchsorted(torch: Any) -> Step:
    edges, x = torch.rand(1000).sort()[0], torch.rand(1_000_000)
    return lambda: torch.searchsorted(edges, x)


def gather(torch: Any) -> Step:
    x, index = torch.randn(1024, 1024), torch.randint(0, 1024, (1024, 1024))
    return lambda: x.gather(1, index)


def scatter_add(torch: Any) -> Step:
    x, index = torch.randn(1024, 1024), torch.randint(0, 1024, (1024, 1024))
    out = torch.zeros(1024, 1024)
    return lambda: out.scatter_add_(1, index, x)


def index_select(torch: Any) -> Step:
    x, index = torch.randn(10_000, 64), torch.randint(0, 10_000, (100_000,))
    return lambda: x.index_select(0, index)


def index_add(torch: Any) -> Step:
    x, index = torch.randn(100_000, 64), torch.randint(0, 1000, (100_000,))
    out = torch.zeros(1000, 64)
    return lambda: out.index_add_(0, index, x)


def advanced_index(torch: Any) -> Step:
    x = torch.randn(1000, 1000)
    rows, columns = torch.randint(0, 1000, (100_000,)), torch.randint(0, 1000, (100_000,))
    return lambda: x[rows, columns]


def index_put_accumulate(torch: Any) -> Step:
    x, values = torch.randn(1000, 1000), torch.randn(100_000)
    rows, columns = torch.randint(0, 1000, (100_000,)), torch.randint(0, 1000, (100_000,))
    return lambda: x.index_put_((rows, columns), values, accumulate=True)


def mask_assignment(torch: Any) -> Step:
    x = torch.randn(1000, 1000)
    mask = x > 0

    def step() -> None:
        x[mask] = 1.0

    return step


def embedding(torch: Any) -> Step:
    weight, ids = torch.randn(10_000, 64), torch.randint(0, 10_000, (64, 256))
    return lambda: torch.nn.functional.embedding(ids, weight)


def embedding_gradient(torch: Any) -> Step:
    weight, ids = torch.randn(10_000, 64, requires_grad=True), torch.randint(0, 10_000, (64, 256))
    seed = torch.randn(64, 256, 64)

    def step() -> None:
        weight.grad = None
        torch.nn.functional.embedding(ids, weight).backward(seed)

    return step


def cat_rows(torch: Any) -> Step:
    parts = [torch.randn(100, 1000) for _ in range(10)]
    return lambda: torch.cat(parts)


def stack_last(torch: Any) -> Step:
    parts = [torch.randn(250_000) for _ in range(4)]
    return lambda: torch.stack(parts, -1)


def one_hot(torch: Any) -> Step:
    labels = torch.randint(0, 100, (10_000,))
    return lambda: torch.nn.functional.one_hot(labels, 100)


def small_gather(torch: Any) -> Step:
    x, index = torch.randn(10, 10), torch.randint(0, 10, (10, 10))
    return lambda: x.gather(1, index)


def small_cat(torch: Any) -> Step:
    a, b = torch.randn(10), torch.randn(10)
    return lambda: torch.cat((a, b))


def small_index(torch: Any) -> Step:
    x, index = torch.randn(10, 10), torch.tensor([1, 3, 5])
    return lambda: x[index]


BUILDERS: dict[str, Callable[[Any], Step]] = {
    "unique 1000000": unique,
    "searchsorted 1000000": searchsorted,
    "gather 1024x1024": gather,
    "scatter_add_ 1024x1024": scatter_add,
    "index_select 100000x64": index_select,
    "index_add_ 100000x64": index_add,
    "x[rows, columns] 100000": advanced_index,
    "index_put_ accumulate 100000": index_put_accumulate,
    "x[mask] = 1 1000x1000": mask_assignment,
    "embedding 64x256x64": embedding,
    "embedding with gradient 64x256x64": embedding_gradient,
    "cat rows 10x100x1000": cat_rows,
    "stack last 4x250000": stack_last,
    "one_hot 10000x100": one_hot,
    "gather 10x10": small_gather,
    "cat 2x10": small_cat,
    "x[index] 10x10": small_index,
}


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """The rows of this family."""
    for name, function, shape in MOVES:

        def build(function: Function = function, shape: tuple[int, ...] = shape) -> Step:
            x = torch.randn(*shape)
            return lambda: function(x)

        yield f"{name} {'x'.join(map(str, shape))}", build
    for label, make in BUILDERS.items():
        yield label, lambda make=make: make(torch)

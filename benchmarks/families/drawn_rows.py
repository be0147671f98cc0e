"""Reductions, scans, sorting, indexing, joining and copying along a drawn dimension of tensors of
drawn ranks, sizes, dtypes and layouts.

FLAMBEAU_BENCHMARK_SEED=7 python -m benchmarks sweep drawn_rows     # another draw

A row's label says what was drawn: the dtype, the shape, the dimension, and `t` where the first and
the last dimension of the operand lie in memory the other way round.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Step = Callable[[], Any]
Function = Callable[[Any, Any, int], Any]
ROWS_EACH = 1  # draws of each of many templates
FLOATS = ("float32", "float32", "float32", "float64", "bfloat16")
ALL = ("float32", "float32", "float32", "float64", "bfloat16", "int64", "int32", "uint8")
SINGLE = ("float32",)


class Operand(NamedTuple):
    """What was drawn for a row."""

    dtype: str
    shape: tuple[int, ...]
    dim: int
    transposed: bool

    @property
    def label(self) -> str:
        """In words, as `float32 7x64 dim 1`."""
        shape = "x".join(map(str, self.shape))
        return f"{self.dtype} {shape} dim {self.dim}{' t' if self.transposed else ''}"

    def make(self, torch: Any) -> Any:
        """The tensor: normal variates, or integers below 100."""
        shape, dtype = list(self.shape), getattr(torch, self.dtype)
        if self.transposed:
            shape[0], shape[-1] = shape[-1], shape[0]
        if dtype.is_floating_point:
            x = torch.randn(shape).to(dtype)
        else:
            x = torch.randint(0, 100, shape, dtype=dtype)
        return x.transpose(0, -1) if self.transposed else x


def draw(seed: str, dtypes: tuple[str, ...]) -> Operand:
    """An operand of 500 to 4 M elements, cut at random into one to four dimensions."""
    source = random.Random(seed)
    logarithm = source.uniform(math.log(500), math.log(4_000_000))
    rank = source.choice((1, 2, 2, 2, 3, 3, 4))
    cuts = [0.0, *sorted(source.random() for _ in range(rank - 1)), 1.0]
    shape = tuple(round(math.exp(logarithm * (b - a))) for a, b in zip(cuts, cuts[1:]))
    dim, transposed = source.randrange(rank), rank > 1 and source.random() < 0.15
    return Operand(source.choice(dtypes), shape, dim, transposed)


def indices(torch: Any, x: Any, dim: int) -> Any:
    """As many places along a dimension as it has."""
    return torch.randint(0, x.shape[dim], (x.shape[dim],))


def prepared(prepare: Callable[..., Any], use: Callable[..., Any]) -> Any:
    """A template with operands of its own: `use(torch, x, dim, prepare(torch, x, dim))`."""

    def build(torch: Any, x: Any, dim: int) -> Step:
        more = prepare(torch, x, dim)
        return lambda: use(torch, x, dim, more)

    return build


def plain(function: Function) -> Any:
    """A template without operands of its own."""
    return lambda torch, x, dim: lambda: function(torch, x, dim)


def backward(function: Function) -> Any:
    """The function and the backward pass of its result, from ones."""

    def build(torch: Any, x: Any, dim: int) -> Step:
        x.requires_grad_()
        ones = torch.ones_like(function(torch, x, dim))

        def step() -> None:
            function(torch, x, dim).backward(ones)
            x.grad = None

        return step

    return build


REDUCED: dict[str, tuple[tuple[str, ...], Function]] = {
    "sum": (ALL, lambda torch, x, dim: x.sum(dim)),
    "sum all": (ALL, lambda torch, x, dim: x.sum()),
    "sum others": (ALL, lambda torch, x, dim: x.sum([d for d in range(x.ndim) if d != dim])),
    "mean": (FLOATS, lambda torch, x, dim: x.mean(dim)),
    "prod": (FLOATS, lambda torch, x, dim: x.prod(dim)),
    "max": (ALL, lambda torch, x, dim: x.max(dim)),
    "max all": (ALL, lambda torch, x, dim: x.max()),
    "amin": (ALL, lambda torch, x, dim: x.amin(dim)),
    "argmax": (ALL, lambda torch, x, dim: x.argmax(dim)),
    "argmin all": (ALL, lambda torch, x, dim: x.argmin()),
    "aminmax": (ALL, lambda torch, x, dim: x.aminmax(dim=dim)),
    "any": (ALL, lambda torch, x, dim: x.any(dim)),
    "count_nonzero": (ALL, lambda torch, x, dim: x.count_nonzero(dim)),
    "std": (FLOATS, lambda torch, x, dim: x.std(dim)),
    "var all": (FLOATS, lambda torch, x, dim: x.var()),
    "var_mean": (FLOATS, lambda torch, x, dim: torch.var_mean(x, dim)),
    "norm": (FLOATS, lambda torch, x, dim: x.norm(dim=dim)),
    "norm all": (FLOATS, lambda torch, x, dim: x.norm()),
    "norm 1": (FLOATS, lambda torch, x, dim: x.norm(1, dim)),
    "logsumexp": (FLOATS, lambda torch, x, dim: x.logsumexp(dim)),
    "softmax": (FLOATS, lambda torch, x, dim: x.softmax(dim)),
    "log_softmax": (FLOATS, lambda torch, x, dim: x.log_softmax(dim)),
    "normalize": (FLOATS, lambda torch, x, dim: torch.nn.functional.normalize(x, dim=dim)),
    "layer_norm": (FLOATS, lambda torch, x, dim: torch.nn.functional.layer_norm(x, x.shape[dim:])),
}
ORDERED: dict[str, tuple[tuple[str, ...], Function]] = {
    "cumsum": (ALL, lambda torch, x, dim: x.cumsum(dim)),
    "cumprod": (FLOATS, lambda torch, x, dim: x.cumprod(dim)),
    "cummax": (ALL, lambda torch, x, dim: x.cummax(dim)),
    "logcumsumexp": (SINGLE, lambda torch, x, dim: x.logcumsumexp(dim)),
    "diff": (ALL, lambda torch, x, dim: x.diff(dim=dim)),
    "sort": (ALL, lambda torch, x, dim: x.sort(dim)),
    "argsort": (ALL, lambda torch, x, dim: x.argsort(dim, descending=True)),
    "topk": (ALL, lambda torch, x, dim: x.topk(min(5, x.shape[dim]), dim)),
    "median": (ALL, lambda torch, x, dim: x.median(dim)),
    "kthvalue": (ALL, lambda torch, x, dim: x.kthvalue(x.shape[dim] // 3 + 1, dim)),
    "unique": (ALL, lambda torch, x, dim: x.unique()),
    "unique counts": (ALL, lambda torch, x, dim: torch.unique(x, return_counts=True)),
    "searchsorted": (
        ALL,
        lambda torch, x, dim: torch.searchsorted(torch.arange(100).to(x.dtype), x),
    ),
}
COPIED: dict[str, tuple[tuple[str, ...], Function]] = {
    "contiguous": (ALL, lambda torch, x, dim: x.movedim(dim, 0).contiguous()),
    "reversed": (ALL, lambda torch, x, dim: x.permute(*range(x.ndim)[::-1]).contiguous()),
    "clone": (ALL, lambda torch, x, dim: x.clone()),
    "narrow": (
        ALL,
        lambda torch, x, dim: x.narrow(
            dim, x.shape[dim] // 4, max(1, x.shape[dim] // 2)
        ).contiguous(),
    ),
    "every second": (
        ALL,
        lambda torch, x, dim: x[(slice(None),) * dim + (slice(None, None, 2),)].contiguous(),
    ),
    "expand": (
        ALL,
        lambda torch, x, dim: (
            x.unsqueeze(dim).expand(x.shape[:dim] + (3,) + x.shape[dim:]).contiguous()
        ),
    ),
    "flip": (ALL, lambda torch, x, dim: x.flip(dim)),
    "roll": (ALL, lambda torch, x, dim: x.roll(3, dim)),
    "tril": (ALL, lambda torch, x, dim: x.reshape(-1, x.shape[-1]).tril()),
    "triu": (ALL, lambda torch, x, dim: x.reshape(x.shape[0], -1).triu(1)),
    "pad": (ALL, lambda torch, x, dim: torch.nn.functional.pad(x, (1, 2))),
    "repeat": (ALL, lambda torch, x, dim: x.repeat((2,) * x.ndim)),
    "repeat_interleave": (ALL, lambda torch, x, dim: x.repeat_interleave(2, dim)),
    "cat": (ALL, lambda torch, x, dim: torch.cat([x, x, x], dim)),
    "cat unequal": (ALL, lambda torch, x, dim: torch.cat([x, x.narrow(dim, 0, 1)], dim)),
    "stack": (ALL, lambda torch, x, dim: torch.stack([x, x, x], dim)),
    "stack last": (ALL, lambda torch, x, dim: torch.stack([x, x], -1)),
    "split copy": (ALL, lambda torch, x, dim: torch.cat(x.chunk(2, dim), dim)),
    "masked_select": (ALL, lambda torch, x, dim: x[x > 1]),
    "masked_fill": (ALL, lambda torch, x, dim: x.masked_fill(x > 1, 0)),
    "nonzero": (ALL, lambda torch, x, dim: x.nonzero()),
    "fill_": (ALL, lambda torch, x, dim: x.narrow(dim, 0, x.shape[dim] // 2 + 1).fill_(1)),
    "zeros_like": (ALL, lambda torch, x, dim: torch.zeros_like(x)),
    "to float": (ALL, lambda torch, x, dim: x.float()),
}
INDEXED: dict[str, tuple[tuple[str, ...], Any]] = {
    "index_select": (ALL, prepared(indices, lambda torch, x, dim, i: x.index_select(dim, i))),
    "index": (ALL, prepared(indices, lambda torch, x, dim, i: x[(slice(None),) * dim + (i,)])),
    "index_add": (ALL, prepared(indices, lambda torch, x, dim, i: x.index_add(dim, i, x))),
    "index_copy": (ALL, prepared(indices, lambda torch, x, dim, i: x.index_copy(dim, i, x))),
    "index_fill": (ALL, prepared(indices, lambda torch, x, dim, i: x.index_fill(dim, i, 1))),
    "index_put": (
        ALL,
        prepared(indices, lambda torch, x, dim, i: x.clone().index_put_((i % x.shape[0],), x[0])),
    ),
    "take": (
        ALL,
        prepared(
            lambda torch, x, dim: torch.randint(0, x.numel(), (x.numel(),)),
            lambda torch, x, dim, i: x.take(i),
        ),
    ),
}
for name, use in {
    "gather": lambda torch, x, dim, i: x.gather(dim, i),
    "scatter": lambda torch, x, dim, i: x.scatter(dim, i, x),
    "scatter_add": lambda torch, x, dim, i: x.scatter_add(dim, i, x),
}.items():
    INDEXED[name] = (
        ALL, prepared(lambda torch, x, dim: torch.randint(0, x.shape[dim], x.shape), use)
    )  # fmt: skip
BACKWARD: dict[str, Function] = {
    "softmax": lambda torch, x, dim: x.softmax(dim),
    "log_softmax": lambda torch, x, dim: x.log_softmax(dim),
    "logsumexp": lambda torch, x, dim: x.logsumexp(dim),
    "sum": lambda torch, x, dim: x.sum(dim),
    "mean": lambda torch, x, dim: x.mean(dim),
    "std": lambda torch, x, dim: x.std(dim),
    "var": lambda torch, x, dim: x.var(dim),
    "norm": lambda torch, x, dim: x.norm(dim=dim),
    "max": lambda torch, x, dim: x.max(dim)[0],
    "amax": lambda torch, x, dim: x.amax(dim),
    "prod": lambda torch, x, dim: x.prod(dim),
    "cumsum": lambda torch, x, dim: x.cumsum(dim),
    "cumprod": lambda torch, x, dim: x.cumprod(dim),
    "sort": lambda torch, x, dim: x.sort(dim)[0],
    "flip": lambda torch, x, dim: x.flip(dim),
    "cat": lambda torch, x, dim: torch.cat([x, x], dim),
    "stack": lambda torch, x, dim: torch.stack([x, x], dim),
    "narrow": lambda torch, x, dim: x.narrow(dim, 0, x.shape[dim] // 2 + 1),
    "transpose": lambda torch, x, dim: x.transpose(0, dim) * 2,
    "pad": lambda torch, x, dim: torch.nn.functional.pad(x, (1, 1)),
    "normalize": lambda torch, x, dim: torch.nn.functional.normalize(x, dim=dim),
    "layer_norm": lambda torch, x, dim: torch.nn.functional.layer_norm(x, x.shape[dim:]),
    "repeat_interleave": lambda torch, x, dim: x.repeat_interleave(2, dim),
}


def templates() -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Every kind of row: its name, its dtypes and what builds its step."""
    for table in (REDUCED, ORDERED, COPIED):
        for name, (dtypes, function) in table.items():
            yield name, dtypes, plain(function)
    for name, (dtypes, build) in INDEXED.items():
        yield name, dtypes, build
    for name, function in BACKWARD.items():
        yield f"{name} backward", SINGLE, backward(function)


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """Each template on a few drawn operands."""
    seed = os.environ.get("FLAMBEAU_BENCHMARK_SEED", "0")
    for name, dtypes, build in templates():
        for number in range(ROWS_EACH):
            operand = draw(f"{seed}/{name}/{number}", dtypes)
            yield (
                f"{name}, {operand.label}",
                lambda build=build, o=operand: build(torch, o.make(torch), o.dim),
            )

"""Elementwise operations on shapes drawn at random: broadcasting, strided and in-place operands,
dtypes and casts.

FLAMBEAU_BENCHMARK_SEED=7 python -m benchmarks sweep drawn_elements     # another draw
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.families.drawn import Draw, Step, of_matrix

SHAPES: dict[str, Callable[[Any, Any], Any]] = {
    "plus row": lambda torch, x: x + x[0],
    "plus column": lambda torch, x: x + x[:, :1],
    "times number": lambda torch, x: x * 2.5,
    "plus element": lambda torch, x: x + x[0, 0],
    "row plus column": lambda torch, x: x[0] + x[:, :1],
    "compare with row": lambda torch, x: x > x[0],
    "row of where": lambda torch, x: torch.where(x > 0, x[0], x),
    "plus transposed": lambda torch, x: x + x.t().contiguous().t(),
    "transposed exp": lambda torch, x: x.t().exp(),
    "every second column plus 1": lambda torch, x: x[:, ::2] + 1,
    "every second column exp": lambda torch, x: x[:, ::2].exp(),
    "every second row times 2": lambda torch, x: x[::2] * 2,
    "columns of columns": lambda torch, x: x[:, 1:] - x[:, :-1],
    "rows of rows": lambda torch, x: x[1:] - x[:-1],
    "first half plus second": lambda torch, x: (
        x[:, : x.shape[1] // 2] + x[:, x.shape[1] // 2 : x.shape[1] // 2 * 2]
    ),
    "flipped plus": lambda torch, x: x.flip(1) + x,
    "add_": lambda torch, x: x.add_(1e-9),
    "mul_ of row": lambda torch, x: x.mul_(x[:1].abs().clamp(1, 1)),
    "clamp_": lambda torch, x: x.clamp_(-2, 2),
    "relu_": lambda torch, x: x.relu_(),
    "column add_": lambda torch, x: x[:, 1:].add_(1e-9),
    "masked_fill_": lambda torch, x: x.masked_fill_(x > 3, 0.5),
    "copy_": lambda torch, x: x[::2].copy_(x[: (len(x) + 1) // 2]),
    "fill_": lambda torch, x: x.fill_(1.5),
    "zero_": lambda torch, x: x.zero_(),
    "three operands": lambda torch, x: x * x + x,
    "zeros_like": lambda torch, x: torch.zeros_like(x),
    "full_like": lambda torch, x: torch.full_like(x, 2.5),
    "clone": lambda torch, x: x.clone(),
    "expand copy": lambda torch, x: x[0].expand(len(x), -1).contiguous(),
    "movedim copy": lambda torch, x: (
        x[:, : x.shape[1] // 4 * 4].view(len(x), -1, 4).movedim(1, 0).contiguous()
    ),
    "isclose": lambda torch, x: torch.isclose(x, x),
    "maximum": lambda torch, x: torch.maximum(x, x),
    "atan2": lambda torch, x: torch.atan2(x, x),
    "hypot": lambda torch, x: torch.hypot(x, x),
    "remainder": lambda torch, x: x % 0.7,
    "floor division": lambda torch, x: x // 0.7,
    "nan_to_num": lambda torch, x: x.nan_to_num(),
    "power of tensor": lambda torch, x: x.abs() ** x,
    "logaddexp": lambda torch, x: torch.logaddexp(x, x),
    "erfc": lambda torch, x: x.erfc(),
    "softmax of columns": lambda torch, x: x.t().softmax(1),
}
ROWS_EACH = 1  # shapes of each of many templates
CASTS = "float32 float64 bfloat16 float16 int64 int32 int16 uint8 bool complex64".split()
REAL = "float64 bfloat16 float16 int64 int32 int16 uint8 int8".split()
DTYPED: dict[str, tuple[list[str], Callable[[Any, Any, Any], Any]]] = {
    "add": ([*REAL, "complex64"], lambda torch, x, y: x + y),
    "multiply": ([*REAL, "complex64"], lambda torch, x, y: x * y),
    "add number": (REAL, lambda torch, x, y: x + 2),
    "divide": ([*REAL, "complex64"], lambda torch, x, y: x / y),
    "floor divide": (REAL, lambda torch, x, y: x // y),
    "less": (REAL, lambda torch, x, y: x < y),
    "equal to": ([*REAL, "complex64", "bool"], lambda torch, x, y: x == y),
    "where of": ([*REAL, "complex64"], lambda torch, x, y: torch.where(x == 1, x, y)),
    "maximum of": (REAL, lambda torch, x, y: torch.maximum(x, y)),
    "clamp of": (REAL, lambda torch, x, y: x.clamp(2, 5)),
    "relu of": (REAL, lambda torch, x, y: x.relu()),
    "abs of": ([*REAL[:-2], "int8", "complex64"], lambda torch, x, y: x.abs()),
    "exp of": ([*REAL[:3], "complex64", "int32"], lambda torch, x, y: x.exp()),
    "sqrt of": ([*REAL[:3], "complex64", "int64"], lambda torch, x, y: x.sqrt()),
    "tanh of": (REAL[:3], lambda torch, x, y: x.tanh()),
    "sigmoid of": (REAL[:3], lambda torch, x, y: x.sigmoid()),
    "gelu of": (REAL[:3], lambda torch, x, y: torch.nn.functional.gelu(x)),
    "square of": (REAL, lambda torch, x, y: x**2),
    "and": (["bool", "uint8", "int64"], lambda torch, x, y: x & y),
    "not": (["bool", "uint8", "int64"], lambda torch, x, y: ~x),
    "logical and": (["bool", "float32"], lambda torch, x, y: torch.logical_and(x, y)),
    "add_ of": (REAL, lambda torch, x, y: x.add_(0)),
    "masked_fill of": ([*REAL, "bool"], lambda torch, x, y: x.masked_fill(y == 1, 0)),
    "sum of": ([*REAL, "bool"], lambda torch, x, y: x.sum()),
    "sum of rows of": ([*REAL, "bool"], lambda torch, x, y: x.sum(1)),
    "sum of columns of": ([*REAL, "bool"], lambda torch, x, y: x.sum(0)),
    "maximum of all": (REAL, lambda torch, x, y: x.max()),
    "softmax of": (REAL[:3], lambda torch, x, y: x.softmax(1)),
    "any of": (["bool"], lambda torch, x, y: x.any()),
    "plus row of": (REAL, lambda torch, x, y: x + y[0]),
}


def of_dtype(dtype: str, function: Callable[[Any, Any, Any], Any]) -> Callable[[Draw], Step]:
    """`function` of the framework and two matrices of a dtype, none of whose elements is 0."""

    def build(draw: Draw) -> Step:
        x = draw.matrix().mul(8).trunc().abs().clamp(1, 9)
        y, kind = x.flip(0).contiguous(), getattr(draw.torch, dtype)
        x, y = x.to(kind), y.to(kind)
        return lambda: function(draw.torch, x, y)

    return build


def casts() -> Iterator[tuple[str, Callable[[Draw], Step]]]:
    """From every dtype to every other."""
    for source in CASTS[:-1]:
        for target in CASTS:
            if source != target:
                name = f"{source} to {target}"
                yield name, of_dtype(source, lambda torch, x, y, t=target: x.to(getattr(torch, t)))


def templates() -> Iterator[tuple[str, Callable[[Draw], Step]]]:
    """Every kind of row with the function that builds it from a draw."""
    for name, function in SHAPES.items():
        yield name, of_matrix(function)
    for name, (dtypes, choice) in DTYPED.items():
        for dtype in dtypes:
            yield f"{name} {dtype}", of_dtype(dtype, choice)
    yield from casts()


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """Each template on a few drawn shapes, which the label names."""
    seed = os.environ.get("FLAMBEAU_BENCHMARK_SEED", "0")
    for name, build in templates():
        for number in range(ROWS_EACH):
            key = f"{seed}/{name}/{number}"
            columns, rows = Draw(torch, key).sizes()
            yield f"{name} {rows}x{columns}", lambda build=build, key=key: build(Draw(torch, key))

"""Elementwise ops: arithmetic, functions, broadcasting, in-place forms, dtypes, casts and copies.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
SIZES = (10, 10_000, 1_000_000, 16_000_000)


def sized(torch: Any, function: Callable[[Any, Any], Any], size: int, dtype: str) -> Step:
    """`function` of two tensors of `size` elements."""
    if dtype == "bool":
        a, b = torch.rand(size) > 0.5, torch.rand(size) > 0.5
    elif dtype.startswith("float") or dtype == "bfloat16":
        a, b = (torch.rand(size).to(getattr(torch, dtype)) + 1 for _ in range(2))
    else:
        a, b = (torch.randint(1, 100, (size,)).to(getattr(torch, dtype)) for _ in range(2))
    return lambda: function(a, b)


# name, function of two tensors, sizes, dtypes
TABLE: list[tuple[str, Callable[[Any, Any], Any], tuple[int, ...], tuple[str, ...]]] = [
    ("add", lambda a, b: a + b, SIZES, ("float32",)),
    ("add", lambda a, b: a + b, (1_000_000,), ("float64", "bfloat16", "int64")),
    ("add_", lambda a, b: a.add_(b), (10, 1_000_000), ("float32",)),
    ("mul by a number", lambda a, b: a * 2.5, (1_000, 1_000_000), ("float32",)),
    ("div", lambda a, b: a / b, (1_000_000,), ("int64",)),
    ("compare", lambda a, b: a < b, (1_000_000,), ("float32",)),
    ("logical and", lambda a, b: a & b, (1_000_000,), ("bool",)),
    ("a * b + a", lambda a, b: a * b + a, (1_000, 4_000_000), ("float32",)),
    ("relu", lambda a, b: a.relu(), (1_000, 1_000_000), ("float32",)),
    ("exp", lambda a, b: a.exp(), (1_000, 1_000_000), ("float32",)),
    ("log", lambda a, b: a.log(), (1_000_000,), ("float64",)),
    ("sigmoid", lambda a, b: a.sigmoid(), (1_000_000,), ("float32",)),
    ("tanh", lambda a, b: a.tanh(), (1_000_000,), ("float32", "bfloat16")),
    ("pow", lambda a, b: a**b, (1_000_000,), ("float32",)),
    ("clamp", lambda a, b: a.clamp(1.2, 1.8), (1_000_000,), ("float32",)),
    ("to float64", lambda a, b: a.double(), (1_000_000,), ("float32",)),
    ("to float32", lambda a, b: a.float(), (1_000_000,), ("bfloat16", "int64")),
    ("clone", lambda a, b: a.clone(), (10, 1_000_000), ("float32",)),
]


def where_rows(torch: Any) -> Step:
    """A choice between two tensors."""
    mask, a, b = torch.rand(1000, 1000) > 0.5, torch.rand(1000, 1000), torch.rand(1000, 1000)
    return lambda: torch.where(mask, a, b)


def add_row(torch: Any) -> Step:
    """A row added to each row."""
    a, row = torch.rand(1000, 1000), torch.rand(1000)
    return lambda: a + row


def add_column(torch: Any) -> Step:
    """A column added to each column."""
    a, column = torch.rand(1000, 1000), torch.rand(1000, 1)
    return lambda: a + column


def add_transposed(torch: Any) -> Step:
    """A matrix and a transposed one."""
    a, b = torch.rand(1000, 1000), torch.rand(1000, 1000)
    return lambda: a + b.t()


BROADCASTS = {
    "where 1000x1000": where_rows,
    "add row 1000x1000": add_row,
    "add column 1000x1000": add_column,
    "add transposed 1000x1000": add_transposed,
}


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """The rows of this family."""
    for name, function, sizes, dtypes in TABLE:
        for dtype in dtypes:
            for size in sizes:
                label = f"{name} {size}" if dtype == "float32" else f"{name} {dtype} {size}"

                def build(
                    function: Callable[[Any, Any], Any] = function,
                    size: int = size,
                    dtype: str = dtype,
                ) -> Step:
                    return sized(torch, function, size, dtype)

                yield label, build
    for label, make in BROADCASTS.items():
        yield label, lambda make=make: make(torch)

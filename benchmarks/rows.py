"""All rows that can be measured, by group: the groups of the table (benchmarks.workloads,
benchmarks.training) and the families of the sweep (benchmarks/families).

Called by the worker, which has a framework at hand:

    build = rows(torch, "large")["sum, 16 M"]
    step = build()
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

Step = Callable[[], Any]
TINY, TRAIN, COMPILED, LARGE = "tiny", "train", "compiled", "large"
GROUPS = (TINY, TRAIN, COMPILED, LARGE)


class Workload(NamedTuple):
    """One row of the table."""

    group: str
    name: str
    build: Callable[[Any], Step]
    #: bytes that the step must read and write at least, and its floating-point operations
    moves: int = 0
    computes: int = 0


TABLE: list[Workload] = []


def row(
    group: str, name: str, moves: int = 0, computes: int = 0
) -> Callable[[Callable[[Any], Step]], Callable[[Any], Step]]:
    """Decorator: the function builds the step of this row."""

    def enter(build: Callable[[Any], Step]) -> Callable[[Any], Step]:
        TABLE.append(Workload(group, name, build, moves, computes))
        return build

    return enter


def families() -> list[str]:
    """The names of the files under benchmarks/families, sorted."""
    package = importlib.import_module("benchmarks.families")
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__))


def is_drawn(family: str) -> bool:
    """Whether the shapes of a family are drawn at random; it then has many rows, and a seed.

    >>> is_drawn("drawn_rows"), is_drawn("softmax")
    (True, False)
    """
    return family.startswith("drawn")


def rows(torch: Any, group: str) -> dict[str, Callable[[], Step]]:
    """The rows of a group or family by label, ready to be built for one framework."""
    if group not in GROUPS:
        module = importlib.import_module(f"benchmarks.families.{group}")
        return dict(module.cases(torch))
    return {w.name: lambda w=w: w.build(torch) for w in table() if w.group == group}


def table() -> list[Workload]:
    """The rows of the table, in the order in which they are shown."""
    for module in ("benchmarks.workloads", "benchmarks.training"):
        importlib.import_module(module)
    return sorted(TABLE, key=lambda w: GROUPS.index(w.group))

"""Sample calls of every op, for the tests of properties that all ops share (tests/test_samples.py).

A table here maps the name of an op to its samples: functions whose parameter names say which
operands they want (samples/operands.py):

    "cumsum": [lambda x: x.cumsum(0), lambda x: torch.cumsum(x, -1)],

Samples of pointwise ops are derived from their signatures (samples/pointwise.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from samples import algebra, indexing, networks, pointwise, reductions, shapes
from samples.operands import operand


class Sample(NamedTuple):
    """One call: `operands` are the names of what `call` takes."""

    op: str
    number: int
    operands: tuple[str, ...]
    call: Callable[..., Any]

    def tensors(self) -> list[Any]:
        """Fresh operands, in float64 where they are real."""
        return [operand(name) for name in self.operands]

    def __str__(self) -> str:
        return f"{self.op}-{self.number}" if self.number else self.op


def all_samples() -> list[Sample]:
    """Every sample of every table."""
    found = [
        Sample(op, number, tuple(inspect.signature(call).parameters), call)
        for table in (shapes, indexing, reductions, algebra, networks)
        for op, calls in table.SAMPLES.items()
        for number, call in enumerate(calls)
    ]
    return found + [Sample(*row) for row in pointwise.derived()]

"""Reductions over all elements, rows and columns; running sums, products and greatest values.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
Function = Callable[[Any], Any]
SHAPES = ((16, 16), (64, 65_536), (65_536, 64), (1024, 1024))

# name, function of (a matrix), shapes
TABLE: list[tuple[str, Function, tuple[tuple[int, ...], ...]]] = [
    ("sum", lambda x: x.sum(), ((10,), (1000,), (1_000_000,), (16_000_000,))),
    ("sum rows", lambda x: x.sum(1), SHAPES),
    ("sum columns", lambda x: x.sum(0), SHAPES),
    ("sum outer dims", lambda x: x.sum((0, 2)), ((64, 128, 256),)),
    ("sum middle dim", lambda x: x.sum(1), ((64, 128, 256),)),
    ("prod rows", lambda x: x.prod(1), ((1024, 1024),)),
    ("std rows", lambda x: x.std(1), ((1024, 1024),)),
    ("std columns", lambda x: x.std(0), ((1024, 1024),)),
    ("var all", lambda x: x.var(), ((1_000_000,),)),
    ("norm", lambda x: x.norm(), ((1_000_000,),)),
    ("max rows", lambda x: x.max(1), ((16, 16), (1024, 1024))),
    ("max columns", lambda x: x.max(0), ((1024, 1024),)),
    ("argmax all", lambda x: x.argmax(), ((1_000_000,),)),
    ("argmax rows", lambda x: x.argmax(1), ((65_536, 10),)),
    ("logsumexp rows", lambda x: x.logsumexp(1), ((1024, 1024),)),
    ("cumsum", lambda x: x.cumsum(0), ((4_000_000,),)),
    ("cumsum rows", lambda x: x.cumsum(1), ((1024, 1024),)),
    ("cumsum columns", lambda x: x.cumsum(0), ((1024, 1024),)),
    ("cummax rows", lambda x: x.cummax(1), ((1024, 1024),)),
    ("logcumsumexp rows", lambda x: x.logcumsumexp(1), ((1024, 256),)),
    ("any of a mask", lambda x: (x > 9).any(), ((1_000_000,),)),
    ("int64 sum", lambda x: x.long().sum(), ((1_000_000,),)),
    ("bfloat16 sum rows", lambda x: x.bfloat16().sum(1), ((1024, 1024),)),
]


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """The rows of this family."""
    for name, function, shapes in TABLE:
        for shape in shapes:

            def build(function: Function = function, shape: tuple[int, ...] = shape) -> Step:
                x = torch.randn(*shape)
                return lambda: function(x)

            yield f"{name} {'x'.join(map(str, shape))}", build

"""Random numbers in bulk: the same stream on both sides, so the same numbers.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
SMALL, MIDDLE, LARGE = 10, 100_000, 4_000_000

# name, function of (torch, size), sizes
TABLE: list[tuple[str, Callable[[Any, int], Any], tuple[int, ...]]] = [
    ("randn", lambda torch, n: torch.randn(n), (SMALL, MIDDLE, LARGE)),
    ("randn float64", lambda torch, n: torch.randn(n, dtype=torch.float64), (MIDDLE,)),
    ("randn bfloat16", lambda torch, n: torch.randn(n, dtype=torch.bfloat16), (MIDDLE,)),
    ("rand", lambda torch, n: torch.rand(n), (SMALL, MIDDLE, LARGE)),
    ("rand float64", lambda torch, n: torch.rand(n, dtype=torch.float64), (MIDDLE,)),
    ("randint", lambda torch, n: torch.randint(0, 1000, (n,)), (SMALL, MIDDLE, LARGE)),
    ("randperm", lambda torch, n: torch.randperm(n), (SMALL, MIDDLE, 1_000_000)),
]
# name, method on (torch, tensor), sizes
FILLS: list[tuple[str, Callable[[Any, Any], Any], tuple[int, ...]]] = [
    ("normal_", lambda torch, x: x.normal_(1.0, 2.0), (SMALL, 1_000_000)),
    ("uniform_", lambda torch, x: x.uniform_(-1.0, 1.0), (SMALL, 1_000_000)),
    ("bernoulli_", lambda torch, x: x.bernoulli_(0.3), (SMALL, 1_000_000)),
    ("bernoulli of probabilities", lambda torch, x: torch.bernoulli(x), (1_000_000,)),
    ("exponential_", lambda torch, x: x.exponential_(), (1_000_000,)),
    ("geometric_", lambda torch, x: x.geometric_(0.3), (100_000,)),
    ("cauchy_", lambda torch, x: x.cauchy_(), (100_000,)),
    ("log_normal_", lambda torch, x: x.log_normal_(), (100_000,)),
    ("poisson", lambda torch, x: torch.poisson(x), (100_000,)),
    ("dropout", lambda torch, x: torch.nn.functional.dropout(x, 0.5), (1000, 1_000_000)),
    (
        "multinomial, 64 rows",
        lambda torch, x: torch.multinomial(x.reshape(64, -1), 1),
        (64_000,),
    ),
    (
        "multinomial with replacement",
        lambda torch, x: torch.multinomial(x, 10_000, replacement=True),
        (10_000,),
    ),
]


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """The rows of this family."""
    for name, function, sizes in TABLE:
        for size in sizes:
            yield f"{name} {size}", lambda f=function, size=size: lambda: f(torch, size)
    for name, function, sizes in FILLS:
        for size in sizes:

            def build(f: Callable[[Any, Any], Any] = function, size: int = size) -> Step:
                x = torch.rand(size)
                return lambda: f(torch, x)

            yield f"{name} {size}", build

"""Random programs, compiled against eager: pointwise operations, reductions, softmax,
normalisations, views and in-place updates in any order, in several dtypes, forward and backward. A
seed is a program; `python tests/test_compile_random.py FIRST LAST` runs those of a range.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.compiler.compiled import Compiled
from flambeau.nn import functional as F

SEEDS = 10
DTYPES = [torch.float32, torch.float32, torch.float64, torch.bfloat16]
SHAPES = [(48, 300), (4, 16, 136), (640, 24), (3, 8, 20, 33), (32, 1200), (2, 3, 4200)]

POINTWISE: dict[str, Callable[[Any], Any]] = {
    "exp": lambda x: x.clamp(max=3).exp(),
    "tanh": lambda x: x.tanh(),
    "gelu": F.gelu,
    "relu": lambda x: x.relu(),
    "square": lambda x: x * x,
    "scale": lambda x: x * 0.3 - 1,
    "root": lambda x: (x.abs() + 0.5).sqrt(),
    "mask": lambda x: torch.where(x > 0.1, x, x * 0.2),
    "double": lambda x: x.double().sin().to(x.dtype),
    "half": lambda x: x.bfloat16().to(x.dtype) * 1.5,
}
PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y * 0.5,
    "mul": lambda x, y: x * y.tanh(),
    "div": lambda x, y: x / (y.abs() + 1),
    "max": lambda x, y: torch.maximum(x, y),
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda x, dim, keep: x.sum(dim, keep) * 0.01,
    "mean": lambda x, dim, keep: x.mean(dim, keep),
    "amax": lambda x, dim, keep: x.amax(dim, keep),
    "amin": lambda x, dim, keep: x.amin(dim, keep),
    "var": lambda x, dim, keep: x.var(dim, keepdim=keep),
    "std": lambda x, dim, keep: x.std(dim, keepdim=keep),
    "norm": lambda x, dim, keep: torch.linalg.vector_norm(x, 2, dim, keep) * 0.1,
    "logsumexp": lambda x, dim, keep: torch.logsumexp(x, dim, keep),
}
ROWS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1) * 0.1,
    "softmax_1": lambda x: x.softmax(1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[-1:]),
    "group_norm": lambda x: F.group_norm(x, 1) if x.ndim > 2 else x + 1,
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
}


class Program:
    """A function of two tensors, a row and a column, drawn from a seed."""

    def __init__(self, seed: int):
        draw = random.Random(seed)
        self.shape, self.dtype = draw.choice(SHAPES), draw.choice(DTYPES)
        self.lines = [self.line(draw) for _ in range(draw.randint(3, 12))]
        self.results = [draw.randrange(1 << 20) for _ in range(draw.randint(1, 3))]
        self.seed = seed

    def line(self, draw: random.Random) -> tuple[Any, ...]:
        """A step: its kind, its operation, which values it takes."""
        kinds = ["one", "two", "two", "rows", "reduce", "reduce", "view", "in place", "vector"]
        kind = draw.choice(kinds)
        table: Any = {"one": POINTWISE, "two": PAIRS, "rows": ROWS, "reduce": REDUCTIONS}.get(kind)
        name = draw.choice(list(table)) if table else ""
        return kind, name, draw.randrange(1 << 20), draw.randrange(1 << 20), draw.random()

    def __call__(self, x: Any, y: Any, row: Any, column: Any) -> tuple[Any, ...]:
        values = [x, y]
        last = lambda number: values[-1 - number % min(4, len(values))]
        for kind, name, a, b, part in self.lines:
            one, two = last(a), last(b)
            if kind == "one":
                values.append(POINTWISE[name](one))
            elif kind == "two":
                values.append(PAIRS[name](one, two))
            elif kind == "rows":
                values.append(ROWS[name](one))
            elif kind == "reduce":
                values.append(self.reduced(name, one, two, part))
            elif kind == "view":
                values.append(self.viewed(one, part))
            elif kind == "vector":
                values.append(one * row + column if part < 0.5 else one + column * row)
            else:
                changed = one * 1.0
                changed += two
                changed.mul_(0.5) if part < 0.5 else changed[..., 1:].add_(1)
                values.append(changed)
        return tuple([values[2 + n % (len(values) - 2)] * 1 for n in self.results])

    def reduced(self, name: str, one: Any, two: Any, part: float) -> Any:
        """What remains of a reduction, next to all elements again."""
        function = REDUCTIONS[name]
        if part < 0.5:
            return two - function(one, -1, True)
        if part < 0.7:
            return two * function(one, -1, False).unsqueeze(-1)
        if part < 0.85:
            return two + function(one, 0, True)
        return two * function(one, tuple(range(one.ndim)), False)

    def viewed(self, one: Any, part: float) -> Any:
        """The same elements by way of a view."""
        if part < 0.4:
            return (one.reshape(-1, self.shape[-1]) * 2).view(self.shape)
        if part < 0.7:
            return (one.flatten() + 1).view(self.shape)
        return one.transpose(0, -1).contiguous().transpose(0, -1)


def operands(program: Program) -> list[Any]:
    torch.manual_seed(program.seed)
    shape = program.shape
    made = [torch.randn(shape), torch.randn(shape), torch.randn(shape[-1]), torch.randn(shape[0])]
    made[3] = made[3].view(-1, *[1] * (len(shape) - 1))
    return [x.to(program.dtype).requires_grad_() for x in made]


def outcome(function: Callable[..., Any], given: Any) -> list[Any]:
    """Results and gradients."""
    results = function(*given)
    weights = [torch.linspace(-1, 1, r.numel()).view(r.shape).to(r.dtype) for r in results]
    total = sum((r * w).sum() for r, w in zip(results, weights, strict=True))
    return [*results, *torch.autograd.grad(total, given, allow_unused=True)]


def check(seed: int) -> tuple[Compiled, Compiled]:
    """Runs a program both ways: compiled with its backward pass outside, and with it inside."""
    program = Program(seed)
    forward: Any = torch.compile(program)
    whole: Any = torch.compile(lambda *given: outcome(program, given))
    expected = outcome(program, operands(program))
    for _ in range(4):
        for one, other in zip(whole(*operands(program)), expected, strict=True):
            same(one, other, seed)
        found = outcome(forward, operands(program))
        for k, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, seed, exact=k < len(program.results))
    return forward, whole


def same(found: Any, expected: Any, seed: int, exact: bool = True) -> None:
    """The same bits; a gradient that came from outside may lie otherwise in memory, and be added
    up in another order.
    """
    if expected is None:
        assert found is None
        return
    assert found.dtype is expected.dtype and found.shape == expected.shape, f"seed {seed}"
    if exact:
        worst = (found.double() - expected.double()).abs().max().item()
        assert torch.equal(found.nan_to_num(), expected.nan_to_num()), f"seed {seed}: {worst}"
    else:
        tolerance = 0.1 if found.dtype is torch.bfloat16 else 1e-3
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance, equal_nan=True)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_as_eager(seed: int) -> None:
    assert [each.reason for each in check(seed)] == [None, None]


if __name__ == "__main__":
    for number in range(*map(int, sys.argv[1:])):
        print(number, end=" ", flush=True)
        check(number)

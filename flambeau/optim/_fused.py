"""Applies the formula of an optimizer to parameters; the only place that touches their memory.

A formula is a pure function in tensor algebra, `update(p, g, *state, **scalars)`, that returns the
new parameter and the new state tensors. It is elementwise, so it can run on tensors or on scalar
expressions. Besides `+ - * / **`, comparisons, `sqrt`, `abs`, `sign`, `maximum` and `minimum` it
uses the helpers here. `fma` and `lerp` say where rounding happens only once: everything else rounds
after each operation. Torch rounds in the same places.

>>> def descent(p, g, *, lr):
...     return fma(g, -lr, p), {}
>>> weight, gradient = torch.ones(2), torch.tensor([1.0, 2.0])
>>> apply(specialise(descent, (), ()), [(weight, gradient)], {"lr": 0.5})
>>> weight.tolist()
[0.5, 0.0]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau.codegen import expr


def fma(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once.

    >>> fma(torch.ones(2), 2.0, torch.ones(2)).tolist()
    [3.0, 3.0]
    """
    if not isinstance(c, flambeau.Tensor):
        return expr.fma(a, b, c)
    if not isinstance(b, flambeau.Tensor):
        return c.add(a, alpha=b)
    return c.addcmul(a, b)


def lerp(start: Any, end: Any, weight: Any) -> Any:
    """`start + weight * (end - start)`, exact at both ends.

    >>> lerp(torch.zeros(2), torch.ones(2), 0.25).tolist()
    [0.25, 0.25]
    """
    if isinstance(start, flambeau.Tensor):
        return start.lerp(end, weight)
    rise = end - start
    return where(abs(weight) < 0.5, fma(rise, weight, start), fma(rise, weight - 1, end))


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where `condition` holds, else `b`; a condition on scalars is a Python bool.

    >>> where(torch.tensor([True, False]), 1.0, torch.zeros(2)).tolist()
    [1.0, 0.0]
    """
    if isinstance(condition, bool):
        return a if condition else b
    if isinstance(condition, flambeau.Tensor):
        return flambeau.where(condition, a, b)
    return expr.where(condition, a, b)


def detach(x: Any) -> Any:
    """`x` without its gradient history, which only a tensor has.

    >>> detach(torch.ones(1, requires_grad=True)).requires_grad
    False
    """
    return x.detach() if isinstance(x, flambeau.Tensor) else x


class Update:
    """A formula with the names of its state tensors and its options fixed.

    Equal formulas with equal names and options are the same object (see `specialise`), so that
    a kernel can be kept for each.
    """

    def __init__(
        self,
        formula: Callable[..., Any],
        names: tuple[str, ...],
        flags: tuple[tuple[str, Any], ...],
    ) -> None:
        self.formula = formula
        self.names = names
        self.flags = dict(flags)

    def __call__(self, p: Any, g: Any, *state: Any, **scalars: Any) -> tuple[Any, ...]:
        """The new parameter, then the new state in the order of `names`."""
        p, new = self.formula(p, g, **dict(zip(self.names, state)), **scalars, **self.flags)
        return (p, *[new[name] for name in self.names])


@functools.lru_cache(maxsize=1024)
def specialise(
    formula: Callable[..., Any], names: tuple[str, ...], flags: tuple[tuple[str, Any], ...]
) -> Update:
    """The one `Update` of `formula` with these state names and these fixed options."""
    return Update(formula, names, flags)


def apply(
    update: Update, rows: Sequence[tuple[flambeau.Tensor, ...]], scalars: dict[str, Any]
) -> None:
    """Runs `update` in place on each row `(parameter, gradient, *state)`.

    Parameter and state keep their identity and storage; their versions advance by one. The
    gradient is only read. A complex tensor is treated as its pairs of reals.
    """
    for row in rows:
        if row[0].is_complex():
            row = tuple(flambeau.view_as_real(t) for t in row)
        targets = (row[0], *row[2:])
        if flambeau.is_grad_enabled():
            # `differentiable=True`: what autograd saves must survive the writes below.
            row = tuple(t.clone() for t in row)
        for target, value in zip(targets, update(*row, **scalars)):
            target.copy_(value)


def advance(steps: Sequence[flambeau.Tensor]) -> list[float]:
    """Adds one to each step counter and returns the new counts.

    >>> counter = torch.tensor(0.0)
    >>> advance([counter]), counter.item()
    ([1.0], 1.0)
    """
    for step in steps:
        step.add_(1)
    return [step.item() for step in steps]

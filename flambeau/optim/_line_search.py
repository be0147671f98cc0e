"""A line search for the strong Wolfe conditions, used by LBFGS.

Nocedal and Wright, Numerical Optimization, 2nd ed., section 3.5, algorithms 3.5 and 3.6; the cubic
steps and the constants are those of Mark Schmidt's minFunc, as in torch, so that the sequence of
evaluations is the same.

>>> def parabola(x, t, d):
...     return (t - 2.0) ** 2, torch.tensor([2 * (t - 2.0)])
>>> start, direction = torch.tensor([-4.0]), torch.tensor([1.0])
>>> value, slope, t, evaluations = strong_wolfe(
...     parabola, None, 1.0, direction, 4.0, start, start.dot(direction)
... )
>>> t, value, evaluations  # the slope has fallen from 4 to 2: enough
(1.0, 1.0, 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flambeau


@dataclass
class Point:
    """A step length with the value, the gradient and the slope along the direction there."""

    t: Any
    value: Any
    gradient: flambeau.Tensor
    slope: Any


def cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic through both values and slopes is least, within `bounds`.

    >>> x = torch.tensor
    >>> a = Point(0.0, 4.0, None, x(-4.0))
    >>> b = Point(3.0, 1.0, None, x(2.0))
    >>> cubic_minimum(a, b).item()
    2.0
    """
    low, high = bounds or ((a.t, b.t) if a.t <= b.t else (b.t, a.t))
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    d2_square = d1**2 - a.slope * b.slope
    if not d2_square >= 0:
        return (low + high) / 2.0
    d2 = d2_square.sqrt()
    if a.t <= b.t:
        t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    else:
        t = a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    return min(max(t, low), high)


def strong_wolfe(
    objective: Callable[[Any, Any, flambeau.Tensor], tuple[float, flambeau.Tensor]],
    x: Any,
    t: Any,
    d: flambeau.Tensor,
    value: float,
    gradient: flambeau.Tensor,
    slope: flambeau.Tensor,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_ls: int = 25,
) -> tuple[Any, flambeau.Tensor, Any, int]:
    """The value, gradient and length of a step along `d`, and how often `objective` was called.

    `objective(x, t, d)` is the value and the gradient at `x + t * d`; `value`, `gradient` and
    `slope` are those at `x`.
    """

    def evaluate(t: Any) -> Point:
        new_value, new_gradient = objective(x, t, d)
        return Point(t, new_value, new_gradient, new_gradient.dot(d))

    def too_high(point: Point) -> bool:
        return bool(point.value > value + c1 * point.t * slope)

    def flat(point: Point) -> bool:
        return bool(abs(point.slope) <= -c2 * slope)

    start = Point(0, value, gradient.clone(memory_format=flambeau.contiguous_format), slope)
    bracket, iterations = _bracket(start, t, evaluate, too_high, flat, max_ls)
    done = len(bracket) == 1
    low, high = (0, 1) if bracket[0].value <= bracket[-1].value else (1, 0)
    stalled = False
    d_norm = d.abs().max()
    evaluations = iterations + 1
    while not done and iterations < max_ls:
        left, right = bracket
        if abs(right.t - left.t) * d_norm < tolerance_change:
            break
        t, stalled = _inside(cubic_minimum(left, right), left.t, right.t, stalled)
        now = evaluate(t)
        evaluations += 1
        iterations += 1
        if too_high(now) or now.value >= bracket[low].value:
            bracket[high] = now
            low, high = (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)
            continue
        if flat(now):
            done = True
        elif now.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
    best = bracket[low]
    return best.value, best.gradient, best.t, evaluations


def _bracket(
    start: Point,
    t: Any,
    evaluate: Callable[[Any], Point],
    too_high: Callable[[Point], bool],
    flat: Callable[[Point], bool],
    max_ls: int,
) -> tuple[list[Point], int]:
    """Two points around a good one, or the good one alone; and the number of longer steps tried."""
    before, now = start, evaluate(t)
    for iterations in range(max_ls):
        if too_high(now) or (iterations > 1 and now.value >= before.value):
            return [before, now], iterations
        if flat(now):
            return [now], iterations
        if now.slope >= 0:
            return [before, now], iterations
        bounds = now.t + 0.01 * (now.t - before.t), now.t * 10
        before, now = now, evaluate(cubic_minimum(before, now, bounds))
    return [start, now], max_ls


def _inside(t: Any, a: Any, b: Any, stalled: bool) -> tuple[Any, bool]:
    """Keeps a second step in a row from landing within a tenth of the end of the bracket."""
    least, most = min(a, b), max(a, b)
    margin = 0.1 * (most - least)
    if not min(most - t, t - least) < margin:
        return t, False
    if not (stalled or t >= most or t <= least):
        return t, True
    nearer_most = abs(t - most) < abs(t - least)
    return (most - margin if nearer_most else least + margin), False

"""Losses whose sum or mean is one kernel: each element's loss is reduced without a temporary.

A loss is one scalar formula, registered three times (`three_ways`): element by element, summed, averaged. Its slope is a pointwise op
of its own, so that gradients are one kernel too and can be differentiated again:

    flambeau.ops.losses.mse_loss(input, target, reduction="mean")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flambeau.codegen import monoids
from flambeau.ops.kinds import pointwise, reduction


class Loss:
    """A loss in its three reductions."""

    def __init__(self, each: Any, total: Any, mean: Any):
        self.ops = {"none": each, "sum": total, "mean": mean}

    def __call__(self, input: Any, target: Any, reduction: str = "mean", **options: Any) -> Any:
        """The loss with torch's `reduction`."""
        return self.ops[reduction].call(input, target, **options)


def three_ways(node: str, rules: Callable[[Callable[[Any], Any]], Mapping[str, Any]]) -> Callable[[Callable[..., Any]], Loss]:
    """Registers a formula of two tensors as `none`, `sum` and `mean`. `rules(share)` gives its gradient rules, where `share(spec)` is
    what one element contributes to the result: 1, or 1 / number of elements."""

    def make(formula: Callable[..., Any]) -> Loss:
        name, common = formula.__name__, {"public": None, "methods": (), "node": node}
        whole, part = rules(lambda spec: 1.0), rules(lambda spec: 1.0 / max(1, spec.numel))
        return Loss(
            pointwise(name=name, promotes=("input", "target"), inplace=False, grad=whole, **common)(formula),
            reduction(name=name + "_sum", monoid=lambda element, out, **_: monoids.sum_of(element, out[0]), grad=whole, **common)(formula),
            reduction(name=name + "_mean", monoid=lambda element, out, **_: monoids.mean_of(element, out[0]), grad=part, **common)(formula),
        )

    return make


@pointwise(
    public=None, methods=(), inplace=False, promotes=("incoming", "a", "b"),
    grad={
        "incoming": lambda g, a, b, factor: g * ((a - b) * factor),
        "a": lambda g, incoming, factor: g * (incoming * factor),
        "b": lambda g, incoming, factor: -(g * (incoming * factor)),
    },
)
def mse_slope(incoming, a, b, factor):
    """`incoming * (a - b) * factor`: the gradient of a squared difference by `a`, with factor 2."""
    return incoming * ((a - b) * factor)


@three_ways("MseLossBackward", lambda share: {
    "input": lambda g, input, target, input_like: mse_slope.call(g, input, target, 2 * share(input_like)),
    "target": lambda g, input, target, input_like: mse_slope.call(g, target, input, 2 * share(input_like)),
})  # fmt: skip
def mse_loss(input, target):
    """(input - target) squared."""
    return (input - target) * (input - target)

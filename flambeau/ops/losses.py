"""Losses whose sum or mean is one kernel: each element's loss is reduced without a temporary.

A loss is one scalar formula, registered three times (`three_ways`): element by element, summed,
averaged. Its slope is a pointwise op of its own, so that gradients are one kernel too and can be
differentiated again:

    flambeau.ops.losses.mse_loss(input, target, reduction="mean")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flambeau.codegen import monoids
from flambeau.codegen.expr import Expr
from flambeau.codegen.expr import where as choose
from flambeau.ops.kinds import pointwise, reduction


class Loss:
    """A loss in its three reductions."""

    def __init__(self, each: Any, total: Any, mean: Any):
        self.ops = {"none": each, "sum": total, "mean": mean}

    def __call__(self, input: Any, target: Any, reduction: str = "mean", **options: Any) -> Any:
        """The loss with torch's `reduction`."""
        return self.ops[reduction].call(input, target, **options)


def three_ways(
    node: str, rules: Callable[[Callable[[Any], Any]], Mapping[str, Any]]
) -> Callable[[Callable[..., Any]], Loss]:
    """Registers a formula of two tensors as `none`, `sum` and `mean`. `rules(share)` gives its
    gradient rules, where `share(spec)` is what one element contributes to the result: 1, or 1 /
    number of elements.
    """

    def make(formula: Callable[..., Any]) -> Loss:
        name, common = formula.__name__, {"public": None, "methods": (), "node": node}
        whole, part = rules(lambda spec: 1.0), rules(lambda spec: 1.0 / max(1, spec.numel))
        return Loss(
            pointwise(
                name=name,
                promotes=("input", "target"),
                numbers="static",
                inplace=False,
                grad=whole,
                **common,
            )(formula),
            reduction(
                name=name + "_sum",
                monoid=lambda element, out, **_: monoids.sum_of(element, out[0]),
                grad=whole,
                **common,
            )(formula),
            reduction(
                name=name + "_mean",
                monoid=lambda element, out, **_: monoids.mean_of(element, out[0]),
                grad=part,
                **common,
            )(formula),
        )

    return make


def slope_op(second: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """A slope as a pointwise op `NAME(incoming, input, target, factor, bend)`: incoming * factor *
    derivative. `second(input, target, bend)` is its own derivative by `input` (by `target` it is
    the negative, for these losses depend on the difference)."""

    def make(derivative: Callable[..., Any]) -> Any:
        def body(incoming: Any, input: Any, target: Any, factor: Any, bend: Any) -> Any:
            return incoming * (derivative(input, target, bend) * factor)

        body.__name__, body.__doc__ = derivative.__name__, derivative.__doc__
        return pointwise(
            public=None,
            methods=(),
            inplace=False,
            numbers="static",
            promotes=("incoming", "input", "target"),
            grad={
                "incoming": lambda g, input, target, factor, bend: (
                    g * (derivative(input, target, bend) * factor)
                ),
                "input": lambda g, incoming, input, target, factor, bend: (
                    g * incoming * (second(input, target, bend) * factor)
                ),
                "target": lambda g, incoming, input, target, factor, bend: (
                    -(g * incoming * (second(input, target, bend) * factor))
                ),
            },
        )(body)

    return make


def along(slope: Any, share: Callable[[Any], float]) -> dict[str, Any]:
    """The rules of a loss of the difference: the slope by `input`, its negative by `target`."""

    def rule(sign: float) -> Callable[..., Any]:
        def apply(g: Any, input: Any, target: Any, input_like: Any, bend: Any) -> Any:
            run = slope.function if isinstance(g, Expr) else slope.call
            return run(g, input, target, sign * share(input_like), bend)

        return apply

    return {"input": rule(1.0), "target": rule(-1.0)}


def inside(condition: Any, like: Any, value: float) -> Any:
    """`value` where the condition holds, else 0; of the kind and dtype of `like`."""
    zero = like.sign() * 0
    return choose(condition, zero + value, zero)


@slope_op(second=lambda x, y, bend: inside(x == x, x, 2))
def mse_slope(input: Any, target: Any, bend: Any) -> Any:
    """Derivative of the squared difference."""
    return 2 * (input - target)


@three_ways("MseLossBackward", lambda share: along(mse_slope, share))
def mse_loss(input, target, bend=0.0):
    """(input - target) squared."""
    return (input - target) * (input - target)


@slope_op(second=lambda x, y, bend: inside((x - y).abs() < bend, x, 1 / bend))
def smooth_l1_slope(input: Any, target: Any, bend: Any) -> Any:
    """Derivative of the smooth absolute difference."""
    gap = input - target
    return choose(gap.abs() < bend, gap / bend, gap.sign())


@three_ways("SmoothL1LossBackward", lambda share: along(smooth_l1_slope, share))
def smooth_l1_loss(input, target, bend=1.0):
    """Half the square over `bend` below it, the absolute difference minus half of `bend` above."""
    gap = (input - target).abs()
    return choose(gap < bend, 0.5 * gap * gap / bend, gap - 0.5 * bend)


@slope_op(second=lambda x, y, bend: inside((x - y).abs() <= bend, x, 1))
def huber_slope(input: Any, target: Any, bend: Any) -> Any:
    """Derivative of Huber's loss."""
    gap = input - target
    return choose(gap.abs() <= bend, gap, gap.sign() * bend)


@three_ways("HuberLossBackward", lambda share: along(huber_slope, share))
def huber_loss(input, target, bend=1.0):
    """Half the square up to `bend`, a line of slope `bend` beyond (Huber, 1964)."""
    gap = (input - target).abs()
    return choose(gap <= bend, 0.5 * gap * gap, bend * (gap - 0.5 * bend))


def weighed(value: Any, weight: Any) -> Any:
    """`value * weight`; None weighs nothing."""
    return value if weight is None else value * weight


def logit_slope(input: Any, target: Any, weight: Any, pos_weight: Any) -> Any:
    """Derivative of `logit_loss` by the input: sigmoid(input) - target, with weights."""
    if pos_weight is None:
        return weighed(input.sigmoid() - target, weight)
    true = pos_weight * target
    return weighed((true + 1 - target) * input.sigmoid() - true, weight)


def logit_rules(share: Callable[[Any], float]) -> dict[str, Any]:
    """The gradient by the input and by the target."""

    def by_target(g: Any, input: Any, input_like: Any, weight: Any, pos_weight: Any) -> Any:
        slope = -input
        if pos_weight is not None:
            low, high = log_sigmoid(-input), log_sigmoid(input)
            slope = low - pos_weight * high
        return weighed(slope, weight) * (g * share(input_like))

    return {
        "input": lambda g, input, target, input_like, weight, pos_weight: (
            logit_slope(input, target, weight, pos_weight) * (g * share(input_like))
        ),
        "target": by_target,
    }


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) without overflow."""
    return x.minimum(x * 0) - (-x.abs()).exp().log1p()


@three_ways("BinaryCrossEntropyWithLogitsBackward", logit_rules)
def logit_loss(input, target, weight=None, pos_weight=None):
    """Cross entropy of sigmoid(input) with target, without overflow."""
    true = -log_sigmoid(input)
    if pos_weight is not None:
        true = ((pos_weight - 1) * target + 1) * true
    return weighed((1 - target) * input + true, weight)


def probability_rules(share: Callable[[Any], float]) -> dict[str, Any]:
    """(input - target) / (input (1 - input)), kept finite; torch's bound is 1e-12."""
    return {
        "input": lambda g, input, target, input_like, weight: (
            weighed(input - target, weight)
            / choose((1 - input) * input < 1e-12, 1e-12, (1 - input) * input)
            * (g * share(input_like))
        ),
        "target": lambda g, input, input_like, weight: (
            weighed((1 - input).log() - input.log(), weight) * (g * share(input_like))
        ),
    }


@three_ways("BinaryCrossEntropyBackward", probability_rules)
def probability_loss(input, target, weight=None):
    """Cross entropy of probabilities; logarithms are kept above -100."""
    low = (-input).log1p()
    high = input.log()
    loss = (target - 1) * choose(low < -100, -100, low) - target * choose(high < -100, -100, high)
    return weighed(loss, weight)


def margin_rules(share: Callable[[Any], float]) -> dict[str, Any]:
    """The gradient by each of the two factors."""

    def by(mine: str) -> Any:
        def rule(g: Any, input: Any, target: Any, input_like: Any) -> Any:
            other = target if mine == "input" else input
            return -other * (-target * input).sigmoid() * (g * share(input_like))

        return rule

    return {"input": by("input"), "target": by("target")}


@three_ways("SoftMarginLossBackward", margin_rules)
def soft_margin_loss(input, target):
    """log(1 + exp(-target * input))."""
    return -log_sigmoid(target * input)

"""Losses for regression, probabilities and classes. Called by `nn.modules.loss` and by users.

Each function is a formula for one loss per element (or sample) and `reduce_loss`. The losses built
on margins are in `margin_loss.py`, connectionist temporal classification is in `ctc.py`.

>>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
tensor(2.)
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import flambeau

from ._common import (
    REDUCTIONS,
    in_full_precision,
    invalid_reduction,
    legacy_reduction,
    not_implemented,
    reduce_loss,
    scalar_type,
    warn_size_mismatch,
)

if TYPE_CHECKING:
    from flambeau import Tensor


def _weighted(errors: Tensor, input: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """Errors times weights; the mean divides by the sum of the weights."""
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    errors = errors * weight
    if reduction == "mean":
        return errors.sum() / weight.sum()
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'."
        )
    return reduce_loss(errors, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared difference of `input` and `target`.

    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    if input.size() != target.size():
        warn_size_mismatch(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if not (input.is_floating_point() or target.is_floating_point()):
        raise not_implemented("mse_cpu", input)
    if weight is not None:
        return _weighted((input - target) * (input - target), input, weight, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    return flambeau.ops.losses.mse_loss(input, target, reduction)


@in_full_precision
@flambeau.compiler.fused
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute difference of `input` and `target`.

    >>> torch.nn.functional.l1_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(1.)
    """
    if input.shape != target.shape:
        warn_size_mismatch(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    errors = (input - target).abs()
    if weight is not None:
        return _weighted(errors, input, weight, reduction)
    return reduce_loss(errors, reduction)


@in_full_precision
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`d * d / (2 * beta)` for differences `d` below `beta`, else `d - beta / 2` (Girshick 2015).

    >>> torch.nn.functional.smooth_l1_loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    if input.shape != target.shape:
        warn_size_mismatch(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return reduce_loss((input - target).abs(), reduction)
    if not (input.is_floating_point() or target.is_floating_point()):
        raise not_implemented("smooth_l1_cpu", input)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    return flambeau.ops.losses.smooth_l1_loss(input, target, reduction, bend=float(beta))


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """`d * d / 2` for differences `d` up to `delta`, else `delta * (d - delta / 2)` (Huber 1964).

    >>> torch.nn.functional.huber_loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    if input.shape != target.shape:
        warn_size_mismatch(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if not (input.is_floating_point() or target.is_floating_point()):
        raise not_implemented("huber_cpu", input)
    if weight is None and reduction in REDUCTIONS:
        return flambeau.ops.losses.huber_loss(input, target, reduction, bend=float(delta))
    losses = flambeau.ops.losses.huber_loss(input, target, "none", bend=float(delta))
    if weight is None:
        return reduce_loss(losses, reduction)
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'."
        )
    # Unlike the mean of `mse_loss`, this one divides by the number of elements, as torch does.
    return reduce_loss(losses * weight, reduction)


@in_full_precision
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`-(t * log(p) + (1 - t) * log(1 - p))` for probabilities `p` in `input` and targets `t`.

    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(f"Found dtype {scalar_type(target)} but expected {scalar_type(input)}")
    if not input.is_meta and not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    if weight is not None:
        weight = weight.expand(flambeau.broadcast_shapes(target.size(), weight.size()))
    return flambeau.ops.losses.probability_loss(input, target, reduction, weight=weight)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of `sigmoid(input)`, without overflow; `pos_weight` weighs the targets
    of 1.

    >>> x, t = torch.tensor([0.0]), torch.tensor([1.0])
    >>> torch.nn.functional.binary_cross_entropy_with_logits(x, t)
    tensor(0.6931)
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    if not target.is_floating_point():
        raise RuntimeError(
            f"result type {scalar_type(input)} can't be cast to the desired output type "
            f"{scalar_type(target)}"
        )
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if pos_weight is not None:
        flambeau.broadcast_tensors(pos_weight, target)  # they must go together
    return flambeau.ops.losses.logit_loss(
        input, target, reduction, weight=weight, pos_weight=pos_weight
    )


@in_full_precision
@flambeau.compiler.fused
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """`t * (log(t) - x)`: the divergence of log-probabilities `x` from `t` (from `exp(t)` if
    `log_target`).

    `reduction="batchmean"` divides the sum by the size of dimension 0, which is the definition.

    >>> x, t = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.5, 0.5]])
    >>> torch.nn.functional.kl_div(x, t, reduction="batchmean")
    tensor(0.)
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    if log_target:
        losses = target.exp() * (target - input)
    else:
        losses = flambeau.xlogy(target, target) - target * input
    if reduction != "batchmean":
        return reduce_loss(losses, reduction)
    return losses.sum() / input.size(0) if input.dim() else losses.sum()


@in_full_precision
@flambeau.compiler.fused
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`exp(x) - t * x`, the negative log-likelihood of a Poisson count `t` with the log-rate `x`.

    Without `log_input` the input is the rate. `full` adds Stirling's formula for `log(t!)`.

    >>> torch.nn.functional.poisson_nll_loss(torch.tensor([0.0]), torch.tensor([2.0]))
    tensor(1.)
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if log_input:
        losses = input.exp() - target * input
    else:
        losses = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return reduce_loss(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """`(log(var) + (x - t)^2 / var) / 2`: the negative log-likelihood of a Gaussian with mean `x`.

    The variance is raised to `eps` where it is below; the gradient does not see that.

    >>> torch.nn.functional.gaussian_nll_loss(torch.zeros(2), torch.ones(2), torch.ones(2))
    tensor(0.5000)
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * flambeau.ones_like(input)
    elif flambeau.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif input.dim() != var.dim() or (
            sum(1 for i, v in zip(input.shape, var.shape) if i != v and v == 1) != 1
            or any(i != v and v != 1 for i, v in zip(input.shape, var.shape))
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in REDUCTIONS:
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with flambeau.no_grad():
        var.clamp_(min=eps)
    losses = 0.5 * (flambeau.log(var) + (input - target) ** 2 / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce_loss(losses, reduction)

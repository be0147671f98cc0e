"""Losses for regression, probabilities and classes. Called by `nn.modules.loss` and by users.

Each function is a formula for one loss per element (or sample) and `reduce_loss`. The losses built on
margins are in `margin_loss.py`, connectionist temporal classification is in `ctc.py`.

>>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
tensor(2.)
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import (
    REDUCTIONS,
    invalid_reduction,
    legacy_reduction,
    not_implemented,
    reduce_loss,
    scalar_type,
    warn_size_mismatch,
)
from .activation import logsigmoid

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
    if input.shape != target.shape:
        warn_size_mismatch(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    difference = input - target
    if not difference.is_floating_point():
        raise not_implemented("mse_cpu", difference)
    squares = difference * difference
    if weight is not None:
        return _weighted(squares, input, weight, reduction)
    return reduce_loss(squares, reduction)


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
    errors = (input - target).abs()
    if beta == 0:
        return reduce_loss(errors, reduction)
    if not errors.is_floating_point():
        raise not_implemented("smooth_l1_cpu", errors)
    losses = flambeau.where(errors < beta, 0.5 * errors * errors / beta, errors - 0.5 * beta)
    return reduce_loss(losses, reduction)


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
    errors = (input - target).abs()
    if not errors.is_floating_point():
        raise not_implemented("huber_cpu", errors)
    losses = flambeau.where(
        errors <= delta, 0.5 * errors * errors, delta * (errors - 0.5 * delta)
    )
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


class _BinaryCrossEntropy(flambeau.autograd.Function):
    """Cross entropy of probabilities; the logarithms stop at -100, the gradient divides by 1e-12 at least."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(input, target)
        log_false = flambeau.log1p(-input).clamp(min=-100)
        log_true = flambeau.log(input).clamp(min=-100)
        return (target - 1) * log_false - target * log_true

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        input, target = ctx.saved_tensors
        grad_input = grad_target = None
        if ctx.needs_input_grad[0]:
            grad_input = grad * (input - target) / ((1 - input) * input).clamp(min=1e-12)
        if ctx.needs_input_grad[1]:
            grad_target = grad * (flambeau.log1p(-input) - flambeau.log(input)).clamp(-100, 100)
        return grad_input, grad_target


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
        raise RuntimeError(
            f"Found dtype {scalar_type(target)} but expected {scalar_type(input)}"
        )
    if not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    losses = _BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        losses = losses * weight.expand(flambeau.broadcast_shapes(target.size(), weight.size()))
    return reduce_loss(losses, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of `sigmoid(input)`, without overflow; `pos_weight` weighs the targets of 1.

    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
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
    log_true = logsigmoid(input)
    if pos_weight is not None:
        log_true = ((pos_weight - 1) * target + 1) * log_true
    losses = (1 - target) * input - log_true
    if weight is not None:
        losses = losses * weight
    return reduce_loss(losses, reduction)


def _spatial_target_error(input: Tensor, target: Tensor, weight: Tensor | None) -> Exception | None:
    """What is wrong with the targets of a picture: input (N, C, H, W), target (N, H, W)."""
    if target.dim() != 3:
        return RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: "
            f"{target.dim()}"
        )
    if input.shape[2:] != target.shape[1:]:
        return RuntimeError(
            f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}"
        )
    if weight is not None and weight.numel() != input.size(1):
        return RuntimeError("weight tensor should be defined either for all or no classes")
    return None


def _class_target_error(input: Tensor, target: Tensor, weight: Tensor | None) -> Exception | None:
    """What is wrong with the arguments of `nll_loss`, or None."""
    if input.dim() == 0:
        return ValueError("Expected 1 or more dimensions (got 0)")
    if input.dim() == 1:
        if target.dim() == 1 and target.size(0) != 1:
            return ValueError(
                "For 1D input, 1D target must have size 1, but got target size: "
                f"{target.size(0)}"
            )
    else:
        batch = target.size(0) if target.dim() else 0
        if input.size(0) != batch:
            return ValueError(
                f"Expected input batch_size ({input.size(0)}) to match target batch_size ({batch})."
            )
    classes = input.size(0) if input.dim() == 1 else input.size(1)
    if input.dim() == 4:
        error = _spatial_target_error(input, target, weight)
        if error is not None:
            return error
    elif input.dim() > 2:
        expected = [input.size(0), *input.shape[2:]]
        if list(target.shape) != expected:
            return RuntimeError(f"Expected target size {expected}, got {list(target.shape)}")
    elif target.dim() > 1:
        return RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if weight is not None and (weight.dim() != 1 or weight.numel() != classes):
        return RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if target.dtype not in (flambeau.int64, flambeau.uint8):
        return RuntimeError(
            f"expected target dtype to be Long or Byte, but got {scalar_type(target)}"
        )
    if weight is not None and weight.dtype != input.dtype:
        return RuntimeError(
            f"expected scalar type {scalar_type(input)} but found {scalar_type(weight)}"
        )
    return None


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability in `input` of the class in `target`; classes are dimension 1.

    Targets equal to `ignore_index` count nothing, and the mean is over the weights of the others.

    >>> torch.nn.functional.nll_loss(torch.tensor([[-1.0, -3.0]]), torch.tensor([1]))
    tensor(3.)
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    error = _class_target_error(input, target, weight)
    if error is not None:
        raise error
    class_dim = 0 if input.dim() == 1 else 1
    if input.dim() == 1:
        target = target.reshape(())
    ignored = target == ignore_index
    index = target.masked_fill(ignored, 0).long().unsqueeze(class_dim)
    try:
        picked = input.gather(class_dim, index).squeeze(class_dim)
    except (RuntimeError, IndexError) as cause:
        raise _out_of_bounds(target, ignored, input.size(class_dim)) from cause
    if weight is None:
        losses = (-picked).masked_fill(ignored, 0)
        return losses.sum() / (~ignored).sum() if reduction == "mean" else reduce_loss(losses, reduction)
    weights = weight[index.squeeze(class_dim)].masked_fill(ignored, 0)
    losses = (-picked * weights).masked_fill(ignored, 0)
    return losses.sum() / weights.sum() if reduction == "mean" else reduce_loss(losses, reduction)


def _out_of_bounds(target: Tensor, ignored: Tensor, classes: int) -> IndexError:
    """The error that names the first class that does not exist."""
    wrong = target[~ignored & ((target < 0) | (target >= classes))].reshape(-1)
    return IndexError(f"Target {int(wrong[0])} is out of bounds.")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`nll_loss` of the log-softmax of `input`; `target` holds classes, or probabilities per class.

    Label smoothing mixes the target with the uniform distribution (Szegedy et al. 2015).

    >>> torch.nn.functional.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if label_smoothing and not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    if input.shape == target.shape:
        return _probability_cross_entropy(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    log_probabilities = input.log_softmax(0 if input.dim() == 1 else 1)
    loss = nll_loss(log_probabilities, target, weight, None, ignore_index, None, reduction)
    if not label_smoothing:
        return loss
    smooth = _uniform_cross_entropy(log_probabilities, target, weight, ignore_index, reduction)
    classes = input.size(0 if input.dim() == 1 else 1)
    return (1 - label_smoothing) * loss + smooth * (label_smoothing / classes)


def _per_class(weight: Tensor, input: Tensor) -> Tensor:
    """The class weights in a shape that broadcasts with `input`."""
    return weight.reshape([-1 if d == min(input.dim() - 1, 1) else 1 for d in range(input.dim())])


def _uniform_cross_entropy(
    log_probabilities: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    """Cross entropy with all classes at once, for label smoothing; the mean divides as `nll_loss` does."""
    class_dim = 0 if log_probabilities.dim() == 1 else 1
    ignored = target == ignore_index
    if weight is None:
        losses = -log_probabilities.sum(class_dim)
    else:
        losses = -(log_probabilities * _per_class(weight, log_probabilities)).sum(class_dim)
    losses = losses.reshape(target.shape).masked_fill(ignored, 0)
    if reduction != "mean":
        return reduce_loss(losses, reduction)
    if weight is None:
        return losses.sum() / (~ignored).sum()
    return losses.sum() / weight[target[~ignored].long()].sum()


def _probability_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Cross entropy with a probability for every class."""
    class_dim = 0 if input.dim() == 1 else 1
    if not target.is_floating_point():
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{scalar_type(target)}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    classes = input.size(class_dim)
    if weight is not None and (weight.dim() != 1 or weight.numel() != classes):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or "
            f"no classes but got weight tensor of shape: {list(weight.shape)}"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    products = input.log_softmax(class_dim) * target
    if weight is not None:
        products = products * _per_class(weight, input)
    if reduction == "none":
        return -products.sum(class_dim)
    total = -products.sum()
    if reduction == "sum":
        return total
    samples = input.numel() // classes if classes else 0
    return total / samples if samples else total * math.nan


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """`t * (log(t) - x)`: the divergence of log-probabilities `x` from `t` (from `exp(t)` if `log_target`).

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
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
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

"""Losses for classes: `nll_loss` and `cross_entropy`. Called by `nn.modules.loss` and by users.

>>> torch.nn.functional.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
tensor(0.6931)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import flambeau

from ._common import REDUCTIONS, invalid_reduction, legacy_reduction, reduce_loss, scalar_type

if TYPE_CHECKING:
    from flambeau import Tensor


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
                f"For 1D input, 1D target must have size 1, but got target size: {target.size(0)}"
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
        return (
            losses.sum() / (~ignored).sum()
            if reduction == "mean"
            else reduce_loss(losses, reduction)
        )
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
    log_probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """Cross entropy with all classes at once, for label smoothing; the mean divides as `nll_loss`
    does."""
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

"""Losses for classes: `nll_loss` and `cross_entropy`. Called by `nn.modules.loss` and by users.

>>> torch.nn.functional.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
tensor(0.6931)
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import flambeau

from ._common import (
    REDUCTIONS,
    in_full_precision,
    invalid_reduction,
    legacy_reduction,
    not_a_tensor,
    reduce_loss,
    scalar_type,
)

if TYPE_CHECKING:
    from flambeau import Tensor, dtype


def _check_spatial_target(
    input: tuple[int, ...], target: tuple[int, ...], weight: tuple[int, ...] | None
) -> None:
    """Check the targets of pictures: input (N, C, H, W), target (N, H, W)."""
    if len(target) != 3:
        raise RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: "
            f"{len(target)}"
        )
    if input[2:] != target[1:]:
        raise RuntimeError(f"size mismatch (got input: {list(input)} , target: {list(target)}")
    if weight is not None and math.prod(weight) != input[1]:
        raise RuntimeError("weight tensor should be defined either for all or no classes")


def _check_batch(input: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Check that there is a target for each sample."""
    if not input:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(input) == 1:
        if len(target) == 1 and target[0] != 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target[0]}"
            )
        return
    batch = target[0] if target else 0
    if input[0] != batch:
        raise ValueError(
            f"Expected input batch_size ({input[0]}) to match target batch_size ({batch})."
        )


@lru_cache(maxsize=1024)
def _check_class_target(
    input: tuple[int, ...],
    target: tuple[int, ...],
    weight: tuple[int, ...] | None,
    input_dtype: dtype,
    target_dtype: dtype,
    weight_dtype: dtype | None,
) -> int:
    """Check shapes and dtypes once for all calls that have them; the dimension of the classes."""
    _check_batch(input, target)
    class_dim = 0 if len(input) == 1 else 1
    if len(input) == 4:
        _check_spatial_target(input, target, weight)
    elif len(input) > 2:
        expected = [input[0], *input[2:]]
        if list(target) != expected:
            raise RuntimeError(f"Expected target size {expected}, got {list(target)}")
    elif len(target) > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if weight is not None and weight != (input[class_dim],):
        raise RuntimeError(
            f"weight tensor should be defined either for all {input[class_dim]} classes or no "
            f"classes but got weight tensor of shape: {list(weight)}"
        )
    if target_dtype not in (flambeau.int64, flambeau.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {scalar_type(target_dtype)}"
        )
    if weight_dtype is not None and weight_dtype != input_dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type(input_dtype)} but found {scalar_type(weight_dtype)}"
        )
    return class_dim


@in_full_precision
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
    if weight is None:
        class_dim = _check_class_target(
            input.shape, target.shape, None, input.dtype, target.dtype, None
        )
    else:
        class_dim = _check_class_target(
            input.shape, target.shape, weight.shape, input.dtype, target.dtype, weight.dtype
        )
    if flambeau.ops.classification.applies(input, target, weight):
        return flambeau.ops.classification.picked_loss.call(
            input, target, weight, reduction, ignore_index
        )[0]
    if class_dim == 0:
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


@in_full_precision
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
    try:
        probabilities = input.shape == target.shape
    except AttributeError:
        raise not_a_tensor("cross_entropy_loss", input=input, target=target) from None
    if probabilities:
        return _probability_cross_entropy(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    if label_smoothing:
        return _smoothed_cross_entropy(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    log_probabilities = input.log_softmax(0 if input.dim() == 1 else 1)
    return nll_loss(log_probabilities, target, weight, None, ignore_index, None, reduction)


@flambeau.compiler.fused
def _smoothed_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Cross entropy with classes, mixed with that of the uniform distribution."""
    log_probabilities = input.log_softmax(0 if input.dim() == 1 else 1)
    loss = nll_loss(log_probabilities, target, weight, None, ignore_index, None, reduction)
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
    weights = weight[target.masked_fill(ignored, 0).long()]
    return losses.sum() / weights.masked_fill(ignored, 0).sum()


@flambeau.compiler.fused
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

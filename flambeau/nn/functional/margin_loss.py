"""Losses that ask for a margin between scores or distances. Called by `nn.modules.loss` and by
users.

>>> x, y = torch.tensor([1.0]), torch.tensor([0.5])
>>> torch.nn.functional.margin_ranking_loss(x, y, torch.tensor([1.0]), margin=1.0)
tensor(0.5000)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import flambeau

from ._common import (
    REDUCTIONS,
    in_full_precision,
    invalid_reduction,
    legacy_reduction,
    reduce_loss,
    scalar_type,
)
from .activation import logsigmoid
from .distance import pairwise_distance

if TYPE_CHECKING:
    from flambeau import Tensor


@in_full_precision
@flambeau.compiler.fused
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, -t * (x1 - x2) + margin)`: `t` of 1 asks for `x1 > x2`, of -1 for the opposite.

    >>> x, y = torch.tensor([1.0]), torch.tensor([0.5])
    >>> torch.nn.functional.margin_ranking_loss(x, y, torch.tensor([1.0]), margin=1.0)
    tensor(0.5000)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduce_loss((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@in_full_precision
@flambeau.compiler.fused
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`x` for a target of 1, `max(0, margin - x)` for a target of -1.

    >>> x, t = torch.tensor([0.25, 0.25]), torch.tensor([1.0, -1.0])
    >>> torch.nn.functional.hinge_embedding_loss(x, t, reduction="none")
    tensor([0.2500, 0.7500])
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    apart = flambeau.where(target != 1, (margin - input).clamp(min=0), 0)
    together = flambeau.where(target != -1, input, 0)
    return reduce_loss(apart + together, reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-t * x))` for targets of 1 and -1.

    >>> torch.nn.functional.soft_margin_loss(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    return flambeau.ops.losses.soft_margin_loss(input, target, reduction)


@flambeau.compiler.fused
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy with logits, averaged over the classes in the last dimension.

    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    class_dim = input.dim() - 1
    losses = losses.sum(dim=class_dim) / input.size(class_dim)
    if reduction not in REDUCTIONS:
        raise ValueError(reduction + " is not valid")
    return reduce_loss(losses, reduction)


@in_full_precision
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the other classes `i` of `max(0, margin - x[target] + x[i]) ** p`.

    >>> torch.nn.functional.multi_margin_loss(torch.tensor([[0.0, 0.5]]), torch.tensor([1]))
    tensor(0.2500)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if p != 1 and p != 2:
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    single = input.dim() < 2
    scores = input.reshape(1, -1) if single else input
    samples, classes = scores.shape
    if target.dim() > 1 or target.numel() != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input "
            f"samples (batch size). Expected target size [{samples}], but got "
            f"{list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    if target.dtype != flambeau.int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_type(target)}")
    if not target.is_meta and bool(((target < 0) | (target >= classes)).any()):
        raise RuntimeError("target out of range")
    index = target.reshape(-1, 1)
    gaps = margin - scores.gather(1, index) + scores
    gaps = flambeau.where(gaps > 0, gaps, 0)
    losses = gaps if p == 1 else gaps * gaps
    if weight is not None:
        losses = losses * weight[index]
    own = flambeau.arange(classes, device=input.device) == index
    losses = losses.masked_fill(own, 0).sum(1) / classes
    return reduce_loss(losses.reshape(()) if single else losses, reduction)


@in_full_precision
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over target classes `t` and other classes `i` of `max(0, 1 - x[t] + x[i])`, per
    class.

    Each row of `target` lists classes up to the first negative number.

    >>> x, t = torch.tensor([[0.0, 0.5, 0.0]]), torch.tensor([[1, -1, 0]])
    >>> torch.nn.functional.multilabel_margin_loss(x, t)
    tensor(0.3333)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if input.dim() > 2 or input.shape != target.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    if target.dtype != flambeau.int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_type(target)}")
    single = input.dim() < 2
    scores = input.reshape(1, -1) if single else input
    targets = target.reshape(1, -1) if single else target
    classes = scores.size(1)
    if not targets.is_meta and bool(((targets < -1) | (targets >= classes)).any()):
        raise RuntimeError("argument #2 'target' is out of range")
    listed = (targets < 0).long().cumsum(1) == 0  # (N, C): slots before the first negative number
    index = targets.masked_fill(~listed, 0)
    is_target = flambeau.zeros_like(targets).scatter_add(1, index, listed.long()) > 0
    gaps = 1 - scores.gather(1, index).unsqueeze(2) + scores.unsqueeze(1)  # (N, slot, class)
    gaps = flambeau.where(gaps > 0, gaps, 0)
    counted = listed.unsqueeze(2) & ~is_target.unsqueeze(1)
    losses = flambeau.where(counted, gaps, 0).sum((1, 2)) / classes
    return reduce_loss(losses.reshape(()) if single else losses, reduction)


@in_full_precision
@flambeau.compiler.fused
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`1 - cos(x1, x2)` for a target of 1, `max(0, cos(x1, x2) - margin)` for a target of -1.

    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> torch.nn.functional.cosine_embedding_loss(x, y, torch.tensor([1]))
    tensor(1.)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    expected = target.dim() + 1
    if input1.dim() != expected or input2.dim() != expected:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {expected}D input tensors, but found inputs "
            f"with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    dot = (input1 * input2).sum(target.dim())
    squares = ((input1 * input1).sum(target.dim()) + 1e-12) * (
        (input2 * input2).sum(target.dim()) + 1e-12
    )
    cosine = dot / squares.sqrt()
    together = flambeau.where(target == 1, 1 - cosine, 0)
    apart = flambeau.where(target == -1, (cosine - margin).clamp(min=0), 0)
    return reduce_loss(together + apart, reduction)


def _check_triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> None:
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )


@in_full_precision
@flambeau.compiler.fused
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)` with the p-norm (Balntas et al.
    2016).

    With `swap` the distance from positive to negative is taken where it is smaller.

    >>> a, n = torch.zeros(1, 2), torch.tensor([[0.0, 0.5]])
    >>> torch.nn.functional.triplet_margin_loss(a, a, n)
    tensor(0.5000)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = flambeau.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduce_loss((margin + near - far).clamp(min=0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of your own.

    >>> a, n = torch.zeros(1, 2), torch.tensor([[0.0, 0.5]])
    >>> l1 = lambda x, y: (x - y).abs().sum(-1)
    >>> torch.nn.functional.triplet_margin_with_distance_loss(a, a, n, distance_function=l1)
    tensor(0.5000)
    """
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)
    distance = pairwise_distance if distance_function is None else distance_function
    near = distance(anchor, positive)
    far = distance(anchor, negative)
    if swap:
        far = flambeau.minimum(far, distance(positive, negative))
    return reduce_loss((margin + near - far).clamp(min=0), reduction)

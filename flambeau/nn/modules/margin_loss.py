"""Losses with margins as layers; the formulas are in `nn.functional`. Exported by `loss.py`.

>>> x, y = torch.tensor([1.0]), torch.tensor([0.5])
>>> torch.nn.MarginRankingLoss(margin=1.0)(x, y, torch.tensor([1.0]))
tensor(0.5000)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import functional as F
from ._loss_base import _Loss, _WeightedLoss
from .distance import PairwiseDistance

if TYPE_CHECKING:
    from flambeau import Tensor


class HingeEmbeddingLoss(_Loss):
    r""":math:`x` for a target of 1, :math:`\max(0, margin - x)` for a target of -1. Any shape.

    >>> torch.nn.HingeEmbeddingLoss()(torch.tensor([0.25]), torch.tensor([-1.0]))
    tensor(0.7500)
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    r""":math:`\sum_{t, i} \max(0, 1 - x_t + x_i) / C` over target classes :math:`t` and other
    classes :math:`i`.

    Shape: input (N, C) or (C); target of the same shape, listing classes up to the first -1.

    >>> x, t = torch.tensor([[0.0, 0.5, 0.0]]), torch.tensor([[1, -1, 0]])
    >>> torch.nn.MultiLabelMarginLoss()(x, t)
    tensor(0.3333)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    r""":math:`\log(1 + e^{-y x})` for targets of 1 and -1. Input and target of one shape.

    >>> torch.nn.SoftMarginLoss()(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross entropy with logits, averaged over the classes; `weight` is per class.

    Shape: input (N, C), target (N, C) of zeros and ones.

    >>> torch.nn.MultiLabelSoftMarginLoss()(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(
            input, target, weight=self.weight, reduction=self.reduction
        )


class CosineEmbeddingLoss(_Loss):
    r""":math:`1 - \cos(x_1, x_2)` for a target of 1, :math:`\max(0, \cos(x_1, x_2) - margin)` for
    -1.

    Shape: inputs (N, D) or (D), target (N) or ().

    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> torch.nn.CosineEmbeddingLoss()(x, y, torch.tensor([1]))
    tensor(1.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class MarginRankingLoss(_Loss):
    r""":math:`\max(0, -y (x_1 - x_2) + margin)`: a target of 1 asks for :math:`x_1 > x_2`, -1 for
    the opposite.

    >>> x, y = torch.tensor([1.0]), torch.tensor([0.5])
    >>> torch.nn.MarginRankingLoss(margin=1.0)(x, y, torch.tensor([1.0]))
    tensor(0.5000)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class MultiMarginLoss(_WeightedLoss):
    r""":math:`\sum_i w_y \max(0, margin - x_y + x_i)^p / C` over the classes :math:`i \ne y`.

    Shape: input (N, C) or (C), target (N) or (). `weight` is per class.

    >>> torch.nn.MultiMarginLoss()(torch.tensor([[0.0, 0.5]]), torch.tensor([1]))
    tensor(0.2500)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p != 1 and p != 2:
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(
                "MultiMarginLoss: expected weight to be None or 1D tensor, got "
                f"{weight.dim()}D instead"
            )
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(
            input,
            target,
            p=self.p,
            margin=self.margin,
            weight=self.weight,
            reduction=self.reduction,
        )


class TripletMarginLoss(_Loss):
    r""":math:`\max(0, d(a, p) - d(a, n) + margin)` with the `p`-norm :math:`d` (Balntas et al.
    2016).

    Args:
        swap: whether to take :math:`d(p, n)` where it is smaller than :math:`d(a, n)`.

    Shape: anchor, positive and negative (N, D) or (D).

    >>> a, n = torch.zeros(1, 2), torch.tensor([[0.0, 0.5]])
    >>> torch.nn.TripletMarginLoss()(a, a, n)
    tensor(0.5000)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(
                f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead"
            )
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of your own; `PairwiseDistance` if none is given.

    >>> a, n = torch.zeros(1, 2), torch.tensor([[0.0, 0.5]])
    >>> l1 = lambda x, y: (x - y).abs().sum(-1)
    >>> torch.nn.TripletMarginWithDistanceLoss(distance_function=l1)(a, a, n)
    tensor(0.5000)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(
                "TripletMarginWithDistanceLoss: expected margin to be greater than 0, got "
                f"{margin} instead"
            )
        self.distance_function = (
            PairwiseDistance() if distance_function is None else distance_function
        )
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )

"""`_Loss` and `_WeightedLoss`, the base classes of `loss.py` and `margin_loss.py`.

>>> torch.nn.modules.loss._Loss(reduction="sum").reduction
'sum'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..functional._common import legacy_reduction
from .module import Module

if TYPE_CHECKING:
    from flambeau import Tensor


class _Loss(Module):
    """A loss with a reduction: "mean", "sum" or "none". `size_average` and `reduce` are
    deprecated."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = legacy_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with a weight per class or element, kept as a buffer."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)

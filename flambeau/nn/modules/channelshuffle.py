"""`ChannelShuffle`.

>>> torch.nn.ChannelShuffle(2)
ChannelShuffle(groups=2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import functional as F
from .module import Module

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Interleave `groups` groups of channels: (N, C, ...) as (groups, C / groups), transposed
    (Zhang et al. 2017).

    >>> x = torch.arange(4.0).reshape(1, 4, 1, 1)
    >>> torch.nn.ChannelShuffle(2)(x).flatten()
    tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"

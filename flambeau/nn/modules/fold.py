"""`Unfold` cuts pictures into patches, `Fold` adds patches up to pictures.

>>> torch.nn.Unfold(2)(torch.zeros(1, 3, 4, 4)).shape
torch.Size([1, 12, 9])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import functional as F
from .module import Module

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Fold", "Unfold"]

_Sizes = int | Sequence[int]


class Fold(Module):
    """The sum of overlapping patches: (N, C * KH * KW, L) or without N -> (N, C, H, W).

    Args:
        output_size: (H, W).
        kernel_size, dilation, padding, stride: as for `Unfold`; L is the number of patches they
            give.

    >>> torch.nn.Fold((2, 2), 2)(torch.ones(1, 4, 1)).shape
    torch.Size([1, 1, 2, 2])
    """

    def __init__(
        self,
        output_size: _Sizes,
        kernel_size: _Sizes,
        dilation: _Sizes = 1,
        padding: _Sizes = 0,
        stride: _Sizes = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """Patches of a picture as columns: (N, C, H, W) or (C, H, W) -> (N, C * KH * KW, L).

    Args:
        kernel_size, dilation: size of a patch and distance between its elements.
        padding: zeros around the picture.
        stride: step from patch to patch.

    >>> torch.nn.Unfold(2)(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 12, 9])
    """

    def __init__(
        self,
        kernel_size: _Sizes,
        dilation: _Sizes = 1,
        padding: _Sizes = 0,
        stride: _Sizes = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )

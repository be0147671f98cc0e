"""Padding layers; the formulas are in `nn.functional.pad`.

A padding is one number for all sides or (left, right, top, bottom, front, back), last dimension
first.

>>> torch.nn.ZeroPad1d((1, 2))(torch.ones(1, 2))
tensor([[0., 1., 1., 0., 0.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import functional as F
from .module import Module
from .utils import _pair, _quadruple, _sextuple

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_Sizes = int | Sequence[int]


class _PadNd(Module):
    """What all padding layers but the constant ones print."""

    padding: Sequence[int]

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    """The forward pass of circular padding."""

    _spatial_dims: int

    def _check_input_dim(self, input: Tensor) -> None:
        unbatched = self._spatial_dims + 1
        if input.dim() not in (unbatched, unbatched + 1):
            raise ValueError(
                f"expected {unbatched}D or {unbatched + 1}D input (got {input.dim()}D input)"
            )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")


class _ConstantPadNd(Module):
    """The forward pass of padding by a value."""

    padding: Sequence[int]

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ReflectionPadNd(_PadNd):
    """The forward pass of padding by reflection."""

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "reflect")


class _ReplicationPadNd(_PadNd):
    """The forward pass of padding by the nearest element."""

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "replicate")


class CircularPad1d(_CircularPadNd):
    """Pad (N, C, L) or (C, L) as if the input went round in a circle.

    >>> torch.nn.CircularPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    _spatial_dims = 1

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _pair(padding)


class CircularPad2d(_CircularPadNd):
    """Pad (N, C, H, W) or (C, H, W) as if the input went round in a circle.

    >>> torch.nn.CircularPad2d(1)(torch.zeros(2, 3, 3)).shape
    torch.Size([2, 5, 5])
    """

    _spatial_dims = 2

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class CircularPad3d(_CircularPadNd):
    """Pad (N, C, D, H, W) or (C, D, H, W) as if the input went round in a circle.

    >>> torch.nn.CircularPad3d(1)(torch.zeros(2, 3, 3, 3)).shape
    torch.Size([2, 5, 5, 5])
    """

    _spatial_dims = 3

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class ConstantPad1d(_ConstantPadNd):
    """Pad the last dimension with `value`.

    >>> torch.nn.ConstantPad1d(1, 9.0)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[9., 1., 2., 3., 9.]])
    """

    def __init__(self, padding: _Sizes, value: float) -> None:
        super().__init__(value)
        self.padding = _pair(padding)


class ConstantPad2d(_ConstantPadNd):
    """Pad the last 2 dimensions with `value`.

    >>> torch.nn.ConstantPad2d(1, 9.0)(torch.zeros(2, 3, 3)).shape
    torch.Size([2, 5, 5])
    """

    def __init__(self, padding: _Sizes, value: float) -> None:
        super().__init__(value)
        self.padding = _quadruple(padding)


class ConstantPad3d(_ConstantPadNd):
    """Pad the last 3 dimensions with `value`.

    >>> torch.nn.ConstantPad3d(1, 9.0)(torch.zeros(2, 3, 3, 3)).shape
    torch.Size([2, 5, 5, 5])
    """

    def __init__(self, padding: _Sizes, value: float) -> None:
        super().__init__(value)
        self.padding = _sextuple(padding)


class ReflectionPad1d(_ReflectionPadNd):
    """Pad (N, C, L) or (C, L) with the reflection of the input at its border.

    >>> torch.nn.ReflectionPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[2., 1., 2., 3., 2.]])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _pair(padding)


class ReflectionPad2d(_ReflectionPadNd):
    """Pad (N, C, H, W) or (C, H, W) with the reflection of the input at its border.

    >>> torch.nn.ReflectionPad2d(1)(torch.zeros(2, 3, 3)).shape
    torch.Size([2, 5, 5])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class ReflectionPad3d(_ReflectionPadNd):
    """Pad (N, C, D, H, W) or (C, D, H, W) with the reflection of the input at its border.

    >>> torch.nn.ReflectionPad3d(1)(torch.zeros(2, 3, 3, 3)).shape
    torch.Size([2, 5, 5, 5])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class ReplicationPad1d(_ReplicationPadNd):
    """Pad (N, C, L) or (C, L) with the nearest element.

    >>> torch.nn.ReplicationPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3.]])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _pair(padding)


class ReplicationPad2d(_ReplicationPadNd):
    """Pad (N, C, H, W) or (C, H, W) with the nearest element.

    >>> torch.nn.ReplicationPad2d(1)(torch.zeros(2, 3, 3)).shape
    torch.Size([2, 5, 5])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class ReplicationPad3d(_ReplicationPadNd):
    """Pad (N, C, D, H, W) or (C, D, H, W) with the nearest element.

    >>> torch.nn.ReplicationPad3d(1)(torch.zeros(2, 3, 3, 3)).shape
    torch.Size([2, 5, 5, 5])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class ZeroPad1d(ConstantPad1d):
    """Pad the last dimension with zeros.

    >>> torch.nn.ZeroPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[0., 1., 2., 3., 0.]])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pad the last 2 dimensions with zeros.

    >>> torch.nn.ZeroPad2d(1)(torch.zeros(2, 3, 3)).shape
    torch.Size([2, 5, 5])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pad the last 3 dimensions with zeros.

    >>> torch.nn.ZeroPad3d(1)(torch.zeros(2, 3, 3, 3)).shape
    torch.Size([2, 5, 5, 5])
    """

    def __init__(self, padding: _Sizes) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"

"""Convolution layers; the checks are in `nn.functional.conv`. Lazy forms are in `lazy_conv.py`.

>>> torch.nn.Conv2d(3, 8, 3, padding=1)
Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import functional as F
from .conv_base import _ConvNd, _ConvTransposeNd
from .utils import _pair, _single, _triple

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

_Sizes = int | Sequence[int]


class Conv1d(_ConvNd):
    r"""Cross-correlation :math:`y_k = b_k + \sum_c w_{kc} \star x_c` over one dimension.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, dilation: length of a kernel, step, and distance between its elements.
        padding: a number for both sides, "valid" (none) or "same" (output as long as the input).
        groups: into how many independent groups the channels fall.
        bias: whether there is a `b`.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    Shape: (N, C_in, L) or (C_in, L) -> (N, C_out, L_out) or (C_out, L_out),
    :math:`L_{out} = \lfloor (L + 2 p - d (k - 1) - 1) / s \rfloor + 1`.

    >>> torch.nn.Conv1d(3, 8, 5)(torch.zeros(2, 3, 10)).shape
    torch.Size([2, 8, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: str | _Sizes = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _single(kernel_size),
            _single(stride),
            padding if isinstance(padding, str) else _single(padding),
            _single(dilation),
            False,
            (0,),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    _function = staticmethod(F.conv1d)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv2d(_ConvNd):
    r"""Cross-correlation :math:`y_k = b_k + \sum_c w_{kc} \star x_c` over two dimensions.

    Args: as for `Conv1d`; a size is a number for both dimensions or a pair.

    Shape: (N, C_in, H, W) or (C_in, H, W) -> (N, C_out, H_out, W_out) or (C_out, H_out, W_out),
    :math:`H_{out} = \lfloor (H + 2 p - d (k - 1) - 1) / s \rfloor + 1`.

    >>> torch.nn.Conv2d(3, 8, 3, padding=1)(torch.zeros(2, 3, 10, 10)).shape
    torch.Size([2, 8, 10, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: str | _Sizes = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            padding if isinstance(padding, str) else _pair(padding),
            _pair(dilation),
            False,
            (0, 0),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    _function = staticmethod(F.conv2d)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv3d(_ConvNd):
    r"""Cross-correlation :math:`y_k = b_k + \sum_c w_{kc} \star x_c` over three dimensions.

    Args: as for `Conv1d`; a size is a number for all dimensions or a triple.

    Shape: (N, C_in, D, H, W) or (C_in, D, H, W) -> (N, C_out, ...) or (C_out, ...).

    >>> torch.nn.Conv3d(3, 8, 3)(torch.zeros(2, 3, 5, 5, 5)).shape
    torch.Size([2, 8, 3, 3, 3])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: str | _Sizes = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _triple(kernel_size),
            _triple(stride),
            padding if isinstance(padding, str) else _triple(padding),
            _triple(dilation),
            False,
            (0, 0, 0),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    _function = staticmethod(F.conv3d)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class ConvTranspose1d(_ConvTransposeNd):
    r"""The transpose of `Conv1d` as a linear map, also called deconvolution.

    Args: as for `Conv1d`; `output_padding` adds to one side of the output, of which several sizes
    are possible when `stride` is above 1 (or give `output_size` in the call).

    Shape: (N, C_in, L) or (C_in, L) -> (N, C_out, L_out) or (C_out, L_out),
    :math:`L_{out} = (L - 1) s - 2 p + d (k - 1) + output\_padding + 1`.

    >>> torch.nn.ConvTranspose1d(3, 8, 5)(torch.zeros(2, 3, 6)).shape
    torch.Size([2, 8, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _single(kernel_size),
            _single(stride),
            _single(padding),
            _single(dilation),
            True,
            _single(output_padding),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        self._check_padding_mode()
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, 1, self.dilation
        )
        return F.conv_transpose1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
        )


class ConvTranspose2d(_ConvTransposeNd):
    r"""The transpose of `Conv2d` as a linear map, also called deconvolution.

    Args: as for `ConvTranspose1d`; a size is a number for both dimensions or a pair.

    Shape: (N, C_in, H, W) or (C_in, H, W) -> (N, C_out, H_out, W_out) or (C_out, H_out, W_out).

    >>> torch.nn.ConvTranspose2d(3, 8, 2, stride=2)(torch.zeros(2, 3, 5, 5)).shape
    torch.Size([2, 8, 10, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            _pair(padding),
            _pair(dilation),
            True,
            _pair(output_padding),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        self._check_padding_mode()
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, 2, self.dilation
        )
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
        )


class ConvTranspose3d(_ConvTransposeNd):
    r"""The transpose of `Conv3d` as a linear map, also called deconvolution.

    Args: as for `ConvTranspose1d`; a size is a number for all dimensions or a triple.

    Shape: (N, C_in, D, H, W) or (C_in, D, H, W) -> (N, C_out, ...) or (C_out, ...).

    >>> torch.nn.ConvTranspose3d(3, 8, 2)(torch.zeros(2, 3, 4, 4, 4)).shape
    torch.Size([2, 8, 5, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _triple(kernel_size),
            _triple(stride),
            _triple(padding),
            _triple(dilation),
            True,
            _triple(output_padding),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        self._check_padding_mode()
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, 3, self.dilation
        )
        return F.conv_transpose3d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
        )


def __getattr__(name: str) -> Any:
    # The lazy forms derive from the classes above.
    if name.startswith(("Lazy", "_Lazy")):
        return getattr(importlib.import_module(".lazy_conv", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

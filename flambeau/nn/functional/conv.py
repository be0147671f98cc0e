"""Convolutions: argument checks, padding by name, inputs without a batch dimension.

The arithmetic is `flambeau.ops.nn.convolution`. Called by `nn.modules.conv` and by users.

>>> torch.nn.functional.conv1d(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[-1.0, 1.0]]]))
tensor([[[1., 2.]]])
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import flambeau

from ._common import c_type, in_lower_precision, scalar_type
from .padding import pad

if TYPE_CHECKING:
    from flambeau import Tensor

_Sizes = int | Sequence[int]


def _hashable(sizes: Any) -> Any:
    return sizes if isinstance(sizes, (int, tuple, str)) else tuple(sizes)


def _expand(name: str, sizes: int | tuple[int, ...], spatial: int) -> tuple[int, ...]:
    """One number per spatial dimension."""
    values = (sizes,) if isinstance(sizes, int) else sizes
    if len(values) == 1:
        return values * spatial
    if len(values) != spatial:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {spatial} values to match "
            f"the convolution dimensions, but got {name}={list(values)}"
        )
    return values


def _check_weight(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    groups: int,
    transposed: bool,
) -> None:
    """Check channels, groups and bias. `input` has its batch dimension."""
    given = f"Given transposed={int(transposed)}" if transposed else f"Given groups={groups}"
    if weight[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {list(weight)} instead"
        )
    if weight[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{list(weight)}] instead"
        )
    expected = weight[0] if transposed else weight[1] * groups
    if input[1] != expected:
        raise RuntimeError(
            f"{given}, weight of size {list(weight)}, expected input{list(input)} to have "
            f"{expected} channels, but got {input[1]} channels instead"
        )
    outputs = weight[1] * groups if transposed else weight[0]
    if bias is not None and bias != (outputs,):
        given = f"{given}, weight" if transposed else "Given weight"
        raise RuntimeError(
            f"{given} of size {list(weight)}, expected bias to be 1-dimensional with {outputs} "
            f"elements, but got bias of size {list(bias)} instead"
        )


def _check_steps(
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...],
    groups: int,
) -> None:
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(output_padding) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) <= 0:
        raise RuntimeError("non-positive dilation is not supported")


def _raise_wrong_rank(
    ndim: int, input: tuple[int, ...], weight: tuple[int, ...], stride: Any
) -> None:
    """The error for kernels of another rank than the convolution."""
    _expand("stride", (stride,) * ndim if isinstance(stride, int) else stride, len(weight) - 2)
    raise RuntimeError(
        f"Expected {len(weight)}-dimensional input for {len(weight)}-dimensional weight "
        f"{list(weight)}, but got {len(input)}-dimensional input of size {list(input)} instead"
    )


@lru_cache(maxsize=1024)
def _geometry(
    name: str,
    ndim: int,
    input: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    output_padding: Any,
    groups: int,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], list[int]]:
    """Check a convolution once for all calls with these shapes.

    Returns stride, padding, dilation, output padding with a number for each dimension, and what to
    add to the right of the input first, which only `padding="same"` with an even extent needs.
    """
    if len(input) not in (ndim + 1, ndim + 2):
        raise RuntimeError(
            f"Expected {ndim + 1}D (unbatched) or {ndim + 2}D (batched) input to {name}, but got "
            f"input of size: {list(input)}"
        )
    if len(input) == ndim + 1:
        input = (1, *input)
    spatial = len(weight) - 2
    if spatial != ndim:
        _raise_wrong_rank(ndim, input, weight, stride)
    transposed = name.startswith("conv_transpose")
    stride = _expand("stride", stride, spatial)
    dilation = _expand("dilation", dilation, spatial)
    output_padding = _expand("output_padding", output_padding, spatial)
    extra = []
    if isinstance(padding, str):
        padding, extra = _named_padding(padding, weight[2:], stride, dilation)
    padding = _expand("padding", padding, spatial)
    _check_steps(stride, padding, dilation, output_padding, groups)
    _check_weight(input, weight, bias, groups, transposed)
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, weight[2:])]
    if transposed:
        _check_output_padding(stride, dilation, output_padding)
        parts = zip(input[2:], stride, padding, extents, output_padding)
        sizes = [(n - 1) * s - 2 * p + e + o for n, s, p, e, o in parts]
        if min(sizes) < 1 and input[0]:
            _raise_no_output(input[2:], sizes)
    else:
        added = extra[::-1][::2] if extra else [0] * spatial
        sizes = [n + 2 * p + a for n, p, a in zip(input[2:], padding, added)]
        if any(size < extent for size, extent in zip(sizes, extents)):
            raise RuntimeError(
                f"Calculated padded input size per channel: ({' x '.join(map(str, sizes))}). "
                f"Kernel size: ({' x '.join(map(str, extents))}). "
                "Kernel size can't be greater than actual input size"
            )
    return stride, padding, dilation, output_padding, extra


def _named_padding(
    padding: str, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], list[int]]:
    """The padding on both sides, and in the order of `pad` what the right side needs more."""
    if padding == "valid":
        return (0,) * len(kernel), []
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if max(stride) > 1:
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
    extra = [side for total in reversed(totals) for side in (0, total % 2)]
    return tuple(total // 2 for total in totals), extra if any(extra) else []


def _raise_no_output(space: tuple[int, ...], sizes: list[int]) -> NoReturn:
    """A transposed convolution that pads everything away; one dimension is shown as (1, length)."""
    given, found = (
        " x ".join(map(str, (1, *shape) if len(shape) == 1 else shape)) for shape in (space, sizes)
    )
    raise RuntimeError(
        f"Given input size per channel: ({given}). Calculated output size per channel: "
        f"({found}). Output size is too small"
    )


def _check_output_padding(
    stride: tuple[int, ...], dilation: tuple[int, ...], output_padding: tuple[int, ...]
) -> None:
    if all(o < max(s, d) for o, s, d in zip(output_padding, stride, dilation)):
        return
    names = ("depth", "height", "width")[-len(stride) :] if len(stride) > 1 else ("height", "width")
    parts = [
        f"{kind}_{name}: {value}"
        for kind, values in (
            ("output_padding", output_padding),
            ("stride", stride),
            ("dilation", dilation),
        )
        for name, value in zip(names, values if len(values) > 1 else (*_UNIT[kind], *values))
    ]
    raise RuntimeError(
        "output padding must be smaller than either stride or dilation, but got " + " ".join(parts)
    )


# A one-dimensional convolution is reported as one of height 1.
_UNIT = {"output_padding": (0,), "stride": (1,), "dilation": (1,)}


def _check_dtypes(input: Tensor, weight: Tensor, bias: Tensor | None, plain: bool) -> None:
    """Raise what torch raises; a `plain` convolution is neither transposed nor padded by name."""
    is_plain_or_float = plain or input.dtype == flambeau.float32
    if bias is not None and bias.dtype != input.dtype and is_plain_or_float:
        raise RuntimeError(
            f"Input type ({c_type(input)}) and bias type ({c_type(bias)}) should be the same"
        )
    if weight.dtype != input.dtype:
        if input.dtype == flambeau.float64 or not input.is_floating_point():
            raise RuntimeError(
                f"expected scalar type {scalar_type(input)} but found {scalar_type(weight)}"
            )
        raise RuntimeError(
            f"Input type (torch.{scalar_type(input)}Tensor) and weight type "
            f"(torch.{scalar_type(weight)}Tensor) should be the same or input should be a MKLDNN "
            "tensor and weight is a dense tensor"
        )


def _convolve(
    name: str,
    ndim: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    output_padding: Any,
    groups: int,
) -> Tensor:
    transposed = name.startswith("conv_transpose")
    plain = not (transposed or isinstance(padding, str))
    stride, padding, dilation, output_padding, extra = _geometry(
        name,
        ndim,
        input.shape,
        weight.shape,
        None if bias is None else bias.shape,
        _hashable(stride),
        _hashable(padding),
        _hashable(dilation),
        _hashable(output_padding),
        groups,
    )
    if weight.dtype != input.dtype or (bias is not None and bias.dtype != input.dtype):
        input, weight, bias = in_lower_precision(input, weight, bias)
        _check_dtypes(input, weight, bias, plain)
    unbatched = input.dim() == ndim + 1
    if unbatched:
        input = input.unsqueeze(0)
    if extra:
        input = pad(input, extra)
    output = flambeau.ops.nn.convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )
    return output.squeeze(0) if unbatched else output


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate (N, C, L) with kernels (C_out, C / groups, K).

    `padding` is a number, "valid" (none) or "same" (output as long as the input).

    >>> torch.nn.functional.conv1d(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, 0, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate (N, C, H, W) with kernels (C_out, C / groups, KH, KW).

    >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, 0, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: str | _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate (N, C, D, H, W) with kernels (C_out, C / groups, KD, KH, KW).

    >>> torch.nn.functional.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2))
    tensor([[[[[8.]]]]])
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, 0, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Tensor:
    """The transpose of `conv1d` as a linear map; kernels are (C, C_out / groups, K).

    >>> x, w = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 10.0]]])
    >>> torch.nn.functional.conv_transpose1d(x, w)
    tensor([[[ 1., 12., 20.]]])
    """
    return _convolve(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        dilation,
        output_padding,
        groups,
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Tensor:
    """The transpose of `conv2d` as a linear map; kernels are (C, C_out / groups, KH, KW).

    >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 2, 2))
    tensor([[[[1., 1.],
              [1., 1.]]]])
    """
    return _convolve(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        dilation,
        output_padding,
        groups,
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Tensor:
    """The transpose of `conv3d` as a linear map; kernels are (C, C_out / groups, KD, KH, KW).

    >>> torch.nn.functional.conv_transpose3d(torch.ones(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 2))
    tensor([[[[[1., 1.]]]]])
    """
    return _convolve(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        dilation,
        output_padding,
        groups,
    )


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` on (time, batch, channel) with kernels (K, C, C_out).

    >>> x, w = torch.ones(3, 1, 1), torch.ones(2, 1, 1)
    >>> torch.nn.functional.conv_tbc(x, w, torch.zeros(1)).flatten()
    tensor([2., 2.])
    """
    if input.dim() != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.dim() != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.dim() != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.size(2) != weight.size(1):
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if weight.size(2) != bias.size(0):
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    output = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return output.permute(2, 0, 1)

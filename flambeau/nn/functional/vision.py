"""Functions on pictures: pixels and channels rearranged, patches.

Called by `nn.modules.pixelshuffle`, `channelshuffle`, `fold` and by users. `pad` is in
`padding.py`, `interpolate` in `resize.py`, `grid_sample` in `sampling.py`.

>>> torch.nn.functional.pixel_shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2)
tensor([[[[0., 1.],
          [2., 3.]]]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import to_tuple
from .padding import pad

if TYPE_CHECKING:
    from flambeau import Tensor

_Sizes = int | Sequence[int]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C * r * r, H, W) -> (*, C, H * r, W * r) with r = `upscale_factor` (Shi et al. 2016).

    >>> torch.nn.functional.pixel_shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2)
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """
    if input.dim() < 3:
        raise RuntimeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *leading, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    blocks = input.reshape(*leading, channels // (r * r), r, r, height, width)
    n = len(leading)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return blocks.permute(order).reshape(*leading, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H * r, W * r) -> (*, C * r * r, H, W), the inverse of `pixel_shuffle`.

    >>> torch.nn.functional.pixel_unshuffle(torch.arange(4.0).reshape(1, 1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    if input.dim() < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *leading, channels, height, width = input.shape
    for name, place, size in (("height", -2, height), ("width", -1, width)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({place})={size} is not divisible by {r}"
            )
    blocks = input.reshape(*leading, channels, height // r, r, width // r, r)
    n = len(leading)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return blocks.permute(order).reshape(*leading, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Interleave `groups` groups of the channels in dimension 1 (Zhang et al. 2017).

    >>> torch.nn.functional.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    if input.dim() <= 2:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    samples, channels = input.shape[:2]
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} "
            "groups."
        )
    grouped = input.reshape(samples, groups, channels // groups, *input.shape[2:])
    return grouped.transpose(1, 2).reshape(input.shape)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle` by another name.

    >>> torch.nn.functional.native_channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    return channel_shuffle(input, groups)


def _check_patches(
    kernel: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: tuple[int, ...],
    stride: tuple[int, ...],
) -> None:
    for name, values in (
        ("kernel_size", kernel),
        ("dilation", dilation),
        ("padding", padding),
        ("stride", stride),
    ):
        if len(values) != 2:
            raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
    for name, label, values, least in (
        ("kernel size", "kernel", kernel, 1),
        ("dilation", "dilation", dilation, 1),
        ("padding", "pad", padding, 0),
        ("stride", "stride", stride, 1),
    ):
        if min(values) < least:
            limit = "greater than zero" if least else "non-negative"
            raise RuntimeError(
                f"{name} should be {limit}, but got {label}_height: {values[0]} "
                f"{label}_width: {values[1]}"
            )


def _patch_places(
    lengths: Sequence[int],
    counts: Sequence[int],
    kernel: tuple[int, ...],
    dilation: tuple[int, ...],
    stride: tuple[int, ...],
    device: Any,
) -> Tensor:
    """Where in the flat padded plane each element of each patch lies: (KH * KW, patches)."""
    rows, columns = (
        (
            flambeau.arange(k, device=device).unsqueeze(1) * d
            + flambeau.arange(count, device=device) * s
        )
        for k, d, s, count in zip(kernel, dilation, stride, counts)
    )  # each (K, count)
    places = rows[:, None, :, None] * lengths[1] + columns[None, :, None, :]
    return places.reshape(kernel[0] * kernel[1], counts[0] * counts[1])


def unfold(
    input: Tensor,
    kernel_size: _Sizes,
    dilation: _Sizes = 1,
    padding: _Sizes = 0,
    stride: _Sizes = 1,
) -> Tensor:
    """The patches of (N, C, H, W) as columns: (N, C * KH * KW, patches).

    >>> torch.nn.functional.unfold(torch.arange(4.0).reshape(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])
    """
    kernel, dilations, paddings, strides = (
        to_tuple(sizes, 2) for sizes in (kernel_size, dilation, padding, stride)
    )
    _check_patches(kernel, dilations, paddings, strides)
    batched = input.dim() == 4
    input.size(2)  # torch's error for inputs of fewer dimensions
    if input.dim() not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    lengths = [n + 2 * p for n, p in zip(input.shape[-2:], paddings)]
    counts = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(lengths, kernel, dilations, strides)
    ]
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(input.shape[-2:])}, kernel_size={kernel}, "
            f"dilation={dilations}, padding={paddings}, calculated shape of the array of sliding "
            f"blocks as {tuple(counts)}, but its components must be at least one."
        )
    if any(paddings):
        input = pad(input, (paddings[1], paddings[1], paddings[0], paddings[0]))
    places = _patch_places(lengths, counts, kernel, dilations, strides, input.device)
    planes = input.reshape(*input.shape[:-2], lengths[0] * lengths[1])
    patches = planes.index_select(-1, places.reshape(-1))
    channels = input.size(-3) * places.size(0)
    leading = input.shape[:1] if batched else ()
    return patches.reshape(*leading, channels, places.size(1))


def fold(
    input: Tensor,
    output_size: _Sizes,
    kernel_size: _Sizes,
    dilation: _Sizes = 1,
    padding: _Sizes = 0,
    stride: _Sizes = 1,
) -> Tensor:
    """The sum of overlapping patches, (N, C * KH * KW, patches) -> (N, C, H, W).

    >>> torch.nn.functional.fold(torch.ones(1, 2, 2), (1, 3), (1, 2))
    tensor([[[[1., 2., 1.]]]])
    """
    size, kernel, dilations, paddings, strides = (
        to_tuple(sizes, 2) for sizes in (output_size, kernel_size, dilation, padding, stride)
    )
    if len(size) != 2:
        raise RuntimeError(f"It is expected output_size equals to 2, but got size {len(size)}")
    _check_patches(kernel, dilations, paddings, strides)
    if input.dim() not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    batched = input.dim() == 3
    patches = input if batched else input.unsqueeze(0)
    elements = kernel[0] * kernel[1]
    if patches.size(1) % elements:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={patches.size(1)} and kernel_size={kernel}."
        )
    lengths = [n + 2 * p for n, p in zip(size, paddings)]
    counts = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(lengths, kernel, dilations, strides)
    ]
    if patches.size(2) != counts[0] * counts[1] or min(counts) < 1:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilations}, "
            f"padding={paddings}, stride={strides}, expected size of input's dimension 2 to match "
            f"the calculated number of sliding blocks {counts[0]} * {counts[1]} = "
            f"{counts[0] * counts[1]}, but got input.size(2)={patches.size(2)}."
        )
    places = _patch_places(lengths, counts, kernel, dilations, strides, input.device)
    channels = patches.size(1) // elements
    planes = patches.new_zeros((patches.size(0), channels, lengths[0] * lengths[1]))
    planes = planes.index_add(
        2,
        places.reshape(-1),
        patches.reshape(patches.size(0), channels, elements * patches.size(2)),
    )
    output = planes.reshape(*planes.shape[:2], *lengths)
    output = output[:, :, paddings[0] : paddings[0] + size[0], paddings[1] : paddings[1] + size[1]]
    output = output.contiguous()
    return output if batched else output.squeeze(0)

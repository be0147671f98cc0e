"""Functions on pictures: pixels and channels rearranged, patches, sampling on a grid.

Called by `nn.modules.pixelshuffle`, `channelshuffle`, `fold` and by users. `pad` is in
`padding.py`, `interpolate` in `resize.py`.

>>> torch.nn.functional.pixel_shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2)
tensor([[[[0., 1.],
          [2., 3.]]]])
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import scalar_type, to_tuple
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
    return output if batched else output.squeeze(0)


_ALIGN_CORNERS_CHANGED = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
    "Please specify align_corners=True if the old behavior is desired. See the documentation of "
    "grid_sample for details."
)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where an affine map `theta` (N, 2, 3) or (N, 3, 4) samples a picture of `size`, for
    `grid_sample`.

    >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(theta, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    if align_corners is None:
        warnings.warn(_ALIGN_CORNERS_CHANGED, stacklevel=2)
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    ndim = len(size) - 2
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (ndim, ndim + 1):
        raise ValueError(
            f"Expected a batch of {ndim}D affine matrices of shape Nx{ndim}x{ndim + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    lengths = size[2:]
    if align_corners and min(lengths) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
            "align_corners=True. This is not an intended use case of affine_grid. See the "
            "documentation of affine_grid for details.",
            stacklevel=2,
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    axes = []
    for length in lengths:
        axis = flambeau.linspace(-1, 1, length, dtype=theta.dtype, device=theta.device)
        if length <= 1:
            axis = axis * 0
        axes.append(axis if align_corners else axis * (length - 1) / length)
    grids = flambeau.meshgrid(*axes, indexing="ij")
    points = flambeau.stack([*reversed(grids), flambeau.ones_like(grids[0])], -1)  # x first
    points = points.reshape(1, -1, ndim + 1).expand(theta.size(0), -1, -1)
    return flambeau.bmm(points, theta.transpose(1, 2)).reshape(theta.size(0), *lengths, ndim)


def _check_grid(input: Tensor, grid: Tensor, mode: str) -> None:
    if input.dtype != grid.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type(input)} but found {scalar_type(grid)}"
        )
    sizes = f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    if input.size(0) != grid.size(0):
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got {sizes}"
        )
    ndim = input.dim() - 2
    if grid.size(-1) != ndim:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {ndim} in last dimension, but got grid "
            f"with sizes {list(grid.shape)}"
        )
    for dim in range(2, input.dim()):
        if input.size(dim) == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(input.shape)} with dimension {dim} being empty"
            )
    if ndim not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got {sizes}"
        )
    if mode == "bicubic" and ndim != 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def _reflect(x: Tensor, twice_low: int, twice_high: int) -> Tensor:
    """Reflect coordinates between two borders until they are inside."""
    if twice_low == twice_high:
        return x * 0
    low, span = twice_low / 2, (twice_high - twice_low) / 2
    distance = (x - low).abs()
    extra = flambeau.fmod(distance, span)
    even = flambeau.floor(distance / span) % 2 == 0
    return flambeau.where(even, extra + low, span - extra + low)


def _bring_inside(x: Tensor, length: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Apply the padding mode to coordinates in pixels; the gradient is zero where they are
    clipped."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        borders = (0, 2 * (length - 1)) if align_corners else (-1, 2 * length - 1)
        x = _reflect(x, *borders)
    inside = flambeau.where(x < length - 1, x, float(length - 1))
    return flambeau.where(x > 0, inside, 0.0)


def _pick(input: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The pixels of (N, C, ...) at whole coordinates (N, P), zero outside: (N, C, P)."""
    flat = None
    inside = None
    for place, length in zip(places, input.shape[2:]):
        within = (place >= 0) & (place < length)
        whole = flambeau.where(within, place, 0.0).long()
        flat = whole if flat is None else flat * length + whole
        inside = within if inside is None else inside & within
    planes = input.reshape(*input.shape[:2], math.prod(input.shape[2:]))
    pixels = planes.gather(2, flat.unsqueeze(1).expand(-1, input.size(1), -1))
    return flambeau.where(inside.unsqueeze(1), pixels, 0.0)


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """Weights of the four neighbours at distances 1 + t, t, 1 - t, 2 - t (Keys 1981, a = -0.75)."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Pixels of (N, C, H, W) or (N, C, D, H, W) at the points of `grid`, (N, ..., 2 or 3), x first.

    Coordinates go from -1 to 1; `mode` is "bilinear", "nearest" or "bicubic", and `padding_mode`
    ("zeros", "border" or "reflection") says what is outside.

    >>> x = torch.tensor([[[[1.0, 3.0]]]])
    >>> torch.nn.functional.grid_sample(x, torch.zeros(1, 1, 1, 2), align_corners=False)
    tensor([[[[2.]]]])
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(_ALIGN_CORNERS_CHANGED, stacklevel=2)
        align_corners = False
    _check_grid(input, grid, mode)
    lengths = input.shape[2:]
    points = grid.reshape(grid.size(0), -1, len(lengths))
    # In pixels, first dimension first: align_corners puts -1 and 1 on pixel centres, else on edges.
    pixels = []
    for d, length in enumerate(lengths):
        x = points[..., len(lengths) - 1 - d]
        pixels.append((x + 1) / 2 * (length - 1) if align_corners else ((x + 1) * length - 1) / 2)

    def inside(x: Tensor, d: int) -> Tensor:
        return _bring_inside(x, lengths[d], padding_mode, align_corners)

    if mode == "bicubic":
        taps = []
        for d, x in enumerate(pixels):
            base = flambeau.floor(x.detach())
            weights = _cubic_weights(x - base)
            taps.append([(inside(base + k - 1, d), weight) for k, weight in enumerate(weights)])
    elif mode == "nearest":
        taps = [[(flambeau.round(inside(x, d)), None)] for d, x in enumerate(pixels)]
    else:
        taps = []
        for d, x in enumerate(pixels):
            x = inside(x, d)
            base = flambeau.floor(x.detach())
            taps.append([(base, base + 1 - x), (base + 1, x - base)])
    output = None
    for corner in itertools.product(*taps):
        part = _pick(input, [place for place, _ in corner])
        if mode != "nearest":
            part = part * math.prod(weight for _, weight in corner).unsqueeze(1)
        output = part if output is None else output + part
    return output.reshape(*input.shape[:2], *grid.shape[1:-1])

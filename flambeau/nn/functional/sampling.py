"""Sampling a picture at the points of a grid. Called by spatial transformers and by users.

>>> x = torch.tensor([[[[1.0, 3.0]]]])
>>> torch.nn.functional.grid_sample(x, torch.zeros(1, 1, 1, 2), align_corners=False)
tensor([[[[2.]]]])
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import in_full_precision, scalar_type

if TYPE_CHECKING:
    from flambeau import Tensor


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


@in_full_precision
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
    native = input.dtype in (flambeau.float32, flambeau.float64)
    if not native or math.prod(input.shape[2:]) >= 1 << 31:  # places are numbers of 32 bits there
        return _composed(input, grid, mode, padding_mode, align_corners)
    kind = GridSampler2D if input.dim() == 4 else GridSampler3D
    return kind.apply(input, grid, mode, padding_mode, align_corners)


class _GridSampler(flambeau.autograd.Function):
    """The native kernels; a gradient that is to be differentiated again is composed instead."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
    ) -> Tensor:
        ctx.save_for_backward(input, grid)
        ctx.options = (mode, padding_mode, align_corners)
        return flambeau.ops.nn.grid_sample(input, grid, *ctx.options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, grid = ctx.saved_tensors
        needs_input, needs_grid = ctx.needs_input_grad[:2]
        nn = flambeau.ops.nn
        if flambeau.is_grad_enabled():
            wanted = [x for x, needed in ((input, needs_input), (grid, needs_grid)) if needed]
            output = _composed(input, grid, *ctx.options)
            found = iter(
                flambeau.autograd.grad(
                    output, wanted, gradient, create_graph=True, allow_unused=True
                )
            )
            by_input = next(found) if needs_input else None
            return by_input, next(found) if needs_grid else None, None, None, None
        by_input = by_grid = None
        if needs_input:
            by_input = nn.grid_sample_input(gradient, grid, input.shape[2:], *ctx.options)
        if needs_grid:
            by_grid = nn.grid_sample_grid(gradient, input, grid, *ctx.options)
        return by_input, by_grid, None, None, None


class GridSampler2D(_GridSampler):
    """In two dimensions: the name of the node."""


class GridSampler3D(_GridSampler):
    """In three dimensions."""


def _taps_of(
    pixels: Sequence[Tensor], mode: str, inside: Callable[[Tensor, int], Tensor]
) -> list[list[tuple[Tensor, Any]]]:
    """For each axis the places that a point sees there, and their weights."""
    taps: list[list[tuple[Tensor, Any]]] = []
    if mode == "bicubic":
        for d, x in enumerate(pixels):
            base = flambeau.floor(x.detach())
            weights = _cubic_weights(x - base)
            taps.append([(inside(base + k - 1, d), weight) for k, weight in enumerate(weights)])
    elif mode == "nearest":
        taps = [[(flambeau.round(inside(x, d)), None)] for d, x in enumerate(pixels)]
    else:
        for d, x in enumerate(pixels):
            x = inside(x, d)
            base = flambeau.floor(x.detach())
            taps.append([(base, base + 1 - x), (base + 1, x - base)])
    return taps


def _composed(
    input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """The same by tensor operations, which can be differentiated any number of times."""
    lengths = input.shape[2:]
    points = grid.reshape(grid.size(0), -1, len(lengths))
    # In pixels, first dimension first: align_corners puts -1 and 1 on pixel centres, else on edges.
    pixels = []
    for d, length in enumerate(lengths):
        x = points[..., len(lengths) - 1 - d]
        pixels.append((x + 1) / 2 * (length - 1) if align_corners else ((x + 1) * length - 1) / 2)

    def inside(x: Tensor, d: int) -> Tensor:
        return _bring_inside(x, lengths[d], padding_mode, align_corners)

    taps = _taps_of(pixels, mode, inside)
    output = None
    for corner in itertools.product(*taps):
        part = _pick(input, [place for place, _ in corner])
        if mode != "nearest":
            part = part * math.prod(weight for _, weight in corner).unsqueeze(1)
        output = part if output is None else output + part
    return output.reshape(*input.shape[:2], *grid.shape[1:-1])

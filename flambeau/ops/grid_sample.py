"""Pixels at the points of a grid, and the gradients by picture and by grid: three ops without rules
of their own. nn.functional.grid_sample ties them together, and composes tensor operations where a
gradient is to be differentiated again.

    flambeau.ops.nn.grid_sample(input, grid, "bilinear", "zeros", False)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flambeau.core.spec import Spec
from flambeau.ops.kernels.grid_sampling import (
    BLOCK,
    kernel_address,
    sample,
    slope_samples,
    spread_samples,
)
from flambeau.ops.kinds import structured
from flambeau.ops.registry import engine


def params_of(grid: Spec, channels: int, space: Sequence[int], parts: int) -> list[int]:
    """The parameters of the kernels."""
    points = prod(grid.shape[1:-1])
    return [channels, points, *(1,) * (3 - len(space)), *space, -(-points // BLOCK), parts]


def planned(
    plan: Any, kernel: Any, grid: Spec, channels: int, space: Sequence[int],
    options: tuple[Any, ...], by_channels: bool = False,
) -> Any:  # fmt: skip
    """Finishes a plan."""
    if plan.is_meta or not plan.outputs[0].numel:
        return plan.use_native(0, (), 0)
    wanted = -(-2 * engine.core.threads() // grid.shape[0])  # each part finds the taps anew
    parts = min(channels, wanted)
    params = params_of(grid, channels, space, parts)
    address = kernel_address(kernel, grid.dtype.name, len(space), *options)
    items = grid.shape[0] * (parts if by_channels else params[5])
    work = 8 * params[1] * channels * grid.shape[0]
    grain = 1 if by_channels else max(1, (1 << 14) // (BLOCK * max(1, channels)))
    return plan.use_native(address, params, items, work, grain)


@structured(public=None, methods=())
def grid_sample(call, input, grid, mode, padding, align):
    """The picture's pixels at the grid's points."""
    x, points = input._spec, grid._spec
    if not (x.contiguous and points.contiguous):
        return call.op.call(input.contiguous(), grid.contiguous(), mode, padding, align)
    out = x.like((*x.shape[:2], *points.shape[1:-1]))
    plan = call.plan(("input", "grid"), [out])
    options = (mode, padding, align)
    return planned(plan, sample, points, x.shape[1], x.shape[2:], options)


@structured(public=None, methods=())
def grid_sample_input(call, gradient, grid, space, mode, padding, align):
    """The gradient of the picture, whose sizes are `space`."""
    g, points = gradient._spec, grid._spec
    if not (g.contiguous and points.contiguous):
        return call.op.call(gradient.contiguous(), grid.contiguous(), space, mode, padding, align)
    out = g.like((*g.shape[:2], *space))
    plan = call.plan(("gradient", "grid"), [out])
    options = (mode, padding, align)
    return planned(plan, spread_samples, points, g.shape[1], space, options, True)


@structured(public=None, methods=())
def grid_sample_grid(call, gradient, input, grid, mode, padding, align):
    """The gradient of the grid."""
    g, x, points = gradient._spec, input._spec, grid._spec
    if not (g.contiguous and x.contiguous and points.contiguous):
        tensors = (gradient.contiguous(), input.contiguous(), grid.contiguous())
        return call.op.call(*tensors, mode, padding, align)
    plan = call.plan(("gradient", "input", "grid"), [points.like(points.shape)])
    options = (mode, padding, align)
    return planned(plan, slope_samples, points, x.shape[1], x.shape[2:], options)

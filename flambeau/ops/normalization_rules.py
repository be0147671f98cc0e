"""The gradients of normalisations as tensor algebra, which can be differentiated again.

Used by ops.normalization where a graph of the gradients is wanted, and as the plain statement of
what its kernels compute. With s = 1 / sqrt(variance + eps), z = (x - mean) s and h = g weight:

    dx = s (h - mean(h) - z mean(h z)),  dweight = sum(g z),  dbias = sum(g)
"""

from __future__ import annotations

from typing import Any


def in_frame(tensor: Any, frame: Any) -> Any:
    """The input, or a tensor of its shape, in the frame's common shape."""
    return tensor.reshape(frame.shape) if frame.split else tensor


def parameter_shape(frame: Any) -> list[int]:
    """The common shape with ones where a weight does not lie along."""
    return [size if d in frame.weight else 1 for d, size in enumerate(frame.shape)]


def by_parameter(total: Any, frame: Any, like: Any) -> Any:
    """The sum over what a parameter does not lie along, in the parameter's shape."""
    dims = [d for d in range(len(frame.shape)) if d not in frame.weight]
    return (total.sum(dims) if dims else total).reshape(like)


def by_algebra(needed: Any, grads: Any, input: Any, weight: Any, frame: Any, eps: float) -> Any:
    """By input, weight and bias, from the gradients of output, mean and scale (any may be None)."""
    g, by_mean, by_scale = grads
    x, dims = in_frame(input, frame), list(frame.along)
    deviation = x - x.mean(dims, True)
    scale = ((deviation * deviation).mean(dims, True) + eps).rsqrt()
    standard = deviation * scale
    result = slope = shift = None
    size = 1
    for d in dims:
        size *= frame.shape[d]
    if g is not None:
        g = in_frame(g, frame)
        like = [size for d, size in enumerate(frame.shape) if d in frame.weight]
        like = [like[0] * like[1], *like[2:]] if frame.split else like
        if needed[1]:
            slope = by_parameter(g * standard, frame, like)
        if needed[2]:
            shift = by_parameter(g, frame, like)
        if needed[0]:
            h = g if weight is None else g * weight.reshape(parameter_shape(frame))
            projected = standard * (h * standard).mean(dims, True)
            result = scale * (h - h.mean(dims, True) - projected)
    parts = [n for d, n in enumerate(frame.shape) if d in frame.rows]
    kept = [n if d in frame.rows else 1 for d, n in enumerate(frame.shape)]
    for grad, direction in ((by_mean, None), (by_scale, -scale * scale * standard)):
        if grad is not None and needed[0]:
            each = grad.reshape(parts).reshape(kept) / size
            term = each.expand(frame.shape) if direction is None else each * direction
            result = term if result is None else result + term
    return None if result is None else result.reshape(input.shape), slope, shift


def root_mean_square_by_algebra(
    needed: Any, g: Any, input: Any, weight: Any, count: int, eps: float
) -> Any:
    """By input and weight: dx = s (h - z mean(h z)) with s = 1 / sqrt(mean square + eps)."""
    dims = list(range(-count, 0))
    scale = ((input * input).mean(dims, True) + eps).rsqrt()
    standard = input * scale
    h = g if weight is None else g * weight
    result = scale * (h - standard * (h * standard).mean(dims, True)) if needed[0] else None
    rest = list(range(input.ndim - count))
    slope = g * standard if needed[1] else None
    return result, slope.sum(rest) if slope is not None and rest else slope

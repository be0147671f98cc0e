"""Convolution on NumPy arrays, in a form that is plainly right: the windows as a matrix (im2col;
Chellapilla, Puri and Simard, 2006).

It serves the dtypes that have no native kernel (integers, complex numbers), and is what tests
compare the native kernels with:

    forward(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

Sizes = Sequence[int]
WHOLE = (slice(None), slice(None))


def window_view(
    numpy: Any, x: Any, kernel: Sizes, stride: Sizes, dilation: Sizes, counts: Sizes
) -> Any:
    """All windows of x (batch, channels, *space) as a view (batch, channels, *kernel,
    *positions).
    """
    base = x.strides
    steps = [s * d for s, d in zip(base[2:], dilation, strict=True)]
    moves = [s * t for s, t in zip(base[2:], stride, strict=True)]
    shape = (*x.shape[:2], *kernel, *counts)
    return numpy.lib.stride_tricks.as_strided(
        x, shape, (*base[:2], *steps, *moves), writeable=False
    )


def padded(numpy: Any, x: Any, padding: Sizes) -> Any:
    """x with zeros around its spatial dimensions."""
    if not any(padding):
        return numpy.ascontiguousarray(x)
    return numpy.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])


def positions(
    space: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[int, ...]:
    """Number of window positions along each dimension."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True)
    )


def columns(
    numpy: Any,
    x: Any,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    counts: Sizes,
) -> Any:
    """The windows as matrices (groups, channels per group * kernel, batch * positions)."""
    views = window_view(numpy, padded(numpy, x, padding), kernel, stride, dilation, counts)
    batch, channels = x.shape[:2]
    d = len(kernel)
    grouped = (
        views.reshape(batch, groups, channels // groups, *kernel, *counts)
        if groups == 1
        else split_groups(numpy, views, groups)
    )
    order = (1, 2, *range(3, 3 + d), 0, *range(3 + d, 3 + 2 * d))
    return grouped.transpose(order).reshape(
        groups, channels // groups * prod(kernel), batch * prod(counts)
    )


def split_groups(numpy: Any, views: Any, groups: int) -> Any:
    """The channel dimension as (groups, channels per group), still a view."""
    batch, channels, *rest = views.shape
    s = views.strides
    return numpy.lib.stride_tricks.as_strided(
        views,
        (batch, groups, channels // groups, *rest),
        (s[0], s[1] * (channels // groups), *s[1:]),
        writeable=False,
    )


def spread(
    numpy: Any,
    cols: Any,
    shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    counts: Sizes,
) -> Any:
    """The transpose of `columns`: every window's values added into an array of `shape`."""
    batch, channels, *space = shape
    full = numpy.zeros(
        (batch, channels, *(n + 2 * p for n, p in zip(space, padding, strict=True))), cols.dtype
    )
    values = cols.reshape(channels, *kernel, batch, *counts)
    for offset in numpy.ndindex(*kernel):
        where = tuple(
            slice(o * d, o * d + s * (c - 1) + 1, s) if c else slice(0, 0)
            for o, d, s, c in zip(offset, dilation, stride, counts, strict=True)
        )
        full[WHOLE + where] += numpy.moveaxis(values[WHOLE[:1] + offset], 1, 0)
    inner = tuple(slice(p, p + n) for p, n in zip(padding, space, strict=True))
    return full[WHOLE + inner]


def forward(x: Any, w: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """Plain convolution of arrays."""
    import numpy

    kernel = w.shape[2:]
    counts = positions(x.shape[2:], kernel, stride, padding, dilation)
    cols = columns(numpy, x, kernel, stride, padding, dilation, groups, counts)
    y = w.reshape(groups, w.shape[0] // groups, -1) @ cols
    return numpy.moveaxis(y.reshape(w.shape[0], x.shape[0], *counts), 1, 0)


def transposed_forward(
    x: Any, w: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, extra: Sizes
) -> Any:
    """Transposed convolution of arrays; weight (in, out per group, *kernel)."""
    import numpy

    kernel, counts = w.shape[2:], x.shape[2:]
    space = [
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, s, p, d, k, o in zip(counts, stride, padding, dilation, kernel, extra, strict=True)
    ]
    channels = w.shape[1] * groups
    rows = numpy.moveaxis(x, 1, 0).reshape(groups, w.shape[0] // groups, -1)
    cols = w.reshape(groups, w.shape[0] // groups, -1).transpose(0, 2, 1) @ rows
    return spread(
        numpy, cols, (x.shape[0], channels, *space), kernel, stride, padding, dilation, counts
    )


def weight_forward(
    x: Any, g: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    """sum over batch and positions of g * window(x): (channels of g, channels of x per group,
    *kernel).
    """
    import numpy

    counts = g.shape[2:]
    cols = columns(numpy, x, kernel, stride, padding, dilation, groups, counts)
    rows = numpy.moveaxis(g, 1, 0).reshape(groups, g.shape[1] // groups, -1)
    return (rows @ cols.transpose(0, 2, 1)).reshape(g.shape[1], x.shape[1] // groups, *kernel)

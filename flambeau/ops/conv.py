"""Convolution in any number of dimensions, its transpose, and the gradients of both: three linear
ops that are each other's derivatives, so gradients of any order follow from two rules each.

    convolution          y = sum over the window of x * w; transposed: x spread over windows by w
    convolution_weight   the gradient of the weight: products of x and g summed over batch and
                         positions

The work is one matrix product per group on unrolled windows (im2col; Chellapilla, Puri and Simard,
2006). Called through `flambeau.ops.nn.convolution` by nn.functional.conv.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flambeau.core import errors
from flambeau.ops.kinds import structured

Sizes = Sequence[int]
WHOLE = (slice(None), slice(None))  # every item of the batch, every channel


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


def leftover(
    space: Sizes, result: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[int, ...]:
    """The output_padding with which a transposed convolution
    of `result` gives back exactly `space`.
    """
    return tuple(
        n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
        for n, m, k, s, p, d in zip(space, result, kernel, stride, padding, dilation, strict=True)
    )


def input_gradient(
    g: Any,
    input_like: Any,
    weight: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    groups: int,
) -> Any:
    """The gradient of the input: the transposed operation with the same weight."""
    if transposed:
        full = convolution.call(
            g, weight.conj(), None, stride, padding, dilation, False, (0,) * len(stride), groups
        )
        # an output padding of a stride or more adds windows that saw no input
        for d in range(2, full.ndim):
            full = full.narrow(d, 0, input_like.shape[d])
        return full
    extra = leftover(input_like.shape[2:], g.shape[2:], weight.shape[2:], stride, padding, dilation)
    return convolution.call(g, weight.conj(), None, stride, padding, dilation, True, extra, groups)


def weight_gradient(
    g: Any,
    input: Any,
    weight_like: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    groups: int,
) -> Any:
    """The gradient of the weight; transposed convolution has the roles of input
    and gradient exchanged.
    """
    kernel = tuple(weight_like.shape[2:])
    if transposed:
        return convolution_weight.call(g, input.conj(), kernel, stride, padding, dilation, groups)
    return convolution_weight.call(input.conj(), g, kernel, stride, padding, dilation, groups)


def sum_over_space(g: Any) -> Any:
    """The gradient of the bias."""
    return g.sum((0, *range(2, g.ndim)))


@structured(
    public=None, methods=(), node="ConvolutionBackward",
    grad={"input": input_gradient, "weight": weight_gradient, "bias": lambda g: sum_over_space(g)},
)  # fmt: skip
def convolution(
    call, input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
):
    """Convolution, or transposed convolution, of (batch, channels, *space)."""
    x, w = input._spec, weight._spec
    if x.dtype is not w.dtype or bias is not None and bias._spec.dtype is not x.dtype:
        raise RuntimeError(
            (
                f"Input type ({x.dtype.c_name}) and bias type ({bias._spec.dtype.c_name}) "
                "should be "
                "the same"
            )
            if x.dtype is w.dtype and bias is not None
            else f"expected scalar type {x.dtype.scalar_name} but found {w.dtype.scalar_name}"
        )
    kernel = w.shape[2:]
    if transposed:
        channels = w.shape[1] * groups
        space = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, s, p, d, k, o in zip(
                x.shape[2:], stride, padding, dilation, kernel, output_padding, strict=True
            )
        )
    else:
        channels, space = w.shape[0], positions(x.shape[2:], kernel, stride, padding, dilation)
    if any(n < 0 for n in space):
        raise errors.InternalError(
            f"convolution of {tuple(x.shape)} with {tuple(w.shape)} has no result"
        )
    wide = "float32" if x.dtype.itemsize < 4 and x.dtype.is_floating_point else x.dtype.numpy_name

    def run(x_array: Any, w_array: Any, b_array: Any = None) -> Any:
        x_array, w_array = x_array.astype(wide, copy=False), w_array.astype(wide, copy=False)
        if transposed:
            y = transposed_forward(
                x_array, w_array, stride, padding, dilation, groups, output_padding
            )
        else:
            y = forward(x_array, w_array, stride, padding, dilation, groups)
        return y if b_array is None else y + b_array.reshape(1, -1, *(1,) * len(kernel))

    names = ("input", "weight") if bias is None else ("input", "weight", "bias")
    return call.numpy(names, [x.like((x.shape[0], channels, *space))], run)


def weight_input_gradient(
    g: Any, input_like: Any, other: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    """convolution_weight is linear in both operands;
    by its input it is a transposed convolution with g as weight.
    """
    extra = leftover(input_like.shape[2:], other.shape[2:], g.shape[2:], stride, padding, dilation)
    return convolution.call(other, g.conj(), None, stride, padding, dilation, True, extra, groups)


def weight_other_gradient(
    g: Any, input: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    """By its second operand it is a plain convolution of the input with g as weight."""
    return convolution.call(
        input.conj(), g, None, stride, padding, dilation, False, (0,) * len(stride), groups
    )


@structured(
    public=None, methods=(), node="ConvolutionBackwardBackward",
    grad={"input": weight_input_gradient, "other": weight_other_gradient},
)  # fmt: skip
def convolution_weight(call, input, other, kernel, stride, padding, dilation, groups):
    """Products of every window of `input` with `other`, summed over batch and positions."""
    x, g = input._spec, other._spec
    wide = "float32" if x.dtype.itemsize < 4 and x.dtype.is_floating_point else x.dtype.numpy_name

    def run(x_array: Any, g_array: Any) -> Any:
        return weight_forward(
            x_array.astype(wide, copy=False),
            g_array.astype(wide, copy=False),
            kernel,
            stride,
            padding,
            dilation,
            groups,
        )

    return call.numpy(
        ("input", "other"), [x.like((g.shape[1], x.shape[1] // groups, *kernel))], run
    )

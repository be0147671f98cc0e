"""Pooling: maximum with indices, average, and their adaptive forms, in one, two or three
dimensions.

Windows are views on the padded input; gradients go back through gather and scatter (maximum) or
through the transposed average. Called through `flambeau.ops.nn` by nn.functional.pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.ops.kernels.conv_arrays import window_view
from flambeau.ops.kinds import structured

Sizes = Sequence[int]
WHOLE = (slice(None), slice(None))  # every item of the batch, every channel


def pooled_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Number of windows along a dimension; the last one must begin inside the input or its left
    padding.
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def pooled_shape(
    space: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[int, ...]:
    """Windows along each dimension."""
    return tuple(
        pooled_size(*a, ceil_mode)
        for a in zip(space, kernel, stride, padding, dilation, strict=True)
    )


def fill_around(
    numpy: Any,
    x: Any,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    counts: Sizes,
    value: Any,
) -> Any:
    """x with `value` around it, enough for every window."""
    widths = [(0, 0), (0, 0)]
    for n, k, s, p, d, c in zip(
        x.shape[2:], kernel, stride, padding, dilation, counts, strict=True
    ):
        widths.append((p, max(0, (c - 1) * s + d * (k - 1) + 1 - n - p)))
    return numpy.pad(x, widths, constant_values=value)


def max_windows(
    x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, counts: Sizes
) -> tuple[Any, Any]:
    """(maxima, flat indices into the input's space) of all windows; NaN counts as greatest."""
    import numpy

    d = len(kernel)
    low = -numpy.inf if x.dtype.kind == "f" else numpy.iinfo(x.dtype).min
    windows = window_view(
        numpy,
        fill_around(numpy, x, kernel, stride, padding, dilation, counts, low),
        kernel,
        stride,
        dilation,
        counts,
    )
    flat = numpy.moveaxis(windows.reshape(*x.shape[:2], prod(kernel), *counts), 2, -1)
    outside = numpy.zeros((1, 1, *x.shape[2:]), bool)
    outside = fill_around(numpy, outside, kernel, stride, padding, dilation, counts, True)
    hidden = numpy.moveaxis(
        window_view(numpy, outside, kernel, stride, dilation, counts).reshape(
            1, 1, prod(kernel), *counts
        ),
        2,
        -1,
    )
    if hidden.any():  # where all inside is -inf, a place outside must not win
        key = (
            numpy.where(hidden, -1, numpy.where(flat == low, 0, 1))
            if x.dtype.kind == "f"
            else numpy.where(hidden, -1, 1)
        )
        best = numpy.where((flat == low).all(-1), key.argmax(-1), flat.argmax(-1))
    else:
        best = flat.argmax(-1)
    values = numpy.take_along_axis(flat, best[..., None], -1)[..., 0]
    offsets = numpy.unravel_index(best, tuple(kernel))
    index = numpy.zeros(best.shape, numpy.int64)
    for axis in range(d):
        start = (
            numpy.arange(counts[axis]).reshape([-1 if a == axis else 1 for a in range(d)])
            * stride[axis]
            - padding[axis]
        )
        index = index * x.shape[2 + axis] + (start + offsets[axis] * dilation[axis])
    return values, index


def put_back(g: Any, indices: Any, input_like: Any) -> Any:
    """The gradient of maxima at the places that they came from."""
    flat = g.new_zeros((*input_like.shape[:2], prod(input_like.shape[2:])))
    return flat.scatter_add(2, indices.flatten(2), g.flatten(2)).view(input_like.shape)


@structured(
    public=None,
    methods=(),
    node="MaxPool2DWithIndicesBackward",
    grad={"input": lambda g0, y1, input_like: put_back(g0, y1, input_like)},
)
def max_pool_with_indices(call, input, kernel, stride, padding, dilation, ceil_mode):
    """The greatest element of every window, and where it lies."""
    x = input._spec
    counts = pooled_shape(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    shape = (*x.shape[:2], *counts)
    plan = call.numpy(
        ("input",), [x.like(shape), x.like(shape, dtype=dtypes.int64)],
        lambda array: max_windows(array, kernel, stride, padding, dilation, counts),
    )  # fmt: skip
    plan.node_name = {
        1: "MaxPool2DWithIndicesBackward0",
        2: "MaxPool2DWithIndicesBackward0",
        3: "MaxPool3DWithIndicesBackward0",
    }[len(kernel)]
    return plan


def divisors(
    numpy: Any,
    space: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    counts: Sizes,
    include: bool,
    override: Any,
) -> Any:
    """What each window's sum is divided by."""
    if override is not None:
        return numpy.full(tuple(counts), override, numpy.float64)
    total = numpy.ones(tuple(counts), numpy.float64)
    for axis, (n, k, s, p, c) in enumerate(
        zip(space, kernel, stride, padding, counts, strict=True)
    ):
        start = numpy.arange(c) * s - p
        stop = numpy.minimum(start + k, n + p)
        if not include:
            start, stop = numpy.maximum(start, 0), numpy.minimum(stop, n)
        total = total * (stop - start).reshape([-1 if a == axis else 1 for a in range(len(counts))])
    return total


@structured(
    public=None,
    methods=(),
    node="AvgPool2DBackward",
    grad=lambda g, input_like, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: (  # noqa: E501
        average_back.call(
            g,
            tuple(input_like.shape),
            kernel,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )
    ),
)
def avg_pool(call, input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """The mean of every window."""
    x = input._spec
    ones = (1,) * len(kernel)
    counts = pooled_shape(x.shape[2:], kernel, stride, padding, ones, ceil_mode)

    def run(array: Any) -> Any:
        import numpy

        around = fill_around(numpy, array, kernel, stride, padding, ones, counts, 0)
        windows = window_view(numpy, around, kernel, stride, ones, counts)
        wide = (
            numpy.float64 if array.dtype.kind in "iu" or array.dtype.itemsize < 4 else array.dtype
        )
        sums = windows.sum(tuple(range(2, 2 + len(kernel))), dtype=wide)
        return sums / divisors(
            numpy,
            array.shape[2:],
            kernel,
            stride,
            padding,
            counts,
            count_include_pad,
            divisor_override,
        ).astype(wide)

    plan = call.numpy(("input",), [x.like((*x.shape[:2], *counts))], run)
    plan.node_name = {1: "SqueezeBackward1", 2: "AvgPool2DBackward0", 3: "AvgPool3DBackward0"}[
        len(kernel)
    ]
    return plan


@structured(
    public=None,
    methods=(),
    node="AvgPool2DBackwardBackward",
    grad=lambda g, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        avg_pool.call(g, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    ),
)
def average_back(
    call, input, shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
):
    """The transpose of `avg_pool`: each window's value shared out over its places."""
    counts = tuple(input._spec.shape[2:])

    def run(array: Any) -> Any:
        import numpy

        space, shares = (
            shape[2:],
            array
            / divisors(
                numpy,
                shape[2:],
                kernel,
                stride,
                padding,
                counts,
                count_include_pad,
                divisor_override,
            ),
        )
        wide = [
            max(n + 2 * p, (c - 1) * s + k)
            for n, p, c, s, k in zip(space, padding, counts, stride, kernel, strict=True)
        ]
        full = numpy.zeros((*shape[:2], *wide), shares.dtype)
        for offset in numpy.ndindex(*kernel):
            where = tuple(
                slice(o, o + s * (c - 1) + 1, s)
                for o, s, c in zip(offset, stride, counts, strict=True)
            )
            full[WHOLE + where] += shares
        return full[WHOLE + tuple(slice(p, p + n) for p, n in zip(padding, space, strict=True))]

    return call.numpy(("input",), [input._spec.like(tuple(shape))], run)


def bins(size: int, count: int) -> list[tuple[int, int]]:
    """The (start, stop) of adaptive windows: floor(i n / m) to ceil((i + 1) n / m)."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def averaging(numpy: Any, size: int, count: int) -> Any:
    """The matrix (count, size) that averages adaptive windows along one dimension."""
    matrix = numpy.zeros((count, size))
    for i, (start, stop) in enumerate(bins(size, count)):
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def along(numpy: Any, array: Any, matrices: Sequence[Any]) -> Any:
    """Applies one matrix to each spatial dimension."""
    wide = numpy.float64 if array.dtype.itemsize == 8 else numpy.float32
    for axis, matrix in enumerate(matrices):
        array = numpy.moveaxis(
            numpy.tensordot(array.astype(wide, copy=False), matrix.astype(wide), (2 + axis, 1)),
            -1,
            2 + axis,
        )
    return array


@structured(
    public=None,
    methods=(),
    grad=lambda g, input_like: adaptive_back.call(g, tuple(input_like.shape[2:])),
)
def adaptive_avg_pool(call, input, sizes):
    """Averages of windows that divide the input evenly into `sizes`."""
    x = input._spec

    def run(array: Any) -> Any:
        import numpy

        return along(
            numpy, array, [averaging(numpy, n, m) for n, m in zip(x.shape[2:], sizes, strict=True)]
        )

    plan = call.numpy(("input",), [x.like((*x.shape[:2], *sizes))], run)
    whole = all(m == 1 for m in sizes)
    plan.node_name = {
        1: "SqueezeBackward1",
        2: "MeanBackward1" if whole else "AdaptiveAvgPool2DBackward0",
        3: "AdaptiveAvgPool3DBackward0",
    }[len(sizes)]
    return plan


@structured(
    public=None,
    methods=(),
    grad=lambda g, input_like: adaptive_avg_pool.call(g, tuple(input_like.shape[2:])),
)
def adaptive_back(call, input, sizes):
    """The transpose of `adaptive_avg_pool`."""
    x = input._spec

    def run(array: Any) -> Any:
        import numpy

        return along(
            numpy,
            array,
            [averaging(numpy, n, m).T for m, n in zip(x.shape[2:], sizes, strict=True)],
        )

    return call.numpy(("input",), [x.like((*x.shape[:2], *sizes))], run)


@structured(
    public=None, methods=(), grad={"input": lambda g0, y1, input_like: put_back(g0, y1, input_like)}
)
def adaptive_max_pool_with_indices(call, input, sizes):
    """The greatest element of windows that divide the input evenly into `sizes`,
    and where it lies.
    """
    x = input._spec
    space = x.shape[2:]

    def run(array: Any) -> Any:
        import numpy

        places = numpy.arange(prod(space)).reshape(tuple(space))
        values, index = (
            numpy.empty((*x.shape[:2], *sizes), array.dtype),
            numpy.empty((*x.shape[:2], *sizes), numpy.int64),
        )
        spans = [bins(n, m) for n, m in zip(space, sizes, strict=True)]
        for at in numpy.ndindex(*sizes):
            window = tuple(slice(*spans[axis][i]) for axis, i in enumerate(at))
            flat = array[WHOLE + window].reshape(*x.shape[:2], -1)
            best = flat.argmax(-1)
            values[WHOLE + at] = numpy.take_along_axis(flat, best[..., None], -1)[..., 0]
            index[WHOLE + at] = places[window].reshape(-1)[best]
        return values, index

    shape = (*x.shape[:2], *sizes)
    plan = call.numpy(("input",), [x.like(shape), x.like(shape, dtype=dtypes.int64)], run)
    plan.node_name = {
        1: "SqueezeBackward1",
        2: "AdaptiveMaxPool2DBackward0",
        3: "AdaptiveMaxPool3DBackward0",
    }[len(sizes)]
    return plan

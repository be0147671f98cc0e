"""Adaptive pooling in native code: windows that divide a plane evenly, so their sizes may differ.

Window i of m over n elements goes from floor(i n / m) to ceil((i + 1) n / m). Where m divides n the
kernels of ops.kernels.pooling serve instead. One plane (image and channel) per item:

    plan.use_native(adaptive_address(adaptive_maximum, "float32"), params, items=planes, ...)
"""

from __future__ import annotations

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f32,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    void,
)  # fmt: skip
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_padding import narrow, steps_of, widen
from flambeau.ops.kernels.pooling import ELEMENTS, lowest, triple

X, C, XP, CP, BFLOAT = f32, f32, pointer(f32), pointer(f32), False  # replaced by `Unit`
LOWEST, FLOATING = float("-inf"), True

# words of the parameters: strides in elements, sizes of (slices, rows, columns)
(
    CHANNELS, X_IMAGE, X_CHANNEL, X_SLICE, X_ROW, X_COLUMN, Y_IMAGE, Y_CHANNEL, Y_SLICE, Y_ROW,
    Y_COLUMN, IN_SLICES, IN_ROWS, IN_COLUMNS, OUT_SLICES, OUT_ROWS, OUT_COLUMNS,
) = range(17)  # fmt: skip


@native
def begin_of(params: i64p, axis: i64, index: i64) -> i64:
    """Where a window begins."""
    return index * params[IN_SLICES + axis] // params[OUT_SLICES + axis]


@native
def end_of(params: i64p, axis: i64, index: i64) -> i64:
    """Where a window ends."""
    count = params[OUT_SLICES + axis]
    return ((index + 1) * params[IN_SLICES + axis] + count - 1) // count


@native
def window_sum(params: i64p, plane: XP, a: i64, b: i64, c: i64) -> C:
    """The sum of a window."""
    total = C(0)
    for d in range(begin_of(params, 0, a), end_of(params, 0, a)):
        for h in range(begin_of(params, 1, b), end_of(params, 1, b)):
            line = plane + (d * params[X_SLICE] + h * params[X_ROW])
            for w in range(begin_of(params, 2, c), end_of(params, 2, c)):
                total = total + widen(line[w * params[X_COLUMN]])
    return total


@native
def window_size(params: i64p, a: i64, b: i64, c: i64) -> C:
    """The number of elements of a window."""
    number = (end_of(params, 0, a) - begin_of(params, 0, a)) * (
        end_of(params, 1, b) - begin_of(params, 1, b)
    )
    return C(number * (end_of(params, 2, c) - begin_of(params, 2, c)))


@native
def adaptive_average(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the mean of every window. Buffers: input, result."""
    for item in range(start, stop):
        image, channel = item // params[CHANNELS], item % params[CHANNELS]
        x: XP = buffers[0]
        y: XP = buffers[1]
        x = x + (image * params[X_IMAGE] + channel * params[X_CHANNEL])
        y = y + (image * params[Y_IMAGE] + channel * params[Y_CHANNEL])
        for a in range(params[OUT_SLICES]):
            for b in range(params[OUT_ROWS]):
                for c in range(params[OUT_COLUMNS]):
                    mean = window_sum(params, x, a, b, c) / window_size(params, a, b, c)
                    y[a * params[Y_SLICE] + b * params[Y_ROW] + c * params[Y_COLUMN]] = narrow(mean)


@native
def adaptive_spread(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: each window's share added to its elements. Buffers: gradient of the means (strides
    Y), result (strides X).
    """
    for item in range(start, stop):
        image, channel = item // params[CHANNELS], item % params[CHANNELS]
        x: XP = buffers[1]
        g: XP = buffers[0]
        x = x + (image * params[X_IMAGE] + channel * params[X_CHANNEL])
        g = g + (image * params[Y_IMAGE] + channel * params[Y_CHANNEL])
        for d in range(params[IN_SLICES]):
            for h in range(params[IN_ROWS]):
                for w in range(params[IN_COLUMNS]):
                    x[d * params[X_SLICE] + h * params[X_ROW] + w * params[X_COLUMN]] = narrow(C(0))
        for a in range(params[OUT_SLICES]):
            for b in range(params[OUT_ROWS]):
                for c in range(params[OUT_COLUMNS]):
                    value = g[a * params[Y_SLICE] + b * params[Y_ROW] + c * params[Y_COLUMN]]
                    share_window(params, x, widen(value) / window_size(params, a, b, c), a, b, c)


@native
def share_window(params: i64p, plane: XP, share: C, a: i64, b: i64, c: i64) -> void:
    """Adds a share to every element of a window."""
    for d in range(begin_of(params, 0, a), end_of(params, 0, a)):
        for h in range(begin_of(params, 1, b), end_of(params, 1, b)):
            line = plane + (d * params[X_SLICE] + h * params[X_ROW])
            for w in range(begin_of(params, 2, c), end_of(params, 2, c)):
                place = w * params[X_COLUMN]
                line[place] = narrow(widen(line[place]) + share)


@native
def adaptive_maximum(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the greatest element of every window, and its place in the plane."""
    for item in range(start, stop):
        image, channel = item // params[CHANNELS], item % params[CHANNELS]
        x: XP = buffers[0]
        y: XP = buffers[1]
        places: i64p = buffers[2]
        x = x + (image * params[X_IMAGE] + channel * params[X_CHANNEL])
        offset = image * params[Y_IMAGE] + channel * params[Y_CHANNEL]
        for a in range(params[OUT_SLICES]):
            for b in range(params[OUT_ROWS]):
                for c in range(params[OUT_COLUMNS]):
                    best, where = C(LOWEST), i64(-1)
                    for d in range(begin_of(params, 0, a), end_of(params, 0, a)):
                        for h in range(begin_of(params, 1, b), end_of(params, 1, b)):
                            line = x + (d * params[X_SLICE] + h * params[X_ROW])
                            for w in range(begin_of(params, 2, c), end_of(params, 2, c)):
                                value = widen(line[w * params[X_COLUMN]])
                                takes = (value > best) | (where < 0)
                                if FLOATING:
                                    takes = takes | (value != value)
                                if takes:
                                    best = value
                                    where = (d * params[IN_ROWS] + h) * params[IN_COLUMNS] + w
                    target = offset + a * params[Y_SLICE] + b * params[Y_ROW] + c * params[Y_COLUMN]
                    y[target] = narrow(best)
                    places[target] = where


def adaptive_address(kernel: NativeFunction, dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    element, compute = ELEMENTS[dtype]
    unit = Unit(
        f"{kernel.name}_{dtype}", [kernel], X=element, C=compute, XP=pointer(element),
        CP=pointer(compute), BFLOAT=dtype == "bfloat16", LOWEST=lowest(dtype),
        FLOATING="float" in dtype,
    )  # fmt: skip
    symbol = unit.symbol(kernel)
    return load("pool-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def adaptive_params(x: Spec, y: Spec) -> list[int]:
    """The parameters; x is the larger side, y the results'."""
    sizes = (*triple(x.shape[2:], 1), *triple(y.shape[2:], 1))
    return [x.shape[1], *steps_of(x), *steps_of(y), *sizes]

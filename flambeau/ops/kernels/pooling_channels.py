"""Pooling of images whose channels are neighbours in memory (channels last), in native code.

The loops are those of ops.kernels.pooling_maximum and pooling_average with the axes exchanged:
vectors run over channels, and WIDTH of them stay in registers while the taps of a window pass by.
One item of the parallel loop is a row of results, or some channels of an image where values are
added up. Called by ops.pool:

    address = channels_address(average_channels, "float32", channels=64)
    plan.use_native(address, pool_params(x, y, windows), items=rows, work=..., grain=...)
"""

from __future__ import annotations

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f32,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    stack,
    void,
)
from flambeau.ops.kernels.conv_padding import narrow, widen
from flambeau.ops.kernels.pooling import (
    CHANNELS,
    DIVISOR,
    ELEMENTS,
    IN_COLUMNS,
    IN_ROWS,
    IN_SLICES,
    OUT_COLUMNS,
    OUT_ROWS,
    OUT_SLICES,
    REACH_SLICE,
    X_COLUMN,
    X_IMAGE,
    X_ROW,
    X_SLICE,
    Y_CHANNEL,
    Y_COLUMN,
    Y_IMAGE,
    Y_ROW,
    Y_SLICE,
    lesser,
    lowest,
    window_count,
    window_first,
)
from flambeau.ops.kernels.pooling_average import extent_of

X, C, XP, CP, LOWEST = f32, f32, pointer(f32), pointer(f32), float("-inf")  # replaced by `Unit`
FLOATING, PLACES, WIDTH = True, True, 64
TOGETHER = 64  # channels of an item where values are added up
# words of what a window sees along an axis: its first place, the taps between two bounds that lie
# inside the image, and the distance between taps
FIRST, BEGIN, END, STEP, AXIS_WORDS = range(5)


@native
def find_taps(params: i64p, axis: i64, index: i64, seen: i64p) -> void:
    """Which taps of a window lie inside the image along an axis."""
    first, count = window_first(params, axis, index), window_count(params, axis, index)
    step, begin = params[REACH_SLICE + axis], i64(0)
    while begin < count and first + begin * step < 0:
        begin += 1
    while count > begin and first + (count - 1) * step >= params[IN_SLICES + axis]:
        count -= 1
    word = seen + axis * AXIS_WORDS
    word[FIRST], word[BEGIN], word[END], word[STEP] = first, begin, count, step


@native
def place_of(seen: i64p, axis: i64, tap: i64) -> i64:
    """Where a tap lies along an axis."""
    return seen[axis * AXIS_WORDS + FIRST] + tap * seen[axis * AXIS_WORDS + STEP]


@native
def taps_of(seen: i64p, axis: i64) -> i64:
    """The end of the taps along an axis."""
    return seen[axis * AXIS_WORDS + END]


@native
def greatest_channels(params: i64p, image: XP, y: XP, places: i64p, seen: i64p) -> void:
    """The greatest element of a window in WIDTH channels, and its place."""
    best, place = stack(C, WIDTH), stack(i32, WIDTH)
    width = params[IN_COLUMNS]
    first = place_of(seen, 0, seen[BEGIN]) * params[IN_ROWS] + place_of(seen, 1, seen[5])
    first = first * width + place_of(seen, 2, seen[2 * AXIS_WORDS + BEGIN])
    for j in range(WIDTH):
        best[j] = C(LOWEST)
        if PLACES:
            place[j] = i32(first)
    for a in range(seen[BEGIN], taps_of(seen, 0)):
        d = place_of(seen, 0, a)
        for b in range(seen[AXIS_WORDS + BEGIN], taps_of(seen, 1)):
            h = place_of(seen, 1, b)
            row = image + (d * params[X_SLICE] + h * params[X_ROW])
            for c in range(seen[2 * AXIS_WORDS + BEGIN], taps_of(seen, 2)):
                w = place_of(seen, 2, c)
                source, where = (
                    row + w * params[X_COLUMN],
                    i32((d * params[IN_ROWS] + h) * width + w),
                )
                for j in range(WIDTH):
                    value = widen(source[j])
                    takes = value > best[j]
                    if FLOATING:
                        takes = takes | (value != value)
                    best[j] = value if takes else best[j]
                    if PLACES:
                        place[j] = where if takes else place[j]
    for j in range(WIDTH):
        y[j] = narrow(best[j])
    if PLACES:
        for j in range(WIDTH):
            places[j] = i64(place[j])


@native
def maximum_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the greatest element of every window. Buffers: input, values, places if wanted."""
    seen = stack(i64, 3 * AXIS_WORDS)
    channels = params[CHANNELS]
    for item in range(start, stop):
        row, rest = item % params[OUT_ROWS], item // params[OUT_ROWS]
        slice, picture = rest % params[OUT_SLICES], rest // params[OUT_SLICES]
        find_taps(params, 0, slice, seen)
        find_taps(params, 1, row, seen)
        image: XP = buffers[0]
        image = image + picture * params[X_IMAGE]
        offset = picture * params[Y_IMAGE] + slice * params[Y_SLICE] + row * params[Y_ROW]
        for column in range(params[OUT_COLUMNS]):
            find_taps(params, 2, column, seen)
            for c in range(0, channels, WIDTH):
                channel = lesser(c, channels - WIDTH)  # the last ones may be done twice
                target = offset + column * params[Y_COLUMN] + channel
                y: XP = buffers[1]
                places: i64p = buffers[2 if PLACES else 1]
                greatest_channels(params, image + channel, y + target, places + target, seen)


@native
def mean_channels(params: i64p, image: XP, y: XP, seen: i64p, number: i64) -> void:
    """The sum of a window in WIDTH channels, divided by `number`."""
    sums = stack(C, WIDTH)
    for j in range(WIDTH):
        sums[j] = C(0)
    for a in range(seen[BEGIN], taps_of(seen, 0)):
        for b in range(seen[AXIS_WORDS + BEGIN], taps_of(seen, 1)):
            row = image + place_of(seen, 0, a) * params[X_SLICE]
            row = row + place_of(seen, 1, b) * params[X_ROW]
            for c in range(seen[2 * AXIS_WORDS + BEGIN], taps_of(seen, 2)):
                source = row + place_of(seen, 2, c) * params[X_COLUMN]
                for j in range(WIDTH):
                    sums[j] = sums[j] + widen(source[j])
    for j in range(WIDTH):
        if FLOATING:
            y[j] = narrow(sums[j] / C(number))
        else:
            y[j] = narrow(C(i64(sums[j]) // number))


@native
def number_of(params: i64p, slice: i64, row: i64, column: i64) -> i64:
    """What the sum of a window is divided by."""
    if params[DIVISOR] != 0:
        return params[DIVISOR]
    rows = extent_of(params, 0, slice) * extent_of(params, 1, row)
    return rows * extent_of(params, 2, column)


@native
def average_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the mean of every window. Buffers: input, result."""
    seen = stack(i64, 3 * AXIS_WORDS)
    channels = params[CHANNELS]
    for item in range(start, stop):
        row, rest = item % params[OUT_ROWS], item // params[OUT_ROWS]
        slice, picture = rest % params[OUT_SLICES], rest // params[OUT_SLICES]
        find_taps(params, 0, slice, seen)
        find_taps(params, 1, row, seen)
        image: XP = buffers[0]
        image = image + picture * params[X_IMAGE]
        y: XP = buffers[1]
        y = y + (picture * params[Y_IMAGE] + slice * params[Y_SLICE] + row * params[Y_ROW])
        for column in range(params[OUT_COLUMNS]):
            find_taps(params, 2, column, seen)
            number = number_of(params, slice, row, column)
            for c in range(0, channels, WIDTH):
                channel = lesser(c, channels - WIDTH)
                target = y + (column * params[Y_COLUMN] + channel)
                mean_channels(params, image + channel, target, seen, number)


@native
def clear_channels(params: i64p, image: XP, count: i64) -> void:
    """Zeros in some channels of an image."""
    for d in range(params[IN_SLICES]):
        for h in range(params[IN_ROWS]):
            for w in range(params[IN_COLUMNS]):
                target = image + (d * params[X_SLICE] + h * params[X_ROW] + w * params[X_COLUMN])
                for j in range(count):
                    target[j] = narrow(C(0))


@native
def share_channels(params: i64p, image: XP, shares: CP, seen: i64p, count: i64) -> void:
    """Adds the shares of a window to its elements."""
    for a in range(seen[BEGIN], taps_of(seen, 0)):
        for b in range(seen[AXIS_WORDS + BEGIN], taps_of(seen, 1)):
            row = image + place_of(seen, 0, a) * params[X_SLICE]
            row = row + place_of(seen, 1, b) * params[X_ROW]
            for c in range(seen[2 * AXIS_WORDS + BEGIN], taps_of(seen, 2)):
                target = row + place_of(seen, 2, c) * params[X_COLUMN]
                for j in range(count):
                    target[j] = narrow(widen(target[j]) + shares[j])


@native
def spread_average_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: each window's share added to its elements. Buffers: gradient of the means (strides
    Y), result (strides X).
    """
    seen, shares = stack(i64, 3 * AXIS_WORDS), stack(C, TOGETHER)
    blocks = (params[CHANNELS] + TOGETHER - 1) // TOGETHER
    for item in range(start, stop):
        picture, channel = item // blocks, item % blocks * TOGETHER
        count = lesser(params[CHANNELS] - channel, TOGETHER)
        image: XP = buffers[1]
        image = image + (picture * params[X_IMAGE] + channel)
        clear_channels(params, image, count)
        for slice in range(params[OUT_SLICES]):
            find_taps(params, 0, slice, seen)
            for row in range(params[OUT_ROWS]):
                find_taps(params, 1, row, seen)
                g: XP = buffers[0]
                g = g + (picture * params[Y_IMAGE] + channel * params[Y_CHANNEL])
                g = g + (slice * params[Y_SLICE] + row * params[Y_ROW])
                for column in range(params[OUT_COLUMNS]):
                    find_taps(params, 2, column, seen)
                    number = C(number_of(params, slice, row, column))
                    if params[Y_CHANNEL] == 1:
                        for j in range(count):
                            shares[j] = widen(g[j]) / number
                    else:
                        for j in range(count):
                            shares[j] = widen(g[j * params[Y_CHANNEL]]) / number
                    share_channels(params, image, shares, seen, count)
                    g = g + params[Y_COLUMN]


@native
def spread_maximum_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: values added at the places that they came from. Buffers: values, places, result, all
    channels last; params: windows of an image, positions of the result's, channels.
    """
    inner, outer, channels = params[0], params[1], params[2]
    blocks = (channels + TOGETHER - 1) // TOGETHER
    for item in range(start, stop):
        picture, channel = item // blocks, item % blocks * TOGETHER
        count = lesser(channels - channel, TOGETHER)
        g: XP = buffers[0]
        places: i64p = buffers[1]
        target: XP = buffers[2]
        g, places = g + picture * inner * channels, places + picture * inner * channels
        target = target + (picture * outer * channels + channel)
        for i in range(outer):
            for j in range(count):
                target[i * channels + j] = narrow(C(0))
        for i in range(inner):
            here = i * channels + channel
            for j in range(count):
                where = places[here + j]
                if where >= 0 and where < outer:  # a window that saw nothing has no place
                    where = where * channels + j
                    target[where] = narrow(widen(target[where]) + widen(g[here + j]))


def channels_address(kernel: NativeFunction, dtype: str, channels: int, places: bool = True) -> int:
    """Machine code for elements of `dtype` and this many channels."""
    element, compute = ELEMENTS[dtype]
    width = 64 if channels >= 64 else 16 if channels >= 16 else channels
    code = Unit(
        f"{kernel.name}_{dtype}_{width}_{places:d}", [kernel], X=element, C=compute,
        XP=pointer(element), CP=pointer(compute), BFLOAT=dtype == "bfloat16",
        LOWEST=lowest(dtype), FLOATING="float" in dtype, PLACES=places, WIDTH=width,
    )  # fmt: skip
    symbol = code.symbol(kernel)
    return load("pool-" + code.key(), code.text_with_intrinsics, [symbol])[symbol]

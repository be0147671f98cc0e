"""Average pooling and its gradient in native code; ops.kernels.pooling says how.

The gradient goes the same way back: shares of a row of windows become a line of columns, which is
added to every row of the windows.
"""

from __future__ import annotations

from flambeau.codegen.native import f32, i64, i64p, native, pointer, ptrp, stack, void
from flambeau.ops.kernels.conv_padding import narrow, widen
from flambeau.ops.kernels.pooling import (
    ADAPTIVE,
    CHANNELS,
    CHUNK,
    DIVISOR,
    HALF,
    IN_COLUMNS,
    IN_ROWS,
    IN_SLICES,
    INCLUDE_PAD,
    OUT_COLUMNS,
    OUT_ROWS,
    OUT_SLICES,
    PAD_SLICE,
    STRIDE_COLUMN,
    X_CHANNEL,
    X_COLUMN,
    X_IMAGE,
    X_ROW,
    X_SLICE,
    Y_CHANNEL,
    Y_COLUMN,
    Y_IMAGE,
    Y_ROW,
    Y_SLICE,
    columns_together,
    halve,
    lesser,
    read_line,
    taps_together,
    whole_vectors,
    window_count,
    window_first,
    write_row,
)

X, C, XP, CP, FLOATING = f32, f32, pointer(f32), pointer(f32), True  # replaced by `Unit`
UNIT = False
ROW = HALF + HALF  # where in a line's memory the input row is kept


@native
def extent_of(params: i64p, axis: i64, index: i64) -> i64:
    """How many elements a window has along an axis; padding counts if it is to."""
    size, pad = params[IN_SLICES + axis], params[PAD_SLICE + axis]
    begin = window_first(params, axis, index)
    end = lesser(begin + window_count(params, axis, index), size + pad)
    if params[INCLUDE_PAD] == 0:
        begin, end = begin if begin > 0 else i64(0), lesser(end, size)
    return end - begin


@native
def divide_row(params: i64p, sums: CP, slice: i64, row: i64, column: i64, count: i64) -> void:
    """Sums of windows of a row divided by the number of their elements."""
    rows = extent_of(params, 0, slice) * extent_of(params, 1, row)
    last, whole = extent_of(params, 2, column + count - 1), extent_of(params, 2, column)
    number = params[DIVISOR] if params[DIVISOR] != 0 else rows * whole
    alike = params[DIVISOR] != 0 or params[ADAPTIVE] == 0 and last == whole and column > 0
    if params[PAD_SLICE + 2] == 0 and params[ADAPTIVE] == 0 and last == whole:
        alike = True
    if FLOATING:
        if alike:
            for i in range(count):
                sums[i] = sums[i] / C(number)
            return
    for i in range(count):
        number = params[DIVISOR]
        if number == 0:
            number = rows * extent_of(params, 2, column + i)
        if FLOATING:
            sums[i] = sums[i] / C(number)
        else:
            sums[i] = C(i64(sums[i]) // number)


@native
def sum_columns(
    params: i64p, plane: XP, line: CP, slice: i64, row: i64, first: i64, count: i64
) -> void:
    """For input columns from `first`: the sum of the windows' part of the column, 0 outside."""
    left = -first if first < 0 else i64(0)
    right = lesser(count, params[IN_COLUMNS] - first)
    for j in range(whole_vectors(count)):
        line[j] = C(0)
    if right <= left:
        return
    values, sums = line + ROW, line + left
    d0, h0 = window_first(params, 0, slice), window_first(params, 1, row)
    for d in range(d0, d0 + window_count(params, 0, slice)):
        for h in range(h0, h0 + window_count(params, 1, row)):
            if d >= 0 and d < params[IN_SLICES] and h >= 0 and h < params[IN_ROWS]:
                source = plane + (d * params[X_SLICE] + h * params[X_ROW])
                read_line(params, values, source + (first + left) * params[X_COLUMN], right - left)
                add_columns(sums, values, whole_vectors(right - left))
    for j in range(right - left, whole_vectors(right - left)):
        sums[j] = C(0)


@native
def add_columns(sums: CP, line: CP, count: i64) -> void:
    """Adds a line, whose length is a multiple of 16."""
    for i in range(0, count, 16):
        for j in range(i, i + 16):
            sums[j] = sums[j] + line[j]


@native
def sum_row(
    params: i64p, plane: XP, sums: CP, line: CP, slice: i64, row: i64, column: i64, count: i64
) -> void:
    """Sums of `count` windows of a row of results."""
    stride, padded = params[STRIDE_COLUMN], whole_vectors(count)
    for i in range(padded):
        sums[i] = C(0)
    first = window_first(params, 2, column)
    if params[ADAPTIVE] != 0 and count > 1:
        last = column + count - 1
        extent = window_first(params, 2, last) + window_count(params, 2, last) - first
        sum_columns(params, plane, line, slice, row, first, extent)
        for i in range(count):
            begin = window_first(params, 2, column + i) - first
            for j in range(begin, begin + window_count(params, 2, column + i)):
                sums[i] = sums[i] + line[j]
        return
    total, step = window_count(params, 2, column), taps_together(params, count)
    for tap in range(0, total, step):
        taps = lesser(total - tap, step)
        extent = (count - 1) * stride + taps
        sum_columns(params, plane, line, slice, row, first + tap, extent)
        if stride == 1:
            for c in range(taps):
                add_columns(sums, line + c, padded)
        elif stride == 2:
            even, odd = line + HALF, line + HALF + HALF // 2
            halve(line, even, odd, extent + 1)
            for c in range(taps):
                add_columns(sums, (even if c % 2 == 0 else odd) + c // 2, padded)
        else:
            for i in range(count):
                for c in range(taps):
                    sums[i] = sums[i] + line[i * stride + c]


@native
def pool_average(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the mean of every window. Buffers: input, result."""
    sums, line = stack(C, CHUNK + 16), stack(C, 3 * HALF)
    width = columns_together(params)
    for item in range(start, stop):
        image, channel = item // params[CHANNELS], item % params[CHANNELS]
        x: XP = buffers[0]
        plane = x + (image * params[X_IMAGE] + channel * params[X_CHANNEL])
        for slice in range(params[OUT_SLICES]):
            for row in range(params[OUT_ROWS]):
                offset = image * params[Y_IMAGE] + channel * params[Y_CHANNEL]
                offset = offset + slice * params[Y_SLICE] + row * params[Y_ROW]
                for column in range(0, params[OUT_COLUMNS], width):
                    count = lesser(params[OUT_COLUMNS] - column, width)
                    sum_row(params, plane, sums, line, slice, row, column, count)
                    divide_row(params, sums, slice, row, column, count)
                    y: XP = buffers[1]
                    y = y + (offset + column * params[Y_COLUMN])
                    write_row(y, sums, count, params[Y_COLUMN])


@native
def line_of_shares(
    params: i64p, line: CP, shares: CP, column: i64, count: i64, tap: i64, taps: i64, extent: i64
) -> void:  # fmt: skip
    """What each input column gets from `count` windows."""
    stride = params[STRIDE_COLUMN]
    for j in range(whole_vectors(extent + 1)):
        line[j] = C(0)
    if params[ADAPTIVE] != 0 and count > 1:
        first = window_first(params, 2, column)
        for i in range(count):
            begin = window_first(params, 2, column + i) - first
            for j in range(begin, begin + window_count(params, 2, column + i)):
                line[j] = line[j] + shares[i]
    elif stride == 1:
        for c in range(taps):
            add_columns(line + c, shares, whole_vectors(count))
    elif stride == 2:
        even, odd = line + HALF, line + HALF + HALF // 2
        for j in range(whole_vectors(extent + 1) // 2 + 16):
            even[j] = C(0)
            odd[j] = C(0)
        for c in range(taps):
            add_columns((even if c % 2 == 0 else odd) + c // 2, shares, whole_vectors(count))
        for j in range(whole_vectors(extent + 1) // 2):
            line[2 * j] = even[j]
            line[2 * j + 1] = odd[j]
    else:
        for i in range(count):
            for c in range(taps):
                line[i * stride + c] = line[i * stride + c] + shares[i]


@native
def share_columns(
    params: i64p, plane: XP, line: CP, slice: i64, row: i64, first: i64, count: i64
) -> void:
    """Adds a line to the windows' rows."""
    left = -first if first < 0 else i64(0)
    right = lesser(count, params[IN_COLUMNS] - first)
    d0, h0 = window_first(params, 0, slice), window_first(params, 1, row)
    for d in range(d0, d0 + window_count(params, 0, slice)):
        for h in range(h0, h0 + window_count(params, 1, row)):
            if d >= 0 and d < params[IN_SLICES] and h >= 0 and h < params[IN_ROWS]:
                target = plane + d * params[X_SLICE] + h * params[X_ROW]
                target = target + first * params[X_COLUMN]
                if UNIT:
                    for j in range(left, right):
                        target[j] = narrow(widen(target[j]) + line[j])
                else:
                    for j in range(left, right):
                        place = j * params[X_COLUMN]
                        target[place] = narrow(widen(target[place]) + line[j])


@native
def share_row(
    params: i64p, plane: XP, shares: CP, line: CP, slice: i64, row: i64, column: i64, count: i64
) -> void:
    """Adds the shares of `count` windows to their elements."""
    for i in range(count, whole_vectors(count)):
        shares[i] = C(0)
    first = window_first(params, 2, column)
    total, step = window_count(params, 2, column), taps_together(params, count)
    if params[ADAPTIVE] != 0 and count > 1:
        last = column + count - 1
        total = window_first(params, 2, last) + window_count(params, 2, last) - first
    for tap in range(0, total, step):
        taps = lesser(total - tap, step)
        extent = taps
        if params[ADAPTIVE] == 0:
            extent = (count - 1) * params[STRIDE_COLUMN] + taps
        line_of_shares(params, line, shares, column, count, tap, taps, extent)
        share_columns(params, plane, line, slice, row, first + tap, extent)


@native
def spread_average(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: each window's share added to its elements. Buffers: gradient of the means (strides
    Y), result (strides X).
    """
    shares, line = stack(C, CHUNK + 16), stack(C, 3 * HALF)
    width = columns_together(params)
    for item in range(start, stop):
        image, channel = item // params[CHANNELS], item % params[CHANNELS]
        x: XP = buffers[1]
        plane = x + (image * params[X_IMAGE] + channel * params[X_CHANNEL])
        for d in range(params[IN_SLICES]):
            for h in range(params[IN_ROWS]):
                target = plane + (d * params[X_SLICE] + h * params[X_ROW])
                for w in range(params[IN_COLUMNS]):
                    target[w * params[X_COLUMN]] = narrow(C(0))
        for slice in range(params[OUT_SLICES]):
            for row in range(params[OUT_ROWS]):
                g: XP = buffers[0]
                g = g + (image * params[Y_IMAGE] + channel * params[Y_CHANNEL])
                g = g + (slice * params[Y_SLICE] + row * params[Y_ROW])
                for column in range(0, params[OUT_COLUMNS], width):
                    count = lesser(params[OUT_COLUMNS] - column, width)
                    for i in range(count):
                        shares[i] = widen(g[(column + i) * params[Y_COLUMN]])
                    divide_row(params, shares, slice, row, column, count)
                    share_row(params, plane, shares, line, slice, row, column, count)

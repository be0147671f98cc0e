"""Maximum pooling in native code; ops.kernels.pooling says how.

A greater value wins, among equals the earlier place, and the last of several NaN, as in torch.
"""

from __future__ import annotations

from flambeau.codegen.native import f32, i32, i32p, i64, i64p, native, pointer, ptrp, stack, void
from flambeau.ops.kernels.conv_padding import narrow, widen
from flambeau.ops.kernels.pooling import (
    ADAPTIVE,
    CHANNELS,
    CHUNK,
    HALF,
    IN_COLUMNS,
    IN_ROWS,
    IN_SLICES,
    KERNEL_COLUMNS,
    LINE,
    NOWHERE,
    OUT_COLUMNS,
    OUT_ROWS,
    OUT_SLICES,
    PAIRS,
    REACH_COLUMN,
    REACH_ROW,
    REACH_SLICE,
    SINGLE,
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

X, C, XP, CP, LOWEST = f32, f32, pointer(f32), pointer(f32), float("-inf")  # replaced by `Unit`
FLOATING, PLACES = True, True
ROW = HALF + HALF  # where in a line's memory the input row is kept


@native
def greatest_of_columns(
    params: i64p, plane: XP, line: CP, at: i32p, slice: i64, row: i64, first: i64, count: i64
) -> void:
    """For input columns from `first`: the greatest element of the windows' part of the column, and
    its place. Columns outside hold the lowest value, at a place behind all others.
    """
    columns = params[IN_COLUMNS]
    left = -first if first < 0 else i64(0)
    right = lesser(count, columns - first)
    if params[SINGLE] != 0 and left == 0 and right == count:
        place = (slice * params[IN_ROWS] + row) * columns + first
        source = plane + (slice * params[X_SLICE] + row * params[X_ROW])
        read_line(params, line, source + first * params[X_COLUMN], count)
        if PLACES:
            for j in range(whole_vectors(count)):
                at[j] = i32(place + j)
        return
    for j in range(whole_vectors(count)):
        line[j] = C(LOWEST)
        if PLACES:
            at[j] = i32(NOWHERE)
    if right <= left:
        return
    values = line + ROW
    d0, h0 = window_first(params, 0, slice), window_first(params, 1, row)
    for a in range(window_count(params, 0, slice)):
        d = d0 + a * params[REACH_SLICE]
        for b in range(window_count(params, 1, row)):
            h = h0 + b * params[REACH_ROW]
            if d >= 0 and d < params[IN_SLICES] and h >= 0 and h < params[IN_ROWS]:
                source = plane + (d * params[X_SLICE] + h * params[X_ROW])
                read_line(params, values, source + (first + left) * params[X_COLUMN], right - left)
                place = (d * params[IN_ROWS] + h) * columns + first + left
                renew_columns(line + left, at + left, values, right - left, place)


@native
def renew_columns(line: CP, at: i32p, values: CP, count: i64, place: i64) -> void:
    """Another row of the windows."""
    for i in range(0, count, 16):
        for j in range(i, i + 16):
            takes = values[j] > line[j]
            if PLACES:
                takes = takes | (at[j] == NOWHERE)
            if FLOATING:
                takes = takes | (values[j] != values[j])
            line[j] = values[j] if takes else line[j]
            if PLACES:
                at[j] = i32(place + j) if takes else at[j]
    for j in range(count, whole_vectors(count)):
        line[j] = C(LOWEST)
        if PLACES:
            at[j] = i32(NOWHERE)


@native
def take(best: CP, place: i32p, line: CP, at: i32p, j: i64, i: i64) -> void:
    """Column j for window i."""
    value, where = line[j], at[j]
    takes = value > best[i]
    if PLACES:
        takes = takes | ((value == best[i]) & (where < place[i]))
        if FLOATING:
            takes = takes | ((value != value) & ((best[i] == best[i]) | (where > place[i])))
        place[i] = where if takes else place[i]
    else:
        if FLOATING:
            takes = takes | (value != value)
    best[i] = value if takes else best[i]


@native
def take_columns(best: CP, place: i32p, line: CP, at: i32p, count: i64) -> void:
    """One column of `count` windows, a multiple of 16."""
    for i in range(0, count, 16):
        for j in range(i, i + 16):
            take(best, place, line, at, j, j)


@native
def gather_columns(
    params: i64p, line: CP, at: i32p, packed: CP, packed_at: i32p, count: i64
) -> void:
    """A column of `count` windows that lie more than two columns apart, side by side."""
    stride = params[STRIDE_COLUMN]
    for i in range(count):
        packed[i] = line[i * stride]
    if PLACES:
        for i in range(count):
            packed_at[i] = at[i * stride]


@native
def halve_places(line: i32p, even: i32p, odd: i32p, count: i64) -> void:
    """The even and the odd elements of a line of places."""
    for j in range(whole_vectors(count) // 2):
        even[j] = line[2 * j]
        odd[j] = line[2 * j + 1]


@native
def take_taps(
    params: i64p, best: CP, place: i32p, line: CP, at: i32p, count: i64, taps: i64, extent: i64
) -> void:
    """The windows' columns along a line: regular windows."""
    stride, reach, padded = params[STRIDE_COLUMN], params[REACH_COLUMN], whole_vectors(count)
    if stride == 1:
        for c in range(taps):
            take_columns(best, place, line + c * reach, at + c * reach, padded)
    elif stride == 2:
        even, odd = line + HALF, line + HALF + HALF // 2
        even_at, odd_at = at + HALF, at + HALF + HALF // 2
        halve(line, even, odd, extent + 1)
        if PLACES:
            halve_places(at, even_at, odd_at, extent + 1)
        for c in range(taps):
            where = c * reach // 2
            if c * reach % 2 == 0:
                take_columns(best, place, even + where, even_at + where, padded)
            else:
                take_columns(best, place, odd + where, odd_at + where, padded)
    else:
        for c in range(taps):
            gather_columns(params, line + c * reach, at + c * reach, line + HALF, at + HALF, count)
            take_columns(best, place, line + HALF, at + HALF, padded)


@native
def take_pairs(
    best: CP, place: i32p, upper: XP, lower: XP, count: i64, first: i64, width: i64
) -> void:
    """All four taps of windows of 2 x 2 that lie side by side."""
    for i in range(count):
        value, where = widen(upper[2 * i]), i32(first + 2 * i)
        second = widen(upper[2 * i + 1])
        third, fourth = widen(lower[2 * i]), widen(lower[2 * i + 1])
        takes = second > value
        if FLOATING:
            takes = takes | (second != second)
        value, where = second if takes else value, where + i32(1) if takes else where
        takes = third > value
        if FLOATING:
            takes = takes | (third != third)
        value, where = third if takes else value, i32(first + width + 2 * i) if takes else where
        takes = fourth > value
        if FLOATING:
            takes = takes | (fourth != fourth)
        best[i] = fourth if takes else value
        if PLACES:
            place[i] = i32(first + width + 2 * i + 1) if takes else where


@native
def greatest_of_row(
    params: i64p, plane: XP, best: CP, place: i32p, line: CP, at: i32p, slice: i64, row: i64,
    column: i64, count: i64,
) -> void:  # fmt: skip
    """`count` windows of a row of results."""
    if params[PAIRS] != 0:
        upper = plane + (slice * params[X_SLICE] + 2 * row * params[X_ROW] + 2 * column)
        columns = params[IN_COLUMNS]
        first = (slice * params[IN_ROWS] + 2 * row) * columns + 2 * column
        take_pairs(best, place, upper, upper + params[X_ROW], count, first, columns)
        return
    for i in range(whole_vectors(count)):
        best[i] = C(LOWEST)
        if PLACES:
            place[i] = i32(NOWHERE)
    first = window_first(params, 2, column)
    if params[ADAPTIVE] != 0 and count > 1:
        last = column + count - 1
        extent = window_first(params, 2, last) + window_count(params, 2, last) - first
        greatest_of_columns(params, plane, line, at, slice, row, first, extent)
        for i in range(count):
            begin = window_first(params, 2, column + i) - first
            for j in range(begin, begin + window_count(params, 2, column + i)):
                take(best, place, line, at, j, i)
        return
    total, step = window_count(params, 2, column), taps_together(params, count)
    for tap in range(0, total, step):
        taps, reach = lesser(total - tap, step), params[REACH_COLUMN]
        extent = (count - 1) * params[STRIDE_COLUMN] + (taps - 1) * reach + 1
        greatest_of_columns(params, plane, line, at, slice, row, first + tap * reach, extent)
        take_taps(params, best, place, line, at, count, taps, extent)


@native
def write_places(target: i64p, values: i32p, count: i64, step: i64) -> void:
    """Places to where they belong."""
    if step == 1:
        for i in range(count):
            target[i] = i64(values[i])
    else:
        for i in range(count):
            target[i * step] = i64(values[i])


@native
def pool_maximum(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the greatest element of every window. Buffers: input, values, places if wanted."""
    best, place = stack(C, CHUNK + 16), stack(i32, CHUNK + 16)
    line, at = stack(C, 3 * HALF), stack(i32, 2 * HALF)
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
                    greatest_of_row(params, plane, best, place, line, at, slice, row, column, count)
                    first = offset + column * params[Y_COLUMN]
                    values: XP = buffers[1]
                    write_row(values + first, best, count, params[Y_COLUMN])
                    if PLACES:
                        places: i64p = buffers[2]
                        write_places(places + first, place, count, params[Y_COLUMN])


@native
def spread_maximum(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: values added at the places that they came from. Buffers: values, places, result, all
    contiguous; params: elements of a plane of values, of the result.
    """
    inner, outer = params[0], params[1]
    for item in range(start, stop):
        g: XP = buffers[0]
        places: i64p = buffers[1]
        target: XP = buffers[2]
        g, places, target = g + item * inner, places + item * inner, target + item * outer
        for i in range(outer):
            target[i] = narrow(C(0))
        for i in range(inner):
            where = places[i]
            if where >= 0 and where < outer:  # a window that saw nothing has no place
                target[where] = narrow(widen(target[where]) + widen(g[i]))


@native
def take_maximum(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the transpose of `spread_maximum`. Buffers: planes, places, result, all contiguous;
    params: elements of a plane of places, of the input.
    """
    inner, outer = params[0], params[1]
    for item in range(start, stop):
        x: XP = buffers[0]
        places: i64p = buffers[1]
        target: XP = buffers[2]
        x, places, target = x + item * outer, places + item * inner, target + item * inner
        for i in range(inner):
            where = places[i]
            target[i] = x[where] if where >= 0 and where < outer else narrow(C(0))


_ = (KERNEL_COLUMNS, LINE)

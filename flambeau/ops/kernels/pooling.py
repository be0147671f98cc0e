"""Maximum and average over regular windows in native code, one plane (image and channel) per item.

A row of results is made in two steps, on lines in the stack that LLVM vectorises: down the columns,
the windows' rows become one line of greatest elements (with their places) or of sums; then, along
it, the windows' columns become the results. The adaptive forms, whose windows differ in size, are
in ops.kernels.adaptive_pooling.

    plan.use_native(kernel_address(pool_maximum, "float32", step=1), params, items=planes, ...)

X is the element type in memory and C the type of arithmetic, as in ops.kernels.conv_padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i32p,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    stack,
    u8,
    u16,
    void,
)  # fmt: skip
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_padding import narrow, steps_of, widen

# replaced by `Unit`; UNIT says that columns are neighbours in memory
X, C, XP, CP, BFLOAT, UNIT = f32, f32, pointer(f32), pointer(f32), False, False
LOWEST, FLOATING, PLACES = float("-inf"), True, True
CHUNK, LINE = 256, 1024  # most results of a row that are made together, input columns for them
HALF = LINE + 128  # a line with room for whole vectors; the second half holds it split in two
NOWHERE = (1 << 31) - 1  # the place of what lies outside

# words of the parameters; strides are in elements, sizes and steps for (slices, rows, columns)
(
    CHANNELS, X_IMAGE, X_CHANNEL, X_SLICE, X_ROW, X_COLUMN, Y_IMAGE, Y_CHANNEL, Y_SLICE, Y_ROW,
    Y_COLUMN, IN_SLICES, IN_ROWS, IN_COLUMNS, OUT_SLICES, OUT_ROWS, OUT_COLUMNS, KERNEL_SLICES,
    KERNEL_ROWS, KERNEL_COLUMNS, STRIDE_SLICE, STRIDE_ROW, STRIDE_COLUMN, PAD_SLICE, PAD_ROW,
    PAD_COLUMN, REACH_SLICE, REACH_ROW, REACH_COLUMN, INCLUDE_PAD, DIVISOR, PAIRS,
) = range(32)  # fmt: skip


@native
def lesser(a: i64, b: i64) -> i64:
    """The smaller of two numbers."""
    return a if a < b else b


@native
def whole_vectors(count: i64) -> i64:
    """`count` rounded up: loops over the stack run over whole vectors."""
    return (count + 15) // 16 * 16


@native
def columns_together(stride: i64) -> i64:
    """How many results of a row are made together."""
    found = (LINE // 2) // stride
    found = found if found > 0 else i64(1)
    return lesser(found, CHUNK)


@native
def taps_together(reach: i64) -> i64:
    """How many taps of a window's row are looked at together."""
    found = (LINE // 2) // reach
    return found if found > 0 else i64(1)


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
    for j in range(whole_vectors(count)):
        line[j] = C(LOWEST)
        at[j] = i32(NOWHERE)
    fresh = i64(1)
    for a in range(params[KERNEL_SLICES]):
        d = slice * params[STRIDE_SLICE] - params[PAD_SLICE] + a * params[REACH_SLICE]
        for b in range(params[KERNEL_ROWS]):
            h = row * params[STRIDE_ROW] - params[PAD_ROW] + b * params[REACH_ROW]
            if d >= 0 and d < params[IN_SLICES] and h >= 0 and h < params[IN_ROWS]:
                source = plane + (d * params[X_SLICE] + h * params[X_ROW] + (first + left) * params[X_COLUMN])
                place = i32((d * params[IN_ROWS] + h) * columns + first + left)
                if fresh != 0:
                    begin_columns(line + left, at + left, source, right - left, params[X_COLUMN], place)
                else:
                    renew_columns(line + left, at + left, source, right - left, params[X_COLUMN], place)
                fresh = 0


@native
def begin_columns(line: CP, at: i32p, source: XP, count: i64, step: i64, place: i32) -> void:
    """The first row of the windows."""
    for j in range(count):
        line[j] = element(source, j, step)
        at[j] = place + i32(j)


@native
def renew_columns(line: CP, at: i32p, source: XP, count: i64, step: i64, place: i32) -> void:
    """Another row. As in torch the last NaN of a window wins."""
    for j in range(count):
        value = element(source, j, step)
        takes = value > line[j]
        if FLOATING:
            takes = takes | (value != value)
        line[j] = value if takes else line[j]
        if PLACES:
            at[j] = place + i32(j) if takes else at[j]


@native
def element(source: XP, j: i64, step: i64) -> C:
    """Element j of a row."""
    if UNIT:
        return widen(source[j])
    else:
        return widen(source[j * step])


@native
def halve(line: CP, even: CP, odd: CP, count: i64) -> void:
    """The even and the odd elements of a line."""
    for j in range(whole_vectors(count) // 2):
        even[j] = line[2 * j]
        odd[j] = line[2 * j + 1]


@native
def halve_places(line: i32p, even: i32p, odd: i32p, count: i64) -> void:
    """The same of places."""
    for j in range(whole_vectors(count) // 2):
        even[j] = line[2 * j]
        odd[j] = line[2 * j + 1]


@native
def take_columns(best: CP, place: i32p, line: CP, at: i32p, count: i64) -> void:
    """One column of `count` windows: a greater value wins, among equals the earlier place, and the
    last of several NaN.
    """
    for i in range(0, count, 16):
        for j in range(i, i + 16):
            value, where = line[j], at[j]
            takes = value > best[j]
            if PLACES:
                takes = takes | ((value == best[j]) & (where < place[j]))
                if FLOATING:
                    takes = takes | ((value != value) & ((best[j] == best[j]) | (where > place[j])))
                place[j] = where if takes else place[j]
            else:
                if FLOATING:
                    takes = takes | (value != value)
            best[j] = value if takes else best[j]


@native
def take_strided(best: CP, place: i32p, line: CP, at: i32p, count: i64, stride: i64) -> void:
    """The same for windows that lie `stride` apart."""
    for j in range(count):
        value, where = line[j * stride], at[j * stride]
        takes = value > best[j]
        if PLACES:
            takes = takes | ((value == best[j]) & (where < place[j]))
            if FLOATING:
                takes = takes | ((value != value) & ((best[j] == best[j]) | (where > place[j])))
            place[j] = where if takes else place[j]
        else:
            if FLOATING:
                takes = takes | (value != value)
        best[j] = value if takes else best[j]


@native
def greatest_of_row(
    params: i64p, plane: XP, best: CP, place: i32p, line: CP, at: i32p, slice: i64, row: i64,
    column: i64, count: i64,
) -> void:  # fmt: skip
    """`count` windows of a row of results."""
    stride, reach = params[STRIDE_COLUMN], params[REACH_COLUMN]
    if params[PAIRS] != 0:
        upper = plane + (slice * params[X_SLICE] + 2 * row * params[X_ROW] + 2 * column)
        columns = params[IN_COLUMNS]
        first = (slice * params[IN_ROWS] + 2 * row) * columns + 2 * column
        take_pairs(best, place, upper, upper + params[X_ROW], count, first, columns)
        return
    padded = whole_vectors(count)
    for i in range(padded):
        best[i] = C(LOWEST)
        place[i] = i32(NOWHERE)
    step = taps_together(reach)
    for tap in range(0, params[KERNEL_COLUMNS], step):
        taps = lesser(params[KERNEL_COLUMNS] - tap, step)
        first = column * stride - params[PAD_COLUMN] + tap * reach
        extent = (count - 1) * stride + (taps - 1) * reach + 1
        greatest_of_columns(params, plane, line, at, slice, row, first, extent)
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
                take_strided(best, place, line + c * reach, at + c * reach, count, stride)


@native
def take_pairs(
    best: CP, place: i32p, upper: XP, lower: XP, count: i64, first: i64, width: i64
) -> void:
    """All four taps of windows of 2 x 2 that lie side by side."""
    for i in range(count):
        value, where = widen(upper[2 * i]), i32(first + 2 * i)
        second, third, fourth = widen(upper[2 * i + 1]), widen(lower[2 * i]), widen(lower[2 * i + 1])
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
def pool_maximum(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the greatest element of every window. Buffers: input, values, places if wanted."""
    best, place = stack(C, CHUNK + 16), stack(i32, CHUNK + 16)
    line, at = stack(C, 2 * HALF), stack(i32, 2 * HALF)
    width = columns_together(params[STRIDE_COLUMN])
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
                    values: XP = buffers[1]
                    write_row(values + (offset + column * params[Y_COLUMN]), best, count, params[Y_COLUMN])
                    if PLACES:
                        places: i64p = buffers[2]
                        write_places(places + (offset + column * params[Y_COLUMN]), place, count, params[Y_COLUMN])


@native
def write_row(target: XP, values: CP, count: i64, step: i64) -> void:
    """Results to their places."""
    if step == 1:
        for i in range(count):
            target[i] = narrow(values[i])
    else:
        for i in range(count):
            target[i * step] = narrow(values[i])


@native
def write_places(target: i64p, values: i32p, count: i64, step: i64) -> void:
    """The same of places."""
    if step == 1:
        for i in range(count):
            target[i] = i64(values[i])
    else:
        for i in range(count):
            target[i * step] = i64(values[i])


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
            target[where] = narrow(widen(target[where]) + widen(g[i]))


@native
def window_rows(params: i64p, slice: i64, row: i64) -> i64:
    """Slices times rows of the windows of a row of results, as the average counts them."""
    return extent(params, 0, slice) * extent(params, 1, row)


@native
def extent(params: i64p, axis: i64, index: i64) -> i64:
    """How many elements a window has along an axis; padding counts if it is to."""
    size, pad = params[IN_SLICES + axis], params[PAD_SLICE + axis]
    begin = index * params[STRIDE_SLICE + axis] - pad
    end = lesser(begin + params[KERNEL_SLICES + axis], size + pad)
    if params[INCLUDE_PAD] == 0:
        begin, end = begin if begin > 0 else i64(0), lesser(end, size)
    return end - begin


@native
def divide_row(params: i64p, sums: CP, slice: i64, row: i64, column: i64, count: i64) -> void:
    """Sums of windows of a row divided by the number of their elements."""
    rows, stride, pad = window_rows(params, slice, row), params[STRIDE_COLUMN], params[PAD_COLUMN]
    kernel, columns = params[KERNEL_COLUMNS], params[IN_COLUMNS]
    around = pad if params[INCLUDE_PAD] != 0 else i64(0)
    divisor = params[DIVISOR]
    for i in range(count):
        begin = (column + i) * stride - pad
        end = lesser(begin + kernel, columns + around)
        begin = begin if begin > -around else -around
        number = divisor if divisor != 0 else rows * (end - begin)
        if FLOATING:
            sums[i] = sums[i] / C(number)
        else:
            sums[i] = C(i64(sums[i]) // number)


@native
def pool_average(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the mean of every window. Buffers: input, result."""
    sums, line = stack(C, CHUNK + 16), stack(C, 2 * HALF)
    width = columns_together(params[STRIDE_COLUMN])
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
                    write_row(y + (offset + column * params[Y_COLUMN]), sums, count, params[Y_COLUMN])


@native
def sum_columns(
    params: i64p, plane: XP, line: CP, slice: i64, row: i64, first: i64, count: i64
) -> void:
    """For input columns from `first`: the sum of the windows' part of the column, 0 outside."""
    left = -first if first < 0 else i64(0)
    right = lesser(count, params[IN_COLUMNS] - first)
    for j in range(whole_vectors(count)):
        line[j] = C(0)
    for a in range(params[KERNEL_SLICES]):
        d = slice * params[STRIDE_SLICE] - params[PAD_SLICE] + a
        for b in range(params[KERNEL_ROWS]):
            h = row * params[STRIDE_ROW] - params[PAD_ROW] + b
            if d >= 0 and d < params[IN_SLICES] and h >= 0 and h < params[IN_ROWS]:
                source = plane + (d * params[X_SLICE] + h * params[X_ROW] + (first + left) * params[X_COLUMN])
                target = line + left
                for j in range(right - left):
                    target[j] = target[j] + element(source, j, params[X_COLUMN])


@native
def add_columns(sums: CP, line: CP, count: i64) -> void:
    """One column of windows."""
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
    step = taps_together(1)
    for tap in range(0, params[KERNEL_COLUMNS], step):
        taps = lesser(params[KERNEL_COLUMNS] - tap, step)
        first, extent = column * stride - params[PAD_COLUMN] + tap, (count - 1) * stride + taps
        sum_columns(params, plane, line, slice, row, first, extent)
        if stride == 1:
            for c in range(taps):
                add_columns(sums, line + c, padded)
        elif stride == 2:
            even, odd = line + HALF, line + HALF + HALF // 2
            halve(line, even, odd, extent + 1)
            for c in range(taps):
                if c % 2 == 0:
                    add_columns(sums, even + c // 2, padded)
                else:
                    add_columns(sums, odd + c // 2, padded)
        else:
            for i in range(count):
                total = C(0)
                for c in range(taps):
                    total = total + line[i * stride + c]
                sums[i] = sums[i] + total


@native
def spread_average(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: each window's share added to its elements. Buffers: gradient of the means (strides
    Y), result (strides X).
    """
    shares = stack(C, CHUNK)
    for item in range(start, stop):
        image, channel = item // params[CHANNELS], item % params[CHANNELS]
        x: XP = buffers[1]
        plane = x + (image * params[X_IMAGE] + channel * params[X_CHANNEL])
        for d in range(params[IN_SLICES]):
            for h in range(params[IN_ROWS]):
                line = plane + (d * params[X_SLICE] + h * params[X_ROW])
                for w in range(params[IN_COLUMNS]):
                    line[w * params[X_COLUMN]] = narrow(C(0))
        for slice in range(params[OUT_SLICES]):
            for row in range(params[OUT_ROWS]):
                g: XP = buffers[0]
                g = g + (image * params[Y_IMAGE] + channel * params[Y_CHANNEL])
                g = g + (slice * params[Y_SLICE] + row * params[Y_ROW])
                for column in range(0, params[OUT_COLUMNS], CHUNK):
                    count = lesser(params[OUT_COLUMNS] - column, CHUNK)
                    for i in range(count):
                        shares[i] = widen(g[(column + i) * params[Y_COLUMN]])
                    divide_row(params, shares, slice, row, column, count)
                    share_row(params, plane, shares, slice, row, column, count)


@native
def first_inside(shift: i64, column: i64, stride: i64) -> i64:
    """The first window from `column` on whose element at `shift` is not left of the plane."""
    before = -(shift + column * stride)
    return (before + stride - 1) // stride if before > 0 else i64(0)


@native
def end_inside(shift: i64, column: i64, stride: i64, columns: i64, count: i64) -> i64:
    """The window after the last one whose element at `shift` is not right of the plane."""
    room = columns - 1 - shift
    return lesser(room // stride - column + 1, count) if room >= 0 else i64(0)


@native
def share_row(
    params: i64p, plane: XP, shares: CP, slice: i64, row: i64, column: i64, count: i64
) -> void:
    """Adds the shares of `count` windows to their elements."""
    stride, step = params[STRIDE_COLUMN], params[STRIDE_COLUMN] * params[X_COLUMN]
    for a in range(params[KERNEL_SLICES]):
        d = slice * params[STRIDE_SLICE] - params[PAD_SLICE] + a
        for b in range(params[KERNEL_ROWS]):
            h = row * params[STRIDE_ROW] - params[PAD_ROW] + b
            if d >= 0 and d < params[IN_SLICES] and h >= 0 and h < params[IN_ROWS]:
                for c in range(params[KERNEL_COLUMNS]):
                    shift = c - params[PAD_COLUMN]
                    start = first_inside(shift, column, stride)
                    stop = end_inside(shift, column, stride, params[IN_COLUMNS], count)
                    w = (column + start) * stride + shift
                    target = plane + (
                        d * params[X_SLICE] + h * params[X_ROW] + w * params[X_COLUMN]
                    )
                    source = shares + start
                    for i in range(stop - start):
                        place = i * step
                        target[place] = narrow(widen(target[place]) + source[i])


ELEMENTS = {
    "float32": (f32, f32), "float64": (f64, f64), "float16": (f16, f32), "bfloat16": (u16, f32),
    "int8": (i8, i8), "uint8": (u8, u8), "int16": (i16, i16), "int32": (i32, i32),
    "int64": (i64, i64),
}  # fmt: skip


def lowest(dtype: str) -> float | int:
    """What a maximum starts from."""
    element, _ = ELEMENTS[dtype]
    if "float" in dtype:
        return float("-inf")
    return -(1 << (element.bits - 1)) if element.signed else 0


def kernel_address(kernel: NativeFunction, dtype: str, step: int, places: bool = True) -> int:
    """Machine code for elements of `dtype`; a `step` of 1 between columns has loops of its own."""
    element, compute = ELEMENTS[dtype]
    name = f"{kernel.name}_{dtype}_{step == 1:d}_{places:d}"
    unit = Unit(
        name, [kernel], X=element, C=compute, XP=pointer(element), CP=pointer(compute),
        BFLOAT=dtype == "bfloat16", UNIT=step == 1, LOWEST=lowest(dtype), FLOATING="float" in dtype,
        PLACES=places,
    )  # fmt: skip
    symbol = unit.symbol(kernel)
    return load("pool-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def triple(sizes: Sequence[int], fill: int) -> tuple[int, ...]:
    """Numbers for three dimensions: the missing ones come first."""
    return (*(fill,) * (3 - len(sizes)), *sizes)


def pool_params(
    x: Spec, y: Spec, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], include_pad: bool = True, divisor: int = 0,
) -> list[int]:  # fmt: skip
    """The parameters of all kernels here but `spread_maximum`; x is the larger side, y the results'."""
    pairs = (
        len(kernel) <= 2 and tuple(kernel) == tuple(stride) == (2, 2) and not any(padding)
        and tuple(dilation) == (1, 1) and x.strides[-1] == 1
        and all(2 * m <= n for m, n in zip(y.shape[2:], x.shape[2:]))
    )  # fmt: skip
    return [
        x.shape[1], *steps_of(x), *steps_of(y), *triple(x.shape[2:], 1), *triple(y.shape[2:], 1),
        *triple(kernel, 1), *triple(stride, 1), *triple(padding, 0), *triple(dilation, 1),
        int(include_pad), divisor, int(pairs),
    ]  # fmt: skip

"""Pooling of many small planes, or with long steps, in native code: WIDTH planes side by side.

Where rows of results are short or their windows lie apart, vectors along a row hold few results. So
a block of planes is turned round in the cache, position by position, the windows pass over it with
vectors of planes (ops.kernels.pooling_channels), and the results are turned back. A block takes as
many slices, rows or columns of results (UNITS along UNIT_AXIS) as fit. Called by ops.pool:

    if suits(x, y, windows):
        plan.use_native(planes_address("float32", True, False), params, items)
"""

from __future__ import annotations

from math import prod

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Signature,
    Unit,
    f32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    void,
)
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_points import turn_address
from flambeau.ops.kernels.pooling import (
    ELEMENTS,
    IN_SLICES,
    OUT_COLUMNS,
    OUT_ROWS,
    OUT_SLICES,
    REACH_SLICE,
    SINGLE,
    X_SLICE,
    Windows,
    lesser,
    lowest,
    pool_params,
    triple,
    window_count,
    window_first,
)
from flambeau.ops.kernels.pooling_channels import (
    AXIS_WORDS,
    find_taps,
    greatest_channels,
    mean_channels,
    number_of,
)
from flambeau.ops.kernels.vector_text import ELEMENT

X, C, XP, CP = f32, f32, pointer(f32), pointer(f32)  # replaced by `Unit`
PLACES, MAXIMUM = True, True
WIDTH, POSITIONS, RESULTS = 32, 512, 256  # planes of a block; most positions and results of it
FOUND = WIDTH * RESULTS
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

PLANES, IN_PLANE, OUT_PLANE, UNIT_AXIS, UNITS, TURN, TURN_PLACES = range(SINGLE + 1, SINGLE + 8)


@native
def first_of(params: i64p, axis: i64, index: i64) -> i64:
    """Where a window begins inside the image along an axis."""
    first = window_first(params, axis, index)
    return first if first > 0 else i64(0)


@native
def end_of(params: i64p, axis: i64, index: i64) -> i64:
    """Where a window ends inside the image along an axis."""
    reach = (window_count(params, axis, index) - 1) * params[REACH_SLICE + axis]
    return lesser(window_first(params, axis, index) + reach + 1, params[IN_SLICES + axis])


@native
def pool_block(
    params: i64p, block: XP, values: XP, places: i64p, seen: i64p, begin: i64p, end: i64p
) -> i64:
    """The windows of a block, whose bounds along each axis are given; returns how many."""
    count = i64(0)
    for slice in range(begin[0], end[0]):
        find_taps(params, 0, slice, seen)
        for row in range(begin[1], end[1]):
            find_taps(params, 1, row, seen)
            for column in range(begin[2], end[2]):
                find_taps(params, 2, column, seen)
                if MAXIMUM:
                    target = places + (count * WIDTH if PLACES else i64(0))
                    greatest_channels(params, block, values + count * WIDTH, target, seen)
                else:
                    number = number_of(params, slice, row, column)
                    mean_channels(params, block, values + count * WIDTH, seen, number)
                count += 1
    return count


@native
def pool_planes(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: blocks of WIDTH planes. Buffers: input, values, places if wanted."""
    block, values = stack(X, POSITIONS * WIDTH), stack(X, RESULTS * WIDTH)
    found = stack(i64, FOUND)
    seen, begin, end = stack(i64, 3 * AXIS_WORDS), stack(i64, 3), stack(i64, 3)
    axis, units, size = params[UNIT_AXIS], params[UNITS], params[IN_PLANE]
    inner, outer = i64(1), i64(1)
    for a in range(axis + 1, 3):
        inner, outer = inner * params[IN_SLICES + a], outer * params[OUT_SLICES + a]
    begin[0], begin[1], begin[2] = 0, 0, 0
    end[0], end[1], end[2] = params[OUT_SLICES], params[OUT_ROWS], params[OUT_COLUMNS]
    last = end[axis]
    for item in range(start, stop):
        valid = lesser(params[PLANES] - item * WIDTH, WIDTH)
        x: XP = buffers[0]
        y: XP = buffers[1]
        x, y = x + item * WIDTH * size, y + item * WIDTH * params[OUT_PLANE]
        for first in range(0, last, units):
            begin[axis], end[axis] = first, lesser(first + units, last)
            low = first_of(params, axis, first) * inner
            high = end_of(params, axis, end[axis] - 1) * inner
            Turn(params[TURN])(x + low, size, valid, high - low, block, WIDTH)
            count = pool_block(params, block - low * WIDTH, values, found, seen, begin, end)
            place = first * outer
            Turn(params[TURN])(values, WIDTH, count, valid, y + place, params[OUT_PLANE])
            if PLACES:
                places: i64p = buffers[2]
                places = places + (item * WIDTH * params[OUT_PLANE] + place)
                Turn(params[TURN_PLACES])(found, WIDTH, count, valid, places, params[OUT_PLANE])


def unit_of(x: Spec, y: Spec, windows: Windows) -> tuple[int, int]:
    """(axis, how many results along it a block takes): the first axis that has more than one. None
    if not even one fits.
    """
    sizes, counts = triple(x.shape[2:], 1), triple(y.shape[2:], 1)
    axis = next((a for a in range(3) if sizes[a] > 1 or counts[a] > 1), 2)
    inner, outer = prod(sizes[axis + 1 :]), prod(counts[axis + 1 :])
    kernel, stride, _, dilation, *_ = windows
    if windows.adaptive:
        step = -(-sizes[axis] // counts[axis])
        reach = step + 1
    else:
        step = triple(stride, 1)[axis]
        reach = (triple(kernel, 1)[axis] - 1) * triple(dilation, 1)[axis] + 1
    if reach * inner > POSITIONS or outer > RESULTS:
        return axis, 0
    units = (POSITIONS // inner - reach) // step + 1
    return axis, min(units, RESULTS // outer, counts[axis])


def suits(x: Spec, y: Spec, windows: Windows) -> bool:
    """Whether vectors of planes are the better choice."""
    planes = x.shape[0] * x.shape[1]
    if x.dtype.name not in ELEMENT or not (x.contiguous and y.contiguous) or planes < WIDTH // 2:
        return False
    step = 3 if windows.adaptive else triple(windows.stride, 1)[2]
    return (step > 2 or y.shape[-1] < 24) and unit_of(x, y, windows)[1] > 0


def planes_params(x: Spec, y: Spec, windows: Windows) -> tuple[list[int], int]:
    """(parameters, number of blocks): the words of the other kernels with the steps of a block, and
    how it is cut.
    """
    params = pool_params(x, y, windows)
    _, rows, columns = triple(x.shape[2:], 1)
    params[X_SLICE : X_SLICE + 3] = rows * columns * WIDTH, columns * WIDTH, WIDTH
    planes, turns = x.shape[0] * x.shape[1], (turn_address(x.dtype.name), turn_address("float64"))
    sizes = planes, x.numel // planes, y.numel // planes
    return [*params, *sizes, *unit_of(x, y, windows), *turns], -(-planes // WIDTH)


def planes_address(dtype: str, maximum: bool, places: bool) -> int:
    """Machine code for elements of `dtype`."""
    element, compute = ELEMENTS[dtype]
    code = Unit(
        f"pool_planes_{dtype}_{maximum:d}_{places:d}", [pool_planes], X=element, C=compute,
        XP=pointer(element), CP=pointer(compute), BFLOAT=False, LOWEST=lowest(dtype),
        FLOATING=True, PLACES=places, MAXIMUM=maximum, WIDTH=WIDTH,
        FOUND=FOUND if places else 1,
    )  # fmt: skip
    symbol = code.symbol(pool_planes)
    return load("pool-" + code.key(), code.text_with_intrinsics, [symbol])[symbol]

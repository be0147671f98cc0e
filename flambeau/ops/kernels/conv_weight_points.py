"""The gradient of a convolution's weight where a group has many channels: the point tiles of
ops.kernels.conv_points over taps, summed over positions.

The images of a chunk are padded into planes, the other operand is turned round so that the channels
of a position lie together. Items of the parallel loop are blocks of the weight, so the order of
every sum is the same with any number of threads; within an item, a block of positions stays in the
cache while the taps pass over it.

    plan.use_native(points_address("float32"), params, items=1, work=..., scratch=...)
"""

from __future__ import annotations

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Signature,
    copy_memory,
    f32,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    void,
)
from flambeau.ops.kernels.conv_padding import (
    CHANNEL_STEP,
    COMPUTE,
    IMAGE_ROWS,
    PITCH,
    Layout,
    narrow,
    steps_of,
    unit_for,
    widen,
)
from flambeau.ops.kernels.conv_planes import volume
from flambeau.ops.kernels.conv_points import point_address, point_tile_for, turn_address
from flambeau.ops.kernels.conv_weight import (
    BLOCKS,
    CHANNELS,
    CHUNK,
    CHUNK_FIRST,
    CHUNK_NOW,
    COUNT,
    COUNT_SLICES,
    G_CHANNEL,
    G_COLUMN,
    G_IMAGE,
    G_ROW,
    G_SLICE,
    GROUPS,
    IMAGES,
    PARALLEL,
    PARTS,
    PLANES_G,
    PLANES_X,
    ROWS,
    SHARED_WORDS,
    SUMS,
    TOTAL,
    Parallel,
    WeightTask,
    fill_inputs,
    share,
)
from flambeau.ops.kernels.transposers import transposer_address
from flambeau.ops.kernels.vector_text import ELEMENT

X, C, XP, CP, SIZE = f32, f32, pointer(f32), pointer(f32), 4  # replaced by `Unit`
Points = Signature(void, ptr, ptr, ptr, i64, ptr, ptr, i64, ptr)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

(
    TILE, TILE_ROWS, WIDTH, LANES, TILES, SHIFTS, PLACES, PLACE_ROWS, PLACE_COLUMNS, STRIDE_ROW,
    STRIDE_COLUMN, OUT_ROWS, OUT_COLUMNS, G_LENGTH,
    G_IMAGE_LENGTH, TURN, WIDEN, UNLOAD,
) = range(SHARED_WORDS, SHARED_WORDS + 18)  # fmt: skip
WORDS = SHARED_WORDS + 18


@native
def turn_row(params: i64p, target: CP, source: XP, channels: i64, count: i64) -> void:
    """`count` positions that are neighbours, of some channels: channels next to each other."""
    if params[TURN] != 0:
        Turn(params[TURN])(source, params[G_CHANNEL], channels, count, target, params[WIDTH])
    elif params[WIDEN] != 0:
        for m in range(0, channels, params[LANES]):
            Turn(params[WIDEN])(
                source + m * params[G_CHANNEL],
                params[G_CHANNEL],
                channels - m,
                count,
                target + m,
                params[WIDTH],
            )
    else:
        for p in range(count):
            line, from_ = target + p * params[WIDTH], source + p * params[G_COLUMN]
            for m in range(channels):
                line[m] = widen(from_[m * params[G_CHANNEL]])


@native
def turn_others(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the other operand's blocks of channels for the images of the chunk."""
    g: XP = buffers[1]
    slices, rows, columns = params[COUNT_SLICES], params[OUT_ROWS], params[OUT_COLUMNS]
    for item in range(start, stop):
        image, block = (
            item // (params[GROUPS] * params[BLOCKS]),
            item % (params[GROUPS] * params[BLOCKS]),
        )
        group, first = block // params[BLOCKS], block % params[BLOCKS] * params[WIDTH]
        left = params[ROWS] - first
        channels = left if left < params[WIDTH] else params[WIDTH]
        target: CP = buffers[3] + params[PLANES_G]
        target = target + (block * params[G_LENGTH] + image * params[G_IMAGE_LENGTH])
        source = g + (
            (params[CHUNK_FIRST] + image) * params[G_IMAGE]
            + (group * params[ROWS] + first) * params[G_CHANNEL]
        )
        if channels < params[WIDTH]:
            fill_memory(target, 0, slices * rows * columns * params[WIDTH] * SIZE)
        for a in range(slices):
            plane = source + a * params[G_SLICE]
            if params[G_ROW] == columns * params[G_COLUMN]:
                turn_row(params, target, plane, channels, rows * columns)
                target = target + rows * columns * params[WIDTH]
            else:
                for y in range(rows):
                    turn_row(params, target, plane + y * params[G_ROW], channels, columns)
                    target = target + columns * params[WIDTH]


@native
def run_taps(
    params: i64p, planes: CP, lines: CP, count: i64, sums: CP, first: i64, last: i64
) -> void:
    """Tiles `first` to `last` of the taps over a block of positions."""
    rows, width = params[TILE_ROWS], params[WIDTH]
    for t in range(first, last):
        place = sums + t * rows * width
        Points(params[TILE])(
            planes,
            params + params[SHIFTS] + t * rows,
            params + params[PLACES],
            count,
            lines,
            place,
            width,
            place,
        )


@native
def multiply_points(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: parts of the weight; a part is a block of channels and some of the taps."""
    width, rows, columns = params[WIDTH], params[OUT_ROWS], params[OUT_COLUMNS]
    slices = params[COUNT_SLICES]
    for item in range(start, stop):
        part, block = item % params[PARTS], item // params[PARTS]
        planes: CP = buffers[3] + params[PLANES_X]
        sums: CP = buffers[3] + params[SUMS]
        planes = planes + block // params[BLOCKS] * params[CHANNELS] * params[CHANNEL_STEP]
        others: CP = buffers[3] + params[PLANES_G]
        others = others + block * params[G_LENGTH]
        sums = sums + block * params[TILES] * params[TILE_ROWS] * width
        first = part * params[TILES] // params[PARTS]
        last = (part + 1) * params[TILES] // params[PARTS]
        for image in range(params[CHUNK_NOW] * slices):
            lines = others + image // slices * params[G_IMAGE_LENGTH]
            lines = lines + image % slices * rows * columns * width
            for y in range(0, rows, params[PLACE_ROWS]):
                down = rows - y if rows - y < params[PLACE_ROWS] else params[PLACE_ROWS]
                for z in range(0, columns, params[PLACE_COLUMNS]):
                    across = columns - z
                    if across > params[PLACE_COLUMNS]:
                        across = params[PLACE_COLUMNS]
                    row = image * params[IMAGE_ROWS] + y * params[STRIDE_ROW]
                    run_taps(
                        params,
                        planes + row * params[PITCH] + z * params[STRIDE_COLUMN],
                        lines,
                        down * across,
                        sums,
                        first,
                        last,
                    )
                    lines = lines + down * across * width


@native
def collect_points(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the sums into the result, row by row."""
    width, count = params[WIDTH], params[COUNT]
    for block in range(start, stop):
        group, first = block // params[BLOCKS], block % params[BLOCKS] * width
        valid = params[ROWS] - first if params[ROWS] - first < width else width
        sums: CP = buffers[3] + params[SUMS]
        sums = sums + block * params[TILES] * params[TILE_ROWS] * width
        out: XP = buffers[2]
        out = out + (group * params[ROWS] + first) * count
        if params[UNLOAD] != 0:
            Turn(params[UNLOAD])(sums, width, count, valid, out, count)
        else:
            for r in range(valid):
                for k in range(count):
                    out[r * count + k] = narrow(sums[k * width + r])


@native
def weigh_points(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole gradient.

    Buffers: input, other operand, result, scratch, which begins with this call's own parameters.
    """
    own: i64p = buffers[3]
    copy_memory(own, params, params[TOTAL] * 8)
    blocks = params[GROUPS] * params[BLOCKS]
    fill_memory(buffers[3] + params[SUMS], 0, params[PLANES_X] - params[SUMS])
    run = params[PARALLEL]
    for image in range(0, params[IMAGES], params[CHUNK]):
        left = params[IMAGES] - image
        own[CHUNK_FIRST] = image
        own[CHUNK_NOW] = left if left < params[CHUNK] else params[CHUNK]
        inputs, others = params[GROUPS] * params[CHANNELS], own[CHUNK_NOW] * blocks
        parts = blocks * params[PARTS]
        Parallel(run)(fill_inputs, buffers, own, inputs, share(params, inputs))
        Parallel(run)(turn_others, buffers, own, others, share(params, others))
        Parallel(run)(multiply_points, buffers, own, parts, share(params, parts))
    Parallel(run)(collect_points, buffers, own, blocks, share(params, blocks))


def points_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("weigh_points", [weigh_points], dtype)
    symbol = unit.symbol(weigh_points)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


CHUNK_ELEMENTS = 1 << 20  # elements of both operands that are laid out at a time
TOGETHER = 256  # positions that stay in the cache while the taps pass over them


def suits(task: WeightTask) -> bool:
    """Whether a group's channels fill vectors well enough."""
    tile = point_tile_for(COMPUTE[task.g.dtype.name], task.rows)
    return tile.vectors > 1 and task.rows >= 0.75 * tile.width * -(-task.rows // tile.width)


def points_params(
    task: WeightTask, counts: tuple[int, ...], stride: tuple[int, ...], parallel: int, threads: int
) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a weight's gradient; `task.planes` are whole,
    `counts` and `stride` the result's sizes and steps.
    """
    p, kind = task.planes, COMPUTE[task.g.dtype.name]
    size, (slices, height, width) = ELEMENT[kind][1], counts
    tile = point_tile_for(kind, task.rows)
    taps = p.taps
    count = task.channels * len(taps)
    tiles, blocks = -(-count // tile.rows), -(-task.rows // tile.width)
    images, positions = task.x.shape[0], volume(counts)
    single = Layout(p, 2, *p.counts[1:])
    each = slices * task.groups * task.channels * single.channel // 2
    each += positions * task.groups * blocks * tile.width
    chunk = max(1, min(images, CHUNK_ELEMENTS // max(1, each)))
    layout = Layout(p, chunk * slices, *p.counts[1:])
    layout.plane += tile.lanes
    layout.channel = len(p.slices) * layout.plane
    padding, tables = layout.words(task.x, WORDS)
    shifts = [
        c * layout.channel + layout.offset(*tap[:4]) for c in range(task.channels) for tap in taps
    ]
    shifts += shifts[-1:] * (tiles * tile.rows - count)
    down, across = max(1, min(height, TOGETHER // width)), min(width, TOGETHER)
    places = [
        y * stride[1] * layout.pitch + z * stride[2] for y in range(down) for z in range(across)
    ]
    work = images * positions * task.groups * task.rows * max(1, count // 8)
    wanted = -(-4 * threads // (task.groups * blocks)) if work >= 1 << 20 and threads > 1 else 1
    parts = min(tiles, max(1, wanted))
    g_steps, same = steps_of(task.g), kind == task.g.dtype.name
    total = WORDS + len(tables) + len(shifts) + len(places)
    image_length = (positions + tile.lanes) * tile.width  # whole vectors of positions are written
    g_length = chunk * image_length
    sums = -(-total * 8 // 64) * 64
    sums_length = (task.groups * blocks * tiles * tile.rows + tile.lanes) * tile.width
    planes_x = sums + -(-sums_length * size // 64) * 64
    planes_g = planes_x + -(-task.groups * task.channels * layout.channel * size // 64) * 64
    at = WORDS + len(tables)
    params = [
        *padding, parallel, threads if work >= 1 << 17 else 0, total, images, chunk, 0, 0,
        task.groups, task.channels, task.rows, slices, *p.counts[1:], *g_steps, planes_x, planes_g,
        sums, count, blocks, parts, point_address(tile), tile.rows, tile.width, tile.lanes, tiles,
        at, at + len(shifts), down, across, *stride[1:], height, width, g_length, image_length,
        turn_address(kind) if same and g_steps[4] == 1 else 0,
        transposer_address(task.g.dtype.name, kind) if g_steps[4] == 1 and not same else 0,
        turn_address(kind) if same else 0, *tables, *shifts, *places,
    ]  # fmt: skip
    return params, planes_g + task.groups * blocks * g_length * size, work

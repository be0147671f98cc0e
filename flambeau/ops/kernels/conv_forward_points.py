"""Convolution by the point tiles of ops.kernels.conv_points: for many output channels with borders,
strides or small images, where the vectors of ops.kernels.conv_forward would hold few results.

One native function packs the weights with their channels together, then runs strips of the result
over the threads. A strip pads the channels that it needs into planes, lists its positions, and for
each block of output channels lets the tiles run over some taps at a time, whose weights stay in the
first cache; then the block is turned round into rows of the result.

    plan.use_native(points_address("float32"), params, items=1, work=..., scratch=...)
"""

from __future__ import annotations

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Signature,
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
from flambeau.ops.kernels.conv_forward import (
    HEADER,
    MAX_SLOTS,
    Parallel,
    Task,
    second_cache,
    tap_offset,
)
from flambeau.ops.kernels.conv_padding import (
    CHANNEL_STEP,
    COMPUTE,
    IMAGE_ROWS,
    PADDING_WORDS,
    PITCH,
    X_CHANNEL,
    X_IMAGE,
    Layout,
    claim,
    fill_channel,
    give_back,
    steps_of,
    unit_for,
)
from flambeau.ops.kernels.conv_planes import volume
from flambeau.ops.kernels.conv_points import point_address, point_tile_for, turn_address
from flambeau.ops.kernels.vector_text import ELEMENT, Tile

X, XP, SIZE = f32, pointer(f32), 4  # replaced by `Unit`
Points = Signature(void, ptr, ptr, ptr, i64, ptr, ptr, i64, ptr)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

# words of the parameters; the first ones are those of conv_padding
(
    PARALLEL, GRAIN, PACK_GRAIN, PACK_CHANNELS, BIAS_AT, OUT_AT, PACKED, PACK_LENGTH, BIASES,
    BUFFERS, BUFFER_BYTES, SLOTS, POINTS, STAGE, GROUPS, CHANNELS, ROWS, BLOCKS, TAPS, EVEN, SHIFTS,
    WEIGHTS, TILE, TILE_ROWS, WIDTH, TURN, W_GROUP, W_ROW, W_CHANNEL, IMAGES, SLICES, COUNT_ROWS,
    COUNT_COLUMNS, STRIDE_ROW, STRIDE_COLUMN, STRIP_IMAGES, STRIP_ROWS, STRIP_COLUMNS, ROW_BLOCKS,
    COLUMN_BLOCKS, PARTS, ITEMS, OUT_IMAGE, OUT_CHANNEL, OUT_SLICE, OUT_ROW,
) = range(PADDING_WORDS, PADDING_WORDS + 46)  # fmt: skip
WORDS = PADDING_WORDS + 46
TAPS_TOGETHER = 128  # whose weights stay in the first cache
PACKED_TOGETHER = 32  # input channels whose weights a thread packs at a time


@native
def pack_bias(buffers: ptrp, params: i64p) -> void:
    """The bias in blocks of channels, or zeros."""
    width, blocks = params[WIDTH], params[GROUPS] * params[BLOCKS]
    biases: XP = buffers[params[OUT_AT] + 1] + params[BIASES]
    fill_memory(biases, 0, blocks * width * SIZE)
    if params[BIAS_AT] >= 0:
        bias: XP = buffers[params[BIAS_AT]]
        for group in range(params[GROUPS]):
            for r in range(params[ROWS]):
                biases[group * params[BLOCKS] * width + r] = bias[group * params[ROWS] + r]


@native
def pack_block(params: i64p, packed: XP, matrix: XP, channels: i64, valid: i64) -> void:
    """Some input channels of a block of output channels, tap by tap."""
    width, taps = params[WIDTH], params[TAPS]
    if valid < width:
        fill_memory(packed, 0, channels * taps * width * SIZE)
    if params[EVEN] != 0:  # taps are neighbours, perhaps channels too
        whole = params[W_CHANNEL] == taps
        count = taps * channels if whole else taps
        for c in range(i64(1) if whole else channels):
            Turn(params[TURN])(
                matrix + c * params[W_CHANNEL],
                params[W_ROW],
                valid,
                count,
                packed + c * taps * width,
                width,
            )
    else:
        for c in range(channels):
            for t in range(taps):
                row = matrix + (c * params[W_CHANNEL] + params[params[WEIGHTS] + t])
                for r in range(valid):
                    packed[r] = row[r * params[W_ROW]]
                packed = packed + width


@native
def pack_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the weights of some input channels, in the order in which they lie in memory."""
    width, together = params[WIDTH], params[PACK_CHANNELS]
    parts = (params[CHANNELS] + together - 1) // together
    for item in range(start, stop):
        group, first = item // parts, item % parts * together
        left = params[CHANNELS] - first
        channels = left if left < together else together
        for c in range(channels):
            for block in range(params[BLOCKS]):
                rows = params[ROWS] - block * width
                packed: XP = buffers[params[OUT_AT] + 1] + params[PACKED]
                packed = packed + (
                    (group * params[BLOCKS] + block) * params[PACK_LENGTH]
                    + (first + c) * params[TAPS] * width
                )
                matrix: XP = buffers[1]
                matrix = matrix + (
                    group * params[W_GROUP]
                    + block * width * params[W_ROW]
                    + (first + c) * params[W_CHANNEL]
                )
                if params[W_CHANNEL] != params[TAPS]:
                    pack_block(params, packed, matrix, 1, rows if rows < width else width)
                elif c == 0:
                    pack_block(params, packed, matrix, channels, rows if rows < width else width)


@native
def list_points(params: i64p, points: i64p, images: i64, rows: i64, columns: i64) -> void:
    """Where the positions of a strip lie in its planes; the last tile's are repeated."""
    count = i64(0)
    for b in range(images):
        for r in range(rows):
            place = (b * params[IMAGE_ROWS] + r * params[STRIDE_ROW]) * params[PITCH]
            for c in range(columns):
                points[count] = place + c * params[STRIDE_COLUMN]
                count += 1
    for i in range(params[TILE_ROWS]):
        points[count + i] = points[count - 1]


@native
def run_block(
    params: i64p, planes: XP, points: i64p, count: i64, weights: XP, biases: XP, stage: XP
) -> void:
    """A block of output channels at all positions of a strip, some taps at a time."""
    width, rows = params[WIDTH], params[TILE_ROWS]
    total = params[TAPS] * params[CHANNELS]
    for k in range(0, total, TAPS_TOGETHER):
        taps = total - k if total - k < TAPS_TOGETHER else i64(TAPS_TOGETHER)
        for i in range(0, count, rows):
            place = stage + i * width
            Points(params[TILE])(
                planes,
                points + i,
                params + params[SHIFTS] + k,
                taps,
                weights + k * width,
                biases if k == 0 else place,
                i64(0) if k == 0 else width,
                place,
            )


@native
def unload_block(
    params: i64p, stage: XP, out: XP, images: i64, rows: i64, columns: i64, valid: i64
) -> void:
    """The block's results into rows of the result."""
    width = params[WIDTH]
    for b in range(images):
        place, source = out + b * params[OUT_IMAGE], stage + b * rows * columns * width
        if params[OUT_ROW] == columns:
            Turn(params[TURN])(source, width, rows * columns, valid, place, params[OUT_CHANNEL])
        else:
            for r in range(rows):
                Turn(params[TURN])(
                    source + r * columns * width,
                    width,
                    columns,
                    valid,
                    place + r * params[OUT_ROW],
                    params[OUT_CHANNEL],
                )


@native
def run_positions(buffers: ptrp, params: i64p, buffer: XP, item: i64) -> void:
    """One strip: which images, rows, columns and channels it has follows from its number."""
    part, rest = item % params[PARTS], item // params[PARTS]
    column = rest % params[COLUMN_BLOCKS] * params[STRIP_COLUMNS]
    rest = rest // params[COLUMN_BLOCKS]
    row = rest % params[ROW_BLOCKS] * params[STRIP_ROWS]
    rest = rest // params[ROW_BLOCKS]
    slice, rest = rest % params[SLICES], rest // params[SLICES]
    group, image = rest % params[GROUPS], rest // params[GROUPS] * params[STRIP_IMAGES]
    left = params[IMAGES] - image
    images = left if left < params[STRIP_IMAGES] else params[STRIP_IMAGES]
    left = params[COUNT_ROWS] - row
    rows = left if left < params[STRIP_ROWS] else params[STRIP_ROWS]
    left = params[COUNT_COLUMNS] - column
    columns = left if left < params[STRIP_COLUMNS] else params[STRIP_COLUMNS]
    down, across = params[STRIDE_ROW], params[STRIDE_COLUMN]
    x: XP = buffers[0]
    x = x + (image * params[X_IMAGE] + group * params[CHANNELS] * params[X_CHANNEL])
    for c in range(params[CHANNELS]):
        fill_channel(
            params,
            params,
            buffer + c * params[CHANNEL_STEP],
            x + c * params[X_CHANNEL],
            images,
            slice,
            1,
            row * down,
            (rows - 1) * down + 1,
            column * across,
            (columns - 1) * across + 1,
        )
    points: i64p = buffer + params[POINTS]
    list_points(params, points, images, rows, columns)
    stage = buffer + params[STAGE]
    scratch = buffers[params[OUT_AT] + 1]
    packed: XP = scratch + params[PACKED]
    biases: XP = scratch + params[BIASES]
    out: XP = buffers[params[OUT_AT]]
    out = out + (image * params[OUT_IMAGE] + slice * params[OUT_SLICE])
    out = out + (row * params[OUT_ROW] + column)
    blocks = params[BLOCKS]
    for block in range(part * blocks // params[PARTS], (part + 1) * blocks // params[PARTS]):
        which, first = group * blocks + block, block * params[WIDTH]
        left = params[ROWS] - first
        run_block(
            params,
            buffer,
            points,
            images * rows * columns,
            packed + which * params[PACK_LENGTH],
            biases + which * params[WIDTH],
            stage,
        )
        unload_block(
            params,
            stage,
            out + (group * params[ROWS] + first) * params[OUT_CHANNEL],
            images,
            rows,
            columns,
            left if left < params[WIDTH] else params[WIDTH],
        )


@native
def run_some(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: strips of the result."""
    scratch = buffers[params[OUT_AT] + 1]
    slot = claim(scratch, params[SLOTS])
    buffer: XP = scratch + (params[BUFFERS] + slot * params[BUFFER_BYTES])
    for item in range(start, stop):
        run_positions(buffers, params, buffer, item)
    give_back(scratch, slot)


@native
def convolve_points(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole convolution. Buffers: input, weight, bias if any, result, scratch."""
    fill_memory(buffers[params[OUT_AT] + 1], 0, HEADER)
    pack_bias(buffers, params)
    parts = (params[CHANNELS] + params[PACK_CHANNELS] - 1) // params[PACK_CHANNELS]
    Parallel(params[PARALLEL])(
        pack_channels, buffers, params, params[GROUPS] * parts, params[PACK_GRAIN]
    )
    Parallel(params[PARALLEL])(run_some, buffers, params, params[ITEMS], params[GRAIN])


def points_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("convolve_points", [convolve_points], dtype)
    symbol = unit.symbol(convolve_points)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


ENOUGH = 192  # positions from which a strip fills its tiles well


def cut(
    task: Task, counts: tuple[int, ...], stride: tuple[int, ...], tile: Tile, wanted: int
) -> tuple[int, int, int, int]:
    """(images, rows, columns, parts of the channels) of a strip: it fits the cache, has enough
    positions, and there are enough of them for the threads.
    """
    _, height, width = counts
    budget = second_cache() * 5 // 8 // ELEMENT[tile.dtype][1]

    def size(images: int, rows: int, columns: int) -> int:
        wide = [(n - 1) * s + 1 for n, s in zip((rows, columns), stride[1:], strict=True)]
        plane = Layout(task.planes, images, *wide).channel
        return task.channels * plane + images * rows * columns * tile.width

    images, rows, columns = 1, height, width
    while rows > 1 and size(1, rows, columns) > budget:
        rows = -(-rows // 2)
    while columns > ENOUGH and size(1, rows, columns) > budget:
        columns = -(-columns // 2)

    def strips() -> int:
        each = -(-height // rows) * -(-width // columns)
        return task.groups * counts[0] * each * -(-task.x.shape[0] // images)

    while strips() < wanted and rows * width > 2 * ENOUGH and rows > 1:
        rows = -(-rows // 2)
    while strips() < wanted and height == 1 and columns > 2 * ENOUGH:
        columns = -(-columns // 2)
    while (
        (rows, columns, counts[0]) == (height, width, 1)
        and images < task.x.shape[0]
        and images * height * width < ENOUGH
        and size(images + 1, rows, columns) <= budget
    ):
        images += 1
    blocks = -(-task.rows // tile.width)
    return images, rows, columns, max(1, min(blocks, -(-wanted // strips())))


def suits(task: Task, stride: tuple[int, ...], counts: tuple[int, ...]) -> bool:
    """Whether point tiles are the better choice for a convolution without steps of the result."""
    kind = task.out.dtype.name
    taps = volume(task.kernel)
    if COMPUTE[kind] != kind or steps_of(task.out)[4] != 1 or taps == 1:
        return False
    tile = point_tile_for(kind, task.rows)
    filled = task.rows / (-(-task.rows // tile.width) * tile.width)
    if tile.vectors < 2 or filled < 0.75 or task.channels * taps < TAPS_TOGETHER // 2:
        return False
    return stride[1:] != (1, 1) or counts[1] * counts[2] <= 1 << 20


def points_params(
    task: Task, counts: tuple[int, ...], stride: tuple[int, ...], parallel: int, threads: int
) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a convolution; `task.planes` are whole,
    `counts` and `stride` the result's sizes and steps.
    """
    size = ELEMENT[task.out.dtype.name][1]
    tile = point_tile_for(task.out.dtype.name, task.rows)
    taps = sorted(task.planes.taps, key=lambda tap: tap.weight)
    total, blocks = task.channels * len(taps), -(-task.rows // tile.width)
    work = task.x.shape[0] * task.groups * task.rows * volume(counts) * max(1, total // 8)
    wanted = 1 if work < 1 << 20 or threads == 1 else 4 * threads
    images, rows, columns, parts = cut(task, counts, stride, tile, wanted)
    wide = [(n - 1) * s + 1 for n, s in zip((rows, columns), stride[1:], strict=True)]
    layout = Layout(task.planes, images, *wide)
    padding, tables = layout.words(task.x, WORDS)
    weights = [tap_offset(task, tap.weight) for tap in taps]
    places = [layout.offset(*tap[:4]) for tap in taps]
    shifts = [c * layout.channel + place for c in range(task.channels) for place in places]
    shifts_at = WORDS + len(tables)
    pack_length = total * tile.width
    biases = HEADER + -(-task.groups * blocks * pack_length * size // 64) * 64
    buffers = biases + -(-task.groups * blocks * tile.width * size // 64) * 64
    positions = images * rows * columns
    points = -(-(task.channels * layout.channel + tile.lanes) // 16) * 16
    stage = points + -(-(positions + 2 * tile.rows) // 8) * 8 * 8 // size
    length = stage + (positions + tile.rows + tile.lanes) * tile.width
    buffer_bytes = -(-length * size // 64) * 64
    slots = min(threads, MAX_SLOTS)
    cuts = [-(-task.x.shape[0] // images), -(-counts[1] // rows), -(-counts[2] // columns)]
    items = volume(cuts) * task.groups * counts[0] * parts
    even = weights == list(range(len(taps)))
    params = [
        *padding, parallel, 1 if wanted > 1 else 0, 1 if wanted > 1 and total >= 512 else 0,
        PACKED_TOGETHER, 2 if task.has_bias else -1, 3 if task.has_bias else 2, HEADER, pack_length,
        biases, buffers, buffer_bytes, slots, points, stage, task.groups, task.channels, task.rows,
        blocks, len(taps), int(even), shifts_at, shifts_at + len(shifts), point_address(tile),
        tile.rows, tile.width, turn_address(tile.dtype), *task.weight, task.x.shape[0], *counts,
        *stride[1:], images, rows, columns, *cuts[1:], parts, items, *steps_of(task.out)[:4],
        *tables, *shifts, *weights,
    ]  # fmt: skip
    return params, buffers + slots * buffer_bytes, work

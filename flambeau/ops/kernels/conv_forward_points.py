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
    stack,
    void,
)  # fmt: skip
from flambeau.ops.kernels.conv_padding import (
    COMPUTE,
    COPY_ROWS,
    IMAGE_ROWS,
    PITCH,
    TOGETHER,
    X_CHANNEL,
    X_IMAGE,
    CopyRows,
    Layout,
    claim,
    give_back,
    steps_of,
    unit_for,
)  # fmt: skip
from flambeau.ops.kernels.conv_planes import volume
from flambeau.ops.kernels.conv_points import point_address, point_tile_for, turn_address
from flambeau.ops.kernels.conv_strips import (
    BIAS_AT,
    BLOCK,
    BLOCKS,
    BUFFER_BYTES,
    BUFFERS,
    CHANNELS,
    COLUMN,
    COLUMN_COUNT,
    GRAIN,
    GROUP,
    GROUPS,
    HEADER,
    IMAGE,
    IMAGE_COUNT,
    ITEMS,
    LAST_BLOCK,
    MAX_SLOTS,
    OUT_AT,
    OUT_CHANNEL,
    OUT_COLUMN,
    OUT_IMAGE,
    OUT_ROW,
    OUT_SLICE,
    PACK_GRAIN,
    PARALLEL,
    ROW,
    ROW_COUNT,
    ROWS,
    SLICE,
    SLOTS,
    STRIP_WORDS,
    W_CHANNEL,
    W_GROUP,
    W_ROW,
    WORDS_OF_STRIP,
    Parallel,
    Run,
    Strips,
    Task,
    common_words,
    fewer,
    fill_planes,
    find_strip,
    second_cache,
    work_of,
)  # fmt: skip
from flambeau.ops.kernels.vector_text import ELEMENT, Tile

X, XP, SIZE = f32, pointer(f32), 4  # replaced by `Unit`
Points = Signature(void, ptr, ptr, ptr, i64, ptr, ptr, i64, ptr)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

# words of the parameters; the first ones are those of conv_padding and conv_strips
(
    PACK_CHANNELS, PACKED, PACK_LENGTH, BIASES, POINTS, STAGE, TAPS, EVEN, SHIFTS, WEIGHTS, TILE,
    TILE_ROWS, WIDTH, TURN, STRIDE_ROW, STRIDE_COLUMN,
) = range(STRIP_WORDS, STRIP_WORDS + 16)  # fmt: skip
WORDS = STRIP_WORDS + 16
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
def pack_taps(params: i64p, packed: XP, matrix: XP, valid: i64) -> void:
    """All input channels of a block of output channels, whose order is: tap, then channel."""
    width, taps, channels = params[WIDTH], params[TAPS], params[CHANNELS]
    if valid < width:
        fill_memory(packed, 0, channels * taps * width * SIZE)
    if params[W_CHANNEL] == 1:
        for t in range(taps):
            source = matrix + params[params[WEIGHTS] + t]
            target = packed + t * channels * width
            Turn(params[TURN])(source, params[W_ROW], valid, channels, target, width)
    elif params[EVEN] != 0:
        for c in range(channels):
            source, target = matrix + c * params[W_CHANNEL], packed + c * width
            Turn(params[TURN])(source, params[W_ROW], valid, taps, target, channels * width)
    else:
        for t in range(taps):
            for c in range(channels):
                column = matrix + (c * params[W_CHANNEL] + params[params[WEIGHTS] + t])
                for r in range(valid):
                    packed[(t * channels + c) * width + r] = column[r * params[W_ROW]]


@native
def pack_blocks(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the weights of blocks of output channels, where input channels are neighbours."""
    width = params[WIDTH]
    for item in range(start, stop):
        group, block = item // params[BLOCKS], item % params[BLOCKS]
        packed: XP = buffers[params[OUT_AT] + 1] + params[PACKED]
        matrix: XP = buffers[1]
        matrix = matrix + (group * params[W_GROUP] + block * width * params[W_ROW])
        valid = fewer(params[ROWS], block * width, width)
        pack_taps(params, packed + item * params[PACK_LENGTH], matrix, valid)


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
def list_points(params: i64p, points: i64p, strip: i64p) -> i64:
    """Where the positions of a strip lie in its planes, and how many they are; the last one is
    repeated to fill a tile.
    """
    count, step = i64(0), params[TOGETHER] if params[TOGETHER] != 0 else i64(1)
    for b in range(strip[IMAGE_COUNT]):
        for r in range(strip[ROW_COUNT]):
            place = (b * params[IMAGE_ROWS] + r * params[STRIDE_ROW]) * params[PITCH]
            for c in range(strip[COLUMN_COUNT]):
                points[count] = (place + c * params[STRIDE_COLUMN]) * step
                count += 1
    for i in range(params[TILE_ROWS]):
        points[count + i] = points[count - 1]
    return count


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
def unload_block(params: i64p, stage: XP, out: XP, strip: i64p, valid: i64) -> void:
    """The block's results into rows of the result."""
    width, rows, columns = params[WIDTH], strip[ROW_COUNT], strip[COLUMN_COUNT]
    step = params[OUT_CHANNEL]
    for b in range(strip[IMAGE_COUNT]):
        place, source = out + b * params[OUT_IMAGE], stage + b * rows * columns * width
        if params[TOGETHER] != 0:
            for r in range(rows):
                line, row = source + r * columns * width, place + r * params[OUT_ROW]
                CopyRows(params[COPY_ROWS])(row, line, columns, valid, params[OUT_COLUMN], width)
        elif params[OUT_ROW] == columns:
            Turn(params[TURN])(source, width, rows * columns, valid, place, step)
        else:
            for r in range(rows):
                row = place + r * params[OUT_ROW]
                Turn(params[TURN])(source + r * columns * width, width, columns, valid, row, step)


@native
def run_positions(buffers: ptrp, params: i64p, buffer: XP, strip: i64p) -> void:
    """One strip: its planes, then its blocks of output channels."""
    group, down, across = strip[GROUP], params[STRIDE_ROW], params[STRIDE_COLUMN]
    row, column = strip[ROW], strip[COLUMN]
    rows, columns = (strip[ROW_COUNT] - 1) * down + 1, (strip[COLUMN_COUNT] - 1) * across + 1
    x: XP = buffers[0]
    x = x + (strip[IMAGE] * params[X_IMAGE] + group * params[CHANNELS] * params[X_CHANNEL])
    fill_planes(params, buffer, x, strip, row * down, rows, column * across, columns)
    points: i64p = buffer + params[POINTS]
    count = list_points(params, points, strip)
    stage = buffer + params[STAGE]
    scratch = buffers[params[OUT_AT] + 1]
    packed: XP = scratch + params[PACKED]
    biases: XP = scratch + params[BIASES]
    out: XP = buffers[params[OUT_AT]]
    out = out + (strip[IMAGE] * params[OUT_IMAGE] + strip[SLICE] * params[OUT_SLICE])
    out = out + (row * params[OUT_ROW] + column * params[OUT_COLUMN])
    out = out + group * params[ROWS] * params[OUT_CHANNEL]
    width = params[WIDTH]
    for block in range(strip[BLOCK], strip[LAST_BLOCK]):
        which = group * params[BLOCKS] + block
        weights = packed + which * params[PACK_LENGTH]
        run_block(params, buffer, points, count, weights, biases + which * width, stage)
        valid = fewer(params[ROWS], block * width, width)
        unload_block(params, stage, out + block * width * params[OUT_CHANNEL], strip, valid)


@native
def run_some(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: strips of the result."""
    scratch = buffers[params[OUT_AT] + 1]
    strip = stack(i64, WORDS_OF_STRIP)
    slot = claim(scratch, params[SLOTS])
    buffer: XP = scratch + (params[BUFFERS] + slot * params[BUFFER_BYTES])
    for item in range(start, stop):
        find_strip(params, item, strip)
        run_positions(buffers, params, buffer, strip)
    give_back(scratch, slot)


@native
def convolve_points(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole convolution. Buffers: input, weight, bias if any, result, scratch."""
    fill_memory(buffers[params[OUT_AT] + 1], 0, HEADER)
    pack_bias(buffers, params)
    if params[TOGETHER] != 0:
        blocks = params[GROUPS] * params[BLOCKS]
        Parallel(params[PARALLEL])(pack_blocks, buffers, params, blocks, params[PACK_GRAIN])
    else:
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
) -> Strips:
    """Strips that fit the cache and have enough positions; enough of them for the threads."""
    _, height, width = counts
    budget = second_cache() * 5 // 8 // ELEMENT[tile.dtype][1]

    def size(images: int, rows: int, columns: int) -> int:
        wide = [(n - 1) * s + 1 for n, s in zip((rows, columns), stride[1:], strict=True)]
        layout = Layout(task.planes, images, wide[0], wide[1], together=together_of(task))
        return layout.elements(task.channels) + images * rows * columns * tile.width

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
    return Strips(images, rows, columns, 1, max(1, min(blocks, -(-wanted // strips()))))


def together_of(task: Task) -> int:
    """How many channels are laid out together: a group's where they are neighbours, or none."""
    return task.channels if task.neighbours else 0


def suits(task: Task, stride: tuple[int, ...], counts: tuple[int, ...]) -> bool:
    """Whether point tiles are the better choice for a convolution without steps of the result."""
    kind = task.out.dtype.name
    taps = volume(task.kernel)
    if COMPUTE[kind] != kind:
        return False
    tile = point_tile_for(kind, task.rows)
    filled = task.rows / (-(-task.rows // tile.width) * tile.width)
    if task.neighbours:
        return filled >= 0.4
    if steps_of(task.out)[4] != 1 or taps == 1:
        return False
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
    work = work_of(task, volume(counts), len(taps))
    wanted = 1 if work < 1 << 20 or threads == 1 else 4 * threads
    strips = cut(task, counts, stride, tile, wanted)
    wide = [(n - 1) * s + 1 for n, s in zip(strips[1:3], stride[1:], strict=True)]
    layout = Layout(task.planes, strips.images, wide[0], wide[1], together=together_of(task))
    padding, tables = layout.words(task.x, WORDS)
    weights = [task.tap_offset(tap.weight) for tap in taps]
    shifts = layout.shifts(taps, task.channels)
    shifts_at = WORDS + len(tables)
    pack_length = total * tile.width
    biases = HEADER + -(-task.groups * blocks * pack_length * size // 64) * 64
    positions = volume(strips[:3])
    points = -(-(layout.elements(task.channels) + tile.lanes) // 16) * 16
    stage = points + -(-(positions + 2 * tile.rows) // 8) * 8 * 8 // size
    run = Run(
        parallel,
        int(wanted > 1),
        int(wanted > 1 and total >= 512),
        blocks,
        biases + -(-task.groups * blocks * tile.width * size // 64) * 64,
        -(-(stage + (positions + tile.rows) * tile.width) * size // 64) * 64,
        min(threads, MAX_SLOTS),
    )
    params = [
        *padding, *common_words(task, strips, counts, run), PACKED_TOGETHER, HEADER, pack_length,
        biases, points, stage, len(taps), int(weights == list(range(len(taps)))), shifts_at,
        shifts_at + len(shifts), point_address(tile), tile.rows, tile.width,
        turn_address(tile.dtype), *stride[1:], *tables, *shifts, *weights,
    ]  # fmt: skip
    return params, run.scratch, work

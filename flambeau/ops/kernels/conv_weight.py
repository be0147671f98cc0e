"""The gradient of a convolution's weight in native code: inner products of every shifted plane of
the input with the other operand.

Both operands are laid out by channel, the images of a chunk one after another, the second one at
the pitch of the padded planes with zeros between its rows, so that a weight's gradient is one inner
product of two long vectors. Register tiles (`dot_tile` of ops.kernels.conv_tiles) take some rows of
the second operand times some shifted planes. Items of the parallel loop are blocks of the weight,
so the order of every sum is the same with any number of threads.

    plan.use_native(weight_address("float32"), params, items=1, work=..., scratch=...)
"""

from __future__ import annotations

from typing import NamedTuple

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
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_copies import copy_rows_address
from flambeau.ops.kernels.conv_padding import (
    CHANNEL_STEP,
    COMPUTE,
    IMAGE_ROWS,
    PADDING_WORDS,
    PITCH,
    X_CHANNEL,
    X_IMAGE,
    CopyRows,
    Layout,
    copy_row,
    fill_channel,
    narrow,
    steps_of,
    unit_for,
)
from flambeau.ops.kernels.conv_planes import Planes, volume
from flambeau.ops.kernels.conv_tiles import dot_address
from flambeau.ops.kernels.vector_text import ELEMENT, Tile, tile_for

X, C, XP, CP, SIZE = f32, f32, pointer(f32), pointer(f32), 4  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
Dot = Signature(void, ptr, i64, i64, ptr, ptr, i64, ptr)

# words of the parameters; the first ones are those of conv_padding, the next ones those that both
# ways have in common
(
    PARALLEL, THREADS, TOTAL, IMAGES, CHUNK, CHUNK_FIRST, CHUNK_NOW, GROUPS, CHANNELS, ROWS,
    COUNT_SLICES, COUNT_ROWS, COUNT_COLUMNS, G_IMAGE, G_CHANNEL, G_SLICE, G_ROW, G_COLUMN, PLANES_X,
    PLANES_G, SUMS, COUNT, BLOCKS, PARTS,
) = range(PADDING_WORDS, PADDING_WORDS + 24)  # fmt: skip
SHARED_WORDS = PADDING_WORDS + 24
(
    TILE_ROWS, TILE, TILE_VECTORS, LANES, PADDED_COUNT, TABLE, STEP, LENGTH, G_COPY,
) = range(SHARED_WORDS, SHARED_WORDS + 9)  # fmt: skip
WORDS = SHARED_WORDS + 9


@native
def fill_inputs(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: channels of the input as padded planes."""
    planes: CP = buffers[3] + params[PLANES_X]
    x: XP = buffers[0]
    for c in range(start, stop):
        channel = x + (params[CHUNK_FIRST] * params[X_IMAGE] + c * params[X_CHANNEL])
        fill_channel(
            params,
            params,
            planes + c * params[CHANNEL_STEP],
            channel,
            params[CHUNK_NOW],
            0,
            params[COUNT_SLICES],
            0,
            params[COUNT_ROWS],
            0,
            params[COUNT_COLUMNS],
        )


@native
def fill_others(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: channels of the other operand, at the pitch of the planes."""
    g: XP = buffers[1]
    for m in range(start, stop):
        target: CP = buffers[3] + params[PLANES_G]
        target = target + m * params[LENGTH]
        fill_memory(target, 0, params[LENGTH] * SIZE)
        for b in range(params[CHUNK_NOW]):
            for a in range(params[COUNT_SLICES]):
                source = g + (
                    (params[CHUNK_FIRST] + b) * params[G_IMAGE]
                    + m * params[G_CHANNEL]
                    + a * params[G_SLICE]
                )
                row = target + (b * params[COUNT_SLICES] + a) * params[IMAGE_ROWS] * params[PITCH]
                if params[G_COPY] != 0:
                    CopyRows(params[G_COPY])(
                        row,
                        source,
                        params[COUNT_ROWS],
                        params[COUNT_COLUMNS],
                        params[PITCH],
                        params[G_ROW],
                    )
                else:
                    for y in range(params[COUNT_ROWS]):
                        copy_row(
                            row + y * params[PITCH],
                            source + y * params[G_ROW],
                            params[COUNT_COLUMNS],
                            params[G_COLUMN],
                        )


@native
def multiply(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: parts of the weight; a part is some rows and some of the shifted planes."""
    length, step, rows, vectors = (
        params[LENGTH],
        params[STEP],
        params[TILE_ROWS],
        params[TILE_VECTORS],
    )
    tiles = params[PADDED_COUNT] // vectors
    for item in range(start, stop):
        part, block = item % params[PARTS], item // params[PARTS]
        group, first = block // params[BLOCKS], block % params[BLOCKS] * rows
        valid = params[ROWS] - first if params[ROWS] - first < rows else rows
        planes: CP = buffers[3] + params[PLANES_X]
        others: CP = buffers[3] + params[PLANES_G]
        sums: CP = buffers[3] + params[SUMS]
        planes = planes + group * params[CHANNELS] * params[CHANNEL_STEP]
        others = others + (group * params[ROWS] + first) * length
        sums = sums + block * params[PADDED_COUNT] * rows
        begin, end = part * tiles // params[PARTS], (part + 1) * tiles // params[PARTS]
        for at in range(0, length, step):
            extent = length - at if length - at < step else step
            for t in range(begin, end):
                k = t * vectors
                Dot(params[TILE])(
                    others + at,
                    length,
                    valid,
                    planes + at,
                    params + params[TABLE] + k,
                    extent // params[LANES],
                    sums + k * rows,
                )


@native
def collect(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the sums into the result, row by row."""
    rows, count = params[TILE_ROWS], params[COUNT]
    for block in range(start, stop):
        group, first = block // params[BLOCKS], block % params[BLOCKS] * rows
        valid = params[ROWS] - first if params[ROWS] - first < rows else rows
        sums: CP = buffers[3] + params[SUMS]
        sums = sums + block * params[PADDED_COUNT] * rows
        out: XP = buffers[2]
        for r in range(valid):
            target = out + (group * params[ROWS] + first + r) * count
            for k in range(count):
                target[k] = narrow(sums[k * rows + r])


@native
def share(params: i64p, items: i64) -> i64:
    """How many of the items a thread takes at a time; 0 means one thread for all."""
    if params[THREADS] == 0:
        return 0
    grain = items // (4 * params[THREADS])
    return grain if grain > 0 else i64(1)


@native
def weigh(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole gradient.

    Buffers: input, other operand, result, scratch, which begins with this call's own parameters.
    """
    own: i64p = buffers[3]
    copy_memory(own, params, params[TOTAL] * 8)
    blocks = params[GROUPS] * params[BLOCKS]
    fill_memory(
        buffers[3] + params[SUMS], 0, blocks * params[PADDED_COUNT] * params[TILE_ROWS] * SIZE
    )
    run = params[PARALLEL]
    for image in range(0, params[IMAGES], params[CHUNK]):
        own[CHUNK_FIRST] = image
        own[CHUNK_NOW] = (
            params[IMAGES] - image if params[IMAGES] - image < params[CHUNK] else params[CHUNK]
        )
        inputs, others, parts = (
            params[GROUPS] * params[CHANNELS],
            params[GROUPS] * params[ROWS],
            blocks * params[PARTS],
        )
        Parallel(run)(fill_inputs, buffers, own, inputs, share(params, inputs))
        Parallel(run)(fill_others, buffers, own, others, share(params, others))
        Parallel(run)(multiply, buffers, own, parts, share(params, parts))
    Parallel(run)(collect, buffers, own, blocks, share(params, blocks))


def weight_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("weigh", [weigh], dtype)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [unit.symbol(weigh)])[
        unit.symbol(weigh)
    ]


class WeightTask(NamedTuple):
    """The operands and the geometry: `rows` channels of g and `channels` of x in each group."""

    x: Spec
    g: Spec
    planes: Planes
    groups: int
    rows: int
    channels: int


CHUNK_ELEMENTS = 4 << 20  # elements of both operands that are laid out at a time
STEP_BYTES = 3 << 10  # of a row: some rows of both operands stay in the first cache


def dot_tile_for(dtype: str, rows: int, count: int) -> Tile:
    """The tile whose number of vectors wastes the least of `count` shifted planes."""
    tile = tile_for(dtype, rows)
    widths = range(max(1, tile.vectors // 2), tile.vectors + 1)
    return tile._replace(vectors=min(widths, key=lambda v: (-(-count // v) * v, -v)))


def weight_params(task: WeightTask, parallel: int, threads: int) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a weight's gradient."""
    p, kind = task.planes, COMPUTE[task.g.dtype.name]
    size, (slices, height, width) = ELEMENT[kind][1], p.counts
    taps = p.taps
    count = task.channels * len(taps)
    tile = dot_tile_for(kind, task.rows, count)
    padded_count, blocks = -(-count // tile.vectors) * tile.vectors, -(-task.rows // tile.rows)
    images = task.x.shape[0]
    single = Layout(p, 2, height, width)
    each = slices * (
        task.groups * task.channels * single.channel // 2
        + task.groups * task.rows * single.image_rows * single.pitch
    )
    chunk = max(1, min(images, CHUNK_ELEMENTS // max(1, each)))
    layout = Layout(p, chunk * slices, height, width)
    layout.plane += tile.lanes
    layout.channel = len(p.slices) * len(p.planes) * layout.plane
    length = (
        -(-((chunk * slices - 1) * layout.image_rows + height) * layout.pitch // tile.lanes)
        * tile.lanes
    )
    padding, tables = layout.words(task.x, WORDS)
    offsets = [
        c * layout.channel + layout.offset(*tap[:4]) for c in range(task.channels) for tap in taps
    ]
    offsets += offsets[:1] * (padded_count - count)
    work = images * volume(p.counts) * task.groups * task.rows * max(1, count // 8)
    parts = (
        min(padded_count // tile.vectors, max(1, -(-4 * threads // (task.groups * blocks))))
        if work >= 1 << 20
        else 1
    )
    g_steps = steps_of(task.g)
    whole_rows = kind == task.g.dtype.name and g_steps[4] in (1, 2)
    total = WORDS + len(tables) + len(offsets)
    sums = -(-total * 8 // 64) * 64
    planes_x = sums + -(-task.groups * blocks * padded_count * tile.rows * size // 64) * 64
    planes_g = planes_x + -(-task.groups * task.channels * layout.channel * size // 64) * 64
    params = [
        *padding, parallel, threads if work >= 1 << 17 else 0, total, images, chunk, 0, 0,
        task.groups, task.channels, task.rows, *p.counts, *g_steps, planes_x, planes_g, sums, count,
        blocks, parts, tile.rows, dot_address(tile), tile.vectors, tile.lanes, padded_count,
        WORDS + len(tables), STEP_BYTES // size, length,
        copy_rows_address(kind, g_steps[4]) if whole_rows else 0, *tables, *offsets,
    ]  # fmt: skip
    return params, planes_g + task.groups * task.rows * length * size, work

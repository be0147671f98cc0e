"""Convolution in native code, any stride, padding, dilation, groups, and its transpose: an implicit
matrix product over padded planes.

One native function packs the weights, then runs strips of the result over the threads. A strip is
some rows of one image (or some small images): it pads the channels that it needs into a buffer that
stays in the cache, then lets the register tiles of ops.kernels.conv_tiles run over blocks of output
channels and positions. Where nothing is padded the tiles read the image itself. With a stride of
the result (transposed convolution) or in half precision the tiles write into the buffer and
`finish` spreads the values.

    plan.use_native(convolve_address("float32"), params, items=1, work=..., scratch=...)
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

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
)
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_depthwise import depthwise_address
from flambeau.ops.kernels.conv_padding import (
    CHANNEL_STEP,
    COMPUTE,
    IMAGE_ROWS,
    PADDING_WORDS,
    PITCH,
    X_CHANNEL,
    X_COLUMN,
    X_IMAGE,
    X_ROW,
    X_SLICE,
    Layout,
    claim,
    fill_channel,
    give_back,
    narrow,
    steps_of,
    unit_for,
    widen,
)
from flambeau.ops.kernels.conv_planes import Phase, Planes, volume
from flambeau.ops.kernels.conv_tiles import LAYOUT_WORDS, product_address
from flambeau.ops.kernels.vector_text import ELEMENT, Tile, tile_for

X, C, XP, CP, SIZE = f32, f32, pointer(f32), pointer(f32), 4  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
Product = Signature(void, ptr, ptr, ptr, i64, i64, i64, ptr, ptr, i64, i64, i64, ptr)
Depthwise = Signature(void, ptr, ptr, ptr, i64, ptr, ptr, i64, i64, i64)

# words of the parameters; the first ones are those of conv_padding
(
    PARALLEL, GRAIN, PACK_GRAIN, WEIGHT_AT, BIAS_AT, OUT_AT, PACKED, BIASES, BUFFERS, BUFFER_BYTES,
    SLOTS, STAGE, DIRECT, STAGED, GROUPS, CHANNELS, ROWS, TILE_ROWS, BLOCKS, TILE, WIDTH, TAIL,
    TAIL_WIDTH, DEPTHWISE, W_GROUP, W_ROW, W_CHANNEL, STRIP_IMAGES, STRIP_ROWS, STRIP_COLUMNS,
    IMAGES, COUNT_SLICES, COUNT_ROWS, COUNT_COLUMNS, IMAGE_BLOCKS, ROW_BLOCKS, COLUMN_BLOCKS,
    GROUP_BLOCKS, STRIP_GROUPS, PARTS, ITEMS, OUT_IMAGE, OUT_CHANNEL, OUT_SLICE, OUT_ROW,
    OUT_COLUMN, OUT_SIZE_SLICE, OUT_SIZE_ROW, OUT_SIZE_COLUMN, RESULT_SLICE, RESULT_ROW,
    RESULT_COLUMN, PHASES, PHASE_TABLE,
) = range(PADDING_WORDS, PADDING_WORDS + 54)  # fmt: skip
WORDS = PADDING_WORDS + 54
# words of a phase; its K rows of weights are ordered by channel, then tap
(
    P_SLICE,
    P_ROW,
    P_COLUMN,
    P_TAPS,
    P_WEIGHTS,
    P_ENTRIES,
    P_OUTER,
    P_OUTER_STEP,
    P_TABLE,
    P_PACKED,
    P_K,
    P_EVEN,
) = range(12)
PHASE_WORDS = 12
HEADER = 2048  # bytes before the packed weights: one word for each buffer says whether it is in use
MAX_SLOTS = HEADER // 8


@native
def pack_eight(packed: CP, matrix: XP, count: i64, step: i64) -> void:
    """Eight rows of weights that are contiguous, interleaved."""
    a, b, c, d = matrix, matrix + step, matrix + 2 * step, matrix + 3 * step
    e, f, g, h = matrix + 4 * step, matrix + 5 * step, matrix + 6 * step, matrix + 7 * step
    for k in range(count):
        packed[8 * k] = widen(a[k])
        packed[8 * k + 1] = widen(b[k])
        packed[8 * k + 2] = widen(c[k])
        packed[8 * k + 3] = widen(d[k])
        packed[8 * k + 4] = widen(e[k])
        packed[8 * k + 5] = widen(f[k])
        packed[8 * k + 6] = widen(g[k])
        packed[8 * k + 7] = widen(h[k])


@native
def pack_block(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: blocks of `TILE_ROWS` rows of the weights, each as k rows of neighbours."""
    weight: XP = buffers[params[WEIGHT_AT]]
    scratch = buffers[params[OUT_AT] + 1]
    rows = params[TILE_ROWS]
    for item in range(start, stop):
        group, block = item // params[BLOCKS], item % params[BLOCKS]
        first = block * rows
        count = params[ROWS] - first if params[ROWS] - first < rows else rows
        biases: CP = scratch + params[BIASES]
        biases = biases + item * rows
        for r in range(rows):
            biases[r] = C(0.0)
        if params[BIAS_AT] >= 0:
            bias: XP = buffers[params[BIAS_AT]]
            for r in range(count):
                biases[r] = widen(bias[group * params[ROWS] + first + r])
        for f in range(params[PHASES]):
            phase = params + params[PHASE_TABLE] + f * PHASE_WORDS
            taps, places = phase[P_TAPS], params + phase[P_WEIGHTS]
            packed: CP = scratch + params[PACKED]
            packed = packed + (phase[P_PACKED] + item * phase[P_K] * rows)
            matrix = weight + (group * params[W_GROUP] + first * params[W_ROW])
            if count == 8 and phase[P_EVEN] != 0:
                pack_eight(packed, matrix, phase[P_K], params[W_ROW])
            else:
                for c in range(params[CHANNELS]):
                    for t in range(taps):
                        row = matrix + (c * params[W_CHANNEL] + places[t])
                        for r in range(count):
                            packed[r] = widen(row[r * params[W_ROW]])
                        for r in range(count, rows):
                            packed[r] = C(0.0)
                        packed = packed + rows


@native
def run_tiles(
    params: i64p,
    scratch: ptr,
    image: CP,
    group: i64,
    part: i64,
    out: CP,
    stage: CP,
    positions: i64,
    layout: i64p,
) -> void:
    """All tiles of one group of a strip."""
    rows, width = params[TILE_ROWS], params[WIDTH]
    padded = (positions + width - 1) // width * width
    for f in range(params[PHASES]):
        phase = params + params[PHASE_TABLE] + f * PHASE_WORDS
        packed: CP = scratch + params[PACKED]
        biases: CP = scratch + params[BIASES]
        for block in range(
            part * params[BLOCKS] // params[PARTS], (part + 1) * params[BLOCKS] // params[PARTS]
        ):
            item = group * params[BLOCKS] + block
            valid = params[ROWS] - block * rows if params[ROWS] - block * rows < rows else rows
            weights = packed + (phase[P_PACKED] + item * phase[P_K] * rows)
            target, pitch = out + block * rows * params[OUT_CHANNEL], params[OUT_CHANNEL]
            if params[STAGED] != 0:
                target, pitch = stage + (f * params[ROWS] + block * rows) * padded, padded
            position, tile, step = i64(0), params[TILE], width
            while position < positions:
                if position + width > positions:  # narrow tiles for the rest
                    tile, step = params[TAIL], params[TAIL_WIDTH]
                p = position
                if params[DIRECT] != 0 and p > positions - step:
                    p = positions - step  # nothing may be read beyond the image
                place = target
                if params[STAGED] != 0:
                    place = target + p
                Product(tile)(
                    weights,
                    image + p,
                    params + phase[P_TABLE],
                    phase[P_OUTER],
                    phase[P_OUTER_STEP],
                    phase[P_ENTRIES],
                    biases + item * rows,
                    place,
                    pitch,
                    valid,
                    p,
                    layout,
                )
                position += step


@native
def finish(
    params: i64p,
    out: XP,
    stage: CP,
    part: i64,
    positions: i64,
    images: i64,
    slice: i64,
    row0: i64,
    rows: i64,
    column0: i64,
    columns: i64,
) -> void:
    """Staged values into the result: every phase to its places. `out` is at image and group."""
    width, block = params[WIDTH], params[TILE_ROWS]
    padded = (positions + width - 1) // width * width
    first, last = (
        part * params[BLOCKS] // params[PARTS] * block,
        (part + 1) * params[BLOCKS] // params[PARTS] * block,
    )
    for f in range(params[PHASES]):
        phase = params + params[PHASE_TABLE] + f * PHASE_WORDS
        a = slice * params[RESULT_SLICE] + phase[P_SLICE]
        step = params[RESULT_COLUMN]
        apart = step * params[OUT_COLUMN]
        x0 = column0 * step + phase[P_COLUMN]
        count = (params[OUT_SIZE_COLUMN] - x0 + step - 1) // step
        count = count if count < columns else columns
        if a < params[OUT_SIZE_SLICE]:
            for m in range(first, last if last < params[ROWS] else params[ROWS]):
                for b in range(images):
                    for r in range(rows):
                        y = (row0 + r) * params[RESULT_ROW] + phase[P_ROW]
                        if y < params[OUT_SIZE_ROW]:
                            source = stage + (
                                (f * params[ROWS] + m) * padded
                                + (b * params[IMAGE_ROWS] + r) * params[PITCH]
                            )
                            target = out + (
                                b * params[OUT_IMAGE]
                                + m * params[OUT_CHANNEL]
                                + a * params[OUT_SLICE]
                                + y * params[OUT_ROW]
                                + x0 * params[OUT_COLUMN]
                            )
                            if apart == 1:
                                for i in range(count):
                                    target[i] = narrow(source[i])
                            elif apart == 2:
                                for i in range(count):
                                    target[2 * i] = narrow(source[i])
                            else:
                                for i in range(count):
                                    target[i * apart] = narrow(source[i])


@native
def run_strip(buffers: ptrp, params: i64p, buffer: CP, item: i64, layout: i64p) -> void:
    """One strip: which images, rows, columns and groups it has follows from its number."""
    scratch = buffers[params[OUT_AT] + 1]
    x: XP = buffers[0]
    out: XP = buffers[params[OUT_AT]]
    rest = item
    part = rest % params[PARTS]
    rest = rest // params[PARTS]
    column0 = rest % params[COLUMN_BLOCKS] * params[STRIP_COLUMNS]
    rest = rest // params[COLUMN_BLOCKS]
    row0 = rest % params[ROW_BLOCKS] * params[STRIP_ROWS]
    rest = rest // params[ROW_BLOCKS]
    slice = rest % params[COUNT_SLICES]
    rest = rest // params[COUNT_SLICES]
    group0 = rest % params[GROUP_BLOCKS] * params[STRIP_GROUPS]
    image = rest // params[GROUP_BLOCKS] * params[STRIP_IMAGES]
    images = (
        params[IMAGES] - image
        if params[IMAGES] - image < params[STRIP_IMAGES]
        else params[STRIP_IMAGES]
    )
    rows = (
        params[COUNT_ROWS] - row0
        if params[COUNT_ROWS] - row0 < params[STRIP_ROWS]
        else params[STRIP_ROWS]
    )
    columns = (
        params[COUNT_COLUMNS] - column0
        if params[COUNT_COLUMNS] - column0 < params[STRIP_COLUMNS]
        else params[STRIP_COLUMNS]
    )
    positions = ((images - 1) * params[IMAGE_ROWS] + rows - 1) * params[PITCH] + columns
    layout[0], layout[1], layout[2], layout[3] = params[PITCH], columns, params[IMAGE_ROWS], rows
    layout[4], layout[5], layout[6] = params[OUT_ROW], params[OUT_IMAGE], images
    stage = buffer + params[STAGE]
    for group in range(
        group0,
        group0 + params[STRIP_GROUPS]
        if group0 + params[STRIP_GROUPS] < params[GROUPS]
        else params[GROUPS],
    ):
        channels = x + (image * params[X_IMAGE] + group * params[CHANNELS] * params[X_CHANNEL])
        planes = buffer
        if params[DIRECT] != 0:
            planes = channels + (
                slice * params[X_SLICE] + row0 * params[X_ROW] + column0 * params[X_COLUMN]
            )
        else:
            for c in range(params[CHANNELS]):
                fill_channel(
                    params,
                    params,
                    buffer + c * params[CHANNEL_STEP],
                    channels + c * params[X_CHANNEL],
                    images,
                    slice,
                    1,
                    row0,
                    rows,
                    column0,
                    columns,
                )
        result = out + (image * params[OUT_IMAGE] + group * params[ROWS] * params[OUT_CHANNEL])
        place: CP = result + (
            slice * params[OUT_SLICE] + row0 * params[OUT_ROW] + column0 * params[OUT_COLUMN]
        )
        if params[DEPTHWISE] != 0:
            phase = params + params[PHASE_TABLE]
            packed: CP = scratch + params[PACKED]
            biases: CP = scratch + params[BIASES]
            for row in range(0, rows, 8):
                Depthwise(params[DEPTHWISE])(
                    packed + group * phase[P_K],
                    planes + row * params[PITCH],
                    params + phase[P_TABLE],
                    params[PITCH],
                    biases + group,
                    place + row * params[OUT_ROW],
                    params[OUT_ROW],
                    rows - row if rows - row < 8 else i64(8),
                    columns,
                )
            continue
        run_tiles(params, scratch, planes, group, part, place, stage, positions, layout)
        if params[STAGED] != 0:
            finish(
                params, result, stage, part, positions, images, slice, row0, rows, column0, columns
            )


@native
def run_strips(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: strips of the result."""
    scratch = buffers[params[OUT_AT] + 1]
    layout = stack(i64, LAYOUT_WORDS)
    slot = claim(scratch, params[SLOTS])
    buffer = scratch + (params[BUFFERS] + slot * params[BUFFER_BYTES])
    for item in range(start, stop):
        run_strip(buffers, params, buffer, item, layout)
    give_back(scratch, slot)


@native
def convolve(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole convolution. Buffers: input, weight, bias if any, result, scratch."""
    fill_memory(buffers[params[OUT_AT] + 1], 0, HEADER)
    Parallel(params[PARALLEL])(
        pack_block, buffers, params, params[GROUPS] * params[BLOCKS], params[PACK_GRAIN]
    )
    Parallel(params[PARALLEL])(run_strips, buffers, params, params[ITEMS], params[GRAIN])


def convolve_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("convolve", [convolve], dtype)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [unit.symbol(convolve)])[
        unit.symbol(convolve)
    ]


class Task(NamedTuple):
    """What a convolution is made of: `weight` are the strides of (group, row, channel) in the
    weights, `rows` the output channels of a group, `channels` its input channels.
    """

    x: Spec
    out: Spec
    planes: Planes
    groups: int
    rows: int
    channels: int
    weight: tuple[int, int, int]
    kernel: tuple[int, ...]
    kernel_steps: tuple[int, ...]
    has_bias: bool


class Strips(NamedTuple):
    """How the result is cut: images, rows and columns of a strip, groups,
    and parts of the output channels.
    """

    images: int
    rows: int
    columns: int
    groups: int
    parts: int


MAX_UNROLLED = 64  # taps up to which the depthwise tile is unrolled
ENOUGH = 768  # positions from which a strip is long enough for its tiles


def is_direct(task: Task, tile: Tile) -> bool:
    """Whether tiles can read the image as it is: neighbouring columns, no padding, one plane,
    enough positions.
    """
    p, spec = task.planes, task.x
    image, channel, slice_step, row, column = steps_of(spec)
    size = task.out.dtype.name
    if (
        p.step != (1, 1, 1)
        or p.result_step != (1, 1, 1)
        or COMPUTE[size] != size
        or column != 1
        or spec.numel == 0
    ):
        return False
    counts = p.counts
    if any(p.reach(axis)[0] or counts[axis] + p.reach(axis)[1] > p.space[axis] for axis in (1, 2)):
        return False
    if min(p.slices) < 0 or max(p.slices) + counts[0] > p.space[0]:
        return False
    pitch = row if p.space[1] > 1 else p.space[2]
    crowded = channel * ELEMENT[size][1] % 4096 == 0 and task.channels >= 64
    wide = counts[1] * counts[2] >= 4 * tile.width
    # else copies pay: they bring the image into the second cache
    light = len(p.taps) == 1 or task.rows <= 4 * tile.rows
    return pitch >= counts[2] and not crowded and wide and light


def shortest(task: Task, strips: Strips) -> int:
    """Positions of the smallest strip that reads the image itself."""
    _, height, width = task.planes.counts
    rows, columns = (
        total - (-(-total // each) - 1) * each
        for total, each in ((height, strips.rows), (width, strips.columns))
    )
    return (rows - 1) * (steps_of(task.x)[3] if task.planes.space[1] > 1 else 0) + columns


@functools.cache
def second_cache() -> int:
    """Bytes of a core's second-level cache where the system tells it (Linux), else a usual size."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text()
    except OSError:
        text = ""
    found = re.fullmatch(r"(\d+)K\s*", text)
    return min(max(int(found[1]) << 10 if found else 0, 1 << 19), 1 << 21)


def cut(task: Task, direct: bool, staged: bool, threads: int, work: int) -> Strips:
    """Strips that fit the cache, are long enough, and keep the threads busy."""
    p = task.planes
    _, height, width = p.counts
    budget = second_cache() * 5 // 8 // ELEMENT[COMPUTE[task.out.dtype.name]][1]
    lines = len(p.slices) * len(p.planes) * task.channels

    def size(images: int, rows: int, columns: int) -> int:
        layout = Layout(p, images, rows, columns)
        stage = len(p.phases) * task.rows * layout.positions if staged else 0
        return (0 if direct else lines * layout.plane) + stage

    wanted = 1 if work < 1 << 20 else 4 * threads
    images, rows, columns = 1, height, width
    while rows > 1 and size(1, rows, columns) > budget:
        rows = -(-rows // 2)
    while columns > 256 and size(1, rows, columns) > budget:
        columns = -(-columns // 2)
    strips = task.x.shape[0] * p.counts[0] * -(-height // rows) * -(-width // columns)
    while strips < wanted and rows * width > ENOUGH and rows > 1:
        rows = -(-rows // 2)
        strips = task.x.shape[0] * p.counts[0] * -(-height // rows)
    while strips < wanted and height == 1 and columns > ENOUGH:
        columns = -(-columns // 2)
        strips = task.x.shape[0] * p.counts[0] * -(-width // columns)
    if not direct and rows == height and columns == width and p.counts[0] == 1:
        most = max(1, task.x.shape[0] // wanted)
        while (
            images < most
            and images * height * width < ENOUGH
            and size(images + 1, rows, columns) <= budget
        ):
            images += 1
        strips = -(-task.x.shape[0] // images)
    groups = task.groups
    if groups > 1:
        groups = max(1, min(groups, task.groups * strips // wanted))
        strips *= -(-task.groups // groups)
    blocks = -(-task.rows // tile_for(COMPUTE[task.out.dtype.name], task.rows).rows)
    parts = min(blocks, -(-wanted // max(1, strips))) if groups == 1 or task.groups == 1 else 1
    return Strips(images, rows, columns, groups, max(1, parts))


def tap_offset(task: Task, number: int) -> int:
    """Where a tap's weight lies from the first one."""
    offset = 0
    for size, step in zip(reversed(task.kernel), reversed(task.kernel_steps), strict=True):
        offset, number = offset + number % size * step, number // size
    return offset


def phase_words(
    task: Task, phase: Phase, layout: Layout | None, table: int, packed: int
) -> tuple[list[int], list[int]]:
    """The words of a phase and its tables, which lie at word `table`."""
    steps = steps_of(task.x)
    slices = task.planes.slices
    if layout is None:
        places = [slices[t.slice] * steps[2] + t.row * steps[3] + t.column for t in phase.taps]
        channel = steps[1]
    else:
        places, channel = [layout.offset(*t[:4]) for t in phase.taps], layout.channel
    taps = len(places)
    together = (
        max(
            (k for k in range(1, task.channels + 1) if task.channels % k == 0 and k * taps <= 512),
            default=1,
        )
        if taps
        else 1
    )
    entries = [c * channel + place for c in range(together) for place in places]
    outer = task.channels // together if taps else 0
    weights = [tap_offset(task, tap.weight) for tap in phase.taps]
    even = weights == list(range(taps)) and taps == task.weight[2]
    words = [
        *phase.start, taps, table, len(entries), outer, together * channel, table + taps, packed,
        taps * task.channels, int(even),
    ]  # fmt: skip
    return words, weights + entries


def depthwise_tile_of(tile: Tile, phase: Phase) -> int:
    """The tile for one input channel per output channel; taps are in order of their columns."""
    columns = groupby(phase.taps, key=lambda t: (t.slice, t.plane, t.column))
    rows = [[tap.row for tap in taps] for _, taps in columns]
    groups = tuple(tuple(row - group[0] for row in group) for group in rows)
    return depthwise_address(tile._replace(rows=8, vectors=1), groups)


def convolve_params(task: Task, parallel: int, threads: int) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a convolution."""
    p, kind = task.planes, COMPUTE[task.out.dtype.name]
    size = ELEMENT[kind][1]
    tile = tile_for(kind, task.rows)
    tail = tile._replace(vectors=1)
    staged = kind != task.out.dtype.name or p.result_step != (1, 1, 1) or steps_of(task.out)[4] != 1
    direct = is_direct(task, tile)
    alone = task.rows == task.channels == 1 and not staged and len(p.taps) <= MAX_UNROLLED
    if alone:
        p = replace(
            p,
            phases=(
                replace(
                    p.phases[0],
                    taps=tuple(sorted(p.taps, key=lambda t: (t.slice, t.plane, t.column, t.row))),
                ),
            ),
        )
    taps = max(len(phase.taps) for phase in p.phases)
    work = (
        task.x.shape[0]
        * task.groups
        * task.rows
        * volume(p.counts)
        * len(p.phases)
        * max(1, taps * task.channels // 8)
    )
    strips = cut(task, direct, staged, threads, work)
    if direct and shortest(task, strips) < tile.width:
        direct = False
        strips = cut(task, direct, staged, threads, work)
    alone = alone and strips.images == 1 and strips.columns == p.counts[2]
    even = (
        tile.lanes
        if alone
        and not direct
        and COMPUTE[task.x.dtype.name] == task.x.dtype.name
        and p.step[2] * steps_of(task.x)[4] in (1, 2)
        else 0
    )
    layout = Layout(p, strips.images, strips.rows, strips.columns, even)
    blocks = -(-task.rows // tile.rows)
    padding, tables = layout.words(task.x, WORDS)
    if direct:
        padding[PITCH] = padding[X_ROW] if p.space[1] > 1 else p.space[2]
        padding[IMAGE_ROWS] = p.space[1] + 1
    positions = ((strips.images - 1) * padding[IMAGE_ROWS] + strips.rows - 1) * padding[
        PITCH
    ] + strips.columns
    phase_table = WORDS + len(tables)
    at, packed, phases, more = phase_table + PHASE_WORDS * len(p.phases), 0, [], []
    for phase in p.phases:
        words, table = phase_words(task, phase, None if direct else layout, at, packed)
        phases += words
        more += table
        at += len(table)
        packed += task.groups * blocks * tile.rows * len(phase.taps) * task.channels
    slots = min(threads, MAX_SLOTS)
    planes_size = 0 if direct else task.channels * layout.channel + tile.width + 64
    stage_size = (
        len(p.phases) * task.rows * (-(-positions // tile.width) * tile.width) if staged else 0
    )
    buffer_bytes = -(-(planes_size + stage_size) * size // 64) * 64
    biases = HEADER + -(-packed * size // 64) * 64
    buffers = biases + -(-task.groups * blocks * tile.rows * size // 64) * 64
    space = (*(1,) * (5 - task.out.ndim), *task.out.shape[2:])
    counts = p.counts
    cuts = [
        -(-task.x.shape[0] // strips.images),
        -(-counts[1] // strips.rows),
        -(-counts[2] // strips.columns),
        -(-task.groups // strips.groups),
    ]
    depthwise = depthwise_tile_of(tile, p.phases[0]) if alone else 0
    out_at = 3 if task.has_bias else 2
    params = [
        *padding, parallel, 1 if work >= 1 << 17 else 0,
        -(-task.groups * blocks // (4 * threads)) if packed >= 1 << 15 else 0, 1,
        2 if task.has_bias else -1, out_at, HEADER, biases, buffers, buffer_bytes, slots,
        planes_size, int(direct), int(staged), task.groups, task.channels, task.rows, tile.rows,
        blocks, product_address(tile, not staged), tile.width, product_address(tail, not staged),
        tail.width, depthwise, *task.weight, strips.images, strips.rows, strips.columns,
        task.x.shape[0], *counts, *cuts, strips.groups, strips.parts,
        volume(cuts) * counts[0] * strips.parts, *steps_of(task.out), *space, *p.result_step,
        len(p.phases), phase_table, *tables, *phases, *more,
    ]  # fmt: skip
    return params, buffers + slots * buffer_bytes, work

"""Convolution, any stride, padding, dilation, groups, and its transpose: an implicit matrix product
over padded planes, whose vectors are neighbouring positions.

The Python side: how a task is cut into strips, which tiles compute it, and the tables that say
where each tap of the kernel reads. The native side is ops.kernels.conv_forward_native. Tasks with
many output channels and borders, strides or small images go to ops.kernels.conv_forward_points.

    params, scratch, work = convolve_params(task, parallel, threads)
    plan.use_native(convolve_address("float32"), params, items=1, work=work, scratch=scratch)
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau.ops.kernels.conv_forward_native import PHASE_WORDS, WORDS
from flambeau.ops.kernels.conv_forward_native import convolve_address as convolve_address
from flambeau.ops.kernels.conv_padding import COMPUTE, IMAGE_ROWS, PITCH, X_ROW, Layout, steps_of
from flambeau.ops.kernels.conv_planes import Phase, volume
from flambeau.ops.kernels.conv_strips import (
    HEADER,
    MAX_SLOTS,
    Run,
    Strips,
    Task,
    common_words,
    second_cache,
    work_of,
)  # fmt: skip
from flambeau.ops.kernels.conv_tiles import product_address
from flambeau.ops.kernels.vector_text import ELEMENT, Tile, tile_for

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
    weights = [task.tap_offset(tap.weight) for tap in phase.taps]
    even = weights == list(range(taps)) and taps == task.weight[2]
    words = [
        *phase.start, taps, table, len(entries), outer, together * channel, table + taps, packed,
        taps * task.channels, int(even),
    ]  # fmt: skip
    return words, weights + entries


class Form(NamedTuple):
    """How a task is computed: its strips and the layout of a buffer, whether the tiles read the
    image itself, or write into the buffer first.
    """

    strips: Strips
    layout: Layout
    direct: bool
    staged: bool


def form_of(task: Task, tile: Tile, threads: int, work: int) -> Form:
    """The form that suits a task."""
    p, kind = task.planes, COMPUTE[task.out.dtype.name]
    staged = kind != task.out.dtype.name or p.result_step != (1, 1, 1) or steps_of(task.out)[4] != 1
    direct = is_direct(task, tile)
    strips = cut(task, direct, staged, threads, work)
    if direct and shortest(task, strips) < tile.width:
        direct = False
        strips = cut(task, direct, staged, threads, work)
    layout = Layout(p, strips.images, strips.rows, strips.columns)
    return Form(strips, layout, direct, staged)


def convolve_params(task: Task, parallel: int, threads: int) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a convolution."""
    kind = COMPUTE[task.out.dtype.name]
    size, tile = ELEMENT[kind][1], tile_for(kind, task.rows)
    tail = tile._replace(vectors=1)
    taps = max(len(phase.taps) for phase in task.planes.phases)
    work = work_of(task, volume(task.planes.counts) * len(task.planes.phases), taps)
    form = form_of(task, tile, threads, work)
    p, layout, strips = task.planes, form.layout, form.strips
    blocks = -(-task.rows // tile.rows)
    padding, tables = layout.words(task.x, WORDS)
    if form.direct:
        padding[PITCH] = padding[X_ROW] if p.space[1] > 1 else p.space[2]
        padding[IMAGE_ROWS] = p.space[1] + 1
    positions = (strips.images - 1) * padding[IMAGE_ROWS] + strips.rows - 1
    positions = positions * padding[PITCH] + strips.columns
    phase_table = WORDS + len(tables)
    at, packed, phases, more = phase_table + PHASE_WORDS * len(p.phases), 0, [], []
    for phase in p.phases:
        words, table = phase_words(task, phase, None if form.direct else layout, at, packed)
        phases += words
        more += table
        at += len(table)
        packed += task.groups * blocks * tile.rows * len(phase.taps) * task.channels
    planes_size = 0 if form.direct else task.channels * layout.channel + tile.width + 64
    stage_size = len(p.phases) * task.rows * (-(-positions // tile.width) * tile.width)
    biases = HEADER + -(-packed * size // 64) * 64
    run = Run(
        parallel,
        1 if work >= 1 << 17 else 0,
        -(-task.groups * blocks // (4 * threads)) if packed >= 1 << 15 else 0,
        blocks,
        biases + -(-task.groups * blocks * tile.rows * size // 64) * 64,
        -(-(planes_size + stage_size * form.staged) * size // 64) * 64,
        min(threads, MAX_SLOTS),
    )
    space = (*(1,) * (5 - task.out.ndim), *task.out.shape[2:])
    params = [
        *padding, *common_words(task, strips, p.counts, run), HEADER, biases, planes_size,
        int(form.direct), int(form.staged), tile.rows, product_address(tile, not form.staged),
        tile.width, product_address(tail, not form.staged), tail.width, *space,
        *p.result_step, len(p.phases), phase_table, *tables, *phases, *more,
    ]  # fmt: skip
    return params, run.scratch, work

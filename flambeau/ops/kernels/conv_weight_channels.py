"""The gradient of a depthwise weight where channels are neighbours in memory (channels last), in
native code.

    dw[c, t] = sum over positions p of x[p + shift(t), c] * g[p, c]

A tile of ops.kernels.conv_channel_tiles holds the taps of a row of the kernel, for some channels,
and runs along a row of g; as in ops.kernels.conv_channels nothing is padded, and columns that meet
the same taps make a run. Every part of the parallel loop has sums of its own, which are added up
last.

    params, scratch, work = channels_params(task, axes, kernel, *threading())
    plan.use_native(channels_address("float32"), params, items=1, work=work, scratch=scratch)
"""

from __future__ import annotations

from collections.abc import Sequence

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
from flambeau.ops.kernels.conv_channel_tiles import channel_tile_address
from flambeau.ops.kernels.conv_channels import Axis, ChannelTile, vectors_of
from flambeau.ops.kernels.conv_padding import COMPUTE, steps_of, unit_for
from flambeau.ops.kernels.conv_planes import volume
from flambeau.ops.kernels.conv_points import turn_address
from flambeau.ops.kernels.conv_weight import WeightTask
from flambeau.ops.kernels.vector_text import ELEMENT, Tile

X, XP, SIZE = f32, pointer(f32), 4  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

# words of the parameters; strides are in elements. The tables hold for every slice and row where
# the list of its taps begins: their number, then (tap, place in the image) of each
(
    PARALLEL, GRAIN, PARTS, ITEMS, CHANNELS, TAPS, WIDTH, PADDED, TURN, X_IMAGE, X_SLICE, X_ROW,
    TAP_STEP, G_IMAGE, G_SLICE, G_ROW, SLICES, ROWS, KERNEL_ROWS, KERNEL_COLUMNS, SLICE_TABLE,
    ROW_TABLE, RUN_TABLE, RUNS,
) = range(24)  # fmt: skip
WORDS = 24
# words of a run of columns: where its first one reads, in the image and in g, its columns and their
# list (places in the image and in g), its first tap, the tiles for whole blocks and for the last
FIRST_X, FIRST_G, COUNT, LIST, TAP, TILE, LAST_TILE, RUN_WORDS = range(8)


@native
def multiply_row(params: i64p, x: XP, g: XP, sums: XP) -> void:
    """A row of g with a row of the image, for one row of taps."""
    width, channels = params[WIDTH], params[CHANNELS]
    for r in range(params[RUNS]):
        run = params + params[RUN_TABLE] + r * RUN_WORDS
        source, other = x + run[FIRST_X], g + run[FIRST_G]
        for channel in range(0, channels, width):
            target, left = sums + run[TAP] * params[PADDED] + channel, channels - channel
            ChannelTile(run[TILE if left > width else LAST_TILE])(
                source + channel, params + run[LIST], other + channel, run[COUNT], target,
                params[PADDED], target, params[TAP_STEP], params[PADDED], left,
            )  # fmt: skip


@native
def multiply_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: parts of the rows of g."""
    length = params[TAPS] * params[PADDED]
    for part in range(start, stop):
        sums: XP = buffers[3]
        sums = sums + part * length
        fill_memory(sums, 0, length * SIZE)
        first = part * params[ITEMS] // params[PARTS]
        for item in range(first, (part + 1) * params[ITEMS] // params[PARTS]):
            row, rest = item % params[ROWS], item // params[ROWS]
            slice, image = rest % params[SLICES], rest // params[SLICES]
            x: XP = buffers[0]
            g: XP = buffers[1]
            x = x + image * params[X_IMAGE]
            g = g + (image * params[G_IMAGE] + slice * params[G_SLICE] + row * params[G_ROW])
            depth = params + params[params[SLICE_TABLE] + slice]
            down = params + params[params[ROW_TABLE] + row]
            for a in range(depth[0]):
                for b in range(down[0]):
                    place = depth[2 + 2 * a] * params[X_SLICE] + down[2 + 2 * b] * params[X_ROW]
                    tap = depth[1 + 2 * a] * params[KERNEL_ROWS] + down[1 + 2 * b]
                    tap = tap * params[KERNEL_COLUMNS]
                    multiply_row(params, x + place, g, sums + tap * params[PADDED])


@native
def weigh_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole gradient. Buffers: input, other operand, result, scratch."""
    Parallel(params[PARALLEL])(multiply_rows, buffers, params, params[PARTS], params[GRAIN])
    length = params[TAPS] * params[PADDED]
    sums: XP = buffers[3]
    for part in range(1, params[PARTS]):
        for j in range(length):
            sums[j] = sums[j] + sums[part * length + j]
    taps = params[TAPS]
    Turn(params[TURN])(sums, params[PADDED], taps, params[CHANNELS], buffers[2], taps)


def channels_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("weigh_channels", [weigh_channels], dtype)
    symbol = unit.symbol(weigh_channels)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def suits(task: WeightTask) -> bool:
    """Whether an image's channels are convolved one by one, and are neighbours."""
    neighbours = steps_of(task.x)[1] == steps_of(task.g)[1] == 1
    kind = task.x.dtype.name
    return task.rows == task.channels == 1 and neighbours and COMPUTE[kind] == kind


def table_of(axis: Axis, at: int) -> list[int]:
    """The table of an axis, which begins at word `at`."""
    lists = [axis.taps(i) for i in range(axis.results)]
    entries = [[len(taps), *(word for tap in taps for word in tap)] for taps in lists]
    begins, begin = [], at + axis.results
    for entry in entries:
        begins.append(begin)
        begin += len(entry)
    return [*begins, *(word for entry in entries for word in entry)]


def runs_of(task: WeightTask, axis: Axis, at: int) -> tuple[int, list[int]]:
    """(number of runs, their table, which begins at word `at`)."""
    runs = [run for run in axis.runs() if run.taps]
    x_step, g_step = steps_of(task.x)[4], steps_of(task.g)[4]
    lanes, each, last = vectors_of(task.g.dtype.name, task.groups)
    words: list[int] = []
    lists: list[int] = []
    lists_at = at + RUN_WORDS * len(runs)
    for run in runs:
        (tap, place), rows = run.taps[0], len(run.taps)
        tiles = [
            channel_tile_address(Tile(task.g.dtype.name, lanes, rows, vectors), edge, True)
            for vectors, edge in ((each, False), (last, task.groups % lanes != 0))
        ]
        begin = lists_at + len(lists)
        words += [place * x_step, run.first * g_step, run.length, begin, tap, *tiles]
        for i in range(run.length):
            lists += [i * run.source * x_step, i * run.step * g_step]
    return len(runs), [*words, *lists]


def channels_params(
    task: WeightTask, axes: Sequence[Axis], kernel: tuple[int, ...], parallel: int, threads: int
) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of the gradient of a weight of this kernel."""
    kind, channels, taps = task.g.dtype.name, task.groups, volume(kernel)
    lanes, each, _ = vectors_of(kind, channels)
    padded = -(-channels // lanes) * lanes
    counts = [axis.results for axis in axes]
    items = task.x.shape[0] * counts[0] * counts[1]
    work = items * counts[2] * taps * channels
    parts = min(items, 4 * threads) if threads > 1 and work >= 1 << 19 else 1
    slices = table_of(axes[0], WORDS)
    rows = table_of(axes[1], WORDS + len(slices))
    at = WORDS + len(slices) + len(rows)
    number, runs = runs_of(task, axes[2], at)
    x, g = steps_of(task.x), steps_of(task.g)
    params = [
        parallel, int(parts > 1), parts, items, channels, taps, each * lanes, padded,
        turn_address(kind), x[0], x[2], x[3], axes[2].dilation * x[4], g[0], g[2], g[3],
        *counts[:2], *kernel[1:], WORDS, WORDS + len(slices), at, number, *slices, *rows, *runs,
    ]  # fmt: skip
    return params, parts * taps * padded * ELEMENT[kind][1], work

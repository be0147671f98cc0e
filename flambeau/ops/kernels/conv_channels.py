"""Depthwise convolution, and its transpose, of images whose channels are neighbours in memory
(channels last), in native code.

Vectors run over channels. Nothing is padded: the Python side lists for every row of the result, and
for runs of columns, which taps of the kernel meet the image; a tile of ops.kernels.conv_depthwise
computes some columns of a run from such a list. One item of the parallel loop is a row of results.

    params, scratch, work = channels_params(task, geometry, transposed=False, *threading())
    plan.use_native(channels_address("float32"), params, items=1, work=work, scratch=scratch)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
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
)  # fmt: skip
from flambeau.ops.kernels.conv_depthwise import channel_tile_address
from flambeau.ops.kernels.conv_padding import COMPUTE, steps_of, unit_for
from flambeau.ops.kernels.conv_planes import volume
from flambeau.ops.kernels.conv_points import turn_address
from flambeau.ops.kernels.conv_strips import Task, fewer, work_of
from flambeau.ops.kernels.vector_text import ELEMENT, Tile, machine_vectors

X, XP, SIZE = f32, pointer(f32), 4  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
ChannelTile = Signature(void, ptr, ptr, ptr, i64, ptr, ptr, i64, i64, i64)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

# words of the parameters: strides in elements; tables hold for each index of an axis where the list
# of its taps begins: their number, then (tap, place in the image) of each
(
    PARALLEL, GRAIN, ITEMS, BIAS_AT, OUT_AT, BIASES, CHANNELS, TAPS, W_GROUP, EVEN, WEIGHTS, TURN,
    X_IMAGE, X_CHANNEL, X_SLICE, X_ROW, X_COLUMN, Y_IMAGE, Y_CHANNEL, Y_SLICE, Y_ROW, Y_COLUMN,
    SLICES, ROWS, KERNEL_ROWS, KERNEL_COLUMNS, SLICE_TABLE, ROW_TABLE, RUN_TABLE, RUNS, WIDTH,
    TILES,
) = range(32)  # fmt: skip
HEIGHTS = 3  # how many tiles there are for whole blocks; as many follow for the last one
WORDS = TILES + 4 * HEIGHTS  # (columns, address) of each
MOST_TAPS = 343
GRAIN_WORK = 1 << 14  # vector operations that a thread takes at a time
# words of a run of columns: the first one, how many, the step to the next one in the result and in
# the image, where the list of their taps begins
FIRST, COUNT, STEP, SOURCE_STEP, LIST, RUN_WORDS = range(6)


@native
def pack_weights(buffers: ptrp, params: i64p) -> void:
    """Weights and biases in blocks of channels, tap by tap, with zeros after the last channel."""
    width, taps, channels = params[WIDTH], params[TAPS], params[CHANNELS]
    blocks = (channels + width - 1) // width
    packed: XP = buffers[params[OUT_AT] + 1]
    biases = packed + params[BIASES]
    last = packed + (blocks - 1) * taps * width
    fill_memory(last, 0, taps * width * SIZE)
    fill_memory(biases, 0, blocks * width * SIZE)
    if params[BIAS_AT] >= 0:
        bias: XP = buffers[params[BIAS_AT]]
        for c in range(channels):
            biases[c] = bias[c]
    weights: XP = buffers[1]
    for block in range(blocks):
        valid = fewer(channels, block * width, width)
        source, target = weights + block * width * params[W_GROUP], packed + block * taps * width
        if params[EVEN] != 0:
            Turn(params[TURN])(source, params[W_GROUP], valid, taps, target, width)
        else:
            for t in range(taps):
                for c in range(valid):
                    target[t * width + c] = source[
                        c * params[W_GROUP] + params[params[WEIGHTS] + t]
                    ]


@native
def list_taps(params: i64p, slice: i64, row: i64, run: i64p, table: i64p) -> i64:
    """Where the taps of a run of columns read, from its first result, and where their weights lie;
    returns how many there are.
    """
    count, width = i64(0), params[WIDTH]
    depth, across = params + params[params[SLICE_TABLE] + slice], params + run[LIST]
    down = params + params[params[ROW_TABLE] + row]
    for a in range(depth[0]):
        for b in range(down[0]):
            place = depth[2 + 2 * a] * params[X_SLICE] + down[2 + 2 * b] * params[X_ROW]
            tap = depth[1 + 2 * a] * params[KERNEL_ROWS] + down[1 + 2 * b]
            for c in range(across[0]):
                table[2 * count] = place + across[2 + 2 * c] * params[X_COLUMN]
                weight = tap * params[KERNEL_COLUMNS] + across[1 + 2 * c]
                table[2 * count + 1] = weight * width
                count += 1
    return count


@native
def fill_run(
    params: i64p, x: XP, weights: XP, biases: XP, y: XP, run: i64p, table: i64p, count: i64,
    left: i64,
) -> void:  # fmt: skip
    """A run of columns in a block of channels: tiles of as many columns as there are; the last one
    moves back to end with the run.
    """
    tiles = params + TILES if left >= params[WIDTH] else params + TILES + 2 * HEIGHTS
    step, source_step = run[STEP] * params[Y_COLUMN], run[SOURCE_STEP] * params[X_COLUMN]
    total = run[COUNT]
    while total < tiles[0]:
        tiles = tiles + 2
    columns = tiles[0]
    for i in range(0, total, columns):
        first = i if i + columns <= total else total - columns
        ChannelTile(tiles[1])(
            x + first * source_step, table, weights, count, biases, y + first * step, source_step,
            step, left,
        )  # fmt: skip


@native
def convolve_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: rows of the result."""
    table, width, channels = stack(i64, 2 * MOST_TAPS), params[WIDTH], params[CHANNELS]
    packed: XP = buffers[params[OUT_AT] + 1]
    biases = packed + params[BIASES]
    for item in range(start, stop):
        row, rest = item % params[ROWS], item // params[ROWS]
        slice, image = rest % params[SLICES], rest // params[SLICES]
        x: XP = buffers[0]
        x = x + image * params[X_IMAGE]
        y: XP = buffers[params[OUT_AT]]
        y = y + (image * params[Y_IMAGE] + slice * params[Y_SLICE] + row * params[Y_ROW])
        for r in range(params[RUNS]):
            run = params + params[RUN_TABLE] + r * RUN_WORDS
            count = list_taps(params, slice, row, run, table)
            target = y + run[FIRST] * params[Y_COLUMN]
            for channel in range(0, channels, width):
                fill_run(
                    params, x + channel, packed + channel * params[TAPS], biases + channel,
                    target + channel, run, table, count, channels - channel,
                )  # fmt: skip


@native
def convolve_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole convolution. Buffers: input, weight, bias if any, result, scratch."""
    pack_weights(buffers, params)
    Parallel(params[PARALLEL])(convolve_rows, buffers, params, params[ITEMS], params[GRAIN])


def channels_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("convolve_channels", [convolve_channels], dtype)
    symbol = unit.symbol(convolve_channels)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


Taps = list[tuple[int, int]]  # of a result: taps of the kernel, and where they meet the image


class Axis(NamedTuple):
    """One axis of a convolution, or of its transpose."""

    size: int
    count: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    transposed: bool

    def taps(self, index: int) -> Taps:
        """Those of result `index` that lie inside the image."""
        if not self.transposed:
            first = index * self.stride - self.padding
            found = [(k, first + k * self.dilation) for k in range(self.kernel)]
        else:
            spans = [(k, index + self.padding - k * self.dilation) for k in range(self.kernel)]
            found = [(k, span // self.stride) for k, span in spans if span % self.stride == 0]
        return [(k, place) for k, place in found if 0 <= place < self.size]

    def runs(self) -> Iterator[tuple[int, int]]:
        """(first, how many): results that meet the same taps, `step` apart."""
        for start in range(min(self.step, self.count)):
            places = range(start, self.count, self.step)
            for _taps, same in groupby(places, lambda i: [tap for tap, _ in self.taps(i)]):
                run = list(same)
                yield run[0], len(run)

    @property
    def step(self) -> int:
        """From a result to the next one that may meet the same taps."""
        return self.stride if self.transposed else 1


def words_of(taps: Taps) -> list[int]:
    """A list of taps as the native side reads it."""
    return [len(taps), *(word for tap in taps for word in tap)]


def tables_of(axes: Sequence[Axis], at: int) -> tuple[list[int], list[int]]:
    """(where the tables of slices, rows and runs begin and how many runs there are, their words):
    the first word lies at `at`.
    """
    words: list[int] = []
    heads = []
    for axis in axes[:2]:
        heads.append(at + len(words))
        lists = [words_of(axis.taps(i)) for i in range(axis.count)]
        begin = at + len(words) + axis.count
        for entry in lists:
            words.append(begin)
            begin += len(entry)
        words += [word for entry in lists for word in entry]
    axis, runs = axes[2], list(axes[2].runs())
    heads += [at + len(words), len(runs)]
    lists, begin = [], at + len(words) + len(runs) * RUN_WORDS
    for first, count in runs:
        lists.append(words_of(axis.taps(first)))
        words += [first, count, axis.step, 1 if axis.transposed else axis.stride, begin]
        begin += len(lists[-1])
    return heads, [*words, *(word for entry in lists for word in entry)]


def suits(task: Task) -> bool:
    """Whether an image's channels are convolved one by one, and are neighbours."""
    kind, alone = task.x.dtype.name, task.rows == task.channels == 1
    neighbours = steps_of(task.x)[1] == steps_of(task.out)[1] == 1
    return alone and neighbours and COMPUTE[kind] == kind and volume(task.kernel) <= MOST_TAPS


def tiles_of(dtype: str, channels: int) -> tuple[int, list[int]]:
    """(channels of a block, words of the tiles): for whole blocks, then for the last one."""
    size, registers = machine_vectors()
    lanes = size // ELEMENT[dtype][1]
    vectors = 1 if channels <= lanes else 2
    words = []
    for edge in (False, True):
        for columns in (8, 4, 1) if registers == 32 else (4, 2, 1):
            tile = Tile(dtype, lanes, columns, vectors)
            words += [columns, channel_tile_address(tile, edge)]
    return vectors * lanes, words


def channels_params(task: Task, axes: Sequence[Axis], parallel: int) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a convolution along three axes."""
    kind, taps, channels = task.out.dtype.name, volume(task.kernel), task.groups
    width, tiles = tiles_of(kind, channels)
    blocks, counts = -(-channels // width), [axis.count for axis in axes]
    offsets = [task.tap_offset(t) for t in range(taps)]
    heads, tables = tables_of(axes, WORDS)
    items = task.x.shape[0] * counts[0] * counts[1]
    work = work_of(task, volume(counts), taps)
    biases = blocks * taps * width
    params = [
        parallel, max(1, GRAIN_WORK * items // max(1, work)), items,
        2 if task.has_bias else -1, 3 if task.has_bias else 2, biases, channels, taps,
        task.weight[0], int(offsets == list(range(taps))), WORDS + len(tables),
        turn_address(kind), *steps_of(task.x), *steps_of(task.out), *counts[:2], *task.kernel[1:],
        *heads, width, *tiles, *tables, *offsets,
    ]  # fmt: skip
    return params, (biases + blocks * width) * ELEMENT[kind][1], work

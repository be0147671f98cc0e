"""Depthwise convolution, and its transpose, of images whose channels are neighbours in memory
(channels last), in native code.

Vectors run over channels. Nothing is padded: the Python side lists for every kind of rows of the
result, and for runs of columns, which taps of the kernel meet the image; a tile of
ops.kernels.conv_channel_tiles computes some columns of a run from such a list. One item of the
parallel loop is a row of results.

    params, scratch, work = channels_params(task, geometry, transposed=False, *threading())
    plan.use_native(channels_address("float32"), params, items=1, work=work, scratch=scratch)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, product
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
    void,
)  # fmt: skip
from flambeau.ops.kernels.conv_channel_tiles import channel_tile_address
from flambeau.ops.kernels.conv_padding import COMPUTE, steps_of, unit_for
from flambeau.ops.kernels.conv_planes import volume
from flambeau.ops.kernels.conv_points import turn_address
from flambeau.ops.kernels.conv_strips import Task, fewer, work_of
from flambeau.ops.kernels.vector_text import ELEMENT, Tile, machine_vectors

X, XP, SIZE = f32, pointer(f32), 4  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
ChannelTile = Signature(void, ptr, ptr, ptr, i64, ptr, i64, ptr, i64, i64, i64)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

# words of the parameters; strides are in elements. Tables hold for every slice and row its kind and
# where it begins in the image; then the runs of columns of each pair of kinds
(
    PARALLEL, GRAIN, ITEMS, BIAS_AT, OUT_AT, BIASES, CHANNELS, TAPS, W_GROUP, EVEN, WEIGHTS, TURN,
    X_IMAGE, Y_IMAGE, Y_SLICE, Y_ROW, SLICES, ROWS, SLICE_TABLE, ROW_TABLE, ROW_KINDS, RUN_TABLE,
    RUNS, WIDTH,
) = range(24)  # fmt: skip
WORDS = 24
# words of a run of columns: where it begins in the result, how many they are, the steps to the next
# one in the result and in the image, the tile and how many columns it computes, the one for the
# last channels, the number of taps and where their list is: places in the image and of weights
FIRST, COUNT, STEP, SOURCE_STEP, COLUMNS, TILE, LAST_TILE, MET, LIST, RUN_WORDS = range(10)
GRAIN_WORK = 1 << 14  # vector operations that a thread takes at a time
MOST_COLUMNS = {32: 8, 16: 4}  # of a tile, by the number of vector registers


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
def fill_run(params: i64p, x: XP, weights: XP, biases: XP, y: XP, run: i64p, left: i64) -> void:
    """A run of columns in a block of channels; the last tile moves back to end with the run."""
    tile = run[TILE if left > params[WIDTH] else LAST_TILE]
    total, columns = run[COUNT], run[COLUMNS]
    for i in range(0, total, columns):
        first = i if i + columns <= total else total - columns
        ChannelTile(tile)(
            x + first * run[SOURCE_STEP], params + run[LIST], weights, run[MET], biases, 0,
            y + first * run[STEP], run[SOURCE_STEP], run[STEP], left,
        )  # fmt: skip


@native
def convolve_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: rows of the result."""
    width, channels = params[WIDTH], params[CHANNELS]
    packed: XP = buffers[params[OUT_AT] + 1]
    biases = packed + params[BIASES]
    for item in range(start, stop):
        row, rest = item % params[ROWS], item // params[ROWS]
        slice, image = rest % params[SLICES], rest // params[SLICES]
        depth, down = params + params[SLICE_TABLE] + 2 * slice, params + params[ROW_TABLE] + 2 * row
        x: XP = buffers[0]
        x = x + (image * params[X_IMAGE] + depth[1] + down[1])
        y: XP = buffers[params[OUT_AT]]
        y = y + (image * params[Y_IMAGE] + slice * params[Y_SLICE] + row * params[Y_ROW])
        runs = (depth[0] * params[ROW_KINDS] + down[0]) * params[RUNS] * RUN_WORDS
        for r in range(params[RUNS]):
            run = params + params[RUN_TABLE] + runs + r * RUN_WORDS
            for channel in range(0, channels, width):
                weights, target = packed + channel * params[TAPS], y + run[FIRST] + channel
                left = channels - channel
                fill_run(params, x + channel, weights, biases + channel, target, run, left)


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


class Axis(NamedTuple):
    """One axis of a convolution, or of its transpose."""

    size: int
    results: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    transposed: bool

    def taps(self, index: int) -> list[tuple[int, int]]:
        """(tap, place in the image) of those of result `index` that lie inside."""
        if not self.transposed:
            first = index * self.stride - self.padding
            found = [(k, first + k * self.dilation) for k in range(self.kernel)]
        else:
            spans = [(k, index + self.padding - k * self.dilation) for k in range(self.kernel)]
            found = [(k, span // self.stride) for k, span in spans if span % self.stride == 0]
        return [(k, place) for k, place in found if 0 <= place < self.size]

    def met(self, index: int) -> list[int]:
        """The taps alone."""
        return [tap for tap, _ in self.taps(index)]

    def runs(self) -> Iterator[Run]:
        """All results, those together that meet the same taps."""
        step, source = (self.stride, 1) if self.transposed else (1, self.stride)
        for start in range(min(step, self.results)):
            places = range(start, self.results, step)
            for _, same in groupby(places, self.met):
                run = list(same)
                yield Run(run[0], len(run), step, source, self.taps(run[0]))


def axes_of(geometry: Sequence[Sequence[int]], transposed: bool) -> list[Axis]:
    """The axes, from (sizes, results, kernel, stride, padding, dilation) along all three."""
    sizes, results, kernel, stride, padding, dilation = geometry
    return [
        Axis(sizes[d], results[d], kernel[d], stride[d], padding[d], dilation[d], transposed)
        for d in range(3)
    ]


class Run(NamedTuple):
    """Results that meet the same taps, `step` apart; `source` is that step in the image, and `taps`
    are those of the first one.
    """

    first: int
    length: int
    step: int
    source: int
    taps: list[tuple[int, int]]


def kinds_of(runs: Sequence[Run], count: int, stride: int) -> list[int]:
    """For every slice or row its run, and how far it reads from the run's first one."""
    words = [0] * (2 * count)
    for kind, run in enumerate(runs):
        for i in range(run.length):
            place = run.first + i * run.step
            words[2 * place : 2 * place + 2] = [kind, i * run.source * stride]
    return words


def tables_of(task: Task, axes: Sequence[Axis], width: int, at: int) -> tuple[list[int], list[int]]:
    """(the words from SLICE_TABLE to RUNS, the tables), which begin at word `at`."""
    slices, rows, columns = (list(axis.runs()) for axis in axes)
    steps, result = steps_of(task.x)[2:], steps_of(task.out)[4]
    kinds = kinds_of(slices, axes[0].results, steps[0]), kinds_of(rows, axes[1].results, steps[1])
    runs_at = at + len(kinds[0]) + len(kinds[1])
    heads = [at, at + len(kinds[0]), len(rows), runs_at, len(columns)]
    words: list[int] = []
    lists: list[int] = []
    lists_at = runs_at + len(slices) * len(rows) * len(columns) * RUN_WORDS
    for depth, down, run in product(slices, rows, columns):
        found = []
        for (a, d), (b, h), (c, w) in product(depth.taps, down.taps, run.taps):
            tap = (a * axes[1].kernel + b) * axes[2].kernel + c
            found += [d * steps[0] + h * steps[1] + w * steps[2], tap * width]
        most = MOST_COLUMNS[machine_vectors()[1]]
        together = -(-run.length // -(-run.length // most))
        tiles = tiles_of(task.out.dtype.name, task.groups, together)
        words += [
            run.first * result, run.length, run.step * result, run.source * steps[2], together,
            *tiles, len(found) // 2, lists_at + len(lists),
        ]  # fmt: skip
        lists += found
    return heads, [*kinds[0], *kinds[1], *words, *lists]


def suits(task: Task) -> bool:
    """Whether an image's channels are convolved one by one, and are neighbours."""
    kind, alone = task.x.dtype.name, task.rows == task.channels == 1
    return alone and task.neighbours and COMPUTE[kind] == kind


def vectors_of(dtype: str, channels: int) -> tuple[int, int, int]:
    """(elements of a vector, vectors of a block of channels, vectors of the last one)."""
    lanes = machine_vectors()[0] // ELEMENT[dtype][1]
    total = -(-channels // lanes)
    each = -(-total // -(-total // 3))
    return lanes, each, total - (-(-total // each) - 1) * each


def tiles_of(dtype: str, channels: int, columns: int) -> tuple[int, int]:
    """The tiles for this many columns: for whole blocks of channels, and for the last one."""
    lanes, each, last = vectors_of(dtype, channels)
    whole = channel_tile_address(Tile(dtype, lanes, columns, each), False)
    return whole, channel_tile_address(Tile(dtype, lanes, columns, last), channels % lanes != 0)


def channels_params(task: Task, axes: Sequence[Axis], parallel: int) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a convolution along three axes."""
    kind, taps, channels = task.out.dtype.name, volume(task.kernel), task.groups
    lanes, each, _ = vectors_of(kind, channels)
    width = each * lanes
    blocks, counts = -(-channels // width), [axis.results for axis in axes]
    offsets = [task.tap_offset(t) for t in range(taps)]
    heads, tables = tables_of(task, axes, width, WORDS)
    items = task.x.shape[0] * counts[0] * counts[1]
    work = work_of(task, volume(counts), taps)
    biases = blocks * taps * width
    result = steps_of(task.out)
    params = [
        parallel, max(1, GRAIN_WORK * items // max(1, work)), items,
        2 if task.has_bias else -1, 3 if task.has_bias else 2, biases, channels, taps,
        task.weight[0], int(offsets == list(range(taps))), WORDS + len(tables),
        turn_address(kind), steps_of(task.x)[0], result[0], *result[2:4], *counts[:2], *heads,
        width, *tables, *offsets,
    ]  # fmt: skip
    return params, (biases + blocks * width) * ELEMENT[kind][1], work

"""How a convolution is cut for the threads: strips of the result, which both ways of computing one
(ops.kernels.conv_forward and conv_forward_points) run over.

A strip is some images, rows and columns of one slice of the result, for some groups, and a part of
their output channels. It is as large as the padded planes that it reads fit a core's cache.
`Task` says what is computed, `Strips` how it is cut; `common_words` are the parameters that both
kernels begin with, after those of conv_padding:

    words = common_words(task, strips, counts, run)
    find_strip(params, item, strip)         # native: strip[ROW], strip[ROW_COUNT], ...
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple

from flambeau.codegen.native import Signature, f32, i64, i64p, native, pointer, ptr, void
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_padding import (
    CHANNEL_STEP,
    PADDING_WORDS,
    TOGETHER,
    X_CHANNEL,
    fill_channel,
    fill_positions,
    steps_of,
)
from flambeau.ops.kernels.conv_planes import Planes

X, C, XP, CP, SIZE = f32, f32, pointer(f32), pointer(f32), 4  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)

(
    PARALLEL, GRAIN, PACK_GRAIN, ITEMS, BIAS_AT, OUT_AT, BUFFERS, BUFFER_BYTES, SLOTS, GROUPS,
    CHANNELS, ROWS, BLOCKS, W_GROUP, W_ROW, W_CHANNEL, IMAGES, COUNT_SLICES, COUNT_ROWS,
    COUNT_COLUMNS, STRIP_IMAGES, STRIP_ROWS, STRIP_COLUMNS, STRIP_GROUPS, ROW_BLOCKS, COLUMN_BLOCKS,
    GROUP_BLOCKS, PARTS, OUT_IMAGE, OUT_CHANNEL, OUT_SLICE, OUT_ROW, OUT_COLUMN,
) = range(PADDING_WORDS, PADDING_WORDS + 33)  # fmt: skip
STRIP_WORDS = PADDING_WORDS + 33
# words of a strip
(
    IMAGE, IMAGE_COUNT, SLICE, ROW, ROW_COUNT, COLUMN, COLUMN_COUNT, GROUP, LAST_GROUP, BLOCK,
    LAST_BLOCK, PART,
) = range(12)  # fmt: skip
WORDS_OF_STRIP = 12
HEADER = 2048  # bytes before the packed weights: one word for each buffer says whether it is in use
MAX_SLOTS = HEADER // 8


@native
def fewer(count: i64, first: i64, most: i64) -> i64:
    """How many of `count` there are from `first`, at most `most`."""
    return count - first if count - first < most else most


@native
def find_strip(params: i64p, item: i64, strip: i64p) -> void:
    """What a strip consists of follows from its number."""
    part, rest = item % params[PARTS], item // params[PARTS]
    strip[PART] = part
    strip[BLOCK] = part * params[BLOCKS] // params[PARTS]
    strip[LAST_BLOCK] = (part + 1) * params[BLOCKS] // params[PARTS]
    strip[COLUMN] = rest % params[COLUMN_BLOCKS] * params[STRIP_COLUMNS]
    rest = rest // params[COLUMN_BLOCKS]
    strip[ROW] = rest % params[ROW_BLOCKS] * params[STRIP_ROWS]
    rest = rest // params[ROW_BLOCKS]
    strip[SLICE] = rest % params[COUNT_SLICES]
    rest = rest // params[COUNT_SLICES]
    group = rest % params[GROUP_BLOCKS] * params[STRIP_GROUPS]
    strip[GROUP] = group
    strip[LAST_GROUP] = group + fewer(params[GROUPS], group, params[STRIP_GROUPS])
    strip[IMAGE] = rest // params[GROUP_BLOCKS] * params[STRIP_IMAGES]
    strip[IMAGE_COUNT] = fewer(params[IMAGES], strip[IMAGE], params[STRIP_IMAGES])
    strip[ROW_COUNT] = fewer(params[COUNT_ROWS], strip[ROW], params[STRIP_ROWS])
    strip[COLUMN_COUNT] = fewer(params[COUNT_COLUMNS], strip[COLUMN], params[STRIP_COLUMNS])


@native
def fill_planes(
    params: i64p, buffer: CP, channels: XP, strip: i64p, row: i64, rows: i64, column: i64,
    columns: i64,
) -> void:  # fmt: skip
    """The padded planes of all channels of a group for a strip."""
    if params[TOGETHER] != 0:
        fill_positions(
            params, params, buffer, channels, strip[IMAGE_COUNT], strip[SLICE], row, rows, column,
            columns,
        )  # fmt: skip
        return
    for c in range(params[CHANNELS]):
        fill_channel(
            params,
            params,
            buffer + c * params[CHANNEL_STEP],
            channels + c * params[X_CHANNEL],
            strip[IMAGE_COUNT],
            strip[SLICE],
            1,
            row,
            rows,
            column,
            columns,
        )


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

    @property
    def neighbours(self) -> bool:
        """Whether channels are neighbours in memory, of the input and of the result."""
        return steps_of(self.x)[1] == steps_of(self.out)[1] == 1 and self.x.shape[1] > 1

    def tap_offset(self, number: int) -> int:
        """Where a tap's weight lies from the first one."""
        offset = 0
        for size, step in zip(reversed(self.kernel), reversed(self.kernel_steps), strict=True):
            offset, number = offset + number % size * step, number // size
        return offset


class Strips(NamedTuple):
    """How the result is cut: images, rows and columns of a strip, groups,
    and parts of the output channels.
    """

    images: int
    rows: int
    columns: int
    groups: int
    parts: int

    def blocks(self, task: Task, counts: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Number of strips along images, rows, columns and groups."""
        return (
            -(-task.x.shape[0] // self.images),
            -(-counts[1] // self.rows),
            -(-counts[2] // self.columns),
            -(-task.groups // self.groups),
        )


class Run(NamedTuple):
    """How the parallel loops run: the loop's address, whether over threads, for strips and for
    packing; where a thread's buffer begins in scratch memory, its bytes, and the number of buffers.
    """

    parallel: int
    grain: int
    pack_grain: int
    blocks: int
    buffers: int
    buffer_bytes: int
    slots: int

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return self.buffers + self.slots * self.buffer_bytes


def common_words(task: Task, strips: Strips, counts: tuple[int, ...], run: Run) -> list[int]:
    """The parameters that both kernels begin with."""
    images, rows, columns, groups = strips.blocks(task, counts)
    items = images * rows * columns * groups * counts[0] * strips.parts
    return [
        run.parallel, run.grain, run.pack_grain, items, 2 if task.has_bias else -1,
        3 if task.has_bias else 2, run.buffers, run.buffer_bytes, run.slots, task.groups,
        task.channels, task.rows, run.blocks, *task.weight, task.x.shape[0], *counts, *strips[:4],
        rows, columns, groups, strips.parts, *steps_of(task.out),
    ]  # fmt: skip


@functools.cache
def second_cache() -> int:
    """Bytes of a core's second-level cache where the system tells it (Linux), else a usual size."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text()
    except OSError:
        text = ""
    found = re.fullmatch(r"(\d+)K\s*", text)
    return min(max(int(found[1]) << 10 if found else 0, 1 << 19), 1 << 21)


def work_of(task: Task, positions: int, taps: int) -> int:
    """Roughly the vector operations of a convolution with this many positions of an image."""
    return task.x.shape[0] * task.groups * task.rows * positions * max(1, taps * task.channels // 8)

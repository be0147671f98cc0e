"""Depthwise convolution, its transpose, and the gradient of its weight: one input channel for each
output channel, straight from the image as it lies, by the tiles of
ops.kernels.conv_depthwise_tiles.

An item of the parallel loop is a channel's plane (or some rows of it); of the weight's gradient, a
channel: all images, in order. Called by ops.conv:

    if conv_depthwise.suits(task, geometry):
        found = conv_depthwise.depthwise_params(task, geometry, threads)
        plan.use_native(conv_depthwise.depthwise_address("float32"), *found)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
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
from flambeau.ops.kernels.conv_depthwise_tiles import (
    Form,
    Reach,
    sums_address,
    weights_address,
)
from flambeau.ops.kernels.conv_padding import COMPUTE, narrow, steps_of, unit_for, widen
from flambeau.ops.kernels.conv_planes import Geometry
from flambeau.ops.kernels.conv_strips import Task
from flambeau.ops.kernels.conv_weight import WeightTask
from flambeau.ops.kernels.gemm_tiles import lanes_of
from flambeau.ops.kernels.vector_text import VECTORS, machine_vectors

X, C, XP, CP, SIZE = f32, f32, pointer(f32), pointer(f32), 4  # replaced by `Unit`
Sums = Signature(
    void, ptr, i64, i64, i64, i64, i64, i64, i64, i64, i64, ptr, ptr, ptr, i64, i64, i64, i64, i64
)
Weights = Signature(void, ptr, i64, i64, i64, i64, i64, i64, i64, i64, i64, ptr, i64, i64, i64, ptr)

(
    TILE, CHANNELS, SHARING, IMAGES, X_IMAGE, X_CHANNEL, X_SLICE, X_ROW, X_COLUMN, Y_IMAGE,
    Y_CHANNEL, Y_SLICE, Y_ROW, Y_COLUMN, SLICES, HEIGHT, WIDTH, FRONT, TOP, LEFT, STEP_SLICE, APART,
    Y_SLICES, Y_HEIGHT, Y_WIDTH, UNITS, PARTS, BIAS_AT, OUT_AT, W_CHANNEL, TAPS,
    EVEN,
) = range(32)  # fmt: skip
WORDS = 32  # then the offsets of the taps in the weight; for its gradient, the tiles
MOST_TAPS = 64
MAX_LANES = 16


@native
def convolve_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: planes of the result. Buffers: input, weight, bias if any, result."""
    copied, zero = stack(C, MOST_TAPS + 1), stack(C, 1)
    zero[0] = C(0.0)
    part, plane = start % params[PARTS], start // params[PARTS]
    slice, plane = plane % params[Y_SLICES], plane // params[Y_SLICES]
    channel, image = plane % params[CHANNELS], plane // params[CHANNELS]
    source, shared = channel // params[SHARING], channel % params[SHARING]
    for _ in range(start, stop):
        x: XP = buffers[0]
        x = x + (image * params[X_IMAGE] + source * params[X_CHANNEL])
        out: XP = buffers[params[OUT_AT]]
        out = out + (image * params[Y_IMAGE] + channel * params[Y_CHANNEL])
        weight: XP = buffers[1]
        weight = weight + channel * params[W_CHANNEL]
        weights: CP = weight
        if params[EVEN] == 0:
            weights = copied
            for k in range(params[TAPS]):
                copied[k] = widen(weight[params[WORDS + k]])
        bias = zero
        if params[BIAS_AT] >= 0:
            given: XP = buffers[params[BIAS_AT]]
            bias = copied + MOST_TAPS
            bias[0] = widen(given[channel])
        Sums(params[TILE])(
            x,
            params[X_SLICE],
            slice * params[STEP_SLICE] + params[FRONT],
            params[APART],
            params[SLICES],
            params[X_ROW],
            params[HEIGHT],
            params[WIDTH],
            params[TOP],
            params[LEFT],
            weights,
            bias,
            out + slice * params[Y_SLICE],
            params[Y_ROW],
            part * params[UNITS] // params[PARTS],
            (part + 1) * params[UNITS] // params[PARTS],
            params[Y_HEIGHT],
            params[Y_WIDTH],
        )
        part += 1
        if part == params[PARTS]:
            part, slice = i64(0), slice + 1
        if slice == params[Y_SLICES]:
            slice, channel, shared = i64(0), channel + 1, shared + 1
        if shared == params[SHARING]:
            shared, source = i64(0), source + 1
        if channel == params[CHANNELS]:
            channel, source, image = i64(0), i64(0), image + 1


@native
def weigh_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: channels of the weight's gradient. Buffers: input, other operand, result."""
    lanes, taps = params[UNITS], params[TAPS]
    sums = stack(C, MOST_TAPS * MAX_LANES)
    for channel in range(start, stop):
        fill_memory(sums, 0, taps * lanes * SIZE)
        source = channel // params[SHARING]
        for image in range(params[IMAGES]):
            x: XP = buffers[0]
            x = x + (image * params[X_IMAGE] + source * params[X_CHANNEL])
            g: XP = buffers[1]
            g = g + (image * params[Y_IMAGE] + channel * params[Y_CHANNEL])
            for slice in range(params[Y_SLICES]):
                for part in range(params[PARTS]):
                    tile = params + WORDS + 2 * part
                    Weights(tile[0])(
                        x,
                        params[X_SLICE],
                        slice * params[STEP_SLICE] + params[FRONT],
                        params[APART],
                        params[SLICES],
                        params[X_ROW],
                        params[HEIGHT],
                        params[WIDTH],
                        params[TOP],
                        params[LEFT],
                        g + slice * params[Y_SLICE],
                        params[Y_ROW],
                        params[Y_HEIGHT],
                        params[Y_WIDTH],
                        sums + tile[1] * lanes,
                    )
        out: XP = buffers[2]
        for k in range(taps):
            even, odd = C(0.0), C(0.0)
            for i in range(0, lanes, 2):
                even += sums[k * lanes + i]
                odd += sums[k * lanes + i + 1]
            out[channel * taps + k] = narrow(even + odd)


def depthwise_address(dtype: str) -> int:
    """Machine code of the convolution for elements of `dtype`."""
    unit = unit_for("convolve_channels", [convolve_channels], dtype)
    symbol = unit.symbol(convolve_channels)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def weight_address(dtype: str) -> int:
    """Machine code of the weight's gradient for elements of `dtype`."""
    unit = unit_for("weigh_channels", [weigh_channels], dtype)
    symbol = unit.symbol(weigh_channels)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


class Axis(NamedTuple):
    """How taps reach along one dimension: the first element that the first unit reads, elements
    from unit to unit, results of a unit, and for each the taps as (number, elements further).
    """

    first: int
    step: int
    result: int
    phases: list[list[tuple[int, int]]]


def axis_of(size: int, stride: int, padding: int, dilation: int, transposed: bool) -> Axis:
    """The reach of a kernel of `size` taps."""
    if not transposed:
        return Axis(-padding, stride, 1, [[(k, k * dilation) for k in range(size)]])
    places = [
        [
            (k, (start + padding - k * dilation) // stride)
            for k in range(size)
            if (start + padding - k * dilation) % stride == 0
        ]
        for start in range(stride)
    ]
    first = min(place for phase in places for _, place in phase)
    phases = [[(k, place - first) for k, place in phase] for phase in places]
    return Axis(first, 1, stride, phases)


def axes_of(g: Geometry) -> tuple[Axis, Axis, Axis]:
    """The reach along all dimensions."""
    sizes = zip(g.kernel, g.stride, g.padding, g.dilation, strict=True)
    depth, down, across = (axis_of(*size, g.transposed) for size in sizes)
    return depth, down, across


def suits(task: Task | WeightTask, geometry: Geometry) -> bool:
    """Whether each output channel has one input channel, and the tiles know such steps."""
    g = geometry
    other = task.out if isinstance(task, Task) else task.g
    return (
        task.channels == 1
        and (task.rows == 1 or not g.transposed)
        and prod(g.kernel) <= MOST_TAPS
        and steps_of(task.x)[4] == steps_of(other)[4] == 1
        and g.stride[2] <= 2
        and (not g.transposed or (g.stride[1] <= 2 and g.stride[0] == 1))
    )


def form_of(dtype: str, axes: Sequence[Axis], sizes: Sequence[int]) -> Form:
    """The tile's form for one unit at a time; slices count by their number."""
    depth, down, across = axes
    slices = sorted(depth.phases[0], key=lambda pair: pair[1])
    phases = tuple(
        tuple(
            Reach(j, row, column, (d * sizes[1] + h) * sizes[2] + w)
            for (j, (d, _)), (h, row), (w, column) in product(enumerate(slices), rows, columns)
        )
        for rows, columns in product(down.phases, across.phases)
    )
    steps = (down.step, across.step), (down.result, across.result)
    return Form(dtype, *steps, phases, 1, 1, False)


def evenly(count: int, most: int) -> int:
    """At most `most`, such that blocks of them cover `count` with little overlap."""
    return -(-count // -(-count // most))


def depthwise_params(
    task: Task, geometry: Geometry, threads: int
) -> tuple[list[int], int, int, int]:
    """(parameters, items, work, grain) of a convolution."""
    g, axes = geometry, axes_of(geometry)
    channels = task.groups * task.rows
    form = form_of(task.out.dtype.name, axes, g.kernel)
    units, across = (-(-n // step) for n, step in zip(g.counts[1:], form.result, strict=True))
    sums, lanes = len(VECTORS[machine_vectors()[1]]), lanes_of(COMPUTE[form.dtype])
    rows = evenly(units, max(1, sums // len(form.phases)))
    vectors = min(max(1, sums // (rows * len(form.phases))), -(-across // lanes), 4)
    narrow = across <= lanes // 2
    form = form._replace(rows=rows, vectors=vectors, narrow=narrow)
    planes = task.x.shape[0] * channels * g.counts[0]
    work = planes * prod(g.counts[1:]) * prod(g.kernel) // 8
    parts = 1
    if work >= 1 << 18 and planes < 4 * threads:
        parts = max(1, min(units // rows, -(-4 * threads // planes)))
    taps = [task.tap_offset(number) for number in range(prod(g.kernel))]
    even = COMPUTE[form.dtype] == form.dtype and taps == list(range(len(taps)))
    shared, w_channel = task.rows, task.weight[0] if task.rows == 1 else task.weight[1]
    params = [
        sums_address(form), channels, shared, task.x.shape[0], *steps_of(task.x),
        *steps_of(task.out), *g.space, *(axis.first for axis in axes), axes[0].step, g.dilation[0],
        *g.counts, units, parts, 2 if task.has_bias else -1, 3 if task.has_bias else 2, w_channel,
        len(taps), int(even), *taps,
    ]  # fmt: skip
    items = planes * parts
    return params, items, work, max(1, (items << 16) // max(1, work))


def weight_params(task: WeightTask, geometry: Geometry) -> tuple[list[int], int, int, int]:
    """(parameters, items, work, grain) of the weight's gradient."""
    g, axes = geometry, axes_of(geometry)
    whole = form_of(task.x.dtype.name, axes, g.kernel)._replace(rows=evenly(g.counts[1], 4))
    lanes = lanes_of(COMPUTE[whole.dtype])
    whole = whole._replace(narrow=g.counts[2] <= lanes // 2)
    registers = machine_vectors()[1]
    most = registers - len(VECTORS[registers])  # taps whose sums stay in registers
    taps, tiles = list(whole.phases[0]), []
    for first in range(0, len(taps), most):
        some = tuple(t._replace(weight=k) for k, t in enumerate(taps[first : first + most]))
        tiles += [weights_address(whole._replace(phases=(some,))), first]
    channels = task.groups * task.rows
    work = task.x.shape[0] * channels * prod(g.counts) * len(taps) // 8
    params = [
        0, channels, task.rows, task.x.shape[0], *steps_of(task.x), *steps_of(task.g), *g.space,
        *(axis.first for axis in axes), axes[0].step, g.dilation[0], *g.counts, lanes,
        len(tiles) // 2, -1, 2, 0, len(taps), 0, *tiles,
    ]  # fmt: skip
    return params, channels, work, max(1, (channels << 16) // max(1, work))

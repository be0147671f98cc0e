"""Convolution with 3 x 3 kernels by Winograd's minimal filtering F(2 x 2, 3 x 3): 2.25 times fewer
products than the direct sum, where there are enough channels to pay for the transforms.

One native function transforms the weights, then runs strips of the result over the threads. A strip
transforms its blocks of the image (`V`: 16 numbers per block and channel), and for some output
channels at a time multiplies them with the transformed weights (`U`), 16 products of matrices by
the tiles of ops.kernels.gemm_tiles, and transforms the sums (`M`) into results:

    U[xi][channels of a vector][k][lane]   V[xi][k][block]   M[xi][output channel][block]

k counts input channels, for each of the kernel's slices along the depth. Blocks are two rows and
columns apart. Called by ops.conv:

    if conv_winograd.suits(task, geometry):
        params, scratch, work = conv_winograd.winograd_params(task, geometry, parallel, threads)
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
from flambeau.ops.kernels import gemm_tiles
from flambeau.ops.kernels.conv_padding import (
    COMPUTE,
    IN_SLICES,
    LEFT,
    PADDING_WORDS,
    PITCH,
    STEP_SLICE,
    UP,
    X_CHANNEL,
    X_IMAGE,
    X_ROW,
    X_SLICE,
    claim,
    give_back,
    steps_of,
    unit_for,
    widen,
)  # fmt: skip
from flambeau.ops.kernels.conv_planes import Geometry, volume
from flambeau.ops.kernels.conv_strips import (
    BIAS_AT,
    BLOCK,
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
    find_strip,
    work_of,
)  # fmt: skip
from flambeau.ops.kernels.conv_winograd_tiles import input_address, kernel_address, output_address
from flambeau.ops.kernels.gemm_tiles import Tile
from flambeau.ops.kernels.transposers import transposer_address
from flambeau.ops.kernels.vector_text import ELEMENT, machine_vectors

X, C, XP, CP = f32, f32, pointer(f32), pointer(f32)  # replaced by `Unit`
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)
Kernels = Signature(void, ptr, i64, i64, ptr, i64)
Blocks = Signature(void, ptr, i64, i64, i64, i64, i64, i64, ptr, i64, i64)
Products = Signature(void, ptr, i64, i64, ptr, i64, i64, ptr, i64, ptr, i64, ptr, i64)
Results = Signature(void, ptr, i64, ptr, ptr, i64, i64, i64)

# words of the parameters; the first ones are those of conv_padding and conv_strips
(
    LANES, TILE_ROWS, MOST_VECTORS, TILES, KERNEL_TILE, BLOCK_TILE, RESULT_TILE, TURN, VECTORS,
    KERNELS_AT, U_GROUP, U_STEP, BIASES, DEPTH, SHIFTS, TAP_FIRST, TAP_STEP, TAPS_AT, V_STEP, M_AT,
    M_STEP, TOGETHER, OWN_KERNELS, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH,
) = range(STRIP_WORDS, STRIP_WORDS + 27)  # fmt: skip
WORDS = STRIP_WORDS + 27
POINTS = 16  # numbers of a transformed block
MAX_LANES = 16
MOST, FEWEST = 384, 96  # blocks of a strip, if there are
BYTES = 8 << 20  # of a strip's numbers
OWN_BYTES = 2 << 20  # of transformed weights: above, each strip transforms those it needs
CHANNELS_TOGETHER = 32  # output channels between two transforms of results
KERNELS_TOGETHER = 16  # input channels whose weights a thread transforms at a time


@native
def load_kernels(params: i64p, taps: CP, matrix: XP, first: i64, last: i64, valid: i64) -> void:
    """Taps of the kernels `first` to `last`, the output channels of a vector next to each other."""
    lanes, depth, places = params[LANES], params[DEPTH], params + params[TAPS_AT]
    if places[9 * depth - 1] == 9 * depth - 1 and params[W_CHANNEL] == 9 * depth:  # neighbours
        count = (last - first) * 9
        Turn(params[TURN])(matrix + first * 9, params[W_ROW], valid, count, taps, lanes)
        return
    for k in range(first, last):
        kernel, now = matrix + k // depth * params[W_CHANNEL], places + k % depth * 9
        target = taps + (k - first) * 9 * lanes
        if now[8] - now[0] == 8:
            Turn(params[TURN])(kernel + now[0], params[W_ROW], valid, 9, target, lanes)
        else:
            for t in range(9):
                for r in range(lanes):
                    target[t * lanes + r] = C(0.0)
                for r in range(valid):
                    target[t * lanes + r] = widen(kernel[now[t] + r * params[W_ROW]])


@native
def transform_vector(
    buffers: ptrp, params: i64p, group: i64, row: i64, first: i64, last: i64, target: CP
) -> void:
    """The kernels of a vector of output channels from `row`, of the input channels `first` to
    `last`.
    """
    lanes = params[LANES]
    taps = stack(C, (KERNELS_TOGETHER * 9 + MAX_LANES) * MAX_LANES)
    matrix: XP = buffers[1]
    matrix = matrix + (group * params[W_GROUP] + row * params[W_ROW])
    valid = fewer(params[ROWS], row, lanes)
    for begin in range(first, last, KERNELS_TOGETHER):
        end = begin + fewer(last, begin, KERNELS_TOGETHER)
        load_kernels(params, taps, matrix, begin, end, valid)
        for k in range(begin, end):
            Kernels(params[KERNEL_TILE])(
                taps + (k - begin) * 9 * lanes,
                params[TAP_FIRST],
                params[TAP_STEP],
                target + k * lanes,
                params[U_STEP],
            )


@native
def transform_kernels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: some input channels of a vector of output channels."""
    total, vectors = params[CHANNELS] * params[DEPTH], params[VECTORS]
    parts = (total + KERNELS_TOGETHER - 1) // KERNELS_TOGETHER
    for item in range(start, stop):
        part, which = item % parts, item // parts
        group, vector = which // vectors, which % vectors
        target: CP = buffers[params[OUT_AT] + 1] + params[KERNELS_AT]
        target = target + (group * params[U_GROUP] + vector * total * params[LANES])
        first = part * KERNELS_TOGETHER
        last = first + fewer(total, first, KERNELS_TOGETHER)
        transform_vector(buffers, params, group, vector * params[LANES], first, last, target)


@native
def transform_blocks(buffers: ptrp, params: i64p, v: CP, strip: i64p) -> void:
    """The blocks of the image that a strip needs, of all channels."""
    x: XP = buffers[0]
    x = x + (strip[IMAGE] * params[X_IMAGE] + strip[GROUP] * params[CHANNELS] * params[X_CHANNEL])
    rows, columns = strip[ROW_COUNT], strip[COLUMN_COUNT]
    first, left = 2 * strip[ROW] - params[UP], 2 * strip[COLUMN] - params[LEFT]
    for c in range(params[CHANNELS]):
        for d in range(params[DEPTH]):
            slice = strip[SLICE] * params[STEP_SLICE] + params[params[SHIFTS] + d]
            inside = slice >= 0 and slice < params[IN_SLICES]
            for b in range(strip[IMAGE_COUNT]):
                for r in range(rows):
                    image = x + (b * params[X_IMAGE] + c * params[X_CHANNEL])
                    Blocks(params[BLOCK_TILE])(
                        image + slice * params[X_SLICE],
                        params[X_ROW],
                        first + 2 * r,
                        params[HEIGHT] if inside else i64(0),
                        left,
                        params[WIDTH],
                        columns,
                        v + ((c * params[DEPTH] + d) * params[PITCH] + (b * rows + r) * columns),
                        params[V_STEP],
                        params[X_CHANNEL],
                    )


@native
def multiply(params: i64p, u: CP, v: CP, m: CP, strip: i64p, first: i64, count: i64) -> void:
    """Some blocks of output channels from `first`: 16 matrix products."""
    lanes, rows, most = params[LANES], params[TILE_ROWS], params[MOST_VECTORS]
    k = params[CHANNELS] * params[DEPTH]
    positions = strip[IMAGE_COUNT] * strip[ROW_COUNT] * strip[COLUMN_COUNT]
    vectors = (positions + lanes - 1) // lanes
    numbers = stack(C, 2)
    numbers[0], numbers[1] = C(1.0), C(0.0)
    for xi in range(POINTS):
        j = i64(0)
        while j < vectors:
            left = vectors - j
            step = left if left <= most else (most if left != most + 1 else (left + 1) // 2)
            for i in range(count):
                row = first + i * rows
                Products(params[params[TILES] + step - 1])(
                    u + (xi * params[U_STEP] + row // lanes * k * lanes + row % lanes),
                    1,
                    lanes,
                    v + (xi * params[V_STEP] + j * lanes),
                    params[PITCH],
                    k,
                    m + (xi * params[M_STEP] + i * rows * params[PITCH] + j * lanes),
                    params[PITCH],
                    None,
                    0,
                    numbers,
                    lanes,
                )
            j += step


@native
def transform_results(
    buffers: ptrp, params: i64p, m: CP, strip: i64p, first: i64, count: i64
) -> void:
    """`count` output channels from `first` of a strip's group."""
    group, rows, columns = strip[GROUP], strip[ROW_COUNT], strip[COLUMN_COUNT]
    biases: CP = buffers[params[OUT_AT] + 1] + params[BIASES]
    out: XP = buffers[params[OUT_AT]]
    row, column = 2 * strip[ROW], 2 * strip[COLUMN]
    out = out + (strip[IMAGE] * params[OUT_IMAGE] + strip[SLICE] * params[OUT_SLICE])
    out = out + (row * params[OUT_ROW] + column)
    for i in range(count):
        channel = group * params[ROWS] + first + i
        for b in range(strip[IMAGE_COUNT]):
            for r in range(rows):
                place = out + (channel * params[OUT_CHANNEL] + b * params[OUT_IMAGE])
                Results(params[RESULT_TILE])(
                    m + (i * params[PITCH] + (b * rows + r) * columns),
                    params[M_STEP],
                    biases + channel,
                    place + 2 * r * params[OUT_ROW],
                    params[OUT_ROW],
                    params[OUT_HEIGHT] - row - 2 * r,
                    fewer(params[OUT_WIDTH], column, 2 * columns),
                )


@native
def run_strip(buffers: ptrp, params: i64p, buffer: CP, strip: i64p) -> void:
    """One strip: its blocks, then some output channels at a time."""
    u: CP = buffers[params[OUT_AT] + 1] + params[KERNELS_AT]
    u = u + strip[GROUP] * params[U_GROUP]
    m, rows, lanes = buffer + params[M_AT], params[TILE_ROWS], params[LANES]
    total = params[CHANNELS] * params[DEPTH]
    transform_blocks(buffers, params, buffer, strip)
    for block in range(strip[BLOCK], strip[LAST_BLOCK], params[TOGETHER]):
        count = fewer(strip[LAST_BLOCK], block, params[TOGETHER])
        first, last = block * rows, (block + count) * rows
        here = first // lanes * lanes  # a vector of kernels may hold two blocks
        if params[OWN_KERNELS] != 0:
            u = buffer + params[OWN_KERNELS]
            for row in range(here, last, lanes):
                place = u + (row - here) * total
                transform_vector(buffers, params, strip[GROUP], row, 0, total, place)
            multiply(params, u, buffer, m, strip, first - here, count)
        else:
            multiply(params, u + here * total, buffer, m, strip, first - here, count)
        transform_results(
            buffers, params, m, strip, first, fewer(params[ROWS], first, count * rows)
        )


@native
def run_strips(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: strips of the result."""
    scratch = buffers[params[OUT_AT] + 1]
    strip = stack(i64, WORDS_OF_STRIP)
    slot = claim(scratch, params[SLOTS])
    buffer: CP = scratch + (params[BUFFERS] + slot * params[BUFFER_BYTES])
    for item in range(start, stop):
        find_strip(params, item, strip)
        run_strip(buffers, params, buffer, strip)
    give_back(scratch, slot)


@native
def convolve_winograd(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole convolution. Buffers: input, weight, bias if any, result, scratch."""
    scratch = buffers[params[OUT_AT] + 1]
    fill_memory(scratch, 0, HEADER)
    biases: CP = scratch + params[BIASES]
    for r in range(params[GROUPS] * params[ROWS]):
        biases[r] = C(0.0)
    if params[BIAS_AT] >= 0:
        bias: XP = buffers[params[BIAS_AT]]
        for r in range(params[GROUPS] * params[ROWS]):
            biases[r] = widen(bias[r])
    parts = (params[CHANNELS] * params[DEPTH] + KERNELS_TOGETHER - 1) // KERNELS_TOGETHER
    items = params[GROUPS] * params[VECTORS] * parts
    if params[OWN_KERNELS] == 0:
        Parallel(params[PARALLEL])(transform_kernels, buffers, params, items, params[PACK_GRAIN])
    Parallel(params[PARALLEL])(run_strips, buffers, params, params[ITEMS], params[GRAIN])


def winograd_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("convolve_winograd", [convolve_winograd], dtype)
    symbol = unit.symbol(convolve_winograd)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def pays(task: Task, geometry: Geometry) -> bool:
    """Whether the products saved are more than the transforms cost, which work on rows of blocks:
    a measured rule.
    """
    lanes = gemm_tiles.lanes_of(COMPUTE[task.out.dtype.name])
    height, width = (-(-count // 2) for count in geometry.counts[1:])
    filled = width / (-(-width // lanes) * lanes) * task.rows / (-(-task.rows // 8) * 8)
    channels = task.channels * task.rows / (task.channels + task.rows)
    blocks = task.x.shape[0] * geometry.counts[0] * height * width
    return blocks >= 16 and channels * filled >= 6


def suits(task: Task, geometry: Geometry) -> bool:
    """Whether the filtering computes such a task, and pays."""
    g = geometry
    return (
        g.kernel[1:] == (3, 3)
        and g.dilation[1:] == (1, 1)
        and set(g.stride if g.transposed else g.stride[1:]) == {1}
        and steps_of(task.x)[4] == steps_of(task.out)[4] == 1
        and pays(task, g)
    )


def cut(task: Task, counts: tuple[int, int, int], k: int, tile: Tile, wanted: int) -> Strips:
    """Strips of blocks whose numbers have room, that fill tiles and keep threads busy."""
    _, height, width = counts
    size, images = ELEMENT[tile.dtype][1], task.x.shape[0]
    most = BYTES // size // POINTS // (k + min(task.rows, CHANNELS_TOGETHER))
    most = max(FEWEST, min(MOST, most))
    columns = -(-width // -(-width // most))
    blocks = -(-task.rows // tile.rows)

    def strips(together: int, down: int) -> Strips:
        found = Strips(together, down, columns, 1, 1)
        number = volume(found.blocks(task, counts)) * counts[0]
        return found._replace(parts=max(1, min(blocks, -(-wanted // number))))

    def cost(found: Strips) -> float:
        """Rounds of the threads times vectors of a strip; the weights are read once for each."""
        vectors = -(-volume(found[:3]) // tile.lanes)
        each = (vectors + 0.25 * (-vectors % tile.vectors) + 1.5) / found.parts
        number = volume(found.blocks(task, counts)) * counts[0] * found.parts
        return -(-number // wanted) * (each + vectors * k / blocks / tile.rows / 8)

    tall = range(1, min(height, max(1, most // columns)) + 1)
    choices = [strips(1, down) for down in tall]
    if counts[0] == 1 and len(tall) == height:
        room = max(1, most // (height * columns))
        choices += [strips(n, height) for n in range(2, min(images, room) + 1)]
    return min(choices, key=cost)


def winograd_params(
    task: Task, geometry: Geometry, parallel: int, threads: int
) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work) of a convolution."""
    g, stored = geometry, task.out.dtype.name
    kind = COMPUTE[stored]
    size = ELEMENT[kind][1]
    options, lanes = gemm_tiles.VECTORS[machine_vectors()[1]], gemm_tiles.lanes_of(kind)
    rows, most = len(options), options[-1]
    tile = Tile(kind, lanes, rows, most)
    depth, k = g.kernel[0], task.channels * g.kernel[0]
    counts = (g.counts[0], -(-g.counts[1] // 2), -(-g.counts[2] // 2))
    work = work_of(task, volume(g.counts), 4 * depth)
    wanted = 1 if work < 1 << 18 or threads == 1 else threads
    strips = cut(task, counts, k, tile, wanted)
    positions = -(-volume(strips[:3]) // lanes) * lanes
    pitch = positions + (lanes if positions // lanes % 2 == 0 else 0)
    vectors, blocks = -(-task.rows // lanes), -(-task.rows // rows)
    together = min(blocks, CHANNELS_TOGETHER // rows)
    own = POINTS * vectors * k * lanes * size > OWN_BYTES
    v_step, m_step = k * pitch + lanes, together * rows * pitch + lanes
    u_step = ((-(-together * rows // lanes) + 1) if own else vectors) * k * lanes + lanes
    kernels_at = HEADER + -(-task.groups * task.rows * size // 64) * 64
    numbers = POINTS * (v_step + m_step)
    run = Run(
        parallel,
        int(wanted > 1),
        int(wanted > 1),
        blocks,
        kernels_at + (0 if own else task.groups * POINTS * u_step * size),
        (numbers + POINTS * u_step * own) * size,
        min(threads, MAX_SLOTS),
    )
    pad, shifts = g.padding, [d * g.dilation[0] - g.padding[0] for d in range(depth)]
    if g.transposed:
        pad, shifts = tuple(2 - p for p in pad), [-shift for shift in shifts]
    padding = [0] * PADDING_WORDS
    padding[: STEP_SLICE + 1] = [*steps_of(task.x), g.stride[0]]
    padding[IN_SLICES], padding[PITCH], padding[UP], padding[LEFT] = g.space[0], pitch, *pad[1:]
    tiles = [
        gemm_tiles.product_address(tile._replace(vectors=count), kind)
        for count in range(1, most + 1)
    ]
    taps = [task.tap_offset(number) for number in range(9 * depth)]
    params = [
        *padding, *common_words(task, strips, counts, run), lanes, rows, most, WORDS,
        kernel_address(stored), input_address(stored), output_address(stored),
        transposer_address(stored, kind), vectors, kernels_at, POINTS * u_step, u_step, HEADER,
        depth, WORDS + most,
        *((8, -1) if g.transposed else (0, 1)), WORDS + most + depth, v_step, POINTS * v_step,
        m_step, together, numbers * own, *g.space[1:], *g.counts[1:], *tiles, *shifts, *taps,
    ]  # fmt: skip
    return params, run.scratch, work

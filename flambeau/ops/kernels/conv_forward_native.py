"""The native code of ops.kernels.conv_forward: packs the weights, then runs strips of the result.

A strip pads the channels that it needs into a buffer that stays in the cache, then lets the
register tiles of ops.kernels.conv_tiles run over blocks of output channels and positions. Where
nothing is padded the tiles read the image itself. With a stride of the result (transposed
convolution) or in half precision the tiles write into the buffer and `finish_phase` spreads the
values. The words of the parameters are made by conv_forward.convolve_params:

    plan.use_native(convolve_address("float32"), params, items=1, work=..., scratch=...)
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
    IMAGE_ROWS,
    PITCH,
    X_CHANNEL,
    X_COLUMN,
    X_IMAGE,
    X_ROW,
    X_SLICE,
    claim,
    give_back,
    narrow,
    unit_for,
    widen,
)  # fmt: skip
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
    LAST_GROUP,
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
    fewer,
    fill_planes,
    find_strip,
)  # fmt: skip
from flambeau.ops.kernels.conv_tiles import LAYOUT_WORDS

X, C, XP, CP, SIZE = f32, f32, pointer(f32), pointer(f32), 4  # replaced by `Unit`
Product = Signature(void, ptr, ptr, ptr, i64, i64, i64, ptr, ptr, i64, i64, i64, ptr)

# words of the parameters; the first ones are those of conv_padding and conv_strips
(
    PACKED, BIASES, STAGE, DIRECT, STAGED, TILE_ROWS, TILE, WIDTH, TAIL, TAIL_WIDTH,
    OUT_SIZE_SLICE, OUT_SIZE_ROW, OUT_SIZE_COLUMN, RESULT_SLICE, RESULT_ROW, RESULT_COLUMN, PHASES,
    PHASE_TABLE,
) = range(STRIP_WORDS, STRIP_WORDS + 18)  # fmt: skip
WORDS = STRIP_WORDS + 18
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
    weight: XP = buffers[1]
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
def run_row_of_tiles(
    params: i64p, phase: i64p, image: CP, weights: CP, biases: CP, target: CP, pitch: i64,
    valid: i64, positions: i64, layout: i64p,
) -> void:  # fmt: skip
    """A block of output channels at all positions: wide tiles, then narrow ones for the rest."""
    position, tile, step = i64(0), params[TILE], params[WIDTH]
    while position < positions:
        if position + params[WIDTH] > positions:
            tile, step = params[TAIL], params[TAIL_WIDTH]
        p = position
        if params[DIRECT] != 0 and p > positions - step:
            p = positions - step  # nothing may be read beyond the image
        Product(tile)(
            weights,
            image + p,
            params + phase[P_TABLE],
            phase[P_OUTER],
            phase[P_OUTER_STEP],
            phase[P_ENTRIES],
            biases,
            target + p if params[STAGED] != 0 else target,
            pitch,
            valid,
            p,
            layout,
        )
        position += step


@native
def run_tiles(
    params: i64p, scratch: ptr, image: CP, group: i64, strip: i64p, out: CP, stage: CP,
    positions: i64, layout: i64p,
) -> void:  # fmt: skip
    """All tiles of one group of a strip."""
    rows, width = params[TILE_ROWS], params[WIDTH]
    padded = (positions + width - 1) // width * width
    for f in range(params[PHASES]):
        phase = params + params[PHASE_TABLE] + f * PHASE_WORDS
        packed: CP = scratch + params[PACKED]
        biases: CP = scratch + params[BIASES]
        for block in range(strip[BLOCK], strip[LAST_BLOCK]):
            item = group * params[BLOCKS] + block
            target, pitch = out + block * rows * params[OUT_CHANNEL], params[OUT_CHANNEL]
            if params[STAGED] != 0:
                target, pitch = stage + (f * params[ROWS] + block * rows) * padded, padded
            run_row_of_tiles(
                params,
                phase,
                image,
                packed + (phase[P_PACKED] + item * phase[P_K] * rows),
                biases + item * rows,
                target,
                pitch,
                fewer(params[ROWS], block * rows, rows),
                positions,
                layout,
            )


@native
def write_apart(target: XP, source: CP, count: i64, apart: i64) -> void:
    """Values of a row to their places."""
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
def finish_phase(params: i64p, phase: i64p, out: XP, stage: CP, strip: i64p, padded: i64) -> void:
    """Staged values of one phase to their places in the result."""
    a = strip[SLICE] * params[RESULT_SLICE] + phase[P_SLICE]
    if a >= params[OUT_SIZE_SLICE]:
        return
    step, block = params[RESULT_COLUMN], params[TILE_ROWS]
    first = strip[COLUMN] * step + phase[P_COLUMN]
    count = fewer((params[OUT_SIZE_COLUMN] - first + step - 1) // step, 0, strip[COLUMN_COUNT])
    begin, end = strip[BLOCK] * block, strip[LAST_BLOCK] * block
    for m in range(begin, end if end < params[ROWS] else params[ROWS]):
        for b in range(strip[IMAGE_COUNT]):
            for r in range(strip[ROW_COUNT]):
                y = (strip[ROW] + r) * params[RESULT_ROW] + phase[P_ROW]
                if y < params[OUT_SIZE_ROW]:
                    source = stage + (m * padded + (b * params[IMAGE_ROWS] + r) * params[PITCH])
                    target = out + (
                        b * params[OUT_IMAGE]
                        + m * params[OUT_CHANNEL]
                        + a * params[OUT_SLICE]
                        + y * params[OUT_ROW]
                        + first * params[OUT_COLUMN]
                    )
                    write_apart(target, source, count, step * params[OUT_COLUMN])


@native
def run_group(
    buffers: ptrp, params: i64p, buffer: CP, group: i64, strip: i64p, layout: i64p
) -> void:
    """One group of a strip: its planes, its tiles, and what was staged to its place."""
    scratch = buffers[params[OUT_AT] + 1]
    x: XP = buffers[0]
    out: XP = buffers[params[OUT_AT]]
    row, column = strip[ROW], strip[COLUMN]
    x = x + (strip[IMAGE] * params[X_IMAGE] + group * params[CHANNELS] * params[X_CHANNEL])
    out = out + (strip[IMAGE] * params[OUT_IMAGE] + group * params[ROWS] * params[OUT_CHANNEL])
    place: CP = out + (
        strip[SLICE] * params[OUT_SLICE] + row * params[OUT_ROW] + column * params[OUT_COLUMN]
    )
    planes, stage = buffer, buffer + params[STAGE]
    if params[DIRECT] != 0:
        planes = x + (
            strip[SLICE] * params[X_SLICE] + row * params[X_ROW] + column * params[X_COLUMN]
        )
    else:
        fill_planes(params, buffer, x, strip, row, strip[ROW_COUNT], column, strip[COLUMN_COUNT])
    images, rows = strip[IMAGE_COUNT], strip[ROW_COUNT]
    positions = (images - 1) * params[IMAGE_ROWS] + rows - 1
    positions = positions * params[PITCH] + strip[COLUMN_COUNT]
    run_tiles(params, scratch, planes, group, strip, place, stage, positions, layout)
    if params[STAGED] != 0:
        width = params[WIDTH]
        padded = (positions + width - 1) // width * width
        for f in range(params[PHASES]):
            phase = params + params[PHASE_TABLE] + f * PHASE_WORDS
            finish_phase(params, phase, out, stage + f * params[ROWS] * padded, strip, padded)


@native
def run_strips(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: strips of the result."""
    scratch = buffers[params[OUT_AT] + 1]
    layout, strip = stack(i64, LAYOUT_WORDS), stack(i64, WORDS_OF_STRIP)
    slot = claim(scratch, params[SLOTS])
    buffer = scratch + (params[BUFFERS] + slot * params[BUFFER_BYTES])
    for item in range(start, stop):
        find_strip(params, item, strip)
        layout[0], layout[1] = params[PITCH], strip[COLUMN_COUNT]
        layout[2], layout[3] = params[IMAGE_ROWS], strip[ROW_COUNT]
        layout[4], layout[5] = params[OUT_ROW], params[OUT_IMAGE]
        layout[6] = strip[IMAGE_COUNT]
        for group in range(strip[GROUP], strip[LAST_GROUP]):
            run_group(buffers, params, buffer, group, strip, layout)
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

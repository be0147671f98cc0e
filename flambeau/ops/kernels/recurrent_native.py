"""Recurrent layers in native code: all steps of a layer, forward or backward, in one call.

The rows of a batch do not meet, so each thread takes some rows through all steps. A step is a small
matrix product with a weight that was packed once, and one pointwise kernel, the cell, which reads
and writes rows of several arrays: `bases` says where these are, `operands` which of them, from
which column, the cell takes (made by ops.recurrent). Forward the product comes first (of the state
with the weight), backward last (of the cell's gradients, to the state's gradient).

A sequence lies step after step; `sizes`, if given, are the rows of each step (packed sequences).
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Signature,
    copy_memory,
    f32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    sizeof,
    stack,
    void,
)
from flambeau.ops.kernels.gemm_native import (
    BLOCKS,
    FIRST_BLOCK,
    ITEM_A,
    ITEM_B,
    ITEM_C,
    ITEM_INIT,
    LAST_BLOCK,
    PANELS,
    ROWS,
    TALL,
    K,
    first_of,
    pack_ready,
    run_panel,
)

X, C, P = f32, f32, f32  # template: type of elements
BACKWARD = False  # template
Kernel = Signature(void, ptrp, i64p, i64, i64)
Parallel = Signature(void, ptr, ptrp, i64p, i64, i64)

# words of the parameters
(
    STEPS, BATCH, TOTAL, HIDDEN, FROM_END, SIZES, CELL, CELL_PARAMS, CELL_UNIT, BASES, OPERANDS,
    OPERAND_COUNT, PARALLEL, CHUNKS, CHUNK, GEMM, WEIGHT, BIAS, SCRATCH, LEFT, RIGHT,
    TARGET, ADDED, COPIES, COPY_COUNT,
) = range(25)  # fmt: skip
HEAD_WORDS = 25
# a base: its buffer, byte offset there, whether its rows are the sequence's, elements of a row
BASE_BUFFER, BASE_OFFSET, BASE_SEQUENCE, BASE_ROW, BASE_WORDS = range(5)
MAX_OPERANDS = 24


@native
def base_row(buffers: ptrp, params: i64p, base: i64, row: i64, first: i64) -> pointer(C):
    """Row `row` of the batch in a base; `first` is the step's first row in the sequence."""
    words = params + params[BASES] + base * BASE_WORDS
    place: pointer(C) = buffers[words[BASE_BUFFER]] + words[BASE_OFFSET]
    number = row + (first if words[BASE_SEQUENCE] != 0 else i64(0))
    return place + number * words[BASE_ROW]


@native
def run_cell(buffers: ptrp, params: i64p, row: i64, rows: i64, first: i64) -> void:
    """The pointwise part of a step, for `rows` rows."""
    places = stack(ptr, MAX_OPERANDS)
    for i in range(params[OPERAND_COUNT]):
        operand = params + params[OPERANDS] + 2 * i
        places[i] = base_row(buffers, params, operand[0], row, first) + operand[1]
    Kernel(params[CELL])(places, params + params[CELL_PARAMS], 0, rows * params[CELL_UNIT])


@native
def run_product(
    buffers: ptrp, params: i64p, first_block: i64, last_block: i64, numbers: pointer(C)
) -> void:
    """The matrix product of a step, for some blocks of rows."""
    work, words = stack(i64, 8), params + params[GEMM]
    work[ITEM_A] = i64(base_row(buffers, params, params[LEFT], 0, 0))
    work[ITEM_B] = i64(buffers[params[SCRATCH]])
    work[ITEM_C] = i64(base_row(buffers, params, params[RIGHT], 0, 0))
    work[ITEM_INIT] = i64(buffers[params[BIAS]]) if params[BIAS] >= 0 else i64(0)
    work[FIRST_BLOCK] = first_block
    work[LAST_BLOCK] = last_block
    for index in range(words[PANELS]):
        run_panel(index, 0, words[K], work, words, None, numbers, None)


@native
def take_over(buffers: ptrp, params: i64p, row: i64, rows: i64) -> void:
    """The product of a backward step becomes the state's gradient, or is added to it."""
    hidden = params[HIDDEN]
    source = base_row(buffers, params, params[RIGHT], row, 0)
    target = base_row(buffers, params, params[TARGET], row, 0)
    if params[ADDED] != 0:
        for i in range(rows * hidden):
            target[i] += source[i]
    else:
        copy_memory(target, source, rows * hidden * sizeof(C))


@native
def run_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """All steps for some chunks of the batch's rows."""
    numbers, words = stack(C, 4), params + params[GEMM]
    for i in range(4):
        numbers[i] = C(1)
    sizes: i64p = buffers[params[SIZES]] if params[SIZES] >= 0 else ptr(0)
    for chunk in range(start, stop):
        first_block = chunk * params[CHUNK]
        end = first_block + params[CHUNK]
        if end > words[BLOCKS]:
            end = words[BLOCKS]
        row = first_of(first_block, words[TALL], words[ROWS])
        after = first_of(end, words[TALL], words[ROWS])
        first = params[TOTAL] if params[FROM_END] != 0 else i64(0)
        for step in range(params[STEPS]):
            at = params[STEPS] - 1 - step if params[FROM_END] != 0 else step
            present = sizes[at] if params[SIZES] >= 0 else params[BATCH]
            if params[FROM_END] != 0:
                first -= present
            rows = (after if after < present else present) - row
            if rows > 0:
                last_block = first_block
                while (
                    last_block < end and first_of(last_block, words[TALL], words[ROWS]) < row + rows
                ):
                    last_block += 1
                if BACKWARD:
                    run_cell(buffers, params, row, rows, first)
                    run_product(buffers, params, first_block, last_block, numbers)
                    take_over(buffers, params, row, rows)
                else:
                    run_product(buffers, params, first_block, last_block, numbers)
                    run_cell(buffers, params, row, rows, first)
            if params[FROM_END] == 0:
                first += present


@native
def pack_weight(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Some panels of the weight."""
    weight: pointer(X) = buffers[params[WEIGHT]]
    panels: pointer(P) = buffers[params[SCRATCH]]
    for index in range(start, stop):
        pack_ready(index, weight, panels, params + params[GEMM])


@native
def recurrent(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """A layer: copies the states that the steps then change, packs the weight, runs all rows."""
    for i in range(params[COPY_COUNT]):
        copy = params + params[COPIES] + 3 * i
        copy_memory(buffers[copy[1]], buffers[copy[0]], copy[2])
    words = params + params[GEMM]
    Parallel(params[PARALLEL])(
        pack_weight, buffers, params, words[PANELS], 1 if params[CHUNKS] > 1 else 0
    )
    Parallel(params[PARALLEL])(
        run_rows, buffers, params, params[CHUNKS], 1 if params[CHUNKS] > 1 else 0
    )

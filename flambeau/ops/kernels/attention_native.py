"""Scaled dot-product attention in native code, a block of queries at a time.

The scores of a block of queries and a block of keys are a matrix product into memory that stays in
the second-level cache; a row program turns them into exponentials, relative to the greatest score
so far; a second product multiplies these by the values. When the greatest score of a row grows,
what was summed up before is scaled down, so that all keys never need to be there at once (Dao et
al., FlashAttention, 2022; Rabe and Staats 2021). The gradient computes the exponentials again from
the logarithms of their sums.

The products are those of ops.kernels.gemm, the row programs those of ops.kernels.attention, which
prepares all parameters: tables of what to do for each block of queries (`steps`), of the operands'
offsets for each matrix of the batch, and these words.
"""

from __future__ import annotations

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
    sizeof,
    stack,
    void,
)

T, TP = f32, pointer(f32)  # template: the element type
MASKED = 0  # template: whether there is a mask, the operand after the values
Kernel = Signature(void, ptr, ptr, i64, i64)
LOWEST = float("-inf")

# words of the parameters; distances in bytes but for the pitch
(
    GRAIN, SLOT, TILE, BLOCKS, ROWS, LENGTH, COLUMNS, CAUSAL, PITCH,
    QUERY_ROW, KEY_ROW, VALUE_ROW, MASK_ROW, MASK_COLUMN, OUTPUT_ROW,
    GRAD_ROW, BY_QUERY_ROW, BY_KEY_ROW, BY_VALUE_ROW,
    OFFSETS, STEPS, FIRST, FINISH_KERNEL, FINISH, LAST_FINISH,
    KEYS, BY_KEY_BYTES, BY_VALUE_BYTES,
) = range(28)  # fmt: skip
WORDS = 28
# a step: first key, number of keys, then kernel, parameters and items of its products and program
(
    STEP_KEY, STEP_KEYS, STEP_SCORES, STEP_PROGRAM, STEP_RESULT, STEP_CHANGES, STEP_BY_VALUE,
    STEP_BY_KEY, STEP_BY_QUERY,
) = (0, 1, 2, 5, 8, 11, 14, 17, 20)  # fmt: skip
STEP_WORDS = 23
# the operands' offsets for a matrix of the batch
(
    AT_QUERY, AT_KEY, AT_VALUE, AT_MASK, AT_OUTPUT, AT_SUM, AT_GRAD, AT_BY_QUERY, AT_BY_KEY,
    AT_BY_VALUE,
) = range(10)  # fmt: skip
OFFSET_WORDS = 10


@native
def run(task: i64p, buffers: ptrp) -> void:
    """Runs a kernel: its address, its parameters, its items."""
    Kernel(ptr(task[0]))(buffers, ptr(task[1]), 0, task[2])


@native
def hide_later(scores: TP, rows: i64, first: i64, keys: i64, pitch: i64) -> void:
    """Scores of keys after the query become minus infinity; key `first` + i is the last that row i
    sees, counted in the tile.
    """
    for i in range(rows):
        begin = first + i + 1
        begin = begin if begin > 0 else 0
        row = scores + i * pitch
        for j in range(begin, keys):
            row[j] = T(LOWEST)


@native
def rescale(total: TP, factor: TP, rows: i64, columns: i64) -> void:
    """Rows of the sums so far, scaled down."""
    for i in range(rows):
        row, by = total + i * columns, factor[i]
        for j in range(columns):
            row[j] = row[j] * by


@native
def attention(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: query, key, value, mask if any, then output, logarithms of sums, scratch."""
    slot = buffers[5 + MASKED] + (start // params[GRAIN]) * params[SLOT]
    scores: TP = slot
    shares: TP = slot + params[TILE]
    total: TP = ptr(shares) + params[TILE]
    top = total + params[ROWS] * params[COLUMNS]
    sums = top + params[ROWS]
    factor = sums + params[ROWS]
    found = stack(ptr, 8)
    blocks, height = params[BLOCKS], params[ROWS]
    table: i64p = ptr(params[OFFSETS])
    firsts: i64p = ptr(params[FIRST])
    for item in range(start, stop):
        block, matrix = item % blocks, item // blocks
        at = table + matrix * OFFSET_WORDS
        begin = block * height
        rows = height if begin + height < params[LENGTH] else params[LENGTH] - begin
        query = buffers[0] + at[AT_QUERY] + begin * params[QUERY_ROW]
        for number in range(firsts[block], firsts[block + 1]):
            step: i64p = ptr(params[STEPS]) + number * (8 * STEP_WORDS)
            key, keys = step[STEP_KEY], step[STEP_KEYS]
            found[0] = query
            found[1] = buffers[1] + at[AT_KEY] + key * params[KEY_ROW]
            found[2] = scores
            run(step + STEP_SCORES, found)
            if params[CAUSAL] and key + keys > begin + 1:
                hide_later(scores, rows, begin - key, keys, params[PITCH])
            n = i64(1)
            found[0] = scores
            if MASKED:
                place = begin * params[MASK_ROW] + key * params[MASK_COLUMN]
                found[n] = buffers[3] + at[AT_MASK] + place
                n += 1
            if key > 0:
                found[n] = top
                found[n + 1] = sums
                n += 2
            found[n] = shares
            found[n + 1] = top
            found[n + 2] = sums
            found[n + 3] = factor
            run(step + STEP_PROGRAM, found)
            if key > 0:
                rescale(total, factor, rows, params[COLUMNS])
            found[0] = total
            first = i64(1) if key > 0 else i64(0)
            found[first] = shares
            found[first + 1] = buffers[2] + at[AT_VALUE] + key * params[VALUE_ROW]
            found[first + 2] = total
            run(step + STEP_RESULT, found)
        found[0] = total
        found[1] = top
        found[2] = sums
        found[3] = buffers[3 + MASKED] + at[AT_OUTPUT] + begin * params[OUTPUT_ROW]
        found[4] = buffers[4 + MASKED] + at[AT_SUM] + begin * sizeof(T)
        finish = params[FINISH] if rows == height else params[LAST_FINISH]
        Kernel(ptr(params[FINISH_KERNEL]))(found, ptr(finish), 0, rows)


# addresses that the steps of a gradient share
(
    QUERIES, KEYS_AT, VALUES, MASK, GRADS, SUMS, ALONG, SCORES, CHANGES, SHARES, SLOPES, BY_QUERY,
    BY_KEY, BY_VALUE,
) = range(14)  # fmt: skip


@native
def gradient_step(step: i64p, at: ptrp, params: i64p, begin: i64, rows: i64) -> void:
    """A block of queries against a block of keys: adds to the gradients of both and of the values;
    `at` are the addresses of their first rows.
    """
    key, keys = step[STEP_KEY], step[STEP_KEYS]
    found = stack(ptr, 8)
    found[0] = at[QUERIES]
    found[1] = at[KEYS_AT] + key * params[KEY_ROW]
    found[2] = at[SCORES]
    run(step + STEP_SCORES, found)
    if params[CAUSAL] and key + keys > begin + 1:
        hide_later(at[SCORES], rows, begin - key, keys, params[PITCH])
    found[0] = at[GRADS]
    found[1] = at[VALUES] + key * params[VALUE_ROW]
    found[2] = at[CHANGES]
    run(step + STEP_CHANGES, found)
    found[0] = at[SCORES]
    found[1] = at[CHANGES]
    found[2] = at[SUMS]
    found[3] = at[ALONG]
    if MASKED:
        found[4] = at[MASK] + (begin * params[MASK_ROW] + key * params[MASK_COLUMN])
    found[4 + MASKED] = at[SHARES]
    found[5 + MASKED] = at[SLOPES]
    run(step + STEP_PROGRAM, found)
    found[0] = at[BY_VALUE] + key * params[BY_VALUE_ROW]
    found[1] = at[SHARES]
    found[2] = at[GRADS]
    found[3] = found[0]
    run(step + STEP_BY_VALUE, found)
    found[0] = at[BY_KEY] + key * params[BY_KEY_ROW]
    found[1] = at[SLOPES]
    found[2] = at[QUERIES]
    found[3] = found[0]
    run(step + STEP_BY_KEY, found)
    found[0] = at[BY_QUERY]
    first = i64(1) if key > 0 else i64(0)
    found[first] = at[SLOPES]
    found[first + 1] = at[KEYS_AT] + key * params[KEY_ROW]
    found[first + 2] = at[BY_QUERY]
    run(step + STEP_BY_QUERY, found)


@native
def clear(matrix: ptr, rows: i64, pitch: i64, width: i64) -> void:
    """Zeros in a matrix whose rows are `pitch` bytes apart."""
    for row in range(rows):
        fill_memory(matrix + row * pitch, 0, width)


@native
def attention_gradient(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: gradient, query, key, value, mask if any, output, logarithms of sums, then the
    gradients by query, key and value, scratch. An item is a matrix of the batch.
    """
    slot = buffers[9 + MASKED] + (start // params[GRAIN]) * params[SLOT]
    at, found = stack(ptr, 14), stack(ptr, 4)
    for tile in range(5):
        at[SCORES + tile if tile < 4 else ALONG] = slot + tile * params[TILE]
    height = params[ROWS]
    table: i64p = ptr(params[OFFSETS])
    firsts: i64p = ptr(params[FIRST])
    for matrix in range(start, stop):
        offset = table + matrix * OFFSET_WORDS
        at[KEYS_AT] = buffers[2] + offset[AT_KEY]
        at[VALUES] = buffers[3] + offset[AT_VALUE]
        if MASKED:
            at[MASK] = buffers[4] + offset[AT_MASK]
        at[BY_KEY] = buffers[7 + MASKED] + offset[AT_BY_KEY]
        at[BY_VALUE] = buffers[8 + MASKED] + offset[AT_BY_VALUE]
        clear(at[BY_KEY], params[KEYS], params[BY_KEY_ROW], params[BY_KEY_BYTES])
        clear(at[BY_VALUE], params[KEYS], params[BY_VALUE_ROW], params[BY_VALUE_BYTES])
        for block in range(params[BLOCKS]):
            begin = block * height
            rows = height if begin + height < params[LENGTH] else params[LENGTH] - begin
            at[QUERIES] = buffers[1] + offset[AT_QUERY] + begin * params[QUERY_ROW]
            at[BY_QUERY] = buffers[6 + MASKED] + offset[AT_BY_QUERY] + begin * params[BY_QUERY_ROW]
            at[GRADS] = buffers[0] + offset[AT_GRAD] + begin * params[GRAD_ROW]
            at[SUMS] = buffers[5 + MASKED] + offset[AT_SUM] + begin * sizeof(T)
            found[0] = at[GRADS]
            found[1] = buffers[4 + MASKED] + offset[AT_OUTPUT] + begin * params[OUTPUT_ROW]
            found[2] = at[ALONG]
            finish = params[FINISH] if rows == height else params[LAST_FINISH]
            Kernel(ptr(params[FINISH_KERNEL]))(found, ptr(finish), 0, rows)
            for number in range(firsts[block], firsts[block + 1]):
                step: i64p = ptr(params[STEPS]) + number * (8 * STEP_WORDS)
                gradient_step(step, at, params, begin, rows)

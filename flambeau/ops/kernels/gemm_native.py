"""Matrix products in native code, around the register tiles of ops.kernels.gemm_tiles.

An item of work is a range of blocks of rows times a range of panels of columns of one matrix of the
batch; the thread pool takes items. Words and their meaning are made by ops.kernels.gemm:

    product      c = alpha * a @ b + beta * init, all in one dtype
    narrow_product   the same for dtypes that are widened for the arithmetic (halves, small ints)
    dot_product  the same where both operands are contiguous along k and the result has few rows

X is the element type in memory, C that of arithmetic, P what panels consist of: C, or pairs of
bfloat16. Where there is an epilogue, other tiles take the last steps along k: they store what
becomes of the result (codegen.vector_function).
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Signature,
    copy_memory,
    f32,
    f64,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    sizeof,
    stack,
    u8,
    u16,
    u32,
    void,
)
from flambeau.codegen.native import f64p as f64p
from flambeau.ops.kernels.conv_padding import widen

X, C, P = f32, f32, f32  # template: types of elements, of arithmetic, of packed elements
BFLOAT, PAIRS, PER = False, False, 1  # template: bfloat16; multiplied in pairs; elements of a pair
LANES = 16  # template: results in a vector
PANEL_BYTES = 1 << 16  # a packed panel: with the left operand's rows it fits the second-level cache
WIDE_PANEL_BYTES = 1 << 17  # of widened elements: packed for many rows
ProductTile = Signature(
    void, ptr, i64, i64, ptr, i64, i64, ptr, i64, ptr, i64, ptr, i64, ptr, i64, i64
)
DotTile = Signature(void, ptr, i64, ptr, i64, i64, ptr, i64, ptr, i64, ptr, ptr, i64, i64)
Transposer = Signature(void, ptr, i64, i64, i64, ptr, i64)
Parallel = Signature(void, ptr, ptrp, i64p, i64, i64)
Packer = Signature(void, ptr, ptr, i64, i64, i64, ptr)

# words of the parameters; strides in elements, `numbers` are the bits of two float64
(
    TILES, TRANSPOSER, M, N, K, A_ROW, A_STEP, B_STEP, B_COLUMN, C_ROW, INIT_ROW, INIT, ALPHA, BETA,
    INNER, A_OUTER, A_INNER, B_OUTER, B_INNER, C_OUTER, C_INNER, INIT_OUTER, INIT_INNER,
    GROUPS, GROUP, CHUNKS, CHUNK, ROWS, TALL, BLOCKS, VECTORS, WIDE, PANELS, DEPTH, PACK, FLIPPED,
    READY, STRIP, WIDENER, PACKER,
    STRIPS, BATCH, ITEMS, GRAIN, PARALLEL, RIGHT_AT, RIGHT_SIZE,
    RESULT, SCRATCH, OPERANDS, AFTER,
) = (0, *range(6, 56))  # fmt: skip
WORDS = AFTER + 6  # the last tiles; then OPERAND_WORDS for each operand of the epilogue
OPERAND_WORDS = 4  # its buffer; strides in bytes of the outer and the inner batch and of rows
MOST_OPERANDS = 32
TILE_KINDS = 3  # tiles for a wide panel, for a narrow one, for the last; first those of tall blocks
PACK_NONE, PACK_ROWS, PACK_COLUMNS = 0, 1, 2
# work[]: where the item's matrices begin, and its blocks and panels
ITEM_A, ITEM_B, ITEM_C, ITEM_INIT, FIRST_BLOCK, LAST_BLOCK, FIRST_PANEL, LAST_PANEL, ITEM_BATCH = (
    range(9)
)


@native
def find_item(item: i64, buffers: ptrp, params: i64p, work: i64p) -> void:
    """Finds the matrices, blocks and panels of an item."""
    part, chunk, outer, inner = i64(0), i64(0), i64(0), item
    if params[GROUPS] > 1:  # divisions take longer than a small product
        part, inner = inner % params[GROUPS], inner // params[GROUPS]
    if params[CHUNKS] > 1:
        chunk, inner = inner % params[CHUNKS], inner // params[CHUNKS]
    work[ITEM_BATCH] = inner
    if inner >= params[INNER]:
        outer, inner = inner // params[INNER], inner % params[INNER]
    given = params[INIT]
    place: pointer(X) = buffers[given + params[FLIPPED]]
    work[ITEM_A] = i64(place + (outer * params[A_OUTER] + inner * params[A_INNER]))
    place = buffers[given + 1 - params[FLIPPED]]
    work[ITEM_B] = i64(place + (outer * params[B_OUTER] + inner * params[B_INNER]))
    place = buffers[params[RESULT]]
    work[ITEM_C] = i64(place + (outer * params[C_OUTER] + inner * params[C_INNER]))
    work[ITEM_INIT] = 0
    if given != 0:
        place = buffers[0]
        work[ITEM_INIT] = i64(place + (outer * params[INIT_OUTER] + inner * params[INIT_INNER]))
    work[FIRST_BLOCK] = chunk * params[CHUNK]
    last = work[FIRST_BLOCK] + params[CHUNK]
    work[LAST_BLOCK] = last if last < params[BLOCKS] else params[BLOCKS]
    work[FIRST_PANEL] = part * params[GROUP]
    last = work[FIRST_PANEL] + params[GROUP]
    work[LAST_PANEL] = last if last < params[PANELS] else params[PANELS]


@native
def find_operands(buffers: ptrp, params: i64p, work: i64p, places: i64p) -> void:
    """Where the operands of the epilogue begin for the item's matrices, and their rows' strides."""
    outer, inner = i64(0), work[ITEM_BATCH]
    if inner >= params[INNER]:
        outer, inner = inner // params[INNER], inner % params[INNER]
    for i in range(params[OPERANDS]):
        operand = params + (WORDS + OPERAND_WORDS * i)
        places[2 * i] = i64(buffers[operand[0]]) + outer * operand[1] + inner * operand[2]
        places[2 * i + 1] = operand[3]


@native
def first_of(index: i64, full: i64, size: i64) -> i64:
    """Where block `index` begins if the first `full` have `size` elements, the others one less."""
    return index * size if index < full else index * (size - 1) + full


@native
def pack_columns(
    panel: pointer(P), b: pointer(X), width: i64, columns: i64, count: i64, params: i64p
) -> void:
    """A panel of `width` columns from `columns` columns that are contiguous along k."""
    for j in range(0, width, LANES):
        valid = columns - j if columns - j < LANES else i64(LANES)
        Transposer(params[TRANSPOSER])(
            b + j * params[B_COLUMN],
            params[B_COLUMN] // PER,
            valid,
            count // PER,
            panel + j,
            width,
        )


@native
def pack_rows(
    panel: pointer(P), b: pointer(X), width: i64, columns: i64, count: i64, params: i64p
) -> void:
    """A panel of `width` columns from `columns` columns with any strides; the rest are zeros."""
    step, column = params[B_STEP], params[B_COLUMN]
    for k in range(0, count, PER):
        row = panel + (k // PER) * width
        source = b + k * step
        if PAIRS:
            odd = k + 1 == count
            for j in range(columns):
                low: u16 = source[j * column]
                high: u16 = 0
                if not odd:
                    high = source[j * column + step]
                row[j] = u32(low) | (u32(high) << 16)
        else:
            if column == 1:
                for j in range(columns):
                    row[j] = widen(source[j])
            else:
                for j in range(columns):
                    row[j] = widen(source[j * column])
        for j in range(columns, width):
            row[j] = P(0)


@native
def pack_panel(
    panel: pointer(P), b: pointer(X), width: i64, columns: i64, count: i64, params: i64p
) -> void:
    """A panel of `width` columns, whole vectors, by the packer that the plan has chosen."""
    Packer(params[PACKER])(panel, b, width, columns, count, params)


@native
def pack_ready(index: i64, b: pointer(X), panels: pointer(P), params: i64p) -> void:
    """Packs one of the panels that `run_panel` then finds READY: `READY` rows are kept for each."""
    column = first_of(index, params[WIDE], params[VECTORS]) * LANES
    width = (params[VECTORS] if index < params[WIDE] else params[VECTORS] - 1) * LANES
    columns = params[N] - column if index == params[PANELS] - 1 else width
    target = panels + column * params[READY]
    pack_panel(target, b + column * params[B_COLUMN], width, columns, params[K], params)


@native
def run_panel(
    index: i64,
    done: i64,
    count: i64,
    work: i64p,
    params: i64p,
    panel: pointer(C),
    numbers: pointer(C),
    places: i64p,
) -> void:
    """Steps `done` to `done + count` of the item's blocks times one panel."""
    column = first_of(index, params[WIDE], params[VECTORS]) * LANES
    width = (params[VECTORS] if index < params[WIDE] else params[VECTORS] - 1) * LANES
    kind = i64(0) if index < params[WIDE] else i64(1)
    columns = width
    if index == params[PANELS] - 1:
        kind, columns = i64(2), params[N] - column
    b: pointer(C) = ptr(work[ITEM_B])
    b = b + (done * params[B_STEP] + column * params[B_COLUMN])
    step = params[B_STEP]
    if params[READY] != 0:
        b, step = pointer(C)(ptr(work[ITEM_B])) + column * params[READY], width
    elif params[PACK] != PACK_NONE:
        pack_panel(panel, b, width, columns, count, params)
        b, step = panel, width
    a: pointer(C) = ptr(work[ITEM_A])
    c: pointer(C) = ptr(work[ITEM_C])
    init: pointer(C) = ptr(work[ITEM_INIT])
    init_row = params[INIT_ROW]
    if done > 0:
        init, init_row, numbers = c, params[C_ROW], numbers + 2
    if params[OPERANDS] != 0 and done + count == params[K]:
        kind += AFTER - TILES
    for block in range(work[FIRST_BLOCK], work[LAST_BLOCK]):
        row = first_of(block, params[TALL], params[ROWS])
        start = init
        if init != None:  # noqa: E711
            start = init + (row * init_row + column)
        ProductTile(params[TILES + kind + (0 if block < params[TALL] else TILE_KINDS)])(
            a + (row * params[A_ROW] + done * params[A_STEP]),
            params[A_ROW],
            params[A_STEP],
            b,
            step,
            count,
            c + (row * params[C_ROW] + column),
            params[C_ROW],
            start,
            init_row,
            numbers,
            columns - width + LANES,
            places,
            row,
            column,
        )


@native
def read_numbers(params: i64p, numbers: pointer(C)) -> void:
    """alpha and beta for the first steps along k, and for the later ones, which add to c."""
    given: f64p = params + ALPHA
    numbers[0] = C(given[0])
    numbers[1] = C(given[1])
    numbers[2] = C(given[0])
    numbers[3] = C(1)


@native
def product(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Items of a product in one dtype."""
    memory, numbers, work = stack(u8, PANEL_BYTES + 64), stack(C, 4), stack(i64, 9)
    places = stack(i64, 2 * MOST_OPERANDS)
    panel: pointer(C) = ptr((i64(memory) + 63) & -64)
    read_numbers(params, numbers)
    for item in range(start, stop):
        find_item(item, buffers, params, work)
        find_operands(buffers, params, work, places)
        done = i64(0)
        while True:
            left = params[K] - done
            count = left if left < params[DEPTH] else params[DEPTH]
            for index in range(work[FIRST_PANEL], work[LAST_PANEL]):
                run_panel(index, done, count, work, params, panel, numbers, places)
            done += count
            if done >= params[K]:
                break


@native
def pack_left(left: pointer(P), a: pointer(X), rows: i64, count: i64, params: i64p) -> void:
    """Rows of a, widened, in the order in which they lie: row after row, or, where columns are
    contiguous, column after column of all rows.
    """
    step, row, pitch = params[A_STEP], params[A_ROW], params[M]
    pairs = (count + PER - 1) // PER
    if row == 1:
        for k in range(0, count, PER):
            source, target = a + k * step, left + (k // PER) * pitch
            if PAIRS:
                odd = k + 1 == count
                for i in range(rows):
                    low: u16 = source[i]
                    high: u16 = 0
                    if not odd:
                        high = source[i + step]
                    target[i] = u32(low) | (u32(high) << 16)
            else:
                for i in range(rows):
                    target[i] = widen(source[i])
        return
    for i in range(rows):
        source, target = a + i * row, left + i * pairs
        if PAIRS:
            if step == 1:
                target[pairs - 1] = P(0)
                copy_memory(target, source, count * sizeof(X))
            else:
                for k in range(0, count, 2):
                    first: u16 = source[k * step]
                    second: u16 = 0
                    if k + 1 < count:
                        second = source[(k + 1) * step]
                    target[k // 2] = u32(first) | (u32(second) << 16)
        elif step == 1:
            for k in range(count):
                target[k] = widen(source[k])
        else:
            for k in range(count):
                target[k] = widen(source[k * step])


@native
def place_of(base: pointer(X), batch: i64, params: i64p, steps: i64p) -> pointer(X):
    """Where a matrix of the batch begins; `steps` are its two batch strides."""
    outer, inner = i64(0), batch
    if batch >= params[INNER]:
        outer, inner = batch // params[INNER], batch % params[INNER]
    return base + (outer * steps[0] + inner * steps[1])


@native
def widen_left(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Strips of rows of the left operands, widened."""
    given = params[INIT]
    base: pointer(X) = buffers[given + params[FLIPPED]]
    left: pointer(P) = buffers[params[SCRATCH]]
    pairs = (params[K] + PER - 1) // PER
    for item in range(start, stop):
        batch, first = item // params[STRIPS], (item % params[STRIPS]) * params[STRIP]
        last = first + params[STRIP] if first + params[STRIP] < params[BLOCKS] else params[BLOCKS]
        top = first_of(first, params[TALL], params[ROWS])
        rows = first_of(last, params[TALL], params[ROWS]) - top
        a = place_of(base, batch, params, params + A_OUTER) + top * params[A_ROW]
        shift = top if params[A_ROW] == 1 else top * pairs
        pack_left(left + (batch * params[M] * pairs + shift), a, rows, params[K], params)


@native
def pack_right(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Panels of the right operands, for many strips."""
    given = params[INIT]
    base: pointer(X) = buffers[given + 1 - params[FLIPPED]]
    panels: pointer(P) = buffers[params[SCRATCH]]
    for item in range(start, stop):
        batch, index = item // params[PANELS], item % params[PANELS]
        b = place_of(base, batch, params, params + B_OUTER)
        pack_ready(index, b, panels + (params[RIGHT_AT] + batch * params[RIGHT_SIZE]), params)


@native
def narrow_items(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Items of a widened product: a panel that blocks of rows go through."""
    memory, numbers, work = stack(u8, WIDE_PANEL_BYTES + 64), stack(C, 4), stack(i64, 9)
    places = stack(i64, 2 * MOST_OPERANDS)
    own: pointer(P) = ptr((i64(memory) + 63) & -64)
    scratch: pointer(P) = buffers[params[SCRATCH]]
    pairs = (params[K] + PER - 1) // PER
    row_step, step = pairs, i64(1)
    if params[WIDENER] == 0:
        row_step = params[A_ROW] // PER
    elif params[A_ROW] == 1:
        row_step, step = i64(1), params[M]
    read_numbers(params, numbers)
    for item in range(start, stop):
        find_item(item, buffers, params, work)
        find_operands(buffers, params, work, places)
        index = work[FIRST_PANEL]
        column = first_of(index, params[WIDE], params[VECTORS]) * LANES
        width = (params[VECTORS] if index < params[WIDE] else params[VECTORS] - 1) * LANES
        kind = i64(0) if index < params[WIDE] else i64(1)
        columns = width
        if index == params[PANELS] - 1:
            kind, columns = i64(2), params[N] - column
        kind += (AFTER - TILES) if params[OPERANDS] != 0 else i64(0)
        panel = own
        if params[READY] != 0:
            panel = scratch + (params[RIGHT_AT] + work[ITEM_BATCH] * params[RIGHT_SIZE])
            panel = panel + column * params[READY]
        else:
            b: pointer(X) = ptr(work[ITEM_B])
            b = b + column * params[B_COLUMN]
            pack_panel(own, b, width, columns, params[K], params)
        left = scratch + work[ITEM_BATCH] * params[M] * pairs
        if params[WIDENER] == 0:
            left = ptr(work[ITEM_A])
        c: pointer(X) = ptr(work[ITEM_C])
        init: pointer(X) = ptr(work[ITEM_INIT])
        for block in range(work[FIRST_BLOCK], work[LAST_BLOCK]):
            row = first_of(block, params[TALL], params[ROWS])
            before = init
            if init != None:  # noqa: E711
                before = init + (row * params[INIT_ROW] + column)
            ProductTile(params[TILES + kind + (0 if block < params[TALL] else TILE_KINDS)])(
                left + row * row_step,
                row_step,
                step,
                panel,
                width,
                pairs,
                c + (row * params[C_ROW] + column),
                params[C_ROW],
                before,
                params[INIT_ROW],
                numbers,
                columns - width + LANES,
                places,
                row,
                column,
            )


@native
def narrow_product(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """A product in a wider dtype than that of its operands: these are widened, or packed in pairs,
    before; a panel that few rows meet is packed where it is used.
    """
    grain = params[GRAIN]
    if params[WIDENER] != 0:
        strips = params[BATCH] * params[STRIPS]
        Parallel(params[PARALLEL])(ptr(params[WIDENER]), buffers, params, strips, grain)
    if params[READY] != 0:
        Parallel(params[PARALLEL])(
            pack_right, buffers, params, params[BATCH] * params[PANELS], grain
        )
    Parallel(params[PARALLEL])(narrow_items, buffers, params, params[ITEMS], grain)


@native
def dot_product(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Items of a product whose operands are contiguous along k: VECTORS counts columns here."""
    numbers, work, places = stack(C, 4), stack(i64, 9), stack(i64, 2 * MOST_OPERANDS)
    read_numbers(params, numbers)
    for item in range(start, stop):
        find_item(item, buffers, params, work)
        find_operands(buffers, params, work, places)
        a: pointer(X) = ptr(work[ITEM_A])
        b: pointer(X) = ptr(work[ITEM_B])
        c: pointer(X) = ptr(work[ITEM_C])
        init: pointer(X) = ptr(work[ITEM_INIT])
        for index in range(work[FIRST_PANEL], work[LAST_PANEL]):
            column = first_of(index, params[WIDE], params[VECTORS])
            kind = i64(0) if index < params[WIDE] else i64(1)
            kind += (AFTER - TILES) if params[OPERANDS] != 0 else i64(0)
            for block in range(work[FIRST_BLOCK], work[LAST_BLOCK]):
                row = first_of(block, params[TALL], params[ROWS])
                before = init
                if init != None:  # noqa: E711
                    before = init + (row * params[INIT_ROW] + column)
                DotTile(params[TILES + kind + (0 if block < params[TALL] else TILE_KINDS)])(
                    a + row * params[A_ROW],
                    params[A_ROW],
                    b + column * params[B_COLUMN],
                    params[B_COLUMN],
                    params[K],
                    c + (row * params[C_ROW] + column),
                    params[C_ROW],
                    before,
                    params[INIT_ROW],
                    numbers,
                    places,
                    row,
                    column,
                )


_ = f64

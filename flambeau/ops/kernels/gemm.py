"""Plans of matrix products: which kernel of ops.kernels.gemm_native runs, with which tiles, blocks
and panels. Called by ops.matmul, ops.product_sums and ops.recurrent:

    task = Product("float32", m, n, k, batch=(1, 1), a=(0, 0, k, 1), b=(0, 0, n, 1), c=(0, 0, n))
    plan.use_native(*kernel(task, threads, parallel))

A product may have an `Epilogue`: a bias, an activation, the sum with a residual, in the same pass.
No operand is ever copied as a whole: the tiles read the left one with any strides, and panels of
the right one are packed while they are in the cache. Halves and small integers are widened on the
way.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, NamedTuple

from flambeau.codegen.llvm import load
from flambeau.codegen.native import Unit, f16, f32, f64, i8, i16, i32, i64, pointer, u8, u16, u32
from flambeau.codegen.vector_function import VectorFunction, operations
from flambeau.ops.kernels import gemm_native as native
from flambeau.ops.kernels import gemm_rows
from flambeau.ops.kernels.gemm_tiles import (
    COLUMNS,
    PAIRS,
    VECTORS,
    Tile,
    dot_address,
    has_pairs,
    lanes_of,
    product_address,
)
from flambeau.ops.kernels.transposers import transposer_address
from flambeau.ops.kernels.vector_text import machine_vectors

# stored dtype: (type in memory, type of arithmetic, dtype of the tiles)
TYPES = {
    "float32": (f32, f32, "float32"), "float64": (f64, f64, "float64"),
    "int32": (i32, i32, "int32"), "int64": (i64, i64, "int64"),
    "float16": (f16, f32, "float32"), "bfloat16": (u16, f32, "float32"),
    # sums of small integers wrap around at the end as they would on the way
    "int8": (i8, i16, "int16"), "uint8": (u8, i16, "int16"), "int16": (i16, i16, "int16"),
}  # fmt: skip
# multiplications from which several threads share a product: some 10 us for one
THREADED_FROM = 1 << 20
PER_THREAD = 4  # items that a thread should find, so that the threads end together
# rows of the result from which a panel of the right operand is packed even if it could be read
PACKED_FROM = 96
STRIP = 8  # blocks of rows of a widened operand; more of them share packed panels
SHALLOW = 16  # steps along k at a time when few rows meet a wide right operand
TINY = 64  # elements up to which a panel is gathered one by one
# where sums over lanes pay: shortest k of widened operands, most rows, columns that fill no vector
WIDE_DOT_FROM, DOT_ROWS, FEW_COLUMNS = 32, 16, 4


class Epilogue(NamedTuple):
    """What becomes of the elements of a result before they are stored.

    result: the buffer of c, which holds sums of some steps along k; scratch: the buffer of memory
    for widened operands. operands: (buffer, and strides in bytes: outer, inner, row) of what the
    function reads, then of what it writes.
    """

    function: VectorFunction
    result: int
    scratch: int
    operands: tuple[tuple[int, int, int, int], ...]


class Product(NamedTuple):
    """c = alpha * a @ b + beta * init; strides in elements, batches first (outer, inner).

    a: (outer, inner, row, step along k); b: (outer, inner, step along k, column); c: (outer, inner,
    row); init: the same, or None. `flipped`: the first buffer is b.
    """

    dtype: str
    m: int
    n: int
    k: int
    batch: tuple[int, int]
    a: tuple[int, int, int, int]
    b: tuple[int, int, int, int]
    c: tuple[int, int, int]
    init: tuple[int, int, int] | None = None
    alpha: float = 1.0
    beta: float = 1.0
    flipped: bool = False
    epilogue: Epilogue | None = None

    @property
    def after(self) -> VectorFunction | None:
        """What the last tiles compute."""
        return None if self.epilogue is None else self.epilogue.function

    @property
    def work(self) -> int:
        """Multiplications, or operations that take as long."""
        each = self.k + (0 if self.after is None else operations(self.after.exprs))
        return self.m * self.n * self.batch[0] * self.batch[1] * each


class Kernel(NamedTuple):
    """What Plan.use_native takes."""

    address: int
    params: list[int]
    items: int
    work: int
    grain: int
    scratch: int = 0


def flipped(p: Product) -> Product:
    """A result of one column as one of one row: c^T = b^T a^T. The operands' order stays."""
    init = None if p.init is None else (*p.init[:2], 0)
    a, b = (*p.b[:2], p.b[3], p.b[2]), (*p.a[:2], p.a[3], p.a[2])
    return p._replace(m=1, n=p.m, a=a, b=b, c=(*p.c[:2], 0), init=init, flipped=True)


def kernel(p: Product, threads: int, parallel: int = 0) -> Kernel:
    """The kernel of a product, and its parameters; `parallel` is the address of the parallel loop,
    which products of widened operands call.
    """
    narrow = TYPES[p.dtype][0] is not TYPES[p.dtype][1]
    if uses_dot(p, narrow):
        return dot_kernel(p, threads)
    if p.n == 1 and (p.init is None or p.init[2] == 1):
        p = flipped(p)
    if uses_rows(p):
        return rows_kernel(p, threads)
    return narrow_kernel(p, threads, parallel) if narrow else product_kernel(p, threads)


def uses_rows(p: Product) -> bool:
    """Whether elements are widened where they are used: those of a matrix that few rows meet. Such
    products have no epilogue.
    """
    most = 1 if p.dtype == "bfloat16" and has_pairs() else gemm_rows.MOST_ROWS
    return TYPES[p.dtype][0] is not TYPES[p.dtype][1] and p.m <= most and p.b[3] == 1


def uses_dot(p: Product, narrow: bool) -> bool:
    """Whether both operands are read along k, and the sums over lanes cost less than packing: the
    fewer rows there are, the earlier. Widened operands are packed anyway, unless hardly any element
    is used twice.
    """
    if p.a[3] != 1 or p.b[2] != 1:
        return False
    if narrow:
        return min(p.m, p.n) <= 2 and p.k >= WIDE_DOT_FROM
    few = min(p.m, p.n) if p.n <= FEW_COLUMNS else p.m
    return few <= DOT_ROWS and 2 * p.k >= few * lanes_of(TYPES[p.dtype][2])


def evenly(total: int, most: int) -> tuple[int, int, int]:
    """(count, size, how many of full size): blocks of at most `most`, the others one smaller."""
    count = max(1, -(-total // most))
    size = max(1, -(-total // count))
    return count, size, total - count * (size - 1) if total else 1


def split(
    p: Product, threads: int, blocks: int, panels: int, one_panel: bool, share: int = PER_THREAD
) -> tuple[int, int, int, int]:
    """(groups, panels in a group, chunks, blocks in a chunk) so that every thread finds `share`
    items.
    """
    batch = p.batch[0] * p.batch[1]
    group, chunk = 1 if one_panel else panels, blocks
    if threads > 1 and p.work >= THREADED_FROM and batch < share * threads:
        wanted = -(-share * threads // batch)
        group = 1 if one_panel else max(1, -(-panels // wanted))
        chunks = max(1, wanted // -(-panels // group))
        chunk = min(chunk, max(1, -(-blocks // chunks)))
    return -(-panels // group), group, -(-blocks // chunk), chunk


def words(p: Product) -> list[int]:
    """The parameters, but for tiles, blocks and panels."""
    found = [0] * native.WORDS
    init, given, after = p.init or (0, 0, 0), int(p.init is not None), p.epilogue
    operands = [] if after is None else [word for operand in after.operands for word in operand]
    numbers = [struct.unpack("q", struct.pack("d", float(x)))[0] for x in (p.alpha, p.beta)]
    for place, value in (
        (native.M, p.m), (native.N, p.n), (native.K, p.k), (native.A_ROW, p.a[2]),
        (native.A_STEP, p.a[3]), (native.B_STEP, p.b[2]), (native.B_COLUMN, p.b[3]),
        (native.C_ROW, p.c[2]), (native.INIT_ROW, init[2]), (native.INIT, given),
        (native.ALPHA, numbers[0]), (native.BETA, numbers[1]), (native.INNER, p.batch[1]),
        (native.A_OUTER, p.a[0]), (native.A_INNER, p.a[1]), (native.B_OUTER, p.b[0]),
        (native.B_INNER, p.b[1]), (native.C_OUTER, p.c[0]), (native.C_INNER, p.c[1]),
        (native.INIT_OUTER, init[0]), (native.INIT_INNER, init[1]),
        (native.FLIPPED, int(p.flipped)), (native.RESULT, after.result if after else given + 2),
        (native.SCRATCH, after.scratch if after else given + 3),
        (native.OPERANDS, len(operands) // native.OPERAND_WORDS),
    ):  # fmt: skip
        found[place] = value
    return found + operands


def divided(
    found: list[int], rows: tuple[int, int, int], columns: tuple[int, int, int], parts: Any
) -> None:
    """Notes blocks of rows and panels of columns, as `evenly` gives them, and items."""
    for place, value in (
        (native.BLOCKS, rows[0]), (native.ROWS, rows[1]), (native.TALL, rows[2]),
        (native.PANELS, columns[0]), (native.VECTORS, columns[1]), (native.WIDE, columns[2]),
        (native.GROUPS, parts[0]), (native.GROUP, parts[1]), (native.CHUNKS, parts[2]),
        (native.CHUNK, parts[3]),
    ):  # fmt: skip
        found[place] = value


def finished(p: Product, address: int, found: list[int], threads: int) -> Kernel:
    """The kernel with its number of items, and whether threads share them."""
    items = p.batch[0] * p.batch[1] * found[native.GROUPS] * found[native.CHUNKS]
    grain = -(-items // (2 * PER_THREAD * threads)) if p.work >= THREADED_FROM else 0
    return Kernel(address, found, items, p.work >> 3, grain)


class Tiling(NamedTuple):
    """The tiles of a product: their dtype, elements in a pair, and the blocks of c."""

    dtype: str
    per: int
    lanes: int
    rows: tuple[int, int, int]
    columns: tuple[int, int, int]

    @property
    def width(self) -> int:
        """Columns of the widest panel."""
        return self.columns[1] * self.lanes


def tiling_of(p: Product) -> Tiling:
    """Blocks that fill the registers, all of nearly the same size."""
    pairs = p.dtype == "bfloat16" and has_pairs()
    dtype = PAIRS if pairs else TYPES[p.dtype][2]
    lanes, most = lanes_of(dtype), VECTORS[machine_vectors()[1]]
    rows = evenly(p.m, len(most))
    columns = evenly(-(-p.n // lanes), most[rows[1] - 1])
    return Tiling(dtype, 2 if pairs else 1, lanes, rows, columns)


def deepest(p: Product, tiling: Tiling, room: int) -> int:
    """Steps along k for which a panel takes at most `room` bytes."""
    size, lanes = struct.calcsize("d" if "64" in tiling.dtype else "f"), tiling.lanes
    steps = (room // size // tiling.width - lanes) // lanes * lanes * tiling.per
    return max(1, min(p.k + p.k % tiling.per, steps))


def use_tiles(found: list[int], p: Product, tiling: Tiling) -> None:
    """Notes the tiles that the blocks need."""
    rows, columns, lanes = tiling.rows, tiling.columns, tiling.lanes
    last = columns[1] if columns[2] == columns[0] else columns[1] - 1
    partial = bool(p.n % lanes)
    # where masks cost nothing, panels like the last one share its tile
    shared = partial and machine_vectors()[0] == 64
    for high in range(2):
        height = rows[1] - high
        if height and (not high or rows[2] < rows[0]):
            for kind, (vectors, edge, used) in enumerate((
                (columns[1], False, columns[2] > 1 or columns[2] and columns[0] > columns[2]),
                (columns[1] - 1, shared, columns[0] - columns[2] > 1),
                (last, partial, True),
            )):  # fmt: skip
                if used:
                    tile = Tile(tiling.dtype, lanes, height, vectors, edge)
                    place = high * native.TILE_KINDS + kind
                    found[place] = product_address(tile, p.dtype)
                    if p.after is not None:
                        found[native.AFTER + place] = product_address(tile, p.dtype, p.after)


def product_kernel(p: Product, threads: int) -> Kernel:
    """Product tiles: rows of c from elements of a and vectors of b."""
    tiling, found = tiling_of(p), words(p)
    rows, columns = tiling.rows, tiling.columns
    found[native.DEPTH] = deepest(p, tiling, native.PANEL_BYTES)
    found[native.PACK] = packing(p, False, 1)
    one_panel = found[native.PACK] != native.PACK_NONE
    share = PER_THREAD
    if p.m <= 3 and not one_panel and columns[0] > 1:
        found[native.DEPTH], share = min(max(1, p.k), SHALLOW), 1
    divided(found, rows, columns, split(p, threads, rows[0], columns[0], one_panel, share))
    use_tiles(found, p, tiling)
    use_packer(found, p.dtype, False)
    return finished(p, code(native.product, p.dtype, False), found, threads)


def narrow_kernel(p: Product, threads: int, parallel: int) -> Kernel:
    """Product tiles on widened operands; `parallel` is the address of the parallel loop."""
    tiling, found = tiling_of(p), words(p)
    rows, columns, per = tiling.rows, tiling.columns, tiling.per
    pairs, batch = per > 1, p.batch[0] * p.batch[1]
    found[native.PACK] = packing(p, True, per)
    parts = split(p, threads, rows[0], columns[0], True)
    divided(found, rows, columns, parts)
    found[native.STRIP] = min(rows[0], STRIP)
    found[native.STRIPS] = -(-rows[0] // found[native.STRIP])
    packed, left = -(-p.k // per), 0
    if not pairs or p.a[3] != 1 or p.a[2] % 2 or p.k % 2:  # else its pairs lie side by side
        found[native.WIDENER] = code(native.widen_left, p.dtype, pairs)
        left = p.m * packed * batch
    if rows[0] > STRIP or p.k > deepest(p, tiling, native.WIDE_PANEL_BYTES):
        found[native.READY] = -(-max(1, packed) // tiling.lanes) * tiling.lanes
    found[native.RIGHT_AT] = -(-left // 16) * 16
    found[native.RIGHT_SIZE] = -(-p.n // tiling.lanes) * tiling.lanes * found[native.READY]
    use_tiles(found, p, tiling)
    use_packer(found, p.dtype, pairs)
    last = finished(p, code(native.narrow_product, p.dtype, pairs), found, threads)
    for place, value in (
        (native.BATCH, batch), (native.ITEMS, last.items), (native.GRAIN, last.grain),
        (native.PARALLEL, parallel),
    ):  # fmt: skip
        found[place] = value
    scratch = 4 * (found[native.RIGHT_AT] + batch * found[native.RIGHT_SIZE]) + 64
    return last._replace(items=1, grain=1, scratch=scratch)


def rows_kernel(p: Product, threads: int) -> Kernel:
    """Few rows times a matrix whose elements are widened on the way."""
    found, most = words(p), gemm_rows.MOST_COLUMNS
    if threads > 1 and p.work >= THREADED_FROM:
        most = max(64, min(most, -(-p.n // (PER_THREAD * threads))))
    columns = evenly(p.n, most)
    divided(found, (1, p.m, 1), columns, (columns[0], 1, 1, 1))
    return finished(p, code(gemm_rows.few_rows, p.dtype, False), found, threads)


def ready(p: Product) -> tuple[list[int], int]:
    """(words, elements of the panels) of a product whose right operand is packed once, for many
    runs over any of the blocks of rows.
    """
    found, lanes = product_kernel(p, 1).params, lanes_of(TYPES[p.dtype][2])
    if found[native.PACK] == native.PACK_NONE:
        found[native.PACK] = native.PACK_ROWS
        use_packer(found, p.dtype, False)
    found[native.DEPTH] = max(1, p.k)
    found[native.READY] = -(-found[native.DEPTH] // lanes) * lanes
    return found, -(-p.n // lanes) * lanes * found[native.READY]


def use_packer(found: list[int], dtype: str, pairs: bool) -> None:
    """Notes the code that packs panels, if any are packed."""
    tiles = PAIRS if pairs else TYPES[dtype][2]
    if found[native.PACK] == native.PACK_ROWS:
        found[native.PACKER] = code(native.pack_rows, dtype, pairs)
    elif found[native.PACK] == native.PACK_COLUMNS:
        found[native.PACKER] = code(native.pack_columns, dtype, pairs)
        found[native.TRANSPOSER] = transposer_address(PAIRS + " pairs" if pairs else dtype, tiles)


def packing(p: Product, narrow: bool, per: int) -> int:
    """How panels of the right operand are made."""
    row_wise = p.b[3] == 1 or p.n == 1
    if row_wise and not narrow and p.m < PACKED_FROM:
        return native.PACK_NONE
    columns = p.b[2] == 1 and (per == 1 or not (p.k % 2 or p.b[3] % 2))
    if not row_wise and columns and p.n * p.k > TINY:
        return native.PACK_COLUMNS
    return native.PACK_ROWS


def dot_kernel(p: Product, threads: int) -> Kernel:
    """Dot tiles: rows of a times rows of b."""
    kind, most = TYPES[p.dtype][2], COLUMNS[machine_vectors()[1]]
    high = max(r for r in range(1, len(most) + 1) if r == 1 or most[r - 1] >= min(p.n, 6))
    rows = evenly(p.m, high)
    columns = evenly(p.n, most[rows[1] - 1])
    found = words(p)
    divided(found, rows, columns, split(p, threads, rows[0], columns[0], False))
    for r in range(2):
        for c in range(2):
            height, width = rows[1] - r, columns[1] - c
            used = (not r or rows[2] < rows[0]) and (not c or columns[2] < columns[0])
            if used and height and width:
                tile = Tile(kind, lanes_of(kind), height, width)
                place = r * native.TILE_KINDS + c + (0 if p.after is None else native.AFTER)
                found[place] = dot_address(tile, p.dtype, p.after)
    return finished(p, code(native.dot_product, p.dtype, False), found, threads)


@functools.cache
def code(function: Any, dtype: str, pairs: bool) -> int:
    """Machine code of one of the native functions for a stored dtype; `pairs`: of bfloat16."""
    stored, compute, tiles = TYPES[dtype]
    packed, tiles = (u32, PAIRS) if pairs else (compute, tiles)
    unit = Unit(
        f"gemm_{function.name}_{dtype}_{tiles}", [function], X=stored, C=compute, P=packed,
        XP=pointer(stored), CP=pointer(compute), BFLOAT=stored is u16, PAIRS=tiles == PAIRS,
        PER=2 if tiles == PAIRS else 1, LANES=lanes_of(tiles),
    )  # fmt: skip
    symbol = unit.symbol(function)
    return load("gemm-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]

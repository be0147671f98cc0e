"""Native kernels of indexing: rows of a table chosen by index tensors, read (`gather_rows`) or
written (`scatter_rows`).

One loop nest serves index, gather, index_select, take and embedding (reading) and index_put,
scatter, index_add, index_copy and put (writing, with an optional arithmetic). The table is the
tensor that is indexed; the other side holds the rows. A `Nest` lists the dimensions of the rows'
side, each with the byte steps that it makes in the table, in the rows and in every index:

    nest = Nest(4)                                       # element size
    nest.add(5, table=0, row=16, indices=(8,))           # five rows, chosen by the index
    nest.add(4, table=4, row=4, indices=(0,))            # of four neighbouring elements
    params, items = nest.params(sizes=(100,), steps=(16,), wrap=True)

Index values outside their dimension are reported: the flag gets `value * 16 + 1 + (number of the
index)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    bf16,
    copy_memory,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i32p,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    u8,
    u16,
    u32,
    u64,
    unlikely,
    void,
)
from flambeau.runtime.system import engine

POINTERS = {4: i32p, 8: i64p}
WORDS = {1: u8, 2: u16, 4: u32, 8: u64}
NUMBERS = {
    "bool": u8, "uint8": u8, "int8": i8, "int16": i16, "int32": i32, "int64": i64, "uint16": u16,
    "uint32": u32, "uint64": u64, "float16": f16, "bfloat16": bf16, "float32": f32, "float64": f64,
    "complex64": f32, "complex128": f64, "complex32": f16,
}  # fmt: skip
# replaced by `Unit`: element type, type of arithmetic, its pointer, bytes, pointer to index values,
# number of indices, arithmetic
T, C, TP, SIZE, IP, INDEX_SIZE, K, MODE = u8, u8, pointer(u8), 1, i64p, 8, 1, 0
SET, ADD, MULTIPLY, MINIMUM, MAXIMUM, OR, AND = range(7)
MODES = ("set", "add", "multiply", "minimum", "maximum", "or", "and")

# words of the parameters
(
    RANK, COUNT, LINE_TABLE, LINE_ROW, AXIS, AXIS_TABLE, AXIS_ROW, WRAP, TABLE_AT, ROW_AT, FLAG_AT,
    INDEX_AT,
) = range(12)  # fmt: skip
# for each index: size of its dimension, byte step of it in the table, byte step of the index along
# the axis
INDICES = 12
LINE_BYTES = 64  # what two threads write must not lie in one cache line
BLOCK = 1024
SHORT_AXIS = 16
BAD = -1  # an offset that says: index out of range


@native
def table_offset(indices: ptrp, position: i64, params: i64p, flag: i64p) -> i64:
    """Where in the table the row at `position` of the axis is, in bytes;
    BAD if an index is out of range.
    """
    result = i64(0)
    for j in range(K):
        words = params + INDICES + 3 * j
        where: IP = indices[j] + position * words[2]
        value = i64(where[0])
        wrapped = value + words[0] if value < 0 and params[WRAP] != 0 else value
        if unlikely(wrapped < 0 or wrapped >= words[0]):
            flag[0] = value * 16 + 1 + j
            return BAD
        result += wrapped * words[1]
    return result


@native
def combine(old: C, new: C) -> C:
    """The arithmetic of a scatter."""
    if MODE == ADD:
        return old + new
    if MODE == MULTIPLY:
        return old * new
    if MODE == MINIMUM:
        return new if new < old or new != new else old
    if MODE == MAXIMUM:
        return new if new > old or new != new else old
    if MODE == OR:
        return C(1) if old != C(0) or new != C(0) else C(0)
    if MODE == AND:
        return C(1) if old != C(0) and new != C(0) else C(0)
    return new


@native
def move_line(target: ptr, source: ptr, count: i64, target_step: i64, source_step: i64) -> void:
    """One row: into the target, with the arithmetic."""
    a: TP = target
    b: TP = source
    if MODE == SET:
        if target_step == SIZE and source_step == SIZE and count >= 16:
            copy_memory(target, source, count * SIZE)
            return
    if MODE == SET:
        if target_step == SIZE and source_step == 0:
            value = b[0]
            for i in range(count):
                a[i] = value
            return
    if target_step == SIZE and source_step == SIZE:
        for i in range(count):
            if MODE == SET:
                a[i] = b[i]
            else:
                a[i] = T(combine(C(a[i]), C(b[i])))
        return
    for _ in range(count):
        if MODE == SET:
            a[0] = b[0]
        else:
            a[0] = T(combine(C(a[0]), C(b[0])))
        a = ptr(a) + target_step
        b = ptr(b) + source_step


@native
def find_offsets(indices: ptrp, position: i64, params: i64p, count: i64, offsets: i64p) -> i64:
    """Where in the table single elements are, in bytes, for `count` positions of the axis; 0 if one
    of the index values is out of range.
    """
    bad = i64(0)
    for j in range(K):
        words = params + INDICES + 3 * j
        size, step, index_step = words[0], words[1], words[2]
        lowest = 0 - size if params[WRAP] != 0 else i64(0)
        first = indices[j] + position * index_step
        if index_step == INDEX_SIZE:
            values: IP = first
            for p in range(count):
                value = i64(values[p])
                bad = bad | (i64(1) if u64(value - lowest) >= u64(size - lowest) else i64(0))
                place = (value + size if value < 0 else value) * step
                offsets[p] = place if j == 0 else offsets[p] + place
        else:
            for p in range(count):
                where: IP = first + p * index_step
                value = i64(where[0])
                bad = bad | (i64(1) if u64(value - lowest) >= u64(size - lowest) else i64(0))
                place = (value + size if value < 0 else value) * step
                offsets[p] = place if j == 0 else offsets[p] + place
    return 1 - bad


@native
def move_plainly(
    table: ptr, row: ptr, indices: ptrp, position: i64, params: i64p, count: i64, writes: i64
) -> i64:
    """Single elements whose steps are all plain: the usual case, without offsets in memory. 0 if an
    index value is out of range.
    """
    values: IP = indices[0] + position * INDEX_SIZE
    size, bad = params[INDICES], i64(0)
    for p in range(count):
        bad = bad | (i64(1) if u64(i64(values[p])) >= u64(size) else i64(0))
    if unlikely(bad != 0):
        return 0
    chosen: TP = table
    other: TP = row
    if writes == 0:
        for p in range(count):
            other[p] = chosen[i64(values[p])]
    else:
        for p in range(count):
            at = i64(values[p])
            if MODE == SET:
                chosen[at] = other[p]
            else:
                chosen[at] = T(combine(C(chosen[at]), C(other[p])))
    return 1


@native
def move_elements(
    table: ptr, row: ptr, indices: ptrp, params: i64p, start: i64, end: i64, writes: i64
) -> i64:
    """Single elements at the axis' positions `start` to `end`, in blocks whose index values are
    still in the cache at second sight. Returns where it stopped: at a block with a bad index.
    """
    offsets = stack(i64, BLOCK)
    along, row_step = params[AXIS_TABLE], params[AXIS_ROW]
    plain = i64(0)
    if K == 1:
        if params[INDICES + 1] == SIZE and params[INDICES + 2] == INDEX_SIZE:
            if along == 0 and row_step == SIZE and params[WRAP] == 0:
                plain = 1
    position = start
    while position < end:
        count = end - position if end - position < BLOCK else i64(BLOCK)
        chosen = table + position * along
        other = row + position * row_step
        if plain != 0:
            if unlikely(move_plainly(chosen, other, indices, position, params, count, writes) == 0):
                break
            position += count
            continue
        if unlikely(find_offsets(indices, position, params, count, offsets) == 0):
            break
        for p in range(count):
            a: TP = chosen + (offsets[p] + p * along)
            b: TP = other + p * row_step
            if writes == 0:
                b[0] = a[0]
            elif MODE == SET:
                a[0] = b[0]
            else:
                a[0] = T(combine(C(a[0]), C(b[0])))
        position += count
    return position


@native
def walk(buffers: ptrp, params: i64p, start: i64, stop: i64, writes: i64) -> void:
    """Items `start` to `stop`: positions of the axis within the outer dimensions,
    which count like digits.
    """
    rank, axis = params[RANK], params[AXIS]
    digits, indices = stack(i64, 64), stack(ptr, 16)
    flag: i64p = buffers[params[FLAG_AT]]
    table = buffers[params[TABLE_AT]]
    row = buffers[params[ROW_AT]]
    for j in range(K):
        indices[j] = buffers[params[INDEX_AT] + j]
    outer = params + INDICES + 3 * K
    width = i64(3 + K)
    position = start % axis
    rest = start // axis
    for k in range(rank):
        dim = rank - 1 - k
        words = outer + width * dim
        digit = rest % words[0]
        rest = rest // words[0]
        digits[dim] = digit
        table = table + digit * words[1]
        row = row + digit * words[2]
        for j in range(K):
            indices[j] = indices[j] + digit * words[3 + j]
    item = start
    while item < stop:
        end = position + stop - item if position + stop - item < axis else axis
        if params[COUNT] == 1:
            reached = move_elements(table, row, indices, params, position, end, writes)
            item += reached - position
            position = reached
        for p in range(position, end):
            offset = table_offset(indices, p, params, flag)
            if unlikely(offset == BAD):
                return
            chosen = table + (offset + p * params[AXIS_TABLE])
            other = row + p * params[AXIS_ROW]
            if writes != 0:
                move_line(chosen, other, params[COUNT], params[LINE_TABLE], params[LINE_ROW])
            else:
                move_line(other, chosen, params[COUNT], params[LINE_ROW], params[LINE_TABLE])
        item += end - position
        position = 0
        for k in range(rank):
            dim = rank - 1 - k
            words = outer + width * dim
            digits[dim] += 1
            table = table + words[1]
            row = row + words[2]
            for j in range(K):
                indices[j] = indices[j] + words[3 + j]
            if digits[dim] < words[0]:
                break
            digits[dim] = 0
            table = table - words[0] * words[1]
            row = row - words[0] * words[2]
            for j in range(K):
                indices[j] = indices[j] - words[0] * words[3 + j]


@native
def gather_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: rows of the table into the result."""
    walk(buffers, params, start, stop, 0)


@native
def scatter_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: rows into the table."""
    walk(buffers, params, start, stop, 1)


class Nest:
    """The loop nest of a kernel call; dimensions are added from the outermost to the innermost."""

    def __init__(self, itemsize: int, pairs: bool = False):
        self.itemsize, self.pairs, self.grain = itemsize, pairs, 1
        self.dims: list[tuple[int, int, int, tuple[int, ...]]] = []

    def add(self, size: int, table: int, row: int, indices: Sequence[int]) -> None:
        """A dimension with its byte steps; merged with the one before
        where every operand steps evenly.
        """
        if size == 1:
            return
        if self.dims:
            outer, outer_table, outer_row, outer_indices = self.dims[-1]
            steps = (
                (outer_table, table),
                (outer_row, row),
                *zip(outer_indices, indices, strict=True),
            )
            if all(a == size * b for a, b in steps):
                self.dims[-1] = (outer * size, table, row, tuple(indices))
                return
        self.dims.append((size, table, row, tuple(indices)))

    @staticmethod
    def split(dims: list[tuple[int, int, int, tuple[int, ...]]]) -> int:
        """Puts a dimension outermost whose parts different threads may write,
        and returns the number of parts.
        """
        free = [d for d, (_, table, _, indices) in enumerate(dims) if table and not any(indices)]
        if not free:
            return 1
        if free[0] == 0 and dims[0][0] > 1 and len(dims) > 1:
            return dims[0][0]
        chosen = max(free, key=lambda d: dims[d][0])
        size, table, row, nothing = dims[chosen]
        # Every part goes through all indices again: no more of them than there are threads.
        wanted = [p for p in (16, 8, 4, 2) if p <= 1 << (engine.core.threads() - 1).bit_length()]
        parts = next(
            (p for p in wanted if size % p == 0 and size // p * abs(table) >= LINE_BYTES), 1
        )
        if parts > 1:
            dims[chosen] = (size // parts, table, row, nothing)
            dims.insert(0, (parts, size // parts * table, size // parts * row, nothing))
        return parts

    @staticmethod
    def axis_of(dims: list[tuple[int, int, int, tuple[int, ...]]], writes: bool) -> int:
        """The dimension whose positions are done in one go: the innermost, or the longest where
        that one is short and the order does not matter.
        """
        last = len(dims) - 1
        if writes or dims[last][0] >= SHORT_AXIS:
            return last
        return max(range(len(dims)), key=lambda d: dims[d][0])

    def params(
        self,
        sizes: Sequence[int],
        steps: Sequence[int],
        *,
        wrap: bool,
        places: tuple[int, int, int, int],
        writes: bool = False,
    ) -> tuple[list[int], int]:
        """Parameters and the number of items.

        `places`: buffer numbers of table, rows, flag and first index.

        With `writes`, `self.grain` items at a time go to places that the others do not touch.
        """
        count = len(sizes)
        dims = list(self.dims)
        nothing = (0,) * count
        if self.pairs:  # 16-byte or complex elements: two words
            half = self.itemsize // 2
            if (
                not dims
                or any(dims[-1][3])
                or (dims[-1][1], dims[-1][2]) != (self.itemsize, self.itemsize)
            ):
                dims.append((2, half, half, nothing))
            else:
                dims[-1] = (dims[-1][0] * 2, half, half, nothing)
        parts = self.split(dims) if writes else 1
        line = (1, 0, 0, nothing)
        if dims and not any(dims[-1][3]):
            line = dims.pop()
        axis = dims.pop(self.axis_of(dims, writes)) if dims else (1, 0, 0, nothing)
        items = axis[0] if line[0] else 0
        for dim in dims:
            items *= dim[0]
        params = [len(dims), *line[:3], *axis[:3], int(wrap), *places]
        self.grain = max(1, items // parts)
        for size, step, along in zip(sizes, steps, axis[3], strict=True):
            params += [size, step, along]
        items = axis[0] if line[0] else 0
        for size, table, row, indices in dims:
            params += [size, table, row, *indices]
            items *= size
        return params, items


@cache
def read_kernel(itemsize: int, count: int, index_size: int = 8) -> int:
    """Address of the kernel that gathers; index values have `index_size` bytes."""
    word = WORDS[min(itemsize, 8)]
    options = {
        "T": word,
        "C": word,
        "TP": pointer(word),
        "SIZE": word.bits // 8,
        "IP": POINTERS[index_size],
        "INDEX_SIZE": index_size,
        "K": count,
        "MODE": SET,
    }
    name = f"gather-{word.name}-{count}-{index_size}"
    unit = Unit(name, [gather_rows], **options)
    symbol = unit.symbol(gather_rows)
    return load(f"{name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]


@cache
def write_kernel(dtype: Any, mode: str, count: int, index_size: int = 8) -> int:
    """Address of the kernel that scatters with an arithmetic."""
    if mode == "set":
        kind = compute = WORDS[min(dtype.itemsize, 8)]
    else:
        kind = NUMBERS[dtype.name]
        compute = f32 if kind in (f16, bf16) else kind
        if dtype.name == "bool":
            mode = {"add": "or", "multiply": "and", "minimum": "and", "maximum": "or"}[mode]
    options = {
        "T": kind, "C": compute, "TP": pointer(kind), "SIZE": kind.bits // 8,
        "IP": POINTERS[index_size], "INDEX_SIZE": index_size, "K": count, "MODE": MODES.index(mode),
    }  # fmt: skip
    name = f"scatter-{kind.name}-{mode}-{count}-{index_size}"
    unit = Unit(name, [scatter_rows], **options)
    symbol = unit.symbol(scatter_rows)
    return load(f"{name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]

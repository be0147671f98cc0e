"""The inner loops of matrix products as LLVM IR: register tiles of `rows` x `vectors` accumulators.

Two pieces, each compiled for the sizes that a plan needs, and found by address:

    product_address(Tile("float32", 16, 8, 3), "float16")       # elements of a times rows of b
    dot_address(Tile("float32", 16, 4, 6), "float16")           # both contiguous along k

The product tile reads `a` one element at a time, so any strides do, and `b` by vectors of its rows;
where the rows of `b` are not contiguous, ops.kernels.gemm packs a panel first. The result is
`alpha * sum + beta * init`, where `init` may be a row (a bias), a matrix, the result itself, or
absent; an epilogue (codegen.vector_function) takes each vector of it from its register. Register
tiles after Goto and van de Geijn (2008).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from flambeau.codegen.llvm import engine, load
from flambeau.codegen.vector_function import VectorFunction, operations
from flambeau.ops.kernels.vector_text import (
    ATTRIBUTES,
    Text,
    machine_vectors,
    splat,
    sums_of_rows,
)

# dtype: LLVM's name, bytes, suffix of intrinsics
ELEMENT = {
    "float32": ("float", 4, "f32"),
    "float64": ("double", 8, "f64"),
    "int16": ("i16", 2, "i16"),
    "int32": ("i32", 4, "i32"),
    "int64": ("i64", 8, "i64"),
}
PAIRS = "bfloat16"  # a tile of this dtype multiplies pairs of bfloat16 and adds them in float32
# most accumulators in vectors for a number of rows, by the number of vector registers
VECTORS = {32: (8, 8, 8, 6, 5, 4, 3, 3), 16: (6, 5, 3, 3)}
OF_EPILOGUE = ", ptr readonly %places, i64 %row, i64 %column"  # its arguments
INLINED = 6  # most operations of an epilogue that is repeated for every vector
# most columns of a dot tile for a number of rows
COLUMNS = {32: (8, 8, 8, 6, 4, 4, 3, 3), 16: (8, 4, 3, 2)}


class Tile(NamedTuple):
    """A register tile of `rows` x `vectors`; `masked`: its last vector is partly there."""

    dtype: str
    lanes: int
    rows: int
    vectors: int
    masked: bool = False

    @property
    def name(self) -> str:
        """The tile in the names of symbols."""
        masked = "_masked" if self.masked else ""
        return f"{self.dtype}_{self.lanes}x{self.rows}x{self.vectors}{masked}"


@functools.cache
def has_pairs() -> bool:
    """Whether the processor multiplies pairs of bfloat16."""
    return "+avx512bf16" in engine().features and machine_vectors()[0] == 64


@functools.cache
def lanes_of(dtype: str) -> int:
    """Elements (of pairs: results) in a vector register."""
    return machine_vectors()[0] // (4 if dtype == PAIRS else ELEMENT[dtype][1])


class Writer:
    """The vectors of a tile's dtype: names of types and the instructions that differ by dtype."""

    def __init__(self, tile: Tile, after: VectorFunction | None = None):
        self.text, self.tile, self.after = Text(), tile, after
        self.others: list[str] = []  # the epilogue
        self.pairs = tile.dtype == PAIRS
        self.scalar, self.size, short = ELEMENT["float32" if self.pairs else tile.dtype]
        self.factor = "i32" if self.pairs else self.scalar  # what a and b consist of
        self.floating = self.scalar in ("float", "double")
        self.vector, self.operand = (f"<{tile.lanes} x {t}>" for t in (self.scalar, self.factor))
        self.suffix = f"v{tile.lanes}{short}"
        self.declared: set[str] = set()

    def call(self, result: str, name: str, *arguments: str) -> str:
        """A call of an intrinsic, which it declares."""
        types = ", ".join(argument.rsplit(" ", 1)[0] for argument in arguments)
        self.declared.add(f"declare {result} @{name}({types})")
        return f"call {result} @{name}({', '.join(arguments)})"

    def place(self, base: str, offset: str | int, kind: str = "") -> str:
        """The address `offset` elements after `base`."""
        return self.text(f"getelementptr {kind or self.scalar}, ptr {base}, i64 {offset}")

    def multiply_add(self, a: str, b: str, total: str) -> str:
        """The instruction for total + a * b."""
        v = self.vector
        if self.pairs:
            wide = f"<{2 * self.tile.lanes} x bfloat>"
            a, b = (self.text(f"bitcast {self.operand} {x} to {wide}") for x in (a, b))
            name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.tile.lanes}"
            return self.call(v, name, f"{v} {total}", f"{wide} {a}", f"{wide} {b}")
        if self.floating:
            return self.call(v, f"llvm.fma.{self.suffix}", f"{v} {a}", f"{v} {b}", f"{v} {total}")
        return f"add {v} {total}, {self.text(f'mul {v} {a}, {b}')}"

    def times(self, a: str, b: str) -> str:
        """The product of two vectors of results."""
        return self.text(f"{'fmul' if self.floating else 'mul'} {self.vector} {a}, {b}")

    def mask(self, width: str) -> str:
        """Which lanes of a vector come before `width`."""
        lanes = self.tile.lanes
        limit = splat(self.text, self.text(f"trunc i64 {width} to i32"), "i32", lanes)
        count = f"<{', '.join(f'i32 {i}' for i in range(lanes))}>"
        return self.text(f"icmp slt <{lanes} x i32> {count}, {limit}")

    def load(self, place: str, mask: str | None) -> str:
        """A vector of an operand; lanes beyond the mask are zero."""
        vector = self.operand
        if mask is None:
            return self.text(f"load {vector}, ptr {place}, align {self.size}")
        suffix = f"v{self.tile.lanes}i32" if self.pairs else self.suffix
        return self.text(
            self.call(
                vector,
                f"llvm.masked.load.{suffix}.p0",
                f"ptr {place}",
                f"i32 {self.size}",
                f"<{self.tile.lanes} x i1> {mask}",
                f"{vector} zeroinitializer",
            )
        )

    def function(self, name: str, arguments: str) -> str:
        """The whole text of the function."""
        head = f'define void @"{name}"({arguments}) {ATTRIBUTES} {{'
        return "\n".join([*sorted(self.declared), head, *self.text.lines, "}", *self.others])

    def finish(self, values: list[str], lanes: int, row: int, mask: str | None) -> None:
        """Hands a row of the result to the epilogue, which stores what becomes of it."""
        assert self.after is not None
        kind = f"<{lanes} x {self.scalar}>"
        if lanes == 1:  # a vector of one element is none
            values = [self.text(f"extractelement {kind} {value}, i64 0") for value in values]
            kind = self.scalar
        if not self.others:
            inline = "alwaysinline " if operations(self.after.exprs) <= INLINED else "noinline "
            self.others, declared = self.after.define(
                "@after", lanes, len(values), mask is not None, inline + ATTRIBUTES
            )
            self.declared |= declared
        arguments = [f"{kind} {value}" for value in values]
        number = self.text(f"add nsw i64 %row, {row}")
        arguments += ["ptr %places", f"i64 {number}", "i64 %column"]
        if mask is not None:
            arguments.append(f"<{lanes} x i1> {mask}")
        self.text.do(f"call void @after({', '.join(arguments)})")


def product_loop(w: Writer) -> list[list[str]]:
    """The loop over k: the names of the sums."""
    text, tile = w.text, w.tile
    edge = w.mask("%width") if tile.masked else None
    rows = [w.place("%a", text(f"mul nsw i64 %a.row, {r}"), w.factor) for r in range(tile.rows)]
    text.do("br label %head")
    text.label("head")
    text.do("%k = phi i64 [ 0, %entry ], [ %k.next, %body ]")
    text.do("%along = phi i64 [ 0, %entry ], [ %along.next, %body ]")
    text.do("%line = phi ptr [ %b, %entry ], [ %line.next, %body ]")
    sums = [[f"%sum.{r}.{j}" for j in range(tile.vectors)] for r in range(tile.rows)]
    for name in (name for row in sums for name in row):
        text.do(f"{name} = phi {w.vector} [ zeroinitializer, %entry ], [ {name}.next, %body ]")
    text.do(f"br i1 {text('icmp slt i64 %k, %count')}, label %body, label %done")
    text.label("body")
    values = []
    for j in range(tile.vectors):
        last = edge if j == tile.vectors - 1 else None
        values.append(w.load(w.place("%line", j * tile.lanes, w.factor), last))
    for pointer, row in zip(rows, sums, strict=True):
        one = text(f"load {w.factor}, ptr {w.place(pointer, '%along', w.factor)}, align {w.size}")
        factor = splat(text, one, w.factor, tile.lanes)
        for name, value in zip(row, values, strict=True):
            text.do(f"{name}.next = {w.multiply_add(factor, value, name)}")
    text.do(f"%line.next = getelementptr {w.factor}, ptr %line, i64 %b.step")
    text.do("%along.next = add nsw i64 %along, %a.step")
    text.do("%k.next = add nuw nsw i64 %k, 1")
    text.do("br label %head")
    text.label("done")
    return sums


def store_rows(w: Writer, stored: str, sums: list[list[str]]) -> None:
    """Writes alpha * sums + beta * init; init is not read when it is null."""
    text, tile, memory = w.text, w.tile, STORED[stored][0]
    edge = w.mask("%width") if tile.masked else None
    alpha, beta = (
        splat(text, text(f"load {w.scalar}, ptr {w.place('%numbers', i)}"), w.scalar, tile.lanes)
        for i in range(2)
    )
    scaled = [[w.times(total, alpha) for total in row] for row in sums]
    targets = [w.place("%c", text(f"mul nsw i64 %c.row, {r}"), memory) for r in range(tile.rows)]
    text.do(f"br i1 {text('icmp eq ptr %init, null')}, label %plain, label %added")
    for label in ("plain", "added"):
        text.label(label)
        for r, row in enumerate(scaled):
            if label == "added":
                before = w.place("%init", text(f"mul nsw i64 %init.row, {r}"), memory)
                places = [w.place(before, j * tile.lanes, memory) for j in range(len(row))]
                row = [
                    add_init(w, stored, beta, total, place, edge if j == len(row) - 1 else None)
                    for j, (total, place) in enumerate(zip(row, places, strict=True))
                ]
            if w.after is not None:
                row = [rounded(w, stored, tile.lanes, total) for total in row]
                w.finish(row, tile.lanes, r, edge)
                continue
            for j, total in enumerate(row):
                mask = edge if j == tile.vectors - 1 else None
                store_stored(w, stored, total, w.place(targets[r], j * tile.lanes, memory), mask)
        text.do("ret void")


def add_init(w: Writer, stored: str, beta: str, total: str, place: str, mask: str | None) -> str:
    """The vector `total` + beta * init."""
    text, v = w.text, w.vector
    start = widened(text, stored, w.scalar, w.tile.lanes, load_stored(w, stored, place, mask))
    if w.floating:
        name = f"llvm.fma.{w.suffix}"
        return text(w.call(v, name, f"{v} {beta}", f"{v} {start}", f"{v} {total}"))
    return text(f"add {v} {total}, {w.times(beta, start)}")


def rounded(w: Writer, stored: str, lanes: int, value: str) -> str:
    """A vector of results as it would be read from memory."""
    return widened(
        w.text, stored, w.scalar, lanes, narrowed(w.text, stored, w.scalar, lanes, value)
    )


def product_tile(tile: Tile, stored: str, name: str, after: VectorFunction | None = None) -> str:
    """IR of `name(a, row of a, step of a, b, step of b, count, c, row of c, init, row of init,
    numbers, width, places, row, column)`: steps are along k, `numbers` are alpha and beta; c and
    init are `stored`. With an epilogue, whose operands are at `places`, c is not written.
    """
    w = Writer(tile, after)
    w.text.label("entry")
    store_rows(w, stored, product_loop(w))
    return w.function(
        name,
        "ptr readonly %a, i64 %a.row, i64 %a.step, ptr readonly %b, i64 %b.step, i64 %count, "
        "ptr %c, i64 %c.row, ptr readonly %init, i64 %init.row, ptr readonly %numbers, i64 %width"
        + OF_EPILOGUE,
    )


@functools.cache
def product_address(tile: Tile, stored: str, after: VectorFunction | None = None) -> int:
    """Machine code of a product tile whose results are stored as that dtype."""
    name = f"gemm_product_{stored}_{tile.name}_{after.name if after else 3}"
    return load(name, lambda: product_tile(tile, stored, name, after))[name]


# how a stored dtype is read: (LLVM's type in memory, bytes)
STORED = {
    "float32": ("float", 4), "float64": ("double", 8), "float16": ("half", 2),
    "bfloat16": ("i16", 2), "int8": ("i8", 1), "uint8": ("i8", 1), "int16": ("i16", 2),
    "int32": ("i32", 4), "int64": ("i64", 8), PAIRS + " pairs": ("i32", 4),
}  # fmt: skip


def widened(text: Text, stored: str, scalar: str, lanes: int, value: str) -> str:
    """A vector of a stored dtype as elements of the LLVM type `scalar`."""
    memory, target = f"<{lanes} x {STORED[stored][0]}>", f"<{lanes} x {scalar}>"
    if memory == target:
        return value
    if stored == "bfloat16":
        wide = text(f"zext {memory} {value} to <{lanes} x i32>")
        high = text(f"shl <{lanes} x i32> {wide}, {splat(text, '16', 'i32', lanes)}")
        return text(f"bitcast <{lanes} x i32> {high} to {target}")
    step = "fpext" if stored == "float16" else "zext" if stored == "uint8" else "sext"
    return text(f"{step} {memory} {value} to {target}")


def narrowed(text: Text, stored: str, scalar: str, count: int, value: str) -> str:
    """Elements of the LLVM type `scalar` as a stored dtype, rounded to nearest even."""
    memory, source = f"<{count} x {STORED[stored][0]}>", f"<{count} x {scalar}>"
    if memory == source:
        return value
    if stored == "bfloat16" and has_pairs():  # such a processor rounds too
        short = text(f"fptrunc {source} {value} to <{count} x bfloat>")
        return text(f"bitcast <{count} x bfloat> {short} to {memory}")
    if stored != "bfloat16":
        step = "fptrunc" if stored == "float16" else "trunc"
        return text(f"{step} {source} {value} to {memory}")
    wide = f"<{count} x i32>"
    numbers = [splat(text, str(number), "i32", count) for number in (16, 1, 0x7FFF, 0x7FC0)]
    sixteen, one, half, nan = numbers
    bits = text(f"bitcast {source} {value} to {wide}")
    odd = text(f"and {wide} {text(f'lshr {wide} {bits}, {sixteen}')}, {one}")
    rounded = text(f"add {wide} {text(f'add {wide} {bits}, {half}')}, {odd}")
    rounded = text(f"lshr {wide} {rounded}, {sixteen}")
    ordered = text(f"fcmp ord {source} {value}, {value}")
    kept = text(f"select <{count} x i1> {ordered}, {wide} {rounded}, {wide} {nan}")
    return text(f"trunc {wide} {kept} to {memory}")


def short_name(memory: str) -> str:
    """An LLVM type in the names of intrinsics."""
    return {"half": "f16", "float": "f32", "double": "f64"}.get(memory, memory)


def load_stored(w: Writer, stored: str, place: str, mask: str | None) -> str:
    """A vector of a stored dtype as it lies in memory; lanes beyond the mask are zero."""
    memory, size = STORED[stored]
    lanes = w.tile.lanes
    vector = f"<{lanes} x {memory}>"
    if mask is None:
        return w.text(f"load {vector}, ptr {place}, align {size}")
    return w.text(
        w.call(
            vector,
            f"llvm.masked.load.v{lanes}{short_name(memory)}.p0",
            f"ptr {place}",
            f"i32 {size}",
            f"<{lanes} x i1> {mask}",
            f"{vector} zeroinitializer",
        )
    )


def store_stored(w: Writer, stored: str, value: str, place: str, mask: str | None) -> None:
    """Stores a vector of results as a stored dtype: all lanes, or those under the mask."""
    memory, size = STORED[stored]
    lanes, value = w.tile.lanes, narrowed(w.text, stored, w.scalar, w.tile.lanes, value)
    if mask is None:
        w.text.do(f"store <{lanes} x {memory}> {value}, ptr {place}, align {size}")
        return
    w.text.do(
        w.call(
            "void",
            f"llvm.masked.store.v{lanes}{short_name(memory)}.p0",
            f"<{lanes} x {memory}> {value}",
            f"ptr {place}",
            f"i32 {size}",
            f"<{lanes} x i1> {mask}",
        )
    )


def dot_tile(tile: Tile, stored: str, name: str, after: VectorFunction | None = None) -> str:
    """IR of `name(a, row of a, b, row of b, count, c, row of c, init, row of init, numbers, places,
    row, column)`: rows of a times rows of b, both contiguous along k; the tile's vectors are
    columns of c. The epilogue is that of a product tile.
    """
    w, memory = Writer(tile, after), STORED[stored][0]
    text, columns = w.text, tile.vectors
    text.label("entry")
    xs = [w.place("%a", text(f"mul nsw i64 %a.row, {r}"), memory) for r in range(tile.rows)]
    ys = [w.place("%b", text(f"mul nsw i64 %b.row, {j}"), memory) for j in range(columns)]
    whole = text(f"and i64 %count, {-tile.lanes}")
    rest = text(f"sub nsw i64 %count, {whole}")
    text.do("br label %head")
    text.label("head")
    text.do("%k = phi i64 [ 0, %entry ], [ %k.next, %body ]")
    sums = [[f"%sum.{r}.{j}" for j in range(columns)] for r in range(tile.rows)]
    for total in (total for row in sums for total in row):
        text.do(f"{total} = phi {w.vector} [ zeroinitializer, %entry ], [ {total}.next, %body ]")
    text.do(f"br i1 {text(f'icmp slt i64 %k, {whole}')}, label %body, label %tail")

    def read(line: str, at: str, mask: str | None) -> str:
        value = load_stored(w, stored, w.place(line, at, memory), mask)
        return widened(text, stored, w.scalar, tile.lanes, value)

    def multiply(at: str, mask: str | None, after: str) -> None:
        values = [read(y, at, mask) for y in ys]
        for x, row in zip(xs, sums, strict=True):
            factor = read(x, at, mask)
            for total, value in zip(row, values, strict=True):
                text.do(f"{total}.{after} = {w.multiply_add(factor, value, total)}")

    text.label("body")
    multiply("%k", None, "next")
    text.do(f"%k.next = add nuw nsw i64 %k, {tile.lanes}")
    text.do("br label %head")
    text.label("tail")
    text.do(f"br i1 {text(f'icmp eq i64 {rest}, 0')}, label %done, label %partial")
    text.label("partial")
    multiply(whole, w.mask(rest), "last")
    text.do("br label %done")
    text.label("done")
    for total in (total for row in sums for total in row):
        text.do(f"{total}.all = phi {w.vector} [ {total}, %tail ], [ {total}.last, %partial ]")
    store_sums(w, stored, [[f"{total}.all" for total in row] for row in sums])
    return w.function(
        name,
        "ptr readonly %a, i64 %a.row, ptr readonly %b, i64 %b.row, i64 %count, "
        "ptr %c, i64 %c.row, ptr readonly %init, i64 %init.row, ptr readonly %numbers"
        + OF_EPILOGUE,
    )


def sum_vectors(w: Writer, vectors: list[str]) -> str:
    """A vector of the sums over the lanes of each of `vectors`."""
    if w.floating:
        return sums_of_rows(w.text, w.tile, vectors)  # type: ignore[arg-type]
    total, kind = "poison", f"<{len(vectors)} x {w.scalar}>"
    for k, vector in enumerate(vectors):
        name = f"llvm.vector.reduce.add.v{w.tile.lanes}{w.scalar}"
        one = w.text(w.call(w.scalar, name, f"{w.vector} {vector}"))
        total = w.text(f"insertelement {kind} {total}, {w.scalar} {one}, i64 {k}")
    return total


def store_sums(w: Writer, stored: str, sums: list[list[str]]) -> None:
    """Writes the sums over the lanes, times alpha, plus beta * init, a row of columns at a time."""
    text, tile, columns = w.text, w.tile, w.tile.vectors
    (memory, size), row = STORED[stored], f"<{columns} x {w.scalar}>"
    times, plus = ("fmul", "fadd") if w.floating else ("mul", "add")
    alpha, beta = (
        splat(text, text(f"load {w.scalar}, ptr {w.place('%numbers', i)}"), w.scalar, columns)
        for i in range(2)
    )
    totals = [text(f"{times} {row} {sum_vectors(w, line)}, {alpha}") for line in sums]
    targets = [w.place("%c", text(f"mul nsw i64 %c.row, {r}"), memory) for r in range(tile.rows)]
    text.do(f"br i1 {text('icmp eq ptr %init, null')}, label %plain, label %added")
    for label in ("plain", "added"):
        text.label(label)
        for r, total in enumerate(totals):
            if label == "added":
                before = w.place("%init", text(f"mul nsw i64 %init.row, {r}"), memory)
                start = text(f"load <{columns} x {memory}>, ptr {before}, align {size}")
                start = widened(text, stored, w.scalar, columns, start)
                total = text(f"{plus} {row} {total}, {text(f'{times} {row} {beta}, {start}')}")
            if w.after is not None:
                w.finish([rounded(w, stored, columns, total)], columns, r, None)
                continue
            value = narrowed(text, stored, w.scalar, columns, total)
            text.do(f"store <{columns} x {memory}> {value}, ptr {targets[r]}, align {size}")
        text.do("ret void")


@functools.cache
def dot_address(tile: Tile, stored: str, after: VectorFunction | None = None) -> int:
    """Machine code of a dot tile for operands of a stored dtype."""
    name = f"gemm_dot_{stored}_{tile.name}_{after.name if after else 3}"
    return load(name, lambda: dot_tile(tile, stored, name, after))[name]

"""The inner loops of convolution as LLVM IR: register tiles of `rows` weights' rows by `vectors`
vectors of neighbouring positions.

A convolution is a matrix product whose second operand is never written down: row k = (channel, tap)
of the unrolled input is the padded image itself, `table[k]` elements further on. So the tile's loop
over k loads from shifted places in the image, broadcasts the packed weights, and keeps the products
in registers:

    # forward, and the gradient of the input; then the gradient of the weight
    product_tile(Tile("float32", lanes=16, rows=8, vectors=3), masked=True)
    dot_tile(Tile("float32", lanes=16, rows=8, vectors=3))

Called by ops.kernels.conv, whose native functions call the tiles by address. Which tile fits a
machine follows from its vector registers (`tile_for`); implicit GEMM after Chetlur et al. (cuDNN,
2014), register tiles after Goto and van de Geijn (2008).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from flambeau.codegen.llvm import engine, load

ELEMENT = {"float32": ("float", 4, "f32"), "float64": ("double", 8, "f64")}


class Tile(NamedTuple):
    """A register tile: `rows` x `vectors` accumulators of `lanes` elements."""

    dtype: str
    lanes: int
    rows: int
    vectors: int

    @property
    def width(self) -> int:
        """Positions that a tile covers."""
        return self.lanes * self.vectors


# accumulators in vectors for a number of rows, by the number of vector registers
VECTORS = {32: (8, 8, 8, 6, 5, 4, 3, 3), 16: (6, 5, 3, 3)}


@functools.cache
def machine_vectors() -> tuple[int, int]:
    """(bytes of a vector register, number of vector registers) of this processor."""
    features = engine().features
    if "+avx512f" in features:
        return 64, 32
    if "+avx2" in features or "+avx," in features:
        return 32, 16
    return 16, 32 if "+neon" in features else 16


def tile_for(dtype: str, rows: int) -> Tile:
    """The tile for a matrix of `rows` rows: as many as registers allow, evenly divided."""
    size, registers = machine_vectors()
    options = VECTORS[registers]
    blocks = -(-rows // len(options))
    each = -(-rows // blocks)
    return Tile(dtype, size // ELEMENT[dtype][1], each, options[each - 1])


class Text:
    """Lines of IR with numbered values."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def __call__(self, instruction: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {instruction}")
        return f"%v{self.count}"

    def do(self, instruction: str) -> None:
        self.lines.append("  " + instruction)

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")


ATTRIBUTES = 'nounwind "no-builtins" "min-legal-vector-width"="512" "prefer-vector-width"="512"'


def header(tile: Tile) -> tuple[str, str, str]:
    """(scalar type, vector type, suffix of intrinsics) of a tile's elements."""
    scalar, _, suffix = ELEMENT[tile.dtype]
    return scalar, f"<{tile.lanes} x {scalar}>", f"v{tile.lanes}{suffix}"


def splat(text: Text, value: str, scalar: str, lanes: int) -> str:
    """A scalar in every lane."""
    one = text(f"insertelement <{lanes} x {scalar}> poison, {scalar} {value}, i64 0")
    return text(
        f"shufflevector <{lanes} x {scalar}> {one}, <{lanes} x {scalar}> poison, "
        f"<{lanes} x i32> zeroinitializer"
    )


def product_loop(text: Text, tile: Tile) -> list[list[str]]:
    """Sums over the table's entries, `outer` times with the image moved by `step`;
    returns the accumulators.
    """
    scalar, vector, suffix = header(tile)
    start = []
    for r in range(tile.rows):
        place = text(f"getelementptr {scalar}, ptr %bias, i64 {r}")
        start.append(splat(text, text(f"load {scalar}, ptr {place}"), scalar, tile.lanes))
    text.do("br label %outer")
    text.label("outer")
    names = [[f"%sum.{r}.{j}" for j in range(tile.vectors)] for r in range(tile.rows)]
    text.do("%turn = phi i64 [ 0, %entry ], [ %turn.next, %outer.end ]")
    text.do("%image = phi ptr [ %b, %entry ], [ %image.next, %outer.end ]")
    text.do("%weights = phi ptr [ %a, %entry ], [ %w, %outer.end ]")
    for r, row in enumerate(names):
        for name in row:
            text.do(f"{name}.outer = phi {vector} [ {start[r]}, %entry ], [ {name}, %outer.end ]")
    text.do("%again = icmp slt i64 %turn, %outer.count")
    text.do("br i1 %again, label %inner, label %done")
    text.label("inner")
    text.do("%k = phi i64 [ 0, %outer ], [ %k.next, %step ]")
    text.do("%w = phi ptr [ %weights, %outer ], [ %w.next, %step ]")
    for row in names:
        for name in row:
            text.do(f"{name} = phi {vector} [ {name}.outer, %outer ], [ {name}.next, %step ]")
    text.do("%more = icmp slt i64 %k, %count")
    text.do("br i1 %more, label %step, label %outer.end")
    text.label("step")
    offset = text(f"load i64, ptr {text('getelementptr i64, ptr %table, i64 %k')}")
    base = text(f"getelementptr {scalar}, ptr %image, i64 {offset}")
    values = []
    for j in range(tile.vectors):
        place = text(f"getelementptr {scalar}, ptr {base}, i64 {j * tile.lanes}")
        values.append(text(f"load {vector}, ptr {place}, align {ELEMENT[tile.dtype][1]}"))
    for r, row in enumerate(names):
        factor = text(f"load {scalar}, ptr {text(f'getelementptr {scalar}, ptr %w, i64 {r}')}")
        factor = splat(text, factor, scalar, tile.lanes)
        for j, name in enumerate(row):
            text.do(
                f"{name}.next = call {vector} @llvm.fma.{suffix}({vector} {factor}, "
                f"{vector} {values[j]}, {vector} {name})"
            )
    text.do(f"%w.next = getelementptr {scalar}, ptr %w, i64 {tile.rows}")
    text.do("%k.next = add nuw nsw i64 %k, 1")
    text.do("br label %inner")
    text.label("outer.end")
    text.do("%turn.next = add nuw nsw i64 %turn, 1")
    text.do(f"%image.next = getelementptr {scalar}, ptr %image, i64 %outer.step")
    text.do("br label %outer")
    text.label("done")
    return [[f"{name}.outer" for name in row] for row in names]


def row_addresses(text: Text, tile: Tile) -> list[str]:
    """Where each row of the tile goes; rows beyond the matrix share the last row's place,
    which is written after them.
    """
    scalar = header(tile)[0]
    last = text("sub nsw i64 %valid, 1")
    places = []
    for r in range(tile.rows):
        row = text(f"call i64 @llvm.smin.i64(i64 {r}, i64 {last})")
        places.append(
            text(f"getelementptr {scalar}, ptr %out, i64 {text(f'mul nsw i64 {row}, %pitch')}")
        )
    return places


# words of the layout that the masked tile reads, in elements
(
    LAYOUT_PITCH,
    LAYOUT_COLUMNS,
    LAYOUT_PLANE_ROWS,
    LAYOUT_ROWS,
    LAYOUT_ROW_STEP,
    LAYOUT_IMAGE_STEP,
    LAYOUT_IMAGES,
) = range(7)
LAYOUT_WORDS = 7


class Place(NamedTuple):
    """Where a masked tile writes: its rows' addresses, the layout's words, and row,
    column and image of the first position.
    """

    rows: list[str]
    words: list[str]
    start: tuple[str, str, str]


def find_place(text: Text, tile: Tile) -> Place:
    """The tile's place in the result; its lines are fetched while the sums are computed."""
    scalar = header(tile)[0]
    words = [
        text(f"load i64, ptr {text(f'getelementptr i64, ptr %layout, i64 {k}')}")
        for k in range(LAYOUT_WORDS)
    ]
    pitch, _, plane_rows, _, row_step, image_step, _ = words
    plane = text(f"mul nsw i64 {pitch}, {plane_rows}")
    image = text(f"udiv i64 %first, {plane}")
    rest = text(f"urem i64 %first, {plane}")
    row, column = text(f"udiv i64 {rest}, {pitch}"), text(f"urem i64 {rest}, {pitch}")
    distance = text(
        f"add nsw i64 {text(f'mul nsw i64 {row}, {row_step}')}, "
        f"{text(f'mul nsw i64 {image}, {image_step}')}"
    )
    distance = text(f"add nsw i64 {distance}, {column}")
    places = row_addresses(text, tile)
    for place in places:
        for j in range(tile.vectors):
            line = text(
                f"getelementptr {scalar}, ptr {place}, i64 "
                f"{text(f'add nsw i64 {distance}, {j * tile.lanes}')}"
            )
            text.do(f"call void @llvm.prefetch.p0(ptr {line}, i32 1, i32 3, i32 1)")
    return Place(places, words, (column, row, image))


def masked_stores(text: Text, tile: Tile, sums: list[list[str]], found: Place) -> None:
    """Stores the positions that are results: the image's rows are `pitch` apart in the padded
    image, closer in the result.
    """
    scalar, vector, suffix = header(tile)
    pitch, columns, plane_rows, rows, row_step, image_step, images = found.words
    places, (column, row, image) = found.rows, found.start
    lanes = f"<{tile.lanes} x i32>"
    count = f"<{', '.join(f'i32 {i}' for i in range(tile.lanes))}>"
    before, state = "done", (column, row, image)
    for j in range(tile.vectors):
        text.do(f"br label %piece.{j}")
        text.label(f"piece.{j}")
        text.do(f"%lane.{j} = phi i64 [ 0, %{before} ], [ %lane.next.{j}, %next.{j} ]")
        for name, value in zip(("column", "row", "image"), state, strict=True):
            text.do(
                f"%{name}.{j} = phi i64 [ {value}, %{before} ], [ %{name}.next.{j}, %next.{j} ]"
            )
        free = text(f"sub nsw i64 {tile.lanes}, %lane.{j}")
        length = text(
            f"call i64 @llvm.smin.i64(i64 {text(f'sub nsw i64 {pitch}, %column.{j}')}, i64 {free})"
        )
        good = text(
            f"call i64 @llvm.smin.i64(i64 {text(f'sub nsw i64 {columns}, %column.{j}')}, "
            f"i64 {length})"
        )
        inside = text(
            f"and i1 {text(f'icmp slt i64 %row.{j}, {rows}')}, "
            f"{text(f'icmp slt i64 %image.{j}, {images}')}"
        )
        inside = text(f"and i1 {inside}, {text(f'icmp sgt i64 {good}, 0')}")
        text.do(f"br i1 {inside}, label %store.{j}, label %next.{j}")
        text.label(f"store.{j}")
        low = splat(text, text(f"trunc i64 %lane.{j} to i32"), "i32", tile.lanes)
        high = splat(
            text,
            text(f"trunc i64 {text(f'add nsw i64 %lane.{j}, {good}')} to i32"),
            "i32",
            tile.lanes,
        )
        mask = text(
            f"and <{tile.lanes} x i1> {text(f'icmp sge {lanes} {count}, {low}')}, "
            f"{text(f'icmp slt {lanes} {count}, {high}')}"
        )
        distance = text(
            f"add nsw i64 {text(f'mul nsw i64 %row.{j}, {row_step}')}, "
            f"{text(f'mul nsw i64 %image.{j}, {image_step}')}"
        )
        distance = text(f"sub nsw i64 {text(f'add nsw i64 {distance}, %column.{j}')}, %lane.{j}")
        for r in reversed(range(tile.rows)):
            place = text(f"getelementptr {scalar}, ptr {places[r]}, i64 {distance}")
            text.do(
                f"call void @llvm.masked.store.{suffix}.p0({vector} {sums[r][j]}, ptr {place}, "
                f"i32 {ELEMENT[tile.dtype][1]}, "
                f"<{tile.lanes} x i1> {mask})"
            )
        text.do(f"br label %next.{j}")
        text.label(f"next.{j}")
        text.do(f"%lane.next.{j} = add nsw i64 %lane.{j}, {length}")
        text.do(f"%beyond.{j} = add nsw i64 %column.{j}, {length}")
        text.do(f"%wraps.{j} = icmp sge i64 %beyond.{j}, {pitch}")
        text.do(f"%column.next.{j} = select i1 %wraps.{j}, i64 0, i64 %beyond.{j}")
        text.do(f"%below.{j} = add nsw i64 %row.{j}, {text(f'zext i1 %wraps.{j} to i64')}")
        text.do(f"%ends.{j} = icmp sge i64 %below.{j}, {plane_rows}")
        text.do(f"%row.next.{j} = select i1 %ends.{j}, i64 0, i64 %below.{j}")
        text.do(f"%image.next.{j} = add nsw i64 %image.{j}, {text(f'zext i1 %ends.{j} to i64')}")
        again = text(f"icmp slt i64 %lane.next.{j}, {tile.lanes}")
        after = f"piece.{j + 1}" if j + 1 < tile.vectors else "stored"
        text.do(f"br i1 {again}, label %piece.{j}, label %after.{j}")
        text.label(f"after.{j}")
        before, state = f"after.{j}", (f"%column.next.{j}", f"%row.next.{j}", f"%image.next.{j}")
        if after == "stored":
            text.do("br label %stored")
    text.label("stored")


def product_tile(tile: Tile, masked: bool, name: str) -> str:
    """IR of `name(a, b, table, outer count, outer step, count, bias, out, pitch of out,
    valid rows, first position, layout)`.
    """
    scalar, vector, suffix = header(tile)
    text = Text()
    text.label("entry")
    found = find_place(text, tile) if masked else None
    sums = product_loop(text, tile)
    if found is not None:
        masked_stores(text, tile, sums, found)
    else:
        places = row_addresses(text, tile)
        for r in reversed(range(tile.rows)):
            for j in range(tile.vectors):
                place = text(f"getelementptr {scalar}, ptr {places[r]}, i64 {j * tile.lanes}")
                text.do(f"store {vector} {sums[r][j]}, ptr {place}, align {ELEMENT[tile.dtype][1]}")
    text.do("ret void")
    declarations = [
        f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{tile.lanes} x i1>)",
        "declare i64 @llvm.smin.i64(i64, i64)",
    ]
    arguments = (
        "ptr noalias readonly %a, ptr noalias readonly %b, ptr noalias readonly %table, "
        "i64 %outer.count, i64 %outer.step, i64 %count, "
        "ptr noalias readonly %bias, ptr noalias %out, i64 %pitch, i64 %valid, i64 %first, "
        "ptr noalias readonly %layout"
    )
    return "\n".join(
        [*declarations, f'define void @"{name}"({arguments}) {ATTRIBUTES} {{', *text.lines, "}"]
    )


@functools.cache
def product_address(tile: Tile, masked: bool) -> int:
    """Machine code of the tile."""
    name = f"conv_product_{tile.dtype}_{tile.lanes}x{tile.rows}x{tile.vectors}"
    name += "_masked_4" if masked else "_plain_4"
    return load(name, lambda: product_tile(tile, masked, name))[name]


def shuffle(text: Text, kind: str, a: str, b: str, places: Iterable[int]) -> str:
    """The lanes of a and b (of vector type `kind`) at `places`."""
    order = [f"i32 {place}" for place in places]
    return text(f"shufflevector {kind} {a}, {kind} {b}, <{len(order)} x i32> <{', '.join(order)}>")


def sum_lanes(text: Text, tile: Tile, vectors: list[str]) -> str:
    """One vector with the sum over the lanes of each of `vectors` (at most `lanes`, a power of
    two): level by level, neighbouring lanes of two vectors are added into one.
    """
    scalar, kind, _ = header(tile)
    level, lanes = vectors, tile.lanes
    while len(level) > 1:
        level = [
            text(
                f"fadd {kind} {shuffle(text, kind, a, b, range(0, 2 * lanes, 2))}, "
                f"{shuffle(text, kind, a, b, range(1, 2 * lanes, 2))}"
            )
            for a, b in zip(level[::2], level[1::2], strict=True)
        ]
    total = level[0]
    while lanes > len(vectors):
        kind, half = f"<{lanes} x {scalar}>", f"<{lanes // 2} x {scalar}>"
        even, odd = (shuffle(text, kind, total, "poison", range(k, lanes, 2)) for k in (0, 1))
        total, lanes = text(f"fadd {half} {even}, {odd}"), lanes // 2
    return total


def sums_of_rows(text: Text, tile: Tile, vectors: list[str]) -> str:
    """A vector of the sums over the lanes of each of `vectors`, however many they are."""
    scalar = header(tile)[0]
    count = 1 << (len(vectors) - 1).bit_length()
    group = min(tile.lanes, count)
    padded = vectors + ["zeroinitializer"] * (count - len(vectors))
    parts = [sum_lanes(text, tile, padded[i : i + group]) for i in range(0, len(padded), group)]
    width = group
    while len(parts) > 1:
        parts = [
            shuffle(text, f"<{width} x {scalar}>", a, b, range(2 * width))
            for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
        width *= 2
    return (
        parts[0]
        if width == len(vectors)
        else shuffle(text, f"<{width} x {scalar}>", parts[0], "poison", range(len(vectors)))
    )


def dot_tile(tile: Tile, name: str) -> str:
    """IR of `name(a, pitch of a, valid rows, b, table, steps, out)`: out[j][r] += a[r] .

    b[table[j]:] over `steps` vectors.
    """
    scalar, vector, suffix = header(tile)
    align = ELEMENT[tile.dtype][1]
    text = Text()
    text.label("entry")
    last = text("sub nsw i64 %valid, 1")
    rows = []
    for r in range(tile.rows):
        row = text(f"call i64 @llvm.smin.i64(i64 {r}, i64 {last})")
        rows.append(
            text(f"getelementptr {scalar}, ptr %a, i64 {text(f'mul nsw i64 {row}, %pitch')}")
        )
    shifted = []
    for j in range(tile.vectors):
        offset = text(f"load i64, ptr {text(f'getelementptr i64, ptr %table, i64 {j}')}")
        shifted.append(text(f"getelementptr {scalar}, ptr %b, i64 {offset}"))
    text.do("br label %head")
    text.label("head")
    text.do("%step = phi i64 [ 0, %entry ], [ %step.next, %body ]")
    names = [[f"%sum.{r}.{j}" for j in range(tile.vectors)] for r in range(tile.rows)]
    for sums in names:
        for name_ in sums:
            text.do(f"{name_} = phi {vector} [ zeroinitializer, %entry ], [ {name_}.next, %body ]")
    text.do("%more = icmp slt i64 %step, %steps")
    text.do("br i1 %more, label %body, label %done")
    text.label("body")
    place = text(f"mul nuw nsw i64 %step, {tile.lanes}")
    xs = [
        text(
            f"load {vector}, ptr {text(f'getelementptr {scalar}, ptr {p}, i64 {place}')}, "
            f"align {align}"
        )
        for p in shifted
    ]
    for r, sums in enumerate(names):
        g = text(
            f"load {vector}, ptr {text(f'getelementptr {scalar}, ptr {rows[r]}, i64 {place}')}, "
            f"align {align}"
        )
        for j, name_ in enumerate(sums):
            text.do(
                f"{name_}.next = call {vector} @llvm.fma.{suffix}({vector} {g}, {vector} {xs[j]}, "
                f"{vector} {name_})"
            )
    text.do("%step.next = add nuw nsw i64 %step, 1")
    text.do("br label %head")
    text.label("done")
    result = f"<{tile.rows} x {scalar}>"
    for j in range(tile.vectors):
        total = sums_of_rows(text, tile, [names[r][j] for r in range(tile.rows)])
        place = text(f"getelementptr {scalar}, ptr %out, i64 {j * tile.rows}")
        before = text(f"load {result}, ptr {place}, align {align}")
        text.do(
            f"store {result} {text(f'fadd {result} {before}, {total}')}, ptr {place}, align {align}"
        )
    text.do("ret void")
    declarations = [
        f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
        "declare i64 @llvm.smin.i64(i64, i64)",
    ]
    arguments = (
        "ptr noalias readonly %a, i64 %pitch, i64 %valid, ptr noalias readonly %b, "
        "ptr noalias readonly %table, i64 %steps, ptr noalias %out"
    )
    return "\n".join(
        [*declarations, f'define void @"{name}"({arguments}) {ATTRIBUTES} {{', *text.lines, "}"]
    )


@functools.cache
def dot_address(tile: Tile) -> int:
    """Machine code of the tile."""
    name = f"conv_dot_{tile.dtype}_{tile.lanes}x{tile.rows}x{tile.vectors}_3"
    return load(name, lambda: dot_tile(tile, name))[name]


Groups = tuple[tuple[int, ...], ...]


def depthwise_tile(tile: Tile, groups: Groups, name: str) -> str:
    """IR of `name(a, b, table, pitch, bias, out, row step, valid rows, columns)`: one channel,
    `rows` result rows of any length.

    `groups` lists for each column of taps its rows, counted from the first: a loaded vector serves
    all taps of its group. Each step is a vector of every row; the last one moves back so that it
    ends with the row, or is masked in rows shorter than it.
    """
    scalar, vector, suffix = header(tile)
    align, lanes = ELEMENT[tile.dtype][1], tile.lanes
    text = Text()
    text.label("entry")
    start = splat(text, text(f"load {scalar}, ptr %bias"), scalar, lanes)
    last = text("sub nsw i64 %valid, 1")
    targets = []
    for r in range(tile.rows):
        row = text(f"call i64 @llvm.smin.i64(i64 {r}, i64 {last})")
        targets.append(
            text(f"getelementptr {scalar}, ptr %out, i64 {text(f'mul nsw i64 {row}, %row.step')}")
        )
    weights = []
    for k in range(sum(map(len, groups))):
        weights.append(
            splat(
                text,
                text(f"load {scalar}, ptr {text(f'getelementptr {scalar}, ptr %a, i64 {k}')}"),
                scalar,
                lanes,
            )
        )
    lines, first = [], 0
    for group in groups:
        offset = text(f"load i64, ptr {text(f'getelementptr i64, ptr %table, i64 {first}')}")
        lines.append(text(f"getelementptr {scalar}, ptr %b, i64 {offset}"))
        first += len(group)
    limit = splat(text, text("trunc i64 %columns to i32"), "i32", lanes)
    mask = text(
        f"icmp slt <{lanes} x i32> <{', '.join(f'i32 {i}' for i in range(lanes))}>, {limit}"
    )
    end = text(f"call i64 @llvm.smax.i64(i64 {text(f'sub nsw i64 %columns, {lanes}')}, i64 0)")
    text.do("br label %across")
    text.label("across")
    text.do("%column = phi i64 [ 0, %entry ], [ %column.next, %across ]")
    here = text(f"call i64 @llvm.smin.i64(i64 %column, i64 {end})")
    ahead = text(f"mul nsw i64 %row.step, {tile.rows}")
    ahead = text(f"add nsw i64 {ahead}, {here}")
    # the same rows of the next call: their lines are fetched while this one computes
    for target in targets:
        place = text(f"getelementptr {scalar}, ptr {target}, i64 {ahead}")
        text.do(f"call void @llvm.prefetch.p0(ptr {place}, i32 1, i32 3, i32 1)")
    sums, first = [start] * tile.rows, 0
    for group, line in zip(groups, lines, strict=True):
        place = text(f"getelementptr {scalar}, ptr {line}, i64 {here}")
        for y in sorted({r + shift for r in range(tile.rows) for shift in group}):
            distance = text(f"mul nsw i64 %pitch, {y}")
            value = text(
                f"load {vector}, ptr "
                f"{text(f'getelementptr {scalar}, ptr {place}, i64 {distance}')}, align {align}"
            )
            for k, shift in enumerate(group):
                if 0 <= y - shift < tile.rows:
                    total = sums[y - shift]
                    sums[y - shift] = text(
                        f"call {vector} @llvm.fma.{suffix}({vector} {weights[first + k]}, "
                        f"{vector} {value}, {vector} {total})"
                    )
        first += len(group)
    for r in reversed(range(tile.rows)):
        place = text(f"getelementptr {scalar}, ptr {targets[r]}, i64 {here}")
        text.do(
            f"call void @llvm.masked.store.{suffix}.p0({vector} {sums[r]}, ptr {place}, "
            f"i32 {align}, <{lanes} x i1> {mask})"
        )
    text.do(f"%column.next = add nuw nsw i64 %column, {lanes}")
    text.do(f"br i1 {text('icmp slt i64 %column.next, %columns')}, label %across, label %done")
    text.label("done")
    text.do("ret void")
    declarations = [
        f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{lanes} x i1>)",
        "declare i64 @llvm.smin.i64(i64, i64)\ndeclare i64 @llvm.smax.i64(i64, i64)",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
    ]
    arguments = (
        "ptr noalias readonly %a, ptr noalias readonly %b, ptr noalias readonly %table, "
        "i64 %pitch, "
        "ptr noalias readonly %bias, ptr noalias %out, i64 %row.step, i64 %valid, i64 %columns"
    )
    return "\n".join(
        [*declarations, f'define void @"{name}"({arguments}) {ATTRIBUTES} {{', *text.lines, "}"]
    )


@functools.cache
def depthwise_address(tile: Tile, groups: Groups) -> int:
    """Machine code of the tile."""
    shape = "_".join("".join(map(str, group)) for group in groups)
    name = f"conv_depthwise_{tile.dtype}_{tile.lanes}x{tile.rows}_{shape}_4"
    return load(name, lambda: depthwise_tile(tile, groups, name))[name]


def load_row(text: Text, dtype: str, lanes: int, stride: int, place: str, left: str) -> str:
    """`lanes` elements of a row, `stride` (1 or 2) apart, of which `left` exist;
    zeros after them.
    """
    scalar, align, short = ELEMENT[dtype]
    vector = f"<{lanes} x {scalar}>"
    order = f"<{', '.join(f'i32 {i}' for i in range(lanes))}>"
    present = text(f"sub nsw i64 {text(f'mul nsw i64 {left}, {stride}')}, {stride - 1}")
    parts = []
    for part in range(stride):
        count = text(
            f"call i64 @llvm.smin.i64(i64 {text(f'sub nsw i64 {present}, {part * lanes}')}, "
            f"i64 {lanes})"
        )
        limit = splat(text, text(f"trunc i64 {count} to i32"), "i32", lanes)
        mask = text(f"icmp slt <{lanes} x i32> {order}, {limit}")
        source = text(f"getelementptr {scalar}, ptr {place}, i64 {part * lanes}")
        parts.append(
            text(
                f"call {vector} @llvm.masked.load.v{lanes}{short}.p0(ptr {source}, i32 {align}, "
                f"<{lanes} x i1> {mask}, {vector} zeroinitializer)"
            )
        )
    return (
        parts[0]
        if stride == 1
        else shuffle(text, vector, parts[0], parts[1], range(0, 2 * lanes, 2))
    )


def copy_rows(dtype: str, stride: int, padded: bool, name: str) -> str:
    """IR of `name(target, source, rows, columns, target step, source step)`: rows of elements that
    lie `stride` apart.

    With `padded`, target rows are whole vectors, and are filled up with zeros; else nothing but the
    elements is written.
    """
    scalar, align, short = ELEMENT[dtype]
    lanes = machine_vectors()[0] // align
    vector = f"<{lanes} x {scalar}>"
    text = Text()
    text.label("entry")
    whole = text(f"and i64 %columns, {-lanes}")
    rest = text(f"sub nsw i64 %columns, {whole}")
    limit = splat(text, text(f"trunc i64 {rest} to i32"), "i32", lanes)
    mask = text(
        f"icmp slt <{lanes} x i32> <{', '.join(f'i32 {i}' for i in range(lanes))}>, {limit}"
    )
    partial = text(f"icmp sgt i64 {rest}, 0")
    text.do("br label %row")
    text.label("row")
    text.do("%r = phi i64 [ 0, %entry ], [ %r.next, %next ]")
    text.do("%to = phi ptr [ %target, %entry ], [ %to.next, %next ]")
    text.do("%from = phi ptr [ %source, %entry ], [ %from.next, %next ]")
    text.do("%some = icmp slt i64 %r, %rows")
    text.do("br i1 %some, label %vectors, label %done")
    text.label("vectors")
    text.do("%i = phi i64 [ 0, %row ], [ %i.next, %copy ]")
    text.do(f"%more = icmp slt i64 %i, {whole}")
    text.do("br i1 %more, label %copy, label %tail")
    text.label("copy")
    place = text(f"getelementptr {scalar}, ptr %from, i64 {text(f'mul nsw i64 %i, {stride}')}")
    if stride == 1:
        value = text(f"load {vector}, ptr {place}, align {align}")
    else:
        value = load_row(text, dtype, lanes, stride, place, text("sub nsw i64 %columns, %i"))
    text.do(
        f"store {vector} {value}, ptr {text(f'getelementptr {scalar}, ptr %to, i64 %i')}, "
        f"align {align}"
    )
    text.do(f"%i.next = add nuw nsw i64 %i, {lanes}")
    text.do("br label %vectors")
    text.label("tail")
    text.do(f"br i1 {partial}, label %masked, label %zeros")
    text.label("masked")
    place = text(f"getelementptr {scalar}, ptr %from, i64 {text(f'mul nsw i64 {whole}, {stride}')}")
    value = load_row(text, dtype, lanes, stride, place, rest)
    target = text(f"getelementptr {scalar}, ptr %to, i64 {whole}")
    if padded:
        text.do(f"store {vector} {value}, ptr {target}, align {align}")
    else:
        text.do(
            f"call void @llvm.masked.store.v{lanes}{short}.p0({vector} {value}, ptr {target}, "
            f"i32 {align}, <{lanes} x i1> {mask})"
        )
    text.do("br label %zeros")
    text.label("zeros")
    if padded:
        first = text(f"and i64 {text(f'add nsw i64 %columns, {lanes - 1}')}, {-lanes}")
        text.do("br label %blank")
        text.label("blank")
        text.do(f"%z = phi i64 [ {first}, %zeros ], [ %z.next, %clear ]")
        text.do(f"br i1 {text('icmp slt i64 %z, %target.step')}, label %clear, label %next")
        text.label("clear")
        text.do(
            f"store {vector} zeroinitializer, ptr "
            f"{text(f'getelementptr {scalar}, ptr %to, i64 %z')}, align {align}"
        )
        text.do(f"%z.next = add nuw nsw i64 %z, {lanes}")
        text.do("br label %blank")
    else:
        text.do("br label %next")
    text.label("next")
    text.do("%r.next = add nuw nsw i64 %r, 1")
    text.do(f"%to.next = getelementptr {scalar}, ptr %to, i64 %target.step")
    text.do(f"%from.next = getelementptr {scalar}, ptr %from, i64 %source.step")
    text.do("br label %row")
    text.label("done")
    text.do("ret void")
    declarations = [
        (
            f"declare {vector} @llvm.masked.load.v{lanes}{short}.p0(ptr, i32, <{lanes} x i1>, "
            f"{vector})"
        ),
        f"declare void @llvm.masked.store.v{lanes}{short}.p0({vector}, ptr, i32, <{lanes} x i1>)",
        "declare i64 @llvm.smin.i64(i64, i64)",
    ]
    arguments = (
        "ptr noalias %target, ptr noalias readonly %source, i64 %rows, i64 %columns, "
        "i64 %target.step, i64 %source.step"
    )
    return "\n".join(
        [*declarations, f'define void @"{name}"({arguments}) {ATTRIBUTES} {{', *text.lines, "}"]
    )


@functools.cache
def copy_rows_address(dtype: str, stride: int, padded: bool) -> int:
    """Machine code that copies rows."""
    name = f"conv_copy_{dtype}_{machine_vectors()[0]}_{stride}{'_padded' if padded else ''}_3"
    return load(name, lambda: copy_rows(dtype, stride, padded, name))[name]

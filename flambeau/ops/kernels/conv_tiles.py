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
from typing import NamedTuple

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.vector_text import (
    ATTRIBUTES,
    ELEMENT,
    Text,
    Tile,
    header,
    splat,
    sums_of_rows,
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


def begin_piece(text: Text, tile: Tile, j: int, found: Place) -> tuple[str, str]:
    """How many lanes of vector j, from `%lane.j`, lie in one row of the padded image, and how many
    of them are results; goes to `store.j` if there are some, else to `next.j`.
    """
    pitch, columns, _, rows, _, _, images = found.words
    free = text(f"sub nsw i64 {tile.lanes}, %lane.{j}")
    left = text(f"sub nsw i64 {pitch}, %column.{j}")
    length = text(f"call i64 @llvm.smin.i64(i64 {left}, i64 {free})")
    left = text(f"sub nsw i64 {columns}, %column.{j}")
    good = text(f"call i64 @llvm.smin.i64(i64 {left}, i64 {length})")
    row, image = text(f"icmp slt i64 %row.{j}, {rows}"), text(f"icmp slt i64 %image.{j}, {images}")
    inside = text(f"and i1 {row}, {image}")
    inside = text(f"and i1 {inside}, {text(f'icmp sgt i64 {good}, 0')}")
    text.do(f"br i1 {inside}, label %store.{j}, label %next.{j}")
    return length, good


def store_piece(
    text: Text, tile: Tile, sums: list[list[str]], j: int, found: Place, good: str
) -> None:
    """Stores the lanes of vector j that are results, for every row of the tile."""
    scalar, vector, suffix = header(tile)
    _, _, _, _, row_step, image_step, _ = found.words
    lanes = f"<{tile.lanes} x i32>"
    count = f"<{', '.join(f'i32 {i}' for i in range(tile.lanes))}>"
    low = splat(text, text(f"trunc i64 %lane.{j} to i32"), "i32", tile.lanes)
    end = text(f"trunc i64 {text(f'add nsw i64 %lane.{j}, {good}')} to i32")
    high = splat(text, end, "i32", tile.lanes)
    above, below = (
        text(f"icmp {how} {lanes} {count}, {bound}") for how, bound in (("sge", low), ("slt", high))
    )
    mask = text(f"and <{tile.lanes} x i1> {above}, {below}")
    row, image = (
        text(f"mul nsw i64 %{name}.{j}, {step}")
        for name, step in (("row", row_step), ("image", image_step))
    )
    distance = text(f"add nsw i64 {text(f'add nsw i64 {row}, {image}')}, %column.{j}")
    distance = text(f"sub nsw i64 {distance}, %lane.{j}")
    for r in reversed(range(tile.rows)):
        place = text(f"getelementptr {scalar}, ptr {found.rows[r]}, i64 {distance}")
        text.do(
            f"call void @llvm.masked.store.{suffix}.p0({vector} {sums[r][j]}, ptr {place}, "
            f"i32 {ELEMENT[tile.dtype][1]}, <{tile.lanes} x i1> {mask})"
        )


def masked_stores(text: Text, tile: Tile, sums: list[list[str]], found: Place) -> None:
    """Stores the positions that are results: the image's rows are `pitch` apart in the padded
    image, closer in the result.
    """
    pitch, plane_rows = found.words[0], found.words[2]
    before, state = "done", found.start
    for j in range(tile.vectors):
        text.do(f"br label %piece.{j}")
        text.label(f"piece.{j}")
        text.do(f"%lane.{j} = phi i64 [ 0, %{before} ], [ %lane.next.{j}, %next.{j} ]")
        for name, value in zip(("column", "row", "image"), state, strict=True):
            text.do(
                f"%{name}.{j} = phi i64 [ {value}, %{before} ], [ %{name}.next.{j}, %next.{j} ]"
            )
        length, good = begin_piece(text, tile, j, found)
        text.label(f"store.{j}")
        store_piece(text, tile, sums, j, found, good)
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
        text.do(f"br i1 {again}, label %piece.{j}, label %after.{j}")
        text.label(f"after.{j}")
        before, state = f"after.{j}", (f"%column.next.{j}", f"%row.next.{j}", f"%image.next.{j}")
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
    name += "_masked_5" if masked else "_plain_5"
    return load(name, lambda: product_tile(tile, masked, name))[name]


def dot_loop(text: Text, tile: Tile, rows: list[str], shifted: list[str]) -> list[list[str]]:
    """Products of vectors of every row with vectors of every shifted plane, added lane by lane."""
    scalar, vector, suffix = header(tile)
    names = [[f"%sum.{r}.{j}" for j in range(tile.vectors)] for r in range(tile.rows)]
    text.do("br label %head")
    text.label("head")
    text.do("%step = phi i64 [ 0, %entry ], [ %step.next, %body ]")
    for name in (name for sums in names for name in sums):
        text.do(f"{name} = phi {vector} [ zeroinitializer, %entry ], [ {name}.next, %body ]")
    text.do("%more = icmp slt i64 %step, %steps")
    text.do("br i1 %more, label %body, label %done")
    text.label("body")
    place = text(f"mul nuw nsw i64 %step, {tile.lanes}")

    def load_at(base: str) -> str:
        here = text(f"getelementptr {scalar}, ptr {base}, i64 {place}")
        return text(f"load {vector}, ptr {here}, align {ELEMENT[tile.dtype][1]}")

    planes = [load_at(base) for base in shifted]
    for base, sums in zip(rows, names, strict=True):
        value = load_at(base)
        for name, plane in zip(sums, planes, strict=True):
            text.do(
                f"{name}.next = call {vector} @llvm.fma.{suffix}({vector} {value}, "
                f"{vector} {plane}, {vector} {name})"
            )
    text.do("%step.next = add nuw nsw i64 %step, 1")
    text.do("br label %head")
    text.label("done")
    return names


def dot_tile(tile: Tile, name: str) -> str:
    """IR of `name(a, pitch of a, valid rows, b, table, steps, out)`: out[j][r] += a[r] .

    b[table[j]:] over `steps` vectors.
    """
    scalar, vector, suffix = header(tile)
    align = ELEMENT[tile.dtype][1]
    text = Text()
    text.label("entry")
    last, rows, shifted = text("sub nsw i64 %valid, 1"), [], []
    for r in range(tile.rows):
        row = text(f"call i64 @llvm.smin.i64(i64 {r}, i64 {last})")
        row = text(f"mul nsw i64 {row}, %pitch")
        rows.append(text(f"getelementptr {scalar}, ptr %a, i64 {row}"))
    for j in range(tile.vectors):
        offset = text(f"load i64, ptr {text(f'getelementptr i64, ptr %table, i64 {j}')}")
        shifted.append(text(f"getelementptr {scalar}, ptr %b, i64 {offset}"))
    names = dot_loop(text, tile, rows, shifted)
    result = f"<{tile.rows} x {scalar}>"
    for j in range(tile.vectors):
        total = sums_of_rows(text, tile, [names[r][j] for r in range(tile.rows)])
        place = text(f"getelementptr {scalar}, ptr %out, i64 {j * tile.rows}")
        before = text(f"load {result}, ptr {place}, align {align}")
        total = text(f"fadd {result} {before}, {total}")
        text.do(f"store {result} {total}, ptr {place}, align {align}")
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
    name = f"conv_dot_{tile.dtype}_{tile.lanes}x{tile.rows}x{tile.vectors}_4"
    return load(name, lambda: dot_tile(tile, name))[name]

"""Register tiles whose rows are points of the image, as LLVM IR.

A convolution sums over taps k = (channel, row, column) of the kernel, its weight's gradient over
positions p of the result:

    y[p, m]  = sum over k of x[place[p] + shift[k]] * w[k, m]
    dw[k, m] = sum over p of x[shift[k] + place[p]] * g[p, m]

These are one loop with the two tables exchanged: the rows of a tile are some points (one element of
the padded image each, read and broadcast by itself), its columns are vectors of channels m, and the
loop runs over the other table. Points lie anywhere, so no stride, dilation or border costs time,
and images of few positions fill the tiles as well as large ones:

    point_address(Tile("float32", lanes=16, rows=6, vectors=4))

What goes in and comes out has its channels together; `turn_address` is the loop that exchanges
rows and columns. Called by ops.kernels.conv_forward_points and conv_weight_points.
"""

from __future__ import annotations

import functools

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.transposers import transposed
from flambeau.ops.kernels.vector_text import (
    ATTRIBUTES,
    ELEMENT,
    Text,
    Tile,
    header,
    machine_vectors,
    splat,
)

# rows of a point tile for a number of vectors, by the number of vector registers: the points'
# addresses need registers of their own, so there are at most eight
ROWS = {32: (8, 8, 8, 6), 16: (6, 5)}


def point_tile_for(dtype: str, channels: int) -> Tile:
    """The tile for this many channels: as few vectors as hold them, evenly divided."""
    size, registers = machine_vectors()
    lanes = size // ELEMENT[dtype][1]
    most = len(ROWS[registers])
    vectors = -(-channels // lanes)
    each = -(-vectors // -(-vectors // most))
    return Tile(dtype, lanes, ROWS[registers][each - 1], each)


def point_loop(text: Text, tile: Tile) -> list[list[str]]:
    """The sums over the table's entries, begun with what is at `%start`."""
    scalar, vector, suffix = header(tile)
    align = ELEMENT[tile.dtype][1]
    points, starts = [], []
    for r in range(tile.rows):
        place = text(f"getelementptr i64, ptr %points, i64 {r}")
        points.append(text(f"load i64, ptr {place}"))
        row = text(
            f"getelementptr {scalar}, ptr %start, i64 {text(f'mul nsw i64 {r}, %start.row')}"
        )
        places = [
            text(f"getelementptr {scalar}, ptr {row}, i64 {j * tile.lanes}")
            for j in range(tile.vectors)
        ]
        starts.append([text(f"load {vector}, ptr {p}, align {align}") for p in places])
    names = [[f"%sum.{r}.{j}" for j in range(tile.vectors)] for r in range(tile.rows)]
    text.do("br label %head")
    text.label("head")
    text.do("%k = phi i64 [ 0, %entry ], [ %k.next, %body ]")
    text.do("%line = phi ptr [ %b, %entry ], [ %line.next, %body ]")
    for sums, begun in zip(names, starts, strict=True):
        for name, start in zip(sums, begun, strict=True):
            text.do(f"{name} = phi {vector} [ {start}, %entry ], [ {name}.next, %body ]")
    text.do(f"br i1 {text('icmp slt i64 %k, %count')}, label %body, label %done")
    text.label("body")
    offset = text(f"load i64, ptr {text('getelementptr i64, ptr %table, i64 %k')}")
    image = text(f"getelementptr {scalar}, ptr %x, i64 {offset}")
    values = []
    for j in range(tile.vectors):
        place = text(f"getelementptr {scalar}, ptr %line, i64 {j * tile.lanes}")
        values.append(text(f"load {vector}, ptr {place}, align {align}"))
    for r, sums in enumerate(names):
        place = text(f"getelementptr {scalar}, ptr {image}, i64 {points[r]}")
        factor = splat(text, text(f"load {scalar}, ptr {place}"), scalar, tile.lanes)
        for j, name in enumerate(sums):
            text.do(
                f"{name}.next = call {vector} @llvm.fma.{suffix}({vector} {factor}, "
                f"{vector} {values[j]}, {vector} {name})"
            )
    text.do(f"%line.next = getelementptr {scalar}, ptr %line, i64 {tile.width}")
    text.do("%k.next = add nuw nsw i64 %k, 1")
    text.do("br label %head")
    text.label("done")
    return names


def point_tile(tile: Tile, name: str) -> str:
    """IR of `name(x, points, table, count, b, start, row of start, out)`: out[r] = start[r] +
    sum over k < count of x[points[r] + table[k]] * b[k], rows of `width` elements.
    """
    scalar, vector, suffix = header(tile)
    text = Text()
    text.label("entry")
    for r, row in enumerate(point_loop(text, tile)):
        for j, total in enumerate(row):
            place = text(f"getelementptr {scalar}, ptr %out, i64 {r * tile.width + j * tile.lanes}")
            text.do(f"store {vector} {total}, ptr {place}, align {ELEMENT[tile.dtype][1]}")
    text.do("ret void")
    arguments = (
        "ptr readonly %x, ptr readonly %points, ptr readonly %table, i64 %count, "
        "ptr readonly %b, ptr readonly %start, i64 %start.row, ptr %out"
    )
    return "\n".join(
        [
            f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
            f'define void @"{name}"({arguments}) {ATTRIBUTES} {{',
            *text.lines,
            "}",
        ]
    )


@functools.cache
def point_address(tile: Tile) -> int:
    """Machine code of the tile."""
    name = f"conv_points_{tile.dtype}_{tile.lanes}x{tile.rows}x{tile.vectors}_1"
    return load(name, lambda: point_tile(tile, name))[name]


def turn_block(text: Text, dtype: str, lanes: int) -> None:
    """A block of one vector each way at (%i, %j): loads and stores of what is there only."""
    scalar, align, short = ELEMENT[dtype]
    vector, order = f"<{lanes} x {scalar}>", f"<{', '.join(f'i32 {i}' for i in range(lanes))}>"

    def mask(end: str, begin: str) -> str:
        left = text("trunc i64 " + text(f"sub nsw i64 {end}, {begin}") + " to i32")
        return text(f"icmp slt <{lanes} x i32> {order}, {splat(text, left, 'i32', lanes)}")

    values, inside = [], mask("%rows", "%i")
    last = text("sub nsw i64 %columns, 1")
    for r in range(lanes):
        row = text(f"call i64 @llvm.smin.i64(i64 {text(f'add nsw i64 %j, {r}')}, i64 {last})")
        row = text(f"add nsw i64 {text(f'mul nsw i64 {row}, %source.row')}, %i")
        place = text(f"getelementptr {scalar}, ptr %source, i64 {row}")
        values.append(
            text(
                f"call {vector} @llvm.masked.load.v{lanes}{short}.p0(ptr {place}, i32 {align}, "
                f"<{lanes} x i1> {inside}, {vector} zeroinitializer)"
            )
        )
    inside = mask("%columns", "%j")
    for r, column in enumerate(transposed(text, scalar, lanes, values)):
        row = text(f"add nsw i64 %i, {r}")
        place = text(f"add nsw i64 {text(f'mul nsw i64 {row}, %target.row')}, %j")
        place = text(f"getelementptr {scalar}, ptr %target, i64 {place}")
        text.do(f"br i1 {text(f'icmp slt i64 {row}, %rows')}, label %store.{r}, label %after")
        text.label(f"store.{r}")
        text.do(
            f"call void @llvm.masked.store.v{lanes}{short}.p0({vector} {column}, ptr {place}, "
            f"i32 {align}, <{lanes} x i1> {inside})"
        )
    text.do("br label %after")


def turn(dtype: str, name: str) -> str:
    """IR of `name(source, row of source, columns, rows, target, row of target)`: target[i][j] =
    source[j][i] for i < rows, j < columns.
    """
    scalar, align, short = ELEMENT[dtype]
    lanes = machine_vectors()[0] // align
    text = Text()
    text.label("entry")
    text.do("br label %down")
    text.label("down")
    text.do("%i = phi i64 [ 0, %entry ], [ %i.next, %below ]")
    text.do(f"br i1 {text('icmp slt i64 %i, %rows')}, label %across, label %done")
    text.label("across")
    text.do("%j = phi i64 [ 0, %down ], [ %j.next, %after ]")
    text.do(f"br i1 {text('icmp slt i64 %j, %columns')}, label %block, label %below")
    text.label("block")
    turn_block(text, dtype, lanes)
    text.label("after")
    text.do(f"%j.next = add nuw nsw i64 %j, {lanes}")
    text.do("br label %across")
    text.label("below")
    text.do(f"%i.next = add nuw nsw i64 %i, {lanes}")
    text.do("br label %down")
    text.label("done")
    text.do("ret void")
    vector, mask = f"<{lanes} x {scalar}>", f"<{lanes} x i1>"
    arguments = (
        "ptr noalias readonly %source, i64 %source.row, i64 %columns, i64 %rows, "
        "ptr noalias %target, i64 %target.row"
    )
    return "\n".join(
        [
            f"declare void @llvm.masked.store.v{lanes}{short}.p0({vector}, ptr, i32, {mask})",
            f"declare {vector} @llvm.masked.load.v{lanes}{short}.p0(ptr, i32, {mask}, {vector})",
            "declare i64 @llvm.smin.i64(i64, i64)",
            f'define void @"{name}"({arguments}) {ATTRIBUTES} {{',
            *text.lines,
            "}",
        ]
    )


@functools.cache
def turn_address(dtype: str) -> int:
    """Machine code of the turning loop."""
    name = f"conv_turn_{dtype}_{machine_vectors()[0]}_1"
    return load(name, lambda: turn(dtype, name))[name]

"""The inner loops of depthwise convolution as LLVM IR: one input channel for one output channel.

    address = depthwise_address(tile, groups)     # groups: the rows of each column of taps
    address = channel_tile_address(tile, edge)    # for channels that are neighbours in memory

The first one runs along a row with every weight in a register, the second one holds some columns of
some channels in registers while the taps pass by. Called by ops.kernels.conv_forward and
conv_channels.
"""

from __future__ import annotations

import functools

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.vector_text import ATTRIBUTES, ELEMENT, Text, Tile, header, splat

Groups = tuple[tuple[int, ...], ...]


def load_weights(text: Text, tile: Tile, groups: Groups) -> tuple[list[str], list[str]]:
    """Every weight in all lanes of a vector, and for each group where its column begins."""
    scalar = header(tile)[0]
    weights, lines, first = [], [], 0
    for k in range(sum(map(len, groups))):
        place = text(f"getelementptr {scalar}, ptr %a, i64 {k}")
        weights.append(splat(text, text(f"load {scalar}, ptr {place}"), scalar, tile.lanes))
    for group in groups:
        offset = text(f"load i64, ptr {text(f'getelementptr i64, ptr %table, i64 {first}')}")
        lines.append(text(f"getelementptr {scalar}, ptr %b, i64 {offset}"))
        first += len(group)
    return weights, lines


def sum_taps(
    text: Text, tile: Tile, groups: Groups, weights: list[str], lines: list[str], start: str
) -> list[str]:
    """A vector of every row at `%here`: each loaded vector serves all taps of its group."""
    scalar, vector, suffix = header(tile)
    sums, first = [start] * tile.rows, 0
    for group, line in zip(groups, lines, strict=True):
        place = text(f"getelementptr {scalar}, ptr {line}, i64 %here")
        for y in sorted({r + shift for r in range(tile.rows) for shift in group}):
            source = text(
                f"getelementptr {scalar}, ptr {place}, i64 {text(f'mul nsw i64 %pitch, {y}')}"
            )
            value = text(f"load {vector}, ptr {source}, align {ELEMENT[tile.dtype][1]}")
            for k, shift in enumerate(group):
                if 0 <= y - shift < tile.rows:
                    sums[y - shift] = text(
                        f"call {vector} @llvm.fma.{suffix}({vector} {weights[first + k]}, "
                        f"{vector} {value}, {vector} {sums[y - shift]})"
                    )
        first += len(group)
    return sums


def depthwise_tile(tile: Tile, groups: Groups, name: str) -> str:
    """IR of `name(a, b, table, pitch, bias, out, row step, valid rows, columns)`: one channel,
    `rows` result rows of any length.

    `groups` lists for each column of taps its rows, counted from the first. Each step is a vector
    of every row; the last one moves back so that it ends with the row, or is masked in rows shorter
    than it.
    """
    scalar, vector, suffix = header(tile)
    align, lanes = ELEMENT[tile.dtype][1], tile.lanes
    text = Text()
    text.label("entry")
    start = splat(text, text(f"load {scalar}, ptr %bias"), scalar, lanes)
    last, targets = text("sub nsw i64 %valid, 1"), []
    for r in range(tile.rows):
        row = text(f"call i64 @llvm.smin.i64(i64 {r}, i64 {last})")
        row = text(f"mul nsw i64 {row}, %row.step")
        targets.append(text(f"getelementptr {scalar}, ptr %out, i64 {row}"))
    weights, lines = load_weights(text, tile, groups)
    limit = splat(text, text("trunc i64 %columns to i32"), "i32", lanes)
    order = ", ".join(f"i32 {i}" for i in range(lanes))
    mask = text(f"icmp slt <{lanes} x i32> <{order}>, {limit}")
    end = text(f"call i64 @llvm.smax.i64(i64 {text(f'sub nsw i64 %columns, {lanes}')}, i64 0)")
    text.do("br label %across")
    text.label("across")
    text.do("%column = phi i64 [ 0, %entry ], [ %column.next, %across ]")
    text.do(f"%here = call i64 @llvm.smin.i64(i64 %column, i64 {end})")
    ahead = text(f"add nsw i64 {text(f'mul nsw i64 %row.step, {tile.rows}')}, %here")
    # the same rows of the next call: their lines are fetched while this one computes
    for target in targets:
        place = text(f"getelementptr {scalar}, ptr {target}, i64 {ahead}")
        text.do(f"call void @llvm.prefetch.p0(ptr {place}, i32 1, i32 3, i32 1)")
    sums = sum_taps(text, tile, groups, weights, lines, start)
    for r in reversed(range(tile.rows)):
        place = text(f"getelementptr {scalar}, ptr {targets[r]}, i64 %here")
        text.do(
            f"call void @llvm.masked.store.{suffix}.p0({vector} {sums[r]}, ptr {place}, "
            f"i32 {align}, <{lanes} x i1> {mask})"
        )
    text.do(f"%column.next = add nuw nsw i64 %column, {lanes}")
    text.do(f"br i1 {text('icmp slt i64 %column.next, %columns')}, label %across, label %done")
    text.label("done")
    text.do("ret void")
    return "\n".join(
        [
            *declarations(tile),
            f'define void @"{name}"({ARGUMENTS}) {ATTRIBUTES} {{',
            *text.lines,
            "}",
        ]
    )


ARGUMENTS = (
    "ptr noalias readonly %a, ptr noalias readonly %b, ptr noalias readonly %table, i64 %pitch, "
    "ptr noalias readonly %bias, ptr noalias %out, i64 %row.step, i64 %valid, i64 %columns"
)


def declarations(tile: Tile) -> list[str]:
    """The intrinsics that the tiles call."""
    _, vector, suffix = header(tile)
    mask = f"<{tile.lanes} x i1>"
    return [
        f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, {mask}, {vector})",
        f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{tile.lanes} x i1>)",
        "declare i64 @llvm.smin.i64(i64, i64)",
        "declare i64 @llvm.smax.i64(i64, i64)",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
    ]


@functools.cache
def depthwise_address(tile: Tile, groups: Groups) -> int:
    """Machine code of the tile."""
    shape = "_".join("".join(map(str, group)) for group in groups)
    name = f"conv_depthwise_{tile.dtype}_{tile.lanes}x{tile.rows}_{shape}_5"
    return load(name, lambda: depthwise_tile(tile, groups, name))[name]


class ChannelTile:
    """Writes the channel tile: `rows` columns of `vectors` vectors of channels; with `edge` the
    last vector ends with the number of channels, that of the factors too if they are `bare`.
    """

    def __init__(self, tile: Tile, edge: bool, bare: bool) -> None:
        self.tile, self.edge, self.bare, self.text = tile, edge, bare, Text()
        self.scalar, self.vector, self.suffix = header(tile)
        self.align = ELEMENT[tile.dtype][1]
        self.places = [j * tile.lanes for j in range(tile.vectors)]
        self.mask = ""

    def at(self, base: str, place: int | str) -> str:
        """An address some elements after another."""
        return self.text(f"getelementptr {self.scalar}, ptr {base}, i64 {place}")

    def masked(self, j: int) -> bool:
        """Whether vector j may end early."""
        return self.edge and j == self.tile.vectors - 1

    def load(self, base: str, j: int, masked: bool) -> str:
        """Vector j of what begins at `base`."""
        source, vector = self.at(base, self.places[j]), self.vector
        if not masked:
            return self.text(f"load {vector}, ptr {source}, align {self.align}")
        return self.text(
            f"call {vector} @llvm.masked.load.{self.suffix}.p0(ptr {source}, i32 {self.align}, "
            f"<{self.tile.lanes} x i1> {self.mask}, {vector} zeroinitializer)"
        )

    def store(self, value: str, base: str, j: int) -> None:
        """Vector j to what begins at `base`."""
        target = self.at(base, self.places[j])
        if self.masked(j):
            self.text.do(
                f"call void @llvm.masked.store.{self.suffix}.p0({self.vector} {value}, "
                f"ptr {target}, i32 {self.align}, <{self.tile.lanes} x i1> {self.mask})"
            )
        else:
            self.text.do(f"store {self.vector} {value}, ptr {target}, align {self.align}")

    def begin(self) -> list[list[str]]:
        """What comes before the loop; returns what the sums begin with."""
        text, lanes = self.text, self.tile.lanes
        text.label("entry")
        order = ", ".join(f"i32 {i}" for i in range(lanes))
        left = text(f"trunc i64 {text(f'sub nsw i64 %channels, {self.places[-1]}')} to i32")
        self.mask = text(f"icmp slt <{lanes} x i32> <{order}>, {splat(text, left, 'i32', lanes)}")
        rows = [text(f"mul nsw i64 %start.step, {r}") for r in range(self.tile.rows)]
        places = [self.at("%start", row) for row in rows]
        return [[self.load(p, j, False) for j in range(self.tile.vectors)] for p in places]

    def loop(self, starts: list[list[str]]) -> list[list[str]]:
        """The sums over the table's entries."""
        text, tile, vector = self.text, self.tile, self.vector
        apart = [text(f"mul nsw i64 %x.step, {r}") for r in range(tile.rows)]
        names = [[f"%sum.{r}.{j}" for j in range(tile.vectors)] for r in range(tile.rows)]
        text.do("br label %head")
        text.label("head")
        text.do("%k = phi i64 [ 0, %entry ], [ %k.next, %body ]")
        for sums, begun in zip(names, starts, strict=True):
            for value, start in zip(sums, begun, strict=True):
                text.do(f"{value} = phi {vector} [ {start}, %entry ], [ {value}.next, %body ]")
        text.do(f"br i1 {text('icmp slt i64 %k, %count')}, label %body, label %done")
        text.label("body")
        entry = text("getelementptr [2 x i64], ptr %table, i64 %k")
        image = self.at("%x", text(f"load i64, ptr {entry}"))
        place = text(f"load i64, ptr {text(f'getelementptr i64, ptr {entry}, i64 1')}")
        weights = self.at("%b", place)
        factors = [self.load(weights, j, self.bare and self.masked(j)) for j in range(tile.vectors)]
        for r, sums in enumerate(names):
            column = self.at(image, apart[r])
            for j, value in enumerate(sums):
                text.do(
                    f"{value}.next = call {vector} @llvm.fma.{self.suffix}({vector} "
                    f"{self.load(column, j, self.masked(j))}, {vector} {factors[j]}, "
                    f"{vector} {value})"
                )
        text.do("%k.next = add nuw nsw i64 %k, 1")
        text.do("br label %head")
        text.label("done")
        return names


def channel_tile(tile: Tile, edge: bool, bare: bool, name: str) -> str:
    """IR of `name(x, table, b, count, start, step in start, out, step in x, step in out,
    channels)`: out[r] = start[r] + sum over k < count of x[r, table[2 k]] * b[table[2 k + 1]].
    """
    writer = ChannelTile(tile, edge, bare)
    for r, sums in enumerate(writer.loop(writer.begin())):
        column = writer.at("%out", writer.text(f"mul nsw i64 %out.step, {r}"))
        for j, value in enumerate(sums):
            writer.store(value, column, j)
    writer.text.do("ret void")
    arguments = (
        "ptr readonly %x, ptr readonly %table, ptr readonly %b, i64 %count, ptr %start, "
        "i64 %start.step, ptr %out, i64 %x.step, i64 %out.step, i64 %channels"
    )
    head = f'define void @"{name}"({arguments}) {ATTRIBUTES} {{'
    return "\n".join([*declarations(tile), head, *writer.text.lines, "}"])


@functools.cache
def channel_tile_address(tile: Tile, edge: bool, bare: bool = False) -> int:
    """Machine code of the tile."""
    kind = ("_bare" if bare else "_edge") if edge else ""
    shape = f"{tile.lanes}x{tile.rows}x{tile.vectors}{kind}"
    name = f"conv_channels_{tile.dtype}_{shape}_4"
    return load(name, lambda: channel_tile(tile, edge, bare, name))[name]

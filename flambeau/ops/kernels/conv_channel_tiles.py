"""The inner loop of depthwise convolution with channels last, as LLVM IR: some columns of some
channels in registers while the taps pass by.

    address = channel_tile_address(tile, edge)    # for channels that are neighbours in memory

Called by ops.kernels.conv_channels and conv_weight_channels.
"""

from __future__ import annotations

import functools

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.vector_text import ATTRIBUTES, ELEMENT, Text, Tile, header, splat


def declarations(tile: Tile) -> list[str]:
    """The intrinsics that the tile calls."""
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

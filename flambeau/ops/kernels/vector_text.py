"""Vector code as LLVM IR text: what the register tiles of convolution and of matrix products are
written with.

    text = Text()
    a = text("load <16 x float>, ptr %place")        # appends "%v1 = load ..." and returns "%v1"
    b = splat(text, "%factor", "float", 16)

A `Tile` says how many accumulators a loop keeps in registers; which one fits a machine follows from
its vector registers (`tile_for`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from flambeau.codegen.llvm import engine

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

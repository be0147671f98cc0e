"""The transforms of Winograd's minimal filtering F(2 x 2, 3 x 3) as LLVM IR: four neighbouring
results of a 3 x 3 convolution from 16 products of sums instead of 36 products.

    Y = A^T ((G g G^T) * (B^T d B)) A

d is a 4 x 4 block of the image, g the kernel, Y the 2 x 2 results; summed over channels, the 16
products are 16 matrix products (Lavin and Gray, "Fast algorithms for convolutional neural
networks", 2015). Each transform works on a vector of blocks that are neighbours in a row of the
image (`input_address`, `output_address`), or of output channels (`kernel_address`):

    input_address("float32")        # an image's row of blocks -> 16 rows of numbers

Sums of at most four numbers: the error stays below that of the direct sum. Called by
ops.kernels.conv_winograd.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.conv_vectors import Vectors
from flambeau.ops.kernels.vector_text import machine_vectors, shuffle, splat

BLOCK = 4  # rows and columns of a transformed block
Line = Sequence[str]


def by_columns_then_rows(
    line: Callable[[Line], Line], block: Sequence[Sequence[str]]
) -> list[list[str]]:
    """A transform of one dimension along both dimensions of a block."""
    down = zip(*(line([row[j] for row in block]) for j in range(len(block[0]))), strict=True)
    return [list(line(row)) for row in down]


def input_tile(stored: str, name: str) -> str:
    """IR of `name(x, row step, first row, rows, first column, columns, count, out, out step,
    ahead)`: `count` blocks of a row of them, two columns apart; what lies outside the image is
    zero. What lies `ahead` (the next channel) is fetched: no processor guesses such short pieces.
    """
    v = Vectors(stored)
    text, lanes = v.text, v.lanes
    text.label("entry")
    lines, inside = [], []
    for r in range(BLOCK):
        row = text(f"add nsw i64 %first.row, {r}")
        inside.append(text(f"icmp ult i64 {row}, %rows"))
        lines.append(v.memory_place("%x", text(f"mul nsw i64 {row}, %row.step")))
    text.do("br label %head")
    text.label("head")
    text.do("%i = phi i64 [ 0, %entry ], [ %i.next, %head ]")
    column = text(f"add nsw i64 %first.column, {text('shl nsw i64 %i, 1')}")
    starts = [text(f"add nsw i64 {column}, {k}") for k in (0, lanes, 2, lanes + 2)]
    masks = [v.below(start, "%columns") for start in starts]
    block = []
    for line, condition in zip(lines, inside, strict=True):
        a, b, c, d = (
            v.load_stored(v.memory_place(line, start), v.both(mask, condition))
            for start, mask in zip(starts, masks, strict=True)
        )
        for start in starts[:2]:
            ahead = v.memory_place(v.memory_place(line, start), "%ahead")
            text.do(f"call void @llvm.prefetch.p0(ptr {ahead}, i32 0, i32 3, i32 1)")
        block.append(
            [
                shuffle(text, v.kind, low, high, places)
                for low, high in ((a, b), (c, d))
                for places in (v.evens, v.odds)
            ]
        )

    def line_of(d: Line) -> Line:
        return [v.sub(d[0], d[2]), v.add(d[1], d[2]), v.sub(d[2], d[1]), v.sub(d[1], d[3])]

    here = v.place("%out", "%i")
    for k, value in enumerate(sum(by_columns_then_rows(line_of, block), [])):
        v.store(value, v.place(here, text(f"mul nsw i64 %out.step, {k}")))
    text.do(f"%i.next = add nuw nsw i64 %i, {lanes}")
    text.do(f"br i1 {text('icmp slt i64 %i.next, %count')}, label %head, label %done")
    text.label("done")
    text.do("ret void")
    return v.function(
        name,
        "ptr noalias readonly %x, i64 %row.step, i64 %first.row, i64 %rows, i64 %first.column, "
        "i64 %columns, i64 %count, ptr noalias %out, i64 %out.step, i64 %ahead",
    )


def output_tile(stored: str, name: str) -> str:
    """IR of `name(products, step, bias, out, row step, rows, columns)`: two rows (or one) of
    `columns` results from a row of blocks.
    """
    v = Vectors(stored)
    text, lanes = v.text, v.lanes
    text.label("entry")
    bias = v.broadcast("%bias")
    second = text("icmp sgt i64 %rows, 1")
    text.do("br label %head")
    text.label("head")
    text.do("%i = phi i64 [ 0, %entry ], [ %i.next, %next ]")
    text.do("%column = shl nsw i64 %i, 1")
    here = v.place("%products", "%i")
    values = [v.load(v.place(here, text(f"mul nsw i64 %step, {k}"))) for k in range(BLOCK * BLOCK)]
    block = [values[k : k + BLOCK] for k in range(0, BLOCK * BLOCK, BLOCK)]

    def line_of(m: Line) -> Line:
        return [v.add(v.add(m[0], m[1]), m[2]), v.sub(v.sub(m[1], m[2]), m[3])]

    masks = [v.below(text(f"add nsw i64 %column, {part * lanes}"), "%columns") for part in range(2)]
    for r, row in enumerate(by_columns_then_rows(line_of, block)):
        even, odd = (v.add(value, bias) for value in row)
        target = v.memory_place("%out", "%column")
        if r == 1:
            text.do(f"br i1 {second}, label %second, label %next")
            text.label("second")
            target = v.memory_place(target, "%row.step")
        for part, value in enumerate(v.interleaved(even, odd)):
            v.store_stored(value, v.memory_place(target, part * lanes), masks[part])
    text.do("br label %next")
    text.label("next")
    text.do(f"%i.next = add nuw nsw i64 %i, {lanes}")
    text.do("%end = shl nsw i64 %i.next, 1")
    text.do(f"br i1 {text('icmp slt i64 %end, %columns')}, label %head, label %done")
    text.label("done")
    text.do("ret void")
    return v.function(
        name,
        "ptr noalias readonly %products, i64 %step, ptr noalias readonly %bias, "
        "ptr noalias %out, i64 %row.step, i64 %rows, i64 %columns",
    )


def kernel_tile(stored: str, name: str) -> str:
    """IR of `name(taps, first, step, out, out step)`: one channel's kernels for a vector of output
    channels; tap k of the nine lies at vector `first + k * step` of `taps`.
    """
    v = Vectors(stored)
    text = v.text
    text.label("entry")
    taps = []
    for k in range(9):
        number = text(f"add nsw i64 %first, {text(f'mul nsw i64 %step, {k}')}")
        taps.append(v.load(v.place("%taps", text(f"mul nsw i64 {number}, {v.lanes}"))))
    half = splat(text, "0.5", v.scalar, v.lanes)

    def line_of(g: Line) -> Line:
        ends = v.add(g[0], g[2])
        middle = [v.add(ends, g[1]), v.sub(ends, g[1])]
        return [g[0], *(text(f"fmul {v.kind} {m}, {half}") for m in middle), g[2]]

    block = [taps[k : k + 3] for k in range(0, 9, 3)]
    for k, value in enumerate(sum(by_columns_then_rows(line_of, block), [])):
        v.store(value, v.place("%out", text(f"mul nsw i64 %out.step, {k}")))
    text.do("ret void")
    return v.function(
        name,
        "ptr noalias readonly %taps, i64 %first, i64 %step, ptr noalias %out, i64 %out.step",
    )


def address(what: str, make: Callable[[str, str], str], dtype: str) -> int:
    """Machine code of one transform."""
    name = f"conv_winograd_{what}_{dtype}_{machine_vectors()[0]}_5"
    return load(name, lambda: make(dtype, name))[name]


@functools.cache
def input_address(dtype: str) -> int:
    """Machine code of the image's transform."""
    return address("input", input_tile, dtype)


@functools.cache
def output_address(dtype: str) -> int:
    """Machine code of the results' transform."""
    return address("output", output_tile, dtype)


@functools.cache
def kernel_address(dtype: str) -> int:
    """Machine code of the kernels' transform."""
    return address("kernel", kernel_tile, dtype)

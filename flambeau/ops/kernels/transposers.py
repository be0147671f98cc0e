"""Square blocks transposed in registers, as LLVM IR: how panels of a matrix product are made of
rows that are contiguous along the other dimension.

    transposer_address("float32", "float32")                    # rows of b as columns of a panel

Called by ops.kernels.gemm; convolutions over points transpose blocks in the same way.
"""

from __future__ import annotations

import functools

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.gemm_tiles import (
    ELEMENT,
    PAIRS,
    STORED,
    Tile,
    Writer,
    lanes_of,
    load_stored,
    widened,
)
from flambeau.ops.kernels.vector_text import Text, shuffle


def transposed(text: Text, scalar: str, lanes: int, rows: list[str]) -> list[str]:
    """The columns of a square block given by its rows: halves are exchanged at each distance."""
    vector, distance = f"<{lanes} x {scalar}>", 1
    while distance < lanes:
        block = 2 * distance
        low = [i if i % block < distance else lanes + i - distance for i in range(lanes)]
        high = [i + distance if i % block < distance else lanes + i for i in range(lanes)]
        for i in range(lanes):
            if i % block < distance:
                a, b = rows[i], rows[i + distance]
                rows[i] = shuffle(text, vector, a, b, low)
                rows[i + distance] = shuffle(text, vector, a, b, high)
        distance = block
    return rows


def transposer(stored: str, dtype: str, name: str) -> str:
    """IR of `name(source, row of source, valid rows, count, target, step)`: at most one vector's
    number of rows, contiguous along k, become columns of a panel whose rows are `step` apart.
    Whole vectors are written, so the panel has room for a vector's number of rows more.
    """
    scalar, lanes = "i32" if dtype == PAIRS else ELEMENT[dtype][0], lanes_of(dtype)
    w = Writer(Tile(dtype, lanes, 1, 1))
    text, memory = w.text, STORED[stored][0]
    vector, block = f"<{lanes} x {memory}>", f"<{lanes} x {scalar}>"
    text.label("entry")
    last, rows = text("sub nsw i64 %valid, 1"), []
    for r in range(lanes):
        row = text(w.call("i64", "llvm.smin.i64", f"i64 {r}", f"i64 {last}"))
        rows.append(w.place("%source", text(f"mul nsw i64 {row}, %source.row"), memory))
    whole = text(f"and i64 %count, {-lanes}")
    edge = w.mask(text(f"sub nsw i64 %count, {whole}"))
    text.do("br label %head")
    text.label("head")
    text.do("%k = phi i64 [ 0, %entry ], [ %k.next, %write ]")
    text.do(f"br i1 {text('icmp slt i64 %k, %count')}, label %body, label %done")
    text.label("body")
    text.do(f"br i1 {text(f'icmp slt i64 %k, {whole}')}, label %full, label %part")
    text.label("full")
    full = [load_stored(w, stored, w.place(row, "%k", memory), None) for row in rows]
    text.do("br label %write")
    text.label("part")
    part = [load_stored(w, stored, w.place(row, "%k", memory), edge) for row in rows]
    text.do("br label %write")
    text.label("write")
    values = []
    for r in range(lanes):
        text.do(f"%row.{r} = phi {vector} [ {full[r]}, %full ], [ {part[r]}, %part ]")
    for r in range(lanes):
        values.append(widened(text, stored, scalar, lanes, f"%row.{r}"))
    target = w.place("%target", text("mul nsw i64 %k, %step"), scalar)
    for i, column in enumerate(transposed(text, scalar, lanes, values)):
        place = w.place(target, text(f"mul nsw i64 %step, {i}"), scalar)
        text.do(f"store {block} {column}, ptr {place}, align {w.size}")
    text.do(f"%k.next = add nuw nsw i64 %k, {lanes}")
    text.do("br label %head")
    text.label("done")
    text.do("ret void")
    return w.function(
        name,
        "ptr readonly %source, i64 %source.row, i64 %valid, i64 %count, ptr %target, i64 %step",
    )


@functools.cache
def transposer_address(stored: str, dtype: str) -> int:
    """Machine code of a transposer from a stored dtype to the one that a tile computes in."""
    name = f"gemm_transposer_{stored.replace(' ', '_')}_{dtype}_{lanes_of(dtype)}_1"
    return load(name, lambda: transposer(stored, dtype, name))[name]

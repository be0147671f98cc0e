"""Copies of rows by whole vectors as LLVM IR, also of every second element: how images come into
padded planes.

    address = copy_rows_address("float32", stride=2)

Called by ops.kernels.conv_padding and pooling.
"""

from __future__ import annotations

import functools

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.vector_text import (
    ATTRIBUTES,
    ELEMENT,
    Text,
    machine_vectors,
    shuffle,
    splat,
)


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


def copy_row(text: Text, dtype: str, lanes: int, stride: int) -> None:
    """One row, from label `vectors` to `next`: whole vectors, what is left of one."""
    scalar, align, short = ELEMENT[dtype]
    vector = f"<{lanes} x {scalar}>"
    text.label("vectors")
    text.do("%i = phi i64 [ 0, %row ], [ %i.next, %copy ]")
    text.do("%more = icmp slt i64 %i, %whole")
    text.do("br i1 %more, label %copy, label %tail")
    text.label("copy")
    place = text(f"getelementptr {scalar}, ptr %from, i64 {text(f'mul nsw i64 %i, {stride}')}")
    if stride == 1:
        value = text(f"load {vector}, ptr {place}, align {align}")
    else:
        value = load_row(text, dtype, lanes, stride, place, text("sub nsw i64 %columns, %i"))
    target = text(f"getelementptr {scalar}, ptr %to, i64 %i")
    text.do(f"store {vector} {value}, ptr {target}, align {align}")
    text.do(f"%i.next = add nuw nsw i64 %i, {lanes}")
    text.do("br label %vectors")
    text.label("tail")
    text.do("br i1 %partial, label %masked, label %next")
    text.label("masked")
    place = text(f"getelementptr {scalar}, ptr %from, i64 {text(f'mul nsw i64 %whole, {stride}')}")
    value = load_row(text, dtype, lanes, stride, place, "%rest")
    target = text(f"getelementptr {scalar}, ptr %to, i64 %whole")
    text.do(
        f"call void @llvm.masked.store.v{lanes}{short}.p0({vector} {value}, ptr {target}, "
        f"i32 {align}, <{lanes} x i1> %mask)"
    )
    text.do("br label %next")


def copy_rows(dtype: str, stride: int, name: str) -> str:
    """IR of `name(target, source, rows, columns, target step, source step)`: rows of elements that
    lie `stride` apart. Nothing but the elements is written.
    """
    scalar, align, short = ELEMENT[dtype]
    lanes = machine_vectors()[0] // align
    vector, mask = f"<{lanes} x {scalar}>", f"<{lanes} x i1>"
    text = Text()
    text.label("entry")
    text.do(f"%whole = and i64 %columns, {-lanes}")
    text.do("%rest = sub nsw i64 %columns, %whole")
    limit = splat(text, text("trunc i64 %rest to i32"), "i32", lanes)
    order = ", ".join(f"i32 {i}" for i in range(lanes))
    text.do(f"%mask = icmp slt <{lanes} x i32> <{order}>, {limit}")
    text.do("%partial = icmp sgt i64 %rest, 0")
    text.do("br label %row")
    text.label("row")
    text.do("%r = phi i64 [ 0, %entry ], [ %r.next, %next ]")
    text.do("%to = phi ptr [ %target, %entry ], [ %to.next, %next ]")
    text.do("%from = phi ptr [ %source, %entry ], [ %from.next, %next ]")
    text.do("%some = icmp slt i64 %r, %rows")
    text.do("br i1 %some, label %vectors, label %done")
    copy_row(text, dtype, lanes, stride)
    text.label("next")
    text.do("%r.next = add nuw nsw i64 %r, 1")
    text.do(f"%to.next = getelementptr {scalar}, ptr %to, i64 %target.step")
    text.do(f"%from.next = getelementptr {scalar}, ptr %from, i64 %source.step")
    text.do("br label %row")
    text.label("done")
    text.do("ret void")
    declarations = [
        f"declare {vector} @llvm.masked.load.v{lanes}{short}.p0(ptr, i32, {mask}, {vector})",
        f"declare void @llvm.masked.store.v{lanes}{short}.p0({vector}, ptr, i32, {mask})",
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
def copy_rows_address(dtype: str, stride: int) -> int:
    """Machine code that copies rows."""
    name = f"conv_copy_{dtype}_{machine_vectors()[0]}_{stride}_5"
    return load(name, lambda: copy_rows(dtype, stride, name))[name]

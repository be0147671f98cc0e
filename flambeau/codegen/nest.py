"""Pieces of LLVM IR that every generated kernel uses: operands and parameters, loads and stores,
the loop over outer dimensions.

Called by the writers `codegen/pointwise_writer.py` and `codegen/reduction_writer.py`. The kernel
signature is explained in `codegen/loops.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.codegen.dtypes import ITEMSIZE, KIND
from flambeau.codegen.emit import Emitter, memory_type

INTEGER_DIVISION_BY_ZERO = 1


def load(emitter: Emitter, address: str, dtype: str, note: str = "", lanes: int = 1) -> list[str]:
    """Load one element (its parts if complex) as computed values."""
    memory = memory_type(dtype, lanes)
    align = ITEMSIZE[dtype] // (2 if KIND[dtype] == "c" else 1)
    names = [emitter.let(f"load {memory}, ptr {address}, align {align}{note}")]
    if KIND[dtype] == "c":
        second = emitter.let(f"getelementptr inbounds {memory}, ptr {address}, i64 1")
        names.append(emitter.let(f"load {memory}, ptr {second}, align {align}{note}"))
    return [emitter.after_load(name, dtype, lanes) for name in names]


def store(
    emitter: Emitter,
    address: str,
    values: Sequence[str],
    value_dtypes: Sequence[str],
    dtype: str,
    note: str = "",
    lanes: int = 1,
) -> None:
    """Store one element; a complex output takes a real value with a zero imaginary part."""
    memory = memory_type(dtype, lanes)
    align = ITEMSIZE[dtype] // (2 if KIND[dtype] == "c" else 1)
    parts = [emitter.before_store(v, d, dtype, lanes) for v, d in zip(values, value_dtypes)]
    emitter.line(f"store {memory} {parts[0]}, ptr {address}, align {align}{note}")
    if KIND[dtype] == "c":
        second = emitter.let(f"getelementptr inbounds {memory}, ptr {address}, i64 1")
        imaginary = parts[1] if len(parts) > 1 else "0.0"
        emitter.line(f"store {memory} {imaginary}, ptr {second}, align {align}{note}")


def param(emitter: Emitter, index: int) -> str:
    """Load params[index]."""
    address = emitter.let(f"getelementptr inbounds i64, ptr %params, i64 {index}")
    return emitter.let(f"load i64, ptr {address}, align 8, !invariant.load !2")


def buffer(emitter: Emitter, index: int) -> str:
    """Load buffers[index]."""
    address = emitter.let(f"getelementptr inbounds ptr, ptr %buffers, i64 {index}")
    return emitter.let(f"load ptr, ptr {address}, align 8, !invariant.load !2")


HEADER = "define void @{name}(ptr %buffers, ptr %params, i64 %start, i64 %stop) nounwind {{"
FOOTER = (
    "}",
    "!0 = distinct !{!0, !3}",
    "!1 = distinct !{}",
    "!2 = !{}",
    '!3 = !{!"llvm.loop.parallel_accesses", !1}',
    "!4 = distinct !{!4, !5}",
    '!5 = !{!"llvm.loop.vectorize.enable", i1 false}',
    "!6 = distinct !{!6, !3, !7}",
    '!7 = !{!"llvm.loop.interleave.count", i32 2}',
)


def report(emitter: Emitter, failed: str | None, operand: int) -> None:
    """End the kernel; where `failed` holds, set the error word, which is buffer `operand`."""
    if failed is not None:
        emitter.line(f"br i1 {failed}, label %failed, label %done")
        emitter.label("failed")
        word = buffer(emitter, operand)
        emitter.line(f"store i64 {INTEGER_DIVISION_BY_ZERO}, ptr {word}, align 8")
    emitter.line("br label %done")
    emitter.label("done")
    emitter.line("ret void")


class Odometer:
    """A multi-index of runtime rank over the outer dimensions, with the byte offset of every
    operand.

    Its parameters lie at `table`: `rank` sizes, then per operand an inner stride and `rank` outer
    strides.
    """

    def __init__(self, emitter: Emitter, rank: str, table: str, operands: int) -> None:
        self.emitter, self.rank, self.sizes = emitter, rank, table
        self.indices = emitter.let("alloca [64 x i64], align 8")
        step = emitter.let(f"add nsw i64 {rank}, 1")
        self.strides = [self._entry(table, rank)]
        for _ in range(operands):
            self.strides.append(self._entry(self.strides[-1], step))
        self.end = self.strides.pop()

    def _entry(self, table: str, index: str) -> str:
        return self.emitter.let(f"getelementptr inbounds i64, ptr {table}, i64 {index}")

    def _load(self, address: str) -> str:
        return self.emitter.let(f"load i64, ptr {address}, align 8, !invariant.load !2")

    def inner_stride(self, operand: int) -> str:
        """The inner byte stride of an operand."""
        return self._load(self.strides[operand])

    def _stride(self, operand: int, dimension: str) -> str:
        return self._load(self._entry(self._entry(self.strides[operand], dimension), "1"))

    def seek(self, row: str) -> list[str]:
        """Set the index to `row`; the operands' offsets. Ends the present block."""
        emitter = self.emitter
        loop, step, ready = emitter.fresh("seek"), emitter.fresh("digit"), emitter.fresh("ready")
        before = emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        left, dimension = emitter.phi("i64", row, before), emitter.phi("i64", self.rank, before)
        offsets = [emitter.phi("i64", "0", before) for _ in self.strides]
        more = emitter.let(f"icmp sgt i64 {dimension}, 0")
        emitter.line(f"br i1 {more}, label %{step}, label %{ready}")
        emitter.label(step)
        inner = emitter.let(f"add nsw i64 {dimension}, -1")
        size = self._load(self._entry(self.sizes, inner))
        quotient = emitter.let(f"udiv i64 {left}, {size}")
        digit = emitter.let(f"urem i64 {left}, {size}")
        emitter.line(f"store i64 {digit}, ptr {self._entry(self.indices, inner)}, align 8")
        for operand, offset in enumerate(offsets):
            distance = emitter.let(f"mul nsw i64 {digit}, {self._stride(operand, inner)}")
            emitter.arrive(offset, emitter.let(f"add nsw i64 {offset}, {distance}"))
        emitter.arrive(left, quotient)
        emitter.arrive(dimension, inner)
        emitter.line(f"br label %{loop}")
        emitter.label(ready)
        return offsets

    def reset(self) -> None:
        """Set the index to zero. Ends the present block."""
        emitter = self.emitter
        loop, step, ready = emitter.fresh("reset"), emitter.fresh("digit"), emitter.fresh("ready")
        before = emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        dimension = emitter.phi("i64", "0", before)
        more = emitter.let(f"icmp slt i64 {dimension}, {self.rank}")
        emitter.line(f"br i1 {more}, label %{step}, label %{ready}")
        emitter.label(step)
        emitter.line(f"store i64 0, ptr {self._entry(self.indices, dimension)}, align 8")
        emitter.arrive(dimension, emitter.let(f"add nsw i64 {dimension}, 1"))
        emitter.line(f"br label %{loop}")
        emitter.label(ready)

    def advance(self, offsets: Sequence[str]) -> list[str]:
        """Step to the next row, which must exist; the new offsets. Ends the present block."""
        emitter = self.emitter
        loop, carry, ready = (
            emitter.fresh("advance"),
            emitter.fresh("carry"),
            emitter.fresh("advanced"),
        )
        before = emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        dimension = emitter.phi("i64", self.rank, before)
        sums = [emitter.phi("i64", offset, before) for offset in offsets]
        inner = emitter.let(f"add nsw i64 {dimension}, -1")
        cell = self._entry(self.indices, inner)
        old = emitter.let(f"load i64, ptr {cell}, align 8")
        new = emitter.let(f"add nsw i64 {old}, 1")
        inside = emitter.let(f"icmp slt i64 {new}, {self._load(self._entry(self.sizes, inner))}")
        strides = [self._stride(operand, inner) for operand in range(len(offsets))]
        emitter.line(f"br i1 {inside}, label %{ready}, label %{carry}")
        emitter.label(carry)
        emitter.line(f"store i64 0, ptr {cell}, align 8")
        for total, stride in zip(sums, strides):
            distance = emitter.let(f"mul nsw i64 {old}, {stride}")
            emitter.arrive(total, emitter.let(f"sub nsw i64 {total}, {distance}"))
        emitter.arrive(dimension, inner)
        emitter.line(f"br label %{loop}")
        emitter.label(ready)
        emitter.line(f"store i64 {new}, ptr {cell}, align 8")
        return [
            emitter.let(f"add nsw i64 {total}, {stride}") for total, stride in zip(sums, strides)
        ]

"""Writes the LLVM IR of a pointwise kernel in tiles: for operands whose contiguous axis is not that
of the outputs.

Called by `codegen/loops.py` for transposed copies and the like. The outputs are contiguous along
axis p. A 't' operand is contiguous along axis q: a tile of `lanes` x `lanes` elements of it is
loaded as vectors along q and transposed in registers, so that every access is to whole cache lines.
What does not fill a tile is done one element at a time. An item is a band of BAND elements along q,
over all of p. Params: sizes of p and q, outer rank, every operand's stride along q, then the table
of the odometer, whose innermost dimension counts the bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau.codegen.dtypes import ITEMSIZE, compute_dtype
from flambeau.codegen.emit import Emitter, Slot, llvm_type, lower, memory_type
from flambeau.codegen.expr import Expr
from flambeau.codegen.nest import FOOTER, HEADER, Odometer, buffer, load, param, report, store

if TYPE_CHECKING:
    from flambeau.codegen.loops import PointwiseKernel

BAND = 32


def tile_lanes(dtypes: Sequence[str], classes: str) -> int:
    """The side of a tile: a register of the widest transposed operand, at most 16."""
    widest = max(ITEMSIZE[dtype] for dtype, cls in zip(dtypes, classes) if cls == "t")
    return min(16, 64 // widest)


class TileWriter:
    """Writes one tiled kernel."""

    def __init__(self, kernel: PointwiseKernel) -> None:
        self.kernel, self.emitter = kernel, Emitter()
        known: dict[Expr, tuple[Expr, ...]] = {}
        self.roots = [lower(expr, known)[0] for expr in kernel.exprs]
        self.lanes = tile_lanes(kernel.dtypes, kernel.classes)
        self.p_strides: list[str] = []
        self.q_strides: list[str] = []

    def text(self) -> str:
        """The kernel."""
        kernel, emitter, count = self.kernel, self.emitter, len(self.kernel.dtypes)
        emitter.line("entry:")
        buffers = [buffer(emitter, index) for index in range(count)]
        p_size, q_size, rank = (param(emitter, index) for index in range(3))
        self.q_strides = [param(emitter, 3 + index) for index in range(count)]
        table = emitter.let(f"getelementptr inbounds i64, ptr %params, i64 {3 + count}")
        odometer = Odometer(emitter, rank, table, count + 1)
        self.p_strides = [odometer.inner_stride(index) for index in range(count)]
        some = emitter.let("icmp slt i64 %start, %stop")
        emitter.line(f"br i1 {some}, label %begin, label %done")
        emitter.label("begin")
        first = odometer.seek("%start")
        before = emitter.block
        emitter.line("br label %head")
        emitter.label("head")
        item = emitter.phi("i64", "%start", before)
        offsets = [emitter.phi("i64", offset, before) for offset in first]
        bases = [self.emitter.at(base, offset) for base, offset in zip(buffers, offsets)]
        self._band(bases, p_size, emitter.let(f"sub nsw i64 {q_size}, {offsets[-1]}"))
        following = emitter.let(f"add nuw nsw i64 {item}, 1")
        again = emitter.let(f"icmp slt i64 {following}, %stop")
        emitter.line(f"br i1 {again}, label %next, label %finished")
        emitter.label("next")
        for offset, new in zip(offsets, odometer.advance(offsets)):
            emitter.arrive(offset, new)
        emitter.arrive(item, following)
        emitter.line("br label %head")
        emitter.label("finished")
        report(emitter, None, count)
        return emitter.text([HEADER.format(name=kernel.symbol_name)], FOOTER)

    def _place(self, bases: Sequence[str], p: str, q: str) -> list[str]:
        """The operands' addresses at (p, q)."""
        places = []
        for base, p_stride, q_stride in zip(bases, self.p_strides, self.q_strides):
            along_p = self.emitter.let(f"mul nsw i64 {p}, {p_stride}")
            along_q = self.emitter.let(f"mul nsw i64 {q}, {q_stride}")
            places.append(
                self.emitter.at(base, self.emitter.let(f"add nsw i64 {along_p}, {along_q}"))
            )
        return places

    def _loop(self, start: str, stop: str) -> tuple[str, str, str]:
        """Open a loop whose body follows; its counter, and the labels to close it with."""
        emitter = self.emitter
        head, body, after = emitter.fresh("loop"), emitter.fresh("body"), emitter.fresh("after")
        before = emitter.block
        emitter.line(f"br label %{head}")
        emitter.label(head)
        index = emitter.phi("i64", start, before)
        more = emitter.let(f"icmp slt i64 {index}, {stop}")
        emitter.line(f"br i1 {more}, label %{body}, label %{after}")
        emitter.label(body)
        return index, head, after

    def _close(self, loop: tuple[str, str, str], step: int) -> None:
        index, head, after = loop
        self.emitter.arrive(index, self.emitter.let(f"add nuw nsw i64 {index}, {step}"))
        self.emitter.line(f"br label %{head}")
        self.emitter.label(after)

    def _band(self, bases: Sequence[str], p_size: str, left: str) -> None:
        """All of p for the next BAND of the `left` elements along q."""
        emitter, lanes = self.emitter, self.lanes
        emitter.declare("i64", "llvm.smin.i64", "i64 a, i64 b")
        height = emitter.let(f"call i64 @llvm.smin.i64(i64 {left}, i64 {BAND})")
        p_full = emitter.let(f"and i64 {p_size}, {-lanes}")
        q_full = emitter.let(f"and i64 {height}, {-lanes}")
        columns = self._loop("0", p_full)
        rows = self._loop("0", q_full)
        self._tile(self._place(bases, columns[0], rows[0]))
        self._close(rows, lanes)
        self._close(columns, lanes)
        # Two strips are left: beyond the tiles along q, and beyond them along p.
        strip = self._loop("0", "2")
        first = emitter.let(f"icmp eq i64 {strip[0]}, 0")
        p_start = emitter.let(f"select i1 {first}, i64 0, i64 {p_full}")
        p_stop = emitter.let(f"select i1 {first}, i64 {p_full}, i64 {p_size}")
        q_start = emitter.let(f"select i1 {first}, i64 {q_full}, i64 0")
        q = self._loop(q_start, height)
        p = self._loop(p_start, p_stop)
        self._element(self._place(bases, p[0], q[0]))
        self._close(p, 1)
        self._close(q, 1)
        self._close(strip, 1)

    def _element(self, places: Sequence[str]) -> None:
        inputs: dict[Slot, str] = {}
        for index, dtype in enumerate(self.kernel.input_dtypes):
            inputs[index, 0] = load(self.emitter, places[index], dtype)[0]
        self._compute(places[len(inputs) :], inputs, 1)

    def _compute(self, outputs: Sequence[str], inputs: dict[Slot, str], lanes: int) -> None:
        known: dict[Expr, str] = {}
        values = [self.emitter.value(root, inputs, lanes, known) for root in self.roots]
        for place, root, value, dtype in zip(
            outputs, self.roots, values, self.kernel.output_dtypes
        ):
            store(self.emitter, place, [value], [root.dtype], dtype, lanes=lanes)

    def _tile(self, places: Sequence[str]) -> None:
        """Compute a whole tile: all transposed operands first, then vector after vector."""
        emitter, lanes, kernel = self.emitter, self.lanes, self.kernel
        turned: dict[int, list[str]] = {}
        for operand, dtype in enumerate(kernel.input_dtypes):
            if kernel.classes[operand] == "t":
                vector, align = memory_type(dtype, lanes), ITEMSIZE[dtype]
                place, names = places[operand], []
                for _ in range(lanes):
                    names.append(emitter.let(f"load {vector}, ptr {place}, align {align}"))
                    place = self.emitter.at(place, self.p_strides[operand])
                turned[operand] = self._transpose(names, vector)
        current = list(places)
        for line in range(lanes):
            inputs: dict[Slot, str] = {}
            for operand, dtype in enumerate(kernel.input_dtypes):
                if operand in turned:
                    value = emitter.after_load(turned[operand][line], dtype, lanes)
                else:
                    value = self._load(operand, current[operand], dtype)
                inputs[operand, 0] = value
            self._compute(current[len(inputs) :], inputs, lanes)
            current = [self.emitter.at(place, q) for place, q in zip(current, self.q_strides)]

    def _load(self, operand: int, place: str, dtype: str) -> str:
        """A vector along p of an operand that is contiguous or constant along it."""
        emitter, lanes = self.emitter, self.lanes
        if self.kernel.classes[operand] == "1":
            return load(emitter, place, dtype, lanes=lanes)[0]
        (one,) = load(emitter, place, dtype)
        computed = compute_dtype(dtype)
        vector = llvm_type(computed, lanes)
        only = emitter.let(f"insertelement {vector} poison, {llvm_type(computed)} {one}, i64 0")
        mask = f"<{lanes} x i32> zeroinitializer"
        return emitter.let(f"shufflevector {vector} {only}, {vector} poison, {mask}")

    def _transpose(self, names: list[str], vector: str) -> list[str]:
        """Transpose a square by exchanging blocks of 1, 2, 4, ... (Eklundh, 1972)."""
        lanes, step = self.lanes, 1
        while step < lanes:
            low, high = [], []
            for lane in range(lanes):
                low.append(lane if not lane & step else lanes + lane - step)
                high.append(lane + step if not lane & step else lanes + lane)
            new = list(names)
            for i in range(lanes):
                if not i & step:
                    for target, picks in ((i, low), (i + step, high)):
                        mask = ", ".join(f"i32 {pick}" for pick in picks)
                        new[target] = self.emitter.let(
                            f"shufflevector {vector} {names[i]}, {vector} {names[i + step]}, "
                            f"<{lanes} x i32> <{mask}>"
                        )
            names, step = new, 2 * step
        return names

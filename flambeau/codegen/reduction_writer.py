"""Writes the LLVM IR of one reduction kernel. Called by `codegen/reduce.py`, which has the plan and
explains the structures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau.codegen.emit import (
    Slot,
    llvm_type,
)
from flambeau.codegen.expr import postorder
from flambeau.codegen.lane_writer import LaneWriter
from flambeau.codegen.monoids import Stage
from flambeau.codegen.nest import FOOTER, HEADER, Odometer, buffer, param
from flambeau.codegen.states import fill, parts, state_address

if TYPE_CHECKING:
    from flambeau.codegen.reduce import ReductionKernel

# Elements per accumulator and sweep; with several stages a block must stay in the first-level
# cache.
BLOCK = {"inner": 2048, "outer": 32}
STAGED_BLOCK = {"inner": 4096, "outer": 64}
FIXED = 8  # params before the reduction's own: see ReductionWriter.text


def block_length(structure: str, stages: int, step: int) -> int:
    """Elements of a block that is swept in steps of `step`."""
    size = (BLOCK if stages == 1 else STAGED_BLOCK)[structure]
    return size - size % step


class ReductionWriter(LaneWriter):
    """Writes one reduction kernel."""

    def __init__(self, kernel: ReductionKernel) -> None:
        super().__init__(kernel)
        self.reduction = kernel.reduction
        state = parts(self.reduction.start)
        self.state_types = [llvm_type(dtype, self.coarse_lanes) for dtype in state]
        self.first_stage = 0  # the number of the reduction's first stage
        self.seen: dict[Slot, str] = {}  # slots that elements and stages see besides their own

    def stage(self, number: int) -> Stage:
        """A stage by its number."""
        return self.reduction.stages[number]

    def elements(self, bases: Sequence[str], index: str, lanes: int) -> dict[Slot, str]:
        """Load all operands and compute the elements x0, x1, ..."""
        inputs: dict[Slot, str] = {}
        for operand, base in enumerate(bases):
            for part, name in enumerate(self.load(operand, base, index, lanes)):
                inputs[operand, part] = name
        return fill("x", self.kernel.elements, self.evaluate(self.kernel.elements, inputs, lanes))

    # A block

    def sweep(
        self, number: int, bases: Sequence[str], begin: str, count: str, earlier: dict[Slot, str]
    ) -> dict[Slot, str]:
        """One stage over elements [begin, begin + count): the slots with its results."""
        stage, lanes = self.stage(number), self.kernel.lanes
        start = self.evaluate(stage.start, {}, lanes)
        accumulators = self.accumulate(number, bases, begin, count, start, earlier)
        if self.inner:
            accumulators = self._horizontal(stage, accumulators)
        return fill(f"stage{number}.", stage.start, accumulators)

    def accumulate(
        self,
        number: int,
        bases: Sequence[str],
        begin: str,
        count: str,
        start: Sequence[str],
        earlier: dict[Slot, str],
    ) -> list[str]:
        """A stage's accumulators, `start` before, after elements [begin, begin + count)."""
        stage, emitter, lanes = self.stage(number), self.emitter, self.kernel.lanes
        types = [llvm_type(dtype, lanes) for dtype in parts(stage.start)]
        whole = self.whole_vectors(count)
        head, body, after = (emitter.fresh(name) for name in ("sweep", "take", "swept"))
        before = emitter.block
        emitter.line(f"br label %{head}")
        emitter.label(head)
        position = emitter.phi("i64", "0", before)
        accumulators = [emitter.phi(t, value, before) for t, value in zip(types, start)]
        more = emitter.let(f"icmp slt i64 {position}, {whole}")
        emitter.line(f"br i1 {more}, label %{body}, label %{after}")
        emitter.label(body)
        stepped = self._take(number, bases, begin, position, accumulators, earlier)
        for phi, value in zip(accumulators, stepped):
            emitter.arrive(phi, value)
        emitter.arrive(position, emitter.let(f"add nuw nsw i64 {position}, {self.step}"))
        emitter.line(f"br label %{head}")
        emitter.label(after)
        if self.inner and lanes > 1:
            accumulators = self._tail(number, bases, begin, (count, whole), accumulators, earlier)
        return accumulators

    def _take(
        self,
        stage_number: int,
        bases: Sequence[str],
        begin: str,
        position: str,
        accumulators: Sequence[str],
        earlier: dict[Slot, str],
    ) -> list[str]:
        """The accumulators after the elements at `position` of the block."""
        stage, emitter, lanes = self.stage(stage_number), self.emitter, self.kernel.lanes
        index = emitter.let(f"add nsw i64 {begin}, {position}")
        if self.inner:
            slots = self.elements(bases, index, lanes)
        else:
            moved = []
            for operand, base in enumerate(bases):
                distance = emitter.let(f"mul nsw i64 {index}, {self.reduced_strides[operand]}")
                moved.append(emitter.at(base, distance))
            slots = self.elements(moved, "0", lanes)
        if any(node.op == "slot" and node.value == "index" for node in postorder(stage.step)):
            row = self._per_output(position)
            narrow = self.splat(emitter.let(f"trunc i64 {row} to i32"), "int32", lanes)
            if self.inner and lanes > 1:
                narrow = emitter.let(
                    f"add nsw {llvm_type('int32', lanes)} {narrow}, "
                    f"{self.lane_numbers(lanes, self.group)}"
                )
            slots["index", 0] = narrow
        return self.evaluate(
            stage.step, {**slots, **earlier, **fill("acc", stage.start, accumulators)}, lanes
        )

    def _tail(
        self,
        number: int,
        bases: Sequence[str],
        begin: str,
        counts: tuple[str, str],
        accumulators: list[str],
        earlier: dict[Slot, str],
    ) -> list[str]:
        """Take in what does not fill a vector: a part of one for groups, else the last full vector
        of the row, less the lanes that were taken before.
        """
        emitter, lanes, (count, whole) = self.emitter, self.kernel.lanes, counts
        types = [llvm_type(dtype, lanes) for dtype in parts(self.stage(number).start)]
        tail, done, before = emitter.fresh("tail"), emitter.fresh("total"), emitter.block
        rest = emitter.let(f"icmp slt i64 {whole}, {count}")
        emitter.line(f"br i1 {rest}, label %{tail}, label %{done}")
        emitter.label(tail)
        if self.group > 1:
            position = whole
            fresh = self.mask = self.below(emitter.let(f"sub nsw i64 {count}, {whole}"))
        else:
            position = emitter.let(f"sub nsw i64 {count}, {lanes}")
            seen = self.below(emitter.let(f"sub nsw i64 {whole}, {position}"))
            fresh = emitter.let(f"xor <{lanes} x i1> {seen}, splat (i1 true)")
        taken = self._take(number, bases, begin, position, accumulators, earlier)
        self.mask, mask = "", llvm_type("bool", lanes)
        chosen = [
            emitter.let(f"select {mask} {fresh}, {t} {new}, {t} {old}")
            for t, new, old in zip(types, taken, accumulators)
        ]
        end = emitter.block
        emitter.line(f"br label %{done}")
        emitter.label(done)
        return [
            emitter.let(f"phi {t} [ {old}, %{before} ], [ {new}, %{end} ]")
            for t, old, new in zip(types, accumulators, chosen)
        ]

    def block(self, bases: Sequence[str], begin: str, count: str, first: str) -> list[str]:
        """All stages over one block; the parts of its state."""
        results: dict[Slot, str] = {}
        seen = dict(self.seen)  # the same as the elements see it: in every lane
        each = self._per_output(count)
        for number, stage in enumerate(self.reduction.stages, self.first_stage):
            if self._uses_count(stage):
                seen["count", 0] = self.splat(each, "int64", self.kernel.lanes)
            slots = self.sweep(number, bases, begin, count, seen)
            results.update(slots)
            for (slot, name), dtype in zip(slots.items(), parts(stage.start)):
                seen[slot] = self.in_lanes(name, dtype)
        results["count", 0] = self.splat(each, "int64", self.coarse_lanes)
        place = self._per_output(first)
        results["first", 0] = self.splat(place, "int64", self.coarse_lanes)
        return self.evaluate(self.reduction.block, results, self.coarse_lanes)

    def _uses_count(self, stage: Stage) -> bool:
        return any(node.op == "slot" and node.value == "count" for node in postorder(stage.step))

    # The nest

    def text(self) -> str:
        """The kernel."""
        kernel, emitter = self.kernel, self.emitter
        inputs, outputs = (
            len(kernel.input_dtypes),
            1 if kernel.partial else len(kernel.output_dtypes),
        )
        emitter.line("entry:")
        buffers = [buffer(emitter, index) for index in range(inputs + outputs)]
        self.length, self.limit, self.rows, size, self.width, self.states, rank, reduced_rank = (
            param(emitter, k) for k in range(FIXED)
        )
        self.shared["size", 0] = size
        for k in range(self.reduction.parameters):
            bits = param(emitter, FIXED + k)
            self.shared[f"param{k}", 0] = emitter.let(f"bitcast i64 {bits} to double")
        table = emitter.let(
            f"getelementptr inbounds i64, ptr %params, i64 {FIXED + self.reduction.parameters}"
        )
        # Besides the operands: the tile's place, the chunk's place in the reduced row, and the
        # number of its first element.
        kept = Odometer(emitter, rank, table, inputs + outputs + 3)
        self.reduced = Odometer(emitter, reduced_rank, kept.end, inputs)
        self.reduced_strides = [self.reduced.inner_stride(operand) for operand in range(inputs)]
        kept_strides = [kept.inner_stride(operand) for operand in range(inputs + outputs)]
        self.strides = self.reduced_strides if self.inner else kept_strides
        some = emitter.let("icmp slt i64 %start, %stop")
        emitter.line(f"br i1 {some}, label %begin, label %done")
        emitter.label("begin")
        first = kept.seek("%start")
        before = emitter.block
        emitter.line("br label %item")
        emitter.label("item")
        item = emitter.phi("i64", "%start", before)
        offsets = [emitter.phi("i64", offset, before) for offset in first]
        if not self.inner:
            places = self._slide(offsets, kept_strides)
        else:
            places = offsets
        moved = buffers[:inputs] if kernel.partial else buffers
        bases = [emitter.at(base, place) for base, place in zip(moved, places)]
        state = self._reduce(bases[:inputs], offsets[-2], offsets[-1])
        if kernel.partial:
            self._store_state(buffers[inputs], places[inputs], state)
        else:
            self._finish(state, bases[inputs:], kept_strides[inputs:])
        following = emitter.let(f"add nuw nsw i64 {item}, 1")
        again = emitter.let(f"icmp slt i64 {following}, %stop")
        emitter.line(f"br i1 {again}, label %next, label %done")
        emitter.label("next")
        for offset, new in zip(offsets, kept.advance(offsets)):
            emitter.arrive(offset, new)
        emitter.arrive(item, following)
        emitter.line("br label %item")
        emitter.label("done")
        emitter.line("ret void")
        return emitter.text([HEADER.format(name=kernel.symbol_name)], FOOTER)

    def _slide(self, offsets: Sequence[str], strides: Sequence[str]) -> list[str]:
        """The operands' offsets, with the last tile moved back so that it ends with the row."""
        emitter = self.emitter
        last = emitter.let(f"sub nsw i64 {self.width}, {self.kernel.lanes}")
        beyond = emitter.let(f"sub nsw i64 {last}, {offsets[-3]}")
        emitter.declare("i64", "llvm.smin.i64", "i64 a, i64 b")
        shift = emitter.let(f"call i64 @llvm.smin.i64(i64 {beyond}, i64 0)")
        places = []
        for offset, stride in zip(offsets, strides):
            distance = emitter.let(f"mul nsw i64 {shift}, {stride}")
            places.append(emitter.let(f"add nsw i64 {offset}, {distance}"))
        return places

    def _reduce(self, bases: Sequence[str], chunk: str, first: str) -> list[str]:
        """Reduce one item: rows of blocks; the parts of the final state."""
        if self.kernel.single:
            return self.block(bases, "0", self.limit, "0")
        emitter, start = self.emitter, self.reduction.start
        values = self.evaluate(start, {}, self.coarse_lanes)
        left = emitter.let(f"sub nsw i64 {self.limit}, {chunk}")
        double = emitter.let(f"shl nsw i64 {self.length}, 1")
        last = emitter.let(f"icmp slt i64 {left}, {double}")
        length = emitter.let(f"select i1 {last}, i64 {left}, i64 {self.length}")
        self.reduced.reset()
        head, following, done = (emitter.fresh(name) for name in ("row", "row.next", "end"))
        before = emitter.block
        emitter.line(f"br label %{head}")
        emitter.label(head)
        row = emitter.phi("i64", "0", before)
        state = [emitter.phi(t, value, before) for t, value in zip(self.state_types, values)]
        offsets = [emitter.phi("i64", "0", before) for _ in bases]
        rows = [emitter.at(base, offset) for base, offset in zip(bases, offsets)]
        passed = emitter.let(f"mul nsw i64 {row}, {self.limit}")
        results = self._blocks(
            rows, row, length, emitter.let(f"add nsw i64 {first}, {passed}"), state
        )
        next_row = emitter.let(f"add nuw nsw i64 {row}, 1")
        again = emitter.let(f"icmp slt i64 {next_row}, {self.rows}")
        emitter.line(f"br i1 {again}, label %{following}, label %{done}")
        emitter.label(following)
        moved = self.reduced.advance(offsets)
        for phi, value in zip((row, *state, *offsets), (next_row, *results, *moved)):
            emitter.arrive(phi, value)
        emitter.line(f"br label %{head}")
        emitter.label(done)
        return results

    def _blocks(
        self, bases: Sequence[str], row: str, length: str, first: str, state: Sequence[str]
    ) -> list[str]:
        """Reduce one row, whose first element has the number `first`, block after block."""
        emitter, reduction = self.emitter, self.reduction
        head, body, done = emitter.fresh("block"), emitter.fresh("body"), emitter.fresh("row.end")
        before = emitter.block
        emitter.line(f"br label %{head}")
        emitter.label(head)
        begin = emitter.phi("i64", "0", before)
        current = [emitter.phi(t, value, before) for t, value in zip(self.state_types, state)]
        more = emitter.let(f"icmp slt i64 {begin}, {length}")
        emitter.line(f"br i1 {more}, label %{body}, label %{done}")
        emitter.label(body)
        size = block_length(self.kernel.structure, len(reduction.stages), self.step)
        rest = emitter.let(f"sub nsw i64 {length}, {begin}")
        emitter.declare("i64", "llvm.smin.i64", "i64 a, i64 b")
        count = emitter.let(f"call i64 @llvm.smin.i64(i64 {rest}, i64 {size})")
        new = self.block(bases, begin, count, emitter.let(f"add nsw i64 {first}, {begin}"))
        blocks_before = emitter.let(f"or i64 {row}, {begin}")
        combined = self._combine(current, new, blocks_before)
        following = emitter.let(f"add nuw nsw i64 {begin}, {size}")
        for phi, value in zip((begin, *current), (following, *combined)):
            emitter.arrive(phi, value)
        emitter.line(f"br label %{head}")
        emitter.label(done)
        return current

    def _combine(self, state: Sequence[str], new: Sequence[str], blocks_before: str) -> list[str]:
        """The state after one more block; the first block's state is taken as it is."""
        emitter, reduction = self.emitter, self.reduction
        join, done, before = emitter.fresh("join"), emitter.fresh("joined"), emitter.block
        only = emitter.let(f"icmp eq i64 {blocks_before}, 0")
        emitter.line(f"br i1 {only}, label %{done}, label %{join}")
        emitter.label(join)
        slots = {**fill("left", reduction.start, state), **fill("right", reduction.start, new)}
        joined = self.evaluate(reduction.combine, slots, self.coarse_lanes)
        end = emitter.block
        emitter.line(f"br label %{done}")
        emitter.label(done)
        return [
            emitter.let(f"phi {t} [ {alone}, %{before} ], [ {both}, %{end} ]")
            for t, alone, both in zip(self.state_types, new, joined)
        ]

    def _finish(self, state: Sequence[str], bases: Sequence[str], strides: Sequence[str]) -> None:
        """Store the outputs."""
        kernel, reduction = self.kernel, self.reduction
        names = iter(
            self.evaluate(
                reduction.finish, fill("state", reduction.start, state), self.coarse_lanes
            )
        )
        for k, (base, stride, dtype) in enumerate(zip(bases, strides, kernel.output_dtypes)):
            dtypes = parts(reduction.finish[k : k + 1])
            values = [next(names) for _ in dtypes]
            self._store(
                base, stride, values, dtypes, dtype, kernel.classes[len(kernel.input_dtypes) + k]
            )

    def _store_state(self, scratch: str, index: str, state: Sequence[str]) -> None:
        """Write the states of elements `index`, `index + 1`, ... to the scratch buffer, one plane
        for each part.
        """
        emitter = self.emitter
        for k, (name, dtype) in enumerate(zip(state, parts(self.reduction.start))):
            address = state_address(emitter, scratch, k, self.states, index, dtype)
            self._store(address, "", [name], [dtype], dtype, "1")

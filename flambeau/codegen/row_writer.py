"""Writes the LLVM IR of one row kernel.

Called by `codegen/rows.py`, which has the plan and explains the structures.

The sweeps are those of the writer of reductions; what is added is the loop over a row's segments
and the one that stores the elements' results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.codegen.emit import Slot, llvm_type
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.nest import FOOTER, HEADER, Odometer, buffer, load, param
from flambeau.codegen.reduction_writer import ReductionWriter
from flambeau.codegen.row_values import RowValue, with_row_values
from flambeau.codegen.states import fill, parts

if TYPE_CHECKING:
    from flambeau.codegen.rows import RowKernel

FIXED = 4  # params before the strides along the row: length, segments, width, rank


class RowWriter(ReductionWriter):
    """Writes one row kernel."""

    def __init__(self, kernel: RowKernel) -> None:
        reduction: Any = kernel  # has the members that the writer of reductions reads
        super().__init__(reduction)
        self.program, self.rows_kernel = kernel.program, kernel
        self.row_values: list[list[RowValue]] = []
        if self.inner and kernel.lanes > 1:
            self.program, self.row_values = with_row_values(kernel.program)
            self.reduction = self.program.as_reduction()
        self.scalars: dict[Slot, str] = {}  # the stages' results
        self.targets: list[str] = []  # where the present segment's outputs begin
        self.swept = False  # whether the row lies in the cache
        self.wanted: set[str] = set()  # the elements' slots that the present sweep reads

    def text(self) -> str:
        """The kernel."""
        kernel, emitter, program = self.rows_kernel, self.emitter, self.program
        inputs, total = (
            len(kernel.input_dtypes),
            len(kernel.input_dtypes) + len(kernel.output_dtypes),
        )
        emitter.line("entry:")
        buffers = [buffer(emitter, index) for index in range(total)]
        self.length, self.segments, self.width, rank = (param(emitter, k) for k in range(FIXED))
        total_size = emitter.let(f"mul nsw i64 {self.length}, {self.segments}")
        self.shared["size", 0] = self._per_output(total_size)
        self.reduced_strides = [param(emitter, FIXED + k) for k in range(total)]
        self.across = [param(emitter, FIXED + total + k) for k in range(total)]
        for k in range(program.parameters):
            bits = param(emitter, FIXED + 2 * total + k)
            self.shared[f"param{k}", 0] = emitter.let(f"bitcast i64 {bits} to double")
        table = emitter.let(
            f"getelementptr inbounds i64, ptr %params, i64 {FIXED + 2 * total + program.parameters}"
        )
        kept = Odometer(emitter, rank, table, total + 1)
        self.strides = [kept.inner_stride(operand) for operand in range(total)]
        some = emitter.let("icmp slt i64 %start, %stop")
        emitter.line(f"br i1 {some}, label %begin, label %done")
        emitter.label("begin")
        first = kept.seek("%start")
        before = emitter.block
        emitter.line("br label %item")
        emitter.label("item")
        item = emitter.phi("i64", "%start", before)
        offsets = [emitter.phi("i64", offset, before) for offset in first]
        places = offsets if self.inner else self._moved(offsets)
        bases = [emitter.at(base, place) for base, place in zip(buffers, places)]
        seen = self._sweeps(bases)
        if program.outputs and not (kernel.uses_draft and len(program.draft) == 1):
            self._each_segment(bases, (), lambda moved, _: self._elements_loop(moved, seen))
        if program.row_outputs:
            self._row_results(bases[inputs + len(program.outputs) :], seen)
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

    def _moved(self, offsets: Sequence[str]) -> list[str]:
        """The operands' offsets, with the last tile moved back so that it ends
        with the last row.
        """
        emitter = self.emitter
        last = emitter.let(f"sub nsw i64 {self.width}, {self.kernel.lanes}")
        beyond = emitter.let(f"sub nsw i64 {last}, {offsets[-1]}")
        emitter.declare("i64", "llvm.smin.i64", "i64 a, i64 b")
        shift = emitter.let(f"call i64 @llvm.smin.i64(i64 {beyond}, i64 0)")
        places = []
        for offset, stride in zip(offsets, self.strides):
            distance = emitter.let(f"mul nsw i64 {shift}, {stride}")
            places.append(emitter.let(f"add nsw i64 {offset}, {distance}"))
        return places

    def elements(self, bases: Sequence[str], index: str, lanes: int) -> dict[Slot, str]:
        """Load what the present sweep reads, and compute these elements."""
        chosen = [
            (f"x{k}", e) for k, e in enumerate(self.kernel.elements) if f"x{k}" in self.wanted
        ]
        used = {node.value[0] for node in postorder([e for _, e in chosen]) if node.op == "input"}
        inputs: dict[Slot, str] = {}
        for operand in sorted(used):
            for part, name in enumerate(self.load(operand, bases[operand], index, lanes)):
                inputs[operand, part] = name
        names = iter(self.evaluate([e for _, e in chosen], inputs, lanes))
        return {
            (slot, part): next(names) for slot, e in chosen for part, _ in enumerate(parts((e,)))
        }

    def _reads(self, exprs: Sequence[Expr]) -> set[str]:
        """The slots that expressions name."""
        return {node.value for node in postorder(exprs) if node.op == "slot"}

    def _prefetch(self, address: str, size: int) -> None:
        """Only the first sweep fetches the row from memory."""
        if not self.swept:
            super()._prefetch(address, size)

    def _sweeps(self, bases: Sequence[str]) -> dict[Slot, str]:
        """All stages over the row; the slots with their results, in every lane."""
        seen: dict[Slot, str] = {}
        self.scalars = {}
        for number, stage in enumerate(self.program.stages):
            self._compute_row_values(number, seen)
            slots = self.sweep(number, bases, "0", self.length, seen)
            self.scalars.update(slots)
            for (slot, name), dtype in zip(slots.items(), parts(stage.start)):
                seen[slot] = self.in_lanes(name, dtype)
            self.swept = True
        self._compute_row_values(len(self.program.stages), seen)
        return seen

    def _compute_row_values(self, sweep: int, seen: dict[Slot, str]) -> None:
        """Put what a sweep needs of the row as a whole into every lane."""
        for slot, value in self.row_values[sweep] if self.row_values else ():
            (name,) = self.evaluate((value,), self.scalars, self.coarse_lanes)
            seen[slot, 0] = self.in_lanes(name, value.dtype)

    def accumulate(
        self,
        number: int,
        bases: Sequence[str],
        begin: str,
        count: str,
        start: Sequence[str],
        earlier: dict[Slot, str],
    ) -> list[str]:
        """The accumulators of a stage after the whole row, segment after segment."""
        inputs, stage = len(self.rows_kernel.input_dtypes), self.program.stages[number]
        types = [llvm_type(dtype, self.kernel.lanes) for dtype in parts(stage.start)]
        self.wanted = self._reads(stage.step)
        if self.rows_kernel.uses_draft and number == len(self.program.stages) - 1:
            self.wanted |= self._reads(self.program.draft[:1])

        def sweep(moved: Sequence[str], accumulators: Sequence[str]) -> list[str]:
            return super(RowWriter, self).accumulate(
                number, moved[:inputs], begin, count, accumulators, earlier
            )

        return self._each_segment(bases, list(zip(types, start)), sweep)

    def _each_segment(
        self,
        bases: Sequence[str],
        carried: Sequence[tuple[str, str]],
        body: Callable[[Sequence[str], Sequence[str]], Sequence[str] | None],
    ) -> list[str]:
        """Run `body(operands' addresses, carried values)` for each segment of the row; it answers
        with the next carried values. `carried` are the types of these and the first ones.
        """
        emitter, inputs = self.emitter, len(self.rows_kernel.input_dtypes)
        outputs = slice(inputs, inputs + len(self.program.outputs))
        if not self.rows_kernel.segmented:
            self.targets = list(bases[outputs])
            return list(body(bases, [value for _, value in carried]) or ())
        head, each, after = (emitter.fresh(name) for name in ("segment", "piece", "pieces"))
        before = emitter.block
        emitter.line(f"br label %{head}")
        emitter.label(head)
        number = emitter.phi("i64", "0", before)
        moved = [emitter.phi("ptr", base, before) for base in bases]
        values = [emitter.phi(kind, value, before) for kind, value in carried]
        more = emitter.let(f"icmp slt i64 {number}, {self.segments}")
        emitter.line(f"br i1 {more}, label %{each}, label %{after}")
        emitter.label(each)
        self.targets = moved[outputs]
        following = list(body(moved, values) or ())
        for phi, base, step in zip(moved, moved, self.across):
            emitter.arrive(phi, emitter.at(base, step))
        for phi, value in zip(values, following):
            emitter.arrive(phi, value)
        emitter.arrive(number, emitter.let(f"add nuw nsw i64 {number}, 1"))
        emitter.line(f"br label %{head}")
        emitter.label(after)
        return values

    def _take(
        self,
        stage_number: int,
        bases: Sequence[str],
        begin: str,
        position: str,
        accumulators: Sequence[str],
        earlier: dict[Slot, str],
    ) -> list[str]:
        """The accumulators after some elements; the last stage stores a draft if there is one."""
        taken = super()._take(stage_number, bases, begin, position, accumulators, earlier)
        if self.rows_kernel.uses_draft and stage_number == len(self.program.stages) - 1:
            slots = self.elements(bases, position, self.kernel.lanes)
            self._store_outputs(position, self.program.draft[:1], {**slots, **earlier})
        return taken

    def _elements_loop(self, bases: Sequence[str], seen: dict[Slot, str]) -> None:
        """Compute and store the outputs of every element; the last vector is a part of one for
        groups, else overlaps the one before.
        """
        emitter, step = self.emitter, self.step
        self.wanted = self._reads(self.program.outputs)
        last: dict[Slot, str] | None = None
        if self.rows_kernel.uses_draft and self.group == 1:  # before the loop finishes a part of it
            last = self._draft(emitter.let(f"sub nsw i64 {self.length}, {step}"))
        whole = self.whole_vectors(self.length)
        head, body, after, before = (
            emitter.fresh("map"),
            emitter.fresh("each"),
            emitter.fresh("mapped"),
            emitter.block,
        )
        emitter.line(f"br label %{head}")
        emitter.label(head)
        position = emitter.phi("i64", "0", before)
        more = emitter.let(f"icmp slt i64 {position}, {whole}")
        emitter.line(f"br i1 {more}, label %{body}, label %{after}")
        emitter.label(body)
        self._write(bases, position, seen)
        emitter.arrive(position, emitter.let(f"add nuw nsw i64 {position}, {step}"))
        emitter.line(f"br label %{head}")
        emitter.label(after)
        if step > 1:
            tail, done = emitter.fresh("rest"), emitter.fresh("row.done")
            rest = emitter.let(f"icmp slt i64 {whole}, {self.length}")
            emitter.line(f"br i1 {rest}, label %{tail}, label %{done}")
            emitter.label(tail)
            if self.group > 1:
                self.mask = self.below(emitter.let(f"sub nsw i64 {self.length}, {whole}"))
                self._write(bases, whole, seen)
                self.mask = ""
            else:
                end = emitter.let(f"sub nsw i64 {self.length}, {step}")
                self._write(bases, end, seen, last)
            emitter.line(f"br label %{done}")
            emitter.label(done)

    def _write(
        self,
        bases: Sequence[str],
        position: str,
        seen: dict[Slot, str],
        draft: dict[Slot, str] | None = None,
    ) -> None:
        """The outputs of the elements at `position`."""
        emitter, program = self.emitter, self.program
        if self.rows_kernel.uses_draft:
            draft = draft or self._draft(position)
            self._store_outputs(position, program.draft[1:], {**draft, **seen})
            return
        places, index = list(bases[: len(self.rows_kernel.input_dtypes)]), position
        if not self.inner:
            index = "0"
            for operand, base in enumerate(places):
                distance = emitter.let(f"mul nsw i64 {position}, {self.reduced_strides[operand]}")
                places[operand] = emitter.at(base, distance)
        slots = self.elements(places, index, self.kernel.lanes)
        self._store_outputs(position, program.outputs, {**slots, **seen})

    def _draft(self, position: str) -> dict[Slot, str]:
        """What was stored in place of the output at `position`."""
        kernel, lanes = self.rows_kernel, self.kernel.lanes
        stride, dtype = self.strides[len(kernel.input_dtypes)], kernel.output_dtypes[0]
        distance = self.emitter.let(f"mul nsw i64 {position}, {stride}")
        address = self.emitter.at(self.targets[0], distance)
        if self.mask:
            names = [self.emitter.after_load(self._masked_load(address, dtype), dtype, lanes)]
        else:
            names = load(self.emitter, address, dtype, lanes=lanes)
        return fill("draft", self.program.draft[:1], names)

    def _store_outputs(
        self, position: str, outputs: Sequence[Expr], slots: dict[Slot, str]
    ) -> None:
        """Compute the outputs and store them at `position`."""
        emitter, lanes = self.emitter, self.kernel.lanes
        inputs = len(self.rows_kernel.input_dtypes)
        values = iter(self.evaluate(outputs, slots, lanes))
        before = self.mask
        if self.step < lanes and self.inner and not self.mask:
            self.mask = self.first_lanes(self.step)
        for k, base in enumerate(self.targets):
            operand, dtypes = inputs + k, parts(outputs[k : k + 1])
            along = (self.strides if self.inner else self.reduced_strides)[operand]
            place = emitter.at(base, emitter.let(f"mul nsw i64 {position}, {along}"))
            names = [next(values) for _ in dtypes]
            self._store_lanes(place, self.strides[operand], names, dtypes, operand, lanes)
        self.mask = before

    def _row_results(self, bases: Sequence[str], seen: dict[Slot, str]) -> None:
        """Store what belongs to the row."""
        first = len(self.rows_kernel.input_dtypes) + len(self.program.outputs)
        lanes = self.coarse_lanes
        slots = self.scalars if self.inner else seen
        values = iter(self.evaluate(self.program.row_outputs, slots, lanes))
        for k, base in enumerate(bases):
            dtypes = parts(self.program.row_outputs[k : k + 1])
            names = [next(values) for _ in dtypes]
            self._store_lanes(base, self.strides[first + k], names, dtypes, first + k, lanes)

    def _store_lanes(
        self,
        base: str,
        stride: str,
        values: Sequence[str],
        dtypes: Sequence[str],
        operand: int,
        lanes: int,
    ) -> None:
        dtype = self.rows_kernel.output_dtypes[operand - len(self.rows_kernel.input_dtypes)]
        before, self.coarse_lanes = self.coarse_lanes, lanes
        self._store(base, stride, values, dtypes, dtype, self.kernel.classes[operand])
        self.coarse_lanes = before

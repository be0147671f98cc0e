"""Writes the LLVM IR of one row kernel.

Called by `codegen/rows.py`, which has the plan and explains the structures.

The sweeps are those of the writer of reductions, and so is the walk of a fold over blocks of the
row; what is added is the loop over a row's segments, the one that stores the elements' results, and
the elements that outputs keep from one sweep to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.codegen.dtypes import compute_dtype, real_dtype
from flambeau.codegen.emit import Slot, llvm_type
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.monoids import Stage
from flambeau.codegen.nest import FOOTER, HEADER, Odometer, buffer, load, param
from flambeau.codegen.reduction_writer import ReductionWriter
from flambeau.codegen.row_values import RowValue, with_row_values
from flambeau.codegen.states import fill, parts

if TYPE_CHECKING:
    from flambeau.codegen.rows import Fold, RowKernel, RowProgram

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
        self.scalars: dict[Slot, str] = {}  # what belongs to the row, as scalars
        self.targets: list[str] = []  # where the present segment's outputs begin
        self.swept = False  # whether the row lies in the cache
        self.wanted: set[str] = set()  # the elements' slots that the present sweep reads
        self.kept = kernel.kept
        self.stored: set[int] = set()  # the elements that lie in outputs
        self.finishing = False  # whether the outputs are being stored
        self.slot_dtypes = slot_dtypes(self.program, kernel.input_dtypes)

    def stage(self, number: int) -> Stage:
        """A stage of the program."""
        return self.program.stages[number]

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
        size = emitter.let(f"mul nsw i64 {self.length}, {self.segments}")
        self.shared["size", 0] = self._per_output(size)
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
        self._sweeps(bases)
        unfinished = [
            k for k, expr in enumerate(self.program.outputs) if not self._is_stored(k, expr)
        ]
        if unfinished:
            self._each_segment(bases, (), lambda moved, _: self._elements_loop(moved, unfinished))
        if program.row_outputs:
            self._row_results(bases[inputs + len(program.outputs) :])
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
        """What the present sweep reads of these elements: loaded and computed, or found where an
        earlier sweep has put it.
        """
        slots: dict[Slot, str] = {}
        chosen: list[tuple[int, Expr]] = []
        for k, expr in enumerate(self.program.elements):
            if f"x{k}" in self.wanted and k in self.stored:
                slots.update(self._kept_element(k, index))
            elif f"x{k}" in self.wanted:
                chosen.append((k, expr))
        used = {node.value[0] for node in postorder([e for _, e in chosen]) if node.op == "input"}
        inputs: dict[Slot, str] = {}
        for operand in sorted(used):
            for part, name in enumerate(self.load(operand, bases[operand], index, lanes)):
                inputs[operand, part] = name
        names = iter(self.evaluate([e for _, e in chosen], {**inputs, **self.seen}, lanes))
        for k, expr in chosen:
            values = [next(names) for _ in parts((expr,))]
            slots.update({(f"x{k}", part): name for part, name in enumerate(values)})
            if k in self.kept and not self.finishing:
                self._store_output(self.kept[k], self._place(self.kept[k], index), values, (expr,))
        return slots

    def _kept_element(self, number: int, index: str) -> dict[Slot, str]:
        """An element that lies in an output."""
        output, expr = self.kept[number], self.program.elements[number]
        dtype = self.rows_kernel.output_dtypes[output]
        address, lanes = self._place(output, index), self.kernel.lanes
        if self.mask:
            names = [self.emitter.after_load(self._masked_load(address, dtype), dtype, lanes)]
        else:
            names = load(self.emitter, address, dtype, lanes=lanes)
        return {
            (f"x{number}", part): name for part, name in enumerate(names[: len(parts((expr,)))])
        }

    def _is_stored(self, output: int, expr: Expr) -> bool:
        """Whether an output has been stored as an element."""
        return any(
            expr.op == "slot" and expr.value == f"x{k}" and self.kept[k] == output
            for k in self.stored
        )

    def _reads(self, exprs: Iterable[Expr]) -> set[str]:
        """The slots that expressions name."""
        return {node.value for node in postorder(tuple(exprs)) if node.op == "slot"}

    def _prefetch(self, address: str, size: int) -> None:
        """Only the first sweep fetches the row from memory."""
        if not self.swept:
            super()._prefetch(address, size)

    def _sweeps(self, bases: Sequence[str]) -> None:
        """All stages over the row; `seen` has their results, in every lane."""
        self.seen, self.scalars = {}, {}
        for operand in self.program.given:
            names = self.load(operand, bases[operand], "0", self.coarse_lanes)
            self._see({(f"given{operand}", part): name for part, name in enumerate(names)})
        folds, number = {fold.first: fold for fold in self.program.folds}, 0
        while number < len(self.program.stages):
            self._compute_row_values(number)
            if number in folds:
                self._see(self._folded(folds[number], bases))
                number += len(folds[number].reduction.stages)
            else:
                self._see(self.sweep(number, bases, "0", self.length, self.seen))
                number += 1
            self.swept = True
        self._compute_row_values(number)

    def _see(self, slots: dict[Slot, str]) -> None:
        """Show later expressions what belongs to the row."""
        self.scalars.update(slots)
        for slot, name in slots.items():
            self.seen[slot] = self.in_lanes(name, self.slot_dtypes[str(slot[0])])

    def _folded(self, fold: Fold, bases: Sequence[str]) -> dict[Slot, str]:
        """The results of a fold: the walk of a reduction kernel over the blocks of the row."""
        reduction = fold.reduction
        self.reduction, self.first_stage = reduction, fold.first
        self.state_types = [llvm_type(dtype, self.coarse_lanes) for dtype in parts(reduction.start)]
        start = self.evaluate(reduction.start, {}, self.coarse_lanes)
        state = self._blocks(bases, "0", self.length, "0", start)
        slots = fill("state", reduction.start, state)
        names = self.evaluate(reduction.finish, slots, self.coarse_lanes)
        self.reduction, self.first_stage = self.program.as_reduction(), 0
        return fill(f"fold{self.program.folds.index(fold)}.", reduction.finish, names)

    def _compute_row_values(self, sweep: int) -> None:
        """Put what a sweep needs of the row as a whole into every lane."""
        for slot, value in self.row_values[sweep] if self.row_values else ():
            (name,) = self.evaluate((value,), self.scalars, self.coarse_lanes)
            self.seen[slot, 0] = self.in_lanes(name, value.dtype)

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

        def sweep(moved: Sequence[str], accumulators: Sequence[str]) -> list[str]:
            return super(RowWriter, self).accumulate(
                number, moved[:inputs], begin, count, accumulators, earlier
            )

        taken = self._each_segment(bases, list(zip(types, start)), sweep)
        self.stored |= {k for k in self.kept if f"x{k}" in self.wanted}
        return taken

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

    def _elements_loop(self, bases: Sequence[str], outputs: Sequence[int]) -> None:
        """Compute and store these outputs of every element; the last vector is a part of one for
        groups, else overlaps the one before.
        """
        emitter, step = self.emitter, self.step
        self.finishing, self.wanted = True, self._reads(self.program.outputs[k] for k in outputs)
        last: dict[Slot, str] = {}
        if step > 1 and self.group == 1:  # read what is kept before the loop finishes a part of it
            for k in sorted(self.stored):
                if f"x{k}" in self.wanted and self.kept[k] in outputs:
                    end = emitter.let(f"sub nsw i64 {self.length}, {step}")
                    last.update(self._kept_element(k, end))
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
        self._write(bases, position, outputs, {})
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
                self._write(bases, whole, outputs, {})
                self.mask = ""
            else:
                end = emitter.let(f"sub nsw i64 {self.length}, {step}")
                self._write(bases, end, outputs, last)
            emitter.line(f"br label %{done}")
            emitter.label(done)

    def _write(
        self, bases: Sequence[str], position: str, outputs: Sequence[int], known: dict[Slot, str]
    ) -> None:
        """These outputs of the elements at `position`."""
        emitter, lanes = self.emitter, self.kernel.lanes
        places, index = list(bases[: len(self.rows_kernel.input_dtypes)]), position
        if not self.inner:
            index = "0"
            for operand, base in enumerate(places):
                distance = emitter.let(f"mul nsw i64 {position}, {self.reduced_strides[operand]}")
                places[operand] = emitter.at(base, distance)
        slots = {**self.elements(places, index, lanes), **known, **self.seen}
        exprs = [self.program.outputs[k] for k in outputs]
        values = iter(self.evaluate(exprs, slots, lanes))
        for k, expr in zip(outputs, exprs):
            names = [next(values) for _ in parts((expr,))]
            self._store_output(k, self._place(k, position), names, (expr,))

    def _place(self, output: int, position: str) -> str:
        """Where an output of the elements at `position` lies."""
        operand = len(self.rows_kernel.input_dtypes) + output
        along = (self.strides if self.inner else self.reduced_strides)[operand]
        distance = self.emitter.let(f"mul nsw i64 {position}, {along}")
        return self.emitter.at(self.targets[output], distance)

    def _store_output(
        self, output: int, place: str, values: Sequence[str], exprs: Sequence[Expr]
    ) -> None:
        operand = len(self.rows_kernel.input_dtypes) + output
        stride, lanes, before = self.strides[operand], self.kernel.lanes, self.mask
        if self.step < lanes and self.inner and not self.mask:
            self.mask = self.first_lanes(self.step)
        self._store_lanes(place, stride, values, parts(exprs), operand, lanes)
        self.mask = before

    def _row_results(self, bases: Sequence[str]) -> None:
        """Store what belongs to the row."""
        first = len(self.rows_kernel.input_dtypes) + len(self.program.outputs)
        lanes = self.coarse_lanes
        slots = self.scalars if self.inner else self.seen
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


def slot_dtypes(program: RowProgram, input_dtypes: Sequence[str]) -> dict[str, str]:
    """The (real) dtypes of the slots that belong to the row."""
    found = {f"given{k}": real_dtype(compute_dtype(input_dtypes[k])) for k in program.given}
    for number, stage in enumerate(program.stages):
        for k, dtype in enumerate(stage.start):
            found[f"stage{number}.{k}"] = parts((dtype,))[0]
    for number, fold in enumerate(program.folds):
        for k, result in enumerate(fold.reduction.finish):
            found[f"fold{number}.{k}"] = parts((result,))[0]
    return found

"""Writes the LLVM IR of the second pass of a split reduction. Called by `codegen/reduce.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.codegen.emit import Emitter, Slot, llvm_type
from flambeau.codegen.nest import FOOTER, HEADER, Odometer, buffer, load, param, store
from flambeau.codegen.states import evaluate, fill, parts, state_address

if TYPE_CHECKING:
    from flambeau.codegen.reduce import MergeKernel


class MergeWriter:
    """Writes the second pass of a split reduction; params: chunks, outputs, size, rank, ..."""

    def __init__(self, kernel: MergeKernel) -> None:
        self.kernel, self.emitter = kernel, Emitter()

    def text(self) -> str:
        """The kernel."""
        kernel, reduction, emitter = self.kernel, self.kernel.reduction, self.emitter
        outputs = len(kernel.output_dtypes)
        emitter.line("entry:")
        buffers = [buffer(emitter, index) for index in range(1 + outputs)]
        self.chunks, self.outputs, size, rank = (param(emitter, k) for k in range(4))
        shared: dict[Slot, str] = {("size", 0): size}
        for k in range(reduction.parameters):
            shared[f"param{k}", 0] = emitter.let(f"bitcast i64 {param(emitter, 4 + k)} to double")
        table = emitter.let(
            f"getelementptr inbounds i64, ptr %params, i64 {4 + reduction.parameters}"
        )
        odometer = Odometer(emitter, rank, table, outputs)
        some = emitter.let("icmp slt i64 %start, %stop")
        emitter.line(f"br i1 {some}, label %begin, label %done")
        emitter.label("begin")
        first = odometer.seek("%start")
        before = emitter.block
        emitter.line("br label %item")
        emitter.label("item")
        item = emitter.phi("i64", "%start", before)
        offsets = [emitter.phi("i64", offset, before) for offset in first]
        state = self._fold(buffers[0], item)
        names = iter(
            evaluate(emitter, reduction.finish, {**shared, **fill("state", reduction.start, state)})
        )
        for k, (base, offset, dtype) in enumerate(zip(buffers[1:], offsets, kernel.output_dtypes)):
            dtypes = parts(reduction.finish[k : k + 1])
            address = emitter.at(base, offset)
            store(emitter, address, [next(names) for _ in dtypes], dtypes, dtype)
        following = emitter.let(f"add nuw nsw i64 {item}, 1")
        again = emitter.let(f"icmp slt i64 {following}, %stop")
        emitter.line(f"br i1 {again}, label %next, label %done")
        emitter.label("next")
        for offset, new in zip(offsets, odometer.advance(offsets)):
            emitter.arrive(offset, new)
        emitter.arrive(item, following)
        emitter.line("br label %item")
        emitter.label("done")
        emitter.line("ret void")
        return emitter.text([HEADER.format(name=kernel.symbol_name)], FOOTER)

    def _fold(self, scratch: str, item: str) -> list[str]:
        """Combine the chunks' states of one output, in order."""
        emitter, reduction = self.emitter, self.kernel.reduction
        dtypes = parts(reduction.start)
        states = emitter.let(f"mul nsw i64 {self.chunks}, {self.outputs}")
        start = self._load_state(scratch, states, item)
        head, body, done, before = (
            emitter.fresh("chunk"),
            emitter.fresh("join"),
            emitter.fresh("joined"),
            emitter.block,
        )
        emitter.line(f"br label %{head}")
        emitter.label(head)
        index = emitter.phi("i64", item, before)
        state = [
            emitter.phi(llvm_type(dtype), value, before) for dtype, value in zip(dtypes, start)
        ]
        following = emitter.let(f"add nsw i64 {index}, {self.outputs}")
        more = emitter.let(f"icmp slt i64 {following}, {states}")
        emitter.line(f"br i1 {more}, label %{body}, label %{done}")
        emitter.label(body)
        right = self._load_state(scratch, states, following)
        slots = {**fill("left", reduction.start, state), **fill("right", reduction.start, right)}
        for phi, value in zip(state, evaluate(emitter, reduction.combine, slots)):
            emitter.arrive(phi, value)
        emitter.arrive(index, following)
        emitter.line(f"br label %{head}")
        emitter.label(done)
        return state

    def _load_state(self, scratch: str, states: str, index: str) -> list[str]:
        names = []
        for k, dtype in enumerate(parts(self.kernel.reduction.start)):
            names.extend(
                load(
                    self.emitter,
                    state_address(self.emitter, scratch, k, states, index, dtype),
                    dtype,
                )
            )
        return names

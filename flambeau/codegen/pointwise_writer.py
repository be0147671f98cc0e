"""Writes the LLVM IR of one pointwise kernel. Called by `codegen/loops.py`, which has the plan and
explains the structures.

The innermost loop is left to LLVM's vectoriser: its memory accesses are marked as free of
dependences between iterations. Where an expression has a rare case that is slow (`Expr.unless`),
the loop runs in blocks: a first sweep looks whether a block has a rare element, and only then the
slow form of the loop is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flambeau.codegen.dtypes import KIND
from flambeau.codegen.emit import Emitter, Slot, lower, memory_type, rare_cases, without_rare
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.nest import FOOTER, HEADER, Odometer, buffer, load, param, report, store

if TYPE_CHECKING:
    from flambeau.codegen.loops import PointwiseKernel

BLOCK = 1024
LONG_CHAIN = 20  # nodes: two vectors at a time then hide each other's latencies
_NOTE = ", !llvm.access.group !1"


class PointwiseWriter:
    """Writes one pointwise kernel."""

    def __init__(self, kernel: PointwiseKernel) -> None:
        self.kernel, self.emitter = kernel, Emitter()
        known: dict[Expr, tuple[Expr, ...]] = {}
        self.outputs = [lower(expr, known) for expr in kernel.exprs]
        self.roots = [part for parts in self.outputs for part in parts]
        self.rare = rare_cases(self.roots)
        is_long = sum(1 for _ in postorder(self.roots)) > LONG_CHAIN
        self.loop_note = "!6" if is_long and kernel.structure == "flat" else "!0"
        self.hoisted: dict[Slot, str] = {}
        self.strides: list[str] = []

    def text(self) -> str:
        """The kernel."""
        kernel, emitter = self.kernel, self.emitter
        emitter.line("entry:")
        buffers = [buffer(emitter, index) for index in range(len(kernel.dtypes))]
        failed = self._flat(buffers) if kernel.structure == "flat" else self._rows(buffers)
        report(emitter, failed, len(kernel.dtypes))
        return emitter.text([HEADER.format(name=kernel.symbol_name)], FOOTER)

    def _begin(self) -> None:
        some = self.emitter.let("icmp slt i64 %start, %stop")
        self.emitter.line(f"br i1 {some}, label %begin, label %done")
        self.emitter.label("begin")

    def _flat(self, buffers: Sequence[str]) -> str | None:
        emitter, classes = self.emitter, self.kernel.classes
        self.strides = [param(emitter, k) if cls == "s" else "" for k, cls in enumerate(classes)]
        self._begin()
        return self._inner(buffers, "%start", "%stop", "false" if self.kernel.can_fail else None)

    def _rows(self, buffers: Sequence[str]) -> str | None:
        emitter, classes = self.emitter, self.kernel.classes
        size, rank = param(emitter, 0), param(emitter, 1)
        table = emitter.let("getelementptr inbounds i64, ptr %params, i64 2")
        odometer = Odometer(emitter, rank, table, len(buffers))
        self.strides = [
            odometer.inner_stride(k) if cls == "s" else "" for k, cls in enumerate(classes)
        ]
        self._begin()
        first = odometer.seek("%start")
        before = emitter.block
        emitter.line("br label %head")
        emitter.label("head")
        row = emitter.phi("i64", "%start", before)
        failing = emitter.phi("i1", "false", before) if self.kernel.can_fail else None
        offsets = [emitter.phi("i64", offset, before) for offset in first]
        bases = [emitter.at(base, offset) for base, offset in zip(buffers, offsets)]
        failed = self._inner(bases, "0", size, failing)
        following = emitter.let(f"add nuw nsw i64 {row}, 1")
        again = emitter.let(f"icmp slt i64 {following}, %stop")
        emitter.line(f"br i1 {again}, label %next, label %finished")
        emitter.label("next")
        for offset, new in zip(offsets, odometer.advance(offsets)):
            emitter.arrive(offset, new)
        emitter.arrive(row, following)
        if failing is not None:
            emitter.arrive(failing, str(failed))
        emitter.line("br label %head")
        emitter.label("finished")
        return failed

    def _inner(self, bases: Sequence[str], start: str, stop: str, failed: str | None) -> str | None:
        """The innermost dimension, from `start` to `stop` > `start`; returns whether something has
        failed.
        """
        self.hoisted = self._loads(bases, "0")
        if not self.rare:
            return self._loop(bases, start, stop, failed, self.roots)
        emitter = self.emitter
        head, fast, slow = emitter.fresh("block"), emitter.fresh("fast"), emitter.fresh("slow")
        joined, after, before = emitter.fresh("joined"), emitter.fresh("blocks.end"), emitter.block
        emitter.line(f"br label %{head}")
        emitter.label(head)
        begin = emitter.phi("i64", start, before)
        failing = emitter.phi("i1", failed, before) if failed is not None else None
        beyond = emitter.let(f"add nuw nsw i64 {begin}, {BLOCK}")
        emitter.declare("i64", "llvm.smin.i64", "i64 a, i64 b")
        end = emitter.let(f"call i64 @llvm.smin.i64(i64 {beyond}, i64 {stop})")
        rare = self._any(bases, begin, end)
        emitter.line(f"br i1 {rare}, label %{slow}, label %{fast}")
        results = []
        for label, is_slow in ((fast, False), (slow, True)):
            emitter.label(label)
            result = self._loop(
                bases, begin, end, failing, without_rare(self.roots, is_slow), vectorise=not is_slow
            )
            results.append(f"[ {result}, %{emitter.block} ]")
            emitter.line(f"br label %{joined}")
        emitter.label(joined)
        if failing is not None:
            failed = emitter.let(f"phi i1 {', '.join(results)}")
            emitter.arrive(failing, failed)
        emitter.arrive(begin, end)
        more = emitter.let(f"icmp slt i64 {end}, {stop}")
        emitter.line(f"br i1 {more}, label %{head}, label %{after}")
        emitter.label(after)
        return failed

    def _loop(
        self,
        bases: Sequence[str],
        start: str,
        stop: str,
        failed: str | None,
        roots: Sequence[Expr],
        vectorise: bool = True,
    ) -> str | None:
        """Compute and store `roots` for the elements from `start` to `stop`; returns whether
        something has failed.
        """
        emitter = self.emitter
        loop, after, before = emitter.fresh("loop"), emitter.fresh("after"), emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        index = emitter.phi("i64", start, before)
        failing = emitter.phi("i1", failed, before) if failed is not None else None
        emitter.failures = []
        addresses = [self._address(operand, base, index) for operand, base in enumerate(bases)]
        self._stores(addresses, self._values(addresses, roots), roots)
        result = failing
        if failing is not None:
            for flag in emitter.failures:
                result = emitter.let(f"or i1 {result}, {flag}")
            emitter.arrive(failing, str(result))
        self._repeat(index, stop, loop, after, vectorise)
        return result

    def _any(self, bases: Sequence[str], start: str, stop: str) -> str:
        """Whether one of the elements from `start` to `stop` is rare."""
        emitter = self.emitter
        loop, after, before = emitter.fresh("scan"), emitter.fresh("scanned"), emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        index = emitter.phi("i64", start, before)
        found = emitter.phi("i1", "false", before)
        emitter.failures = []
        addresses = [self._address(operand, base, index) for operand, base in enumerate(bases)]
        result = found
        for flag in self._values(addresses, self.rare):
            result = emitter.let(f"or i1 {result}, {flag}")
        emitter.arrive(found, result)
        self._repeat(index, stop, loop, after)
        return result

    def _repeat(self, index: str, stop: str, loop: str, after: str, vectorise: bool = True) -> None:
        emitter = self.emitter
        following = emitter.let(f"add nuw nsw i64 {index}, 1")
        emitter.arrive(index, following)
        more = emitter.let(f"icmp slt i64 {following}, {stop}")
        note = self.loop_note if vectorise else "!4"
        emitter.line(f"br i1 {more}, label %{loop}, label %{after}, !llvm.loop {note}")
        emitter.label(after)

    def _loads(
        self, addresses: Sequence[str], classes: str, operands: set[int] | None = None
    ) -> dict[Slot, str]:
        """Load the inputs whose class is in `classes`."""
        loaded: dict[Slot, str] = {}
        for index, dtype in enumerate(self.kernel.input_dtypes):
            if self.kernel.classes[index] in classes and (operands is None or index in operands):
                note = _NOTE if classes != "0" else ""
                for part, name in enumerate(load(self.emitter, addresses[index], dtype, note)):
                    loaded[index, part] = name
        return loaded

    def _values(self, addresses: Sequence[str], roots: Sequence[Expr]) -> list[str]:
        used = {node.value[0] for node in postorder(roots) if node.op in ("input", "part")}
        inputs = {**self.hoisted, **self._loads(addresses, "1234s", used)}
        known: dict[Expr, str] = {}
        return [self.emitter.value(root, inputs, 1, known) for root in roots]

    def _stores(
        self, addresses: Sequence[str], values: Sequence[str], roots: Sequence[Expr]
    ) -> None:
        first, names, dtypes = (
            len(self.kernel.input_dtypes),
            iter(values),
            iter(root.dtype for root in roots),
        )
        for index, parts in enumerate(self.outputs):
            own = [next(names) for _ in parts], [next(dtypes) for _ in parts]
            store(
                self.emitter,
                addresses[first + index],
                own[0],
                own[1],
                self.kernel.output_dtypes[index],
                _NOTE,
            )

    def _address(self, operand: int, base: str, index: str) -> str:
        """The address of an operand's element `index` from `base`."""
        cls, dtype = self.kernel.classes[operand], self.kernel.dtypes[operand]
        if cls == "0":
            return base
        if cls != "s":
            count = 2 if KIND[dtype] == "c" else 1
            if cls != "1":
                index = self.emitter.let(f"mul nuw nsw i64 {index}, {cls}")
            element = f"[{count} x {memory_type(dtype)}]"
            return self.emitter.let(f"getelementptr inbounds {element}, ptr {base}, i64 {index}")
        offset = self.emitter.let(f"mul nsw i64 {index}, {self.strides[operand]}")
        return self.emitter.at(base, offset)

"""Pointwise expressions as a function of vectors in registers: the epilogue of a register tile.

Called by ops.kernels.gemm_tiles, which keeps a part of a matrix in registers and, instead of
storing it, hands each row of it to such a function:

    after = VectorFunction((x.tanh(),), ("float32",), ("float32",), "11", given=(0,))
    after.define("@after", 16, vectors=3, masked=False, attributes="")      # lines; declarations

`given` are the operands that the vectors stand for. The function reads the others and stores the
results: `places` holds for every operand its address and the bytes from row to row. The class of
an operand says how it goes along a row, as in codegen.loops: '0' stands still, '1' is contiguous.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.codegen.dtypes import ITEMSIZE, KIND, compute_dtype
from flambeau.codegen.emit import (
    Emitter,
    Slot,
    llvm_type,
    lower,
    memory_type,
    rare_cases,
    suffix,
)
from flambeau.codegen.expr import Expr


@dataclass(frozen=True)
class VectorFunction:
    """See the module's first lines; operands are inputs, then outputs."""

    exprs: tuple[Expr, ...]
    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    classes: str
    given: tuple[int, ...]

    @property
    def name(self) -> str:
        """A name that equal functions share, in every process."""
        key = repr(
            (
                [expr.digest.hex() for expr in self.exprs],
                self.input_dtypes,
                self.output_dtypes,
                self.classes,
                self.given,
            )
        )
        return hashlib.blake2b(key.encode(), digest_size=12).hexdigest()

    @property
    def is_possible(self) -> bool:
        """Whether operands lie so that vectors can be read, and no element has a rare slow case."""
        dtypes = (*self.input_dtypes, *self.output_dtypes)
        if set(self.classes) - {"0", "1"} or any(KIND[dtype] == "c" for dtype in dtypes):
            return False
        return not rare_cases([lower(expr)[0] for expr in self.exprs])

    def define(
        self, name: str, lanes: int, vectors: int, masked: bool, attributes: str
    ) -> tuple[list[str], set[str]]:
        """(the function, what it declares): `name(vectors ..., places, row, column[, mask])` for
        vectors that lie side by side; a mask says which lanes of the last one are there.
        """
        emitter, known = Emitter(), dict[Expr, tuple[Expr, ...]]()
        roots = [lower(expr, known)[0] for expr in self.exprs]
        emitter.line("entry:")
        dtypes = (*self.input_dtypes, *self.output_dtypes)
        places = [self.place(emitter, number, dtype) for number, dtype in enumerate(dtypes)]
        for k in range(vectors):
            mask = masked and k == vectors - 1
            inputs: dict[Slot, str] = {}
            for number in range(len(self.input_dtypes)):
                if number in self.given:
                    inputs[number, 0] = f"%value.{k}"
                else:
                    place = self.along(emitter, places, number, k * lanes)
                    inputs[number, 0] = self.load(emitter, place, number, lanes, mask)
            values: dict[Expr, str] = {}
            for number, (root, dtype) in enumerate(zip(roots, self.output_dtypes), len(inputs)):
                value = emitter.value(root, inputs, lanes, values)
                stored = emitter.before_store(value, root.dtype, dtype, lanes)
                place = self.along(emitter, places, number, k * lanes)
                self.store(emitter, stored, place, dtype, lanes, mask)
        vector = llvm_type(compute_dtype(self.input_dtypes[self.given[0]]), lanes)
        arguments = [f"{vector} %value.{k}" for k in range(vectors)]
        arguments += ["ptr readonly %places", "i64 %row", "i64 %column"]
        if masked:
            arguments.append(f"<{lanes} x i1> %mask")
        head = f"define internal void {name}({', '.join(arguments)}) {attributes} {{"
        return [head, *emitter.lines, "ret void", "}"], set(emitter.declarations.values())

    def place(self, emitter: Emitter, number: int, dtype: str) -> str:
        """The address of an operand at the function's row and column."""
        words = [
            emitter.let(f"getelementptr inbounds i64, ptr %places, i64 {2 * number + k}")
            for k in range(2)
        ]
        base = emitter.let(f"load ptr, ptr {words[0]}, align 8")
        stride = emitter.let(f"load i64, ptr {words[1]}, align 8")
        place = emitter.at(base, emitter.let(f"mul nsw i64 %row, {stride}"))
        if self.classes[number] == "0":
            return place
        return emitter.at(place, emitter.let(f"mul nsw i64 %column, {ITEMSIZE[dtype]}"))

    def along(self, emitter: Emitter, places: Sequence[str], number: int, elements: int) -> str:
        """The address of an operand some elements further on in the row."""
        if self.classes[number] == "0" or not elements:
            return places[number]
        dtype = (*self.input_dtypes, *self.output_dtypes)[number]
        return emitter.at(places[number], str(elements * ITEMSIZE[dtype]))

    def load(self, emitter: Emitter, place: str, number: int, lanes: int, masked: bool) -> str:
        """A vector of an operand; the element that stands still is repeated."""
        dtype = self.input_dtypes[number]
        align = ITEMSIZE[dtype]
        if self.classes[number] == "0":
            one = emitter.let(f"load {memory_type(dtype)}, ptr {place}, align {align}")
            scalar, one = llvm_type(compute_dtype(dtype)), emitter.after_load(one, dtype)
            vector = f"<{lanes} x {scalar}>"
            first = emitter.let(f"insertelement {vector} poison, {scalar} {one}, i64 0")
            return emitter.let(
                f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer"
            )
        memory = memory_type(dtype, lanes)
        text = f"load {memory}, ptr {place}, align {align}"
        if masked:
            text = (
                f"call {memory} @llvm.masked.load.{memory_suffix(dtype, lanes)}.p0(ptr {place}, "
                f"i32 {align}, <{lanes} x i1> %mask, {memory} zeroinitializer)"
            )
        loaded = emitter.call(text) if masked else emitter.let(text)
        return emitter.after_load(loaded, dtype, lanes)

    def store(
        self, emitter: Emitter, value: str, place: str, dtype: str, lanes: int, masked: bool
    ) -> None:
        """Stores a vector of a result."""
        memory, align = memory_type(dtype, lanes), ITEMSIZE[dtype]
        if not masked:
            emitter.line(f"store {memory} {value}, ptr {place}, align {align}")
            return
        function = f"llvm.masked.store.{memory_suffix(dtype, lanes)}.p0"
        emitter.declarations[function] = (
            f"declare void @{function}({memory}, ptr, i32, <{lanes} x i1>)"
        )
        emitter.line(
            f"call void @{function}({memory} {value}, ptr {place}, i32 {align}, "
            f"<{lanes} x i1> %mask)"
        )


def memory_suffix(dtype: str, lanes: int) -> str:
    """The suffix of an intrinsic's name for a vector as it lies in memory."""
    return suffix({"bool": "uint8", "bfloat16": "uint16"}.get(dtype, dtype), lanes)


def operations(exprs: Sequence[Expr]) -> int:
    """How many instructions the expressions take, without loads and stores."""
    seen: set[Expr] = set()
    pending = [part for expr in exprs for part in lower(expr)]
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += node.args
    return sum(1 for node in seen if node.args)

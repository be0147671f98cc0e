"""Vectors of elements in reductions and row programs: how they are loaded, how the lanes of an
accumulator are merged, how results are stored.

The base class of the writers in `codegen/reduction_writer.py` and `codegen/row_writer.py`. Which
element is in which lane follows from the kernel's structure (see `codegen/reduce.py`): elements of
one row, of neighbouring rows, or of a group of rows in turn. A vector of groups may be longer than
they are; what is in its last lanes is computed and not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.dtypes import ITEMSIZE, KIND, compute_dtype, real_dtype
from flambeau.codegen.emit import Emitter, Slot, llvm_type, memory_type, suffix
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.monoids import Stage
from flambeau.codegen.nest import store
from flambeau.codegen.states import evaluate, fill, parts

PREFETCH_DISTANCE = 2048


def power_of_two(count: int) -> int:
    """The least power of two that is not below `count`.

    >>> power_of_two(5), power_of_two(8)
    (8, 8)
    """
    return 1 << (count - 1).bit_length()


def memory_suffix(dtype: str, lanes: int) -> str:
    """The type of a vector in memory in an intrinsic's name.

    >>> memory_suffix("bfloat16", 8), memory_suffix("float32", 16)
    ('v8i16', 'v16f32')
    """
    return f"v{lanes}{suffix({'bool': 'uint8', 'bfloat16': 'uint16'}.get(dtype, dtype))}"


class LaneWriter:
    """Writes what one vector needs."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.emitter = kernel, Emitter()
        self.inner, self.group = kernel.structure == "inner", kernel.group
        # elements that a step along the row takes, and lanes of the vectors of results
        self.step = kernel.lanes // self.group * self.group if self.inner else 1
        self.coarse_lanes = power_of_two(self.group) if self.inner else kernel.lanes
        self.mask = ""  # the lanes that may be loaded or stored; empty: all
        self.shared: dict[Slot, str] = {}  # slots that hold everywhere: size and params
        self.strides: list[str] = []

    # Expressions

    def evaluate(self, exprs: Sequence[Expr], slots: dict[Slot, str], lanes: int) -> list[str]:
        """Append the computation of `exprs`, give the names of their parts."""
        return evaluate(self.emitter, exprs, {**self.splatted(exprs, lanes), **slots}, lanes)

    def splatted(self, exprs: Sequence[Expr], lanes: int) -> dict[Slot, str]:
        """The shared scalars that `exprs` use, as vectors."""
        used = {}
        for node in postorder(exprs):
            if node.op == "slot" and (node.value, 0) in self.shared:
                used[node.value, 0] = self.splat(self.shared[node.value, 0], node.dtype, lanes)
        return used

    def splat(self, name: str, dtype: str, lanes: int) -> str:
        """A scalar in every lane."""
        if lanes == 1:
            return name
        vector = llvm_type(dtype, lanes)
        one = self.emitter.let(f"insertelement {vector} poison, {llvm_type(dtype)} {name}, i64 0")
        return self.emitter.let(
            f"shufflevector {vector} {one}, {vector} poison, <{lanes} x i32> zeroinitializer"
        )

    # Loads and stores

    def load(self, operand: int, base: str, index: str, lanes: int) -> list[str]:
        """Load the elements of an operand at `index`, `index + 1`, ... along the vector axis."""
        emitter, dtype, cls = (
            self.emitter,
            self.kernel.input_dtypes[operand],
            self.kernel.classes[operand],
        )
        count = 2 if KIND[dtype] == "c" else 1
        memory, align = memory_type(dtype), ITEMSIZE[dtype] // count
        if cls == "1" and lanes > 1:
            address = emitter.let(
                f"getelementptr inbounds [{count} x {memory}], ptr {base}, i64 {index}"
            )
            if self.inner and lanes >= 64:
                self._prefetch(address, lanes * ITEMSIZE[dtype])
            if self.mask:
                return [emitter.after_load(self._masked_load(address, dtype), dtype, lanes)]
            wide = memory_type(dtype, lanes * count)
            whole = emitter.let(f"load {wide}, ptr {address}, align {align}")
            if count == 1:
                return [emitter.after_load(whole, dtype, lanes)]
            return [self._every_second(whole, wide, lanes, part) for part in range(2)]
        offset = "0" if cls == "0" else emitter.let(f"mul nsw i64 {index}, {self.strides[operand]}")
        address = emitter.at(base, offset)
        names = []
        for part in range(count):
            at = emitter.let(f"getelementptr inbounds {memory}, ptr {address}, i64 {part}")
            if cls == "0" or lanes == 1:
                one = emitter.after_load(
                    emitter.let(f"load {memory}, ptr {at}, align {align}"), dtype
                )
                names.append(self.splat(one, real_dtype(compute_dtype(dtype)), lanes))
            else:
                names.append(
                    emitter.after_load(self._gather(at, operand, dtype, align, lanes), dtype, lanes)
                )
        return names

    def _prefetch(self, address: str, size: int) -> None:
        """Ask for the cache lines of a later step; the hardware alone leaves a tenth of the
        memory's speed unused.
        """
        self.emitter.declare("void", "llvm.prefetch.p0", "ptr a, i32 0, i32 3, i32 1")
        for line in range(0, size, 64):
            later = self.emitter.let(
                f"getelementptr i8, ptr {address}, i64 {PREFETCH_DISTANCE + line}"
            )
            self.emitter.line(f"call void @llvm.prefetch.p0(ptr {later}, i32 0, i32 3, i32 1)")

    def _every_second(self, whole: str, wide: str, lanes: int, part: int) -> str:
        picks = ", ".join(f"i32 {2 * lane + part}" for lane in range(lanes))
        return self.emitter.let(
            f"shufflevector {wide} {whole}, {wide} poison, <{lanes} x i32> <{picks}>"
        )

    def _gather(self, address: str, operand: int, dtype: str, align: int, lanes: int) -> str:
        emitter, memory = self.emitter, memory_type(dtype)
        total, vector = "poison", memory_type(dtype, lanes)
        for lane in range(lanes):
            offset = emitter.let(f"mul nsw i64 {self.strides[operand]}, {lane}")
            at = emitter.at(address, offset)
            one = emitter.let(f"load {memory}, ptr {at}, align {align}")
            total = emitter.let(f"insertelement {vector} {total}, {memory} {one}, i64 {lane}")
        return total

    def _masked_load(self, address: str, dtype: str) -> str:
        """The elements in the lanes of the mask, zero in the others."""
        emitter, lanes = self.emitter, self.kernel.lanes
        vector, align = memory_type(dtype, lanes), ITEMSIZE[dtype]
        return emitter.call(
            f"call {vector} @llvm.masked.load.{memory_suffix(dtype, lanes)}.p0(ptr {address}, "
            f"i32 {align}, <{lanes} x i1> {self.mask}, {vector} zeroinitializer)"
        )

    def _masked_store(self, address: str, value: str, value_dtype: str, dtype: str) -> None:
        """Store the lanes of the mask."""
        emitter, lanes = self.emitter, self.kernel.lanes
        vector, name = memory_type(dtype, lanes), f"llvm.masked.store.{memory_suffix(dtype, lanes)}"
        stored = emitter.before_store(value, value_dtype, dtype, lanes)
        arguments = f"{vector} {stored}, ptr {address}, i32 {ITEMSIZE[dtype]}"
        emitter.declare("void", f"{name}.p0", f"{vector} a, ptr b, i32 c, <{lanes} x i1> d")
        emitter.line(f"call void @{name}.p0({arguments}, <{lanes} x i1> {self.mask})")

    def first_lanes(self, count: int) -> str:
        """A mask of the first lanes."""
        return f"<{', '.join(f'i1 {int(lane < count)}' for lane in range(self.kernel.lanes))}>"

    def below(self, bound: str) -> str:
        """A mask of the lanes before `bound`."""
        lanes, vector = self.kernel.lanes, llvm_type("int32", self.kernel.lanes)
        limit = self.splat(self.emitter.let(f"trunc i64 {bound} to i32"), "int32", lanes)
        return self.emitter.let(f"icmp slt {vector} {self.lane_numbers(lanes)}, {limit}")

    def _store(
        self,
        base: str,
        stride: str,
        values: Sequence[str],
        dtypes: Sequence[str],
        dtype: str,
        cls: str,
    ) -> None:
        emitter, lanes = self.emitter, self.coarse_lanes
        wide = lanes
        if self.mask:
            self._masked_store(base, values[0], dtypes[0], dtype)
            return
        if self.inner and self.group < lanes == power_of_two(self.group):
            picks, lanes = range(self.group), self.group
            values = [self.shuffled(v, d, wide, picks) for v, d in zip(values, dtypes)]
        if lanes == 1 or (cls == "1" and KIND[dtype] != "c"):
            store(emitter, base, values, dtypes, dtype, lanes=lanes)
            return
        for lane in range(lanes):
            ones = [
                emitter.let(f"extractelement {llvm_type(d, lanes)} {value}, i64 {lane}")
                for value, d in zip(values, dtypes)
            ]
            offset = emitter.let(f"mul nsw i64 {stride}, {lane}")
            store(
                emitter,
                emitter.at(base, offset),
                ones,
                dtypes,
                dtype,
            )

    # Lanes

    def lane_numbers(self, lanes: int, group: int = 1) -> str:
        """For each lane how many groups lie before it."""
        return f"<{', '.join(f'i32 {lane // group}' for lane in range(lanes))}>"

    def _per_output(self, elements: str) -> str:
        """How many of consecutive elements belong to each output of a group."""
        if self.group == 1:
            return elements
        return self.emitter.let(f"sdiv i64 {elements}, {self.group}")

    def whole_vectors(self, count: str) -> str:
        """How many of the elements of a row whole vectors take."""
        emitter, step, excess = self.emitter, self.step, self.kernel.lanes - self.step
        if not self.inner or step == 1:
            return count
        if excess == 0 and step & (step - 1) == 0:
            return emitter.let(f"and i64 {count}, {-step}")
        inside = emitter.let(f"sub nsw i64 {count}, {excess}")
        return emitter.let(f"mul nsw i64 {emitter.let(f'sdiv i64 {inside}, {step}')}, {step}")

    def in_lanes(self, name: str, dtype: str) -> str:
        """A result of each output, in the lanes that belong to it."""
        lanes, narrow = self.kernel.lanes, self.coarse_lanes
        if not self.inner or lanes == narrow:
            return name
        if narrow == 1:
            return self.splat(name, dtype, lanes)
        return self.shuffled(name, dtype, narrow, [lane % self.group for lane in range(lanes)])

    def shuffled(self, name: str, dtype: str, lanes: int, picks: Sequence[int]) -> str:
        """The picked lanes of a vector of `lanes`."""
        emitter, vector = self.emitter, llvm_type(dtype, lanes)
        if len(picks) == 1:
            return emitter.let(f"extractelement {vector} {name}, i64 {picks[0]}")
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        return emitter.let(
            f"shufflevector {vector} {name}, {vector} poison, <{len(picks)} x i32> <{mask}>"
        )

    def _horizontal(self, stage: Stage, accumulators: list[str]) -> list[str]:
        """Merge the lanes of the accumulators that belong to one output, halving the vectors."""
        emitter, lanes, group = self.emitter, self.kernel.lanes, self.group
        dtypes, groups = parts(stage.start), self.step // group
        while groups > 1:
            half = (groups + 1) // 2 * group
            width = power_of_two(half)
            pairs = [lane + half if lane + half < groups * group else lane for lane in range(width)]
            low, high = (
                [self.shuffled(name, d, lanes, picks) for name, d in zip(accumulators, dtypes)]
                for picks in (range(width), pairs)
            )
            slots = {**fill("acc", stage.start, low), **fill("other", stage.start, high)}
            merged = self.evaluate(stage.merge, slots, width)
            if groups % 2:
                alone = ", ".join(f"i1 {int(pick == lane)}" for lane, pick in enumerate(pairs))
                kinds = [llvm_type(dtype, width) for dtype in dtypes]
                merged = [
                    emitter.let(f"select <{width} x i1> <{alone}>, {kind} {one}, {kind} {both}")
                    for kind, one, both in zip(kinds, low, merged)
                ]
            accumulators, lanes, groups = merged, width, (groups + 1) // 2
        return accumulators

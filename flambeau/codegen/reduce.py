"""Reductions as loop nests: from a monoid, expressions, shapes and strides to kernels and their
parameters.

Called by the dispatcher when it makes a plan:

    >>> from flambeau.codegen.monoids import sum_of
    >>> x, add = Expr.input(0, "float32"), sum_of("float32", "float32")
    >>> strides = {"kept": ((36,),), "reduced": ((4,),), "output": ((4,),)}
    >>> plan = plan_reduction(add, (x,), ("float32",), ("float32",), (4,), (9,), *strides.values())
    >>> plan.items, plan.work
    (4, 12)

The kernel signature is that of `codegen/loops.py`; items are output elements, or tiles of them.
Structures:
- `inner`: the reduced axis is the vector axis, an item is one output element;
- `outer`: the vector axis runs over output elements, an item is a tile of `lanes` of them. They
  are neighbours in memory, or the rows are so short that gathering is cheaper than adding up lanes.
- `inner` with a `group`: fewer neighbouring outputs than a vector has elements lie between two
  elements of a row. The vector axis runs through all of them, so that lanes belong to outputs in
  turn; an item is the group.
No masked access is needed: what does not fill a vector is covered by a vector that overlaps its
predecessor.

A large reduction to few outputs is split: `plan.then` is not None. The plan's buffers are then the
inputs and a scratch buffer of `plan.scratch_bytes` (8 for each part of a state, in the order part,
chunk, output); after all its items are done, `plan.then` runs with the buffers (scratch, outputs).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from flambeau.codegen.dtypes import ITEMSIZE, KIND, compute_dtype
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.lane_writer import power_of_two
from flambeau.codegen.loops import (
    COSTLY,
    LoopPlan,
    Strides,
    can_fail,
    classify,
    collapse,
    cost,
    symbol,
)
from flambeau.codegen.merge_writer import MergeWriter
from flambeau.codegen.monoids import Reduction
from flambeau.codegen.reduction_writer import ReductionWriter, block_length
from flambeau.codegen.states import parts

# Four registers of 64 bytes are enough independent accumulators to hide the latency of an addition;
# along the outputs, wider tiles read longer pieces of each row, which the hardware prefetches
# better.
VECTOR_BYTES = {"inner": 256, "outer": 1024}
LANES = (256, 64, 32, 16, 8, 4, 1)
SHORT_ROW = 256  # elements; for shorter rows a narrow vector loses less at the end of the row
GATHERED = 24  # elements of a row up to which vectors run over the outputs at any stride
NARROW = 16  # neighbouring outputs from which vectors run over them alone
# A reduction to fewer items than SPLIT_ITEMS is split if it has SPLIT_WORK elements; chunks depend
# on sizes only, never on threads, so that results are reproducible.
SPLIT_ITEMS, SPLIT_WORK, CHUNK_WORK, CHUNK_STEP, CHUNKS = 32, 1 << 17, 1 << 15, 1 << 12, 64


@dataclass(frozen=True)
class ReductionKernel:
    """What a reduction kernel's machine code depends on."""

    reduction: Reduction
    elements: tuple[Expr, ...]
    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    structure: str
    classes: str
    lanes: int
    partial: bool
    group: int = 1
    single: bool = False  # whether one block holds all that an output takes in

    @property
    def symbol_name(self) -> str:
        """A name that equal kernels share, in every process."""
        return symbol(
            "reduce_" + self.structure,
            (*self.elements, *self.reduction.expressions()),
            self.input_dtypes,
            self.output_dtypes,
            self.classes,
            self.lanes,
            self.partial,
            self.group,
            self.single,
            len(self.elements),
        )

    def ir_text(self) -> str:
        """The kernel as LLVM IR."""
        return ReductionWriter(self).text()


@dataclass(frozen=True)
class MergeKernel:
    """The second pass of a split reduction: per output, combine the chunks' states and finish."""

    reduction: Reduction
    output_dtypes: tuple[str, ...]

    @property
    def symbol_name(self) -> str:
        """A name that equal kernels share, in every process."""
        return symbol("merge", self.reduction.expressions(), self.output_dtypes)

    def ir_text(self) -> str:
        """The kernel as LLVM IR."""
        return MergeWriter(self).text()


@dataclass
class _Dimension:
    """One loop: its size and the step of every operand in bytes, or in elements for the places (see
    `_PLACES`).
    """

    size: int
    inputs: list[int]
    targets: list[int]
    places: list[int]


# Counted along with the operands: the tile's place in its row of outputs, the chunk's in its row of
# elements, and the number of the first element in the order of the reduced dimensions.
_PLACES = 3


def as_bits(parameters: Sequence[float]) -> list[int]:
    """Numbers as machine words."""
    return [struct.unpack("<q", struct.pack("<d", p))[0] for p in parameters]


def taking_order(structure: str, lanes: int, group: int, *sizes: Any) -> tuple[Any, ...]:
    """The `order` of a LoopPlan: kernels of one order add up elements in the same way. Where
    vectors run over rows, their length does not matter.
    """
    groups = () if group == 1 else (f"groups of {group}",)
    return (structure, lanes if structure == "inner" else 0, *sizes, *groups)


def groups_fit(width: int, widest: int, dtypes: Sequence[str]) -> bool:
    """Whether a vector has room for two groups of `width` elements, and they are real."""
    return 2 * width * widest <= VECTOR_BYTES["inner"] and all(KIND[d] != "c" for d in dtypes)


def group_lanes(extent: int, dtype_size: int) -> int:
    """Lanes of a vector of groups: no more than hold a row of groups."""
    return min(VECTOR_BYTES["inner"] // dtype_size, power_of_two(extent))


def _dimensions(
    sizes: Sequence[int], inputs: Sequence[Strides], targets: Sequence[Strides], sort: bool
) -> list[_Dimension]:
    """The dimensions, collapsed; if `sort`, by decreasing strides of the first input, then of the
    others.
    """
    order = list(range(len(sizes)))
    if sort:
        order.sort(key=lambda d: [abs(operand[d]) for operand in (*inputs, *targets)], reverse=True)
    sizes, strides = collapse(
        [sizes[d] for d in order], [[s[d] for d in order] for s in (*inputs, *targets)]
    )
    n = len(inputs)
    return [
        _Dimension(size, [s[d] for s in strides[:n]], [s[d] for s in strides[n:]], [0] * _PLACES)
        for d, size in enumerate(sizes)
    ]


def _table(dimensions: Sequence[_Dimension], inner: Sequence[int]) -> list[int]:
    """The parameters of an odometer: sizes, then per operand its innermost stride (not the
    odometer's) and the others.
    """
    result = [d.size for d in dimensions]
    steps = [[*d.inputs, *d.targets, *d.places] for d in dimensions]
    for operand, stride in enumerate(inner):
        result += [stride, *(step[operand] for step in steps)]
    return result


def plan_reduction(
    reduction: Reduction,
    elements: Sequence[Expr],
    input_dtypes: Sequence[str],
    output_dtypes: Sequence[str],
    kept_sizes: Sequence[int],
    reduced_sizes: Sequence[int],
    kept_strides: Sequence[Strides],
    reduced_strides: Sequence[Strides],
    output_strides: Sequence[Strides],
    parameters: Sequence[float] = (),
    lanes: int = 0,
) -> LoopPlan:
    """Plan `outputs[kept] = reduction of elements(inputs[kept, reduced])`.

    `kept_strides` and `reduced_strides` are the inputs' byte strides along the kept and the reduced
    dimensions, `output_strides` those of the outputs along the kept ones; `parameters` are the
    reduction's param0, ...; `lanes` sets the length of vectors along
    the reduced dimensions.
    """
    if len(parameters) != reduction.parameters:
        raise ValueError(
            f"the reduction takes {reduction.parameters} parameters, not {len(parameters)}"
        )
    if can_fail(elements):
        raise NotImplementedError("integer division inside a reduction")
    outputs, size = prod(kept_sizes), prod(reduced_sizes)
    kept = _dimensions(kept_sizes, kept_strides, output_strides, sort=True)
    reduced = _dimensions(
        reduced_sizes if size else (), reduced_strides, (), sort=not reduction.ordered
    )
    innermost = (
        reduced.pop()
        if reduced
        else _Dimension(min(size, 1), [ITEMSIZE[d] for d in input_dtypes], [], [])
    )
    nest = _Nest(
        reduction,
        tuple(elements),
        tuple(input_dtypes),
        tuple(output_dtypes),
        kept,
        reduced,
        innermost,
        as_bits(parameters),
        lanes,
    )
    return nest.plan(outputs, size)


@dataclass
class _Nest:
    """A reduction over collapsed dimensions, on its way to a plan."""

    reduction: Reduction
    elements: tuple[Expr, ...]
    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    kept: list[_Dimension]
    reduced: list[_Dimension]
    innermost: _Dimension
    bits: list[int]
    lanes: int

    def plan(self, outputs: int, size: int) -> LoopPlan:
        """Choose the structure, split if it is worth it, and write the parameters."""
        at = self._vector_dimension()
        vector = self.kept[at] if at is not None else self._no_dimension(len(self.output_dtypes))
        width, outer = vector.size, at is not None
        group = self._group(vector) if outer else 1
        if group > 1:
            outer = False
            self.innermost = _Dimension(self.innermost.size * group, list(vector.inputs), [], [])
        limit, rows = self.innermost.size, max(1, prod(d.size for d in self.reduced))
        lanes = self.lanes
        if outer or not lanes:
            lanes = self._lanes(vector if outer else self.innermost, outer, group)
        tiles = -(-width // lanes) if outer else 1
        units = prod(d.size for d in self.kept) // width * tiles
        chunk = None
        in_order = at is None or vector is self.kept[-1]
        if 0 < units < SPLIT_ITEMS and outputs * size >= SPLIT_WORK and in_order:
            chunk = self._split(min(CHUNKS, outputs * size // CHUNK_WORK), rows, group)
        then = self._merge_plan(outputs, size, chunk.size) if chunk else None
        if chunk:
            self._to_scratch(chunk)
            rows = max(1, prod(d.size for d in self.reduced))
            if at is None:
                vector = self._no_dimension(1)
        if group > 1:
            self.kept.pop()
        elif at is not None:
            steps, ends = ([s * lanes for s in side] for side in (vector.inputs, vector.targets))
            self.kept[at] = _Dimension(tiles, steps, ends, [lanes, 0, 0])
        if chunk:
            self.kept.insert(0, chunk)
        kernel = self._kernel(outer, vector, lanes, chunk is not None, group)
        states = outputs * chunk.size if chunk else 0
        params = [self.innermost.size, limit, rows, size, width, states]
        params += [len(self.kept), len(self.reduced), *self.bits]
        params += _table(self.kept, [*vector.inputs, *vector.targets, *vector.places])
        params += _table(self.reduced, self.innermost.inputs)
        return LoopPlan(
            kernel.symbol_name,
            kernel.ir_text,
            tuple(params),
            items=prod(d.size for d in self.kept) if outputs else 0,
            work=round(outputs * size * cost(self._per_element(), self.input_dtypes)),
            can_fail=False,
            scratch_bytes=8 * states * len(parts(self.reduction.start)),
            then=then,
            order=taking_order(
                kernel.structure,
                lanes,
                group,
                1,
                self.innermost.size,
                *(d.size for d in self.reduced),
                *([f"in {chunk.size}"] if chunk else ()),
            ),
        )

    def _per_element(self) -> list[Expr]:
        """What is computed for each element."""
        return [*self.elements, *(e for stage in self.reduction.stages for e in stage.step)]

    def _kernel(
        self, outer: bool, vector: _Dimension, lanes: int, partial: bool, group: int
    ) -> ReductionKernel:
        strides = list((vector if outer else self.innermost).inputs)
        dtypes, structure = self.input_dtypes, "outer" if outer else "inner"
        step = 1 if outer else lanes // group * group
        block = block_length(structure, len(self.reduction.stages), step)
        if not partial:
            strides, dtypes = strides + vector.targets, dtypes + self.output_dtypes
        return ReductionKernel(
            self.reduction,
            self.elements,
            self.input_dtypes,
            self.output_dtypes,
            structure=structure,
            classes="".join(classify(stride, dtype) for stride, dtype in zip(strides, dtypes)),
            lanes=lanes,
            partial=partial,
            group=group,
            single=not partial and not self.reduced and 0 < self.innermost.size <= block,
        )

    def _to_scratch(self, chunk: _Dimension) -> None:
        """Let the kernel count outputs and chunks instead of stepping through the outputs."""
        run = 1
        for dimension in reversed(self.kept):
            dimension.targets = [run]
            run *= dimension.size
        chunk.targets = [run]

    def _no_dimension(self, targets: int) -> _Dimension:
        """A vector axis of one output."""
        return _Dimension(1, [0] * len(self.input_dtypes), [0] * targets, [0] * _PLACES)

    def _vector_dimension(self) -> int | None:
        """The kept dimension whose outputs make better vectors than elements of one output do."""
        long = [d for d, kept in enumerate(self.kept) if kept.size >= NARROW]
        if long and self.innermost.size * prod(d.size for d in self.reduced) <= GATHERED:
            return long[-1]
        if not self.kept:
            return None
        for reduced, kept in zip(self.innermost.inputs, self.kept[-1].inputs):
            if reduced or kept:
                near = kept != 0 and abs(kept) < abs(reduced) and self.kept[-1].size > 1
                return len(self.kept) - 1 if near else None
        return None

    def _group(self, vector: _Dimension) -> int:
        """How many outputs share a vector, if they and the elements of their rows lie in memory
        without gaps; else 1. The elements of a short row are added up one after the other, as in
        torch: few terms that cancel show the order.
        """
        steps = list(zip(self.innermost.inputs, vector.inputs, self.input_dtypes))
        dense = all(kept == ITEMSIZE[d] and step == vector.size * kept for step, kept, d in steps)
        if vector is not self.kept[-1] or self.innermost.size <= GATHERED or not dense:
            return 1
        return vector.size if groups_fit(vector.size, self._widest(), self.input_dtypes) else 1

    def _widest(self) -> int:
        """Bytes of the widest value that is computed for an element."""
        return max(ITEMSIZE[compute_dtype(node.dtype)] for node in postorder(self.elements))

    def _lanes(self, axis: _Dimension, outer: bool, group: int) -> int:
        """Vector elements per step: no more than the axis has, fewer where elements are gathered or
        costly.
        """
        exprs = (*self.elements, *self.reduction.expressions())
        widest = self._widest()
        best = (
            VECTOR_BYTES["outer" if outer and len(self.reduction.stages) == 1 else "inner"]
            // widest
        )
        gathers = any(
            classify(stride, dtype) == "s" for stride, dtype in zip(axis.inputs, self.input_dtypes)
        )
        costly = any(node.op in COSTLY for node in postorder(exprs))
        extent = axis.size
        if gathers or costly or (not outer and extent < SHORT_ROW):
            best = min(best, 16)
        if group > 1:
            return group_lanes(extent, widest)
        return next(lanes for lanes in LANES if lanes <= best and (lanes <= extent or lanes == 1))

    def _split(self, chunks: int, rows: int, group: int) -> _Dimension | None:
        """Take a dimension of chunks out of the reduced ones; None if none is long enough."""
        length = self.innermost.size
        if length >= rows and length >= 2 * CHUNK_STEP:
            least = CHUNK_STEP // group * group
            step = max(least, length // chunks // least * least)
            self.innermost.size = step
            # The last chunk takes what is left, up to two steps.
            return _Dimension(
                length // step,
                [stride * step for stride in self.innermost.inputs],
                [],
                [0, step, step],
            )
        if rows < 2:
            return None
        outermost = self.reduced[0]
        chunks = max(
            c for c in range(1, min(chunks, outermost.size) + 1) if outermost.size % c == 0
        )
        if chunks == 1:
            return None
        first = rows // chunks * length
        outermost.size //= chunks
        return _Dimension(
            chunks, [stride * outermost.size for stride in outermost.inputs], [], [0, 0, first]
        )

    def _merge_plan(self, outputs: int, size: int, chunks: int) -> LoopPlan:
        kernel = MergeKernel(self.reduction, self.output_dtypes)
        params = [chunks, outputs, size, len(self.kept), *self.bits, *(d.size for d in self.kept)]
        for output in range(len(self.output_dtypes)):
            params += [0, *(d.targets[output] for d in self.kept)]
        return LoopPlan(
            kernel.symbol_name, kernel.ir_text, tuple(params), outputs, outputs * chunks, False
        )

"""Row programs: a few sweeps over each row, then results for its elements or for the row itself, in
one kernel.

softmax, layer normalisation, cross entropy and their gradients are of this kind: every element's
result depends on sums or extremes of its row. The row is read once per sweep while it lies in the
cache, and nothing is stored in between. A row is one run of evenly spaced elements, or several such
segments (a channel of a batch of images):

    x = Expr.slot("x0", "float32")
    top = Stage((lowest("float32"),), (Expr.slot("acc0", "float32").maximum(x),), (...,))
    RowProgram((Expr.input(0, "float32"),), (top,), (x - Expr.slot("stage0.0", "float32"),))

Stages are those of codegen.monoids: they see the elements as x0, ..., results of earlier stages as
stage0.0, ..., the number of the row's elements as `size`, parameters as param0, ..., an operand
that does not move along the row (number 2, say, named in `given`) as given2; elements, `outputs`
and `row_outputs` see these too. A reduction of codegen.monoids may be among the stages (`Fold`): it
goes over the row in blocks, adds up in the order of a reduction kernel, and its results are
fold0.0, ...

What is costly is computed once: an element that is named in `kept` lies in the memory of an output
from the first sweep that computes it on, until that output itself is stored.

The kernel's buffers are the inputs, the outputs, the row outputs. Structures, as for reductions:
`inner`, where the vector axis runs along the row, an item is a row; `outer`, where it runs over
rows that are neighbours in memory, an item is a tile of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from flambeau.codegen.dtypes import ITEMSIZE, compute_dtype
from flambeau.codegen.loops import LoopPlan, Strides, classify, collapse, cost, symbol
from flambeau.codegen.monoids import Reduction, Stage, Values
from flambeau.codegen.reduce import GATHERED, NARROW, as_bits, group_lanes, groups_fit, taking_order
from flambeau.codegen.row_writer import RowWriter

LANES = (64, 32, 16, 8, 4, 1)
CACHE = 1 << 19  # bytes of a tile of rows that several sweeps should find in the cache


@dataclass(frozen=True)
class Fold:
    """A reduction whose stages are those of a row program from number `first` on; its slots
    stage0.0 and so on have the program's numbers.
    """

    first: int
    reduction: Reduction


@dataclass(frozen=True)
class RowProgram:
    """What is computed for a row: see the module's first lines. kept: pairs (element, output)."""

    elements: Values
    stages: tuple[Stage, ...]
    outputs: Values = ()
    row_outputs: Values = ()
    parameters: int = 0
    kept: tuple[tuple[int, int], ...] = ()
    folds: tuple[Fold, ...] = ()
    given: tuple[int, ...] = ()

    def expressions(self) -> Values:
        """Everything that identifies the program."""
        return (
            *self.elements,
            *self.outputs,
            *self.row_outputs,
            *self.as_reduction().expressions(),
            *(expr for fold in self.folds for expr in fold.reduction.expressions()),
        )

    def as_reduction(self) -> Reduction:
        """Its stages in the form that reductions have."""
        return Reduction(self.stages, (), (), (), (), parameters=self.parameters)


@dataclass(frozen=True)
class RowKernel:
    """What a row kernel's machine code depends on."""

    program: RowProgram
    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    structure: str
    classes: str
    lanes: int
    segmented: bool
    group: int = 1

    @property
    def elements(self) -> Values:
        """The expressions behind x0, x1, ..."""
        return self.program.elements

    @property
    def reduction(self) -> Reduction:
        """The stages, for the writer of reductions."""
        return self.program.as_reduction()

    @property
    def kept(self) -> dict[int, int]:
        """The elements that outputs hold meanwhile: in whole vectors, unrounded, and not where
        tiles of rows overlap, since what two of them share would be finished twice.
        """
        if self.structure != "inner":
            return {}
        first, kept = len(self.input_dtypes), {}
        for element, output in self.program.kept:
            expr, dtype = self.elements[element], self.output_dtypes[output]
            exact = expr.dtype == dtype or expr.op == "round_to" and expr.value == dtype
            if self.classes[first + output] == "1" and exact:
                kept[element] = output
        return kept

    @property
    def symbol_name(self) -> str:
        """A name that equal kernels share, in every process."""
        program = self.program
        return symbol(
            "rows_" + self.structure,
            program.expressions(),
            self.input_dtypes,
            self.output_dtypes,
            self.classes,
            self.lanes,
            self.segmented,
            self.group,
            [len(stage.start) for stage in program.stages],
            (len(program.elements), len(program.outputs), program.kept, program.given),
            [(fold.first, len(fold.reduction.stages)) for fold in program.folds],
        )

    def ir_text(self) -> str:
        """The kernel as LLVM IR."""
        return RowWriter(self).text()


def plan_rows(
    program: RowProgram,
    input_dtypes: Sequence[str],
    output_dtypes: Sequence[str],
    sizes: Sequence[int],
    length: int,
    strides: Sequence[Strides],
    along: Sequence[int],
    parameters: Sequence[float] = (),
    segments: int = 1,
    across: Sequence[int] = (),
    in_place: bool = False,
    lanes: int = 0,
) -> LoopPlan:
    """Plan the program for rows of `segments` times `length` elements, one for each index into
    `sizes`.

    `strides` are the operands' byte strides over the rows, `along` those along a segment (0 for row
    outputs), `across` those from one segment to the next; operands are inputs, outputs, row
    outputs, and `output_dtypes` names those of the latter two. `in_place`: outputs may be the very
    memory of inputs, so that no row may be computed twice. `lanes` sets the length of vectors that
    lie along rows.
    """
    dtypes = (*input_dtypes, *output_dtypes)
    dims = sorted(range(len(sizes)), key=lambda d: [abs(s[d]) for s in strides], reverse=True)
    kept, row_steps = collapse([sizes[d] for d in dims], [[s[d] for d in dims] for s in strides])
    columns = [[s[d] for s in row_steps] for d in range(len(kept))]
    at = None if in_place else _vector_dimension(kept, columns, along, segments * length)
    outer, vector, width, group = at is not None, list(along), 1, 1
    if at is not None:
        vector, width = columns[at], kept[at]
        each = len(input_dtypes) + len(program.outputs)
        if at == len(kept) - 1 and length > 1:
            group = _group(width, vector, along, dtypes, each)
    if group > 1:
        outer, length = False, length * group
        del kept[-1], columns[-1]
    if outer or not lanes:
        lanes = _lanes(dtypes, width if outer else length, vector, outer, segments * length, group)
    classes = "".join(classify(stride, dtype) for stride, dtype in zip(vector, dtypes, strict=True))
    places = [0] * len(kept)
    if outer and at is not None:
        kept[at], places[at] = -(-width // lanes), lanes
        columns[at] = [stride * lanes for stride in vector]
    across = across or [0] * len(dtypes)
    steps = vector if group > 1 else along
    params = [length, segments, width, len(kept), *steps, *across, *as_bits(parameters), *kept]
    tables = [[column[operand] for column in columns] for operand in range(len(dtypes))]
    params += [n for pair in zip((*vector, 0), (*tables, places)) for n in (pair[0], *pair[1])]
    kernel = RowKernel(
        program, tuple(input_dtypes), tuple(output_dtypes), "outer" if outer else "inner", classes,
        lanes, segments > 1, group,
    )  # fmt: skip
    elements = prod(sizes) * segments * (length // group)
    work = round(elements * cost(program.expressions(), dtypes))
    order = taking_order(kernel.structure, lanes, group, segments, length)
    return LoopPlan(
        kernel.symbol_name, kernel.ir_text, tuple(params), prod(kept), work, False, order=order
    )


def _vector_dimension(
    sizes: Sequence[int], strides: Sequence[Sequence[int]], along: Sequence[int], length: int
) -> int | None:
    """The dimension whose rows make better vectors than elements of one row do."""
    long = [d for d, size in enumerate(sizes) if size >= NARROW]
    if long and length <= GATHERED:
        return long[-1]
    if sizes and sizes[-1] > 1 and 0 < abs(strides[-1][0]) < abs(along[0]):
        return len(sizes) - 1
    return None


def _group(
    width: int,
    strides: Sequence[int],
    along: Sequence[int],
    dtypes: Sequence[str],
    elements: int,
) -> int:
    """How many rows share a vector, if they and their elements lie in memory without gaps; else 1.
    The first operands, `elements` of them, have a value for each element, the others for each row.
    """
    dense = all(
        stride == ITEMSIZE[dtype] and (k >= elements or step == width * stride)
        for k, (step, stride, dtype) in enumerate(zip(along, strides, dtypes))
    )
    return width if dense and groups_fit(width, _widest(dtypes), dtypes) else 1


def _widest(dtypes: Sequence[str]) -> int:
    """Bytes of the widest value that is computed for an element."""
    return max(ITEMSIZE[compute_dtype(dtype)] for dtype in dtypes)


def _lanes(
    dtypes: Sequence[str],
    extent: int,
    strides: Sequence[int],
    outer: bool,
    length: int,
    group: int,
) -> int:
    """Vector elements per step: no more than the axis has,
    fewer where elements are gathered or would leave the cache.
    """
    widest = _widest(dtypes)
    best = 256 // widest
    if any(classify(stride, dtype) == "s" for stride, dtype in zip(strides, dtypes, strict=True)):
        best = min(best, 16)
    if group > 1:
        return group_lanes(extent, widest)
    while outer and best > 16 and best * widest * length > CACHE:
        best //= 2
    return next(lanes for lanes in LANES if lanes <= best and (lanes <= extent or lanes == 1))

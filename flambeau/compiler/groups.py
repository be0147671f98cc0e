"""`Group`: steps of a tape that become one kernel, as expressions of what that kernel reads.

    group = Group.of([(0, step), (1, step), ...])          # None where they do not fit together
    group.values                                           # {Place: Expr}: what it computes
    group.stages, group.folds                              # the sums and extremes over rows

Called by compiler.fuse. A value is known by its place in memory, seen in the group's shape, so that
views in between (`unsqueeze`, `expand`, `view`) change nothing. Three kinds of steps are taken:

- pointwise ones (ops.plan.Formula), over the elements, or with one number for each row;
- reductions (Folding) of the elements of rows;
- row programs (Rows): softmax, normalisations and their gradients.

The second and third kind are anchors: the first one says what a row is and in which order its
elements are added up; others must agree, since the fused kernel has to find the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.loops import collapse
from flambeau.codegen.monoids import Reduction, Stage
from flambeau.codegen.rows import Fold
from flambeau.compiler.tape import Buffer, Step, Value
from flambeau.core.spec import Spec
from flambeau.core.strides import view_strides
from flambeau.ops.kinds import byte_strides
from flambeau.ops.plan import NUMBER_DTYPES, Folding, Formula, Rows
from flambeau.runtime import plan_block as fields

MOST_NODES = 256  # of the expressions of one kernel
MOST_OPERANDS = 24
FEWEST_LANES = 16  # of the vectors along a row, for other work to be done there


class Place(NamedTuple):
    """Where elements lie: bytes from the beginning of a buffer, and byte strides over the group's
    shape, 0 where the size is 1.
    """

    buffer: Buffer
    offset: int
    dtype: str
    strides: tuple[int, ...]


class Operand(NamedTuple):
    """What a kernel reads: a value or a number, the spec or the type of it, its byte strides."""

    value: Any
    kind: Any
    strides: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """The dtype in memory."""
        return self.kind.dtype.name if isinstance(self.kind, Spec) else NUMBER_DTYPES[self.kind]


class Group:
    """See the module's first lines. `order` is that of the anchors' LoopPlan, empty without one;
    `along` are the dimensions that a row lies along.
    """

    def __init__(
        self,
        shape: Sequence[int],
        along: Sequence[int] = (),
        order: Any = (),
        rhythm: Sequence[tuple[int, ...]] = (),
    ):
        self.shape, self.along, self.order = tuple(shape), tuple(along), tuple(order)
        self.rhythm = list(rhythm)  # the strides of the first anchor's operands
        self.steps: list[tuple[int, Step]] = []
        self.values: dict[Place, Expr] = {}  # as they are in memory, rounded
        self.targets: dict[Place, Value] = {}
        self.operands: list[Operand] = []
        self.places: dict[Place, int] = {}  # the operands that are tensors
        self.stages: list[Stage] = []
        self.folds: list[Fold] = []
        self.parameters: list[float] = []
        self.reads: set[Buffer] = set()
        self.writes: set[Buffer] = set()
        self.met = False  # whether an operand was known here

    # ---- what a row is ---------------------------------------------------------------------------
    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of what is one number for each row."""
        return without(self.shape, self.along)

    @property
    def length(self) -> int:
        """The elements of a row."""
        return prod([self.shape[d] for d in self.along])

    @property
    def by_rows(self) -> bool:
        """Whether the order is one that row kernels have: evenly spaced segments, not cut."""
        return len(self.order) == 4

    def of_the_row(self, strides: Sequence[int]) -> bool:
        """Whether an operand does not move along a row."""
        return bool(self.along) and not any(strides[d] for d in self.along)

    def segments(
        self, strides: Sequence[Sequence[int]]
    ) -> tuple[list[int], list[list[int]]] | None:
        """(number of segments, elements of each) and each operand's strides along both; None where
        these do not lie as the anchors' do.
        """
        every = [*strides, *self.rhythm]
        sizes, steps = collapse(
            [self.shape[d] for d in self.along], [[s[d] for d in self.along] for s in every]
        )
        while len(sizes) < 2:
            sizes, steps = [1, *sizes], [[0, *step] for step in steps]
        fits = tuple(sizes) == tuple(self.order[2:])
        return (sizes, steps[: len(strides)]) if fits else None

    # ---- steps -----------------------------------------------------------------------------------
    @classmethod
    def of(cls, steps: Sequence[tuple[int, Step]]) -> Group | None:
        """The group of these steps, in order; None where they do not fit together."""
        anchor = next((s for _, s in steps if isinstance(s.plan.formula, (Folding, Rows))), None)
        formula: Any = (steps[0][1] if anchor is None else anchor).plan.formula
        if prod(formula.shape) == 0:
            return None
        group = cls(formula.shape) if anchor is None else cls(formula.shape, *row_of(anchor))
        if anchor is not None and group.length < 2:
            return None
        return group if all(group.add(number, step) for number, step in steps) else None

    def extended(self, number: int, step: Step) -> Group | None:
        """The group with one more step, None where it cannot be part of it."""
        formula = step.plan.formula
        if not self.order and not isinstance(formula, Formula):
            return Group.of([*self.steps, (number, step)])
        group = Group(self.shape, self.along, self.order, self.rhythm)
        for name in ("steps", "operands", "stages", "folds", "parameters"):
            setattr(group, name, list(getattr(self, name)))
        for name in ("values", "targets", "places"):
            setattr(group, name, dict(getattr(self, name)))
        group.reads, group.writes = set(self.reads), set(self.writes)
        return group if group.add(number, step) and group.met else None

    def add(self, number: int, step: Step) -> bool:
        """Computes one more step here; False where that cannot be (the group is spoilt then)."""
        formula = step.plan.formula
        if isinstance(formula, Formula):
            done = self.add_pointwise(step, formula)
        elif isinstance(formula, Folding):
            done = self.add_folding(step, formula)
        else:
            done = isinstance(formula, Rows) and self.add_rows(step, formula)
        if not done or len(self.operands) > MOST_OPERANDS:
            return False
        self.steps.append((number, step))
        exprs = [e for stage in self.stages for e in stage.step]
        return sum(1 for _ in postorder([*self.values.values(), *exprs])) <= MOST_NODES

    def add_pointwise(self, step: Step, formula: Formula) -> bool:
        """A step that computes each element, or a number for each row, from others."""
        size, target = prod(formula.shape), self.shape
        if size != prod(target):
            target = self.row_shape
            if not self.along or size != prod(target):
                return False
        elif self.stages and not self.by_rows:
            return False  # the reduction's kernel has no place for elements
        count = len(step.plan.inputs) - formula.written
        inputs, places = step.inputs[:count], {}
        seen: Callable[[Any], Any] = lambda kind: byte_strides(kind, formula.shape)
        for i, value in enumerate(inputs):
            kind = step.plan.inputs[i].spec
            strides = seen(kind) if isinstance(kind, Spec) else (0,) * len(formula.shape)
            found = self.operand(value, kind, strides, formula.shape, target)
            if found is None:
                return False
            places[i] = found
        results = [e.with_inputs(places) for e in formula.expressions]
        strides = [seen(value.spec) for value in step.outputs]
        return self.define(step.outputs, results, strides, formula.shape, target)

    def add_folding(self, step: Step, folding: Folding) -> bool:
        """A reduction of the elements of rows."""
        if folding.order != self.order or not self.same_rows(folding.shape, folding.dims):
            return False
        if not self.by_rows and folding.shape != self.shape:
            return False
        ordered = [fold.reduction.ordered for fold in self.folds]
        if self.folds and any([*ordered, folding.reduction.ordered]):
            return False
        places: dict[int, Expr] = {}
        for i, value in enumerate(step.inputs):
            spec = step.plan.inputs[i].spec
            assert isinstance(spec, Spec)
            strides = byte_strides(spec, folding.shape)
            found = self.operand(value, spec, strides, folding.shape, self.shape)
            if found is None or self.by_rows and not self.lies_along(strides, folding.shape):
                return False
            places[i] = found
        first, element = len(self.stages), folding.element.with_inputs(places)
        translate = self.translation({"x0": element})
        reduction = translated(folding.reduction, translate)
        self.stages += reduction.stages
        number = len(self.folds)
        self.folds.append(Fold(first, reduction))
        self.parameters += folding.parameters
        results = [Expr.slot(f"fold{number}.{k}", e.dtype) for k, e in enumerate(reduction.finish)]
        steps = [row_major(folding.shape, folding.dims, v.spec.itemsize) for v in step.outputs]
        shape = without(folding.shape, folding.dims)
        return self.define(step.outputs, results, steps, shape, self.row_shape)

    def add_rows(self, step: Step, rows: Rows) -> bool:
        """A row program."""
        if rows.order != self.order or not self.same_rows(rows.shape, rows.along):
            return False
        places: dict[int, Expr] = {}
        for i, value in enumerate(step.inputs):
            strides = rows.strides[i]
            found = self.operand(value, step.plan.inputs[i].spec, strides, rows.shape, self.shape)
            if found is None or not self.lies_along(strides, rows.shape):
                return False
            places[i] = found
        program = rows.program
        rename = self.translation({})
        elements = {f"x{k}": rename(e).with_inputs(places) for k, e in enumerate(program.elements)}
        translate = self.translation(elements)
        reduction = translated(program.as_reduction(), translate)
        self.stages += reduction.stages
        self.parameters += rows.parameters
        count, steps = len(program.outputs), rows.strides[len(step.inputs) :]
        outputs = [translate(e) for e in program.outputs]
        numbers = [translate(e) for e in program.row_outputs]
        made, of_rows = step.outputs[:count], step.outputs[count:]
        return self.define(made, outputs, steps[:count], rows.shape, self.shape) and self.define(
            of_rows, numbers, steps[count:], without(rows.shape, rows.along), self.row_shape
        )

    # ---- parts of these --------------------------------------------------------------------------
    def same_rows(self, shape: Sequence[int], dims: Sequence[int]) -> bool:
        """Whether rows along `dims` of `shape` are the group's rows, in the same order."""
        if tuple(shape) == self.shape:
            return set(dims) == set(self.along)
        if prod(shape) != prod(self.shape):
            return False
        probe = view_strides(shape, row_major(shape, dims, 1), self.shape)
        if probe is None:
            return False
        return all(
            size == 1 or (step == 0) == (d in self.along)
            for d, (size, step) in enumerate(zip(self.shape, probe, strict=True))
        )

    def lies_along(self, strides: Sequence[int], shape: Sequence[int]) -> bool:
        """Whether the elements of an operand's rows come in the group's order."""
        seen = view_strides(shape, strides, self.shape)
        return seen is not None and self.segments([seen]) is not None

    def place(
        self, value: Value, strides: Sequence[int], shape: Sequence[int], target: Sequence[int]
    ) -> Place | None:
        """Where a value lies, by its strides over `shape`, seen as `target`."""
        if tuple(shape) != tuple(target):
            seen = view_strides(shape, strides, target)
            if seen is None:
                return None
            strides = seen
        steps = tuple([0 if n == 1 else s for n, s in zip(target, strides, strict=True)])
        return Place(value.buffer, value.offset, value.spec.dtype.name, steps)

    def operand(
        self, value: Any, kind: Any, strides: Sequence[int], shape: Sequence[int],
        target: Sequence[int],
    ) -> Expr | None:  # fmt: skip
        """An operand as an expression: computed here, or read; None where neither is possible."""
        if not isinstance(value, Value):
            for i, known in enumerate(self.operands):
                if known.value is value and known.kind is kind:
                    return Expr.input(i, known.dtype)
            self.operands.append(Operand(value, kind, (0,) * len(self.shape)))
            return Expr.input(len(self.operands) - 1, NUMBER_DTYPES[kind])
        place = self.place(value, strides, shape, target)
        if place is None:
            return None
        self.met |= place in self.values or place in self.places
        if place in self.values:
            return self.values[place]
        if value.buffer in self.writes:
            return None  # the same memory, but other elements of it
        if place not in self.places:
            self.places[place] = len(self.operands)
            self.operands.append(Operand(value, kind, place.strides))
            self.reads.add(value.buffer)
        return Expr.input(self.places[place], place.dtype)

    def define(
        self,
        values: Sequence[Value],
        expressions: Sequence[Expr],
        strides: Sequence[Sequence[int]],
        shape: Sequence[int],
        target: Sequence[int],
    ) -> bool:
        """Values that are computed here from now on."""
        for value, expression, steps in zip(values, expressions, strides, strict=True):
            place = self.place(value, steps, shape, target)
            if place is None:
                return False
            if value.buffer in self.writes and place not in self.values:
                return False
            if value.buffer in self.reads and (self.along or self.reads_elsewhere(place)):
                return False
            self.values[place] = expression.to(value.spec.dtype.name)
            self.targets[place] = value
            self.writes.add(value.buffer)
        return True

    def reads_elsewhere(self, place: Place) -> bool:
        """Whether other elements of a place's memory are read."""
        return any(p.buffer is place.buffer and p != place for p in self.places)

    def translation(self, elements: dict[str, Expr]) -> Callable[[Expr], Expr]:
        """Renumbers the stages and parameters of a program that joins the others, and puts its
        elements in place.
        """
        stages, parameters = len(self.stages), len(self.parameters)

        def change(node: Expr) -> Expr | None:
            if node.op != "slot":
                return None
            name = str(node.value)
            if name in elements:
                return elements[name]
            if name.startswith("stage"):
                number, result = name[5:].split(".")
                return Expr.slot(f"stage{int(number) + stages}.{result}", node.dtype)
            if name.startswith("param"):
                return Expr.slot(f"param{int(name[5:]) + parameters}", node.dtype)
            return None

        return lambda expr: expr.rewritten(change)

    # ---- questions of compiler.fuse --------------------------------------------------------------
    def concerns(self, step: Step) -> bool:
        """Whether a step reads what the group computes, or, beside other pointwise work or other
        reductions, what it reads.
        """
        alone = isinstance(step.plan.formula, Formula) == (not self.along)
        buffers = self.writes | self.reads if alone else self.writes
        return any(isinstance(x, Value) and x.buffer in buffers for x in step.inputs)

    def results(self, later: set[Buffer]) -> list[Place]:
        """The values that somebody reads afterwards."""
        return [p for p in self.values if not p.buffer.internal or p.buffer in later]


def translated(reduction: Reduction, translate: Callable[[Expr], Expr]) -> Reduction:
    """A reduction with all its expressions translated."""
    every: Callable[[Sequence[Expr]], tuple[Expr, ...]] = lambda exprs: tuple(
        [translate(e) for e in exprs]
    )
    return Reduction(
        tuple([Stage(s.start, every(s.step), s.merge) for s in reduction.stages]),
        every(reduction.block),
        reduction.start,
        reduction.combine,
        every(reduction.finish),
        reduction.ordered,
        reduction.parameters,
    )


def row_of(anchor: Step) -> tuple[tuple[int, ...], Any, list[tuple[int, ...]]]:
    """The dimensions that an anchor's rows lie along, as they lie in memory, the order in which it
    takes their elements, and its operands' strides.
    """
    formula: Any = anchor.plan.formula
    if isinstance(formula, Rows):
        return formula.along, formula.order, list(formula.strides)
    specs = [operand.spec for operand in anchor.plan.inputs]
    strides = [byte_strides(spec, formula.shape) for spec in specs if isinstance(spec, Spec)]
    along = formula.dims
    if not formula.reduction.ordered:
        along = sorted(along, key=lambda d: [abs(s[d]) for s in strides], reverse=True)
    return tuple(along), formula.order, strides


def without(shape: Sequence[int], dims: Sequence[int]) -> tuple[int, ...]:
    """A shape with some dimensions of size 1."""
    return tuple([1 if d in dims else size for d, size in enumerate(shape)])


def row_major(shape: Sequence[int], dims: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """The byte strides over `shape` of one number for each row along `dims`, in order."""
    strides, step = [0] * len(shape), itemsize
    for d in reversed(range(len(shape))):
        if d not in dims:
            strides[d] = step
            step *= shape[d]
    return tuple(strides)


def takes_part(step: Any) -> bool:
    """Whether a step of a tape can be part of a group."""
    if not isinstance(step, Step) or step.plan.words[fields.B_CAN_FAIL]:
        return False
    return isinstance(step.plan.formula, (Formula, Folding, Rows))

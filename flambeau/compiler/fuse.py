"""Fewer kernels: pointwise steps of a tape that work on the same elements become one, and a
reduction computes the elements that it reads.

    steps = fuse(tape.steps, kept)          # kept: the buffers that are needed afterwards

Called by compiler.build. A step whose plan has a `Formula` (ops.plan) can be computed inside
another kernel: its results are expressions of its operands, and where an operand is the result of
the same kernel its expression stands in its place, rounded as it would be in memory. So a chain of
ten operations reads its inputs and writes its result once, and gives the same bits. An intermediate
result is written only if somebody else reads it.

Steps are merged into an earlier group, which then runs where the later step did; nothing between
the two may touch what the group works on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.loops import plan_pointwise
from flambeau.codegen.reduce import plan_reduction
from flambeau.compiler.tape import Buffer, Renewal, Step, Value
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.kinds import byte_strides
from flambeau.ops.plan import NUMBER_DTYPES, Folding, Formula, Operand, Plan
from flambeau.runtime import plan_block as fields

WINDOW = 12  # how far back a step looks for a group
MOST_NODES = 256  # of the expressions of one kernel
MOST_OPERANDS = 24
WORTH = 1 << 15  # bytes that need not be moved, from which a new kernel is worth compiling


class Group:
    """Steps that become one kernel."""

    def __init__(self, step: Step, formula: Formula):
        self.steps, self.shape = [step], formula.shape
        self.values: dict[Value, Expr] = {}  # what the kernel has computed, as it is in memory
        self.operands: list[Any] = []  # values and numbers that it reads
        self.kinds: list[Any] = []  # the spec or the type of each
        self.reads: set[Buffer] = set()
        self.writes: set[Buffer] = set()
        self.add(step, formula)

    def add(self, step: Step, formula: Formula) -> None:
        """Computes one more step here."""
        plan, count = step.plan, len(step.plan.inputs) - formula.written
        places: dict[int, Expr] = {}
        for i, (value, operand) in enumerate(zip(step.inputs[:count], plan.inputs, strict=False)):
            places[i] = self.operand(value, operand.spec)
        results = [substitute(e, places) for e in formula.expressions]
        for value, expression in zip(step.outputs, results, strict=True):
            self.values[value] = expression.to(value.spec.dtype.name)
            self.writes.add(value.buffer)

    def operand(self, value: Any, kind: Any) -> Expr:
        """An operand as an expression: computed here, or read."""
        if isinstance(value, Value):
            if value in self.values:
                return self.values[value]
            self.reads.add(value.buffer)
        dtype = dtype_of(kind)
        for i, known in enumerate(self.operands):
            same = known == value if isinstance(value, Value) else known is value
            if same and self.kinds[i] is kind:
                return Expr.input(i, dtype)
        self.operands.append(value)
        self.kinds.append(kind)
        return Expr.input(len(self.operands) - 1, dtype)

    def takes(self, step: Step, formula: Formula) -> bool:
        """Whether a step may be computed here, and has to do with what is."""
        if formula.shape != self.shape:
            return False
        inputs = [x for x in step.inputs if isinstance(x, Value)]
        if not any(x in self.values or x in self.operands for x in inputs):
            return False
        for value in inputs:  # the same memory, but other elements of it
            if value.buffer in self.writes and value not in self.values:
                return False
        for value in step.outputs:
            if value.buffer in self.writes and value not in self.values:
                return False
            if value.buffer in self.reads and value not in self.operands:
                return False
            if any(
                isinstance(x, Value) and x.buffer is value.buffer and x != value
                for x in (*self.operands, *inputs)
            ):
                return False
        nodes = sum(1 for _ in postorder([*self.values.values(), *formula.expressions]))
        return nodes <= MOST_NODES and len(self.operands) + len(step.inputs) <= MOST_OPERANDS

    def results(self, later: set[Buffer]) -> list[Value]:
        """The values that somebody reads afterwards."""
        return [v for v in self.values if not v.buffer.internal or v.buffer in later]

    def step(self, later: set[Buffer]) -> Step | None:
        """The fused kernel; None where the steps are better left as they are."""
        results = self.results(later)
        if not results or len(results) > fields.MAX_OUTPUTS:
            return None
        if len(self.steps) == 1 or self.saved(results) < WORTH:
            return None
        operands, kinds, expressions = self.used([self.values[v] for v in results])
        plan = Plan(
            "fused", [Operand(kind, i) for i, kind in enumerate(kinds)], [v.spec for v in results]
        )
        strides = [strides_of(kind, self.shape) for kind in kinds]
        strides += [byte_strides(v.spec, self.shape) for v in results]
        loops = plan_pointwise(
            expressions,
            [dtype_of(kind) for kind in kinds],
            [v.spec.dtype.name for v in results],
            self.shape,
            strides,
        )
        plan.formula = Formula(tuple(expressions), self.shape)
        return Step(plan.use_kernel(loops), operands, results, -1)

    def used(self, expressions: Sequence[Expr]) -> tuple[list[Any], list[Any], list[Expr]]:
        """The operands that the expressions need, with expressions that number them."""
        wanted = sorted({n.value[0] for n in postorder(expressions) if n.op == "input"})
        places = {i: Expr.input(k, dtype_of(self.kinds[i])) for k, i in enumerate(wanted)}
        renumbered = [substitute(e, places) for e in expressions]
        return [self.operands[i] for i in wanted], [self.kinds[i] for i in wanted], renumbered

    def saved(self, results: Sequence[Value]) -> int:
        """Bytes that the fused kernel does not move."""
        apart = sum(
            sum(v.spec.nbytes for v in (*step.inputs, *step.outputs) if isinstance(v, Value))
            for step in self.steps
        )
        return apart - sum(
            v.spec.nbytes for v in (*self.operands, *results) if isinstance(v, Value)
        )


def substitute(root: Expr, places: dict[int, Expr]) -> Expr:
    """An expression with others in the place of its inputs."""
    made: dict[Expr, Expr] = {}
    for node in postorder([root]):
        if node.op == "input":
            made[node] = places[node.value[0]]
        elif not node.args:
            made[node] = node
        else:
            made[node] = Expr.make(
                node.op, tuple([made[arg] for arg in node.args]), node.dtype, node.value
            )
    return made[root]


def dtype_of(kind: Any) -> str:
    """The dtype of an operand in memory."""
    return kind.dtype.name if isinstance(kind, Spec) else NUMBER_DTYPES[kind]


def strides_of(kind: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The byte strides of an operand over the elements."""
    return byte_strides(kind, shape) if isinstance(kind, Spec) else (0,) * len(shape)


def fuse(steps: Sequence[Any], kept: set[Buffer]) -> list[Any]:
    """The steps with groups of them replaced by single kernels."""
    items = grouped(steps)
    readers: dict[Buffer, int] = {}
    for moment, item in enumerate(items):
        for buffer in touched(item)[0]:
            readers[buffer] = moment
    fused: list[Any] = []
    for moment, item in enumerate(items):
        if isinstance(item, Group):
            later = kept | {b for b in item.writes if readers.get(b, -1) > moment}
            step = item.step(later)
            fused += item.steps if step is None else [step]
        else:
            fused.append(item)
    return with_elements(fused, kept)


def grouped(steps: Sequence[Any]) -> list[Any]:
    """Steps and groups of them, in an order in which each finds what it needs."""
    items: list[Any] = []
    for step in steps:
        formula = step.plan.formula if isinstance(step, Step) else None
        if not isinstance(formula, Formula) or step.plan.words[fields.B_CAN_FAIL]:
            items.append(step)
            continue
        place = place_for(step, formula, items)
        if place is None:
            items.append(Group(step, formula))
        else:
            group = items.pop(place)
            group.steps.append(step)
            group.add(step, formula)
            items.append(group)
    return items


def place_for(step: Step, formula: Formula, items: Sequence[Any]) -> int | None:
    """The group that a step can join; it may run after everything behind it."""
    reads: set[Buffer] = set()
    writes: set[Buffer] = set()
    for place in reversed(range(max(0, len(items) - WINDOW), len(items))):
        item = items[place]
        if isinstance(item, Group) and item.takes(step, formula):
            if not (item.writes & (reads | writes) or item.reads & writes):
                return place
        more = touched(item)
        reads |= more[0]
        writes |= more[1]
    return None


def touched(item: Any) -> tuple[set[Buffer], set[Buffer]]:
    """The buffers that an item reads and writes."""
    if isinstance(item, Group):
        return item.reads, item.writes
    if isinstance(item, Renewal):
        return set(), set()
    reads = {x.buffer for x in item.inputs if isinstance(x, Value)}
    return reads, {x.buffer for x in item.outputs}


# ---- reductions ----------------------------------------------------------------------------------
def with_elements(steps: Sequence[Any], kept: set[Buffer]) -> list[Any]:
    """The steps, where a reduction computes its elements if nobody else reads them."""
    readers: dict[Buffer, int] = {}
    for step in steps:
        for buffer in touched(step)[0]:
            readers[buffer] = readers.get(buffer, 0) + 1
    found: list[Any] = []
    for step in steps:
        before = found[-1] if found else None
        formula = before.plan.formula if isinstance(before, Step) else None
        folding = step.plan.formula if isinstance(step, Step) else None
        if (
            before is not None
            and isinstance(formula, Formula)
            and isinstance(folding, Folding)
            and formula.shape == folding.shape
            and feeds(before, step, readers, kept)
        ):
            found[-1] = folded(before, formula, step, folding)
        else:
            found.append(step)
    return found


def feeds(before: Step, step: Step, readers: dict[Buffer, int], kept: set[Buffer]) -> bool:
    """Whether a pointwise step makes nothing but the one operand of a reduction. Operands that lie
    otherwise in memory than this one would be added up in another order, to other bits.
    """
    if len(before.outputs) != 1 or before.target >= 0 or before.plan.words[fields.B_CAN_FAIL]:
        return False
    value = before.outputs[0]
    return (
        len(step.inputs) == 1
        and step.inputs[0] == value
        and value.buffer.internal
        and value.buffer not in kept
        and readers.get(value.buffer) == 1
        and value.spec.nbytes >= WORTH
        and all(
            x.spec.shape == value.spec.shape and x.spec.strides == value.spec.strides
            for x in before.inputs
            if isinstance(x, Value)
        )
    )


def folded(before: Step, formula: Formula, step: Step, folding: Folding) -> Step:
    """The reduction of what `before` computes."""
    value = before.outputs[0]
    element = formula.expressions[0].to(value.spec.dtype.name)
    element = substitute(folding.element, {0: element})
    kinds = [operand.spec for operand in before.plan.inputs]
    shape, dims = folding.shape, folding.dims
    remaining = [d for d in range(len(shape)) if d not in dims]
    strides = [strides_of(kind, shape) for kind in kinds]
    results = contiguous_strides([shape[d] for d in remaining])
    loops = plan_reduction(
        folding.reduction,
        (element,),
        tuple(dtype_of(kind) for kind in kinds),
        folding.results,
        [shape[d] for d in remaining],
        [shape[d] for d in dims],
        [[steps[d] for d in remaining] for steps in strides],
        [[steps[d] for d in dims] for steps in strides],
        [[s * v.spec.itemsize for s in results] for v in step.outputs],
        folding.parameters,
    )
    plan = Plan(
        "fused", [Operand(kind, i) for i, kind in enumerate(kinds)], [v.spec for v in step.outputs]
    )
    return Step(plan.use_kernel(loops), before.inputs, step.outputs, -1)

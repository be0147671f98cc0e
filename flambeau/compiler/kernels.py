"""The kernel of a group of steps (compiler.groups): a pointwise loop, a reduction, or a row kernel.

    step = kernel_of(group, later)          # later: the buffers that are read afterwards

Called by compiler.fuse. None where the group cannot be one kernel, or should not be: what is saved
must be worth compiling it, rows must fit in the cache, and what is costly is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from flambeau.codegen.dtypes import ITEMSIZE
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.loops import COSTS, LoopPlan, plan_pointwise
from flambeau.codegen.monoids import Reduction, Stage
from flambeau.codegen.reduce import GATHERED, plan_reduction
from flambeau.codegen.row_values import OF_THE_ROW
from flambeau.codegen.rows import CACHE, Fold, RowProgram, plan_rows
from flambeau.compiler.groups import FEWEST_LANES, Group, Place
from flambeau.compiler.tape import Buffer, Step, Value
from flambeau.core.spec import Spec
from flambeau.ops.kinds import byte_strides
from flambeau.ops.plan import RELEASE_FROM, Formula, Operand, Plan
from flambeau.runtime import plan_block as fields

WORTH = 1 << 15  # bytes that need not be moved, from which a new kernel is worth compiling
LIGHT, COSTLY = 3, 6  # operations up to which, and from which on never, a value is computed twice
STAGE = ("start", "step", "merge")
MOST_FOLDS = 4  # that one pass over the elements can do in registers
SHORT_ROW = 8  # vectors, up to which as many operations as MANY do not fill the waiting for sums
MANY = 12
FEWEST_ROWS = 16  # over which the threads can share work that is more than one thread's


def kernel_of(group: Group, later: set[Buffer]) -> Step | None:
    """The group as one step, None where its steps are better left as they are."""
    places = group.results(later)
    if len(group.steps) == 1 or not places or len(places) > fields.MAX_OUTPUTS:
        return None
    if saved(group, places) < WORTH:
        return None
    if not group.along:
        return pointwise_step(group, places)
    step = None
    if all(group.of_the_row(place.strides) for place in places):
        step = reduction_step(group, places)
    return row_step(group, places) if step is None and group.by_rows else step


def saved(group: Group, results: Sequence[Place]) -> int:
    """Bytes that the fused kernel does not move."""
    apart = sum(
        sum(v.spec.nbytes for v in (*step.inputs, *step.outputs) if isinstance(v, Value))
        for _, step in group.steps
    )
    reads = sum(o.value.spec.nbytes for o in group.operands if isinstance(o.value, Value))
    return int(apart - reads - sum(group.targets[place].spec.nbytes for place in results))


def finished(group: Group, loops: LoopPlan, used: Sequence[int], places: Sequence[Place]) -> Step:
    """The step of a kernel."""
    operands = [group.operands[i] for i in used]
    values = [group.targets[place] for place in places]
    plan = Plan(
        "fused", [Operand(o.kind, i) for i, o in enumerate(operands)], [v.spec for v in values]
    )
    return Step(plan.use_kernel(loops), [o.value for o in operands], values, -1)


def inputs_of(exprs: Sequence[Expr]) -> list[int]:
    """The numbers of the operands that expressions read."""
    return sorted({node.value[0] for node in postorder(exprs) if node.op == "input"})


# ---- pointwise -----------------------------------------------------------------------------------
def pointwise_step(group: Group, places: Sequence[Place]) -> Step:
    """One loop over the elements."""
    used = inputs_of([group.values[place] for place in places])
    dtypes = [group.operands[i].dtype for i in used]
    numbers = {i: Expr.input(k, dtypes[k]) for k, i in enumerate(used)}
    expressions = [group.values[place].with_inputs(numbers) for place in places]
    strides = [group.operands[i].strides for i in used]
    strides += [place.strides for place in places]
    results = [place.dtype for place in places]
    loops = plan_pointwise(expressions, dtypes, results, group.shape, strides)
    step = finished(group, loops, used, places)
    kinds = [group.operands[i].kind for i in used] + [value.spec for value in step.outputs]
    if all(is_seen(kind, each, group.shape) for kind, each in zip(kinds, strides, strict=True)):
        step.plan.formula = Formula(tuple(expressions), group.shape)
    return step


def is_seen(kind: Any, strides: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether an operand of this spec, broadcast to `shape`, has these strides there."""
    if not isinstance(kind, Spec):
        return True
    if len(kind.shape) > len(shape) or any(
        n not in (1, size) for n, size in zip(reversed(kind.shape), reversed(shape), strict=False)
    ):
        return False
    return all(
        size == 1 or a == b
        for size, a, b in zip(shape, byte_strides(kind, shape), strides, strict=True)
    )


# ---- reductions ----------------------------------------------------------------------------------
def reduction_step(group: Group, places: Sequence[Place]) -> Step | None:
    """One reduction kernel, which computes the elements that it reads and what follows from its
    results alone; None where there is more to do.
    """
    parameters = list(group.parameters)
    results = [with_parameters(group, group.values[place], parameters) for place in places]
    reduction = None if inputs_of(results) else joined(group, results)
    if reduction is None:
        return None
    used = inputs_of([e for stage in reduction.stages for e in stage.step])
    # first an operand that moves with every element: it says in which order they are taken
    used.sort(key=lambda i: sum(step == 0 for step in group.operands[i].strides))
    dtypes = [group.operands[i].dtype for i in used]
    elements = tuple([Expr.input(k, dtype) for k, dtype in enumerate(dtypes)])
    slots = {i: Expr.slot(f"x{k}", elements[k].dtype) for k, i in enumerate(used)}
    stages = [
        replace(stage, step=tuple([e.with_inputs(slots) for e in stage.step]))
        for stage in reduction.stages
    ]
    kept = [d for d in range(len(group.shape)) if d not in group.along]
    strides = [group.operands[i].strides for i in used]
    dims = sorted(group.along)
    loops = plan_reduction(
        replace(reduction, stages=tuple(stages), parameters=len(parameters)),
        elements,
        tuple(dtypes),
        tuple([place.dtype for place in places]),
        [group.shape[d] for d in kept],
        [group.shape[d] for d in dims],
        [[s[d] for d in kept] for s in strides],
        [[s[d] for d in dims] for s in strides],
        [[place.strides[d] for d in kept] for place in places],
        parameters,
        lanes=group.order[1],
    )
    return finished(group, loops, used, places) if loops.order == group.order else None


def with_parameters(group: Group, root: Expr, parameters: list[float]) -> Expr:
    """An expression with parameters in place of Python numbers that stay the same."""

    def change(node: Expr) -> Expr | None:
        if node.op != "input":
            return None
        value = group.operands[node.value[0]].value
        if type(value) not in (int, float, bool) or abs(value) > 1 << 53 or value != value:
            return None
        if float(value) not in parameters[given:]:
            parameters.append(float(value))
        number = parameters.index(float(value), given)
        return Expr.slot(f"param{number}", "float64").to(node.dtype)

    given = len(group.parameters)
    return root.rewritten(change)


def joined(group: Group, results: Sequence[Expr]) -> Reduction | None:
    """The group's reductions as one that goes over the elements once and finishes with `results`;
    None where that cannot be.
    """
    folds, steps = group.folds, [e for stage in group.stages for e in stage.step]
    if not folds or sum(len(fold.reduction.stages) for fold in folds) != len(group.stages):
        return None
    if len(folds) > 1 and (len(group.stages) > len(folds) or len(folds) > MOST_FOLDS):
        return None
    if any(node.op == "slot" and node.value.startswith("fold") for node in postorder(steps)):
        return None
    parts, finish = [], {}
    accumulators = states = 0
    for n, fold in enumerate(folds):
        part = fold.reduction if len(folds) == 1 else shifted(fold, accumulators, states)
        accumulators += len(part.stages[0].start)
        states += len(part.start)
        finish.update({f"fold{n}.{k}": expr for k, expr in enumerate(part.finish)})
        parts.append(part)
    stages = parts[0].stages
    if len(folds) > 1:
        first = [part.stages[0] for part in parts]
        stages = (Stage(*[every(getattr(s, name) for s in first) for name in STAGE]),)
    return Reduction(
        stages,
        every(part.block for part in parts),
        every(part.start for part in parts),
        every(part.combine for part in parts),
        tuple([with_slots(e, finish) for e in results]),
        parts[0].ordered,
    )


def shifted(fold: Fold, accumulators: int, states: int) -> Reduction:
    """A reduction of one stage with its accumulators and states behind those of others."""
    stage, old = fold.reduction.stages[0], fold.reduction
    slots: dict[str, Expr] = {}
    for k, start in enumerate(stage.start):
        for name in ("acc", "other"):
            slots[f"{name}{k}"] = Expr.slot(f"{name}{accumulators + k}", start.dtype)
        slots[f"stage{fold.first}.{k}"] = Expr.slot(f"stage0.{accumulators + k}", start.dtype)
    for k, start in enumerate(old.start):
        for name in ("left", "right", "state"):
            slots[f"{name}{k}"] = Expr.slot(f"{name}{states + k}", start.dtype)
    new: Callable[[Sequence[Expr]], tuple[Expr, ...]] = lambda exprs: tuple(
        [with_slots(e, slots) for e in exprs]
    )
    return Reduction(
        (Stage(stage.start, new(stage.step), new(stage.merge)),),
        new(old.block),
        old.start,
        new(old.combine),
        new(old.finish),
    )


def every(parts: Iterable[Sequence[Expr]]) -> tuple[Expr, ...]:
    """Several tuples as one."""
    return tuple([expr for part in parts for expr in part])


def with_slots(root: Expr, slots: Mapping[str, Expr]) -> Expr:
    """An expression with others in place of its slots."""
    return root.rewritten(lambda node: slots.get(node.value) if node.op == "slot" else None)


# ---- rows ----------------------------------------------------------------------------------------
def row_step(group: Group, places: Sequence[Place]) -> Step | None:
    """One row kernel."""
    of_elements = [p for p in places if not group.of_the_row(p.strides)]
    of_rows = [p for p in places if group.of_the_row(p.strides)]
    places = [*of_elements, *of_rows]
    outputs = [group.values[place] for place in of_elements]
    numbers = [group.values[place] for place in of_rows]
    sweeps = [[*stage.step] for stage in group.stages] + [outputs]
    used = inputs_of([*every(sweeps), *numbers])
    moves = {i: not group.of_the_row(group.operands[i].strides) for i in used}
    if any(moves[i] for i in inputs_of(numbers)):
        return None
    used.sort(key=lambda i: not moves[i])  # first one that moves: it says what lies along a row
    strides = [*(group.operands[i].strides for i in used), *(p.strides for p in places)]
    along = group.segments(strides)
    if along is None or not fits(group, used, of_elements):
        return None
    kept = kept_elements(group, sweeps, of_elements)
    if kept is None:
        return None
    program = row_program(group, used, moves, outputs, numbers, kept)
    sizes, steps = along
    rows = [d for d in range(len(group.shape)) if d not in group.along]
    loops = plan_rows(
        program,
        [group.operands[i].dtype for i in used],
        [place.dtype for place in places],
        [group.shape[d] for d in rows],
        sizes[1],
        [[s[d] for d in rows] for s in strides],
        [step[1] for step in steps],
        group.parameters,
        sizes[0],
        [step[0] for step in steps],
        lanes=group.order[1],
    )
    return finished(group, loops, used, places) if loops.order == group.order else None


def fits(group: Group, used: Sequence[int], outputs: Sequence[Place]) -> bool:
    """Whether vectors are long enough, rows short enough for the cache and many enough for the
    threads. Where a row is short, its sums are waited for: then costly functions are faster in a
    loop of their own.
    """
    strides = [(group.operands[i].dtype, group.operands[i].strides) for i in used]
    strides += [(place.dtype, place.strides) for place in outputs]
    bytes_of_row = sum(
        ITEMSIZE[dtype] * group.length for dtype, s in strides if not group.of_the_row(s)
    )
    rows = prod(group.shape) // group.length
    if rows < FEWEST_ROWS and prod(group.shape) > RELEASE_FROM or bytes_of_row > CACHE:
        return False
    formulas = [step.plan.formula for _, step in group.steps]
    added = [f.expressions for f in formulas if isinstance(f, Formula) and prod(f.shape) > rows]
    costly = weight(postorder(every(added))) > MANY
    structure, lanes = group.order[:2]
    if structure == "outer":
        return group.length > GATHERED
    return lanes >= FEWEST_LANES and (group.length >= SHORT_ROW * lanes or not costly)


def kept_elements(
    group: Group, sweeps: Sequence[Sequence[Expr]], outputs: Sequence[Place]
) -> dict[Expr, int] | None:
    """The elements that outputs keep from one sweep to the next: outputs that sweeps read, and
    whatever saves most. None if something costly would be computed twice.
    """
    kept: dict[Expr, int] = {}
    found = repeated(group, sweeps, kept)
    for k, place in enumerate(outputs):
        value = group.values[place]
        if value in found and weight(below([value], ())) > LIGHT:
            kept.setdefault(value, k)
    while found := repeated(group, sweeps, kept):
        weights = {node: weight(below([node], kept)) for node in found}
        best = max(found, key=lambda node: ((found[node] - 1) * weights[node], weights[node]))
        if weights[best] <= LIGHT:
            break
        free = [
            k for k, place in enumerate(outputs)
            if k not in kept.values() and place.dtype == best.dtype
        ]  # fmt: skip
        if not free or group.order[0] != "inner":
            return None if weights[best] >= COSTLY else kept
        kept[best] = free[0]
    return kept


def repeated(
    group: Group, sweeps: Sequence[Sequence[Expr]], kept: Mapping[Expr, int]
) -> dict[Expr, int]:
    """How often elements are computed that are computed more than once."""
    seen: dict[Expr, int] = {}
    done: set[Expr] = set()
    for sweep in sweeps:
        here = below(sweep, done & kept.keys())
        done |= here
        for node in here:
            seen[node] = seen.get(node, 0) + 1
    inside = {
        f"stage{fold.first + k}" for fold in group.folds for k in range(len(fold.reduction.stages))
    }
    return {
        node: times
        for node, times in seen.items()
        if times > 1 and node.args and node not in kept and is_element(node, inside)
    }


def below(roots: Iterable[Expr], kept: Iterable[Expr]) -> set[Expr]:
    """What is computed for some expressions if others are known."""
    known, here, pending = set(kept), set[Expr](), list(roots)
    while pending:
        node = pending.pop()
        if node not in here and node not in known:
            here.add(node)
            pending += node.args
    return here


def weight(nodes: Iterable[Expr]) -> int:
    """About how many operations these are."""
    return sum(1 + COSTS.get(node.op, 0) for node in nodes if node.args)


def is_element(root: Expr, inside: set[str]) -> bool:
    """Whether a value belongs to an element of a row, and not to a step of a reduction."""
    nodes = list(postorder([root]))
    names = [str(node.value) for node in nodes if node.op == "slot"]
    return any(node.op == "input" for node in nodes) and all(
        name.startswith(OF_THE_ROW) and name.split(".")[0] not in inside for name in names
    )


def row_program(
    group: Group,
    used: Sequence[int],
    moves: Mapping[int, bool],
    outputs: Sequence[Expr],
    numbers: Sequence[Expr],
    kept: Mapping[Expr, int],
) -> RowProgram:
    """The row program of a group, its operands numbered as in `used`."""
    inputs = [Expr.input(k, group.operands[i].dtype) for k, i in enumerate(used)]
    given = {i: Expr.slot(f"given{k}", inputs[k].dtype) for k, i in enumerate(used) if not moves[i]}
    moving = [k for k, i in enumerate(used) if moves[i]]
    loaded = {**given, **{used[k]: inputs[k] for k in moving}}
    slots = {
        **given,
        **{used[k]: Expr.slot(f"x{n}", inputs[k].dtype) for n, k in enumerate(moving)},
    }
    places = {e: Expr.slot(f"x{len(moving) + n}", e.dtype) for n, e in enumerate(kept)}

    def change(node: Expr) -> Expr | None:
        return slots[node.value[0]] if node.op == "input" else places.get(node)

    new: Callable[[Sequence[Expr]], tuple[Expr, ...]] = lambda exprs: tuple(
        [e.rewritten(change) for e in exprs]
    )
    elements = [inputs[k] for k in moving] + [e.with_inputs(loaded) for e in kept]
    return RowProgram(
        tuple(elements),
        tuple([replace(stage, step=new(stage.step)) for stage in group.stages]),
        new(outputs),
        new(numbers),
        len(group.parameters),
        tuple([(len(moving) + n, output) for n, output in enumerate(kept.values())]),
        tuple(group.folds),
        tuple([k for k, i in enumerate(used) if not moves[i]]),
    )

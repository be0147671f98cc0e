"""Kernels that have nothing to do with one another become one: the updates of all parameters, the
norms and the scaling of all gradients.

    steps = side_by_side(steps)

Called by compiler.build, last. Neighbouring steps, pointwise or reductions, of which none touches
what another one writes are parts of one step (ops.several), whose chunks the threads share: a
hundred small tensors cost one dispatch and use all cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flambeau.compiler.fuse import touched
from flambeau.compiler.tape import Buffer, Step
from flambeau.ops.observe import is_observed
from flambeau.ops.plan import Folding, Formula, Operand, Plan, Several
from flambeau.ops.several import Part

FEWEST = 3  # steps that are worth joining


def side_by_side(steps: Sequence[Any]) -> list[Any]:
    """The steps, neighbours joined where they may run in any order."""
    if is_observed():  # each kernel is to be seen by itself
        return list(steps)
    found: list[Any] = []
    group: list[Step] = []
    reads: set[Buffer] = set()
    writes: set[Buffer] = set()
    for step in (*steps, None):
        part = part_of(step)
        if part is not None:
            more = touched(step)
            if more[1] & (reads | writes) or more[0] & writes:
                found += joined(group)
                group, reads, writes = [], set(), set()
            group.append(step)
            reads |= more[0]
            writes |= more[1]
            continue
        found += joined(group)
        group, reads, writes = [], set(), set()
        if step is not None:
            found.append(step)
    return found


def part_of(step: Any) -> Part | None:
    """A step as a part of a larger one: if it is one simple kernel."""
    if not isinstance(step, Step) or not isinstance(step.plan.formula, (Formula, Folding)):
        return None
    return Part.of(step.plan, prod(step.plan.formula.shape))


def joined(group: Sequence[Step]) -> list[Step]:
    """One step for all; the steps themselves where they are few."""
    if len(group) < FEWEST:
        return list(group)
    inputs: list[Any] = []
    kinds: list[Any] = []
    parts, places = [], []
    for step in group:
        results = step.outputs if step.target < 0 else step.outputs[:1]
        own = [*step.inputs, *results]
        places.append(range(len(inputs), len(inputs) + len(own)))
        parts.append(part_of(step))
        inputs += own
        kinds += [operand.spec for operand in step.plan.inputs] + [v.spec for v in results]
    plan = Plan(group[0].plan.op, [Operand(kind, i) for i, kind in enumerate(kinds)], [])
    plan.formula = Several([part for part in parts if part is not None], places)
    plan.keep += [step.plan for step in group]
    return [Step(plan, inputs, [v for step in group for v in step.outputs], -1)]

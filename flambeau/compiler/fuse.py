"""Fewer kernels: steps of a tape that work on the same elements, or on the same rows, become one.

    steps = fuse(tape.steps, kept)          # kept: the buffers that are needed afterwards

Called by compiler.build. A step whose plan has a formula (ops.plan) can be computed inside another
kernel: its results are expressions of its operands, and where an operand is the result of the same
kernel its expression stands in its place, rounded as it would be in memory. So a chain of ten
operations reads its inputs and writes its result once, a softmax or a normalisation computes what
it reads and what follows from its results, sums over the same rows share a kernel; and all give the
same bits. An intermediate result is written only if somebody else reads it.

Steps are merged into an earlier group (compiler.groups), which then runs where the later step did;
nothing between the two may touch what the group works on. Groups become kernels in
compiler.kernels; one that cannot is taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.compiler.groups import Group, takes_part
from flambeau.compiler.kernels import WORTH as WORTH
from flambeau.compiler.kernels import kernel_of
from flambeau.compiler.tape import Buffer, Renewal, Step, Value
from flambeau.ops.plan import Formula, Multiplication

WINDOW = 24  # how far back a step looks for a group


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
            fused += steps_of(item, later)
        else:
            fused.append(item)
    return fused


def steps_of(group: Group, later: set[Buffer]) -> list[Any]:
    """A group as one step, or else as several: it is cut behind its last anchor, or before it."""
    steps = [step for _, step in group.steps]
    if len(steps) == 1:
        return steps
    step = kernel_of(group, later)
    if step is not None:
        return [step]
    anchors = [i for i, s in enumerate(steps) if not isinstance(s.plan.formula, Formula)]
    if not anchors:
        return steps
    cut = anchors[-1] + 1
    head = Group.of(group.steps[:cut]) if cut < len(steps) else None
    if head is None or kernel_of(head, later | read_by(steps[cut:])) is None:
        cut -= 1
    parts = steps[: cut or 1], steps[cut or 1 :]
    return fuse(parts[0], later | read_by(parts[1])) + fuse(parts[1], later)


def read_by(steps: Sequence[Any]) -> set[Buffer]:
    """The buffers that steps read."""
    return {buffer for step in steps for buffer in touched(step)[0]}


def grouped(steps: Sequence[Any]) -> list[Any]:
    """Steps and groups of them, in an order in which each finds what it needs."""
    items: list[Any] = []
    for number, step in enumerate(steps):
        group = Group.of([(number, step)]) if takes_part(step) else None
        if group is None:
            items.append(step)
            continue
        place, joined = place_for(number, step, items)
        if joined is None:
            items.append(group)
        else:
            del items[place]
            items.append(joined)
            merge_into_last(items)
    return items


def place_for(number: int, step: Step, items: Sequence[Any]) -> tuple[int, Group | None]:
    """The group that a step can join, with the step; it may run after everything behind it."""
    for place in reversed(range(max(0, len(items) - WINDOW), len(items))):
        item = items[place]
        if isinstance(item, Group) and item.concerns(step) and can_wait(items, place):
            if follows_product(item, step, items):
                continue
            extended = item.extended(number, step)
            if extended is not None:
                return place, extended
    return -1, None


def follows_product(group: Group, step: Step, items: Sequence[Any]) -> bool:
    """Whether pointwise work that a reduction or row program reads had better be done in the
    registers of the matrix product before it (compiler.products).
    """
    if group.along or isinstance(step.plan.formula, Formula):
        return False
    return any(
        isinstance(item, Step)
        and isinstance(item.plan.formula, Multiplication)
        and item.outputs[0].buffer in group.reads
        and item.outputs[0].spec.shape == item.plan.formula.c.shape == group.shape
        for item in items[-WINDOW:]
    )


def merge_into_last(items: list[Any]) -> None:
    """Joins the last group with others whose results it reads, or that add up the same elements."""
    for place in reversed(range(max(0, len(items) - 1 - WINDOW), len(items) - 1)):
        item, last = items[place], items[-1]
        if not isinstance(item, Group) or not can_wait(items[:-1], place):
            continue
        if item.writes & last.reads or item.along and last.along and item.reads & last.reads:
            whole = Group.of(sorted([*item.steps, *last.steps], key=lambda pair: pair[0]))
            if whole is not None:
                items[-1:] = [whole]
                del items[place]


def can_wait(items: Sequence[Any], place: int) -> bool:
    """Whether a group may run after everything behind it."""
    item = items[place]
    for other in items[place + 1 :]:
        reads, writes = touched(other)
        if item.writes & (reads | writes) or item.reads & writes:
            return False
    return True


def touched(item: Any) -> tuple[set[Buffer], set[Buffer]]:
    """The buffers that an item reads and writes."""
    if isinstance(item, Group):
        return item.reads, item.writes
    if isinstance(item, Renewal):
        return set(), set()
    reads = {x.buffer for x in item.inputs if isinstance(x, Value)}
    return reads, {x.buffer for x in item.outputs}

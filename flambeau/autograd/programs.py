"""Backward programs: what the gradient rules of a node come down to, written down once and then run
by native code (runtime.backward).

`derive(node, grads)` runs the rules, while native code tells `note` each plan that runs. If the
gradients come out of these plans, from the gradients and the saved values alone, the plans are the
program of all nodes with this forward plan and gradients of these specs. It is run once to see
that it gives the same. Rules that look at values (`bool(x.any())`), or work on memory that no plan
made, stay rules:

    y = x.tanh().sum()
    y.backward()            # notes `g.expand(...)` for the sum, one fused kernel for tanh
    y.backward()            # runs these, without Python in between
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

from flambeau.autograd import fused
from flambeau.autograd.rules import by_rules, check_saved, without_graph
from flambeau.ops.kinds import Pointwise
from flambeau.runtime import programs as native
from flambeau.runtime.memory import SERIAL, SERIAL_BIT
from flambeau.runtime.objects import OPAQUE
from flambeau.runtime.plan_block import B_BACKWARD, B_FINISH
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import AUTOCAST, TRACE

MOST = 64  # programs of one plan; the gradients of further specs are left to the rules
ALIGNED = 3
LARGE = 1 << 62  # ints beyond do not fit into a word


class Program:
    """The words that native code reads, and what must live as long as they do."""

    __slots__ = ("words", "keep")

    def __init__(self, words: Sequence[int], keep: Sequence[Any]):
        self.words, self.keep = (ctypes.c_int64 * len(words))(*words), keep


class Step:
    """A plan that ran: the sources of its operands, and the values that it gave. Without a plan: a
    tensor was made, `sources` are its spec and bytes.
    """

    __slots__ = ("plan", "sources", "first", "count", "drops")

    def __init__(self, plan: Any, sources: list[int], first: int, count: int):
        self.plan, self.sources, self.first, self.count = plan, sources, first, count
        self.drops: list[int] = []

    def words(self) -> list[int]:
        """As native code reads it."""
        block = 0 if self.plan is None else self.plan.block
        head = [block, len(self.sources), self.count, self.first, len(self.drops)]
        return [*head, *self.sources, *self.drops]


class _Tracing(threading.local):
    tracer: Tracer | None = None


_tracing = _Tracing()


class Tracer:
    """Writes down the plans that run while a node's rules do."""

    def __init__(self, grads: Sequence[Any], saved: Sequence[Any]):
        self.steps: list[Step] = []
        self.keep: list[Any] = []
        self.sources: dict[int, int] = {}  # id of a tensor -> source
        self.count = len(grads)
        self.whole = True
        self.storages: set[int] = set()  # those of all tensors above, by id
        self.serial = engine.core.memory[SERIAL] >> SERIAL_BIT
        # Twins: one tensor may stand for a gradient and for a saved value, this time.
        self.grads = [self._twin(g, k << 2) for k, g in enumerate(grads)]
        self.saved = [
            self._twin(value, place << 2 | native.SAVED_BIT) for place, value in enumerate(saved)
        ]

    def _twin(self, value: Any, source: int) -> Any:
        if not isinstance(value, engine.Tensor):
            return value
        twin = engine.core.make_tensor(value._storage, value._spec, value._offset)
        self._know(twin, source)
        return twin

    def _know(self, value: Any, source: int) -> None:
        self.keep.append(value)  # so that no other object gets its id
        self.sources[id(value)] = source
        self.storages.add(id(value._storage))

    def source(self, value: Any) -> int:
        """Where an operand comes from; numbers are part of the program."""
        if isinstance(value, engine.Tensor):
            found = self.sources.get(id(value))
            return self._fresh(value) if found is None else found
        self.keep.append(value)
        return id(value) | native.CONSTANT_BIT

    def _fresh(self, tensor: Any) -> int:
        """The source of a tensor that no plan gave: one that was made meanwhile, with undefined
        contents; of others nothing is known.
        """
        storage, spec = tensor._storage, tensor._spec
        made_here = storage.flags >> SERIAL_BIT > self.serial and storage.owner is None
        if not made_here or id(storage) in self.storages or tensor._offset:
            self.whole = False
            return 0
        self.steps.append(Step(None, [id(spec), storage.nbytes], self.count, 1))
        self._know(tensor, self.count << 2)
        self.count += 1
        return (self.count - 1) << 2

    def note(self, plan: Any, sources: list[int], results: Sequence[Any]) -> None:
        """A plan ran."""
        if not gives_tuple(plan):
            self.whole = False
        self.steps.append(Step(plan, sources, self.count, len(results)))
        for result in results:
            self._know(result, self.count << 2)
            self.count += 1

    def run(self, node: Any) -> list[Any]:
        """The gradients of a node's inputs, by its rules; all that runs for them is noted."""
        core, before = engine.core, _tracing.tracer
        found: tuple[Any, ...] = ()
        recipe = None
        if type(node._plan.op) is Pointwise:
            recipe = fused.recipe_for(node, self.grads[0]._spec)
            found = fused.run(recipe, self.saved, self.grads[0])
            if recipe.plan is not None:
                places = [0 if k == 0 else (k - 1) << 3 | native.SAVED_BIT for k in recipe.operands]
                self.note(recipe.plan, places, found)
        mode, looks = core.get_mode(), core.world[OPAQUE]
        core.set_mode(mode & ~AUTOCAST | TRACE)  # what ran forward has its dtypes already
        _tracing.tracer = self
        try:
            if recipe is not None:
                return fused.placed(recipe, found, self.grads[0])
            return by_rules(node, self.saved, self.grads)
        finally:
            _tracing.tracer = before
            core.set_mode(mode)
            self.whole = self.whole and core.world[OPAQUE] == looks

    def program(
        self, node: Any, specs: Sequence[Any], numbers: Sequence[int], results: Sequence[Any]
    ) -> Program | None:
        """The program, None if these plans are not all that the rules did. `numbers`: saved ints,
        each after its place.
        """
        ends = [native.NOTHING if r is None else self.source(r) for r in results]
        if not self.whole or self.count > native.MAX_VALUES:
            return None
        self._drop(ends)
        plans = [step for step in self.steps if step.plan is not None]
        sources = [*ends, *(s for step in plans for s in step.sources)]
        reads_saved = any(s & ALIGNED == native.SAVED_BIT for s in sources if s >= 0)
        words = [0, node._needs, 0, int(reads_saved), len(specs), self.count, len(self.steps)]
        words += [len(numbers) // 2, *(0 if spec is None else id(spec) for spec in specs)]
        words += [*ends, *numbers]
        for step in self.steps:
            words += step.words()
        constants = [v._spec if isinstance(v, engine.Tensor) else v for v in self.keep]
        return Program(words, [*specs, *constants, *(step.plan for step in plans)])

    def _drop(self, ends: Sequence[int]) -> None:
        """Each value goes once nobody needs it any more."""
        needed = {source >> 2 for source in ends if source & ALIGNED == 0}
        for step in reversed(self.steps):
            own = range(step.first, step.first + step.count)
            used = set()
            if step.plan is not None:
                used = {source >> 2 for source in step.sources if source & ALIGNED == 0}
            step.drops = sorted({*used, *own} - needed)
            needed |= used


def note(plan: Any, inputs: tuple[Any, ...], results: tuple[Any, ...]) -> None:
    """Called by native code for each plan that runs while a tracer listens."""
    tracer = _tracing.tracer
    if tracer is not None:
        tracer.note(plan, [tracer.source(value) for value in inputs], results)


def gives_tuple(plan: Any) -> bool:
    """Whether a call of a plan with several results gives them as a tuple, and not something that
    a function makes of them.
    """
    finish = next((x for x in plan.keep if id(x) == plan.words[B_FINISH]), tuple)
    return isinstance(finish, type) and issubclass(finish, tuple)


def derive(node: Any, grads: list[Any]) -> list[Any]:
    """The gradients of a node's inputs by its rules; from then on by a program, if they allow one.
    Called by native code where it has none.
    """
    plan = node._plan
    grads = grads + [None] * (len(plan.outputs) - len(grads))
    saved = check_saved(node)
    specs = tuple([None if g is None else g._spec for g in grads])
    numbers = numbers_of(node, saved)
    if numbers is None:
        return without_graph(node, saved, grads)
    key = (node._needs, *specs, *numbers)
    if key in plan.programs or len(plan.programs) >= MOST:
        return without_graph(node, saved, grads)
    plan.programs[key] = None  # while it is made, and for good if it cannot be
    tracer = Tracer(grads, saved)
    results = tracer.run(node)
    program = tracer.program(node, specs, numbers, results)
    if program is not None and gives_same(program, node, saved, grads, results):
        program.words[native.R_NEXT] = plan.words[B_BACKWARD]
        plan.programs[key] = program
        plan.words[B_BACKWARD] = ctypes.addressof(program.words)
    own = {id(twin): g for twin, g in zip(tracer.grads, grads, strict=True)}
    return [own.get(id(r), r) for r in results]


def numbers_of(node: Any, saved: Sequence[Any]) -> list[int] | None:
    """The ints that a node saved, each after its place: where they are no operands of one kernel
    the rules may do anything with them, so a program is made for these. None for other numbers.
    """
    if type(node._plan.op) is Pointwise:
        return []
    found = []
    for place in range(0, 2 * len(node._edges), 2):
        value = saved[place]
        if type(value) is int and abs(value) < LARGE:
            found += [place, value]
        elif value is not None and not isinstance(value, engine.Tensor):
            return None
    return found


def gives_same(
    program: Program, node: Any, saved: Any, grads: Sequence[Any], results: Sequence[Any]
) -> bool:
    """Whether the program gives what the rules gave, bit by bit."""
    again = engine.core.run_program(
        ctypes.addressof(program.words), len(results), saved, list(grads)
    )
    return all(
        (a is None and b is None) or (a is not None and b is not None and equal(a, b))
        for a, b in zip(again, results, strict=True)
    )


def equal(a: Any, b: Any) -> bool:
    """Whether two gradients are the same window on the same memory, or on memory with the same
    contents.
    """
    if a._spec is not b._spec or a._offset != b._offset:
        return False
    same = a._storage is b._storage or a._spec.device.type == "meta"
    return same or bool(engine.core.same_bytes(a._storage, b._storage))

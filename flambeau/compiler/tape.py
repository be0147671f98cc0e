"""The tape: what one run of a function did, as a list of kernels with their operands.

While a tape records, native code shows it every kernel that runs (runtime.execution.tell), with the
tensors that it ran on. Python has run as always: modules, autograd and optimizers, so the tape
holds forward pass, backward pass and updates alike, in the order in which they happened:

    with Tape() as tape:
        result = step()
    tape.steps          # [Step(mul, [Value, Value], [Value]), ...]
    tape.broken         # None, or why this run cannot be replayed

A tensor on the tape is a `Value`: a buffer and a distance from its first byte; views of a tensor
are other values of its buffer and cost nothing. Whatever looks at the bytes of a tensor by another
way (`item()`, NumPy, pickling) passes `touch`, which breaks the tape if those bytes depend on the
call. Called by compiler.compiled; compiler.build makes a program of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau.core.spec import Spec
from flambeau.ops.plan import Plan
from flambeau.runtime import memory
from flambeau.runtime import plan_block as fields
from flambeau.runtime.objects import TAPE
from flambeau.runtime.system import engine


class Buffer:
    """The memory of a storage: where it came from and what it held when the tape first met it.

    image: the bytes of memory that was made during the run, but by no kernel (`torch.tensor(3.)`),
    else None. internal: whether it was made during the run.
    """

    __slots__ = ("serial", "nbytes", "internal", "image")

    def __init__(self, root: Any, internal: bool, image: bytes | None):
        self.serial, self.nbytes = serial_of(root), root.nbytes
        self.internal, self.image = internal, image


class Value(NamedTuple):
    """A tensor on the tape: `offset` bytes into a buffer."""

    buffer: Buffer
    offset: int
    spec: Spec


class Renewed(float):
    """A number that is computed anew before every replay: number `place` of a `Renewal`."""

    renewal: Renewal
    place: int


class Renewal:
    """A Python function that gives the numbers of later steps, such as an optimizer's step size."""

    def __init__(self, function: Callable[[], Sequence[float]]):
        self.given = function
        self.count = 0

    def function(self) -> Sequence[float]:
        """The numbers of one replay."""
        values = self.given()
        if len(values) != self.count:
            raise RuntimeError(
                "the step counters of an optimizer have been changed from outside, some but not "
                "all\n  torch.compiler.reset() makes the compiled function look at them again"
            )
        return values

    def numbers(self, values: Sequence[float]) -> list[Renewed]:
        """The values of this run, marked as those that the function gives."""
        marked = []
        for value in values:
            number = Renewed(value)
            number.renewal, number.place = self, self.count
            self.count += 1
            marked.append(number)
        return marked


class Step(NamedTuple):
    """One kernel: its plan, its operands in the plan's order, and what it writes. `target` says
    which operand an in-place kernel writes first, -1 otherwise.
    """

    plan: Plan
    inputs: list[Any]
    outputs: list[Value]
    target: int


class Call(NamedTuple):
    """A Python function on tensors that returns its results, for what has no kernel."""

    function: Callable[..., Any]
    inputs: list[Value]
    outputs: list[Value]


class Tape:
    """Records from `with Tape() as tape:` on, the calling thread only; one tape at a time."""

    active: Tape | None = None

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.steps: list[Step | Call | Renewal] = []
        self.buffers: dict[int, Buffer] = {}
        self.broken: str | None = None
        self.suspended = 0

    def __enter__(self) -> Tape:
        core = engine.core
        self.first = core.memory[memory.SERIAL] >> memory.SERIAL_BIT
        self.first_order = core.next_order()
        self._doors = (self.note, self.touch)
        core.world[TAPE], core.memory[memory.ON_TOUCH] = map(id, self._doors)
        Tape.active = engine.tape = self
        return self

    def __exit__(self, *error: Any) -> None:
        core = engine.core
        core.world[TAPE] = core.memory[memory.ON_TOUCH] = 0
        Tape.active = engine.tape = None

    def stop(self, reason: str) -> None:
        """This run cannot be replayed; the first reason counts."""
        if self.broken is None:
            self.broken = reason

    @property
    def listens(self) -> bool:
        """Whether what happens now belongs on the tape."""
        return not self.suspended and threading.get_ident() == self.thread

    # ---- what native code shows ------------------------------------------------------------------
    def note(self, plan: Plan, inputs: Sequence[Any], results: Any = None) -> Any:
        """A kernel has run (or is about to, in place). Without results: a plan that runs in Python
        is to be run.
        """
        if results is None:
            return self.run_python(plan, inputs)
        if not self.listens:
            return None
        target = plan.words[fields.B_INPLACE]
        operands = [
            self.value(x) if isinstance(operand.spec, Spec) else x
            for x, operand in zip(inputs, plan.inputs, strict=True)
        ]
        written = getattr(plan.formula, "written", 0)
        if written:
            outputs = operands[-written:]
        elif target >= 0:
            outputs = [operands[target]]
        else:
            outputs = [self.value(x, fresh=True) for x in results]
        self.steps.append(Step(plan, operands, outputs, target))
        return None

    def run_python(self, plan: Plan, inputs: Sequence[Any]) -> Any:
        """Runs a plan that has no kernel, and takes it down as a call."""
        run = plan.keep[0]
        if not self.listens:
            return run(*inputs)
        operands = [self.value(x) for x in inputs if isinstance(x, engine.Tensor)]
        versions = [x._storage.version for x in inputs if isinstance(x, engine.Tensor)]
        self.suspended += 1
        try:
            result = run(*inputs)
        finally:
            self.suspended -= 1
        after = [x._storage.version for x in inputs if isinstance(x, engine.Tensor)]
        made = result if isinstance(result, tuple) else (result,)
        if after != versions or not all(isinstance(x, engine.Tensor) for x in made):
            self.stop(f"{plan.op} changes its operands outside of kernels")
        elif any(not isinstance(x, engine.Tensor) for x in inputs):
            self.stop(f"{plan.op} takes a Python number outside of kernels")
        else:
            outputs = [self.value(x, fresh=True) for x in made]
            self.steps.append(Call(run, operands, outputs))
        return result

    def touch(self, storage: Any) -> None:
        """The bytes of a storage are about to be seen by other than kernels."""
        if not self.listens:
            return
        root = root_of(storage)
        known = self.buffers.get(serial_of(root))
        if known is None and serial_of(root) > self.first:
            return  # made in this run, from what Python knows
        if known is None or known.image is None:
            self.stop("the value of a tensor was read")

    # ---- what other parts tell -------------------------------------------------------------------
    def renew(self, function: Callable[[], Sequence[float]]) -> list[Renewed]:
        """`function()` now and at every replay; the numbers are operands of what follows."""
        self.suspended += 1
        try:
            values = function()
        finally:
            self.suspended -= 1
        renewal = Renewal(function)
        self.steps.append(renewal)
        return renewal.numbers(values)

    # ---- tensors ---------------------------------------------------------------------------------
    def value(self, tensor: Any, fresh: bool = False) -> Value:
        """The place of a tensor; `fresh`: what its memory held before does not count."""
        storage, spec = tensor._storage, tensor._spec
        root = root_of(storage)
        serial = serial_of(root)
        buffer = self.buffers.get(serial)
        if buffer is None:
            internal = serial > self.first
            image = self.image_of(root) if internal and not fresh else None
            buffer = self.buffers[serial] = Buffer(root, internal, image)
        offset = storage.address - root.address + tensor._offset * spec.itemsize
        return Value(buffer, offset, spec)

    def image_of(self, root: Any) -> bytes:
        """The contents of memory that no kernel has filled."""
        self.suspended += 1
        try:
            return bytes(memoryview(root))
        finally:
            self.suspended -= 1


def root_of(storage: Any) -> Any:
    """The storage that owns the memory of an alias."""
    owner = storage.owner
    return owner if type(owner) is type(storage) else storage


def serial_of(storage: Any) -> int:
    """The number of a storage."""
    return int(storage.flags >> memory.SERIAL_BIT)

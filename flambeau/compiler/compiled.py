"""`Compiled`: a function that replays what it did.

The first call with arguments of a new kind runs as always, under a witness who notes what code runs
(compiler.witness). The second runs with a tape (compiler.tape) between two surveys of the Python
state (compiler.survey) and becomes a program (compiler.build). From the third on a call is one
native function: guards, kernels, results. What cannot be replayed runs as always, every time:

    step = Compiled(step, Options())
    step()              # watched
    step()              # recorded
    step()              # replayed

Called by `flambeau.compile`.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau.compiler import set_stance
from flambeau.compiler.build import MISS, Program
from flambeau.compiler.differentiable import DifferentiableProgram, unspent
from flambeau.compiler.structure import Structure, flatten
from flambeau.compiler.surroundings import Surroundings
from flambeau.compiler.survey import Survey, Unsupported
from flambeau.compiler.tape import Tape
from flambeau.compiler.witness import Witness
from flambeau.core.config import config
from flambeau.runtime import replay_block as p
from flambeau.runtime.system import engine

LIMIT = 8  # programs of one function; torch's default as well
ATTEMPTS = 4  # runs that may change Python state (an optimizer makes its state) before giving up


class Options(NamedTuple):
    """What `flambeau.compile` was asked for."""

    fullgraph: bool = False
    limit: int = LIMIT


class Entry:
    """A program for one kind of call: how its arguments are laid out, what it returns."""

    __slots__ = ("program", "address", "structure", "rebuild", "backward")

    def __init__(
        self,
        program: Program,
        structure: Structure,
        rebuild: Callable[[Any, tuple[Any, ...]], Any] | None,
        backward: Any,
    ):
        self.program, self.address, self.structure = program, program.address, structure
        self.rebuild, self.backward = rebuild, backward

    def run(self, leaves: tuple[Any, ...]) -> Any:
        """The result of a replay, or MISS."""
        found = engine.core.replay(self.address, leaves, None)
        if found is MISS:
            if not self.program.renew(leaves):
                return MISS
            found = engine.core.replay(self.address, leaves, None)
            if found is MISS:
                return MISS
        return self.finished(found, leaves)

    def finished(self, found: Any, leaves: tuple[Any, ...]) -> Any:
        """What a replay gave, with its place in the graph and in the nesting of the result."""
        if self.backward is not None:
            found = self.backward.connect(found, leaves)
        return found if self.rebuild is None else self.rebuild(found, leaves)


class Compiled:
    """See the module's first lines. `reason` says why a function is not compiled, if it is not."""

    def __init__(self, function: Callable[..., Any], options: Options):
        functools.update_wrapper(self, function, updated=())
        self.function, self.options = function, options
        self.entries: list[Entry] = []
        self.reason: str | None = None
        self.witness = Witness()
        self.attempts = 0
        self.known: set[Any] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if set_stance.current != "default":
            return self.function(*args, **kwargs)
        structure: Structure | None = None
        for entry in self.entries:
            if entry.structure.plain and not kwargs:
                found = entry.run(args)
            else:
                if structure is None:
                    leaves, structure = flatten(args, kwargs)
                if entry.structure != structure:
                    continue
                found = entry.run(leaves)
            if found is not MISS:
                return found
        return self.run(args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Compiled functions may be methods: each object has its own programs."""
        if instance is None:
            return self
        bound = Compiled(self.function.__get__(instance, owner), self.options)
        name = self.function.__name__
        if hasattr(instance, "__dict__") and name not in vars(instance):
            vars(instance)[name] = bound
        return bound

    def forget(self) -> None:
        """Starts anew."""
        self.entries, self.reason, self.attempts = [], None, 0
        self.known, self.witness = set(), Witness()

    # ---- calls without a program -----------------------------------------------------------------
    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the function itself, and learns from it if it may still be compiled."""
        if self.reason is not None or Tape.active is not None:
            return self.function(*args, **kwargs)
        engine.start()
        if len(self.entries) >= self.options.limit:
            self.give_up(f"it was called in more than {self.options.limit} ways", warn=True)
            return self.function(*args, **kwargs)
        leaves, structure = flatten(args, kwargs)
        kind = (structure, tuple([kind_of(x) for x in leaves]), engine.core.get_mode())
        if kind not in self.known:
            return self.observe(kind, args, kwargs)
        return self.record(leaves, structure, args, kwargs)

    def observe(self, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A run under the witness."""
        with self.witness:
            result = self.function(*args, **kwargs)
        self.known.add(kind)
        if self.witness.effect is not None:
            self.give_up(self.witness.effect)
        return result

    def record(
        self,
        leaves: tuple[Any, ...],
        structure: Structure,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """A run with a tape; makes the program if all went well."""
        witness = self.witness
        codes = len(witness.codes)
        try:
            survey = Survey(self.function, leaves, witness.names, witness.computes_names)
        except Unsupported as error:
            self.give_up(str(error))
            return self.function(*args, **kwargs)
        surroundings = Surroundings(leaves, survey)
        with Tape() as tape, witness:
            result = self.function(*args, **kwargs)
        reason = witness.effect or tape.broken
        if reason is not None:
            self.give_up(reason)
        elif len(witness.codes) == codes:
            self.attempts += 1
            changed = survey.changes()
            if changed is None:
                self.build(tape, survey, surroundings, result, structure, leaves)
            elif self.attempts >= ATTEMPTS:
                self.give_up(f"it changes what it can see: {changed}")
        return result

    def build(
        self,
        tape: Tape,
        survey: Survey,
        surroundings: Surroundings,
        result: Any,
        structure: Structure,
        leaves: tuple[Any, ...],
    ) -> None:
        """Makes an entry of a recorded run."""
        try:
            entry = make_entry(tape, survey, surroundings, result, structure, leaves)
        except Unsupported as error:
            self.give_up(str(error))
            return
        self.entries.append(entry)
        self.attempts = 0
        program = entry.program
        if config.debug >= 1:
            print(
                f"flambeau: compiled {self.name}: {program.step_count} kernels, "
                f"{program.words[p.P_TEMPORARY]} bytes of temporary memory, "
                f"{program.words[p.P_GUARDS]} guards",
                file=sys.stderr,
            )

    @property
    def name(self) -> str:
        """The function's name in messages."""
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))

    def give_up(self, reason: str, warn: bool = False) -> None:
        """From now on the function runs as it is."""
        self.reason = reason
        message = f"{self.name} runs uncompiled: {reason}"
        if self.options.fullgraph:
            raise RuntimeError(
                f"{message}\n  fullgraph=True asks for an error in this case; without it the "
                "function runs as if it had not been compiled"
            )
        if warn:
            warnings.warn(f"flambeau.compile: {message}", stacklevel=4)
        if config.debug >= 1:
            print(f"flambeau: {message}", file=sys.stderr)


def make_entry(
    tape: Tape,
    survey: Survey,
    surroundings: Surroundings,
    result: Any,
    structure: Structure,
    leaves: tuple[Any, ...],
    again: Any = None,
) -> Entry:
    """The program of a recorded run. `again`: see CompiledFunction.apply."""
    template = Structure.of_results(result, leaves, survey)
    tensors = template.tensors
    if any(unspent(tensor, tape) for tensor in tensors):
        pair = DifferentiableProgram(tape, survey, surroundings, tensors, again)
        pair.single = template.single
        return Entry(pair.forward, structure, template.rebuild, pair)
    shape = p.RETURN_TENSOR if template.single else p.RETURN_TUPLE
    if not tensors:
        shape = p.RETURN_CONSTANT
    program = Program(tape, survey, surroundings, tensors, shape, template.constant)
    return Entry(program, structure, template.rebuild, None)


def record_pure(call: Callable[[], Any], tensors: tuple[Any, ...], again: Any) -> tuple[Any, Any]:
    """Runs and records a pure function of tensors, which sees nothing else: its result, and a
    PureEntry, or None where it cannot be replayed (compiler.composites).
    """
    survey = Survey.of_tensors([])
    surroundings = Surroundings(tensors, survey)
    with Tape() as tape:
        result = call()
    if tape.broken is not None:
        return result, None
    try:
        entry = make_entry(
            tape, survey, surroundings, result, flatten(tensors, {})[1], tensors, again
        )
    except Unsupported:
        return result, None
    return result, PureEntry(entry.program, entry.structure, entry.rebuild, entry.backward)


class PureEntry(Entry):
    """An entry without guards: what it depends on was looked up before."""

    __slots__ = ()

    def run(self, leaves: tuple[Any, ...]) -> Any:
        """The result of a replay, or NotImplemented."""
        found = engine.core.replay(self.address, leaves, None)
        return NotImplemented if found is MISS else self.finished(found, leaves)


def kind_of(value: Any) -> Any:
    """What makes an argument of another kind: a tensor's spec and standing, a value otherwise."""
    if isinstance(value, engine.Tensor):
        return value._spec, value._edge is None, value.is_leaf
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value

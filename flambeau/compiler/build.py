"""Makes a program (runtime.replay_block) of a tape: which tensor is found where, what memory each
step works on, and the words that native code reads.

    program = Program(tape, survey, surroundings, results)
    engine.core.replay(program.address, arguments, None)

Called by compiler.compiled. Memory made during the run is temporary, unless a result, a gradient
or the backward pass needs it afterwards; temporary buffers share bytes (compiler.layout). Steps
whose results nobody needs are left out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flambeau.compiler.fuse import fuse
from flambeau.compiler.layout import aligned, arrange
from flambeau.compiler.products import with_epilogues
from flambeau.compiler.side_by_side import side_by_side
from flambeau.compiler.surroundings import Surroundings
from flambeau.compiler.survey import MISSING, Survey, Unsupported, present
from flambeau.compiler.tape import (
    Buffer,
    Call,
    Renewal,
    Renewed,
    Step,
    Tape,
    Value,
)
from flambeau.core.dtype import uint8
from flambeau.core.spec import Spec
from flambeau.ops.plan import NUMBER_KINDS, Several, output_bytes
from flambeau.ops.several import use_several
from flambeau.runtime import plan_block as fields
from flambeau.runtime import replay_block as p
from flambeau.runtime.system import engine

# sections of a program by the word that counts their rows; the next word says where they are
WIDTHS = {
    p.P_GUARDS: p.GUARD_WORDS,
    p.P_EXTERNALS: p.EXTERNAL_WORDS,
    p.P_OUTPUTS: p.OUTPUT_WORDS,
    p.P_SLOTS: p.SLOT_WORDS,
    p.P_LEAVES: p.LEAF_WORDS,
    p.P_RESULTS: p.RESULT_WORDS,
    p.P_WRITTEN: p.WRITTEN_WORDS,
}
HOLD_OBJECTS = (p.GUARD_ITEM, p.GUARD_ELEMENT, p.GUARD_CELL)
MISS = object()  # what replay returns when the program is not right for a call
Words = Any  # an array of machine words


class Slot(NamedTuple):
    """An address: bytes from a base; bases of externals and outputs are numbered later."""

    base: str
    number: int
    offset: int


class Program:
    """See the module's first lines. results: the tensors that the call returns, in order."""

    def __init__(
        self,
        tape: Tape,
        survey: Survey,
        surroundings: Surroundings,
        results: Sequence[Any],
        shape: int,
        constant: Any = None,
        kept: Sequence[Buffer] = (),
        given: Mapping[int, int] | None = None,
        live: Sequence[int] = (),
        mode: int | None = None,
    ):
        self.tape, self.survey, self.surroundings = tape, survey, surroundings
        self.keep: list[Any] = [constant, survey.keep, survey.rows]
        self.externals: dict[tuple[int, int], tuple[int, Any, Spec, int]] = {}
        self.outputs: dict[Buffer, int] = {}
        self.slots: dict[Slot, int] = {}
        self.given, self.live = given or {}, live
        self.mode = engine.core.get_mode() if mode is None else mode
        self.leaf_rows = [] if given is not None else self.leaves()
        self.result_rows = [self.result(tensor, i in live) for i, tensor in enumerate(results)]
        self.keep_memory(kept)
        wanted = {*self.outputs, *kept}
        steps = fuse(needed(tape.steps, wanted), wanted)
        self.steps = side_by_side(with_epilogues(steps, wanted))
        self.initial = self.images()
        self.place_temporaries()
        rows = self.step_words()
        self.write_head(rows, shape, constant)
        surroundings.let_go()
        del self.tape

    # ---- what the call leaves behind -------------------------------------------------------------
    def output(self, buffer: Buffer) -> int:
        """The number of memory that outlives the call."""
        return self.outputs.setdefault(buffer, len(self.outputs))

    def leaves(self) -> list[tuple[Any, int, Any, int]]:
        """(leaf, output, spec, offset) of the gradients that the run replaced."""
        rows = []
        for leaf in self.surroundings.leaves:
            grad, before = leaf.grad, self.surroundings.gradients.get(id(leaf))
            if grad is None:
                if before is not None:
                    rows.append((leaf, p.NO_GRADIENT, None, 0))
                continue
            value = self.tape.value(grad)
            if not value.buffer.internal:
                if before != value.buffer.serial:
                    raise Unsupported("it sets a gradient to a tensor from outside")
                continue
            rows.append((leaf, self.output(value.buffer), grad._spec, elements(value)))
        if any(leaf is x for leaf, *_ in rows for x in self.surroundings.arguments):
            raise Unsupported("it changes the gradient of an argument")
        return rows

    def result(self, tensor: Any, live: bool) -> tuple[int, Any, int, Any, bool]:
        """(output or external, spec, offset, place in the graph, whether it is a view) of a result;
        a live one gets its place from compiler.differentiable.
        """
        value, spec = self.tape.value(tensor), tensor._spec
        edge = None if live else tensor._edge
        if value.buffer.internal:
            return self.output(value.buffer), spec, elements(value), edge, False
        how, reference, (first, _, outer) = self.surroundings.holder(value)
        external = self.external(how, reference, outer)
        moved = (value.offset - first) // max(1, spec.itemsize)
        return -1 - external, spec, moved, edge, tensor._base is not None

    def keep_memory(self, buffers: Sequence[Buffer]) -> None:
        """Places for what a backward program needs, in memory of its own."""
        self.kept_places: dict[int, int] = {}
        self.kept_bytes = 0
        for buffer in buffers:
            if buffer not in self.outputs:
                self.kept_places[buffer.serial] = self.kept_bytes
                self.kept_bytes += aligned(max(1, buffer.nbytes))

    # ---- operands --------------------------------------------------------------------------------
    def slot(self, value: Value) -> int:
        """The number of a value's slot."""
        buffer = value.buffer
        if buffer in self.outputs:
            return self.numbered(Slot("output", self.outputs[buffer], value.offset))
        memory = self.given if self.given else self.kept_places
        if buffer.serial in memory:
            return self.numbered(Slot("kept", 0, memory[buffer.serial] + value.offset))
        if not buffer.internal:
            how, reference, (first, _, spec) = self.surroundings.holder(value)
            external = self.external(how, reference, spec)
            return self.numbered(Slot("external", external, value.offset - first))
        if buffer in self.constants:
            return self.numbered(Slot("fixed", 0, self.constants[buffer] + value.offset))
        return self.numbered(Slot("temporary", 0, self.places[buffer] + value.offset))

    def numbered(self, slot: Slot) -> int:
        return self.slots.setdefault(slot, len(self.slots))

    def external(self, how: int, reference: Any, spec: Spec) -> int:
        """The number of a tensor from outside."""
        argument = how == p.FOUND_ARGUMENT
        key = (how, reference if argument else id(reference))
        if key not in self.externals:
            tensor = self.surroundings.arguments[reference] if argument else reference
            stands = self.surroundings.standings[id(tensor)]
            if how == p.FOUND_GRADIENT:
                stands = p.STANDS_ALONE
            self.externals[key] = (how, reference, spec, stands)
        return list(self.externals).index(key)

    def images(self) -> list[Buffer]:
        """Buffers with contents that no kernel made, and that are written: they begin every call
        with a copy. The others are constants.
        """
        written: set[Buffer] = set()
        used = {b for b in self.tape.buffers.values() if b.serial in self.kept_places}
        used.update(self.outputs)
        for step in self.steps:
            if not isinstance(step, Renewal):
                used.update(x.buffer for x in step.inputs if isinstance(x, Value))
                used.update(value.buffer for value in step.outputs)
                written.update(value.buffer for value in step.outputs)
        self.constants: dict[Buffer, int] = {}
        initial = []
        for buffer in self.tape.buffers.values():
            if buffer.image is None or buffer not in used:
                continue
            if buffer in written or buffer in self.outputs or buffer.serial in self.kept_places:
                initial.append(buffer)
            else:
                memory = ctypes.create_string_buffer(len(buffer.image) + 64)
                address = (ctypes.addressof(memory) + 63) // 64 * 64
                ctypes.memmove(address, buffer.image, len(buffer.image))
                self.keep.append(memory)
                self.constants[buffer] = address
        return initial

    # ---- memory ----------------------------------------------------------------------------------
    def place_temporaries(self) -> None:
        """Offsets in the temporary block: its head, renewed numbers, then buffers."""
        lives: dict[Any, tuple[int, int, int]] = {}
        last = len(self.steps)

        def use(value: Any, moment: int) -> None:
            buffer = value.buffer if isinstance(value, Value) else None
            if buffer is None or not buffer.internal:
                return
            if buffer in self.outputs or buffer in self.constants:
                return
            if buffer.serial in self.kept_places:
                return
            first = -1 if buffer in self.initial else lives.get(buffer, (moment,))[0]
            lives[buffer] = (first, moment, buffer.nbytes)

        for moment, step in enumerate(self.steps):
            if isinstance(step, Renewal):
                for place in range(step.count):
                    lives[step, place] = (-1, last, 8)
            else:
                for value in (*step.inputs, *step.outputs):
                    use(value, moment)
        self.places, self.temporary = arrange(lives, 0)

    # ---- steps -----------------------------------------------------------------------------------
    def step_words(self) -> list[int]:
        """The rows of all steps."""
        words: list[int] = []
        self.step_count = 0
        for buffer in self.initial:
            words += self.first_contents(buffer)
        for step in self.steps:
            if isinstance(step, Renewal):
                words += self.renewal_words(step)
            elif isinstance(step, Call):
                words += self.call_words(step)
            elif step.plan.words[fields.B_KERNEL] or isinstance(step.plan.formula, Several):
                words += self.kernel_words(step)
            else:
                continue
            self.step_count += 1
        return words

    def kernel_words(self, step: Step) -> list[int]:
        self.keep.append(step.plan)
        buffers = [
            self.slot(x) if isinstance(x, Value) else self.number(x, operand.spec)
            for x, operand in zip(step.inputs, step.plan.inputs, strict=True)
        ]
        if isinstance(several := step.plan.formula, Several):
            places = [[buffers[place] for place in own] for own in several.places]
            return [p.KERNEL_ON_SLOTS, use_several(step.plan, several.parts, places).block]
        written = step.outputs if step.target < 0 else step.outputs[:1]
        buffers += [self.slot(value) for value in written]
        return [step.plan.block, len(buffers), *buffers]

    def number(self, value: Any, kind: Any) -> int:
        """The slot of a Python number among the operands."""
        if isinstance(value, Renewed):
            offset = self.places[value.renewal, value.place]
            return self.numbered(Slot("temporary", 0, offset))
        pair = (ctypes.c_int64 * 2)()
        if NUMBER_KINDS[kind] in (fields.NUMBER_INT, fields.NUMBER_BOOL):
            pair[0] = int(value)
        else:
            number = complex(value) if kind is complex else float(value)
            parts = (ctypes.c_double * 2).from_buffer(pair)
            parts[0], parts[1] = number.real, number.imag
        self.keep.append(pair)
        return self.numbered(Slot("fixed", 0, ctypes.addressof(pair)))

    def renewal_words(self, step: Renewal) -> list[int]:
        function = self.kept(step.function)
        slots = [
            self.numbered(Slot("temporary", 0, self.places[step, place]))
            for place in range(step.count)
        ]
        return [p.CALL_FOR_NUMBERS, function, step.count, *slots]

    def call_words(self, step: Call) -> list[int]:
        function = self.kept(returning_tuple(step.function))
        words = [p.CALL_FOR_TENSORS, function, len(step.inputs)]
        for value in step.inputs:
            words += [self.slot(value), self.kept(value.spec), output_bytes(value.spec)]
        words.append(len(step.outputs))
        for value in step.outputs:
            words += [self.slot(value), output_bytes(value.spec)]
        return words

    def first_contents(self, buffer: Buffer) -> list[int]:
        """A call that fills a buffer with its image."""
        tensor = engine.functions["frombuffer"](bytearray(buffer.image or b""), dtype=uint8)
        self.step_count += 1
        function = self.kept(lambda: (tensor,))
        slot = self.slot(Value(buffer, 0, tensor._spec))
        return [p.CALL_FOR_TENSORS, function, 0, 1, slot, buffer.nbytes]

    def kept(self, item: Any) -> int:
        """The address of an object that lives as long as the program."""
        self.keep.append(item)
        return id(item)

    # ---- words -----------------------------------------------------------------------------------
    def write_head(self, steps: list[int], shape: int, constant: Any) -> None:
        """All rows, and the head that says where they are."""
        externals, outputs = len(self.externals), len(self.outputs)
        head = 8 * (p.FIRST_BASE + 2 * externals + 2 * outputs + len(self.slots))
        rows = {
            p.P_GUARDS: self.guard_rows(),
            p.P_EXTERNALS: self.external_rows(),
            p.P_OUTPUTS: [buffer.nbytes for buffer in self.outputs],
            p.P_SLOTS: self.slot_rows(aligned(head)),
            p.P_LEAVES: self.leaf_words(),
            p.P_RESULTS: self.result_words(),
            p.P_WRITTEN: self.written_rows(),
        }
        words = self.words = (ctypes.c_int64 * p.PROGRAM_WORDS)()
        self.sections: dict[int, Words] = {}
        for section, width in WIDTHS.items():
            words[section] = len(rows[section]) // width
            words[section + 1] = self.array(section, rows[section])
        words[p.P_STEPS], words[p.P_STEP_ROWS] = self.step_count, self.array(p.P_STEPS, steps)
        words[p.P_TEMPORARY] = aligned(head) + self.temporary
        words[p.P_MODE] = self.mode
        words[p.P_KEPT] = self.kept_bytes
        if self.given:
            words[p.P_KEEP] = p.KEEP_GIVEN
        elif self.kept_places or self.live:
            words[p.P_KEEP] = p.KEEP_MADE
        words[p.P_ARGUMENTS] = len(self.surroundings.arguments)
        apart = self.apart_rows()
        words[p.P_APART], words[p.P_APART_ROWS] = len(apart) // 2, self.array(p.P_APART, apart)
        words[p.P_SHAPE], words[p.P_CONSTANT] = shape, id(constant)
        words[p.P_MISS] = id(MISS)
        self.address = ctypes.addressof(words)

    def slot_rows(self, head: int) -> list[int]:
        """(base, bytes) of every slot; temporary buffers begin behind the `head` of their block."""
        bases = {"fixed": p.BASE_ZERO, "temporary": p.BASE_TEMPORARY, "kept": p.BASE_KEPT}
        bases["external"] = p.FIRST_BASE
        bases["output"] = p.FIRST_BASE + len(self.externals)
        rows = []
        for slot in self.slots:
            moved = head if slot.base == "temporary" else 0
            rows += [bases[slot.base] + slot.number, slot.offset + moved]
        return rows

    def external_rows(self) -> list[int]:
        """(how it is found, reference, spec, standing) of every external."""
        rows = []
        for how, reference, spec, stands in self.externals.values():
            found = reference if how == p.FOUND_ARGUMENT else self.kept(reference)
            rows += [how, found, self.kept(spec), stands]
        return rows

    def leaf_words(self) -> list[int]:
        """(leaf, output, spec, offset) of every gradient."""
        rows = []
        for leaf, output, spec, offset in self.leaf_rows:
            rows += [self.kept(leaf), output, self.kept(spec), self.kept(offset)]
        return rows

    def result_words(self) -> list[int]:
        """The words of every result."""
        rows = []
        for output, spec, offset, edge, is_view in self.result_rows:
            node = self.kept(edge) if edge is not None else 0
            place = offset if output < 0 else self.kept(offset)
            rows += [output, self.kept(spec), place, node, int(is_view)]
        return rows

    def array(self, section: int, rows: Sequence[int]) -> int:
        """The address of a section's rows."""
        made = (ctypes.c_int64 * max(1, len(rows)))(*rows)
        self.sections[section] = made
        return ctypes.addressof(made)

    def guard_rows(self) -> list[int]:
        """The survey's guards, then the arguments that are no tensors."""
        rows: list[int] = []
        for kind, target, key, value in self.survey.rows:
            if kind == p.GUARD_TENSOR:
                rows += [kind, id(target), self.kept(key), value]
            elif kind in (p.GUARD_LENGTH, p.GUARD_ELEMENTS):
                rows += [kind, id(target), 0, value]
            else:
                name = key if kind == p.GUARD_ELEMENT else self.kept(key)
                expected = 0 if value is MISSING else self.kept(value)
                rows += [kind, id(target), name if kind != p.GUARD_CELL else 0, expected]
        for i, value in enumerate(self.surroundings.arguments):
            if not isinstance(value, engine.Tensor):
                rows += [p.GUARD_ARGUMENT, 0, i, self.kept(value)]
        return rows

    def written_rows(self) -> list[int]:
        """How often the run wrote into each external."""
        rows: list[int] = []
        for number, (how, reference, *_) in enumerate(list(self.externals.values())):
            if how == p.FOUND_GRADIENT:
                continue
            tensor = (
                self.surroundings.arguments[reference] if how == p.FOUND_ARGUMENT else reference
            )
            times = tensor._storage.version - self.surroundings.versions[id(tensor)]
            if times:
                rows += [number, times]
        return rows

    def apart_rows(self) -> list[int]:
        """Pairs of externals that must not share memory: one is written, one is an argument, and
        they did not share it in the run.
        """
        written = {
            slot.number
            for value in self.changed_values()
            for slot in [list(self.slots)[self.slot(value)]]
            if slot.base == "external"
        }
        memory = [self.surroundings.serials[key] for key in self.externals]
        found = []
        for i, (how, *_) in enumerate(self.externals.values()):
            for j in range(len(memory)):
                concerned = i in written or j in written
                if how == p.FOUND_ARGUMENT and concerned and memory[i] != memory[j]:
                    found += [i, j]
        return found

    def changed_values(self) -> list[Value]:
        """The values from outside that a step writes."""
        found = []
        for step in self.steps:
            if not isinstance(step, Renewal):
                found += step.outputs
        return [value for value in found if not value.buffer.internal]

    def renew(self, arguments: Sequence[Any]) -> bool:
        """Lets guards expect the objects that took the place of equal ones; whether any did."""
        guards, renewed = self.sections[p.P_GUARDS], False
        while (number := engine.core.failing_guard(self.address, tuple(arguments))) >= 0:
            where = number * p.GUARD_WORDS + 3
            if number < len(self.survey.rows):
                row = self.survey.rows[number]
                now = present(row)
                if row[0] not in HOLD_OBJECTS or now is MISSING or not self.survey.accepts(row):
                    return False
                self.survey.rows[number] = (*row[:3], now)
            else:
                index = guards[where - 1]
                if index >= len(arguments):
                    return False
                now, then = arguments[index], self.surroundings.arguments[index]
                if type(now) is not type(then) or not isinstance(now, (int, float, str, complex)):
                    return False
                if now != then:
                    return False
            guards[where] = id(now)
            self.keep.append(now)
            renewed = True
        return renewed


def returning_tuple(function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """The function with its one result in a tuple."""

    def call(*tensors: Any) -> tuple[Any, ...]:
        result = function(*tensors)
        return result if isinstance(result, tuple) else (result,)

    return call


def elements(value: Value) -> int:
    """A value's distance from its buffer's beginning, in elements."""
    return value.offset // max(1, value.spec.itemsize)


def needed(steps: Sequence[Any], wanted: set[Buffer]) -> list[Any]:
    """The steps without those whose results nobody uses."""
    live, kept = set(wanted), []
    for step in reversed(steps):
        if isinstance(step, Step):
            made = {value.buffer for value in step.outputs}
            if not any(not buffer.internal or buffer in live for buffer in made):
                continue
            live |= made
        if not isinstance(step, Renewal):
            live.update(x.buffer for x in step.inputs if isinstance(x, Value))
        kept.append(step)
    return kept[::-1]

"""What was there before a recorded run: how its tensors are found again at a replay.

    surroundings = Surroundings(arguments, survey)
    surroundings.holder(value)      # (FOUND_ARGUMENT, 0, ...): the value lies in argument 0

Called by compiler.compiled before the run; compiler.build asks for the operands from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.compiler.survey import Survey, Unsupported, standing
from flambeau.compiler.tape import Value, root_of, serial_of
from flambeau.core.spec import Spec
from flambeau.ops.plan import output_bytes
from flambeau.runtime import replay_block as p
from flambeau.runtime.system import engine


class Surroundings:
    """What was there before the run: tensors with their places, versions and gradients."""

    def __init__(self, arguments: Sequence[Any], survey: Survey):
        self.survey = survey
        self.holders: dict[int, list[tuple[int, Any, Any]]] = {}
        self.serials: dict[tuple[int, int], int] = {}
        self.arguments = tuple(arguments)
        for i, tensor in enumerate(arguments):
            if isinstance(tensor, engine.Tensor):
                self.add(p.FOUND_ARGUMENT, i, tensor)
        for tensor in survey.tensors:
            self.add(p.FOUND_HERE, tensor, tensor)
        self.leaves = [t for t in self.all_tensors() if standing(t) not in (0, p.STANDS_ON_OTHERS)]
        self.gradients = {}
        for leaf in self.leaves:
            if leaf.grad is not None:
                self.add(p.FOUND_GRADIENT, leaf, leaf.grad)
                self.gradients[id(leaf)] = serial_of(root_of(leaf.grad._storage))
        self.versions = {id(t): t._storage.version for t in self.all_tensors()}
        self.standings = {id(t): standing(t) for t in self.all_tensors()}

    def add(self, how: int, reference: Any, tensor: Any) -> None:
        """Notes where a tensor can be found again."""
        spec, storage = tensor._spec, tensor._storage
        root = root_of(storage)
        first = storage.address - root.address + tensor._offset * spec.itemsize
        place = (how, reference, (first, first + output_bytes(spec), spec))
        key = reference if how == p.FOUND_ARGUMENT else id(reference)
        self.serials[how, key] = serial_of(root)
        self.holders.setdefault(serial_of(root), []).append(place)

    def all_tensors(self) -> list[Any]:
        """Arguments and what the survey met."""
        found = {}
        for places in self.holders.values():
            for how, reference, _ in places:
                if how == p.FOUND_ARGUMENT:
                    tensor = self.arguments[reference]
                elif how == p.FOUND_HERE:
                    tensor = reference
                else:
                    continue
                found[id(tensor)] = tensor
        return list(found.values())

    def holder(self, value: Value) -> tuple[int, Any, tuple[int, int, Spec]]:
        """How to find an external value again."""
        extent = value.offset + output_bytes(value.spec)
        for place in self.holders.get(value.buffer.serial, ()):
            first, last, _ = place[2]
            if first <= value.offset and extent <= last:
                return place
        raise Unsupported("it uses a tensor that cannot be found from outside the function")

    def let_go(self) -> None:
        """Keeps no argument alive; those that are no tensors are compared later."""
        self.arguments = tuple(
            [None if isinstance(x, engine.Tensor) else x for x in self.arguments]
        )
        self.leaves, self.holders = [], {}

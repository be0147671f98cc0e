"""Arguments and results as flat tuples: lists, tuples and dictionaries are taken apart and put
together again.

    leaves, structure = flatten((x, {"mask": m}), {"scale": 2.0})       # (x, m, 2.0), ...

Called by compiler.compiled. Tensors in a result that are the very objects that were passed in, or
that the function can see, stay those objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.compiler.survey import COMPARED, Survey, Unsupported
from flambeau.runtime.system import engine


class Leaf:
    """Stands for a flat value in a pattern."""


LEAF = Leaf()


class Structure:
    """How flat values were nested; equal structures compare equal. plain: they were simply the
    positional arguments.
    """

    __slots__ = ("pattern", "plain")

    def __init__(self, pattern: Any, plain: bool):
        self.pattern, self.plain = pattern, plain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self.pattern == other.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)

    @staticmethod
    def of_results(result: Any, arguments: tuple[Any, ...], survey: Survey) -> Template:
        """How to make a function's result of the tensors that a replay returns."""
        return Template(result, arguments, survey)


def flatten(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Structure]:
    """The values among the arguments, in order, and how they were nested."""
    leaves: list[Any] = []
    pattern = (
        tuple([taken_apart(value, leaves) for value in args]),
        tuple([(name, taken_apart(value, leaves)) for name, value in kwargs.items()]),
    )
    plain = not kwargs and all(part is LEAF for part in pattern[0])
    return tuple(leaves), Structure(pattern, plain)


def taken_apart(value: Any, leaves: list[Any]) -> Any:
    """The pattern of a value; its leaves are added to the list."""
    if type(value) in (list, tuple):
        return type(value), tuple([taken_apart(item, leaves) for item in value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value), tuple([taken_apart(item, leaves) for item in value])
    if type(value) is dict:
        return dict, tuple([(key, taken_apart(item, leaves)) for key, item in value.items()])
    leaves.append(value)
    return LEAF


class Template:
    """A result with its fresh tensors taken out.

    tensors: those that a replay has to make; single: the result is just one tensor; constant: the
    result when there is none; rebuild(found, arguments): the result, None where `found` is it.
    """

    def __init__(self, result: Any, arguments: tuple[Any, ...], survey: Survey):
        self.tensors: list[Any] = []
        self.arguments = {id(x): i for i, x in enumerate(arguments)}
        self.known = {id(x): x for x in survey.tensors}
        self.single = isinstance(result, engine.Tensor) and self.is_fresh(result)
        make = self.maker(result)
        self.constant = None
        self.rebuild: Callable[[Any, tuple[Any, ...]], Any] | None = None
        if self.single:
            return
        if isinstance(result, COMPARED) or result is None:
            self.constant = result
        elif self.tensors:
            self.rebuild = make
        else:
            self.rebuild = lambda found, leaves: make((), leaves)

    def is_fresh(self, tensor: Any) -> bool:
        """Whether a replay has to make the tensor."""
        return id(tensor) not in self.arguments and id(tensor) not in self.known

    def maker(self, value: Any) -> Callable[[Any, tuple[Any, ...]], Any]:
        """The function that makes a part of the result of (fresh tensors, arguments)."""
        if isinstance(value, engine.Tensor):
            return self.tensor_maker(value)
        if isinstance(value, COMPARED) or value is None:
            return lambda found, leaves: value
        if type(value) is dict:
            parts = {key: self.maker(item) for key, item in value.items()}
            return lambda found, leaves: {k: make(found, leaves) for k, make in parts.items()}
        if type(value) in (list, tuple):
            kind, items = type(value), [self.maker(item) for item in value]
            return lambda found, leaves: kind([make(found, leaves) for make in items])
        if isinstance(value, tuple):
            kind, items = type(value), [self.maker(item) for item in value]
            named = hasattr(kind, "_fields")
            return lambda found, leaves: (
                kind(*[make(found, leaves) for make in items])
                if named
                else kind([make(found, leaves) for make in items])
            )
        raise Unsupported(f"it returns a {type(value).__name__}")

    def tensor_maker(self, tensor: Any) -> Callable[[Any, tuple[Any, ...]], Any]:
        """An argument, a known tensor, or a fresh one."""
        if id(tensor) in self.arguments:
            place = self.arguments[id(tensor)]
            return lambda found, leaves: leaves[place]
        if id(tensor) in self.known:
            return lambda found, leaves: tensor
        number = next((i for i, x in enumerate(self.tensors) if x is tensor), len(self.tensors))
        if number == len(self.tensors):
            self.tensors.append(tensor)
        return lambda found, leaves: found[number]

"""The Python state that a function can see, as guards: what must still be so for a replay to be
right.

The walk begins at the function's closure, its globals, the object it is bound to and its arguments,
and follows whatever the executed code (compiler.witness) has names for. Every place on the way
becomes a guard: a key of a dictionary, an element of a list, a cell. Guards compare identities, in
native code (runtime.replay.holds); a number that was replaced by an equal one is let pass by
`Survey.renew`.

    survey = Survey(function, arguments, names)
    survey.rows         # [(GUARD_ITEM, dictionary, key, value), ...]
    survey.tensors      # the tensors met, by which operands on the tape are found again

The same survey after the run shows what the function changed: it must be nothing (`changes`), or
replaying would forget it.
"""

from __future__ import annotations

import functools
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from flambeau.runtime import replay_block as p
from flambeau.runtime.system import engine

LIMIT = 50_000  # guards; a function that sees more state than this runs uncompiled
ATOMS = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range, slice, CodeType)
COMPARED = (int, float, complex, str, bytes, bool)  # equal values may take each other's place
UNREAD = frozenset({"_non_persistent_buffers_set"})  # attributes that no computation looks at
MISSING = object()


class Unsupported(Exception):
    """Why a function cannot be compiled."""


class Survey:
    """See the module's first lines. `keep` holds what the guards refer to."""

    def __init__(
        self, function: Any, arguments: tuple[Any, ...], names: set[str], everything: bool
    ):
        self.names, self.everything = names, everything
        self.rows: list[tuple[int, Any, Any, Any]] = []
        self.tensors: list[Any] = []
        self.options: set[tuple[int, str]] = set()  # (group, key) of options of optimizers
        self.seen: set[int] = set()
        self.keep: list[Any] = []
        self.visit(function)
        for value in arguments:
            if not isinstance(value, engine.Tensor):
                self.visit(value)

    @classmethod
    def of_tensors(cls, tensors: list[Any]) -> Survey:
        """A survey without guards."""
        made = cls(None, (), set(), False)
        made.tensors = tensors
        return made

    # ---- the walk --------------------------------------------------------------------------------
    def visit(self, value: Any) -> None:
        """Follows one object, iteratively."""
        pending = [value]
        while pending:
            item = pending.pop()
            if isinstance(item, ATOMS) or id(item) in self.seen:
                continue
            self.seen.add(id(item))
            self.keep.append(item)
            if len(self.rows) > LIMIT:
                raise Unsupported(f"it can see more than {LIMIT} pieces of Python state")
            pending += self.children(item)

    def children(self, item: Any) -> list[Any]:
        """Guards one object's places; returns what is in them."""
        if isinstance(item, engine.Tensor):
            return self.tensor(item)
        if isinstance(item, FunctionType):
            return self.function(item)
        if isinstance(item, MethodType):
            return [item.__self__, item.__func__]
        if isinstance(item, functools.partial):
            return [item.func, *item.args, item.keywords]
        if isinstance(item, (tuple, frozenset)):
            return list(item)
        if isinstance(item, set):
            self.guard(p.GUARD_EQUAL, item, None, frozenset(item))
            return list(item)
        if isinstance(item, dict):
            return self.dictionary(item)
        if isinstance(item, list):
            return self.elements(item)
        if isinstance(item, CellType):
            return self.cell(item)
        if isinstance(item, ModuleType):
            return self.module(item)
        if isinstance(item, (type, BuiltinFunctionType)):
            return []
        return self.instance(item)

    def guard(self, kind: int, target: Any, key: Any, value: Any) -> None:
        """Adds a row."""
        self.rows.append((kind, target, key, value))

    def tensor(self, tensor: Any) -> list[Any]:
        self.tensors.append(tensor)
        self.guard(p.GUARD_TENSOR, tensor, tensor._spec, standing(tensor))
        return []

    def function(self, function: FunctionType) -> list[Any]:
        found: list[Any] = [*(function.__closure__ or ()), *(function.__defaults__ or ())]
        found += (function.__kwdefaults__ or {}).values()
        if hasattr(function, "__wrapped__"):
            found.append(function.__wrapped__)
        if function.__module__ and function.__module__.split(".")[0] == "flambeau":
            return found
        space = function.__globals__
        for name in sorted(names_of(function.__code__)):
            value = space.get(name, MISSING)
            self.guard(p.GUARD_ITEM, space, name, value)
            if value is not MISSING:
                found.append(value)
        return found

    def dictionary(self, table: dict[Any, Any], named: bool = False) -> list[Any]:
        """Guards the items; of an object's attributes just those that the code has names for, and
        tensors: layers look them up by names that they compute (`f"original{i}"`).
        """
        found: list[Any] = []
        if not named:
            self.guard(p.GUARD_LENGTH, table, None, len(table))
        for key, value in dict.items(table):
            if named and not self.is_read(key, value):
                continue
            self.guard(p.GUARD_ITEM, table, key, value)
            found.append(value)
            if not named and isinstance(key, engine.Tensor):
                found.append(key)
        return found

    def is_read(self, name: str, value: Any) -> bool:
        """Whether the code may look at this attribute."""
        if self.everything or name in self.names:
            return name not in UNREAD
        return isinstance(value, engine.Tensor)

    def elements(self, items: list[Any]) -> list[Any]:
        self.guard(p.GUARD_ELEMENTS, items, None, list.__len__(items))
        for i, value in enumerate(list.__iter__(items)):
            self.guard(p.GUARD_ELEMENT, items, i, value)
        return list(list.__iter__(items))

    def cell(self, cell: CellType) -> list[Any]:
        try:
            value = cell.cell_contents
        except ValueError:
            value = MISSING
        self.guard(p.GUARD_CELL, cell, None, value)
        return [] if value is MISSING else [value]

    def module(self, module: ModuleType) -> list[Any]:
        """The state of a module of the user's; libraries are taken as they are."""
        file = getattr(module, "__file__", None) or ""
        name = module.__name__.split(".")[0]
        if name in ("flambeau", "torch", "numpy") or not file or "site-packages" in file:
            return []
        if "/lib/python3" in file or "\\lib\\" in file.lower():
            return []
        return self.dictionary(vars(module), named=True)

    def instance(self, item: Any) -> list[Any]:
        """Any other object: its attributes."""
        kind = type(item)
        if hasattr(kind, "__next__"):
            raise Unsupported(f"it can see a {kind.__name__}, whose state is hidden")
        attributes = getattr(item, "__dict__", None)
        found: list[Any] = []
        if isinstance(attributes, dict):
            groups = attributes.get("param_groups")
            if isinstance(groups, list) and "state" in attributes:
                self.optimizer(groups)
            found = self.dictionary(attributes, named=True)
        elif kind.__module__ == "numpy" and kind.__name__ == "ndarray":
            raise Unsupported("it can see a NumPy array, whose contents may change")
        elif kind.__module__.split(".")[0] != "flambeau" and isinstance(kind, type):
            if kind.__module__ in ("collections", "builtins") and hasattr(item, "__len__"):
                raise Unsupported(f"it can see a {kind.__name__}, whose contents may change")
        return found

    def optimizer(self, groups: list[Any]) -> None:
        """Numbers among the options of an optimizer may change: what it makes of them is computed
        anew at every replay.
        """
        for group in groups:
            self.options.update((id(group), key) for key in group)

    # ---- afterwards ------------------------------------------------------------------------------
    def changes(self) -> str | None:
        """What the run changed among the guarded places; None when nothing."""
        for row in self.rows:
            if not self.accepts(row):
                return describe(row)
        return None

    def accepts(self, row: tuple[int, Any, Any, Any]) -> bool:
        """Whether a guarded place holds what it held, or something as good."""
        now, then = present(row), row[3]
        if now is then:
            return True
        if row[0] == p.GUARD_ITEM and (id(row[1]), row[2]) in self.options:
            return (
                type(now) in (int, float) and type(then) in (int, float) and bool(now) == bool(then)
            )
        return type(now) is type(then) and isinstance(now, COMPARED) and now == then


def names_of(code: CodeType) -> set[str]:
    """The global names of a code object and of those inside it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_of(constant)
    return found


def standing(tensor: Any) -> int:
    """How a tensor stands in the graph, as runtime.replay.standing says it."""
    node = tensor._edge
    if node is None:
        return p.STANDS_ALONE
    if tensor.is_leaf:
        return p.STANDS_AS_LEAF if node._hooks is None else id(node._hooks)
    return p.STANDS_ON_OTHERS


def present(row: tuple[int, Any, Any, Any]) -> Any:
    """What is in a guarded place now."""
    kind, target, key, _ = row
    if kind == p.GUARD_ITEM:
        return dict.get(target, key, MISSING)
    if kind in (p.GUARD_LENGTH, p.GUARD_ELEMENTS):
        return len(target)
    if kind == p.GUARD_EQUAL:
        return row[3] if target == row[3] else MISSING
    if kind == p.GUARD_ELEMENT:
        return target[key] if key < len(target) else MISSING
    if kind == p.GUARD_CELL:
        try:
            return target.cell_contents
        except ValueError:
            return MISSING
    return standing(target) if target._spec is key else None


def describe(row: tuple[int, Any, Any, Any]) -> str:
    """A guard in words."""
    kind, target, key, then = row
    if kind in (p.GUARD_ITEM, p.GUARD_ELEMENT):
        return f"{key!r} was {shown(then)} and is {shown(present(row))}"
    if kind in (p.GUARD_LENGTH, p.GUARD_ELEMENTS):
        return f"a {type(target).__name__} had {then} items and has {len(target)}"
    if kind == p.GUARD_CELL:
        return f"an enclosing variable was {shown(then)} and is {shown(present(row))}"
    if kind == p.GUARD_EQUAL:
        return f"a set of {len(then)} items has changed"
    return f"a tensor of shape {list(key.shape)} is another"


def shown(value: Any) -> str:
    """A value in a message."""
    if value is MISSING:
        return "missing"
    if isinstance(value, COMPARED) or value is None:
        return repr(value)[:40]
    name = type(value).__name__
    return f"a {name}"

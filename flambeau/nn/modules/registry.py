"""The tables `_parameters`, `_buffers` and `_modules` of a module.

They are ordinary dicts to whoever reads or writes them, and they are the truth about what a module
owns. Besides, each entry is mirrored in the module's `__dict__`, so that `self.weight` in a forward
is a plain attribute look-up and not a call of `__getattr__` (ten times the price). A name that the
class itself defines is not mirrored: an entry never hides a method.

>>> layer = torch.nn.Linear(2, 1)
>>> layer._parameters["bias"] = None
>>> layer.bias is None
True
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

REGISTRIES = ("_parameters", "_buffers", "_modules")
_MISSING = object()


class Registry(dict):
    """A dict whose entries show as attributes of its owners.

    There are several owners only after `copy.copy(module)`, which shares the tables.
    """

    __slots__ = ("owners",)

    # Weak, or every module would be a reference cycle that only the collector frees.
    owners: list[weakref.ref]

    @classmethod
    def of(cls, entries: Any) -> Registry:
        """A registry with these entries and no owner yet."""
        # Not in `__init__`: three are made for each module.
        table = cls(entries)
        table.owners = []
        return table

    def add_owner(self, module: Any) -> None:
        """Mirror all entries in `module`, now and from now on."""
        self.owners = [owner for owner in self.owners if owner() is not None]
        if all(owner() is not module for owner in self.owners):
            self.owners.append(weakref.ref(module))
        for name, value in self.items():
            _mirror(module, name, _MISSING, value)

    def remove_owner(self, module: Any) -> None:
        """Undo `add_owner`."""
        self.owners = [owner for owner in self.owners if owner() not in (None, module)]
        for name, value in self.items():
            _unmirror(module, name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        previous = self.get(name, _MISSING)
        dict.__setitem__(self, name, value)
        for owner in self.owners:
            module = owner()
            if module is not None:
                _mirror(module, name, previous, value)

    def __delitem__(self, name: str) -> None:
        value = self[name]
        dict.__delitem__(self, name)
        for owner in self.owners:
            module = owner()
            if module is not None:
                _unmirror(module, name, value)

    def pop(self, name: str, *default: Any) -> Any:
        if name not in self and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        if not self:
            return dict.popitem(self)  # raises its KeyError
        name = next(reversed(self))
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def update(self, *entries: Any, **named: Any) -> None:
        for name, value in dict(*entries, **named).items():
            self[name] = value

    def __ior__(self, entries: Any) -> Registry:  # type: ignore[override,misc]
        self.update(entries)
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Copies and pickles hold a plain dict, as torch's do; `attach` makes it a Registry again.
        return dict, (), None, None, iter(self.items())


def _mirror(module: Any, name: str, previous: Any, value: Any) -> None:
    attributes = module.__dict__
    if name in attributes:
        # An attribute that someone set past the registry keeps hiding the entry.
        if attributes[name] is previous:
            attributes[name] = value
    elif not hasattr(type(module), name):
        attributes[name] = value


def _unmirror(module: Any, name: str, value: Any) -> None:
    attributes = module.__dict__
    if name in attributes and attributes[name] is value:
        del attributes[name]


def attach(module: Any) -> None:
    """Make the tables in `module.__dict__` mirrored ones; used after copying and unpickling."""
    attributes = module.__dict__
    for table_name in REGISTRIES:
        table = attributes.get(table_name)
        if table is None:
            continue
        if type(table) is not Registry:
            attributes[table_name] = table = Registry.of(table)
        table.add_owner(module)


def mirrored_names(module: Any) -> Iterable[str]:
    """The keys of `module.__dict__` that only repeat a table's entry."""
    attributes = module.__dict__
    for table_name in REGISTRIES:
        for name, value in attributes.get(table_name, {}).items():
            if name in attributes and attributes[name] is value:
                yield name

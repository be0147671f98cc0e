"""Handles that take a hook off again: what every `register_*_hook` returns.

Only the standard library is imported here, so that any layer may use it.

>>> seen = []
>>> layer = torch.nn.Identity()
>>> handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(float(output)))
>>> layer(torch.tensor(2.0)).item(), seen
(2.0, [2.0])
>>> handle.remove()
>>> layer(torch.tensor(3.0)).item(), seen
(3.0, [2.0])
"""

from __future__ import annotations

import importlib
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

__all__ = ["RemovableHandle", "unserializable_hook"]


def _reference(table: Any) -> Callable[[], Any]:
    """A weak reference: a handle that outlives its module must not keep the module's hooks alive.

    A plain dict, as graph nodes use, cannot be referenced weakly.
    """
    return (lambda: table) if type(table) is dict else weakref.ref(table)


class RemovableHandle:
    """Takes one hook out of the table (and side tables) it was put in; usable as a context manager.

    >>> from collections import OrderedDict
    >>> table = OrderedDict()
    >>> with RemovableHandle(table) as handle:
    ...     table[handle.id] = print
    >>> len(table)
    0
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = _reference(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        side_tables = extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(_reference(t) for t in side_tables if t is not None)

    def remove(self) -> None:
        """Take the hook off; does nothing when it is off already."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = reference()
            if table is not None and self.id in table:
                del table[self.id]

    def __getstate__(self) -> tuple:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple) -> None:
        table = OrderedDict() if state[0] is None else state[0]
        self.hooks_dict_ref = _reference(table)
        self.id = state[1]
        # New handles must not take the number of a revived one.
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        side_tables = state[2] if len(state) > 2 and state[2] is not None else ()
        self.extra_dict_ref = tuple(_reference(t) for t in side_tables)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self.remove()


def unserializable_hook(f: Callable) -> Callable:
    """Mark the hook `f` as one that saving a tensor may drop without a warning.

    >>> hook = torch.utils.hooks.unserializable_hook(lambda gradient: gradient)
    >>> hook.__torch_unserializable__
    True
    """
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def __getattr__(name: str) -> Any:
    # Its class needs autograd, which this file must not import.
    if name == "BackwardHook":
        return importlib.import_module("flambeau.nn.modules.backward_hook").BackwardHook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The classes and functions that a file may name because the program said so.

`add_safe_globals` and its relatives fill one list for the process; the unpickler asks
`allowed_by_user` for a name that it met in a file. A few names that run code whatever their
arguments are can never be allowed.

>>> torch.serialization.add_safe_globals([torch.nn.Linear])
>>> torch.serialization.get_safe_globals() == [torch.nn.Linear]
True
>>> torch.serialization.clear_safe_globals()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Union

from flambeau.serialization.names import torch_global

SafeGlobal = Union[Callable[..., Any], "tuple[Callable[..., Any], str]"]

_BLOCKED_MODULES = frozenset({"sys", "os", "posix", "nt"})
_BLOCKED_BUILTINS = frozenset({"eval", "exec", "compile", "__import__", "open", "getattr"})

# A dict keeps the order in which things were added; the values are not used.
_safe_globals: dict[SafeGlobal, None] = {}


def add_safe_globals(safe_globals: Iterable[SafeGlobal]) -> None:
    """Allow files to name these classes and functions from now on.

    An entry is the object itself or `(object, "module.name")` where the file uses another name.
    Allow only what cannot do harm whatever arguments a file hands to it.

    >>> torch.serialization.add_safe_globals([(torch.nn.Linear, "old_package.Linear")])
    >>> torch.serialization.clear_safe_globals()
    """
    _safe_globals.update(dict.fromkeys(safe_globals))


def get_safe_globals() -> list[SafeGlobal]:
    """What `add_safe_globals` has allowed so far.

    >>> torch.serialization.get_safe_globals()
    []
    """
    return list(_safe_globals)


def clear_safe_globals() -> None:
    """Take back everything that was allowed.

    >>> torch.serialization.clear_safe_globals()
    """
    _safe_globals.clear()


class safe_globals:
    """Allow files to name these classes and functions inside a `with` block.

    >>> with torch.serialization.safe_globals([torch.nn.Linear]):
    ...     len(torch.serialization.get_safe_globals())
    1
    >>> torch.serialization.get_safe_globals()
    []
    """

    def __init__(self, safe_globals: Iterable[SafeGlobal]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exception: object) -> None:
        for entry in self.safe_globals:
            _safe_globals.pop(entry, None)


def is_blocked_module(module: str) -> bool:
    """Whether no name of this module can ever be allowed.

    >>> is_blocked_module("os"), is_blocked_module("collections")
    (True, False)
    """
    return module in _BLOCKED_MODULES


def is_blocked_object(value: Any) -> bool:
    """Whether an object runs code whatever its arguments are, under whichever name it is allowed.

    >>> is_blocked_object(eval), is_blocked_object(dict)
    (True, False)
    """
    module = getattr(value, "__module__", None)
    if module == "builtins":
        return getattr(value, "__qualname__", None) in _BLOCKED_BUILTINS
    return module in _BLOCKED_MODULES


def user_globals() -> dict[str, Any]:
    """The allowed objects by the names that files use for them."""
    by_name: dict[str, Any] = {}
    for entry in _safe_globals:
        if not isinstance(entry, tuple):
            module, name = entry.__module__, entry.__qualname__
            by_name[f"{module}.{name}"] = entry
            by_name[".".join(torch_global(entry) or (module, name))] = entry
            continue
        if len(entry) != 2:
            raise ValueError(
                "Expected tuple of length 2 (global, str of callable full path), but got tuple "
                f"of length: {len(entry)}"
            )
        if type(entry[1]) is not str:
            raise TypeError(
                "Expected second item in tuple to be str of callable full path, but got: "
                f"{type(entry[1])}"
            )
        by_name[entry[1]] = entry[0]
    return by_name

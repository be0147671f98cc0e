"""`torch.fx`: graphs of Python code, which Flambeau does not make. `wrap` marks functions that a
tracer would not look into; here it marks nothing, so that libraries that use it can be imported.

>>> torch.fx.wrap(len)([1, 2])
2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from flambeau.nn import Module


def wrap(fn_or_name: str | Callable[..., Any]) -> str | Callable[..., Any]:
    """The function or name itself."""
    return fn_or_name


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.fx.{name} is not implemented in Flambeau: programs are not turned into graphs\n"
        "  hint: torch.compile makes a function faster without one"
    )


class Proxy:
    """A value of a traced program."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse(type(self).__name__)


class Node(Proxy):
    """A step of a traced program."""


class Graph(Proxy):
    """A traced program."""


class Tracer(Proxy):
    """What traces a program."""


class GraphModule(Module):
    """A module made of a graph."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse(type(self).__name__)


def symbolic_trace(root: Any, concrete_args: Any = None) -> NoReturn:
    """The graph of a module or function; raises NotImplementedError."""
    _refuse("symbolic_trace")

"""`torch._dynamo`: the parts of torch's compiler that programs name. There is nothing to configure
here: settings are kept and change nothing.

>>> torch._dynamo.config.suppress_errors = True
>>> torch._dynamo.reset()
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import flambeau
from flambeau._dynamo import eval_frame as eval_frame

__all__ = [
    "allow_in_graph", "assume_constant_result", "config", "disable", "is_compiling",
    "list_backends", "mark_dynamic", "mark_static", "mark_static_address", "maybe_mark_dynamic",
    "optimize", "reset",
]  # fmt: skip

config = SimpleNamespace(
    suppress_errors=False, verbose=False, recompile_limit=8, cache_size_limit=8, dynamic_shapes=True
)
reset = flambeau.compiler.reset
disable = flambeau.compiler.disable
is_compiling = flambeau.compiler.is_compiling
list_backends = flambeau.compiler.list_backends


def mark_dynamic(tensor: Any, index: Any = None, **options: Any) -> None:
    """Nothing to do: every shape has a program of its own."""


mark_static = mark_static_address = maybe_mark_dynamic = mark_dynamic


def allow_in_graph(fn: Any) -> Any:
    """The function itself: a recording takes in what functions do, not what they are."""
    return fn


assume_constant_result = allow_in_graph


def optimize(backend: str = "inductor", *, nopython: bool = False, **options: Any) -> Any:
    """torch's older name of `compile`, as a decorator.

    >>> torch._dynamo.optimize("eager")(len)([1])
    1
    """
    return flambeau.compile(backend=backend, fullgraph=nopython)

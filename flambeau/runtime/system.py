"""`engine`: what the running engine consists of.

Filled in by flambeau.start and flambeau.tensor, read everywhere above.

It exists so that lower parts can ask for the classes and the native core of the running system
without importing them:

    engine.core.execute_plan(plan, x, y)        # runtime.native.NativeCore
    isinstance(value, engine.Tensor)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flambeau.runtime.native import NativeCore


class Engine:
    """The parts of the running engine; `core` is absent until flambeau.start ran."""

    core: NativeCore
    Tensor: Any
    Parameter: Any
    tape: Any = None  # compiler.tape.Tape while a function is being recorded
    functions: dict[str, Any]  # the public functions by name
    # numbers of ops from here on belong to `x + y` and its kin, see ops.registry
    first_operator: int

    # The doors of autograd's parts for those that are loaded before them; each is filled in by the
    # file that it belongs to.
    watch: Callable[[Any], Any]  # autograd.saved
    saved_attribute: Callable[[Any, str], Any]
    saved_names: Callable[[Any], list[str]]
    present_edge: Callable[[Any], Any]  # autograd.inplace
    accumulate_grad: Callable[[Any, list[Any], bool], None]  # autograd.engine
    backward_of: Callable[..., None]  # autograd.entry
    cast_call: Callable[..., Any]  # ops.autocast

    def start(self) -> None:
        """Makes the engine ready (flambeau.start), if it is not:
        the first use of a tensor function.
        """
        importlib.import_module("flambeau.start").start()


engine = Engine()

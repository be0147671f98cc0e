"""`torch.jit`: `script` and `trace` give the function or module itself, which runs as Python.

Flambeau's kernels need no script. What scripted code would do is the same; saving a script to a
file is not there.

>>> torch.jit.script(lambda x: x + 1)(torch.zeros(1))
tensor([1.])
"""

from __future__ import annotations

import builtins
import contextlib
import typing
from collections.abc import Iterator
from typing import Any

import flambeau
from flambeau.nn import Module


class ScriptModule(Module):
    """A base class for modules that torch would script; scripting itself gives modules back."""


ScriptFunction = type(lambda: None)
Attribute = lambda value, type: value
Final = Any
Future = Any


def script(
    obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None,
    example_inputs: Any = None,
) -> Any:  # fmt: skip
    """The function, class or module itself."""
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **options: Any) -> Any:
    """The function or module itself, called once with the example.

    >>> torch.jit.trace(torch.sin, torch.zeros(1))(torch.zeros(1))
    tensor([0.])
    """
    if example_inputs is not None:
        inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
        with flambeau.no_grad():
            func(*inputs)
    return func


def trace_module(mod: Any, inputs: Any, *args: Any, **options: Any) -> Any:
    """The module itself."""
    return mod


def _same(function: Any = None, *args: Any, **options: Any) -> Any:
    """A decorator that changes nothing; with and without arguments."""
    return function if callable(function) else lambda f: f


ignore = unused = export = script_method = interface = script_if_tracing = _same
freeze = optimize_for_inference = _same


def is_scripting() -> bool:
    """Whether scripted code runs: False."""
    return False


def is_tracing() -> bool:
    """Whether a function is being traced: False."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether a value is of a type."""
    return builtins.isinstance(obj, typing.get_origin(target_type) or target_type)


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """A block within which nothing changes."""
    yield


fuser = optimized_execution


def fork(func: Any, *args: Any, **kwargs: Any) -> Any:
    """The function's result, computed now; `wait` gives it."""
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """The result of a `fork`."""
    return future


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted; there is nothing to turn on."""


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


def set_fusion_strategy(strategy: Any) -> list[Any]:
    """Accepted; there is nothing to set."""
    return []


def _missing(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"torch.jit.{name} is not implemented in Flambeau: there are no script files\n"
            "  hint: keep the class, and save its state_dict with torch.save"
        )

    function.__name__, function.__doc__ = name, f"`{name}`: not there."
    return function


save, load = _missing("save"), _missing("load")

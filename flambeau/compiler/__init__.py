"""`flambeau.compile`, and what torch has under `torch.compiler`.

>>> @torch.compile
... def double(x):
...     return x * 2
>>> double(torch.ones(2))
tensor([2., 2.])

Nothing is translated: a compiled function runs as it is, is recorded while it runs, and from then
on its recording is replayed by native code (see compiler.compiled). A whole training step can be
compiled: forward pass, backward pass and optimizer. What cannot be replayed, a function that prints
or that branches on the value of a tensor, runs as if it had not been compiled.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from typing import Any

from flambeau.compiler.composites import fused as fused
from flambeau.runtime.system import engine

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
    "fused", "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends", "reset",
    "set_stance",
]  # fmt: skip

MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
BACKENDS = ("inductor", "cudagraphs", "openxla", "tvm")
EAGER = ("eager", "aot_eager")  # backends that run the operations one by one
_compiled: weakref.WeakSet[Any] = weakref.WeakSet()


class InvalidBackend(RuntimeError):
    """A backend that does not exist."""


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """A function or module that does the same as `model`, with less work between its kernels.

    The first two calls for each kind of arguments run as always and are watched, later ones are
    replayed. A kind is: shapes, dtypes, strides, values that are no tensors, the gradient mode.
    After `recompile_limit` kinds (8) others run uncompiled, with a warning. `fullgraph=True` raises
    a RuntimeError that says why, where a function cannot be compiled. `mode`, `options` and
    `dynamic` are accepted and change nothing: there is one way to compile, and it is fast.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = torch.optim.SGD([weight], lr=0.25)
    >>> @torch.compile
    ... def step():
    ...     optimizer.zero_grad()
    ...     loss = (weight * weight).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [step().item() for _ in range(4)]
    [1.0, 0.25, 0.0625, 0.015625]
    """
    check(backend, mode, options, dynamic)
    if model is None:
        again: dict[str, Any] = {
            "fullgraph": fullgraph,
            "backend": backend,
            "recompile_limit": recompile_limit,
        }
        return lambda function: compile(function, disable=disable, **again)
    kind: Any = type(model)
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {kind} is provided.")
    if disable or backend in EAGER:
        return model
    compiled = importlib.import_module("flambeau.compiler.compiled")
    limit = compiled.LIMIT if recompile_limit is None else recompile_limit
    wanted = compiled.Options(bool(fullgraph), limit)
    modules = importlib.import_module("flambeau.nn.optimized_module")
    if isinstance(model, modules.Module):
        made = compiled.Compiled(model.__call__, wanted)
        _compiled.add(made)
        return modules.OptimizedModule(model, made)
    made = compiled.Compiled(model, wanted)
    _compiled.add(made)
    return made


def check(backend: Any, mode: Any, options: Any, dynamic: Any) -> None:
    """torch's errors for arguments that are wrong."""
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    if dynamic is not None and not isinstance(dynamic, bool):
        raise AssertionError(f"Expected enable to be a bool, got {type(dynamic)}")
    if isinstance(backend, str):
        if backend not in BACKENDS + EAGER:
            raise InvalidBackend(
                f"Invalid backend: '{backend}', see `torch._dynamo.list_backends()` for available "
                "backends."
            )
    elif backend is not None:
        raise NotImplementedError("compile() with a backend of one's own is not supported")


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A function that compiled functions leave as it is: those that call it run uncompiled.

    >>> torch.compiler.disable(len)([1, 2])
    2
    """
    if fn is None:
        return lambda function: disable(function, recursive, reason=reason)

    def uncompiled(*args: Any, **kwargs: Any) -> Any:
        if engine.tape is not None:
            engine.tape.stop(reason or "it calls a function for which compiling is disabled")
        return fn(*args, **kwargs)

    return uncompiled


def reset() -> None:
    """Forgets everything that was compiled.

    >>> torch.compiler.reset()
    """
    for function in _compiled:
        function.forget()


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The names of backends.

    >>> torch.compiler.list_backends()
    ['inductor']
    """
    return ["inductor"]


def is_compiling() -> bool:
    """False: what a compiled function does is recorded while it runs as always.

    >>> torch.compiler.is_compiling()
    False
    """
    return False


is_dynamo_compiling = is_exporting = is_compiling


def allow_in_graph(fn: Any) -> Any:
    """The function itself: every function is recorded by what it does.

    >>> torch.compiler.allow_in_graph(len) is len
    True
    """
    return fn


assume_constant_result = allow_in_graph


def cudagraph_mark_step_begin() -> None:
    """Nothing to do on a CPU.

    >>> torch.compiler.cudagraph_mark_step_begin()
    """


class set_stance:
    """`torch.compiler.set_stance("force_eager")`: compiled functions run uncompiled meanwhile.

    >>> with torch.compiler.set_stance("force_eager"):
    ...     torch.compile(torch.ones)(1)
    tensor([1.])
    """

    current = "default"

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, **_: Any):
        if stance not in ("default", "force_eager", "eager_on_recompile", "fail_on_recompile"):
            raise RuntimeError(f"invalid torch.compile stance '{stance}'")
        self.before, set_stance.current = set_stance.current, stance

    def __enter__(self) -> set_stance:
        return self

    def __exit__(self, *error: Any) -> None:
        set_stance.current = self.before

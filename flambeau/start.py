"""Starts the engine: links the native core, reads the op modules, and hangs their functions on the
package and on Tensor.

`import flambeau` stays cheap because this runs at the first use of a tensor function: the package's
`__getattr__` (for `flambeau.ones`, say) and Tensor's metaclass call `start()`; a second call does
nothing.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from types import FunctionType
from typing import Any

from flambeau.core.dtype import on_default_change
from flambeau.ops.registry import NUMBERED, OPS, Op, engine, fail, fallback, miss
from flambeau.runtime.dispatch import TAKES_INDEX
from flambeau.runtime.objects import (
    ACCUMULATE,
    ADD,
    ADD_IN_PLACE,
    DERIVE,
    NODE_CLASS,
    REVISE,
    TRACER,
    VISITOR,
    WATCHER,
)  # fmt: skip
from flambeau.runtime.plan_table import NUMBERS_ARE_OPERANDS

OP_MODULES = (
    "arithmetic", "comparison", "rounding", "choice", "elementary", "powers", "gamma_functions",
    "complex_numbers", "bessel_functions", "activation", "reduce", "extrema", "statistics", "norms",
    "softmax", "scan", "sort", "quantile", "unique", "view", "dimensions", "retype", "window",
    "split", "join", "mask", "index", "getitem", "gather", "scatter", "index_writing", "shape",
    "triangle", "joining", "copies", "relayout", "reduce_at", "search", "copying", "creation",
    "from_data", "creation_methods", "histogram", "covariance", "ranges", "legacy", "random",
    "random_samples", "foreach", "segments", "matmul", "product_sums", "einsum",
    "linalg.triangular", "linalg.lu", "linalg.solve", "linalg.cholesky", "linalg.qr",
    "linalg.spectral", "linalg.determinant",
    "linalg.least_squares", "linalg.norms", "linalg.functions", "linalg.products", "linalg.ldl",
    "linalg.distances", "linalg.lowrank", "fft", "fft_many", "fft_helpers", "windows", "stft",
    "settings", "values", "duplication", "losses", "classification", "normalization",
    "batch_normalization", "rms_normalization", "attention", "dropout", "conv", "pool", "resample",
    "grid_sample",
    "recurrent", "nn",
    "autocast",
    "memory_sharing", "older_methods",
)  # fmt: skip
# methods that never answer NotImplemented
UNARY = frozenset({"__neg__", "__pos__", "__abs__", "__invert__", "__getitem__"})
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must not wait for a thread that it does not have
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
functions: dict[str, Any] = {}
#: functions of torch.linalg and torch.fft by their full names (linalg_inv, fft_rfft)
qualified: dict[str, Any] = {}
NAMESPACES = ("linalg_", "fft_")
started = starting = False


def start() -> None:
    """Makes the engine ready; `functions` then holds every public function by name. A start that
    fails (an interrupt while modules load) leaves things so that the next one begins anew.
    """
    global started, starting
    if started:
        return
    with _lock:
        if started or starting:  # `starting`: this thread, from below; others wait for the lock
            return
        starting = True
        try:
            load()
            started = True
        finally:
            starting = False
            if not started:
                forget_unfinished()


def load() -> None:
    """Links the native core and reads the op modules."""
    from flambeau.autograd.engine import accumulate_grad
    from flambeau.autograd.inplace import revise
    from flambeau.autograd.nodes import AccumulateGrad, Edge, Node, node_class
    from flambeau.autograd.programs import derive, note
    from flambeau.autograd.saved import watch
    from flambeau.autograd.visiting import visitor
    from flambeau.ops.plan import Plan
    from flambeau.runtime.native import native_core
    from flambeau.tensor import Tensor

    core = native_core()
    core.connect(
        Tensor, getattr(engine, "Parameter", Tensor), Node, AccumulateGrad, Edge, Plan,
        miss, fallback, fail,
    )  # fmt: skip
    doors = {
        REVISE: revise, NODE_CLASS: node_class, WATCHER: watch, DERIVE: derive, TRACER: note,
        VISITOR: visitor, ACCUMULATE: accumulate_grad,
    }  # fmt: skip
    for word, door in doors.items():
        core.know(word, door)
    engine.core, engine.functions = core, functions
    importlib.import_module("flambeau.autograd.entry")
    for name in OP_MODULES:
        module = importlib.import_module(f"flambeau.ops.{name}")
        for public in getattr(module, "__all__", ()):
            functions[public] = guarded(getattr(module, public))
        for method in getattr(module, "METHODS", ()):
            setattr(Tensor, method.__name__, guarded(method, method=True))
    core.number_methods(Tensor)
    attach(core, Tensor)
    for name in OP_MODULES:
        for attribute in getattr(importlib.import_module(f"flambeau.ops.{name}"), "PROPERTIES", ()):
            method = vars(Tensor)[attribute]
            if not isinstance(method, property):
                setattr(Tensor, attribute, property(method))
    on_default_change.append(core.clear_plans)


def forget_unfinished() -> None:
    """After a start that failed: drops the ops of modules that were not read to the end, and what
    `attach` derived.
    """
    kept = [
        op
        for op in OPS.values()
        if op.function.__module__ in sys.modules and not getattr(op, "target", False)
    ]
    for op in kept:
        vars(op).pop("modified", None)
    OPS.clear()
    OPS.update((op.name, op) for op in kept)
    NUMBERED[:] = kept
    functions.clear()
    if hasattr(engine, "core"):
        del engine.core


def attach(core: Any, tensor: type) -> None:
    """Gives every op its builtin function and its methods."""
    from flambeau.compiler.composites import fused
    from flambeau.ops.autocast import casting
    from flambeau.ops.kinds import Composite, Pointwise

    for op in list(NUMBERED):
        if isinstance(op, Pointwise) and op.inplace:
            op.modified = op.in_place()
    for number, op in enumerate(NUMBERED):
        op.number = number
        if isinstance(op, Composite):
            function = casting(op)
            if op.fused:
                function = fused(function)
            publish(op, guarded(function), guarded(function, method=True), tensor)
            continue
        core.op_flags[number] = (NUMBERS_ARE_OPERANDS if op.numbers == "operand" else 0) | (
            TAKES_INDEX if op.takes_index else 0
        )
        op.call = core.function(number, op.name, op.__doc__)
        publish(op, op.call, core.method(tensor, number, op.name, op.__doc__), tensor)
    core.world[ADD], core.world[ADD_IN_PLACE] = OPS["add"].number, OPS["add_"].number
    engine.first_operator = len(NUMBERED)
    for op in NUMBERED[: engine.first_operator]:
        operators = [name for name in op.methods if name.startswith("__") and name not in UNARY]
        if operators and not isinstance(op, Composite):
            number = len(NUMBERED)
            NUMBERED.append(op)
            core.op_flags[number] = core.op_flags[op.number]
            for name in operators:
                setattr(tensor, name, core.method(tensor, number, name, op.__doc__))


def publish(op: Op, function: Any, method: Any, tensor: type) -> None:
    """Puts an op under its public name, its aliases and its method names."""
    op.call = function
    for name in (op.public, *op.aliases):
        if name:
            functions[name] = function
    if op.name.startswith(NAMESPACES):
        qualified[op.name] = function
    for name in op.methods:
        setattr(tensor, name, method)


def guarded(function: Any, method: bool = False) -> Any:
    """A Python function that fails as torch does when its arguments are wrong; functions that
    torch's parser does not read as they are.
    """
    from flambeau.ops.arguments import explain, table

    name = getattr(function, "__name__", "")
    known = table()
    if (
        type(function) is not FunctionType
        or not {name, f"Tensor.{name}", name.removesuffix("_")} & known.keys()
    ):
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RuntimeError:
            raise
        except Exception as error:
            wrong = explain(name, args[1:] if method else args, kwargs, method)
            if wrong is None or type(wrong) is type(error) and str(error).startswith(str(wrong)):
                raise
            raise wrong from None

    return call

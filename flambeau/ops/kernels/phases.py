"""Native kernels in two phases: copy the first operand into the result, or clear it, then change
it.

Called by ops.update.

    plan.use_native(copy_then(), phase_params(inputs, copy, update), items=1, ...)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from flambeau.codegen.expr import Expr
from flambeau.codegen.llvm import load
from flambeau.codegen.loops import plan_pointwise
from flambeau.codegen.native import (
    Signature,
    Unit,
    fill_memory,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    void,
)
from flambeau.core.spec import Spec
from flambeau.runtime import threads
from flambeau.runtime.system import engine

Kernel = Signature(void, ptr, ptr, i64, i64)
ParallelFor = Signature(void, ptr, ptr, ptr, i64, i64)
# parameters: the core's parallel_for, the number of inputs, then two phases
PARALLEL, INPUTS, COPY = 0, 1, 2
ADDRESS, PARAMS, ITEMS, GRAIN, PHASE_WORDS = range(5)


class Phase(NamedTuple):
    """A kernel, the address of its parameters, and how its items are shared out (grain 0:
    one thread).
    """

    address: int
    params: int
    items: int
    grain: int


@native
def run_phase(phase: i64p, parallel: i64, buffers: ptrp) -> void:
    if phase[ITEMS] > 0:
        if phase[GRAIN] > 0:
            ParallelFor(parallel)(
                ptr(phase[ADDRESS]), buffers, ptr(phase[PARAMS]), phase[ITEMS], phase[GRAIN]
            )
        else:
            Kernel(phase[ADDRESS])(buffers, ptr(phase[PARAMS]), 0, phase[ITEMS])


@native
def copy_then_update(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operand 0 into the result, then the update on all operands."""
    pair = stack(ptr, 2)
    pair[0] = buffers[0]
    pair[1] = buffers[params[INPUTS]]
    run_phase(params + COPY, params[PARALLEL], pair)
    run_phase(params + COPY + PHASE_WORDS, params[PARALLEL], buffers)


@native
def clear_then_update(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: zeros in the result (COPY holds their bytes), then the update on all operands."""
    fill_memory(buffers[params[INPUTS]], 0, params[COPY])
    run_phase(params + COPY + 1, params[PARALLEL], buffers)


@cache
def copy_then() -> int:
    """Address of the kernel that copies first."""
    return phases_unit()[0]


@cache
def clear_then() -> int:
    """Address of the kernel that clears first."""
    return phases_unit()[1]


def phases_unit() -> tuple[int, int]:
    """Addresses of this module's kernels."""
    kernels = [copy_then_update, clear_then_update]
    unit = Unit("phases", kernels)
    symbols = load(
        "phases-" + unit.key(), unit.text_with_intrinsics, [unit.symbol(k) for k in kernels]
    )
    return symbols[unit.symbol(copy_then_update)], symbols[unit.symbol(clear_then_update)]


def copy_phase(source: Spec, target: Spec, keep: list[Any], grain: int) -> Phase:
    """The phase that copies a tensor into one of the same shape;
    its parameters are added to `keep`.
    """
    steps = [[s * source.itemsize for s in spec.strides] for spec in (source, target)]
    name = source.dtype.name
    loops = plan_pointwise((Expr.input(0, name),), (name,), (name,), source.shape, steps)
    params = (ctypes.c_int64 * max(1, len(loops.params)))(*loops.params)
    keep.append(params)
    shared = max(1, grain * loops.items // max(1, loops.work)) if grain else 0
    return Phase(
        load(loops.symbol_name, loops.ir_text)[loops.symbol_name],
        ctypes.addressof(params),
        loops.items,
        shared,
    )


def phase_params(inputs: int, phases: Sequence[Phase], cleared: int | None = None) -> list[int]:
    """The kernel's parameters: two phases, or the number of bytes to clear and one phase."""
    params = [
        engine.core.address(threads.parallel_for),
        inputs,
        *([] if cleared is None else [cleared]),
    ]
    for phase in phases:
        params += phase
    return params

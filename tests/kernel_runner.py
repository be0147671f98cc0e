"""Runs generated kernels on NumPy arrays: what the dispatcher does, without tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from flambeau.codegen.expr import Expr
from flambeau.codegen.llvm import load
from flambeau.codegen.loops import LoopPlan, plan_pointwise
from flambeau.codegen.monoids import Reduction
from flambeau.codegen.reduce import plan_reduction

# NumPy has no bfloat16: its bits stand for it.
NUMPY = {"bool": "?", "bfloat16": "uint16"}


def array_dtype(name: str) -> np.dtype:
    return np.dtype(NUMPY.get(name, name))


def call(plan: LoopPlan, arrays: Sequence[np.ndarray], start: int, stop: int) -> int:
    """Run items [start, stop) of a kernel; its error code."""
    address = load(plan.symbol_name, plan.ir_text)[plan.symbol_name]
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)
    error = np.zeros(1, np.int64)
    pointers = [array.ctypes.data for array in (*arrays, error)]
    buffers = (ctypes.c_void_p * len(pointers))(*pointers)
    params = (ctypes.c_int64 * max(1, len(plan.params)))(*plan.params)
    signature(address)(ctypes.addressof(buffers), ctypes.addressof(params), start, stop)
    return int(error[0])


def run(plan: LoopPlan, arrays: Sequence[np.ndarray]) -> int:
    """Run a kernel in two pieces, as two threads would, the second one first."""
    cut = plan.items // 3
    return call(plan, arrays, cut, plan.items) | call(plan, arrays, 0, cut)


def pointwise(
    exprs: Sequence[Expr] | Expr,
    arrays: Sequence[np.ndarray],
    input_dtypes: Sequence[str],
    output_dtypes: Sequence[str],
    outputs: Sequence[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], int]:
    """The outputs of a pointwise kernel on broadcast arrays, and its error code."""
    exprs = [exprs] if isinstance(exprs, Expr) else list(exprs)
    shape = np.broadcast_shapes(*[array.shape for array in arrays])
    inputs = [np.broadcast_to(array, shape) for array in arrays]
    if outputs is None:
        outputs = [np.empty(shape, array_dtype(dtype)) for dtype in output_dtypes]
    operands = [*inputs, *outputs]
    strides = [array.strides for array in operands]
    plan = plan_pointwise(exprs, input_dtypes, output_dtypes, shape, strides)
    return list(outputs), run(plan, operands)


def reduce(
    reduction: Reduction,
    elements: Sequence[Expr],
    arrays: Sequence[np.ndarray],
    input_dtypes: Sequence[str],
    output_dtypes: Sequence[str],
    dims: Sequence[int],
    parameters: Sequence[float] = (),
) -> list[np.ndarray]:
    """The outputs of a reduction over `dims`."""
    shape = arrays[0].shape
    kept = [d for d in range(len(shape)) if d not in dims]
    outputs = [np.empty([shape[d] for d in kept], array_dtype(o)) for o in output_dtypes]
    plan = plan_reduction(
        reduction,
        elements,
        input_dtypes,
        output_dtypes,
        [shape[d] for d in kept],
        [shape[d] for d in dims],
        [[array.strides[d] for d in kept] for array in arrays],
        [[array.strides[d] for d in dims] for array in arrays],
        [output.strides for output in outputs],
        parameters,
    )
    if plan.then is None:
        run(plan, [*arrays, *outputs])
    else:
        scratch = np.full(plan.scratch_bytes, 0xFF, np.uint8)
        run(plan, [*arrays, scratch])
        run(plan.then, [scratch, *outputs])
    return outputs

"""The kernels of arange and linspace: numbers at even distances in one pass.

Called by ops.ranges through ops.overwrite. arange's floats are computed in float64 and rounded
once; linspace counts from both ends, floats in their own arithmetic with one rounding, integers in
float64 cut off, all as torch does it.

    address = counting_address(int64)
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f32,
    f64,
    f64p,
    fused_multiply_add,
    i8,
    i16,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    u8,
    void,
)
from flambeau.core.dtype import dtype

T, TP = i64, i64p  # the type of the elements, and its pointer
C, CP = i64, i64p  # the type of the arithmetic, and its pointer
KINDS = {
    "uint8": u8, "int8": i8, "int16": i16, "int32": i32, "int64": i64, "float32": f32,
    "float64": f64,
}  # fmt: skip


@native
def count_up(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    first: CP = buffers[1]
    step: CP = buffers[2]
    out: TP = buffers[3]
    begin, by = first[0], step[0]
    for i in range(params[0]):
        out[i] = T(begin + C(i) * by)


@native
def spread(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """From buffers[1] to buffers[2], both included."""
    first_in: f64p = buffers[1]
    last_in: f64p = buffers[2]
    out: TP = buffers[3]
    count = params[0]
    first, last = C(T(first_in[0])), C(T(last_in[0]))
    step = C(0)
    if count > 1:
        step = (last - first) / C(count - 1)
    half = count // 2 if count > 1 else count
    for i in range(half):
        out[i] = T(fused_multiply_add(step, C(i), first))
    for i in range(half, count):
        out[i] = T(fused_multiply_add(-step, C(count - 1 - i), last))


def kernel_address(name: str, kernel: NativeFunction, of: dtype, compute: Any) -> int:
    """Address of a kernel for a dtype and the type of its arithmetic."""
    kind = KINDS[of.name]
    unit = Unit(
        f"{name}-{of.name}", [kernel], T=kind, TP=pointer(kind), C=compute, CP=pointer(compute)
    )
    symbol = unit.symbol(kernel)
    return load(f"{unit.name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]


@cache
def counting_address(of: dtype) -> int | None:
    """Address of the kernel of arange for a dtype; None where there is none."""
    if of.name not in KINDS:
        return None
    return kernel_address("count", count_up, of, f64 if of.is_floating_point else i64)


@cache
def spread_address(of: dtype) -> int | None:
    """Address of the kernel of linspace for a dtype; None where there is none."""
    if of.name not in KINDS:
        return None
    return kernel_address("spread", spread, of, f32 if of.name == "float32" else f64)

"""The kernel of arange: first, first + step, first + 2 * step ... in one pass.

Called by ops.ranges through ops.overwrite; floats are computed in float64 and rounded once.

    address = counting_address(int64)
"""

from __future__ import annotations

from functools import cache

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    f32,
    f64,
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


@cache
def counting_address(of: dtype) -> int | None:
    """Address of the kernel for a dtype; None where there is none."""
    if of.name not in KINDS:
        return None
    kind = KINDS[of.name]
    compute = f64 if kind.kind == "float" else i64
    unit = Unit(
        f"count-{of.name}",
        [count_up],
        T=kind, TP=pointer(kind), C=compute, CP=pointer(compute),
    )  # fmt: skip
    symbol = unit.symbol(count_up)
    return load(f"{unit.name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]

"""The kernel of histc: counts the elements in equal intervals.

Called by ops.histogram. The place of an element is rounded step by step in the element's dtype, as
torch does; an element at the upper bound belongs to the last interval.

    address = histogram_kernel(float32)
"""

from __future__ import annotations

from functools import cache

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    bitcast,
    f32,
    f64,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    void,
)
from flambeau.core.dtype import dtype
from flambeau.ops.kernels.indexed import NUMBERS

T, TP = f32, pointer(f32)  # the type of the elements, and its pointer
C = f32  # the type of the arithmetic
LENGTH, BINS, LOW, HIGH = range(4)  # words of the parameters


@native
def count_even(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: the elements, the result, counts."""
    x: TP = buffers[0]
    out: TP = buffers[1]
    counts: i64p = buffers[2]
    bins = params[BINS]
    low, high = C(T(C(bitcast(f64, params[LOW])))), C(T(C(bitcast(f64, params[HIGH]))))
    width, many = C(T(high - low)), C(T(C(bins)))
    for k in range(bins):
        counts[k] = 0
    for i in range(params[LENGTH]):
        value = C(x[i])
        if value >= low and value <= high:
            place = i64(C(T(C(T(C(T(value - low)) * many)) / width)))
            counts[place if place < bins else bins - 1] += 1
    for k in range(bins):
        out[k] = T(C(counts[k]))


@cache
def histogram_kernel(of: dtype) -> int:
    """Address of the kernel for a floating dtype."""
    kind = NUMBERS[of.name]
    compute = f64 if of.itemsize == 8 else f32
    unit = Unit(f"histogram-{of.name}", [count_even], T=kind, TP=pointer(kind), C=compute)
    symbol = unit.symbol(count_even)
    return load(f"{unit.name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]

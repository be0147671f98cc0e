"""The kernels of histc, which counts the elements in equal intervals, and of bincount, which counts
integers.

Called by ops.histogram. The place of an element is rounded step by step in the element's dtype, as
torch does; an element at the upper bound belongs to the last interval.

    address = histogram_kernel(float32)
    beyond, count = counting_kernels(int64)
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


@native
def end_of_values(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: integers, a flag: one more than the greatest, or -1 if one is negative."""
    x: TP = buffers[0]
    flag: i64p = buffers[1]
    least, greatest = x[0], x[0]
    for i in range(params[LENGTH]):
        least = x[i] if x[i] < least else least
        greatest = x[i] if x[i] > greatest else greatest
    flag[0] = i64(greatest) + 1 if least >= T(0) else i64(-1)


@native
def count_values(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: integers, the counts, zero at first."""
    x: TP = buffers[0]
    counts: i64p = buffers[1]
    for i in range(params[LENGTH]):
        counts[i64(x[i])] += 1


@cache
def counting_kernels(of: dtype) -> tuple[int, int]:
    """Addresses of the kernels that find where the values end and count them."""
    kind, kernels = NUMBERS[of.name], [end_of_values, count_values]
    unit = Unit(f"counting-{of.name}", kernels, T=kind, TP=pointer(kind))
    symbols = [unit.symbol(kernel) for kernel in kernels]
    code = load(f"{unit.name}-{unit.key()}", unit.text_with_intrinsics, symbols)
    return code[symbols[0]], code[symbols[1]]


@cache
def histogram_kernel(of: dtype) -> int:
    """Address of the kernel for a floating dtype."""
    kind = NUMBERS[of.name]
    compute = f64 if of.itemsize == 8 else f32
    unit = Unit(f"histogram-{of.name}", [count_even], T=kind, TP=pointer(kind), C=compute)
    symbol = unit.symbol(count_even)
    return load(f"{unit.name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]

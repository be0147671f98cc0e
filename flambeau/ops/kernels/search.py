"""Native kernels that look values up: binary search in sorted rows. Called by ops.search.

address = search_kernel("float32", "int64", right=False)
core.call_kernel(address, params, items, grain, sorted, values, result)
"""

from __future__ import annotations

from functools import cache

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    f32,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    void,
)
from flambeau.ops.kernels.indexed import NUMBERS

T, C, TP, R, RP, RIGHT = i64, i64, pointer(i64), i64, pointer(i64), 0  # replaced by `Unit`
BLOCK = 8
FEW, LANES = 24, 64  # boundaries that are all compared; values at a time


@native
def count_before(row: TP, values: TP, result: RP, length: i64, start: i64, stop: i64) -> void:
    """For each value the number of boundaries before it, by comparing it with all of them."""
    places, own = stack(i32, LANES), stack(C, LANES)
    first = start
    while first < stop:
        count = stop - first if stop - first < LANES else i64(LANES)
        for j in range(LANES):
            places[j] = 0
            own[j] = C(values[first + (j if j < count else i64(0))])
        for k in range(length):
            boundary = C(row[k])
            for j in range(LANES):
                if RIGHT:
                    places[j] += i32(0) if boundary > own[j] else i32(1)
                else:
                    places[j] += i32(0) if boundary >= own[j] else i32(1)
        for j in range(count):
            result[first + j] = R(places[j])
        first += LANES


@native
def binary_search(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands sorted rows, values, result; an item is a value.

    Parameters: row length, values in a row, rows.
    """
    rows: TP = buffers[0]
    values: TP = buffers[1]
    result: RP = buffers[2]
    length = params[0]
    if length <= FEW and params[2] == 1:
        count_before(rows, values, result, length, start, stop)
        return
    values_of, lows, rows_of = stack(C, BLOCK), stack(i64, BLOCK), stack(ptr, BLOCK)
    item = start
    # several searches side by side: each one alone waits for memory at every step
    while item < stop:
        count = stop - item if stop - item < BLOCK else i64(BLOCK)
        for j in range(count):
            values_of[j] = C(values[item + j])
            lows[j] = 0
            rows_of[j] = rows
            if params[2] > 1:
                rows_of[j] = rows + ((item + j) // params[1]) * length
        rest = length
        while rest > 0:  # without branches on what is found: they cannot be predicted
            half = rest >> 1
            for j in range(count):
                row: TP = rows_of[j]
                found = C(row[lows[j] + half])
                before = i64(1)
                if RIGHT:
                    before = i64(0) if found > values_of[j] else i64(1)
                else:
                    before = i64(0) if found >= values_of[j] else i64(1)
                lows[j] = lows[j] + (rest - half) * before
            rest = half
        for j in range(count):
            result[item + j] = R(lows[j])
        item += count


@cache
def search_kernel(dtype: str, result: str, right: bool) -> int:
    """Address of the search in rows of `dtype`; `right`: after equal values instead of before."""
    kind, out = NUMBERS[dtype], {"int64": i64, "int32": i32}[result]
    compute = f32 if kind.kind == "float" and kind.bits == 16 else kind
    name = f"search-{dtype}-{result}-{int(right)}"
    options = {
        "T": kind,
        "C": compute,
        "TP": pointer(kind),
        "R": out,
        "RP": pointer(out),
        "RIGHT": int(right),
    }
    unit = Unit(name, [binary_search], **options)
    symbol = unit.symbol(binary_search)
    return load(f"{name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]

"""Native kernels that look values up: binary search in sorted rows. Called by ops.search.

    address = search_kernel("float32", "int64", right=False)
    core.call_kernel(address, params, items, grain, sorted, values, result)
"""

from __future__ import annotations

from functools import cache

from flambeau.codegen.llvm import load
from flambeau.codegen.native import Unit, f32, i32, i64, i64p, native, pointer, ptrp, void
from flambeau.ops.kernels.indexed import NUMBERS

T, C, TP, R, RP, RIGHT = i64, i64, pointer(i64), i64, pointer(i64), 0  # replaced by `Unit`


@native
def binary_search(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands sorted rows, values, result; an item is a value. Parameters: row length, values in a row, rows."""
    rows: TP = buffers[0]
    values: TP = buffers[1]
    result: RP = buffers[2]
    length = params[0]
    for item in range(start, stop):
        row = rows
        if params[2] > 1:
            row = rows + (item // params[1]) * length
        value = C(values[item])
        low, rest = i64(0), length
        while rest > 0:  # without branches on what is found: they cannot be predicted
            half = rest >> 1
            found = C(row[low + half])
            before = i64(1)
            if RIGHT:
                before = i64(0) if found > value else i64(1)
            else:
                before = i64(0) if found >= value else i64(1)
            low = low + (half + 1) * before
            rest = half + (rest - half - 1 - half) * before
        result[item] = R(low)


@cache
def search_kernel(dtype: str, result: str, right: bool) -> int:
    """Address of the search in rows of `dtype`; `right`: after equal values instead of before."""
    kind, out = NUMBERS[dtype], {"int64": i64, "int32": i32}[result]
    compute = f32 if kind.kind == "float" and kind.bits == 16 else kind
    name = f"search-{dtype}-{result}-{int(right)}"
    options = {"T": kind, "C": compute, "TP": pointer(kind), "R": out, "RP": pointer(out), "RIGHT": int(right)}
    unit = Unit(name, [binary_search], **options)
    symbol = unit.symbol(binary_search)
    return load(f"{name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]

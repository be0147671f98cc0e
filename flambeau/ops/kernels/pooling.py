"""What the native kernels of pooling share: windows, lines of columns, parameters.

A kernel does one plane (image and channel) per item, and a row of results in two steps, on lines in
the stack that LLVM vectorises: down the columns, the windows' rows become one line of greatest
elements or of sums; then, along it, the windows' columns become the results. The kernels are in
ops.kernels.pooling_maximum and pooling_average; ops.pool uses them:

    address = kernel_address(pool_average, "float32", unit=True)
    plan.use_native(address, pool_params(x, y, windows), items=planes, work=..., grain=...)

X is the element type in memory and C the type of arithmetic, as in ops.kernels.conv_padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    i64p,
    native,
    pointer,
    u8,
    u16,
    void,
)
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_copies import copy_rows_address
from flambeau.ops.kernels.conv_padding import CopyRows, narrow, steps_of, widen
from flambeau.ops.kernels.vector_text import ELEMENT

# replaced by `Unit`; UNIT says that columns are neighbours in memory
X, C, XP, CP, BFLOAT, UNIT = f32, f32, pointer(f32), pointer(f32), False, False
LOWEST, FLOATING, PLACES = float("-inf"), True, True
CHUNK, LINE = 256, 1024  # most results of a row that are made together, input columns for them
HALF = LINE + 128  # a line with room for whole vectors; the second half holds it split in two
NOWHERE = (1 << 31) - 1  # the place of what lies outside

# words of the parameters; strides are in elements, sizes and steps for (slices, rows, columns)
(
    CHANNELS, X_IMAGE, X_CHANNEL, X_SLICE, X_ROW, X_COLUMN, Y_IMAGE, Y_CHANNEL, Y_SLICE, Y_ROW,
    Y_COLUMN, IN_SLICES, IN_ROWS, IN_COLUMNS, OUT_SLICES, OUT_ROWS, OUT_COLUMNS, KERNEL_SLICES,
    KERNEL_ROWS, KERNEL_COLUMNS, STRIDE_SLICE, STRIDE_ROW, STRIDE_COLUMN, PAD_SLICE, PAD_ROW,
    PAD_COLUMN, REACH_SLICE, REACH_ROW, REACH_COLUMN, INCLUDE_PAD, DIVISOR, PAIRS, ADAPTIVE, COPY,
    SINGLE,
) = range(35)  # fmt: skip


@native
def lesser(a: i64, b: i64) -> i64:
    """The smaller of two numbers."""
    return a if a < b else b


@native
def whole_vectors(count: i64) -> i64:
    """`count` rounded up: loops over the stack run over whole vectors."""
    return (count + 15) // 16 * 16


@native
def window_first(params: i64p, axis: i64, index: i64) -> i64:
    """Where a window begins along an axis; in padding if negative."""
    if params[ADAPTIVE] != 0:
        return index * params[IN_SLICES + axis] // params[OUT_SLICES + axis]
    return index * params[STRIDE_SLICE + axis] - params[PAD_SLICE + axis]


@native
def window_count(params: i64p, axis: i64, index: i64) -> i64:
    """How many taps a window has along an axis."""
    if params[ADAPTIVE] != 0:
        size, count = params[IN_SLICES + axis], params[OUT_SLICES + axis]
        return ((index + 1) * size + count - 1) // count - index * size // count
    return params[KERNEL_SLICES + axis]


@native
def columns_together(params: i64p) -> i64:
    """How many results of a row are made together."""
    if params[ADAPTIVE] != 0:
        return CHUNK if params[IN_COLUMNS] <= LINE else i64(1)
    found = (LINE // 2) // params[STRIDE_COLUMN]
    return lesser(found if found > 0 else i64(1), CHUNK)


@native
def taps_together(params: i64p, count: i64) -> i64:
    """How many columns of the windows are looked at together."""
    if params[ADAPTIVE] != 0 and count > 1:
        return LINE
    found = (LINE // 2) // params[REACH_COLUMN]
    return found if found > 0 else i64(1)


@native
def read_line(params: i64p, line: CP, source: XP, count: i64) -> void:
    """Part of an input row into a line; what follows in its last vector is undefined."""
    if UNIT:
        if params[COPY] != 0:
            CopyRows(params[COPY])(line, source, 1, count, 0, 0)
        else:
            for j in range(count):
                line[j] = widen(source[j])
    else:
        for j in range(count):
            line[j] = widen(source[j * params[X_COLUMN]])


@native
def write_row(target: XP, values: CP, count: i64, step: i64) -> void:
    """Results to their places."""
    if step == 1:
        for i in range(count):
            target[i] = narrow(values[i])
    else:
        for i in range(count):
            target[i * step] = narrow(values[i])


@native
def halve(line: CP, even: CP, odd: CP, count: i64) -> void:
    """The even and the odd elements of a line."""
    for j in range(whole_vectors(count) // 2):
        even[j] = line[2 * j]
        odd[j] = line[2 * j + 1]


class Windows(NamedTuple):
    """The windows of a pooling: one number for each spatial dimension; `adaptive` ignores them."""

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    include_pad: bool = True
    divisor: int = 0
    adaptive: bool = False


ELEMENTS = {
    "float32": (f32, f32), "float64": (f64, f64), "float16": (f16, f32), "bfloat16": (u16, f32),
    "int8": (i8, i8), "uint8": (u8, u8), "int16": (i16, i16), "int32": (i32, i32),
    "int64": (i64, i64),
}  # fmt: skip


def lowest(dtype: str) -> float | int:
    """What a maximum starts from."""
    element, _ = ELEMENTS[dtype]
    if "float" in dtype:
        return float("-inf")
    return -(1 << (element.bits - 1)) if element.signed else 0


def kernel_address(kernel: NativeFunction, dtype: str, unit: bool, places: bool = True) -> int:
    """Machine code for elements of `dtype`; `unit`: columns are neighbours in memory."""
    element, compute = ELEMENTS[dtype]
    name = f"{kernel.name}_{dtype}_{unit:d}_{places:d}"
    code = Unit(
        name, [kernel], X=element, C=compute, XP=pointer(element), CP=pointer(compute),
        BFLOAT=dtype == "bfloat16", UNIT=unit, LOWEST=lowest(dtype), FLOATING="float" in dtype,
        PLACES=places,
    )  # fmt: skip
    symbol = code.symbol(kernel)
    return load("pool-" + code.key(), code.text_with_intrinsics, [symbol])[symbol]


def triple(sizes: Sequence[int], fill: int) -> tuple[int, ...]:
    """Numbers for three dimensions: the missing ones come first."""
    return (*(fill,) * (3 - len(sizes)), *sizes)


def pool_params(x: Spec, y: Spec, windows: Windows) -> list[int]:
    """The parameters; x is the side of the windows' elements, y that of the results."""
    kernel, stride, padding, dilation, include_pad, divisor, adaptive = windows
    pairs = (
        len(kernel) <= 2 and tuple(kernel) == tuple(stride) == (2, 2) and not any(padding)
        and tuple(dilation) == (1, 1) and x.strides[-1] == 1 and not adaptive
        and all(2 * m <= n for m, n in zip(y.shape[2:], x.shape[2:]))
    )  # fmt: skip
    single = not adaptive and all(
        triple(values, fill)[:2] == (fill, fill)
        for values, fill in ((kernel, 1), (stride, 1), (padding, 0))
    )
    copy = copy_rows_address(x.dtype.name, 1) if x.dtype.name in ELEMENT else 0
    return [
        x.shape[1], *steps_of(x), *steps_of(y), *triple(x.shape[2:], 1), *triple(y.shape[2:], 1),
        *triple(kernel, 1), *triple(stride, 1), *triple(padding, 0), *triple(dilation, 1),
        int(include_pad), divisor, int(pairs), int(adaptive), copy,
        int(single),
    ]  # fmt: skip

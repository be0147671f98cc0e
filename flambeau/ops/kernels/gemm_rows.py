"""Products of few rows with a matrix of halves or small integers, in native code.

    c = alpha * a @ b + beta * init         # a, init and c have at most MOST_ROWS rows

Called through ops.kernels.gemm. Each element of b is used so few times that widening it into a
panel first would take longest: here a group of its rows is widened on the way and added to sums
that stay in the first-level cache. The words are those of ops.kernels.gemm_native; a panel is a
range of columns, and VECTORS counts columns.
"""

from __future__ import annotations

from flambeau.codegen.native import f32, i64, i64p, native, pointer, ptr, ptrp, stack, void
from flambeau.ops.kernels.conv_padding import narrow, widen
from flambeau.ops.kernels.gemm_native import (
    A_ROW,
    A_STEP,
    B_STEP,
    C_ROW,
    FIRST_PANEL,
    INIT_ROW,
    ITEM_A,
    ITEM_B,
    ITEM_C,
    ITEM_INIT,
    LAST_PANEL,
    VECTORS,
    WIDE,
    K,
    M,
    find_item,
    first_of,
    read_numbers,
)

X, C = f32, f32  # template: types of elements and of arithmetic
BFLOAT = False  # template: the elements are bfloat16
MOST_ROWS = 3
MOST_COLUMNS = 2048  # of an item's sums


@native
def add_rows(
    sums: pointer(C), a: pointer(X), b: pointer(X), columns: i64, params: i64p, steps: i64
) -> void:
    """sums += the products of `steps` steps along k, four at a time."""
    step, next = params[A_STEP], params[B_STEP]
    k = i64(0)
    while k + 8 <= steps:
        x0, x1 = widen(a[k * step]), widen(a[(k + 1) * step])
        x2, x3 = widen(a[(k + 2) * step]), widen(a[(k + 3) * step])
        x4, x5 = widen(a[(k + 4) * step]), widen(a[(k + 5) * step])
        x6, x7 = widen(a[(k + 6) * step]), widen(a[(k + 7) * step])
        b0 = b + k * next
        b1, b2, b3 = b0 + next, b0 + 2 * next, b0 + 3 * next
        b4, b5, b6, b7 = b0 + 4 * next, b0 + 5 * next, b0 + 6 * next, b0 + 7 * next
        for j in range(columns):
            total = sums[j] + x0 * widen(b0[j]) + x1 * widen(b1[j])
            total = total + x2 * widen(b2[j]) + x3 * widen(b3[j])
            total = total + x4 * widen(b4[j]) + x5 * widen(b5[j])
            sums[j] = total + x6 * widen(b6[j]) + x7 * widen(b7[j])
        k += 8
    while k < steps:
        x = widen(a[k * step])
        row = b + k * next
        for j in range(columns):
            sums[j] = sums[j] + x * widen(row[j])
        k += 1


@native
def few_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Items: ranges of columns of one matrix of the batch."""
    sums, numbers, work = stack(C, MOST_ROWS * MOST_COLUMNS), stack(C, 4), stack(i64, 9)
    read_numbers(params, numbers)
    for item in range(start, stop):
        find_item(item, buffers, params, work)
        a: pointer(X) = ptr(work[ITEM_A])
        c: pointer(X) = ptr(work[ITEM_C])
        init: pointer(X) = ptr(work[ITEM_INIT])
        for index in range(work[FIRST_PANEL], work[LAST_PANEL]):
            column = first_of(index, params[WIDE], params[VECTORS])
            columns = first_of(index + 1, params[WIDE], params[VECTORS]) - column
            b: pointer(X) = ptr(work[ITEM_B])
            b = b + column
            for i in range(params[M] * MOST_COLUMNS):
                sums[i] = C(0)
            for k in range(0, params[K], 8):
                steps = params[K] - k if params[K] - k < 8 else i64(8)
                for row in range(params[M]):
                    place = a + (row * params[A_ROW] + k * params[A_STEP])
                    more = b + k * params[B_STEP]
                    add_rows(sums + row * MOST_COLUMNS, place, more, columns, params, steps)
            for row in range(params[M]):
                own, target = sums + row * MOST_COLUMNS, c + (row * params[C_ROW] + column)
                if init != None:  # noqa: E711
                    before = init + (row * params[INIT_ROW] + column)
                    for j in range(columns):
                        target[j] = narrow(numbers[0] * own[j] + numbers[1] * widen(before[j]))
                else:
                    for j in range(columns):
                        target[j] = narrow(numbers[0] * own[j])

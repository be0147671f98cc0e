"""Native kernels of scans: running sums, products, extremes and log-sums along one dimension.

A scan runs along lines. Lines that are neighbours in memory go side by side, so that the machine's
vectors hold one element of each (`BESIDE`); lines that are contiguous themselves go four at a time,
so that four additions are under way at once. Sums and products of float32 accumulate in float64. A
`ScanPlan` says where lines lie; a reversed scan has negative steps:

    params, items = layout((4, 5), 1, input_strides, output_strides)     # bytes
    plan.use_native(kernel("sum", float32, float32, beside), params, items, ...)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Extern,
    NativeFunction,
    Unit,
    f32,
    f64,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    sizeof,
    stack,
    u8,
    void,
)
from flambeau.core.strides import collapse
from flambeau.ops.kernels.indexed import NUMBERS

exp = Extern("exp", f64, f64)
log1p = Extern("log1p", f64, f64)

# replaced by `Unit`: stored types, accumulator, their pointers and sizes, which scan
T, O, A = u8, u8, u8
TP, OP = pointer(u8), pointer(u8)
SUM, PRODUCT, LOGSUMEXP, MAXIMUM, MINIMUM = range(5)
MODE, FLOATS = SUM, False
MODES = {
    "sum": SUM,
    "product": PRODUCT,
    "logsumexp": LOGSUMEXP,
    "maximum": MAXIMUM,
    "minimum": MINIMUM,
}

# words of the parameters
(
    LENGTH,
    IN_STEP,
    OUT_STEP,
    INDEX_STEP,
    WIDTH,
    IN_LINE,
    OUT_LINE,
    INDEX_LINE,
    TILE,
    FIRST,
    RANK,
    OUTER,
) = range(12)
IN_OFFSET, OUT_OFFSET, INDEX_OFFSET = 12, 13, 14
DIMS = 16
SIDE_BY_SIDE = 64  # lines in a tile
BLOCK = 16  # elements that are looked at together
QUARTER = 512  # four times as many elements of a line stay in the first-level cache


@native
def take(total: A, x: A) -> A:
    """The accumulator with one element more."""
    if MODE == SUM:
        return total + x
    if MODE == PRODUCT:
        return total * x
    if MODE == LOGSUMEXP:
        low = total if total < x else x
        high = x if total < x else total
        if total != total or x != x:
            return total + x
        if low == high and low - high != A(0):  # both infinite, alike
            return low
        if high - high != A(0):
            return high
        return A(f64(high) + log1p(exp(f64(low) - f64(high))))
    return x


@native
def keeps(best: A, x: A) -> i64:
    """Whether the extreme so far is surely better than an element: not for equal ones and NaN."""
    if MODE == MAXIMUM:
        return 1 if x < best else 0
    return 1 if x > best else 0


@native
def scan_beside(a: ptr, b: ptr, count: i64, params: i64p) -> void:
    """Up to 64 lines whose elements are neighbours."""
    totals = stack(A, 64)
    source: TP = a
    target: OP = b
    for t in range(count):
        totals[t] = A(source[t])
        target[t] = O(totals[t])
    for _ in range(1, params[LENGTH]):
        source = ptr(source) + params[IN_STEP]
        target = ptr(target) + params[OUT_STEP]
        for t in range(count):
            totals[t] = take(totals[t], A(source[t]))
            target[t] = O(totals[t])


@native
def scan_four(a: ptr, b: ptr, params: i64p) -> void:
    """Four lines at once."""
    x0: TP = a
    x1: TP = a + params[IN_LINE]
    x2: TP = a + 2 * params[IN_LINE]
    x3: TP = a + 3 * params[IN_LINE]
    y0: OP = b
    y1: OP = b + params[OUT_LINE]
    y2: OP = b + 2 * params[OUT_LINE]
    y3: OP = b + 3 * params[OUT_LINE]
    s0, s1, s2, s3 = A(x0[0]), A(x1[0]), A(x2[0]), A(x3[0])
    y0[0], y1[0], y2[0], y3[0] = O(s0), O(s1), O(s2), O(s3)
    step, move = params[IN_STEP], params[OUT_STEP]
    if step == sizeof(T) and move == sizeof(O):
        for j in range(1, params[LENGTH]):
            s0, s1 = take(s0, A(x0[j])), take(s1, A(x1[j]))
            s2, s3 = take(s2, A(x2[j])), take(s3, A(x3[j]))
            y0[j], y1[j], y2[j], y3[j] = O(s0), O(s1), O(s2), O(s3)
        return
    for _ in range(1, params[LENGTH]):
        x0, x1, x2, x3 = ptr(x0) + step, ptr(x1) + step, ptr(x2) + step, ptr(x3) + step
        y0, y1, y2, y3 = ptr(y0) + move, ptr(y1) + move, ptr(y2) + move, ptr(y3) + move
        s0, s1, s2, s3 = (
            take(s0, A(x0[0])),
            take(s1, A(x1[0])),
            take(s2, A(x2[0])),
            take(s3, A(x3[0])),
        )
        y0[0], y1[0], y2[0], y3[0] = O(s0), O(s1), O(s2), O(s3)


@native
def scan_quarters(source: TP, target: OP, quarter: i64, before: A) -> A:
    """Sums of neighbours after those that came `before`; the quarters of them side by side, so that
    four additions are under way at once. Returns the sum of all.
    """
    sums, lanes = stack(A, 4), stack(A, BLOCK)
    for k in range(3):
        part = source + k * quarter
        for q in range(BLOCK):
            lanes[q] = A(0)
        for block in range(quarter // BLOCK):
            for q in range(BLOCK):
                lanes[q] += A(part[block * BLOCK + q])
        sums[k] = A(0)
        for q in range(BLOCK):
            sums[k] += lanes[q]
    x1, x2, x3 = source + quarter, source + 2 * quarter, source + 3 * quarter
    y1, y2, y3 = target + quarter, target + 2 * quarter, target + 3 * quarter
    s0, s1 = before, before + sums[0]
    s2 = s1 + sums[1]
    s3 = s2 + sums[2]
    for j in range(quarter):
        s0, s1, s2, s3 = s0 + A(source[j]), s1 + A(x1[j]), s2 + A(x2[j]), s3 + A(x3[j])
        target[j], y1[j], y2[j], y3[j] = O(s0), O(s1), O(s2), O(s3)
    return s3


@native
def sum_line(source: TP, target: OP, length: i64) -> void:
    """A line of sums of neighbours."""
    total, first = A(0), i64(0)
    if FLOATS:  # whose addition takes several cycles
        while first < length:
            rest = length - first
            quarter = i64(QUARTER) if rest >= 4 * QUARTER else rest // (4 * BLOCK) * BLOCK
            if quarter == 0:
                break
            total = scan_quarters(source + first, target + first, quarter, total)
            first += 4 * quarter
    for j in range(first, length):
        total += A(source[j])
        target[j] = O(total)


@native
def scan_line(a: ptr, b: ptr, params: i64p) -> void:
    """One line."""
    if MODE == SUM:
        if params[IN_STEP] == sizeof(T) and params[OUT_STEP] == sizeof(O):
            sum_line(a, b, params[LENGTH])
            return
    source: TP = a
    target: OP = b
    total = A(source[0])
    target[0] = O(total)
    for _ in range(1, params[LENGTH]):
        source = ptr(source) + params[IN_STEP]
        target = ptr(target) + params[OUT_STEP]
        total = take(total, A(source[0]))
        target[0] = O(total)


@native
def replaces(best: T, x: T) -> i64:
    """Whether an element takes the place of the extreme so far; NaN gives way to NaN only."""
    better = 1 - keeps(A(best), A(x))
    return better & ((i64(1) if best == best else i64(0)) | (i64(1) if x != x else i64(0)))


@native
def extreme_block(x: TP, y: TP, where: i64p, best: T, place: i64) -> i64:
    """Up to 16 neighbours none of which replaces the extreme; 0 if one does."""
    found = i64(0)
    for q in range(BLOCK):
        found = found | replaces(best, x[q])
    if found != 0:
        return 0
    for q in range(BLOCK):
        y[q] = best
        where[q] = place
    return 1


@native
def extreme_line(a: ptr, b: ptr, c: ptr, params: i64p) -> void:
    """One line of running extremes, and where they stand."""
    source: TP = a
    target: TP = b
    where: i64p = c
    length = params[LENGTH]
    best, place = source[0], i64(0)
    together = i64(0)
    if params[IN_STEP] == sizeof(T) and params[OUT_STEP] == sizeof(T) and params[INDEX_STEP] == 8:
        together = 1
    j = i64(0)
    while j < length:
        if together != 0 and length - j >= BLOCK:
            if extreme_block(source, target, where, best, place):
                j += BLOCK
                source, target, where = source + BLOCK, target + BLOCK, where + BLOCK
                continue
        for _ in range(BLOCK if length - j >= BLOCK else length - j):
            x = source[0]
            if keeps(A(best), A(x)) == 0:
                if best == best or x != x:  # NaN gives way to NaN only
                    best = x
                    place = j
            target[0] = best
            where[0] = place
            source = ptr(source) + params[IN_STEP]
            target = ptr(target) + params[OUT_STEP]
            where = ptr(where) + params[INDEX_STEP]
            j += 1


@native
def extremes_beside(a: ptr, b: ptr, c: ptr, count: i64, params: i64p) -> void:
    """Up to 64 lines whose elements are neighbours."""
    best, place = stack(T, 64), stack(i64, 64)
    source: TP = a
    target: TP = b
    where: i64p = c
    for t in range(count):
        best[t] = source[t]
        place[t] = 0
    for j in range(params[LENGTH]):
        for t in range(count):
            x = source[t]
            found = replaces(best[t], x)
            best[t] = x if found != 0 else best[t]
            place[t] = j if found != 0 else place[t]
            target[t] = best[t]
            where[t] = place[t]
        source = ptr(source) + params[IN_STEP]
        target = ptr(target) + params[OUT_STEP]
        where = ptr(where) + params[INDEX_STEP]


@native
def scan(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: items are tiles of lines; the dimensions around them count like the digits of a
    number.
    """
    tiles = (params[WIDTH] + params[TILE] - 1) // params[TILE]
    for item in range(start, stop):
        first = item % tiles * params[TILE]
        rest = item // tiles
        a = buffers[0] + (params[IN_OFFSET] + first * params[IN_LINE])
        b = buffers[1] + (params[OUT_OFFSET] + first * params[OUT_LINE])
        for k in range(params[RANK]):
            dim = params + DIMS + 4 * (params[RANK] - 1 - k)
            digit = rest % dim[0]
            rest = rest // dim[0]
            a = a + digit * dim[1]
            b = b + digit * dim[2]
        count = params[WIDTH] - first if params[WIDTH] - first < params[TILE] else params[TILE]
        if params[TILE] == SIDE_BY_SIDE:
            scan_beside(a, b, count, params)
        elif count == 4:
            scan_four(a, b, params)
        else:
            for t in range(count):
                scan_line(a + t * params[IN_LINE], b + t * params[OUT_LINE], params)


@native
def extremes(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the same for running extremes with their indices."""
    tiles = (params[WIDTH] + params[TILE] - 1) // params[TILE]
    for item in range(start, stop):
        first = item % tiles * params[TILE]
        rest = item // tiles
        a = buffers[0] + (params[IN_OFFSET] + first * params[IN_LINE])
        b = buffers[1] + (params[OUT_OFFSET] + first * params[OUT_LINE])
        c = buffers[2] + (params[INDEX_OFFSET] + first * params[INDEX_LINE])
        for k in range(params[RANK]):
            dim = params + DIMS + 4 * (params[RANK] - 1 - k)
            digit = rest % dim[0]
            rest = rest // dim[0]
            a = a + digit * dim[1]
            b = b + digit * dim[2]
            c = c + digit * dim[3]
        count = params[WIDTH] - first if params[WIDTH] - first < params[TILE] else params[TILE]
        if params[TILE] == SIDE_BY_SIDE:
            extremes_beside(a, b, c, count, params)
        else:
            for t in range(count):
                extreme_line(
                    a + t * params[IN_LINE],
                    b + t * params[OUT_LINE],
                    c + t * params[INDEX_LINE],
                    params,
                )


def layout(
    shape: Sequence[int],
    dim: int,
    operands: Sequence[Sequence[int]],
    itemsizes: Sequence[int],
    tile: bool,
    reverse: bool = False,
) -> tuple[list[int], int]:
    """Parameters and the number of items of a scan along `dim`; `operands` are the byte strides of
    input and outputs.
    """
    length = shape[dim]
    others = [d for d in range(len(shape)) if d != dim]
    operands = [*operands, *([operands[1]] * (3 - len(operands)))]
    sizes, strides = collapse(
        [shape[d] for d in others], [[s[d] for d in others] for s in operands]
    )
    if not sizes:
        sizes, strides = (1,), ((0,), (0,), (0,))
    neighbours = all(s[-1] == size for s, size in zip(strides, itemsizes, strict=False))
    beside = tile and sizes[-1] > 4 and neighbours
    width = SIDE_BY_SIDE if beside else 4 if tile else 1
    sign = -1 if reverse else 1
    params = [
        length,
        *(sign * s[dim] for s in operands),
        sizes[-1],
        *(s[-1] for s in strides),
        width,
        0,
        len(sizes) - 1,
        0,
        *((length - 1) * s[dim] if reverse else 0 for s in operands),
        0,
    ]
    items = -(-sizes[-1] // width)
    for i, size in enumerate(sizes[:-1]):
        params += [size, *(s[i] for s in strides)]
        items *= size
    return params, items if length else 0


def kernel(mode: str, source: Any, result: Any) -> int:
    """Address of the kernel for these dtypes."""
    stored, out = NUMBERS[source.name], NUMBERS[result.name]
    total = f64 if out is f32 else f32 if out.kind == "float" and out.bits == 16 else out
    name = f"scan-{mode}-{source.name}-{result.name}"
    options = {
        "T": stored,
        "O": out,
        "A": total,
        "TP": pointer(stored),
        "OP": pointer(out),
        "MODE": MODES[mode],
        "FLOATS": total.kind == "float",
    }
    run: NativeFunction = extremes if mode in ("maximum", "minimum") else scan
    unit = Unit(name, [run], **options)
    return load(f"{name}-{unit.key()}", unit.text_with_intrinsics, [unit.symbol(run)])[
        unit.symbol(run)
    ]

"""Native kernels of padding and resizing: every element of the result is a weighted sum of elements
of the input whose places are found one axis at a time.

An `Axis` lists for each index of the result the indices of the input that it sees, and their
weights (compressed rows: index i has entries starts[i] to starts[i + 1]). Two kernels read it:

    copy_rows      at most one entry of weight 1 for each index (padding, nearest neighbours):
                   elements are moved, whatever their type; no entry means a constant
    combine_rows   any entries: the rows of the input that a row of the result sees are added up to
                   one line, with vectors; then the innermost axis picks from the line

A kernel's items are the rows of the result in the order of its memory. The gradient is the same
with every axis turned round (`Axis.transposed`), so that no two threads add to one element. Used by
ops.resample:

    params, scratch = combine_params(loops(x, y, axes), parallel, threads, grain)
    plan.use_native(combine_address("float32"), params, items=1, work=..., scratch=scratch)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Signature,
    Unit,
    bitcast,
    f32,
    f64,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    u8,
    u16,
    u32,
    u64,
    void,
)
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_padding import ELEMENTS, claim, give_back, narrow, widen

# replaced by `Unit`; BYTE says that results are rounded and clamped to 0..255
X, C, XP, CP, BFLOAT, BYTE = f32, f32, pointer(f32), pointer(f32), False, False
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
SLOT_WORDS = 256  # words before the lines: which of them is in use

# words of the parameters, then DIM_WORDS for each dimension of the result, the innermost last
(
    RANK, FILL, ROW_LENGTH, LEFT, RIGHT, SHIFT, EDGES, UNIFORM, LINE, SLOTS, PARALLEL, ROWS, GRAIN,
) = range(13)  # fmt: skip
HEADER = 13
SIZE, X_STEP, Y_STEP, STARTS, PLACES, WEIGHTS = range(6)
DIM_WORDS = 6


class Axis:
    """For each index of the result: which indices of the input it sees, with what weights."""

    def __init__(self, inputs: int, starts: Any, places: Any, weights: Any):
        self.inputs, self.starts, self.places, self.weights = inputs, starts, places, weights

    @classmethod
    def of_places(cls, inputs: int, places: Any) -> Axis:
        """One entry of weight 1 for each index; a negative place means none."""
        import numpy

        seen = places >= 0
        starts = numpy.concatenate([[0], numpy.cumsum(seen)])
        return cls(inputs, starts, places[seen], numpy.ones(int(starts[-1])))

    @property
    def outputs(self) -> int:
        """Number of indices of the result."""
        return len(self.starts) - 1

    @cached_property
    def copies(self) -> bool:
        """Whether each index sees at most one element, as it is."""
        import numpy

        return bool((numpy.diff(self.starts) <= 1).all() and (self.weights == 1).all())

    def transposed(self) -> Axis:
        """For each index of the input: the indices of the result that see it."""
        import numpy

        seen_by = numpy.repeat(numpy.arange(self.outputs), numpy.diff(self.starts))
        order = numpy.argsort(self.places, kind="stable")
        counts = numpy.bincount(self.places, minlength=self.inputs)
        starts = numpy.concatenate([[0], numpy.cumsum(counts)])
        return Axis(self.outputs, starts, seen_by[order], self.weights[order])

    def widened(self, count: int) -> Axis:
        """The axis joined with `count` neighbours that it keeps: channels that lie last."""
        import numpy

        rows = numpy.repeat(numpy.arange(self.outputs), count)
        entries = numpy.diff(self.starts)[rows]
        starts = numpy.concatenate([[0], numpy.cumsum(entries)])
        seen = numpy.arange(int(starts[-1])) + numpy.repeat(
            self.starts[rows] - starts[:-1], entries
        )
        neighbour = numpy.repeat(numpy.tile(numpy.arange(count), self.outputs), entries)
        places = self.places[seen] * count + neighbour
        return Axis(self.inputs * count, starts, places, self.weights[seen])

    @cached_property
    def shifts(self) -> bool:
        """Whether most indices see their neighbour's neighbour: padding."""
        if not self.copies:
            return False
        begin, end = longest_run(self.sources())
        return 2 * (end - begin) >= self.outputs

    def sources(self) -> Any:
        """For an axis that copies: the place that each index sees, or -1."""
        import numpy

        found = numpy.full(self.outputs, -1)
        found[numpy.diff(self.starts) == 1] = self.places
        return found


@native
def copy_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: rows of the result from rows of the input, or from the constant."""
    rank, length = params[RANK], params[ROW_LENGTH]
    inner = params + HEADER + (rank - 1) * DIM_WORDS
    step, target_step = inner[X_STEP], inner[Y_STEP]
    left, right = params[LEFT], params[RIGHT]
    fill = X(params[FILL])
    edges = params + params[EDGES]
    x: XP = buffers[0]
    y: XP = buffers[1]
    made, made_from = y, i64(0)  # the row before, which repeated rows are copied from
    for item in range(start, stop):
        source, target, rest, seen = x, y, item, True
        for k in range(rank - 1):
            dim = params + HEADER + (rank - 2 - k) * DIM_WORDS
            index = rest % dim[SIZE]
            rest = rest // dim[SIZE]
            target = target + index * dim[Y_STEP]
            if dim[PLACES] != 0:
                index = params[dim[PLACES] + index]
                if index < 0:
                    seen = False
            source = source + index * dim[X_STEP]
        if not seen:
            for j in range(length):
                target[j * target_step] = fill
            continue
        if target_step == 1 and i64(source) == made_from:
            for j in range(length):
                target[j] = made[j]
            continue
        made, made_from = target, i64(source)
        for j in range(left):
            target[j * target_step] = source[edges[j] * step] if edges[j] >= 0 else fill
        middle = source + (left - params[SHIFT]) * step
        place = target + left * target_step
        if step == 1 and target_step == 1:
            for j in range(right - left):
                place[j] = middle[j]
        else:
            for j in range(right - left):
                place[j * target_step] = middle[j * step]
        tail = edges + (left - right)
        for j in range(right, length):
            target[j * target_step] = source[tail[j] * step] if tail[j] >= 0 else fill


@native
def weight_at(params: i64p, place: i64) -> C:
    """A weight, which the tables hold as the bits of a double."""
    return C(bitcast(f64, params[place]))


@native
def rounded(value: C) -> X:
    """A value as an element of the result."""
    if BYTE:
        return X(0 if value < C(0) else 255 if value > C(255) else value + C(0.5))
    else:
        return narrow(value)


@native
def add_row(line: CP, source: XP, count: i64, step: i64, weight: C, first: i64) -> void:
    """A row of the input times its weight into the line, or onto it."""
    if first != 0:
        if step == 1:
            for j in range(count):
                line[j] = widen(source[j]) * weight
        else:
            for j in range(count):
                line[j] = widen(source[j * step]) * weight
    elif step == 1:
        for j in range(count):
            line[j] = line[j] + widen(source[j]) * weight
    else:
        for j in range(count):
            line[j] = line[j] + widen(source[j * step]) * weight


@native
def gather_line(params: i64p, inner: i64p, line: CP, target: XP, step: i64) -> void:
    """The innermost axis: each element of the row from its entries of the line."""
    length = params[ROW_LENGTH]
    if inner[PLACES] == 0:
        for j in range(length):
            target[j * step] = rounded(line[j])
        return
    starts, places = params + inner[STARTS], params + inner[PLACES]
    if params[UNIFORM] == 2:
        for j in range(length):
            total = line[places[2 * j]] * weight_at(params, inner[WEIGHTS] + 2 * j)
            total += line[places[2 * j + 1]] * weight_at(params, inner[WEIGHTS] + 2 * j + 1)
            target[j * step] = rounded(total)
        return
    for j in range(length):
        total = C(0)
        for e in range(starts[j], starts[j + 1]):
            total += line[places[e]] * weight_at(params, inner[WEIGHTS] + e)
        target[j * step] = rounded(total)


@native
def entries_from(params: i64p, dim: i64p, index: i64) -> i64:
    """The first entry of an index; a dimension without a table sees its own index."""
    return params[dim[STARTS] + index] if dim[STARTS] != 0 else index


@native
def entries_to(params: i64p, dim: i64p, index: i64) -> i64:
    """Where the entries of an index end."""
    return params[dim[STARTS] + index + 1] if dim[STARTS] != 0 else index + 1


@native
def source_step(params: i64p, dim: i64p, at: i64) -> i64:
    """How far away the elements of an entry are."""
    place = params[dim[PLACES] + at] if dim[STARTS] != 0 else at
    return place * dim[X_STEP]


@native
def entry_weight(params: i64p, dim: i64p, at: i64) -> C:
    """The weight of an entry."""
    return weight_at(params, dim[WEIGHTS] + at) if dim[STARTS] != 0 else C(1)


@native
def combine_row(params: i64p, x: XP, y: XP, line: CP, item: i64) -> void:
    """One row: the sum over the entries of its indices in the four outer dimensions."""
    a, b, c = params + HEADER, params + HEADER + DIM_WORDS, params + HEADER + 2 * DIM_WORDS
    d, inner = params + HEADER + 3 * DIM_WORDS, params + HEADER + 4 * DIM_WORDS
    rest = item // d[SIZE]
    n, m = item % d[SIZE], rest % c[SIZE]
    rest = rest // c[SIZE]
    j, i = rest % b[SIZE], rest // b[SIZE]
    target = y + (i * a[Y_STEP] + j * b[Y_STEP] + m * c[Y_STEP] + n * d[Y_STEP])
    first = i64(1)
    for ai in range(entries_from(params, a, i), entries_to(params, a, i)):
        for bi in range(entries_from(params, b, j), entries_to(params, b, j)):
            above = x + (source_step(params, a, ai) + source_step(params, b, bi))
            scale = entry_weight(params, a, ai) * entry_weight(params, b, bi)
            for ci in range(entries_from(params, c, m), entries_to(params, c, m)):
                for di in range(entries_from(params, d, n), entries_to(params, d, n)):
                    source = above + (source_step(params, c, ci) + source_step(params, d, di))
                    weight = scale * entry_weight(params, c, ci) * entry_weight(params, d, di)
                    add_row(line, source, params[LINE], inner[X_STEP], weight, first)
                    first = i64(0)
    if first != 0:
        for k in range(params[ROW_LENGTH]):
            target[k * inner[Y_STEP]] = rounded(C(0))
    else:
        gather_line(params, inner, line, target, inner[Y_STEP])


@native
def combine_some(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: some of the rows."""
    scratch = buffers[2]
    slot = claim(scratch, params[SLOTS])
    line: CP = scratch + SLOT_WORDS * 8
    line = line + slot * params[LINE]
    for item in range(start, stop):
        combine_row(params, buffers[0], buffers[1], line, item)
    give_back(scratch, slot)


@native
def combine_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: rows of the result as sums over rows of the input, in five dimensions."""
    fill_memory(buffers[2], 0, SLOT_WORDS * 8)
    Parallel(params[PARALLEL])(combine_some, buffers, params, params[ROWS], params[GRAIN])


class Dim(NamedTuple):
    """One dimension of the loops over the result; no axis: kept as it is."""

    size: int
    x_step: int
    y_step: int
    axis: Axis | None


def loops(x: Spec, y: Spec, axes: Sequence[Axis | None]) -> list[Dim]:
    """The dimensions in the order of the result's memory; kept neighbours are merged."""
    order = sorted(range(y.ndim), key=lambda d: (-y.strides[d], d))
    found: list[Dim] = []
    for dim in (Dim(y.shape[d], x.strides[d], y.strides[d], axes[d]) for d in order):
        if dim.axis is None and dim.size == 1:
            continue
        last = found[-1] if found else None
        if (
            last is not None
            and last.axis is dim.axis is None
            and last.x_step == dim.x_step * dim.size
            and last.y_step == dim.y_step * dim.size
        ):
            found[-1] = Dim(last.size * dim.size, dim.x_step, dim.y_step, None)
        else:
            found.append(dim)
    return joined(found) if len(found) > 1 else found or [Dim(1, 1, 1, None)]


FEW = 16  # elements that are not worth a row of their own


def joined(dims: list[Dim]) -> list[Dim]:
    """The loops with an innermost dimension that is kept joined to the one before, where rows would
    be short otherwise or where padding makes one long row.
    """
    *outer, before, inner = dims
    axis, size = before.axis, inner.size
    close = inner.x_step == inner.y_step == 1 and before.x_step == before.y_step == size
    if inner.axis is not None or axis is None or not close or not (size <= FEW or axis.shifts):
        return dims
    return [*outer, Dim(before.size * size, 1, 1, axis.widened(size))]


def loops_of_pairs(dims: Sequence[Dim]) -> list[Dim]:
    """The loops over the parts of complex numbers."""
    found = [Dim(d.size, 2 * d.x_step, 2 * d.y_step, d.axis) for d in dims]
    last = found[-1]
    if last.axis is None and last.x_step == last.y_step == 2:
        return [*found[:-1], Dim(2 * last.size, 1, 1, None)]
    return [*found, Dim(2, 1, 1, None)]


def copy_params(dims: Sequence[Dim], fill: int) -> list[int]:
    """Parameters of `copy_rows`; `fill` is the constant's bit pattern."""
    *outer, inner = dims
    left, right, shift, edges = 0, inner.size, 0, []
    if inner.axis is not None:  # the longest stretch of neighbours in the middle
        sources = inner.axis.sources()
        left, right = longest_run(sources)
        shift = left - int(sources[left]) if right > left else 0
        edges = [*sources[:left].tolist(), *sources[right:].tolist()]
    tables: list[int] = []
    at = HEADER + DIM_WORDS * len(dims)
    words = [len(dims), fill, inner.size, left, right, shift, at, *(0,) * 6]
    tables += edges
    for dim in outer:
        place = 0
        if dim.axis is not None:
            place = at + len(tables)
            tables += dim.axis.sources().tolist()
        words += [dim.size, dim.x_step, dim.y_step, 0, place, 0]
    words += [inner.size, inner.x_step, inner.y_step, 0, 0, 0]
    return words + tables


def longest_run(sources: Any) -> tuple[int, int]:
    """Where the longest run of neighbouring sources begins and ends."""
    import numpy

    breaks = numpy.flatnonzero((numpy.diff(sources) != 1) | (sources[:-1] < 0)) + 1
    bounds = numpy.concatenate([[0], breaks, [len(sources)]])
    best = int(numpy.argmax(numpy.diff(bounds)))
    begin, end = int(bounds[best]), int(bounds[best + 1])
    return (begin, end) if sources[begin] >= 0 else (begin, begin)


COMBINED = 5  # dimensions of `combine_rows`


def combine_params(
    dims: Sequence[Dim], parallel: int, threads: int, grain: int
) -> tuple[list[int], int]:
    """(parameters, bytes of scratch memory) of `combine_rows`, which takes `grain` rows at a time
    (0: one thread does all).
    """
    import numpy

    rows = prod(dim.size for dim in dims[:-1])
    dims = [Dim(1, 0, 0, None)] * (COMBINED - len(dims)) + list(dims)
    inner = dims[-1]
    inputs = inner.size if inner.axis is None else inner.axis.inputs
    slots = min(threads, SLOT_WORDS)
    uniform = 0
    if inner.axis is not None and (numpy.diff(inner.axis.starts) == 2).all():
        uniform = 2
    words = [COMBINED, 0, inner.size, 0, 0, 0, 0, uniform, inputs, slots, parallel, rows, grain]
    tables: list[int] = []
    at = HEADER + DIM_WORDS * COMBINED
    for dim in dims:
        words += [dim.size, dim.x_step, dim.y_step]
        if dim.axis is None:
            words += [0, 0, 0]
            continue
        for table in (dim.axis.starts, dim.axis.places, dim.axis.weights):
            words.append(at + len(tables))
            bits = table.astype("float64").view("int64") if table is dim.axis.weights else table
            tables += bits.tolist()
    return words + tables, SLOT_WORDS * 8 + slots * inputs * 8


WORDS = {1: u8, 2: u16, 4: u32, 8: u64}


def copy_address(itemsize: int) -> int:
    """Machine code of `copy_rows` for elements of this size."""
    element = WORDS[itemsize]
    return address(Unit(f"copy_rows_{itemsize}", [copy_rows], X=element, XP=pointer(element)))


def combine_address(dtype: str) -> int:
    """Machine code of `combine_rows` for elements of `dtype`."""
    element, compute, _ = ELEMENTS.get(dtype, (u8, f32, 4))
    options: dict[str, Any] = {"X": element, "C": compute}
    options |= {"XP": pointer(element), "CP": pointer(compute)}
    options |= {"BFLOAT": dtype == "bfloat16", "BYTE": dtype == "uint8"}
    return address(Unit(f"combine_rows_{dtype}", [combine_rows], **options))


def address(unit: Unit) -> int:
    """Where the unit's kernel is."""
    symbol = unit.symbol(unit.functions[0])
    return load("resampling-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]

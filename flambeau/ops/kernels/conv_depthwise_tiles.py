"""The inner loops of depthwise convolution as LLVM IR: one input channel for one output channel,
straight from the image, with every tap of the kernel written out.

`Form` says which elements the taps read: a unit is one result, or with the steps of a transposed
convolution the block of results that read the same elements.

    form = Form("float32", (2, 2), (1, 1), phases, 4, 1, False)    # stride 2
    sums_address(form)       # results of a channel's rows
    weights_address(form)    # the gradient of the kernel

Borders are masks: lanes outside the image are zero. Called by ops.kernels.conv_depthwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import groupby, product
from typing import NamedTuple

from flambeau.codegen.llvm import load
from flambeau.ops.kernels.conv_vectors import Vectors
from flambeau.ops.kernels.vector_text import machine_vectors, shuffle


class Reach(NamedTuple):
    """Where a tap reads, from the first element that a unit reads, and its number in the kernel."""

    slice: int
    row: int
    column: int
    weight: int


class Form(NamedTuple):
    """What a tile computes: elements `step` apart from unit to unit (1 or 2 columns), units of
    `result` rows and columns (1 or 2), and for each result of a unit, row by row, its taps; `rows`
    x `vectors` of units at a time; `narrow`: no row has more units than half a vector.
    """

    dtype: str
    step: tuple[int, int]
    result: tuple[int, int]
    phases: tuple[tuple[Reach, ...], ...]
    rows: int
    vectors: int
    narrow: bool

    @property
    def taps(self) -> list[Reach]:
        """All taps."""
        return [tap for phase in self.phases for tap in phase]

    @property
    def name(self) -> str:
        """The form in the names of symbols."""
        taps = "__".join("_".join("x".join(map(str, t)) for t in taps) for taps in self.phases)
        steps = "x".join(
            map(str, (*self.step, *self.result, self.rows, self.vectors, int(self.narrow)))
        )
        return f"{self.dtype}_{machine_vectors()[0]}_{steps}_{taps}"


class Column:
    """Taps of one column (of two, where they share the elements that are loaded), for a vector of
    units: the masks of its loads, and what its taps read from a row.
    """

    def __init__(self, v: Vectors, form: Form, column: int, vector: int):
        self.narrow = form.narrow
        self.v, self.step, at = v, form.step[1], column + vector * v.lanes * form.step[1]
        self.starts = [
            v.text(f"add nsw i64 %left.here, {at + k * v.lanes}")
            for k in range(1 if form.narrow else self.step)
        ]
        self.masks = [v.below(start, "%width") for start in self.starts]

    def read(self, line: str, inside: str | None) -> list[str]:
        """The vectors for the taps at the column, and at the next."""
        v = self.v
        loaded = [
            v.load_stored(
                v.memory_place(line, start), mask if inside is None else v.both(mask, inside)
            )
            for start, mask in zip(self.starts, self.masks, strict=True)
        ]
        if self.step == 1:
            return loaded
        low, high = loaded * 2 if self.narrow else loaded
        return [shuffle(v.text, v.kind, low, high, way) for way in (v.evens, v.odds)]


def find_line(v: Vectors, slice: int, row: str, masked: bool) -> tuple[str, str | None]:
    """Where a row of a slice begins, and whether it is inside."""
    text = v.text
    depth = text(f"add nsw i64 %first.slice, {text(f'mul nsw i64 %apart, {slice}')}")
    place = text(f"mul nsw i64 {row}, %row.step")
    place = text(f"add nsw i64 {place}, {text(f'mul nsw i64 {depth}, %slice.step')}")
    line = v.memory_place("%x", place)
    if not masked:
        return line, None
    inside = text(f"icmp ult i64 {row}, %height")
    return line, text(f"and i1 {inside}, {text(f'icmp ult i64 {depth}, %slices')}")


class User(NamedTuple):
    """A tap of one unit: the row that it reads, its column, the unit's row, the result."""

    slice: int
    row: int
    unit: int
    phase: int
    tap: Reach


def users_of(form: Form, group: int) -> list[User]:
    """The taps of a group of columns, in order of the rows that they read."""
    step = form.step[1]
    found = [
        User(tap.slice, tap.row + r * form.step[0], r, p, tap)
        for r in range(form.rows)
        for p, taps in enumerate(form.phases)
        for tap in taps
        if tap.column // step == group
    ]
    return sorted(found)


def read_rows(v: Vectors, form: Form, masked: bool, use: Callable[[User, int, str], None]) -> None:
    """Calls use(user, vector, what it reads) for every tap; each element is loaded once."""
    step = form.step[1]
    first = v.text(f"add nsw i64 {v.text(f'mul nsw i64 %y, {form.step[0]}')}, %top")
    for group in sorted({tap.column // step for tap in form.taps}):
        columns = [Column(v, form, group * step, vector) for vector in range(form.vectors)]
        for (slice, row), some in groupby(users_of(form, group), key=lambda user: user[:2]):
            line, inside = find_line(v, slice, v.text(f"add nsw i64 {first}, {row}"), masked)
            users = list(some)
            for vector, column in enumerate(columns):
                values = column.read(line, inside)
                for user in users:
                    use(user, vector, values[user.tap.column % step])


def branch_on_border(v: Vectors, form: Form) -> None:
    """Goes to `border` if a row that is read lies outside the image, else to `inner`."""
    text, last = v.text, max((tap.row for tap in form.taps), default=0)
    first = text(f"add nsw i64 {text(f'mul nsw i64 %y, {form.step[0]}')}, %top")
    last_row = text(f"add nsw i64 {first}, {last + (form.rows - 1) * form.step[0]}")
    inside = text(
        f"and i1 {text(f'icmp sge i64 {first}, 0')}, {text(f'icmp slt i64 {last_row}, %height')}"
    )
    deep = max((tap.slice for tap in form.taps), default=0)
    last_slice = text(f"add nsw i64 %first.slice, {text(f'mul nsw i64 %apart, {deep}')}")
    for value in ("%first.slice", last_slice):
        inside = text(f"and i1 {inside}, {text(f'icmp ult i64 {value}, %slices')}")
    text.do(f"%inside = and i1 {inside}, true")


def emit_units(v: Vectors, form: Form, masked: bool, weights: list[str], start: str) -> None:
    """A block of units at row %y and column %i: sums of the taps, then stores."""
    text, (down, across) = v.text, form.result
    shape = product(range(form.rows), range(form.vectors), range(len(form.phases)))
    sums = dict.fromkeys(shape, start)

    def use(user: User, vector: int, value: str) -> None:
        place = user.unit, vector, user.phase
        sums[place] = v.multiply_add(weights[user.tap.weight], value, sums[place])

    read_rows(v, form, masked, use)
    column = text(f"mul nsw i64 %i, {across}")
    places = [text(f"add nsw i64 {column}, {k * v.lanes}") for k in range(across * form.vectors)]
    masks = [v.below(place, "%out.width") for place in places]
    for r, a in product(range(form.rows), range(down)):
        row = text(f"add nsw i64 {text(f'mul nsw i64 %y, {down}')}, {r * down + a}")
        valid = text(f"icmp slt i64 {row}, %out.height") if down > 1 else None
        line = v.memory_place("%out", text(f"mul nsw i64 {row}, %out.row"))
        for vector in range(form.vectors):
            values = [sums[r, vector, a * across + b] for b in range(across)]
            if across == 2:
                values = list(v.interleaved(*values))
            for k, value in enumerate(values, vector * across):
                mask = masks[k] if valid is None else v.both(masks[k], valid)
                v.store_stored(value, v.memory_place(line, places[k]), mask)


IMAGE = (
    "ptr noalias readonly %x, i64 %slice.step, i64 %first.slice, i64 %apart, i64 %slices, "
    "i64 %row.step, i64 %height, i64 %width, i64 %top, i64 %left"
)


def sums_tile(form: Form, name: str) -> str:
    """IR of `name(x, slice step, first slice, apart, slices, row step, height, width, top, left,
    weights, bias, out, row of out, first unit, last unit, rows of out, columns of out)`: rows of
    units of a channel, at least `form.rows`; the last ones are moved back, which computes some
    twice. `apart` is the distance of the slices that the taps count.
    """
    v = Vectors(form.dtype)
    text, across = v.text, form.result[1]
    text.label("entry")
    start = v.broadcast("%bias")
    count = max((tap.weight for tap in form.taps), default=-1) + 1
    weights = [v.broadcast(v.place("%weights", k)) for k in range(count)]
    text.do(f"%whole = sub nsw i64 %last, {form.rows}")
    text.do("br label %down")
    text.label("down")
    text.do("%block = phi i64 [ %first, %entry ], [ %block.next, %end ]")
    text.do("%y = call i64 @llvm.smin.i64(i64 %block, i64 %whole)")
    branch_on_border(v, form)
    text.do("br label %across")
    text.label("across")
    text.do("%i = phi i64 [ 0, %down ], [ %i.next, %next ]")
    text.do(f"%left.here = add nsw i64 {text(f'mul nsw i64 %i, {form.step[1]}')}, %left")
    text.do("br i1 %inside, label %inner, label %border")
    for label in ("inner", "border"):
        text.label(label)
        emit_units(v, form, label == "border", weights, start)
        text.do("br label %next")
    text.label("next")
    text.do(f"%i.next = add nuw nsw i64 %i, {v.lanes * form.vectors}")
    text.do(f"%column = mul nuw nsw i64 %i.next, {across}")
    text.do(f"br i1 {text('icmp slt i64 %column, %out.width')}, label %across, label %end")
    text.label("end")
    text.do(f"%block.next = add nuw nsw i64 %block, {form.rows}")
    text.do(f"br i1 {text('icmp slt i64 %block.next, %last')}, label %down, label %done")
    text.label("done")
    text.do("ret void")
    return v.function(
        name,
        f"{IMAGE}, ptr noalias readonly %weights, ptr noalias readonly %bias, ptr noalias %out, "
        "i64 %out.row, i64 %first, i64 %last, i64 %out.height, i64 %out.width",
    )


def multiply_units(v: Vectors, form: Form, masked: bool, sums: list[str]) -> list[str]:
    """The sums with the products of a block of units at row %y and column %i."""
    factors, sums = [], list(sums)
    mask = v.below("%i", "%columns")
    for r in range(form.rows):
        row = v.text(f"add nsw i64 %y, {r}")
        valid = v.both(mask, v.text(f"icmp slt i64 {row}, %rows"))
        line = v.memory_place("%g", v.text(f"mul nsw i64 {row}, %g.row"))
        factors.append(v.load_stored(v.memory_place(line, "%i"), valid))

    def use(user: User, vector: int, value: str) -> None:
        k = user.tap.weight
        sums[k] = v.multiply_add(factors[user.unit], value, sums[k])

    read_rows(v, form, masked, use)
    return sums


def weights_tile(form: Form, name: str) -> str:
    """IR of `name(x, slice step, first slice, apart, slices, row step, height, width, top, left, g,
    row of g, rows, columns, sums)`: adds to a vector of each tap the products of a channel's plane
    with the elements that the tap reads.
    """
    v = Vectors(form.dtype)
    text, taps = v.text, len(form.taps)
    text.label("entry")
    begun = [v.load(v.place("%sums", k * v.lanes)) for k in range(taps)]
    names = [f"%sum.{k}" for k in range(taps)]
    text.do("br label %down")
    text.label("down")
    text.do("%y = phi i64 [ 0, %entry ], [ %y.next, %end ]")
    for name_, start in zip(names, begun, strict=True):
        text.do(f"{name_}.down = phi {v.kind} [ {start}, %entry ], [ {name_}.next, %end ]")
    branch_on_border(v, form)
    text.do("br label %across")
    text.label("across")
    text.do("%i = phi i64 [ 0, %down ], [ %i.next, %next ]")
    for name_ in names:
        text.do(f"{name_} = phi {v.kind} [ {name_}.down, %down ], [ {name_}.next, %next ]")
    text.do(f"%left.here = add nsw i64 {text(f'mul nsw i64 %i, {form.step[1]}')}, %left")
    text.do("br i1 %inside, label %inner, label %border")
    found = []
    for label in ("inner", "border"):
        text.label(label)
        found.append(multiply_units(v, form, label == "border", names))
        text.do("br label %next")
    text.label("next")
    for name_, inner, border in zip(names, *found, strict=True):
        text.do(f"{name_}.next = phi {v.kind} [ {inner}, %inner ], [ {border}, %border ]")
    text.do(f"%i.next = add nuw nsw i64 %i, {v.lanes}")
    text.do(f"br i1 {text('icmp slt i64 %i.next, %columns')}, label %across, label %end")
    text.label("end")
    text.do(f"%y.next = add nuw nsw i64 %y, {form.rows}")
    text.do(f"br i1 {text('icmp slt i64 %y.next, %rows')}, label %down, label %done")
    text.label("done")
    for k, name_ in enumerate(names):
        v.store(f"{name_}.next", v.place("%sums", k * v.lanes))
    text.do("ret void")
    return v.function(
        name,
        f"{IMAGE}, ptr noalias readonly %g, i64 %g.row, i64 %rows, i64 %columns, ptr noalias %sums",
    )


@functools.cache
def sums_address(form: Form) -> int:
    """Machine code of the tile."""
    name = f"conv_depthwise_{form.name}_3"
    return load(name, lambda: sums_tile(form, name))[name]


@functools.cache
def weights_address(form: Form) -> int:
    """Machine code of the gradient's tile."""
    name = f"conv_depthwise_weights_{form.name}_3"
    return load(name, lambda: weights_tile(form, name))[name]

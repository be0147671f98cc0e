"""Native code that both convolution kernels share: an image's channel as padded planes, and
conversion of half precision.

`fill_channel` writes one channel of some images into planes (ops.kernels.conv_planes) with zeros
around; `parameters` makes the words that it reads. X is the element type in memory, C the type of
arithmetic; with BFLOAT, X is the bit pattern of a bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.codegen.native import (
    NativeFunction,
    Signature,
    Unit,
    atomic_store,
    atomic_swap,
    bitcast,
    cpu_pause,
    f16,
    f32,
    f64,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    u16,
    u32,
    void,
)
from flambeau.core.spec import Spec
from flambeau.ops.kernels.conv_copies import copy_rows_address
from flambeau.ops.kernels.conv_planes import Planes, Tap

CopyRows = Signature(void, ptr, ptr, i64, i64, i64, i64)
X, C, XP, CP, BFLOAT, SIZE = f32, f32, pointer(f32), pointer(f32), False, 4  # replaced by `Unit`

# words of the parameters, strides and sizes in elements
(
    X_IMAGE, X_CHANNEL, X_SLICE, X_ROW, X_COLUMN, STEP_SLICE, STEP_ROW, STEP_COLUMN, IN_SLICES,
    SLICES, SLICE_TABLE, PLANES, PLANE_TABLE, UP, DOWN, LEFT, RIGHT, PITCH, IMAGE_ROWS, PLANE,
    CHANNEL_STEP, COPY_ROWS, TOGETHER,
) = range(23)  # fmt: skip
PADDING_WORDS = 23
PLANE_WORDS = 4  # of a plane: first row, first column, rows, columns


@native
def widen(value: X) -> C:
    """A value from memory."""
    if BFLOAT:
        return bitcast(f32, u32(value) << 16)
    else:
        return C(value)


@native
def narrow(value: C) -> X:
    """A value for memory, rounded to nearest even."""
    if BFLOAT:
        bits = bitcast(u32, value)
        rounded = (bits + u32(0x7FFF) + ((bits >> 16) & u32(1))) >> 16
        return u16(rounded if value == value else u32(0x7FC0))
    else:
        return X(value)


@native
def copy_row(target: CP, source: XP, count: i64, step: i64) -> void:
    """`count` elements that lie `step` apart, as neighbours."""
    if step == 1:
        for i in range(count):
            target[i] = widen(source[i])
    elif step == 2:
        for i in range(count):
            target[i] = widen(source[2 * i])
    else:
        for i in range(count):
            target[i] = widen(source[i * step])


@native
def fill_channel(
    words: i64p,
    table: i64p,
    target: CP,
    channel: XP,
    images: i64,
    slice0: i64,
    slices: i64,
    row0: i64,
    rows: i64,
    column0: i64,
    columns: i64,
) -> void:
    """One channel: all planes of all its slices, for result slices from `slice0` and result rows
    and columns from row0, column0.
    """
    step = words[STEP_COLUMN] * words[X_COLUMN]
    below = words[STEP_ROW] * words[X_ROW]
    fill_memory(target, 0, words[CHANNEL_STEP] * SIZE)
    for j in range(words[SLICES]):
        for f in range(words[PLANES]):
            plane = table + words[PLANE_TABLE] + f * PLANE_WORDS
            top = row0 - words[UP] if row0 > words[UP] else i64(0)
            bottom = row0 + rows + words[DOWN] if row0 + rows + words[DOWN] < plane[2] else plane[2]
            left = column0 - words[LEFT] if column0 > words[LEFT] else i64(0)
            right = (
                column0 + columns + words[RIGHT]
                if column0 + columns + words[RIGHT] < plane[3]
                else plane[3]
            )
            height, width = bottom - top if bottom > top and right > left else i64(0), right - left
            first = channel + (
                (top * words[STEP_ROW] + plane[0]) * words[X_ROW]
                + (left * words[STEP_COLUMN] + plane[1]) * words[X_COLUMN]
            )
            place = target + (j * words[PLANES] + f) * words[PLANE]
            before = words[LEFT] + (words[UP] + top - row0) * words[PITCH] + left - column0
            for b in range(images):
                for a in range(slices):
                    depth = (slice0 + a) * words[STEP_SLICE] + table[words[SLICE_TABLE] + j]
                    here = height if depth >= 0 and depth < words[IN_SLICES] else i64(0)
                    source = first + (b * words[X_IMAGE] + depth * words[X_SLICE])
                    row = place + (before + (b * slices + a) * words[IMAGE_ROWS] * words[PITCH])
                    if words[COPY_ROWS] == 0:
                        for y in range(here):
                            copy_row(row + y * words[PITCH], source + y * below, width, step)
                    elif here > 0:
                        if width == words[PITCH] and width == below and step == 1:  # one piece
                            CopyRows(words[COPY_ROWS])(
                                row, source, 1, here * width, here * width, below
                            )
                        else:
                            CopyRows(words[COPY_ROWS])(
                                row, source, here, width, words[PITCH], below
                            )


@native
def fill_positions(
    words: i64p,
    table: i64p,
    target: CP,
    image: XP,
    images: i64,
    slice0: i64,
    row0: i64,
    rows: i64,
    column0: i64,
    columns: i64,
) -> void:
    """All channels of a group, which are neighbours: what `fill_channel` does for a single plane,
    with TOGETHER elements at each position.
    """
    together, plane = words[TOGETHER], table + words[PLANE_TABLE]
    top = row0 - words[UP] if row0 > words[UP] else i64(0)
    bottom = row0 + rows + words[DOWN] if row0 + rows + words[DOWN] < plane[2] else plane[2]
    left = column0 - words[LEFT] if column0 > words[LEFT] else i64(0)
    right = column0 + columns + words[RIGHT]
    right = right if right < plane[3] else plane[3]
    fill_memory(target, 0, words[CHANNEL_STEP] * SIZE)
    first = image + (top * words[X_ROW] + left * words[X_COLUMN])
    whole = words[X_COLUMN] == together
    for j in range(words[SLICES]):
        depth = slice0 * words[STEP_SLICE] + table[words[SLICE_TABLE] + j]
        if depth >= 0 and depth < words[IN_SLICES] and right > left:
            for b in range(images):
                source = first + (b * words[X_IMAGE] + depth * words[X_SLICE])
                row = words[LEFT] + left - column0
                row = row + (words[UP] + top - row0 + b * words[IMAGE_ROWS]) * words[PITCH]
                place = target + (j * words[PLANE] + row * together)
                for y in range(bottom - top):
                    CopyRows(words[COPY_ROWS])(
                        place + y * words[PITCH] * together,
                        source + y * words[X_ROW],
                        1 if whole else right - left,
                        (right - left) * together if whole else together,
                        together,
                        words[X_COLUMN],
                    )


@native
def claim(slots: i64p, count: i64) -> i64:
    """The number of a buffer that no other thread uses; there are as many as threads."""
    while True:
        for slot in range(count):
            if atomic_swap(slots + slot, 0, 1):
                return slot
        cpu_pause()
    return 0


@native
def give_back(slots: i64p, slot: i64) -> void:
    """The buffer is free again."""
    atomic_store(slots + slot, 0)


ELEMENTS = {
    "float32": (f32, f32, 4),
    "float64": (f64, f64, 8),
    "float16": (f16, f32, 4),
    "bfloat16": (u16, f32, 4),
}
COMPUTE = {"float32": "float32", "float64": "float64", "float16": "float32", "bfloat16": "float32"}


def unit_for(name: str, functions: list[NativeFunction], dtype: str) -> Unit:
    """The functions for elements of `dtype`."""
    element, compute, size = ELEMENTS[dtype]
    options = {
        "X": element,
        "C": compute,
        "XP": pointer(element),
        "CP": pointer(compute),
        "BFLOAT": dtype == "bfloat16",
        "SIZE": size,
    }
    return Unit(f"{name}_{dtype}", functions, **options)


def steps_of(spec: Spec) -> tuple[int, int, int, int, int]:
    """Strides of (image, channel, slice, row, column),
    the spatial ones filled up from the right.
    """
    space = spec.strides[2:]
    a, b, c = (*(0,) * (3 - len(space)), *space)
    return spec.strides[0], spec.strides[1], a, b, c


class Layout:
    """The buffer that holds one channel: `rows` result rows of `columns` columns,
    of `images` images (or slices of them). With `together` it holds that many channels, which are
    neighbours at each position.
    """

    def __init__(
        self, planes: Planes, images: int, rows: int, columns: int, together: int = 0
    ) -> None:
        self.planes, self.images, self.rows, self.columns = planes, images, rows, columns
        self.together = together
        (self.up, self.down), (self.left, self.right) = planes.reach(1), planes.reach(2)
        whole = columns >= planes.counts[2]
        self.pitch = planes.pitch(2) if whole else columns + self.left + self.right
        self.image_rows = planes.pitch(1) if images > 1 else self.up + rows + self.down
        total = self.up + (images - 1) * self.image_rows + rows + self.down
        self.plane = self.left + total * self.pitch + self.right
        if together:
            self.plane *= together
        elif self.plane % 512 < 16:
            self.plane += 16  # planes a multiple of 2 KB apart would share few lines of the cache
        self.channel = len(planes.slices) * len(planes.planes) * self.plane

    def elements(self, channels: int) -> int:
        """Elements of the buffers of a group of channels."""
        return self.channel * (1 if self.together else channels)

    def shifts(self, taps: Sequence[Tap], channels: int) -> list[int]:
        """Where every channel is read by all taps, for position 0: channel by channel, or tap by
        tap where channels are neighbours.
        """
        places = [self.offset(*tap[:4]) for tap in taps]
        if self.together:
            return [place + c for place in places for c in range(channels)]
        return [c * self.channel + place for c in range(channels) for place in places]

    @property
    def positions(self) -> int:
        """From the first to the last result position, with what lies between."""
        return ((self.images - 1) * self.image_rows + self.rows - 1) * self.pitch + self.columns

    def offset(self, slice: int, plane: int, row: int, column: int) -> int:
        """Where a tap reads for position 0."""
        position = (self.up + row) * self.pitch + self.left + column
        plane = (slice * len(self.planes.planes) + plane) * self.plane
        return plane + position * max(1, self.together)

    def words(self, spec: Spec, tables: int) -> tuple[list[int], list[int]]:
        """The parameters of `fill_channel`, and its tables, which lie at word `tables`."""
        p = self.planes
        entries = list(p.slices)
        for f, (row, column) in enumerate(p.planes):
            entries += [row, column, p.extent(f, 1), p.extent(f, 2)]
        kind = spec.dtype.name
        apart = 1 if self.together else p.step[2] * steps_of(spec)[4]
        copy = copy_rows_address(kind, apart) if COMPUTE[kind] == kind and apart in (1, 2) else 0
        words = [
            *steps_of(spec), *p.step, p.space[0], len(p.slices), tables, len(p.planes),
            tables + len(p.slices), self.up, self.down, self.left, self.right, self.pitch,
            self.image_rows, self.plane, self.channel, copy, self.together,
        ]  # fmt: skip
        return words, entries


_ = ptr

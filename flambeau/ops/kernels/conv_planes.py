"""Where a convolution reads: the padded planes of an image, and for each tap of the kernel the
distance to it.

One description serves convolution, its transpose, and the gradients of both. A `Window` says for
one dimension: result position i and tap k read input position `i * step + k * reach - before`; the
transpose turns that round. `Planes` cuts the padded image into planes that are read at unit stride
(one for each remainder of the step), so that a tap is a plane and a shift:

    tap at i * 2 + 1   ->   plane 1 (odd positions), shift 0

Zeros between rows are shared: the end of a row is the left padding of the next. Called by
ops.kernels.conv_forward and conv_weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple


class Geometry(NamedTuple):
    """Sizes in three dimensions, of the input and the result, and the options."""

    space: tuple[int, ...]
    counts: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool


class Tap(NamedTuple):
    """One tap of the kernel for one set of result positions."""

    slice: int  # which of the slices along the depth
    plane: int  # which plane of a slice
    row: int
    column: int
    weight: int  # the tap's number in the kernel


@dataclass(frozen=True)
class Phase:
    """Result positions with equal remainders by the result's step, and the taps that they see."""

    start: tuple[int, ...]
    counts: tuple[int, ...]
    taps: tuple[Tap, ...]


@dataclass(frozen=True)
class Planes:
    """The geometry of one convolution in three dimensions (shorter ones have sizes
    of 1 in front).
    """

    space: tuple[int, int, int]  # the input's sizes
    step: tuple[int, int, int]  # input positions per result position
    result_step: tuple[int, int, int]  # result positions per step of a phase
    slices: tuple[int, ...]  # input slice of result slice a: a * step[0] + slices[j]
    planes: tuple[tuple[int, int], ...]  # remainders (row, column) of the planes
    phases: tuple[Phase, ...]

    @property
    def taps(self) -> list[Tap]:
        """All taps of all phases."""
        return [tap for phase in self.phases for tap in phase.taps]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Greatest number of positions of a phase along each dimension."""
        found = [max(phase.counts[d] for phase in self.phases) for d in range(3)]
        return found[0], found[1], found[2]

    def reach(self, axis: int) -> tuple[int, int]:
        """How far taps go to the left and right of a position: rows (axis 1), columns (axis 2)."""
        shifts = [tap.row if axis == 1 else tap.column for tap in self.taps] or [0]
        return max(0, -min(shifts)), max(0, max(shifts))

    def extent(self, plane: int, axis: int) -> int:
        """Rows or columns of a plane that hold input."""
        first = self.planes[plane][axis - 1]
        return max(0, -(-(self.space[axis] - first) // self.step[axis]))

    def pitch(self, axis: int) -> int:
        """Distance between rows (axis 2) or between images (axis 1,
        in rows) such that the zeros between two serve both.
        """
        before, after = self.reach(axis)
        count = self.counts[axis]
        best = count
        for plane in range(len(self.planes)):
            used = min(self.extent(plane, axis), count + after)
            best = max(best, used + max(before, count + after - self.extent(plane, axis)))
        return best


def forward_planes(
    space: Sequence[int],
    counts: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Planes:
    """The geometry of a convolution: every position sees all taps."""
    places = [
        [k * d - p for k in range(n)] for n, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    remainders = sorted({(h % stride[1], w % stride[2]) for h in places[1] for w in places[2]})
    taps = []
    for number, (j, h, w) in enumerate(product(range(kernel[0]), places[1], places[2])):
        plane = remainders.index((h % stride[1], w % stride[2]))
        taps.append(Tap(j, plane, h // stride[1], w // stride[2], number))
    phase = Phase((0, 0, 0), triple(counts), tuple(taps))
    return Planes(
        triple(space), triple(stride), (1, 1, 1), tuple(places[0]), tuple(remainders), (phase,)
    )


def whole_planes(
    space: Sequence[int],
    counts: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Planes:
    """The geometry of a convolution whose positions are read one by one: a single plane with the
    rows and columns between positions in it, too.
    """
    wide = [counts[0], *((c - 1) * s + 1 for c, s in zip(counts[1:], stride[1:], strict=True))]
    return forward_planes(space, wide, kernel, (stride[0], 1, 1), padding, dilation)


def transposed_planes(
    space: Sequence[int],
    counts: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Planes:
    """The geometry of a transposed convolution with `counts` results:
    a position sees the taps that its remainder allows.
    """
    choices = []
    for n, s, p, d in zip(kernel, stride, padding, dilation, strict=True):
        by_start = [
            [(k, (start + p - k * d) // s) for k in range(n) if (start + p - k * d) % s == 0]
            for start in range(s)
        ]
        choices.append(by_start)
    shifts = sorted({shift for start in choices[0] for _, shift in start}) or [0]
    phases = []
    for start in product(*(range(min(s, max(1, c))) for s, c in zip(stride, counts, strict=True))):
        taps = [
            Tap(shifts.index(d), 0, h, w, (kd * kernel[1] + kh) * kernel[2] + kw)
            for (kd, d), (kh, h), (kw, w) in product(
                *(choices[axis][start[axis]] for axis in range(3))
            )
        ]
        sizes = [max(0, -(-(c - f) // s)) for c, f, s in zip(counts, start, stride, strict=True)]
        phases.append(Phase(triple(start), triple(sizes), tuple(taps)))
    return Planes(triple(space), (1, 1, 1), triple(stride), tuple(shifts), ((0, 0),), tuple(phases))


def triple(values: Sequence[int]) -> tuple[int, int, int]:
    """Three numbers as a tuple."""
    first, second, third = values
    return first, second, third


def volume(values: Sequence[int]) -> int:
    """Their product."""
    return prod(values)

"""Where the temporary memory of a program lies: buffers that are not needed at the same time share
bytes.

    places, size = arrange({buffer: (first step, last step, bytes), ...}, start=256)

Called by compiler.build. First fit over the free gaps, in the order of first use.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

ALIGNMENT = 64


def aligned(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class Gaps:
    """The free parts of a block that grows as needed: (offset, size), in order."""

    def __init__(self, start: int) -> None:
        self.free: list[tuple[int, int]] = []
        self.end = start

    def take(self, size: int) -> int:
        """The offset of `size` free bytes."""
        for i, (offset, length) in enumerate(self.free):
            if length >= size:
                self.free[i : i + 1] = [(offset + size, length - size)] if length > size else []
                return offset
        if self.free and sum(self.free[-1]) == self.end:
            offset, _ = self.free.pop()
        else:
            offset = self.end
        self.end = offset + size
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Frees bytes; neighbouring gaps become one."""
        merged: list[tuple[int, int]] = []
        for gap in sorted([*self.free, (offset, size)]):
            if merged and sum(merged[-1]) == gap[0]:
                merged[-1] = (merged[-1][0], merged[-1][1] + gap[1])
            else:
                merged.append(gap)
        self.free = merged


def arrange(
    lives: Mapping[Hashable, tuple[int, int, int]], start: int
) -> tuple[dict[Hashable, int], int]:
    """Offsets of all buffers, and the size of the whole block.

    >>> arrange({"a": (0, 1, 64), "b": (1, 2, 64), "c": (2, 3, 64)}, 0)
    ({'a': 0, 'b': 64, 'c': 0}, 128)
    """
    gaps, places = Gaps(aligned(start)), {}
    begins: dict[int, list[Hashable]] = {}
    ends: dict[int, list[Hashable]] = {}
    for name, (first, last, _) in lives.items():
        begins.setdefault(first, []).append(name)
        ends.setdefault(last, []).append(name)
    for moment in sorted({*begins, *ends}):
        for name in begins.get(moment, ()):
            places[name] = gaps.take(aligned(max(1, lives[name][2])))
        for name in ends.get(moment, ()):
            gaps.give_back(places[name], aligned(max(1, lives[name][2])))
    return places, gaps.end

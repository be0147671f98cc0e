"""Native kernels over masks (bytes, true where not 0): count, list the positions, take or put rows.

Called by ops.mask.

A mask is worked on in chunks of `CHUNK` bytes: `count_true` counts each, Python adds up where each
chunk's results begin, and a second kernel fills them in, so both run on several threads. Eight zero
bytes are skipped at a time.

    found = Found(mask)                                       # found.total: how many are true
    found.run(kernel("take_rows", 4), row, values, result)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    copy_memory,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    stack,
    u8,
    u8p,
    u16,
    u32,
    u64,
    u64p,
    void,
)
from flambeau.ops.registry import engine

CHUNK = 1 << 16
WORDS = {1: u8, 2: u16, 4: u32, 8: u64}
T, TP, SIZE = u8, pointer(u8), 1  # replaced by `Unit`: the moved word, its pointer, its bytes
# parameters: elements of the mask, words in a row, where each chunk's results begin (and the total)
LENGTH, ROW, STARTS = range(3)


@native
def count_range(mask: u8p, start: i64, stop: i64) -> i64:
    """True bytes among mask[start:stop]."""
    total = i64(0)
    for i in range(start, stop):
        total += i64(1) if mask[i] != 0 else i64(0)
    return total


@native
def chunk_end(chunk: i64, length: i64) -> i64:
    return (chunk + 1) * CHUNK if (chunk + 1) * CHUNK < length else length


@native
def count_true(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operand mask; an item is a chunk, whose count goes to its word of the parameters."""
    for chunk in range(start, stop):
        params[STARTS + chunk] = count_range(
            buffers[0], chunk * CHUNK, chunk_end(chunk, params[LENGTH])
        )


@native
def next_true(mask: u8p, i: i64, end: i64) -> i64:
    """The first true position from i on; `end` if there is none."""
    while i < end:
        if i + 8 <= end:
            word: u64p = mask + i
            if word[0] == u64(0):
                i += 8
                continue
        if mask[i] != 0:
            return i
        i += 1
    return end


@native
def list_positions(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands mask, result (stored column after column): the coordinates of true bytes.

    ROW is the rank.
    """
    mask: u8p = buffers[0]
    result: i64p = buffers[1]
    chunks = (params[LENGTH] + CHUNK - 1) // CHUNK
    sizes = params + STARTS + chunks + 1
    total, rank = params[STARTS + chunks], params[ROW]
    last = sizes[rank - 1]
    outer = stack(i64, 64)
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[LENGTH])
        place = params[STARTS + chunk]
        row_end = i64(-1)  # the coordinates but the last are worked out once for each row
        i = next_true(mask, chunk * CHUNK, end)
        while i < end:
            if i >= row_end:
                rest = i // last
                row_end = (rest + 1) * last
                for k in range(rank - 1):
                    size = sizes[rank - 2 - k]
                    outer[rank - 2 - k] = rest % size
                    rest = rest // size
            for k in range(rank - 1):
                result[k * total + place] = outer[k]
            result[(rank - 1) * total + place] = i - row_end + last
            place += 1
            i = next_true(mask, i + 1, end)


@native
def list_flat(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands mask, result: the positions of true bytes."""
    mask: u8p = buffers[0]
    result: i64p = buffers[1]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[LENGTH])
        place, last = params[STARTS + chunk], params[STARTS + chunk + 1]
        for i in range(chunk * CHUNK, end):
            if place >= last:
                break
            result[place] = i
            place += i64(1) if mask[i] != 0 else i64(0)


@native
def take_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands mask, table, result:
    the table's rows (of ROW words) where the mask is true.
    """
    mask: u8p = buffers[0]
    table: TP = buffers[1]
    result: TP = buffers[2]
    row = params[ROW]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[LENGTH])
        place, last = params[STARTS + chunk], params[STARTS + chunk + 1]
        if row == 1:
            for i in range(chunk * CHUNK, end):
                if place >= last:
                    break
                result[place] = table[i]
                place += i64(1) if mask[i] != 0 else i64(0)
        else:
            i = next_true(mask, chunk * CHUNK, end)
            while i < end:
                copy_memory(result + place * row, table + i * row, row * SIZE)
                place += 1
                i = next_true(mask, i + 1, end)


@native
def put_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands mask, rows, table: writes the rows, one after the other,
    where the mask is true.
    """
    mask: u8p = buffers[0]
    rows: TP = buffers[1]
    table: TP = buffers[2]
    row = params[ROW]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[LENGTH])
        place = params[STARTS + chunk]
        if row == 1:
            last = params[STARTS + chunk + 1]
            for i in range(chunk * CHUNK, end):
                if place >= last:
                    break
                table[i] = rows[place] if mask[i] != 0 else table[i]
                place += i64(1) if mask[i] != 0 else i64(0)
        else:
            i = next_true(mask, chunk * CHUNK, end)
            while i < end:
                copy_memory(table + i * row, rows + place * row, row * SIZE)
                place += 1
                i = next_true(mask, i + 1, end)


KERNELS = [count_true, list_positions, list_flat, take_rows, put_rows]


@cache
def kernel(name: str, itemsize: int = 1) -> int:
    """Address of a kernel of this module that moves words of `itemsize` bytes."""
    word = WORDS[itemsize]
    unit = Unit(f"masks-{word.name}", KERNELS, T=word, TP=pointer(word), SIZE=itemsize)
    symbols = load(
        f"masks-{word.name}-{unit.key()}",
        unit.text_with_intrinsics,
        [unit.symbol(k) for k in KERNELS],
    )
    return symbols[f"masks-{word.name}.{name}"]


class Found:
    """The true elements of a row-major bool tensor: their number, and kernels run on them.

    `sizes` are what list_positions needs.
    """

    __slots__ = ("mask", "chunks", "words", "total")

    def __init__(self, mask: Any, sizes: Sequence[int] = ()):
        if mask._spec.device.type == "meta":
            raise NotImplementedError(
                "masks on the meta device: how many elements are true depends on values"
            )
        length = mask._spec.numel
        self.mask, self.chunks = mask, -(-length // CHUNK)
        self.words = (ctypes.c_int64 * (STARTS + self.chunks + 1 + len(sizes)))(length)
        self.run(kernel("count_true"), 0)
        total = 0
        for place in range(STARTS, STARTS + self.chunks):
            count = self.words[place]
            self.words[place] = total
            total += count
        self.words[STARTS + self.chunks] = self.total = total
        for place, size in enumerate(sizes):
            self.words[STARTS + self.chunks + 1 + place] = size

    def run(self, address: int, row: int, *tensors: Any) -> None:
        """Runs a kernel over the chunks; its operands are the mask and the tensors."""
        self.words[ROW] = row
        grain = 1 if self.chunks > 2 else 0
        engine.core.call_kernel(
            address, ctypes.addressof(self.words), self.chunks, grain, self.mask, *tensors
        )

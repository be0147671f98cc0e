"""Native kernels over masks (bytes, true where not 0): count, list the positions, take or put rows. Called by ops.mask.

A mask is worked on in chunks of `CHUNK` bytes: `count_true` counts each, Python adds up where each chunk's results begin, and the
second kernel fills them in, so both run on several threads. Eight zero bytes are skipped at a time.

    starts, total = chunk_starts(mask)                        # int64 tensor, int
    run(kernel("take_rows", 4), [count, row], mask, values, starts, result)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import Unit, copy_memory, i64, i64p, native, pointer, ptr, ptrp, stack, u8, u8p, u16, u32, u64, u64p, void
from flambeau.core.dtype import int64
from flambeau.core.spec import Spec
from flambeau.ops.arrays import empty, raw_array
from flambeau.ops.registry import engine

CHUNK = 1 << 16
WORDS = {1: u8, 2: u16, 4: u32, 8: u64}
T, TP, SIZE = u8, pointer(u8), 1  # replaced by `Unit`: the moved word, its pointer, its bytes


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
    """Kernel: operands mask, counts; an item is a chunk. Parameters: length."""
    counts: i64p = buffers[1]
    for chunk in range(start, stop):
        counts[chunk] = count_range(buffers[0], chunk * CHUNK, chunk_end(chunk, params[0]))


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
    """Kernel: operands mask, starts, result (rank, total): coordinates of true bytes. Parameters: length, total, rank, sizes."""
    mask: u8p = buffers[0]
    starts: i64p = buffers[1]
    result: i64p = buffers[2]
    total, rank = params[1], params[2]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[0])
        place = starts[chunk]
        i = next_true(mask, chunk * CHUNK, end)
        while i < end:
            rest = i
            for k in range(rank - 1):
                size = params[3 + rank - 1 - k]
                result[(rank - 1 - k) * total + place] = rest % size
                rest = rest // size
            if rank > 0:
                result[place] = rest
            place += 1
            i = next_true(mask, i + 1, end)


@native
def list_flat(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: `list_positions` of a mask of one dimension."""
    mask: u8p = buffers[0]
    starts: i64p = buffers[1]
    result: i64p = buffers[2]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[0])
        place = starts[chunk]
        last = starts[chunk + 1]
        for i in range(chunk * CHUNK, end):
            if place >= last:
                break
            result[place] = i
            place += i64(1) if mask[i] != 0 else i64(0)


@native
def take_rows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operands mask, table, starts, result: the table's rows where the mask is true. Parameters: length, words in a row."""
    mask: u8p = buffers[0]
    table: TP = buffers[1]
    starts: i64p = buffers[2]
    result: TP = buffers[3]
    row = params[1]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[0])
        place = starts[chunk]
        last = starts[chunk + 1]
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
    """Kernel: operands mask, rows, starts, table: writes the rows, one after the other, where the mask is true."""
    mask: u8p = buffers[0]
    rows: TP = buffers[1]
    starts: i64p = buffers[2]
    table: TP = buffers[3]
    row = params[1]
    for chunk in range(start, stop):
        end = chunk_end(chunk, params[0])
        place = starts[chunk]
        if row == 1:
            last = starts[chunk + 1]
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


def kernel(name: str, itemsize: int = 1) -> int:
    """Address of a kernel of this module that moves words of `itemsize` bytes."""
    word = WORDS[itemsize]
    unit = Unit(f"masks-{word.name}", KERNELS, T=word, TP=pointer(word), SIZE=itemsize)
    symbols = load(f"masks-{word.name}-{unit.key()}", unit.text_with_intrinsics, [unit.symbol(k) for k in KERNELS])
    return symbols[f"masks-{word.name}.{name}"]


def run(address: int, params: Sequence[int], length: int, *tensors: Any) -> None:
    """Runs a kernel over the chunks of a mask of `length` bytes."""
    words = (ctypes.c_int64 * (len(params) + 1))(length, *params)
    chunks = -(-length // CHUNK)
    engine.core.call_kernel(address, ctypes.addressof(words), chunks, 1 if chunks > 2 else 0, *tensors)


def chunk_starts(mask: Any) -> tuple[Any, int]:
    """For each chunk of a row-major bool tensor (and for the end) how many true values come before it, and their number."""
    length = mask._spec.numel
    chunks = -(-length // CHUNK)
    starts = empty(Spec.of((chunks + 1,), None, int64))
    run(kernel("count_true"), [], length, mask, starts)
    counts = raw_array(starts, "int64")
    total = 0
    for chunk in range(chunks):
        count = int(counts[chunk])
        counts[chunk] = total
        total += count
    counts[chunks] = total
    return starts, total


_ = (ptr, stack)

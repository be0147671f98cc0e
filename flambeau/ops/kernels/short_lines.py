"""Native kernels that order short lines, several at once: sort, topk, kthvalue and median where a
line has up to `LONGEST` elements.

The vector axis runs over the lines. An element's place is the number of those that come before it,
found by comparing every two of a line: no branch depends on the data. Called by
ops.kernels.sorting where there are `ENOUGH` lines.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    u8,
    void,
)
from flambeau.ops.kernels.order_keys import key_of, locate
from flambeau.ops.kernels.scans import IN_LINE, IN_STEP, INDEX_STEP, LENGTH, OUT_STEP, WIDTH

# replaced by `Unit`: element, the unsigned integer of its size, its kind
T, U, TP, UP = u8, u8, pointer(u8), pointer(u8)
ONES, FLOATING = 255, False

LINES = 16  # lines of a block
LONGEST = 64
ENOUGH = 8  # lines from which a block is faster than one line after the other
COUNT, MEDIAN = 11, -1  # as in ops.kernels.sorting


@native
def load_block(
    buffers: ptrp, params: i64p, first: i64, count: i64, flip: U, keys: UP, lines: ptrp
) -> void:
    """The keys of some lines, those of one place side by side, and where the lines are."""
    place = params[WIDTH]
    for k in range(count):
        line = lines + 3 * k
        if place + 1 < params[WIDTH]:
            place += 1
            for i in range(3):
                line[i] = line[i - 3] + params[IN_LINE + i]
        else:
            locate(buffers, params, first + k, line)
            place = (first + k) % params[WIDTH]
        x: TP = line[0]
        for j in range(params[LENGTH]):
            keys[j * LINES + k] = key_of(x[0]) ^ flip
            x = ptr(x) + params[IN_STEP]


@native
def rank_block(keys: UP, ranks: UP, length: i64) -> void:
    """How many elements of its line come before each one."""
    for i in range(length * LINES):
        ranks[i] = U(0)
    for i in range(1, length):
        for j in range(i):
            for k in range(LINES):
                before = U(1) if keys[j * LINES + k] <= keys[i * LINES + k] else U(0)
                ranks[i * LINES + k] += before
                ranks[j * LINES + k] += U(1) - before


@native
def sort_block(buffers: ptrp, params: i64p, start: i64, stop: i64, flip: U) -> void:
    """The first COUNT elements of each line in order, with their indices."""
    keys, ranks = stack(U, LINES * LONGEST), stack(U, LINES * LONGEST)
    lines = stack(ptr, 3 * LINES)
    first, length, wanted = start, params[LENGTH], params[COUNT]
    while first < stop:
        count = LINES if stop - first > LINES else stop - first
        load_block(buffers, params, first, count, flip, keys, lines)
        rank_block(keys, ranks, length)
        for k in range(count):
            source = lines[3 * k]
            for j in range(length):
                rank = i64(ranks[j * LINES + k])
                if rank < wanted:
                    x: UP = source + j * params[IN_STEP]
                    target: UP = lines[3 * k + 1] + rank * params[OUT_STEP]
                    where: i64p = lines[3 * k + 2] + rank * params[INDEX_STEP]
                    target[0] = x[0]
                    where[0] = j
        first += LINES


@native
def wanted_ranks(keys: UP, length: i64, count: i64, wanted: UP) -> void:
    """The place that is wanted in each line of a block."""
    for k in range(LINES):
        wanted[k] = U(count)
    if count < 0:
        for k in range(LINES):
            wanted[k] = U(0)
        for j in range(length):
            for k in range(LINES):
                number = keys[j * LINES + k] != U(ONES) if FLOATING else True
                wanted[k] += U(1) if number else U(0)
        for k in range(LINES):
            numbers = wanted[k]
            middle = (numbers - U(1)) >> 1 if numbers > U(0) else U(0)
            nan = count == MEDIAN and numbers < U(length)
            wanted[k] = U(length - 1) if nan else middle


@native
def select_block(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Of each line the element at place COUNT (or the median), and the first index of it."""
    keys, ranks = stack(U, LINES * LONGEST), stack(U, LINES * LONGEST)
    wanted, found, places = stack(U, LINES), stack(U, LINES), stack(U, LINES)
    lines = stack(ptr, 3 * LINES)
    first, length = start, params[LENGTH]
    while first < stop:
        count = LINES if stop - first > LINES else stop - first
        load_block(buffers, params, first, count, U(0), keys, lines)
        rank_block(keys, ranks, length)
        wanted_ranks(keys, length, params[COUNT], wanted)
        for j in range(length):
            for k in range(LINES):
                here = ranks[j * LINES + k] == wanted[k]
                found[k] = keys[j * LINES + k] if here else found[k]
        for j in range(length):
            i = length - 1 - j
            for k in range(LINES):
                places[k] = U(i) if keys[i * LINES + k] == found[k] else places[k]
        for k in range(count):
            place = i64(places[k])
            x: UP = lines[3 * k] + place * params[IN_STEP]
            target: UP = lines[3 * k + 1]
            where: i64p = lines[3 * k + 2]
            target[0] = x[0]
            where[0] = place
        first += LINES

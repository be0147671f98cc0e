"""Native kernels that order lines of elements: sort, topk, kthvalue and median, mode.

Each element becomes an unsigned key whose order is the elements' (NaN above all, -0 equal to 0;
complemented when descending). Keys of up to 32 bits share a word with the element's index, longer
ones stand in front of it. Lines are sorted by their keys' bytes from the last to the first (LSD
radix sort), short ones by comparing every two elements: both keep equal elements in their order,
and the time does not depend on the data. Many short ones are sorted at once
(ops.kernels.short_lines); one element of the order is found by ops.kernels.selecting.

    params, items = layout(shape, dim, strides, ...); plan.use_native(kernel("sort", float32),
    params, items, scratch=...)
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    bitcast,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    u8,
    u16,
    u32,
    u64,
    u64p,
    unlikely,
    void,
)
from flambeau.ops.kernels.indexed import NUMBERS
from flambeau.ops.kernels.order_keys import element_of, key_of, locate
from flambeau.ops.kernels.scans import IN_STEP, INDEX_STEP, LENGTH, OUT_STEP
from flambeau.ops.kernels.selecting import select
from flambeau.ops.kernels.short_lines import ENOUGH, LONGEST, sort_block

# replaced by `Unit`: element, the unsigned integer of its size, its kind
T, U, TP, UP = u8, u8, pointer(u8), pointer(u8)
BITS, ONES, SIGN, FLOATING, SIGNED = 8, 255, 128, False, False
W = 1  # words of an entry: key and index together, or one after the other
KEY = 32  # where the key begins in an entry's first word
LEAST = 32  # elements that topk sorts to begin with
RANKED = 64  # lines up to this length are sorted by comparing every two elements
BLOCK = 16  # elements that are looked at together
FEW = 4  # topk sorts the line where more than one in so many elements is wanted

# words of the parameters that the ops fill in, where scans keep offsets that are always 0 here
DESCENDING, COUNT, SCRATCH, SLOT, GRAIN = 9, 11, 12, 13, 14
MEDIAN, NANMEDIAN = -1, -2


@native
def enter(source: ptr, step: i64, count: i64, flip: u64, entries: u64p) -> i64:
    """Makes the entries of a line; returns whether it has elements that their keys do not tell."""
    x: TP = source
    stride = step // (BITS // 8)  # in elements, so that the loop is a vector loop where it is 1
    odd = i64(0)
    for i in range(count):
        value = x[i * stride]
        key = u64(key_of(value)) ^ flip
        if FLOATING:
            odd = i64(1) if bitcast(U, value) == U(SIGN) else odd
            odd = i64(1) if value != value else odd
        if W == 1:
            entries[i] = key << 32 | u64(i)
        else:
            entries[2 * i] = key
            entries[2 * i + 1] = u64(i)
    return odd


@native
def sort_few(entries: u64p, target: u64p, count: i64) -> void:
    """Sorts up to RANKED entries: each goes to the place that as many others precede."""
    keys, ranks = stack(U, RANKED), stack(U, RANKED)
    blocks = (count + BLOCK - 1) // BLOCK
    for i in range(blocks * BLOCK):
        keys[i] = U(0)
        ranks[i] = U(0)
    for i in range(count):
        keys[i] = U(entries[i * W] >> KEY)
    for block in range(blocks):
        begin = block * BLOCK
        end = begin + BLOCK if begin + BLOCK < count else count
        own, rank = keys + begin, ranks + begin
        for j in range(begin):  # of equal ones the earlier come before
            other = keys[j]
            for i in range(BLOCK):
                rank[i] += U(1) if other <= own[i] else U(0)
        for j in range(begin, end):
            other = keys[j]
            for i in range(BLOCK):
                before = other <= own[i] if j - begin < i else other < own[i]
                rank[i] += U(1) if before else U(0)
        for j in range(end, count):
            other = keys[j]
            for i in range(BLOCK):
                rank[i] += U(1) if other < own[i] else U(0)
    for i in range(count):
        place = i64(ranks[i]) * W
        target[place] = entries[i * W]
        if W == 2:
            target[place + 1] = entries[i * W + 1]


@native
def tally(entries: u64p, count: i64, counts: i64p) -> void:
    """How often each byte value occurs at each place of the keys."""
    fill_memory(counts, 0, 256 * BITS)
    for i in range(count):
        key = entries[i * W] >> KEY
        counts[i64(key & 255)] += 1
        if BITS > 8:
            counts[i64(256 + (key >> 8 & 255))] += 1
        if BITS > 16:
            counts[i64(512 + (key >> 16 & 255))] += 1
            counts[i64(768 + (key >> 24 & 255))] += 1
        if BITS > 32:
            counts[i64(1024 + (key >> 32 & 255))] += 1
            counts[i64(1280 + (key >> 40 & 255))] += 1
            counts[i64(1536 + (key >> 48 & 255))] += 1
            counts[i64(1792 + (key >> 56 & 255))] += 1


@native
def distribute(source: u64p, target: u64p, count: i64, places: i64p, shift: i64) -> void:
    """Moves the entries to where the counts of one byte of their keys say."""
    total = i64(0)
    for value in range(256):
        size = places[value]
        places[value] = total
        total += size
    for i in range(count):
        entry = source[i * W]
        value = i64((entry >> u64(shift)) & 255)
        place = places[value]
        places[value] = place + 1
        target[place * W] = entry
        if W == 2:
            target[place * W + 1] = source[i * W + 1]


@native
def sort_entries(entries: u64p, other: u64p, count: i64) -> u64p:
    """Sorts; returns which of the two buffers holds the result."""
    if count <= RANKED:
        sort_few(entries, other, count)
        return other
    counts = stack(i64, 2048)
    tally(entries, count, counts)
    source, target = entries, other
    for byte in range(BITS // 8):
        places = counts + 256 * byte
        shift = KEY + 8 * byte
        if places[i64((source[0] >> u64(shift)) & 255)] == count:  # all alike
            continue
        distribute(source, target, count, places, shift)
        source, target = target, source
    return source


@native
def put(entries: u64p, count: i64, odd: i64, flip: u64, line: ptrp, params: i64p) -> void:
    """Writes elements and indices in the order of the entries."""
    target: UP = line[1]
    where: i64p = line[2]
    for i in range(count):
        index = i64(entries[i] & 0xFFFFFFFF) if W == 1 else i64(entries[i * W + W - 1])
        if odd != 0:
            origin: UP = line[0] + index * params[IN_STEP]
            target[0] = origin[0]
        else:
            target[0] = element_of((entries[i * W] >> KEY) ^ flip)
        where[0] = index
        target = ptr(target) + params[OUT_STEP]
        where = ptr(where) + params[INDEX_STEP]


@native
def least_key(x: TP, step: i64, count: i64, flip: U) -> U:
    """The least key of some elements."""
    least: U = U(ONES)
    if step == BITS // 8 and count == BLOCK:
        for j in range(BLOCK):
            key = key_of(x[j]) ^ flip
            least = key if key < least else least
        return least
    for _ in range(count):
        key = key_of(x[0]) ^ flip
        least = key if key < least else least
        x = ptr(x) + step
    return least


@native
def place_entry(entries: u64p, k: i64, key: u64, index: i64) -> void:
    """Puts an entry among the first k, behind those with its key; the last one falls out."""
    place = k - 1
    while place > 0:
        if entries[(place - 1) * W] >> KEY <= key:
            break
        entries[place * W] = entries[(place - 1) * W]
        if W == 2:
            entries[place * W + 1] = entries[(place - 1) * W + 1]
        place -= 1
    if W == 1:
        entries[place] = key << 32 | u64(index)
    else:
        entries[place * W] = key
        entries[place * W + W - 1] = u64(index)


@native
def top_entries(
    source: ptr, step: i64, count: i64, flip: u64, entries: u64p, k: i64, result: ptrp
) -> i64:
    """The first k entries in order, for small k: `result[0]` is where they are. Returns whether
    there may be elements that their keys do not tell.
    """
    i = k
    if i < LEAST:
        i = i64(LEAST) if count > LEAST else count
    odd = enter(source, step, i, flip, entries)
    entries = sort_entries(entries, entries + count * W, i)
    limit = entries[(k - 1) * W] >> KEY
    x: TP = source + i * step
    while i < count:
        size = BLOCK if count - i >= BLOCK else count - i
        if u64(least_key(x, step, size, U(flip))) < limit:
            for j in range(size):
                y: TP = ptr(x) + j * step
                key = u64(key_of(y[0])) ^ flip
                if key < limit:
                    if FLOATING:
                        if bitcast(U, y[0]) == U(SIGN) or y[0] != y[0]:
                            odd = 1
                    place_entry(entries, k, key, i + j)
                    limit = entries[(k - 1) * W] >> KEY
        x = ptr(x) + size * step
        i += size
    result[0] = entries
    return odd


@native
def sort(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: items are lines; the first COUNT elements of each in order, with their indices."""
    flip = u64(ONES) if params[DESCENDING] != 0 else u64(0)
    length, count = params[LENGTH], params[COUNT]
    if length <= LONGEST and stop - start >= ENOUGH:
        sort_block(buffers, params, start, stop, U(flip))
        return
    slot = start // params[GRAIN]
    entries: u64p = buffers[3] + slot * params[SLOT]
    other = entries + length * W
    line = stack(ptr, 4)
    for item in range(start, stop):
        locate(buffers, params, item, line)
        if count * FEW <= length and length > LEAST and count <= 128 and count > 0:
            odd = top_entries(line[0], params[IN_STEP], length, flip, entries, count, line + 3)
            put(line[3], count, odd, flip, line, params)
        else:
            odd = enter(line[0], params[IN_STEP], length, flip, entries)
            put(sort_entries(entries, other, length), count, odd, flip, line, params)


@native
def mode(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: of each line the most frequent element (the least of several), and the index of its
    last occurrence.
    """
    length = params[LENGTH]
    slot = start // params[GRAIN]
    entries: u64p = buffers[3] + slot * params[SLOT]
    line = stack(ptr, 3)
    for item in range(start, stop):
        locate(buffers, params, item, line)
        enter(line[0], params[IN_STEP], length, 0, entries)
        ordered = sort_entries(entries, entries + length * W, length)
        best, most, run = i64(0), i64(0), i64(0)
        for i in range(length):
            run += 1
            key = ordered[i * W] >> KEY
            alone = key == u64(ONES) if FLOATING else False  # NaN equals nothing
            if unlikely(i == length - 1):
                if run > most:
                    best, most = i, run
            elif ordered[(i + 1) * W] >> KEY != key or alone:
                if run > most:
                    best, most = i, run
                run = 0
        place = i64(ordered[best] & 0xFFFFFFFF) if W == 1 else i64(ordered[best * W + W - 1])
        source: UP = line[0] + place * params[IN_STEP]
        target: UP = line[1]
        where: i64p = line[2]
        target[0] = source[0]
        where[0] = place


WORDS = {8: u8, 16: u16, 32: u32, 64: u64}
KERNELS = {"sort": sort, "select": select, "mode": mode}


def entry_bytes(dtype: Any) -> int:
    """Bytes of one entry."""
    return 16 if dtype.itemsize == 8 else 8


def kernel(which: str, dtype: Any) -> int:
    """Address of a kernel for elements of `dtype`."""
    element = NUMBERS[dtype.name]
    word, bits = WORDS[element.bits], element.bits
    options = {
        "T": element,
        "U": word,
        "TP": pointer(element),
        "UP": pointer(word),
        "BITS": bits,
        "ONES": (1 << bits) - 1,
        "SIGN": 1 << (bits - 1),
        "FLOATING": element.kind == "float",
        "SIGNED": element.signed and element.kind == "int",
        "W": 2 if bits == 64 else 1,
        "RANKED": {8: 64, 16: 128, 32: 160, 64: 256}[bits],
        "KEY": 0 if bits == 64 else 32,
    }
    name = f"order-{dtype.name}"
    kernels = list(KERNELS.values())
    unit = Unit(name, kernels, **options)
    return load(
        f"{name}-{unit.key()}", unit.text_with_intrinsics, [unit.symbol(k) for k in kernels]
    )[unit.symbol(KERNELS[which])]

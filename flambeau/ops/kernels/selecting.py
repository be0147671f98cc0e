"""Native kernel that finds one element of the order of each line: kthvalue, median, nanmedian.

Elements become keys (ops.kernels.order_keys). The keys around the wanted place are found from the
order of a sample and gathered in one pass, until few are left (R. W. Floyd and R. L. Rivest,
Expected time bounds for selection, 1975); then, and where the sample misses, the keys are parted at
the middle one of three. No branch depends on the data in either pass.
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
from flambeau.ops.kernels.order_keys import locate, make_keys
from flambeau.ops.kernels.scans import IN_STEP, LENGTH
from flambeau.ops.kernels.short_lines import ENOUGH, LONGEST, select_block

# replaced by `Unit`: element, the unsigned integer of its size, its kind
T, U, TP, UP = u8, u8, pointer(u8), pointer(u8)
BITS, ONES, FLOATING = 8, 255, False

COUNT, SCRATCH, SLOT, GRAIN, MEDIAN = 11, 12, 13, 14, -1  # as in ops.kernels.sorting
SAMPLE, MARGIN = 32, 5  # keys of a sample, places around the wanted one that are likely to hold it
SAMPLED = 256  # keys from which a sample pays
CHUNK = 64  # keys that are looked at together
PARTS = 3  # buffers of a line: all keys, the lower and the upper ones


@native
def sample_bounds(keys: UP, count: i64, wanted: i64, bounds: UP) -> void:
    """Two keys between which the wanted one is likely to lie."""
    sample, ranks = stack(U, SAMPLE), stack(U, SAMPLE)
    for i in range(SAMPLE):
        sample[i] = keys[i * count // SAMPLE]
        ranks[i] = U(0)
    for j in range(SAMPLE):
        for i in range(SAMPLE):
            equal = sample[j] == sample[i] and j < i
            ranks[i] += U(1) if sample[j] < sample[i] or equal else U(0)
    middle = wanted * SAMPLE // count
    for i in range(SAMPLE):
        rank = i64(ranks[i])
        if rank == middle - MARGIN:
            bounds[0] = sample[i]
        if rank == middle + MARGIN:
            bounds[1] = sample[i]
    if middle < MARGIN:
        bounds[0] = U(0)
    if middle + MARGIN >= SAMPLE:
        bounds[1] = U(ONES)


@native
def gather_between(source: UP, count: i64, low: U, high: U, target: UP) -> void:
    """The keys from `low` to `high`; `target` may be `source`."""
    inside = i64(0)
    for i in range(count):
        key = source[i]
        target[inside] = key
        inside += 1 if key >= low and key <= high else 0


@native
def middle_of_three(a: U, b: U, c: U) -> U:
    """The median of three keys."""
    low, high = a if a < b else b, b if a < b else a
    top = c if c < high else high
    return low if low > top else top


@native
def key_at(keys: UP, lower: UP, upper: UP, count: i64, wanted: i64) -> U:
    """The key at place `wanted` of the order; `keys` stay as they are."""
    bounds = stack(U, 2)
    source = keys
    while True:
        pivot = middle_of_three(source[0], source[count // 2], source[count - 1])
        if count >= SAMPLED:
            sample_bounds(source, count, wanted, bounds)
            low, high = bounds[0], bounds[1]
            below, inside = i64(0), i64(0)
            for i in range(count):
                below += 1 if source[i] < low else 0
                inside += 1 if source[i] >= low and source[i] <= high else 0
            if wanted >= below and wanted < below + inside:
                if low == high:
                    return low
                if inside * 4 < count * 3:
                    gather_between(source, count, low, high, lower)
                    source, count, wanted = lower, inside, wanted - below
                    continue
            pivot = low if low == high else pivot
        a, b = i64(0), i64(0)
        for i in range(count):
            key = source[i]
            lower[a] = key
            a += 1 if key < pivot else 0
            upper[b] = key
            b += 1 if key > pivot else 0
        if wanted < a:
            source, count = lower, a
        elif wanted < count - b:
            return pivot
        else:
            source, wanted, count = upper, wanted - (count - b), b
    return U(0)


@native
def place_of(keys: UP, key: U) -> i64:
    """The first place of a key, which is there; whole chunks are read."""
    place = i64(0)
    while True:
        here = U(0)
        for i in range(CHUNK):
            here = here | (U(1) if keys[place + i] == key else U(0))
        if here != U(0):
            break
        place += CHUNK
    while keys[place] != key:
        place += 1
    return place


@native
def wanted_place(keys: UP, length: i64, count: i64) -> i64:
    """The place COUNT, or that of the median."""
    if count >= 0:
        return count
    numbers = length
    if FLOATING:
        for i in range(length):
            numbers -= 1 if keys[i] == U(ONES) else 0
    if count == MEDIAN and numbers < length:
        return length - 1  # a NaN
    return (numbers - 1) // 2 if numbers > 0 else i64(0)


@native
def select(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: of each line the element at place COUNT of the order (or the median), and the first
    index of it. Scratch memory begins with room for an index that nobody wants.
    """
    length = params[LENGTH]
    if length <= LONGEST and stop - start >= ENOUGH:
        select_block(buffers, params, start, stop)
        return
    slot = start // params[GRAIN]
    keys: UP = buffers[params[SCRATCH]] + 64 + slot * params[SLOT]
    lower = keys + (length + CHUNK)
    upper = lower + (length + CHUNK)
    line = stack(ptr, 3)
    for item in range(start, stop):
        locate(buffers, params, item, line)
        make_keys(line[0], params[IN_STEP], length, keys)
        wanted = wanted_place(keys, length, params[COUNT])
        place = place_of(keys, key_at(keys, lower, upper, length, wanted))
        x: UP = line[0] + place * params[IN_STEP]
        target: UP = line[1]
        where: i64p = line[2]
        target[0] = x[0]
        where[0] = place


def scratch_bytes(length: int, itemsize: int) -> int:
    """What one thread needs, without the room for an index."""
    return PARTS * (length + CHUNK) * itemsize

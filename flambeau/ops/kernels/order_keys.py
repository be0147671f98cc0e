"""Keys of elements, and where lines of them begin: what the kernels that order lines share.

A key is an unsigned integer whose order is the elements' (NaN above all, -0 equal to 0). Called by
ops.kernels.sorting, selecting and short_lines.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    bitcast,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    u8,
    u64,
    void,
)
from flambeau.ops.kernels.scans import DIMS, IN_LINE, RANK, WIDTH

# replaced by `Unit`: element, the unsigned integer of its size, its kind
T, U, TP, UP = u8, u8, pointer(u8), pointer(u8)
BITS, ONES, SIGN, FLOATING, SIGNED = 8, 255, 128, False, False


@native
def key_of(x: T) -> U:
    """The key of an element."""
    bits = bitcast(U, x)
    if FLOATING:
        bits = U(0) if bits == U(SIGN) else bits
        key = bits ^ U(ONES) if (bits >> (BITS - 1)) != U(0) else bits ^ U(SIGN)
        return U(ONES) if x != x else key
    if SIGNED:
        return bits ^ U(SIGN)
    return bits


@native
def element_of(key: u64) -> U:
    """The bits of the element with this key, which is neither NaN nor -0."""
    bits = U(key)
    if FLOATING:
        return bits ^ U(SIGN) if (bits >> (BITS - 1)) != U(0) else bits ^ U(ONES)
    if SIGNED:
        return bits ^ U(SIGN)
    return bits


@native
def make_keys(source: ptr, step: i64, count: i64, keys: UP) -> void:
    """The keys of a line."""
    x: TP = source
    stride = step // (BITS // 8)  # in elements, so that the loop is a vector loop where it is 1
    for i in range(count):
        keys[i] = key_of(x[i * stride])


@native
def locate(buffers: ptrp, params: i64p, item: i64, line: ptrp) -> void:
    """Where line `item` begins: in the input, the values and the indices."""
    rest, place = i64(0), item
    if params[RANK] > 0:
        rest = item // params[WIDTH]
        place = item - rest * params[WIDTH]
    for i in range(3):
        line[i] = buffers[i] + place * params[IN_LINE + i]
    for k in range(params[RANK]):
        dim = params + DIMS + 4 * (params[RANK] - 1 - k)
        for i in range(3):
            line[i] = line[i] + rest % dim[0] * dim[1 + i]
        rest = rest // dim[0]

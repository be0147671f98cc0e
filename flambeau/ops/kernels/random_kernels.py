"""The loops of `random_native.py` as kernels of plans: what `ops/draws.py` runs.

The buffers are the tensor (not read), the address of the generator's state, up to five numbers, and
the result, where the samples go in the order of memory; the one parameter is how many there are. A
kernel holds the state's lock, because a long one runs without the GIL.

    address = kernel_address("uniform", float32)
"""

from __future__ import annotations

from functools import cache

from flambeau.codegen.llvm import c_function, load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f32,
    f64,
    f64p,
    i8,
    i16,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    stack,
    u32,
    u32p,
    u64,
    void,
)
from flambeau.core.dtype import dtype
from flambeau.ops.kernels import random_native as loops
from flambeau.ops.kernels.random_native import (
    BLOCK,
    CHUNK,
    fill_unit64,
    normal32,
    normal64,
    permutation,
    permutation_large,
    uniform32,
    uniform64,
    unit32,
)
from flambeau.runtime.twister import acquire, fill_words, release

T, TP = f32, pointer(f32)  # element type of the templates, and its pointer
SINGLE = 1  # whether T is f32
ONE = 1  # the bits of 1 in the result's dtype
ONES = {"float32": 0x3F800000, "float64": 0x3FF0000000000000, "float16": 0x3C00, "bfloat16": 0x3F80}
LARGE = (2**32 - 1) // 20  # from here on torch permutes in another way


@native
def real(buffer: f64p) -> f64:
    return buffer[0]


@native
def whole(buffer: i64p) -> i64:
    return buffer[0]


@native
def state_of(buffers: ptrp) -> u32p:
    state: u32p = whole(buffers[1])
    acquire(state)
    return state


@native
def uniform_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state = state_of(buffers)
    low, high = T(real(buffers[2])), T(real(buffers[3]))
    if SINGLE:
        uniform32(state, buffers[4], params[0], f32(low), f32(high), f32(high))
    else:
        uniform64(state, buffers[4], params[0], f64(low), f64(high))
    release(state)


@native
def normal_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state, mean, std = state_of(buffers), real(buffers[2]), real(buffers[3])
    if params[0] < BLOCK:
        loops.normal_serial(state, buffers[4], params[0], mean, std)
    elif SINGLE:
        normal32(state, buffers[4], params[0], f32(mean), f32(std))
    else:
        normal64(state, buffers[4], params[0], mean, std)
    release(state)


@native
def exponential_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state = state_of(buffers)
    loops.exponential(state, buffers[3], params[0], real(buffers[2]))
    release(state)


@native
def geometric_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state = state_of(buffers)
    loops.geometric(state, buffers[3], params[0], real(buffers[2]))
    release(state)


@native
def cauchy_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state = state_of(buffers)
    loops.cauchy(state, buffers[4], params[0], real(buffers[2]), real(buffers[3]))
    release(state)


@native
def log_normal_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state = state_of(buffers)
    loops.log_normal(state, buffers[4], params[0], real(buffers[2]), real(buffers[3]))
    release(state)


@native
def bernoulli_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    state = state_of(buffers)
    loops.bernoulli(state, buffers[3], params[0], whole(buffers[2]), T(ONE))
    release(state)


@native
def bernoulli_each_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """One probability for each element: the tensor is read. The flag reports one out of range."""
    units = stack(T, CHUNK)
    state, count = state_of(buffers), params[0]
    chances: TP = buffers[0]
    out: TP = buffers[2]
    flag: i64p = buffers[3]
    for first in range(0, count, CHUNK):
        size = CHUNK if count - first > CHUNK else count - first
        part, chance = out + first, chances + first
        if SINGLE:
            fill_words(state, u32p(units), size)
        else:
            fill_unit64(state, f64p(units), size)
        words, bad = u32p(units), i64(0)
        for i in range(size):
            p = chance[i]
            bad = bad | (i64(0) if p >= T(0) and p <= T(1) else i64(1))
            if SINGLE:
                part[i] = T(1) if T(unit32(words[i])) < p else T(0)
            else:
                part[i] = T(1) if units[i] < p else T(0)
        flag[0] = flag[0] | bad
    release(state)


@native
def integers_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """The numbers: whether draws have 64 bits, the base, and the remainder's four."""
    state, count = state_of(buffers), params[0]
    base, divisor, magic = whole(buffers[3]), whole(buffers[4]), whole(buffers[5])
    halve, shift = whole(buffers[6]), whole(buffers[7])
    if whole(buffers[2]) != 0:
        loops.integers64(
            state, buffers[8], count, base, u64(divisor), u64(magic), u64(halve), u64(shift)
        )
    else:
        loops.integers32(
            state, buffers[8], count, base, u32(divisor), u32(magic), u32(halve), u32(shift)
        )
    release(state)


@native
def permutation_kernel(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """int64: in the first half of the memory as uint32, then spread out from the end."""
    state, count = state_of(buffers), params[0]
    out: i64p = buffers[2]
    if count >= LARGE:
        permutation_large(state, out, count)
    else:
        short: u32p = buffers[2]
        permutation(state, short, count)
        part = stack(u32, CHUNK)
        last = (count - 1) // CHUNK * CHUNK if count > 0 else i64(-CHUNK)
        for k in range(0, last + 1, CHUNK):
            first = last - k
            size = CHUNK if count - first > CHUNK else count - first
            for i in range(size):
                part[i] = short[first + i]
            for i in range(size):
                out[first + i] = i64(part[i])
    release(state)


FLOATS = {"float32": f32, "float64": f64}
BITS = {1: i8, 2: i16, 4: i32, 8: i64}
OF_FLOATS: dict[str, NativeFunction] = {
    "uniform": uniform_kernel,
    "normal": normal_kernel,
    "exponential": exponential_kernel,
    "geometric": geometric_kernel,
    "cauchy": cauchy_kernel,
    "log_normal": log_normal_kernel,
    "bernoulli_each": bernoulli_each_kernel,
}
C_FUNCTIONS = ("log", "log1p", "exp", "tan", "ceil", "cos", "sin")


@cache
def kernel_address(name: str, of: dtype) -> int | None:
    """Address of the kernel that fills a tensor of this dtype; None where there is none."""
    if name in ("uniform", "normal") and of.is_complex:
        of = of.to_real()
    if name in OF_FLOATS:
        if of.name not in FLOATS:
            return None
        kind, function = FLOATS[of.name], OF_FLOATS[name]
        options = {"T": kind, "TP": pointer(kind), "SINGLE": int(kind is f32)}
    elif name == "permutation":
        if of.name != "int64":
            return None
        kind, function, options = i64, permutation_kernel, {}
    elif name == "bernoulli":
        if of.is_complex:
            return None
        kind, function = BITS[of.itemsize], bernoulli_kernel
        options = {"T": kind, "ONE": ONES.get(of.name, 1)}
    else:
        if of.is_complex or of.name in ("float16", "bfloat16"):
            return None
        kind, function = FLOATS.get(of.name, BITS[of.itemsize]), integers_kernel
        options = {"T": kind}
    mark = f"-{options['ONE']}" if "ONE" in options else ""
    unit = Unit(f"draw-{name}-{kind.name}{mark}", [fill_words, function], **options)
    symbol = unit.symbol(function)
    imports = {name: c_function(name) for name in C_FUNCTIONS}
    key = f"{unit.name}-{unit.key()}"
    return load(key, unit.text_with_intrinsics, [symbol], imports)[symbol]

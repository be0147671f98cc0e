"""Native loops that turn the Mersenne Twister's words into samples, bit for bit as torch 2.13
does on an x86 CPU with AVX2.

Called by `random_streams.py`, which chooses the loop and passes addresses:

    link(UNIFORM).uniform32(engine.address, array, array.size, 0.0, 1.0, 1.0)

Wherever torch scales and shifts a sample it does so in one fused multiply-add (its compiler
contracts `x * scale + shift`), so these loops do too; all other products and sums round separately,
except in the polynomials, which are fused as torch's are.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Type,
    Unit,
    bitcast,
    f32,
    f32p,
    f64,
    f64p,
    fused_multiply_add,
    i8,
    i16,
    i32,
    i64,
    i64p,
    native,
    pointer,
    square_root,
    stack,
    u16,
    u32,
    u32p,
    u64,
    u64p,
    void,
)
from flambeau.runtime.twister import CACHED, WORDS, fill_words, next_word

T = f64  # element type of the templates

log, log1p = Extern("log", f64, f64), Extern("log1p", f64, f64)
exp, tan, ceil = Extern("exp", f64, f64), Extern("tan", f64, f64), Extern("ceil", f64, f64)
cos, sin = Extern("cos", f64, f64), Extern("sin", f64, f64)
u128 = Type("u128", "i128", "int", 128, signed=False)

PI = 3.141592653589793
CHUNK = WORDS  # words drawn at a time: they are still in the first-level cache when they are used
PAIRS = WORDS // 2
SEARCHES = 8  # searches side by side: each one alone waits for memory at every step
BLOCK = 16  # from this many elements on, contiguous normals are made in blocks


# ---- uniforms ---------------------------------------------------------------------------------
@native
def unit32(word: u32) -> f32:
    """A word's low 24 bits as a float32 in [0, 1)."""
    return f32(i32(word & u32(0xFFFFFF))) * f32(5.9604644775390625e-08)


@native
def low53(pair: u64) -> i64:
    """The low 53 bits of two words, of which the first is the high one but lies low in memory."""
    return i64(((pair << u64(32)) | (pair >> u64(32))) & u64(0x1FFFFFFFFFFFFF))


@native
def unit64(pair: u64) -> f64:
    """A pair's low 53 bits as a float64 in [0, 1)."""
    return f64(low53(pair)) * 1.1102230246251565e-16


@native
def next_unit64(state: u32p) -> f64:
    first = u64(next_word(state))
    second = u64(next_word(state))
    return unit64(first | (second << u64(32)))


@native
def fill_unit64(state: u32p, out: f64p, count: i64) -> void:
    pairs = u64p(out)
    fill_words(state, u32p(out), 2 * count)
    for i in range(count):
        out[i] = unit64(pairs[i])


@native
def uniform32(state: u32p, out: f32p, count: i64, low: f32, high: f32, limit: f32) -> void:
    """Uniform on [low, high); what rounding made equal to `limit` becomes `low`."""
    span = high - low
    for start in range(0, count, CHUNK):
        part = out + start
        words = u32p(part)
        size = CHUNK if count - start > CHUNK else count - start
        fill_words(state, words, size)
        for i in range(size):
            value = fused_multiply_add(unit32(words[i]), span, low)
            part[i] = low if value == limit else value


@native
def uniform64(state: u32p, out: f64p, count: i64, low: f64, high: f64) -> void:
    span = high - low
    for start in range(0, count, PAIRS):
        part = out + start
        size = PAIRS if count - start > PAIRS else count - start
        fill_unit64(state, part, size)
        for i in range(size):
            value = fused_multiply_add(part[i], span, low)
            part[i] = low if value == high else value


@native
def narrow_bfloat16(source: u32p, out: pointer(u16), count: i64) -> void:
    """float32 bits to the nearest bfloat16, ties to even; NaN becomes the positive quiet one."""
    for i in range(count):
        bits = source[i]
        rounded = (bits + u32(0x7FFF) + ((bits >> u32(16)) & u32(1))) >> u32(16)
        out[i] = u16(u32(0x7FC0) if (bits & u32(0x7FFFFFFF)) > u32(0x7F800000) else rounded)


# ---- normals ----------------------------------------------------------------------------------
@native
def log32(x: f32) -> f32:
    """Natural logarithm of a positive normal float32: the polynomial of Cephes' logf."""
    bits = bitcast(i32, x)
    mantissa = bitcast(f32, (bits & i32(0x7FFFFF)) | i32(0x3F000000))
    small = mantissa < f32(0.707106781186547524)
    exponent = f32((bits >> i32(23)) - i32(126)) - (f32(1) if small else f32(0))
    r = (mantissa - f32(1)) + (mantissa if small else f32(0))
    square = r * r
    y = fused_multiply_add(f32(7.0376836292e-2), r, f32(-1.1514610310e-1))
    y = fused_multiply_add(y, r, f32(1.1676998740e-1))
    y = fused_multiply_add(y, r, f32(-1.2420140846e-1))
    y = fused_multiply_add(y, r, f32(1.4249322787e-1))
    y = fused_multiply_add(y, r, f32(-1.6668057665e-1))
    y = fused_multiply_add(y, r, f32(2.0000714765e-1))
    y = fused_multiply_add(y, r, f32(-2.4999993993e-1))
    y = fused_multiply_add(y, r, f32(3.3333331174e-1)) * r
    y = fused_multiply_add(y, square, exponent * f32(-2.12194440e-4)) - square * f32(0.5)
    return fused_multiply_add(exponent, f32(0.693359375), r + y)


@native
def box_muller32(data: f32p, mean: f32, std: f32) -> void:
    """Turn 8 + 8 uniforms into 8 cosine and 8 sine samples, by Cephes' sinf and cosf."""
    for j in range(8):
        radius = square_root(f32(-2) * log32(f32(1) - data[j]))
        theta = f32(2 * PI) * data[j + 8]
        octant = (i32(theta * f32(1.27323954473516)) + i32(1)) & i32(-2)
        turns = f32(octant)
        r = fused_multiply_add(turns, f32(-0.78515625), theta)
        r = fused_multiply_add(turns, f32(-2.4187564849853515625e-4), r)
        r = fused_multiply_add(turns, f32(-3.77489497744594108e-8), r)
        z = r * r
        c = fused_multiply_add(f32(2.443315711809948e-5), z, f32(-1.388731625493765e-3))
        c = fused_multiply_add(c, z, f32(4.166664568298827e-2)) * z
        c = fused_multiply_add(c, z, z * f32(-0.5)) + f32(1)
        s = fused_multiply_add(f32(-1.9515295891e-4), z, f32(8.3321608736e-3))
        s = fused_multiply_add(s, z, f32(-1.6666654611e-1)) * z
        s = fused_multiply_add(s, r, r)
        swap = (octant & i32(2)) != i32(0)
        cosine, sine = s if swap else c, c if swap else s
        flip_cosine = ((octant - i32(2)) & i32(4)) == i32(0)
        flip_sine = (octant & i32(4)) != i32(0)
        cosine = -cosine if flip_cosine else cosine
        sine = -sine if flip_sine else sine
        data[j] = fused_multiply_add(radius * cosine, std, mean)
        data[j + 8] = fused_multiply_add(radius * sine, std, mean)


@native
def normal32(state: u32p, out: f32p, count: i64, mean: f32, std: f32) -> void:
    """At least 16 samples, in blocks; for a rest, uniforms are drawn and the last 16 redone."""
    for start in range(0, count, CHUNK):
        part = out + start
        size = CHUNK if count - start > CHUNK else count - start
        uniform32(state, part, size, f32(0), f32(1), f32(2))
        for block in range(0, size - 15, 16):
            box_muller32(part + block, mean, std)
    if count % 16 != 0:
        uniform32(state, out + (count - 16), 16, f32(0), f32(1), f32(2))
        box_muller32(out + (count - 16), mean, std)


@native
def box_muller64(data: f64p, mean: f64, std: f64) -> void:
    for j in range(8):
        radius = square_root(-2.0 * log(1.0 - data[j]))
        theta = (2 * PI) * data[j + 8]
        data[j] = fused_multiply_add(radius * cos(theta), std, mean)
        data[j + 8] = fused_multiply_add(radius * sin(theta), std, mean)


@native
def normal64(state: u32p, out: f64p, count: i64, mean: f64, std: f64) -> void:
    """As `normal32`."""
    for start in range(0, count, PAIRS // 16 * 16):
        part = out + start
        size = count - start
        if size > PAIRS // 16 * 16:
            size = i64(PAIRS // 16 * 16)
        fill_unit64(state, part, size)
        for block in range(0, size - 15, 16):
            box_muller64(part + block, mean, std)
    if count % 16 != 0:
        fill_unit64(state, out + (count - 16), 16)
        box_muller64(out + (count - 16), mean, std)


@native
def next_normal(state: u32p) -> f64:
    """A standard normal; Box-Muller makes two, the second waits in the state for the next call."""
    cache = f64p(state + (CACHED + 2))
    if state[CACHED] != u32(0):
        state[CACHED] = u32(0)
        return cache[0]
    first = next_unit64(state)
    second = next_unit64(state)
    radius = square_root(-2.0 * log1p(-second))
    theta = (2 * PI) * first
    cache[0] = radius * sin(theta)
    state[CACHED] = u32(1)
    return radius * cos(theta)


@native
def normal_serial(state: u32p, out: pointer(T), count: i64, mean: f64, std: f64) -> void:
    for i in range(count):
        out[i] = T(fused_multiply_add(next_normal(state), std, mean))


@native
def log_normal(state: u32p, out: pointer(T), count: i64, mean: f64, std: f64) -> void:
    for i in range(count):
        out[i] = T(exp(fused_multiply_add(next_normal(state), std, mean)))


# ---- transformed uniforms ---------------------------------------------------------------------
@native
def exponential(state: u32p, out: pointer(T), count: i64, rate: f64) -> void:
    units = stack(f64, PAIRS)
    factor = -1.0 / rate
    for start in range(0, count, PAIRS):
        size = PAIRS if count - start > PAIRS else count - start
        fill_unit64(state, units, size)
        for i in range(size):
            out[start + i] = T(factor * log1p(-units[i]))


@native
def cauchy(state: u32p, out: pointer(T), count: i64, median: f64, sigma: f64) -> void:
    units = stack(f64, PAIRS)
    for start in range(0, count, PAIRS):
        size = PAIRS if count - start > PAIRS else count - start
        fill_unit64(state, units, size)
        for i in range(size):
            out[start + i] = T(fused_multiply_add(sigma, tan(PI * (units[i] - 0.5)), median))


@native
def geometric(state: u32p, out: pointer(T), count: i64, p: f64) -> void:
    units = stack(f64, PAIRS)
    scale = log1p(-p)
    for start in range(0, count, PAIRS):
        size = PAIRS if count - start > PAIRS else count - start
        fill_unit64(state, units, size)
        for i in range(size):
            out[start + i] = T(ceil(log(units[i]) / scale))


@native
def bernoulli(state: u32p, out: pointer(T), count: i64, threshold: i64, one: T) -> void:
    """`one` (its bits) where a pair's low 53 bits are below `threshold`, else zero bits."""
    pairs = stack(u64, PAIRS)
    for start in range(0, count, PAIRS):
        size = PAIRS if count - start > PAIRS else count - start
        fill_words(state, u32p(pairs), 2 * size)
        part = out + start
        for i in range(size):
            part[i] = one if low53(pairs[i]) < threshold else T(0)


# ---- integers ---------------------------------------------------------------------------------
# The remainder by a fixed divisor d of N bits is a multiplication (Granlund and Montgomery 1994):
# with l = ceil(log2 d) and m = floor(2**N * (2**l - d) / d) + 1, and t the high half of m * a,
# the quotient is (t + ((a - t) >> min(l, 1))) >> max(l - 1, 0). A divisor of 0 leaves `a` whole.
@native
def integers32(
    state: u32p,
    out: pointer(T),
    count: i64,
    base: i64,
    divisor: u32,
    magic: u32,
    halve: u32,
    shift: u32,
) -> void:
    """base + word % divisor."""
    words = stack(u32, CHUNK)
    for start in range(0, count, CHUNK):
        size = CHUNK if count - start > CHUNK else count - start
        fill_words(state, words, size)
        part = out + start
        for i in range(size):
            a = words[i]
            t = u32((u64(a) * u64(magic)) >> u64(32))
            quotient = (t + ((a - t) >> halve)) >> shift
            part[i] = T(i64(a - quotient * divisor) + base)


@native
def integers64(
    state: u32p,
    out: pointer(T),
    count: i64,
    base: i64,
    divisor: u64,
    magic: u64,
    halve: u64,
    shift: u64,
) -> void:
    """base + pair % divisor."""
    pairs = stack(u64, PAIRS)
    for start in range(0, count, PAIRS):
        size = PAIRS if count - start > PAIRS else count - start
        fill_words(state, u32p(pairs), 2 * size)
        part = out + start
        for i in range(size):
            a = (pairs[i] << u64(32)) | (pairs[i] >> u64(32))
            t = u64((u128(a) * u128(magic)) >> u128(64))
            quotient = (t + ((a - t) >> halve)) >> shift
            part[i] = T(i64(a - quotient * divisor) + base)


@native
def permutation(state: u32p, out: u32p, count: i64) -> void:
    """Fisher-Yates from the front: element i changes places with one of those from i on."""
    words = stack(u32, CHUNK)
    for i in range(count):
        out[i] = u32(i)
    for start in range(0, count - 1, CHUNK):
        size = CHUNK if count - 1 - start > CHUNK else count - 1 - start
        fill_words(state, words, size)
        for i in range(size):
            divisor = u32(count - start - i)
            # The rounded quotient of two 32-bit integers in double has the exact integer part.
            quotient = u32(f64(words[i]) / f64(divisor))
            words[i] = words[i] - quotient * divisor
        part = out + start
        for i in range(size):
            other = part + (i + i64(words[i]))
            held = part[i]
            part[i] = other[0]
            other[0] = held


@native
def permutation_large(state: u32p, out: i64p, count: i64) -> void:
    """The inside-out form with 64-bit words, torch's choice from (2**32 - 1) // 20 elements on."""
    for i in range(count):
        high = u64(next_word(state))
        low = u64(next_word(state))
        other = i64(((high << u64(32)) | low) % u64(i + 1))
        out[i] = out[other]
        out[other] = i


# ---- categories -------------------------------------------------------------------------------
@native
def categories(
    state: u32p, out: i64p, weights: pointer(T), sums: pointer(T), rows: i64, width: i64, count: i64
) -> void:
    """For each row `count` categories by its weights: the first place where the running sum, in
    parts of the whole, reaches a uniform of 53 bits.
    """
    points, lows = stack(f64, SEARCHES), stack(i64, SEARCHES)
    for row in range(rows):
        total = T(0)
        for k in range(width):
            total = total + weights[row * width + k]
            sums[k] = total
        for k in range(width):
            sums[k] = sums[k] / total
        sums[width - 1] = T(1)
        for first in range(0, count, SEARCHES):
            several = SEARCHES if count - first > SEARCHES else count - first
            for j in range(several):
                points[j] = next_unit64(state)
                lows[j] = 0
            rest = width
            while rest > 0:  # without branches on what is found: they cannot be predicted
                half = rest >> 1
                for j in range(several):
                    passes = f64(sums[lows[j] + half]) < points[j]
                    lows[j] = lows[j] + ((rest - half) if passes else i64(0))
                rest = half
            for j in range(several):
                out[row * count + first + j] = lows[j]


# Compiling takes 50-100 ms a unit, once: what is used together is together. `fill_words` is there
# so that the engine's source is part of the units' cache keys.
UNIFORM = Unit("random_uniform", [fill_words, uniform32, uniform64, narrow_bfloat16])
NORMAL = Unit("random_normal", [fill_words, normal32, normal64])
PERMUTATION = Unit("random_permutation", [fill_words, permutation, permutation_large])
SERIAL_NORMAL_UNITS = {
    size: Unit(f"random_normal_f{8 * size}", [fill_words, normal_serial, log_normal], T=type)
    for size, type in ((4, f32), (8, f64))
}
FLOAT_UNITS = {
    size: Unit(
        f"random_f{8 * size}",
        [fill_words, exponential, cauchy, geometric],
        T=type,
    )
    for size, type in ((4, f32), (8, f64))
}
CATEGORY_UNITS = {
    size: Unit(f"random_categories{8 * size}", [fill_words, categories], T=type)
    for size, type in ((4, f32), (8, f64))
}
BIT_UNITS = {
    size: Unit(f"random_bits{8 * size}", [fill_words, bernoulli], T=type)
    for size, type in ((1, i8), (2, i16), (4, i32), (8, i64))
}
INTEGER_UNITS = {
    (kind, size): Unit(
        f"random_integers_{kind}{8 * size}", [fill_words, integers32, integers64], T=type
    )
    for kind, size, type in (
        ("i", 1, i8),
        ("i", 2, i16),
        ("i", 4, i32),
        ("i", 8, i64),
        ("f", 4, f32),
        ("f", 8, f64),
    )
}

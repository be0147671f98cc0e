"""Native loops for Poisson, binomial and gamma samples, which draw until a value is accepted.

Called by `random_streams.py`. Each element has its own parameter:

    link(UNITS[4]).fill_poisson(engine.address, out, rates, out.size)     # float32 arrays

The order of the operations and the type in which each rounds are part of the result, which equals
torch 2.13's: what is written `T` is the arrays' type, everything else is float64, nothing is fused.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Unit,
    f32,
    f64,
    i64,
    native,
    pointer,
    square_root,
    u32p,
    void,
)
from flambeau.ops.kernels.random_native import next_normal, next_unit64, normal_serial
from flambeau.runtime.twister import fill_words

T = f64
SINGLE = False  # whether T is f32
THIRD, SQUEEZE = 0.3333333432674408, 0.03310000151395798  # 1/3 and 0.0331, rounded to float32
log, log1p, log1pf = Extern("log", f64, f64), Extern("log1p", f64, f64), Extern("log1pf", f32, f32)
exp, pow, floor = Extern("exp", f64, f64), Extern("pow", f64, f64, f64), Extern("floor", f64, f64)
ceil, lgamma, fabs = Extern("ceil", f64, f64), Extern("lgamma", f64, f64), Extern("fabs", f64, f64)


@native
def poisson_one(state: u32p, rate: f64) -> i64:
    """Products of uniforms below a rate of 10, else transformed rejection (Hoermann 1993)."""
    if rate == 0.0:
        return 0
    if rate < 10.0:
        limit = exp(-rate)
        count = 0
        product = next_unit64(state)
        while product > limit:
            count += 1
            product *= next_unit64(state)
        return count
    root, log_rate = square_root(rate), log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = next_unit64(state) - 0.5
        v = next_unit64(state)
        us = 0.5 - fabs(u)
        k = i64(floor((2.0 * a / us + b) * u + rate + 0.43))
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        left = log(v) + log(inverse_alpha) - log(a / (us * us) + b)
        if left <= -rate + f64(k) * log_rate - lgamma(f64(k) + 1.0):
            return k
    return 0


@native
def fill_poisson(state: u32p, out: pointer(T), rates: pointer(T), count: i64) -> void:
    for i in range(count):
        out[i] = T(poisson_one(state, f64(rates[i])))


@native
def stirling_tail(k: f64) -> f64:
    """log(k!) minus Stirling's approximation."""
    if k < 10.0:
        j = i64(k)
        tail = 0.0810614667953272 if j == 0 else 0.0413406959554092
        tail = 0.0276779256849983 if j == 2 else tail
        tail = 0.02079067210376509 if j == 3 else tail
        tail = 0.0166446911898211 if j == 4 else tail
        tail = 0.0138761288230707 if j == 5 else tail
        tail = 0.0118967099458917 if j == 6 else tail
        tail = 0.0104112652619720 if j == 7 else tail
        tail = 0.00925546218271273 if j == 8 else tail
        return 0.00833056343336287 if j == 9 else tail
    square = (k + 1.0) * (k + 1.0)
    return (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)


@native
def binomial_few(state: u32p, count: T, p: T) -> T:
    """Successes counted by the geometric gaps between them."""
    if SINGLE:
        scale = f64(log1pf(-p))
    else:
        scale = log1p(-f64(p))
    trials = f64(0)
    successes = T(0)
    while True:
        trials += ceil(log(next_unit64(state)) / scale)
        if trials > f64(count):
            return successes
        successes = successes + T(1)
    return successes


@native
def binomial_many(state: u32p, count: T, p: T) -> T:
    """Transformed rejection (Hoermann 1993, BTRS), for count * p of at least 10."""
    spread = f64(square_root(count * p * (T(1) - p)))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * f64(p)
    c = f64(count * p) + 0.5
    v_r = 0.92 - 4.2 / b
    r = f64(p / (T(1) - p))
    alpha = (2.83 + 5.1 / b) * spread
    m = floor(f64((count + T(1)) * p))
    while True:
        u = next_unit64(state) - 0.5
        v = next_unit64(state)
        us = 0.5 - fabs(u)
        k = T(floor((2.0 * a / us + b) * u + c))
        if k < T(0) or k > count:
            continue
        if us >= 0.07 and v <= v_r:
            return k
        v = log(v * alpha / (a / (us * us) + b))
        rest = f64(count - k + T(1))
        other = f64(count) - m + 1.0
        bound = (m + 0.5) * log((m + 1.0) / (r * other)) + f64(count + T(1)) * log(other / rest)
        bound = bound + (f64(k) + 0.5) * log(r * rest / f64(k + T(1)))
        bound = bound + stirling_tail(m) + stirling_tail(f64(count) - m)
        bound = bound - stirling_tail(f64(k)) - stirling_tail(f64(count - k))
        if v <= bound:
            return k
    return T(0)


@native
def binomial_half(state: u32p, count: T, p: T) -> T:
    if f64(count * p) >= 10.0:
        return binomial_many(state, count, p)
    return binomial_few(state, count, p)


@native
def fill_binomial(
    state: u32p, out: pointer(T), counts: pointer(T), ps: pointer(T), size: i64
) -> void:
    for i in range(size):
        count, p = counts[i], ps[i]
        if count <= T(0) or p <= T(0):
            out[i] = T(0)
        elif p >= T(1):
            out[i] = count
        elif p <= T(0.5):
            out[i] = binomial_half(state, count, p)
        elif p > T(0.5):
            out[i] = count - binomial_half(state, count, T(1.0 - f64(p)))
        else:
            out[i] = p  # NaN


@native
def fill_gamma(state: u32p, out: pointer(T), shapes: pointer(T), count: i64, least: T) -> void:
    """Squeezed rejection (Marsaglia and Tsang 2000), at least the smallest normal number."""
    for i in range(count):
        alpha = shapes[i]
        sample = T(0)
        if alpha != T(0):
            scale = f64(1)
            if alpha < T(1):
                scale = pow(1.0 - next_unit64(state), f64(T(1) / alpha))
                alpha = alpha + T(1)
            d = f64(alpha - T(THIRD))
            c = 1.0 / square_root(9.0 * d)
            while True:
                x = next_normal(state)
                y = 1.0 + c * x
                if y <= 0.0:
                    continue
                v = y * y * y
                u = 1.0 - next_unit64(state)
                xx = x * x
                if u < 1.0 - SQUEEZE * xx * xx:
                    break
                if log(u) < 0.5 * xx + d * (1.0 - v + log(v)):
                    break
            sample = T(scale * d * v)
        out[i] = least if sample < least else sample


# The first two are exported so that their modules' source is part of the units' cache keys.
UNITS = {
    size: Unit(
        f"random_rejection{8 * size}",
        [fill_words, normal_serial, fill_poisson, fill_binomial, fill_gamma],
        T=type,
        SINGLE=size == 4,
    )
    for size, type in ((4, f32), (8, f64))
}

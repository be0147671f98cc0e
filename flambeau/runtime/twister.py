"""The Mersenne Twister's word generator, in native code (see `codegen.native`).

Called by `mt19937.py` and by the loops of `ops/kernels/random_native.py`. A state is STATE_SIZE
32-bit words: the generator's 624, how many are left, the next one's index, the waiting sample, the
lock.

    link(UNIT).seed_words(state, 0)
    link(UNIT).fill_words(state, out, 2)       # out[:2] = 2357136044, 2546248239
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Unit,
    atomic_store,
    atomic_swap,
    cpu_pause,
    i64,
    i64p,
    native,
    u32,
    u32p,
    void,
)

WORDS = 624
SHIFT = 397
TURN = WORDS - SHIFT
LEFT = WORDS  # state[LEFT] counts down to the next twist: 1 means twist before the next word
NEXT = WORDS + 1  # state[NEXT] is the index of the next word
CACHED = WORDS + 2  # state[CACHED] is 1 while the double at state[CACHED + 2] is a normal sample
LOCK = WORDS + 6  # the 64-bit word here is 1 while somebody draws
STATE_SIZE = WORDS + 8


@native
def acquire(state: u32p) -> void:
    """Waits until nobody else draws: long draws run without the GIL."""
    while not atomic_swap(i64p(state + LOCK), 0, 1):
        cpu_pause()


@native
def release(state: u32p) -> void:
    atomic_store(i64p(state + LOCK), 0)


@native
def seed_words(state: u32p, seed: u32) -> void:
    state[0] = seed
    for j in range(1, WORDS):
        state[j] = u32(1812433253) * (state[j - 1] ^ (state[j - 1] >> u32(30))) + u32(j)
    state[LEFT] = u32(1)
    state[NEXT] = u32(0)
    state[CACHED] = u32(0)


@native
def mixed(upper: u32, lower: u32) -> u32:
    joined = (upper & u32(0x80000000)) | (lower & u32(0x7FFFFFFF))
    return (joined >> u32(1)) ^ ((u32(0) - (lower & u32(1))) & u32(0x9908B0DF))


@native
def twist(state: u32p) -> void:
    for j in range(TURN):
        state[j] = state[j + SHIFT] ^ mixed(state[j], state[j + 1])
    for k in range(TURN, WORDS - 1):  # reads what was written 227 words before: still vectorises
        state[k] = state[k - TURN] ^ mixed(state[k], state[k + 1])
    state[WORDS - 1] = state[SHIFT - 1] ^ mixed(state[WORDS - 1], state[0])
    state[LEFT] = u32(WORDS)
    state[NEXT] = u32(0)


@native
def tempered(word: u32) -> u32:
    word ^= word >> u32(11)
    word ^= (word << u32(7)) & u32(0x9D2C5680)
    word ^= (word << u32(15)) & u32(0xEFC60000)
    return word ^ (word >> u32(18))


@native
def next_word(state: u32p) -> u32:
    left = state[LEFT] - u32(1)
    state[LEFT] = left
    if left == u32(0):
        twist(state)
    position = state[NEXT]
    state[NEXT] = position + u32(1)
    return tempered(state[i64(position)])


@native
def fill_words(state: u32p, out: u32p, count: i64) -> void:
    done = 0
    while done < count:
        ready = i64(state[LEFT]) - 1
        if ready == 0:
            twist(state)
            ready = WORDS
            state[LEFT] = u32(WORDS + 1)
        taken = ready if ready < count - done else count - done
        position = i64(state[NEXT])
        source = state + position
        target = out + done
        for j in range(taken):
            target[j] = tempered(source[j])
        state[NEXT] = u32(position + taken)
        state[LEFT] = state[LEFT] - u32(taken)
        done += taken


UNIT = Unit("mt19937", [seed_words, fill_words, acquire, release])

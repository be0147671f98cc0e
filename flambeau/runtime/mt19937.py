"""The Mersenne Twister behind `torch.Generator` on the CPU: the same words, the same state bytes.

`ops/kernels/random_streams.py` draws from it, `Generator` wraps it. One engine is one stream of
32-bit words (Matsumoto and Nishimura 1998, MT19937) plus the second half of the last pair of normal
samples, which the stream keeps for the next call.

    engine = MT19937(0)
    engine.draw32(2)     # array([2357136044, 2546248239], dtype=uint32)
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from flambeau.runtime.binding import link
from flambeau.runtime.twister import CACHED, LEFT, NEXT, STATE_SIZE, UNIT, WORDS

DEFAULT_SEED = 67280421310721  # what a new `torch.Generator()` starts with
STATE_BYTES = 5056

# The exported layout: seed, words left, seeded flag, next index, 624 words of 64 bits, an unused
# double, the cached double sample, an unused double, its valid flag, four bytes of padding, the
# cached float sample, its valid flag, three bytes of padding.
_HEAD = struct.Struct("<QiiQ")
_TAIL = struct.Struct("<dddi4xf?3x")


class MT19937:
    """A stream of pseudo-random 32-bit words with torch's seeding and state layout.

    >>> MT19937(0).random32()
    2357136044
    """

    __slots__ = ("address", "next_float", "seed_value", "state")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._allocate()
        self.manual_seed(seed)

    def _allocate(self) -> None:
        self.state = np.zeros(STATE_SIZE, np.uint32)
        self.address = self.state.ctypes.data  # what native code takes

    def manual_seed(self, seed: int) -> MT19937:
        """Restart the stream; only the low 32 bits of `seed` decide it."""
        self.seed_value = seed & 0xFFFFFFFFFFFFFFFF
        self.next_float: float | None = None
        with self.locked():
            link(UNIT).seed_words(self.address, seed & 0xFFFFFFFF)
        return self

    def seed(self) -> int:
        """Restart from a seed of 53 bits taken from the system, and return it."""
        seed = secrets.randbits(53)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self.seed_value

    @property
    def next_double(self) -> float | None:
        """The second sample of the last pair of normals, when it has not been used yet."""
        return (
            float(self.state[CACHED + 2 : CACHED + 4].view(np.float64)[0])
            if self.state[CACHED]
            else None
        )

    @next_double.setter
    def next_double(self, value: float | None) -> None:
        self.state[CACHED] = value is not None
        self.state[CACHED + 2 : CACHED + 4].view(np.float64)[0] = value or 0.0

    @contextmanager
    def locked(self) -> Iterator[MT19937]:
        """While nobody else draws: a long draw of another thread runs without the GIL."""
        link(UNIT).acquire(self.address)
        try:
            yield self
        finally:
            self.unlock()

    def unlock(self) -> None:
        """Gives the lock back; a forked child does so too, where the thread that had it is gone."""
        link(UNIT).release(self.address)

    def random32(self) -> int:
        """The next 32-bit word."""
        return int(self.draw32(1)[0])

    def draw32(self, count: int) -> np.ndarray:
        """The next `count` words as uint32."""
        out = np.empty(count, np.uint32)
        link(UNIT).fill_words(self.address, out, count)
        return out

    def get_state(self) -> np.ndarray:
        """The 5056 bytes that `torch.get_rng_state()` gives for this state."""
        double, single = self.next_double, self.next_float
        words, left, position = self.state[:WORDS], int(self.state[LEFT]), int(self.state[NEXT])
        head = _HEAD.pack(self.seed_value, left, 1, position)
        tail = _TAIL.pack(
            0.0, double or 0.0, 0.0, double is not None, single or 0.0, single is not None
        )
        return np.frombuffer(bytearray(head + words.astype("<u8").tobytes() + tail), np.uint8)

    def set_state(self, state: Any) -> MT19937:
        """Take over a state made by `get_state` (any buffer of 5056 bytes)."""
        data = bytes(state)
        if len(data) != STATE_BYTES:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input "
                f"RNG state size to be {len(data)}"
            )
        seed, left, seeded, position = _HEAD.unpack_from(data)
        _, double, _, double_valid, single, single_valid = _TAIL.unpack_from(
            data, STATE_BYTES - _TAIL.size
        )
        position &= 0xFFFFFFFF
        # The last condition: a count and an index that together reach past the last word.
        if not seeded or not 0 < left <= WORDS or position > WORDS or position + left - 1 > WORDS:
            raise RuntimeError("Invalid mt19937 state")
        words = np.frombuffer(data, "<u8", WORDS, _HEAD.size) & np.uint64(0xFFFFFFFF)
        with self.locked():
            self.state[:WORDS] = words
            self.state[LEFT], self.state[NEXT] = left, position
        self.seed_value = seed
        self.next_double = double if double_valid else None
        self.next_float = single if single_valid else None
        return self

    def clone(self) -> MT19937:
        """An independent engine that continues from the same state."""
        return MT19937().set_state(self.get_state())

    def __getstate__(self) -> bytes:
        return self.get_state().tobytes()

    def __setstate__(self, state: bytes) -> None:
        self._allocate()
        self.set_state(state)

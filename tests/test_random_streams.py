"""Random streams equal torch's: the figures recorded by `tools/record_random.py`, and the engine.

pytest tests/test_random_streams.py
"""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flambeau.ops.kernels import random_streams as streams
from flambeau.runtime.mt19937 import MT19937

GOLDEN = json.loads((Path(__file__).parent / "golden" / "random.json").read_text())
TOLERANCE = {"float64": 1e-13, "float32": 1e-6, "float16": 1e-3, "bfloat16": 8e-3}
Array = np.ndarray


def digest(values: Array) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


def to_array(values: Array, dtype: str) -> Array:
    """float64 values in the array form of `dtype`."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = np.empty(values.shape, np.uint16)
    streams._narrow(values.astype(np.float32), bits, True)
    return bits


def to_float64(array: Array, dtype: str) -> Array:
    return (streams._widen(array) if dtype == "bfloat16" else array).astype(np.float64)


def eighths(size: int, largest: float) -> Array:
    """`largest` times 1/8, 2/8 ... 8/8, again and again."""
    return (np.arange(size) % 8 + 1) * (largest / 8)


def draw(engine: MT19937, step: dict[str, Any]) -> Array:
    """What Flambeau makes of a recorded step."""
    name, dtype, size, arguments = step["op"], step["dtype"], step["size"], step["arguments"]
    flag = {"bfloat16": True} if dtype == "bfloat16" else {}
    array = np.empty(size, np.uint16 if flag else dtype)
    if name == "bernoulli_each":
        probabilities = eighths(size, 1.0).astype("f8" if arguments[0] == "float64" else "f4")
        streams.bernoulli_each(engine, array, probabilities, **flag)
    elif name == "multinomial":
        rows, categories, replacement = arguments
        array = np.empty((rows, size), np.int64)
        weights = to_array(eighths(rows * categories, 8.0), dtype).reshape(rows, categories)
        streams.multinomial(engine, array, weights, replacement, **flag)
    elif name in ("poisson", "standard_gamma"):
        getattr(streams, name)(engine, array, eighths(size, arguments[0]).astype(dtype))
    elif name == "binomial":
        counts, probabilities = np.full_like(array, arguments[0]), eighths(size, 1.0).astype(dtype)
        streams.binomial(engine, array, counts, probabilities)
    else:
        getattr(streams, name)(engine, array, *arguments, **flag)
    return array


@pytest.mark.parametrize("stream", GOLDEN["streams"], ids=lambda stream: str(stream["seed"]))
def test_golden_stream(stream: dict[str, Any]) -> None:
    """A long mixed sequence on one engine: the values of each step, and the state at the end."""
    engine = MT19937(stream["seed"])
    for step in stream["steps"]:
        array = draw(engine, step)
        what = f"{step['op']} {step['dtype']} {step['size']} {step['arguments']}"
        if "digest" in step:
            assert digest(array) == step["digest"], what
        else:  # the system's log, sin, tan take part: the last bits may differ between systems
            values = to_float64(array, step["dtype"])[:17]
            tolerance = TOLERANCE.get(step["dtype"], 0)
            np.testing.assert_allclose(values, step["values"], tolerance, tolerance, err_msg=what)
    state = engine.get_state()
    if engine.next_double is None:
        assert digest(state) == stream["state"]


def test_words_are_those_of_numpy() -> None:
    """NumPy's legacy seeding is the same; draws of odd sizes join across twists without a seam."""
    expected = np.random.RandomState(5).randint(0, 2**32, 5000, dtype=np.uint32)
    engine, parts = MT19937(5), []
    for count in (0, 1, 622, 1, 1, 623, 624, 625, 2503):
        parts.append(engine.draw32(count))
    np.testing.assert_array_equal(np.concatenate(parts), expected[: sum(p.size for p in parts)])


def test_a_pair_of_words_is_high_then_low() -> None:
    words = MT19937(1).draw32(4).tolist()
    assert MT19937(1).random32() == words[0]
    wide = np.empty(2, np.int64)
    streams._modulo(MT19937(1), wide, 0, 2**63, True, False)
    pairs = [words[0] << 32 | words[1], words[2] << 32 | words[3]]
    assert wide.tolist() == [pair % 2**63 for pair in pairs]


def test_state_goes_out_and_in() -> None:
    engine = MT19937(2**64 - 1)
    streams.normal(engine, np.empty(3))  # leaves a normal sample waiting
    state = engine.get_state()
    assert state.dtype == np.uint8 and state.size == 5056
    assert engine.initial_seed() == 2**64 - 1
    others = [
        engine.clone(),
        pickle.loads(pickle.dumps(engine)),
        copy.deepcopy(engine),
        MT19937().set_state(state),
    ]
    expected = np.empty(50)
    streams.log_normal(engine, expected)
    for other in others:
        np.testing.assert_array_equal(other.get_state(), state)
        found = np.empty(50)
        streams.log_normal(other, found)
        np.testing.assert_array_equal(found, expected)


def test_seed_forgets_the_waiting_sample() -> None:
    engine = MT19937(0)
    streams.normal(engine, np.empty(1))
    assert engine.next_double is not None
    assert engine.manual_seed(7).next_double is None
    assert engine.seed() == engine.initial_seed() < 2**53


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda state: state[:10],
            "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state",
        ),
        (lambda state: state * 0, "Invalid mt19937 state"),
        (
            lambda state: np.where(np.arange(5056) == 8, 200, state).astype(np.uint8),
            "Invalid mt19937 state",
        ),
    ],
)
def test_damaged_states_are_refused(damage: Any, message: str) -> None:
    engine = MT19937(0)
    engine.draw32(600)
    before = engine.get_state()
    with pytest.raises(RuntimeError, match=message):
        engine.set_state(damage(before))
    np.testing.assert_array_equal(engine.get_state(), before)


@pytest.mark.parametrize("divisor", [1, 2, 3, 5, 7, 2**27, 2**28 - 1, 2**31 + 11, 2**32 - 1])
def test_remainder_by_multiplication(divisor: int) -> None:
    words = MT19937(9).draw32(3000)
    array = np.empty(3000, np.int64)
    streams._modulo(MT19937(9), array, 0, divisor, False, False)
    np.testing.assert_array_equal(array, words % np.uint32(divisor))
    high, low = MT19937(9).draw32(6000).astype(np.uint64).reshape(3000, 2).T
    pairs = high << np.uint64(32) | low
    for wide in (divisor, divisor << 32 | 5, 2**64 - divisor):
        streams._modulo(MT19937(9), array, 0, wide, True, False)
        np.testing.assert_array_equal(array.view(np.uint64), pairs % np.uint64(wide))


def test_permutation_holds_every_number_once() -> None:
    array = np.empty(100_003, np.int32)
    streams.permutation(MT19937(3), array)
    np.testing.assert_array_equal(np.sort(array), np.arange(array.size))


def test_samples_have_the_right_moments() -> None:
    """Against a mistake that golden figures would freeze: mean and spread of a million samples."""
    engine, size = MT19937(11), 1 << 20
    for fill, mean, std in (
        (streams.uniform, 0.5, 12**-0.5), (streams.normal, 0, 1), (streams.exponential, 1, 1),
    ):  # fmt: skip
        for dtype in (np.float32, np.float64):
            array = np.empty(size, dtype)
            fill(engine, array)
            assert abs(array.mean(dtype=np.float64) - mean) < 5 * std / size**0.5
            assert abs(array.std(dtype=np.float64) - std) < 0.01

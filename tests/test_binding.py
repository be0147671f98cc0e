"""Native functions as builtins: how Python's arguments reach them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from flambeau.codegen.native import Unit, f32, f32p, f64, f64p, i32, i64, i64p, native, u8, void
from flambeau.runtime.binding import link


@native
def scale(values: f64p, count: i64, factor: f64) -> void:
    for i in range(count):
        values[i] = values[i] * factor


@native
def record(out: i64p, byte: u8, word: i32, single: f32, target: f32p) -> void:
    out[0] = i64(byte)
    out[1] = i64(word)
    target[0] = single


@native
def answer() -> i64:
    return 42


UNIT = Unit("binding_test", [scale, record])


def test_buffers_and_addresses() -> None:
    values = np.arange(4.0)
    assert link(UNIT).scale(values, 4, 2) is None
    link(UNIT).scale(values.ctypes.data, 2, 10.0)
    link(UNIT).scale(memoryview(values)[3:], 1, 0.5)
    assert values.tolist() == [0, 20, 4, 3]
    link(UNIT).scale(np.empty(0), 0, 1)
    assert link(UNIT) is link(UNIT)


def test_numbers_take_the_parameter_s_type() -> None:
    out, target = np.zeros(2, np.int64), np.zeros(1, np.float32)
    link(UNIT).record(out, 257, -(2**31) - 1, 0.1, target)
    assert out.tolist() == [1, 2**31 - 1]
    assert target[0] == np.float32(0.1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((np.zeros(2), 2), TypeError),
        ((np.zeros(2), 2, "1"), TypeError),
        ((np.zeros(2), 2.5, 1.0), TypeError),
        ((1.5, 2, 1.0), TypeError),
        ((np.zeros(4)[::2], 2, 1.0), ValueError),
        ((bytes(16), 2, 1.0), BufferError),
    ],
)
def test_what_does_not_fit_is_refused(arguments: tuple[object, ...], error: type) -> None:
    with pytest.raises(error):
        link(UNIT).scale(*arguments)


def test_unknown_functions_and_results() -> None:
    with pytest.raises(AttributeError, match="exports no function 'answer'"):
        link(UNIT).answer()
    with pytest.raises(NotImplementedError, match="answer returns a value"):
        link(Unit("binding_test_result", [answer]))

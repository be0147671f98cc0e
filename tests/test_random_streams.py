"""Random streams equal torch's: golden figures recorded by `tools/record_random.py`, and the engine.

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

from flambeau.ops.kernels import random_rejection as rejection
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


def linspace(low: float, high: float, size: int, dtype: str) -> Array:
    """torch's linspace: from both ends, in the dtype itself."""
    torch_steps = np.dtype(dtype).type((high - low) / max(size - 1, 1))
    ramp = np.arange(size).astype(dtype)
    start, end = np.dtype(dtype).type(low), np.dtype(dtype).type(high)
    return np.where(np.arange(size) < size // 2, start + torch_steps * ramp, end - torch_steps * ramp[::-1])


def draw(engine: MT19937, step: dict[str, Any]) -> Array:
    """What Flambeau makes of a recorded step."""
    name, dtype, size, arguments = step["op"], step["dtype"], step["size"], step["arguments"]
    flag = {"bfloat16": True} if dtype == "bfloat16" else {}
    array = np.empty(size, np.uint16 if flag else dtype)
    if name == "bernoulli_each":
        steps = np.array(step["probabilities"])
        streams.bernoulli_each(engine, array, steps.astype("f8" if arguments[0] == "float64" else "f4"), **flag)
    elif name == "multinomial":
        rows, categories, replacement = arguments
        array = np.empty((rows, size), np.int64)
        weights = (np.arange(rows * categories) % 7 + 1).reshape(rows, categories)
        streams.multinomial(engine, array, to_array(weights, dtype), replacement, **flag)
    elif name in ("poisson", "standard_gamma"):
        getattr(rejection, name)(engine, array, np.array(step["parameters"], dtype))
    elif name == "binomial":
        counts = np.full(size, arguments[0], dtype)
        rejection.binomial(engine, array, counts, np.array(step["parameters"], dtype))
    else:
        getattr(streams, name)(engine, array, *arguments, **flag)
    return array

"""repr of random tensors, under random options, beside torch's own."""

from __future__ import annotations

import json
import random

import pytest
from printing_cases import GOLDEN, text_of

torch = pytest.importorskip("torch")
import flambeau

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")
SPECIAL = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0)


@pytest.fixture(autouse=True)
def _default_options():
    yield
    for library in (torch, flambeau):
        library.set_printoptions(profile="default")
        library.set_default_dtype(library.float32)


def random_floats(draw: random.Random, count: int) -> list[float]:
    scale = 10.0 ** draw.choice((0, 0, 0, 2, 5, 9, -3, -6))
    spread = draw.choice((0, 0, 3, 8))
    values = [draw.gauss(0, 1) * scale * 10 ** draw.uniform(-spread, spread) for _ in range(count)]
    if draw.random() < 0.3:
        values = [float(round(value)) for value in values]
    if draw.random() < 0.2:
        values = [draw.choice(SPECIAL) if draw.random() < 0.3 else value for value in values]
    return values


def random_values(draw: random.Random, dtype: str, count: int) -> list:
    if dtype in FLOATS:
        return random_floats(draw, count)
    if dtype.startswith("complex"):
        return [
            complex(*parts) for parts in zip(random_floats(draw, count), random_floats(draw, count))
        ]
    if dtype == "bool":
        return [draw.random() < 0.5 for _ in range(count)]
    top = draw.choice((2, 100, 127))
    low = 0 if dtype.startswith("u") else -top
    return [draw.randint(low, top) for _ in range(count)]


def random_options(draw: random.Random) -> dict:
    choices = {
        "precision": (0, 1, 3, 8),
        "threshold": (0, 5, 20, 10000),
        "edgeitems": (0, 1, 2, 5),
        "linewidth": (10, 40, 60, 200),
        "sci_mode": (True, False),
        "profile": ("default", "short", "full", "no such profile"),
    }
    return {name: draw.choice(each) for name, each in choices.items() if draw.random() < 0.25}


@pytest.mark.parametrize("seed", range(20))
def test_random_tensors(seed):
    draw = random.Random(seed)
    dtypes = (*FLOATS, *INTEGERS, "bool", "complex64", "complex128")
    for _ in range(40):
        dtype, options = draw.choice(dtypes), random_options(draw)
        shape = [
            draw.choice((0, 1, 2, 3, 4, 7, 9, 12))
            for _ in range(draw.choice((0, 1, 1, 2, 2, 3, 4)))
        ]
        if draw.random() < 0.1:
            shape = [1500]
        count = 1
        for length in shape:
            count *= length
        values = random_values(draw, dtype, count)
        is_transposed, default = draw.random() < 0.3, draw.choice(("float32", "float32", "float64"))
        texts = []
        for library in (torch, flambeau):
            library.set_default_dtype(getattr(library, default))
            library.set_printoptions(profile="default")
            library.set_printoptions(**options)
            tensor = library.tensor(values, dtype=getattr(library, dtype)).reshape(shape)
            if is_transposed and len(shape) > 1:
                tensor = tensor.transpose(0, -1)
            texts.append(repr(tensor))
        assert texts[1] == texts[0], (dtype, shape, options)


def test_the_golden_file_is_what_torch_prints():
    for entry in json.loads(GOLDEN.read_text()):
        assert text_of(torch, entry["expression"], entry["options"]) == entry["text"]


def test_options_are_the_same():
    for options in (
        {},
        {"precision": 2},
        {"profile": "short"},
        {"profile": "full"},
        {"sci_mode": True},
    ):
        for library in (torch, flambeau):
            library.set_printoptions(**options)
        assert flambeau.get_printoptions() == torch._tensor_str.get_printoptions()


def gradient_cases(library):
    nn = library.nn
    x = library.ones(3, requires_grad=True)

    class Twice(library.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    written = library.ones(4, requires_grad=True) * 1
    written[:2].mul_(2)
    yield from (x, x * 2, x + 1, x[0], x.sum(), Twice.apply(x), written, x.reshape(1, 3).t())
    yield from (x.exp().log(), x.unsqueeze(0).expand(2, 3), library.cat([x, x]), x.detach())
    yield nn.Parameter(library.ones(2, 2))


def test_names_of_gradient_functions():
    for expected, text in zip(gradient_cases(torch), gradient_cases(flambeau)):
        assert repr(text) == repr(expected)

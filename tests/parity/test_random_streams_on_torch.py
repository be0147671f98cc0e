"""Random streams equal torch's bit by bit, with the state that they leave behind.

Long mixed sequences: every operation starts from the state where the last one ended.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau.core.dtype as dtypes
from flambeau.ops.kernels import random_checks as checks
from flambeau.ops.kernels import random_streams as streams
from flambeau.runtime.mt19937 import DEFAULT_SEED, MT19937

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "bool")
SIZES = (0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 100, 623, 624, 625, 1000, 5000)
LARGEST = {
    "int8": 127,
    "uint8": 255,
    "int16": 2**15 - 1,
    "int32": 2**31 - 1,
    "int64": 2**63 - 1,
    "bool": 1,
    "float32": 2**24,
    "float64": 2**53,
    "float16": 2**11,
    "bfloat16": 2**8,
}
Fill = Callable[..., Any]
simd = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="torch uses other polynomials on this processor",
)


def method(name: str, *arguments: Any) -> Fill:
    """torch's side of a step: a method that fills a tensor."""
    return lambda tensor, generator: getattr(tensor, name)(*arguments, generator=generator)


def function(of_torch: Callable[..., Any], *arguments: Any) -> Fill:
    """torch's side of a step: a function that makes a tensor."""
    return lambda tensor, generator: of_torch(*arguments, generator=generator)


def ours(fill: Fill, *arguments: Any, **options: Any) -> Fill:
    """Our side of a step."""
    return lambda engine, array, **flag: fill(engine, array, *arguments, **options, **flag)


class Pair:
    """torch's generator and ours, side by side."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.engine = MT19937(seed)

    def check(self, dtype: str, shape: int | tuple[int, ...], theirs: Fill, mine: Fill) -> None:
        """Fill a tensor and an array, compare the bytes, then the states."""
        tensor = torch.empty(shape, dtype=getattr(torch, dtype))
        array = np.empty(shape, np.uint16 if dtype == "bfloat16" else dtype)
        tensor = theirs(tensor, self.generator)
        mine(self.engine, array, **({"bfloat16": True} if dtype == "bfloat16" else {}))
        expected = tensor.contiguous().view(torch.uint8).numpy() if tensor.numel() else np.zeros(0)
        assert np.array_equal(expected.reshape(-1), array.view(np.uint8).reshape(-1))
        assert np.array_equal(self.generator.get_state().numpy(), self.engine.get_state())


def as_array(tensor: Any) -> Any:
    """The tensor as our functions take it: bfloat16 as its bits."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def check_floats(pair: Pair, dtype: str, size: int) -> None:
    for name, cases in {
        "uniform": ((0, 1), (-0.3, 2.7), (1, 1), (1.0, 1.001)),
        "normal": ((0, 1), (0.3, 1.7), (2, 0)),
        "exponential": ((1,), (1.3,)),
        "cauchy": ((0, 1), (0.37, 1.77)),
        "log_normal": ((1, 2), (0.37, 1.77)),
    }.items():
        for case in cases:
            pair.check(dtype, size, method(f"{name}_", *case), ours(getattr(streams, name), *case))
    if size > 1:
        strided = torch.empty(2 * size, dtype=getattr(torch, dtype))[::2].normal_
        serial = ours(streams.normal, 0.37, 1.77, contiguous=False)
        pair.check(dtype, size, function(strided, 0.37, 1.77), serial)


def check_any(pair: Pair, dtype: str, size: int, choose: random.Random) -> None:
    for p in (0.0, 0.3, 0.5, 1.0, 1e-9):
        pair.check(dtype, size, method("bernoulli_", p), ours(streams.bernoulli, p))
    for of_type in FLOATS:
        p = torch.rand(size, dtype=getattr(torch, of_type))
        array = (p if of_type == "float64" else p.float()).numpy()
        pair.check(dtype, size, method("bernoulli_", p), ours(streams.bernoulli_each, array))
    pair.check(dtype, size, method("random_"), streams.integers_of_dtype)
    largest = LARGEST[dtype]
    highs = [min(largest, b) for b in (1, 3, 10, 2**27, 2**28 - 1, 2**28, 2**32 - 1, 2**32, 2**40)]
    for high in (*highs, *(choose.randint(1, largest) for _ in range(3))):
        low = choose.randint(0 if dtype in ("uint8", "bool") else -(high // 2), high - 1)
        bounds = checks.integer_range(dtypes.dtype_by_name(dtype), low, high)
        pair.check(dtype, size, method("random_", low, high), ours(streams.integers, *bounds))
    if dtype != "bool":
        pair.check(dtype, size, method("geometric_", 0.3), ours(streams.geometric, 0.3))
        if size <= largest:
            order = torch.empty(0, dtype=getattr(torch, dtype))
            pair.check(
                dtype,
                size,
                lambda t, g: torch.randperm(size, out=order, generator=g),
                streams.permutation,
            )


@simd
@pytest.mark.parametrize("seed", [0, 2**64 - 3])
def test_every_operation_and_dtype(seed: int) -> None:
    pair, choose = Pair(seed), random.Random(seed)
    for size in SIZES:
        for dtype in FLOATS:
            check_floats(pair, dtype, size)
        for dtype in FLOATS + INTEGERS:
            check_any(pair, dtype, size, choose)


@simd
@pytest.mark.parametrize("size", [2**20, 2**20 + 5])
def test_a_million(size: int) -> None:
    pair = Pair(7)
    for dtype in FLOATS:
        pair.check(dtype, size, method("normal_"), streams.normal)
        pair.check(dtype, size, method("uniform_"), streams.uniform)
    pair.check("int64", size, function(torch.randperm, size), streams.permutation)


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64", "bfloat16"])
def test_whole_64_bit_range(dtype: str) -> None:
    bounds = checks.integer_range(dtypes.dtype_by_name(dtype), -(2**63), None)
    theirs = method("random_", -(2**63), None)
    Pair(1).check(dtype, 1000, theirs, ours(streams.integers, *bounds))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("categories", [2, 100, 700])
def test_multinomial(dtype: str, categories: int) -> None:
    pair = Pair(3)
    for samples, replacement in ((50, True), (1, True), (1, False)):
        weights = torch.rand(3, categories, dtype=getattr(torch, dtype)) + 0.01
        mine = ours(streams.multinomial, as_array(weights), replacement, dtype == "bfloat16")
        pair.check(
            "int64",
            (3, samples),
            function(torch.multinomial, weights, samples, replacement),
            mine,
        )


@pytest.mark.parametrize("categories", [2, 100, 700])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multinomial_without_replacement(dtype: str, categories: int) -> None:
    """Not the 16-bit types: there equal keys are frequent, and torch's order of those arbitrary."""
    pair = Pair(3)
    for samples in (2, categories // 2 + 1, categories):
        weights = torch.rand(2, categories, dtype=getattr(torch, dtype)) + 0.01
        mine = ours(streams.multinomial, weights.numpy(), False)
        pair.check("int64", (2, samples), function(torch.multinomial, weights, samples), mine)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("largest", [1, 12, 200, 1e5])
def test_rejection_samplers(dtype: str, largest: float) -> None:
    pair, size = Pair(5), 5000
    kind = getattr(torch, dtype)
    parameters = torch.rand(size, dtype=kind) * largest
    parameters[0] = 0
    array = parameters.numpy()
    pair.check(dtype, size, function(torch.poisson, parameters), ours(streams.poisson, array))
    theirs = function(torch._standard_gamma, parameters)
    pair.check(dtype, size, theirs, ours(streams.standard_gamma, array))
    for low, span in ((0, 1), (0.2, 0.7), (0, 0.01), (0.99, 0.01)):
        counts = torch.floor(torch.rand(size, dtype=kind) * largest * 5)
        chances = low + torch.rand(size, dtype=kind) * span
        chances[:2] = torch.tensor([0.0, 1.0])
        mine = ours(streams.binomial, counts.numpy(), chances.numpy())
        pair.check(dtype, size, function(torch.binomial, counts, chances), mine)


@simd
@pytest.mark.parametrize("size", [1, 7, 8, 9, 100])
def test_complex_is_two_reals(size: int) -> None:
    for dtype, real in (("complex64", "float32"), ("complex128", "float64")):
        kind = getattr(torch, dtype)
        mine = ours(streams.normal, 0.0, 1 / 2**0.5)
        for theirs, fill in ((torch.rand, streams.uniform), (torch.randn, mine)):
            array = np.empty(2 * size, real)
            fill(MT19937(2), array)
            expected = theirs(size, dtype=kind, generator=torch.Generator().manual_seed(2))
            assert np.array_equal(array, torch.view_as_real(expected).reshape(-1).numpy())


def test_tensors_are_filled_in_the_order_of_their_memory() -> None:
    for tensor in (torch.empty(4, 3).t(), torch.empty(2, 5, 3).permute(2, 0, 1)):
        array = np.empty(tensor.numel(), np.float32)
        streams.normal(MT19937(4), array, contiguous=False)
        tensor.normal_(generator=torch.Generator().manual_seed(4))
        assert np.array_equal(torch.as_strided(tensor, (tensor.numel(),), (1,)).numpy(), array)


def test_seeds_and_states() -> None:
    assert torch.Generator().initial_seed() == DEFAULT_SEED
    for seed in (0, 1, -1, 2**32 + 1, 2**64 - 1):
        generator, engine = torch.Generator().manual_seed(seed), MT19937(seed)
        assert generator.initial_seed() == engine.initial_seed()
        assert np.array_equal(generator.get_state().numpy(), engine.get_state())
        torch.rand(1000, generator=generator)
        engine.set_state(generator.get_state().numpy())
        generator.set_state(torch.from_numpy(engine.get_state()))
        drawn = torch.randint(2**20, (1,), generator=generator).item()
        assert drawn == engine.random32() % 2**20


BOUNDS = (
    *(-(2**62), -(2**53) - 3, -(2**31), -(2**24) - 3, -65520, -65504, -2049, -257, -1, 0, 1, 5),
    *(255, 256, 257, 258, 2047, 2048, 2049, 2050, 65503, 65504, 65519, 65520, 2**24 + 1),
    *(2**24 + 3, 2**31, 2**53 + 1, 2**53 + 3, 2**62),
)


def outcome(attempt: Callable[..., Any], *arguments: Any) -> Any:
    """The class and first line of what was raised, or the result where it is bytes."""
    try:
        result = attempt(*arguments)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        return type(error).__name__, str(error).splitlines()[0]
    return result if isinstance(result, bytes) else None


@pytest.mark.filterwarnings("ignore:.*is out of bounds")
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "uint16", "uint32", "uint64", "complex64"])
def test_bounds_of_random_integers(dtype: str) -> None:
    """Values or errors for every pair of awkward bounds."""
    kind, of_ours = getattr(torch, dtype), dtypes.dtype_by_name(dtype)
    generator, engine = torch.Generator(), MT19937()

    def theirs(low: int, high: int | None) -> bytes:
        tensor = torch.empty(20, dtype=kind).random_(low, high, generator=generator.manual_seed(1))
        return tensor.view(torch.uint8).numpy().tobytes()

    def mine(low: int, high: int | None) -> bytes:
        bounds = checks.integer_range(of_ours, low, high)
        array = np.empty(20, np.uint16 if dtype == "bfloat16" else dtype)
        streams.integers(engine.manual_seed(1), array, *bounds, bfloat16=dtype == "bfloat16")
        return array.tobytes()

    for low, high in itertools.product(BOUNDS, (*BOUNDS, 2**63 - 1, None)):
        assert outcome(theirs, low, high) == outcome(mine, low, high), (low, high)


NAN, INFINITY = float("nan"), float("inf")
ARGUMENTS = {
    "uniform": ((1, 0), (0, 1e6), (0, 1e300), (-3e38, 3e38), (0, INFINITY), (NAN, 1), (0, 1)),
    "normal": ((0, -1.5), (0, NAN), (0, 1)),
    "log_normal": ((0, 0), (0, -1), (0, 1)),
    "exponential": ((0,), (-1.25,), (1,)),
    "cauchy": ((0, 0), (0, -1), (0, 1)),
    "geometric": ((0,), (1,), (1.5,), (0.5,)),
    "bernoulli": ((-0.5,), (1.5,), (0.5,)),
}


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "uint16", "complex64"])
def test_argument_errors(dtype: str) -> None:
    kind, of_ours = getattr(torch, dtype), dtypes.dtype_by_name(dtype)
    for name, cases in ARGUMENTS.items():
        check = getattr(checks, f"check_{name}")
        for case in cases:
            theirs = outcome(getattr(torch.ones(3, dtype=kind), f"{name}_"), *case)
            given = case if name == "uniform" else case[-1:]  # a mean can be anything
            assert theirs == outcome(check, of_ours, *given), (name, case)
    assert outcome(torch.ones(2, dtype=kind).random_) == outcome(checks.check_unbounded, of_ours)


@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "bool"])
def test_argument_errors_of_multinomial(dtype: str) -> None:
    kind, of_ours = getattr(torch, dtype), dtypes.dtype_by_name(dtype)
    for shape in ((), (3,), (2, 3), (1, 2, 3)):
        for options in itertools.product((-1, 0, 2, 4), (True, False)):
            theirs = outcome(torch.multinomial, torch.ones(shape, dtype=kind), *options)
            mine = outcome(checks.check_multinomial, of_ours, shape, *options)
            assert theirs == mine, (shape, options)


@pytest.mark.parametrize("options", [(1, True), (2, True), (2, False)])
@pytest.mark.parametrize(
    "row",
    [
        *([0, 0], [1, -1], [1, NAN], [1, INFINITY], [-INFINITY, 1], [1, 0]),
        *([-1, NAN], [NAN, -1], [INFINITY, -1]),
    ],
)
def test_weights_of_multinomial(row: list[float], options: tuple[int, bool]) -> None:
    weights = torch.tensor([[0.5, 0.5], row])
    mine = outcome(checks.check_weights, weights.numpy(), *options)
    assert mine == outcome(torch.multinomial, weights, *options)

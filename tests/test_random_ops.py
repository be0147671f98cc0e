"""Random tensors as a user makes them: the plans' kernels draw what the array functions draw, the
gradient of what is drawn over is zero, and threads share a generator without disorder.

pytest tests/test_random_ops.py
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.ops.kernels import random_streams as streams
from flambeau.runtime.mt19937 import MT19937

DRAWS: dict[str, tuple[Callable[[Any], Any], Callable[..., None], tuple[Any, ...]]] = {
    "uniform": (lambda x: x.uniform_(-1, 3), streams.uniform, (-1.0, 3.0)),
    "normal": (lambda x: x.normal_(1, 2), streams.normal, (1.0, 2.0)),
    "exponential": (lambda x: x.exponential_(2), streams.exponential, (2.0,)),
    "geometric": (lambda x: x.geometric_(0.2), streams.geometric, (0.2,)),
    "cauchy": (lambda x: x.cauchy_(), streams.cauchy, ()),
    "log_normal": (lambda x: x.log_normal_(), streams.log_normal, ()),
    "bernoulli": (lambda x: x.bernoulli_(0.3), streams.bernoulli, (0.3,)),
    "integers": (lambda x: x.random_(-3, 50), streams.integers, (-3, 53)),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_draw_the_stream(name: str, dtype: str) -> None:
    """Sizes around the blocks of 16 and the twister's 624 words; then the stream goes on alike."""
    method, fill, parameters = DRAWS[name]
    torch.manual_seed(5)
    engine = MT19937(5)
    for size in (0, 1, 15, 16, 17, 311, 312, 624, 625, 2000):
        expected = np.empty(size, dtype)
        fill(engine, expected, *parameters)
        found = method(torch.empty(size, dtype=getattr(torch, dtype)))
        np.testing.assert_array_equal(found.numpy(), expected)
    assert torch.get_rng_state().tolist()[24:] == engine.get_state().tolist()[24:]


@pytest.mark.parametrize("size", [0, 1, 2, 623, 624, 625, 1249, 10_000])
def test_permutations(size: int) -> None:
    torch.manual_seed(1)
    expected = np.empty(size, np.int64)
    streams.permutation(MT19937(1), expected)
    np.testing.assert_array_equal(torch.randperm(size).numpy(), expected)


def test_a_probability_out_of_range_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Expected p_in >= 0 && p_in <= 1"):
        torch.bernoulli(torch.tensor([0.5, 1.5]))


def test_samples_are_in_the_graph_with_zero_gradients() -> None:
    x = torch.rand(20, requires_grad=True)
    cases: dict[str, Callable[[Any], Any]] = {
        "NormalBackward0": lambda x: (x * 1).normal_(),
        "BernoulliBackward0": torch.bernoulli,
        "NormalBackward3": lambda x: torch.normal(x, x),
        "PoissonBackward0": torch.poisson,
    }
    for name, draw in cases.items():
        y = draw(x)
        assert y.grad_fn.name() == name
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.tolist() == [0.0] * 20


def test_a_leaf_is_not_drawn_over() -> None:
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.uniform_()
    with torch.no_grad():
        x.uniform_()
    assert x._version == 1


def test_threads_share_the_generator() -> None:
    """Long draws run without the GIL; each is one whole piece of the stream."""
    torch.manual_seed(2)
    tensors = [torch.empty(300_000) for _ in range(4)]
    threads = [threading.Thread(target=x.uniform_) for x in tensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.manual_seed(2)
    expected = {float(torch.empty(300_000).uniform_()[0]) for _ in tensors}
    assert {float(x[0]) for x in tensors} == expected


def test_plans_follow_the_default_dtype() -> None:
    integers = torch.arange(3)
    assert (integers / 2).dtype is torch.float32 and torch.rand(2).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert (integers / 2).dtype is torch.float64 and (integers + 0.5).dtype is torch.float64
        assert torch.rand(2).dtype is torch.float64 and torch.zeros(2).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_sizes_that_are_tensors() -> None:
    for n in (2, 3):
        assert torch.zeros(torch.tensor(n)).shape == (n,)
        assert torch.rand(1, torch.tensor(n)).shape == (1, n)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_during_a_draw_leaves_no_lock() -> None:
    """The child of a process whose other thread is drawing draws too."""
    engine = torch.default_generator.engine
    with engine.locked():  # as a thread that does not exist in the child
        child = os.fork()
        if child == 0:
            torch.rand(3)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

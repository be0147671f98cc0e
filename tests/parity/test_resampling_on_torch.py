"""Padding and resizing against torch: random sizes, modes, dtypes and memory layouts; the result,
the gradient, and the gradient of the gradient.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy
import pytest

import flambeau

torch = pytest.importorskip("torch")

TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "bfloat16": 2e-2, "float16": 4e-3}


def outcome(framework: Any, array: Any, dtype: str, layout: bool, function: Any) -> list[Any]:
    """Result, gradient and second gradient."""
    x = framework.tensor(array).to(getattr(framework, dtype))
    if layout and x.dim() == 4:
        x = x.contiguous(memory_format=framework.channels_last)
    if not (x.is_floating_point() or x.is_complex()):
        return [function(framework.nn.functional, x)]
    y = function(framework.nn.functional, x.requires_grad_())
    g = (framework.ones(y.numel()).cumsum(0).reshape(y.shape) / 10).to(y.dtype).requires_grad_()
    first = framework.autograd.grad(y, x, g, create_graph=True)[0]
    return [y, first, framework.autograd.grad(first, g, first.detach())[0]]


def compare(
    seed: int, shape: list[int], dtype: str, function: Any, what: str, layout: bool = False
) -> None:
    """Both libraries on the same numbers."""
    array = numpy.abs(numpy.random.default_rng(seed).standard_normal(shape)) * 5
    theirs, ours = (outcome(t, array, dtype, layout, function) for t in (torch, flambeau))
    for place, (a, b) in enumerate(zip(theirs, ours)):
        assert tuple(a.shape) == tuple(b.shape), what
        if place == 0 and a.numel() and not layout:
            assert a.stride() == b.stride(), what
        left = a.detach().to(torch.complex128).numpy()
        right = b.detach().to(flambeau.complex128).numpy()
        tolerance = TOLERANCE.get(dtype, 1e-5) * max(1.0, abs(left).max(initial=0))
        assert abs(left - right).max(initial=0) <= tolerance, f"{what}: number {place} differs"


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_random_padding(first: int) -> None:
    for seed in range(first, first + 20):
        pick = random.Random(seed)
        mode = pick.choice(("constant", "constant", "reflect", "replicate", "circular"))
        ndim = pick.choice((1, 2, 3))
        shape = [pick.randint(1, 3) for _ in range(2)] + [pick.randint(4, 7) for _ in range(ndim)]
        sides = [0, 0, 1, 2, 3] + [-1] * (mode != "circular")
        pad = [pick.choice(sides) for _ in range(2 * ndim)]
        dtypes = ("float32", "float64", "int64", "uint8", "bfloat16", "complex64", "complex128")
        dtype = pick.choice(dtypes)
        compare(
            seed, shape, dtype, lambda F, x, pad=pad, mode=mode: F.pad(x, pad, mode),
            f"{seed} {mode} {shape} {pad}", seed % 3 == 0,
        )  # fmt: skip


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_random_resizing(first: int) -> None:
    warnings.simplefilter("ignore")
    linear = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
    for seed in range(first, first + 20):
        pick = random.Random(seed)
        ndim = pick.choice((1, 2, 2, 2, 3))
        shape = [pick.randint(1, 3) for _ in range(2)] + [pick.randint(2, 9) for _ in range(ndim)]
        mode = pick.choice(("nearest", "nearest-exact", *linear[ndim]))
        options: dict[str, Any] = {"mode": mode}
        if pick.random() < 0.5:
            options["size"] = [pick.randint(2, 14) for _ in range(ndim)]
        else:
            options["scale_factor"] = [pick.choice((0.5, 0.7, 1.5, 2.0, 3.0)) for _ in range(ndim)]
        if mode in ("linear", "bilinear", "bicubic", "trilinear"):
            options["align_corners"] = pick.choice((None, False, True))
        dtype = pick.choice(("float32", "float32", "float64"))
        if mode.startswith("bi"):
            # torch takes the widened filter's weights of other rows if the result has one column
            smallest = min(options.get("size", [int(n * 0.5) for n in shape[2:]]))
            options["antialias"] = smallest > 1 and pick.random() < 0.4
        compare(
            seed, shape, dtype, lambda F, x, o=options: F.interpolate(x, **o),
            f"{seed} {shape} {options}", seed % 3 == 0,
        )  # fmt: skip


def test_names_in_the_graph() -> None:
    """The nodes are called as torch's are."""
    calls = [
        lambda t, x: t.nn.functional.pad(x, (1, 1)),
        lambda t, x: t.nn.functional.pad(x, (1, 1, 1, 1), "reflect"),
        lambda t, x: t.nn.functional.pad(x, (1, 1, 1, 1), "replicate"),
        lambda t, x: t.nn.functional.interpolate(x, size=(3, 5)),
        lambda t, x: t.nn.functional.interpolate(x, size=(3, 5), mode="nearest-exact"),
        lambda t, x: t.nn.functional.interpolate(x, size=(3, 5), mode="bilinear"),
        lambda t, x: t.nn.functional.interpolate(x, size=(3, 5), mode="bicubic"),
        lambda t, x: t.nn.functional.interpolate(x, size=(3, 5), mode="bilinear", antialias=True),
        lambda t, x: t.nn.functional.fractional_max_pool2d(x, 2, 2),
    ]
    for call in calls:
        names = [call(t, t.ones(1, 2, 4, 4, requires_grad=True)).grad_fn.name()
                 for t in (torch, flambeau)]  # fmt: skip
        assert names[0] == names[1]


def sampled(framework: Any, arrays: list[Any], dtype: str, options: Any, again: bool) -> list[Any]:
    """grid_sample, and its gradients by picture and grid."""
    x, grid, g = (framework.tensor(a).to(getattr(framework, dtype)) for a in arrays)
    x, grid = x.requires_grad_(), grid.requires_grad_()
    y = framework.nn.functional.grid_sample(x, grid, *options)
    first = framework.autograd.grad(y, (x, grid), g, create_graph=again)
    return [y, *first]


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_sampling(first: int) -> None:
    for seed in range(first, first + 20):
        pick, numbers = random.Random(seed), numpy.random.default_rng(seed)
        ndim = pick.choice((2, 2, 3))
        batch, channels = pick.randint(1, 3), pick.randint(1, 4)
        space = [pick.randint(1, 6) for _ in range(ndim)]
        result = [pick.choice((1, 3, 7, 12)) for _ in range(ndim)]
        modes = ("bilinear", "nearest", "bicubic") if ndim == 2 else ("bilinear", "nearest")
        padding = pick.choice(("zeros", "border", "reflection"))
        options = (pick.choice(modes), padding, pick.random() < 0.5)
        arrays = [
            numbers.standard_normal((batch, channels, *space)),
            numbers.uniform(-1.6, 1.6, (batch, *result, ndim)),
            numbers.standard_normal((batch, channels, *result)),
        ]
        dtype = pick.choice(("float32", "float64"))
        theirs = sampled(torch, arrays, dtype, options, False)
        ours = sampled(flambeau, arrays, dtype, options, options[0] != "nearest" and seed % 2 == 0)
        for a, b in zip(theirs, ours):
            left, right = a.detach().numpy(), b.detach().numpy()
            tolerance = (1e-9 if dtype == "float64" else 2e-4) * max(1.0, abs(left).max())
            assert abs(left - right).max() <= tolerance, f"seed {seed}: {space} {result} {options}"

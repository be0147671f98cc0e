"""Random convolutions against torch: sizes, strides, padding, dilation, groups, dtypes and memory
layouts drawn from a seed; the result and the gradients of input, weight and bias.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest

import flambeau

torch = pytest.importorskip("torch")

TOLERANCE = {"float64": 1e-10, "float32": 2e-5, "bfloat16": 2e-2, "float16": 4e-3}
LAYOUTS = ("contiguous", "channels last", "every second column", "transposed", "expanded")


class Case(NamedTuple):
    """One convolution."""

    dtype: str
    layout: str
    input: tuple[int, ...]
    weight: tuple[int, ...]
    bias: bool
    transposed: bool
    options: dict[str, Any]


def draw(seed: int) -> Case:
    """A convolution that exists: its padded input is at least as large as the kernel."""
    pick = random.Random(seed)
    ndim = pick.choice((1, 2, 2, 2, 3))
    largest = {1: 70, 2: 20, 3: 8}[ndim]
    transposed = pick.random() < 0.3
    groups = pick.choice((1, 1, 1, 2, 3))
    inner, outer = (groups * pick.choice((1, 1, 2, 3, 5, 8, 17)) for _ in range(2))
    if pick.random() < 0.15:  # depthwise
        groups = inner
        outer = inner * pick.choice((1, 1, 2))
    kernel = tuple(pick.choice((1, 1, 2, 3, 3, 5, 7)) for _ in range(ndim))
    options: dict[str, Any] = {"groups": groups}
    for name, values in (("stride", (1, 1, 2, 3)), ("dilation", (1, 1, 2, 3))):
        options[name] = tuple(pick.choice(values) for _ in range(ndim))
    extent = [d * (k - 1) + 1 for d, k in zip(options["dilation"], kernel)]
    options["padding"] = tuple(pick.choice((0, e // 2, pick.randint(0, 3))) for e in extent)
    space = tuple(
        max(1, e - 2 * p) + pick.randint(0, largest) for e, p in zip(extent, options["padding"])
    )
    if transposed:
        space = tuple(pick.randint(1, largest) for _ in range(ndim))
        options["output_padding"] = tuple(
            pick.randint(0, max(s, d) - 1) for s, d in zip(options["stride"], options["dilation"])
        )
        options["padding"] = tuple(
            min(p, ((n - 1) * s + e + o - 1) // 2)
            for p, n, s, e, o in zip(
                options["padding"], space, options["stride"], extent, options["output_padding"]
            )
        )
    batch = pick.choice((0, 1, 1, 2, 3, 5)) if pick.random() < 0.2 else pick.choice((1, 2, 4))
    weight = (inner, outer // groups) if transposed else (outer, inner // groups)
    dtype = pick.choice(("float32", "float32", "float32", "float64", "bfloat16", "float16"))
    layout = pick.choice(("contiguous", "contiguous", *LAYOUTS[1:]))
    return Case(
        dtype, layout, (batch, inner, *space), (*weight, *kernel), pick.random() < 0.5,
        transposed, options,
    )  # fmt: skip


def laid_out(framework: Any, x: Any, layout: str) -> Any:
    """The same elements in another memory layout."""
    ndim = x.dim() - 2
    if layout == "channels last" and ndim > 1:
        kind = framework.channels_last if ndim == 2 else framework.channels_last_3d
        return x.contiguous(memory_format=kind)
    if layout == "every second column":
        wide = framework.zeros(*x.shape[:-1], 2 * x.shape[-1], dtype=x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "transposed":
        return x.transpose(1, -1).contiguous().transpose(1, -1)
    if layout == "expanded":  # the whole batch is the first picture
        return x[:1].expand(x.shape)
    return x


def outcome(framework: Any, case: Case, arrays: list[Any]) -> list[Any]:
    """Result and gradients."""
    dtype = getattr(framework, case.dtype)
    x, w, b, seed = (framework.tensor(a).to(dtype) for a in arrays)
    x = laid_out(framework, x, case.layout).requires_grad_()
    w = laid_out(framework, w, case.layout if case.layout == "channels last" else "contiguous")
    w.requires_grad_()
    b.requires_grad_()
    kind = "conv_transpose" if case.transposed else "conv"
    convolve = getattr(framework.nn.functional, f"{kind}{len(case.weight) - 2}d")
    y = convolve(x, w, b if case.bias else None, **case.options)
    g = seed.reshape(-1)[: y.numel()].reshape(y.shape)
    wanted = (x, w, b) if case.bias else (x, w)
    return [y, *framework.autograd.grad(y, wanted, g)]


@pytest.mark.parametrize("first", range(0, 400, 20))
def test_random_convolutions(first: int) -> None:
    for seed in range(first, first + 20):
        case = draw(seed)
        random_values = torch.Generator().manual_seed(seed)
        channels = case.weight[1] * case.options["groups"] if case.transposed else case.weight[0]
        sizes = [case.input, case.weight, (channels,), (700_000,)]
        arrays = [torch.randn(s, generator=random_values).numpy() for s in sizes]
        theirs, ours = outcome(torch, case, arrays), outcome(flambeau, case, arrays)
        for name, a, b in zip(("result", "input", "weight", "bias"), theirs, ours):
            what = f"seed {seed}, {name} of {case}"
            assert tuple(a.shape) == tuple(b.shape), what
            if name == "result" and a.numel() and case.dtype == "float32":
                assert a.stride() == b.stride(), what
            left, right = a.detach().double().numpy(), b.detach().double().numpy()
            scale = max(1.0, abs(left).max() if left.size else 0.0)
            difference = abs(left - right).max() if left.size else 0.0
            assert difference <= TOLERANCE[case.dtype] * scale, f"{what}: {difference} of {scale}"

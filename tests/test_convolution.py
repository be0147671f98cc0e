"""Convolution, padding and sampling against NumPy: the native kernels beside the plain forms, on
shapes chosen so that each way of computing is taken.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.ops.kernels import conv_arrays, conv_winograd

# input, weight, stride, padding, dilation, groups: many channels and borders (point tiles), few
# channels, 1 x 1 without copies, depthwise, one and three dimensions, long rows, minimal filtering
CASES = [
    ((2, 16, 9, 9), (64, 16, 3, 3), 1, 1, 1, 1),
    ((3, 8, 7, 7), (40, 8, 3, 3), 2, 1, 1, 1),
    ((1, 3, 20, 20), (7, 3, 5, 5), 2, 2, 1, 1),
    ((2, 64, 20, 20), (24, 64, 1, 1), 1, 0, 1, 1),
    ((2, 12, 11, 13), (12, 1, 3, 3), 1, 1, 1, 12),
    ((2, 12, 11, 13), (12, 1, 3, 3), 2, 1, 1, 12),
    ((2, 64, 10, 10), (64, 32, 3, 3), 1, 2, 2, 2),
    ((2, 6, 300), (5, 6, 7), 3, 3, 1, 1),
    ((1, 40, 700), (33, 40, 3), 1, 1, 1, 1),
    ((1, 4, 5, 6, 7), (36, 4, 3, 3, 3), 1, 1, 1, 1),
    ((2, 4, 5, 6, 7), (3, 4, 3, 2, 1), 2, 1, 1, 1),
    ((2, 3, 17, 40), (6, 1, 5, 5), 1, 2, 1, 3),
    ((1, 3, 30, 9), (3, 1, 7, 7), 2, 3, 1, 3),
    ((2, 4, 4, 9, 10), (4, 1, 2, 3, 3), 2, 1, 2, 4),
    ((2, 20, 15, 30), (33, 20, 3, 3), 1, 1, 1, 1),
    ((3, 64, 14, 13), (48, 32, 3, 3), 1, 2, 1, 2),
    ((1, 24, 3, 9, 31), (24, 24, 3, 3, 3), 1, 1, 1, 1),
    ((1, 200, 7, 9), (200, 200, 3, 3), 1, 1, 1, 1),
]


def numbers(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case[0])))
def test_convolution_and_gradients(case: Any) -> None:
    shape, kernel, *steps, groups = case
    ndim = len(shape) - 2
    stride, padding, dilation = ((value,) * ndim for value in steps)
    x, w = numbers(*shape), numbers(*kernel)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[ndim - 1]
    ours = [torch.tensor(a, requires_grad=True) for a in (x, w)]
    y = convolve(*ours, None, stride, padding, dilation, groups)
    expected = conv_arrays.forward(x, w, stride, padding, dilation, groups)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-4, atol=1e-4)
    g = numbers(*y.shape)
    by_input, by_weight = torch.autograd.grad(y, ours, torch.tensor(g))
    options = (stride, padding, dilation, groups)
    rest = [
        n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
        for n, m, s, p, d, k in zip(
            shape[2:], y.shape[2:], stride, padding, dilation, kernel[2:], strict=True
        )
    ]
    expected = conv_arrays.transposed_forward(g, w, *options, rest)
    np.testing.assert_allclose(by_input.numpy(), expected, rtol=1e-4, atol=1e-4)
    expected = conv_arrays.weight_forward(x, g, kernel[2:], *options)
    np.testing.assert_allclose(by_weight.numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("transposed", [False, True])
def test_minimal_filtering_of_any_shape(monkeypatch: Any, kind: str, transposed: bool) -> None:
    """Every padding, odd and even sizes, blocks that stand out, groups; as exact as direct sums."""
    dtype = getattr(torch, kind)
    monkeypatch.setattr(conv_winograd, "pays", lambda task, geometry: True)
    generator = np.random.default_rng(0)
    for images, channels, rows, height, width, padding, groups in [
        (1, 1, 1, 1, 1, 1, 1), (2, 5, 3, 4, 5, 0, 1), (3, 8, 9, 3, 70, 2, 1), (2, 6, 8, 6, 7, 1, 2),
        (5, 70, 20, 4, 4, 1, 1), (1, 3, 17, 2, 800, 1, 1),
    ]:  # fmt: skip
        inner = (channels, rows // groups) if transposed else (rows, channels // groups)
        shapes = (images, channels, height, width), (*inner, 3, 3), (rows,)
        operands = [torch.tensor(generator.standard_normal(s)).to(dtype) for s in shapes]
        function = F.conv_transpose2d if transposed else F.conv2d
        y = function(*operands, padding=padding, groups=groups).double().numpy()
        x, w, b = (a.double().numpy() for a in operands)
        ones = (1, 1)
        if transposed:
            steps = (ones, (padding, padding), ones, groups, (0, 0))
            expected = conv_arrays.transposed_forward(x, w, *steps)
        else:
            expected = conv_arrays.forward(x, w, ones, (padding, padding), ones, groups)
        expected = expected + b.reshape(-1, 1, 1)
        limit = {4: 1e-6, 8: 1e-14}.get(dtype.itemsize, torch.finfo(dtype).eps)
        assert np.abs(y - expected).max() < limit * (channels * 9) ** 0.5 * 4


def test_channels_last_and_views_are_read_as_they_lie() -> None:
    x, w = torch.tensor(numbers(2, 16, 9, 9)), torch.tensor(numbers(32, 16, 3, 3))
    expected = F.conv2d(x, w, padding=1)
    last = F.conv2d(x.contiguous(memory_format=torch.channels_last), w, padding=1)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(last, expected, atol=1e-4)
    wide = torch.zeros(2, 16, 9, 18)
    wide[..., ::2] = x
    assert torch.allclose(F.conv2d(wide[..., ::2], w, padding=1), expected, atol=1e-4)
    flipped = w.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.allclose(F.conv2d(x, flipped, padding=1), expected, atol=1e-4)


# kernel, stride, padding, dilation
STEPS = (
    (1, 1, 0, 1), (1, 2, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), (2, 2, 0, 1), (5, 1, 2, 1),
    (3, 1, 2, 2), (4, 3, 1, 1),
)  # fmt: skip


@pytest.mark.parametrize("channels", [3, 8, 24, 40, 100])
@pytest.mark.parametrize("kind", ["depthwise", "dense", "groups"])
@pytest.mark.parametrize("transposed", [False, True])
def test_channels_last(channels: int, kind: str, transposed: bool) -> None:
    """The same values and gradients as in rows, laid out as the input is."""
    rng = random.Random(f"{channels}{kind}{transposed}")
    convolve = F.conv_transpose2d if transposed else F.conv2d
    for kernel, stride, padding, dilation in STEPS:
        groups = {"depthwise": channels, "dense": 1, "groups": channels // 4 or 1}[kind]
        inner = rng.choice((channels, 4 * channels)) if kind != "depthwise" else channels
        if channels % groups:
            continue
        rows = torch.tensor(numbers(2, channels, rng.randint(6, 9), rng.randint(6, 30)))
        first, second = (channels, inner) if transposed else (inner, channels)
        weight = torch.tensor(numbers(first, second // groups, kernel, kernel))
        bias = torch.tensor(numbers(inner))
        results = []
        for format in (torch.contiguous_format, torch.channels_last):
            x = rows.clone(memory_format=format).requires_grad_()
            w = weight.clone().requires_grad_()
            y = convolve(
                x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
            )
            found = torch.autograd.grad((y * y).sum(), (x, w))
            assert y.is_contiguous(memory_format=format)
            assert found[0].is_contiguous(memory_format=format)
            results.append((y, *found))
        for a, b in zip(*results):
            assert (a - b).abs().max() <= 1e-5 * a.abs().max(), (kernel, stride)


def test_double_gradients() -> None:
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, w: F.conv2d(x, w, stride=2, padding=1), (x, w))
    for mode in ("reflect", "replicate", "circular"):
        assert torch.autograd.gradgradcheck(lambda x, m=mode: F.pad(x, (1, 2, 2, 1), m), (x,))
    for mode in ("bilinear", "bicubic"):
        resize = lambda x, m=mode: F.interpolate(x, (7, 4), mode=m)
        assert torch.autograd.gradcheck(resize, (x,))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_padding(mode: str) -> None:
    x = numbers(2, 3, 5, 6)
    names = {"edge": "replicate", "wrap": "circular"}
    ours = F.pad(torch.tensor(x), (2, 1, 0, 3), names.get(mode, mode))
    assert (ours.numpy() == np.pad(x, ((0, 0), (0, 0), (0, 3), (2, 1)), mode)).all()
    whole = F.pad(torch.tensor(x).to(torch.int16), (2, 1, 0, 3), names.get(mode, mode))
    assert whole.dtype == torch.int16


def test_sampling_at_the_pixels_gives_the_picture() -> None:
    x = torch.tensor(numbers(1, 2, 4, 5))
    identity = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    for align in (False, True):
        grid = F.affine_grid(identity, (1, 2, 4, 5), align_corners=align)
        for mode in ("bilinear", "nearest", "bicubic"):
            found = F.grid_sample(x, grid, mode, align_corners=align)
            assert torch.allclose(found, x, atol=1e-5), (mode, align)


def test_maxima_of_windows_that_see_nothing_have_no_gradient() -> None:
    """Dilation can step over the whole input: rows -1, 1 and 3 of an input of one row."""
    x = torch.ones(1, 1, 1, 17, requires_grad=True)
    y = F.max_pool2d(x, (3, 3), (4, 1), (1, 1), (2, 1), True)
    assert torch.isinf(y).all()
    assert (torch.autograd.grad(y, x, torch.ones_like(y))[0] == 0).all()


def test_power_means_of_zeros_have_no_gradient() -> None:
    x = torch.tensor([[[0.0, 0.0, 3.0, 4.0]]], requires_grad=True)
    y = F.lp_pool1d(x, 2, 2)
    gradient = torch.autograd.grad(y.sum(), x)[0]
    assert torch.allclose(gradient, torch.tensor([[[0.0, 0.0, 0.6, 0.8]]]))


def test_a_transposed_convolution_that_pads_all_away_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Calculated output size per channel: \(1 x 0\)"):
        F.conv_transpose1d(torch.ones(1, 1, 2), torch.ones(1, 1, 5), padding=3)
    assert F.conv_transpose1d(torch.ones(0, 1, 2), torch.ones(1, 1, 5), padding=3).shape == (
        0,
        1,
        0,
    )


def test_patches_folded_are_contiguous() -> None:
    patches = F.unfold(torch.ones(1, 2, 4, 5), 2, padding=1)
    assert F.fold(patches, (4, 5), 2, padding=1).is_contiguous()

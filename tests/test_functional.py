"""nn.functional against NumPy and SciPy formulas, and its gradients against finite differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import signal, special

import flambeau as torch
import flambeau.nn.functional as F

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 7))


def tensor(array, grad=False):
    return torch.from_numpy(np.array(array)).requires_grad_(grad)


def close(ours, expected, tolerance=1e-9):
    np.testing.assert_allclose(ours.detach().numpy(), expected, tolerance, tolerance)


def sigmoid(x):
    return special.expit(x)


# -- activations -----------------------------------------------------------------------------------

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805

ACTIVATIONS = {
    "relu": (F.relu, lambda x: np.maximum(x, 0)),
    "threshold": (lambda x: F.threshold(x, 0.3, 9.0), lambda x: np.where(x <= 0.3, 9.0, x)),
    "hardtanh": (lambda x: F.hardtanh(x, -0.4, 0.6), lambda x: np.clip(x, -0.4, 0.6)),
    "relu6": (F.relu6, lambda x: np.clip(x, 0, 6)),
    "elu": (lambda x: F.elu(x, 2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(x))),
    "selu": (
        F.selu,
        lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    ),
    "celu": (lambda x: F.celu(x, 0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x / 0.5))),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "gelu": (F.gelu, lambda x: x * special.ndtr(x)),
    "gelu_tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (F.silu, lambda x: x * sigmoid(x)),
    "mish": (F.mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "hardsigmoid": (F.hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6),
    "hardswish": (F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "logsigmoid": (F.logsigmoid, lambda x: np.log(sigmoid(x))),
    "softplus": (lambda x: F.softplus(x, 2.0), lambda x: np.log1p(np.exp(2 * x)) / 2),
    "hardshrink": (F.hardshrink, lambda x: np.where(np.abs(x) > 0.5, x, 0)),
    "softshrink": (F.softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    "tanhshrink": (F.tanhshrink, lambda x: x - np.tanh(x)),
    "softsign": (F.softsign, lambda x: x / (1 + np.abs(x))),
    "glu": (lambda x: F.glu(x[:, :6]), lambda x: x[:, :3] * sigmoid(x[:, 3:6])),
    "softmax": (lambda x: F.softmax(x, 1), lambda x: special.softmax(x, 1)),
    "softmin": (lambda x: F.softmin(x, 0), lambda x: special.softmax(-x, 0)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), lambda x: special.log_softmax(x, 1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    ours, formula = ACTIVATIONS[name]
    close(ours(tensor(X)), formula(X))
    assert torch.autograd.gradcheck(ours, (tensor(X, grad=True),))
    assert torch.autograd.gradgradcheck(ours, (tensor(X, grad=True),))


@pytest.mark.parametrize("name", ["relu", "elu", "celu", "selu", "silu", "mish", "hardtanh"])
def test_activation_in_place(name):
    function = getattr(F, name)
    x = tensor(X, grad=True)
    y = x * 1
    assert function(y, inplace=True) is y
    y.sum().backward()
    z = tensor(X, grad=True)
    function(z).sum().backward()
    close(y, function(tensor(X)).numpy())
    close(x.grad, z.grad.numpy())


@pytest.mark.parametrize("name", ["elu", "selu", "softplus", "mish", "logsigmoid", "gelu", "silu"])
def test_activation_far_from_zero(name):
    x = tensor(np.array([-1000.0, -100.0, 100.0, 1000.0], np.float32), grad=True)
    y = getattr(F, name)(x)
    y.sum().backward()
    assert np.isfinite(y.detach().numpy()).all() and np.isfinite(x.grad.numpy()).all()


def test_nan_survives():
    nan = tensor([math.nan])
    for name in ("relu", "relu6", "elu", "leaky_relu", "hardswish", "softshrink", "hardshrink"):
        assert torch.isnan(getattr(F, name)(nan)).item(), name


def test_gradient_at_kinks():
    def slope(function, place):
        x = tensor([place], grad=True)
        function(x).backward()
        return x.grad.item()

    assert slope(F.relu, 0.0) == 0
    assert slope(F.leaky_relu, 0.0) == pytest.approx(0.01)
    assert slope(F.hardtanh, 1.0) == slope(F.hardtanh, -1.0) == 0
    assert (slope(F.hardswish, -3.0), slope(F.hardswish, 3.0)) == (0, 1)
    assert slope(F.relu6, 6.0) == 0
    assert slope(F.elu, 0.0) == 1
    assert slope(F.logsigmoid, 0.0) == 0.5
    assert slope(F.hardshrink, 0.5) == 0


# -- losses ----------------------------------------------------------------------------------------

Y = RNG.standard_normal((5, 7))
P = RNG.uniform(0.05, 0.95, (5, 7))
T = RNG.uniform(0.05, 0.95, (5, 7))
CLASSES = RNG.integers(0, 7, 5)
WEIGHT = RNG.uniform(0.5, 2, 7)
LOG_P = special.log_softmax(X, 1)

LOSSES = {
    "mse_loss": ((X, Y), (X - Y) ** 2),
    "l1_loss": ((X, Y), np.abs(X - Y)),
    "smooth_l1_loss": ((X, Y), special.huber(1.0, X - Y)),
    "huber_loss": ((X, Y), special.huber(1.0, X - Y)),
    "binary_cross_entropy": ((P, T), -(T * np.log(P) + (1 - T) * np.log(1 - P))),
    "binary_cross_entropy_with_logits": (
        (X, T),
        -(T * np.log(sigmoid(X)) + (1 - T) * np.log(sigmoid(-X))),
    ),
    "kl_div": ((X, T), T * (np.log(T) - X)),
    "poisson_nll_loss": ((X, T), np.exp(X) - T * X),
    "soft_margin_loss": ((X, np.sign(Y)), np.log1p(np.exp(-X * np.sign(Y)))),
    "hinge_embedding_loss": ((X, np.sign(Y)), np.where(Y > 0, X, np.maximum(0, 1 - X))),
}


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore")
def test_loss(name, reduction):
    (x, t), losses = LOSSES[name]
    function = getattr(F, name)
    expected = {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]
    close(function(tensor(x), tensor(t), reduction=reduction), expected)
    assert torch.autograd.gradcheck(
        lambda a: function(a, tensor(t), reduction=reduction), (tensor(x, grad=True),)
    )


def test_cross_entropy():
    picked = -LOG_P[np.arange(5), CLASSES]
    x, y = tensor(X), tensor(CLASSES)
    close(F.cross_entropy(x, y), picked.mean())
    close(F.cross_entropy(x, y, reduction="none"), picked)
    w = WEIGHT[CLASSES]
    close(F.cross_entropy(x, y, tensor(WEIGHT)), (w * picked).sum() / w.sum())
    kept = CLASSES != CLASSES[0]
    close(F.cross_entropy(x, y, ignore_index=int(CLASSES[0])), picked[kept].mean())
    smooth = 0.8 * picked + 0.2 * -LOG_P.mean(1)
    close(F.cross_entropy(x, y, label_smoothing=0.2, reduction="none"), smooth)
    close(F.cross_entropy(x, y, label_smoothing=0.2), smooth.mean())
    q = special.softmax(Y, 1)
    close(F.cross_entropy(x, tensor(q)), -(q * LOG_P).sum(1).mean())
    assert math.isnan(F.cross_entropy(x, torch.full((5,), -100)).item())


def test_cross_entropy_of_pictures():
    x = RNG.standard_normal((2, 3, 4, 5))
    y = RNG.integers(0, 3, (2, 4, 5))
    picked = -np.take_along_axis(special.log_softmax(x, 1), y[:, None], 1)[:, 0]
    close(F.cross_entropy(tensor(x), tensor(y), reduction="none"), picked)


def test_binary_cross_entropy_at_the_ends():
    x = tensor([0.0, 1.0, 0.0, 1.0], grad=True)
    losses = F.binary_cross_entropy(x, tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    close(losses, [0, 0, 100, 100])
    losses.sum().backward()
    close(x.grad, [0, 0, -1e12, 1e12])


def test_ctc_loss_sums_over_alignments():
    steps, classes, target = 4, 3, [1, 2]
    log_probs = special.log_softmax(RNG.standard_normal((steps, 1, classes)), 2)

    def collapse(path):
        return [k for k, _ in itertools.groupby(path) if k]

    total = sum(
        math.exp(sum(log_probs[t, 0, k] for t, k in enumerate(path)))
        for path in itertools.product(range(classes), repeat=steps)
        if collapse(path) == target
    )
    lengths = (torch.tensor([steps]), torch.tensor([2]))
    loss = F.ctc_loss(tensor(log_probs), torch.tensor([target]), *lengths, reduction="sum")
    close(loss, -math.log(total))

    def of_scores(scores):
        return F.ctc_loss(scores.log_softmax(2), torch.tensor([target]), *lengths)

    assert torch.autograd.gradcheck(of_scores, (tensor(log_probs, grad=True),))


def test_ctc_loss_of_the_impossible():
    log_probs = torch.zeros(1, 1, 3).log_softmax(2).requires_grad_()
    arguments = (torch.tensor([[1, 2]]), torch.tensor([1]), torch.tensor([2]))
    assert F.ctc_loss(log_probs, *arguments).item() == math.inf
    loss = F.ctc_loss(log_probs, *arguments, zero_infinity=True)
    loss.backward()
    assert loss.item() == 0 and log_probs.grad.abs().sum().item() == 0


# -- layers' functions -----------------------------------------------------------------------------


def test_linear_and_bilinear():
    x, w, b = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((5, 4)), RNG.standard_normal(5)
    close(F.linear(tensor(x), tensor(w), tensor(b)), x @ w.T + b)
    close(F.linear(tensor(x[0, 0]), tensor(w)), w @ x[0, 0])
    y, v = RNG.standard_normal((2, 3, 6)), RNG.standard_normal((5, 4, 6))
    expected = np.einsum("abi,kij,abj->abk", x, v, y) + b
    close(F.bilinear(tensor(x), tensor(y), tensor(v), tensor(b)), expected)


def correlate(x, w, stride, padding, dilation):
    """Cross-correlation of (N, C, H, W) with (K, C, h, w), by SciPy."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    spread = np.zeros((*w.shape[:2], *(dilation * (n - 1) + 1 for n in w.shape[2:])))
    spread[:, :, ::dilation, ::dilation] = w
    full = [
        [
            sum(signal.correlate(xc, wc, "valid") for xc, wc in zip(sample, kernel))
            for kernel in spread
        ]
        for sample in x
    ]
    return np.array(full)[:, :, ::stride, ::stride]


@pytest.mark.parametrize("stride, padding, dilation", [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)])
def test_convolution(stride, padding, dilation):
    x, w = RNG.standard_normal((2, 3, 9, 8)), RNG.standard_normal((4, 3, 3, 2))
    ours = F.conv2d(tensor(x), tensor(w), None, stride, padding, dilation)
    close(ours, correlate(x, w, stride, padding, dilation))


def test_convolution_padding_by_name():
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    assert F.conv2d(x, w, padding="same").shape == (2, 4, 9, 8)
    assert F.conv2d(x, w[:, :, :2, :], padding="same", dilation=2).shape == (2, 4, 9, 8)
    assert torch.equal(F.conv2d(x, w, padding="valid"), F.conv2d(x, w))
    assert torch.allclose(F.conv2d(x[0], w), F.conv2d(x, w)[0], atol=1e-5)


def test_transposed_convolution_is_the_transpose():
    x, w = tensor(RNG.standard_normal((1, 2, 7, 5))), tensor(RNG.standard_normal((3, 2, 3, 3)))
    y = tensor(RNG.standard_normal((1, 3, 4, 3)))
    forward = (F.conv2d(x, w, stride=2, padding=1) * y).sum()
    back = (F.conv_transpose2d(y, w, stride=2, padding=1) * x).sum()
    close(forward, back.item())
    # Lengths 7 and 8 are both mapped to 4: the output padding says which one is meant.
    assert F.conv_transpose2d(y, w, stride=2, padding=1, output_padding=(1, 0)).shape[2:] == (8, 5)


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_pooling(kernel, stride, padding):
    x = RNG.standard_normal((2, 3, 8, 9))
    for name, fill, reduce in (("max_pool2d", -np.inf, np.max), ("avg_pool2d", 0.0, np.mean)):
        border = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
        padded = np.pad(x, border, constant_values=fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))
        expected = reduce(windows[:, :, ::stride, ::stride], axis=(-2, -1))
        close(getattr(F, name)(tensor(x), kernel, stride, padding), expected)


def test_unpooling_puts_maxima_back():
    x = tensor(RNG.standard_normal((2, 3, 6, 6)))
    values, places = F.max_pool2d(x, 2, return_indices=True)
    y = F.max_unpool2d(values, places, 2)
    assert torch.equal(F.max_pool2d(y.abs(), 2), values.abs())
    assert (y != 0).sum().item() == values.numel()


def test_adaptive_pooling():
    x = RNG.standard_normal((2, 3, 7))
    bounds = [(i * 7 // 3, -(-(i + 1) * 7 // 3)) for i in range(3)]
    means = np.stack([x[..., a:b].mean(-1) for a, b in bounds], -1)
    close(F.adaptive_avg_pool1d(tensor(x), 3), means)
    maxima = np.stack([x[..., a:b].max(-1) for a, b in bounds], -1)
    close(F.adaptive_max_pool1d(tensor(x), 3), maxima)


def test_normalisations():
    x = RNG.standard_normal((4, 6, 5))
    w, b = RNG.standard_normal(6), RNG.standard_normal(6)

    def standardised(axes):
        mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5)

    affine = w[:, None], b[:, None]
    wb = {"weight": tensor(w), "bias": tensor(b)}
    close(F.batch_norm(tensor(x), None, None, training=True), standardised((0, 2)))
    expected = standardised((0, 2)) * affine[0] + affine[1]
    close(F.batch_norm(tensor(x), None, None, training=True, **wb), expected)
    close(F.instance_norm(tensor(x), **wb), standardised(2) * affine[0] + affine[1])
    close(F.layer_norm(tensor(x), (6, 5)), standardised((1, 2)))
    groups = x.reshape(4, 2, 15)
    groups = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    close(F.group_norm(tensor(x), 2), groups.reshape(x.shape))
    rms = np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3)
    close(F.rms_norm(tensor(x), (5,), eps=1e-3), x / rms)


def test_running_statistics():
    x = RNG.standard_normal((4, 6, 5))
    mean, variance = torch.zeros(6).double(), torch.ones(6).double()
    F.batch_norm(tensor(x), mean, variance, training=True, momentum=0.25)
    close(mean, 0.25 * x.mean((0, 2)))
    close(variance, 0.75 + 0.25 * x.var((0, 2), ddof=1))


def test_embedding():
    table = RNG.standard_normal((6, 3))
    places = np.array([[1, 2, 2], [5, 0, 2]])
    weight = tensor(table, grad=True)
    rows = F.embedding(tensor(places), weight, padding_idx=0, scale_grad_by_freq=True)
    close(rows, table[places])
    rows.sum().backward()
    expected = np.ones((6, 3))
    expected[[0, 3, 4]] = 0  # the padding row and the unused ones
    close(weight.grad, expected)
    close(F.embedding_bag(tensor(places), tensor(table)), table[places].mean(1))
    bags = F.embedding_bag(
        tensor(places.ravel()), tensor(table), torch.tensor([0, 4, 4]), mode="sum"
    )
    flat = table[places.ravel()]
    close(bags, np.stack([flat[:4].sum(0), np.zeros(3), flat[4:].sum(0)]))
    close(F.one_hot(tensor(places), 6), np.eye(6)[places])


@pytest.mark.parametrize(
    "mode, numpy_mode",
    [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")],
)
def test_pad(mode, numpy_mode):
    x = RNG.standard_normal((2, 3, 5, 6))
    expected = np.pad(x, [(0, 0), (0, 0), (3, 0), (1, 2)], mode=numpy_mode)
    close(F.pad(tensor(x), (1, 2, 3, 0), mode=mode), expected)


def test_pad_by_negative_numbers_cuts():
    x = RNG.standard_normal((2, 5))
    close(
        F.pad(tensor(x), (-1, 2), value=7.0), np.pad(x[:, 1:], [(0, 0), (0, 2)], constant_values=7)
    )


def test_patches():
    x = tensor(RNG.standard_normal((2, 3, 6, 7)))
    w = tensor(RNG.standard_normal((4, 3, 3, 2)))
    columns = F.unfold(x, (3, 2), padding=1, stride=2)
    product = (w.reshape(4, -1) @ columns).reshape(2, 4, 3, 4)
    close(F.conv2d(x, w, padding=1, stride=2), product.numpy())
    counts = F.fold(F.unfold(torch.ones(1, 1, 4, 4), 2), (4, 4), 2)[0, 0]
    assert counts.tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_pixels_and_channels():
    x = torch.arange(2 * 8 * 3 * 2).reshape(2, 8, 3, 2)
    y = F.pixel_shuffle(x, 2)
    assert y.shape == (2, 2, 6, 4) and y[0, 0, 1, 0] == x[0, 2, 0, 0]
    assert torch.equal(F.pixel_unshuffle(y, 2), x)
    assert (
        F.channel_shuffle(x, 2)[0, :, 0, 0].tolist()
        == x[0, [0, 4, 1, 5, 2, 6, 3, 7], 0, 0].tolist()
    )


def test_interpolate():
    x = RNG.standard_normal((2, 3, 5))
    places = (np.arange(8) + 0.5) * 5 / 8 - 0.5
    expected = [[np.interp(places, np.arange(5), row) for row in sample] for sample in x]
    close(F.interpolate(tensor(x), 8, mode="linear"), expected)
    close(F.interpolate(tensor(x), scale_factor=2), np.repeat(x, 2, -1))
    line = tensor(np.arange(6.0)).reshape(1, 1, 1, 6).expand(1, 1, 6, 6)
    cubic = F.interpolate(line, (6, 11), mode="bicubic", align_corners=True)[0, 0, 0, 2:-2]
    close(cubic, np.arange(1.0, 4.5, 0.5))  # a cubic reproduces a straight line inside


def test_grid_sample_of_the_identity():
    x = tensor(RNG.standard_normal((2, 3, 5, 6)))
    theta = tensor(np.array([[[1.0, 0, 0], [0, 1, 0]]] * 2))
    for align_corners, mode in itertools.product((True, False), ("bilinear", "nearest", "bicubic")):
        grid = F.affine_grid(theta, (2, 3, 5, 6), align_corners=align_corners)
        close(F.grid_sample(x, grid, mode=mode, align_corners=align_corners), x.numpy(), 1e-8)


def test_distances():
    x, y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    close(F.cosine_similarity(tensor(x), tensor(y)), (x * y).sum(1) / norms)
    difference = np.linalg.norm(x - y + 1e-6, ord=3, axis=1)
    close(F.pairwise_distance(tensor(x), tensor(y), 3.0), difference)
    pairs = [np.linalg.norm(x[i] - x[j]) for i, j in itertools.combinations(range(4), 2)]
    close(F.pdist(tensor(x)), pairs)
    close(F.normalize(tensor(x)), x / np.linalg.norm(x, axis=1, keepdims=True))


def test_attention():
    q, k, v = (RNG.standard_normal((2, 4, n, 5)) for n in (3, 6, 6))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(5)
    close(F.scaled_dot_product_attention(*map(tensor, (q, k, v))), special.softmax(scores, -1) @ v)
    mask = RNG.integers(0, 2, (3, 6)).astype(bool)
    mask[1] = False  # a query that may attend to nothing
    with np.errstate(invalid="ignore"):
        weights = special.softmax(np.where(mask, scores, -np.inf), -1)
    weights[:, :, 1] = 0
    ours = F.scaled_dot_product_attention(*map(tensor, (q, k, v)), attn_mask=tensor(mask))
    close(ours, weights @ v)
    causal = F.scaled_dot_product_attention(*map(tensor, (q, k, v)), is_causal=True)
    close(causal[:, :, 0], v[:, :, 0])
    shared = F.scaled_dot_product_attention(
        tensor(q), tensor(k[:, :2]), tensor(v[:, :2]), enable_gqa=True
    )
    assert shared.shape == q.shape


def test_dropout():
    x = torch.ones(200, 50)
    y = F.dropout(x, 0.25)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert abs((y == 0).float().mean().item() - 0.25) < 0.02
    assert F.dropout(x, 0.25, training=False) is x
    channels = F.dropout2d(torch.ones(20, 30, 4, 4), 0.5).reshape(20, 30, 16)
    assert torch.equal(channels.amin(2), channels.amax(2))
    z = F.alpha_dropout(torch.randn(200, 500), 0.3, training=True)
    assert abs(z.mean().item()) < 0.02 and abs(z.std().item() - 1) < 0.02
    a = torch.ones(4, 4)
    assert F.dropout(a, 0.5, inplace=True) is a


def test_gumbel_softmax():
    logits = torch.zeros(1000, 3, requires_grad=True)
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    close(hard.sum(1), np.ones(1000, np.float32), 1e-5)
    (hard[:, 0] * 2).sum().backward()
    assert logits.grad.abs().sum().item() > 0

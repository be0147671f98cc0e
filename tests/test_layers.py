"""Layers: what they print and keep, training against evaluation, recurrence against loops.

Each layer beside the one of torch is in parity/test_layers_on_torch.py, the formulas are in
test_functional.py.
"""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn

PRINTED = {
    "nn.Linear(3, 2, bias=False)": "Linear(in_features=3, out_features=2, bias=False)",
    "nn.Conv2d(3, 8, 3, padding='same', bias=False)": (
        "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=same, bias=False)"
    ),
    "nn.ConvTranspose1d(3, 6, 4, 2, output_padding=1, groups=3)": (
        "ConvTranspose1d(3, 6, kernel_size=(4,), stride=(2,), output_padding=(1,), groups=3)"
    ),
    "nn.MaxPool2d(2)": (
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    ),
    "nn.AvgPool1d(2)": "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))",
    "nn.BatchNorm2d(3)": (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    ),
    "nn.LayerNorm([3, 4])": "LayerNorm((3, 4), eps=1e-05, elementwise_affine=True, bias=True)",
    "nn.Embedding(5, 3, padding_idx=-1, max_norm=2)": "Embedding(5, 3, padding_idx=4, max_norm=2)",
    "nn.EmbeddingBag(5, 3)": "EmbeddingBag(5, 3, mode='mean')",
    "nn.LSTM(3, 4, 2, dropout=0.5, proj_size=2)": (
        "LSTM(3, 4, proj_size=2, num_layers=2, dropout=0.5)"
    ),
    "nn.RNNCell(3, 4, nonlinearity='relu')": "RNNCell(3, 4, nonlinearity=relu)",
    "nn.ReLU(inplace=True)": "ReLU(inplace=True)",
    "nn.Threshold(0.1, 20)": "Threshold(threshold=0.1, value=20)",
    "nn.GELU('tanh')": "GELU(approximate='tanh')",
    "nn.Softmax(1)": "Softmax(dim=1)",
    "nn.Dropout(0.25)": "Dropout(p=0.25, inplace=False)",
    "nn.Flatten()": "Flatten(start_dim=1, end_dim=-1)",
    "nn.Upsample(scale_factor=2)": "Upsample(scale_factor=2.0, mode='nearest')",
    "nn.ZeroPad2d(1)": "ZeroPad2d((1, 1, 1, 1))",
    "nn.MSELoss()": "MSELoss()",
}


@pytest.mark.parametrize("text", PRINTED)
def test_printing(text):
    assert repr(eval(text)) == PRINTED[text]


def test_first_parameters_are_within_their_bounds():
    layer = nn.Linear(100, 50)
    assert layer.weight.abs().max().item() <= 0.1 and layer.bias.abs().max().item() <= 0.1
    assert layer.weight.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)
    convolution = nn.Conv2d(4, 8, 5, groups=2)
    assert convolution.weight.abs().max().item() <= 1 / math.sqrt(2 * 25)
    embedding = nn.Embedding(10, 3, padding_idx=2)
    assert embedding.weight[2].abs().sum().item() == 0 < embedding.weight[1].abs().sum().item()
    for parameter in nn.LSTM(3, 16).parameters():
        assert parameter.abs().max().item() <= 0.25


def test_device_and_dtype_of_parameters():
    for layer in (
        nn.Linear(2, 3, dtype=torch.float64),
        nn.Conv1d(2, 3, 1, dtype=torch.float64),
        nn.BatchNorm1d(2, dtype=torch.float64),
        nn.LSTM(2, 3, dtype=torch.float64),
        nn.MultiheadAttention(4, 2, dtype=torch.float64),
        nn.Embedding(2, 3, dtype=torch.float64),
    ):
        state = {k: v for k, v in layer.state_dict().items() if k != "num_batches_tracked"}
        assert {v.dtype for v in state.values()} == {torch.float64}


def test_state_survives_pickling_and_copying():
    for layer in (nn.Linear(2, 3), nn.BatchNorm1d(3), nn.GRU(2, 3), nn.MultiheadAttention(4, 2)):
        for twin in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
            assert repr(twin) == repr(layer)
            for (name, ours), (key, theirs) in zip(
                layer.state_dict().items(), twin.state_dict().items()
            ):
                assert name == key and torch.equal(ours, theirs)


def test_dropout_follows_the_mode():
    layer = nn.Dropout(0.5)
    x = torch.ones(100)
    assert (layer(x) == 0).any()
    assert layer.eval()(x) is x


def test_batch_norm_follows_the_mode():
    layer = nn.BatchNorm1d(3, momentum=0.5)
    x = torch.randn(10, 3) * 2 + 1
    y = layer(x)
    assert y.mean(0).abs().max().item() < 1e-5
    assert layer.num_batches_tracked.item() == 1
    assert torch.allclose(layer.running_mean, x.mean(0) / 2)
    layer.eval()
    expected = (x - layer.running_mean) / (layer.running_var + 1e-5).sqrt()
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_averages_all_batches_without_momentum():
    layer = nn.BatchNorm1d(3, momentum=None)
    batches = [torch.randn(10, 3) for _ in range(4)]
    for batch in batches:
        layer(batch)
    assert torch.allclose(layer.running_mean, torch.cat(batches).mean(0), atol=1e-6)


def test_batch_norm_loads_states_without_a_count():
    layer = nn.BatchNorm1d(3)
    state = layer.state_dict()
    del state["num_batches_tracked"]
    state._metadata[""]["version"] = 1
    assert str(layer.load_state_dict(state)) == "<All keys matched successfully>"


def test_lazy_layers_become_plain_ones():
    for lazy, x, plain in (
        (nn.LazyLinear(4), torch.zeros(2, 3), nn.Linear(3, 4)),
        (nn.LazyConv2d(4, 3), torch.zeros(2, 3, 5, 5), nn.Conv2d(3, 4, 3)),
        (nn.LazyConvTranspose1d(4, 3), torch.zeros(2, 3, 5), nn.ConvTranspose1d(3, 4, 3)),
        (nn.LazyBatchNorm1d(), torch.zeros(2, 3), nn.BatchNorm1d(3)),
    ):
        lazy(x)
        assert type(lazy) is type(plain) and repr(lazy) == repr(plain)
        shapes = {k: v.shape for k, v in plain.state_dict().items()}
        assert {k: v.shape for k, v in lazy.state_dict().items()} == shapes


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_in_numpy(layer, x):
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in layer.parameters())
    h = c = np.zeros((x.shape[1], layer.hidden_size))
    outputs = []
    for step in x:
        i, f, g, o = np.split(step @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def test_lstm_against_a_loop():
    layer = nn.LSTM(3, 4).double()
    x = np.random.default_rng(0).standard_normal((6, 2, 3))
    output, (h, c) = layer(torch.from_numpy(x))
    for ours, theirs in zip((output, h[0], c[0]), lstm_in_numpy(layer, x)):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, 1e-12)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_agree_with_their_cells(kind):
    layer, cell = getattr(nn, kind)(3, 4), getattr(nn, kind + "Cell")(3, 4)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(cell, name, getattr(layer, name + "_l0"))
    x = torch.randn(5, 2, 3)
    output, _ = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        hidden = state[0] if kind == "LSTM" else state
        assert torch.allclose(hidden, output[t], atol=1e-6)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_backward_direction_is_the_forward_one_of_the_reversed_sequence(kind):
    layer = getattr(nn, kind)(3, 4, bidirectional=True)
    forward = getattr(nn, kind)(3, 4)
    for name, parameter in forward.named_parameters():
        parameter.data = getattr(layer, name + "_reverse").data
    x = torch.randn(5, 2, 3)
    expected, _ = forward(x.flip(0))
    assert torch.allclose(layer(x)[0][..., 4:], expected.flip(0), atol=1e-6)


def test_packed_sequences_ignore_padding():
    layer = nn.GRU(3, 4, 2, bidirectional=True)
    x = torch.randn(5, 3, 3)
    lengths = [5, 3, 1]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths)
    output, state = layer(packed)
    padded, _ = nn.utils.rnn.pad_packed_sequence(output)
    for sample, length in enumerate(lengths):
        alone, last = layer(x[:length, sample : sample + 1])
        assert torch.allclose(padded[:length, sample], alone[:, 0], atol=1e-6)
        assert torch.allclose(state[:, sample], last[:, 0], atol=1e-6)


def test_attention_of_one_head_is_the_formula():
    layer = nn.MultiheadAttention(4, 1, bias=False)
    x = torch.randn(5, 2, 4)
    q, k, v = (x @ w.T for w in layer.in_proj_weight.chunk(3))
    q, k, v = (t.transpose(0, 1) for t in (q, k, v))
    weights = (q @ k.transpose(1, 2) / 2).softmax(-1)
    expected = (weights @ v).transpose(0, 1) @ layer.out_proj.weight.T
    output, attention = layer(x, x, x)
    assert torch.allclose(output, expected, atol=1e-6)
    assert torch.allclose(attention, weights, atol=1e-6)
    assert torch.allclose(layer(x, x, x, need_weights=False)[0], expected, atol=1e-6)


def test_causal_transformer_does_not_look_ahead():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    x = torch.randn(1, 6, 8)
    y = x.clone()
    y[0, 4:] = 0
    assert torch.allclose(layer(x, mask)[0, :4], layer(y, mask)[0, :4], atol=1e-6)
    assert not torch.allclose(layer(x)[0, :4], layer(y)[0, :4], atol=1e-6)


def test_adaptive_softmax_is_a_distribution():
    layer = nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7])
    x, y = torch.randn(20, 6), torch.randint(0, 12, (20,))
    full = layer.log_prob(x)
    assert torch.allclose(full.exp().sum(1), torch.ones(20), atol=1e-5)
    output, loss = layer(x, y)
    assert torch.allclose(output, full.gather(1, y[:, None])[:, 0], atol=1e-5)
    assert loss.item() == pytest.approx(-output.mean().item())
    assert torch.equal(layer.predict(x), full.argmax(1))


@pytest.mark.parametrize("name", ["L1Loss", "MSELoss", "BCEWithLogitsLoss"])
def test_deprecated_reductions_of_losses(name):
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert getattr(nn, name)(size_average=False).reduction == "sum"
    with pytest.warns(UserWarning, match="please use reduction='none' instead"):
        assert getattr(nn, name)(reduce=False).reduction == "none"


def test_loss_weights_are_in_the_state():
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
    assert list(loss.state_dict()) == ["weight"]
    assert nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)).state_dict().keys() == {"pos_weight"}


def test_inplace_activation_changes_its_input():
    x = torch.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x) is x and x.tolist() == [0, 2]


def test_training_a_small_network_lowers_the_loss():
    x = torch.randn(64, 1, 8, 8)
    y = (x.mean((1, 2, 3)) > 0).long()
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    losses = []
    for _ in range(30):
        loss = nn.CrossEntropyLoss()(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2

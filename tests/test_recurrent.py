"""Recurrent layers beside NumPy, beside themselves step by step, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn.functional import recurrent
from flambeau.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

KINDS = ("LSTM", "GRU", "RNN_TANH", "RNN_RELU")


def layer(kind: str, *sizes: int, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind.startswith("RNN"):
        return torch.nn.RNN(*sizes, nonlinearity=kind[4:].lower(), **options)
    return getattr(torch.nn, kind)(*sizes, **options)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def step(kind, x, h, c, w_ih, w_hh, b_ih, b_hh):
    a, b = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if kind == "LSTM":
        i, f, g, o = np.split(a + b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if kind == "GRU":
        (ar, az, an), (br, bz, bn) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
        z = sigmoid(az + bz)
        return (1 - z) * np.tanh(an + sigmoid(ar + br) * bn) + z * h, c
    return (np.tanh(a + b) if kind == "RNN_TANH" else np.maximum(a + b, 0)), c


def reference(kind: str, module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """Outputs of all layers, in NumPy."""
    for layer in range(module.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(module, f"{n}_l{layer}{suffix}").detach().numpy() for n in names]
            h = c = np.zeros((x.shape[1], module.hidden_size))
            found = []
            for row in x[::-1] if suffix else x:
                h, c = step(kind, row, h, c, *weights)
                found.append(h)
            outputs.append(np.stack(found[::-1] if suffix else found))
        x = np.concatenate(outputs, axis=-1)
    return x


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
def test_values(kind, dtype, tolerance):
    for batch, hidden, layers, both in ((1, 1, 1, False), (3, 5, 2, True), (19, 40, 1, True)):
        options = {"dtype": getattr(torch, dtype), "num_layers": layers, "bidirectional": both}
        module = layer(kind, 6, hidden, **options)
        x = torch.randn(7, batch, 6, dtype=getattr(torch, dtype))
        expected = reference(kind, module, x.numpy().astype("float64"))
        with torch.no_grad():
            np.testing.assert_allclose(module(x)[0].numpy(), expected, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_share_the_rows(kind):
    module = layer(kind, 20, 130)
    x = torch.randn(9, 37, 20)
    expected = reference(kind, module, x.numpy().astype("float64"))
    np.testing.assert_allclose(module(x)[0].detach().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [4, 4, 2, 1], [1, 4, 3, 4]])
def test_one_call_equals_the_steps(monkeypatch, kind, lengths):
    """Values and gradients of the native layer are those of plain operations."""
    module = layer(kind, 3, 5, num_layers=2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(4, 4, 3, dtype=torch.float64)

    def run():
        module.zero_grad()
        leaf = x.clone().requires_grad_()
        if lengths is None:
            output, state = module(leaf)
        else:
            packed = pack_padded_sequence(leaf, lengths, enforce_sorted=False)
            output, state = module(packed)
            output, _ = pad_packed_sequence(output)
        states = state if isinstance(state, tuple) else (state,)
        weighted = [
            (t * torch.arange(t.numel()).view(t.shape)).sin().sum() for t in (output, *states)
        ]
        sum(weighted).backward()
        return [output, *states, leaf.grad, *(p.grad for p in module.parameters())]

    native = run()

    class Steps:
        @staticmethod
        def apply(mode, gates, lengths, sizes, weight, bias, reverse, *state):
            return recurrent._run_steps(mode, gates, lengths, state, (weight, bias, None), reverse)

    monkeypatch.setattr(recurrent, "_Layer", Steps)
    for ours, plain in zip(native, run()):
        assert torch.allclose(ours, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("both", [False, True])
def test_gradients(kind, both):
    torch.manual_seed(1)
    module = layer(kind, 2, 3, bidirectional=both, dtype=torch.float64)
    directions = 2 if both else 1
    count = 2 if kind == "LSTM" else 1
    inputs = [
        torch.randn(s, dtype=torch.float64, requires_grad=True)
        for s in ((3, 2, 2), *[(directions, 2, 3)] * count)
    ]

    def run(x, *state):
        output, last = module(x, state if count == 2 else state[0])
        return (output, *last) if count == 2 else (output, last)

    if kind != "RNN_RELU":  # differences step over its kinks
        assert torch.autograd.gradcheck(run, inputs)
        assert torch.autograd.gradgradcheck(run, inputs)
    weights = list(module.parameters())
    (loss := sum(t.square().sum() for t in run(*inputs))).backward()
    assert loss.item() > 0 and all(w.grad.shape == w.shape for w in weights)


def test_projection():
    module = layer("LSTM", 3, 5, proj_size=2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    output, (h, c) = module(x)
    assert output.shape == (4, 2, 4) and h.shape == (2, 2, 2) and c.shape == (2, 2, 5)
    assert torch.autograd.gradcheck(lambda x: module(x)[0], [x])


@pytest.mark.parametrize("kind", KINDS)
def test_forms_of_input(kind):
    module, first = layer(kind, 3, 4), layer(kind, 3, 4, batch_first=True)
    x = torch.randn(5, 2, 3)
    output, _ = module(x)
    turned, _ = first(x.transpose(0, 1))
    assert torch.allclose(output, turned.transpose(0, 1))
    assert torch.allclose(module(x[:, 0])[0], output[:, 0], atol=1e-6)
    packed, _ = module(pack_padded_sequence(x, [5, 3]))
    padded, lengths = pad_packed_sequence(packed)
    assert lengths.tolist() == [5, 3] and torch.allclose(padded[:3], output[:3], atol=1e-6)
    assert (padded[3:, 1] == 0).all()


def test_dropout_between_layers():
    module = layer("GRU", 3, 4, num_layers=2, dropout=1.0)
    x = torch.randn(5, 2, 3)
    blind = module(x)[0]
    assert torch.allclose(blind, module(torch.zeros_like(x))[0])
    module.eval()
    assert not torch.allclose(blind, module(x)[0])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN_TANH"])
def test_cells_are_steps(kind):
    module = layer(kind, 3, 4)
    cell = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell}.get(kind, torch.nn.RNNCell)(3, 4)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(cell, name, getattr(module, name + "_l0"))
    x = torch.randn(3, 2, 3)
    state = None
    for row, expected in zip(x, module(x)[0]):
        state = cell(row, state)
        hidden = state[0] if kind == "LSTM" else state
        assert torch.allclose(hidden, expected, atol=1e-6)


def test_no_rows_and_no_memory():
    assert layer("LSTM", 3, 4)(torch.randn(5, 0, 3))[0].shape == (5, 0, 4)
    module = layer("GRU", 3, 4, device="meta")
    output, state = module(torch.empty(5, 2, 3, device="meta"))
    assert output.shape == (5, 2, 4) and state.shape == (1, 2, 4) and output.device.type == "meta"

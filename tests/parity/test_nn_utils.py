"""nn.utils beside torch's: clipping, sequences, normalized weights, parametrizations."""

from __future__ import annotations

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")
from observing import observe

import flambeau

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


def with_gradients(torch, nn):
    ps = [
        nn.Parameter(torch.arange(4.0)),
        nn.Parameter(torch.ones(2, 2)),
        nn.Parameter(torch.ones(1)),
    ]
    ps[0].grad = torch.tensor([3.0, -4.0, 0.5, 2.0])
    ps[1].grad = torch.full((2, 2), 2.0, dtype=torch.float32)
    return ps


@scenario
def clipping(torch, nn, say, attempt):
    utils = nn.utils
    for kind in (1, 2.0, 3, float("inf"), 0):
        for limit in (1.0, 100.0, 0.0):
            ps = with_gradients(torch, nn)
            attempt(lambda ps=ps, kind=kind, limit=limit: utils.clip_grad_norm_(ps, limit, kind))
            say([p.grad for p in ps])
    ps = with_gradients(torch, nn)
    attempt(lambda: utils.clip_grad_norm_(ps[0], 1))
    attempt(lambda: utils.clip_grad_norm_(iter(ps), 1, foreach=False))
    attempt(lambda: utils.clip_grad_norm_((p for p in []), 1))
    attempt(lambda: utils.clip_grad_norm_([], 1))
    attempt(lambda: utils.clip_grad_norm_(ps, "a"))
    attempt(lambda: utils.clip_grad_norm(ps, 1))
    attempt(lambda: utils.get_total_norm([torch.ones(2), torch.ones(2)]))
    attempt(lambda: utils.clip_grads_with_norm_(ps, 1.0, torch.tensor(10.0)))
    say([p.grad for p in ps])
    attempt(lambda: utils.clip_grad_value_(ps, 0.05))
    say([p.grad for p in ps])
    for bad in (float("inf"), float("nan")):
        ps[0].grad = torch.full((4,), bad)
        attempt(lambda: utils.clip_grad_norm_(ps, 1, error_if_nonfinite=True))
        attempt(lambda: utils.clip_grad_norm_(ps, 1))
        say(ps[0].grad)


@scenario
def vectors(torch, nn, say, attempt):
    utils = nn.utils
    ps = with_gradients(torch, nn)
    say(utils.parameters_to_vector(ps).detach())
    vector = torch.arange(9.0)
    attempt(lambda: utils.vector_to_parameters(vector, ps))
    vector[0] = 50
    say(ps)
    attempt(lambda: utils.vector_to_parameters([1], ps))


@scenario
def packing(torch, nn, say, attempt):
    rnn = nn.utils.rnn
    x = torch.arange(24.0).reshape(4, 3, 2)
    for lengths in ([4, 2, 1], [4, 2], [4, 2, 0], [2, 4, 1], [3, 2, 1], [4, 4, 4]):
        attempt(lambda lengths=lengths: rnn.pack_padded_sequence(x, lengths))
    attempt(lambda: rnn.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False))
    attempt(lambda: rnn.pack_padded_sequence(x, [2, 4, 0], enforce_sorted=False))
    attempt(lambda: rnn.pack_padded_sequence(x, [2, 2, 1, 1], batch_first=True))
    attempt(lambda: rnn.pack_padded_sequence(x, torch.tensor([4, 2, 1])))
    attempt(lambda: rnn.pack_padded_sequence(x, torch.tensor([4.0, 2.0, 1.0])))
    attempt(lambda: rnn.pack_padded_sequence(x, torch.ones(1, 3)))
    attempt(lambda: rnn.pack_padded_sequence(x, torch.tensor(3)))
    attempt(lambda: rnn.pack_padded_sequence(x[:0], [4, 2, 1]))
    attempt(lambda: rnn.pack_padded_sequence(x[:, :0], []))
    packed = rnn.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False)
    for batch_first in (False, True):
        attempt(lambda b=batch_first: rnn.pad_packed_sequence(packed, batch_first=b))
        attempt(lambda b=batch_first: rnn.pad_packed_sequence(packed, b, -1.0, 6))
    attempt(lambda: rnn.pad_packed_sequence(packed, total_length=3))
    say(packed.to(torch.float64).data.dtype, packed.to("cpu") is packed, packed.long().data)
    say(packed.is_cuda, type(packed.double()).__name__, isinstance(packed, tuple))
    attempt(lambda: rnn.PackedSequence(x))
    attempt(lambda: rnn.PackedSequence((x, torch.ones(1))))
    say(rnn.invert_permutation(torch.tensor([2, 0, 1])), rnn.invert_permutation(None))


@scenario
def gradients_through_packing(torch, nn, say, attempt):
    rnn = nn.utils.rnn
    x = torch.arange(12.0).reshape(3, 2, 2).requires_grad_()
    packed = rnn.pack_padded_sequence(x, [1, 3], enforce_sorted=False)
    (packed.data**2).sum().backward()
    say(x.grad)
    y = torch.ones(2, requires_grad=True)
    padded, _ = rnn.pad_packed_sequence(rnn.pack_sequence([y * 2, y[:1] * 3]))
    padded.sum().backward()
    say(padded.detach(), y.grad)


@scenario
def padding(torch, nn, say, attempt):
    rnn = nn.utils.rnn
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0])
    for batch_first in (False, True):
        for side in ("right", "left", "up"):
            attempt(lambda f=batch_first, s=side: rnn.pad_sequence([a, b], f, 9.0, s))
    attempt(lambda: rnn.pad_sequence([torch.ones(2, 3), torch.ones(1, 3)]))
    attempt(lambda: rnn.pad_sequence([]))
    attempt(lambda: rnn.pad_sequence(3))
    attempt(lambda: rnn.pad_sequence([a, 3]))
    attempt(lambda: rnn.pad_sequence(torch.ones(2, 3)))
    attempt(lambda: rnn.pad_sequence([torch.ones(2, dtype=torch.int64), b * 2.5]))
    attempt(lambda: rnn.unpad_sequence(rnn.pad_sequence([a, b], True), torch.tensor([2, 3]), True))
    attempt(lambda: rnn.unpack_sequence(rnn.pack_sequence([a, b], enforce_sorted=False)))
    attempt(lambda: rnn.pack_sequence([a, b]))


@scenario
def old_weight_norm(torch, nn, say, attempt):
    for dim in (0, 1, None):
        layer = nn.Linear(3, 2)
        attempt(lambda layer=layer, dim=dim: nn.utils.weight_norm(layer, dim=dim))
        say(list(layer.state_dict()), layer.weight_g, layer(torch.ones(1, 3)).detach())
        layer(torch.ones(1, 3)).sum().backward()
        say(layer.weight_g.grad, layer.weight_v.grad)
        attempt(lambda layer=layer: nn.utils.weight_norm(layer))
        attempt(lambda layer=layer: nn.utils.remove_weight_norm(layer))
        say(list(layer.state_dict()), layer.weight)
        attempt(lambda layer=layer: nn.utils.remove_weight_norm(layer))


@scenario
def old_spectral_norm(torch, nn, say, attempt):
    layer = nn.Linear(3, 2)
    attempt(lambda: nn.utils.spectral_norm(layer, n_power_iterations=0))
    attempt(lambda: nn.utils.spectral_norm(layer))
    for _ in range(3):
        say(layer(torch.ones(1, 3)).detach(), layer.weight_u, layer.weight_v)
    layer.eval()
    say(layer(torch.ones(1, 3)).detach())
    layer(torch.ones(1, 3)).sum().backward()
    state = layer.state_dict()
    say(list(state), state._metadata, layer.weight_orig.grad)
    attempt(lambda: layer.load_state_dict(state))
    del state["weight_v"]
    attempt(lambda: layer.load_state_dict(state))
    attempt(lambda: nn.utils.spectral_norm(layer))
    attempt(lambda: nn.utils.remove_spectral_norm(layer))
    say(list(layer.state_dict()), layer.weight)
    attempt(lambda: nn.utils.remove_spectral_norm(layer))
    attempt(lambda: nn.utils.spectral_norm(nn.Linear(2, 2, bias=False), "bias"))


@scenario
def parametrizing(torch, nn, say, attempt):
    parametrize = nn.utils.parametrize

    class Doubled(nn.Module):
        def forward(self, x):
            return x * 2

        def right_inverse(self, x):
            return x / 2

    class Summed(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 1, torch.ones_like(x)

    class OneWay(nn.Module):
        def forward(self, x):
            return x + 1

    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    class Wide(nn.Module):
        def forward(self, x):
            return x.double()

    layer = nn.Linear(2, 2)
    weight = layer.weight
    before = weight.detach().clone()
    say(parametrize.register_parametrization(layer, "weight", Doubled()))
    say(type(layer).__name__, torch.equal(layer.weight, before), isinstance(layer, nn.Linear))
    say(layer.parametrizations.weight.original is weight, list(layer.state_dict()))
    layer.weight = torch.ones(2, 2)
    say(layer.weight, layer.parametrizations.weight.original)
    parametrize.register_parametrization(layer, "weight", OneWay())
    say(layer, layer.weight)

    def assign():
        layer.weight = torch.ones(2, 2)

    attempt(assign)
    attempt(lambda: parametrize.register_parametrization(layer, "weight", Flat()))
    attempt(lambda: parametrize.register_parametrization(layer, "weight", Wide()))
    attempt(lambda: parametrize.register_parametrization(nn.Linear(2, 2), "weight", Flat()))
    attempt(lambda: parametrize.register_parametrization(nn.Linear(2, 2), "weight", Wide()))
    attempt(lambda: parametrize.register_parametrization(nn.ReLU(), "weight", Flat()))
    say(parametrize.is_parametrized(layer), parametrize.is_parametrized(layer, "bias"))
    layer(torch.ones(1, 2)).sum().backward()
    say(weight.grad)
    with parametrize.cached():
        say(layer.weight is layer.weight)
    say(layer.weight is layer.weight)
    twin = copy.deepcopy(layer)
    twin.parametrizations.weight.original = nn.Parameter(torch.zeros(2, 2))
    say(twin.weight, layer.weight, type(twin) is type(layer))
    attempt(lambda: pickle.dumps(layer))
    attempt(lambda: parametrize.type_before_parametrizations(layer).__name__)
    attempt(lambda: parametrize.remove_parametrizations(layer, "weight"))
    say(layer.weight is weight, layer.weight, list(layer.state_dict()), type(layer).__name__)
    attempt(lambda: parametrize.remove_parametrizations(layer, "weight"))

    layer = nn.Linear(2, 2)
    layer.bias.data.fill_(3.0)
    parametrize.register_parametrization(layer, "bias", Summed())
    say(layer.bias, [n for n, _ in layer.named_parameters()])
    layer.bias = torch.zeros(2)
    say(layer.bias, layer.parametrizations.bias.original0)
    other = parametrize.transfer_parametrizations_and_params(layer, nn.Linear(2, 2))
    say(other, other.bias)
    attempt(lambda: parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False))
    attempt(lambda: parametrize.remove_parametrizations(layer, "bias"))
    say(layer.bias)


@scenario
def ready_made_parametrizations(torch, nn, say, attempt):
    made = nn.utils.parametrizations
    x = torch.ones(1, 3)
    for dim in (0, 1, None):
        layer = made.weight_norm(nn.Linear(3, 2), dim=dim)
        say(layer, list(layer.state_dict()), layer(x).detach())
        layer(x).sum().backward()
        say([p.grad for p in layer.parameters()])
    old = nn.Linear(3, 2).state_dict()
    old = {"weight_g": torch.ones(2, 1), "weight_v": torch.ones(2, 3), "bias": old["bias"]}
    layer = made.weight_norm(nn.Linear(3, 2))
    attempt(lambda: layer.load_state_dict(old))
    say(layer.weight.detach())
    layer = made.spectral_norm(nn.Linear(3, 2))
    say(layer, list(layer.state_dict()), layer(x).detach(), layer.eval()(x).detach())
    attempt(lambda: made.spectral_norm(nn.Linear(3, 2), dim=5))
    attempt(lambda: made.spectral_norm(nn.Linear(3, 2), n_power_iterations=0))
    attempt(lambda: made.spectral_norm(nn.ReLU()))
    attempt(lambda: made.spectral_norm(nn.Linear(3, 2), "bias"))
    attempt(lambda: made.orthogonal(nn.Linear(3, 2), "bias"))
    attempt(lambda: made.orthogonal(nn.Linear(3, 2), orthogonal_map="nope"))


@scenario
def functional_calls(torch, nn, say, attempt):
    call = nn.utils.stateless._functional_call

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 2, bias=False)
            self.second = nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight
            self.register_buffer("steps", torch.zeros(1))

        def forward(self, x, scale=1):
            self.steps = self.steps + 1
            return self.second(self.first(x)) * scale

    m = Tied()
    weight = m.first.weight
    x = torch.ones(1, 2)
    twos = torch.full((2, 2), 2.0)
    given = {"first.weight": twos, "steps": torch.ones(1)}
    attempt(lambda: call(m, given, x))
    say(m.first.weight is weight, m.second.weight is weight, m.steps, given["steps"])
    attempt(lambda: call(m, {"first.weight": twos}, (x,), {"scale": 2}, tie_weights=False).shape)
    attempt(lambda: call(m, {"first.weight": twos, "second.weight": twos + 1}, x))
    attempt(lambda: call(m, {"first.weight": twos, "second.weight": twos}, x))
    attempt(lambda: call(m, {"first.weight": twos, "nope": twos}, x, strict=True))
    attempt(lambda: call(m, {"nope.x": twos}, x))
    attempt(lambda: call(m, {"first.weight": torch.ones(3, 3)}, x))
    say(m.first.weight is weight, m.second.weight is weight)
    attempt(lambda: nn.utils.stateless.functional_call(m, {"steps": torch.ones(1)}, x).shape)


@scenario
def fusing(torch, nn, say, attempt):
    norm = nn.BatchNorm1d(2).eval()
    norm.running_mean.copy_(torch.tensor([1.0, -1.0]))
    norm.running_var.copy_(torch.tensor([4.0, 9.0]))
    for layer in (nn.Linear(3, 2), nn.Linear(3, 2, bias=False)):
        fused = nn.utils.fuse_linear_bn_eval(layer.eval(), norm)
        say(fused, fused.weight, fused.bias)
    attempt(lambda: nn.utils.fuse_linear_bn_eval(nn.Linear(3, 2), norm))
    attempt(lambda: nn.utils.fuse_linear_bn_eval(nn.Linear(3, 4).eval(), norm))
    fused = nn.utils.fuse_conv_bn_eval(nn.Conv1d(3, 2, 1).eval(), norm)
    say(fused, fused.weight, fused.bias)


@scenario
def skipping_initialization(torch, nn, say, attempt):
    layer = nn.utils.skip_init(nn.Linear, 3, 2)
    say(layer, layer.weight.device, torch.rand(1))
    attempt(lambda: nn.utils.skip_init(nn.ReLU))
    attempt(lambda: nn.utils.skip_init(int))


@pytest.mark.parametrize("function", SCENARIOS, ids=lambda f: f.__name__)
def test_scenario(function):
    assert observe(function, flambeau) == observe(function, torch)

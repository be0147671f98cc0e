"""Optimizers beside torch's: one program, two libraries.

The parameters of optimizers that use only arithmetic are compared without tolerance: the updates
round where torch rounds. Torch's square root may be one unit in the last place off (it comes from a
vector library), so the others may differ by a few such units.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import flambeau

OPTIONS = {
    "SGD": [
        dict(lr=0.01),
        dict(lr=0.01, momentum=0.9),
        dict(lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
        dict(lr=0.01, momentum=0.9, dampening=0.5, maximize=True),
    ],
    "Adam": [
        dict(),
        dict(amsgrad=True),
        dict(weight_decay=0.1),
        dict(maximize=True, betas=(0.4, 0.9)),
    ],
    "AdamW": [dict(), dict(amsgrad=True), dict(lr=0.1)],
    "RMSprop": [
        dict(),
        dict(momentum=0.9),
        dict(centered=True),
        dict(centered=True, momentum=0.5, weight_decay=0.1, maximize=True),
    ],
    "Adagrad": [
        dict(),
        dict(lr_decay=0.1, weight_decay=0.1),
        dict(initial_accumulator_value=0.5, maximize=True),
    ],
    "Adamax": [dict(), dict(weight_decay=0.1, maximize=True)],
    "NAdam": [
        dict(),
        dict(weight_decay=0.1, maximize=True),
        dict(weight_decay=0.1, decoupled_weight_decay=True),
    ],
    "RAdam": [
        dict(),
        dict(weight_decay=0.1, maximize=True),
        dict(weight_decay=0.1, decoupled_weight_decay=True),
        dict(betas=(0.9, 0.5)),
    ],
    "Adadelta": [dict(), dict(weight_decay=0.1, maximize=True, rho=0.5)],
    "ASGD": [dict(), dict(t0=5, lambd=0.1, alpha=0.5), dict(weight_decay=0.1, maximize=True)],
    "Rprop": [dict(), dict(maximize=True, etas=(0.3, 1.5))],
}
CASES = [(name, options) for name, rows in OPTIONS.items() for options in rows]
IDS = [f"{name}-{','.join(options) or 'plain'}" for name, options in CASES]


def plain(value):
    """Tensors as (dtype, nested lists), everything else as it is: equal across the libraries."""
    if hasattr(value, "tolist"):
        return (str(value.dtype).split(".")[-1], value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


# Optimizers whose formula has no square root.
ARITHMETIC = {"SGD", "ASGD", "Rprop", "Adamax"}
ULPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def assert_alike(actual, expected, name):
    """Equal but for the last places of the tensors of optimizers with square roots."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key in expected:
            assert_alike(actual[key], expected[key], name)
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected):
            assert_alike(a, e, name)
    elif not isinstance(expected, torch.Tensor) or name in ARITHMETIC:
        assert plain(actual) == plain(expected)
    else:
        assert plain(actual)[0] == plain(expected)[0]
        e = expected.detach().numpy()
        # Parameters begin near 1 and may end near 0; state follows gradients of any size.
        size = max(1, abs(e).max()) if isinstance(expected, torch.nn.Parameter) else abs(e).max()
        spread = 2.0**5 if isinstance(expected, torch.nn.Parameter) else 2.0**12
        tolerance = spread * ULPS[plain(expected)[0]] * size
        np.testing.assert_allclose(np.array(actual.tolist()), e, 0, tolerance)


def parameters(library, dtype="float32"):
    dtype = getattr(library, dtype)
    shapes = [(5, 3), (17,), ()]
    return [library.nn.Parameter(library.randn(shape, dtype=dtype)) for shape in shapes]


def train(library, name, options, steps=60, dtype="float32", skip=False):
    """A run whose gradients depend on the parameters by exact operations only."""
    library.manual_seed(0)
    params = parameters(library, dtype)
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.02}]
    optimizer = getattr(library.optim, name)(groups, **options)
    for step in range(steps):
        optimizer.zero_grad()
        loss = sum((p * p.abs() + p).abs().sum() for p in params)
        loss.backward()
        if skip and step % 3 == 0:
            params[1].grad = None
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_steps(name, options, dtype):
    expected, theirs = train(torch, name, options, dtype=dtype, skip=True)
    actual, ours = train(flambeau, name, options, dtype=dtype, skip=True)
    assert_alike(actual, expected, name)
    assert_alike(ours.state_dict(), theirs.state_dict(), name)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", OPTIONS)
def test_tensor_learning_rate(name):
    expected, _ = train(torch, name, {"lr": torch.tensor(0.01)}, 20)
    actual, _ = train(flambeau, name, {"lr": flambeau.tensor(0.01)}, 20)
    assert_alike(actual, expected, "")  # ASGD raises the tensor to a power


@pytest.mark.parametrize("name", OPTIONS)
def test_copies(name):
    _, optimizer = train(flambeau, name, OPTIONS[name][-1], 3)
    state = plain(optimizer.state_dict())
    assert plain(copy.deepcopy(optimizer).state_dict()) == state
    assert plain(pickle.loads(pickle.dumps(optimizer)).state_dict()) == state


@pytest.mark.parametrize("name", OPTIONS)
def test_continues_from_torch(name):
    """A state saved by torch leads on to the same parameters."""
    options = OPTIONS[name][-1]
    params, theirs = train(torch, name, options, 5)
    saved = _to_flambeau(theirs.state_dict())
    ours = [flambeau.nn.Parameter(flambeau.tensor(p.tolist())) for p in params]
    optimizer = getattr(flambeau.optim, name)([{"params": ours[:2]}, {"params": ours[2:]}])
    optimizer.load_state_dict(saved)
    for step in range(5):
        for opt, group in ((theirs, params), (optimizer, ours)):
            for p in group:
                p.grad = p.detach() * (step + 1)
            opt.step()
    assert_alike(ours, params, name)


def _to_flambeau(value):
    if isinstance(value, torch.Tensor):
        dtype = getattr(flambeau, str(value.dtype).split(".")[-1])
        return flambeau.tensor(value.tolist(), dtype=dtype)
    if isinstance(value, dict):
        return {key: _to_flambeau(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_flambeau(item) for item in value]
    return value


@pytest.mark.parametrize("name", OPTIONS)
def test_signature(name):
    assert _signature(getattr(flambeau.optim, name)) == _signature(getattr(torch.optim, name))


def _signature(cls):
    return [(p.name, p.default, p.kind) for p in inspect.signature(cls).parameters.values()]


# ---- wrong calls ---------------------------------------------------------------------------------
WRONG = [
    lambda T, p: T.optim.SGD(p),
    lambda T, p: T.optim.SGD([1]),
    lambda T, p: T.optim.SGD([]),
    lambda T, p: T.optim.SGD([p * 2]),
    lambda T, p: T.optim.SGD([{"params": {p}}]),
    lambda T, p: T.optim.SGD([("a", p), T.nn.Parameter(T.ones(1))]),
    lambda T, p: T.optim.SGD([p], lr=-1),
    lambda T, p: T.optim.SGD([p], momentum=-0.5),
    lambda T, p: T.optim.SGD([p], weight_decay=-0.5),
    lambda T, p: T.optim.SGD([p], nesterov=True),
    lambda T, p: T.optim.SGD([p], nesterov=True, momentum=0.9, dampening=0.1),
    lambda T, p: T.optim.SGD([p], lr=T.ones(2)),
    lambda T, p: T.optim.SGD([p], fused=True, foreach=True),
    lambda T, p: T.optim.SGD([p], fused=True, differentiable=True),
    lambda T, p: T.optim.SGD([p]).add_param_group([p]),
    lambda T, p: T.optim.SGD([p]).add_param_group({"params": p}),
    lambda T, p: T.optim.SGD([("a", p)]).add_param_group({"params": T.nn.Parameter(T.ones(1))}),
    lambda T, p: T.optim.SGD([p, p]),
    lambda T, p: T.optim.SGD([p]).load_state_dict({"state": {}, "param_groups": []}),
    lambda T, p: T.optim.SGD([p]).load_state_dict(
        {"state": {}, "param_groups": [{"params": [0, 1]}]}
    ),
    lambda T, p: T.optim.Optimizer([p], {}).step(),
    lambda T, p: T.optim.Optimizer([p], {"lr": _base_module(T).required}),
    lambda T, p: T.optim.Adam([p], lr=-1),
    lambda T, p: T.optim.Adam([p], lr=float("nan")),
    lambda T, p: T.optim.Adam([p], eps=-1),
    lambda T, p: T.optim.Adam([p], betas=(1.0, 0.9)),
    lambda T, p: T.optim.Adam([p], betas=(0.9, -0.1)),
    lambda T, p: T.optim.Adam([p], betas=(0, 0.9)),
    lambda T, p: T.optim.Adam([p], weight_decay=-1),
    lambda T, p: T.optim.Adam([p], lr=T.tensor(0.1), foreach=True),
    lambda T, p: T.optim.Adam([p], betas=(T.tensor(0.9), T.tensor(0.9)), foreach=True),
    lambda T, p: T.optim.Adam([p], betas=(T.tensor(0.9), 0.9)),
    lambda T, p: _step(T.optim.Adam([p], capturable=True), p),
    lambda T, p: _step(T.optim.NAdam([p], capturable=True), p),
    lambda T, p: _step(T.optim.ASGD([p], capturable=True), p),
    lambda T, p: _step(T.optim.Adadelta([p], capturable=True), p),
    lambda T, p: T.optim.RMSprop([p], alpha=-1),
    lambda T, p: T.optim.RMSprop([p], momentum=-1),
    lambda T, p: T.optim.Adagrad([p], lr_decay=-1),
    lambda T, p: T.optim.Adagrad([p], initial_accumulator_value=-1),
    lambda T, p: T.optim.NAdam([p], momentum_decay=-1),
    lambda T, p: T.optim.Adadelta([p], rho=2),
    lambda T, p: T.optim.Rprop([p], etas=(0.5, 0.9)),
]


def _base_module(library):
    return importlib.import_module(f"{library.__name__}.optim.optimizer")


def _step(optimizer, p):
    p.grad = p.detach()
    optimizer.step()


@pytest.mark.parametrize("call", WRONG, ids=range(len(WRONG)))
def test_errors_and_warnings(call):
    seen = []
    for library in (torch, flambeau):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                call(library, library.nn.Parameter(library.ones(2)))
                raised = None
            except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
                raised = type(error), str(error).split("\n  hint")[0]
        seen.append((raised, [(w.category, str(w.message)) for w in caught]))
    assert seen[0] != (None, [])
    assert seen[1] == seen[0]


# ---- hooks, groups, closures ---------------------------------------------------------------------
def _closure_and_hooks(library, say):
    p = library.nn.Parameter(library.ones(2))
    optimizer = library.optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    module = _base_module(library)
    before = module.register_optimizer_step_pre_hook(lambda o, a, k: say("first", len(a), len(k)))
    after = module.register_optimizer_step_post_hook(lambda o, a, k: say("last", len(a)))
    optimizer.register_step_pre_hook(lambda o, a, k: say("before", len(a)))
    handle = optimizer.register_step_post_hook(lambda o, a, k: say("after"))
    say(optimizer.step(closure).item(), p.tolist())
    handle.remove()
    say(optimizer.step(closure=closure).item(), p.tolist())
    before.remove()
    after.remove()
    optimizer.register_step_pre_hook(lambda o, a, k: 3)
    try:
        optimizer.step()
    except RuntimeError as error:
        say(str(error).split(" must ")[1])


def _state_dict_hooks(library, say):
    p = library.nn.Parameter(library.ones(2))
    optimizer = library.optim.SGD([("name", p)], lr=0.5)
    optimizer.register_state_dict_pre_hook(lambda o: say("pre 1"))
    optimizer.register_state_dict_pre_hook(lambda o: say("pre 0"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, s: s.update(extra=1))
    optimizer.register_load_state_dict_pre_hook(lambda o, s: say("load pre", sorted(s)))
    optimizer.register_load_state_dict_post_hook(lambda o: say("load post"))
    state = optimizer.state_dict()
    say(state)
    optimizer.load_state_dict(state)
    say(optimizer)


def _casting(library, say):
    p = library.nn.Parameter(library.ones(2, dtype=library.float64))
    optimizer = library.optim.Adam([p])
    state = {
        "step": library.tensor(3.0),
        "exp_avg": library.ones(2),
        "exp_avg_sq": library.ones(2, dtype=library.float16),
        "nested": {"x": [library.ones(1)]},
        "number": 3,
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {0: state, "other": 1}, "param_groups": groups})
    say(plain(optimizer.state_dict()))


def _zero_grad(library, say):
    p = library.nn.Parameter(library.ones(2))
    optimizer = library.optim.SGD([p])
    (p * p).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    say(p.grad.tolist(), p.grad.requires_grad, p.grad.grad_fn)
    optimizer.zero_grad()
    say(p.grad)
    optimizer.step()
    say(p.tolist(), dict(optimizer.state))


def _in_place(library, say):
    p = library.nn.Parameter(library.ones(2))
    optimizer = library.optim.Adam([p])
    p.grad = library.ones(2)
    address, version = p.data_ptr(), p._version
    optimizer.step()
    state = optimizer.state[p]
    kept = {name: id(value) for name, value in state.items()}
    optimizer.step()
    say(p.data_ptr() == address, p._version > version, p.grad.tolist(), p.is_leaf)
    say(kept == {name: id(value) for name, value in state.items()}, list(state))


def _changing_options(library, say):
    p = library.nn.Parameter(library.ones(2))
    q = library.nn.Parameter(library.ones(1))
    optimizer = library.optim.Adam([p], lr=0.1)
    for step in range(6):
        p.grad, q.grad = library.ones(2) * step, library.ones(1)
        optimizer.step()
        if step == 1:
            optimizer.param_groups[0].update(lr=0.3, weight_decay=0.1)
        if step == 2:
            optimizer.add_param_group({"params": [q], "lr": 1.0})
        if step == 3:
            optimizer.param_groups[0]["maximize"] = True
        if step == 4:
            optimizer.state[p]["step"] = library.tensor(40.0)
        say([round(x, 5) for x in p.tolist() + q.tolist()])


def _differentiable(library, say):
    for name in ("SGD", "Adam", "RMSprop", "Adagrad"):
        start = library.ones(2, requires_grad=True)
        p = start * 2
        p.retain_grad()
        optimizer = getattr(library.optim, name)([p], lr=0.5, differentiable=True)
        gradient = library.tensor([1.0, 2.0], requires_grad=True)
        p.grad = gradient * 1
        optimizer.step()
        p.sum().backward()
        say([round(x, 4) + 0.0 for x in p.tolist() + start.grad.tolist() + gradient.grad.tolist()])


@pytest.mark.parametrize(
    "program",
    [
        _closure_and_hooks,
        _state_dict_hooks,
        _casting,
        _zero_grad,
        _in_place,
        _changing_options,
        _differentiable,
    ],
)
def test_program(program):
    seen = []
    for library in (torch, flambeau):
        lines: list[str] = []
        program(library, lambda *values, lines=lines: lines.append(" ".join(map(repr, values))))
        seen.append(lines)
    assert seen[1] == seen[0]
    assert seen[0]

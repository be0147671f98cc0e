"""Optimizers against the formulas of their papers in NumPy; groups, state and hooks."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import flambeau as torch


# ---- the formulas, in NumPy: from a parameter and its gradients to the parameter after them ------
def sgd(p, gradients, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0):
    b = None
    for g in gradients:
        g = g + weight_decay * p
        b = g if b is None else momentum * b + g
        p = p - lr * (g + momentum * b if nesterov else b)
    return p


def adam(p, gradients, lr=0.1, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False):
    m = v = np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        p = p * (1 - lr * weight_decay) if decoupled else p
        g = g if decoupled else g + weight_decay * p
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p = p - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return p


def amsgrad(p, gradients, lr=0.1, b1=0.9, b2=0.999, eps=1e-8):
    m = v = highest = np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        highest = np.maximum(highest, v)
        p = p - lr * (m / (1 - b1**t)) / (np.sqrt(highest / (1 - b2**t)) + eps)
    return p


def rmsprop(p, gradients, lr=0.1, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    square = mean = buffer = np.zeros_like(p)
    for g in gradients:
        square, mean = alpha * square + (1 - alpha) * g * g, alpha * mean + (1 - alpha) * g
        variance = square - mean**2 if centered else square
        buffer = momentum * buffer + g / (np.sqrt(variance) + eps)
        p = p - lr * buffer
    return p


def adagrad(p, gradients, lr=0.1, lr_decay=0.0, eps=1e-10, start=0.0):
    total = np.full_like(p, start)
    for t, g in enumerate(gradients):
        total = total + g * g
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


def adamax(p, gradients, lr=0.1, b1=0.9, b2=0.999, eps=1e-8):
    m = u = np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        m, u = b1 * m + (1 - b1) * g, np.maximum(b2 * u, abs(g) + eps)
        p = p - lr / (1 - b1**t) * m / u
    return p


def nadam(p, gradients, lr=0.1, b1=0.9, b2=0.999, eps=1e-8, decay=4e-3):
    m = v = np.zeros_like(p)
    product = 1.0
    for t, g in enumerate(gradients, 1):
        mu, mu_next = (b1 * (1 - 0.5 * 0.96 ** (s * decay)) for s in (t, t + 1))
        product *= mu
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        look_ahead = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        p = p - lr * look_ahead / (np.sqrt(v / (1 - b2**t)) + eps)
    return p


def radam(p, gradients, lr=0.1, b1=0.9, b2=0.999, eps=1e-8):
    m = v = np.zeros_like(p)
    last = 2 / (1 - b2) - 1
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        rho = last - 2 * t * b2**t / (1 - b2**t)
        step = m / (1 - b1**t)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
            step = step * r * math.sqrt(1 - b2**t) / (np.sqrt(v) + eps)
        p = p - lr * step
    return p


def adadelta(p, gradients, lr=0.1, rho=0.9, eps=1e-6):
    square = delta_square = np.zeros_like(p)
    for g in gradients:
        square = rho * square + (1 - rho) * g * g
        delta = np.sqrt(delta_square + eps) / np.sqrt(square + eps) * g
        delta_square = rho * delta_square + (1 - rho) * delta * delta
        p = p - lr * delta
    return p


def asgd(p, gradients, lr=0.1, lambd=0.1, alpha=0.75):
    for t, g in enumerate(gradients):
        eta = lr / (1 + lambd * lr * t) ** alpha
        p = p * (1 - lambd * eta) - eta * g
    return p


def rprop(p, gradients, lr=0.1, etas=(0.5, 1.2), sizes=(1e-6, 50)):
    before, size = np.zeros_like(p), np.full_like(p, lr)
    for g in gradients:
        turned = g * before
        factor = np.where(turned > 0, etas[1], np.where(turned < 0, etas[0], 1))
        size = np.clip(size * factor, *sizes)
        before = np.where(turned < 0, 0, g)
        p = p - np.sign(before) * size
    return p


FORMULAS = [
    ("SGD", {}, sgd, {}),
    ("SGD", {"momentum": 0.9}, sgd, {"momentum": 0.9}),
    (
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        sgd,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    ("Adam", {}, adam, {}),
    (
        "Adam",
        {"weight_decay": 0.1, "betas": (0.5, 0.9)},
        adam,
        dict(weight_decay=0.1, b1=0.5, b2=0.9),
    ),
    ("Adam", {"amsgrad": True}, amsgrad, {}),
    ("AdamW", {"weight_decay": 0.3}, adam, {"weight_decay": 0.3, "decoupled": True}),
    ("RMSprop", {}, rmsprop, {}),
    ("RMSprop", {"centered": True, "momentum": 0.5}, rmsprop, {"centered": True, "momentum": 0.5}),
    ("Adagrad", {}, adagrad, {}),
    (
        "Adagrad",
        dict(lr_decay=0.1, initial_accumulator_value=2),
        adagrad,
        dict(lr_decay=0.1, start=2.0),
    ),
    ("Adamax", {}, adamax, {}),
    ("NAdam", {}, nadam, {}),
    ("RAdam", {}, radam, {}),
    ("Adadelta", {}, adadelta, {}),
    ("ASGD", {"lambd": 0.1}, asgd, {}),
    ("Rprop", {}, rprop, {}),
]
NAMES = sorted({name for name, *_ in FORMULAS})


@pytest.mark.parametrize(
    ("name", "options", "formula", "arguments"),
    FORMULAS,
    ids=[f"{f[0]}-{','.join(f[1])}" for f in FORMULAS],
)
@pytest.mark.parametrize("maximize", [False, True], ids=["down", "up"])
def test_formula(name, options, formula, arguments, maximize):
    generator = np.random.default_rng(0)
    start = generator.standard_normal((3, 4))
    gradients = generator.standard_normal((12, 3, 4))
    p = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, name)([p], lr=0.1, maximize=maximize, **options)
    for g in gradients:
        p.grad = torch.tensor(-g if maximize else g)
        optimizer.step()
    # Two keep a figure of their schedule as a float32 tensor.
    exactness = 1e-6 if name in ("NAdam", "ASGD") else 1e-12
    expected = formula(start, gradients, **arguments)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=exactness)


@pytest.mark.parametrize("name", [*NAMES, "Adafactor"])
def test_every_optimizer_descends(name):
    p = torch.nn.Parameter(torch.tensor([[3.0, -2.0], [1.0, 4.0]]))
    optimizer = getattr(torch.optim, name)([p], lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_lbfgs_solves_rosenbrock():
    x = torch.nn.Parameter(torch.tensor([-1.5, 2.0], dtype=torch.float64))
    optimizer = torch.optim.LBFGS([x], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    np.testing.assert_allclose(x.tolist(), [1, 1], rtol=1e-5)


# ---- what is kept between steps ------------------------------------------------------------------
def stepped(name="Adam", steps=3, **options):
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = getattr(torch.optim, name)([p], lr=0.1, **options)
    for _ in range(steps):
        p.grad = p.detach() + 1
        optimizer.step()
    return p, optimizer


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a["param_groups"] == b["param_groups"]
    for number in a["state"]:
        for name, value in a["state"][number].items():
            assert torch.equal(value, b["state"][number][name])


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_continues(name):
    """Saved, loaded into a new optimizer and continued is the same as never interrupted."""
    p, optimizer = stepped(name)
    q = torch.nn.Parameter(p.detach().clone())
    other = getattr(torch.optim, name)([q], lr=7)
    other.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    for parameter, opt in ((p, optimizer), (q, other)):
        parameter.grad = torch.ones(2)
        opt.step()
    assert p.tolist() == q.tolist()
    same_state(optimizer, other)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_are_independent(duplicate):
    p, optimizer = stepped()
    other = duplicate(optimizer)
    same_state(optimizer, other)
    q = other.param_groups[0]["params"][0]
    q.grad = torch.ones(2)
    other.step()
    assert p.tolist() != q.tolist()
    assert optimizer.state[p]["step"].item() == 3


def test_update_is_in_place():
    p, optimizer = stepped(steps=1)
    address, version, state = p.data_ptr(), p._version, dict(optimizer.state[p])
    p.grad = torch.ones(2)
    optimizer.step()
    assert p.data_ptr() == address
    assert p._version > version
    assert p.is_leaf and p.requires_grad
    assert all(optimizer.state[p][name] is value for name, value in state.items())
    assert p.grad.tolist() == [1, 1]


def test_layouts():
    """A transposed parameter and a strided gradient get the same step as contiguous ones."""
    start, g = torch.randn(3, 5), torch.randn(3, 10)[:, ::2]
    p = torch.nn.Parameter(start.clone())
    q = torch.nn.Parameter(start.t().contiguous().t())
    optimizer = torch.optim.Adam([p, q], lr=0.1)
    for _ in range(3):
        p.grad, q.grad = g, g.clone()
        optimizer.step()
    assert torch.equal(p, q)
    assert q.stride() == (1, 3)


def test_half_precision_keeps_an_exact_count():
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = torch.optim.Adam([p])
    for _ in range(260):
        p.grad = torch.ones_like(p)
        optimizer.step()
    state = optimizer.state[p]
    assert (state["step"].item(), state["step"].dtype) == (260, torch.float32)
    assert state["exp_avg"].dtype == torch.bfloat16


def test_parameters_without_gradient_stay():
    p, q = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.Adam([p, q], lr=0.1)
    p.grad = torch.ones(2)
    optimizer.step()
    q.grad = torch.ones(2)
    optimizer.step()
    assert [optimizer.state[x]["step"].item() for x in (p, q)] == [2, 1]
    np.testing.assert_allclose(p.tolist(), [0.8, 0.8], rtol=1e-6)
    np.testing.assert_allclose(q.tolist(), [0.9, 0.9], rtol=1e-6)


def test_options_may_change_between_steps():
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=1.0)
    seen = []
    for change in ({}, {"lr": 0.5}, {"weight_decay": 1.0}, {"momentum": 0.5}, {"maximize": True}):
        optimizer.param_groups[0].update(change)
        p.grad = torch.ones(1)
        optimizer.step()
        seen.append(p.item())
    # The buffer begins as 1 - 1.25; then comes -1 + 1.0 * -1.125.
    assert seen == [-1.0, -1.5, -1.25, -1.125, 0.0]


def test_learning_rate_as_tensor():
    p, _ = stepped("SGD", steps=2)
    q = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.SGD([q], lr=torch.tensor(0.1))
    for _ in range(2):
        q.grad = q.detach() + 1
        optimizer.step()
    assert p.tolist() == q.tolist()


def test_gradient_through_a_step():
    rate = torch.tensor(0.5, requires_grad=True)
    p = torch.ones(2, requires_grad=True) * 1
    optimizer = torch.optim.SGD([p], lr=rate, differentiable=True)
    p.grad = torch.tensor([1.0, 3.0])
    optimizer.step()
    p.sum().backward()
    assert rate.grad.item() == -4


# ---- groups, errors, hooks -----------------------------------------------------------------------
def test_groups_and_names():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(
        [{"params": [("w", model.weight)]}, {"params": [("b", model.bias)], "lr": 1.0}], lr=0.1
    )
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 1.0]
    groups = optimizer.state_dict()["param_groups"]
    assert [(g["params"], g["param_names"]) for g in groups] == [([0], ["w"]), ([1], ["b"])]
    plain = torch.optim.SGD([{"params": [model.weight]}, {"params": [model.bias]}])
    plain.load_state_dict(optimizer.state_dict())
    assert plain.param_groups[1]["param_names"] == ["b"]


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda p: torch.optim.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (
            lambda p: torch.optim.Adam([p], betas=(1.0, 0.9)),
            ValueError,
            "Invalid beta parameter at index 0: 1.0",
        ),
        (lambda p: torch.optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda p: torch.optim.SGD([p * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (
            lambda p: torch.optim.SGD([p]).add_param_group({"params": p}),
            ValueError,
            "some parameters appear in more than one parameter group",
        ),
        (lambda p: torch.optim.Optimizer([p], {}).step(), NotImplementedError, ""),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind) as caught:
        call(torch.nn.Parameter(torch.ones(1)))
    assert str(caught.value).split("\n")[0] == text


def test_hooks_around_a_step():
    p, optimizer = stepped("SGD", steps=0)
    seen = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    handle = optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    optimizer.step(lambda: seen.append("closure"))
    handle.remove()
    optimizer.step()
    assert seen == ["before", "closure", "after", "before"]


def test_own_optimizer_with_hooks():
    class Halve(torch.optim.Optimizer):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.mul_(group["factor"])

    p = torch.nn.Parameter(torch.ones(1))
    optimizer = Halve([p], {"factor": 0.5})
    seen = []
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.step()
    assert seen == [0.5]


# ---- averages ------------------------------------------------------------------------------------
def test_averaged_model():
    model = torch.nn.Linear(1, 1)
    averages = {
        "equal": torch.optim.swa_utils.AveragedModel(model),
        "moving": torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5)
        ),
    }
    for value in (1.0, 2.0, 6.0):
        torch.nn.init.constant_(model.weight, value)
        for average in averages.values():
            average.update_parameters(model)
    assert averages["equal"].module.weight.item() == pytest.approx(3.0)
    assert averages["moving"].module.weight.item() == pytest.approx(3.75)
    assert averages["equal"].n_averaged.item() == 3

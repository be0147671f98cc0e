"""The graph and the backward pass: programs against rules, hooks, views, higher derivatives, custom
functions, modes. What torch prints is compared in tests/parity/test_autograd.py."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.autograd.programs import Program
from flambeau.runtime.system import engine

F = torch.nn.functional
INDEX = torch.tensor([[0, 1], [2, 0], [1, 1], [3, 2], [0, 0], [2, 3]])
LABELS = torch.tensor([0, 3, 1, 2, 2, 0])

# functions of a 6 x 4 tensor; most of them take several nodes of different kinds
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "pointwise": lambda x: (x * 2 + 1).tanh() * x.exp() - x / (x.abs() + 1),
    "broadcast": lambda x: x * x[0] + x[:, :1] * 3,
    "numbers": lambda x: x * 2.5 + (x - 3) * 0.25,
    "where": lambda x: torch.where(x > 0, x.exp(), x * 2),
    "reductions": lambda x: x.sum(0) + x.mean(1, keepdim=True).amax() + x.std(),
    "extrema": lambda x: x.max(1)[0].sum() + x.min() + x.median(),
    "softmax": lambda x: x.softmax(1) * x.log_softmax(0),
    "matmul": lambda x: x @ x.t() @ x,
    "batched": lambda x: torch.bmm(x.view(2, 3, 4), x.view(2, 4, 3)),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "linear": lambda x: F.linear(x, x[:3], x[:3, 0]).relu(),
    "views": lambda x: x.view(2, 3, 4).transpose(0, 2).flatten(1).t()[1:, ::2].unsqueeze(0),
    "select": lambda x: x[0] * x[-1] + x[2, None, :],
    "gather": lambda x: x.gather(1, INDEX) * x[INDEX[:, 0]][:, :2],
    "masked": lambda x: x.masked_fill(x > 0.5, 0.0)[x < 0.25],
    "scatter": lambda x: torch.zeros(6, 4).scatter_add(1, INDEX, x[:, :2]),
    "cat": lambda x: torch.cat([x, x * 2]) - torch.stack([x, x.flip(0)]).view(12, 4),
    "split": lambda x: sum(x.split(2)) + sum(x.chunk(3)) + x.unbind(1)[2][:2, None],
    "sorted": lambda x: x.sort(1)[0] * torch.arange(4.0) + x.topk(2)[0].sum(),
    "scans": lambda x: x.cumsum(0) * x.cumprod(1) + x.logcumsumexp(1),
    "repeat": lambda x: x.repeat(2, 1) + x.expand(2, 6, 4).reshape(12, 4),
    "pad": lambda x: F.pad(x, (1, 2)) + F.pad(x[None], (1, 2), mode="reflect")[0],
    "losses": lambda x: F.cross_entropy(x, LABELS) + F.mse_loss(x, x.new_ones(6, 4)),
    "norms": lambda x: F.layer_norm(x, (4,)) + F.group_norm(x, 2) + x / x.norm(),
    "convolution": lambda x: F.conv1d(x[None], torch.ones(2, 6, 3), padding=1),
    "pooling": lambda x: F.max_pool1d(x[None], 2) + F.avg_pool1d(x[None], 2),
    "embedding": lambda x: F.embedding(INDEX, x),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "complex": lambda x: torch.view_as_real(torch.fft.fft(x)) ** 2,
    "linalg": lambda x: torch.linalg.solve(x.t() @ x + torch.eye(4), x.t()),
    "casts": lambda x: x.double().float() + x.to(torch.bfloat16),
}


def data(seed: int) -> Any:
    torch.manual_seed(seed)
    return torch.randn(6, 4, requires_grad=True)


def gradient(function: Callable[[Any], Any], x: Any, seed: int) -> Any:
    y = function(x)
    torch.manual_seed(seed)
    return torch.autograd.grad(y, x, torch.randn(y.shape, dtype=y.dtype))[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_give_what_the_rules_give(name: str) -> None:
    """The first pass writes programs down; they are then run on other data, and compared with the
    rules, which are all that runs in anomaly mode.
    """
    function = FUNCTIONS[name]
    gradient(function, data(1), 2)
    for seed in (3, 4):
        by_program = gradient(function, data(seed), seed)
        with torch.autograd.set_detect_anomaly(True, check_nan=False):
            by_rules = gradient(function, data(seed), seed)
        assert torch.equal(by_program, by_rules)
        assert by_program.abs().sum() > 0


def test_gradients_of_equal_operands_do_not_share_their_places() -> None:
    """A program that was written down for `x @ x` must not take one operand for both."""
    x, y = data(1)[:4], data(2)[:4]
    (x @ x).sum().backward(inputs=[x])
    expected = torch.ones(4, 4) @ y.t()
    assert torch.equal(torch.autograd.grad((x @ y).sum(), x)[0], expected)


def programs_of(tensor: Any) -> list[Any]:
    return [p for p in tensor.grad_fn._plan.programs.values() if isinstance(p, Program)]


def test_rules_that_look_at_values_stay_rules() -> None:
    """The gradient of a product takes another way where there are zeros."""
    for values in ([1.0, 2.0, 3.0], [0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [4.0, 5.0, 6.0]):
        x = torch.tensor(values, requires_grad=True)
        y = x.prod()
        y.backward()
        a, b, c = values
        assert x.grad.tolist() == [b * c, a * c, a * b]
        assert programs_of(y) == []


def test_no_python_runs_for_ordinary_nodes(monkeypatch) -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.GELU(), torch.nn.Linear(8, 4)
    )

    def step() -> None:
        F.cross_entropy(model(data(1).detach())[:5], LABELS[:5]).backward()

    step()
    from flambeau.runtime.objects import ACCUMULATE, DERIVE, VISITOR

    calls: list[Any] = []
    doors = [engine.core.world[word] for word in (DERIVE, ACCUMULATE, VISITOR)]
    for word in (DERIVE, ACCUMULATE, VISITOR):
        engine.core.know(word, lambda *args: calls.append(args))
    try:
        step()
    finally:
        for word, door in zip((DERIVE, ACCUMULATE, VISITOR), doors, strict=True):
            engine.core.world[word] = door
    assert calls == []


# ---- accumulation --------------------------------------------------------------------------------


def test_gradients_add_up_where_several_arrive() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    (y + y * y + y.exp() * 0 + x).sum().backward()
    assert x.grad.tolist() == [3 + 18 * 1 + 1, 3 + 18 * 2 + 1]
    before = x.grad
    x.sum().backward()
    assert x.grad is before and x.grad.tolist() == [23, 41]


def test_a_gradient_that_the_user_holds_is_copied() -> None:
    x, g = torch.ones(2, requires_grad=True), torch.ones(2)
    x.backward(g)
    g.mul_(5)
    assert x.grad.tolist() == [1, 1]
    y, kept = x * 1, []
    y.register_hook(kept.append)
    x.grad = None
    y.sum().backward()
    x.grad.mul_(7)
    assert kept[0].tolist() == [1, 1]


def test_gradients_have_the_layout_of_their_leaf() -> None:
    x = torch.ones(3, 2).t().requires_grad_()
    (x * torch.arange(6.0).view(2, 3)).sum().backward()
    assert x.grad.stride() == x.stride() == (1, 2)
    assert x.grad.tolist() == [[0, 1, 2], [3, 4, 5]]


# ---- hooks ---------------------------------------------------------------------------------------


def test_hooks_see_and_replace_gradients() -> None:
    seen: list[Any] = []
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    z = y * 3
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    z.grad_fn.register_prehook(lambda grads: (grads[0] * 2,))
    handle = z.grad_fn.register_hook(lambda inputs, outputs: seen.append("removed"))
    handle.remove()
    x.register_hook(lambda g: g + 1)
    x.register_post_accumulate_grad_hook(lambda t: seen.append(("x", t.grad.tolist())))
    z.sum().backward()
    assert seen == [("y", [6, 6, 6]), ("x", [121, 121, 121])]
    assert y.grad.tolist() == [60, 60, 60]


def test_a_hook_that_fails_ends_the_pass() -> None:
    def fail(grad: Any) -> None:
        raise ValueError("no")

    x = torch.ones(3, requires_grad=True)
    y = x * 2
    handle = y.register_hook(fail)
    with pytest.raises(ValueError, match="^no$"):
        (y * y).sum().backward()
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_hooks_over_several_tensors() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    seen: list[Any] = []
    torch.autograd.graph.register_multi_grad_hook((a, b), lambda grads: seen.append(len(grads)))
    (a * b).sum().backward()
    a.sum().backward()
    assert seen == [2, 2]


# ---- in place ------------------------------------------------------------------------------------


def test_views_follow_their_base() -> None:
    x = torch.arange(6.0, requires_grad=True)
    y = x * 1
    v = y.view(2, 3)
    w = v[0]
    w.mul_(3)
    v[:, 1].add_(w[1])
    y[2:5].mul_(2)
    (y**2).sum().backward()
    assert y.tolist() == [0, 6, 12, 6, 14, 5]
    changes = [(loss_of_views(i, 0.5) - loss_of_views(i, -0.5)) for i in range(6)]
    assert x.grad.tolist() == changes  # of a quadratic, so these are its derivatives


def loss_of_views(place: int, change: float) -> float:
    """The same without a graph."""
    y = torch.arange(6.0, dtype=torch.float64)
    y[place] += change
    v = y.view(2, 3)
    v[0] *= 3
    v[:, 1] += v[0, 1].clone()
    y[2:5] *= 2
    return float((y**2).sum())


def test_changed_values_are_noticed() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        z.sum().backward()
    y = x.sigmoid()
    y.data.mul_(2)  # `data` has a version of its own
    y.sum().backward()


def test_second_passes() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="^Trying to backward through the graph a second time"):
        y.backward()
    assert x.grad.tolist() == [4, 4]
    z = x.sum()  # nothing was saved
    z.backward()
    z.backward()


# ---- higher derivatives --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pointwise", "softmax", "matmul", "norms", "losses", "select"])
def test_third_derivatives(name: str) -> None:
    function = FUNCTIONS[name]

    def second(x: Any) -> Any:
        (g,) = torch.autograd.grad((function(x) ** 2).sum(), x, create_graph=True)
        return torch.autograd.grad((g * g).sum(), x, create_graph=True)[0].sum()

    x = (data(5).detach().double() * 0.5).requires_grad_()
    (exact,) = torch.autograd.grad(second(x), x)
    step = torch.zeros(6, 4, dtype=torch.float64)
    step[2, 1] = 1e-5
    ahead, behind = ((x + d).detach().requires_grad_() for d in (step, -step))
    numeric = (second(ahead) - second(behind)) / 2e-5
    torch.testing.assert_close(exact[2, 1], numeric.detach(), rtol=1e-4, atol=1e-4)


def test_jacobian_and_batched_gradients() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (rows,) = torch.autograd.grad(x * x, x, torch.eye(2), is_grads_batched=True)
    assert rows.tolist() == [[2, 0], [0, 4]]
    jacobian = torch.autograd.functional.jacobian(lambda v: v**3, x, vectorize=True)
    assert jacobian.tolist() == [[3, 0], [0, 12]]
    hessian = torch.autograd.functional.hessian(lambda v: (v**3).sum(), x)
    assert hessian.tolist() == [[6, 0], [0, 12]]


# ---- functions, checkpoints, modes ---------------------------------------------------------------


class Scale(torch.autograd.Function):
    """Multiplies by a number, with its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        assert ctx.saved_tensors[0].shape == g.shape
        return g * ctx.factor, None


def test_custom_functions_among_ordinary_nodes() -> None:
    x = torch.ones(3, requires_grad=True)
    for _ in range(3):
        x.grad = None
        (Scale.apply(x * 2, 5.0).tanh() + Scale.apply(x, 1.0)).sum().backward()
    expected = 10 / torch.cosh(torch.tensor(10.0)) ** 2 + 1
    torch.testing.assert_close(x.grad, expected.expand(3))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_inside_a_pass(reentrant: bool) -> None:
    """A pass that another one interrupts, over the same leaves."""
    from flambeau.utils.checkpoint import checkpoint

    layers = [torch.nn.Linear(4, 4) for _ in range(3)]
    plain = kept = torch.ones(2, 4, requires_grad=True)
    for layer in layers:
        plain = layer(plain).tanh()
        kept = checkpoint(lambda v, layer=layer: layer(v).tanh(), kept, use_reentrant=reentrant)
    weights = [layer.weight for layer in layers]
    expected = torch.autograd.grad(plain.sum(), weights)
    kept.sum().backward()
    for weight, grad in zip(weights, expected, strict=True):
        assert torch.equal(weight.grad, grad)


def test_a_pass_inside_a_hook() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    inner = (x * x).sum()
    y.register_hook(lambda g: inner.backward(retain_graph=True))
    (y * y).sum().backward()
    assert x.grad.tolist() == [18 + 2, 18 + 2]


def test_modes() -> None:
    x = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
    with torch.inference_mode():
        made = x * 2
        assert made.is_inference() and not made.requires_grad
        with torch.enable_grad():
            assert not (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        x * made


def test_anomaly_mode_names_the_forward_call() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.autograd.detect_anomaly():
            x = torch.tensor([0.0], requires_grad=True)
            y = x.sqrt() * 0
            with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values"):
                y.sum().backward()
    assert any("y = x.sqrt() * 0" in str(w.message) for w in caught)


def test_saved_tensors_go_through_hooks() -> None:
    packed: list[Any] = []
    x = torch.full((2,), 3.0, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: (packed.append(t.shape), t.double())[1], lambda t: t.float()
    ):
        y = (x * x).exp().sum()
    assert len(packed) == 3
    y.backward()
    torch.testing.assert_close(x.grad, 6 * torch.exp(torch.tensor([9.0, 9.0])))

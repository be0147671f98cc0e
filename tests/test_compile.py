"""`flambeau.compile`: replays give what the function gives, see what changes outside, and are not
made where they could not be right."""

from __future__ import annotations

import copy
import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.compiler.compiled import Compiled
from flambeau.nn import functional as F


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    return torch.compile(function, **options)


def inside(function: Any) -> Compiled:
    """The object that holds the programs of a compiled function or module."""
    return function if isinstance(function, Compiled) else function.__dict__["_call"]


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def conv() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 2, padding=1), nn.BatchNorm2d(4), nn.GELU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


def dropout() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.LayerNorm(8), nn.Linear(8, 3))


def weight_norms() -> nn.Module:
    """Layers that look their parameters up by names that they compute."""
    torch.manual_seed(0)
    weight_norm = nn.utils.parametrizations.weight_norm
    return nn.Sequential(weight_norm(nn.Linear(4, 8)), nn.Tanh(), weight_norm(nn.Linear(8, 3)))


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


def trainer(model: nn.Module, optimizer: Any, clip: float | None = None) -> Callable[..., Any]:
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss

    return step


def assert_same_state(a: nn.Module, b: nn.Module) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make", [mlp, conv, dropout])
def test_training_step(make: Callable[[], nn.Module], optimizer: str) -> None:
    """Losses, parameters, gradients, buffers and random numbers, to the last bit; the learning
    rate may change on the way."""
    models = [make(), make()]
    makers = [OPTIMIZERS[optimizer](m.parameters()) for m in models]
    steps = [trainer(m, o, clip=1.0) for m, o in zip(models, makers, strict=True)]
    fast = compiled(steps[1])
    for _ in range(10):
        x, y = torch.randn(6, 4), torch.randint(0, 3, (6,))
        state = torch.get_rng_state()
        expected = steps[0](x, y)
        torch.set_rng_state(state)
        found = fast(x, y)
        assert torch.equal(expected, found)
        assert repr(expected) == repr(found)
        assert_same_state(*models)
        for each in makers:
            each.param_groups[0]["lr"] *= 0.9
    assert inside(fast).reason is None
    assert len(inside(fast).entries) == 1


@pytest.mark.parametrize("make", [mlp, conv, dropout, weight_norms])
def test_module(make: Callable[[], nn.Module]) -> None:
    """Forward compiled, backward and update outside; modes of the module; no_grad."""
    models = [make(), make()]
    makers = [torch.optim.Adam(m.parameters(), lr=0.01) for m in models]
    fast = compiled(models[1])
    x, y = torch.randn(6, 4), torch.randint(0, 3, (6,))
    for i in range(12):
        (models[0].train if i % 8 < 4 else models[0].eval)()
        (fast.train if i % 8 < 4 else fast.eval)()
        for optimizer, model in zip(makers, (models[0], fast), strict=True):
            torch.manual_seed(i)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert_same_state(*models)
        with torch.no_grad():
            torch.manual_seed(i)
            expected = models[0](x)
            torch.manual_seed(i)
            assert torch.equal(expected, fast(x))
    assert inside(fast).reason is None


def test_a_module_under_autocast_with_its_backward_pass_outside() -> None:
    models = [mlp(), mlp()]
    fast = compiled(models[1])
    x, y = torch.randn(6, 4), torch.randint(0, 3, (6,))
    for _ in range(6):
        for model in (models[0], fast):
            model.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                result = model(x)
            F.cross_entropy(result.float(), y).backward()
        assert_same_state(*models)
    assert inside(fast).reason is None


def test_gradients_through_a_compiled_function() -> None:
    """Of arguments, leaves or not, and of several results."""

    def function(x: Any, y: Any) -> Any:
        return {"a": x.sin() * y, "b": [x + 1, y.detach()]}

    fast = compiled(function)
    for _ in range(5):
        grads = []
        for f in (function, fast):
            torch.manual_seed(1)
            x, y = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
            found = f(x * 2, y)
            (found["a"].sum() + (found["b"][0] ** 2).sum()).backward()
            grads.append((x.grad, y.grad, found["b"][1].requires_grad))
        assert torch.equal(grads[0][0], grads[1][0])
        assert torch.equal(grads[0][1], grads[1][1])
        assert grads[0][2] is grads[1][2] is False
    assert len(inside(fast).entries) == 1


def test_one_argument_computed_from_another() -> None:
    """The gradient of each is its own part."""

    def function(x: Any, y: Any) -> Any:
        return (x * y).sin()

    fast = compiled(function)
    for _ in range(5):
        grads = []
        for f in (function, fast):
            torch.manual_seed(2)
            x = torch.randn(3, requires_grad=True)
            f(x, x * 3).sum().backward()
            grads.append(x.grad)
        assert torch.equal(*grads)


def test_a_second_backward_and_a_change_are_noticed() -> None:
    weight = torch.ones(3, requires_grad=True)
    fast = compiled(lambda x: (x * weight).sin())
    x = torch.ones(3)
    for _ in range(4):
        result = fast(x)
    assert result.grad_fn.name() == "CompiledFunctionBackward"
    result.sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        result.sum().backward()
    result = fast(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.sum().backward()
    gradient = torch.autograd.grad  # the second derivative is not there, as in torch
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        gradient(fast(x).sum(), weight, create_graph=True)


def test_changes_outside_are_seen() -> None:
    """In-place changes of what was captured, another value of a variable, another tensor."""
    weight, scale = torch.ones(2), 2.0

    def function(x: Any) -> Any:
        return x * weight * scale

    fast = compiled(function)
    for _ in range(4):
        fast(torch.ones(2))
    weight.mul_(3)
    assert fast(torch.ones(2)).tolist() == [6.0, 6.0]
    scale = 5.0
    assert fast(torch.ones(2)).tolist() == [15.0, 15.0]
    weight = torch.zeros(2)
    for _ in range(4):
        assert fast(torch.ones(2)).tolist() == [0.0, 0.0]


def test_in_place_work_is_seen_outside() -> None:
    total = torch.zeros(3)

    def add(x: Any) -> None:
        total.add_(x)

    fast = compiled(add)
    view = total[1:]
    for i in range(6):
        version = total._version
        assert fast(torch.ones(3)) is None
        assert total._version == version + 1
        assert view.tolist() == [i + 1.0] * 2
    assert len(inside(fast).entries) == 1


def test_results_that_share_memory_with_arguments() -> None:
    """Views, detached tensors and the arguments themselves."""
    fast = compiled(lambda x, y: (x[1:], y.detach(), x, y.t()))
    for _ in range(5):
        x, y = torch.randn(3), torch.randn(2, 2, requires_grad=True)
        view, cut, same, turned = fast(x, y)
        assert view._base is x and view.data_ptr() == x[1:].data_ptr()
        assert cut.data_ptr() == y.data_ptr() and not cut.requires_grad
        assert same is x
        turned.sum().backward()
        assert y.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert len(inside(fast).entries) == 1


def test_arguments_that_share_memory_only_later() -> None:
    """A program made for two tensors is not used where both are the same memory."""

    def function(x: Any, y: Any) -> Any:
        x.add_(1)
        return (x + y) * (y - x) + x

    fast = compiled(function)
    for _ in range(4):
        fast(torch.ones(3), torch.zeros(3))
    x, y = torch.ones(3), torch.ones(3)
    assert torch.equal(fast(x, x), function(y, y))
    assert torch.equal(fast(x, x[:]), function(y, y[:]))


def test_gradients_of_arguments_go_to_the_arguments() -> None:
    def function(x: Any) -> None:
        (x * x).sum().backward()

    fast = compiled(function)
    for i in range(5):
        x = torch.full((2,), float(i), requires_grad=True)
        fast(x)
        assert x.grad.tolist() == [2.0 * i] * 2
    assert "gradient of an argument" in inside(fast).reason


def test_arguments_are_not_kept_alive() -> None:
    fast = compiled(lambda x: (x * 2).sum())
    alive = []
    for _ in range(4):
        x = torch.ones(1000, requires_grad=True)
        fast(x).backward()
        alive.append(weakref.ref(x))
    del x
    gc.collect()
    assert [reference() for reference in alive] == [None] * 4


def test_kinds_of_arguments() -> None:
    """Shapes, dtypes, strides, numbers, flags, nested arguments: a program for each."""
    calls = []

    def function(x: Any, n: int = 2, *, pair: Any = None) -> Any:
        return x.flatten() * n + (0 if pair is None else pair[0] * pair[1]["k"])

    fast = compiled(function)
    calls = [
        ((torch.ones(2, 3),), {}),
        ((torch.ones(3, 2),), {}),
        ((torch.ones(2, 3).t(),), {}),
        ((torch.ones(2, 3, dtype=torch.int64), 3), {}),
        ((torch.ones(2), 3), {"pair": (torch.full((2,), 5.0), {"k": 2})}),
        ((torch.ones(4)[1:3],), {}),
    ]
    for _ in range(4):
        for args, kwargs in calls:
            assert torch.equal(fast(*args, **kwargs), function(*args, **kwargs))
    assert len(inside(fast).entries) == 6


def test_too_many_kinds_run_uncompiled_with_one_warning() -> None:
    fast = compiled(lambda x: x + 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for size in range(1, 14):
            for _ in range(4):
                assert fast(torch.zeros(size)).sum().item() == size
    assert len(inside(fast).entries) == 8
    assert [str(w.message).count("more than 8 ways") for w in caught] == [1]


class Counter:
    def __init__(self) -> None:
        self.count = 0


def uncompilable() -> dict[str, tuple[Callable[..., Any], str]]:
    history: list[Any] = []
    counter = Counter()
    local = {"calls": 0}

    def appends(x: Any) -> Any:
        history.append(x.sum())
        return x * 2

    def counts(x: Any) -> Any:
        counter.count += 1
        return x * counter.count

    def stores(x: Any) -> Any:
        local["calls"] += 1
        return x + local["calls"]

    def prints(x: Any) -> Any:
        print("called")
        return x + 1

    def branches(x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x * 3

    def reads(x: Any) -> Any:
        return x * x.max().item()

    def converts(x: Any) -> Any:
        return torch.from_numpy(x.numpy() * 2)

    def draws(x: Any) -> Any:
        import random

        return x * random.random()

    def seeds(x: Any) -> Any:
        torch.manual_seed(3)
        return x * torch.rand(())

    return {
        "appends": (appends, "it changes what it can see"),
        "counts": (counts, "it changes what it can see"),
        "stores": (stores, "it changes what it can see"),
        "prints": (prints, "it calls print()"),
        "branches": (branches, "the value of a tensor was read"),
        "reads": (reads, "the value of a tensor was read"),
        "converts": (converts, "the value of a tensor was read"),
        "draws": (draws, "it calls Random.random()"),
        "seeds": (seeds, "random number generator"),
    }


@pytest.mark.parametrize("name", uncompilable())
def test_what_cannot_be_replayed_runs_as_it_is(name: str, capsys: Any) -> None:
    """Every call has its effects, and gives what the function gives."""
    function, reason = uncompilable()[name]
    plain, _ = uncompilable()[name]
    fast = compiled(function)
    for i in range(8):
        x = torch.tensor([1.0, -3.0]) if i % 3 else torch.tensor([1.0, 2.0])
        if name == "draws":
            fast(x)
        else:
            assert torch.equal(fast(x), plain(x))
    assert reason in inside(fast).reason
    assert not inside(fast).entries
    if name == "prints":
        assert capsys.readouterr().out == "called\n" * 16
    with pytest.raises(RuntimeError, match="fullgraph=True asks for an error"):
        strict = compiled(uncompilable()[name][0], fullgraph=True)
        for _ in range(8):
            strict(torch.ones(2))


def test_control_flow_on_python_values() -> None:
    """Loops, conditions and nested functions of Python values are part of the recording."""

    def helper(x: Any, depth: int) -> Any:
        return x if depth == 0 else helper(x.tanh(), depth - 1)

    def function(x: Any) -> Any:
        parts = [helper(x, d) for d in range(3)]
        return torch.stack([p for i, p in enumerate(parts) if i != 1]).sum(0)

    fast = compiled(function)
    for _ in range(4):
        x = torch.randn(4)
        assert torch.equal(fast(x), function(x))
    assert len(inside(fast).entries) == 1


def test_constants_made_inside() -> None:
    """Tensors made of Python values, changed in place on the way."""

    def function(x: Any) -> Any:
        table = torch.tensor([1.0, 2.0, 3.0])
        table[0] = 10
        table += x
        return table * torch.arange(3), torch.zeros(2).add_(1)

    fast = compiled(function)
    for _ in range(5):
        x = torch.randn(3)
        for found, expected in zip(fast(x), function(x), strict=True):
            assert torch.equal(found, expected)
    assert len(inside(fast).entries) == 1


def test_results_outlive_the_next_call() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fast = compiled(trainer(model, optimizer))
    x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))
    results, gradients = [], []
    for _ in range(6):
        results.append(fast(x, y))
        gradients.append(model[0].weight.grad)
    assert len({r.item() for r in results}) == 6
    assert not torch.equal(gradients[-1], gradients[-2])


def test_gradients_accumulate() -> None:
    """A step that clears nothing adds to the gradients that are there."""
    models = [mlp(), mlp()]
    x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))

    def accumulate(model: nn.Module) -> Callable[[], None]:
        return lambda: F.cross_entropy(model(x), y).backward()

    plain, fast = accumulate(models[0]), compiled(accumulate(models[1]))
    for _ in range(6):
        plain()
        fast()
        assert_same_state(*models)
    assert len(inside(fast).entries) == 1


def test_threads_call_at_once() -> None:
    model = mlp().eval()
    fast = compiled(model)
    inputs = [torch.randn(3, 4) for _ in range(4)]
    with torch.no_grad():
        expected = [model(x) for x in inputs]
        for _ in range(3):
            fast(inputs[0])
    wrong: list[int] = []

    def work(i: int) -> None:
        with torch.no_grad():
            for _ in range(200):
                if not torch.equal(fast(inputs[i]), expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_memory_stays_flat() -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    fast = compiled(trainer(model, optimizer))
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    for _ in range(10):
        fast(x, y)
    gc.collect()
    before = torch.memory_stats()["used_bytes"]
    for _ in range(200):
        fast(x, y)
    assert torch.memory_stats()["used_bytes"] == before


def test_methods_decorated() -> None:
    class Trainer:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @torch.compile
        def apply(self, x: Any) -> Any:
            return x * self.scale

    first, second = Trainer(2.0), Trainer(3.0)
    for _ in range(4):
        assert first.apply(torch.ones(1)).item() == 2.0
        assert second.apply(torch.ones(1)).item() == 3.0
    first.scale = 7.0
    assert first.apply(torch.ones(1)).item() == 7.0


def test_a_compiled_module_is_the_module() -> None:
    model = mlp()
    fast = torch.compile(model)
    assert fast._orig_mod is model
    assert list(fast.state_dict()) == [f"_orig_mod.{name}" for name in model.state_dict()]
    assert next(fast.parameters()) is next(model.parameters())
    assert fast.get_submodule("_orig_mod.0") is model[0]
    twin = copy.deepcopy(model)
    twin.compile()
    x = torch.ones(2, 4)
    for _ in range(4):
        assert torch.equal(twin(x), model(x))


def test_wrong_arguments() -> None:
    with pytest.raises(RuntimeError, match="Unrecognized mode=quick, should be one of: default"):
        torch.compile(len, mode="quick")
    with pytest.raises(RuntimeError, match="Invalid backend: 'none'"):
        torch.compile(len, backend="none")
    with pytest.raises(RuntimeError, match="Either mode or options can be specified"):
        torch.compile(len, mode="default", options={})
    with pytest.raises(AssertionError, match="A callable function is expected"):
        torch.compile(3)
    with pytest.raises(NotImplementedError, match="backend of one's own"):
        torch.compile(len, backend=lambda graph, inputs: graph)


def test_errors_pass_through() -> None:
    fast = compiled(lambda x, y: x @ y)
    for _ in range(4):
        with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
            fast(torch.ones(2, 3), torch.ones(2, 3))
    assert fast(torch.ones(2, 3), torch.ones(3, 2)).tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_index_errors_at_replay() -> None:
    table = torch.randn(5, 2)
    fast = compiled(lambda i: F.embedding(i, table))
    for _ in range(4):
        assert torch.equal(fast(torch.tensor([0, 4])), table[[0, 4]])
    with pytest.raises(IndexError, match="index out of range in self"):
        fast(torch.tensor([0, 5]))
    assert torch.equal(fast(torch.tensor([1, 2])), table[[1, 2]])

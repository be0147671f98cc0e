"""Steps over all parameters at once: the bits of one after another, whatever happens in between."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import flambeau as torch
from flambeau.ops.launches import record
from flambeau.optim import _fused

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("Adam", {"lr": 0.01, "amsgrad": True}),
    "adamw": ("AdamW", {"lr": 0.01, "maximize": True}),
    "rmsprop": ("RMSprop", {"lr": 0.01, "momentum": 0.5, "centered": True}),
    "adagrad": ("Adagrad", {"lr": 0.01}),
    "adadelta": ("Adadelta", {"lr": 0.5}),
    "adamax": ("Adamax", {"lr": 0.01}),
    "nadam": ("NAdam", {"lr": 0.01}),
    "radam": ("RAdam", {"lr": 0.01}),
    "rprop": ("Rprop", {"lr": 0.01}),
    "asgd": ("ASGD", {"lr": 0.01}),
}
SHAPES = [(3, 4), (70_000,), (5,), (), (300, 400), (1,), (2, 0), (64, 3, 3, 3), (9_000,), (7,)]


def parameters(seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    made.append(torch.nn.Parameter(torch.randn(40, 30, generator=generator).t()))
    made.append(torch.nn.Parameter(torch.randn(50, dtype=torch.float64, generator=generator)))
    made.append(torch.nn.Parameter(torch.randn(50, generator=generator).to(torch.bfloat16)))
    return made


def set_gradients(made: list[Any], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in made:
        p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=generator))


def run(name: str, steps: int, monkeypatch: Any, together: bool, threads: int = 2) -> list[Any]:
    kind, options = OPTIMIZERS[name]
    made = parameters()
    optimizer = getattr(torch.optim, kind)(made, **options)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with monkeypatch.context() as patch:
            if not together:
                patch.setattr(_fused, "run_batch", lambda *_: False)
            for step in range(steps):
                set_gradients(made, step)
                optimizer.step()
    finally:
        torch.set_num_threads(before)
    state = optimizer.state_dict()["state"]
    return [*made, *(v for own in state.values() for v in own.values() if torch.is_tensor(v))]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_bits(name: str, monkeypatch: Any) -> None:
    expected = run(name, 5, monkeypatch, together=False)
    for threads in (1, 2):
        found = run(name, 5, monkeypatch, together=True, threads=threads)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype is b.dtype and torch.equal(a, b)


def test_one_launch() -> None:
    made = parameters()
    optimizer = torch.optim.AdamW(made)
    for step in range(3):
        set_gradients(made, step)
        optimizer.step()
    versions = [p._version for p in made]
    with record() as kernels:
        optimizer.step()
    assert kernels.launches == 1, kernels
    assert [p._version for p in made] == [version + 1 for version in versions]
    assert {state["step"].item() for state in optimizer.state.values()} == {4.0}


def test_what_changes_between_steps() -> None:
    """Gradients that come and go, other strides, new state, another rate, frozen parameters."""

    def runs(apart: bool) -> list[Any]:
        made = parameters()
        groups = [[p] for p in made] if apart else [made]
        optimizers = [torch.optim.Adam(group, lr=0.01) for group in groups]
        for step in range(14):
            set_gradients(made, step)
            if step == 4:
                made[1].grad = None
            if step == 6:
                made[4].grad = made[4].grad.t().contiguous().t()
            if step == 7:
                for optimizer in optimizers:
                    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            if step == 9:
                for optimizer in optimizers:
                    optimizer.param_groups[0]["lr"] = 0.5
            if step == 10:
                made[0].requires_grad_(False)
            if step == 11:
                made[0].requires_grad_(True)
                optimizers[3 if apart else 0].state.pop(made[3])
            if step == 12:
                made[2].data = torch.zeros(5)
            for optimizer in optimizers:
                optimizer.step()
        return [p.detach().clone() for p in made]

    for a, b in zip(runs(False), runs(True), strict=True):
        assert torch.equal(a, b)


def test_memory_that_is_shared() -> None:
    """A gradient in the parameter's own memory, parameters that are windows of one tensor."""
    for apart in (False, True):
        flat = torch.arange(12.0)
        made = [torch.nn.Parameter(flat[4 * i : 4 * i + 4]) for i in range(3)]
        groups = [[p] for p in made] if apart else [made]
        optimizers = [torch.optim.SGD(group, lr=0.25) for group in groups]
        for _ in range(4):
            for p in made:
                p.grad = p.detach()
            for optimizer in optimizers:
                optimizer.step()
        assert torch.equal(flat, torch.arange(12.0) * 0.75**4)


def test_counters_that_differ() -> None:
    made = [torch.nn.Parameter(torch.ones(3)) for _ in range(4)]
    optimizer = torch.optim.Adam(made, lr=0.1)
    for step in range(5):
        for p in made[: 2 if step < 2 else 4]:
            p.grad = torch.ones(3)
        optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in made] == [5, 5, 3, 3]
    alone = torch.nn.Parameter(torch.ones(3))
    other = torch.optim.Adam([alone], lr=0.1)
    for _ in range(3):
        alone.grad = torch.ones(3)
        other.step()
    assert torch.equal(alone, made[3])


def test_compiled_steps_are_one_kernel() -> None:
    made, twin = parameters(), parameters()
    set_gradients(made, 1), set_gradients(twin, 1)
    optimizer, other = torch.optim.AdamW(made), torch.optim.AdamW(twin)
    step = torch.compile(lambda: optimizer.step())
    for _ in range(5):
        step(), other.step()
    with record() as kernels:
        step()
    other.step()
    assert kernels.launches == 1, kernels
    assert all(torch.equal(a, b) for a, b in zip(made, twin, strict=True))


def test_clipping_is_a_few_kernels() -> None:
    made = [torch.nn.Parameter(torch.randn(8, 9)) for _ in range(20)]
    optimizer = torch.optim.SGD(made, lr=0.1, momentum=0.9)
    for p in made:
        p.grad = torch.randn(8, 9)
    torch.nn.utils.clip_grad_norm_(made, 0.5)  # imported outside of what is watched

    @torch.compile
    def step() -> Any:
        norm = torch.nn.utils.clip_grad_norm_(made, 0.5)
        optimizer.step()
        return norm

    for _ in range(6):  # the first step makes the momentum buffers
        step()
    with record() as kernels:
        step()
    assert kernels.launches <= 8, kernels  # norms, their norm, the factor, scaling, updates


def test_clipped_and_compiled() -> None:
    """Norms, scaling and updates of many small parameters: three rounds over them."""

    def build() -> tuple[list[Any], Any]:
        generator = torch.Generator().manual_seed(3)
        made = [torch.nn.Parameter(torch.randn(8, 9, generator=generator)) for _ in range(20)]
        optimizer = torch.optim.SGD(made, lr=0.1, momentum=0.9)

        def step() -> Any:
            optimizer.zero_grad()
            loss = sum((p * p).sum() for p in made)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(made, 0.5)
            optimizer.step()
            return loss, norm

        return made, step

    (made, step), (twin, plain) = build(), build()
    compiled = torch.compile(step)
    for _ in range(6):
        found, expected = compiled(), plain()
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(made, twin, strict=True))

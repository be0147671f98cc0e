"""Fused composites: as their unfused forms in results, gradients, second gradients and errors, in
fewer kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.nn import functional as F
from flambeau.nn.functional.class_loss import _probability_cross_entropy, _smoothed_cross_entropy

ROWS, COLUMNS = 80, 60


def signs(n: int) -> Any:
    return torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0)


CASES: dict[str, tuple[Callable[..., Any], Callable[[Any, Any, Any], Any]]] = {
    "l1": (F.l1_loss, lambda f, x, y: f(x, y)),
    "kl_div": (F.kl_div, lambda f, x, y: f(x, y.abs(), reduction="batchmean")),
    "poisson": (F.poisson_nll_loss, lambda f, x, y: f(x, y.abs(), full=True)),
    "cosine": (F.cosine_similarity, lambda f, x, y: f(x, y, 1)),
    "distance": (F.pairwise_distance, lambda f, x, y: f(x, y, keepdim=True)),
    "normalize": (F.normalize, lambda f, x, y: f(x, dim=0) * y),
    "softsign": (F.softsign, lambda f, x, y: f(x) * y),
    "ranking": (
        F.margin_ranking_loss,
        lambda f, x, y: f(x, y, torch.ones(ROWS, COLUMNS), margin=0.1),
    ),
    "hinge": (F.hinge_embedding_loss, lambda f, x, y: f(x, signs(ROWS)[:, None]) + y.sum()),
    "soft_margin": (F.multilabel_soft_margin_loss, lambda f, x, y: f(x, y.detach().abs())),
    "cosine_embedding": (F.cosine_embedding_loss, lambda f, x, y: f(x, y, signs(ROWS))),
    "triplet": (F.triplet_margin_loss, lambda f, x, y: f(x, y, x * 2, swap=True)),
    "smoothed": (
        _smoothed_cross_entropy,
        lambda f, x, y: f(x, torch.arange(ROWS) % COLUMNS, None, 3, "mean", 0.1),
    ),
    "probabilities": (
        _probability_cross_entropy,
        lambda f, x, y: f(x, y.softmax(1), None, -100, "mean", 0.1),
    ),
    "nanmean": (torch.nanmean, lambda f, x, y: f(x.masked_fill(x > 1, float("nan")), 1)),
    "renorm": (torch.renorm, lambda f, x, y: f(x, 2, 0, 3.0) * y),
    "trapezoid": (torch.trapezoid, lambda f, x, y: f(x, y)),
    "addr": (torch.addr, lambda f, x, y: f(x, y[:, 0], y[0], beta=2, alpha=3)),
    "vecdot": (torch.linalg.vecdot, lambda f, x, y: f(x, y, dim=0)),
}


def operands() -> tuple[Any, Any]:
    torch.manual_seed(0)
    make = lambda: torch.randn(ROWS, COLUMNS, requires_grad=True)
    return make(), make()


@pytest.mark.parametrize("name", CASES)
def test_fused_and_unfused(name: str) -> None:
    composite, call = CASES[name]
    unfused = composite
    while not hasattr(unfused, "fused"):
        unfused = unfused.__wrapped__
    state = unfused.fused
    state.entries.clear()
    for _ in range(4):
        found = []
        for function in (state.function, composite):
            x, y = operands()
            result = call(function, x, y)
            grads = torch.autograd.grad(result.sum(), (x, y), allow_unused=True)
            found.append((result, *grads))
        for a, b in zip(*found, strict=True):
            assert (a is None and b is None) or torch.equal(a, b)
        assert found[0][0].grad_fn.name() == found[1][0].grad_fn.name()
    entries = [e for e in state.entries.values() if e.__class__ is not int and e is not None]
    assert len(entries) == 1


@pytest.mark.parametrize("name", ["cosine", "kl_div", "smoothed"])
def test_second_gradients(name: str) -> None:
    composite, call = CASES[name]
    for _ in range(4):
        found = []
        for function in (getattr(composite, "__wrapped__", composite), composite):
            x, y = operands()
            (grad,) = torch.autograd.grad(call(function, x, y).sum(), x, create_graph=True)
            second = torch.autograd.grad((grad * grad).sum(), (x, y), allow_unused=True)
            found.append((grad, *second))
        for a, b in zip(*found, strict=True):
            assert (a is None and b is None) or torch.allclose(a, b, atol=1e-6)


def test_errors_and_warnings_are_those_of_the_unfused_form() -> None:
    x = torch.randn(ROWS, COLUMNS)
    for _ in range(4):
        with pytest.raises(RuntimeError, match="should have same dimension"):
            F.margin_ranking_loss(x, x, torch.ones(ROWS * COLUMNS))
        with pytest.warns(UserWarning, match="reduction: 'mean' divides"):
            F.kl_div(x, x.abs())
        with pytest.warns(UserWarning, match="target size"):
            F.l1_loss(x, x[:1])


def test_changes_of_the_operands_are_seen() -> None:
    x, y = operands()
    for i in range(5):
        with torch.no_grad():
            x.fill_(i + 1.0)
        loss = F.l1_loss(x, torch.zeros(ROWS, COLUMNS))
        assert loss.item() == i + 1.0
    for _ in range(4):
        x, y = operands()
        loss = F.cosine_similarity(x, y).sum()
        with torch.no_grad():
            y.zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

"""Matrix products with epilogues (compiler.products): the bits of the unfused form."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.compiler.tape import Step
from flambeau.ops.kernels import gemm, gemm_tiles, transposers, vector_text

F = nn.functional
ACTIVATIONS = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "mask": lambda x: x > 0,
    "square": lambda x: x * x,
    "scaled": lambda x: x * 0.5 + 1,
}


def same(function: Callable[..., Any], *operands: Any) -> list[str]:
    """Runs a function compiled and as it is, on copies of operands; what the replay launched."""
    compiled = torch.compile(function)
    for _ in range(4):  # the first calls are watched
        expected = function(*(x.clone() for x in operands))
        copies = [x.clone() for x in operands]
        found = compiled(*copies)
        if not isinstance(found, tuple):
            found, expected = (found,), (expected,)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype is other.dtype and one.stride() == other.stride()
            assert torch.equal(one, other), (one - other).abs().max()
    return launches(compiled)


def launches(compiled: Any) -> list[str]:
    """The ops that the one program of a compiled function launches."""
    (entry,) = compiled.entries
    return [str(step.plan.op) for step in entry.program.steps if isinstance(step, Step)]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_linear_and_activation(name: str, dtype: torch.dtype) -> None:
    activation = ACTIVATIONS[name]
    for rows, width, columns in ((130, 60, 97), (70, 1100, 261), (40, 700, 300), (600, 5, 64)):
        x, weight = torch.randn(rows, width, dtype=dtype), torch.randn(columns, width, dtype=dtype)
        bias = torch.randn(columns, dtype=dtype)
        step = lambda x, weight, bias: activation(F.linear(x, weight, bias))
        assert same(step, x, weight, bias) == ["product"], (rows, width, columns)


def test_residuals_and_broadcast_operands() -> None:
    x, w = torch.randn(4, 50, 90), torch.randn(90, 90)
    row, column, whole = torch.randn(90), torch.randn(50, 1), torch.randn(4, 50, 90)
    assert same(lambda x, w: x + x @ w, x, w) == ["product"]
    assert same(lambda x, w, row: (x @ w) * row, x, w, row) == ["product"]
    assert same(lambda x, w, whole: whole - (x @ w).tanh(), x, w, whole) == ["product"]
    # the batch would have to be divided for these: in other parts, k might be summed otherwise
    same(lambda x, w, column: (x @ w) * column, x, w, column)
    same(lambda x, w, whole: (x @ w) * whole.transpose(1, 2).reshape(4, 50, 90), x, w, whole)
    batch = torch.randn(4, 90, 70)
    assert same(lambda x, b: torch.relu(x @ b), x, batch) == ["product"]
    turned = torch.randn(90, 4 * 50)
    same(lambda x, w, t: (x.view(200, 90) @ w) + t.t(), x, w, turned)


def test_the_product_itself_is_kept_where_it_is_read() -> None:
    x, w = torch.randn(80, 90), torch.randn(90, 100)

    def both(x: Any, w: Any) -> Any:
        product = x @ w
        return product, product.relu()

    def reduced(x: Any, w: Any) -> Any:
        product = x @ w
        return product.tanh(), product.sum(1)

    def between(x: Any, w: Any) -> Any:
        product = x @ w
        other = product.sum(0)
        return product.exp() + 1, other, w.t() @ x.t()

    assert same(both, x, w) == ["product"]
    assert same(reduced, x, w)[0] == "product"
    same(between, x, w)


def test_in_place() -> None:
    x, w, total = torch.randn(80, 90), torch.randn(90, 90), torch.randn(80, 90)

    def accumulated(x: Any, w: Any, total: Any) -> Any:
        total += x @ w
        return total.clone()

    def onto_an_operand(x: Any, w: Any) -> Any:
        x += x @ w  # other rows of x are still needed
        return x.clone()

    def onto_itself(x: Any, w: Any) -> Any:
        return (x @ w).relu_()

    def overwritten_between(x: Any, w: Any, total: Any) -> Any:
        product = x @ w
        total.mul_(2)
        return product + total, total.clone()

    same(accumulated, x, w, total)
    same(onto_an_operand, x, w)
    assert same(onto_itself, x, w) == ["product"]
    same(overwritten_between, x, w, total)


def test_deep_products_are_summed_in_the_result() -> None:
    """Panels of the right factor hold some steps along k only; the last ones finish."""
    x, w = torch.randn(150, 3000), torch.randn(3000, 200)
    assert same(lambda x, w: torch.tanh(x @ w), x, w) == ["product"]
    assert same(lambda x, w: (x @ w) > 1, x, w) == ["product"]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.Tanh])
def test_training_steps(activation: Any) -> None:
    def run(compiled: bool) -> tuple[list[Any], int]:
        torch.manual_seed(1)
        layers = [nn.Linear(60, 90), activation(), nn.Linear(90, 90), activation()]
        model = nn.Sequential(*layers, nn.Linear(90, 40))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        x, y = torch.randn(128, 60), torch.randn(128, 40)

        def step() -> Any:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        if compiled:
            step = torch.compile(step)
        losses = [step().item() for _ in range(5)]
        products = launches(step).count("product") if compiled else 0
        return [losses, *(p.detach().clone() for p in model.parameters())], products

    (expected, _), (found, products) = run(False), run(True)
    assert found[0] == expected[0]
    assert all(torch.equal(a, b) for a, b in zip(found[1:], expected[1:], strict=True))
    assert products >= 4  # two activations, two of their derivatives


@pytest.mark.parametrize("width, registers", [(32, 16), (16, 16), (16, 32)])
def test_narrower_vectors(monkeypatch: Any, width: int, registers: int) -> None:
    """The same for processors with other vector registers."""
    caches: Any = (
        gemm_tiles.lanes_of, gemm_tiles.has_pairs, transposers.transposer_address, gemm.code,
    )  # fmt: skip
    for module in (vector_text, gemm_tiles, gemm):
        monkeypatch.setattr(module, "machine_vectors", lambda: (width, registers))
    for cache in caches:
        cache.cache_clear()
    try:
        size = random.Random(width + registers).randint(100, 120)
        for dtype in (torch.float32, torch.bfloat16):
            x, w = torch.randn(size, 77, dtype=dtype), torch.randn(77, size + 3, dtype=dtype)
            assert same(lambda x, w: torch.relu(x @ w) + 1, x, w) == ["product"]
    finally:
        for cache in caches:
            cache.cache_clear()

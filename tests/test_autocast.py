"""Automatic mixed precision: which functions work in which precision, with operands of two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F

HALF, FULL = torch.bfloat16, torch.float32


@pytest.fixture(autouse=True)
def autocast() -> Iterator[None]:
    """Autocast to bfloat16 during each test."""
    with torch.autocast("cpu", dtype=HALF):
        yield


def rows(half: bool = False) -> Any:
    """Numbers between 0 and 1."""
    numbers = torch.arange(32).reshape(2, 2, 8) / 32
    return numbers.to(HALF) if half else numbers


def images(half: bool = False) -> Any:
    """One image with two channels."""
    return rows(half).reshape(1, 2, 4, 4)


PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "mm": lambda x, y: x[0] @ y[0].mT,
    "bmm": lambda x, y: torch.bmm(x, y.mT),
    "addmm": lambda x, y: torch.addmm(torch.ones(2), x[0], y[0].mT),
    "addbmm": lambda x, y: torch.addbmm(torch.ones(2, 2), x, y.mT),
    "vecdot": lambda x, y: torch.linalg.vecdot(x, y),
    "attention": lambda x, y: F.scaled_dot_product_attention(x, y, x),
    "prelu": lambda x, y: F.prelu(x, y[0, 0, :2]),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_products_are_computed_in_half_precision(name: str, first: bool, second: bool) -> None:
    assert PRODUCTS[name](rows(first), rows(second)).dtype == HALF


IN_FLOAT32: dict[str, Callable[[Any, Any], Any]] = {
    "mse_loss": lambda x, y: F.mse_loss(x, y),
    "smooth_l1_loss": lambda x, y: F.smooth_l1_loss(x, y),
    "binary_cross_entropy": lambda x, y: F.binary_cross_entropy(x, y),
    "kl_div": lambda x, y: F.kl_div(x, y),
    "cdist": lambda x, y: torch.cdist(x, y),
    "quantile": lambda x, y: x.quantile(0.5),
    "prod": lambda x, y: x.prod(),
    "pinverse": lambda x, y: torch.pinverse(x),
    "reflect": lambda x, y: F.pad(x, (1, 1), "reflect"),
    "adaptive_avg_pool3d": lambda x, y: F.adaptive_avg_pool3d(x[None, None], 1),
    "max_pool3d": lambda x, y: F.max_pool3d(x[None, None], 1),
    "index_copy": lambda x, y: torch.index_copy(rows(), 0, torch.tensor([1]), y[:1]),
}


@pytest.mark.parametrize("name", IN_FLOAT32)
@pytest.mark.parametrize("second", [False, True])
def test_sensitive_functions_are_computed_in_float32(name: str, second: bool) -> None:
    assert IN_FLOAT32[name](rows(True), rows(second)).dtype == FULL


def test_other_functions_keep_the_precision_of_their_operand() -> None:
    for function in (torch.exp, torch.sum, torch.norm, F.normalize, F.gelu):
        assert [function(rows(half)).dtype for half in (False, True)] == [FULL, HALF]


@pytest.mark.parametrize("half", [False, True])
def test_layers_take_either_precision(half: bool) -> None:
    convolution = nn.Conv2d(2, 3, 3)
    transposed = nn.ConvTranspose2d(2, 3, 3)
    for layer in (convolution, transposed, nn.Conv2d(2, 2, 3, padding="same")):
        assert layer(images(half)).dtype == HALF
    assert nn.BatchNorm2d(2)(images(half)).dtype == (HALF if half else FULL)
    output, (hidden, cell) = nn.LSTM(8, 4)(rows(half))
    assert {output.dtype, hidden.dtype, cell.dtype} == {HALF}
    assert nn.RNN(8, 4)(rows(half))[0].dtype == HALF


def test_gradients_come_in_the_precision_of_the_parameters() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(True), nn.Conv2d(3, 1, 1))
    model(images()).float().sum().backward()
    assert {p.grad.dtype for p in model.parameters()} == {FULL}


def test_float64_is_left_alone() -> None:
    assert (rows().double()[0] @ rows().double()[0].mT).dtype == torch.float64

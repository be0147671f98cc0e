"""Comparisons with torch itself: skipped where torch is not installed, refused for another torch.

Each file begins with `torch = pytest.importorskip("torch")`; what is compared is torch 2.13.0, and
a newer or older one would report differences that are torch's own.
"""

from __future__ import annotations

import importlib.util

import pytest

COMPARED_WITH = "2.13.0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not items or importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.__version__.split("+")[0] != COMPARED_WITH:
        raise pytest.UsageError(
            f"tests/parity compares with torch {COMPARED_WITH}, installed is {torch.__version__}"
        )


@pytest.fixture(autouse=True)
def _same_start_of_torch() -> None:
    """Both sides draw from the same seed at the start of each test."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch.set_num_threads(1)

"""Comparisons with torch itself: skipped where torch is not installed, failed for another torch.

Each file begins with `torch = pytest.importorskip("torch")`; what is compared is torch 2.13.0, and
a newer or older one would report differences that are torch's own.
"""

from __future__ import annotations

import pytest

COMPARED_WITH = "2.13.0"


@pytest.fixture(autouse=True)
def _same_start_of_torch() -> None:
    """Both sides draw from the same seed at the start of each test, on one thread."""
    torch = pytest.importorskip("torch")
    installed = torch.__version__.split("+")[0]
    assert installed == COMPARED_WITH, f"tests/parity compares with torch {COMPARED_WITH}"
    torch.manual_seed(0)
    torch.set_num_threads(1)

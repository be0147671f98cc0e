"""Versions compare as torch's own `TorchVersion` compares them."""

from __future__ import annotations

import itertools
import operator

import pytest

torch = pytest.importorskip("torch")

from flambeau.torch_version import TorchVersion

TEXTS = ["1.0", "1.0.0", "1.10", "1.9+cpu", "2.0a1", "2.0.post1", "2.0.dev1", "nightly", "", "2.0+"]
OTHERS = [*TEXTS, (1, 10), (2,), ("2", "0a1"), ("x",)]


@pytest.mark.parametrize("name", ["lt", "le", "eq", "ge", "gt"])
def test_same_answers(name: str) -> None:
    compare = getattr(operator, name)
    for text, other in itertools.product(TEXTS, OTHERS):

        def answer(kind, text=text, other=other):
            try:
                return compare(kind(text), other)
            except TypeError:
                return TypeError

        assert answer(TorchVersion) == answer(torch.torch_version.TorchVersion), (text, other)

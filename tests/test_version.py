"""`flambeau.__version__` and its order among versions."""

from __future__ import annotations

import itertools
import pickle

import pytest

import flambeau
from flambeau.torch_version import TorchVersion

ASCENDING = [
    "0.9", "1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0+cpu",
    "1.0+cu118", "1.0+cu118.2", "1.0+5", "1.0.post1.dev3", "1.0.post1", "1.0.1", "1.9", "1.10",
    "2.13.0", "2.13.0+flambeau.0.1.0", "2.13.1", "1!0.1",
]  # fmt: skip


def test_it_is_the_level_of_torch_with_our_own_version() -> None:
    assert flambeau.__version__ == "2.13.0+flambeau.0.1.0"
    assert isinstance(flambeau.__version__, str)
    assert flambeau.__version__.split("+")[0] == "2.13.0"
    assert str(flambeau.__version__) == repr(flambeau.__version__).strip("'")


@pytest.mark.parametrize("other", ["2.9", "2.13", "1.13.1", (2, 13), (1, 10, 0), ["2", "0"]])
def test_gates_that_programs_use(other: object) -> None:
    assert flambeau.__version__ >= other
    assert not flambeau.__version__ < other


def test_order() -> None:
    for (i, low), (j, high) in itertools.product(enumerate(ASCENDING), repeat=2):
        version = TorchVersion(low)
        got = [version < high, version <= high, version == high, version >= high, version > high]
        assert got == [i < j, i <= j, i == j, i >= j, i > j], (low, high)
        assert (version != high) == (i != j)


def test_spellings_of_one_version_are_equal() -> None:
    for same in ["1.0", "1", "v1.0.0", "1.0+", " 1.0 "]:
        assert (TorchVersion("1.0") == same) == (same != "1.0+")
    assert TorchVersion("1.0-alpha.1") == "1.0a1"
    assert TorchVersion("1.0-1") == "1.0.post1"


def test_texts_that_are_no_version_compare_as_texts() -> None:
    assert TorchVersion("parrot") > "1.0"
    assert TorchVersion("1.0") < "parrot"
    assert TorchVersion("1.0") != 1
    with pytest.raises(TypeError):
        TorchVersion("1.0") < 1


def test_hash_and_pickle() -> None:
    version = TorchVersion("1.2")
    assert {version: "x"}["1.2"] == "x"
    assert pickle.loads(pickle.dumps(version)) == version

"""utils.data beside torch's: batches, their types, the order of shuffling, and what is drawn.

Each case builds a loader from a library's `utils.data`; two passes over it, its length, the
warnings and the next random number after all must be equal.
"""

from __future__ import annotations

import inspect
import types
import warnings
from collections import OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import flambeau
import flambeau.utils.data

Pair = namedtuple("Pair", "a b")


def plain(value):
    """Tensors as (dtype, stride, nested lists) and containers with their types."""
    if hasattr(value, "data_ptr"):
        return (str(value.dtype).split(".")[-1], value.stride(), value.tolist())
    if isinstance(value, (dict, UserDict)):
        return (type(value).__name__, [(key, plain(item)) for key, item in value.items()])
    if isinstance(value, (list, tuple, UserList, deque)):
        return (type(value).__name__, [plain(item) for item in value])
    return repr(value).replace("flambeau.", "torch.").split(" object at")[0]


class Rows:
    """A dataset of any function of the index."""

    def __init__(self, row, length=11):
        self.row = row
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index >= self.length:
            raise IndexError
        return self.row(index)


def pairs(T):
    return T.utils.data.TensorDataset(T.arange(40.0).reshape(20, 2), T.arange(20))


def stream(T, length):
    class Stream(T.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(length))

        def __len__(self):
            return length - 3

    return Stream()


def seeded(T, seed):
    return T.Generator().manual_seed(seed)


LOADERS = {
    "shuffled": lambda T, D: D.DataLoader(pairs(T), 3, shuffle=True),
    "drop_last": lambda T, D: D.DataLoader(pairs(T), 3, shuffle=True, drop_last=True),
    "in order": lambda T, D: D.DataLoader(pairs(T), 6),
    "no batches": lambda T, D: D.DataLoader(pairs(T), None, shuffle=True),
    "generator": lambda T, D: D.DataLoader(pairs(T), 6, shuffle=True, generator=seeded(T, 3)),
    "subset": lambda T, D: D.DataLoader(
        D.Subset(D.Subset(pairs(T), [1, 5, 3, 9]), [3, 1]), 2, shuffle=True
    ),
    "fractions": lambda T, D: D.DataLoader(D.random_split(pairs(T), [0.6, 0.25, 0.15])[1], 2),
    "lengths": lambda T, D: D.DataLoader(D.random_split(range(10), [3, 7], seeded(T, 1))[0], 2),
    "empty part": lambda T, D: D.DataLoader(D.random_split(range(2), [0.9, 0.1])[0], 2),
    "concat": lambda T, D: D.DataLoader(pairs(T) + pairs(T), 4, shuffle=True),
    "stack": lambda T, D: D.DataLoader(D.StackDataset(a=pairs(T), b=range(20)), 4),
    "stack, tuple": lambda T, D: D.DataLoader(
        D.StackDataset(D.Subset(range(30), range(20)), range(20)), 4, shuffle=True
    ),
    "replacement": lambda T, D: D.DataLoader(
        range(50), 4, sampler=D.RandomSampler(range(50), True, 70)
    ),
    "more than once": lambda T, D: D.DataLoader(
        range(5), 4, sampler=D.RandomSampler(range(5), num_samples=13)
    ),
    "subset sampler": lambda T, D: D.DataLoader(
        range(50), 4, sampler=D.SubsetRandomSampler([3, 4, 5, 6, 7])
    ),
    "weighted": lambda T, D: D.DataLoader(
        range(5), 4, sampler=D.WeightedRandomSampler([0.1, 0.5, 0.2, 0.1, 0.1], 12)
    ),
    "weighted, once": lambda T, D: D.DataLoader(
        range(5), 4, sampler=D.WeightedRandomSampler([0.1, 0.5, 0.2, 0.1, 0.1], 4, False)
    ),
    "batch sampler": lambda T, D: D.DataLoader(
        range(9), batch_sampler=D.BatchSampler(D.RandomSampler(range(9)), 4, True)
    ),
    "distributed": lambda T, D: D.DataLoader(
        range(11), 2, sampler=D.DistributedSampler(range(11), 3, 1, seed=4)
    ),
    "distributed, dropped": lambda T, D: D.DataLoader(
        range(11), 2, sampler=D.DistributedSampler(range(11), 3, 2, drop_last=True)
    ),
    "distributed, repeated": lambda T, D: D.DataLoader(
        range(2), 2, sampler=D.DistributedSampler(range(2), 7, 6, shuffle=False)
    ),
    "stream": lambda T, D: D.DataLoader(stream(T, 7), 3),
    "stream, drop_last": lambda T, D: D.DataLoader(stream(T, 7), 3, drop_last=True),
    "stream, no batches": lambda T, D: D.DataLoader(stream(T, 7), None),
    "streams": lambda T, D: D.DataLoader(stream(T, 4) + stream(T, 3), 3),
    "pinned": lambda T, D: D.DataLoader(range(3), pin_memory=True),
    "collate": lambda T, D: D.DataLoader(range(5), 2, collate_fn=tuple),
}
ROWS = {
    "array": lambda T, i: np.ones(3) * i,
    "float32": lambda T, i: np.float32(i),
    "int32": lambda T, i: np.int32(i),
    "numpy bool": lambda T, i: np.bool_(i % 2),
    "numpy text": lambda T, i: np.array(["a"]),
    "numpy str": lambda T, i: np.str_("a"),
    "numpy object": lambda T, i: np.array([None]),
    "float": lambda T, i: i * 0.5,
    "bool": lambda T, i: i % 2 == 0,
    "str": lambda T, i: str(i),
    "bytes": lambda T, i: b"a",
    "tuple": lambda T, i: (i, str(i), i * 0.1),
    "list": lambda T, i: [i, i * 2.0],
    "dict": lambda T, i: {"a": i, "b": [i, i]},
    "namedtuple": lambda T, i: Pair(i, T.ones(2) * i),
    "defaultdict": lambda T, i: defaultdict(list, {"a": i}),
    "ordered": lambda T, i: OrderedDict(a=i),
    "user dict": lambda T, i: UserDict(a=i),
    "user list": lambda T, i: UserList([i, i]),
    "deque": lambda T, i: deque([i, i]),
    "proxy": lambda T, i: types.MappingProxyType({"a": i}),
    "range": lambda T, i: range(3),
    "empty": lambda T, i: [],
    "ragged": lambda T, i: [1] * i,
    "ragged tensors": lambda T, i: T.ones(i),
    "none": lambda T, i: None,
    "object": lambda T, i: object,
    "set": lambda T, i: {1},
    "complex": lambda T, i: 1j * i,
    "nested": lambda T, i: {"x": (1, [T.tensor(i), {"z": np.float16(i)}])},
}
for _name, _row in ROWS.items():
    LOADERS[f"rows of {_name}"] = lambda T, D, row=_row: D.DataLoader(
        Rows(lambda i: row(T, i)), 3, shuffle=True
    )
    LOADERS[f"single {_name}"] = lambda T, D, row=_row: D.DataLoader(
        Rows(lambda i: row(T, i)), None
    )


def observe(library, make):
    library.manual_seed(7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loader = make(library, library.utils.data)
            length = len(loader)
            batches = [plain(batch) for _ in range(2) for batch in loader]
        except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
            return type(error), str(error).split("\n")[0]
    texts = [str(w.message).split("<")[0] for w in caught]
    return length, batches, texts, library.rand(1).item()


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_loader(make):
    expected = observe(torch, make)
    assert observe(flambeau, make) == expected


WRONG = [
    lambda T, D: D.DataLoader([1], num_workers=-1),
    lambda T, D: D.DataLoader([1], timeout=-1),
    lambda T, D: D.DataLoader([1], prefetch_factor=2),
    lambda T, D: D.DataLoader([1], persistent_workers=True),
    lambda T, D: D.DataLoader([1], sampler=[0], shuffle=True),
    lambda T, D: D.DataLoader([1], batch_sampler=[[0]], batch_size=2),
    lambda T, D: D.DataLoader([1], batch_size=None, drop_last=True),
    lambda T, D: D.DataLoader([1], batch_size=0),
    lambda T, D: D.DataLoader([1], batch_size=2.5),
    lambda T, D: D.DataLoader([1], batch_size=True),
    lambda T, D: D.DataLoader([1], drop_last=1),
    lambda T, D: D.DataLoader([], shuffle=True),
    lambda T, D: D.DataLoader(stream(T, 3), shuffle=True),
    lambda T, D: D.DataLoader(stream(T, 3), sampler=[1]),
    lambda T, D: D.DataLoader(stream(T, 3), batch_sampler=[1]),
    lambda T, D: setattr(D.DataLoader([1]), "batch_size", 3),
    lambda T, D: setattr(D.DataLoader([1]), "dataset", 3),
    lambda T, D: D.DataLoader([1], multiprocessing_context="fork"),
    lambda T, D: next(iter(D.DataLoader([1], timeout=1))),
    lambda T, D: list(D.DataLoader(pairs(T), sampler=[99])),
    lambda T, D: iter(D.DataLoader([1])).__getstate__(),
    lambda T, D: D.Dataset()[0],
    lambda T, D: D.TensorDataset(T.ones(2), T.ones(3)),
    lambda T, D: D.StackDataset(),
    lambda T, D: D.StackDataset([1], a=[1]),
    lambda T, D: D.StackDataset([1], [1, 2]),
    lambda T, D: D.ConcatDataset([]),
    lambda T, D: D.ConcatDataset([stream(T, 3)]),
    lambda T, D: D.ConcatDataset([[1]])[-3],
    lambda T, D: D.ConcatDataset([[1]])[4],
    lambda T, D: list(D.ChainDataset([[1]])),
    lambda T, D: D.random_split([1, 2], [1, 2]),
    lambda T, D: D.random_split([1, 2], [1.5, -0.5]),
    lambda T, D: type("Q", (D.Subset,), {"__getitem__": lambda self, i: 0})([1], [0]),
    lambda T, D: D.RandomSampler([1], replacement=1),
    lambda T, D: D.RandomSampler([1], num_samples=0),
    lambda T, D: D.RandomSampler([1], num_samples=1.5),
    lambda T, D: D.WeightedRandomSampler([1.0], 0),
    lambda T, D: D.WeightedRandomSampler([1.0], 1, 2),
    lambda T, D: D.WeightedRandomSampler([[1.0]], 1),
    lambda T, D: D.BatchSampler([1], 0, False),
    lambda T, D: D.BatchSampler([1], 1, 0),
    lambda T, D: D.DistributedSampler([1], 2, 2),
    lambda T, D: iter(D.Sampler()),
    lambda T, D: D.default_collate([]),
    lambda T, D: D.default_collate([{1}]),
    lambda T, D: D.default_collate([[1], [1, 2]]),
    lambda T, D: D.default_collate([T.ones(1), T.ones(2)]),
    lambda T, D: len(D.DataLoader(type("S", (D.IterableDataset,), {})())),
]


@pytest.mark.parametrize("call", WRONG, ids=range(len(WRONG)))
def test_errors(call):
    seen = []
    for library in (torch, flambeau):
        with pytest.raises(Exception) as caught:
            call(library, library.utils.data)
        seen.append((caught.type, str(caught.value).split("\n  hint")[0]))
    assert str(seen[1]).replace("flambeau.", "torch.") == str(seen[0])


def test_convert():
    def sample(T):
        return {"a": np.ones(2), "b": (1, np.float32(2)), "c": [Pair("x", np.ones(1))], "d": T.ones}

    for name in "abc":
        expected = torch.utils.data.default_convert(sample(torch)[name])
        actual = flambeau.utils.data.default_convert(sample(flambeau)[name])
        assert plain(actual) == plain(expected)


CLASSES = [name for name in flambeau.utils.data.__all__ if name[0].isupper()]


@pytest.mark.parametrize("name", CLASSES)
def test_signature(name):
    ours, theirs = getattr(flambeau.utils.data, name), getattr(torch.utils.data, name)
    assert _parameters(ours) == _parameters(theirs)


def _parameters(cls):
    return [(p.name, p.default, p.kind) for p in inspect.signature(cls).parameters.values()]

"""Datasets, samplers and loaders; the orders are golden figures of torch 2.13."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils import data as D

# What torch 2.13 yields for the seeds used below.
GOLDEN = {
    "first": [6, 7, 1, 4, 2, 0, 9, 8, 3, 5],
    "second": [2, 4, 7, 0, 8, 9, 5, 3, 6, 1],
    "rand": 0.455627977848053,
    "generator": [4, 6, 9, 2, 3, 1, 0, 7, 8, 5],
    "split": [[2, 6, 1, 8, 4], [5, 0, 9], [3, 7]],
    "weighted": [2, 1, 1, 2, 1],
    "replaced": [7, 1, 9, 3, 7],
    "subset": [5, 7, 6],
}


def pairs(n=6):
    return D.TensorDataset(torch.arange(n) * 10, torch.arange(n))


# ---- order ---------------------------------------------------------------------------------------
def test_shuffle_order():
    """One seed, two passes, and the next number of the default generator."""
    torch.manual_seed(0)
    loader = D.DataLoader(pairs(10), batch_size=4, shuffle=True)
    orders = [[y for _, batch in loader for y in batch.tolist()] for _ in range(2)]
    assert orders == [GOLDEN["first"], GOLDEN["second"]]
    assert torch.rand(1).item() == GOLDEN["rand"]


def test_generators_leave_the_default_alone():
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    loader = D.DataLoader(range(10), batch_size=10, shuffle=True, generator=generator)
    assert next(iter(loader)).tolist() == GOLDEN["generator"]
    assert torch.equal(torch.get_rng_state(), before)


def test_random_split():
    parts = D.random_split(range(10), [0.5, 0.3, 0.2], torch.Generator().manual_seed(42))
    assert [list(part.indices) for part in parts] == GOLDEN["split"]


def test_weighted_and_replacement():
    torch.manual_seed(0)
    assert list(D.WeightedRandomSampler([0.1, 0.9, 0.4], 5)) == GOLDEN["weighted"]
    assert list(D.RandomSampler(range(10), replacement=True, num_samples=5)) == GOLDEN["replaced"]
    assert list(D.SubsetRandomSampler([5, 6, 7])) == GOLDEN["subset"]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("replicas", [1, 3, 4, 17])
def test_distributed_parts_cover_everything(replicas, drop_last):
    samplers = [
        D.DistributedSampler(range(10), replicas, rank, drop_last=drop_last)
        for rank in range(replicas)
    ]
    parts = [list(s) for s in samplers]
    assert len({len(part) for part in parts}) == 1
    assert [len(s) for s in samplers] == [len(part) for part in parts]
    seen = [i for part in parts for i in part]
    if drop_last:
        assert len(seen) == len(set(seen))
    else:
        assert set(seen) == set(range(10))
    samplers[0].set_epoch(1)
    assert replicas > 10 or list(samplers[0]) != parts[0]


# ---- batches -------------------------------------------------------------------------------------
def test_batches():
    loader = D.DataLoader(pairs(5), batch_size=2)
    assert [[t.tolist() for t in batch] for batch in loader] == [
        [[0, 10], [0, 1]],
        [[20, 30], [2, 3]],
        [[40], [4]],
    ]
    assert (len(loader), len(D.DataLoader(pairs(5), 2, drop_last=True))) == (3, 2)


def test_rows_at_once_equal_rows_one_by_one():
    """A TensorDataset is indexed once for a batch; any subclass goes sample by sample."""

    class Slow(D.TensorDataset):
        pass

    tensors = torch.randn(7, 2, 3), torch.arange(7), torch.randn(7) > 0
    for indices in ([3, 1], [-1, 0], [6]):
        fast, slow = (
            next(iter(D.DataLoader(kind(*tensors), batch_sampler=[indices])))
            for kind in (D.TensorDataset, Slow)
        )
        assert type(fast) is type(slow) is list
        for a, b in zip(fast, slow):
            assert torch.equal(a, b)
            assert a.stride() == b.stride()


def test_gradients_flow_through_batches():
    x = torch.ones(4, requires_grad=True)
    for (batch,) in D.DataLoader(D.TensorDataset(x), batch_size=2):
        batch.sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 1]


def test_datasets():
    both = pairs(3) + pairs(2)
    assert [int(y) for _, y in (both[i] for i in range(5))] == [0, 1, 2, 0, 1]
    assert int(both[-1][1]) == 1
    stacked = D.StackDataset(x=D.Subset("abcd", [3, 1]), y=[1, 2])
    assert stacked.__getitems__([1, 0]) == [{"x": "b", "y": 2}, {"x": "d", "y": 1}]
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        D.TensorDataset(torch.ones(2), torch.ones(3))


def test_collate():
    batch = D.default_collate(
        [{"x": (1, "a"), "y": np.float32(2)}, {"x": (3, "b"), "y": np.float32(4)}]
    )
    assert batch["x"][0].tolist() == [1, 3]
    assert batch["x"][1] == ("a", "b")
    assert batch["y"].dtype == torch.float32
    assert D.default_collate([0.5, 1.0]).dtype == torch.float64
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors"):
        D.default_collate([object()])
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        D.default_collate([[1], [1, 2]])


# ---- streams and workers -------------------------------------------------------------------------
class Stream(D.IterableDataset):
    """Numbers below `n`, dealt out among the workers."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = D.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, self.n, step))


class Report(D.Dataset):
    """What a worker knows, and its random numbers."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        info = D.get_worker_info()
        drawn = (random.random(), np.random.rand(), torch.rand(1))
        return index, info.id, info.seed, torch.get_num_threads(), *drawn


class Failing(D.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            raise ValueError("item 2 is damaged")
        return index


class Slow(D.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        time.sleep(2)
        return index


def test_stream():
    assert [b.tolist() for b in D.DataLoader(Stream(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert list(Stream(2) + Stream(1)) == [0, 1, 0]
    with pytest.raises(ValueError, match="expected unspecified shuffle option"):
        D.DataLoader(Stream(2), shuffle=True)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers(persistent):
    torch.manual_seed(0)
    loader = D.DataLoader(Report(), 2, num_workers=2, persistent_workers=persistent)
    for _ in range(2):
        batches = list(loader)
        assert [b[0].tolist() for b in batches] == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert [b[1].tolist() for b in batches] == [[0, 0], [1, 1], [0, 0], [1, 1]]
        assert batches[1][2][0] == batches[0][2][0] + 1
        assert all(b[3].tolist() == [1, 1] for b in batches)
        for drawn in range(4, 7):
            assert len({x for b in batches for x in b[drawn].flatten().tolist()}) == 8


def test_stream_with_workers():
    batches = [b.tolist() for b in D.DataLoader(Stream(7), batch_size=2, num_workers=2)]
    assert batches == [[0, 2], [1, 3], [4, 6], [5]]


def test_worker_errors():
    loader = D.DataLoader(Failing(), num_workers=2)
    with pytest.raises(
        ValueError, match="Caught ValueError in DataLoader worker process 0.\nOriginal"
    ):
        list(loader)
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.2 seconds"):
        list(D.DataLoader(Slow(), num_workers=1, timeout=0.2))


def test_worker_of_any_order():
    loader = D.DataLoader(range(20), 3, num_workers=2, in_order=False)
    assert sorted(x for batch in loader for x in batch.tolist()) == list(range(20))

"""Indexing beside torch: random indices on both sides of `=`, random in-place programs, errors.

The seeds are fixed, so every run makes the same comparisons.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")

import flambeau

Pair = tuple[Any, Any]


def pair(array: Any, requires_grad: bool = False) -> Pair:
    """The same values as torch's tensor and as ours."""
    made = torch.from_numpy(array.copy()), flambeau.from_numpy(array.copy())
    return tuple(t.requires_grad_(requires_grad) for t in made) if requires_grad else made


def outcome(action: Callable[[], Any]) -> tuple[Any, Any]:
    """(result, None) or (None, the error's class and first line)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return action(), None
        except Exception as error:  # noqa: BLE001 (every class is compared)
            return None, (type(error), str(error).split("\n")[0])


# ---- random indices ------------------------------------------------------------------------------


def random_entry(rng: random.Random, size: int) -> Pair:
    """One entry of an index for a dimension of this size: twice the same, or a tensor of each."""

    def place() -> int:
        return rng.randrange(-size, size) if size else 0

    def bound() -> int | None:
        return rng.choice([None, rng.randrange(-size - 2, size + 3)])

    kind = rng.randrange(14)
    if kind < 3:
        value = rng.randrange(-size - 1, size + 1) if rng.random() < 0.1 else place()
        return value, value
    if kind < 7:
        entry = slice(bound(), bound(), rng.choice([None, 1, 1, 2, 3]))
        return entry, entry
    if kind == 7:
        return None, None
    if kind == 8:
        return Ellipsis, Ellipsis
    if kind == 9:
        places = [place() for _ in range(rng.randrange(4))]
        return places, places
    if kind == 10:
        array = numpy.array([place() for _ in range(rng.choice([1, 3]))])
        array = array.astype(rng.choice(["int64", "int64", "int32"]))
        return pair(array.reshape(1, -1) if rng.random() < 0.3 else array)
    if kind == 11:
        return pair(numpy.array([rng.random() < 0.5 for _ in range(size)]))
    if kind == 12:
        truth = rng.random() < 0.5
        return truth, truth
    return pair(numpy.array(place()))


def random_index(rng: random.Random, shape: list[int]) -> Pair | None:
    """An index for both libraries; None where it would have two Ellipses."""
    if rng.random() < 0.12:
        covered = shape[: rng.randrange(len(shape) + 1)]
        mask = numpy.random.default_rng(rng.randrange(9999)).random(covered) < 0.5
        return pair(numpy.asarray(mask))
    entries, dim = [], 0
    for _ in range(rng.randrange(len(shape) + 2)):
        entry = random_entry(rng, shape[dim] if dim < len(shape) else 3)
        entries.append(entry)
        dim += not (entry[0] is None or entry[0] is Ellipsis or isinstance(entry[0], bool))
    if sum(entry[0] is Ellipsis for entry in entries) > 1:
        return None
    if len(entries) == 1 and rng.random() < 0.5:
        return entries[0]
    return tuple(e[0] for e in entries), tuple(e[1] for e in entries)


def random_tensors(rng: random.Random) -> tuple[list[int], Any, Any]:
    """A shape, and tensors of it, some of them permuted."""
    sizes = [0, 1, 2, 3, 4] if rng.random() < 0.4 else [1, 2, 3, 4]
    shape = [rng.choice(sizes) for _ in range(rng.randrange(5))]
    x, y = pair(numpy.arange(int(numpy.prod(shape)), dtype="float32").reshape(shape))
    if shape and rng.random() < 0.4:
        order = list(range(len(shape)))
        rng.shuffle(order)
        x, y, shape = x.permute(order), y.permute(order), [shape[d] for d in order]
    return shape, x, y


def seen(result: Any, source: Any) -> Any:
    """Everything that can be seen of a result."""
    shares = result.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    distance = result.data_ptr() - source.data_ptr() if shares and result.numel() else None
    node = result.grad_fn.name() if result.grad_fn is not None else None
    return tuple(result.shape), result.stride(), distance, node, result.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_random_reading(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        shape, x, y = random_tensors(rng)
        index = random_index(rng, shape)
        if index is None:
            continue
        if rng.random() < 0.4:
            x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
        ours, our_error = outcome(lambda y=y, index=index: y[index[1]])
        theirs, their_error = outcome(lambda x=x, index=index: x[index[0]])
        assert our_error == their_error, (shape, index[0])
        if their_error is not None:
            continue
        assert seen(ours, y) == seen(theirs, x), (shape, x.stride(), index[0])
        if theirs.grad_fn is not None:
            g, h = pair(
                numpy.random.default_rng(seed).random(tuple(theirs.shape)).astype("float32")
            )
            theirs.backward(g)
            ours.backward(h)
            numpy.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_random_writing(seed: int) -> None:
    rng = random.Random(100 + seed)
    for step in range(300):
        shape, x, y = random_tensors(rng)
        index = random_index(rng, shape)
        if index is None:
            continue
        x, y = x.clone(), y.clone()
        theirs, _ = outcome(lambda x=x, index=index: x[index[0]])
        target = list(theirs.shape) if theirs is not None else [2]
        tails = [target[rng.randrange(len(target) + 1) :], [1, *target], [*target, 2], target]
        random_values = numpy.random.default_rng(step).random
        value = rng.choice(
            [(2.5, 2.5), *(pair(random_values(t).astype("float32")) for t in tails if t)]
        )
        _, our_error = outcome(lambda y=y, i=index, v=value: y.__setitem__(i[1], v[1]))
        _, their_error = outcome(lambda x=x, i=index, v=value: x.__setitem__(i[0], v[0]))
        assert our_error == their_error, (shape, index[0], getattr(value[0], "shape", value[0]))
        assert y.tolist() == x.tolist(), (shape, index[0], getattr(value[0], "shape", value[0]))


# ---- random programs of in-place changes ---------------------------------------------------------


class Program:
    """A few in-place changes of a tensor and of views of it, done to both libraries' tensors."""

    def __init__(self, seed: int):
        self.rng, self.numbers = random.Random(seed), numpy.random.default_rng(seed)
        self.shape = [self.rng.choice([2, 3, 4]) for _ in range(self.rng.randrange(1, 4))]
        self.leaves = [self.values(self.shape, True)]
        self.targets = [leaf * 2 for leaf in self.leaves[0]]
        if self.rng.random() < 0.5:
            self.targets = [t.view(-1).view(self.shape) for t in self.targets]
        self.held: list[list[Any]] = []

    def values(self, shape: Any, requires_grad: bool | None = None) -> Pair:
        """Random numbers, which may need a gradient."""
        needs = self.rng.random() < 0.6 if requires_grad is None else requires_grad
        made = pair(numpy.asarray(self.numbers.random(shape)), needs)
        if requires_grad is None and needs:
            self.leaves.append(made)
        return made

    def index(self) -> tuple[Any, ...]:
        """A basic index."""
        dims = self.shape[: self.rng.randrange(1, len(self.shape) + 1)]
        choose = self.rng.choice
        return tuple(
            choose([slice(None), self.rng.randrange(s), slice(self.rng.randrange(s), None),
                    slice(0, None, 2)]) for s in dims
        )  # fmt: skip

    def change(self) -> None:
        """One in-place change."""
        index = self.index()
        shape = numpy.empty(self.shape)[index].shape
        if self.rng.random() < 0.4:
            self.held.append([t[index] for t in self.targets])
        kind = self.rng.randrange(9)
        rows = pair(self.numbers.integers(0, self.shape[0], 3))
        mask = pair(self.numbers.random(self.shape) < 0.5)
        value = self.values([(), shape, shape, shape[1:], self.shape, [3, *self.shape[1:]],
                             self.shape, (), ()][kind])  # fmt: skip
        for k, t in enumerate(self.targets):
            v = value[k]
            if kind in (1, 3):
                t[index] = v
            elif kind == 2:
                t[index].mul_(v)
            elif kind == 0:
                t[index].unsqueeze(0).transpose(0, -1).add_(v).mul_(v)
            elif kind == 4:
                t.copy_(v)
            elif kind == 5:
                t.index_put_((rows[k],), v, accumulate=True)
            elif kind == 6:
                t.add_(v).scatter_(0, rows[k].argsort().view(3, *[1] * (len(self.shape) - 1))[
                    : min(3, self.shape[0])] % self.shape[0], v)  # fmt: skip
            elif kind == 7:
                t.masked_fill_(mask[k], v)
            else:
                t[mask[k]] = 1.5

    def gradients(self, k: int) -> list[Any]:
        """First and second gradients of what came of it, under one of the libraries."""
        library = (torch, flambeau)[k]
        leaves = [pair[k] for pair in self.leaves]
        total = (self.targets[k] ** 2).sum() + sum((h[k] ** 3).sum() for h in self.held)
        options = {"allow_unused": True}
        first = library.autograd.grad(total, leaves, create_graph=True, **options)
        square = sum((g * g).sum() for g in first if g is not None)
        second = (
            library.autograd.grad(square, leaves, **options)
            if hasattr(square, "requires_grad") and square.requires_grad
            else []
        )
        return [None if g is None else g.detach().numpy() for g in (*first, *second)]


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_in_place(seed: int) -> None:
    program = Program(seed)
    for _ in range(program.rng.randrange(1, 5)):
        program.change()
    assert numpy.allclose(program.targets[0].tolist(), program.targets[1].tolist())
    theirs, their_error = outcome(lambda: program.gradients(0))
    ours, our_error = outcome(lambda: program.gradients(1))
    if their_error is not None:  # torch also visits what was overwritten: we need not refuse
        return
    assert our_error is None
    zero = numpy.zeros(())
    for a, b in zip_longest(ours, theirs):  # torch leaves out second gradients that are zero
        numpy.testing.assert_allclose(
            zero if a is None else a, zero if b is None else b, rtol=1e-9, atol=1e-12
        )


# ---- errors and results of single calls ----------------------------------------------------------

CALLS = """
m[5]; m[0, 0, 0]; m[10:]; m[T([4])]; m[T([-5])]; m[:, T([7])]; m[[0, 1], [0, 1, 2]]; m[1.5]; m["a"]
m[T([1.0])]; m[T([True, False])]; m[m > 3, 0]; m[T([1], dtype=torch.int8)]; m[::-1]; m[::0]; m[..., ...]
m[T([0, 1, 0, 1], dtype=torch.uint8)]; m[[[0, 1], [1, 2]]]; m[[[0, 1]]]; m[(0, 1)]; m[[slice(0, 1), 0]]
m[[0, None]]; m[[True, False, True, False]]; m[{}]; m[range(2)]; s[0]; s[1]; s[:]; s[...]; s[None]; s[True]; s[T(False)]
m.index_put((T([1]),), T(1)); m.index_put((T([1]),), T([1.0, 2.0])); m.index_put(T([1]), T(1.0)); m.index_put((None, T([1])), s)
m.gather(0, T([[4]])); m.gather(0, T([[-1]])); m.gather(2, T([[0]])); m.gather(0, T([0])); m.gather(0, T([[0.0]]))
m.gather(0, T([[0, 1], [2, 3]])); m.gather(1, T([[0], [1], [2], [3], [4]])); s.gather(0, T([0])); m[:, 0].gather(0, T(2))
m.scatter(0, T([[4]]), 1.0); m.scatter(0, T([[0]]), m.long()); m.scatter(0, T([[0]] * 5), m); m.scatter(0, T([0]), m)
m.scatter(0, T([[0.0]]), m); m.scatter(0, T([[0]]), m, reduce='x'); m.scatter(0, T([[0, 1]]), 2.0, reduce='multiply')
m.scatter(1, T([[0], [2]]), m, reduce='add'); m.scatter(1, T([[0]]), value=3); m.scatter_add(0, T([[4]]), m); m.mT.scatter_add(0, T([[1, 1]]), m)
m.index_select(0, T([4])); m.index_select(0, T([[0]])); m.index_select(0, T([0.0])); m.index_select(0, T(0)); m.index_select(1, T([], dtype=torch.int64))
m.index_add(0, T([4]), m[:1]); m.index_add(0, T([-1]), m[:1]); m.index_add(0, T([0]), m); m.index_add(0, T([0, 1]), m[:2, :3])
m.index_add(0, T([[0]]), m); m.index_add(0, T([0.0]), m[:1]); m.index_add(0, T([0]), m[:1].long()); m.index_add(1, T([0, 0]), m[:, :2], alpha=2)
m.index_copy(0, T([4]), m[:1]); m.index_copy(0, T([-1]), m[:1]); m.index_copy(0, T([0]), m); m.index_copy(0, T([0]), m[:1].long())
m.index_fill(0, T([4]), 1); m.index_fill(0, T([-1]), 1); m.index_fill(0, T([[0]]), 1); m.index_fill(0, T([0.0]), 1); m.index_fill(0, T([0]), m[0])
m.index_fill(0, T([0]), 1j); m.take(T([20])); m.take(T([-20])); m.take(T([1.0])); m.put(T([20]), T([1.0])); m.put(T([2]), T([1.0, 2]))
m.put(T([2]), T([1])); m.masked_fill(m, 1); m.masked_fill(m > 0, 1j); m.masked_fill(m > 0, m[0]); m.masked_fill((m > 0)[:, :2], 1)
m.long().masked_fill(m > 0, 1.5); m.masked_select(m); m.masked_select((m > 0)[:, :2]); m.masked_select((m > 9)[:1]); m.masked_scatter(m > 0, T([1.0]))
m.masked_scatter(m > 0, m.long()); m.masked_scatter(m, m); m.nonzero(); torch.nonzero(m > 17, as_tuple=True); torch.argwhere(s); (s * 0).nonzero()
m.scatter_reduce(0, T([[0, 1]]), m, 'mean'); m.scatter_reduce(0, T([[0, 0]]), m, 'prod', include_self=False); m.scatter_reduce(0, T([[0]]), m, 'x')
m.long().scatter_reduce(0, T([[0], [0]]), m.long() + 1, 'mean'); m.scatter_reduce(0, T([[9]]), m, 'amax'); m.index_reduce(0, T([0, 0]), m[:2], 'mean')
m.index_reduce(0, T([4]), m[:1], 'prod'); m.index_reduce(0, T([0]), m[:1], 'x'); m.index_reduce(0, T([0, 0]), m[:2], 'amin', include_self=False)
m.take_along_dim(T([[1]]), 0); m.take_along_dim(T([1]), 0); m.take_along_dim(T([19, -1])); m.take_along_dim(T([[-1]]), 1); torch.isin(m, T([3.0, 5.0]))
torch.searchsorted(m[0], m); torch.searchsorted(m, m[:, :2]); torch.searchsorted(m, m[:3]); torch.searchsorted(m[0], 2.5); torch.searchsorted(m, 1.0)
torch.searchsorted(m[0], m[0], side='up'); torch.searchsorted(m[0], m[0], side='left', right=True); torch.searchsorted(m[0], m[0], sorter=T([0]))
torch.bucketize(m, m[0]); torch.bucketize(2.5, m[0], right=True, out_int32=True); torch.bucketize(m, m); torch.isin(1, 2); torch.unravel_index(T([5, 1]), (2, 3))
torch.unravel_index(T([5.0]), (2, 3)); torch.unravel_index(T([5]), (-2, 3)); m.clone().fill_diagonal_(7); T([[1, 2]] * 7).fill_diagonal_(0, wrap=True)
"""  # noqa: E501


@pytest.mark.parametrize(
    "text", [part.strip() for line in CALLS.strip().split("\n") for part in line.split("; ")]
)
def test_single_calls(text: str) -> None:
    found = []
    for library in (torch, flambeau):
        numbers = library.arange(20.0).reshape(4, 5)
        names = {"m": numbers, "s": library.tensor(3.0), "T": library.tensor, "torch": library}
        result, error = outcome(lambda names=names: eval(text, names))
        pieces = result if isinstance(result, tuple) else (result,)
        found.append(
            error
            or [
                (str(p.dtype).split(".")[-1], tuple(p.shape), p.stride(), p.tolist())
                for p in pieces
            ]
        )
    assert found[1] == found[0]

"""Indexing on both sides of `=`, gather and scatter, masks, searching; NumPy is the yardstick."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import flambeau as torch

SHAPE = (3, 4, 5)
ROWS = numpy.array([2, 0, 2, -1])
COLUMNS = numpy.array([[0], [3]])
MASK = numpy.arange(12).reshape(3, 4) % 3 == 0
INDICES: dict[str, Any] = {
    "int": 1,
    "negative int": -2,
    "ints": (1, 2, 3),
    "slice": slice(1, None),
    "steps": (slice(None, None, 2), slice(3, 0), slice(-3, -1)),
    "beyond": slice(-100, 100),
    "none": (None, 1, None),
    "ellipsis": (Ellipsis, 2),
    "middle ellipsis": (0, Ellipsis, slice(1, 3)),
    "all": Ellipsis,
    "nothing": (),
    "list": [2, 0],
    "vector": ROWS,
    "two vectors": (ROWS, ROWS),
    "broadcast": (ROWS[:2], COLUMNS),
    "apart": (ROWS[:2], slice(None), numpy.array([4, 1])),
    "neighbours": (slice(None), ROWS, ROWS),
    "with int": (1, ROWS),
    "with slice": (slice(1, 3), numpy.array([0, 3, 1])),
    "with none": (None, ROWS, None),
    "last": (Ellipsis, numpy.array([0, 4])),
    "matrix": numpy.array([[0, 1], [2, 2]]),
    "mask": MASK,
    "row mask": numpy.array([True, False, True]),
    "mask and slice": (numpy.array([True, False, True]), slice(1, 3)),
    "slice and mask": (slice(None), numpy.array([True, False, False, True])),
    "mask and vector": (numpy.array([True, False, True]), numpy.array([1, 3])),
    "no row": numpy.zeros(3, dtype=bool),
    "empty list": [],
    "true": True,
    "false": False,
    "numpy int": numpy.int64(1),
}


def translated(index: Any) -> Any:
    """The index with tensors in place of arrays."""
    if isinstance(index, tuple):
        return tuple(translated(item) for item in index)
    return torch.from_numpy(index) if isinstance(index, numpy.ndarray) else index


def for_numpy(index: Any) -> Any:
    """NumPy wants an integer list where torch takes an empty one."""
    return numpy.zeros(0, dtype=int) if isinstance(index, list) and not index else index


def array(dtype: str = "float64") -> Any:
    """Sixty different numbers."""
    return numpy.arange(60).reshape(SHAPE).astype(dtype)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "row-major": lambda a: a,
    "permuted": lambda a: numpy.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "every second": lambda a: numpy.repeat(a, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", INDICES)
def test_reading(name: str, layout: str) -> None:
    a = LAYOUTS[layout](array())
    x = torch.from_numpy(a)
    found, expected = x[translated(INDICES[name])], a[for_numpy(INDICES[name])]
    assert tuple(found.shape) == expected.shape
    assert numpy.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "complex64", "complex128"])
@pytest.mark.parametrize("name", INDICES)
def test_reading_and_writing_every_element_size(name: str, dtype: str) -> None:
    a = array(dtype)
    x = torch.from_numpy(a.copy())
    index = INDICES[name]
    expected = a[for_numpy(index)]
    assert numpy.array_equal(x[translated(index)].numpy(), expected)
    values = numpy.array(expected[::-1] if expected.ndim else expected)
    a[for_numpy(index)] = values
    x[translated(index)] = torch.from_numpy(values)
    if name not in ("vector", "two vectors", "neighbours", "with int", "with none", "matrix"):
        assert numpy.array_equal(x.numpy(), a)  # the others name places more than once


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", INDICES)
def test_writing_a_number(name: str, layout: str) -> None:
    a = LAYOUTS[layout](array().copy())
    x = torch.from_numpy(a.copy())
    a[for_numpy(INDICES[name])] = -1
    x[translated(INDICES[name])] = -1
    assert numpy.array_equal(x.numpy(), a)


@pytest.mark.parametrize("name", INDICES)
def test_gradient_of_reading(name: str) -> None:
    """Every element gets the sum of the weights of the places it was read into."""
    x = torch.from_numpy(array()).requires_grad_()
    found = x[translated(INDICES[name])]
    weights = numpy.arange(1.0, found.numel() + 1).reshape(tuple(found.shape))
    if not found.requires_grad:
        pytest.skip("nothing was computed")
    (found * torch.from_numpy(weights)).sum().backward()
    expected = numpy.zeros(SHAPE)
    numpy.add.at(expected, for_numpy(INDICES[name]), weights)
    assert numpy.array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("name", [name for name in INDICES if name != "false"])
def test_gradient_of_writing(name: str) -> None:
    """What was overwritten gets none, the values that were written get theirs."""
    leaf = torch.from_numpy(array()).requires_grad_()
    x = leaf * 2
    index = translated(INDICES[name])
    value = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    x[index] = value
    x.sum().backward()
    covered = numpy.zeros(SHAPE, dtype=bool)
    covered[for_numpy(INDICES[name])] = True
    assert numpy.array_equal(leaf.grad.numpy(), 2.0 * ~covered)
    written = numpy.zeros(SHAPE)[for_numpy(INDICES[name])].size
    assert value.grad.item() in (covered.sum(), written)


def test_one_plan_for_every_row() -> None:
    """Ints and the beginnings of slices are no part of a plan: loops over rows make no new ones."""
    x = torch.arange(4000).view(1000, 4)
    for k in range(0, 1000, 7):
        assert x[k].tolist() == [4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 3]
        assert x[k, 3].item() == 4 * k + 3
        assert x[-k - 1, -1].item() == 3999 - 4 * k
        assert x[k : k + 2, 1:3].shape == (min(2, 1000 - k), 2)
        assert x[k:, 0][0].item() == 4 * k


def test_gradients_of_rows_in_a_loop() -> None:
    x = torch.zeros(5, 3, requires_grad=True)
    permuted = x.t()
    total = sum((x[k] * k).sum() + (permuted[:, k] * 10).sum() for k in range(5))
    total.backward()
    assert x.grad.tolist() == [[10.0 + k] * 3 for k in range(5)]


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (3, IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
        ((0, 0, 0, 0), IndexError, "too many indices for tensor of dimension 3"),
        (1.5, IndexError, "only integers, slices"),
        (slice(None, None, -1), ValueError, "step must be greater than zero"),
        (numpy.array([5]), IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
        (numpy.array([1.5]), IndexError, "tensors used as indices must be long, int, byte or bool"),
        (numpy.array([True]), IndexError, r"The shape of the mask \[1\] at index 0 does not match"),
        ((ROWS, ROWS[:3]), IndexError, r"could not be broadcast together with shapes \[4\], \[3\]"),
        ("a", TypeError, "invalid data type 'str'"),
    ],
)
def test_wrong_indices(index: Any, error: type[Exception], text: str) -> None:
    x = torch.from_numpy(array())
    with pytest.raises(error, match=text):
        x[translated(index)]
    with pytest.raises(error, match=text):
        x[translated(index)] = 0


def test_wrong_values() -> None:
    x = torch.zeros(3, 4)
    with pytest.raises(RuntimeError, match=r"The expanded size of the tensor \(4\) must match"):
        x[0] = torch.zeros(3)
    with pytest.raises(RuntimeError, match=r"shape mismatch: value tensor of shape \[3\]"):
        x[[0, 1]] = torch.zeros(3)
    with pytest.raises(RuntimeError, match="source and destination dtypes match, got Float"):
        x[torch.tensor([0])] = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"can't assign a str to a torch\.FloatTensor"):
        x[0] = "a"
    with pytest.raises(RuntimeError, match="value cannot be converted to type uint8_t"):
        torch.zeros(2, dtype=torch.uint8)[0] = 300


@pytest.mark.parametrize("size", [1, 7, 65535, 65536, 65537, 200_000])
def test_masks_across_chunks(size: int) -> None:
    """The mask kernels work in chunks of 65536 bytes."""
    generator = numpy.random.default_rng(size)
    a = generator.standard_normal(size)
    for density in (0.0, 0.003, 0.5, 1.0):
        mask = generator.random(size) < density
        x, m = torch.from_numpy(a.copy()), torch.from_numpy(mask)
        assert numpy.array_equal(x[m].numpy(), a[mask])
        assert numpy.array_equal(m.nonzero()[:, 0].numpy(), numpy.flatnonzero(mask))
        values = generator.standard_normal(int(mask.sum()))
        x[m] = torch.from_numpy(values)
        expected = a.copy()
        expected[mask] = values
        assert numpy.array_equal(x.numpy(), expected)
        scattered = torch.from_numpy(a).masked_scatter(m, torch.from_numpy(values))
        assert numpy.array_equal(scattered.numpy(), expected)


def test_coordinates_of_nonzero_elements() -> None:
    a = numpy.random.default_rng(0).integers(0, 3, (40, 50, 60))
    x = torch.from_numpy(a)
    assert numpy.array_equal(x.nonzero().numpy(), numpy.argwhere(a))
    for ours, theirs in zip(x.nonzero(as_tuple=True), a.nonzero(), strict=True):
        assert numpy.array_equal(ours.numpy(), theirs)
    assert torch.nonzero_static(x[0, 0], size=2).shape == (2, 1)
    assert torch.tensor(5.0).nonzero().shape == (1, 0)


def test_gather_and_scatter() -> None:
    generator = numpy.random.default_rng(1)
    a = generator.standard_normal((30, 40, 6))
    for dim in range(3):
        index = generator.integers(0, a.shape[dim], a.shape)
        x, i = torch.from_numpy(a), torch.from_numpy(index)
        assert numpy.array_equal(x.gather(dim, i).numpy(), numpy.take_along_axis(a, index, dim))
        whole = numpy.argsort(generator.random(a.shape), dim)  # each place once
        expected = numpy.zeros(a.shape)
        numpy.put_along_axis(expected, whole, a, dim)
        zeros = torch.zeros(a.shape, dtype=torch.float64)
        assert numpy.array_equal(zeros.scatter(dim, torch.from_numpy(whole), x).numpy(), expected)
        places = list(numpy.indices(a.shape))
        places[dim] = index
        for reduce, ufunc in (("sum", numpy.add), ("prod", numpy.multiply),
                              ("amax", numpy.maximum), ("amin", numpy.minimum)):  # fmt: skip
            expected = a.copy()
            ufunc.at(expected, tuple(places), a)
            found = x.scatter_reduce(dim, i, x, reduce)
            numpy.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
        assert numpy.allclose(x.scatter_add(dim, i, x).numpy(),
                              x.scatter_reduce(dim, i, x, "sum").numpy())  # fmt: skip


def test_indices_along_one_dimension() -> None:
    a = numpy.arange(12.0).reshape(3, 4)
    x, index = torch.from_numpy(a), torch.tensor([2, 0, 2])
    assert numpy.array_equal(x.index_select(0, index).numpy(), a[[2, 0, 2]])
    added = a.copy()
    numpy.add.at(added, [2, 0, 2], 10 * a)
    assert numpy.array_equal(x.index_add(0, index, x, alpha=10).numpy(), added)
    assert x.index_fill(1, torch.tensor([-1]), 7)[:, 3].tolist() == [7, 7, 7]
    assert x.index_copy(0, torch.tensor([1]), x[:1])[1].tolist() == a[0].tolist()
    assert x.take(torch.tensor([[0, -1]])).tolist() == [[0, 11]]
    assert x.put(torch.tensor([1, 1]), torch.ones(2, dtype=torch.float64), True)[0, 1].item() == 3
    assert x.take_along_dim(torch.tensor([[0], [1], [-1]]), 1).tolist() == [[0], [5], [11]]
    means = torch.zeros(2).scatter_reduce(
        0, torch.tensor([0, 0, 1]), torch.tensor([1.0, 2.0, 5.0]), "mean", include_self=False
    )
    assert means.tolist() == [1.5, 5]
    with pytest.raises(IndexError, match="index out of range in self"):
        x.index_select(0, torch.tensor([3]))
    with pytest.raises(RuntimeError, match="index 4 is out of bounds for dimension 1 with size 4"):
        x.gather(1, torch.tensor([[4]]))


def test_indices_of_32_bits() -> None:
    x = torch.arange(12.0).view(3, 4)
    index = torch.tensor([2, 0], dtype=torch.int32)
    assert x[index].tolist() == x[[2, 0]].tolist()
    assert x.index_select(1, index).tolist() == [[2, 0], [6, 4], [10, 8]]
    assert x.index_add(0, index, torch.ones(2, 4))[2].tolist() == [9, 10, 11, 12]


def test_many_equal_indices_add_up() -> None:
    """The gradient of an embedding: rows that occur often get the sum of their gradients."""
    generator = random.Random(0)
    words = [generator.randrange(50) for _ in range(3000)]
    table = torch.zeros(50, 64, requires_grad=True)
    table[torch.tensor(words)].sum().backward()
    assert [row[0] for row in table.grad.tolist()] == [words.count(k) for k in range(50)]


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 31, 1000])
def test_searching(length: int, right: bool) -> None:
    generator = numpy.random.default_rng(length)
    rows = numpy.sort(generator.integers(0, 20, length)).astype("float32")
    values = generator.integers(-2, 23, 57).astype("float32")
    found = torch.searchsorted(torch.from_numpy(rows), torch.from_numpy(values), right=right)
    assert numpy.array_equal(found.numpy(), rows.searchsorted(values, "right" if right else "left"))
    inside = torch.isin(torch.from_numpy(values), torch.from_numpy(rows))
    assert numpy.array_equal(inside.numpy(), numpy.isin(values, rows))


def test_writing_into_out() -> None:
    x, index = torch.arange(6.0), torch.tensor([1, 3])
    out = torch.empty(0)
    assert torch.gather(x, 0, index, out=out) is out
    assert out.tolist() == [1, 3]
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype float"):
        torch.gather(x, 0, index, out=torch.empty(2, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        torch.cat([x, x], out=x)


def test_second_gradients_of_reading_and_writing() -> None:
    """d/dx of |dL/dx|^2 for L = sum(y^3) / 3, against finite differences."""
    index, mask = torch.tensor([2, 0, 2]), torch.tensor([True, False, True])

    def written(x: Any) -> Any:
        y = x * 1
        y[index[:2]] = x[1] * x[:2]
        return y

    cases: list[Callable[[Any], Any]] = [
        lambda x: x[index],
        lambda x: x[mask],
        lambda x: x[1:, ::2],
        lambda x: x.gather(1, torch.tensor([[0, 0], [1, 3]])),
        lambda x: x.scatter_add(0, torch.tensor([[1, 1, 1, 1]]), x * x),
        lambda x: x.index_put((index,), x * x, accumulate=True),
        lambda x: x.scatter_reduce(0, torch.tensor([[1, 2, 1, 0]]), x[:1] + 1, "prod"),
        written,
    ]  # fmt: skip
    for case in cases:

        def slope(x: Any, case: Any = case) -> Any:
            return torch.autograd.grad((case(x) ** 3).sum() / 3, x, create_graph=True)[0]

        start = torch.arange(1.0, 13.0, dtype=torch.float64).view(3, 4) / 12
        x = start.clone().requires_grad_()
        (second,) = torch.autograd.grad(slope(x).square().sum(), x)
        for k in (0, 5, 11):
            sides = []
            for sign in (1, -1):
                at = start.clone()
                at.view(-1)[k] += sign * 1e-5
                sides.append(slope(at.requires_grad_()).square().sum().item())
            assert second.reshape(-1)[k].item() == pytest.approx(
                (sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-7
            )

"""Views and copies: shapes, strides, shared memory, gradients; NumPy is the yardstick.

`base` is a small tensor in row-major order; NumPy's array of it shows the same memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import flambeau as torch

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "view": (lambda x: x.view(6, 4), lambda a: a.reshape(6, 4)),
    "inferred view": (lambda x: x.view(-1, 2), lambda a: a.reshape(-1, 2)),
    "transpose": (lambda x: x.transpose(0, 2), lambda a: a.swapaxes(0, 2)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(-1, -2)),
    "movedim": (lambda x: x.movedim((0, 1), (2, 0)), lambda a: numpy.moveaxis(a, (0, 1), (2, 0))),
    "unsqueeze": (lambda x: x.unsqueeze(-1), lambda a: a[..., None]),
    "squeeze": (lambda x: x.unsqueeze(1).squeeze(1), lambda a: a),
    "expand": (lambda x: x[:1].expand(5, -1, 4), lambda a: numpy.broadcast_to(a[:1], (5, 3, 4))),
    "flatten": (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    "unflatten": (lambda x: x.unflatten(2, (2, -1)), lambda a: a.reshape(2, 3, 2, 2)),
    "select": (lambda x: x.select(1, -1), lambda a: a[:, -1]),
    "narrow": (lambda x: x.narrow(2, 1, 2), lambda a: a[:, :, 1:3]),
    "diagonal": (lambda x: x.diagonal(1, 1, 2), lambda a: a.diagonal(1, 1, 2)),
    "unfold": (
        lambda x: x.unfold(2, 2, 1),
        lambda a: numpy.lib.stride_tricks.sliding_window_view(a, 2, axis=2),
    ),
    "as_strided": (
        lambda x: x.as_strided((2, 2), (3, 1), 1),
        lambda a: numpy.lib.stride_tricks.as_strided(a.ravel()[1:], (2, 2), (24, 8)),
    ),
    "second chunk": (lambda x: x.chunk(2, 2)[1], lambda a: a[:, :, 2:]),
    "second slice": (lambda x: x.unbind(1)[1], lambda a: a[:, 1]),
    "swapaxes": (lambda x: x.swapaxes(0, 1), lambda a: a.swapaxes(0, 1)),
}  # fmt: skip
COPIES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "reshape": (lambda x: x.mT.reshape(2, 12), lambda a: a.swapaxes(1, 2).reshape(2, 12)),
    "repeat": (lambda x: x.repeat(2, 1, 1, 3), lambda a: numpy.tile(a, (2, 1, 1, 3))),
    "tile": (lambda x: x.tile(2), lambda a: numpy.tile(a, 2)),
    "repeat_interleave": (lambda x: x.repeat_interleave(3, 1), lambda a: a.repeat(3, 1)),
    "roll": (lambda x: x.roll((1, -2), (0, 2)), lambda a: numpy.roll(a, (1, -2), (0, 2))),
    "roll all": (lambda x: x.roll(5), lambda a: numpy.roll(a, 5)),
    "flip": (lambda x: x.flip(0, 2), lambda a: numpy.flip(a, (0, 2))),
    "rot90": (lambda x: x.rot90(1, (1, 2)), lambda a: numpy.rot90(a, 1, (1, 2))),
    "rot270": (lambda x: x.rot90(3, (0, 2)), lambda a: numpy.rot90(a, 3, (0, 2))),
    "tril": (lambda x: x.tril(-1), lambda a: numpy.tril(a, -1)),
    "triu": (lambda x: x.triu(1), lambda a: numpy.triu(a, 1)),
    "diag_embed": (
        lambda x: x[0, 0].diag_embed(1),
        lambda a: numpy.diag(a[0, 0], 1),
    ),
    "cat": (lambda x: torch.cat([x, x[:, :1]], 1), lambda a: numpy.concatenate([a, a[:, :1]], 1)),
    "stack": (lambda x: torch.stack([x, x.flip(0)], 2), lambda a: numpy.stack([a, a[::-1]], 2)),
    "hstack": (lambda x: torch.hstack([x, x]), lambda a: numpy.hstack([a, a])),
    "dstack": (lambda x: torch.dstack([x[0], x[1]]), lambda a: numpy.dstack([a[0], a[1]])),
    "block_diag": (
        lambda x: torch.block_diag(x[0, :1], x[1, :2, :2]),
        lambda a: numpy.block(
            [[a[0, :1], numpy.zeros((1, 2))], [numpy.zeros((2, 4)), a[1, :2, :2]]]
        ),
    ),
}  # fmt: skip


def base() -> Any:
    """Twenty-four different numbers as a float64 tensor."""
    return torch.arange(24.0, dtype=torch.float64).view(2, 3, 4)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shows_the_same_memory(name: str) -> None:
    ours, theirs = VIEWS[name]
    x = base()
    view, expected = ours(x), theirs(x.numpy())
    assert tuple(view.shape) == expected.shape
    assert numpy.array_equal(view.numpy(), expected)
    assert view._is_view()
    assert view.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    x.mul_(-1)
    assert numpy.array_equal(view.numpy(), theirs(x.numpy()))


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_has_its_own_memory(name: str) -> None:
    ours, theirs = COPIES[name]
    x = base()
    copy, expected = ours(x), theirs(x.numpy())
    assert tuple(copy.shape) == expected.shape
    assert numpy.array_equal(copy.numpy(), expected)
    assert copy.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_gradients_return_to_where_the_values_came_from(name: str) -> None:
    """The gradient of sum(y * weights) is the transposed map on the weights; by finite steps it is
    exact, because every view and copy is linear."""
    ours, _ = {**VIEWS, **COPIES}[name]
    x = base().requires_grad_()
    y = ours(x)
    weights = torch.arange(1.0, y.numel() + 1, dtype=torch.float64).reshape(y.shape)
    (y * weights).sum().backward()
    expected = torch.zeros(24, dtype=torch.float64)
    for k in range(24):
        unit = torch.zeros(24, dtype=torch.float64)
        unit[k] = 1
        expected[k] = (ours(unit.view(2, 3, 4)) * weights).sum()
    assert torch.equal(x.grad, expected.view(2, 3, 4))


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_second_gradients(name: str) -> None:
    """d/dx of |dL/dx|^2 for L = sum(y^3) / 3, against finite differences."""
    ours, _ = {**VIEWS, **COPIES}[name]

    def slope(x: Any) -> Any:
        return torch.autograd.grad((ours(x) ** 3).sum() / 3, x, create_graph=True)[0]

    x = (base() / 24).requires_grad_()
    (second,) = torch.autograd.grad(slope(x).square().sum(), x)
    step = 1e-5
    for k in (0, 7, 23):
        moved = []
        for sign in (1, -1):
            at = (base() / 24).view(-1)
            at[k] += sign * step
            moved.append(slope(at.view(2, 3, 4).requires_grad_()).square().sum().item())
        assert second.reshape(-1)[k].item() == pytest.approx(
            (moved[0] - moved[1]) / (2 * step), rel=1e-5, abs=1e-7
        )


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32", "complex64", "complex128"])
def test_copies_of_every_element_size(dtype: str) -> None:
    kind = getattr(torch, dtype)
    x = (base() % 5).to(kind)
    a = x.numpy()
    for ours, theirs in COPIES.values():
        assert numpy.array_equal(ours(x).numpy(), theirs(a))


def test_contiguous_and_flatten_return_the_tensor_itself() -> None:
    x = base()
    assert x.contiguous() is x
    assert x.real is x
    vector = x.view(24)
    assert vector.flatten() is vector


def test_views_of_complex_numbers() -> None:
    x = torch.tensor([1 + 2j, 3 - 4j])
    pairs = torch.view_as_real(x)
    assert pairs.tolist() == [[1, 2], [3, -4]]
    x.imag[0] = 7
    assert pairs[0, 1].item() == 7
    assert torch.view_as_complex(pairs).tolist() == x.tolist()
    part = x[1:].imag
    assert part.storage_offset() == 3
    assert part.tolist() == [-4]


def test_views_as_another_dtype() -> None:
    x = torch.tensor([1.0, 2.0])
    bits = x.view(torch.int32)
    assert bits.tolist() == [0x3F800000, 0x40000000]
    bits[0] = 0x40400000
    assert x[0].item() == 3
    assert x[1:].view(torch.uint8).tolist() == [0, 0, 0, 64]
    with pytest.raises(RuntimeError, match="must be divisible by 2"):
        torch.zeros(3).view(torch.float64)


@pytest.mark.parametrize("count", [1, 16, 56, 57, 64, 200])
def test_joining_many_tensors(count: int) -> None:
    parts = [torch.full((2, 3), float(k), requires_grad=k == 0) for k in range(count)]
    joined, piled = torch.cat(parts, 1), torch.stack(parts, 1)
    assert tuple(joined.shape) == (2, 3 * count)
    assert tuple(piled.shape) == (2, count, 3)
    for k in range(count):
        assert (joined[:, 3 * k : 3 * k + 3] == k).all()
        assert (piled[:, k] == k).all()
    (joined.sum() + 2 * piled.sum()).backward()
    assert torch.equal(parts[0].grad, torch.full((2, 3), 3.0))


def test_joining_promotes_and_skips_empty_vectors() -> None:
    joined = torch.cat([torch.tensor([]), torch.ones(1, 2), torch.zeros(2, 2, dtype=torch.int64)])
    assert joined.dtype is torch.float32
    assert joined.tolist() == [[1, 1], [0, 0], [0, 0]]
    with pytest.raises(RuntimeError, match="Sizes of tensors must match except in dimension 0"):
        torch.cat([torch.ones(1, 2), torch.ones(1, 3)])
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        torch.stack([torch.ones(1), torch.ones(2)])


def test_splitting() -> None:
    x = torch.arange(10)
    assert [p.tolist() for p in x.split(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [p.tolist() for p in x.split([1, 9])][0] == [0]
    assert [len(p) for p in x.chunk(4)] == [3, 3, 3, 1]
    assert [len(p) for p in x.tensor_split(4)] == [3, 3, 2, 2]
    assert [len(p) for p in x.tensor_split((2, 3))] == [2, 1, 7]
    y = torch.ones(4, 2, requires_grad=True)
    first, second = (y * 2).split(2)
    (first * 3).sum().backward()
    assert y.grad.tolist() == [[6, 6], [6, 6], [0, 0], [0, 0]]
    with pytest.raises(RuntimeError, match="Output 1 of Split is a view"):
        (y * 2).split(2)[1].zero_()


def test_shapes_changed_in_place() -> None:
    x = base()
    assert x.unsqueeze_(0).transpose_(1, 3).squeeze_(0).shape == (4, 3, 2)
    assert x.stride() == (1, 4, 12)
    x.resize_(5, 5)
    assert x.shape == (5, 5)
    assert x.view(-1)[:24].tolist() == list(range(24))
    y = torch.zeros(2, dtype=torch.float64)
    assert y.set_(x).data_ptr() == x.data_ptr()
    leaf = torch.ones(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        leaf.t_()


def test_writing_into_views_of_recorded_tensors() -> None:
    """A view that is changed in place changes its base, in values and in the graph."""
    leaf = torch.arange(6.0, requires_grad=True)
    weight = torch.tensor([2.0, 3.0], requires_grad=True)
    x = (leaf * 1).view(3, 2)
    x[1].mul_(weight)
    x[0] = weight
    x[2, 1:].zero_()
    x.square().sum().backward()
    assert leaf.grad.tolist() == [0, 0, 2 * 2 * 4, 2 * 3 * 9, 2 * 4, 0]
    assert weight.grad.tolist() == [2 * 2 + 2 * 4 * 2, 2 * 3 + 2 * 9 * 3]


def test_in_place_calls_are_recorded() -> None:
    leaf = torch.tensor([0.5, 1.0], requires_grad=True)
    x = leaf * 2
    x.add_(leaf).mul_(leaf).tanh_()
    x.sum().backward()
    a = leaf.detach().numpy()
    expected = (1 - numpy.tanh(3 * a * a) ** 2) * 6 * a
    numpy.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-5)


def test_a_changed_value_that_is_still_needed_is_noticed() -> None:
    leaf = torch.ones(2, requires_grad=True)
    x = leaf * 2
    y = x.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match="output 0 of Exp, is at version 1; expected version 0"):
        y.sum().backward()


def test_overlapping_copies_are_refused() -> None:
    x = torch.arange(6)
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        x[1:] = x[:-1]
    x[:3] = x[3:]
    assert x.tolist() == [3, 4, 5, 3, 4, 5]
    y = torch.arange(6).view(3, 2)
    y[:, 0] = y[:, 1]
    assert y.tolist() == [[1, 1], [3, 3], [5, 5]]


def test_shapes_on_the_meta_device() -> None:
    x = torch.zeros(2, 3, 4, device="meta")
    for ours, _ in {**VIEWS, **COPIES}.values():
        assert ours(x).shape == ours(base()).shape

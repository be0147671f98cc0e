"""Views and copies beside torch: shape, strides, where the memory is, node names, errors.

Every expression is evaluated under both libraries on the same tensors; `describe` says what can be
seen of the result.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")

import flambeau

# `x` is 4 x 5 x 6 and needs a gradient, `m` 4 x 5, `v` 4 long; `p` is x with its dimensions
# permuted
VIEWS = """
x.view(20, 6); x.view(4, -1); x.view(2, 2, 5, 6); x.reshape(20, 6); p.reshape(4, 30); m.T; m.mT; m.H
m.mH; x.movedim(0, 1); x.moveaxis((0, 2), (1, 0)); x.swapaxes(0, 1); x.swapdims(-1, 0)
x.unflatten(0, (2, 2)); x.flatten(); v.flatten(); x.flatten(1); x.flatten(0, 1); x.ravel(); p.ravel()
x.narrow(0, 1, 2); x.narrow(1, -3, 2); x.select(0, 1); x.select(-1, -2); x.split(2); x.split([1, 3])
x.chunk(3); x.tensor_split(3); x.tensor_split([1, 2]); x.unbind(); x.unbind(2); x.hsplit(5)
x.vsplit(2); x.dsplit([1, 4]); x.diagonal(); x.diagonal(1, 1, 2); x.diagonal(-2, 2, 0)
x.as_strided((2, 2), (1, 2)); x.as_strided((2, 2), (1, 2), 3); x.unfold(0, 2, 1); x.unfold(2, 3, 2)
x.expand(2, 4, 5, 6); x.expand(-1, -1, 6); x.expand_as(x); x.broadcast_to((2, 4, 5, 6)); x.squeeze()
x[:1].squeeze(); x[:1].squeeze(0); x[:1, :1].squeeze((0, 1)); x.unsqueeze(0); x.unsqueeze(-1); x.detach()
x.contiguous(); p.contiguous(); x.permute(2, 0, 1); x.permute((0, 1, 2)); x.transpose(0, 1); m.t(); v.t()
x.adjoint(); x.real; torch.real(m); m.view_as(m); m.reshape_as(m); x.sum_to_size(4, 1, 6)
x.sum_to_size(4, 5, 6); x.detach().view(torch.int32); x.detach().view(torch.uint8)
torch.view_as_complex(x.view(4, 5, 3, 2)); torch.view_as_real(z); z.real; z.imag; z[1:].imag
x[0].T; torch.swapdims(x, 0, 2); torch.atleast_2d(v); torch.atleast_3d(m); torch.atleast_1d(v, v)
torch.broadcast_tensors(v, m[:, :4]); torch.meshgrid(v, v[:2], indexing='ij')
torch.meshgrid(v, v[:3], indexing='xy')
"""  # noqa: E501
COPIES = """
x.repeat(2, 1, 1); x.repeat(3, 1, 1, 2); x.tile(2); x.tile((2, 1, 1, 1)); x.repeat_interleave(2)
x.repeat_interleave(2, 1); x.repeat_interleave(torch.tensor([1, 0, 2, 1]), 0); x.roll(1); x.roll(1, 0)
x.roll((1, 2), (0, 2)); p.roll(1, 0); x.flip(0); p.flip(0, 1); x.fliplr(); x.flipud(); x.rot90(); p.rot90()
x.rot90(2, (1, 2)); x.rot90(-1, (0, 2)); m.tril(); m.mT.tril(1); x.triu(-1); v.diag(); v.diag(-1); m.diag()
v.diag_embed(); m.diag_embed(1); m.diag_embed(0, 0, 2); m.diagflat(); torch.diagonal_scatter(m, v)
torch.select_scatter(m, v, 1, 0); torch.slice_scatter(m, m[:, :2], 1, 0, 4, 2)
m.mT.select_scatter(v, 0, 0); torch.cat([m, m]); torch.cat([m, m], 1); torch.cat([m.mT, m.mT])
torch.cat([m, m.detach().double()]); torch.cat([torch.tensor([]), m]); torch.cat([c, c], 1)
torch.cat([c, c.contiguous()], 1); torch.stack([m, m]); torch.stack([m, m], -1); torch.stack([m.mT, m.mT], 1)
torch.hstack([m, m]); torch.hstack([v, v]); torch.vstack([v, v]); torch.dstack([m, m]); torch.dstack([v, v])
torch.column_stack([v, v]); torch.column_stack([v, m]); torch.block_diag(m, v, m)
torch.cartesian_prod(v, v); torch.cartesian_prod(v); torch.combinations(v); torch.combinations(v, 3, True)
torch.squeeze_copy(m); torch.view_copy(m, (20,)); torch.permute_copy(m, (1, 0)); torch.t_copy(m)
torch.select_copy(m, 0, 1); torch.slice_copy(m, 0, 1, 3); torch.unbind_copy(m); torch.split_copy(m, 2)
torch.narrow_copy(m, 0, 1, 2); torch.expand_copy(m, (2, 4, 5)); torch.unfold_copy(m, 0, 2, 1)
torch.alias_copy(m); torch.diagonal_copy(m); torch.tril_indices(3, 4, 1); torch.triu_indices(3, 4, -1)
torch.tril_indices(2, 2, dtype=torch.int32)
"""  # noqa: E501
WRONG = """
x.view(7); x.view(-1, -1); x.view(-2, 3); p.view(120); x.view(); x.reshape(7, -1); x.transpose(0, 3); x.transpose('a', 1)
x.permute(0, 1); x.permute(0, 0, 1); x.t(); v.mT; torch.tensor(1.0).mH; x.movedim((0, 1), (0,)); x.movedim((0, 0), (0, 1))
x.squeeze(3); x.squeeze((0, 0)); x.unsqueeze(5); x.expand(3, 5, 6); x.expand(4, 5); x.expand(-1, 4, 5, 6)
x.flatten(1, 0); x.unflatten(0, (3, 2)); x.unflatten(0, ()); x.narrow(0, 3, 2); x.narrow(0, -5, 1); x.narrow(0, 0, -1)
x.select(0, 4); x.select(3, 0); torch.tensor(1.0).select(0, 0); x.split(0); x.split(-1); x.split([1, 1]); x.chunk(0)
torch.tensor(1.0).unbind(); torch.tensor(1.0).split(1); x.tensor_split(0); v.hsplit(3); v.vsplit(2); m.dsplit(2)
x.diagonal(0, 0, 0); x.as_strided((3,), (-1,)); x.as_strided((300,), (1,)); x.as_strided((3,), (1, 2)); x.unfold(0, 9, 1)
x.unfold(0, 1, 0); x.repeat(2); x.repeat(-1, 1, 1); x.roll((1, 2), (0,)); x.roll(1, 3); x.flip(0, 0); v.fliplr()
x.rot90(1, [0]); v.rot90(); x.rot90(1, [0, 0]); v.tril(); x.diag(); torch.cat([]); torch.cat(m); torch.cat([m, 1])
torch.cat([m, v]); torch.cat([m, m.mT]); torch.cat([torch.tensor(1.0)]); torch.stack([]); torch.stack([m, v]); torch.hstack([])
torch.meshgrid(v, indexing='zz'); torch.meshgrid(); torch.block_diag(x); torch.cartesian_prod(m); torch.combinations(m)
m.repeat_interleave(torch.tensor([1, 2]), 0); m.repeat_interleave(-1, 0); m.imag; m.view(torch.float64).shape; torch.view_as_real(m)
torch.view_as_complex(m); m.sum_to_size(3); torch.select_scatter(m, v, 0, 0); torch.tril_indices(-1, 2); m.resize_(2); x.t_()
torch.as_strided(m, (2,), (1,), -1); torch.atleast_1d(); m.detach().squeeze_(4)
"""  # noqa: E501


def expressions(text: str) -> list[str]:
    """The expressions of a table."""
    parts = [part.strip() for line in text.strip().split("\n") for part in line.split(";")]
    return [part for part in parts if part]


def scene(library: Any) -> dict[str, Any]:
    """The tensors that the expressions are about."""
    numbers = numpy.arange(120.0, dtype="float32").reshape(4, 5, 6)

    def tensor(array: Any) -> Any:
        return library.from_numpy(numpy.ascontiguousarray(array).copy()).requires_grad_()

    x, m, v = tensor(numbers), tensor(numbers[:, :, 0]), tensor(numbers[:, 0, 0])
    complex_numbers = (numbers[:, :, 0] + 1j * numbers[:, :, 1]).astype("complex64")
    c = tensor(numbers.reshape(2, 4, 5, 3)).permute(0, 3, 1, 2)
    return {"torch": library, "x": x, "m": m, "v": v, "z": tensor(complex_numbers), "c": c,
            "p": x.permute(2, 0, 1)}  # fmt: skip


def describe(result: Any, names: dict[str, Any], library: Any) -> Any:
    """What can be seen of a result."""
    if isinstance(result, (tuple, list)):
        return [describe(each, names, library) for each in result]
    if not isinstance(result, library.Tensor):
        return result
    base = next(
        (
            (name, result.data_ptr() - t.data_ptr())
            for name, t in names.items()
            if isinstance(t, library.Tensor)
            and t.untyped_storage().data_ptr() == result.untyped_storage().data_ptr()
        ),
        None,
    )
    node = result.grad_fn.name() if result.grad_fn is not None else None
    same = [name for name, t in names.items() if t is result]
    values = result.detach()
    return (
        str(result.dtype).split(".")[-1],
        tuple(result.shape),
        result.stride(),
        base,
        node.replace("_copy", "") if node else None,
        same,
        values.tolist(),
    )


def outcome(text: str, library: Any) -> Any:
    """What an expression gives under a library: a description, or the error."""
    names = scene(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return describe(eval(text, names), names, library)
        except Exception as error:  # noqa: BLE001 (whatever torch raises)
            return type(error).__name__, str(error).split("\n")[0].split("but got:")[0]


@pytest.mark.parametrize("text", expressions(VIEWS))
def test_views(text: str) -> None:
    assert outcome(text, flambeau) == outcome(text, torch)


@pytest.mark.parametrize("text", expressions(COPIES))
def test_copies(text: str) -> None:
    ours, theirs = outcome(text, flambeau), outcome(text, torch)
    without_nodes = "_copy(" in text or "repeat_interleave" in text or text == "m.diag()"
    if without_nodes and isinstance(ours, tuple) and len(ours) == 7:
        ours, theirs = ours[:4] + ours[5:], theirs[:4] + theirs[5:]
    elif without_nodes and isinstance(ours, list):
        ours, theirs = ([r[:4] + r[5:] for r in result] for result in (ours, theirs))
    assert ours == theirs


@pytest.mark.parametrize("text", expressions(WRONG))
def test_errors(text: str) -> None:
    assert outcome(text, flambeau) == outcome(text, torch)


@pytest.mark.parametrize(
    "text",
    [e for e in expressions(VIEWS) + expressions(COPIES) if "detach" not in e and "[c," not in e],
)
def test_gradients(text: str) -> None:
    """First and second gradients of a weighted sum of squares."""
    found = []
    for library in (torch, flambeau):
        names = scene(library)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = eval(text, names)
        pieces = result if isinstance(result, (tuple, list)) else [result]
        total = sum(
            (r * r.conj() * (k + 2)).real.sum() if r.is_complex() else (r**3 * (k + 2)).sum()
            for k, r in enumerate(pieces)
            if r.requires_grad
        )
        if isinstance(total, int):
            return
        leaves = [names[n] for n in ("x", "m", "v", "z")]
        first = library.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
        square = sum((g * g.conj()).real.sum() for g in first if g is not None)
        second = library.autograd.grad(square, leaves, allow_unused=True)
        found.append([None if g is None else g.detach().numpy() for g in (*first, *second)])
    for ours, theirs in zip(found[1], found[0], strict=True):
        zero = numpy.zeros(())
        numpy.testing.assert_allclose(
            zero if ours is None else ours, zero if theirs is None else theirs, rtol=2e-5
        )

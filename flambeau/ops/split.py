"""Cutting a tensor into several views: unbind, split, chunk, tensor_split and their relatives.

The views of one call share one graph node, as in torch: its backward joins the pieces' gradients
(`Pieces`).

    >>> torch.arange(5).split(2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.autograd.nodes import Node, edge_to, named
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops import join
from flambeau.ops.kinds import composite
from flambeau.ops.registry import engine


class Pieces(Node):
    """The node of several views of one tensor; `join(gradients,
    dim)` puts their gradients together.
    """

    __slots__ = ("specs", "join", "dim")

    def __init__(
        self, edge: Any, specs: tuple[Spec, ...], join: Callable[[list[Any], int], Any], dim: int
    ):
        super().__init__(None, (edge,))
        self.specs, self.join, self.dim = specs, join, dim

    @property
    def _outputs(self) -> int:
        """One for each piece."""
        return len(self.specs)

    def apply(self, grads: list[Any]) -> Any:
        """The gradient of the whole; missing gradients are zeros."""
        present = next(g for g in grads if g is not None)
        whole = [
            present.new_zeros(s.shape) if g is None else g
            for g, s in zip(grads, self.specs, strict=True)
        ]
        return [self.join(whole, self.dim)]


# specs of the pieces, their distances, the wrapped dimension
Cuts = tuple[tuple[Spec, ...], tuple[int, ...], int]


def cut(
    input: Any, cuts: Cuts, name: str, join: Callable[[list[Any], int], Any]
) -> tuple[Any, ...]:
    """The pieces, with their common node."""
    specs, moves, dim = cuts
    pieces = engine.core.make_windows(input, specs, moves)
    if input._node is not None and is_grad_enabled():
        node = named(Pieces, name)(input._node, specs, join, dim)
        for k, piece in enumerate(pieces):
            piece._node = edge_to(node, k)
    return pieces


def check_input(input: Any, name: str) -> Spec:
    """The spec of the tensor to cut."""
    if not isinstance(input, engine.Tensor):
        raise errors.argument_type_error(name, "input", 1, "Tensor", input)
    return input._spec


@lru_cache(4096)
def slices_of(spec: Spec, dim: int) -> Cuts:
    """All slices along a dimension."""
    if spec.ndim == 0:
        wrap_dim(dim, 0, wrap_scalar=False)
    dim = wrap_dim(dim, spec.ndim)
    shape, strides = tuple(spec.shape), spec.strides
    piece = Spec.of(
        (*shape[:dim], *shape[dim + 1 :]),
        (*strides[:dim], *strides[dim + 1 :]),
        spec.dtype,
        spec.device,
    )
    return (piece,) * shape[dim], tuple(k * strides[dim] for k in range(shape[dim])), dim


@composite
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along `dim`.

    >>> torch.tensor([[1, 2], [3, 4]]).unbind()
    (tensor([1, 2]), tensor([3, 4]))
    """
    return cut(input, slices_of(check_input(input, "unbind"), dim), "UnbindBackward0", join.stack)


@lru_cache(4096)
def ranges_of(spec: Spec, dim: int, lengths: tuple[int, ...]) -> Cuts:
    """Neighbouring ranges of one dimension."""
    shape, strides, stride = tuple(spec.shape), spec.strides, spec.strides[dim]
    specs, moves, start = [], [], 0
    for n in lengths:
        specs.append(
            Spec.of((*shape[:dim], n, *shape[dim + 1 :]), strides, spec.dtype, spec.device)
        )
        moves.append(start * stride)
        start += n
    return tuple(specs), tuple(moves), dim


@composite(methods=("split",))
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of a size along `dim` (the last may be smaller), or of the listed sizes.

    >>> torch.arange(5).split([1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    return pieces_of(tensor, int(split_size_or_sections), dim)


def pieces_of(tensor: Any, size: int, dim: int) -> tuple[Any, ...]:
    """`split` into pieces of one size."""
    return cut(
        tensor,
        equal_ranges(check_input(tensor, "split"), size, dim),
        "SplitBackward0",
        join.cat,
    )


@lru_cache(4096)
def equal_ranges(spec: Spec, size: int, dim: int) -> Cuts:
    """Ranges of one size, the last of which may be smaller."""
    if spec.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    dim = wrap_dim(dim, spec.ndim)
    total = spec.shape[dim]
    if size == 0 and total:
        raise RuntimeError(
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {total}"
        )
    return ranges_of(
        spec, dim, tuple(min(size, total - k) for k in range(0, total, size)) if total else (0,)
    )


@composite(methods=("split_with_sizes",))
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Pieces of the listed sizes along `dim`.

    >>> torch.split_with_sizes(torch.arange(3), [1, 2])
    (tensor([0]), tensor([1, 2]))
    """
    spec = check_input(input, "split_with_sizes")
    if spec.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, spec.ndim)
    sizes = [int(n) for n in split_sizes]
    if any(n < 0 for n in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, "
            f"but got split_sizes={errors.brackets(sizes)}"
        )
    if sum(sizes) != spec.shape[dim]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {spec.shape[dim]} (input "
            f"tensor's size at dimension {dim}), "
            f"but got split_sizes={errors.brackets(sizes)}"
        )
    return cut(input, ranges_of(spec, dim, tuple(sizes)), "SplitWithSizesBackward0", join.cat)


@composite
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` pieces of equal size along `dim`; the last may be smaller.

    >>> torch.arange(5).chunk(2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    spec = check_input(input, "chunk")
    if spec.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = wrap_dim(dim, spec.ndim)
    size = -(-spec.shape[dim] // chunks)
    if size == 0:
        return split_with_sizes(input, [0] * chunks, dim)
    return pieces_of(input, size, dim)


@composite
def unsafe_split(input: Any, split_size: int, dim: int = 0) -> tuple[Any, ...]:
    """`split` for callers that promise to change only one of pieces and whole in place.

    >>> torch.unsafe_split(torch.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return pieces_of(input, split_size, dim)


@composite
def unsafe_chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """`chunk`, see `unsafe_split`.

    >>> torch.unsafe_chunk(torch.arange(2), 2)
    (tensor([0]), tensor([1]))
    """
    return chunk(input, chunks, dim)


@composite
def tensor_split(
    input: Any,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: Any = None,
) -> tuple[Any, ...]:
    """Pieces that begin at the listed indices of `dim`, or a number of nearly equal pieces.

    >>> torch.tensor_split(torch.arange(5), (1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    where: Any = next((v for v in (indices_or_sections, indices, sections) if v is not None), None)
    spec = check_input(input, "tensor_split")
    if spec.ndim == 0:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = wrap_dim(dim, spec.ndim)
    total = spec.shape[dim]
    if isinstance(where, engine.Tensor):
        if where.device.type != "cpu":
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be on cpu, "
                f"but it's on {where.device.type}"
            )
        if where.dtype.name != "int64":
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to have dtype of long, "
                f"but got {where.dtype.scalar_name}"
            )
        if where.ndim > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or "
                "one-dimensional tensor, but got "
                f"a tensor with {where.ndim} dims"
            )
        where = where.tolist()
    if isinstance(where, (tuple, list)):
        bounds = [0, *(int(w) for w in where), total]
    else:
        sections = int(where)
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        small, larger = divmod(total, sections)
        bounds = [k * small + min(k, larger) for k in range(sections + 1)]
    return tuple(range_of(input, dim, a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True))


def range_of(input: Any, dim: int, start: int, end: int) -> Any:
    """`input[start:end]` along `dim`."""
    return input[(slice(None),) * dim + (slice(start, end),)]


def split_along(name: str, input: Any, where: Any, dim: int) -> tuple[Any, ...]:
    """hsplit, vsplit and dsplit: equal pieces only."""
    if isinstance(where, (tuple, list)):
        return tensor_split(input, where, dim)
    if where <= 0 or input.shape[dim] % where:
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, "
            f"but the size of the dimension {input.shape[dim]} is not "
            f"divisible by the split_size {where}!"
        )
    return tensor_split(input, where, dim)


@composite
def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along the columns (of vectors: along their only dimension).

    >>> torch.hsplit(torch.arange(4), 2)
    (tensor([0, 1]), tensor([2, 3]))
    """
    spec = check_input(input, "hsplit")
    if spec.ndim < 1:
        raise RuntimeError(
            "torch.hsplit requires a tensor with at least 1 dimension, but got a tensor with "
            + f"{spec.ndim} dimensions!"
        )
    return split_along("hsplit", input, indices_or_sections, 0 if spec.ndim == 1 else 1)


@composite
def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along the rows.

    >>> torch.vsplit(torch.arange(4).view(2, 2), 2)
    (tensor([[0, 1]]), tensor([[2, 3]]))
    """
    spec = check_input(input, "vsplit")
    if spec.ndim < 2:
        raise RuntimeError(
            "torch.vsplit requires a tensor with at least 2 dimension, "
            f"but got a tensor with {spec.ndim} dimensions!"
        )
    return split_along("vsplit", input, indices_or_sections, 0)


@composite
def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along the third dimension.

    >>> torch.dsplit(torch.arange(4).view(1, 2, 2), 2)[0].shape
    torch.Size([1, 2, 1])
    """
    spec = check_input(input, "dsplit")
    if spec.ndim < 3:
        raise RuntimeError(
            "torch.dsplit requires a tensor with at least 3 dimension, "
            f"but got a tensor with {spec.ndim} dimensions!"
        )
    return split_along("dsplit", input, indices_or_sections, 2)

"""Relatives of cat, stack and expand: hstack ..., broadcast_tensors, atleast_nd, meshgrid, products
of tensors, block_diag.

    >>> torch.hstack([torch.tensor([1]), torch.tensor([2, 3])])
    tensor([1, 2, 3])
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.ops import creation
from flambeau.ops.join import cat, check_tensors, common_dtype, stack
from flambeau.ops.kernels.phases import Phase, clear_then, phase_params
from flambeau.ops.kernels.strided import Window, address, join_params
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import into
from flambeau.ops.ranges import arange
from flambeau.ops.registry import is_tensor
from flambeau.runtime.plan_block import MAX_INPUTS


def given_list(tensors: tuple[Any, ...]) -> list[Any]:
    """`f(a, b)` and `f([a, b])` alike."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return list(tensors[0])
    return list(tensors)


def not_empty(name: str, tensors: Any) -> list[Any]:
    """The tensors of a list; torch's error for an empty one."""
    items = check_tensors(name, tensors)
    if not items:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return items


# ---- stacking ------------------------------------------------------------------------------------


@composite(methods=())
def hstack(tensors: Any, *, out: Any = None) -> Any:
    """The tensors side by side: along the columns, vectors along their only dimension.

    >>> torch.hstack([torch.ones(2, 1), torch.zeros(2, 1)])
    tensor([[1., 0.],
            [1., 0.]])
    """
    items = atleast_1d(not_empty("hstack", tensors))
    return into(cat(items, 0 if items[0].ndim == 1 else 1), out)


@composite(methods=(), aliases=("row_stack",))
def vstack(tensors: Any, *, out: Any = None) -> Any:
    """The tensors one below the other; vectors count as rows.

    >>> torch.vstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return into(cat(atleast_2d(not_empty("vstack", tensors)), 0), out)


@composite(methods=())
def dstack(tensors: Any, *, out: Any = None) -> Any:
    """The tensors one behind the other, along the third dimension.

    >>> torch.dstack([torch.tensor([1, 2]), torch.tensor([3, 4])]).shape
    torch.Size([1, 2, 2])
    """
    return into(cat(atleast_3d(not_empty("dstack", tensors)), 2), out)


@composite(methods=())
def column_stack(tensors: Any, *, out: Any = None) -> Any:
    """Vectors as columns, matrices side by side.

    >>> torch.column_stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    items = [t.reshape(-1, 1) if t.ndim <= 1 else t for t in not_empty("column_stack", tensors)]
    return into(cat(items, 1), out)


# ---- dimensions ----------------------------------------------------------------------------------


def at_least(tensors: tuple[Any, ...], raised: Callable[[Any], Any]) -> Any:
    """One tensor, several, or a list of them, each with more dimensions."""
    if len(tensors) == 1 and is_tensor(tensors[0]):
        return raised(tensors[0])
    return tuple(raised(t) for t in given_list(tensors))


@composite(methods=())
def atleast_1d(*tensors: Any) -> Any:
    """0-d tensors as vectors, others as they are.

    >>> torch.atleast_1d(torch.tensor(1))
    tensor([1])
    """
    return at_least(tensors, lambda t: t.reshape(1) if t.ndim == 0 else t)


@composite(methods=())
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with fewer dimensions as matrices of one row.

    >>> torch.atleast_2d(torch.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return at_least(
        tensors, lambda t: t.reshape(1, 1) if t.ndim == 0 else t.unsqueeze(0) if t.ndim == 1 else t
    )


@composite(methods=())
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with fewer dimensions as ones of three.

    >>> torch.atleast_3d(torch.tensor([1, 2])).shape
    torch.Size([1, 2, 1])
    """

    def raised(t: Any) -> Any:
        if t.ndim == 0:
            return t.reshape(1, 1, 1)
        if t.ndim == 1:
            return t.unsqueeze(0).unsqueeze(-1)
        return t.unsqueeze(-1) if t.ndim == 2 else t

    return at_least(tensors, raised)


@composite(methods=())
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to their common shape.

    >>> [t.shape for t in torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(2))]
    [torch.Size([3, 2]), torch.Size([3, 2])]
    """
    items = given_list(tensors)
    shape = broadcast_shapes(*[t.shape for t in items])
    return tuple(t if tuple(t.shape) == tuple(shape) else t.expand(shape) for t in items)


@composite(methods=())
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Coordinates of a grid: each vector expanded over a dimension of its own.

    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4, 5]), indexing="ij")[0]
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    items = given_list(tensors)
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for item in items:
        if item.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {item}"
            )
        if item.dtype is not items[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swapped = indexing == "xy" and len(items) >= 2
    if swapped:
        items[0], items[1] = items[1], items[0]
    shape = [t.numel() for t in items]
    grids = []
    for d, item in enumerate(items):
        own = [1] * len(items)
        own[d] = shape[d]
        grids.append(item.reshape(own).expand(shape))
    if swapped:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


# ---- products ------------------------------------------------------------------------------------


@composite(methods=())
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element from each vector, as rows.

    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    items = given_list(tensors)
    for item in items:
        if item.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(item.shape)}")
    if len(items) == 1:
        return items[0]
    return stack([grid.flatten() for grid in meshgrid(*items, indexing="ij")], 1)


@composite
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All combinations of `r` elements of a vector, as rows.

    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty((0,))
    places = arange(input.numel())
    grids = meshgrid.function(*[places] * r, indexing="ij")
    pairs = itertools.pairwise(grids)
    rising = [a <= b if with_replacement else a < b for a, b in pairs]
    if not rising:
        return input.reshape(-1, 1)
    chosen = functools.reduce(lambda a, b: a & b, rising)
    return stack([input.index_select(0, grid.masked_select(chosen)) for grid in grids], 1)


@composite(methods=())
def block_diag(*tensors: Any) -> Any:
    """A matrix with the given matrices along its diagonal; vectors count as rows.

    >>> torch.block_diag(torch.tensor([[1]]), torch.tensor([[2, 3]]))
    tensor([[1, 0, 0],
            [0, 2, 3]])
    """
    items = given_list(tensors)
    for position, item in enumerate(items):
        if not is_tensor(item):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, "
                f"but got {type(item).__name__}"
            )
        if item.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{position} has {item.ndim} dimensions"
            )
    if not items:
        return creation.empty(1, 0)
    blocks = [t.reshape(1, -1) if t.ndim < 2 else t for t in items]
    dtype = common_dtype(blocks)
    if len(blocks) > MAX_INPUTS:
        half = len(blocks) // 2
        blocks = [block_diag(*blocks[:half]), block_diag(*blocks[half:])]
    return _block_diag([b if b.dtype is dtype else b.to(dtype) for b in blocks])


@structured(
    public=None,
    methods=(),
    node="BlockDiagBackward",
    grad={"tensors": lambda g, corners, index: g[corners[index]]},
)
def _block_diag(call, tensors):
    """`block_diag` of matrices of one dtype."""
    specs = [t._spec for t in tensors]
    rows, columns = sum(s.shape[0] for s in specs), sum(s.shape[1] for s in specs)
    output = Spec.of((rows, columns), None, specs[0].dtype, specs[0].device)
    windows, corners, row, column = [], [], 0, 0
    for spec in specs:
        height, width = spec.shape
        place = row * columns + column
        windows.append(Window.of(spec.shape, output.strides, spec.itemsize, place))
        corners.append((slice(row, row + height), slice(column, column + width)))
        row, column = row + height, column + width
    sources = [Window.of(s.shape, s.strides, s.itemsize) for s in specs]
    params, lines, _ = join_params(sources, windows)
    plan = call.plan(["tensors"], [output], corners=tuple(corners))
    if plan.is_meta:
        return plan.use_native(0, ())
    words = (ctypes.c_int64 * len(params))(*params)
    plan.keep.append(words)
    phase = Phase(address("copy_windows", output.itemsize), ctypes.addressof(words), lines, 0)
    return plan.use_native(clear_then(), phase_params(len(specs), [phase], output.nbytes))

"""Reading with an index tensor along one dimension: gather, index_select, embedding, take,
take_along_dim.

>>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
tensor([[1, 1],
        [4, 3]])
"""

from __future__ import annotations

from operator import index as as_int
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes, wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.index import can_fail, index_plan
from flambeau.ops.kernels.indexed import Nest, read_kernel
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import OUT_DTYPE, into, same_dtype

INDEX_NAMES = ("int64", "int32")


def along(
    table: Spec, rows: Any, index: Spec, dim: int, itemsize: int, pairs: bool
) -> tuple[Nest, int, int]:
    """The loop nest over an index tensor of the table's rank,
    with the size and byte step of the indexed dimension.
    """
    nest = Nest(itemsize, pairs)
    for d, size in enumerate(index.shape):
        table_step = 0 if d == dim or table.ndim == 0 else table.strides[d] * itemsize
        row_step = rows[d] * itemsize if rows else 0
        nest.add(size, table_step, row_step, (index.strides[d] * index.itemsize,))
    return (nest, table.shape[dim], table.strides[dim] * itemsize) if table.ndim else (nest, 1, 0)


def gather_failure(plan: Any, code: int) -> Exception:
    """An index outside its dimension."""
    return errors.gather_out_of_bounds(code >> 4, plan.options["dim"], plan.options["bound"])


# ---- gather --------------------------------------------------------------------------------------


def check_gather(spec: Spec, index: Spec, dim: int) -> int:
    """torch's checks; the wrapped dimension."""
    wrapped = wrap_dim(dim, spec.ndim)
    if index.numel == 0:
        return wrapped
    if index.dtype.name not in INDEX_NAMES:
        raise RuntimeError("gather(): Expected dtype int32/int64 for index")
    if max(spec.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for d in range(index.ndim):
        if d != wrapped and spec.ndim and index.shape[d] > spec.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index "
                f"{errors.brackets(index.shape)} to be no larger than self "
                f"{errors.brackets(spec.shape)} apart from dimension {wrapped}"
            )
    return wrapped


@structured(
    grad=lambda g, input_like, dim, index: g.new_zeros(input_like.shape).scatter_add(dim, index, g)
)
def gather(call, input, dim, index, *, sparse_grad=False):
    """`result[i][j] = input[index[i][j]][j]` for `dim` 0, and likewise for others.

    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 0, torch.tensor([[1, 0]]))
    tensor([[3, 2]])
    """
    if sparse_grad:
        raise errors.unsupported("gather(sparse_grad=True)")
    spec, at = (
        call.op.check_tensor(input, "input")._spec,
        call.op.check_tensor(index, "index")._spec,
    )
    wrapped = check_gather(spec, at, as_int(dim))
    output = Spec.of(tuple(at.shape), None, spec.dtype, spec.device)
    if at.numel == 0:  # of any dtype and number of dimensions
        plan = call.plan(["input", "index"], [output], dim=wrapped, bound=0)
        return plan.use_native(read_kernel(spec.itemsize, 1), (), 0)
    nest, size, step = along(spec, output.strides, at, wrapped, spec.itemsize, spec.itemsize == 16)
    params, items = nest.params((size,), (step,), wrap=False, places=(0, 2, 3, 1))
    plan = call.plan(["input", "index"], [output], dim=wrapped, bound=size)
    address = 0 if plan.is_meta else read_kernel(spec.itemsize, 1, at.itemsize)
    return can_fail(plan.use_native(address, params, items, output.numel, 1 << 15))


gather.failure = gather_failure
gather.out_check = same_dtype()


# ---- index_select --------------------------------------------------------------------------------


def select_failure(plan: Any, code: int) -> Exception:
    """An index outside its dimension."""
    return IndexError("index out of range in self")


@structured(
    public=None,
    node="IndexSelectBackward",
    grad=lambda g, indices, dims, input_like: g._index_sum(indices, dims, tuple(input_like.shape)),
)
def _index_select(call, input, indices, dims):
    """`index_select` with the index as a vector; takes what ops.index takes."""
    return index_plan(call.op, call.places, input, indices, dims, wrap=False, keeps_order=False)


_index_select.failure = select_failure


@structured(node="IndexSelectBackward")
def index_select(call, input, dim, index):
    """The indices of one dimension that a vector lists.

    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([1]))
    tensor([[2],
            [4]])
    """
    spec, at = (
        call.op.check_tensor(input, "input")._spec,
        call.op.check_tensor(index, "index")._spec,
    )
    wrapped = wrap_dim(as_int(dim), spec.ndim)
    if at.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if at.dtype.name not in INDEX_NAMES:
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if spec.ndim == 0:
        if at.numel != 1:
            raise RuntimeError(
                f"index_select(): Index to scalar can have only 1 value, got {at.numel} value(s)"
            )
        return input.reshape(1)._index_select([index.reshape(1)], (0,)).reshape(())
    if at.ndim == 0:
        return input._index_select([index.reshape(1)], (wrapped,))
    return index_plan(
        _index_select, call.places, input, [index], [wrapped], wrap=False, keeps_order=False
    )


index_select.out_check = same_dtype(
    "index_select(): self and result must have the same scalar type"
)

# ---- embedding -----------------------------------------------------------------------------------


def table_gradient(
    g: Any, indices: Any, dims: Any, input_like: Any, padding_idx: int, scale_grad_by_freq: bool
) -> Any:
    """What the rows of the table get: nothing for the padding row; frequent ones can be divided."""
    (places,) = indices
    if scale_grad_by_freq:
        counts = places.reshape(-1).bincount(minlength=input_like.shape[0])
        g = g / counts[places].unsqueeze(-1)
    if padding_idx >= 0:
        g = g.masked_fill((places == padding_idx).unsqueeze(-1), 0)
    return g._index_sum(indices, dims, tuple(input_like.shape))


@structured(public=None, node="EmbeddingBackward", grad=table_gradient)
def _embedding(call, input, indices, dims, padding_idx, scale_grad_by_freq):
    """`embedding` with the index as a vector; takes what ops.index takes."""
    options = {"padding_idx": padding_idx, "scale_grad_by_freq": scale_grad_by_freq}
    return index_plan(
        call.op, call.places, input, indices, dims, wrap=False, keeps_order=False, **options
    )


_embedding.failure = select_failure


@structured(node="EmbeddingBackward", methods=())
def embedding(call, weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` that `indices` names; see nn.functional.embedding.

    >>> torch.embedding(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 0]))
    tensor([[2.],
            [1.]])
    """
    table = call.op.check_tensor(weight, "weight")._spec
    at = call.op.check_tensor(indices, "indices")._spec
    if table.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if at.dtype.name not in INDEX_NAMES:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{at.dtype.scalar_name}Tensor instead (while checking "
            "arguments for embedding)"
        )
    if sparse:
        raise NotImplementedError("embedding: sparse=True (a sparse gradient)")
    options = {"padding_idx": padding_idx, "scale_grad_by_freq": scale_grad_by_freq}
    return index_plan(
        _embedding, call.places, weight, [indices], [0], wrap=False, keeps_order=False, **options
    )


# ---- take ----------------------------------------------------------------------------------------


def take_failure(plan: Any, code: int) -> Exception:
    """An index outside the tensor."""
    return IndexError(
        f"out of range: tried to access index {code >> 4} on a tensor of "
        f"{plan.options['bounds'][0]} elements."
    )


@structured(
    public=None, node="TakeBackward",
    grad=lambda g, indices, dims, input_like: g._index_sum(indices, dims, tuple(input_like.shape)),
)  # fmt: skip
def _take(call, input, indices, dims):
    """`take` from one dimension."""
    return index_plan(call.op, call.places, input, indices, dims, keeps_order=False)


_take.failure = take_failure


@composite
def take(input: Any, index: Any, *, out: Any = None) -> Any:
    """The elements at places counted through the whole tensor in row-major order.

    >>> torch.take(torch.tensor([[4, 3, 5], [6, 7, 8]]), torch.tensor([0, 2, 5]))
    tensor([4, 5, 8])
    """
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.scalar_name}"
        )
    if input.numel() == 0 and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    text = (
        "take(): self and out expected to have the same dtype, "
        "but got self.dtype = {Wanted} and out.dtype = {Given}"
    )
    return into(input.reshape(-1)._take([index], (0,)), out, input, index, check=same_dtype(text))


@composite
def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """`gather` with both tensors broadcast against each other first; without `dim` over all
    elements.

    >>> torch.take_along_dim(torch.tensor([[3, 1, 2]]), torch.tensor([[1, 2, 0]]), 1)
    tensor([[1, 2, 3]])
    """
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{indices.dtype.scalar_name}"
        )
    if dim is None:
        result = input.reshape(-1).gather(0, indices.reshape(-1))
    else:
        if input.ndim != indices.ndim:
            raise RuntimeError(
                "torch.take_along_dim(): input and indices should have the same number of "
                "dimensions, but got "
                f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
            )
        wrapped = wrap_dim(dim, input.ndim)
        shapes = [
            tuple(1 if d == wrapped else n for d, n in enumerate(t.shape)) for t in (input, indices)
        ]
        common = list(broadcast_shapes(*shapes))
        wide = (
            [
                (*common[:wrapped], t.shape[wrapped], *common[wrapped + 1 :])
                for t in (input, indices)
            ]
            if input.ndim
            else [(), ()]
        )
        size = input.shape[wrapped] if input.ndim else 1
        indices = indices.where(indices >= 0, indices + size)
        result = input.expand(wide[0]).gather(wrapped, indices.expand(wide[1]))
    return into(result, out, input, indices, check=same_dtype(OUT_DTYPE))

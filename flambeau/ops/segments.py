"""Reductions over segments, joined chunks, indexing under a mask, and hashes of tensors.

>>> torch.segment_reduce(torch.tensor([1.0, 2.0, 3.0]), "sum", lengths=torch.tensor([2, 1]))
tensor([3., 3.])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import reduced_shape, wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.creation import full
from flambeau.ops.index import index_put
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, reduced_dims, structured
from flambeau.ops.ranges import arange
from flambeau.ops.search import searchsorted

# what a segment without elements gives, and the scatter that reduces one
REDUCTIONS = {
    "sum": (0.0, "sum"),
    "mean": (math.nan, "sum"),
    "max": (-math.inf, "amax"),
    "min": (math.inf, "amin"),
    "prod": (1.0, "prod"),
}


def check_segments(data: Any, reduce: str, lengths: Any, indices: Any, offsets: Any) -> None:
    """torch's errors for the arguments of segment_reduce."""
    if reduce not in REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if not data.dtype.is_floating_point:
        raise errors.not_implemented_for("_segment_reduce_cpu", data.dtype.scalar_name)


def bounds_of(
    data: Any, lengths: Any, offsets: Any, axis: int, unsafe: bool
) -> tuple[Any, Any, Any]:
    """First and last position and the length of every segment."""
    if lengths is None:
        return offsets[..., :-1], offsets[..., 1:], offsets.diff()
    if not unsafe and (lengths < 0).any():
        raise RuntimeError("lengths contains negative value!")
    if not unsafe and (lengths.sum(-1) != data.shape[axis]).any():
        raise RuntimeError(
            "segment_reduce(): Expected all rows of lengths along axis to sum to "
            "data.size(lengths.dim()-1) when !unsafe."
        )
    ends = lengths.cumsum(-1)
    return ends - lengths, ends, lengths


@composite(methods=())
def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> Any:
    """The elements of each segment along `axis` reduced to one; `lengths` or `offsets` say where
    the segments are.

    >>> torch.segment_reduce(torch.tensor([1.0, 5.0, 3.0]), "max", offsets=torch.tensor([0, 2, 3]))
    tensor([5., 3.])
    """
    axis = wrap_dim(axis, data.ndim)
    check_segments(data, reduce, lengths, indices, offsets)
    starts, ends, sizes = bounds_of(data, lengths, offsets, axis, unsafe)
    empty_value, mode = REDUCTIONS[reduce]
    begin = empty_value if initial is None else initial
    count, batch = ends.shape[-1], tuple(data.shape[:axis])
    # The segment of each position; those outside all segments go to one more, which is dropped.
    positions = arange(data.shape[axis]).expand(*batch, data.shape[axis]).contiguous()
    rows = searchsorted(ends.contiguous(), positions, right=True)
    if lengths is None:
        rows = rows.masked_fill(positions < starts[..., :1], count)
    trailing = data.ndim - axis - 1
    rows = rows.reshape(*rows.shape, *(1,) * trailing).expand(tuple(data.shape))
    shape = (*batch, count + 1, *data.shape[axis + 1 :])
    start = 0.0 if reduce == "mean" and initial is None else begin
    target = full(shape, start, dtype=data.dtype, device=data.device)
    result = target.scatter_reduce(axis, rows, data, mode).narrow(axis, 0, count)
    if reduce != "mean":
        return result
    sizes = sizes.reshape(*sizes.shape, *(1,) * trailing)
    return (result / sizes.clamp(min=1)).masked_fill(sizes == 0, begin)


@composite(public="_segment_reduce", methods=(), name="_segment_reduce")
def plain_segment_reduce(data: Any, reduce: str, **options: Any) -> Any:
    """`segment_reduce` by its inner name."""
    return segment_reduce.function(data, reduce, **options)


def check_chunks(tensors: Sequence[Any], dim: int) -> None:
    """torch's errors for tensors that do not go together."""
    if dim < 0 and len({x.ndim for x in tensors}) > 1:
        raise RuntimeError(
            "_chunk_cat expects non-negative dim when input tensors have different ndims"
        )
    if any(dim >= x.ndim for x in tensors):
        raise RuntimeError("_chunk_cat expects dim < ndim for all input tensors")
    wrapped = wrap_dim(dim, tensors[0].ndim)
    if any(x.shape[:wrapped] != tensors[0].shape[:wrapped] for x in tensors):
        raise RuntimeError(
            "_chunk_cat expects same sizes of 0,...,dim-1 dimensions for all tensors"
        )
    if not all(x.numel() for x in tensors):
        raise RuntimeError("_chunk_cat expects non-empty tensor")


@composite(methods=())
def _chunk_cat(tensors: Sequence[Any], dim: int, num_chunks: int, *, out: Any = None) -> Any:
    """Each tensor cut into chunks along `dim` (the last ones filled up with zeros), the chunks
    flattened, and all first chunks, all second ones ... joined.

    >>> torch._chunk_cat([torch.ones(3), torch.zeros(1)], 0, 2)
    tensor([[1., 1., 0.],
            [1., 0., 0.]])
    """
    if not tensors:
        raise RuntimeError("_chunk_cat expects a non-empty input tensor list")
    if num_chunks <= 0:
        raise RuntimeError("_chunk_cat expects positive num_chunks")
    check_chunks(tensors, dim)
    dim = wrap_dim(dim, tensors[0].ndim)
    parts = []
    for x in tensors:
        missing = -x.shape[dim] % num_chunks
        if missing:
            shape = tuple(missing if d == dim else n for d, n in enumerate(x.shape))
            x = cat([x, x.new_zeros(shape)], dim)
        parts.append(x.reshape(*x.shape[:dim], num_chunks, -1))
    result = cat(parts, dim + 1)
    return result if out is None else out.resize_(result.shape).copy_(result)


def clamped(indices: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Indices that a mask may forbid, made valid; None takes all of a dimension."""
    return [
        None if index is None else index.clamp(min=-size, max=size - 1)
        for index, size in zip(indices, shape, strict=False)
    ]


@composite(methods=())
def _unsafe_masked_index(input: Any, mask: Any, indices: Sequence[Any], fill: Any) -> Any:
    """`input[indices]` where the mask is true, `fill` elsewhere: the indices may be invalid there.

    >>> x, mask = torch.tensor([1.0, 2.0]), torch.tensor([True, False])
    >>> torch._unsafe_masked_index(x, mask, [torch.tensor([1, 7])], 0.0)
    tensor([2., 0.])
    """
    if not input.numel():
        return full(tuple(mask.shape), fill, dtype=input.dtype, device=input.device)
    places = tuple(slice(None) if i is None else i for i in clamped(indices, input.shape))
    return input[places].masked_fill(mask.logical_not(), fill)


@composite(methods=())
def _unsafe_masked_index_put_accumulate(
    input: Any, mask: Any, indices: Sequence[Any], values: Any
) -> Any:
    """A copy with `values` added at the indices, where the mask is true.

    >>> x, mask = torch.zeros(2), torch.tensor([True, False])
    >>> torch._unsafe_masked_index_put_accumulate(x, mask, [torch.tensor([1, 7])], torch.ones(2))
    tensor([0., 1.])
    """
    if not input.numel():
        return input.clone()
    kept = values.masked_fill(mask.logical_not(), 0)
    return index_put.call(input, clamped(indices, input.shape), kept, True)


@structured()
def hash_tensor(call, input, dim=(), *, keepdim=False, mode=0):
    """The exclusive or of all elements, or of those along `dim`, as 64-bit patterns: of float64 for
    floating dtypes, else of int64.

    >>> torch.hash_tensor(torch.tensor([1, 2, 7]))
    tensor(4, dtype=torch.uint64)
    """
    spec = call.op.check_tensor(input, "input")._spec
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if spec.dtype.is_complex:
        raise errors.not_implemented_for("xor_sum_cpu", spec.dtype.scalar_name)
    dims = reduced_dims(dim, spec.ndim)
    if dim in ((), None) and not spec.numel:
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with the 'dim' argument."
        )
    for d in dims:
        if spec.ndim and not spec.shape[d]:
            raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    output = Spec.of(reduced_shape(spec.shape, dims, keepdim), None, dtypes.uint64, spec.device)
    wide = "float64" if spec.dtype.is_floating_point else "int64"

    def compute(array: Any) -> Any:
        import numpy

        bits = array.astype(wide).view("uint64")
        combine: Any = numpy.bitwise_xor.reduce
        return combine(bits, axis=dims or None, keepdims=bool(keepdim))

    return call.numpy(["input"], [output], compute)

"""Scatter with a reduction: scatter_reduce and index_reduce, their in-place forms and gradients.

Values that meet at one place are added, multiplied or compared (ops.kernels.indexed); a mean
divides by a count made the same way. The gradients follow torch's definitions: a product's factors
get the product of the others, extremes share evenly.

    >>> index, source = torch.tensor([0, 0, 1]), torch.tensor([1.0, 2.0, 3.0])
    >>> torch.zeros(2).scatter_reduce(0, index, source, "mean", include_self=False)
    tensor([1.5000, 3.0000])
"""

from __future__ import annotations

import warnings
from operator import index as as_int
from typing import Any

from flambeau.autograd.inplace import replace_by
from flambeau.core.layout import contiguous_format
from flambeau.core.spec import Spec
from flambeau.ops.arrays import record
from flambeau.ops.index_writing import check_vector_add
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import into, same_dtype
from flambeau.ops.registry import engine
from flambeau.ops.scatter import check_scatter

MODES = {"sum": "add", "mean": "add", "prod": "multiply", "amax": "maximum", "amin": "minimum"}


def plain(tensor: Any) -> Any:
    """The same memory without the graph."""
    return engine.core.make_tensor(tensor._storage, tensor._spec, tensor._offset)


def identity(reduce: str, dtype: Any) -> Any:
    """The value that changes nothing."""
    if reduce in ("sum", "mean", "prod"):
        return 1 if reduce == "prod" else 0
    if dtype.is_floating_point:
        return float("-inf") if reduce == "amax" else float("inf")
    if dtype.category == 0:
        return reduce == "amin"
    bits = 8 * dtype.itemsize
    low, high = (
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype.is_signed else (0, (1 << bits) - 1)
    )
    return low if reduce == "amax" else high


def reduced(input: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool) -> Any:
    """The reduction on values without a graph; `index` and `source` have the input's rank."""
    result = input.clone(memory_format=contiguous_format)
    if not include_self:
        result.scatter_(dim, index, identity(reduce, input.dtype))
    result._scatter_(dim, index, source, MODES[reduce])
    if reduce == "mean":
        counts = counted(result, dim, index, include_self)
        if result.dtype.is_floating_point or result.dtype.is_complex:
            result.div_(counts)
        else:
            result.div_(counts, rounding_mode="floor")
    return result


def counted(like: Any, dim: int, index: Any, include_self: bool) -> Any:
    """How many values meet at each place; 1 where none do."""
    base = like.new_ones(like.shape) if include_self else like.new_zeros(like.shape)
    counts = base.scatter_add_(dim, index, like.new_ones(index.shape))
    return counts.masked_fill_(counts == 0, 1)


# ---- scatter_reduce ------------------------------------------------------------------------------


def own_gradient(
    g: Any, y: Any, input: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> Any:
    """The gradient of the values that were there."""
    if reduce == "prod":
        whole = input.masked_fill(input == 0, 1)
        grad = g * whole.scatter_reduce(dim, index, src, reduce, include_self=include_self) / whole
    elif reduce == "mean":
        grad = g / counted(plain(g), dim, index, include_self)
    elif reduce in ("amax", "amin"):
        grad = (input == y).to(g.dtype) * shared(g, y, input, dim, index, src)
    else:
        grad = g
    return grad if include_self else grad.scatter(dim, index, 0)


def shared(g: Any, y: Any, input: Any, dim: int, index: Any, src: Any) -> Any:
    """The gradient of an extreme, divided among those that reach it."""
    wins = (src == y.gather(dim, index)).to(g.dtype)
    return g / (input == y).to(g.dtype).scatter_add(dim, index, wins)


def source_gradient(
    g: Any, y: Any, input: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> Any:
    """The gradient of the values that came in."""
    if reduce == "prod":
        zero = src == 0
        zeros = (
            plain(input)
            .new_zeros(input.shape)
            .scatter_add(dim, index, zero.to(input.dtype))
            .gather(dim, index)
        )
        only = zero.logical_and(zeros == 1)
        others = input.scatter_reduce(
            dim, index, src.masked_fill(only, 1), reduce, include_self=include_self
        )
        shares = (g * y).gather(dim, index) / src.masked_fill(zero, 1)
        return (g * others).gather(dim, index).where(only, shares)
    if reduce == "mean":
        return (g / counted(plain(g), dim, index, include_self)).gather(dim, index)
    if reduce in ("amax", "amin"):
        wins = (src == y.gather(dim, index)).to(g.dtype)
        return wins * shared(g, y, input, dim, index, src).gather(dim, index)
    return g.gather(dim, index)


@structured(
    public=None, node="ScatterReduceBackward",
    grad={"input": own_gradient, "src": source_gradient},
)  # fmt: skip
def _scatter_reduce(call, input, dim, index, src, reduce, include_self):
    """`scatter_reduce` with an index and a source of one shape."""
    spec = input._spec
    plan = call.plan(
        ["input", "index", "src"], [Spec.of(spec.shape, None, spec.dtype, spec.device)]
    )

    def run(input: Any, index: Any, src: Any) -> Any:
        result = reduced(plain(input), dim, index, plain(src), reduce, include_self)
        record(plan, [input, index, src], [result])
        return result

    return plan.use_python(run)


@composite
def scatter_reduce(
    input: Any,
    dim: int,
    index: Any,
    src: Any,
    reduce: str,
    *,
    include_self: bool = True,
    out: Any = None,
) -> Any:
    """A copy in which the values of `src` that `index` sends to one place along `dim` are reduced.

    >>> torch.zeros(2).scatter_reduce(0, torch.tensor([1, 1]), torch.tensor([3.0, 4.0]), "sum")
    tensor([0., 7.])
    """
    if reduce not in MODES:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    wrapped = check_scatter("scatter", input._spec, index._spec, src._spec, as_int(dim))
    if index.shape != src.shape:
        src = src[tuple(slice(n) for n in index.shape)]
    result = input._scatter_reduce(wrapped, index, src, reduce, include_self)
    return into(result, out, input, index, src, check=same_dtype())


@composite(public=None, methods=("scatter_reduce_",))
def scatter_reduce_(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """`scatter_reduce` in place.

    >>> torch.ones(1).scatter_reduce_(0, torch.tensor([0]), torch.tensor([5.0]), "prod")
    tensor([5.])
    """
    return replace_by(
        input, lambda twin: twin.scatter_reduce(dim, index, src, reduce, include_self=include_self)
    )


# ---- index_reduce --------------------------------------------------------------------------------


@composite
def index_reduce(
    input: Any,
    dim: int,
    index: Any,
    source: Any,
    reduce: str,
    *,
    include_self: bool = True,
    out: Any = None,
) -> Any:
    """A copy in which the slices of `source` that `index` sends to one slice of `dim` are reduced.

    >>> torch.ones(2).index_reduce(0, torch.tensor([0, 0]), torch.tensor([2.0, 3.0]), "prod")
    tensor([6., 1.])
    """
    warnings.warn(
        "index_reduce() is in beta and the API may change at any time.", UserWarning, stacklevel=2
    )
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, "
            f"amax or amin but got {reduce}."
        )
    wrapped = check_reduced(input, dim, index, source)
    result = sliced_reduce(input, wrapped, index, source, reduce, include_self)
    return into(result, out, input, index, source, check=same_dtype())


def check_reduced(input: Any, dim: int, index: Any, source: Any) -> int:
    """torch's checks, which are those of index_add under another name."""
    try:
        wrapped = check_vector_add(input._spec, index._spec, source._spec, as_int(dim))
    except (RuntimeError, IndexError) as error:
        raise type(error)(str(error).replace("index_add_()", "index_reduce_()")) from None
    size = input.shape[wrapped] if input.ndim else 1
    known = index.numel() and not index.is_meta
    if known and not (0 <= int(index.min()) and int(index.max()) < size):
        raise IndexError("index out of range in self")
    return wrapped


def sliced_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool
) -> Any:
    """`index_reduce` by way of `scatter_reduce`: the vector varies along `dim` only."""
    if input.ndim == 0:
        return sliced_reduce(
            input.reshape(1), 0, index.reshape(-1), source.reshape(-1), reduce, include_self
        ).reshape(())
    shape = [index.numel() if d == dim else 1 for d in range(input.ndim)]
    wide = [index.numel() if d == dim else n for d, n in enumerate(input.shape)]
    at = index.reshape(shape).expand(wide)
    return input._index_reduce(dim, at, source.reshape(wide), reduce, include_self)


@structured(
    public=None, node="IndexReduceBackward", grad={"input": own_gradient, "src": source_gradient}
)
def _index_reduce(call, input, dim, index, src, reduce, include_self):
    """`index_reduce` with an index and a source of one shape."""
    return _scatter_reduce.function(call, input, dim, index, src, reduce, include_self)


@composite(public=None, methods=("index_reduce_",))
def index_reduce_(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """`index_reduce` in place.

    >>> torch.ones(1).index_reduce_(0, torch.tensor([0]), torch.tensor([5.0]), "amax")
    tensor([5.])
    """
    return replace_by(
        input,
        lambda twin: twin.index_reduce(dim, index, source, reduce, include_self=include_self),
    )

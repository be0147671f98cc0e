"""Writing with one index per slice: index_add, index_copy, index_fill; and put, on single elements.

>>> torch.zeros(3).index_fill_(0, torch.tensor([0, 2]), 1.0)
tensor([1., 0., 1.])
"""

from __future__ import annotations

from operator import index as as_int
from typing import Any

from flambeau.autograd.inplace import replace
from flambeau.core import errors
from flambeau.core.dtype import bool_
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import broadcast_strides
from flambeau.ops.gather import INDEX_NAMES, gather_failure
from flambeau.ops.kinds import composite
from flambeau.ops.mask import number_tensor
from flambeau.ops.outputs import into, same_dtype
from flambeau.ops.registry import is_tensor
from flambeau.ops.scatter import along_plan
from flambeau.ops.update import update

# ---- index_add, index_copy -----------------------------------------------------------------------


def vector_index(index: Spec, dim: int, ndim: int) -> Spec:
    """A vector index as one of the rank of the table: it varies along `dim` only."""
    length = index.numel
    step = index.strides[0] if index.ndim else 0
    shape = tuple(length if d == dim else 1 for d in range(max(ndim, 1)))
    return Spec.of(
        shape,
        tuple(step if d == dim else 0 for d in range(max(ndim, 1))),
        index.dtype,
        index.device,
    )


def vector_plan(
    call: Any, tensors: list[str], index: Spec, source: Spec, dim: int, mode: str, **options: Any
) -> Any:
    """The plan that writes slices: every index of the vector takes one slice of the source."""
    target = call.target
    shape = (
        tuple(index.numel if d == dim else n for d, n in enumerate(target.shape))
        if target.ndim
        else (index.numel,)
    )
    wide = vector_index(index, dim, target.ndim)
    at = Spec.of(
        shape, broadcast_strides(wide.shape, wide.strides, shape), index.dtype, index.device
    )
    if source.ndim == 0:
        rows: Any = (0,) * len(shape)
    else:
        rows = broadcast_strides(source.shape, source.strides, shape)
    return along_plan(call, tensors, at, source, rows, dim, mode, **options)


def check_vector_add(target: Spec, index: Spec, source: Spec, dim: int) -> int:
    """torch's checks of index_add; the wrapped dimension."""
    wrapped = wrap_dim(dim, target.ndim)
    if index.ndim > 1:
        raise IndexError(
            "index_add_(): Index is supposed to be a vector, but got dim: "
            f"{index.ndim} with type: {index.dtype.scalar_name} and "
            f"size: {errors.brackets(index.shape)}"
        )
    if index.dtype.name not in INDEX_NAMES:
        raise RuntimeError(
            f"index_add_(): Expected dtype int32/int64 for index but got: {index.dtype.scalar_name}"
        )
    if target.dtype is not source.dtype:
        raise RuntimeError(
            f"index_add_(): self ({target.dtype.scalar_name}) and source "
            f"({source.dtype.scalar_name}) must have the same scalar type"
        )
    size = source.shape[wrapped] if wrapped < source.ndim else 1
    if source.ndim == 0 or wrapped < source.ndim:
        if index.numel != size:
            raise RuntimeError(
                f"index_add_(): Number of indices ({index.numel}) should be equal to "
                f"source.size(dim): ({size}), for dim: {wrapped}"
            )
    own = [n for d, n in enumerate(target.shape) if d != wrapped]
    other = [n for d, n in enumerate(source.shape) if d != wrapped]
    if own != other or max(target.ndim, 1) != max(source.ndim, 1):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            "Got self.shape = "
            f"{errors.brackets(target.shape)} source.shape = {errors.brackets(source.shape)}"
        )
    return wrapped


@update(
    public=None,
    node="IndexAddBackward",
    failure=gather_failure,
    grad={
        "input": lambda g: g,
        "source": lambda g, dim, index, source_like: g.index_select(dim, index).reshape(
            source_like.shape
        ),
    },
)
def _index_add(call, input, dim, index, source):
    """Slices of `source` added to those that a vector lists."""
    at, given = (
        call.op.check_tensor(index, "index")._spec,
        call.op.check_tensor(source, "source")._spec,
    )
    wrapped = check_vector_add(call.target, at, given, as_int(dim))
    return vector_plan(call, ["input", "index", "source"], at, given, wrapped, "add")


@composite
def index_add(
    input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1, out: Any = None
) -> Any:
    """A copy with `alpha` times the slices of `source` added to the slices that `index` lists.

    >>> torch.index_add(torch.zeros(3), 0, torch.tensor([0, 2, 0]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([4., 0., 2.])
    """
    result = input._index_add(dim, index, source if alpha == 1 else source * alpha)
    return into(result, out, input, index, source, check=same_dtype())


@composite(public=None, methods=("index_add_",))
def index_add_(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """`index_add` in place.

    >>> torch.zeros(2).index_add_(0, torch.tensor([1]), torch.ones(1), alpha=3)
    tensor([0., 3.])
    """
    return input._index_add_(dim, index, source if alpha == 1 else source * alpha)


def copy_failure(plan: Any, code: int) -> Exception:
    """An index outside its dimension."""
    return IndexError(
        f"index_copy_(): index {code >> 4} is out of bounds for dimension {plan.options['dim']} "
        f"with size {plan.options['bound']}"
    )


def check_copied(target: Spec, index: Spec, source: Spec, dim: int) -> int:
    """torch's checks of index_copy; the wrapped dimension."""
    wrapped = wrap_dim(dim, target.ndim)
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if source.ndim == 0 and index.numel != 1:
        raise IndexError(
            "index_copy_(): When source is scalar, index should have one element (got "
            f"{index.numel})"
        )
    if source.ndim and target.ndim and source.ndim != target.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, "
            "their dimensionality must match. Source dimensionality "
            f"({source.ndim}), destination dimensionality ({target.ndim})"
        )
    if index.dtype.name != "int64":
        raise IndexError(
            "index_copy_(): Expected a long tensor for index, but got " + index.dtype.scalar_name
        )
    if target.dtype is not source.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{target.dtype.scalar_name} and (source) {source.dtype.scalar_name}"
        )
    own = [n for d, n in enumerate(target.shape) if d != wrapped]
    other = [n for d, n in enumerate(source.shape) if d != wrapped]
    if own != other:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. "
            "Destination slice shape: "
            f"{' '.join(map(str, own))} at dimension {wrapped} and source slice shape: "
            f"{' '.join(map(str, other))} at dimension 0."
        )
    if source.ndim and index.numel != source.shape[wrapped]:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel}) should be equal to "
            f"source.size(dim) ({source.shape[wrapped]})"
        )
    return wrapped


@update(
    node="IndexCopyBackward",
    failure=copy_failure,
    grad={
        "input": lambda g, dim, index: g.index_fill(dim, index, 0),
        "source": lambda g, dim, index, source_like: g.index_select(dim, index).reshape(
            source_like.shape
        ),
    },
)
def index_copy(call, input, dim, index, source):
    """A copy with slices of `source` written over those that `index` lists.

    >>> torch.index_copy(torch.zeros(3), 0, torch.tensor([2]), torch.ones(1))
    tensor([0., 0., 1.])
    """
    at, given = (
        call.op.check_tensor(index, "index")._spec,
        call.op.check_tensor(source, "source")._spec,
    )
    wrapped = check_copied(call.target, at, given, as_int(dim))
    return vector_plan(call, ["input", "index", "source"], at, given, wrapped, "set")


# ---- index_fill ----------------------------------------------------------------------------------


index_copy.out_check = same_dtype()


def fill_failure(plan: Any, code: int) -> Exception:
    """An index outside its dimension."""
    return errors.index_out_of_bounds(code >> 4, plan.options["dim"], plan.options["bound"])


def filled_gradient(g: Any, dim: int, index: Any) -> Any:
    """The sum of the gradient over the filled slices, each counted once."""
    filled = g.new_zeros(g.shape, dtype=bool_).index_fill_(dim, index, True)
    return g.masked_fill(filled.logical_not(), 0).sum()


@update(
    public=None,
    node="IndexFillBackward",
    failure=fill_failure,
    dense=True,
    grad={
        "input": lambda g, dim, index: g.index_fill(dim, index, 0),
        "value": lambda g, dim, index: filled_gradient(g, dim, index),
    },
)
def _index_fill(call, input, dim, index, value, number):
    """A 0-d tensor written over the slices that a vector lists."""
    at = call.op.check_tensor(index, "index")._spec
    if at.dtype.name != "int64":
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if at.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    node = "IndexFillBackward0" if number else "IndexFillBackward1"
    wrapped = wrap_dim(as_int(dim), call.target.ndim)
    return vector_plan(
        call, ["input", "index", "value"], at, value._spec, wrapped, "set", wrap=True, node=node
    )


def fill_into(input: Any, dim: int, index: Any, value: Any, place: str) -> Any:
    """Picks the form: a 0-d tensor or a number."""
    given = is_tensor(value)
    if given and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, "
            f"but got tensor with {value.ndim} dimension(s)."
        )
    if not given:
        if isinstance(value, complex) and not input.dtype.is_complex:
            raise RuntimeError(
                "index_fill_(): Converting complex Scalar to non-complex type is not supported"
            )
        value = number_tensor(value, input)
    elif value.dtype is not input.dtype:
        value = value.to(input.dtype)
    return getattr(input, f"_index_fill{place}")(dim, index, value, not given)


@composite
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy with the slices that `index` lists filled with a number.

    >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([0, 2]), 5)
    tensor([5., 0., 5.])
    """
    return fill_into(input, dim, index, value, "")


@composite(public=None, methods=("index_fill_",))
def index_fill_(input: Any, dim: int, index: Any, value: Any) -> Any:
    """`index_fill` in place.

    >>> torch.zeros(2).index_fill_(0, torch.tensor([1]), 5)
    tensor([0., 5.])
    """
    return fill_into(input, dim, index, value, "_")


# ---- put -----------------------------------------------------------------------------------------


def check_put(input: Any, index: Any, source: Any) -> None:
    """torch's checks of put."""
    if index.dtype.name != "int64":
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {index.dtype.scalar_name}"
        )
    if input.dtype is not source.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, "
            f"but got self.dtype = {input.dtype.scalar_name} and "
            f"source.dtype = {source.dtype.scalar_name}"
        )
    if index.numel() != source.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, "
            "but got source.numel() = "
            f"{source.numel()}, index.numel() = {index.numel()}"
        )
    if input.numel() == 0 and index.numel():
        raise IndexError("put_(): tried to put elements into an empty tensor")


def put_failure(plan: Any, code: int) -> Exception:
    """An index outside the tensor."""
    return IndexError(
        f"out of range: tried to access index {code >> 4} on a tensor of {plan.options['bound']} "
        "elements."
    )


@update(
    public=None,
    node="PutBackward",
    failure=put_failure,
    dense=True,
    grad={
        "input": lambda g, index, accumulate: (
            g if accumulate else g.put(index, g.new_zeros(index.shape))
        ),
        "source": lambda g, index, source_like: g.take(index).reshape(source_like.shape),
    },
)
def _put(call, input, index, source, accumulate):
    """Elements written at places counted through a row-major tensor; all operands are vectors."""
    mode = "add" if accumulate else "set"
    return along_plan(
        call,
        ["input", "index", "source"],
        index._spec,
        source._spec,
        source._spec.strides,
        0,
        mode,
        wrap=True,
    )


@composite
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with `source` written (or added) at places counted through the whole tensor in
    row-major order.

    >>> torch.put(torch.zeros(2, 2), torch.tensor([1, 2]), torch.tensor([7.0, 8.0]))
    tensor([[0., 7.],
            [8., 0.]])
    """
    check_put(input, index, source)
    return (
        input.reshape(-1)._put(index.reshape(-1), source.reshape(-1), accumulate).view(input.shape)
    )


@composite(public=None, methods=("put_",))
def put_(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """`put` in place.

    >>> torch.zeros(2).put_(torch.tensor([1]), torch.tensor([7.0]))
    tensor([0., 7.])
    """
    check_put(input, index, source)
    if (
        input.is_contiguous()
        and input._node is None
        and source._node is None
        and input._base is None
    ):
        input.view(-1)._put_(index.reshape(-1), source.reshape(-1), accumulate)
        return input
    return replace(input, lambda: input.put(index, source, accumulate))

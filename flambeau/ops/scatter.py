"""Writing with an index tensor along one dimension: scatter and scatter_add.

The core ops are updates (ops.update) of one kernel (ops.kernels.indexed); the public functions sort
out numbers, options and torch's argument forms. Their kin with one index per slice are in
ops.index_writing.

    >>> torch.zeros(2, 3).scatter_(1, torch.tensor([[0], [2]]), 1.0)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
"""

from __future__ import annotations

from operator import index as as_int
from typing import Any

from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.gather import INDEX_NAMES, along, gather_failure
from flambeau.ops.kernels.indexed import write_kernel
from flambeau.ops.kinds import composite
from flambeau.ops.mask import number_tensor
from flambeau.ops.outputs import into, same_dtype
from flambeau.ops.registry import is_tensor
from flambeau.ops.update import update

Number = (bool, int, float, complex)


def along_plan(
    call: Any,
    tensors: list[str],
    index: Spec,
    source: Spec,
    rows: Any,
    dim: int,
    mode: str,
    **options: Any,
) -> Any:
    """The plan that writes rows with byte order given by `rows` (strides
    over the index's shape).
    """
    target, wrap = call.target, options.pop("wrap", False)
    if index.numel == 0:  # of any dtype and number of dimensions
        return call.update(tensors, 0, (), 0, dim=dim, bound=0, **options)
    pairs = target.dtype.is_complex if mode != "set" else target.itemsize == 16
    nest, size, step = along(target, rows, index, dim, target.itemsize, pairs)
    params, items = nest.params((size,), (step,), wrap=wrap, places=(3, 2, 4, 1), writes=True)
    address = write_kernel(target.dtype, mode, 1, index.itemsize)
    return call.update(
        tensors,
        address,
        params,
        items,
        index.numel,
        nest.grain,
        dim=dim,
        bound=size,
        **options,
    )


# ---- scatter -------------------------------------------------------------------------------------


def check_scatter(name: str, target: Spec, index: Spec, source: Spec, dim: int) -> int:
    """torch's checks; the wrapped dimension."""
    wrapped = wrap_dim(dim, target.ndim)
    if index.numel == 0:
        return wrapped
    if index.dtype.name not in INDEX_NAMES:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if source.dtype is not target.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if max(index.ndim, 1) != max(target.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if source.ndim == 0 and index.ndim and getattr(source, "number", False):
        return wrapped
    if max(index.ndim, 1) != max(source.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    own, src, at = (s.shape or (1,) for s in (target, source, index))
    if any(d != wrapped and at[d] > own[d] for d in range(len(at))) or any(
        a > s for a, s in zip(at, src, strict=True)
    ):
        raise RuntimeError(
            f"Expected index {errors.brackets(index.shape)} to be no larger than self "
            f"{errors.brackets(target.shape)} apart from "
            f"dimension {wrapped} and to be no larger size than src {errors.brackets(source.shape)}"
        )
    return wrapped


def check_filled(target: Spec, index: Spec, dim: int) -> int:
    """The checks of a scatter of one number."""
    wrapped = wrap_dim(dim, target.ndim)
    if index.numel == 0:
        return wrapped
    if index.dtype.name not in INDEX_NAMES:
        raise RuntimeError("scatter(): Expected dtype int32/int64 for index")
    if max(index.ndim, 1) != max(target.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    own, at = target.shape or (1,), index.shape or (1,)
    if any(d != wrapped and at[d] > own[d] for d in range(len(at))):
        raise RuntimeError(
            f"Expected index {errors.brackets(index.shape)} to be no larger than self "
            f"{errors.brackets(target.shape)} apart from "
            f"dimension {wrapped}"
        )
    return wrapped


@update(
    public=None, node="ScatterBackward", failure=gather_failure,
    grad={
        "input": lambda g, dim, index, mode: g if mode == "add" else g.scatter(dim, index, 0),
        "src": lambda g, dim, index, src_like: widened(g.gather(dim, index), src_like),
    },
)  # fmt: skip
def _scatter(call, input, dim, index, src, mode):
    """`src` written at an index along `dim`."""
    target, at, source = (
        call.target,
        call.op.check_tensor(index, "index")._spec,
        call.op.check_tensor(src, "src")._spec,
    )
    name = "scatter_add" if call.arguments.get("mode") == "add" else "scatter"
    wrapped = check_scatter(name, target, at, source, as_int(dim))
    rows = source.strides if source.ndim else (0,) * at.ndim
    return along_plan(call, ["input", "index", "src"], at, source, rows, wrapped, mode)


@update(
    public=None, node="ScatterBackward", failure=gather_failure,
    grad={"input": lambda g, dim, index: g.scatter(dim, index, 0)},
)  # fmt: skip
def _scatter_number(call, input, dim, index, value, mode):
    """A 0-d tensor written at an index along `dim`."""
    target, at = call.target, call.op.check_tensor(index, "index")._spec
    wrapped = check_filled(target, at, as_int(dim))
    return along_plan(
        call,
        ["input", "index", "value"],
        at,
        value._spec,
        (0,) * max(at.ndim, 1),
        wrapped,
        mode,
        node="ScatterBackward1",
    )


@update(
    public=None,
    node="ScatterAddBackward",
    failure=gather_failure,
    grad={
        "input": lambda g: g,
        "src": lambda g, dim, index, src_like: widened(g.gather(dim, index), src_like),
    },
)
def _scatter_add(call, input, dim, index, src):
    """`src` added at an index along `dim`."""
    target, at, source = (
        call.target,
        call.op.check_tensor(index, "index")._spec,
        call.op.check_tensor(src, "src")._spec,
    )
    wrapped = check_scatter("scatter_add", target, at, source, as_int(dim))
    return along_plan(
        call,
        ["input", "index", "src"],
        at,
        source,
        source.strides if source.ndim else (0,),
        wrapped,
        "add",
    )


def widened(g: Any, like: Spec) -> Any:
    """The gradient of a source that is larger than the index: zeros where nothing was read."""
    if g.shape == like.shape:
        return g
    whole = tuple(like.shape)
    return g._window_backward(whole, tuple(g.shape), contiguous_strides(whole), 0)


def scatter_mode(reduce: str | None) -> str:
    """The arithmetic that `reduce=` names."""
    if reduce is None:
        return "set"
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    return reduce


def scatter_into(
    input: Any, dim: int, index: Any, src: Any, value: Any, reduce: str | None, place: str
) -> Any:
    """Picks the core op: a tensor or a number, in place or not."""
    mode = scatter_mode(reduce)
    given = value if src is None else src
    if is_tensor(given):
        return getattr(input, f"_scatter{place}")(dim, index, given, mode)
    if not isinstance(given, Number):
        raise errors.argument_type_error("scatter", "value", 3, "Number", given)
    number = number_tensor(given, input)
    return getattr(input, f"_scatter_number{place}")(dim, index, number, mode)


@composite
def scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    out: Any = None,
) -> Any:
    """A copy with `src` (or one number) written at `index` along `dim`; `reduce` may be "add" or
    "multiply".

    >>> torch.scatter(torch.zeros(1, 3), 1, torch.tensor([[2]]), 4.0)
    tensor([[0., 0., 4.]])
    """
    result = scatter_into(input, dim, index, src, value, reduce, "")
    return into(result, out, input, index, src, check=same_dtype())


@composite(public=None, methods=("scatter_",))
def scatter_(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """`scatter` in place.

    >>> torch.zeros(3).scatter_(0, torch.tensor([1]), 4.0)
    tensor([0., 4., 0.])
    """
    return scatter_into(input, dim, index, src, value, reduce, "_")


@composite
def scatter_add(input: Any, dim: int, index: Any, src: Any, *, out: Any = None) -> Any:
    """A copy with `src` added at `index` along `dim`.

    >>> torch.scatter_add(torch.zeros(2), 0, torch.tensor([0, 0]), torch.ones(2))
    tensor([2., 0.])
    """
    return into(input._scatter_add(dim, index, src), out, input, index, src, check=same_dtype())


@composite(public=None, methods=("scatter_add_",))
def scatter_add_(input: Any, dim: int, index: Any, src: Any) -> Any:
    """`scatter_add` in place.

    >>> torch.zeros(2).scatter_add_(0, torch.tensor([1]), torch.ones(1))
    tensor([0., 1.])
    """
    return input._scatter_add_(dim, index, src)

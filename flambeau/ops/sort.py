"""Order: sort, argsort, msort, topk, kthvalue, median, nanmedian, mode.

Each gives values and their indices along one dimension; gradients go to the elements that were
chosen. Sorting is always stable.

    >>> torch.tensor([3, 1, 2]).sort(descending=True).indices
    tensor([0, 2, 1])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import reduced_shape
from flambeau.core.spec import Spec
from flambeau.core.strides import dense_strides
from flambeau.ops.extrema import chosen, shared_whole
from flambeau.ops.kernels import scans, selecting, sorting
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import check_apart
from flambeau.ops.plan import RELEASE_FROM
from flambeau.ops.registry import OPS
from flambeau.ops.scan import checked_dim

SLOTS = 16  # at most so many threads sort at once: each has scratch memory of its own


def line_plan(
    plan: Any,
    which: str,
    input: Spec,
    dim: int,
    count: int,
    descending: bool = False,
    kept: bool = True,
) -> Any:
    """Finishes a plan with outputs (values, indices): kernel `which` on every line along `dim`.

    `kept`: the outputs have the dimension (with `count` elements); else they lack it, or have it
    with size 1.
    """
    if plan.is_meta:
        return plan.use_native(0, ())
    shape = tuple(input.shape) or (1,)
    operands = [tuple(s * input.itemsize for s in input.strides) or (0,)]
    for output in plan.outputs[:2]:
        strides = list(output.strides) or [0]
        if not kept and len(strides) < len(shape):
            strides.insert(dim, 0)
        operands.append(tuple(s * output.itemsize for s in strides))
    params, items = scans.layout(shape, dim, operands, (), False)
    length, work = shape[dim], input.numel * 8
    per_line = 2 * length * sorting.entry_bytes(input.dtype)
    if which == "select":
        per_line = selecting.scratch_bytes(length, input.itemsize)
    slots = min(SLOTS, max(1, items)) if work >= RELEASE_FROM else 1
    grain = -(-items // slots)
    params[sorting.DESCENDING], params[sorting.COUNT] = int(descending), count
    params[sorting.SLOT], params[sorting.GRAIN], params[sorting.SCRATCH] = per_line, grain, 3
    address, scratch = sorting.kernel(which, input.dtype), per_line * slots + 64
    return plan.use_native(address, params, items, work, grain, scratch)


def pair(input: Spec, shape: tuple[int, ...], strides: Any = None) -> list[Spec]:
    """Specs of values and indices."""
    return [
        Spec.of(shape, strides, input.dtype, input.device),
        Spec.of(shape, strides, dtypes.int64, input.device),
    ]


# ---- sort ----------------------------------------------------------------------------------------


@structured(grad=lambda g, y1, input_like, dim: chosen(g, y1, input_like, dim, True))
def sort(call, input, dim=-1, descending=False, *, stable=None):
    """The elements along `dim` in order, and the indices they had; equal ones keep their order, NaN
    counts as greatest.

    >>> torch.sort(torch.tensor([[3, 1, 2]])).values
    tensor([[1, 2, 3]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim("sort", dim, spec.ndim)
    if spec.dtype.is_complex:
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    plan = call.plan(
        ["input"], pair(spec, spec.shape, dense_strides(spec.shape, spec.strides))
    ).finish(return_types.sort.of)
    return line_plan(plan, "sort", spec, dim, spec.shape[dim] if spec.ndim else 1, bool(descending))


@composite
def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The indices that put the elements along `dim` in order.

    >>> torch.argsort(torch.tensor([3, 1, 2]))
    tensor([1, 2, 0])
    """
    return sort.call(input, dim, descending)[1]


@composite
def msort(input: Any) -> Any:
    """The elements along the first dimension in order.

    >>> torch.msort(torch.tensor([3, 1, 2]))
    tensor([1, 2, 3])
    """
    return sort.call(input, 0)[0]


@structured(grad=lambda g, y1, input_like, dim: chosen(g, y1, input_like, dim, True))
def topk(call, input, k, dim=-1, largest=True, sorted=True):
    """The k greatest (or least) elements along `dim`, and their indices.

    >>> torch.topk(torch.tensor([3, 1, 2]), 2).values
    tensor([3, 2])
    """
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim("topk", dim, spec.ndim)
    length = spec.shape[dim] if spec.ndim else 1
    if not hasattr(k, "__index__") or isinstance(k, bool):
        raise errors.argument_type_error("topk", "k", 2, "int", k)
    if not 0 <= k <= length:
        raise RuntimeError("selected index k out of range")
    if spec.dtype.is_complex:
        raise RuntimeError(" topk does not support complex dtypes on CPU")
    if spec.dtype is dtypes.bool_:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    shape = tuple(k if d == dim else n for d, n in enumerate(spec.shape))
    plan = call.plan(["input"], pair(spec, shape)).finish(return_types.topk.of)
    return line_plan(plan, "sort", spec, dim, k, bool(largest))


# ---- one element of the order --------------------------------------------------------------------


def check_order(name: str, spec: Spec, dim: Any) -> int:
    """The dimension, after the checks that these ops share."""
    place = checked_dim(name, dim, spec.ndim)
    if spec.ndim and not spec.shape[place]:
        raise IndexError(f"{name}(): Expected reduction dim {place} to have non-zero size.")
    if spec.dtype.is_complex or spec.dtype is dtypes.bool_ and name != "mode":
        raise errors.not_implemented_for(f"{name.replace('nan', '')}_cpu", spec.dtype.scalar_name)
    return place


def selection(
    call: Any, name: str, which: str, input: Any, dim: int, keepdim: bool, count: int
) -> Any:
    """The plan of an op that picks one element of each line."""
    spec = input._spec
    outputs = pair(spec, reduced_shape(spec.shape, (dim,) if spec.ndim else (), keepdim))
    plan = call.plan(["input"], outputs).finish(getattr(return_types, name).of)
    return line_plan(plan, which, spec, dim, count, kept=False)


@structured(grad=lambda g, y1, input_like, dim, keepdim: chosen(g, y1, input_like, dim, keepdim))
def kthvalue(call, input, k, dim=-1, keepdim=False):
    """The k-th least element along `dim` (counted from 1), and its index.

    >>> torch.kthvalue(torch.tensor([3, 1, 2]), 2).values
    tensor(2)
    """
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim("kthvalue", dim, spec.ndim)
    length = spec.shape[dim] if spec.ndim else 1
    check_order("kthvalue", spec, dim)
    if not 1 <= k <= length:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    return selection(call, "kthvalue", "select", input, dim, keepdim, k - 1)


kthvalue.out_check = check_apart


@structured(grad=lambda g, y1, input_like, dim, keepdim: chosen(g, y1, input_like, dim, keepdim))
def mode(call, input, dim=-1, keepdim=False):
    """The most frequent element along `dim` (the least of several), and an index of it.

    >>> torch.mode(torch.tensor([2, 1, 2])).values
    tensor(2)
    """
    dim = check_order("mode", call.op.check_tensor(input, "input")._spec, dim)
    return selection(call, "mode", "mode", input, dim, keepdim, 1)


def _median(name: str, count: int) -> None:
    """Registers the two functions behind median or nanmedian: of all elements, and along a
    dimension.
    """
    node = f"{name.capitalize()}Backward"

    @structured(
        name=f"_{name}_along",
        public=None,
        methods=(),
        grad=lambda g, y1, input_like, dim, keepdim: chosen(g, y1, input_like, dim, keepdim),
    )
    def along(call, input, dim, keepdim=False):
        dim = check_order(name, input._spec, dim)
        plan = selection(call, name, "select", input, dim, keepdim, count)
        plan.node_name = f"{node}1"
        return plan

    @structured(
        name=f"_{name}_whole",
        public=None,
        methods=(),
        node=node,
        grad=lambda g, y, input: shared_whole(g, y, input),
    )
    def whole(call, input):
        spec = input._spec
        check_order(name, Spec.of((1,), None, spec.dtype, spec.device), 0)
        flat = Spec.of((spec.numel,), (1,), spec.dtype, spec.device)
        plan = call.plan(["input"], [Spec.of((), None, spec.dtype, spec.device)])
        return whole_plan(plan, flat, count)


def whole_plan(plan: Any, flat: Spec, count: int) -> Any:
    """A selection from all elements; the index goes to scratch memory."""
    if plan.is_meta:
        return plan.use_native(0, ())
    params, items = scans.layout(flat.shape, 0, [(flat.itemsize,), (0,), (0,)], (), False)
    params[sorting.COUNT], params[sorting.SCRATCH], params[sorting.GRAIN] = count, 2, 1
    scratch = 64 + selecting.scratch_bytes(flat.numel, flat.itemsize)
    address = sorting.kernel("select", flat.dtype)
    return plan.use_native(address, params, items, flat.numel * 8, 1, scratch)


_median("median", sorting.MEDIAN)
_median("nanmedian", sorting.NANMEDIAN)


def middle(call: Any, name: str, input: Any, dim: Any, keepdim: Any) -> Any:
    """The plan of median or nanmedian."""
    spec = call.op.check_tensor(input, "input")._spec
    if dim is not None:
        return OPS[f"_{name}_along"].make(
            {"input": input, "dim": dim, "keepdim": bool(keepdim)}, call.places
        )
    if not spec.numel:
        check_order(name, Spec.of((1,), None, spec.dtype, spec.device), 0)
        return input.new_full(
            (), float("nan") if spec.dtype.is_floating_point else -(1 << (8 * spec.itemsize - 1))
        )
    if not spec.contiguous:
        return OPS[f"_{name}_whole"].call(input.contiguous())
    return OPS[f"_{name}_whole"].make({"input": input}, call.places)


@structured()
def median(call, input, dim=None, keepdim=False):
    """The element in the middle of the order (the lower of two); along `dim` also its index. NaN if
    there is one.

    >>> torch.median(torch.tensor([3, 1, 2]))
    tensor(2)
    """
    return middle(call, "median", input, dim, keepdim)


@structured()
def nanmedian(call, input, dim=None, keepdim=False):
    """The median of the elements that are not NaN.

    >>> torch.nanmedian(torch.tensor([float("nan"), 1.0, 2.0]))
    tensor(1.)
    """
    return middle(call, "nanmedian", input, dim, keepdim)

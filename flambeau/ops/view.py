"""Other shapes for the same elements: view, reshape, flatten, unflatten, contiguous.

Nothing is copied except by `reshape` and `contiguous` where no strides can express the result.
Dimensions are rearranged in ops.dimensions; windows (select, slices, diagonal ...) are in
ops.window.

    >>> torch.arange(6).view(2, 3).shape
    torch.Size([2, 3])
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_int
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.shape import infer_shape, wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides, is_channels_last, view_strides
from flambeau.ops.kinds import Sizes, composite, structured
from flambeau.ops.retype import view_dtype


def geometry(spec: Spec, shape: Sequence[int], strides: Sequence[int]) -> Spec:
    """The spec with another shape and other strides."""
    return Spec.of(tuple(shape), tuple(strides), spec.dtype, spec.device)


def int_list(sizes: Any) -> tuple[int, ...]:
    """Sizes or dimensions as plain ints: NumPy ints and one-element tensors are accepted."""
    return tuple(map(as_int, sizes)) if isinstance(sizes, (tuple, list)) else (as_int(sizes),)


# ---- other shapes for the same elements ----------------------------------------------------------


@structured(name="view", public=None, grad=lambda g, input_like: g.reshape(input_like.shape))
def view_(call, input, size: Sizes):
    """The same elements under another shape, or seen as another dtype; never copies.

    >>> torch.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if isinstance(size, dtypes.dtype):
        return view_dtype(call, spec, size)
    shape = infer_shape(int_list(size), spec.numel)
    strides = view_strides(spec.shape, spec.strides, shape)
    if strides is None:
        raise errors.incompatible_view(spec.shape, spec.strides, shape)
    return call.plan(["input"], [geometry(spec, shape, strides)]).use_view(0)


view_.other_names = {"dtype": "size"}


@structured(node="ViewBackward", grad=lambda g, input_like: g.reshape(input_like.shape))
def reshape(call, input, shape: Sizes):
    """The same elements under another shape: a view where strides allow it, else a copy.

    >>> torch.arange(6).reshape(3, 2).T.reshape(6)
    tensor([0, 2, 4, 1, 3, 5])
    """
    spec = call.op.check_tensor(input, "input")._spec
    return reshaped(call, spec, infer_shape(int_list(shape), spec.numel))


def reshaped(call: Any, spec: Spec, shape: Sequence[int]) -> Any:
    """The plan of a reshape: a view, or a row-major copy."""
    strides = view_strides(spec.shape, spec.strides, shape)
    if strides is not None:
        return call.plan(["input"], [geometry(spec, shape, strides)]).use_view(0)
    plan = call.plan(["input"], [Spec.of(tuple(shape), None, spec.dtype, spec.device)])
    plan.node_name = "UnsafeViewBackward0"
    return plan.use_kernel(row_major_copy(spec))


def row_major_copy(spec: Spec) -> Any:
    """The loop nest that copies a tensor of this spec into row-major order."""
    steps = [
        [s * spec.itemsize for s in strides]
        for strides in (spec.strides, contiguous_strides(spec.shape))
    ]
    return plan_pointwise(
        (Expr.input(0, spec.dtype.name),), (spec.dtype.name,), (spec.dtype.name,), spec.shape, steps
    )


@structured(node="ViewBackward", grad=lambda g, input_like: g.reshape(input_like.shape))
def flatten(call, input, start_dim=0, end_dim=-1):
    """Dimensions `start_dim` to `end_dim` as one.

    >>> torch.zeros(2, 3, 4).flatten(1).shape
    torch.Size([2, 12])
    """
    spec = call.op.check_tensor(input, "input")._spec
    start, end = wrap_dim(start_dim, spec.ndim), wrap_dim(end_dim, spec.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if spec.ndim == 0:
        return reshaped(call, spec, (1,))
    if start == end:
        return input
    merged = 1
    for size in spec.shape[start : end + 1]:
        merged *= size
    return reshaped(call, spec, (*spec.shape[:start], merged, *spec.shape[end + 1 :]))


@structured(node="ViewBackward", grad=lambda g, input_like: g.reshape(input_like.shape))
def ravel(call, input):
    """The elements in row-major order as one dimension; a copy only where needed.

    >>> torch.eye(2).ravel()
    tensor([1., 0., 0., 1.])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.contiguous:
        return reshaped(call, spec, (spec.numel,))
    return input.contiguous().view(-1)


@structured(node="ViewBackward", grad=lambda g, input_like: g.reshape(input_like.shape))
def unflatten(call, input, dim, sizes):
    """Dimension `dim` split into several of the given sizes; one of them may be -1.

    >>> torch.zeros(6, 2).unflatten(0, (2, -1)).shape
    torch.Size([2, 3, 2])
    """
    spec = call.op.check_tensor(input, "input")._spec
    sizes = int_list(sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    dim = wrap_dim(dim, spec.ndim)
    size = spec.shape[dim] if spec.ndim else 1
    try:
        inner = infer_shape(sizes, size)
    except RuntimeError as error:
        if "only one dimension" in str(error):
            raise
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({size}) in the input tensor"
        ) from None
    shape = (*spec.shape[:dim], *inner, *spec.shape[dim + 1 :])
    strides = view_strides(spec.shape, spec.strides, shape)
    assert strides is not None  # splitting a dimension is always a view
    return call.plan(["input"], [geometry(spec, shape, strides)]).use_view(0)


@composite(methods=("view_as",), public=None)
def view_as(input: Any, other: Any) -> Any:
    """`input.view(other.shape)`.

    >>> torch.arange(4).view_as(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return input.view(other.shape)


@composite(methods=("reshape_as",), public=None)
def reshape_as(input: Any, other: Any) -> Any:
    """`input.reshape(other.shape)`.

    >>> torch.arange(4).reshape_as(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return input.reshape(other.shape)


@structured(public=None, node="CloneBackward", grad=lambda g: g)
def contiguous(call, input, memory_format=layouts.contiguous_format):
    """The tensor itself if its memory has the asked order (row-major by default), else a copy that
    has.

    >>> torch.zeros(2, 3).T.contiguous().stride()
    (2, 1)
    """
    spec = call.op.check_tensor(input, "self")._spec
    if memory_format is layouts.preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    if memory_format is layouts.contiguous_format:
        if spec.contiguous:
            return call.plan(["input"], [spec]).use_input()
        plan = call.plan(["input"], [Spec.of(spec.shape, None, spec.dtype, spec.device)])
        return plan.use_kernel(row_major_copy(spec))
    rank = {layouts.channels_last: 4, layouts.channels_last_3d: 5}[memory_format]
    if spec.ndim == rank and is_channels_last(spec.shape, spec.strides):
        return call.plan(["input"], [spec]).use_input()
    return input.clone(memory_format=memory_format)

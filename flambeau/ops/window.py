"""Views of part of a tensor: select, narrow, slices, diagonal, as_strided, unfold.

Each rule maps (shape, strides) to (shape, strides, offset). The gradient of all of them is the same
kernel: zeros of the input's shape with the gradient written into the window (`_window_backward`).

    >>> torch.arange(6).view(2, 3).select(1, 2)
    tensor([2, 5])
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index as as_int
from typing import Any

from flambeau.autograd.inplace import share
from flambeau.autograd.modes import is_grad_enabled
from flambeau.core import errors
from flambeau.core.layout import contiguous_format
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import may_overlap
from flambeau.ops import ranges
from flambeau.ops.arrays import record
from flambeau.ops.kernels.strided import Window, embed
from flambeau.ops.kinds import composite, structured, view
from flambeau.ops.registry import engine, is_tensor
from flambeau.ops.view import geometry, int_list

Geometry = tuple[Any, Any, int]


# ---- gradients of windows ------------------------------------------------------------------------


def put_back(g: Any, like: Spec, window: Callable[[Spec], Geometry]) -> Any:
    """Zeros of the shape `like`, with `g` in the window that the rule cuts out."""
    shape, strides, start = window(Spec.of(tuple(like.shape), None, like.dtype, like.device))
    return g._window_backward(tuple(like.shape), tuple(shape), tuple(strides), start)


def cut_out(g: Any, shape: Any, strides: Any, start: int) -> Any:
    """The window of a gradient, which may itself begin anywhere in its storage."""
    g = g.contiguous()
    return g.as_strided(shape, strides, g.storage_offset() + start)


@structured(public=None, grad=cut_out, node="SliceBackward")
def _window_backward(call, input, size, shape, strides, start):
    """Zeros of a size, with `input` in the window (shape, strides, start) of a row-major tensor."""
    spec = call.op.check_tensor(input, "input")._spec
    plan = call.plan(["input"], [Spec.of(tuple(size), None, spec.dtype, spec.device)])
    source = Window.of(spec.shape, spec.strides, spec.itemsize)
    return embed(plan, spec.itemsize, source, Window.of(shape, strides, spec.itemsize, start))


# ---- one index, a range --------------------------------------------------------------------------


def selected(spec: Spec, dim: int, index: int) -> Geometry:
    """Geometry without dimension `dim`, at one of its indices."""
    if spec.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, spec.ndim)
    size = spec.shape[dim]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size "
            f"{errors.brackets(spec.shape)} at dimension {dim}"
        )
    index += size if index < 0 else 0
    shape = (*spec.shape[:dim], *spec.shape[dim + 1 :])
    return shape, (*spec.strides[:dim], *spec.strides[dim + 1 :]), index * spec.strides[dim]


@view(
    grad=lambda g, input_like, dim, index: put_back(
        g, input_like, lambda s: selected(s, as_int(dim), as_int(index))
    )
)
def select(input, dim, index):
    """The slice at `index` of dimension `dim`, which goes away.

    >>> torch.tensor([[1, 2], [3, 4]]).select(0, 1)
    tensor([3, 4])
    """
    return selected(input, as_int(dim), as_int(index))


def narrowed(spec: Spec, dim: int, start: int, length: int) -> Geometry:
    """Geometry of a range of one dimension."""
    if spec.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    dim = wrap_dim(dim, spec.ndim)
    size = spec.shape[dim]
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    shape = (*spec.shape[:dim], length, *spec.shape[dim + 1 :])
    return shape, spec.strides, start * spec.strides[dim]


@structured(
    node="SliceBackward",
    grad=lambda g, input_like, dim, start, length: put_back(
        g, input_like, lambda s: narrowed(s, as_int(dim), as_int(start), as_int(length))
    ),
)
def narrow(call, input, dim, start, length):
    """`length` indices of dimension `dim` from `start` on.

    >>> torch.arange(5).narrow(0, 1, 3)
    tensor([1, 2, 3])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if is_tensor(start):
        if start.ndim or start.dtype.category != 1:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        return input.narrow(dim, int(start.item()), length)
    shape, strides, offset = narrowed(spec, as_int(dim), as_int(start), as_int(length))
    return call.plan(["input"], [geometry(spec, shape, strides)]).use_view(offset)


def sliced(spec: Spec, dim: int, start: int | None, end: int | None, step: int) -> Geometry:
    """Geometry of `start:end:step` along one dimension; bounds are clipped."""
    if spec.ndim == 0:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, spec.ndim)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    size = spec.shape[dim]
    first, last, step = slice(start, end, step).indices(size)
    shape = (*spec.shape[:dim], len(range(first, last, step)), *spec.shape[dim + 1 :])
    strides = (*spec.strides[:dim], spec.strides[dim] * step, *spec.strides[dim + 1 :])
    return shape, strides, first * spec.strides[dim]


# ---- diagonals -----------------------------------------------------------------------------------


def diagonal_of(spec: Spec, offset: int, dim1: int, dim2: int) -> Geometry:
    """Geometry of a diagonal: two dimensions become one, which comes last."""
    first, second = wrap_dim(dim1, spec.ndim), wrap_dim(dim2, spec.ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = spec.shape[first], spec.shape[second]
    length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = 0
    if length:
        start = offset * spec.strides[second] if offset >= 0 else -offset * spec.strides[first]
    kept = [d for d in range(spec.ndim) if d not in (first, second)]
    shape = (*(spec.shape[d] for d in kept), length)
    return (
        shape,
        (*(spec.strides[d] for d in kept), spec.strides[first] + spec.strides[second]),
        start,
    )


@view(
    grad=lambda g, input_like, offset, dim1, dim2: put_back(
        g, input_like, lambda s: diagonal_of(s, offset, dim1, dim2)
    )
)
def diagonal(input, offset=0, dim1=0, dim2=1):
    """The diagonal of dimensions `dim1` and `dim2`, as the last dimension.

    >>> torch.arange(4).view(2, 2).diagonal()
    tensor([0, 3])
    """
    return diagonal_of(input, as_int(offset), as_int(dim1), as_int(dim2))


# ---- arbitrary strides ---------------------------------------------------------------------------


@structured(
    grad=lambda g, input_like, size, stride, start, base: as_strided_backward(
        g, input_like, int_list(size), int_list(stride), start, base
    )
)
def as_strided(call, input, size, stride, storage_offset=None):
    """Any window on the storage; `storage_offset` counts from the storage's beginning (None: the
    tensor's own).

    >>> torch.arange(4).as_strided((2, 2), (1, 1))
    tensor([[0, 1],
            [1, 2]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    sizes, strides = int_list(size), int_list(stride)
    if len(sizes) != len(strides):
        raise RuntimeError("mismatch in length of strides and shape")
    for value in strides:
        if value < 0:
            raise RuntimeError(
                "as_strided: Negative strides are not supported at the moment, got strides: "
                f"{errors.brackets(strides)}"
            )
    offset = input._offset if storage_offset is None else as_int(storage_offset)
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    reach = (
        0
        if 0 in sizes
        else offset + 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    )
    if reach * spec.itemsize > input._storage.nbytes and spec.device.type != "meta":
        raise RuntimeError(
            f"setStorage: sizes {errors.brackets(sizes)}, strides {errors.brackets(strides)}, "
            f"storage offset {offset}, and itemsize "
            f"{spec.itemsize} requiring a storage size of {reach * spec.itemsize} are out of "
            "bounds for storage of size "
            f"{input._storage.nbytes}"
        )
    return strided_view(call, input, geometry(spec, sizes, strides), offset)


def strided_view(call: Any, input: Any, output: Spec, offset: int) -> Any:
    """The window itself: made at once, because its place depends on the storage
    and not only on the input's spec.
    """
    result = engine.core.make_tensor(input._storage, output, offset)
    share(result, input)
    if input._node is not None and is_grad_enabled():
        plan = call.plan(["input"], [output], start=offset, base=input._offset)
        record(plan, [input], [result])
    return result


def as_strided_backward(g: Any, like: Spec, size: Any, stride: Any, start: int, base: int) -> Any:
    """Gradients of all windows on one element are added up; elements that several of the input's
    indices share split them.

    `start` and `base` are where window and input begin in their storage.
    """
    first = min(start, base)
    extent = max(start + reach_of(size, stride), base + reach_of(like.shape, like.strides)) - first
    places = ranges.arange(extent)
    window = places.as_strided(size, stride, start - first).reshape(-1)
    flat = g.new_zeros(extent).index_add(0, window, g.reshape(-1))
    own = places.as_strided(tuple(like.shape), like.strides, base - first).reshape(-1)
    if may_overlap(like.shape, like.strides):
        shared = g.new_zeros(extent).index_add(0, own, g.new_ones(own.numel()))
        flat = flat / shared.masked_fill(shared == 0, 1)
    return flat.index_select(0, own).reshape(like.shape)


def reach_of(size: Any, stride: Any) -> int:
    """Elements from the first to the last that a window touches."""
    return 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))


@view(
    public=None,
    grad=lambda g, input_like, dimension, size, step: unfold_backward(
        g, input_like.shape, dimension, size, step
    ),
)
def unfold(input, dimension, size, step):
    """All windows of `size` neighbours along a dimension, every `step`; the window is the last
    dimension.

    >>> torch.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    dim, size, step = wrap_dim(as_int(dimension), input.ndim), as_int(size), as_int(step)
    available, stride = (input.shape[dim], input.strides[dim]) if input.ndim else (1, 1)
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > available:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {available} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if input.ndim == 0:
        return (size,), (stride,), 0
    windows = (available - size) // step + 1
    shape = (*input.shape[:dim], windows, *input.shape[dim + 1 :], size)
    return shape, (*input.strides[:dim], stride * step, *input.strides[dim + 1 :], stride), 0


def unfold_backward(g: Any, shape: Any, dimension: int, size: int, step: int) -> Any:
    """Every element gets the sum over the windows that it is in."""
    if not shape:
        return g.sum()
    dim = dimension % len(shape)
    places = ranges.arange(shape[dim]).unfold(0, size, step).reshape(-1)
    windows = g.movedim(-1, dim + 1).flatten(dim, dim + 1)
    return g.new_zeros(shape).index_add(dim, places, windows)


@composite(methods=("unfold_copy",))
def unfold_copy(input: Any, dimension: int, size: int, step: int) -> Any:
    """A copy of `input.unfold(dimension, size, step)`.

    >>> torch.unfold_copy(torch.arange(3), 0, 2, 1)
    tensor([[0, 1],
            [1, 2]])
    """
    return input.unfold(dimension, size, step).clone(memory_format=contiguous_format)

"""Copies with repeated or rearranged elements: repeat, tile, repeat_interleave, roll, flip, rot90.

>>> torch.arange(4).roll(1)
tensor([3, 0, 1, 2])
"""

from __future__ import annotations

from itertools import product
from operator import index as as_int
from typing import Any

from flambeau.core import errors
from flambeau.core.shape import wrap_dim, wrap_dims
from flambeau.core.spec import Spec
from flambeau.core.strides import (
    channels_last_strides,
    contiguous_strides,
    dense_strides,
    suggests_channels_last,
)
from flambeau.ops.arrays import as_array, from_array
from flambeau.ops.kernels.strided import Window, copy_all, copy_each
from flambeau.ops.kinds import Dims, Sizes, composite, structured
from flambeau.ops.registry import is_tensor
from flambeau.ops.view import int_list

# ---- repetition ----------------------------------------------------------------------------------


def unrepeat(g: Any, shape: Any, repeats: Any) -> Any:
    """The sum over all repetitions."""
    repeats = int_list(repeats)
    own = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    if 0 in repeats:
        return g.new_zeros(tuple(shape))
    split = [n for pair in zip(repeats, own, strict=True) for n in pair]
    summed = [2 * d for d, r in enumerate(repeats) if r != 1]
    return (g.reshape(split).sum(summed) if summed else g).reshape(tuple(shape))


@structured(public=None, grad=lambda g, input_like, repeats: unrepeat(g, input_like.shape, repeats))
def repeat(call, input, repeats: Sizes):
    """The tensor put side by side `repeats[d]` times along each dimension.

    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    spec, counts = call.op.check_tensor(input, "input")._spec, int_list(repeats)
    if len(counts) < spec.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions "
            "of tensor"
        )
    added = len(counts) - spec.ndim
    sizes, strides = (1,) * added + tuple(spec.shape), (0,) * added + spec.strides
    shape = tuple(n * r for n, r in zip(sizes, counts, strict=True))
    for size in shape:
        if size < 0:
            raise errors.negative_dimension(shape, size)
    output = Spec.of(shape, None, spec.dtype, spec.device)
    split, source, target = [], [], []
    for n, r, s, t in zip(sizes, counts, strides, output.strides, strict=True):
        split += [r, n]
        source += [0, s]
        target += [n * t, t]
    windows = [Window.of(split, steps, spec.itemsize) for steps in (source, target)]
    return copy_all(call.plan(["input"], [output]), spec.itemsize, *windows)


@composite
def tile(input: Any, *dims: Any) -> Any:
    """`repeat` where missing leading repetitions are 1.

    >>> torch.tensor([[1, 2]]).tile(2)
    tensor([[1, 2, 1, 2]])
    """
    counts = int_list(dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)
    return input.repeat((1,) * (input.ndim - len(counts)) + counts)


def repetitions(repeats: Any) -> Any:
    """Each index as often as `repeats` says, as an index tensor."""
    import numpy

    if repeats.dtype.name not in ("int64", "int32"):
        raise NotImplementedError(
            f"\"repeat_interleave_cpu\" not implemented for '{repeats.dtype.scalar_name}'"
        )
    if repeats.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    counts = as_array(repeats)
    if counts.size and counts.min() < 0:
        raise RuntimeError("repeats can not be negative")
    return from_array(
        numpy.repeat(numpy.arange(counts.size, dtype=as_array(repeats).dtype), counts)
    )


@composite
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element (or slice along `dim`) repeated; `repeats` is a number or one for each slice.

    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        return repetitions(input)
    if dim is None:
        input, dim = input.reshape(-1), 0
    if input.ndim == 0:
        input = input.reshape(1)
    dim = wrap_dim(dim, input.ndim)
    if not is_tensor(repeats):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        shape = tuple(input.shape)
        wide = input.unsqueeze(dim + 1).expand((*shape[: dim + 1], repeats, *shape[dim + 1 :]))
        return wide.contiguous().flatten(dim, dim + 1)
    if repeats.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats.ndim == 0 or repeats.numel() == 1:
        repeats = repeats.reshape(1).expand(input.shape[dim])
    elif repeats.numel() != input.shape[dim]:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{repeats.numel()} and input.size({dim}) = {input.shape[dim]}"
        )
    if repeats.device.type == "meta" and output_size is not None:
        return input.new_empty((*input.shape[:dim], output_size, *input.shape[dim + 1 :]))
    index = repetitions(repeats.contiguous())
    if output_size is not None and output_size != index.numel():
        raise RuntimeError("allocated size does not match required size")
    return input.index_select(dim, index)


# ---- rotation and reversal -----------------------------------------------------------------------


def negated(shifts: Any) -> Any:
    """Shifts that undo the given ones."""
    return tuple(-s for s in int_list(shifts))


def ranges(size: int, shift: int) -> list[tuple[int, int, int]]:
    """A rolled dimension as (from, to, length) of the two ranges that stay together."""
    shift %= size
    return [(0, shift, size - shift), (size - shift, 0, shift)] if shift else [(0, 0, size)]


@structured(grad=lambda g, shifts, dims: g.roll(negated(shifts), dims))
def roll(call, input, shifts, dims=None):
    """The elements moved along dimensions, those that fall off at one end coming in at the other.

    >>> torch.tensor([[1, 2], [3, 4]]).roll(1, 0)
    tensor([[3, 4],
            [1, 2]])
    """
    spec, moves = call.op.check_tensor(input, "input")._spec, int_list(shifts)
    axes = () if dims is None or isinstance(dims, (tuple, list)) and not dims else int_list(dims)
    if not axes and len(moves) == 1:
        if not spec.contiguous:
            return input.contiguous().roll(moves[0])
        return rolled_flat(call, spec, moves[0])
    if not moves:
        raise RuntimeError("`shifts` required")
    if len(moves) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}"
        )
    total = [0] * spec.ndim
    for move, axis in zip(moves, axes, strict=True):
        if spec.ndim:
            total[wrap_dim(axis, spec.ndim)] += move
        else:
            wrap_dim(axis, spec.ndim, wrap_scalar=False)
    last = suggests_channels_last(spec.shape, spec.strides)
    strides = channels_last_strides(spec.shape) if last else contiguous_strides(spec.shape)
    output = Spec.of(spec.shape, strides, spec.dtype, spec.device)
    choices = [
        ranges(n, shift) if n else [(0, 0, 0)] for n, shift in zip(spec.shape, total, strict=True)
    ]
    sources, targets = [], []
    for pieces in product(*choices):
        sizes = [length for _, _, length in pieces]
        origin = sum(a * s for (a, _, _), s in zip(pieces, spec.strides, strict=True))
        place = sum(b * s for (_, b, _), s in zip(pieces, strides, strict=True))
        sources.append(Window.of(sizes, spec.strides, spec.itemsize, origin))
        targets.append(Window.of(sizes, strides, spec.itemsize, place))
    return copy_each(call.plan(["input"], [output]), spec.itemsize, sources, targets)


def rolled_flat(call: Any, spec: Spec, shift: int) -> Any:
    """The plan that rolls all elements of a row-major tensor as one dimension."""
    output = Spec.of(spec.shape, None, spec.dtype, spec.device)
    sources, targets = [], []
    for origin, place, length in ranges(spec.numel, shift) if spec.numel else [(0, 0, 0)]:
        sources.append(Window.of((length,), (1,), spec.itemsize, origin))
        targets.append(Window.of((length,), (1,), spec.itemsize, place))
    return copy_each(call.plan(["input"], [output]), spec.itemsize, sources, targets)


def flip_plan(call: Any, spec: Spec, dims: Any) -> Any:
    """The plan that reverses dimensions; the result keeps the input's order in memory."""
    output = Spec.of(spec.shape, dense_strides(spec.shape, spec.strides), spec.dtype, spec.device)
    steps = [-s if d in dims else s for d, s in enumerate(spec.strides)]
    start = (
        sum((spec.shape[d] - 1) * spec.strides[d] for d in dims) if spec.ndim and spec.numel else 0
    )
    source = Window.of(spec.shape, steps, spec.itemsize, start)
    return copy_all(
        call.plan(["input"], [output]),
        spec.itemsize,
        source,
        Window.of(output.shape, output.strides, spec.itemsize),
    )


@structured(grad=lambda g, dims: g.flip(dims))
def flip(call, input, dims: Dims):
    """A copy with the elements along `dims` in reverse order.

    >>> torch.flip(torch.tensor([1, 2, 3]), (0,))
    tensor([3, 2, 1])
    """
    spec = call.op.check_tensor(input, "input")._spec
    return flip_plan(call, spec, wrap_dims(int_list(dims), spec.ndim))


@structured(node="FlipBackward", grad=lambda g: g.fliplr())
def fliplr(call, input):
    """A copy with the columns in reverse order.

    >>> torch.fliplr(torch.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip_plan(call, spec, (1,))


@structured(node="FlipBackward", grad=lambda g: g.flipud())
def flipud(call, input):
    """A copy with the rows in reverse order.

    >>> torch.flipud(torch.tensor([1, 2]))
    tensor([2, 1])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip_plan(call, spec, (0,))


def check_rotation(spec: Spec, dims: tuple[int, ...]) -> tuple[int, int]:
    """torch's checks of rot90's dimensions."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if spec.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {spec.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == spec.ndim:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    for position, dim in enumerate(dims):
        if not -spec.ndim <= dim < spec.ndim:
            raise RuntimeError(f"Rotation dim{position} out of range, dim{position} = {dim}")
    return dims[0] % spec.ndim, dims[1] % spec.ndim


@structured(grad=lambda g, k, dims: g.rot90(-k, dims))
def rot90(call, input, k=1, dims=(0, 1)):
    """A copy turned by `k` quarter turns in the plane of two dimensions, from the first towards the
    second.

    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    first, second = check_rotation(spec, int_list(dims))
    turns = as_int(k) % 4
    flipped = ((), (second,), (first, second), (first,))[turns]
    order = list(range(spec.ndim))
    if turns % 2:
        order[first], order[second] = second, first
    dense = dense_strides(spec.shape, spec.strides)
    output = Spec.of(
        tuple(spec.shape[d] for d in order), tuple(dense[d] for d in order), spec.dtype, spec.device
    )
    steps = [-s if d in flipped else s for d, s in enumerate(spec.strides)]
    start = sum((spec.shape[d] - 1) * spec.strides[d] for d in flipped) if spec.numel else 0
    source = Window.of(spec.shape, steps, spec.itemsize, start)
    return copy_all(
        call.plan(["input"], [output]),
        spec.itemsize,
        source,
        Window.of(spec.shape, dense, spec.itemsize),
    )

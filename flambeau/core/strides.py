"""Strides: everything that can be said about a (shape, strides) pair, on plain tuples.

Called by specs, view ops and the planner, on cache misses only; import from `core.shape`, which
re-exports all of it. Strides count elements, not bytes.

>>> contiguous_strides((2, 3, 4))
(12, 4, 1)
>>> elementwise_strides((2, 3), [((2, 3), (1, 2)), ((2, 3), (1, 2))])
(1, 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

from flambeau.core import errors
from flambeau.core.layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
)

Ints = tuple[int, ...]
#: an operand's (shape, strides)
Geometry = tuple[Ints, Ints]

_CHANNELS_LAST_ORDER = {4: (1, 3, 2, 0), 5: (1, 4, 3, 2, 0)}  # innermost dimension first


def contiguous_strides(shape: Sequence[int]) -> Ints:
    """Row-major strides; empty dimensions count as one, as in torch.

    >>> contiguous_strides((2, 0, 3)), contiguous_strides(())
    ((3, 3, 1), ())
    """
    strides = [1] * len(shape)
    for dim in range(len(shape) - 2, -1, -1):
        strides[dim] = strides[dim + 1] * max(shape[dim + 1], 1)
    return tuple(strides)


def channels_last_strides(shape: Sequence[int]) -> Ints:
    """Strides of an (N, C, H, W) or (N, C, D, H, W) tensor whose channels are innermost.

    >>> channels_last_strides((2, 3, 4, 5))
    (60, 1, 15, 3)
    """
    order = _CHANNELS_LAST_ORDER.get(len(shape))
    if order is None:
        raise errors.channels_last_rank(4, "channels_last", len(shape))
    return _dense_in_order(shape, order)


def format_strides(shape: Sequence[int], format: memory_format) -> Ints:
    """Strides of a new tensor in a memory format other than `preserve_format`.

    >>> format_strides((2, 3), contiguous_format)
    (3, 1)
    """
    if format is contiguous_format:
        return contiguous_strides(shape)
    ndim = {channels_last: 4, channels_last_3d: 5}[format]
    if len(shape) != ndim:
        raise errors.channels_last_rank(ndim, format.name, len(shape))
    return channels_last_strides(shape)


def _dense_in_order(shape: Sequence[int], innermost_first: Sequence[int]) -> Ints:
    """Strides without gaps, dimensions laid out in the given order.

    Sizes of 0 make zero strides here and not in `contiguous_strides`, which torch does as well.
    """
    strides = [0] * len(shape)
    step = 1
    for dim in innermost_first:
        strides[dim] = step
        step *= shape[dim]
    return tuple(strides)


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements lie in row-major order without gaps; empty tensors do.

    >>> is_contiguous((2, 1, 3), (3, 99, 1)), is_contiguous((2, 3), (1, 2))
    (True, False)
    """
    return 0 in shape or _is_dense_in_order(shape, strides, range(len(shape) - 1, -1, -1))


def is_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a 4-d or 5-d tensor lies without gaps with its channels innermost.

    >>> is_channels_last((2, 3, 4, 5), (60, 1, 15, 3))
    True
    """
    order = _CHANNELS_LAST_ORDER.get(len(shape))
    return order is not None and _is_dense_in_order(shape, strides, order)


def _is_dense_in_order(
    shape: Sequence[int], strides: Sequence[int], innermost_first: Sequence[int]
) -> bool:
    step = 1
    for dim in innermost_first:
        if shape[dim] != 1:  # the stride of a size-1 dimension is never used
            if strides[dim] != step:
                return False
            step *= shape[dim]
    return True


def suggests_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the strides ask results to be channels-last; gaps allowed, ambiguity means no.

    Shapes such as (N, 1, H, W) fit both formats; their strides decide, and ties go to contiguous.

    >>> suggests_channels_last((2, 3, 4, 5), (120, 1, 30, 6))
    True
    >>> suggests_channels_last((2, 1, 1, 1), (1, 1, 1, 1))
    False
    """
    order = _CHANNELS_LAST_ORDER.get(len(shape))
    if order is None or strides[1] == 0:
        return False
    least = 0
    for dim in order:
        if shape[dim] == 0 or strides[dim] < least:
            return False
        if dim == 0 and least == strides[1]:
            return False
        least = strides[dim] * max(shape[dim], 1)
    return True


def is_non_overlapping_and_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether some permutation of the dimensions is contiguous.

    >>> is_non_overlapping_and_dense((2, 3), (1, 2)), is_non_overlapping_and_dense((2,), (2,))
    (True, False)
    """
    if 0 in shape:
        return True
    by_stride = sorted(range(len(shape)), key=lambda dim: strides[dim])
    used = [dim for dim in by_stride if shape[dim] > 1]
    return _is_dense_in_order(shape, strides, used)


def is_expanded(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether one element certainly has several indices, as after `expand`.

    This is what torch's in-place operations refuse.

    >>> is_expanded((3, 2), (0, 1)), is_expanded((1, 2), (0, 1))
    (True, False)
    """
    if 0 in shape:
        return False
    return any(size > 1 and stride == 0 for size, stride in zip(shape, strides, strict=True))


def may_overlap(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two indices might name the same element. False is certain, True is not.

    >>> may_overlap((2, 3), (6, 2)), may_overlap((3, 3), (1, 1))
    (False, True)
    """
    if 0 in shape:
        return False
    reach = 0  # offset of the farthest element of the dimensions seen so far
    pairs = [(abs(stride), size) for size, stride in zip(shape, strides, strict=True) if size > 1]
    for stride, size in sorted(pairs):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def storage_extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first touched to the last touched, both included.

    >>> storage_extent((2, 3), (4, 1)), storage_extent((0, 3), (3, 1)), storage_extent((), ())
    (7, 0, 1)
    """
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * abs(stride) for size, stride in zip(shape, strides, strict=True))


def expand_strides(
    shape: Sequence[int],
    strides: Sequence[int],
    target: Sequence[int],
    tensor_type: str = "torch.FloatTensor",
) -> Geometry:
    """The (shape, strides) of `expand(target)`; -1 in `target` keeps a size.

    `tensor_type` only serves the error text.

    >>> expand_strides((3, 1), (1, 1), (2, -1, 4))
    ((2, 3, 4), (0, 1, 0))
    """
    added = len(target) - len(shape)
    if added < 0:
        raise errors.expand_rank(tensor_type, shape, target)
    if not shape:
        return _expand_scalar(target)
    new_shape, new_strides = list(target), [0] * len(target)
    for dim in range(len(target) - 1, -1, -1):
        old = dim - added
        if target[dim] == -1 and old < 0:
            raise errors.expand_leading(dim)
        size = shape[old] if old >= 0 else 1
        wanted = size if target[dim] == -1 else target[dim]
        if wanted != size and size != 1:
            raise errors.expand_size(wanted, size, dim, target, shape)
        if wanted < 0:
            raise errors.negative_expansion(wanted, dim)
        new_shape[dim] = wanted
        if wanted != size:
            new_strides[dim] = 0
        elif old >= 0:
            new_strides[dim] = strides[old]
        else:
            new_strides[dim] = new_shape[dim + 1] * new_strides[dim + 1]
    return tuple(new_shape), tuple(new_strides)


def _expand_scalar(target: Sequence[int]) -> Geometry:
    for dim, size in enumerate(target):
        if size < 0:
            raise errors.negative_expansion(size, dim)
    return tuple(target), (0,) * len(target)


def broadcast_strides(shape: Sequence[int], strides: Sequence[int], target: Sequence[int]) -> Ints:
    """Strides with which an operand is read over `target`, a shape it broadcasts to.

    >>> broadcast_strides((3, 1), (1, 1), (2, 3, 4))
    (0, 1, 0)
    """
    added = len(target) - len(shape)
    stretched = [
        0 if size == 1 and wanted != 1 else stride
        for size, stride, wanted in zip(shape, strides, target[added:], strict=True)
    ]
    return (0,) * added + tuple(stretched)


def view_strides(
    shape: Sequence[int], strides: Sequence[int], new_shape: Sequence[int]
) -> Ints | None:
    """Strides that show the same elements under `new_shape`, or None where a copy is needed.

    Both shapes must have the same number of elements. Old dimensions are grouped, innermost first,
    into runs that are contiguous in themselves; new dimensions must fill one run after the other.

    >>> view_strides((2, 3), (3, 1), (6,)), view_strides((2, 3), (1, 2), (6,))
    ((1,), None)
    """
    if not shape:
        return (1,) * len(new_shape)
    if 0 in shape:
        return tuple(strides) if tuple(shape) == tuple(new_shape) else contiguous_strides(new_shape)
    new_strides = [0] * len(new_shape)
    new_dim = len(new_shape) - 1
    for base, count in _runs(shape, strides):
        filled = 1
        while new_dim >= 0 and (filled < count or new_shape[new_dim] == 1):
            new_strides[new_dim] = filled * base
            filled *= new_shape[new_dim]
            new_dim -= 1
        if filled != count:
            return None
    return tuple(new_strides) if new_dim < 0 else None


def _runs(shape: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """(stride, elements) of each evenly spaced run of dimensions, innermost first."""
    runs = []
    base, count = strides[-1], 1
    for dim in range(len(shape) - 1, -1, -1):
        count *= shape[dim]
        ends = dim == 0 or (shape[dim - 1] != 1 and strides[dim - 1] != count * base)
        if ends:
            runs.append((base, count))
            if dim > 0:
                base, count = strides[dim - 1], 1
    return runs


def iteration_order(shape: Sequence[int], operand_strides: Sequence[Sequence[int]]) -> Ints:
    """Dimensions from innermost to outermost, as torch walks the operands (TensorIterator).

    The first operand that can tell two dimensions apart decides; a stride of 0 tells nothing. With
    no verdict the dimensions stay in place, so this is no total order: hence an insertion sort.

    >>> iteration_order((2, 3), [(1, 2)]), iteration_order((2, 3), [(0, 0)])
    ((0, 1), (1, 0))
    """
    order = list(range(len(shape) - 1, -1, -1))
    for start in range(1, len(order)):
        position = start
        for before in range(start - 1, -1, -1):
            verdict = _compare_dims(order[before], order[position], shape, operand_strides)
            if verdict > 0:
                order[before], order[position] = order[position], order[before]
                position = before
            elif verdict < 0:
                break
    return tuple(order)


def _compare_dims(
    inner: int, outer: int, shape: Sequence[int], operand_strides: Sequence[Sequence[int]]
) -> int:
    """1: swap the two, -1: their order is right, 0: the operands cannot tell."""
    for strides in operand_strides:
        if strides[inner] == 0 or strides[outer] == 0:
            continue
        if strides[inner] != strides[outer]:
            return 1 if strides[inner] > strides[outer] else -1
        if shape[inner] > shape[outer]:
            return 1
    return 0


def elementwise_strides(out_shape: Sequence[int], operands: Sequence[Geometry]) -> Ints:
    """Strides torch gives to the freshly allocated result of a pointwise operation.

    `operands` are (shape, strides), Python numbers left out. Same-shaped operands that agree on a
    format pass it on; otherwise the result follows the order in which the operands are walked.

    >>> elementwise_strides((2, 3), [((2, 3), (1, 2)), ((3,), (1,))])
    (1, 2)
    """
    out_shape = tuple(out_shape)
    if all(tuple(shape) == out_shape for shape, _ in operands):
        layout = _common_layout(operands)
        if layout == "contiguous":
            return contiguous_strides(out_shape)
        if layout == "channels_last":
            return channels_last_strides(out_shape)
        if layout == "dense":
            return tuple(operands[0][1])
    read = [broadcast_strides(shape, strides, out_shape) for shape, strides in operands]
    order = iteration_order(out_shape, read)
    if order == tuple(range(len(out_shape) - 1, -1, -1)):
        return contiguous_strides(out_shape)
    return _dense_in_order(out_shape, order)


def _common_layout(
    operands: Sequence[Geometry],
) -> Literal["contiguous", "channels_last", "dense"] | None:
    if all(is_contiguous(*each) for each in operands):
        return "contiguous"
    if all(len(shape) == 4 and is_channels_last(shape, strides) for shape, strides in operands):
        return "channels_last"
    first = operands[0][1]
    same = all(tuple(strides) == tuple(first) for _, strides in operands)
    if same and is_non_overlapping_and_dense(*operands[0]):
        return "dense"
    return None


def dense_strides(shape: Sequence[int], strides: Sequence[int]) -> Ints:
    """Strides of a copy that preserves the order of dimensions (`preserve_format`) without gaps.

    >>> dense_strides((2, 3), (1, 4)), dense_strides((2, 3), (3, 1))
    ((1, 2), (3, 1))
    """
    if is_non_overlapping_and_dense(shape, strides):
        return tuple(strides)
    return _dense_in_order(shape, iteration_order(shape, [strides]))


def collapse(
    sizes: Sequence[int], operand_strides: Sequence[Sequence[int]]
) -> tuple[Ints, tuple[Ints, ...]]:
    """The shortest loop nest over `sizes`: size-1 dimensions dropped, neighbours merged.

    Two neighbours merge where every operand steps evenly through both. The order of dimensions is
    kept. An empty iteration space becomes one loop of size 0.

    >>> collapse((2, 1, 3, 4), [(12, 7, 4, 1), (4, 0, 0, 1)])
    ((2, 3, 4), ((12, 4, 1), (4, 0, 1)))
    >>> collapse((2, 3, 4), [(12, 4, 1), (0, 0, 0)])
    ((24,), ((1,), (0,)))
    """
    if prod(sizes) == 0:
        return (0,), tuple((0,) for _ in operand_strides)
    merged: list[int] = []  # innermost first, as are the columns below
    columns: list[list[int]] = []
    for dim in range(len(sizes) - 1, -1, -1):
        size = sizes[dim]
        if size == 1:
            continue
        steps = [strides[dim] for strides in operand_strides]
        if merged and all(a == merged[-1] * b for a, b in zip(steps, columns[-1], strict=True)):
            merged[-1] *= size
        else:
            merged.append(size)
            columns.append(steps)
    columns.reverse()
    per_operand = tuple(
        tuple(column[operand] for column in columns) for operand in range(len(operand_strides))
    )
    return tuple(reversed(merged)), per_operand

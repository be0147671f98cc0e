"""Shapes: `Size`, broadcasting, dimension numbers, inferred sizes; strides are re-exported here.

Called by shape rules, view ops and the planner, on cache misses only. Apart from `Size`, which
users see, everything is a pure function on tuples of ints.

>>> broadcast_shapes((3, 1), (4,))
(3, 4)
>>> wrap_dim(-1, 2)
1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from operator import index as as_index
from typing import Any, SupportsIndex, overload

from flambeau.core import errors
from flambeau.core.naming import FinalPublicType
from flambeau.core.strides import (
    Geometry,
    broadcast_strides,
    channels_last_strides,
    collapse,
    contiguous_strides,
    dense_strides,
    elementwise_strides,
    expand_strides,
    format_strides,
    is_channels_last,
    is_contiguous,
    is_expanded,
    is_non_overlapping_and_dense,
    iteration_order,
    may_overlap,
    storage_extent,
    suggests_channels_last,
    view_strides,
)

__all__ = [
    "Geometry",
    "Size",
    "broadcast_shapes",
    "broadcast_strides",
    "channels_last_strides",
    "check_broadcast_shapes",
    "collapse",
    "contiguous_strides",
    "dense_strides",
    "elementwise_strides",
    "expand_strides",
    "format_strides",
    "infer_shape",
    "is_channels_last",
    "is_contiguous",
    "is_expanded",
    "is_non_overlapping_and_dense",
    "iteration_order",
    "may_overlap",
    "numel",
    "reduced_shape",
    "storage_extent",
    "suggests_channels_last",
    "view_strides",
    "wrap_dim",
    "wrap_dims",
]


class Size(tuple[int, ...], metaclass=FinalPublicType):
    """The shape of a tensor: a tuple of ints that knows its number of elements.

    >>> torch.Size([2, 3]), torch.Size([2, 3])[1:], torch.Size([2, 3]).numel()
    (torch.Size([2, 3]), torch.Size([3]), 6)
    """

    __slots__ = ()

    def __new__(cls, sizes: Iterable[SupportsIndex] = (), /) -> Size:
        self = super().__new__(cls, sizes)  # type: ignore[arg-type]
        for size in self:
            if type(size) is not int:
                return super().__new__(cls, [_checked(i, each) for i, each in enumerate(self)])
        return self

    def numel(self) -> int:
        """The number of elements of a tensor of this shape.

        >>> torch.Size([]).numel()
        1
        """
        return prod(self)

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> Size: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> int | Size:
        found = super().__getitem__(key)
        return Size(found) if isinstance(found, tuple) else found

    def __add__(self, other: Any, /) -> Size:
        if not isinstance(other, tuple):
            kind = type(other).__name__
            raise TypeError(f"can only concatenate tuple (not {kind}) to torch.Size")
        return Size((*self, *other))

    def __radd__(self, other: Any, /) -> Size:
        if not isinstance(other, tuple):
            kind = type(other).__name__
            raise TypeError(f"can only concatenate tuple (not {kind}) to torch.Size")
        return Size((*other, *self))

    def __mul__(self, count: SupportsIndex, /) -> Size:
        return Size(tuple(self) * count)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


def _checked(position: int, size: object) -> int:
    """Accept what acts as an int (NumPy ints, one-element integer tensors)."""
    try:
        return as_index(size)  # type: ignore[arg-type]
    except TypeError:
        kind = type(size).__name__
        raise TypeError(
            f"torch.Size() takes an iterable of 'int' (item {position} is '{kind}')"
        ) from None


def numel(shape: Sequence[int]) -> int:
    """The number of elements of a tensor of this shape.

    >>> numel((2, 3)), numel(())
    (6, 1)
    """
    return prod(shape)


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that operands of these shapes are stretched to; torch's error where none exists.

    >>> broadcast_shapes((3, 1), (2, 1, 4), ())
    (2, 3, 4)
    """
    result: tuple[int, ...] = ()
    for shape in shapes:
        result = _broadcast_pair(result, tuple(shape))
    return result


def _broadcast_pair(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    if a == b:
        return a
    ndim = max(len(a), len(b))
    result = [0] * ndim
    for dim in range(ndim - 1, -1, -1):
        from_end = dim - ndim
        size_a = a[from_end] if -from_end <= len(a) else 1
        size_b = b[from_end] if -from_end <= len(b) else 1
        if size_a != size_b and size_a != 1 and size_b != 1:
            raise errors.size_mismatch(size_a, size_b, dim, a, b)
        result[dim] = size_b if size_a == 1 else size_a
    return tuple(result)


def check_broadcast_shapes(shapes: Sequence[Sequence[int] | int]) -> Size:
    """The public `torch.broadcast_shapes`, whose error texts differ from those of operations.

    >>> check_broadcast_shapes([(2,), (3, 1), (1, 1, 1)])
    torch.Size([1, 3, 2])
    """
    given = [_as_shape(each) for each in shapes]
    result = [1] * max((len(each) for each in given), default=0)
    for position, shape in enumerate(given):
        for dim in range(-1, -1 - len(shape), -1):
            size = shape[dim]
            if size < 0:
                raise ValueError("Attempting to broadcast a dimension with negative length!")
            if size in (1, result[dim]):
                continue
            if result[dim] != 1:
                raise errors.broadcast_argument(size, dim, position, shape, result)
            result[dim] = size
    return Size(result)


def _as_shape(value: object) -> Size:
    if isinstance(value, int):
        return Size((value,))
    if isinstance(value, (tuple, list)):
        return Size(value)
    raise RuntimeError(
        f"Input shapes should be of type ints, a tuple of ints, or a list of ints, got {value}"
    )


def wrap_dim(dim: int, ndim: int, wrap_scalar: bool = True) -> int:
    """A dimension number as 0 ... ndim-1, negative ones counted from the end.

    A zero-dimensional tensor accepts 0 and -1 unless `wrap_scalar` is False.

    >>> wrap_dim(-2, 3), wrap_dim(-1, 0)
    (1, 0)
    """
    if ndim == 0:
        if not wrap_scalar:
            raise errors.no_dimensions(dim)
        ndim = 1
    if -ndim <= dim < ndim:
        return dim + ndim if dim < 0 else dim
    raise errors.dim_out_of_range(dim, ndim)


def wrap_dims(dims: Iterable[int], ndim: int, wrap_scalar: bool = True) -> tuple[int, ...]:
    """Several dimension numbers, each allowed once; their order is kept.

    >>> wrap_dims((-1, 0), 3)
    (2, 0)
    """
    wrapped: list[int] = []
    for dim in dims:
        each = wrap_dim(dim, ndim, wrap_scalar)
        if each in wrapped:
            raise errors.repeated_dim(each)
        wrapped.append(each)
    return tuple(wrapped)


def infer_shape(shape: Sequence[int], numel: int) -> tuple[int, ...]:
    """`shape` with its -1, if any, replaced so that it holds `numel` elements.

    >>> infer_shape((2, -1), 6)
    (2, 3)
    """
    unknown: int | None = None
    known = 1
    for dim, size in enumerate(shape):
        if size >= 0:
            known *= size
        elif size != -1:
            raise errors.invalid_dimension(size, dim, shape)
        elif unknown is not None:
            raise errors.two_inferred_dimensions(shape)
        else:
            unknown = dim
    result = list(shape)
    if unknown is None:
        if known != numel:
            raise errors.invalid_shape(shape, numel)
    elif known == 0:
        if numel == 0:
            raise errors.ambiguous_shape(shape)
        raise errors.invalid_shape(shape, numel)
    elif numel % known:
        raise errors.invalid_shape(shape, numel)
    else:
        result[unknown] = numel // known
    return tuple(result)


def reduced_shape(shape: Sequence[int], dims: Iterable[int], keepdim: bool) -> tuple[int, ...]:
    """The shape left after reducing over `dims`, which are already wrapped.

    >>> reduced_shape((2, 3, 4), (0, 2), False), reduced_shape((2, 3, 4), (0, 2), True)
    ((3,), (1, 3, 1))
    """
    reduced = set(dims)
    if keepdim:
        return tuple(1 if dim in reduced else size for dim, size in enumerate(shape))
    return tuple(size for dim, size in enumerate(shape) if dim not in reduced)

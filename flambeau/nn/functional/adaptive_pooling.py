"""Pooling to a given output size. Called by `nn.modules.pooling`, by `interpolate` and by users.

>>> torch.nn.functional.adaptive_avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
tensor([[2., 1.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import in_full_precision, not_implemented

if TYPE_CHECKING:
    from flambeau import Tensor

_Sizes = int | None | Sequence[int | None]


def list_with_default(output_size: Any, defaults: Sequence[int]) -> Any:
    """The sizes asked for, with those of the input in place of None."""
    if isinstance(output_size, int):
        return output_size
    if len(defaults) <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    return [
        default if size is None else size
        for size, default in zip(output_size, defaults[-len(output_size) :])
    ]


_SPATIAL = {2: (-1, -2), 3: (-1, -2, -3)}


def _sizes(name: str, ndim: int, output_size: Any, input: Tensor, average: bool) -> tuple[int, ...]:
    """The output size with a number per dimension, checked as torch checks it."""
    shape = list(input.shape)
    if ndim == 1:
        sizes = (output_size,) if isinstance(output_size, int) else tuple(output_size)
        if len(sizes) != 1:
            raise RuntimeError(
                f"{name}() argument 'output_size' should contain one int (got {len(sizes)})"
            )
        if len(shape) not in (2, 3):
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {name})"
            )
        name = name.replace("1d", "2d")
        shape.insert(-1, 1)
    else:
        output_size = list_with_default(output_size, input.shape)
        sizes = (output_size,) * ndim if isinstance(output_size, int) else tuple(output_size)
        if len(sizes) != ndim:
            internal = (
                f"{name}: output_size"
                if average
                else (f"{name}(): internal error: output_size.size()")
            )
            raise RuntimeError(f"{internal} must be {ndim}")
    _check_adaptive(name, max(ndim, 2), sizes, shape, average)
    return sizes


def _check_adaptive(
    name: str, ndim: int, sizes: tuple[int, ...], shape: list[int], average: bool
) -> None:
    if average and min(sizes) < 0:
        shown = (1, *sizes) if len(sizes) == 1 else sizes
        comma = ", " if ndim == 2 else ","
        text = f"{shown[0]}, " + comma.join(map(str, shown[1:]))
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{{{text}}}"
        )
    if len(shape) not in (ndim + 1, ndim + 2):
        colon = "" if average else ":"
        raise RuntimeError(
            f"{name}(): Expected {ndim + 1}D or {ndim + 2}D tensor, but got{colon} {shape}"
        )
    for dim in range(len(shape) - ndim, len(shape)):
        if shape[dim] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {shape} with dimension {dim} being empty"
            )
    if min(sizes) < 0:
        result = [*shape[:-ndim], *((1, *sizes) if len(sizes) < ndim else sizes)]
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(sizes)}: {result}"
        )


def _adaptive_avg_pool(ndim: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{ndim}d"
    sizes = _sizes(name, ndim, output_size, input, True)
    if not input.is_floating_point():
        raise not_implemented(name.replace("1d", "2d"), input)
    if ndim > 1 and max(sizes) == min(sizes) == 1 and input.numel():
        return input.mean(_SPATIAL[ndim], True)
    if input.dim() == ndim + 1:
        return flambeau.ops.nn.adaptive_avg_pool(input.unsqueeze(0), sizes).squeeze(0)
    return flambeau.ops.nn.adaptive_avg_pool(input, sizes)


def adaptive_avg_pool1d(input: Tensor, output_size: _Sizes) -> Tensor:
    """Means over (N, C, L), with windows such that the output has `output_size` of them.

    >>> torch.nn.functional.adaptive_avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: _Sizes) -> Tensor:
    """Means over (N, C, H, W); a size of None keeps that of the input.

    >>> torch.nn.functional.adaptive_avg_pool2d(torch.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 1)
    tensor([[[1.5000]]])
    """
    return _adaptive_avg_pool(2, input, output_size)


@in_full_precision
def adaptive_avg_pool3d(input: Tensor, output_size: _Sizes) -> Tensor:
    """Means over (N, C, D, H, W); a size of None keeps that of the input.

    >>> torch.nn.functional.adaptive_avg_pool3d(torch.ones(1, 2, 2, 2), 1)
    tensor([[[[1.]]]])
    """
    return _adaptive_avg_pool(3, input, output_size)


def _adaptive_max_pool(ndim: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{ndim}d"
    sizes = _sizes(name, ndim, output_size, input, False)
    if not input.is_floating_point():
        raise not_implemented(name.replace("1d", "2d"), input)
    unbatched = input.dim() == ndim + 1
    values, indices = flambeau.ops.nn.adaptive_max_pool_with_indices(
        input.unsqueeze(0) if unbatched else input, sizes
    )
    if unbatched:
        values, indices = values.squeeze(0), indices.squeeze(0)
    return (values, indices) if return_indices else values


def adaptive_max_pool1d(input: Tensor, output_size: _Sizes, return_indices: bool = False) -> Any:
    """Maxima over (N, C, L), with their places if `return_indices`.

    >>> torch.nn.functional.adaptive_max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: _Sizes, return_indices: bool = False) -> Any:
    """Maxima over (N, C, H, W); a size of None keeps that of the input.

    >>> torch.nn.functional.adaptive_max_pool2d(torch.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 1)
    tensor([[[3.]]])
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


@in_full_precision
def adaptive_max_pool3d(input: Tensor, output_size: _Sizes, return_indices: bool = False) -> Any:
    """Maxima over (N, C, D, H, W); a size of None keeps that of the input.

    >>> torch.nn.functional.adaptive_max_pool3d(torch.ones(1, 2, 2, 2), 1)
    tensor([[[[1.]]]])
    """
    return _adaptive_max_pool(3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: _Sizes, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool1d` with `return_indices=True`.

    >>> torch.nn.functional.adaptive_max_pool1d_with_indices(torch.tensor([[1.0, 3.0]]), 1)
    (tensor([[3.]]), tensor([[1]]))
    """
    return _adaptive_max_pool(1, input, output_size, True)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: _Sizes, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool2d` with `return_indices=True`.

    >>> torch.nn.functional.adaptive_max_pool2d_with_indices(torch.tensor([[[1.0, 3.0]]]), 1)
    (tensor([[[3.]]]), tensor([[[1]]]))
    """
    return _adaptive_max_pool(2, input, output_size, True)


@in_full_precision
def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: _Sizes, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool3d` with `return_indices=True`.

    >>> torch.nn.functional.adaptive_max_pool3d_with_indices(torch.tensor([[[[1.0, 3.0]]]]), 1)
    (tensor([[[[3.]]]]), tensor([[[[1]]]]))
    """
    return _adaptive_max_pool(3, input, output_size, True)

"""Pooling that is not a plain window: undoing maxima, random windows, power means.

Called by `nn.modules.pooling` and by users.

>>> values, places = torch.tensor([[3.0, 2.0]]), torch.tensor([[1, 2]])
>>> torch.nn.functional.max_unpool1d(values, places, 2)
tensor([[0., 3., 2., 0.]])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import in_full_precision, scalar_type, spatial_tuple, to_tuple
from .activation import relu
from .pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

if TYPE_CHECKING:
    from flambeau import Tensor

_Sizes = int | Sequence[int]


def _unpooled_size(
    input: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_size: Sequence[int] | None,
) -> list[int]:
    """The spatial size that was pooled; pooling maps several to one, `output_size` says which."""
    ndim = len(kernel)
    shape = input.shape
    sizes = [(shape[d - ndim] - 1) * stride[d] + kernel[d] - 2 * padding[d] for d in range(ndim)]
    if output_size is not None:
        if len(output_size) == ndim + 2:
            output_size = output_size[2:]
        if len(output_size) != ndim:
            raise ValueError(
                f"output_size should be a sequence containing {ndim} or {ndim + 2} elements, but "
                f"it has a length of '{len(output_size)}'"
            )
        for dim, (size, step, wanted) in enumerate(zip(sizes, stride, output_size)):
            if not size - step < wanted < size + step:
                raise ValueError(
                    f'invalid output_size "{output_size}" (dim {dim} must be between '
                    f"{size - step} and {size + step})"
                )
        sizes = list(output_size)
    for dim, size in enumerate(sizes):
        if size < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
                f"output_size[{dim}]={size}"
            )
    return sizes


@in_full_precision
def _max_unpool(
    ndim: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Sequence[int] | None,
) -> Tensor:
    kernel = to_tuple(kernel_size, ndim)
    steps = kernel if stride is None else to_tuple(stride, ndim)
    sizes = _unpooled_size(input, kernel, steps, to_tuple(padding, ndim), output_size)
    if indices.dtype != flambeau.int64:
        got = "" if ndim == 3 else f" but got: {scalar_type(indices)}"
        raise RuntimeError(f"elements in indices should be type int64{got}")
    if input.dim() not in (ndim + 1, ndim + 2):
        raise RuntimeError(
            f"Input to max_unpooling{ndim}d should be a {ndim + 1}d or {ndim + 2}d Tensor, but got "
            f"a tensor with {input.dim()} dimensions."
        )
    if input.shape != indices.shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    volume = math.prod(sizes)
    wrong = (indices < 0) | (indices >= volume)
    if not wrong.is_meta and bool(wrong.any()):
        shown = "x".join(map(str, (*sizes, 1) if ndim == 1 else sizes))
        raise RuntimeError(
            f"Found an invalid max index: {int(indices[wrong][0])} (output volumes are of size "
            f"{shown})"
        )
    planes = input.shape[:-ndim]
    flat = input.reshape(*planes, math.prod(input.shape[-ndim:]))
    output = input.new_zeros((*planes, volume)).scatter(-1, indices.reshape(flat.shape), flat)
    return output.reshape(*planes, *sizes)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to the places that `max_pool1d` returned; zero elsewhere.

    >>> values, places = torch.tensor([[3.0, 2.0]]), torch.tensor([[1, 2]])
    >>> torch.nn.functional.max_unpool1d(values, places, 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to the places that `max_pool2d` returned; zero elsewhere.

    >>> torch.nn.functional.max_unpool2d(torch.tensor([[[3.0]]]), torch.tensor([[[1]]]), 2)
    tensor([[[0., 3.],
             [0., 0.]]])
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to the places that `max_pool3d` returned; zero elsewhere.

    >>> places = torch.zeros(1, 1, 1, 1, dtype=torch.long)
    >>> torch.nn.functional.max_unpool3d(torch.ones(1, 1, 1, 1), places, (1, 1, 2))
    tensor([[[[1., 0.]]]])
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _window_starts(samples: Tensor, length: int, windows: int, pool: int) -> Tensor:
    """Where the random windows of each plane start, (N, C, windows) (Graham 2014,
    pseudo-random)."""
    if windows == 1:
        return flambeau.full((*samples.shape, 1), length - pool, device=samples.device)
    alpha = flambeau.tensor(length - pool, dtype=samples.dtype) / (windows - 1)
    steps = flambeau.arange(windows - 1, device=samples.device).to(samples.dtype)
    sample = samples.unsqueeze(-1)
    starts = ((steps + sample) * alpha).long() - (sample * alpha).long()
    last = flambeau.full_like(starts[..., :1], length - pool)
    return flambeau.cat([starts, last], -1)


_FRACTIONAL_NAMES = {2: ("height", "width"), 3: ("time", "height", "width")}


def _check_fractional(
    input: Tensor, kernel: tuple[int, ...], sizes: tuple[int, ...], samples: Tensor
) -> None:
    ndim = len(kernel)
    function = "fractional_max_pool2d" if ndim == 2 else "fractional_max_pool3d_out"
    if samples.dtype != input.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if samples.size(1) != input.size(-ndim - 1):
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    for name, size, k, length in zip(_FRACTIONAL_NAMES[ndim], sizes, kernel, input.shape[-ndim:]):
        if size + k - 1 > length:
            raise RuntimeError(
                f"{function}(): pool {name} {k} too large relative to input {name} {length}"
            )


@in_full_precision
def _fractional_max_pool(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    random_samples: Tensor | None,
) -> Any:
    name = f"fractional_max_pool{ndim}d"
    if output_size is None:
        if output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        ratios = to_tuple(output_ratio, ndim)
        output_size = tuple(int(input.size(d - ndim) * ratios[d]) for d in range(ndim))
    kernel, sizes = spatial_tuple(kernel_size, ndim), spatial_tuple(output_size, ndim)
    batch = 1 if input.dim() == ndim + 1 else input.size(0)
    if random_samples is None:
        random_samples = flambeau.rand(
            batch, input.size(-ndim - 1), ndim, dtype=input.dtype, device=input.device
        )
    _check_fractional(input, kernel, sizes, random_samples)
    random_samples = random_samples[:batch]
    lengths = input.shape[-ndim:]
    # In two dimensions torch uses the samples last dimension first.
    order = (1, 0) if ndim == 2 else (0, 1, 2)
    places = flambeau.zeros(
        (batch, input.size(-ndim - 1)), dtype=flambeau.int64, device=input.device
    )
    places = places.reshape(*places.shape, *(1,) * (2 * ndim))
    for d in range(ndim):
        starts = _window_starts(random_samples[..., order[d]], lengths[d], sizes[d], kernel[d])
        inside = starts.unsqueeze(-1) + flambeau.arange(kernel[d], device=input.device)
        shape = [1] * (2 * ndim)
        shape[d], shape[ndim + d] = sizes[d], kernel[d]
        places = places * lengths[d] + inside.reshape(*starts.shape[:2], *shape)
    planes = input.detach().reshape(batch, input.size(-ndim - 1), math.prod(lengths))
    windows = places.reshape(*planes.shape[:2], math.prod(sizes), math.prod(kernel))
    best = planes.gather(2, windows.flatten(2)).reshape(windows.shape).argmax(-1, keepdim=True)
    chosen = windows.gather(-1, best).reshape(*planes.shape[:2], *sizes)
    batched = input.dim() == ndim + 2
    values = flambeau.ops.nn.take_maxima(input if batched else input.unsqueeze(0), chosen)
    values, chosen = (values, chosen) if batched else (values.squeeze(0), chosen.squeeze(0))
    return (values, chosen) if return_indices else values


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: _Sizes,
    output_size: _Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows at pseudo-random places (Graham 2014), for any ratio of sizes.

    >>> torch.nn.functional.fractional_max_pool2d(torch.ones(1, 5, 5), 2, output_ratio=0.5).shape
    torch.Size([1, 2, 2])
    """
    return _fractional_max_pool(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: _Sizes,
    output_size: _Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`fractional_max_pool2d` in three dimensions.

    >>> torch.nn.functional.fractional_max_pool3d(torch.ones(1, 5, 5, 5), 2, output_size=2).shape
    torch.Size([1, 2, 2, 2])
    """
    return _fractional_max_pool(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: _Sizes,
    output_size: _Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`fractional_max_pool2d` with `return_indices=True`.

    >>> len(torch.nn.functional.fractional_max_pool2d_with_indices(torch.ones(1, 5, 5), 2, 2))
    2
    """
    return _fractional_max_pool(
        2, input, kernel_size, output_size, output_ratio, True, _random_samples
    )


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: _Sizes,
    output_size: _Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`fractional_max_pool3d` with `return_indices=True`.

    >>> len(torch.nn.functional.fractional_max_pool3d_with_indices(torch.ones(1, 5, 5, 5), 2, 2))
    2
    """
    return _fractional_max_pool(
        3, input, kernel_size, output_size, output_ratio, True, _random_samples
    )


def _lp_pool(
    average: Callable[..., Tensor],
    maximum: Callable[..., Tensor],
    ndim: int,
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    ceil_mode: bool,
) -> Tensor:
    if norm_type == math.inf:
        return maximum(input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    if norm_type == -math.inf:
        return -maximum(-input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    means = average(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    elements = math.prod(spatial_tuple(kernel_size, ndim))
    return (flambeau.sign(means) * relu(means.abs())).mul(elements).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window of (N, C, L).

    >>> torch.nn.functional.lp_pool1d(torch.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _lp_pool(avg_pool1d, max_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window of (N, C, H, W).

    >>> torch.nn.functional.lp_pool2d(torch.tensor([[[3.0, 4.0]]]), 2, (1, 2))
    tensor([[[5.]]])
    """
    return _lp_pool(avg_pool2d, max_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window of (N, C, D, H, W).

    >>> torch.nn.functional.lp_pool3d(torch.tensor([[[[3.0, 4.0]]]]), 2, (1, 1, 2))
    tensor([[[[5.]]]])
    """
    return _lp_pool(avg_pool3d, max_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode)

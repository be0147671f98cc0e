"""Maximum and average pooling: argument checks and inputs without a batch dimension.

The arithmetic is in `flambeau.ops.nn`. Called by `nn.modules.pooling`, by `interpolate` and by
users.

>>> torch.nn.functional.max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
tensor([[3., 2.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import in_full_precision, not_implemented

if TYPE_CHECKING:
    from flambeau import Tensor

_Sizes = int | Sequence[int]

_COUNTS = {1: "one int", 2: "two ints", 3: "three ints"}
_AXES = {1: ("H", "W"), 2: ("H", "W"), 3: ("T", "H", "W")}


def _hashable(sizes: Any) -> Any:
    return sizes if sizes is None or isinstance(sizes, (int, tuple)) else tuple(sizes)


def _expand(name: str, what: str, sizes: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """One number per spatial dimension."""
    if isinstance(sizes, int):
        return (sizes,) * ndim
    if len(sizes) == 1:
        return sizes * ndim
    if len(sizes) == ndim:
        return sizes
    if name == "max_pool1d":
        raise RuntimeError(
            f"max_pool1d() {what} must be an int, list of ints or tuple of ints of size 1 but got "
            f"size {len(sizes)}"
        )
    if ndim == 1:
        raise RuntimeError(f"{name}() argument '{what}' should contain one int (got {len(sizes)})")
    omitted = "omitted, " if what == "stride" else ""
    either = "" if name == "avg_pool3d" and what == "kernel_size" else "either "
    either = f"be {either}" if what == "dilation" else f"{either}be {omitted}"
    raise RuntimeError(f"{name}: {what} must {either}a single int, or a tuple of {_COUNTS[ndim]}")


def _check_steps_of_max_pool1d(kernel: int, stride: int, padding: int, dilation: int) -> None:
    if kernel <= 0:
        raise RuntimeError(f"max_pool1d() kernel_size must be greater than zero, but got {kernel}")
    if stride <= 0:
        raise RuntimeError(f"max_pool1d() stride must be greater than zero, but got {stride}")
    if padding < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {padding}")
    if padding > kernel // 2:
        raise RuntimeError(
            "max_pool1d() padding should be at most half of kernel size, but got "
            f"padding={padding} and kernel_size={kernel}"
        )
    if dilation <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {dilation}")


def _check_steps(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> None:
    if min(stride) == 0:
        raise RuntimeError("stride should not be zero")
    if min(kernel) <= 0:
        raise RuntimeError("kernel size should be greater than zero")
    if min(dilation) <= 0:
        axes = _AXES[len(dilation)]
        shown = " ".join(f"dilation{axis}: {d}" for axis, d in zip(axes, dilation))
        raise RuntimeError(f"dilation should be greater than zero, but got {shown}")
    for k, p, d in zip(kernel, padding, dilation):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
            )


def _output_length(
    length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """How many windows fit; with `ceil_mode` the last may hang over, but starts inside the
    input."""
    room = length + 2 * padding - dilation * (kernel - 1) - 1
    windows = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return windows - 1 if ceil_mode and (windows - 1) * stride >= length + padding else windows


def _check_input(name: str, ndim: int, shape: tuple[int, ...]) -> None:
    batched = len(shape) == ndim + 2
    if len(shape) in (ndim + 1, ndim + 2) and all(shape[1 if batched else 0 :]):
        return
    if name == "max_pool1d":
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got:{list(shape)}"
        )
    if ndim == 1:
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument #1 "
            f"'self' (while checking arguments for {name})"
        )
    if len(shape) not in (ndim + 1, ndim + 2):
        raise RuntimeError(
            f"non-empty {ndim + 1}D or {ndim + 2}D (batch mode) tensor expected for input"
        )
    raise RuntimeError(
        f"Expected {ndim + 1}D or {ndim + 2}D (batch mode) tensor with optional 0 dim batch size "
        f"for input, but got:{list(shape)}"
    )


@lru_cache(maxsize=1024)
def _geometry(
    name: str,
    shape: tuple[int, ...],
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Check a pooling once for all calls with this input shape; options with a number per
    dimension."""
    ndim = int(name[8])
    kernel = _expand(name, "kernel_size", kernel, ndim)
    stride = kernel if stride is None or stride == () else _expand(name, "stride", stride, ndim)
    padding = _expand(name, "padding", padding, ndim)
    dilation = _expand(name, "dilation", dilation, ndim)
    if name == "avg_pool2d" and len(shape) < 3:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-len(shape)}, "
            f"{len(shape) - 1}], but got -3)"
        )
    if name == "max_pool1d":
        _check_input(name, ndim, shape)
        _check_steps_of_max_pool1d(kernel[0], stride[0], padding[0], dilation[0])
    else:
        _check_steps(kernel, stride, padding, dilation)
        _check_input(name, ndim, shape)
    lengths = shape[-ndim:]
    output = [
        _output_length(*sizes, ceil_mode)
        for sizes in zip(lengths, kernel, stride, padding, dilation)
    ]
    if min(output) < 1:
        _raise_too_small(name, shape, lengths, kernel, output)
    return kernel, stride, padding, dilation


def _raise_too_small(
    name: str,
    shape: tuple[int, ...],
    lengths: tuple[int, ...],
    kernel: tuple[int, ...],
    output: list[int],
) -> None:
    if name == "max_pool1d":
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {output[0]}")
    if name == "avg_pool3d" and any(n < k for n, k in zip(lengths, kernel)):
        sizes = " ".join(f"{axis}: {n}" for axis, n in zip("THW", lengths))
        kernels = " ".join(f"k{axis}: {k}" for axis, k in zip("THW", kernel))
        raise RuntimeError(f"input image ({sizes}) smaller than kernel size ({kernels})")
    channels = shape[-len(lengths) - 1]
    one = (1,) if len(lengths) == 1 else ()  # a one-dimensional pooling is reported as height 1
    before = "x".join(map(str, (channels, *one, *lengths)))
    after = "x".join(map(str, (channels, *one, *output)))
    raise RuntimeError(
        f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small"
    )


def _max_pool(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{ndim}d"
    options = _geometry(
        name,
        input.shape,
        _hashable(kernel_size),
        _hashable(stride),
        _hashable(padding),
        _hashable(dilation),
        ceil_mode,
    )
    if input.is_complex() or input.dtype == flambeau.bool:
        raise not_implemented(name, input)
    if input.dim() == ndim + 1:
        result = _pooled_maxima(return_indices, input.unsqueeze(0), *options, ceil_mode)
        return tuple(x.squeeze(0) for x in result) if return_indices else result.squeeze(0)
    return _pooled_maxima(return_indices, input, *options, ceil_mode)


def _pooled_maxima(return_indices: bool, input: Tensor, *options: Any) -> Any:
    """The maxima of a batch, with their places if wanted."""
    if not return_indices and not (input.requires_grad and flambeau.is_grad_enabled()):
        return flambeau.ops.nn.max_pool(input, *options)  # nobody will ask for the places
    values, indices = flambeau.ops.nn.max_pool_with_indices(input, *options)
    return (values, indices) if return_indices else values


def max_pool1d(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, L), with its place in the plane if `return_indices`.

    >>> torch.nn.functional.max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, H, W), with its place in the plane if `return_indices`.

    >>> x = torch.tensor([[[1.0, 3.0], [2.0, 0.0]]])
    >>> torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    (tensor([[[3.]]]), tensor([[[1]]]))
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@in_full_precision
def max_pool3d(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, D, H, W), with its place in the volume if
    `return_indices`.

    >>> torch.nn.functional.max_pool3d(torch.ones(1, 2, 2, 2), 2)
    tensor([[[[1.]]]])
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool1d` with `return_indices=True`.

    >>> torch.nn.functional.max_pool1d_with_indices(torch.tensor([[1.0, 3.0]]), 2)
    (tensor([[3.]]), tensor([[1]]))
    """
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` with `return_indices=True`.

    >>> torch.nn.functional.max_pool2d_with_indices(torch.tensor([[[1.0, 3.0]]]), (1, 2))
    (tensor([[[3.]]]), tensor([[[1]]]))
    """
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


@in_full_precision
def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool3d` with `return_indices=True`.

    >>> torch.nn.functional.max_pool3d_with_indices(torch.tensor([[[[1.0, 3.0]]]]), (1, 1, 2))
    (tensor([[[[3.]]]]), tensor([[[[1]]]]))
    """
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _avg_pool(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Tensor:
    name = f"avg_pool{ndim}d"
    kernel, stride, padding, _ = _geometry(
        name,
        input.shape,
        _hashable(kernel_size),
        _hashable(stride),
        _hashable(padding),
        1,
        ceil_mode,
    )
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    if input.is_complex() or input.dtype == flambeau.bool:
        raise not_implemented(name, input)
    unbatched = input.dim() == ndim + 1
    output = flambeau.ops.nn.avg_pool(
        input.unsqueeze(0) if unbatched else input,
        kernel,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
    return output.squeeze(0) if unbatched else output


def avg_pool1d(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L).

    >>> torch.nn.functional.avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, H, W), or its sum divided by `divisor_override`.

    >>> torch.nn.functional.avg_pool2d(torch.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2)
    tensor([[[1.5000]]])
    """
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: _Sizes,
    stride: _Sizes | None = None,
    padding: _Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, D, H, W), or its sum divided by `divisor_override`.

    >>> torch.nn.functional.avg_pool3d(torch.ones(1, 2, 2, 2), 2)
    tensor([[[[1.]]]])
    """
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )

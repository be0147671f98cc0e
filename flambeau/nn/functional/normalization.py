"""Normalisation by mean and variance over a batch, an instance, a layer or a group; root mean
square.

Called by the normalisation layers of `nn.modules` and by users.

>>> torch.nn.functional.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
tensor([[-1.0000,  1.0000]])
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import flambeau

from ._common import not_implemented
from .padding import pad
from .pooling import avg_pool2d, avg_pool3d

if TYPE_CHECKING:
    from flambeau import Tensor


def _check_values_per_channel(size: Sequence[int], shown: object) -> None:
    """Training needs more than one value in each channel: the variance of one value is zero."""
    count = size[0]
    for length in size[2:]:
        count *= length
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {shown}"
        )


def _check_dtypes(kernel: str, input: Tensor, *others: Tensor | None) -> None:
    """Statistics and parameters have the dtype of the input, or float32 with a shorter one."""
    if not input.is_floating_point():
        raise not_implemented(kernel, input)
    for other in others:
        if other is None or other.dtype == input.dtype:
            continue
        if other.dtype != flambeau.float32 or input.dtype == flambeau.float64:
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _per_channel(vector: Tensor, ndim: int) -> Tensor:
    """A vector over channels in a shape that broadcasts with (N, C, ...)."""
    return vector.reshape([-1 if d == 1 else 1 for d in range(ndim)])


def _scale_and_shift(normalised: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        normalised = normalised * weight
    return normalised if bias is None else normalised + bias


def _standardise(input: Tensor, dims: Sequence[int], eps: float) -> Tensor:
    """`input` minus its mean over `dims`, divided by the standard deviation."""
    centred = input - input.mean(dims, keepdim=True)
    variance = (centred * centred).mean(dims, keepdim=True)
    return centred * flambeau.rsqrt(variance + eps)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Subtract the mean of each channel and divide by its standard deviation (Ioffe and Szegedy
    2015).

    While training, mean and variance are those of the batch, and the running ones move towards them
    by `momentum`; otherwise the running ones are used.

    >>> torch.nn.functional.batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    if training:
        _check_values_per_channel(input.shape, input.size())
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    elif eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    _check_channel_vectors(input, training, running_mean, running_var, weight, bias)
    if input.dim() < 2 and input.numel() == 0:
        return input.clone()
    dims = [d for d in range(input.dim()) if d != 1]
    if training:
        mean = input.mean(dims)
        centred = input - _per_channel(mean, input.dim())
        variance = (centred * centred).mean(dims)
        if input.numel() and (running_mean is not None or running_var is not None):
            count = input.numel() // input.size(1)
            _move_statistics(running_mean, running_var, mean, variance, count, momentum)
    else:
        assert running_mean is not None and running_var is not None
        variance = running_var
        centred = input - _per_channel(running_mean, input.dim())
    scale = flambeau.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    output = centred * _per_channel(scale, input.dim())
    return output if bias is None else output + _per_channel(bias, input.dim())


def _move_statistics(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    count: int,
    momentum: float,
) -> None:
    """Move the running statistics in place; the running variance is the unbiased one."""
    with flambeau.no_grad():
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean.detach(), alpha=momentum)
        if running_var is not None:
            unbiased = variance.detach() * (count / max(count - 1, 1))
            running_var.mul_(1 - momentum).add_(unbiased, alpha=momentum)


def _check_channel_vectors(
    input: Tensor,
    training: bool,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
) -> None:
    _check_dtypes("batch_norm", input, running_mean, running_var, weight, bias)
    channels = input.size(1) if input.dim() > 1 else 0
    for name, vector in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if vector is None:
            if name.startswith("running") and not training:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        elif vector.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {vector.numel()}")


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` over each sample on its own (Ulyanov et al. 2016).

    >>> torch.nn.functional.instance_norm(torch.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """
    if use_input_stats:
        spatial = 1
        for length in input.shape[2:]:
            spatial *= length
        if spatial == 1:
            raise ValueError(
                f"Expected more than 1 spatial element when training, got input size {input.size()}"
            )
    elif running_mean is None or running_var is None:
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    _check_channel_vectors(input, True, running_mean, running_var, weight, bias)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    samples, channels = input.shape[:2]
    means, variances = (
        None if running is None else running.repeat(samples)
        for running in (running_mean, running_var)
    )
    # Every (sample, channel) becomes a channel of one large sample.
    flat = input.reshape(1, samples * channels, *input.shape[2:])
    output = batch_norm(flat, means, variances, None, None, True, momentum, eps)
    with flambeau.no_grad():
        for running, moved in ((running_mean, means), (running_var, variances)):
            if running is not None and moved is not None:
                running.copy_(moved.reshape(samples, channels).mean(0))
    return _scale_and_shift(
        output.reshape(input.shape),
        None if weight is None else _per_channel(weight, input.dim()),
        None if bias is None else _per_channel(bias, input.dim()),
    )


@lru_cache(maxsize=1024)
def _check_normalized_shape(
    input: tuple[int, ...],
    shape: tuple[int, ...] | int,
    weight: tuple[int, ...] | None,
    bias: tuple[int, ...] | None,
    function: str,
) -> tuple[int, ...]:
    """Check that `input` ends in `shape`, once for all calls with them; its last dimensions."""
    if isinstance(shape, int):
        raise TypeError(
            f"{function}(): argument 'normalized_shape' (position 2) must be tuple of ints, not int"
        )
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(vector)} and normalized_shape = {list(shape)}"
            )
    if input[-len(shape) :] != shape:
        star = "*, " if function == "layer_norm" else "*"
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[{star}{', '.join(map(str, shape))}], but got input of size{list(input)}"
        )
    return tuple(range(-len(shape), 0))


def _last_dimensions(
    input: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, function: str
) -> tuple[int, ...]:
    return _check_normalized_shape(
        input.shape,
        shape if isinstance(shape, (tuple, int)) else tuple(shape),
        None if weight is None else weight.shape,
        None if bias is None else bias.shape,
        function,
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Subtract the mean over the last dimensions and divide by the standard deviation (Ba et al.
    2016).

    >>> torch.nn.functional.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    dims = _last_dimensions(input, normalized_shape, weight, bias, "layer_norm")
    _check_dtypes("LayerNormKernelImpl", input, weight, bias)
    return _scale_and_shift(_standardise(input, dims, eps), weight, bias)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the last dimensions (Zhang and Sennrich 2019).

    `eps` is added to the mean square; it is the machine epsilon of the dtype if not given.

    >>> torch.nn.functional.rms_norm(torch.tensor([3.0, 4.0]), (2,))
    tensor([0.8485, 1.1314])
    """
    dims = _last_dimensions(input, normalized_shape, weight, None, "rms_norm")
    if not (input.is_floating_point() or input.is_complex()):
        raise not_implemented("rms_norm", input)
    if eps is None:
        eps = flambeau.finfo(input.dtype).eps
    squares = (input * input).mean(dims, keepdim=True)
    return _scale_and_shift(input * flambeau.rsqrt(squares + eps), weight, None)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over groups of neighbouring channels (Wu and He 2018).

    >>> torch.nn.functional.group_norm(torch.tensor([[1.0, 3.0]]), 1)
    tensor([[-1.0000,  1.0000]])
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    samples, channels = input.shape[:2]
    size = [samples * channels // num_groups, num_groups, *input.shape[2:]]
    _check_values_per_channel(size, size)
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and (vector.dim() != 1 or vector.numel() != channels):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(vector.shape)} and input of shape "
                f"{list(input.shape)}"
            )
    _check_dtypes("GroupNormKernelImpl", input, weight, bias)
    length = input.numel() // max(samples * num_groups, 1)
    output = _standardise(input.reshape(samples, num_groups, length), [2], eps)
    return _scale_and_shift(
        output.reshape(input.shape),
        None if weight is None else _per_channel(weight, input.dim()),
        None if bias is None else _per_channel(bias, input.dim()),
    )


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by `(k + alpha * mean of squares over size channels) ** beta` (Krizhevsky et al.
    2012).

    >>> torch.nn.functional.local_response_norm(torch.ones(1, 2, 1), 2, alpha=2.0, beta=1.0)
    tensor([[[0.5000],
             [0.3333]]])
    """
    if input.dim() < 3:
        gap = " " * 26  # torch's text has it
        raise ValueError(
            f"Expected 3D or higher dimensionality{gap}input (got {input.dim()} dimensions)"
        )
    if input.numel() == 0:
        return input
    squares = input * input
    before, after = size // 2, (size - 1) // 2
    if input.dim() == 3:
        squares = pad(squares.unsqueeze(1), [0, 0, before, after])
        means = avg_pool2d(squares, (size, 1), stride=1).squeeze(1)
    else:
        samples, channels, height = input.shape[:3]
        squares = squares.reshape(samples, 1, channels, height, -1)
        squares = pad(squares, [0, 0, 0, 0, before, after])
        means = avg_pool3d(squares, (size, 1, 1), stride=1).squeeze(1).reshape(input.shape)
    return input / (means * alpha + k) ** beta

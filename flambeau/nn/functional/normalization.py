"""Normalisation by mean and variance over a batch, an instance, a layer or a group; root mean
square.

Called by the normalisation layers of `nn.modules` and by users.

>>> torch.nn.functional.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
tensor([[-1.0000,  1.0000]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import flambeau

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
    if input.dim() < 2 and input.numel() == 0:
        return input.clone()
    return flambeau.batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, True
    )


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
    return flambeau.instance_norm(
        input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, True
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
    shape = tuple(normalized_shape) if isinstance(normalized_shape, list) else normalized_shape
    return flambeau.native_layer_norm(input, shape, weight, bias, eps)[0]


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
    shape = tuple(normalized_shape) if isinstance(normalized_shape, list) else normalized_shape
    return flambeau.rms_norm(input, shape, weight, eps)


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
    if input.numel() == num_groups:
        samples, channels = input.shape[:2]
        size = [samples * channels // num_groups, num_groups, *input.shape[2:]]
        _check_values_per_channel(size, size)
    return flambeau.group_norm(input, num_groups, weight, bias, eps)


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

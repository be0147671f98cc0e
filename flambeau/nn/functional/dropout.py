"""Random zeros for regularisation. Called by `nn.modules.dropout`, by recurrent layers, attention
and users.

The random draws are torch's: one `bernoulli_(1 - p)` over the elements, or over (sample, channel).

>>> torch.nn.functional.dropout(torch.ones(3), p=0.5, training=False)
tensor([1., 1., 1.])
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import flambeau

from ._common import scalar_type

if TYPE_CHECKING:
    from flambeau import Tensor

# The value that SELU sends minus infinity to, negated: -scale * alpha (Klambauer et al. 2017).
_ALPHA = 1.7580993408473766


def _check_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _drop(
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    channels: bool = False,
    alpha: bool = False,
) -> Tensor:
    """Multiply by random zeros; `channels` draws once a channel, `alpha` keeps SELU's mean and
    variance."""
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return input.mul_(0) if inplace else input * 0
    if channels and input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            "result type Float can't be cast to the desired output type " + scalar_type(input)
        )
    if channels:
        shape = (*input.shape[:2], *(1,) * (input.dim() - 2))
        noise = input.new_empty(shape).bernoulli_(1 - p)
    else:
        noise = flambeau.empty_like(input, requires_grad=False).bernoulli_(1 - p)
    if not alpha:
        noise.div_(1 - p)
        return input.mul_(noise) if inplace else input * noise
    scale = 1.0 / ((_ALPHA * _ALPHA * p + 1) * (1 - p)) ** 0.5
    shift = (noise - 1).mul_(_ALPHA * scale).add_(_ALPHA * scale * p)
    noise.mul_(scale)
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p` and divide the others by `1 - p` (Hinton et al. 2012).

    >>> torch.nn.functional.dropout(torch.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    if p < 0.0 or p > 1.0:
        _check_probability(p)
    return _drop(input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout for SELU networks: it keeps mean 0 and variance 1 (Klambauer et al. 2017).

    >>> torch.nn.functional.alpha_dropout(torch.ones(3), p=0.5)
    tensor([1., 1., 1.])
    """
    _check_probability(p)
    return _drop(input, p, training, inplace, alpha=True)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels.

    >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 3), p=0.5)
    tensor([[1., 1., 1.]])
    """
    _check_probability(p)
    return _drop(input, p, training, inplace, channels=True, alpha=True)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L) (Tompson et al. 2014).

    >>> torch.nn.functional.dropout1d(torch.ones(1, 2, 3), p=1.0).sum()
    tensor(0.)
    """
    _check_probability(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_channels(input, p, training, inplace, input.dim() == 3)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, H, W); dimension 1 is the channel of any other input too.

    >>> torch.nn.functional.dropout2d(torch.ones(1, 2, 3, 3), p=1.0).sum()
    tensor(0.)
    """
    _check_probability(p)
    if input.dim() not in (3, 4):
        _warn_dimensions("dropout2d", input.dim(), 2, "3D or 4D")
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return _drop(input, p, training, inplace, channels=True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W).

    >>> torch.nn.functional.dropout3d(torch.ones(1, 2, 3, 3, 3), p=1.0).sum()
    tensor(0.)
    """
    _check_probability(p)
    if input.dim() not in (4, 5):
        _warn_dimensions("dropout3d", input.dim(), 3, "4D or 5D")
    return _drop_channels(input, p, training, inplace, input.dim() == 5)


def _drop_channels(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    if batched:
        return _drop(input, p, training, inplace, channels=True)
    if inplace:
        _drop(input.unsqueeze(0), p, training, True, channels=True)  # a view: it writes to `input`
        return input
    return _drop(input.unsqueeze(0), p, training, False, channels=True).squeeze(0)


def _warn_dimensions(name: str, ndim: int, spatial: int, expected: str) -> None:
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an "
        "error in a future release. To retain the behavior and silence this warning, please use "
        f"dropout instead. Note that {name} exists to provide channel-wise dropout on inputs with "
        f"{spatial} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. "
        f"{expected} inputs).",
        stacklevel=3,
    )

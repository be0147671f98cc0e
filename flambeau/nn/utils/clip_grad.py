"""Limiting gradients before an optimizer step.

>>> weight = torch.nn.Parameter(torch.zeros(2))
>>> weight.grad = torch.tensor([3.0, 4.0])
>>> torch.nn.utils.clip_grad_norm_(weight, max_norm=1.0)
tensor(5.)
>>> weight.grad
tensor([0.6000, 0.8000])
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable

import flambeau
from flambeau import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def _as_list(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    gradients = [p.grad for p in _as_list(parameters)]
    return [gradient for gradient in gradients if gradient is not None]


@flambeau.no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all `tensors` as if they were one vector.

    `foreach` chooses between implementations elsewhere; there is one here.

    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return flambeau.tensor(0.0)
    norms = [flambeau.linalg.vector_norm(t, norm_type) for t in tensors]
    if len({norm.device for norm in norms}) > 1:
        norms = [norm.to(tensors[0].device) for norm in norms]
    total = flambeau.linalg.vector_norm(flambeau.stack(norms), norm_type)
    if error_if_nonfinite and not total.isfinite():
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from "
            "`parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total


@flambeau.no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients by `max_norm / total_norm` if that is less than 1.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> weight.grad = torch.tensor([4.0])
    >>> torch.nn.utils.clip_grads_with_norm_(weight, 1.0, torch.tensor(8.0))
    >>> weight.grad
    tensor([0.5000])
    """
    gradients = _gradients(parameters)
    max_norm = float(max_norm)
    if not gradients:
        return
    # The small number keeps the quotient finite. A factor of 1 is applied too: asking whether it
    # is less would wait for the device.
    factor = flambeau.clamp(max_norm / (total_norm + 1e-6), max=1.0)
    for device in {gradient.device for gradient in gradients}:
        own = [gradient for gradient in gradients if gradient.device == device]
        flambeau._foreach_mul_(own, factor.to(device))


@flambeau.no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together so that their total norm is at most `max_norm`.

    Returns the norm before.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([30.0, 40.0])
    >>> torch.nn.utils.clip_grad_norm_([weight], 5.0), weight.grad
    (tensor(50.), tensor([3.0000, 4.0000]))
    """
    listed = _as_list(parameters)
    if isinstance(parameters, types.GeneratorType) and not listed:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3
        )
    total_norm = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(listed, max_norm, total_norm, foreach)
    return total_norm


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated: use `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated "
        "in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@flambeau.no_grad()
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clip each element of the gradients to [-clip_value, clip_value].

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([0.5, -3.0])
    >>> torch.nn.utils.clip_grad_value_(weight, 1.0)
    >>> weight.grad
    tensor([ 0.5000, -1.0000])
    """
    clip_value = float(clip_value)
    for gradient in _gradients(parameters):
        gradient.clamp_(min=-clip_value, max=clip_value)

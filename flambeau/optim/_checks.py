"""Checks of the options of optimizers, with torch's messages.

>>> nonnegative(lr=-1.0)
Traceback (most recent call last):
...
ValueError: Invalid learning rate: -1.0
"""

from __future__ import annotations

from typing import Any

import flambeau

_LABELS = {"lr": "learning rate", "eps": "epsilon value"}
_FUSED_DEVICES = ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


def to_scalar(value: Any) -> Any:
    """A one-element tensor as a 0-d tensor; numbers as they are.

    >>> to_scalar(torch.tensor([2.0])), to_scalar(2.0)
    (tensor(2.), 2.0)
    """
    if isinstance(value, flambeau.Tensor) and value.dim() != 0:
        return value.squeeze()
    return value


def nonnegative(**options: Any) -> None:
    """Refuses negative numbers and NaN, in the order given."""
    for name, value in options.items():
        if not 0.0 <= value:
            raise ValueError(f"Invalid {_LABELS.get(name, name + ' value')}: {value}")


def decay_rates(betas: Any) -> None:
    """Refuses betas outside [0, 1)."""
    for i in range(2):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def one_element(name: str, value: Any) -> None:
    """Refuses a tensor of several elements where a number is meant."""
    if isinstance(value, flambeau.Tensor) and value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")


def implementation(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Refuses combinations of the options that choose an implementation in torch.

    They change nothing here: there is one implementation, and it is fused.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def fusible(p: flambeau.Tensor) -> None:
    """Refuses `fused=True` for a parameter that torch's fused kernels do not take."""
    if not (p.device.type in _FUSED_DEVICES and p.is_floating_point()):
        raise RuntimeError(
            "`fused=True` requires all the params to be floating point Tensors of supported "
            f"devices: {_FUSED_DEVICES} but {p.dtype} and {p.device.type}"
        )

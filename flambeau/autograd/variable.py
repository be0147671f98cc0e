"""`Variable`: what tensors with gradients were called before they were just tensors.

>>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
tensor([1., 1.], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.visiting import current
from flambeau.runtime.system import engine

__all__ = ["Variable"]


class _Engine:
    """The running backward pass, as libraries know it."""

    def queue_callback(self, callback: Callable[[], None]) -> None:
        """Calls `callback` when the running backward pass is over."""
        if not current.passes:
            raise RuntimeError("Final callbacks can only be installed during backward pass.")
        current.passes[-1].callbacks.append(callback)


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, engine.Tensor)


class Variable(metaclass=_VariableMeta):
    """The old name of a tensor: `Variable(x)` is x without its graph."""

    _execution_engine = _Engine()

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        made = data.detach()
        return made.requires_grad_(True) if requires_grad else made

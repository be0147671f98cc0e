"""Forward-mode differentiation: torch's names, so that programs which only import them run.

>>> import flambeau.autograd.forward_ad as forward_ad
>>> with forward_ad.dual_level():
...     pass
Traceback (most recent call last):
NotImplementedError: forward-mode automatic differentiation: not supported by Flambeau
  torch.autograd.functional.jvp computes the same products by two backward passes
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from flambeau.core.errors import unsupported

__all__ = [
    "UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
    "unpack_dual",
]  # fmt: skip
HINT = "torch.autograd.functional.jvp computes the same products by two backward passes"


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent, None without one."""

    primal: Any
    tangent: Any


def enter_dual_level() -> NoReturn:
    """Begins a level of dual tensors."""
    raise unsupported("forward-mode automatic differentiation", HINT)


def exit_dual_level(*, level: int | None = None) -> NoReturn:
    """Ends a level of dual tensors."""
    raise unsupported("forward-mode automatic differentiation", HINT)


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> NoReturn:
    """A tensor with a tangent, inside a level."""
    raise unsupported("forward-mode automatic differentiation", HINT)


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """A tensor and its tangent; outside of levels nothing has one."""
    return UnpackedDualTensor(tensor, None)


class dual_level:
    """A block with dual tensors."""

    def __enter__(self) -> NoReturn:
        enter_dual_level()

    def __exit__(self, *error: Any) -> None:
        pass

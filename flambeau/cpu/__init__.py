"""`torch.cpu`: the CPU seen as a device.

>>> torch.cpu.is_available(), torch.cpu.device_count()
(True, 1)
"""

from __future__ import annotations

import importlib
from typing import Any


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """One."""
    return 1


def current_device() -> str:
    """ "cpu"."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Nothing to wait for: calls on the CPU are done when they return."""


def set_device(device: Any) -> None:
    """There is only one."""


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("flambeau.cpu.amp")
    raise AttributeError(f"module 'torch.cpu' has no attribute '{name}'")

"""`torch.distributed`: training in several processes is not there; `is_available()` says so.

>>> torch.distributed.is_available(), torch.distributed.is_initialized()
(False, False)
"""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether training in several processes is possible."""
    return False


def is_initialized() -> bool:
    """Whether a group of processes was set up."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher of torch's started this process."""
    return False


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'torch.distributed' has no attribute '{name}'")
    raise NotImplementedError(
        f"torch.distributed.{name} is not implemented in Flambeau: training in several processes "
        "is not there\n  hint: torch.distributed.is_available() tells programs so"
    )

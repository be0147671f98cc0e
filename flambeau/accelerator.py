"""`torch.accelerator`: the accelerator of this machine, whatever its kind: none yet.

>>> torch.accelerator.is_available(), torch.accelerator.device_count()
(False, 0)
"""

from __future__ import annotations

from typing import Any

MISSING = (
    "Please register PrivateUse1HooksInterface by `RegisterPrivateUse1HooksInterface` first.\n"
    "  Flambeau has no accelerator here: use device='cpu'"
)


def is_available() -> bool:
    """Whether an accelerator can be used."""
    return False


def device_count() -> int:
    """Number of accelerators that can be used."""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """The accelerator as a device: None, for there is none.

    >>> torch.accelerator.current_accelerator() is None
    True
    """
    return None


def _needs_device(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(MISSING)

    function.__name__, function.__doc__ = name, f"`{name}` of an accelerator: there is none."
    return function


current_device_index = current_device_idx = _needs_device("current_device_index")
set_device_index = set_device_idx = _needs_device("set_device_index")
current_stream, set_stream = _needs_device("current_stream"), _needs_device("set_stream")
synchronize = _needs_device("synchronize")


def empty_cache() -> None:
    """Frees the accelerator's unused memory: there is none."""


def memory_allocated(device_index: Any = None) -> int:
    """Bytes that tensors hold on the accelerator."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def memory_stats(device_index: Any = None) -> dict[str, Any]:
    """What is known of the accelerator's memory: nothing."""
    return {}


def reset_peak_memory_stats(device_index: Any = None) -> None:
    """Forgets the greatest use of memory so far."""


reset_accumulated_memory_stats = reset_peak_memory_stats

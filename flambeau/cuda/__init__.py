"""`torch.cuda`: truthful answers.

No GPU is used yet, so `is_available()` is False and everything that needs one says so.

    >>> torch.cuda.is_available()
    False
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from flambeau.core.errors import OutOfMemoryError as OutOfMemoryError

MISSING = (
    "Torch not compiled with CUDA enabled\n  Flambeau has no CUDA device here: use device='cpu'"
)


def is_available() -> bool:
    """Whether a GPU can be used.

    >>> torch.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """Number of GPUs that can be used.

    >>> torch.cuda.device_count()
    0
    """
    return 0


def is_initialized() -> bool:
    """Whether the GPU was used already."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether a GPU computes in bfloat16."""
    return False


def _needs_device(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(MISSING)

    function.__name__, function.__doc__ = name, f"`{name}` of a GPU: raises, for there is none."
    return function


current_device = _needs_device("current_device")
set_device = _needs_device("set_device")
get_device_name = _needs_device("get_device_name")
get_device_properties = _needs_device("get_device_properties")
get_device_capability = _needs_device("get_device_capability")
mem_get_info = _needs_device("mem_get_info")
synchronize = _needs_device("synchronize")
current_stream = _needs_device("current_stream")
Stream = _needs_device("Stream")
init = _needs_device("init")


class Event:
    """A point in a GPU's work: raises, for there is no GPU."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise AssertionError(MISSING)


def manual_seed(seed: int) -> None:
    """Seeds the GPU's generator; without one, nothing to do (as in torch)."""


def manual_seed_all(seed: int) -> None:
    """Seeds all GPUs' generators; without one, nothing to do (as in torch)."""


def seed_all() -> None:
    """Seeds all GPUs' generators at random."""


def empty_cache() -> None:
    """Frees the GPU's unused memory: there is none."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors hold on a GPU."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Forgets the greatest use of memory so far."""


def ipc_collect() -> None:
    """Frees memory shared between processes."""


@contextlib.contextmanager
def device(device: Any) -> Iterator[None]:
    """Makes a GPU the current one for a block; -1 or None does nothing."""
    if device not in (None, -1):
        raise AssertionError(MISSING)
    yield


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("flambeau.cuda.amp")
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")

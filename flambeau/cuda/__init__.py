"""`torch.cuda`: truthful answers.

No GPU is used yet, so `is_available()` is False and everything that needs one says so.

    >>> torch.cuda.is_available()
    False
"""

from __future__ import annotations

import contextlib
import copy
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
    """A function, or a class by its name, that raises when it is called."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(MISSING)

    function.__name__, function.__doc__ = name, f"`{name}` of a GPU: raises, for there is none."
    return type(name, (), {"__new__": function}) if name[0].isupper() else function


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


#: what only a GPU can answer
NEEDS_DEVICE = frozenset(
    """CUDAGraph CUDAPluggableAllocator ExternalStream MemPool StreamContext
    caching_allocator_alloc caching_allocator_delete can_device_access_peer clock_rate cudart
    current_blas_handle default_stream get_per_process_memory_fraction get_rng_state
    get_stream_from_external graph graph_pool_handle initial_seed list_gpu_processes
    make_graphed_callables memory_snapshot memory_summary memory_usage power_draw set_stream
    set_per_process_memory_fraction temperature utilization""".split()
)
#: what is there only with a GPU, and quiet without
QUIET = {
    "get_arch_list": [], "get_gencode_flags": "", "get_rng_state_all": [], "memory_stats": {},
    "memory_cached": 0, "max_memory_cached": 0, "is_current_stream_capturing": False, "seed": None,
    "set_rng_state_all": None, "reset_accumulated_memory_stats": None, "get_sync_debug_mode": 0,
    "reset_max_memory_allocated": None, "reset_max_memory_cached": None, "is_tf32_supported": False,
    "set_sync_debug_mode": None,
}  # fmt: skip


def _quiet(name: str, answer: Any) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        return copy.copy(answer)

    function.__name__, function.__doc__ = name, f"`{name}`, where there is no GPU."
    return function


@contextlib.contextmanager
def stream(stream: Any) -> Iterator[None]:
    """Work on a stream for a block; None does nothing."""
    if stream is not None:
        raise AssertionError(MISSING)
    yield


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("flambeau.cuda.amp")
    if name in NEEDS_DEVICE:
        return _needs_device(name)
    if name in QUIET:
        return _quiet(name, QUIET[name])
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")

"""`torch.distributed`: training in several processes is not there; `is_available()` says so.

>>> torch.distributed.is_available(), torch.distributed.is_initialized()
(False, False)
"""

from __future__ import annotations

import importlib
from enum import IntEnum
from typing import Any, NoReturn


def is_available() -> bool:
    """Whether training in several processes is possible."""
    return False


def is_initialized() -> bool:
    """Whether a group of processes was set up."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher of torch's started this process."""
    return False


class ReduceOp(IntEnum):
    """How numbers of several processes would become one."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR = range(8)


class ProcessGroup:
    """The processes that train together."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse(type(self).__name__)


class Work(ProcessGroup):
    """An exchange between processes that has begun."""


class Store(ProcessGroup):
    """What processes find one another by."""


class Backend(ProcessGroup):
    """How processes exchange numbers."""


FUNCTIONS = frozenset(
    """all_gather all_gather_into_tensor all_gather_object all_reduce all_to_all all_to_all_single
    barrier broadcast broadcast_object_list destroy_process_group gather get_backend
    get_global_rank get_process_group_ranks get_rank get_world_size init_device_mesh
    init_process_group irecv is_gloo_available is_mpi_available is_nccl_available isend
    monitored_barrier new_group new_subgroups recv reduce reduce_scatter reduce_scatter_tensor
    scatter scatter_object_list send""".split()
)


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.distributed.{name} is not implemented in Flambeau: training in several processes "
        "is not there\n  hint: torch.distributed.is_available() tells programs so"
    )


def __getattr__(name: str) -> Any:
    """A function that can be imported and passed on, but not called."""
    if name == "device_mesh":
        return importlib.import_module("flambeau.distributed.device_mesh")
    if name not in FUNCTIONS:
        raise AttributeError(f"module 'torch.distributed' has no attribute '{name}'")

    def function(*args: Any, **kwargs: Any) -> NoReturn:
        _refuse(name)

    function.__name__ = function.__qualname__ = name
    return function

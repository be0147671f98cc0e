"""`torch.multiprocessing`: Python's multiprocessing, and `spawn`.

Tensors go to other processes by copy; memory is not shared between them.

>>> torch.multiprocessing.cpu_count() > 0
True
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing import *  # noqa: F403 (torch.multiprocessing is Python's, and more)
from typing import Any

__all__ = [*multiprocessing.__all__, "ProcessContext", "get_all_sharing_strategies",
           "get_sharing_strategy", "set_sharing_strategy", "spawn", "start_processes"]  # fmt: skip


def get_all_sharing_strategies() -> set[str]:
    """How tensors could be shared."""
    return {"file_system"}


def get_sharing_strategy() -> str:
    """How tensors are shared."""
    return "file_system"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted; tensors are copied."""


class ProcessContext:
    """Processes that were started together."""

    def __init__(self, processes: list[Any]):
        self.processes = processes

    def pids(self) -> list[int | None]:
        """The numbers of the processes."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits; raises if one failed."""
        for process in self.processes:
            process.join(timeout)
        for i, process in enumerate(self.processes):
            if process.exitcode not in (None, 0):
                raise RuntimeError(f"process {i} terminated with exit code {process.exitcode}")
        return all(process.exitcode is not None for process in self.processes)


def start_processes(
    fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True,
    daemon: bool = False, start_method: str = "spawn",
) -> Any:  # fmt: skip
    """Runs fn(i, *args) in `nprocs` processes."""
    context = multiprocessing.get_context(start_method)
    processes = []
    for i in range(nprocs):
        process = context.Process(target=fn, args=(i, *args), daemon=daemon)  # type: ignore[attr-defined]
        process.start()
        processes.append(process)
    group = ProcessContext(processes)
    if not join:
        return group
    while not group.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True,
    daemon: bool = False, start_method: str = "spawn",
) -> Any:  # fmt: skip
    """Runs fn(i, *args) in `nprocs` fresh processes."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)

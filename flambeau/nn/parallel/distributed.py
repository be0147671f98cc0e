"""`DistributedDataParallel`: training in several processes, which is not there."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """A module whose gradients are averaged over processes: not there."""

    def __init__(self, module: Any, *args: Any, **kwargs: Any):
        raise NotImplementedError(
            "DistributedDataParallel is not implemented in Flambeau: training in several "
            "processes is not there\n  hint: use the module itself in one process"
        )

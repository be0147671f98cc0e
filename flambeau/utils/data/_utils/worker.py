"""What a worker process of a DataLoader knows about itself.

>>> torch.utils.data.get_worker_info() is None
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerInfo:
    """The place of a worker among the workers of its loader, its seed and its dataset copy."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What the present worker process is; None in the main process."""
    return _worker_info

"""A worker process of a DataLoader: takes indices from a queue, sends back batches.

The DataLoader iterator in `flambeau/utils/data/_iterators.py` starts the workers. Each has its own
copy of the dataset and its own random numbers: seed of the pass + number of the worker.

>>> torch.utils.data.get_worker_info() is None  # this is no worker
True
"""

from __future__ import annotations

import multiprocessing
import queue
import random
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flambeau

# How often a worker without work looks whether its parent is still there.
CHECK_INTERVAL = 5.0


@dataclass(frozen=True)
class WorkerInfo:
    """The place of a worker among the workers of its loader, its seed and its dataset copy."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What the present worker process is; None in the main process.

    An IterableDataset needs it to give each worker a part of the stream.
    """
    return _worker_info


@dataclass(frozen=True)
class StreamEnded:
    """A worker's stream has no more samples."""


@dataclass(frozen=True)
class Restart:
    """A new pass over the data with the same workers; sent back as acknowledgement."""


class _Verbatim(str):
    """A text that is its own repr, as KeyError shows the repr of its argument."""

    def __repr__(self) -> str:
        return self


class RemoteError:
    """The exception of a worker, to be raised again in the main process with its traceback."""

    def __init__(self, where: str) -> None:
        kind, error, trace = sys.exc_info()
        self.exc_type = kind
        self.exc_msg = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> None:
        """Raises an exception of the same class; a RuntimeError if that class takes no text."""
        # Kept in no variable: an exception that its own frames refer to would live on with them.
        raise self._remade() from None

    def _remade(self) -> BaseException:
        kind = self.exc_type
        assert kind is not None
        text = f"Caught {kind.__name__} {self.where}.\nOriginal {self.exc_msg}"
        try:
            return kind(_Verbatim(text) if kind is KeyError else text)
        except Exception:  # noqa: BLE001 (the constructor is the user's)
            return RuntimeError(text)


@dataclass(frozen=True)
class Job:
    """What the workers of one loader have in common."""

    create_fetcher: Callable[[], Any]
    dataset: Any
    base_seed: int
    init_fn: Callable[[int], None] | None
    num_workers: int


def _seed(base_seed: int, worker_id: int) -> int:
    import numpy  # here only: workers need it, programs without workers may not

    seed = base_seed + worker_id
    random.seed(seed)
    flambeau.manual_seed(seed)
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    numpy.random.seed(numpy.random.SeedSequence(entropy).generate_state(4))
    return seed


def run_worker(job: Job, worker_id: int, indices: Any, results: Any, finished: Any) -> None:
    """The whole life of a worker: batches for indices until None comes or the parent is gone.

    `finished.value` is set when nobody wants the batches that are still to be made.
    """
    global _worker_info
    where = f"in DataLoader worker process {worker_id}"
    fetcher, failure = None, None
    try:
        flambeau.set_num_threads(1)
        seed = _seed(job.base_seed, worker_id)
        _worker_info = WorkerInfo(worker_id, job.num_workers, seed, job.dataset)
        try:
            if job.init_fn is not None:
                job.init_fn(worker_id)
            fetcher = job.create_fetcher()
        except Exception:  # noqa: BLE001 (raised again in the main process)
            failure = RemoteError(where)
        parent = multiprocessing.parent_process()
        while parent is None or parent.is_alive():
            try:
                task = indices.get(timeout=CHECK_INTERVAL)
            except queue.Empty:
                continue
            if task is None:
                break
            if finished.value:
                continue
            if isinstance(task, Restart):
                fetcher = job.create_fetcher()
                results.send((task, None))
                continue
            number, index = task
            results.send((number, failure or _fetch(fetcher, index, where)))
    except (KeyboardInterrupt, BrokenPipeError):
        return  # the main process reports the first and has caused the second


def _fetch(fetcher: Any, index: Any, where: str) -> Any:
    try:
        return fetcher.fetch(index)
    except StopIteration:
        return StreamEnded() if hasattr(fetcher, "dataset_iter") else RemoteError(where)
    except Exception:  # noqa: BLE001 (raised again in the main process)
        return RemoteError(where)

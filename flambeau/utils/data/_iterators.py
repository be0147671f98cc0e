"""One pass over the data of a DataLoader: in the caller's process, or by worker processes.

>>> loader = torch.utils.data.DataLoader([1, 2, 3], batch_size=2)
>>> batches = iter(loader)
>>> next(batches), next(batches)
(tensor([1, 2]), tensor([3]))
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
import warnings
import weakref
from typing import Any

import flambeau
from flambeau.utils.data._utils.fetch import _IterableDatasetFetcher, _MapDatasetFetcher
from flambeau.utils.data._utils.worker import (
    CHECK_INTERVAL,
    Job,
    RemoteError,
    Restart,
    StreamEnded,
    run_worker,
)


class _DatasetKind:
    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(
        kind: int, dataset: Any, auto_collation: bool, collate_fn: Any, drop_last: bool
    ) -> Any:
        """The fetcher for a dataset with indices, or for a stream."""
        fetcher = _MapDatasetFetcher if kind == _DatasetKind.Map else _IterableDatasetFetcher
        return fetcher(dataset, auto_collation, collate_fn, drop_last)


class _BaseDataLoaderIter:
    """Counts what is yielded; subclasses define `_next_data`."""

    def __init__(self, loader: Any) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._timeout = loader.timeout
        if loader.pin_memory and not flambeau.cuda.is_available():
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=4,
            )
        self._sampler_iter = iter(self._index_sampler)
        # Drawn even when no worker needs it: the default generator advances as in torch.
        self._base_seed = int(
            flambeau.empty((), dtype=flambeau.int64).random_(generator=loader.generator).item()
        )
        self._num_yielded = 0
        self._create_fetcher = functools.partial(
            _DatasetKind.create_fetcher,
            self._dataset_kind,
            self._dataset,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
        )

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _reset(self, loader: Any) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        said = self._IterableDataset_len_called
        if (
            self._dataset_kind == _DatasetKind.Iterable
            and said is not None
            and self._num_yielded > said
        ):
            text = (
                f"Length of IterableDataset {self._dataset} was reported to be {said}(when "
                f"accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
            )
            if self._num_workers > 0:
                text += (
                    "For multiprocessing data-loading, this could be caused by not properly "
                    "configuring the IterableDataset replica at each worker. Please see "
                    "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset "
                    "for examples."
                )
            warnings.warn(text, stacklevel=2)
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self._dataset_fetcher = self._create_fetcher()

    def _next_data(self) -> Any:
        return self._dataset_fetcher.fetch(self._next_index())


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Keeps `prefetch_factor` batches for each worker on the way, and yields them in order.

    Indices go out through a queue for each worker, whose thread never blocks this process; batches
    come back through a pipe for each worker, so that one that dies cannot damage the others'.
    """

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        self._persistent_workers = loader.persistent_workers
        if self._prefetch_factor <= 0:
            raise AssertionError(
                "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
            )
        context = loader.multiprocessing_context or multiprocessing.get_context()
        job = Job(
            self._create_fetcher,
            self._dataset,
            self._base_seed,
            loader.worker_init_fn,
            self._num_workers,
        )
        finished = context.RawValue("b", 0)  # no lock: a killed worker would keep it
        self._workers: list[Any] = []
        self._queues: list[Any] = []
        self._readers: list[Any] = []
        for worker_id in range(self._num_workers):
            indices = context.Queue()
            reader, writer = context.Pipe(duplex=False)
            worker = context.Process(
                target=run_worker,
                args=(job, worker_id, indices, writer, finished),
                daemon=True,
            )
            worker.start()
            writer.close()  # the worker holds the only other end
            self._workers.append(worker)
            self._queues.append(indices)
            self._readers.append(reader)
        # Not `__del__`: this object may be part of a cycle, whose other members are torn down in
        # any order, and at exit the workers have to end before multiprocessing does.
        self._shutdown = weakref.finalize(
            self,
            _stop_workers,
            os.getpid(),
            self._workers,
            self._queues,
            self._readers,
            finished,
        )
        self._begin()

    def _begin(self) -> None:
        self._sent = 0  # the number of the next task
        self._awaited = 0  # the number of the next batch to yield
        self._worker_of: dict[int, int] = {}  # tasks on the way
        self._arrived: dict[int, Any] = {}  # batches that came before their turn
        self._active = [True] * self._num_workers  # whose stream has not ended
        self._turns = itertools.cycle(range(self._num_workers))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._send_task()

    def _reset(self, loader: Any) -> None:
        while self._worker_of:  # a pass that was left early
            number, _ = self._receive()
            del self._worker_of[number]
        super()._reset(loader)
        for indices in self._queues:
            indices.put(Restart())
        for _ in self._workers:
            self._receive()
        self._begin()

    def _send_task(self) -> None:
        worker_id = self._next_worker()
        if worker_id is None:
            return
        try:
            index = self._next_index()
        except StopIteration:
            return
        self._queues[worker_id].put((self._sent, index))
        self._worker_of[self._sent] = worker_id
        self._sent += 1

    def _next_worker(self) -> int | None:
        """The next in turn that still has data and, if order does not matter, is not behind."""
        most = self._prefetch_factor * self._num_workers // max(1, sum(self._active))
        for worker_id in itertools.islice(self._turns, self._num_workers):
            if not self._active[worker_id]:
                continue
            waiting = sum(owner == worker_id for owner in self._worker_of.values())
            if self._in_order or waiting < most:
                return worker_id
        return None

    def _receive(self) -> tuple[Any, Any]:
        """The next message of any worker; an error if one of them died or none answers in time."""
        sentinels = [worker.sentinel for worker in self._workers]
        ready = multiprocessing.connection.wait(
            [*self._readers, *sentinels], self._timeout if self._timeout > 0 else None
        )
        for reader in self._readers:
            if reader in ready:
                try:
                    return reader.recv()
                except (EOFError, OSError):
                    break
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        raise self._death() from self._signal()

    def _death(self) -> RuntimeError:
        for worker in self._workers:
            worker.join(timeout=0.1)  # the exit status follows the end of the pipe
        dead = [str(worker.pid) for worker in self._workers if not worker.is_alive()]
        return RuntimeError(f"DataLoader worker (pid(s) {', '.join(dead)}) exited unexpectedly")

    def _signal(self) -> RuntimeError | None:
        for worker in self._workers:
            if worker.exitcode is not None and worker.exitcode < 0:
                name = signal.strsignal(-worker.exitcode)
                return RuntimeError(
                    f"DataLoader worker (pid {worker.pid}) is killed by signal: {name}. "
                )
        return None

    def _next_data(self) -> Any:
        while self._worker_of or self._arrived:
            if self._awaited in self._arrived:
                return self._yielded(self._arrived.pop(self._awaited))
            if self._awaited not in self._worker_of and self._in_order:
                self._awaited += 1  # asked of a stream that had ended
                continue
            number, data = self._receive()
            worker_id = self._worker_of.pop(number)
            if isinstance(data, StreamEnded):
                if self._active[worker_id]:
                    self._active[worker_id] = False
                    self._send_task()
            elif self._in_order:
                self._arrived[number] = data
            else:
                return self._yielded(data)
        if not self._persistent_workers:
            self._shutdown()
        raise StopIteration

    def _yielded(self, data: Any) -> Any:
        self._awaited += 1
        self._send_task()
        if isinstance(data, RemoteError):
            data.reraise()
        return data


def _stop_workers(
    process: int, workers: list[Any], queues: list[Any], readers: list[Any], finished: Any
) -> None:
    """Ends the workers of a pass, whether or not they are still at work."""
    if os.getpid() != process:
        return  # a forked child has a copy of the iterator, but the workers are not its own
    finished.value = 1
    for indices in queues:
        indices.put(None)
        indices.close()
    deadline = time.monotonic() + CHECK_INTERVAL
    while any(w.is_alive() for w in workers) and time.monotonic() < deadline:
        # A worker may be waiting for room in its pipe.
        sentinels = [worker.sentinel for worker in workers if worker.is_alive()]
        for ready in multiprocessing.connection.wait([*readers, *sentinels], 1):
            if ready in readers:
                try:
                    ready.recv_bytes()  # type: ignore[union-attr]
                except (EOFError, OSError):
                    readers.remove(ready)
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
        worker.join()
    for reader in readers:
        reader.close()

"""`torch.futures`: values that another thread is still computing.

>>> future = torch.futures.Future()
>>> later = future.then(lambda done: done.value() + 1)
>>> future.set_result(1)
>>> later.wait()
2
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Future(Generic[T]):
    """A value that is set once, in whatever thread; it stands on Python's own futures."""

    def __init__(self, *, devices: Sequence[Any] | None = None):
        self._future: futures.Future[T] = futures.Future()

    def done(self) -> bool:
        """Whether the value, or an error, is there."""
        return self._future.done()

    def wait(self) -> T:
        """The value, when it is there; raises the error that was set instead."""
        return self._future.result()

    def value(self) -> T:
        """The value, which must be there."""
        if not self.done():
            raise RuntimeError("value() can only be called on a completed Future")
        return self._future.result()

    def set_result(self, result: T) -> None:
        """Sets the value, once."""
        if self.done():
            raise RuntimeError("Future can only be marked completed once")
        self._future.set_result(result)

    def set_exception(self, result: Exception) -> None:
        """Sets the error that `wait` raises."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._future.set_exception(result)

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Calls `callback(self)` when the value is there, at once if it is."""
        self._future.add_done_callback(lambda _: callback(self))

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """The future value of `callback(self)`."""
        following: Future[S] = Future()

        def follow(done: Future[T]) -> None:
            try:
                following.set_result(callback(done))
            except Exception as error:  # noqa: BLE001  whoever waits gets it
                following.set_exception(error)

        self.add_done_callback(follow)
        return following


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of all these, done when the last one is."""
    together: Future[list[Future[Any]]] = Future()
    waiting, lock = [len(futures)], threading.Lock()

    def count(_: Future[Any]) -> None:
        with lock:
            waiting[0] -= 1
            last = waiting[0] == 0
        if last:
            together.set_result(list(futures))

    for future in futures:
        future.add_done_callback(count)
    if not futures:
        together.set_result([])
    return together


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """The values of all, in order; raises the first error.

    >>> ready = torch.futures.Future(); ready.set_result(3)
    >>> torch.futures.wait_all([ready, ready])
    [3, 3]
    """
    return [future.wait() for future in collect_all(futures).wait()]

"""Profiles: blocks and modules, with their times, as a table or a trace for chrome://tracing.

with profile() as prof:
    model(x)
print(prof.key_averages().table(sort_by="cpu_time_total"))
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from flambeau.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)


class ProfilerActivity(Enum):
    """What can be measured."""

    CPU = 0
    CUDA = 2
    XPU = 1
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(Enum):
    """What a step of a schedule does."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """What is measured here."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:  # fmt: skip
    """What each step does: `wait` steps nothing, `warmup` steps unrecorded, `active` recorded.

    >>> [torch.profiler.schedule(wait=1, warmup=0, active=1)(i).name for i in range(2)]
    ['NONE', 'RECORD_AND_SAVE']
    """

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        round_length = wait + warmup + active
        if repeat > 0 and step // round_length >= repeat:
            return ProfilerAction.NONE
        place = step % round_length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        last = place == round_length - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


class Event:
    """One measured block."""

    def __init__(self, name: str, start: float, stop: float, inner: float, thread: int):
        self.name = self.key = name
        self.start, self.stop, self.inner, self.thread = start, stop, inner, thread

    @property
    def cpu_time_total(self) -> float:
        """Microseconds, with what was called inside."""
        return (self.stop - self.start) * 1e6

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds, without what was called inside."""
        return self.cpu_time_total - self.inner * 1e6


class Average:
    """All events of one name."""

    def __init__(self, key: str):
        self.key = key
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0

    def add(self, event: Event) -> None:
        """Counts one more event."""
        self.count += 1
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total

    @property
    def cpu_time(self) -> float:
        """Microseconds of one event on the average."""
        return self.cpu_time_total / self.count

    device_time_total = self_device_time_total = cuda_time_total = self_cuda_time_total = 0.0


class EventList(list[Any]):
    """Events or averages, which can be shown as a table."""

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
        max_name_column_width: int = 55, max_shapes_column_width: int = 80,
        header: str | None = None, top_level_events_only: bool = False,
    ) -> str:  # fmt: skip
        """The rows, the greatest first by the column asked for."""
        rows = self
        if sort_by is not None:
            rows = EventList(sorted(self, key=lambda e: getattr(e, sort_by), reverse=True))
        total = sum(row.self_cpu_time_total for row in self) or 1.0
        names = ("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg",
                 "# of Calls")  # fmt: skip
        lines = []
        for row in rows[:row_limit]:
            count = getattr(row, "count", 1)
            lines.append(
                (
                    row.key[:max_name_column_width],
                    f"{row.self_cpu_time_total / total:.2%}",
                    _time(row.self_cpu_time_total),
                    f"{row.cpu_time_total / total:.2%}",
                    _time(row.cpu_time_total),
                    _time(row.cpu_time_total / count),
                    str(count),
                )
            )
        widths = [max(len(line[i]) for line in [names, *lines]) for i in range(len(names))]
        rule = "  ".join("-" * width for width in widths)
        text = [header] if header else []
        text += [rule, _line(names, widths), rule, *(_line(line, widths) for line in lines), rule]
        return "\n".join([*text, f"Self CPU time total: {_time(total)}", ""])

    __str__ = table

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all rows."""
        return float(sum(row.self_cpu_time_total for row in self))


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _time(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    return f"{microseconds / 1e3:.3f}ms" if microseconds >= 1e3 else f"{microseconds:.3f}us"


class _Recorder(threading.local):
    """The blocks that a thread is inside of."""

    def __init__(self) -> None:
        self.open: list[list[Any]] = []


_recorder = _Recorder()
_active: list[profile] = []


def _begin(name: str) -> None:
    if _active:
        _recorder.open.append([name, time.perf_counter(), 0.0])


def _end() -> None:
    if not _recorder.open:
        return
    name, start, inner = _recorder.open.pop()
    stop = time.perf_counter()
    if _recorder.open:
        _recorder.open[-1][2] += stop - start
    for profiler in _active:
        profiler._add(Event(name, start, stop, inner, threading.get_ident()))


class record_function(contextlib.ContextDecorator):
    """Marks a block (or a function) for profiles.

    >>> with torch.profiler.record_function("forward"):
    ...     pass
    """

    def __init__(self, name: str, args: str | None = None):
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        _begin(self.name)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        _end()


class profile:
    """Measures what runs inside the block; `step()` marks the end of a training step."""

    def __init__(
        self, *, activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None, record_shapes: bool = False,
        profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False,
        with_modules: bool = False, **others: Any,
    ):  # fmt: skip
        self.activities = set(activities or supported_activities())
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num = 0
        self._events: list[Event] = []
        self._hooks: list[Any] = []

    def _action(self) -> ProfilerAction:
        if self.schedule is None:
            return ProfilerAction.RECORD
        return self.schedule(self.step_num)

    def _add(self, event: Event) -> None:
        if self._action() in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self._events.append(event)

    def start(self) -> None:
        """Begins to measure."""
        _active.append(self)
        self._hooks = [
            register_module_forward_pre_hook(lambda m, x: _begin(f"nn.Module: {type(m).__name__}")),
            register_module_forward_hook(lambda m, x, y: _end(), always_call=True),
        ]

    def stop(self) -> None:
        """Stops measuring."""
        for hook in self._hooks:
            hook.remove()
        _active.remove(self)
        if self.on_trace_ready is not None and (self._events or self.schedule is None):
            self.on_trace_ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.stop()

    def step(self) -> None:
        """The end of a training step."""
        if self._action() is ProfilerAction.RECORD_AND_SAVE and self.on_trace_ready is not None:
            self.on_trace_ready(self)
            self._events = []
        self.step_num += 1

    def events(self) -> EventList:
        """Every block."""
        return EventList(self._events)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **others: Any
    ) -> EventList:
        """The blocks by name."""
        averages: dict[str, Average] = {}
        for event in self._events:
            averages.setdefault(event.key, Average(event.key)).add(event)
        return EventList(averages.values())

    def export_chrome_trace(self, path: str) -> None:
        """Writes a trace for chrome://tracing."""
        process = os.getpid()
        events = [
            {
                "ph": "X", "name": event.name, "cat": "cpu_op", "ts": event.start * 1e6,
                "dur": event.cpu_time_total, "pid": process, "tid": event.thread,
            }
            for event in self._events
        ]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events}, file)

    def table(self, *args: Any, **options: Any) -> str:
        """`key_averages().table(...)`"""
        return self.key_averages().table(*args, **options)

    def total_average(self) -> Average:
        """All blocks together."""
        total = Average("Total")
        for event in self._events:
            total.add(event)
        return total

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all blocks."""
        return self.events().self_cpu_time_total

    def __str__(self) -> str:
        return self.table()


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """What writes the trace of each round into a folder."""
    os.makedirs(dir_name, exist_ok=True)
    worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"

    @functools.wraps(tensorboard_trace_handler)
    def handler(prof: Any) -> None:
        name = f"{worker}.{time.time_ns()}.pt.trace.json"
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return handler

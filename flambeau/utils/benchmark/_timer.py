"""`Timer` runs a statement many times; `Measurement` is what came out; `Compare` shows several.

Timer("x @ x", globals={"x": x}, label="matmul", sub_label="1024").blocked_autorange()
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterable
from time import perf_counter as timer
from typing import Any

import flambeau

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit that suits a time."""
    for name, size in UNITS.items():
        if seconds >= size:
            return name, size
    return "ns", 1e-9


class Measurement:
    """Times of a statement: `raw_times` are those of `number_per_run` runs each."""

    def __init__(
        self, number_per_run: int, raw_times: list[float], task_spec: Any = None,
        metadata: dict[str, Any] | None = None,
    ):  # fmt: skip
        self.number_per_run, self.raw_times = number_per_run, raw_times
        self.task_spec, self.metadata = task_spec, metadata

    @property
    def times(self) -> list[float]:
        """Seconds of one run, for each of the repetitions."""
        return [time / self.number_per_run for time in self.raw_times]

    def _quantile(self, share: float) -> float:
        times = sorted(self.times)
        place = share * (len(times) - 1)
        low = int(place)
        high = min(low + 1, len(times) - 1)
        return times[low] + (times[high] - times[low]) * (place - low)

    @property
    def mean(self) -> float:
        """Seconds of one run on the average."""
        return sum(self.times) / len(self.times)

    @property
    def median(self) -> float:
        """Seconds of one run, the middle of all."""
        return self._quantile(0.5)

    @property
    def iqr(self) -> float:
        """The distance between the quartiles."""
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def title(self) -> str:
        """What was measured."""
        spec = self.task_spec or {}
        parts = [spec.get("label") or spec.get("stmt", ""), spec.get("sub_label")]
        return ": ".join(part for part in parts if part)

    def __getattr__(self, name: str) -> Any:
        spec = self.__dict__.get("task_spec") or {}
        if name in spec:
            return spec[name]
        raise AttributeError(f"'Measurement' object has no attribute '{name}'")

    def __repr__(self) -> str:
        unit, size = unit_of(self.median)
        lines = [f"{object.__repr__(self)}", self.title]
        if len(self.raw_times) > 1:
            lines.append(f"  Median: {self.median / size:.2f} {unit}")
            lines.append(f"  IQR:    {self.iqr / size:.2f} {unit}")
            lines.append(f"  {len(self.raw_times)} measurements, {self.number_per_run} runs each")
        else:
            lines.append(f"  {self.mean / size:.2f} {unit}")
            lines.append(f"  1 measurement, {self.number_per_run} runs")
        threads = (self.task_spec or {}).get("num_threads", 1)
        return "\n".join([*lines[:-1], f"{lines[-1]} , {threads} thread{'s'[: threads != 1]}"])


class Timer:
    """Times a statement of Python, on `num_threads` threads.

    >>> torch.utils.benchmark.Timer("1 + 1").timeit(5).number_per_run
    5
    """

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "",
        timer: Callable[[], float] = timer, globals: dict[str, Any] | None = None,
        label: str | None = None, sub_label: str | None = None, description: str | None = None,
        env: str | None = None, num_threads: int = 1, language: Any = "python",
    ):  # fmt: skip
        if str(language).lower() not in ("python", "py", "language.python"):
            raise NotImplementedError("torch.utils.benchmark.Timer: statements of Python only")
        names = {"torch": flambeau, **(globals or {})}
        self._timer = timeit.Timer(stmt=stmt, setup=setup, timer=timer, globals=names)
        self._spec = {
            "stmt": stmt, "setup": setup, "label": label, "sub_label": sub_label,
            "description": description, "env": env, "num_threads": num_threads,
        }  # fmt: skip
        self._threads = num_threads

    def _run(self, number: int) -> float:
        before = flambeau.get_num_threads()
        flambeau.set_num_threads(self._threads)
        try:
            return self._timer.timeit(number)
        finally:
            flambeau.set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One measurement of `number` runs, after a few to warm up."""
        self._run(max(number // 100, 2))
        return Measurement(number, [self._run(number)], self._spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """Not there, as in torch: use `timeit` or `blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block_size(self, min_run_time: float) -> int:
        """So many runs that the clock hardly counts."""
        number = 1
        while True:
            taken = self._run(number)
            if taken >= min(min_run_time / 1000, 1e-3) or taken >= min_run_time:
                return number
            number *= 10

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Blocks of runs until they took `min_run_time` seconds."""
        number = self._block_size(min_run_time)
        times: list[float] = []
        while sum(times) < min_run_time or len(times) < 2:
            taken = self._run(number)
            times.append(taken)
            if callback is not None:
                callback(number, taken)
        return Measurement(number, times, self._spec)

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:  # fmt: skip
        """Blocks of runs until the quartiles are near each other."""
        number = self._block_size(min_run_time)
        times: list[float] = []
        while sum(times) < max_run_time:
            taken = self._run(number)
            times.append(taken)
            if callback is not None:
                callback(number, taken)
            measured = Measurement(number, times, self._spec)
            steady = measured.iqr / measured.median < threshold
            if len(times) > 3 and sum(times) > min_run_time and steady:
                break
        return Measurement(number, times, self._spec)

    def collect_callgrind(self, *args: Any, **options: Any) -> Any:
        """Instruction counts: not there."""
        raise NotImplementedError("Timer.collect_callgrind is not implemented in Flambeau")


class Compare:
    """A table of measurements: a row for each sub-label, a column for each description."""

    def __init__(self, results: Iterable[Measurement]):
        self._results = list(results)
        self._trimmed = False

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Adds measurements."""
        self._results += list(results)

    def trim_significant_figures(self) -> None:
        """Fewer digits."""
        self._trimmed = True

    def colorize(self, rowwise: bool = False) -> None:
        """Accepted; the table has no colours."""

    def highlight_warnings(self) -> None:
        """Accepted."""

    def print(self) -> None:
        """Writes the table."""
        print(str(self))

    def __str__(self) -> str:
        tables: dict[str, list[Measurement]] = {}
        for result in self._results:
            spec = result.task_spec or {}
            tables.setdefault(spec.get("label") or spec.get("stmt") or "", []).append(result)
        return "\n".join(self._table(label, results) for label, results in tables.items())

    def _table(self, label: str, results: list[Measurement]) -> str:
        unit, size = unit_of(min(r.median for r in results))
        columns = list(dict.fromkeys(self._column(r) for r in results))
        rows: dict[tuple[int, str], dict[str, float]] = {}
        for result in results:
            spec = result.task_spec
            key = (spec["num_threads"], spec["sub_label"] or spec["stmt"])
            rows.setdefault(key, {})[self._column(result)] = result.median / size
        digits = 0 if self._trimmed else 1
        lines, threads = [["", *columns]], 0
        for (count, name), cells in rows.items():
            if count != threads:
                lines.append([f"{count} threads:"])
                threads = count
            lines.append(
                [f"  {name}", *(f"{cells[c]:.{digits}f}" if c in cells else "" for c in columns)]
            )
        widths = [max(len(l[i]) for l in lines if i < len(l)) for i in range(len(columns) + 1)]
        body = [
            "  |  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in
                         enumerate(zip(line, widths, strict=False)))
            for line in lines
        ]  # fmt: skip
        width = max(map(len, body))
        title = f" {label} ".center(width, "-")
        return "\n".join([f"[{title}]", *body, "", f"Times are in {_plural(unit)} ({unit})."])

    @staticmethod
    def _column(result: Measurement) -> str:
        return result.task_spec["description"] or ""


def _plural(unit: str) -> str:
    return {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]

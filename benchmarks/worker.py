"""One framework in one process. Reads requests as lines of JSON, answers each with one line.

    {"group": "calls"}                                  -> {"labels": [...]}
    {"group": "calls", "label": "add", "budget": 0.2}   -> {"samples": [...], "first": seconds}

A sample is the seconds of one step; how many steps make one sample is found once, so that a sample
takes a few milliseconds. `first` is what the first step took, compilation included. Errors are
answers too.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.rows import rows

SAMPLE_SECONDS = 0.004


def finish(result: Any) -> None:
    """Wait until the result is there, whatever the framework postpones."""
    if hasattr(result, "detach") and result.numel():
        result.detach().reshape(-1)[0].item()


def timed(step: Callable[[], Any], count: int) -> float:
    """Seconds of one step, over `count` of them."""
    start = time.perf_counter()
    for _ in range(count):
        result = step()
    finish(result)
    return (time.perf_counter() - start) / count


def calibrated(step: Callable[[], Any]) -> int:
    """How many steps make a sample that the clock can measure."""
    count = 1
    while min(timed(step, count), timed(step, count)) * count < SAMPLE_SECONDS:
        count *= 2
    return count


def measure(step: Callable[[], Any], count: int, budget: float) -> list[float]:
    """Samples for `budget` seconds, at least three."""
    samples: list[float] = []
    end = time.perf_counter() + budget
    while len(samples) < 3 or time.perf_counter() < end:
        samples.append(timed(step, count))
    return samples


class Bench:
    """Keeps the row that was measured last, ready for the next round."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.chosen: tuple[str, str] | None = None
        self.group = ""
        self.rows: dict[str, Callable[[], Callable[[], Any]]] = {}

    def open(self, group: str) -> None:
        """Make the rows of a group; those of the last one go first."""
        if group != self.group:
            self.rows, self.group = {}, ""
            self.torch.manual_seed(0)
            self.rows, self.group = rows(self.torch, group), group

    def prepare(self, group: str, label: str) -> None:
        """Build the row's operands and run it once, which compiles what there is to compile."""
        if self.chosen == (group, label):
            return
        self.chosen = None
        self.step: Callable[[], Any] = lambda: None  # the tensors of the last row go first
        self.open(group)
        self.torch.manual_seed(0)
        self.step = self.rows[label]()
        self.first = timed(self.step, 1)
        self.count = calibrated(self.step)
        self.chosen = group, label

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "label" not in request:
            self.open(request["group"])
            return {"labels": list(self.rows)}
        self.prepare(request["group"], request["label"])
        samples = measure(self.step, self.count, request["budget"])
        return {"samples": samples, "first": self.first}


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    torch = importlib.import_module(name)
    torch.set_num_threads(threads)
    bench = Bench(torch)
    answers, sys.stdout = sys.stdout, sys.stderr  # what a framework prints is no answer
    print(json.dumps({"version": str(torch.__version__)}), file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = bench.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  reported to the parent, which shows it
            bench.chosen = None
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:100]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

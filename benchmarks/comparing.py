"""Two frameworks, one process each, taking turns; a row's figure is the ratio of their best times.

    ours, theirs = Worker("flambeau", threads=2), Worker("torch", threads=2)
    compare(ours, theirs, "calls", "add", rounds=3, budget=0.1)["ratio"]

What disturbs a measurement (other users, heat) only ever adds time, so the best of all samples is
the figure; the two alternate in rounds, so that a bad minute hits both, and the ratios of single
rounds say how steady it is. Above 1, `ours` is faster.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 240.0  # seconds after which a row counts as hung


class Worker:
    """A process that measures one framework."""

    def __init__(self, module: str, threads: int) -> None:
        self.module, self.threads = module, threads
        self.start()

    def start(self) -> None:
        """Start the process, again after a crash."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", self.module, str(self.threads)],
            cwd=ROOT,
            env=dict(os.environ, OMP_NUM_THREADS=str(self.threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{self.module} could not be imported (see the error above)")
        self.version = json.loads(line)["version"]

    def ask(self, **request: Any) -> dict[str, Any]:
        """The worker's answer, or the error it met."""
        assert self.process.stdin is not None and self.process.stdout is not None
        guard = threading.Timer(LONGEST, self.process.kill)
        guard.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        finally:
            guard.cancel()
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.start()
        return {"error": f"the process ended with status {status}"}

    def labels(self, group: str) -> list[str]:
        """The rows of a group or family."""
        answer = self.ask(group=group)
        if "error" in answer:
            raise SystemExit(f"{self.module} cannot build {group}: {answer['error']}")
        return answer["labels"]

    def stop(self) -> None:
        """End the process and give its memory back."""
        self.process.communicate()


def compare(
    ours: Worker, theirs: Worker, group: str, label: str, rounds: int, budget: float
) -> dict[str, Any]:
    """Ratios of one row; {"error": ...} where one side cannot run it."""
    seconds: dict[Worker, list[float]] = {ours: [], theirs: []}
    first: dict[Worker, float] = {}
    ratios = []
    for turn in range(rounds):
        for worker in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            answer = worker.ask(group=group, label=label, budget=budget)
            if "error" in answer:
                return {"error": f"{worker.module}: {answer['error']}"}
            seconds[worker].append(min(answer["samples"]))
            first.setdefault(worker, answer["first"])
        ratios.append(seconds[theirs][-1] / seconds[ours][-1])
    best, other = min(seconds[ours]), min(seconds[theirs])
    return {
        "ratio": other / best,
        "least": min(ratios),
        "greatest": max(ratios),
        "ours": best,
        "theirs": other,
        "ours_first": first[ours],
        "theirs_first": first[theirs],
    }


def geometric_mean(ratios: Iterable[float]) -> float:
    """The mean that treats twice as fast and half as fast as opposites.

    >>> geometric_mean([2.0, 0.5])
    1.0
    """
    return math.exp(statistics.fmean(map(math.log, ratios)))


def in_units(seconds: float) -> str:
    """A time with three digits.

    >>> in_units(1.234e-6), in_units(0.0456)
    ('1.23 us', '45.6 ms')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"

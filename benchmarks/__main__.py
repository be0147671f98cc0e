"""`python -m benchmarks`: Flambeau and torch take turns, one process each; prints the ratios.

The machine's speed drifts (other users, heat), so the two alternate within each round and each
round gives one ratio; the figure quoted is the median of the rounds, with the least and the
greatest beside it. A ratio above 1 means that Flambeau is faster.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import startup
from benchmarks.workloads import TABLE

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """A process that measures one framework."""

    def __init__(self, module: str, threads: int) -> None:
        self.command = [sys.executable, "-m", "benchmarks.worker", module, str(threads)]
        self.environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.start()

    def start(self) -> None:
        """Start the process, again after a crash."""
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{self.command[3]} could not be imported (see the error above)")
        self.version = json.loads(line)["version"]

    def ask(self, name: str, budget: float) -> dict[str, Any]:
        """Samples of one workload, or the error it met."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"name": name, "budget": budget}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.start()
        return {"error": f"the process ended with status {status}"}


def compare(ours: Worker, theirs: Worker, name: str, rounds: int, budget: float) -> dict[str, Any]:
    """Ratios of one workload; {"error": ...} where one side cannot run it."""
    seconds: dict[Worker, list[float]] = {ours: [], theirs: []}
    ratios = []
    for turn in range(rounds):
        for worker in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            answer = worker.ask(name, budget)
            if "error" in answer:
                return {"error": f"{worker.command[3]}: {answer['error']}"}
            seconds[worker].append(statistics.median(answer["samples"]))
        ratios.append(seconds[theirs][-1] / seconds[ours][-1])
    return {
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "greatest": max(ratios),
        "ours": statistics.median(seconds[ours]),
        "theirs": statistics.median(seconds[theirs]),
    }


def in_units(seconds: float) -> str:
    """A time with three digits: 1.23 us, 45.6 ms."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size or unit == "us":
            return f"{seconds / size:.3g} {unit}"
    raise AssertionError


def show(group: str, name: str, result: dict[str, Any]) -> None:
    """One line of the table."""
    head = f"{group:6s} {name:28s}"
    if "error" in result:
        print(f"{head} {result['error']}", flush=True)
        return
    span = f"({result['least']:.2f} to {result['greatest']:.2f})"
    times = f"{in_units(result['ours']):>9s} {in_units(result['theirs']):>9s}"
    print(f"{head} {times} {result['ratio']:7.2f}  {span}", flush=True)


def summarise(results: dict[str, dict[str, Any]]) -> None:
    """The geometric mean of each group, and how many rows are behind."""
    print()
    for group in dict.fromkeys(workload.group for workload in TABLE):
        rows = [results[w.name] for w in TABLE if w.group == group and w.name in results]
        ratios = [result["ratio"] for result in rows if "ratio" in result]
        if ratios:
            mean = math.exp(statistics.fmean(map(math.log, ratios)))
            behind = sum(ratio < 1 for ratio in ratios)
            count = f"{len(ratios)} of {len(rows)} rows"
            print(f"{group:6s} geometric mean {mean:.2f} over {count}, {behind} behind")


def show_startup(module: str, other: str) -> list[list[float]]:
    """Import time and memory, side by side."""
    pair = [startup.probe(module), startup.probe(other)]
    for (label, unit, scale), ours, theirs in zip(startup.LABELS, *pair):
        times = f"{ours * scale:5.0f} {unit:3s} {theirs * scale:5.0f} {unit:3s}"
        print(f"start  {label:28s} {times} {theirs / ours:7.2f}")
    return pair


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--module", default="flambeau", help="what is measured")
    parser.add_argument("--other", default="torch", help="what it is compared with")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows: 'group name' matches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=0.2, help="seconds a round and a side")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()

    chosen = [w for w in TABLE if re.search(options.only, f"{w.group} {w.name}")]
    ours, theirs = (Worker(name, options.threads) for name in (options.module, options.other))
    versions = f"{options.module} {ours.version}, {options.other} {theirs.version}"
    print(f"{versions}, {options.threads} threads\n")
    titles = f"{options.module:>9s} {options.other:>9s}"
    print(f"{'':6s} {'':28s} {titles}   ratio  (least to greatest of {options.rounds} rounds)")
    figures: dict[str, Any] = {}
    if not options.only:
        figures["startup"] = show_startup(options.module, options.other)
    results: dict[str, dict[str, Any]] = {}
    for workload in chosen:
        result = compare(ours, theirs, workload.name, options.rounds, options.budget)
        results[workload.name] = result
        show(workload.group, workload.name, result)
    summarise(results)
    if options.json:
        options.json.write_text(json.dumps({**figures, "rows": results}, indent=1))
    return 1 if any("error" in result for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""One framework in one process. Reads requests as lines of JSON, answers each with one line.

A request {"name": ..., "budget": seconds} is answered with the seconds that one step takes, as a
list of samples; how many steps make one sample is found once, so that a sample takes a few
milliseconds. Errors are answers too.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.workloads import TABLE

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
    while timed(step, count) * count < SAMPLE_SECONDS:
        count *= 2
    return count


def measure(step: Callable[[], Any], count: int, budget: float) -> list[float]:
    """Samples for `budget` seconds, at least three."""
    samples: list[float] = []
    end = time.perf_counter() + budget
    while len(samples) < 3 or time.perf_counter() < end:
        samples.append(timed(step, count))
    return samples


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    torch = importlib.import_module(name)
    torch.set_num_threads(threads)
    builders = {workload.name: workload.build for workload in TABLE}
    prepared: dict[str, tuple[Callable[[], Any], int]] = {}
    print(json.dumps({"module": name, "version": str(torch.__version__)}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["name"] not in prepared:
                prepared.clear()  # the tensors of the last workload go before the next come
                torch.manual_seed(0)
                step = builders[request["name"]](torch)
                timed(step, 1)  # compiles what there is to compile
                prepared[request["name"]] = step, calibrated(step)
            step, count = prepared[request["name"]]
            answer: dict[str, Any] = {"samples": measure(step, count, request["budget"])}
        except Exception as error:  # noqa: BLE001  reported to the parent, which shows it
            prepared.clear()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:100]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

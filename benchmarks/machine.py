"""The machine: what it is called, and its ceilings, against which rows are judged.

    describe()                -> "AMD EPYC, 2 processors, Linux x86_64, Python 3.11.7"
    ceilings(threads=2)       -> Ceilings(copy=2.1e10, multiply=2.3e11)

A step that must move B bytes and compute F operations takes at least max(B / copy, F / multiply)
seconds from memory; results that stay in a cache may be faster than the first.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

COPY_BYTES = 1 << 28
WIDTH = 2048  # of the matrices that are multiplied


class Ceilings(NamedTuple):
    """The greatest rates measured."""

    #: bytes read and written by a large copy, per second
    copy: float
    #: float32 operations of a large matrix product, per second
    multiply: float


def describe() -> str:
    """Processor, system and Python in one line."""
    cores = os.cpu_count() or 1
    system = f"{platform.system()} {platform.machine()}"
    return f"{processor()}, {cores} processors, {system}, Python {platform.python_version()}"


def load() -> str:
    """How many processes wanted to run during the last minutes, where the system says so."""
    if not hasattr(os, "getloadavg"):
        return "an unknown number of"
    return f"{os.getloadavg()[1]:.1f}"


def processor() -> str:
    """The name under which the processor is sold."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                label, _, value = line.partition(":")
                if label.strip() == "model name":
                    return value.strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def ceilings(threads: int, repeats: int = 5) -> Ceilings:
    """The best of a few large copies and matrix products of NumPy, on `threads` threads.

    NumPy's BLAS takes its number of threads from OMP_NUM_THREADS when it is loaded, so this runs in
    a process of its own.
    """
    command = [sys.executable, "-m", "benchmarks.machine", str(threads), str(repeats)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    copy, multiply = done.stdout.split()
    return Ceilings(float(copy), float(multiply))


def copy_rate(threads: int, repeats: int) -> float:
    """Bytes a second that a copy reads and writes, into memory that is there already."""
    import numpy

    source = numpy.ones(COPY_BYTES, numpy.uint8)
    target = numpy.zeros(COPY_BYTES, numpy.uint8)
    pieces = list(zip(numpy.array_split(target, threads), numpy.array_split(source, threads)))
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(lambda piece: numpy.copyto(*piece), pieces))
            best = min(best, time.perf_counter() - start)
    return 2 * COPY_BYTES / best


def multiply_rate(repeats: int) -> float:
    """Float32 operations a second of a product of two square matrices."""
    import numpy

    a = numpy.ones((WIDTH, WIDTH), numpy.float32)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * WIDTH**3 / best


if __name__ == "__main__":
    print(copy_rate(int(sys.argv[1]), int(sys.argv[2])), multiply_rate(int(sys.argv[2])))

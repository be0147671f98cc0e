"""The most memory that a process has had: after the import, and during training steps.

growth("flambeau", "MLP 784-256-128-10, Adam")     -> Peak(imported=33.0, training=61.5), MiB
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple

STEPS = 20


class Peak(NamedTuple):
    """MiB of resident memory at most, after `import torch` and after training."""

    imported: float
    training: float


def peak() -> float:
    """MiB that this process has had at most."""
    if sys.platform == "linux":
        with open("/proc/self/status", encoding="utf-8") as status:
            return int(status.read().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 1024


def of_training(module: str, name: str, threads: int) -> Peak:
    """The figures of one training row, from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", module, name, str(threads)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed with {module}:\n{done.stderr}")
    return Peak(*json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    import importlib

    from benchmarks.rows import TRAIN, rows

    torch = importlib.import_module(sys.argv[1])
    torch.set_num_threads(int(sys.argv[3]))
    imported = peak()
    torch.manual_seed(0)
    step = rows(torch, TRAIN)[sys.argv[2]]()
    for _ in range(STEPS):
        step()
    print(json.dumps([imported, peak()]))


if __name__ == "__main__":
    main()

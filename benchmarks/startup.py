"""What a start costs: seconds to import, and memory after it and after one training step.

Each figure comes from fresh processes, since the second import in a process costs nothing. The
first process of each kind warms the file cache and is not counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

PROBE = """
import json, sys, time
def memory():                                    # MiB that the process has had at most
    if sys.platform == "linux":
        text = open("/proc/self/status").read()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
start = time.perf_counter()
import {module} as torch
import {module}.nn, {module}.nn.functional, {module}.optim
seconds = time.perf_counter() - start
imported = memory()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(20, 10), torch.nn.ReLU(), torch.nn.Linear(10, 1))
optimizer = torch.optim.Adam(model.parameters())
start = time.perf_counter()
torch.nn.functional.mse_loss(model(torch.randn(32, 20)), torch.randn(32, 1)).backward()
optimizer.step()
print(json.dumps([seconds, imported, time.perf_counter() - start, memory()]))
"""

LABELS = (
    ("import", "ms", 1000.0),
    ("memory after import", "MiB", 1.0),
    ("first training step", "ms", 1000.0),
    ("memory after it", "MiB", 1.0),
)


def probe(module: str, repeats: int = 5) -> list[float]:
    """The four figures of LABELS for one module, medians over fresh processes."""
    rows = []
    for _ in range(repeats + 1):
        done = subprocess.run(
            [sys.executable, "-c", PROBE.format(module=module)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"importing {module} failed:\n{done.stderr}")
        rows.append(json.loads(done.stdout))
    return [statistics.median(column) for column in zip(*rows[1:])]

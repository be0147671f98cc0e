"""What `flambeau info` prints: the versions, the processor, threads, the kernel cache, devices.

>>> text = describe()
>>> text.startswith("flambeau")
True
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata

import flambeau
from flambeau.core.config import config

# Of the fifty or so features of a processor, those that decide how wide the kernels are.
FEATURES = ("avx512f", "avx512bf16", "avx2", "fma", "f16c", "neon", "sve", "bf16")


def describe() -> str:
    """The facts as lines of text, a label and a value each."""
    facts = {
        "flambeau": str(flambeau.__version__),
        "python": f"{platform.python_version()} ({platform.python_implementation()}, "
        f"{platform.system()} {platform.machine()}), {sys.executable}",
        "libraries": ", ".join(f"{name} {metadata.version(name)}" for name in _libraries()),
        "processor": processor(),
        "threads": f"{flambeau.get_num_threads()} (FLAMBEAU_THREADS or torch.set_num_threads)",
        "kernel cache": cache(),
        "devices": devices(),
    }
    return "\n".join(f"{label:13s} {value}" for label, value in facts.items())


def _libraries() -> tuple[str, ...]:
    return ("numpy", "llvmlite", "scipy-openblas64")


def processor() -> str:
    """The name for people, the name for LLVM, and the features that kernels make use of."""
    import llvmlite.binding as llvm

    supported = llvm.get_host_cpu_features()
    features = [name for name in FEATURES if supported.get(name)]
    cores = os.cpu_count() or 1
    return f"{_product_name()} ({llvm.get_host_cpu_name()}), {cores} cores; {' '.join(features)}"


def _product_name() -> str:
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


def cache() -> str:
    """Where compiled kernels are kept, how many, and how much room they take."""
    if config.cache is None:
        return "off (FLAMBEAU_CACHE=0)"
    count = size = 0
    for folder, _, names in os.walk(config.cache):
        for name in names:
            count += 1
            size += os.path.getsize(os.path.join(folder, name))
    return f"{config.cache} ({count} files, {size / 2**20:.1f} MiB)"


def devices() -> str:
    """The devices that tensors can be made on, here and now."""
    found = ["cpu", "meta (shapes only)"]
    if flambeau.cuda.is_available():
        count = flambeau.cuda.device_count()
        found += [f"cuda:{i} ({flambeau.cuda.get_device_name(i)})" for i in range(count)]
    else:
        found.append("no cuda")
    return ", ".join(found)

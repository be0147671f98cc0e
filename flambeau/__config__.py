"""`torch.__config__`: what this installation was made of; libraries print it, or look for "MKL".

>>> torch.__config__.show().splitlines()[0]
'Flambeau, kernels compiled by LLVM'
"""

from __future__ import annotations

import os

import flambeau


def show() -> str:
    """The version, the processor's capability and what does linear algebra."""
    lines = (
        "Flambeau, kernels compiled by LLVM",
        f"  - version: {flambeau.__version__}",
        f"  - CPU capability usage: {flambeau.backends.cpu.get_cpu_capability()}",
        "  - LAPACK is enabled (OpenBLAS)",
    )
    return "\n".join(lines) + "\n"


def parallel_info() -> str:
    """How many threads there are, and what asked for them."""
    asked = os.environ.get("OMP_NUM_THREADS", "[not set]")
    lines = (
        f"threads of large kernels: {flambeau.get_num_threads()}",
        f"processors: {os.cpu_count()}",
        f"OMP_NUM_THREADS: {asked}",
    )
    return "\n".join(lines) + "\n"

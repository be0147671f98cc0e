"""Records what the programs under examples/ print under torch, for tests/test_examples.py.

    .venv/bin/python tools/record_examples.py [name ...]

Run by hand (`make golden`) where torch is installed. Each program is run with other instruction
sets and other numbers of threads; where torch itself then prints something else, the program
depends on rounding and must be changed, so nothing is recorded.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "examples"
ARGUMENTS = {
    "linear_regression": ["--plot", "fit.png"],
    "logistic_regression": [],
    "binary_classifier": [],
    "mlp": [],
    "cnn_digits": [],
    "numpy_sharing": [],
    "indexing_and_views": [],
    "reproducibility": [],
    "custom_function": [],
    "saving_and_loading": [],
    "dataset_and_dataloader": [],
    "device_agnostic": ["--device", "cpu"],
}
VARIATIONS = [
    {"OMP_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "2"},
    {"OMP_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "avx2"},
    {"OMP_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "default", "DNNL_MAX_CPU_ISA": "AVX2"},
    {"OMP_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE", "DNNL_MAX_CPU_ISA": "SSE41"},
]


def output_of(name: str, variation: dict[str, str]) -> str:
    """What the program prints under torch; raises if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / f"{name}.py"), *ARGUMENTS[name]],
            cwd=folder,
            env={**os.environ, **variation, "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return done.stdout


def record(name: str) -> bool:
    """Write one golden file; False if torch does not agree with itself."""
    first, *others = [output_of(name, variation) for variation in VARIATIONS]
    for variation, other in zip(VARIATIONS[1:], others):
        if other != first:
            print(f"{name}: NOT recorded, differs with {variation}")
            lines = difflib.unified_diff(first.splitlines(), other.splitlines(), lineterm="", n=0)
            print("\n".join(lines))
            return False
    command = " ".join(["$", f"{name}.py", *ARGUMENTS[name]])
    (GOLDEN / f"{name}.txt").write_text(f"{command}\n{first}", encoding="utf-8")
    print(f"{name}: {first.count(chr(10))} lines")
    return True


def main() -> int:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    names = sys.argv[1:] or list(ARGUMENTS)
    recorded = [record(name) for name in names]
    return 0 if all(recorded) else 1


if __name__ == "__main__":
    sys.exit(main())

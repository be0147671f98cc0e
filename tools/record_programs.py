"""Records what torch prints for the programs under tests/programs/.

python tools/record_programs.py [NAME ...]      # torch 2.13 must be installed
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"


def main() -> None:
    """Runs the named programs, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in (TESTS / "programs").glob("*.py"))
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, str(TESTS / "programs" / f"{name}.py")],
                cwd=folder, capture_output=True, encoding="utf-8",
            )  # fmt: skip
        if done.returncode:
            sys.exit(f"{name} fails under torch:\n{done.stderr}")
        target = TESTS / "golden" / "programs" / f"{name}.txt"
        target.write_text(done.stdout, encoding="utf-8")
        print(f"{name}: {len(done.stdout.splitlines())} lines")


if __name__ == "__main__":
    main()

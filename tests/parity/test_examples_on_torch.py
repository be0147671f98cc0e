"""The golden outputs of the examples are what the installed torch prints today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = sorted((ROOT / "tests" / "golden" / "examples").glob("*.txt"))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_golden_output_is_current(golden: Path, tmp_path: Path) -> None:
    command, expected = golden.read_text(encoding="utf-8").split("\n", 1)
    script, *arguments = command.removeprefix("$ ").split()
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *arguments],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.splitlines() == expected.splitlines(), done.stderr

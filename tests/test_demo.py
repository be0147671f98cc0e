"""The demo keeps its promises: 97 % on held-out images, a checkpoint, a picture, and nothing to
compile when it is run again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flambeau

DEMO = Path(__file__).resolve().parent.parent / "examples" / "digits_demo.py"
AGAIN = """
import runpy, sys
from flambeau.codegen import llvm
sys.argv[0] = sys.argv.pop(1)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stopped:                 # after one epoch it reads fewer than 97 %
    print(stopped)
print("compiled:", llvm.compiled)
"""


def test_demo(command_line, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    cache = {"FLAMBEAU_CACHE": str(tmp_path / "kernels")}
    folder = tmp_path / "out"
    first = command_line(
        "-m", "flambeau", "run", str(DEMO), "--output", str(folder), env=cache, timeout=300
    )
    assert first.returncode == 0, first.stdout + first.stderr
    accuracy = re.search(r"held-out accuracy (\S+)%, the same from the checkpoint", first.stdout)
    assert accuracy is not None
    assert float(accuracy.group(1)) >= 97
    assert len(re.findall(r"^epoch +\d+/12  loss", first.stderr, re.M)) == 12
    assert (folder / "digits.png").read_bytes().startswith(b"\x89PNG")
    checkpoint = flambeau.load(folder / "digits.pt", weights_only=True)
    assert checkpoint["model"]["fc2.bias"].shape == (10,)
    assert str(folder / "digits.pt") in first.stdout
    assert str(folder / "digits.png") in first.stdout

    again = command_line(
        "-m", "flambeau", "run", "-c", AGAIN, str(DEMO), "--output", str(folder), "--epochs", "1",
        env=cache, timeout=300,
    )  # fmt: skip
    assert again.stdout.splitlines()[-1] == "compiled: []", again.stdout + again.stderr

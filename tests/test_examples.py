"""The programs under examples/ print under `flambeau run` exactly what they print under torch.

What torch prints is in tests/golden/examples/ (recorded by tools/record_examples.py); the first
line of each file is the command.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = sorted((ROOT / "tests" / "golden" / "examples").glob("*.txt"))
OPTIONAL = ("sklearn", "matplotlib")


def skip_if_missing(source: str) -> None:
    """Skip where a package of the `demo` extra that the program imports is not installed."""
    for package in OPTIONAL:
        if f"import {package}" in source or f"from {package}" in source:
            pytest.importorskip(package)


def test_every_example_is_recorded() -> None:
    programs = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"digits_demo"}
    assert programs == {path.stem for path in GOLDEN}
    assert len(programs) >= 12


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_prints_what_torch_prints(golden: Path, command_line, tmp_path: Path) -> None:
    command, expected = golden.read_text(encoding="utf-8").split("\n", 1)
    script, *arguments = command.removeprefix("$ ").split()
    path = ROOT / "examples" / script
    skip_if_missing(path.read_text(encoding="utf-8"))
    done = command_line("-m", "flambeau", "run", str(path), *arguments)
    assert done.stdout.splitlines() == expected.splitlines(), done.stderr
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    if "--plot" in arguments:
        picture = tmp_path / arguments[arguments.index("--plot") + 1]
        assert picture.read_bytes().startswith(b"\x89PNG")

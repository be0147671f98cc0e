"""Programs in the style of tutorials and courses (tests/programs/) print under `flambeau run` what
they print under torch.

Text must be the same to the character. Of numbers with a fraction the last digits may differ: a
training loop carries the last bit of a sum onwards, and sums are taken in another order here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PROGRAMS = sorted((TESTS / "programs").glob("*.py"))
FRACTION = re.compile(r"-?\d+\.\d*(?:[eE][-+]?\d+)?")


def compare(ours: str, theirs: str) -> None:
    """Two lines: the same text around numbers that are near each other."""
    mine, golden = (FRACTION.findall(line) for line in (ours, theirs))
    plain = lambda line: re.sub(r" +", " ", FRACTION.sub("#", line)).replace("[ ", "[")
    assert plain(ours) == plain(theirs), f"{ours!r} where torch prints {theirs!r}"
    for a, b in zip(mine, golden, strict=True):
        assert float(a) == pytest.approx(float(b), rel=2e-3, abs=2e-3), f"{ours!r}, not {theirs!r}"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_prints_what_torch_prints(program: Path, command_line) -> None:
    expected = (TESTS / "golden" / "programs" / f"{program.stem}.txt").read_text(encoding="utf-8")
    done = command_line("-m", "flambeau", "run", str(program))
    assert done.returncode == 0, done.stderr
    ours, theirs = done.stdout.splitlines(), expected.splitlines()
    for mine, golden in zip(ours, theirs, strict=False):
        if mine != golden:
            compare(mine, golden)
    assert len(ours) == len(theirs)

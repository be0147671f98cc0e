"""Wrong calls fail with torch's class and text, as tools/record_wrong_calls.py recorded them, and
leave their operands as they were."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import flambeau

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden" / "wrong_calls.json").read_text(encoding="utf-8"))


def table() -> Any:
    """tests/parity/wrong_calls.py, which needs no torch."""
    place = HERE / "parity" / "wrong_calls.py"
    specification = importlib.util.spec_from_file_location("wrong_calls", place)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


CASES = table()


@pytest.mark.parametrize("topic", CASES.CALLS)
def test_class_and_text(topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    different = []
    for line in CASES.CALLS[topic]:
        ours = CASES.outcome(flambeau, line)
        if not CASES.agrees(ours, GOLDEN[line]):
            different.append(f"{line}\n  torch: {GOLDEN[line]}\n  ours:  {ours}")
    assert not different, "\n".join(different)


def test_nothing_is_half_written() -> None:
    changed = []
    for lines in CASES.CALLS.values():
        for line in lines:
            # a line of several statements, or one that resizes, may change its operands before it
            # comes to the wrong call
            if ";" in line or "resize_" in line or "t_()" in line or ".data =" in line:
                continue
            space, before = CASES.names(flambeau), CASES.names(flambeau)
            CASES.run(line, space)
            for name in "xnbw":
                if not same(space[name], before[name]):
                    changed.append(f"{line}: {name} is {space[name]}")
    assert not changed, "\n".join(changed)


def same(a: Any, b: Any) -> bool:
    """Whether two tensors have the same shape, dtype and values."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tolist() == b.tolist()

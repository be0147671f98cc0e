"""Every wrong call of the table fails as it does under torch: same class, same first line."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from wrong_calls import CALLS, agrees, outcome

import flambeau


@pytest.mark.parametrize("topic", CALLS)
def test_wrong_calls(topic: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    different = []
    for line in CALLS[topic]:
        theirs, ours = outcome(torch, line), outcome(flambeau, line)
        assert theirs[0], f"torch accepts: {line}"
        if not agrees(ours, theirs):
            different.append(f"{line}\n  torch: {theirs}\n  ours:  {ours}")
    assert not different, "\n".join(different)


def test_the_table_is_large() -> None:
    assert sum(map(len, CALLS.values())) >= 200

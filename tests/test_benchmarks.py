"""The comparison under benchmarks/: every row runs, samples are seconds, the report adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import flambeau
from benchmarks.worker import calibrated, measure, timed
from benchmarks.workloads import LARGE, TABLE, TINY, TRAIN

ROOT = Path(__file__).resolve().parent.parent


def test_rows_have_names_of_their_own() -> None:
    names = [workload.name for workload in TABLE]
    assert len(names) == len(set(names))
    assert {workload.group for workload in TABLE} == {TINY, TRAIN, LARGE}


@pytest.mark.parametrize("workload", [w for w in TABLE if w.group != LARGE], ids=lambda w: w.name)
def test_small_rows_run(workload) -> None:
    step = workload.build(flambeau)
    assert step() is not None
    if workload.group == TRAIN:
        losses = [step().item() for _ in range(10)]
        assert losses[-1] < losses[0]


def test_samples_are_seconds_of_one_step() -> None:
    calls = []
    step = lambda: calls.append(1)
    count = calibrated(step)
    assert count > 100
    assert all(0 < sample < 1e-4 for sample in measure(step, count, 0.01))
    assert timed(step, 1) > 0


def test_report(command_line, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = command_line(
        "-m", "benchmarks", "--other", "flambeau", "--only", "tiny add", "--rounds", "3",
        "--budget", "0.01", "--threads", "1", "--json", str(figures), path=(ROOT,),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(figures.read_text())["rows"]["add, 10 elements"]
    assert 0.2 < row["least"] <= row["ratio"] <= row["greatest"] < 5
    assert "tiny   geometric mean" in done.stdout

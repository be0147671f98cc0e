"""The comparison under benchmarks/: every row runs, samples are seconds, the report adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import flambeau
from benchmarks import machine, memory, report
from benchmarks.comparing import Worker, compare
from benchmarks.rows import COMPILED, GROUPS, LARGE, TRAIN, families, rows, table
from benchmarks.worker import calibrated, measure, timed

ROOT = Path(__file__).resolve().parent.parent
SPAN = ("ratio", "least", "greatest")
SMALL = [w for w in table() if w.group not in (LARGE, COMPILED)]


def test_rows_have_names_of_their_own() -> None:
    names = [(workload.group, workload.name) for workload in table()]
    assert len(names) == len(set(names))
    assert {workload.group for workload in table()} == set(GROUPS)


@pytest.mark.parametrize("workload", SMALL, ids=lambda w: w.name)
def test_small_rows_run(workload) -> None:
    step = workload.build(flambeau)
    assert step() is not None
    if workload.group == TRAIN:
        losses = [step().item() for _ in range(10)]
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("family", families())
def test_families_are_tables_of_steps(family: str) -> None:
    """Every family has rows, and its first can be built and run."""
    cases = rows(flambeau, family)
    assert len(cases) >= 5 and all(isinstance(label, str) for label in cases)
    step = next(iter(cases.values()))()
    step()
    step()


def test_samples_are_seconds_of_one_step() -> None:
    calls = []
    step = lambda: calls.append(1)
    count = calibrated(step)
    assert count > 100
    assert all(0 < sample < 1e-4 for sample in measure(step, count, 0.01))
    assert timed(step, 1) > 0


def test_printed_table(command_line, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = command_line(
        "-m", "benchmarks", "--other", "flambeau", "--only", "tiny add", "--rounds", "3",
        "--budget", "0.01", "--threads", "1", "--json", str(figures), path=(ROOT,),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(figures.read_text())["table"]["tiny"]["add, 10 elements"]
    assert row["ratio"] == row["theirs"] / row["ours"]
    assert 0 < row["least"] <= row["greatest"]
    assert "tiny     add, 10 elements" in done.stdout


def test_a_worker_answers_errors_and_goes_on() -> None:
    worker = Worker("flambeau", 1)
    assert "KeyError" in worker.ask(group="calls", label="none such", budget=0.01)["error"]
    assert compare(worker, worker, "calls", "view", 1, 0.01)["ratio"] > 0
    worker.stop()


def test_report(tmp_path: Path) -> None:
    """The page has every group and family; what stands outside the markers is kept."""
    row = {"ratio": 2.0, "least": 1.5, "greatest": 2.5, "ours": 1e-3, "theirs": 2e-3}
    row |= {"ours_first": 0.1, "theirs_first": 10.0}
    figures = {
        "date": "2026-01-01", "command": "python -m benchmarks publish", "versions": "a 1, b 2",
        "machine": "a machine", "threads": 2, "load": "1.0",
        "ceilings": {"copy": 1e11, "multiply": 1e12},
        "startup": [[0.1, 20.0, 0.2, 40.0], [1.0, 200.0, 2.0, 400.0]],
        "memory": {"a model": [[20.0, 40.0], [200.0, 240.0]]},
        "table": {group: {"sum, 16 M": row} for group in ("large",)},
        "families": {"calls": {"add": row, "sub": {"error": "torch: TypeError: a | b"}}},
        "drawn": {"drawn": {"exp #0": row, "log #1": row | dict.fromkeys(SPAN, 0.5)}},
    }  # fmt: skip
    (tmp_path / "performance.md").write_text(report.empty_page("figures") + "kept\n")
    report.write(figures, tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert page.startswith("# Performance") and page.endswith("kept\n")
    assert "| calls | add 2.00 | 1 | 2.00 | 0 | 1 |" in page
    assert "| drawn | log #1 0.50, exp #0 2.00 | 2 | 1.00 | 1 | 0 |" in page
    assert "| drawn log #1 |" in page and "| drawn exp #0 |" not in page
    assert "| sum, 16 M | 1 ms | 2 ms | 2.00 | 1.50 to 2.50 | 67 % |" in page
    assert "| a model | 40 MiB | 240 MiB | 6.00 | 20 MiB | 40 MiB |" in page
    disturbed = {"ratio": 9.0, "least": 1.0, "greatest": 90.0, "ours": 1e-3, "theirs": 9e-3}
    assert report.ratios({"a": row, "b": disturbed, "c": {"error": "none"}}) == [2.0]
    assert "<svg" in (tmp_path / "performance.svg").read_text()
    assert json.loads((tmp_path / "performance.json").read_text()) == figures


def test_machine_and_memory() -> None:
    assert "processors" in machine.describe()
    assert memory.of_training("flambeau", "MLP 20-10-5-1, Adam", 1).imported > 5

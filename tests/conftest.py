"""Shared by all tests: the seed of every test, and how a command line of Flambeau is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flambeau

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _same_start() -> None:
    """Every test draws the same numbers, whatever ran before it."""
    flambeau.manual_seed(0)


@pytest.fixture
def command_line(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python ARGUMENTS` in an empty folder, with Flambeau importable; stdout and stderr are
    in the result. `path=` puts folders on PYTHONPATH, `stdin=` is a text, `env=` adds variables."""

    def run(
        *arguments: str,
        path: tuple[Path, ...] = (),
        env: dict[str, str] | None = None,
        stdin: str = "",
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment["PYTHONPATH"] = os.pathsep.join(str(p) for p in (*path, ROOT))
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment.update(env or {})
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return run

"""What is written is true: every example in a docstring runs, and so do those of the README; the
table of switches in docs/switches.md is the one in core/config.py."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import warnings
from pathlib import Path

import pytest

import flambeau
from flambeau.core.config import SWITCHES

ROOT = Path(__file__).resolve().parent.parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
# `flambeau.alias` changes what torch means for the whole process: it gets a process of its own.
APART = {"flambeau.__main__", "flambeau.alias"}


def module_names() -> list[str]:
    found = pkgutil.walk_packages(flambeau.__path__, "flambeau.")
    return sorted({info.name for info in found if "._startup" not in info.name} - APART)


def run_doctests(module: object, names: dict[str, object]) -> tuple[int, str]:
    """How many examples of a module ran, and the report of those that failed."""
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=names):
        if not test.examples:
            continue
        flambeau.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runner.run(test, out=report.append)
    return runner.tries, "".join(report)


@pytest.mark.parametrize("name", module_names())
def test_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # some examples write files
    _, report = run_doctests(importlib.import_module(name), {"torch": flambeau})
    assert not report, report


def test_most_modules_have_examples() -> None:
    with_examples = 0
    for name in module_names():
        module = importlib.import_module(name)
        tests = doctest.DocTestFinder().find(module)
        with_examples += any(test.examples for test in tests)
    assert with_examples > len(module_names()) // 2


def test_examples_of_the_alias(command_line) -> None:
    code = (
        "import doctest, flambeau, flambeau.alias as a;"
        "print(doctest.testmod(a, extraglobs={'torch': flambeau}, optionflags=doctest.ELLIPSIS))"
    )
    done = command_line("-c", code)
    assert re.fullmatch(r"TestResults\(failed=0, attempted=[1-9]\d*\)", done.stdout.strip()), (
        done.stdout + done.stderr
    )


def code_blocks(file: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", file.read_text(encoding="utf-8"), re.M | re.S)


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FRESH = {"adding_an_op.md"}  # declares ops, which is over once the engine has started


@pytest.mark.parametrize("name", sorted(FRESH))
def test_code_in_documents_runs_in_a_fresh_process(name: str, command_line) -> None:
    done = command_line("-c", "\n".join(code_blocks(ROOT / "docs" / name)))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "file", [d for d in DOCUMENTS if d.name not in FRESH], ids=lambda file: file.name
)
def test_code_in_documents_runs(file: Path, tmp_path: Path, monkeypatch) -> None:
    """The blocks of one document run one after another, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for number, block in enumerate(code_blocks(file), 1):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", None, None)
            report: list[str] = []
            doctest.DocTestRunner(optionflags=FLAGS).run(test, report.append, clear_globs=False)
            names.update(test.globs)
            assert not report, "".join(report)
        else:
            exec(compile(block, f"{file.name}, block {number}", "exec"), names)


def test_table_of_switches() -> None:
    rows = [["switch", "default", "meaning"], ["---", "---", "---"]]
    for switch in SWITCHES:
        default = f"`{switch.default}`" if switch.default else "see meaning"
        rows.append([f"`{switch.name}`", default, switch.meaning])
    expected = [f"| {' | '.join(row)} |" for row in rows]
    text = (ROOT / "docs" / "switches.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("|")] == expected


def test_links_between_documents() -> None:
    """Every relative link of a document leads to a file that is there."""
    for file in [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"

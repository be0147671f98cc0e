"""The cache of object code on disk: what it survives, and that it never holds what others made of
other sources."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flambeau.codegen import sources
from flambeau.codegen.native import Unit

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import flambeau as torch
x = torch.arange(6.0, requires_grad=True)
(x.view(2, 3).softmax(1) * x.view(2, 3)).sum().backward()
print([round(v, 4) for v in x.grad.tolist()])
"""
COUNT = PROGRAM + "from flambeau.codegen.llvm import compiled\nprint(len(compiled))\n"


def answer(run: Callable[..., subprocess.CompletedProcess[str]], **env: str) -> list[str]:
    """Gradient and number of compiled units; nothing may be said on stderr."""
    done = run("-c", COUNT, env=env)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_second_process_compiles_nothing_even_after_damage(command_line, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = answer(command_line, FLAMBEAU_CACHE=str(cache))
    assert int(first[1]) > 3
    assert answer(command_line, FLAMBEAU_CACHE=str(cache)) == [first[0], "0"]
    damaged = sorted(cache.glob("*.o"), key=lambda entry: entry.stat().st_size)[:4]
    for number, entry in enumerate(damaged):
        content = entry.read_bytes()
        entry.write_bytes([b"", content[:40], content[:-7], b"x" * len(content)][number])
    assert answer(command_line, FLAMBEAU_CACHE=str(cache)) == [first[0], str(len(damaged))]
    assert answer(command_line, FLAMBEAU_CACHE=str(cache)) == [first[0], "0"]


def test_a_folder_that_cannot_be_made_is_done_without(command_line, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert int(answer(command_line, FLAMBEAU_CACHE=str(tmp_path / "file" / "cache"))[1]) > 3


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_done_without(command_line, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    assert int(answer(command_line, HOME=str(home), FLAMBEAU_CACHE=str(home / "c"))[1]) > 3


def test_a_folder_of_others_is_not_trusted(command_line, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    assert int(answer(command_line, FLAMBEAU_CACHE=str(cache))[1]) > 3
    assert list(cache.iterdir()) == []


def test_two_processes_begin_with_an_empty_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FLAMBEAU_CACHE": str(tmp_path / "c")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in running]
    assert [error for _, error in results] == ["", ""]
    assert results[0][0].splitlines()[0] == results[1][0].splitlines()[0]
    assert not list((tmp_path / "c").glob(".new-*"))


def test_threads_that_compile_at_once(command_line, tmp_path: Path) -> None:
    program = """
import threading, flambeau as torch
gate, found = threading.Barrier(4), [None] * 4
def work(i):
    gate.wait()
    x = torch.full((7,), 0.5, requires_grad=True)
    for _ in range(3):
        y = x.sin() * x.exp().sqrt() + x.tanh() - x.sigmoid()
    y.cumsum(0).prod().backward()
    found[i] = x.grad.tolist()
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(found[0] is not None and all(f == found[0] for f in found))
"""
    done = command_line("-c", program, env={"FLAMBEAU_CACHE": str(tmp_path / "cache")})
    assert (done.stdout, done.stderr) == ("True\n", "")


SOURCE = """
from flambeau.codegen.native import i64, native

STEP = {step}


@native
def advance(x: i64) -> i64:
    return x {sign} STEP
"""


def load(file: Path, name: str):
    """A module of native code from a file."""
    import importlib.util

    specification = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_code_is_made_of_what_was_imported(tmp_path: Path, monkeypatch) -> None:
    """Sources that are edited while a process runs change neither its code nor its keys."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "stepping.py"
    file.write_text(SOURCE.format(step=1, sign="+"))
    first = load(file, "stepping")
    key = Unit("stepping", [first.advance]).key()
    file.write_text("# a line more\n" + SOURCE.format(step=2, sign="-"))
    late = Unit("stepping", [first.advance])
    assert "add" in late.ir() and "sub" not in late.ir()
    assert late.key() == key
    sources._texts.pop(str(file))  # what another process would see
    sources.digest_of.cache_clear()
    second = load(file, "stepping")
    other = Unit("stepping", [second.advance])
    assert "sub" in other.ir() and other.key() != key


def test_constants_of_other_modules_are_part_of_the_key(tmp_path: Path) -> None:
    file = tmp_path / "constants.py"
    file.write_text(SOURCE.format(step=1, sign="+"))
    module = load(file, "constants")
    key = Unit("constants", [module.advance]).key()
    module.STEP = 3  # as if it came from a module that was edited
    assert Unit("constants", [module.advance]).key() != key

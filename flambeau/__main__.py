"""The command line: `flambeau run ...` starts a program in which torch is Flambeau; `flambeau info`
says what it runs on. `python -m flambeau` is the same command.

    flambeau run train.py --epochs 3
    flambeau run -m pytest tests
    flambeau run -c "import torch; print(torch.__version__)"
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence

from flambeau.alias import announce_to_children
from flambeau.version import __version__

USAGE = """\
usage: flambeau run [python options] script.py [arguments]
       flambeau run [python options] -m module [arguments]
       flambeau run [python options] -c code [arguments]
       flambeau info
       flambeau --version

run    run an unmodified program in which `import torch` means Flambeau
info   the version, the processor, threads, the kernel cache and the devices
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words[0] if words else ""
    if command == "run" and len(words) > 1 and words[1] not in ("-h", "--help"):
        return run(words[1:])
    if words == ["info"]:
        info = importlib.import_module("flambeau.info")  # the engine, which `run` need not wait for
        print(info.describe())
        return 0
    if words in (["--version"], ["-V"]):
        print(f"flambeau {__version__}")
        return 0
    asked = command in ("-h", "--help", "help") or words[1:2] in (["-h"], ["--help"])
    print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def run(words: Sequence[str]) -> int:
    """Start Python with `words` as its arguments and torch aliased; does not return on POSIX.

    A fresh interpreter instead of `runpy` in this one: `sys.argv`, `sys.path`, `__main__`,
    tracebacks, exit status and signals are then those of plain Python because they are its own.
    """
    if sys.flags.ignore_environment or sys.flags.no_site:
        reason = "it works through PYTHONPATH and site, which -E, -I and -S turn off"
        print(f"flambeau run: {reason}", file=sys.stderr)
        return 2
    environment = dict(os.environ)
    announce_to_children(environment)
    command = [sys.executable, *_interpreter_options(), *words]
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, command, environment)
    return subprocess.call(command, env=environment)  # on Windows exec would not wait


def _interpreter_options() -> list[str]:
    """The options of `python -u -X dev -m flambeau run ...`, to hand on: here -u -X dev."""
    for position, word in enumerate(sys.orig_argv[1:], 1):
        if word == "-m" and sys.orig_argv[position + 1 : position + 2] == ["flambeau"]:
            return sys.orig_argv[1:position]
    return []


if __name__ == "__main__":
    sys.exit(main())

"""The command line and the alias: a program run by `flambeau run` behaves as under plain Python,
except that torch is Flambeau, in its children too, and the real torch is never loaded."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import flambeau

RUN = ("-m", "flambeau", "run")


@pytest.fixture(params=["torch absent", "torch installed"])
def torch_folder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, ...]:
    """Without and with a distribution "torch" on the path, whose code must never run."""
    if request.param == "torch absent":
        return ()
    folder = tmp_path / "site"
    (folder / "torch" / "extra").mkdir(parents=True)
    for file in ("__init__.py", "nn.py", "extra/__init__.py"):
        (folder / "torch" / file).write_text("raise SystemExit('the real torch was loaded')\n")
    information = folder / "torch-9.9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n")
    return (folder,)


def script(folder: Path, text: str, name: str = "program.py") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


# ---- what `import torch` means -------------------------------------------------------------------
IMPORTS = """
import sys
import torch
import torch.nn as nn, torch.nn.functional as F, torch.optim.lr_scheduler
from torch import tensor
from torch.utils.data import DataLoader
from torch.nn import Linear, functional
import flambeau
assert torch is flambeau and nn is flambeau.nn and F is flambeau.nn.functional is functional
assert sys.modules["torch.nn"] is flambeau.nn is sys.modules["flambeau.nn"]
assert DataLoader is flambeau.utils.data.DataLoader and Linear is flambeau.nn.Linear
assert torch.__name__ == "flambeau" and nn.__spec__.name == "flambeau.nn"
assert nn.__spec__.loader.name == "flambeau.nn"
print(torch.__version__, (tensor([1.0, 2.0]) * 2).tolist())
"""


def test_imports_give_the_very_modules(command_line, tmp_path: Path, torch_folder) -> None:
    done = command_line(*RUN, script(tmp_path, IMPORTS), path=torch_folder)
    assert done.stdout == f"{flambeau.__version__} [2.0, 4.0]\n", done.stderr


MISSING = """
import importlib.util
import torch
assert importlib.util.find_spec("torch.nn") is not None
assert importlib.util.find_spec("torch.extra") is None
for statement in ("import torch.extra.part", "from torch.extra import part"):
    try:
        exec(statement)
    except ModuleNotFoundError as error:
        print(error.name, str(error).splitlines())
try:
    from torch.nn import Unheard
except ImportError as error:
    print(str(error).split(" (")[0])
try:
    import torch.version.x
except ModuleNotFoundError as error:
    print(error)
"""


def test_a_missing_part_is_named(command_line, tmp_path: Path, torch_folder) -> None:
    done = command_line(*RUN, script(tmp_path, MISSING), path=torch_folder)
    lines = [
        "No module named 'torch.extra'",
        "  Flambeau, which `torch` means here, has no part 'flambeau.extra' yet.",
    ]
    assert done.stdout.splitlines() == [
        f"torch.extra {lines}",
        f"torch.extra {lines}",
        "cannot import name 'Unheard' from 'flambeau.nn'",
        "No module named 'torch.version.x'; 'torch.version' is not a package",
    ], done.stderr


def test_the_installed_version_is_ours(command_line, torch_folder) -> None:
    code = (
        "from importlib import metadata as m; import torch; "
        "print(m.version('torch') == m.version('Torch') == str(torch.__version__), "
        "m.metadata('torch')['Name'], m.version('numpy') != '')"
    )
    done = command_line(*RUN, "-c", code, path=torch_folder)
    assert done.stdout == "True torch True\n", done.stderr


def test_modules_of_torch_run_with_m(command_line, torch_folder) -> None:
    code = "import sys; sys.argv = ['x']; import runpy; runpy.run_module('torch.version')"
    assert command_line(*RUN, "-c", code, path=torch_folder).returncode == 0
    assert command_line(*RUN, "-m", "torch.version", path=torch_folder).returncode == 0


# ---- as with plain Python ------------------------------------------------------------------------
SITUATION = """
import json, sys
print(json.dumps(dict(
    argv=sys.argv, path=sys.path, name=__name__, file=globals().get("__file__"),
    package=__package__, main=sys.modules["__main__"].__dict__ is globals(), flags=list(sys.flags),
    stdin=sys.stdin.read(), extra=sys._xoptions,
)))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["program.py", "-m", "--x=1", "a b", ""],
        ["folder/inner.py"],
        ["-m", "folder.inner", "-c", "--help"],
        ["-c", SITUATION, "-V"],
        ["-O", "-X", "dev", "-W", "ignore", "program.py"],
        ["-", "from", "stdin"],
    ],
    ids=lambda words: words[0],
)
def test_a_program_sees_what_plain_python_shows(command_line, tmp_path: Path, words) -> None:
    (tmp_path / "folder").mkdir()
    script(tmp_path, SITUATION)
    script(tmp_path, SITUATION, "folder/inner.py")
    stdin = SITUATION if words[0] == "-" else "input"
    plain = command_line(*words, stdin=stdin)
    ours = command_line(*RUN, *words, stdin=stdin)
    assert plain.returncode == ours.returncode == 0, ours.stderr
    assert json.loads(ours.stdout) == json.loads(plain.stdout)


def test_options_before_m_are_handed_on(command_line) -> None:
    code = "import sys; print(sys.flags.optimize, sys.flags.dev_mode, sys.stdout.write_through)"
    done = command_line("-O", "-u", "-X", "dev", *RUN, "-c", code)
    assert done.stdout.split() == ["1", "True", "True"], done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    return 1 / x\n\nf(0)\n",
        "import sys\nsys.exit(7)\n",
        "import sys\nsys.exit('stopped')\n",
        "raise KeyboardInterrupt\n",
        "def broken(:\n",
        "import sys\nsys.excepthook = lambda *a: print('hook', a[1])\nraise ValueError('x')\n",
        "import os\nos._exit(3)\n",
    ],
)
def test_failures_look_and_end_the_same(command_line, tmp_path: Path, code: str) -> None:
    name = script(tmp_path, code)
    plain, ours = command_line(name), command_line(*RUN, name)
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.stderr == plain.stderr


def test_a_missing_script_is_reported_by_python(command_line) -> None:
    done = command_line(*RUN, "nothing.py")
    assert done.returncode == 2
    assert "nothing.py" in done.stderr


def test_pytest_runs_through_it(command_line, tmp_path: Path, torch_folder) -> None:
    script(
        tmp_path,
        "import torch\n\ndef test_sum():\n    assert torch.ones(3).sum() == 3\n"
        "    assert torch.__name__ == 'flambeau'\n",
        "test_user.py",
    )
    done = command_line(*RUN, "-m", "pytest", "-q", "test_user.py", path=torch_folder)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


# ---- children ------------------------------------------------------------------------------------
CHILDREN = """
import multiprocessing, os, subprocess, sys

def work(queue):
    import torch
    from torch.nn import Linear
    queue.put((torch.__name__, Linear(2, 1)(torch.ones(1, 2)).shape[0]))

if __name__ == "__main__":
    import torch
    torch.ones(2).sum()
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=work, args=(queue,))
        process.start()
        print(queue.get(timeout=60))
        process.join()
    code = "import torch, sys; print(torch.__name__, sys.argv)"
    print(subprocess.check_output([sys.executable, "-c", code, "a"], text=True), end="")
    inner = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {code!r}])'
    print(subprocess.check_output([sys.executable, "-c", inner], text=True), end="")
"""


def test_children_get_the_alias_too(command_line, tmp_path: Path, torch_folder) -> None:
    done = command_line(*RUN, script(tmp_path, CHILDREN), path=torch_folder)
    methods = 1 if os.name == "nt" else 3 if sys.platform == "linux" else 2
    lines = done.stdout.splitlines()
    assert len(lines) >= methods + 2, done.stderr
    assert set(lines[:-2]) == {"('flambeau', 1)"}
    assert lines[-2:] == ["flambeau ['-c', 'a']", "flambeau ['-c']"]


def test_a_child_that_needs_no_torch_loads_nothing_of_it(command_line) -> None:
    code = "import sys; print([m for m in sys.modules if m.startswith(('flambeau', 'numpy'))])"
    assert command_line(*RUN, "-c", code).stdout == "['flambeau.alias']\n"


def test_another_sitecustomize_still_runs(command_line, tmp_path: Path) -> None:
    folder = tmp_path / "company"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.company = __file__\n")
    code = "import sys, sitecustomize, torch; print(sys.company == sitecustomize.__file__)"
    done = command_line(*RUN, "-c", code, path=(folder,))
    assert done.stdout == "True\n", done.stderr


# ---- notebooks -----------------------------------------------------------------------------------
NOTEBOOK = """
import subprocess, sys
import flambeau
assert "torch" not in sys.modules
torch = flambeau.as_torch()
import torch.nn as nn
from torch import tensor
assert torch is flambeau is flambeau.as_torch() and nn is flambeau.nn
code = "import torch; print(torch.__name__)"
print(subprocess.check_output([sys.executable, "-c", code], text=True), end="")
"""

TOO_LATE = """
import sys, types
sys.modules["torch"] = types.ModuleType("torch")
import flambeau
try:
    flambeau.as_torch()
except RuntimeError as error:
    print(error)
"""


def test_as_torch(command_line, torch_folder) -> None:
    assert command_line("-c", NOTEBOOK, path=torch_folder).stdout == "flambeau\n"


def test_as_torch_after_torch_is_refused(command_line) -> None:
    done = command_line("-c", TOO_LATE)
    assert done.stdout.startswith("torch is already imported in this process"), done.stderr


# ---- the other commands --------------------------------------------------------------------------
def test_info(command_line, tmp_path: Path) -> None:
    done = command_line("-m", "flambeau", "info", env={"FLAMBEAU_CACHE": str(tmp_path / "kernels")})
    assert done.returncode == 0, done.stderr
    facts = {line[:13].strip(): line[13:].strip() for line in done.stdout.splitlines()}
    assert facts["flambeau"] == str(flambeau.__version__)
    assert facts["python"].startswith(".".join(str(n) for n in sys.version_info[:3]))
    assert int(facts["threads"].split()[0]) >= 1
    assert str(tmp_path / "kernels") in facts["kernel cache"]
    assert "cpu" in facts["devices"]
    assert facts["processor"]


def test_usage(command_line) -> None:
    for words in ([], ["run"], ["nonsense"], ["info", "more"]):
        done = command_line("-m", "flambeau", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: flambeau run")
    for words in (["--help"], ["run", "--help"]):
        done = command_line("-m", "flambeau", *words)
        assert (done.returncode, done.stderr) == (0, "")
    done = command_line("-m", "flambeau", "--version")
    assert done.stdout == f"flambeau {flambeau.__version__}\n"


def test_python_without_environment_is_refused(command_line) -> None:
    done = command_line("-S", *RUN, "-c", "pass")
    assert done.returncode == 2
    assert "-S" in done.stderr

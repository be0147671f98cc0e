"""The house keeps its shape: which part may import which, and what a start may load.

The engine is a stack (`ENGINE`: each part may import the parts named beside it); everything else is
library code, which uses the public package as a user would. Checked on the syntax tree, so code
that never runs here counts too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flambeau"

BASE = {"torch_version", "version", "core"}
ENGINE: dict[str, set[str]] = {
    "torch_version": set(),
    "version": {"torch_version"},
    "core": {"version"},
    "return_types": BASE,
    "codegen": BASE,
    "runtime": BASE | {"codegen"},
    "ops": BASE | {"codegen", "runtime", "return_types", "storage", "generator"},
    "autograd": BASE | {"codegen", "runtime", "ops"},
    "compiler": BASE | {"codegen", "runtime", "ops", "autograd"},
    "storage": BASE | {"runtime", "ops"},
    "generator": BASE | {"runtime", "ops"},
    "tensor": BASE | {"runtime", "ops", "autograd", "printing", "storage", "start"},
}
# What a call leaves behind for the backward pass belongs to autograd, and ops make it: the records,
# not the engine that walks them.
RECORDS = {f"flambeau.autograd.{name}" for name in ("nodes", "modes", "recording", "inplace")}
# What says how the machine is: the public package, and the facts that the engine has of it.
MACHINE = {"backends", "cpu", "cuda", "mps", "random"}
OF_THE_MACHINE = {"core", "codegen", "runtime", "generator"}
# The public names of families of ops.
NAMESPACES = {"linalg", "fft", "special"}
# The one library file that makes kernels: the formula of an optimizer becomes one.
KERNEL_MAKERS = {PACKAGE / "optim" / "_fused.py"}
# Imports nothing but the standard library, so every part may use it.
EVERYWHERE = {"flambeau.utils.hooks"}
# The entry points, which tie everything together.
ANYTHING = {"__init__", "__main__", "info", "start"}
# Loaded when first needed, so their import may stand inside a function: heavy packages, and the
# modules of ours that stand on NumPy.
LATE = {"numpy", "llvmlite", "scipy_openblas64", "ctypes"}
ON_NUMPY = {"flambeau.ops.kernels.random_streams", "flambeau.ops.kernels.random_checks"}
# What `import flambeau` loads must not load the ops: these files import them when they are called.
LIGHT = {
    PACKAGE / name
    for name in (
        "autograd/__init__.py",
        "backends/__init__.py",
        "generator.py",
        "storage.py",
        "tensor.py",
    )
}
OPTIONAL = {"matplotlib", "sklearn", "PIL", "scipy"}


class Import(NamedTuple):
    """One imported module, and where."""

    file: Path
    line: int
    module: str
    in_function: bool

    @property
    def late(self) -> bool:
        """Whether it stands inside a function and has no reason to."""
        if not self.in_function or self.unit in ANYTHING:
            return False
        if self.file in LIGHT and self.module.startswith("flambeau."):
            return False
        return self.module.split(".")[0] not in LATE | OPTIONAL and self.module not in ON_NUMPY

    @property
    def unit(self) -> str:
        """The part of the package the file belongs to: a folder or a file at the top."""
        return self.file.relative_to(PACKAGE).parts[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def absolute(file: Path, node: ast.ImportFrom) -> str:
    """The module of a `from ... import`, relative ones resolved."""
    if not node.level:
        return node.module or ""
    package = list(file.relative_to(ROOT).parent.parts)
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def is_for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(file: Path) -> Iterator[Import]:
    """Every import of a file; those that only a type checker reads are left out."""

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(file, child.lineno, alias.name, in_function)
            elif isinstance(child, ast.ImportFrom):
                module = absolute(file, child)
                folder = ROOT.joinpath(*module.split("."))
                for alias in child.names:  # `from flambeau.runtime import memory` imports a module
                    inner = (folder / f"{alias.name}.py").exists() or module == "flambeau"
                    name = f"{module}.{alias.name}" if inner else module
                    yield Import(file, child.lineno, name, in_function)
            elif not is_for_types_only(child):  # type: ignore[arg-type]
                yield from walk(child, inside)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), False)


ALL = [found for file in files() for found in imports_of(file)]


def test_the_package_was_found() -> None:
    assert len(files()) > 50
    assert {"core", "codegen", "runtime", "ops", "autograd"} <= {found.unit for found in ALL}


def test_nothing_imports_torch() -> None:
    assert [str(found) for found in ALL if found.module.split(".")[0] == "torch"] == []


def forbidden(found: Import) -> bool:
    parts = found.module.split(".")
    if parts[0] != "flambeau" or found.unit in ANYTHING or found.file in KERNEL_MAKERS:
        return False
    if found.module in EVERYWHERE:
        return False
    if len(parts) == 1:  # `import flambeau`: the public package, for library code only
        return found.unit in ENGINE
    if parts[1] == found.unit or (found.unit == "ops" and found.module in RECORDS):
        return False
    if found.unit in ENGINE:
        return parts[1] not in ENGINE[found.unit]
    if found.unit in NAMESPACES and parts[1] == "core":
        return False
    return parts[1] in ENGINE and not (found.unit in MACHINE and parts[1] in OF_THE_MACHINE)


def test_allowed_arrows_only() -> None:
    assert [str(found) for found in ALL if forbidden(found)] == []


def test_core_needs_the_standard_library_only() -> None:
    allowed = set(sys.stdlib_module_names) | {"flambeau"}
    outside = [f for f in ALL if f.unit == "core" and f.module.split(".")[0] not in allowed]
    assert [str(found) for found in outside] == []


def test_imports_stand_at_the_top() -> None:
    assert [str(found) for found in ALL if found.late] == []


def test_no_cycle_between_files() -> None:
    """Follow the imports at the top of files; none may lead back to where it began."""
    names = {}
    for file in files():
        parts = list(file.relative_to(ROOT).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    engine = [found for found in ALL if found.unit in ENGINE and not found.in_function]
    edges: dict[str, set[str]] = {name: set() for name in names}
    of_file = {file: name for name, file in names.items()}
    for found in engine:
        if found.module in names and found.module != of_file[found.file]:
            edges[of_file[found.file]].add(found.module)
    finished: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in finished:
            for target in sorted(edges[name]):
                visit(target, [*path, name])
            finished.add(name)

    for name in sorted(edges):
        visit(name, [])


@pytest.mark.parametrize("heavy", ["numpy", "llvmlite", "scipy_openblas64"])
def test_a_start_loads_nothing_heavy(command_line, heavy: str) -> None:
    code = f"import sys, flambeau, flambeau.nn, flambeau.optim; print({heavy!r} in sys.modules)"
    assert command_line("-c", code).stdout == "False\n"


def test_file_and_function_sizes() -> None:
    """Files of at most 500 lines and functions of at most 60, tables excepted."""
    long = []
    for file in files():
        text = file.read_text(encoding="utf-8")
        if text.count("\n") > 500:
            long.append(f"{file.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 60:
                    long.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert long == []

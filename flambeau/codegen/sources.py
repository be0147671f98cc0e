"""Source files as they were when they were imported: what generated code is made of, and so its
identity in the cache on disk.

A source may be edited while a process runs that imported it. Such a process goes on with what it
imported: the texts that native functions are compiled from, and the digests that name what it puts
into the cache, were read at the import.

    remember(__file__)              # by what generates code, when it is imported
    text_of(file), version_of(module)
"""

from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path
from types import ModuleType

PARTS = ("flambeau.codegen", "flambeau.runtime", "flambeau.ops.kernels")
_texts: dict[str, str] = {}


def remember(*files: str | Path) -> None:
    """Keeps the texts of source files; of a folder those of all files in it."""
    for file in files:
        path = Path(file)
        for each in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            if str(each) not in _texts:
                _texts[str(each)] = each.read_text(encoding="utf-8")


def text_of(file: str) -> str:
    """A source file as it was when it was imported."""
    if file not in _texts:
        remember(file)
    return _texts[file]


@functools.cache
def digest_of(file: str) -> str:
    """Identity of a source file."""
    return hashlib.blake2b(text_of(file).encode(), digest_size=16).hexdigest()


@functools.cache
def version_of(module: str) -> str:
    """Identity of a module that generates code, and of those that it takes functions from."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(_with_imports(module, set())):
        file = sys.modules[name].__file__
        if file is not None:
            digest.update(digest_of(file).encode())
    return digest.hexdigest()


def _with_imports(module: str, found: set[str]) -> set[str]:
    """The module and what it imports of the parts that generate code."""
    if module not in found and module in sys.modules:
        found.add(module)
        for value in vars(sys.modules[module]).values():
            is_module = isinstance(value, ModuleType)
            other = value.__name__ if is_module else getattr(value, "__module__", None)
            if isinstance(other, str) and other.startswith(PARTS):
                _with_imports(other, found)
    return found

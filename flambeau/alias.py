"""Makes `import torch` mean Flambeau, in this process and in those that it starts.

`flambeau run` and `flambeau.as_torch()` come here. Two finders on `sys.meta_path` do the work:
`torch.x.y` is answered with the very module object `flambeau.x.y`, and `importlib.metadata` is told
that a distribution "torch" of our version is installed. A child process finds the folder `_startup`
first on its PYTHONPATH; the `sitecustomize` in there, which Python imports at its start, loads this
file and calls `install`. Nothing of Flambeau beyond this file is loaded before a program asks for
torch, so that children that never do (pip, a shell helper) start as fast as before.

>>> torch = torch.as_torch()              # in a notebook, before the first `import torch`
>>> import torch.nn.functional as F
>>> F is torch.nn.functional
True
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # importing `typing` to learn this would double what a child pays
if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence
    from types import FrameType, ModuleType
    from typing import Any

PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__))
STARTUP_FOLDER = os.path.join(PACKAGE_FOLDER, "_startup")


class TorchFinder:
    """Answers the import of `torch` and of every `torch.x.y` with the module of Flambeau."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an alias; None for modules that have nothing to do with torch."""
        if name == "flambeau":
            return _own_package_spec()
        if name != "torch" and not name.startswith("torch."):
            return None
        own_name = "flambeau" + name[len("torch") :]
        own_spec = _find_own_spec(own_name)
        if own_spec is None:
            if _is_only_a_question():
                return None
            raise ModuleNotFoundError(
                f"No module named {name!r}\n"
                f"  Flambeau, which `torch` means here, has no part {own_name!r} yet.",
                name=name,
            )
        spec = ModuleSpec(
            name,
            AliasLoader(own_name, own_spec),  # type: ignore[arg-type]
            origin=own_spec.origin,
            is_package=own_spec.submodule_search_locations is not None,
        )
        spec.has_location = own_spec.has_location
        return spec

    def find_distributions(self, context: Any = None) -> Iterator[Any]:
        """The distribution "torch", for `importlib.metadata.version("torch")`."""
        wanted = getattr(context, "name", None)
        if wanted is None or wanted.lower() == "torch":
            yield _torch_distribution()

    def invalidate_caches(self) -> None:
        """Nothing is cached here."""


class AliasLoader:
    """Puts the module of Flambeau under the name that was asked for."""

    def __init__(self, own_name: str, own_spec: ModuleSpec) -> None:
        self.own_name = own_name
        self.own_spec = own_spec

    def create_module(self, spec: ModuleSpec) -> None:
        """An empty module to be replaced: the import system writes attributes into what it gets
        from here, and the module of Flambeau must keep its own."""

    def exec_module(self, module: ModuleType) -> None:
        """Import the module of Flambeau and let it take the place of the empty one."""
        sys.modules[module.__name__] = importlib.import_module(self.own_name)

    def is_package(self, name: str) -> bool:
        """For `runpy` (python -m torch.x)."""
        return self.own_spec.submodule_search_locations is not None

    def get_code(self, name: str) -> Any:
        """For `runpy` (python -m torch.x)."""
        return self._own_loader().get_code(self.own_name)

    def get_source(self, name: str) -> Any:
        """For `linecache` and `inspect`."""
        return self._own_loader().get_source(self.own_name)

    def _own_loader(self) -> Any:
        return self.own_spec.loader


def _is_only_a_question() -> bool:
    # `importlib.util.find_spec("torch.x")` wants None where there is no such part, an import wants
    # the error that says so; the import system calls the finder in the same way for both.
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
        if frame.f_code.co_name == "_find_and_load":
            return False
        frame = frame.f_back
    return True


def _own_package_spec() -> ModuleSpec | None:
    # The package beside this file, whatever the current folder or sys.path hold.
    return importlib.util.spec_from_file_location(
        "flambeau",
        os.path.join(PACKAGE_FOLDER, "__init__.py"),
        submodule_search_locations=[PACKAGE_FOLDER],
    )


def _find_own_spec(name: str) -> ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None and module.__spec__ is None:  # made while running, without a file
        return ModuleSpec(name, None, is_package=hasattr(module, "__path__"))
    parent = name.rpartition(".")[0]
    if parent and not hasattr(importlib.import_module(parent), "__path__"):
        return None  # `torch.version.x`: the parent is a module, not a package
    return importlib.util.find_spec(name)


def _torch_distribution() -> Any:
    # importlib.metadata takes 20 ms to import: whoever calls this has done so already.
    metadata = importlib.import_module("importlib.metadata")
    version = importlib.import_module("flambeau.version").__version__
    text = f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\nSummary: Flambeau as torch\n"

    class TorchDistribution(metadata.Distribution):  # type: ignore[name-defined,misc]
        def read_text(self, filename: str) -> str | None:
            return text if filename == "METADATA" else None

        def locate_file(self, path: str | os.PathLike[str]) -> Any:
            return importlib.import_module("pathlib").Path(PACKAGE_FOLDER).parent / path

    return TorchDistribution()


def install() -> None:
    """Make `torch` mean Flambeau in this process. Again is harmless.

    >>> install()
    """
    loaded = sys.modules.get("torch")
    if loaded is not None and loaded is not sys.modules.get("flambeau"):
        raise RuntimeError(
            "torch is already imported in this process, so it can no longer mean Flambeau\n"
            "  call flambeau.as_torch() before the first import of torch (in a notebook: restart "
            "the kernel), or start the program with `flambeau run`"
        )
    if not any(isinstance(finder, TorchFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchFinder())


def announce_to_children(environment: MutableMapping[str, str]) -> None:
    """Put the start-up folder first on the PYTHONPATH of `environment`.

    >>> environment = {"PYTHONPATH": "lib"}
    >>> announce_to_children(environment)
    >>> environment["PYTHONPATH"].endswith("lib")
    True
    """
    before = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    others = [part for part in before if part != STARTUP_FOLDER]
    environment["PYTHONPATH"] = os.pathsep.join([STARTUP_FOLDER, *others])


def as_torch() -> ModuleType:
    """Make `torch` mean Flambeau from here on, in this process and its children.

    For notebooks and programs that cannot be started with `flambeau run`; call it before anything
    imports torch. Returns the package, so that `torch = flambeau.as_torch()` works too.

    >>> torch.as_torch() is torch
    True
    """
    install()
    announce_to_children(os.environ)
    return importlib.import_module("torch")

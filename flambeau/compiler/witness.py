"""What a run of a function executes: the code objects, and the C functions that user code calls.

A compiled function must not skip what it did beside tensor work: printing, drawing random numbers
from Python, reading the clock. All of that ends in a C function, so one run under the interpreter's
profiler sees it:

    with Witness() as witness:
        step()
    witness.effect      # None, or "it calls print()"
    witness.names       # every attribute and global name that the executed code can ask for

What is done to Python objects (`self.count += 1`, `history.append(loss)`) is noticed by
compiler.survey, which compares the state before and after. Called by compiler.compiled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from flambeau.runtime.system import engine

PACKAGE = str(Path(__file__).resolve().parent.parent)
# C functions whose results follow from their arguments, or that change nothing but them.
PURE = frozenset(
    """abs all any bin bool bytes callable chr delattr dict dir divmod enumerate filter float format
    frozenset getattr hasattr hash hex int isinstance issubclass iter len list map max min next oct
    ord pow range repr reversed round set setattr slice sorted str sum super tuple type zip vars
    __build_class__ __import__ reduce namedtuple attrgetter itemgetter methodcaller cache_clear
    globals locals""".split()
)
PURE_MODULES = frozenset(
    "math cmath _operator itertools _functools _collections _abc _weakref _typing "
    "_thread _contextvars _struct unicodedata _bisect _heapq _statistics flambeau".split()
)
# Types whose methods work on the object alone; changes of lists and dicts are seen by the survey.
PURE_TYPES: tuple[type, ...] = (
    int, float, complex, bool, str, bytes, bytearray, tuple, list, dict, set, frozenset, range,
    slice, type, type(None), type(dict().keys()), type(dict().values()), type(dict().items()),
)  # fmt: skip
LIBRARY = (str(Path(os.__file__).parent), "<frozen")  # Python's own modules
DEPENDENCIES = ("llvmlite", "numpy", "scipy_openblas64")


class Witness:
    """Watches a run; a profiler that the user has set comes back afterwards."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()
        self.effect: str | None = None

    def __enter__(self) -> Witness:
        self.before = sys.getprofile()
        sys.setprofile(self.see)
        return self

    def __exit__(self, *error: Any) -> None:
        sys.setprofile(self.before)

    def see(self, frame: FrameType, event: str, argument: Any) -> None:
        """The profiler's hook."""
        if event == "call":
            if frame.f_code.co_name != "<module>":  # an import is no part of what the function does
                self.codes.add(frame.f_code)
        elif event == "c_call" and self.effect is None and is_for_user(frame):
            self.effect = effect_of(argument)

    @property
    def names(self) -> set[str]:
        """Names by which the executed code can reach attributes and globals; strings count too:
        `getattr(self, "layer1")`.
        """
        found: set[str] = set()
        for code in self.codes:
            found.update(code.co_names)
            found.update(text for text in code.co_consts if type(text) is str)
        return found

    @property
    def computes_names(self) -> bool:
        """Whether executed user code may ask for attributes by computed names."""
        return any(
            {"getattr", "vars", "__dict__", "hasattr"} & set(code.co_names)
            for code in self.codes
            if not code.co_filename.startswith(PACKAGE)
        )


def is_for_user(frame: FrameType | None) -> bool:
    """Whether a frame works for user code: Python's own modules work for those who call them."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            return False
        package = file.partition("site-packages")[2]
        if not (package[1:].startswith(DEPENDENCIES) if package else file.startswith(LIBRARY)):
            return True
        frame = frame.f_back
    return True


def effect_of(function: Any) -> str | None:
    """What speaks against a C function in a compiled one; None if nothing does."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, PURE_TYPES) or isinstance(owner, engine.Tensor):
        return None
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", "")
    if module in PURE_MODULES or isinstance(owner, engine.Tensor):
        return None
    if module == "builtins" and name in PURE:
        return None
    objclass = getattr(function, "__objclass__", None)
    if isinstance(objclass, type) and (issubclass(objclass, PURE_TYPES) or objclass is object):
        return None
    if type(owner).__module__ in ("builtins", "collections", "functools") and owner is not None:
        kind = type(owner).__name__
        if kind in ("OrderedDict", "defaultdict", "Counter", "deque", "mappingproxy"):
            return None
    where = "" if module in (None, "builtins") else f"{module}."
    if owner is not None and type(owner).__name__ != "module":
        where = f"{type(owner).__name__}."
    return f"it calls {where}{name}()"

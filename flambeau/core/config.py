"""Every environment switch, read once at import into the object `config`.

`SWITCHES` is the table the documentation is compared with. Read attributes directly; tests change
them for a while with `override`:

>>> with override(debug=2):
...     config.debug
2
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class Switch(NamedTuple):
    """One environment variable."""

    name: str
    #: the attribute of `config`
    attribute: str
    #: the text that, when set, gives the default behaviour; "" where it depends on the machine
    default: str
    meaning: str
    parse: Callable[[str], Any]


class Config:
    """The values of all switches."""

    __slots__ = ("debug", "check", "cache", "threads", "device", "cpu")

    #: 0 silent, 1 devices and cache, 2 each kernel, 3 plans and fusion, 4 IR, 5 assembly
    debug: int
    #: kernels check bounds and trap NaN
    check: bool
    #: folder of compiled kernels, or None: nothing is kept on disk
    cache: str | None
    #: threads that large kernels run on
    threads: int
    #: the device new tensors are made on, as text
    device: str
    #: the processor that kernels are compiled for, "" for this one
    cpu: str

    def __init__(self, values: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, values[name])

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def _parse_debug(text: str) -> int:
    level = int(text)
    if not 0 <= level <= 5:
        raise ValueError("must be from 0 to 5")
    return level


def _parse_check(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def _parse_cache(text: str) -> str | None:
    if text == "0":
        return None
    return os.path.abspath(os.path.expanduser(text)) if text else default_cache_folder()


def _parse_threads(text: str) -> int:
    count = int(text) if text else _default_threads()
    if count < 1:
        raise ValueError("must be at least 1")
    return count


def _parse_cpu(text: str) -> str:
    if text not in ("", "x86-64", "x86-64-v2", "x86-64-v3"):
        raise ValueError("must be x86-64, x86-64-v2 or x86-64-v3")
    return text


SWITCHES: tuple[Switch, ...] = (
    Switch(
        "FLAMBEAU_DEBUG",
        "debug",
        "0",
        "Print what happens: 1 devices and cache, 2 each kernel with its time and GB/s, "
        "3 plans and fusion, 4 LLVM IR or CUDA source, 5 assembly; higher includes lower.",
        _parse_debug,
    ),
    Switch(
        "FLAMBEAU_CHECK",
        "check",
        "0",
        "1: kernels check their bounds and trap NaN results. Slow.",
        _parse_check,
    ),
    Switch(
        "FLAMBEAU_CACHE",
        "cache",
        "",
        "Folder of compiled kernels; 0 keeps none. Default: flambeau in the user's cache folder.",
        _parse_cache,
    ),
    Switch(
        "FLAMBEAU_THREADS",
        "threads",
        "",
        "Threads for large kernels. Default: OMP_NUM_THREADS, else the usable processors.",
        _parse_threads,
    ),
    Switch(
        "FLAMBEAU_DEVICE",
        "device",
        "cpu",
        "Device on which tensors are made when none is named.",
        str,
    ),
    Switch(
        "FLAMBEAU_CPU",
        "cpu",
        "",
        "Compile for x86-64, x86-64-v2 or x86-64-v3, to try what older processors run. "
        "Default: this processor.",
        _parse_cpu,
    ),
)


def default_cache_folder() -> str:
    """Where compiled kernels go unless FLAMBEAU_CACHE says otherwise."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "flambeau")


def _default_threads() -> int:
    """OMP_NUM_THREADS, which programs set to tame torch, else the processors we may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read(environment: Mapping[str, str]) -> Config:
    """The configuration that these environment variables ask for.

    >>> read({"FLAMBEAU_DEBUG": "3", "FLAMBEAU_CACHE": "0"}).cache is None
    True
    """
    values = {}
    for switch in SWITCHES:
        text = environment.get(switch.name, "").strip() or switch.default
        try:
            values[switch.attribute] = switch.parse(text)
        except ValueError as error:
            reason = str(error) if str(error).startswith("must") else "must be a whole number"
            raise ValueError(f"{switch.name}={text!r}: {reason}\n  {switch.meaning}") from None
    return Config(values)


config: Config = read(os.environ)


@contextlib.contextmanager
def override(**values: Any) -> Iterator[Config]:
    """Change switches for the duration of a `with` block.

    >>> with override(check=True) as current:
    ...     current.check
    True
    """
    before = {name: getattr(config, name) for name in values}
    try:
        for name, value in values.items():
            setattr(config, name, value)
        yield config
    finally:
        for name, value in before.items():
            setattr(config, name, value)

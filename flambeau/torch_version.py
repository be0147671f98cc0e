"""`TorchVersion`, the type of `flambeau.__version__`: a string that compares as a version.

Programs write `torch.__version__ >= "2.1"` or `>= (2, 1)` to gate features; compared as plain
strings "2.13" would sort before "2.9". The order is that of PEP 440.

>>> torch.__version__ >= "2.9" and torch.__version__ >= (2, 13)
True
>>> torch.torch_version.TorchVersion("2.13.0rc1") < "2.13"
True
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_PATTERN = re.compile(
    r"""\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)
    (?:[-_.]?(?P<phase>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<phase_number>\d*))?
    (?:-(?P<implicit_post>\d+)|(?P<post>[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>\d*)))?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>\d*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_PHASES = {"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}
_LOWEST: tuple[Any, ...] = (-1,)
_HIGHEST: tuple[Any, ...] = (1,)


def _release_key(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:  # 2.13 and 2.13.0 are the same release
        numbers.pop()
    return tuple(numbers)


def _local_key(text: str | None) -> tuple[Any, ...]:
    if text is None:
        return _LOWEST
    parts = re.split(r"[-_.]", text.lower())
    return (0, tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts))


def _sort_key(text: str) -> tuple[Any, ...] | None:
    """What PEP 440 orders versions by; None for a text that is no version."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    has_post = part["post"] is not None or part["implicit_post"] is not None
    if part["phase"] is not None:
        phase = part["phase"].lower()
        before = (0, _PHASES.get(phase, phase), int(part["phase_number"] or 0))
    elif part["dev"] is not None and not has_post:  # 1.0.dev1 comes before 1.0a1
        before = _LOWEST
    else:
        before = _HIGHEST
    after = (0, int(part["implicit_post"] or part["post_number"] or 0)) if has_post else _LOWEST
    dev = (0, int(part["dev_number"] or 0)) if part["dev"] is not None else _HIGHEST
    release = _release_key(part["release"])
    return (int(part["epoch"] or 0), release, before, after, dev, _local_key(part["local"]))


class TorchVersion(str):
    """A version text that compares with texts and tuples as versions do."""

    __slots__ = ()

    def _pair(self, other: object) -> tuple[Any, Any] | None:
        """The two keys to compare: by version, or as texts where `other` is no version."""
        if isinstance(other, str):
            text = str(other)
        elif isinstance(other, Iterable):
            text = ".".join(str(item) for item in other)
        else:
            return None
        mine, theirs = _sort_key(str(self)), _sort_key(text)
        if mine is not None and theirs is not None:
            return mine, theirs
        return (str(self), text) if isinstance(other, str) else None

    def __lt__(self, other: object) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] < pair[1]

    def __le__(self, other: object) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] <= pair[1]

    def __gt__(self, other: object) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] > pair[1]

    def __ge__(self, other: object) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] >= pair[1]

    def __eq__(self, other: object) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] == pair[1]

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    __hash__ = str.__hash__

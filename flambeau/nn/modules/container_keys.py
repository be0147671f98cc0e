"""Indices and pairs as the module and parameter containers take them, with their errors.

>>> torch.nn.modules.container_keys.string_index(-1, 3)
'2'
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def string_index(idx: Any, length: int) -> str:
    """The name of the entry at `idx`, which may count from the end."""
    idx = operator.index(idx)
    if not -length <= idx < length:
        raise IndexError(f"index {idx} is out of range")
    return str(idx + length if idx < 0 else idx)


def pairs_of(entries: Any, caller: str, class_name: str, own_class: type) -> Iterator[tuple]:
    """The pairs of a mapping, or of an iterable that must hold pairs."""
    if not isinstance(entries, Iterable):
        raise TypeError(
            f"{caller} should be called with an "
            "iterable of key/value pairs, but got " + type(entries).__name__
        )
    if isinstance(entries, (own_class, Mapping)):
        yield from entries.items()  # type: ignore[attr-defined]
        return
    for i, pair in enumerate(entries):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{class_name} update sequence element #{i} should be Iterable; is"
                + type(pair).__name__
            )
        length = len(pair)  # type: ignore[arg-type]
        if length != 2:
            raise ValueError(
                f"{class_name} update sequence element #{i} has length {length}; 2 is required"
            )
        yield pair[0], pair[1]  # type: ignore[index]

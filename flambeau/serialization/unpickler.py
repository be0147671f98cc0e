"""Reads pickles without running anything that they ask for.

A pickle is a program for a small stack machine; `DataUnpickler` is that machine with its teeth
drawn. Numbers, text and containers are built as in Python's own unpickler. A class or function can
be named only if `GlobalTable` knows the name, called only if the table says so, and given state
only if its type is allowed. Operations that data does not need (extension registry, old instances,
persistent ids as text) do not exist here. Lengths are checked before anything is allocated.
Anything else in the stream raises `pickle.UnpicklingError`. What each operation does is in
`operations`; `load` and `legacy` are the callers.

>>> DataUnpickler(pickle.dumps({"epoch": 3})).load()
{'epoch': 3}
>>> DataUnpickler(pickle.dumps(print)).load()  # doctest: +ELLIPSIS
Traceback (most recent call last):
    ...
_pickle.UnpicklingError: Unsupported global: GLOBAL print was not an allowed global by default...
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any

from flambeau.serialization.globals import Global, GlobalTable
from flambeau.serialization.operations import OPERATIONS

# What malformed streams make of the operations; it becomes an UnpicklingError.
_MALFORMED = (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError)
_TRUNCATED = "The pickle ends in the middle of an object: the file is incomplete."
_LONGEST_LINE = 4096


def _refuse_persistent_id(saved_id: Any) -> Any:
    raise pickle.UnpicklingError("unsupported persistent id encountered")


class DataUnpickler:
    """One pass over `data` from `position`, which ends behind the pickle that `load` returns."""

    def __init__(
        self,
        data: Any,
        position: int = 0,
        *,
        table: GlobalTable | None = None,
        persistent_load: Callable[[Any], Any] = _refuse_persistent_id,
        encoding: str = "utf-8",
    ) -> None:
        self.data = memoryview(data)
        self.position = position
        self.table = GlobalTable(allow_modules=False) if table is None else table
        self.persistent_load = persistent_load
        self.encoding = encoding
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # The globals that this stream has named, by identity of what they stand for.
        self.named: dict[int, Global] = {}
        self._is_foreign = False

    def load(self) -> Any:
        """The object that the pickle describes."""
        data, operations, size = self.data, OPERATIONS, len(self.data)
        try:
            while self.position < size:
                code = data[self.position]
                self.position += 1
                if code == pickle.STOP[0]:
                    return self.stack.pop()
                operation = operations[code]
                if operation is None:
                    raise pickle.UnpicklingError(f"Unsupported operand {code}")
                operation(self)
        except _MALFORMED as error:
            if self._is_foreign:
                raise
            raise pickle.UnpicklingError(
                f"The pickle is damaged near byte {self.position}: {type(error).__name__}: {error}"
            ) from error
        except struct.error:
            if self._is_foreign:
                raise
        raise EOFError(_TRUNCATED)

    def call_foreign(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call the program's own code; its errors are passed on as they are."""
        self._is_foreign = True
        result = function(*arguments, **keywords)
        self._is_foreign = False
        return result

    def take(self, count: int) -> memoryview:
        """The next `count` bytes of the stream."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise EOFError(_TRUNCATED)
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, form: struct.Struct) -> Any:
        """The number that the stream holds next."""
        (value,) = form.unpack_from(self.data, self.position)
        self.position += form.size
        return value

    def line(self) -> str:
        """The rest of the line; only names and numbers of old protocols are written as lines."""
        piece = bytes(self.data[self.position : self.position + _LONGEST_LINE])
        length = piece.find(b"\n")
        if length < 0:
            raise EOFError(_TRUNCATED)
        self.position += length + 1
        return piece[:length].decode()

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def name_global(self, module: Any, name: Any) -> None:
        """Push what a name stands for, and remember how it may be used."""
        if type(module) is not str or type(name) is not str:
            raise pickle.UnpicklingError("The name of a global must be text")
        found = self.table.find(module, name)
        self.named[id(found.value)] = found
        self.stack.append(found.value)

    def global_of(self, value: Any) -> Global | None:
        """How an object from the stack may be used, if this stream got it by name."""
        return self.named.get(id(value))

"""The format that torch wrote before version 1.6: five pickles, then the storages one by one.

magic number, protocol version, sizes of C types, the object, the keys of its storages; then for
each key the number of elements as 64 bits and the elements. Tensors are built before their memory
is read, so every storage is first checked against what is left of the file.

>>> file = io.BytesIO()
>>> write_legacy({"step": 7}, file, protocol=2)
>>> read_legacy(file.getvalue(), GlobalTable(allow_modules=False))
{'step': 7}
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from typing import IO, Any

import flambeau
from flambeau.serialization.checkpoint import parse_storage_id
from flambeau.serialization.globals import GlobalTable
from flambeau.serialization.names import UNTYPED_STORAGE
from flambeau.serialization.pickler import DataPickler
from flambeau.serialization.storages import (
    MAP_LOCATION,
    new_storage,
    restore_function,
    storage_bytes,
    typed,
)
from flambeau.serialization.unpickler import DataUnpickler

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_COUNT = struct.Struct("<q")
_TAR_MAGIC = slice(257, 262)


class LegacyPickler(DataPickler):
    """The same pickles, with a sixth part in a storage's id: the view that it once could be."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.itemsizes: dict[str, int] = {}

    def persistent_id(self, obj: Any) -> tuple[Any, ...] | None:
        saved_id = super().persistent_id(obj)
        if saved_id is None:
            return None
        _, storage_type, key, _, _ = saved_id
        self.itemsizes[key] = 1 if storage_type.dtype is None else storage_type.dtype.itemsize
        return (*saved_id, None)


def write_legacy(obj: Any, file: IO[bytes], protocol: int) -> None:
    """Write `obj` in the old format."""
    pickled = io.BytesIO()
    pickler = LegacyPickler(pickled, protocol)
    pickler.dump(obj)
    type_sizes = {"short": 2, "int": 4, "long": 4}
    little = sys.byteorder == "little"
    system = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": little,
        "type_sizes": type_sizes,
    }
    for value in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
        file.write(pickle.dumps(value, protocol))
    file.write(pickled.getvalue())
    keys = sorted(pickler.storages)
    file.write(pickle.dumps(keys, protocol))
    for key in keys:
        memory = storage_bytes(pickler.storages[key])
        file.write(_COUNT.pack(len(memory) // pickler.itemsizes[key]))
        file.write(memory)


class _LegacyStorages:
    """Storages by key: made when the pickle names them, filled afterwards."""

    def __init__(self, size: int, map_location: MAP_LOCATION) -> None:
        self._restore = restore_function(map_location)
        # What all storages together may hold at most: the file itself.
        self._left = size
        self.loaded: dict[str, Any] = {}
        self.memory: dict[str, tuple[memoryview, int]] = {}

    def __call__(self, saved_id: Any) -> Any:
        if type(saved_id) is tuple and saved_id[:1] == ("module",) and len(saved_id) == 4:
            # A class with its source text; the class itself has passed the table of globals.
            return saved_id[1]
        storage_type, key, location, count = parse_storage_id(saved_id, 6)
        dtype = flambeau.uint8 if storage_type is UNTYPED_STORAGE else storage_type.dtype
        nbytes = count * dtype.itemsize
        if key not in self.loaded:
            self.loaded[key] = self._make(key, location, nbytes, dtype.itemsize)
        whole = self.loaded[key]
        view = saved_id[5]
        if view is not None:
            # Views of storages went out of use with torch 0.4; one of the whole is none.
            if type(view) is not tuple or len(view) != 3 or view[1:] != (0, count):
                raise NotImplementedError("The file holds views of storages (torch before 0.4).")
        if nbytes != whole.nbytes():
            raise pickle.UnpicklingError(f"Two storages have the key {key!r}")
        return typed(whole, dtype)

    def _make(self, key: str, location: str, nbytes: int, itemsize: int) -> Any:
        self._left -= nbytes
        if self._left < 0:
            raise RuntimeError(
                f"unexpected EOF, expected {-self._left} more bytes. The file might be corrupted."
            )
        storage, memory = new_storage(nbytes)
        self.memory[key] = memory, itemsize
        placed = self._restore(storage, location)
        if placed is not storage and placed.device.type != "meta":
            raise NotImplementedError(
                "Files of the old format can be loaded to the CPU only: use "
                "map_location=torch.device('cpu')."
            )
        return placed


def _check_prefix(data: memoryview, table: GlobalTable) -> int:
    """Check the numbers in front; the position behind them."""
    if bytes(data[_TAR_MAGIC]) == b"ustar":
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with files saved in the legacy .tar format.\n"
            "  Load and save the file with a recent torch, which writes a zip archive."
        )
    machine = DataUnpickler(data, table=table)
    if machine.load() != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    machine = DataUnpickler(data, machine.position, table=table)
    version = machine.load()
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version!r:.40}")
    machine = DataUnpickler(data, machine.position, table=table)
    system = machine.load()
    if not isinstance(system, dict) or system.get("little_endian") is not (
        sys.byteorder == "little"
    ):
        raise NotImplementedError(
            "The file was written on a machine with the other byte order, and Flambeau does not "
            "convert between them."
        )
    return machine.position


def read_legacy(
    content: bytes,
    table: GlobalTable,
    map_location: MAP_LOCATION = None,
    encoding: str = "utf-8",
) -> Any:
    """The object in a file of the old format."""
    data = memoryview(content)
    position = _check_prefix(data, table)
    storages = _LegacyStorages(len(data) - position, map_location)
    machine = DataUnpickler(
        data, position, table=table, persistent_load=storages, encoding=encoding
    )
    result = machine.load()
    machine = DataUnpickler(data, machine.position, table=table)
    keys, position = machine.load(), machine.position
    if type(keys) is not list or set(keys) != set(storages.memory):
        raise pickle.UnpicklingError("The list of storages does not fit the tensors of the file")
    for key in keys:
        memory, itemsize = storages.memory[key]
        end = position + _COUNT.size + len(memory)
        if end > len(data):
            raise RuntimeError(
                f"unexpected EOF, expected {end - len(data)} more bytes. The file might be "
                "corrupted."
            )
        (count,) = _COUNT.unpack_from(data, position)
        if count * itemsize != len(memory):
            raise RuntimeError(
                f"storage has wrong byte size: expected {len(memory)} got {count * itemsize}"
            )
        memory[:] = data[position + _COUNT.size : end]
        position = end
    return result

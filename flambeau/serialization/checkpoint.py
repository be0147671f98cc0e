"""Checkpoints in the zip format: the pickle `data.pkl` and one record for each storage.

`save` calls `write_checkpoint`, `load` calls `read_checkpoint`. `StorageReader` answers the
persistent ids of the pickle: it reads a storage when a tensor first asks for it, once, after
comparing the length that the pickle claims with the record that is there.

>>> file = io.BytesIO()
>>> write_checkpoint({"step": 7}, file, root="archive", protocol=2)
>>> read_checkpoint(file, 0, GlobalTable(allow_modules=False))
{'step': 7}
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import pickle
import sys
from typing import IO, Any

import flambeau
from flambeau.serialization.archive import ALIGNMENT, ArchiveReader, ArchiveWriter, Record
from flambeau.serialization.globals import GlobalTable
from flambeau.serialization.names import UNTYPED_STORAGE, StorageType
from flambeau.serialization.pickler import DataPickler
from flambeau.serialization.storages import (
    MAP_LOCATION,
    new_storage,
    restore_function,
    storage_bytes,
    typed,
)
from flambeau.serialization.unpickler import DataUnpickler

_OLDEST_VERSION, _NEWEST_VERSION = 1, 10


def archive_name(path: str | None) -> str:
    """The folder inside the archive of a file: its name without the extension.

    >>> archive_name("runs/model.v2.pt"), archive_name(None)
    ('model.v2', 'archive')
    """
    stem = os.path.splitext(os.path.basename(path))[0] if path is not None else ""
    return stem if stem.isascii() and stem.strip(".") else "archive"


def write_checkpoint(
    obj: Any, file: IO[bytes], root: str, protocol: int, with_byteorder: bool = True
) -> None:
    """Write `obj` as an archive. Everything is pickled before the first byte is written."""
    pickled = io.BytesIO()
    pickler = DataPickler(pickled, protocol)
    pickler.dump(obj)
    writer = ArchiveWriter(file.write, root)
    writer.add("data.pkl", pickled.getvalue())
    writer.add(".format_version", b"1")
    writer.add(".storage_alignment", str(ALIGNMENT).encode())
    if with_byteorder:
        writer.add("byteorder", sys.byteorder.encode())
    for key, storage in pickler.storages.items():
        writer.add(f"data/{key}", storage_bytes(storage))
    writer.add("version", b"3\n")
    writer.add(".data/serialization_id", _content_id(writer))
    writer.close()


def _content_id(writer: ArchiveWriter) -> bytes:
    """Forty digits that follow from the names and the contents of the records."""
    halves = []
    for values in (
        [record.name.encode() for record in writer.records],
        [record.checksum.to_bytes(4, "little") for record in writer.records],
    ):
        digest = hashlib.sha256(b"\0".join(values)).digest()
        halves.append(f"{int.from_bytes(digest[:8], 'little'):020d}")
    return "".join(halves).encode()


class StorageReader:
    """Turns the persistent ids of a pickle into storages read from the archive."""

    def __init__(
        self, archive: ArchiveReader, map_location: MAP_LOCATION, mapped: Any = None
    ) -> None:
        self._archive = archive
        self._restore = restore_function(map_location)
        self._is_meta = str(map_location).partition(":")[0] == "meta"
        self._mapped = mapped
        self._loaded: dict[str, Any] = {}

    def __call__(self, saved_id: Any) -> Any:
        storage_type, key, location, count = parse_storage_id(saved_id, 5)
        dtype = flambeau.uint8 if storage_type is UNTYPED_STORAGE else storage_type.dtype
        nbytes = count * dtype.itemsize
        if key not in self._loaded:
            record = self._archive.find(f"data/{key}")
            _check_length(record.size, nbytes)
            self._loaded[key] = self._load(record, location)
        _check_length(self._loaded[key].nbytes(), nbytes)
        return typed(self._loaded[key], dtype)

    def _load(self, record: Record, location: str) -> Any:
        if self._is_meta:
            return flambeau.UntypedStorage(record.size, device="meta")
        if self._mapped is not None and record.size:
            storage = self._mapped(self._archive.payload_offset(record), record.size)
        else:
            storage, memory = new_storage(record.size)
            self._archive.read_into(record, memory)
        return self._restore(storage, location)


def _check_length(nbytes: int, expected: int) -> None:
    if nbytes != expected:
        raise RuntimeError(
            f"record size ({nbytes} bytes) does not match expected size ({expected} bytes = "
            f"{expected} elements * 1 bytes/element) for dtype Byte\n"
            "  The file is damaged: a storage is not as long as its tensors say."
        )


def parse_storage_id(saved_id: Any, length: int) -> Any:
    """The parts behind the word "storage" of a persistent id, their types checked."""
    if type(saved_id) is not tuple or len(saved_id) != length:
        raise pickle.UnpicklingError(
            f"persistent_load id must be tuple or int, but got {type(saved_id)}"
        )
    word, storage_type, key, location, count = (
        part.decode("ascii", "replace") if type(part) is bytes else part for part in saved_id[:5]
    )
    if word != "storage":
        raise pickle.UnpicklingError(
            f"Only persistent_load of storage is allowed, but got {type(saved_id[0])}"
        )
    is_valid = (
        type(storage_type) is StorageType
        and type(key) is str
        and type(location) is str
        and type(count) is int
        and count >= 0
    )
    if not is_valid:
        raise pickle.UnpicklingError("The persistent id of a storage is malformed")
    return storage_type, key, location, count


def map_file(path: str) -> Any:
    """A function that gives storages inside the file's own pages; changes stay private to them."""
    import numpy

    with open(path, "rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def storage_at(offset: int, nbytes: int) -> Any:
        view = numpy.frombuffer(pages, numpy.uint8, nbytes, offset)
        return flambeau.from_numpy(view).untyped_storage()

    return storage_at


def _check_archive(archive: ArchiveReader) -> None:
    if not archive.has("version"):
        raise RuntimeError(
            'Expected hasRecord("version") to be true, but got false.\n'
            "  The archive is no checkpoint: the record that says its version is missing."
        )
    text = archive.read("version").decode("ascii", "replace")
    if not text.strip().isdigit():
        raise RuntimeError(f"Couldn't parse the version {text} as Long Long.")
    version = int(text)
    if version > _NEWEST_VERSION:
        raise RuntimeError(
            f"Attempted to read a PyTorch file with version {version}, but the maximum supported "
            f"version for reading is {_NEWEST_VERSION}."
        )
    if version < _OLDEST_VERSION:
        raise RuntimeError(
            f"Attempted to read a PyTorch file with version {version}, but the minimum supported "
            f"version for reading is {_OLDEST_VERSION}."
        )
    if archive.has("constants.pkl"):
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``.\n"
            "  The file holds a compiled program, which Flambeau does not run. Save the model's "
            "state_dict instead."
        )
    # Archives of the first versions have no mark; they were written on little-endian machines.
    order = archive.read("byteorder") if archive.has("byteorder") else b"little"
    if order not in (b"little", b"big"):
        raise ValueError("Unknown endianness type: " + order.decode("ascii", "replace"))
    if order.decode() != sys.byteorder:
        raise NotImplementedError(
            f"The file was written on a {order.decode()}-endian machine, this one is "
            f"{sys.byteorder}-endian, and Flambeau does not convert between them."
        )


def read_checkpoint(
    file: IO[bytes],
    start: int,
    table: GlobalTable,
    map_location: MAP_LOCATION = None,
    mapped: Any = None,
    encoding: str = "utf-8",
) -> Any:
    """The object in the archive that starts at byte `start` of `file`."""
    archive = ArchiveReader(file, start)
    _check_archive(archive)
    storages = StorageReader(archive, map_location, mapped)
    pickled = archive.read("data.pkl")
    unpickler = DataUnpickler(pickled, table=table, persistent_load=storages, encoding=encoding)
    return unpickler.load()

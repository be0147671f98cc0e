"""The zip container of checkpoints: records stored without compression, each aligned to 64 bytes.

`save` writes with `ArchiveWriter`, `load` reads with `ArchiveReader`. The bytes follow what torch
writes: a record's payload starts at a multiple of 64 (a padding field "FB" in its header sees to
that, so that a file can be mapped into memory), a data descriptor with the checksum follows it,
and the directory at the end is always of the 64-bit kind. The formats of the structures are those
of the ZIP specification (APPNOTE.TXT, sections 4.3 and 4.5).

>>> written = bytearray()
>>> writer = ArchiveWriter(written.extend, root="model")
>>> writer.add("data.pkl", b"abc")
>>> written[64:67]
bytearray(b'abc')
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import IO, Any, NamedTuple, NoReturn

Buffer = bytes | memoryview

ALIGNMENT = 64
ARCHIVE_MAGIC = b"PK\x03\x04"

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CENTRAL_HEADER = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_END_64_LOCATOR = struct.Struct("<4sIQI")

# Bit 3: sizes and checksum follow the payload. Bit 11: names are UTF-8.
_HAS_DESCRIPTOR = 0x0008
_UTF8_NAMES = 0x0800
_ENCRYPTED = 0x0001
_UNKNOWN_32 = 0xFFFFFFFF
_STORED = 0
_ZIP64_FIELD = 0x0001


class Record(NamedTuple):
    """One entry of the directory at the end of an archive."""

    name: str
    size: int
    checksum: int
    header_offset: int


def _zip64_field(*values: int) -> bytes:
    """The extra field that holds the numbers too large for their 32-bit places."""
    large = [value for value in values if value >= _UNKNOWN_32]
    if not large:
        return b""
    return struct.pack(f"<2H{len(large)}Q", _ZIP64_FIELD, 8 * len(large), *large)


class ArchiveWriter:
    """Writes records one after the other through `write`; nothing is ever sought back to."""

    def __init__(self, write: Callable[[Any], Any], root: str) -> None:
        self._write = write
        self._root = root
        self._position = 0
        self.records: list[Record] = []

    def _put(self, data: Buffer) -> None:
        self._write(data)
        self._position += len(data)

    def add(self, name: str, payload: Buffer) -> None:
        """Append the record `name`."""
        full_name = f"{self._root}/{name}".encode()
        size = len(payload)
        record = Record(full_name.decode(), size, zlib.crc32(payload), self._position)
        is_large = size >= _UNKNOWN_32 or record.header_offset >= _UNKNOWN_32
        extra = _zip64_field(size, size, record.header_offset)
        start = self._position + _LOCAL_HEADER.size + len(full_name) + len(extra) + 4
        padding = -start % ALIGNMENT
        extra += struct.pack("<2s1H", b"FB", padding) + b"Z" * padding
        flags = _UTF8_NAMES | (_HAS_DESCRIPTOR if size else 0)
        header = (ARCHIVE_MAGIC, 0, flags, _STORED, 0, 0, 0, 0, 0, len(full_name), len(extra))
        self._put(_LOCAL_HEADER.pack(*header) + full_name + extra)
        if size:
            self._put(payload)
            sizes = "2Q" if is_large else "2I"
            self._put(struct.pack("<4sI" + sizes, b"PK\x07\x08", record.checksum, size, size))
        self.records.append(record)

    def close(self) -> None:
        """Write the directory that ends the archive."""
        start = self._position
        for record in self.records:
            self._put(self._central_entry(record))
        length, end = self._position - start, self._position
        count = len(self.records)
        self._put(_END_64.pack(b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, length, start))
        self._put(_END_64_LOCATOR.pack(b"PK\x06\x07", 0, end, 1))
        count_16 = min(count, 0xFFFF)
        bounded = (min(length, _UNKNOWN_32), min(start, _UNKNOWN_32))
        self._put(_END.pack(b"PK\x05\x06", 0, 0, count_16, count_16, *bounded, 0))

    @staticmethod
    def _central_entry(record: Record) -> bytes:
        name = record.name.encode()
        extra = _zip64_field(record.size, record.size, record.header_offset)
        flags = _UTF8_NAMES | (_HAS_DESCRIPTOR if record.size else 0)
        size = min(record.size, _UNKNOWN_32)
        versions_and_time = (0, 0, flags, _STORED, 0, 0)
        lengths = (len(name), len(extra), 0)
        place = (0, 0, 0, min(record.header_offset, _UNKNOWN_32))
        fixed = (b"PK\x01\x02", *versions_and_time, record.checksum, size, size, *lengths, *place)
        return _CENTRAL_HEADER.pack(*fixed) + name + extra


def _fail(doing: str, reason: str) -> NoReturn:
    raise RuntimeError(
        f"PytorchStreamReader failed {doing}: {reason}.\n"
        "  The file is damaged or incomplete: it was not saved or transferred to its end, or it "
        "was changed afterwards."
    )


class ArchiveReader:
    """The records of an archive that starts at byte `start` of a seekable file.

    Sizes are checked against the file before anything is allocated, records may not overlap, and
    compressed ones are refused, so that what is read is never more than the file holds.
    """

    def __init__(self, file: IO[bytes], start: int) -> None:
        self._file = file
        self._start = start
        self._size = file.seek(0, 2) - start
        self.records: dict[str, Record] = {}
        self._root = ""
        self._read_directory()

    def _read_at(self, offset: int, count: int) -> bytes:
        self._file.seek(self._start + offset)
        return self._file.read(count)

    def _read_directory(self) -> None:
        doing = "reading zip archive"
        if self._size < _END.size:
            _fail(doing, "not a ZIP archive")
        offset, length, count = self._find_directory()
        if offset + length > self._size or count * _CENTRAL_HEADER.size > length:
            _fail(doing, "invalid header or archive is corrupted")
        directory = self._read_at(offset, length)
        position = 0
        for _ in range(count):
            record, position = self._parse_entry(directory, position)
            if record.name in self.records:
                _fail(doing, f"the record {record.name!r} occurs twice")
            self.records[record.name] = record
        if sum(record.size for record in self.records.values()) > offset:
            _fail(doing, "records overlap")
        first = next(iter(self.records), "")
        self._root, separator, _ = first.partition("/")
        if not separator:
            raise RuntimeError(f"file in archive is not in a subdirectory: {first}")

    def _find_directory(self) -> tuple[int, int, int]:
        """Offset, length and number of entries of the directory."""
        tail_start = max(0, self._size - _END.size - 0xFFFF)
        tail = self._read_at(tail_start, self._size - tail_start)
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or found + _END.size > len(tail):
            _fail("reading zip archive", "failed finding central directory")
        _, _, _, _, count, length, offset, _ = _END.unpack_from(tail, found)
        locator_at = tail_start + found - _END_64_LOCATOR.size
        if locator_at >= 0:
            signature, _, end_at, _ = _END_64_LOCATOR.unpack(
                self._read_at(locator_at, _END_64_LOCATOR.size)
            )
            if signature == b"PK\x06\x07" and end_at + _END_64.size <= locator_at:
                end = _END_64.unpack(self._read_at(end_at, _END_64.size))
                if end[0] == b"PK\x06\x06":
                    count, length, offset = end[7], end[8], end[9]
        return offset, length, count

    @staticmethod
    def _parse_entry(directory: bytes, position: int) -> tuple[Record, int]:
        doing = "reading zip archive"
        if position + _CENTRAL_HEADER.size > len(directory):
            _fail(doing, "invalid header or archive is corrupted")
        fields = _CENTRAL_HEADER.unpack_from(directory, position)
        signature, flags, method = fields[0], fields[3], fields[4]
        checksum, packed_size, size, name_length, extra_length, comment_length = fields[7:13]
        header_offset = fields[16]
        name_at = position + _CENTRAL_HEADER.size
        extra_at = name_at + name_length
        end = extra_at + extra_length + comment_length
        if signature != b"PK\x01\x02" or end > len(directory):
            _fail(doing, "invalid header or archive is corrupted")
        try:
            name = directory[name_at:extra_at].decode()
        except UnicodeDecodeError:
            _fail(doing, "invalid filename")
        if flags & _ENCRYPTED:
            _fail(f"reading file {name}", "unsupported encryption")
        if method != _STORED:
            _fail(f"reading file {name}", "unsupported compression method")
        extra = directory[extra_at : extra_at + extra_length]
        size, packed_size, header_offset = _large_numbers(extra, size, packed_size, header_offset)
        if size != packed_size:
            _fail(f"reading file {name}", "unexpected decompressed size")
        return Record(name, size, checksum, header_offset), end

    def has(self, name: str) -> bool:
        """Whether the archive holds the record `name`."""
        return f"{self._root}/{name}" in self.records

    def find(self, name: str) -> Record:
        """The directory entry of `name`."""
        record = self.records.get(f"{self._root}/{name}")
        if record is None:
            _fail(f"locating file {name}", "file not found")
        return record

    def payload_offset(self, record: Record) -> int:
        """Where in the file the payload of `record` starts, checked to lie inside the file."""
        doing = f"reading file {record.name}"
        header = self._read_at(record.header_offset, _LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or header[:4] != ARCHIVE_MAGIC:
            _fail(doing, "invalid header or archive is corrupted")
        name_length, extra_length = _LOCAL_HEADER.unpack(header)[-2:]
        offset: int = record.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if offset + record.size > self._size:
            _fail(doing, "file read failed")
        return self._start + offset

    def read(self, name: str) -> bytes:
        """The payload of the record `name`."""
        record = self.find(name)
        payload = bytearray(record.size)
        self.read_into(record, memoryview(payload))
        return bytes(payload)

    def read_into(self, record: Record, target: memoryview) -> None:
        """Fill `target`, which has the record's size, and verify the checksum."""
        self._file.seek(self.payload_offset(record))
        if fill(self._file, target) != record.size:
            _fail(f"reading file {record.name}", "file read failed")
        if zlib.crc32(target) != record.checksum:
            _fail(f"reading file {record.name}", "CRC-32 check failed")


def fill(file: IO[bytes], target: memoryview) -> int:
    """Read from `file` until `target` is full or the file ends; the number of bytes read."""
    done = 0
    read_into = getattr(file, "readinto", None)
    while done < len(target):
        if read_into is not None:
            count = read_into(target[done:])
        else:
            piece = file.read(len(target) - done)
            count = len(piece)
            target[done : done + count] = piece
        if not count:
            break
        done += count
    return done


def _large_numbers(extra: bytes, *values: int) -> list[int]:
    """`values` with those that are marked as too large taken from the 64-bit extra field."""
    if _UNKNOWN_32 not in values:
        return list(values)
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if kind == _ZIP64_FIELD:
            body = extra[position : position + length]
            large = [number for (number,) in struct.iter_unpack("<Q", body[: len(body) // 8 * 8])]
            if len(large) >= values.count(_UNKNOWN_32):
                return [large.pop(0) if value == _UNKNOWN_32 else value for value in values]
        position += length
    _fail("reading zip archive", "invalid header or archive is corrupted")

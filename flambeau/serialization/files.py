"""Files as `save` and `load` take them: paths, open files and buffers.

A path is written through a temporary file beside it, which takes its place only when complete: a
program that dies while saving leaves the previous checkpoint as it was.

>>> with open_for_writing(io.BytesIO()) as file:
...     file.write(b"complete")
8
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from typing import IO, Any, Union

FileLike = Union[str, "os.PathLike[str]", IO[bytes]]


def is_path(file: Any) -> bool:
    """Whether `file` names a file rather than being one.

    >>> is_path("weights.pt"), is_path(io.BytesIO())
    (True, False)
    """
    return isinstance(file, (str, os.PathLike))


@contextlib.contextmanager
def atomic_writer(path: str) -> Iterator[IO[bytes]]:
    """A file to write into, which becomes `path` when the block ends without an exception."""
    # A link keeps pointing to where it does: the file behind it is replaced.
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path) or folder} does not exist.")
    if os.path.isdir(target):
        raise RuntimeError(f"open file failed with strerror: Is a directory\n  {path}")
    if os.path.exists(target) and not os.path.isfile(target):
        # A device or a pipe cannot be replaced.
        with open(target, "wb") as file:
            yield file
        return
    temporary = os.path.join(folder, f".{os.path.basename(target)[:64]}.{secrets.token_hex(8)}")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    # The mode is narrowed by the user's umask, as for any file that `open` creates.
    with open(os.open(temporary, flags, 0o666), "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if os.path.exists(target):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            os.replace(temporary, target)
        except BaseException:
            file.close()
            os.unlink(temporary)
            raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make the new name itself survive a power failure, where the system can do so."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_for_writing(file: FileLike) -> Iterator[IO[bytes]]:
    """`file` itself, or an atomic writer if it is a path."""
    if isinstance(file, (str, os.PathLike)):
        with atomic_writer(os.fspath(file)) as opened:
            yield opened
        return
    if not hasattr(file, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    yield file
    if hasattr(file, "flush"):
        file.flush()


@contextlib.contextmanager
def open_for_reading(file: FileLike) -> Iterator[IO[bytes]]:
    """`file` itself, which must be seekable, or the file at that path."""
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as opened:
            yield opened
        return
    try:
        file.seek(file.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead."
        ) from None
    yield file

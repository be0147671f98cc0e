"""Saving and loading: tensors and Python data, in files that torch reads and writes too.

`flambeau.save` and `flambeau.load` are this package's. A checkpoint is a zip archive (`archive`)
with a pickle of the object (`pickler`, `unpickler`) and one record for the memory of each storage
(`storages`, `checkpoint`). Loading never runs code from a file: a file can name only what
`globals` lists and what the program has allowed (`allowlist`), and tensors are built by the
functions of `rebuild` alone. `legacy` is the format before torch 1.6, `files` the paths and
buffers, `names` the names that Flambeau's objects bear in files.

>>> torch.save({"weight": torch.ones(2), "epoch": 3}, "state.pt")
>>> torch.load("state.pt")
{'weight': tensor([1., 1.]), 'epoch': 3}
"""

from __future__ import annotations

import os
import pickle
import warnings
from typing import Any

from flambeau.serialization.allowlist import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from flambeau.serialization.archive import ARCHIVE_MAGIC
from flambeau.serialization.checkpoint import (
    archive_name,
    map_file,
    read_checkpoint,
    write_checkpoint,
)
from flambeau.serialization.files import FileLike, is_path, open_for_reading, open_for_writing
from flambeau.serialization.globals import GlobalTable
from flambeau.serialization.legacy import read_legacy, write_legacy
from flambeau.serialization.refusal import explain_refusal, get_unsafe_globals_in_checkpoint
from flambeau.serialization.storages import MAP_LOCATION, default_restore_location, location_tag

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "safe_globals",
    "save",
]

DEFAULT_PROTOCOL = 2


def save(
    obj: Any,
    f: FileLike,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write `obj` (tensors, modules' state, any nesting of Python data) to a file or path.

    A path is replaced only by a complete file: if saving fails, what was there before is still
    there. Tensors that share memory share it again after loading.

    >>> torch.save([torch.arange(3), "text"], "list.pt")
    >>> torch.load("list.pt")
    [tensor([0, 1, 2]), 'text']
    """
    _check_pickle_module(pickle_module)
    with open_for_writing(f) as file:
        if _use_new_zipfile_serialization:
            root = archive_name(os.fspath(f) if isinstance(f, (str, os.PathLike)) else None)
            write_checkpoint(obj, file, root, pickle_protocol, not _disable_byteorder_record)
        else:
            write_legacy(obj, file, pickle_protocol)


def load(
    f: FileLike,
    map_location: MAP_LOCATION = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save`, here or in torch, has written. No code from the file is ever run.

    `map_location` says where storages go: a device, a dict from saved to wanted locations, or a
    function of the storage and its location. Classes other than tensors, numbers, text and plain
    containers must be allowed first with `torch.serialization.add_safe_globals`.
    `weights_only=False` admits besides the classes of `nn.Module`s that the program has loaded
    itself, so that a whole saved model can be read back. With `mmap=True` storages are pages of
    the file, read when they are used.

    >>> torch.save(torch.ones(2), "tensor.pt")
    >>> torch.load("tensor.pt", map_location="meta")
    tensor(..., device='meta', size=(2,))
    """
    _check_pickle_module(pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    allow_modules = pickle_module is not None if weights_only is None else not weights_only
    if pickle_load_args and not allow_modules:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    if mmap and not is_path(f):
        raise ValueError("f must be a file path in order to use the mmap argument")
    if isinstance(f, (str, os.PathLike)) and os.fspath(f).endswith(".safetensors"):
        raise NotImplementedError("Flambeau does not read .safetensors files.")
    encoding = pickle_load_args.get("encoding", "utf-8")
    with open_for_reading(f) as file:
        table = GlobalTable(allow_modules)
        start = file.tell()
        magic = file.read(len(ARCHIVE_MAGIC))
        file.seek(start)
        try:
            if magic == ARCHIVE_MAGIC:
                mapped = map_file(os.fspath(f)) if mmap else None  # type: ignore[arg-type]
                return read_checkpoint(file, start, table, map_location, mapped, encoding)
            if mmap:
                name = f"{f}, " if isinstance(f, str) else ""
                raise RuntimeError(
                    "mmap can only be used with files saved with "
                    f"`torch.save({name}_use_new_zipfile_serialization=True), please torch.save "
                    "your checkpoint with this option in order to use mmap."
                )
            return read_legacy(file.read(), table, map_location, encoding)
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(explain_refusal(str(error))) from error.__cause__


def _check_pickle_module(pickle_module: Any) -> None:
    if pickle_module not in (None, pickle):
        raise NotImplementedError(
            f"Flambeau pickles in its own way and can not use {pickle_module.__name__!r}."
        )

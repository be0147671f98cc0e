"""Storages on their way into and out of files, and the tensors that are built on them.

The pickler hands `StorageReference`s to the archive; the unpickler gets typed storages back and
builds tensors on them with the functions of `rebuild`. The two functions that touch memory,
`storage_bytes` and `new_storage`, see it as an array of bytes.

>>> storage, memory = new_storage(4)
>>> memory[:] = b"abcd"
>>> bytes(storage_bytes(storage))
b'abcd'
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import flambeau

MAP_LOCATION = Any


class StorageReference(NamedTuple):
    """What a pickled tensor holds in place of its memory; `dtype` None means untyped."""

    storage: Any
    dtype: Any


def typed(storage: Any, dtype: Any) -> Any:
    """A storage with the dtype of its elements, as the functions of `rebuild` take it."""
    return flambeau.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)


def storage_bytes(storage: Any) -> memoryview:
    """The memory of a storage, without copying where it lies in main memory."""
    nbytes = storage.nbytes()
    if nbytes == 0:
        return memoryview(b"")
    every_byte = flambeau.empty(0, dtype=flambeau.uint8, device=storage.device)
    every_byte.set_(storage, 0, (nbytes,), (1,))
    return memoryview(every_byte.cpu().numpy())


def new_storage(nbytes: int) -> tuple[Any, memoryview]:
    """A storage in main memory and its bytes, uninitialized."""
    every_byte = flambeau.empty(nbytes, dtype=flambeau.uint8, device="cpu")
    memory = memoryview(every_byte.numpy()) if nbytes else memoryview(bytearray())
    return every_byte.untyped_storage(), memory


def location_tag(storage: Any) -> str:
    """The word that a file keeps to say on which device a storage was.

    >>> torch.serialization.location_tag(torch.zeros(2).untyped_storage())
    'cpu'
    """
    # One object for equal words: the pickler writes it once.
    return sys.intern(str(storage.device))


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage moved to the device that `location` names.

    >>> storage = torch.zeros(2).untyped_storage()
    >>> torch.serialization.default_restore_location(storage, "cpu") is storage
    True
    """
    kind = re.match(r"[a-z]*", location).group()  # type: ignore[union-attr]
    if kind == "cpu":
        return storage
    if kind == "meta":
        return flambeau.UntypedStorage(storage.nbytes(), device="meta")
    if kind not in ("cuda", "xpu", "hpu", "mtia", "mps"):
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage "
            f"(tagged with {location})"
        )
    backend = getattr(flambeau, kind, None)
    if backend is None or not backend.is_available():
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but "
            f"torch.{kind}.is_available() is False. If you are running on a CPU-only machine, "
            "please use torch.load with map_location=torch.device('cpu') to map your storages to "
            "the CPU."
        )
    device = flambeau.device(location)
    count = backend.device_count()
    if (device.index or 0) >= count:
        raise RuntimeError(
            f"Attempting to deserialize object on {kind.upper()} device {device.index} but "
            f"torch.{kind}.device_count() is {count}. Please use torch.load with map_location to "
            "map your storages to an existing device."
        )
    return storage.to(device=device)


def restore_function(map_location: MAP_LOCATION) -> Callable[[Any, str], Any]:
    """How `map_location`, in any of its forms, places a storage that carries a location tag."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(
            storage, str(map_location.get(location, location))
        )
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, flambeau.device)):
        target = str(map_location)
        return lambda storage, location: default_restore_location(storage, target)
    if not callable(map_location):
        raise TypeError(f"'{type(map_location).__name__}' object is not callable")

    def restore(storage: Any, location: str) -> Any:
        placed = map_location(storage, location)
        return default_restore_location(storage, location) if placed is None else placed

    return restore

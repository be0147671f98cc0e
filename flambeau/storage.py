"""`UntypedStorage` and the typed storages: the memory under tensors, seen as bytes or as elements.

    >>> torch.tensor([1, 2], dtype=torch.uint8).untyped_storage().tolist()
    [1, 2]

A thin wrapper around the native storage (runtime.memory); two wrappers of one memory compare by its
address.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core.device import device as device_type
from flambeau.core.naming import PublicType
from flambeau.core.spec import CPU, Spec
from flambeau.runtime.system import engine


class UntypedStorage(metaclass=PublicType):
    """A block of bytes, shared by the tensors that are windows on it."""

    __slots__ = ("_raw", "device", "__weakref__")

    def __init__(self, nbytes: Any = 0, *, device: Any = "cpu"):
        from flambeau.ops.arrays import empty
        from flambeau.ops.creation_arguments import place

        engine.start()
        self.device = place(device)
        content = None if isinstance(nbytes, int) else bytes(nbytes)
        size = nbytes if content is None else len(content)
        if size < 0:
            raise RuntimeError(f"Storage size calculation overflowed with sizes={size}")
        self._raw = empty(Spec.of((size,), None, dtypes.uint8, self.device))._storage
        if content:
            ctypes.memmove(self._raw.data, content, len(content))

    @classmethod
    def _around(cls, raw: Any, device: device_type | None = None) -> UntypedStorage:
        made = object.__new__(cls)
        made._raw, made.device = raw, device or (device_type("meta") if raw.flags & 1 else CPU)
        return made

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The bytes of a file, read when they are looked at; with `shared`, what is written goes to
        the file, which is made as long as is asked.

        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(bytes([1, 2, 3])), file.flush()
        ...     torch.UntypedStorage.from_file(file.name, False, 3).tolist()
        [1, 2, 3]
        """
        from flambeau.ops.from_data import from_file

        return from_file(filename, shared, nbytes, dtype=dtypes.uint8).untyped_storage()

    def data_ptr(self) -> int:
        """Address of the first byte."""
        return int(self._raw.data) if self._raw.nbytes else 0

    def nbytes(self) -> int:
        """Number of bytes."""
        return int(self._raw.nbytes)

    size = nbytes

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def __len__(self) -> int:
        return int(self._raw.nbytes)

    def element_size(self) -> int:
        """1: an element is a byte."""
        return 1

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return list(memoryview(self._raw))

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._tensor()[index].clone().untyped_storage()
        return memoryview(self._raw)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._tensor()[index] = value

    def _tensor(self) -> Any:
        return engine.core.make_tensor(
            self._raw, Spec.of((self.nbytes(),), None, dtypes.uint8, self.device), 0
        )

    def copy_(self, source: UntypedStorage, non_blocking: bool = False) -> UntypedStorage:
        """Takes over the bytes of another storage of the same size."""
        self._tensor().copy_(source._tensor())
        return self

    def clone(self) -> UntypedStorage:
        """A copy with memory of its own."""
        from flambeau.ops.duplication import copy_storage

        return self._around(copy_storage(self._raw), self.device)

    def fill_(self, value: int) -> UntypedStorage:
        """Sets every byte."""
        self._tensor().fill_(value)
        return self

    def cpu(self) -> UntypedStorage:
        """The storage in main memory."""
        return self

    def to(self, *, device: Any, non_blocking: bool = False) -> UntypedStorage:
        """The storage on a device."""
        from flambeau.ops.creation_arguments import place

        target = place(device)
        return self if target is self.device else UntypedStorage(self.nbytes(), device=target)

    def resizable(self) -> bool:
        """Whether the storage owns its memory."""
        return self._raw.owner is None

    is_cuda = property(lambda self: False, doc="Whether the memory is a GPU's.")

    def is_shared(self) -> bool:
        """Whether other processes see the memory."""
        return False

    def is_pinned(self, device: Any = None) -> bool:
        """Whether the memory is page-locked."""
        return False

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._raw)

    def __bytes__(self) -> bytes:
        return bytes(memoryview(self._raw))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UntypedStorage)
            and other.data_ptr() == self.data_ptr()
            and other._raw is self._raw
        )

    def __hash__(self) -> int:
        return hash(id(self._raw))

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        if id(self._raw) not in memo:
            memo[id(self._raw)] = self.clone()._raw
        return self._around(memo[id(self._raw)], self.device)

    def __reduce__(self) -> Any:
        return UntypedStorage, (bytes(self),)

    def __repr__(self) -> str:
        rows = "\n".join(f" {value}" for value in self.tolist())
        return f"{rows}\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"

    __str__ = __repr__


class TypedStorage(metaclass=PublicType):
    """A storage seen as elements of one dtype (torch keeps it for old programs)."""

    def __init__(
        self,
        *args: Any,
        wrap_storage: UntypedStorage | None = None,
        dtype: Any = None,
        device: Any = None,
        _internal: bool = False,
    ):
        self.dtype = dtype or getattr(type(self), "dtype", None) or dtypes.get_default_dtype()
        if wrap_storage is not None:
            self._untyped_storage = wrap_storage
        elif len(args) == 1 and not isinstance(args[0], int):
            from flambeau.ops.from_data import tensor

            self._untyped_storage = tensor(list(args[0]), dtype=self.dtype).untyped_storage()
        else:
            self._untyped_storage = UntypedStorage((args[0] if args else 0) * self.dtype.itemsize)

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    def _tensor(self) -> Any:
        count = len(self)
        return engine.core.make_tensor(
            self._untyped_storage._raw,
            Spec.of((count,), None, self.dtype, self._untyped_storage.device),
            0,
        )

    def __len__(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    def size(self) -> int:
        """Number of elements."""
        return len(self)

    def nbytes(self) -> int:
        """Number of bytes."""
        return self._untyped_storage.nbytes()

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Address of the first element."""
        return self._untyped_storage.data_ptr()

    @property
    def device(self) -> Any:
        """Where the memory is."""
        return self._untyped_storage.device

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        return self._tensor().tolist()  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: int) -> Any:
        return self._tensor()[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._tensor()[index] = value

    def __repr__(self) -> str:
        rows = "\n".join(f" {value}" for value in self.tolist())
        return (
            f"{rows}\n[torch.storage.TypedStorage(dtype={self.dtype}, "
            f"device={self.device}) of size {len(self)}]"
        )

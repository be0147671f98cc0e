"""Memory shared between processes, and methods that look at memory: share_memory_, is_shared,
pin_memory, is_set_to.

>>> torch.ones(2).share_memory_().is_shared()
True
"""

from __future__ import annotations

import mmap
import weakref
from typing import Any

from flambeau.ops.arrays import as_array
from flambeau.ops.from_data import from_numpy
from flambeau.ops.registry import is_tensor

#: addresses of the memory that processes share
_shared: set[int] = set()


def share_memory_(self: Any) -> Any:
    """Moves the tensor into memory that processes started by fork share. Views that were made of it
    before keep the old memory.
    """
    if self.device.type != "cpu" or is_shared(self) or self.numel() == 0:
        return self
    import numpy

    memory = mmap.mmap(-1, self.numel() * self.element_size())  # anonymous, and shared
    old = as_array(self.detach())
    array = numpy.ndarray(old.shape, old.dtype, memory)
    array[...] = old
    moved = from_numpy(array)
    if moved.dtype is not self.dtype:
        moved = moved.view(self.dtype)
    address = moved.data_ptr()
    _shared.add(address)
    weakref.finalize(array, _shared.discard, address)
    self.data = moved
    return self


def is_shared(self: Any) -> bool:
    """Whether other processes see what is written here."""
    return self.device.type == "cpu" and int(self._storage.data) in _shared


def is_pinned(self: Any, device: Any = None) -> bool:
    """Whether a GPU can read the memory by itself: False."""
    return False


def pin_memory(self: Any, device: Any = None) -> Any:
    """Memory that a GPU can read by itself: there is no GPU."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


def is_set_to(self: Any, tensor: Any) -> bool:
    """Whether two tensors are the same window of the same memory."""
    if not is_tensor(tensor):
        raise TypeError(
            "is_set_to(): argument 'tensor' (position 1) must be Tensor, not "
            f"{type(tensor).__name__}"
        )
    return (
        self._storage is tensor._storage
        and self._spec is tensor._spec
        and self._offset == tensor._offset
    )


METHODS = [share_memory_, is_shared, is_pinned, pin_memory, is_set_to]

"""Copies of tensors as objects: deepcopy, pickle, DLPack, and the storage behind a tensor.

>>> import copy
>>> copy.deepcopy(torch.ones(2))
tensor([1., 1.])
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from flambeau.core.spec import CPU, Spec
from flambeau.ops.arrays import allocate
from flambeau.runtime.system import engine
from flambeau.storage import TypedStorage, UntypedStorage


def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the "
            "moment.  If you were attempting to deepcopy a module, "
            "this may be because of a torch.nn.utils.weight_norm "
            "usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    storage = memo.get(id(self._storage))
    if storage is None:
        storage = memo[id(self._storage)] = copy_storage(self._storage)
    copy = object.__new__(type(self))
    copy._storage, copy._spec, copy._offset, copy._node, copy._base = (
        storage,
        self._spec,
        self._offset,
        None,
        None,
    )
    if self._node is not None:
        copy.requires_grad_(True)
        if self._node.grad is not None:
            copy._node.grad = deepcopy(self._node.grad, memo)
    memo[id(self)] = copy
    copy.__dict__.update(deepcopy(self.__dict__, memo))
    return copy


def __copy__(self: Any) -> Any:
    """Another tensor for the same memory."""
    copy = type(self)._alias(self)
    copy.requires_grad_(self.requires_grad)
    copy.__dict__.update(self.__dict__)
    return copy


def __reduce_ex__(self: Any, protocol: Any) -> Any:
    state = dict(self.__dict__) or None
    args = (
        type(self),
        bytes(memoryview(self._storage)),
        tuple(self.shape),
        self._spec.strides,
        self._offset,
        self.dtype,
        self.requires_grad,
    )
    return rebuild, args, state


def __setstate__(self: Any, state: dict[str, Any]) -> None:
    self.__dict__.update(state)


def untyped_storage(self: Any) -> Any:
    """The memory that this tensor is a window on."""
    return UntypedStorage._around(self._storage)


def storage(self: Any) -> Any:
    """The memory that this tensor is a window on, as elements of its dtype."""
    return TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)


def __dlpack__(
    self: Any,
    *,
    stream: Any = None,
    max_version: Any = None,
    dl_device: Any = None,
    copy: Any = None,
) -> Any:
    if self._node is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return self.numpy().__dlpack__()


def __dlpack_device__(self: Any) -> tuple[int, int]:
    return (1, 0)


def copy_storage(storage: Any) -> Any:
    """A storage of its own with the same bytes."""
    if storage.flags & 1:
        return engine.core.make_borrowed(0, storage.nbytes, None, 1)
    copy = allocate(storage.nbytes)
    if storage.nbytes:
        ctypes.memmove(copy.data, storage.data, storage.nbytes)
    return copy


def rebuild(
    cls: type,
    content: bytes,
    shape: Sequence[int],
    strides: Sequence[int],
    offset: int,
    dtype: Any,
    requires_grad: bool,
) -> Any:
    """Unpickles a tensor."""
    engine.start()
    storage = allocate(len(content))
    ctypes.memmove(storage.data, content, len(content))
    made = engine.Tensor._alias(
        engine.core.make_tensor(storage, Spec.of(tuple(shape), tuple(strides), dtype, CPU), offset),
        cls,
    )
    if requires_grad:
        made.requires_grad_(True)
    return made


METHODS = [
    __copy__,
    __deepcopy__, __reduce_ex__, __setstate__, untyped_storage, storage, __dlpack__,
    __dlpack_device__,
]  # fmt: skip

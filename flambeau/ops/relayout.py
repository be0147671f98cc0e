"""In-place changes of what a tensor sees: squeeze_, t_, resize_, set_ and their relatives.

They change the tensor object's spec, offset and storage, not its elements; in the graph the tensor
becomes the view.

    >>> torch.zeros(1, 2).squeeze_().shape
    torch.Size([2])
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index as as_int
from typing import Any

from flambeau.autograd.inplace import check_modifiable
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides, format_strides, storage_extent
from flambeau.ops.arrays import allocate
from flambeau.ops.registry import engine, is_tensor
from flambeau.ops.view import int_list


def becoming(name: str, doc: str) -> Callable[..., Any]:
    """`NAME_`: the tensor becomes its own view `NAME`."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_modifiable(self)
        view = getattr(self, name)(*args, **kwargs)
        self._spec, self._offset, self._node = view._spec, view._offset, view._node
        self._storage.version += 1
        return self

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = doc
    return method


IN_PLACE_VIEWS = [
    becoming(name, f"`{name}` in place: the tensor itself gets the new shape.")
    for name in ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims", "as_strided")
]


def point_at(
    tensor: Any, storage: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> Any:
    """Makes a tensor a window on a storage, which grows if it is too small."""
    spec = Spec.of(shape, strides, tensor.dtype, tensor.device)
    needed = (offset + storage_extent(shape, strides)) * spec.itemsize if spec.numel else 0
    if needed > storage.nbytes:
        storage = grown(storage, needed)
    tensor._storage, tensor._spec, tensor._offset = storage, spec, offset
    return tensor


def grown(storage: Any, nbytes: int) -> Any:
    """A larger storage with the same content."""
    import ctypes

    if storage.flags & 1:
        return engine.core.make_borrowed(0, nbytes, None, 1)
    larger = allocate(nbytes)
    if storage.nbytes:
        ctypes.memmove(larger.data, storage.data, storage.nbytes)
    return larger


def resize_(self: Any, *sizes: Any, memory_format: Any = None) -> Any:
    """The tensor with another shape, in place; elements that fit are kept, new ones are undefined.

    >>> torch.tensor([1, 2, 3, 4]).resize_(2, 2)
    tensor([[1, 2],
            [3, 4]])
    """
    shape = int_list(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    for size in shape:
        if size < 0:
            raise errors.negative_expansion(size, shape.index(size))
    if tuple(self.shape) == shape and memory_format is None:
        return self
    chosen = layouts.contiguous_format if memory_format is None else memory_format
    if chosen is layouts.preserve_format:
        raise RuntimeError("Unsupported memory formatPreserve")
    strides = (
        contiguous_strides(shape)
        if chosen is layouts.contiguous_format
        else format_strides(shape, chosen)
    )
    return point_at(self, self._storage, shape, strides, self._offset)


def resize_as_(self: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """`resize_` to the shape of another tensor.

    >>> torch.zeros(4).resize_as_(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


def set_(
    self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Any:
    """Makes the tensor see another tensor's memory, or a storage; without arguments none.

    >>> x = torch.zeros(2)
    >>> torch.ones(3).set_(x).data_ptr() == x.data_ptr()
    True
    """
    if self.requires_grad and not self.is_leaf:
        raise RuntimeError(
            "set_ is not supported on a tensor that was computed and needs gradients"
        )
    if source is None:
        return point_at(self, allocate(0), (0,), (1,), 0)
    if is_tensor(source):
        if source.dtype is not self.dtype:
            raise RuntimeError(
                f"Could not set tensor of type {source.dtype.c_name} to a tensor of type "
                f"{self.dtype.c_name}"
            )
        if size is None:
            self._storage, self._spec, self._offset = source._storage, source._spec, source._offset
            return self
        storage = source._storage
    else:
        storage = source.untyped()._raw
    shape = (storage.nbytes // self.dtype.itemsize,) if size is None else int_list(size)
    strides = contiguous_strides(shape) if stride is None else int_list(stride)
    return point_at(self, storage, shape, strides, as_int(storage_offset))


__all__ = ["as_strided_", "resize_as_"]
as_strided_ = IN_PLACE_VIEWS[-1]
METHODS = [*IN_PLACE_VIEWS, resize_, resize_as_, set_]

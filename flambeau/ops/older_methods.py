"""Methods of Tensor from older times, which programs still use: new, apply_, map_, storage ...

>>> torch.ones(2).apply_(lambda x: x * 3)
tensor([3., 3.])
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core.shape import Size
from flambeau.ops.creation import empty
from flambeau.ops.creation_arguments import sizes_of
from flambeau.ops.from_data import tensor
from flambeau.ops.registry import is_tensor


def new(self: Any, *args: Any, device: Any = None) -> Any:
    """A tensor of the same dtype: of sizes, of data, or sharing another one's memory."""
    kind = {"dtype": self.dtype, "device": self.device if device is None else device}
    if not args:
        return empty(0, **kind)
    if len(args) == 1 and is_tensor(args[0]):
        return args[0].detach()
    if len(args) == 1 and not isinstance(args[0], (Size, int)):
        return tensor(args[0], **kind)
    sizes = tuple(args[0]) if isinstance(args[0], Size) else sizes_of("new", args)
    return empty(sizes, **kind)


def _check_leaf(self: Any, name: str) -> None:
    if self.requires_grad:
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )


def apply_(self: Any, callable: Callable[[Any], Any]) -> Any:
    """Replaces every element by a Python function of it: slow, for small tensors."""
    _check_leaf(self, "apply_")
    values = [callable(v) for v in self.flatten().tolist()]
    for value in values:
        if not isinstance(value, (int, float, complex)):
            raise TypeError(f"must be real number, not {type(value).__name__}")
    return self.copy_(tensor(values, dtype=self.dtype).reshape(tuple(self.shape)))


def _mapped(self: Any, name: str, others: tuple[Any, ...], function: Any) -> Any:
    _check_leaf(self, name)
    wide = [other.expand(tuple(self.shape)) for other in others]
    columns = [x.flatten().tolist() for x in (self, *wide)]
    values = [function(*row) for row in zip(*columns, strict=True)]
    return self.copy_(tensor(values, dtype=self.dtype).reshape(tuple(self.shape)))


def map_(self: Any, tensor: Any, callable: Callable[[Any, Any], Any]) -> Any:
    """Replaces every element by a Python function of it and another tensor's: slow."""
    return _mapped(self, "map_", (tensor,), callable)


def map2_(self: Any, x: Any, y: Any, callable: Callable[[Any, Any, Any], Any]) -> Any:
    """Replaces every element by a Python function of it and two other tensors': slow."""
    return _mapped(self, "map2_", (x, y), callable)


def _deprecated(name: str) -> Callable[..., Any]:
    def method(self: Any, *sizes: Any) -> Any:
        warnings.warn(f"non-inplace {name} is deprecated", stacklevel=2)
        if name == "resize_as":
            return self.clone().resize_as_(*sizes)
        return self.clone().resize_(*sizes)

    method.__name__, method.__doc__ = name, f"A copy, through `{name}_`."
    return method


resize, resize_as = _deprecated("resize"), _deprecated("resize_as")


def _removed(name: str, instead: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "This function was deprecated since version 1.9 and is now removed. "
            f"`torch.{name}` is deprecated in favor of `{instead}`."
        )

    method.__name__, method.__doc__ = name, f"Removed: use `{instead}`."
    return method


eig, symeig = _removed("eig", "torch.linalg.eig"), _removed("symeig", "torch.linalg.eigh")
lstsq, solve = _removed("lstsq", "torch.linalg.lstsq"), _removed("solve", "torch.linalg.solve")


def chalf(self: Any, *, memory_format: Any = None) -> Any:
    """The tensor as complex32."""
    return self.to(dtypes.complex32)


def const_data_ptr(self: Any) -> int:
    """Address of the first element, for reading."""
    return int(self.data_ptr())


def storage_type(self: Any) -> Any:
    """The class of the storage."""
    return type(self.storage())


def is_distributed(self: Any) -> bool:
    """False."""
    return False


def dequantize(self: Any) -> Any:
    """The tensor: nothing is quantized."""
    return self


def dense_dim(self: Any) -> int:
    """Dimensions that lie in memory as they are: all."""
    return int(self.ndim)


def sparse_dim(self: Any) -> int:
    """Dimensions whose places are listed: none."""
    return 0


def to_dense(self: Any, dtype: Any = None, *, masked_grad: Any = None) -> Any:
    """The tensor: it lists no places."""
    return self if dtype is None else self.to(dtype)


def xpu(self: Any, *args: Any, **kwargs: Any) -> Any:
    """A copy on an Intel GPU: there is none."""
    raise AssertionError("Torch not compiled with XPU enabled\n  use device='cpu'")


def __rdiv__(self: Any, other: Any) -> Any:
    return self.reciprocal() * other


def __nonzero__(self: Any) -> bool:
    return bool(self)


def __long__(self: Any) -> int:
    return int(self)


def name(self: Any) -> None:
    """None."""


def volatile(self: Any) -> bool:
    """False."""
    return False


def _sparse(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"Tensor.{name} is not implemented in Flambeau: there are no sparse tensors"
        )

    method.__name__, method.__doc__ = name, f"`{name}`: not there."
    return method


SPARSE = (
    "to_sparse", "to_sparse_coo", "to_sparse_csr", "to_sparse_csc", "to_sparse_bsr",
    "to_sparse_bsc", "sparse_mask", "to_mkldnn",
)  # fmt: skip
METHODS = [
    *map(_sparse, SPARSE),
    new, apply_, map_, map2_, resize, resize_as, eig, symeig, lstsq, solve, chalf, const_data_ptr,
    storage_type, is_distributed, dequantize, dense_dim, sparse_dim, to_dense, xpu, __rdiv__,
    __nonzero__, __long__, name, volatile,
]  # fmt: skip
PROPERTIES = ["name", "volatile"]

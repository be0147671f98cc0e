"""Tensors as Python values: numbers, lists, NumPy arrays, truth, length, iteration, formatting.

>>> torch.tensor([[1.0, 2.0]]).tolist()
[[1.0, 2.0]]
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.core import errors
from flambeau.ops.arrays import as_array
from flambeau.ops.from_data import from_numpy
from flambeau.runtime.scalars import read_scalar
from flambeau.runtime.system import engine


def item(self: Any) -> Any:
    """The value of a tensor of one element as a Python number.

    >>> torch.tensor([2.5]).item()
    2.5
    """
    if self._spec.numel != 1:
        raise errors.not_a_scalar(self._spec.numel)
    return read_scalar(self)


# letters of the dtypes that Python reads from memory itself
LETTERS: dict[str, Any] = {
    "float32": "f", "float64": "d", "int64": "q", "int32": "i", "int16": "h", "int8": "b",
    "uint8": "B", "bool": "?",
}  # fmt: skip


def tolist(self: Any) -> Any:
    """The values as nested Python lists.

    >>> torch.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if self._spec.ndim == 0:
        return self.item()
    if self._spec.device.type == "meta":
        raise errors.no_data()
    spec = self._spec
    letter = LETTERS.get(spec.dtype.name)
    if letter is None or not spec.contiguous or not spec.numel:
        return as_array(self.detach()).tolist()
    first = self._offset * spec.itemsize
    values = memoryview(self._storage).cast("B")[first : first + spec.numel * spec.itemsize]
    return values.cast(letter, spec.shape).tolist()


def numpy(self: Any, *, force: bool = False) -> Any:
    """The tensor as a NumPy array that shares its memory.

    >>> torch.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    if self.requires_grad:
        if is_grad_enabled() and not force:
            raise errors.numpy_of_differentiable()
        return self.detach().numpy()
    if self._spec.device.type != "cpu":
        raise TypeError(
            f"can't convert {self._spec.device} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )
    if self._spec.dtype.numpy_name is None:
        raise TypeError(f"Got unsupported ScalarType {self._spec.dtype.scalar_name}")
    return as_array(self)


def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    array = self.numpy()
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return array.copy() if copy else array


def __array_wrap__(self: Any, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
    if array.dtype == bool:
        array = array.astype("uint8")
    return from_numpy(array)


def __len__(self: Any) -> int:
    if self._spec.ndim == 0:
        raise TypeError("len() of a 0-d tensor")
    length: int = self._spec.shape[0]
    return length


def __iter__(self: Any) -> Iterator[Any]:
    if self._spec.ndim == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


def __reversed__(self: Any) -> Any:
    return self if self._spec.ndim == 0 else self.flip(0)


def __bool__(self: Any) -> bool:
    if self._spec.numel != 1:
        raise errors.ambiguous_truth(self._spec.numel)
    return bool(self.item())


def single(self: Any) -> Any:
    """The value of a tensor of one element, for Python's own conversions."""
    if self._spec.numel != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return read_scalar(self)


_warned: list[bool] = []  # torch says it once


def warn_recorded(tensor: Any) -> None:
    """torch's warning for a number that leaves the graph."""
    if not _warned and tensor.requires_grad and is_grad_enabled():
        _warned.append(True)
        warnings.warn(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected "
            "behavior.\nConsider using tensor.detach() first.",
            UserWarning,
            stacklevel=3,
        )


def __int__(self: Any) -> int:
    value = single(self)
    if isinstance(value, complex) and value.imag:
        raise errors.conversion_overflow("int64")
    return int(value.real)


def __index__(self: Any) -> int:
    if self._spec.dtype.category > 1 or self._spec.numel != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())


def __float__(self: Any) -> float:
    warn_recorded(self)
    value = single(self)
    if isinstance(value, complex) and value.imag:
        raise errors.conversion_overflow("float64")
    return float(value.real)


def __complex__(self: Any) -> complex:
    warn_recorded(self)
    return complex(single(self))


def __format__(self: Any, specification: str) -> str:
    if self._spec.ndim == 0 and self._spec.device.type != "meta" and type(self) is engine.Tensor:
        return self.item().__format__(specification)
    return object.__format__(self, specification)


def __contains__(self: Any, element: Any) -> bool:
    if isinstance(element, (engine.Tensor, int, float, complex, bool)):
        return bool((element == self).any().item())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


METHODS = [
    item, tolist, numpy, __array__, __array_wrap__, __len__, __iter__, __reversed__, __bool__,
    __int__, __index__, __float__, __complex__, __format__, __contains__,
]  # fmt: skip

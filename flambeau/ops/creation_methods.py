"""Methods that fill a tensor, or make one of the same dtype and device.

>>> torch.ones(1, dtype=torch.int64).new_zeros(2)
tensor([0, 0])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core.device import get_default_device
from flambeau.core.spec import CPU
from flambeau.ops.creation import empty, empty_strided, full, ones, zeros
from flambeau.ops.creation_arguments import check_layout
from flambeau.ops.from_data import tensor
from flambeau.ops.registry import is_tensor


def fill_(self: Any, value: Any) -> Any:
    """Fills the tensor with one value, in place."""
    if is_tensor(value) and value.ndim:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} "
            "dimensions."
        )
    return self._fill_(value)


def zero_(self: Any) -> Any:
    """Fills the tensor with zeros, in place."""
    return self._zero_()


def new_kwargs(
    self: Any, dtype: Any, device: Any, layout: Any, pin_memory: bool, requires_grad: bool
) -> dict[str, Any]:
    """The options of a new tensor, with dtype and device of this one where none are asked for."""
    check_layout(layout)
    spec = self._spec
    options: dict[str, Any] = {"dtype": spec.dtype if dtype is None else dtype}
    if device is not None or spec.device is not CPU or get_default_device() is not CPU:
        options["device"] = spec.device if device is None else device
    if requires_grad or pin_memory:
        options |= {"requires_grad": requires_grad, "pin_memory": pin_memory}
    return options


def accept_size_keyword(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets `size=` be a keyword too."""

    def wrapper(*args: Any, size: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if size is None else function(*args, tuple(size), **kwargs)

    wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
    wrapper.__wrapped__ = function  # type: ignore[attr-defined]
    return wrapper


@accept_size_keyword
def new_empty(
    self: Any,
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`empty` with this tensor's dtype and device."""
    return empty(*size, **new_kwargs(self, dtype, device, layout, pin_memory, requires_grad))


@accept_size_keyword
def new_zeros(
    self: Any,
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`zeros` with this tensor's dtype and device."""
    return zeros(*size, **new_kwargs(self, dtype, device, layout, pin_memory, requires_grad))


@accept_size_keyword
def new_ones(
    self: Any,
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`ones` with this tensor's dtype and device."""
    return ones(*size, **new_kwargs(self, dtype, device, layout, pin_memory, requires_grad))


def new_full(
    self: Any,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`full` with this tensor's dtype and device."""
    return full(
        size, fill_value, **new_kwargs(self, dtype, device, layout, pin_memory, requires_grad)
    )


def new_tensor(
    self: Any,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`tensor` with this tensor's dtype and device."""
    return tensor(data, **new_kwargs(self, dtype, device, layout, pin_memory, requires_grad))


def new_empty_strided(
    self: Any,
    size: Any,
    stride: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`empty_strided` with this tensor's dtype and device."""
    return empty_strided(
        size, stride, **new_kwargs(self, dtype, device, layout, pin_memory, requires_grad)
    )


METHODS = [fill_, zero_, new_empty, new_zeros, new_ones, new_full, new_tensor, new_empty_strided]

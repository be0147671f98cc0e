"""`torch.overrides`: the protocol by which other types take part in torch's functions.

>>> torch.overrides.is_tensor_like(torch.ones(1))
True
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import flambeau

__all__ = [
    "TorchFunctionMode", "handle_torch_function", "has_torch_function", "is_tensor_like",
    "is_tensor_method_or_property", "resolve_name", "wrap_torch_function",
]  # fmt: skip


DisableTorchFunction = flambeau.ops.overriding.DisableTorchFunction
DisableTorchFunctionSubclass = flambeau.ops.overriding.DisableTorchFunctionSubclass


class TorchFunctionMode:
    """A block in which every call of a torch function would go through `__torch_function__` of this
    object. It can be subclassed, not entered.
    """

    def __enter__(self) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__}: modes of torch functions are not implemented in Flambeau\n"
            "  hint: a Tensor subclass with __torch_function__ sees the calls that it takes part in"
        )

    def __exit__(self, *error: Any) -> None:
        return None


def _overrides(value: Any) -> bool:
    method = getattr(type(value), "__torch_function__", None)
    own = flambeau.Tensor.__torch_function__
    return method is not None and getattr(method, "__func__", method) is not own.__func__


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether some value answers torch's functions by itself."""
    return any(_overrides(value) for value in relevant_args)


def has_torch_function_unary(value: Any) -> bool:
    """Whether a value answers torch's functions by itself."""
    return _overrides(value)


def has_torch_function_variadic(*values: Any) -> bool:
    """Whether some value answers torch's functions by itself."""
    return has_torch_function(values)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """The answer of the first value that has one."""
    overriding = [value for value in relevant_args if _overrides(value)]
    types = tuple({type(value) for value in overriding})
    for value in overriding:
        result = value.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise flambeau.ops.overriding.not_implemented(
        f"{public_api.__module__}.{public_api.__name__}", types
    )


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
    """Lets values answer a function of a program, as they do torch's."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = tuple(dispatcher(*args, **kwargs))
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Whether a value is a tensor, or takes part in torch's functions."""
    return isinstance(inp, flambeau.Tensor) or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether a function is a method of Tensor."""
    name = getattr(func, "__name__", "")
    return getattr(flambeau.Tensor, name, None) is func


def resolve_name(f: Callable[..., Any]) -> str | None:
    """The public name of a function."""
    name = getattr(f, "__name__", None)
    if name is None:
        return None
    return f"torch.Tensor.{name}" if is_tensor_method_or_property(f) else f"torch.{name}"

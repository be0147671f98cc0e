"""`torch.library`: functions of programs as ops with their own gradient.

>>> @torch.library.custom_op("example::double", mutates_args=())
... def double(x: torch.Tensor) -> torch.Tensor:
...     return x * 2
>>> torch.ops.example.double(torch.ones(1))
tensor([2.])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flambeau

__all__ = ["CustomOpDef", "custom_op", "register_autograd", "register_fake", "register_kernel",
           "triton_op"]  # fmt: skip

_defined: dict[str, CustomOpDef] = {}


class CustomOpDef:
    """A function of a program as an op: `register_autograd` gives it a gradient, without which its
    results need none.
    """

    def __init__(self, name: str, function: Callable[..., Any]):
        self._name, self._function = name, function
        self._backward: Any = None
        self._setup: Any = None
        self._kernels: dict[str, Callable[..., Any]] = {}
        functools.update_wrapper(self, function)
        _defined[name] = self
        flambeau.ops.custom.define(name, self)

    @property
    def default(self) -> Any:
        """The only overload."""
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function = self._kernels.get("cpu", self._function)
        if self._backward is None:
            with flambeau.no_grad():
                return function(*args, **kwargs)
        return self._differentiable(function).apply(*args, **kwargs)

    def _differentiable(self, function: Callable[..., Any]) -> Any:
        op = self

        class Custom(flambeau.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *args: Any) -> Any:
                with flambeau.no_grad():
                    result = function(*args)
                if op._setup is not None:
                    op._setup(ctx, args, result)
                return result

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                return op._backward(ctx, *gradients)

        Custom.__name__ = self._name.partition("::")[2]
        return Custom

    def register_autograd(self, backward: Any, /, *, setup_context: Any = None) -> None:
        """The gradient: backward(ctx, *gradients); `setup_context(ctx, inputs, output)` saves what
        it needs.
        """
        self._backward, self._setup = backward, setup_context

    def register_fake(self, fn: Any = None, /) -> Any:
        """What the op does on the meta device; not needed here."""
        return fn

    register_vmap = register_fake

    def register_kernel(self, device_types: Any, fn: Any = None, /) -> Any:
        """Another function for a kind of device."""
        if fn is None:
            return lambda f: self.register_kernel(device_types, f)
        kinds = [device_types] if isinstance(device_types, str) else device_types or ["cpu"]
        self._kernels.update(dict.fromkeys(kinds, fn))
        return fn


def custom_op(
    name: str, fn: Any = None, /, *, mutates_args: Any, device_types: Any = None,
    schema: str | None = None, tags: Any = None,
) -> Any:  # fmt: skip
    """Makes a function an op `torch.ops.NAMESPACE.NAME`; also a decorator."""
    if fn is None:
        return lambda f: custom_op(name, f, mutates_args=mutates_args, device_types=device_types)
    return CustomOpDef(name, fn)


triton_op = custom_op


def _definition(op: Any) -> CustomOpDef:
    return op if isinstance(op, CustomOpDef) else _defined[op]


def register_autograd(
    op: Any, backward: Any, /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """Gives an op its gradient."""
    _definition(op).register_autograd(backward, setup_context=setup_context)


def register_fake(op: Any, func: Any = None, /, **options: Any) -> Any:
    """What an op does on the meta device; not needed here."""
    return (lambda f: f) if func is None else func


register_vmap = register_fake


def register_kernel(op: Any, device_types: Any, func: Any = None, /, **options: Any) -> Any:
    """Another function for a kind of device."""
    return _definition(op).register_kernel(device_types, func)

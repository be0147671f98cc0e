"""Changing the dtype, device or memory of all tensors of a module; a part of `Module`.

>>> torch.nn.Linear(2, 1).double().weight.dtype
torch.float64
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import flambeau

from ..parameter import Parameter

_TO_SIGNATURES = """ * (torch.device device = None, torch.dtype dtype = None, \
bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)
 * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, \
torch.memory_format memory_format = None)
 * (Tensor tensor, bool non_blocking = False, bool copy = False, *, \
torch.memory_format memory_format = None)
"""


class ModuleConversion:
    """The conversion methods of `Module`."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Any:
        """Replace every parameter, gradient and buffer by `fn` of it.

        A parameter stays the same object, so that optimizers keep hold of it, unless it moves to
        or from the meta device.
        """
        if recurse:
            for module in self.children():  # type: ignore[attr-defined]
                module._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            gradient = parameter.grad
            with flambeau.no_grad():
                converted = fn(parameter)
            if _can_take_data(parameter, converted):
                parameter.data = converted
                result = parameter
            else:
                result = Parameter(converted, parameter.requires_grad)
                self._replace(self._parameters, name, result)
            if gradient is not None:
                _convert_gradient(fn, gradient, result)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._replace(self._buffers, name, fn(buffer))
        return self

    def _replace(self, table: dict[str, Any], name: str, value: Any) -> None:
        previous = table[name]
        table[name] = value
        # Unpickling past `__setstate__` leaves attributes that repeat the entries of a plain dict.
        if self.__dict__.get(name) is previous:
            self.__dict__[name] = value

    def cuda(self, device: Any = None) -> Any:
        """Move everything to a CUDA device, the current one by default."""
        return self._apply(lambda t: t.cuda(device))

    def ipu(self, device: Any = None) -> Any:
        """Move everything to an IPU."""
        return self._apply(lambda t: t.ipu(device))

    def xpu(self, device: Any = None) -> Any:
        """Move everything to an XPU."""
        return self._apply(lambda t: t.xpu(device))

    def mtia(self, device: Any = None) -> Any:
        """Move everything to an MTIA device."""
        return self._apply(lambda t: t.mtia(device))

    def cpu(self) -> Any:
        """Move everything to the CPU.

        >>> torch.nn.Linear(2, 1).cpu().weight.device
        device(type='cpu')
        """
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type: Any) -> Any:
        """Convert everything, integers too, to `dst_type`.

        >>> torch.nn.Linear(2, 1).type(torch.float64).bias.dtype
        torch.float64
        """
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Any:
        """Convert floating-point tensors to float32.

        >>> torch.nn.Linear(2, 1, dtype=torch.float64).float().bias.dtype
        torch.float32
        """
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Any:
        """Convert floating-point tensors to float64.

        >>> torch.nn.Linear(2, 1).double().bias.dtype
        torch.float64
        """
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Any:
        """Convert floating-point tensors to float16.

        >>> torch.nn.Linear(2, 1).half().bias.dtype
        torch.float16
        """
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Any:
        """Convert floating-point tensors to bfloat16.

        >>> torch.nn.Linear(2, 1).bfloat16().bias.dtype
        torch.bfloat16
        """
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Move to `device` without copying: the new memory is uninitialized.

        >>> torch.nn.Linear(2, 1, device="meta").to_empty(device="cpu").weight.shape
        torch.Size([1, 2])
        """
        return self._apply(lambda t: flambeau.empty_like(t, device=device), recurse=recurse)

    def share_memory(self) -> Any:
        """Move everything into memory that other processes can map."""
        return self._apply(lambda t: t.share_memory_())

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Convert to a dtype, a device, a memory format, or to another tensor's dtype and device.

        Integer tensors keep their dtype.

        >>> torch.nn.Linear(2, 1).to("cpu", torch.float64).weight.dtype
        torch.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex "
                    f"dtypes, but got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature under active development whose design may "
                    "change, and some modules might not work as expected when using complex "
                    "tensors as parameters or buffers. Please file an issue at "
                    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml "
                    "if a complex module does not work as expected.",
                    stacklevel=2,
                )

        def convert(t: Any) -> Any:
            wanted = dtype if t.is_floating_point() or t.is_complex() else None
            options = {}
            if memory_format is not None and t.dim() in (4, 5):
                options["memory_format"] = memory_format
            try:
                return t.to(device, wanted, non_blocking, **options)
            except NotImplementedError as error:
                if str(error).split("\n", 1)[0] != "Cannot copy out of meta tensor; no data!":
                    raise
                raise NotImplementedError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of "
                    "torch.nn.Module.to() when moving module from meta to a different device."
                ) from None

        return self._apply(convert)


def _can_take_data(tensor: Any, converted: Any) -> bool:
    """Whether `tensor.data = converted` is possible: not between meta tensors and others."""
    return tensor.is_meta == converted.is_meta


def _convert_gradient(fn: Callable[[Any], Any], gradient: Any, parameter: Any) -> None:
    with flambeau.no_grad():
        converted = fn(gradient)
    if _can_take_data(gradient, converted):
        gradient.data = converted
        parameter.grad = gradient
    else:
        parameter.grad = converted.requires_grad_(gradient.requires_grad)


def _parse_to(args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """The device, dtype, non_blocking and memory format that `to(*args, **kwargs)` asks for."""
    if len(args) > 4:
        raise TypeError(f"to() takes from 0 to 4 positional arguments but {len(args)} were given")
    first = args[0] if args else kwargs.get("tensor", kwargs.get("dtype"))
    if isinstance(first, flambeau.Tensor):
        names: tuple[str, ...] = ("tensor", "non_blocking", "copy")
    elif args and _is_dtype(first):
        names = ("dtype", "non_blocking", "copy")
    else:
        names = ("device", "dtype", "non_blocking", "copy")
    given = dict(zip(names, args))
    valid = len(args) <= len(names) and not (given.keys() & kwargs.keys())
    given.update(kwargs)
    if not (valid and all(n in (*names, "memory_format") and _fits(n, given[n]) for n in given)):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"{_describe(args, kwargs)}, but expected one of:\n{_TO_SIGNATURES}"
        )
    if "copy" in given:
        raise RuntimeError(".to() does not accept copy argument")
    device, dtype = given.get("device"), given.get("dtype")
    if "tensor" in given:
        device, dtype = given["tensor"].device, given["tensor"].dtype
    if device is not None:
        device = flambeau.device(device)
    return device, dtype, given.get("non_blocking", False), given.get("memory_format")


def _is_dtype(value: Any) -> bool:
    return isinstance(value, flambeau.dtype)


def _fits(name: str, value: Any) -> bool:
    if name in ("non_blocking", "copy"):
        return isinstance(value, bool)
    if name == "tensor":
        return isinstance(value, flambeau.Tensor)
    if value is None:
        return True
    if name == "dtype":
        return _is_dtype(value)
    if name == "memory_format":
        return isinstance(value, flambeau.memory_format)
    return isinstance(value, (str, flambeau.device)) or type(value) is int


def _describe(args: tuple, kwargs: dict[str, Any]) -> str:
    """The types of a call's arguments, as torch's error for a wrong call lists them."""
    listed = [_type_name(value) for value in args]
    named = [f"{name}={_type_name(value)}" for name, value in kwargs.items()]
    # A list of keyword arguments alone ends in a comma there.
    return f"({', '.join(listed + named)}{', ' if named and not listed else ''})"


def _type_name(value: Any) -> str:
    for kind in ("dtype", "device", "layout", "memory_format"):
        if isinstance(value, getattr(flambeau, kind)):
            return f"torch.{kind}"
    if isinstance(value, Parameter):
        return "Parameter"
    return "Tensor" if isinstance(value, flambeau.Tensor) else type(value).__name__

"""`device`: where a tensor lives, and the state of the default device.

Called by every constructor of tensors. Instances are interned, so `is` compares them. Whether a
device exists is the runtime's business: any name of torch's list may be spoken of here.

>>> device("cuda:1"), device("cuda", 1) is device("cuda:1")
(device(type='cuda', index=1), True)
"""

from __future__ import annotations

import functools
import operator
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.core import errors
from flambeau.core.config import config
from flambeau.core.naming import FinalPublicType, Immutable

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: torch's device types, in the order its error text lists them
DEVICE_TYPES = (
    "cpu cuda ipu xpu mkldnn opengl opencl ideep hip ve fpga maia xla lazy vulkan mps meta hpu "
    "mtia privateuseone"
).split()

_STRING = re.compile(r"([a-zA-Z_]+)(?::(0|[1-9][0-9]*))?", re.ASCII)

_MAX_INDEX = 2**31 - 1

_interned: dict[tuple[str, int | None], device] = {}
_by_string: dict[str, device] = {}


class device(Immutable, metaclass=FinalPublicType):
    """The kind and number of the machine part that holds a tensor.

    Also a context manager, and a decorator of functions, inside which tensors are made there.

    >>> torch.device("cpu"), str(torch.device("cuda:0")), torch.device("cuda").index
    (device(type='cpu'), 'cuda:0', None)
    >>> with torch.device("meta"):
    ...     torch.get_default_device()
    device(type='meta')
    """

    __slots__ = ("type", "index", "_text", "__weakref__")

    type: str
    #: None stands for the current device of that type
    index: int | None
    _text: str

    def __new__(cls, *args: Any, **kwargs: Any) -> device:
        if len(args) == 1 and not kwargs and isinstance(args[0], str):
            return _by_string.get(args[0]) or _from_string(args[0])
        return _from_arguments(args, kwargs)

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type,) if self.index is None else (self.type, self.index)

    def __copy__(self) -> device:
        return self

    def __deepcopy__(self, memo: object) -> device:
        return self

    def __enter__(self) -> device:
        _state.entered.append(self)
        _state.current = self
        return self

    def __exit__(self, *exception: object) -> None:
        _state.entered.pop()
        _state.refresh()

    def __call__(self, function: _Function) -> _Function:
        @functools.wraps(function)
        def on_device(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return on_device  # type: ignore[return-value]


def _intern(kind: str, index: int | None) -> device:
    found = _interned.get((kind, index))
    if found is None:
        found = object.__new__(device)
        object.__setattr__(found, "type", kind)
        object.__setattr__(found, "index", index)
        object.__setattr__(found, "_text", kind if index is None else f"{kind}:{index}")
        # two threads may get here at once: the first entry wins
        found = _interned.setdefault((kind, index), found)
    return found


def _from_string(text: str) -> device:
    if not text:
        raise RuntimeError("Device string must not be empty")
    match = _STRING.fullmatch(text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    kind, number = match.groups()
    if number is not None and int(number) > _MAX_INDEX:
        raise RuntimeError(f"Could not parse device index '{number}' in device string '{text}'")
    if kind not in DEVICE_TYPES:
        raise _unknown_type(kind)
    found = _intern(kind, None if number is None else int(number))
    _by_string[text] = found
    return found


def _unknown_type(kind: str) -> RuntimeError:
    return RuntimeError(
        f"Expected one of {', '.join(DEVICE_TYPES)} device type at start of device string: {kind}"
    )


def _from_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> device:
    if len(args) + len(kwargs) == 2:
        return _from_type_and_index(args, kwargs)
    if len(args) + len(kwargs) != 1:
        raise _no_signature(args, kwargs)
    if "index" in kwargs or kwargs.keys() - {"device", "type"}:
        raise _no_signature(args, kwargs, _wrong_keywords(kwargs))
    (given,) = args or kwargs.values()
    if isinstance(given, str):
        return device(given)
    if "type" in kwargs:
        raise _no_signature(args, kwargs, _wrong_keywords(kwargs))
    if isinstance(given, device):
        return given
    index = _as_index(given)
    if index is None:
        raise _no_signature(args, kwargs, _wrong_types(given, kwargs))
    return _from_number(index)


def _from_type_and_index(args: tuple[Any, ...], kwargs: dict[str, Any]) -> device:
    values = dict(zip(("type", "index"), args, strict=False))
    for name, value in kwargs.items():
        if name in values:
            raise errors.multiple_values("device", name)
        if name not in ("type", "index"):
            raise errors.unexpected_argument("device", name)
        values[name] = value
    kind, given = values["type"], values["index"]
    if not isinstance(kind, str):
        raise errors.argument_type_error("device", "type", 1, "str", kind)
    index = _as_index(given)
    if index is None and given is not None:
        raise errors.argument_type_error("device", "index", 2, "int", given)
    parsed = device(kind)
    if parsed.index is not None:
        raise RuntimeError(
            f"type (string) must not include an index because index was passed explicitly: {kind}"
        )
    if index is None:
        return parsed
    if index < 0:
        raise RuntimeError("Device index must not be negative")
    return _intern(parsed.type, index)


def _as_index(value: object) -> int | None:
    """The number meant by an int or by what acts as one (a NumPy integer), None otherwise."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    return operator.index(value)


def _no_signature(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str | None = None
) -> TypeError:
    signatures = ["(torch.device device)", "(str type, int index = -1)"]
    reasons = {0: reason} if reason else None
    return errors.invalid_combination("device", args, kwargs, signatures, reasons)


def _wrong_keywords(kwargs: dict[str, Any]) -> str:
    return f"some of the keywords were incorrect: {', '.join(kwargs)}"


def _wrong_types(given: object, kwargs: dict[str, Any]) -> str:
    shown = errors.nested_type_name(given)
    marked = f"!device={shown}!, " if kwargs else f"!{shown}!"
    return f"some of the arguments have invalid types: ({marked})"


# -- the accelerator that a bare number means ------------------------------------------------------


def _from_number(index: int) -> device:
    if index < 0:
        raise RuntimeError("Device index must not be negative")
    raise RuntimeError("Cannot access accelerator device when none is available.")


# -- the default device ----------------------------------------------------------------------------


_Device = device  # where an argument is called `device`, as in torch


class _State(threading.local):
    """Per thread, as in torch: what was set, and the `with` blocks entered above it."""

    def __init__(self) -> None:
        self.base = device(config.device)
        self.entered: list[device] = []
        self.current = self.base

    def refresh(self) -> None:
        self.current = self.entered[-1] if self.entered else self.base


_state = _State()


def get_default_device() -> device:
    """The device on which tensors are made when none is named.

    >>> torch.get_default_device()
    device(type='cpu')
    """
    return _state.current


def set_default_device(device: _Device | str | int | None) -> None:
    """Set, for this thread, the device of new tensors; None goes back to the start.

    >>> torch.set_default_device("meta"); torch.get_default_device()
    device(type='meta')
    >>> torch.set_default_device(None)
    """
    _state.base = _Device(config.device if device is None else device)
    _state.refresh()

"""`__torch_function__`: types that answer torch's functions by themselves. Asked by
`registry.fallback`, where calls arrive that have such arguments.

>>> class Logged(torch.Tensor):
...     @classmethod
...     def __torch_function__(cls, func, types, args=(), kwargs=None):
...         print(func.__name__)
...         return super().__torch_function__(func, types, args, kwargs)
>>> _ = torch.ones(1).as_subclass(Logged).exp()
exp
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from flambeau.runtime.dispatch import METHOD_CALL
from flambeau.runtime.system import engine


class _State(threading.local):
    def __init__(self) -> None:
        self.disabled = 0


state = _State()


class DisableTorchFunctionSubclass:
    """A block within which values are not asked."""

    def __enter__(self) -> None:
        state.disabled += 1

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        state.disabled -= 1


DisableTorchFunction = DisableTorchFunctionSubclass


def torch_function(
    cls: type, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
) -> Any:
    """What Tensor itself answers: the function's result, as a tensor of the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    return as_class(result, cls)


def as_class(result: Any, cls: type) -> Any:
    """Tensors of a result as instances of a subclass."""
    if cls is engine.Tensor or cls is engine.Parameter:
        return result
    if isinstance(result, engine.Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        return type(result)(as_class(item, cls) for item in result)
    return result


def arguments_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """The arguments, lists taken apart."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, (tuple, list)):
            yield from value
        else:
            yield value


def takes_part(kind: type) -> bool:
    """Whether a type answers for itself; a Parameter behaves as the tensor that it is."""
    if kind is engine.Tensor or kind is engine.Parameter:
        return False
    method = getattr(kind, "__torch_function__", None)
    if method is None:
        return False
    own = getattr(method, "__func__", method) is not engine.Tensor.__torch_function__.__func__
    return own or not (issubclass(kind, engine.Parameter) and engine.Parameter is not engine.Tensor)


def override_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What answers a call in place of the op: a function (op, number of the call, args, kwargs);
    None mostly.
    """
    if state.disabled:
        return None
    found: list[Any] = []
    for value in arguments_of(args, kwargs):
        kind = type(value)
        if takes_part(kind) and not any(type(other) is kind for other in found):
            found.append(value)
    if not found:
        return None
    # a subclass is asked before its base
    found.sort(key=lambda value: -len(type(value).__mro__))
    kinds = tuple(type(value) for value in found)

    def answer(op: Any, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for value in found:
            result = value.__torch_function__(op.call, kinds, args, kwargs)
            if result is not NotImplemented:
                return result
        if number & (METHOD_CALL - 1) >= engine.first_operator:
            return NotImplemented  # Python asks the other operand
        owner = "torch.Tensor" if number & METHOD_CALL else "torch"
        raise not_implemented(f"{owner}.{op.torch_name}", kinds)

    return answer


def not_implemented(name: str, kinds: tuple[type, ...]) -> TypeError:
    """torch's error where nobody answers."""
    listed = "".join(f"\n  - tensor subclass {kind}" for kind in kinds)
    return TypeError(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned "
        f"NotImplemented:\n{listed}\n\n"
        "For more information, try re-running with TORCH_LOGS=not_implemented"
    )

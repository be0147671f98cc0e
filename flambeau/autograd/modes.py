"""Whether calls are recorded: `no_grad`, `enable_grad`, `inference_mode`, `set_grad_enabled`, as
`with` blocks and decorators.

The state is per thread and lives in native code (runtime.thread_modes), where the dispatcher looks
at it:

    with flambeau.no_grad():
        y = x * 2            # y.requires_grad is False
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from flambeau.core import graph_errors
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import INFERENCE, NO_GRAD

GRAD_BITS = NO_GRAD | INFERENCE
F = TypeVar("F", bound=Callable[..., Any])


def _mode() -> int:
    return int(engine.core.get_mode()) if hasattr(engine, "core") else 0


def _set(mode: int) -> None:
    if not hasattr(engine, "core"):
        if not mode:
            return
        engine.start()
    if not engine.core.set_mode(mode):
        raise graph_errors.too_many_modes()


def change_mode(set_bits: int, clear_bits: int) -> None:
    """Sets and clears bits of this thread's mode."""
    _set((_mode() | set_bits) & ~clear_bits)


def is_grad_enabled() -> bool:
    """Whether calls on this thread are recorded for gradients.

    >>> torch.is_grad_enabled()
    True
    """
    return not _mode() & NO_GRAD


def is_recording() -> bool:
    """The same, but that nothing is recorded in inference mode."""
    return not _mode() & GRAD_BITS


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`.

    >>> torch.is_inference_mode_enabled()
    False
    """
    return bool(_mode() & INFERENCE)


class _Mode:
    """A block that changes the mode, and gives it back afterwards; also decorates functions and
    generators.
    """

    set_bits, clear_bits = 0, 0

    def __init__(self) -> None:
        self.before: list[int] = []

    def __enter__(self) -> None:
        mode = _mode()
        self.before.append(mode)
        _set((mode | self.set_bits) & ~self.clear_bits)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        before = self.before.pop() & GRAD_BITS
        change_mode(before, GRAD_BITS & ~before)

    def clone(self) -> _Mode:
        """A fresh block of the same kind: each call of a decorated function gets its own."""
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            return _wrap_generator(self, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]


def _wrap_generator(mode: _Mode, function: Callable[..., Any]) -> Callable[..., Any]:
    """The mode holds while the generator runs, not while its consumer does."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with mode.clone():
            generator = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, generator)
        while True:
            try:
                with mode.clone():
                    value = step()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield value
                step = functools.partial(generator.send, sent)
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:  # noqa: BLE001
                step = functools.partial(generator.throw, error)

    return wrapper


class _Decorating(type):
    """Lets `@no_grad` stand without parentheses, as in torch."""

    def __call__(cls, function: Any = None) -> Any:
        made = super().__call__()
        return made if function is None else made(function)


class no_grad(_Mode, metaclass=_Decorating):
    """Calls inside are not recorded.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    set_bits = NO_GRAD


class enable_grad(_Mode, metaclass=_Decorating):
    """Calls inside are recorded again, within `no_grad`.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    clear_bits = NO_GRAD


class set_grad_enabled(_Mode):
    """Turns recording on or off: at once, and as a block for its duration.

    >>> with torch.set_grad_enabled(False):
    ...     torch.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool):
        super().__init__()
        self.mode, self.bit = bool(mode), _mode() & NO_GRAD
        change_mode(0 if mode else NO_GRAD, NO_GRAD if mode else 0)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        change_mode(self.bit, NO_GRAD & ~self.bit)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __call__(self, function: F) -> F:
        self.__exit__(None, None, None)  # as a decorator it must not act now
        return super().__call__(function)


class inference_mode(_Mode):
    """`no_grad` for code that never needs gradients: results are inference tensors.

    >>> with torch.inference_mode():
    ...     torch.ones(1).is_inference()
    True
    """

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):
            return inference_mode()(mode)
        return super().__new__(cls)

    def __init__(self, mode: bool = True):
        super().__init__()
        self.mode = mode
        self.set_bits = NO_GRAD | INFERENCE if mode else 0
        self.clear_bits = 0 if mode else INFERENCE | NO_GRAD

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)

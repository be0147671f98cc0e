"""`fused`: composites in ordinary eager code that run as few kernels.

    @fused
    def cosine_similarity(x1, x2, dim=1, eps=1e-8): ...

A composite is written in plain tensor operations. Its first call of a kind (shapes, dtypes, what
needs a gradient, options) runs them one by one. The second is recorded like a compiled function,
with its backward pass; later ones are replayed: pointwise chains share kernels (compiler.fuse), the
graph has one node, named as the last of the unfused ones. Results and gradients are those of the
unfused form, to the bit; errors too, because a call that fails is never recorded. A second
derivative runs the unfused form again.

Used by nn.functional for losses and distances. The function must be pure: no state, no random
numbers, no values of tensors; one that is found not to be runs as it is.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import NO_GRAD

TENSOR = object()
MOST = 64  # kinds of calls of one function that are recorded
ATOMS = frozenset((int, float, bool, str, type(None), complex))
# elements of the first argument; below, telling calls apart costs more than the kernels it saves
SMALL = 1 << 12


class Nothing:
    """Stands for the spec of what has none."""

    numel = 0


NOTHING = Nothing()


class Fused:
    """The recorded kinds of calls of one composite. An entry is 1 (seen once), None (stays as it
    is) or a compiler.compiled.Entry.
    """

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.entries: dict[Any, Any] = {}

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The composite, by a replay if there is one."""
        if engine.tape is not None:
            return self.function(*args, **kwargs)
        mode = engine.core.get_mode()
        if mode & ~NO_GRAD:
            return self.function(*args, **kwargs)
        tensors: list[Any] = []
        key = kind_of(args, kwargs, tensors, mode)
        if key is None or not tensors:
            return self.function(*args, **kwargs)
        entry = self.entries.get(key, 0)
        if entry.__class__ is not int and entry is not None:
            found = entry.run(tuple(tensors))
            if found is not NotImplemented:
                return found
        elif entry == 1:
            return self.record(key, args, kwargs, tuple(tensors))
        elif entry == 0 and len(self.entries) < MOST:
            self.entries[key] = 1
        return self.function(*args, **kwargs)

    def record(
        self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: tuple[Any, ...]
    ) -> Any:
        """A call that is recorded."""
        self.entries[key] = None  # if it fails
        compiled = importlib.import_module("flambeau.compiler.compiled")
        again = functools.partial(
            self.again,
            tuple([without_tensor(value) for value in args]),
            {name: without_tensor(value) for name, value in kwargs.items()},
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result, entry = compiled.record_pure(
                lambda: self.function(*args, **kwargs), tensors, again
            )
        for each in caught:  # a call that warns has to warn again
            entry = None
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        self.entries[key] = entry
        return result

    def again(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: tuple[Any, ...]
    ) -> Callable[[], Any]:
        """The unfused call with other tensors in the place of those of a recorded one."""
        rest = iter(tensors)
        return functools.partial(
            self.function,
            *[next(rest) if x is TENSOR else x for x in args],
            **{k: next(rest) if x is TENSOR else x for k, x in kwargs.items()},
        )


def without_tensor(value: Any) -> Any:
    """An argument, or what stands for a tensor: recordings keep no operands alive."""
    return TENSOR if isinstance(value, engine.Tensor) else value


def kind_of(
    args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Any], mode: int
) -> tuple[Any, ...] | None:
    """What tells calls apart; collects the tensors. None for arguments that are not plain."""
    parts: list[Any] = [mode, *kwargs]
    plain, parameter = engine.Tensor, engine.Parameter
    for value in (*args, *kwargs.values()) if kwargs else args:
        kind = type(value)
        if kind is plain or kind is parameter:
            edge = value._edge
            parts += (value._spec, edge is None, edge is not None and not edge._edges)
            tensors.append(value)
        elif kind in ATOMS:
            parts += (kind, value)
        else:
            return None
    return tuple(parts)


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a composite: see the module's first lines.

    >>> double_sine = fused(lambda x: x.sin() * 2)
    >>> x = torch.ones(5000)
    >>> [torch.equal(double_sine(x), x.sin() * 2) for _ in range(3)]
    [True, True, True]
    """
    state = Fused(function)

    @functools.wraps(function)
    def composite(*args: Any, **kwargs: Any) -> Any:
        if args and getattr(args[0], "_spec", NOTHING).numel < SMALL:
            return function(*args, **kwargs)
        return state.call(args, kwargs)

    composite.fused = state  # type: ignore[attr-defined]
    return composite

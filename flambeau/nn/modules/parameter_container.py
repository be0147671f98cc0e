"""Modules that hold parameters in a list or a dict.

>>> torch.nn.ParameterList([torch.zeros(2, 3)])
ParameterList(  (0): Parameter containing: [torch.float32 of size 2x3])
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any

import flambeau

from ..parameter import Parameter
from .container_keys import pairs_of, string_index
from .module import Module

__all__ = ["ParameterDict", "ParameterList"]


def _as_parameter(value: Any) -> Any:
    is_plain_tensor = isinstance(value, flambeau.Tensor) and not isinstance(value, Parameter)
    return Parameter(value) if is_plain_tensor else value


def _describe(name: Any, value: Any, tensor_type: Any) -> str:
    """One line of these modules' `repr`."""
    if not isinstance(value, flambeau.Tensor):
        return f"  ({name}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(str(n) for n in value.size())
    device = f" ({value.device})" if value.device.type == "cuda" else ""
    return f"  ({name}): {kind} containing: [{tensor_type(value)} of size {size}{device}]"


class ParameterList(Module):
    """A list of parameters that its owner registers. Tensors become parameters.

    >>> weights = torch.nn.ParameterList([torch.zeros(2), torch.ones(3)])
    >>> len(weights), weights[-1].shape
    (2, torch.Size([3]))
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    def _get_abs_string_index(self, idx: Any) -> str:
        return string_index(idx, len(self))

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(self[i] for i in range(len(self))[idx])
        return getattr(self, self._get_abs_string_index(idx))

    def __setitem__(self, idx: int, param: Any) -> None:
        setattr(self, self._get_abs_string_index(idx), _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter(self[i] for i in range(len(self)))

    def __iadd__(self, parameters: Iterable[Any]) -> ParameterList:
        return self.extend(parameters)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end.

        >>> len(torch.nn.ParameterList().append(torch.zeros(1)))
        1
        """
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add all of `values` at the end.

        >>> len(torch.nn.ParameterList().extend([torch.zeros(1), torch.ones(1)]))
        2
        """
        # A tensor is iterable, but its rows are hardly what the caller means.
        if not isinstance(values, Iterable) or isinstance(values, flambeau.Tensor):
            raise TypeError(
                "ParameterList.extend should be called with an "
                "iterable, but got " + type(values).__name__
            )
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(_describe(i, p, lambda t: t.dtype) for i, p in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dict of parameters that its owner registers. Tensors become parameters.

    >>> weights = torch.nn.ParameterDict({"a": torch.zeros(2)})
    >>> weights["b"] = torch.ones(3)
    >>> list(weights), weights["b"].requires_grad
    (['a', 'b'], True)
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def _key_to_attr(self, key: str) -> str:
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is "
                f"not a string (type is '{type(key).__name__}'). Open an issue on "
                "github if you need non-string keys."
            )
        return key

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._key_to_attr(key))

    def __setitem__(self, key: str, value: Any) -> None:
        # Noted first: a value that is refused leaves its key behind, as in torch.
        self._keys[key] = None
        setattr(self, self._key_to_attr(key), _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, self._key_to_attr(key))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """A new ParameterDict with the same parameters.

        >>> list(torch.nn.ParameterDict({"a": torch.zeros(2)}).copy())
        ['a']
        """
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value under `key`, which is `default` if there was none.

        >>> torch.nn.ParameterDict().setdefault("a", torch.zeros(2)).shape
        torch.Size([2])
        """
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove everything."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Take out the value under `key` and return it.

        >>> torch.nn.ParameterDict({"a": torch.zeros(2)}).pop("a").shape
        torch.Size([2])
        """
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take out the last pair and return it.

        >>> torch.nn.ParameterDict({"a": torch.zeros(2)}).popitem()[0]
        'a'
        """
        if not self._keys:
            self._keys.popitem()  # raises its KeyError
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`, or `default`.

        >>> torch.nn.ParameterDict().get("a", 0)
        0
        """
        return self[key] if key in self else default

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new ParameterDict with `default` under each of `keys`.

        >>> list(torch.nn.ParameterDict().fromkeys(["a", "b"], torch.zeros(1)))
        ['a', 'b']
        """
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The pairs of name and value."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Add the entries of a mapping or of an iterable of pairs.

        A plain dict is taken in the order of its sorted keys, an OrderedDict in its own.

        >>> weights = torch.nn.ParameterDict({"b": torch.zeros(1), "a": torch.zeros(1)})
        >>> list(weights)
        ['a', 'b']
        """
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            parameters = sorted(parameters.items())
        name = "ParametersDict.update"
        for key, parameter in pairs_of(parameters, name, "ParameterDict", ParameterDict):
            self[key] = parameter

    def extra_repr(self) -> str:
        return "\n".join(_describe(k, p, flambeau.typename) for k, p in self.items())

    def __call__(self, input: Any) -> Any:
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other: Any) -> ParameterDict:
        result = self.copy()
        result.update(other)
        return result

    def __ror__(self, other: Any) -> ParameterDict:
        result = other.copy()
        result.update(self)
        return result

    def __ior__(self, other: Any) -> ParameterDict:
        self.update(other)
        return self

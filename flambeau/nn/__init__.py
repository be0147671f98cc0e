"""Neural networks: modules, their parameters, functions, initialization.

>>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
>>> model(torch.zeros(5, 3)).shape
torch.Size([5, 2])
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from . import modules
from .modules.module import Module
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

_SUBMODULES = (
    "attention", "functional", "grad", "init", "modules", "parallel", "parameter", "utils",
)  # fmt: skip

__all__ = [
    "Buffer",
    "Module",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "factory_kwargs",
    "DataParallel",
    *_SUBMODULES,
    *modules.__all__,
]


def factory_kwargs(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The keyword arguments among `kwargs` for functions such as `empty`; others are an error.

    >>> torch.nn.factory_kwargs({"dtype": torch.float64})
    {'dtype': torch.float64}
    """
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    expected = simple | {"factory_kwargs"}
    if not kwargs.keys() <= expected:
        raise TypeError(f"unexpected kwargs {kwargs.keys() - expected}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for name in simple & kwargs.keys():
        if name in result:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        result[name] = kwargs[name]
    return result


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    if name == "DataParallel":
        return importlib.import_module(".parallel", __name__).DataParallel
    if name not in modules.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(modules, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

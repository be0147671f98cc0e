"""`OptimizedModule`: what `flambeau.compile(module)` returns.

>>> model = torch.compile(torch.nn.Linear(2, 1))
>>> list(model.state_dict())
['_orig_mod.weight', '_orig_mod.bias']
"""

from __future__ import annotations

from typing import Any

from .modules.module import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """A module around another one, whose calls are compiled; everything else is that module's.

    >>> layer = torch.nn.Linear(2, 1)
    >>> torch.compile(layer).weight is layer.weight
    True
    """

    def __init__(self, module: Module, call: Any) -> None:
        super().__init__()
        self._orig_mod = module
        self.__dict__["training"] = module.training
        self.__dict__["_call"] = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The compiled call."""
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_orig_mod":
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def train(self, mode: bool = True) -> OptimizedModule:
        """Sets the mode of the module inside."""
        self.__dict__["training"] = mode
        self._orig_mod.train(mode)
        return self

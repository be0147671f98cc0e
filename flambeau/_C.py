"""`torch._C`: what libraries ask of torch's native part though it is private.

>>> torch._C._log_api_usage_once("library.Part")
"""

from __future__ import annotations

from typing import Any

import flambeau

_TensorMeta = type(flambeau.Tensor)


def _log_api_usage_once(event: str) -> None:
    """Accepted; nothing is counted and nothing leaves the machine."""


def _disabled_torch_function_impl(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """A `__torch_function__` for subclasses of Tensor whose results are plain tensors."""
    with flambeau.ops.overriding.DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))

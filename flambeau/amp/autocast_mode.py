"""`autocast`: matrix products and convolutions in half precision, within a block or a function.

>>> with torch.autocast("cpu"):
...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
torch.bfloat16
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import flambeau

SUPPORTED_ON_CPU = ("bfloat16", "float16")


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows a kind of device.

    >>> torch.amp.is_autocast_available("cpu")
    True
    """
    return flambeau.device(device_type).type in ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "xla")


class autocast:
    """Runs products and convolutions in a lower precision while it is entered; also decorates
    functions.

    >>> @torch.autocast("cpu", dtype=torch.float16)
    ... def product(a, b):
    ...     return a @ b
    >>> product(torch.ones(1, 1), torch.ones(1, 1))
    tensor([[1.]], dtype=torch.float16)
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True,
        cache_enabled: bool | None = None,
    ):  # fmt: skip
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = flambeau.device(device_type).type
        if not is_autocast_available(self.device):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{self.device}'"
            )
        if dtype is not None and not isinstance(dtype, flambeau.dtype):
            raise ValueError(f"Expected `dtype` of type `torch.dtype`, got: `{type(dtype)}`")
        self.fast_dtype = flambeau.get_autocast_dtype(self.device) if dtype is None else dtype
        self._cache_enabled = (
            flambeau.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        )
        self._enabled = bool(enabled) and self._is_usable()
        self._before: list[tuple[bool, Any, bool]] = []

    def _is_usable(self) -> bool:
        if self.device == "cuda" and not flambeau.cuda.is_available():
            warnings.warn("CUDA is not available or torch_xla is imported. Disabling autocast.")
            return False
        name = str(self.fast_dtype).removeprefix("torch.")
        if self.device == "cpu" and name not in SUPPORTED_ON_CPU:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently."
            )
            return False
        return True

    def __enter__(self) -> autocast:
        device = self.device
        self._before.append(
            (
                flambeau.is_autocast_enabled(device),
                flambeau.get_autocast_dtype(device),
                flambeau.is_autocast_cache_enabled(),
            )
        )
        flambeau.set_autocast_enabled(device, self._enabled)
        flambeau.set_autocast_dtype(device, self.fast_dtype)
        flambeau.set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        enabled, dtype, cache = self._before.pop()
        flambeau.set_autocast_enabled(self.device, enabled)
        flambeau.set_autocast_dtype(self.device, dtype)
        flambeau.set_autocast_cache_enabled(cache)
        return False

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


def _cast(value: Any, device: str, dtype: Any) -> Any:
    """`value` with its floating tensors converted; float64 stays."""
    if isinstance(value, flambeau.Tensor):
        fits = value.is_floating_point() and value.device.type == device
        return value.to(dtype) if fits and value.dtype != flambeau.float64 else value
    if isinstance(value, dict):
        return {_cast(k, device, dtype): _cast(v, device, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_cast(item, device, dtype) for item in value]
        return type(value)(items)
    return value


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorates the forward of an autograd Function: with `cast_inputs` its tensors are converted,
    and it runs with autocast off.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = flambeau.get_autocast_dtype(device_type)
        active = flambeau.is_autocast_enabled(device_type)
        context._fwd_used_autocast = active and cast_inputs is None
        if cast_inputs is None or not active:
            return fwd(*args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs)
            )

    return decorated


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Decorates the backward of an autograd Function: it runs as its forward did."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, dtype=context._dtype, enabled=context._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return decorated

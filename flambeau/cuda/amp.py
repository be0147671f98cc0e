"""`torch.cuda.amp`: the older names of `torch.amp`, for "cuda".

>>> torch.cuda.amp.GradScaler(enabled=False).is_enabled()
False
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import flambeau
from flambeau.amp import autocast_mode

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def _warn(name: str, shown: str = "args...") -> None:
    warnings.warn(
        f"`torch.cuda.amp.{name}({shown})` is deprecated. "
        f"Please use `torch.amp.{name}('cuda', {shown})` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(autocast_mode.autocast):
    """`torch.amp.autocast("cuda")`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True):
        _warn("autocast")
        dtype = flambeau.float16 if dtype is None else dtype
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(flambeau.amp.GradScaler):
    """`torch.amp.GradScaler("cuda")`."""

    def __init__(
        self, init_scale: float = 65536.0, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ):  # fmt: skip
        _warn("GradScaler")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


custom_fwd = functools.partial(autocast_mode.custom_fwd, device_type="cuda")
custom_bwd = functools.partial(autocast_mode.custom_bwd, device_type="cuda")

"""Automatic mixed precision, the engine's side: which ops take their operands in a lower precision
and which in float32, and the thread's switches.

While a thread has autocast on, the dispatcher sends the calls of the ops in the tables below to
Python (`registry.fallback`; composites ask by themselves, see `casting`), which asks `cast_call`
here: the operands are converted, and the op is called again with the mode off. All other calls go
their native way. Used through
`flambeau.amp.autocast`:

>>> with torch.autocast("cpu"):
...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
torch.bfloat16
"""

from __future__ import annotations

import functools
import threading
import warnings
from typing import Any

from flambeau.autograd.modes import change_mode
from flambeau.core import dtype as dtypes
from flambeau.core.device import device as device_of
from flambeau.ops.registry import NUMBERED, is_tensor
from flambeau.runtime.dispatch import CASTS
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import AUTOCAST

#: products: exact enough in half precision, and where the time goes
LOWER = {
    "mm", "bmm", "matmul", "addmm", "_linear", "convolution", "prelu_kernel", "baddbmm", "addbmm",
    "linalg_vecdot", "linalg_multi_dot", "_scaled_dot_product_flash_attention_for_cpu",
}  # fmt: skip
#: sums of many terms and what is sensitive to rounding
FLOAT32 = {
    "mse_loss", "mse_loss_sum", "mse_loss_mean", "smooth_l1_loss", "smooth_l1_loss_sum",
    "smooth_l1_loss_mean", "huber_loss", "huber_loss_sum", "huber_loss_mean", "logit_loss",
    "logit_loss_sum", "logit_loss_mean", "probability_loss", "probability_loss_sum",
    "probability_loss_mean", "soft_margin_loss", "soft_margin_loss_sum", "soft_margin_loss_mean",
    "picked_loss", "prod", "trace", "polar", "_cdist", "_euclidean_dist", "view_as_complex",
    "linalg_cholesky", "linalg_cholesky_ex", "cholesky", "cholesky_solve", "cholesky_inverse",
    "linalg_inv", "linalg_inv_ex", "linalg_lu_solve", "linalg_solve", "linalg_qr", "geqrf",
    "linalg_svd", "linalg_svdvals", "linalg_eigh", "linalg_eig", "linalg_det", "det",
    "linalg_slogdet", "linalg_lstsq", "linalg_householder_product", "linalg_lu_factor",
    "linalg_lu_factor_ex", "ormqr", "triangular_solve", "pinverse", "quantile", "nanquantile",
    "cdist", "grid_sampler_2d", "grid_sampler_3d", "mirror", "_fft_c2c", "_fft_r2c", "_fft_c2r",
}  # fmt: skip
#: ops that want operands of one dtype, here the widest
PROMOTED = {"index_copy"}
CAST = LOWER | FLOAT32 | PROMOTED
DEFAULTS = {"cpu": dtypes.bfloat16, "mps": dtypes.bfloat16, "cuda": dtypes.float16}


class Switches(threading.local):
    """A thread's settings, by kind of device."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes = dict(DEFAULTS)
        self.cache = True


switches = Switches()


def mark_ops() -> None:
    """Tells the dispatcher which ops to send here; done at the first use of autocast."""
    for number, op in enumerate(NUMBERED):
        if op.name in CAST:
            engine.core.op_flags[number] |= CASTS
    engine.cast_call = cast_call


def cast_call(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of one of these ops while autocast is on."""
    target = dtypes.float32
    if op.name in LOWER:
        target = switches.dtypes["cpu"]
    elif op.name in PROMOTED:
        target = widest([value.dtype for value in (*args, *kwargs.values()) if is_tensor(value)])
    change_mode(0, AUTOCAST)
    try:
        cast = tuple(convert(value, target) for value in args)
        named = {name: convert(value, target) for name, value in kwargs.items()}
        return op.call(*cast, **named)
    finally:
        change_mode(AUTOCAST, 0)


def widest(kinds: list[Any]) -> Any:
    """float32 where one of the operands is, which then takes in the halves."""
    return dtypes.float32 if dtypes.float32 in kinds else kinds[0]


def casting(op: Any) -> Any:
    """The function of a composite, which casts its operands if it stands in the tables."""
    function = op.function
    if op.name not in CAST:
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if engine.core.get_mode() & AUTOCAST:
            return cast_call(op, args, kwargs)
        return function(*args, **kwargs)

    return call


def convert(value: Any, target: Any) -> Any:
    """`value` with its tensors in the precision of the call; float64 is never lowered."""
    if isinstance(value, (tuple, list)):
        return type(value)([convert(item, target) for item in value])
    if not is_tensor(value) or value.device.type != "cpu":
        return value
    kind = value.dtype
    if kind is target or not kind.is_floating_point or kind is dtypes.float64:
        return value
    return value.to(target)


# ---- public functions ------------------------------------------------------------------------


def kind_of(device_type: Any) -> str:
    """The kind of device, checked."""
    if not isinstance(device_type, str):
        raise TypeError(
            "is_autocast_enabled(): argument 'device_type' (position 1) must be str, not "
            f"{type(device_type).__name__}"
        )
    return str(device_of(device_type).type)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a kind of device, on this thread.

    >>> torch.is_autocast_enabled("cpu")
    False
    """
    enabled = switches.enabled
    if device_type in enabled:
        return enabled[device_type]
    return enabled.get(kind_of(device_type), False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Turns autocast on or off for a kind of device; `torch.autocast` does it for a block."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    kind = kind_of(device_type)
    switches.enabled[kind] = bool(enabled)
    if kind == "cpu":
        if enabled:
            engine.start()
            mark_ops()
        change_mode(AUTOCAST if enabled else 0, 0 if enabled else AUTOCAST)


def get_autocast_dtype(device_type: str) -> Any:
    """The lower precision of a kind of device.

    >>> torch.get_autocast_dtype("cpu")
    torch.bfloat16
    """
    return switches.dtypes.get(kind_of(device_type), dtypes.bfloat16)


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Sets the lower precision of a kind of device."""
    switches.dtypes[kind_of(device_type)] = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether converted weights may be kept within a block."""
    return switches.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Whether converted weights may be kept within a block (they are not)."""
    switches.cache = bool(enabled)


def clear_autocast_cache() -> None:
    """Forgets converted weights: none are kept."""


def _older(name: str, device: str, kind: str) -> Any:
    """A function of torch's older set, with the device in its name."""
    plain = name.replace(f"_{kind}", "")

    def function(*args: Any) -> Any:
        shown = f"'{device}'" + (", " if args else "") + ("dtype" if args else "")
        warnings.warn(
            f"torch.{name}() is deprecated. Please use torch.{plain}({shown}) instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        return globals()[plain](device, *args)

    function.__name__, function.__doc__ = name, f"`{plain}` for {device!r}."
    return function


is_autocast_cpu_enabled = _older("is_autocast_cpu_enabled", "cpu", "cpu")
set_autocast_cpu_enabled = _older("set_autocast_cpu_enabled", "cpu", "cpu")
get_autocast_cpu_dtype = _older("get_autocast_cpu_dtype", "cpu", "cpu")
set_autocast_cpu_dtype = _older("set_autocast_cpu_dtype", "cpu", "cpu")
get_autocast_gpu_dtype = _older("get_autocast_gpu_dtype", "cuda", "gpu")
set_autocast_gpu_dtype = _older("set_autocast_gpu_dtype", "cuda", "gpu")

__all__ = [
    "clear_autocast_cache", "get_autocast_cpu_dtype", "get_autocast_dtype",
    "get_autocast_gpu_dtype", "is_autocast_cache_enabled", "is_autocast_cpu_enabled",
    "is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled", "set_autocast_dtype", "set_autocast_enabled",
    "set_autocast_gpu_dtype",
]  # fmt: skip

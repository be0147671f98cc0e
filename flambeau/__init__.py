"""Flambeau: PyTorch's names and semantics, rebuilt in Python with generated kernels.

    import flambeau as torch

This file lists public names only. What it costs to import is small: ops, their kernels and LLVM are
loaded by `flambeau.start` at the first use of a tensor function, the submodules (`nn`, `optim`,
...) when they are first named.
"""

from __future__ import annotations

import importlib as _importlib
from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi
from typing import Any as _Any

from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import is_grad_enabled as is_grad_enabled
from flambeau.autograd.modes import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled
from flambeau.core.device import device as device
from flambeau.core.device import get_default_device as get_default_device
from flambeau.core.device import set_default_device as set_default_device
from flambeau.core.dtype import ALIASES as _ALIASES
from flambeau.core.dtype import DTYPES as _DTYPES
from flambeau.core.dtype import dtype as dtype
from flambeau.core.dtype import finfo as finfo
from flambeau.core.dtype import get_default_dtype as get_default_dtype
from flambeau.core.dtype import iinfo as iinfo
from flambeau.core.dtype import set_default_dtype as set_default_dtype
from flambeau.core.errors import OutOfMemoryError as OutOfMemoryError
from flambeau.core.layout import channels_last as channels_last
from flambeau.core.layout import channels_last_3d as channels_last_3d
from flambeau.core.layout import contiguous_format as contiguous_format
from flambeau.core.layout import layout as layout
from flambeau.core.layout import memory_format as memory_format
from flambeau.core.layout import preserve_format as preserve_format
from flambeau.core.layout import sparse_coo as sparse_coo
from flambeau.core.layout import strided as strided
from flambeau.core.promotion import can_cast as can_cast
from flambeau.core.promotion import promote_types as promote_types
from flambeau.core.shape import Size as Size
from flambeau.tensor import Tensor as Tensor
from flambeau.version import __version__ as __version__

globals().update(_DTYPES)
globals().update(_ALIASES)

newaxis = None

#: submodules, imported when first named
SUBMODULES = (
    "_C", "__config__", "_dynamo", "accelerator", "amp", "autograd", "backends", "compiler", "cpu",
    "cuda", "distributed", "distributions", "fft", "func", "functional", "futures", "fx", "hub",
    "jit", "library", "linalg", "mps", "multiprocessing", "nn", "onnx", "ops", "optim", "overrides",
    "printing", "profiler", "random", "return_types", "serialization", "signal", "sparse",
    "special", "testing", "torch_version", "types", "utils", "version",
)  # fmt: skip
#: functions of modules that do not need the engine to be named
LAZY = {
    "set_printoptions": "printing", "get_printoptions": "printing", "save": "serialization",
    "load": "serialization", "as_torch": "alias", "UntypedStorage": "storage",
    "TypedStorage": "storage", "Generator": "generator", "Future": "futures",
    "manual_seed": "random", "compile": "compiler",
    "is_anomaly_enabled": "autograd.anomaly_mode",
    "is_anomaly_check_nan_enabled": "autograd.anomaly_mode", "seed": "random",
    "initial_seed": "random", "get_rng_state": "random", "set_rng_state": "random",
    "default_generator": "random", "autocast": "amp", "GradScaler": "amp", "vmap": "func",
    "sparse_coo_tensor": "sparse", "sparse_csr_tensor": "sparse", "sparse_csc_tensor": "sparse",
    "sparse_bsr_tensor": "sparse", "sparse_bsc_tensor": "sparse",
    "sparse_compressed_tensor": "sparse", "spmm": "sparse", "smm": "sparse", "hspmm": "sparse",
    "sspaddmm": "sparse", "saddmm": "sparse", "dsmm": "sparse", "hsmm": "sparse",
}  # fmt: skip

del globals()["tensor"]  # the submodule of that name: `flambeau.tensor` is the function


def __getattr__(name: str) -> _Any:
    """A submodule or an engine function, at its first use."""
    if name in SUBMODULES:
        return _importlib.import_module(f"flambeau.{name}")
    if name.startswith("__"):
        raise AttributeError(f"module 'torch' has no attribute '{name}'")
    if name in LAZY:
        value = getattr(_importlib.import_module(f"flambeau.{LAZY[name]}"), name)
    else:
        engine = _importlib.import_module("flambeau.start")
        engine.start()
        if name in engine.functions:
            value = engine.functions[name]
        else:
            others = _importlib.import_module("flambeau.functions")
            if name not in others.__all__:
                raise AttributeError(f"module 'torch' has no attribute '{name}'")
            value = getattr(others, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name."""
    engine = _importlib.import_module("flambeau.start")
    engine.start()
    others = _importlib.import_module("flambeau.functions")
    return sorted({*globals(), *SUBMODULES, *LAZY, *engine.functions, *others.__all__})

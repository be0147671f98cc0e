"""Automatic differentiation: `backward`, `grad`, and the tools around them.

>>> x = torch.tensor(2.0, requires_grad=True)
>>> torch.autograd.grad(x ** 3, x)
(tensor(12.),)
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any

from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled

#: names of other files of this folder: (file, name in it; "" for the file itself)
LATE = {
    "anomaly_mode": ("anomaly_mode", ""),
    "forward_ad": ("forward_ad", ""),
    "function": ("function", ""),
    "functional": ("functional", ""),
    "grad_mode": ("grad_mode", ""),
    "graph": ("graph", ""),
    "profiler": ("profiler", ""),
    "variable": ("variable", ""),
    "Function": ("function", "Function"),
    "NestedIOFunction": ("function", "NestedIOFunction"),
    "Node": ("nodes", "Node"),
    "Variable": ("variable", "Variable"),
    "_is_checkpoint_valid": ("visiting", "_is_checkpoint_valid"),
    "_unsafe_preserve_version_counter": ("versions", "_unsafe_preserve_version_counter"),
    "backward": ("entry", "backward"),
    "detect_anomaly": ("anomaly_mode", "detect_anomaly"),
    "grad": ("entry", "grad"),
    "gradcheck": ("gradcheck", "gradcheck"),
    "gradgradcheck": ("gradcheck", "gradgradcheck"),
    "set_detect_anomaly": ("anomaly_mode", "set_detect_anomaly"),
}
__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck",
    "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Submodules and names that are rarely needed, at their first use."""
    if name not in LATE:
        raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
    file, inner = LATE[name]
    module = _importlib.import_module(f"flambeau.autograd.{file}")
    value = getattr(module, inner) if inner else module
    globals()[name] = value  # the function `gradcheck` stands where its file of that name was put
    return value

"""The ops: one module per family, one decorated function per op (see ops.registry
and ops.kinds). Seen as `torch.ops`, the namespace of torch's C++ library: `torch.ops.aten`, and the
namespaces of `torch.library`.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any


def __getattr__(name: str) -> _Any:
    if name in ("aten", "custom", "overriding"):
        return _importlib.import_module(f"flambeau.ops.{name}")
    if not name.startswith("_"):
        custom = _importlib.import_module("flambeau.ops.custom")
        if name in custom.namespaces:
            return custom.namespaces[name]
    raise AttributeError(f"module 'torch.ops' has no attribute '{name}'")

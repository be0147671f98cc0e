"""torch.linalg: decompositions, equations, norms and functions of matrices."""
from __future__ import annotations
import importlib
from flambeau.core.errors import LinAlgError as LinAlgError

def __getattr__(name):
    start = importlib.import_module("flambeau.start")
    start.start()
    from flambeau.ops.registry import OPS
    if 'linalg_'+name in OPS:
        return OPS['linalg_'+name].call
    raise AttributeError(f"module 'torch.linalg' has no attribute {name!r}")

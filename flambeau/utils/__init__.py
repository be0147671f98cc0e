"""Tools around training: reading data, hooks; each submodule is imported when first named.

>>> len(torch.utils.data.DataLoader([1, 2, 3], batch_size=2))
2
"""

import importlib as _importlib
import importlib.util as _util
from typing import Any as _Any


def __getattr__(name: str) -> _Any:
    if not name.startswith("_") and _util.find_spec(f"{__name__}.{name}") is not None:
        return _importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'torch.utils' has no attribute '{name}'")

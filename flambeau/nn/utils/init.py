"""Creating a module without the cost of initializing its parameters.

>>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 1).weight.shape
torch.Size([1, 2])
"""

from __future__ import annotations

import inspect
from typing import Any

from ..modules.module import Module


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Any:
    """Create `module_cls(*args, **kwargs)` with uninitialized parameters.

    >>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 1, device="cpu").bias.device
    device(type='cpu')
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    # On the meta device there is nothing to fill.
    return module_cls(*args, **kwargs, device="meta").to_empty(device=device)

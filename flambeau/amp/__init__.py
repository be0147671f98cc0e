"""Automatic mixed precision: `autocast` for the forward pass, `GradScaler` for the backward pass.

>>> with torch.amp.autocast("cpu", dtype=torch.bfloat16):
...     torch.nn.Linear(2, 3)(torch.ones(1, 2)).dtype
torch.bfloat16
"""

from .autocast_mode import autocast as autocast
from .autocast_mode import custom_bwd as custom_bwd
from .autocast_mode import custom_fwd as custom_fwd
from .autocast_mode import is_autocast_available as is_autocast_available
from .grad_scaler import GradScaler as GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

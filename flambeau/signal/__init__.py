"""torch.signal: window functions are in torch.signal.windows.

>>> torch.signal.windows.hann(3)
tensor([0., 1., 0.])
"""

from __future__ import annotations

from flambeau.signal import windows as windows

__all__ = ["windows"]

"""torch.fft: discrete Fourier transforms.

The functions are ops (flambeau/ops/fft.py); this module gives them their public names:

>>> torch.fft.fft(torch.tensor([1.0, 0.0]))
tensor([1.+0.j, 1.+0.j])
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
    "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft",
    "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """A function, at its first use."""
    if name not in __all__:
        raise AttributeError(f"module 'torch.fft' has no attribute '{name}'")
    engine = importlib.import_module("flambeau.start")
    engine.start()
    value = globals()[name] = engine.qualified[f"fft_{name}"]
    return value


def __dir__() -> list[str]:
    """Every public name."""
    return sorted(__all__)

"""`torch.mps`: Apple GPUs are not used: truthful answers.

>>> torch.backends.mps.is_available()
False
"""

from __future__ import annotations


def is_available() -> bool:
    """Whether an Apple GPU can be used."""
    return False


def device_count() -> int:
    """Number of Apple GPUs that can be used."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds the GPU's generator; without one, nothing to do."""


def empty_cache() -> None:
    """Frees the GPU's unused memory: there is none."""


def synchronize() -> None:
    """Waits for the GPU."""
    raise AssertionError("Torch not compiled with MPS enabled\n  use device='cpu'")

"""Anomaly detection: a backward pass that meets NaN stops and names the node that made it.

    with torch.autograd.detect_anomaly():
        loss.backward()

While it is on, autograd.engine checks what every node returns.
"""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.autograd.engine import Anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class detect_anomaly:
    """Turns anomaly detection on for a block.

    >>> x = torch.tensor([-1.0], requires_grad=True)
    >>> with torch.autograd.set_detect_anomaly(True):
    ...     torch.is_anomaly_enabled()
    True
    """

    def __init__(self, check_nan: bool = True):
        self.check_nan = check_nan
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        Anomaly.switch(True, self.check_nan)

    def __exit__(self, *error: Any) -> None:
        Anomaly.switch(*self.before)


class set_detect_anomaly:
    """Turns anomaly detection on or off: at once, and as a block for its duration."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        Anomaly.switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        Anomaly.switch(*self.before)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return Anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it looks for NaN."""
    return Anomaly.check_nan

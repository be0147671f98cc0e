"""Anomaly mode: backward errors say which forward call they come from, and a gradient with NaN is
an error.

    with torch.autograd.detect_anomaly():
        loss = model(x)
        loss.backward()

Nodes remember where they were made (autograd.saved.watch), the pass looks at what they return
(autograd.visiting).
"""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.autograd.saved import Anomaly
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import WATCH_ALL

__all__ = ["detect_anomaly", "set_detect_anomaly"]


def _switch(mode: bool, check_nan: bool) -> None:
    engine.start()
    Anomaly.enabled, Anomaly.check_nan = bool(mode), bool(check_nan)
    engine.core.set_mode_of_all(WATCH_ALL if mode else 0)


class set_detect_anomaly:
    """Turns anomaly mode on or off for all threads: at once, and as a block for its duration.

    >>> with torch.autograd.set_detect_anomaly(True):
    ...     torch.is_anomaly_enabled()
    True
    """

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        _switch(*self.before)


class detect_anomaly:
    """A block in which anomaly mode is on.

    >>> with torch.autograd.detect_anomaly():
    ...     torch.ones(1, requires_grad=True).sum().backward()
    """

    def __init__(self, check_nan: bool = True):
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            UserWarning,
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        _switch(True, self.check_nan)

    def __exit__(self, *error: Any) -> None:
        _switch(*self.before)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on.

    >>> torch.is_anomaly_enabled()
    False
    """
    return Anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN.

    >>> torch.is_anomaly_check_nan_enabled()
    True
    """
    return Anomaly.check_nan

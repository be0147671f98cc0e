"""`torch._C`: what libraries ask of torch's native part though it is private.

>>> torch._C._log_api_usage_once("library.Part")
"""

from __future__ import annotations


def _log_api_usage_once(event: str) -> None:
    """Accepted; nothing is counted and nothing leaves the machine."""

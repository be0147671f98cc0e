"""`torch.onnx`: export to ONNX is not there; the names say so.

>>> torch.onnx.is_in_onnx_export()
False
"""

from __future__ import annotations

from typing import Any


def is_in_onnx_export() -> bool:
    """Whether an export is going on: False."""
    return False


def _missing(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"torch.onnx.{name} is not implemented in Flambeau\n"
            "  hint: save the weights with torch.save, and export with torch"
        )

    function.__name__, function.__doc__ = name, f"`{name}`: not there."
    return function


export, dynamo_export = _missing("export"), _missing("dynamo_export")

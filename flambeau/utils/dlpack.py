"""`torch.utils.dlpack`: tensors for other libraries without a copy.

>>> torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(torch.arange(2)))
tensor([0, 1])
"""

from __future__ import annotations

from typing import Any

import flambeau


def to_dlpack(tensor: Any) -> Any:
    """The tensor as a DLPack capsule."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any) -> Any:
    """The tensor of another library, sharing its memory."""
    return flambeau.from_dlpack(ext_tensor)

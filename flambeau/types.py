"""`torch.types`: names for annotations.

>>> isinstance(3, torch.types.Number)
True
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from flambeau.core.device import device as _device_type
from flambeau.core.dtype import dtype as _dtype_type
from flambeau.core.layout import layout as _layout_type
from flambeau.core.shape import Size as Size
from flambeau.tensor import Tensor as Tensor

_bool, _complex, _device, _dtype, _float = bool, complex, _device_type, _dtype_type, float
_int, _layout = int, _layout_type
_size = Size | list[int] | tuple[int, ...]
_symsize = Size | Sequence[int]
_TensorOrTensors = Tensor | Sequence[Tensor]
_Number = (bool, int, float)
Number = int | float | bool
Device = _device_type | str | int | None
FileLike = str | os.PathLike[str] | Any
IntLikeType, FloatLikeType, BoolLikeType, PySymType = int, float, bool, int | float | bool

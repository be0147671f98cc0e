"""`torch.types`: names for annotations.

>>> isinstance(3, torch.types.Number)
True
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from flambeau import Size as Size
from flambeau import Tensor as Tensor
from flambeau import device as _device

_bool, _complex, _float, _int = bool, complex, float, int
_size = Size | list[int] | tuple[int, ...]
_symsize = Size | Sequence[int]
_TensorOrTensors = Tensor | Sequence[Tensor]
_Number = (bool, int, float)
Number = int | float | bool
Device = _device | str | int | None
FileLike = str | os.PathLike[str] | Any
IntLikeType, FloatLikeType, BoolLikeType, PySymType = int, float, bool, int | float | bool

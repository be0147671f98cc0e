"""`LinearCrossEntropyOptions`: how `linear_cross_entropy` is to save memory.

>>> torch.nn.LinearCrossEntropyOptions(batch_chunk_size=64).batch_chunk_size
64
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import flambeau

__all__ = ["LinearCrossEntropyOptions"]


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """Split the batch, so that the scores of all classes never exist for all samples at once.

    Args:
        allow_retain_graph: whether the backward pass may run twice.
        batch_chunk_size: samples at once; all of them if None and there is no `chunking_method`.
        chunking_method: "auto", "aspect_ratio" (scores take as much memory as the input) or
            "aspect_ratio:N" (an Nth of that).
        acc_policy, acc_dtype: accepted for torch's sake; sums over chunks have the input's dtype.

    >>> torch.nn.LinearCrossEntropyOptions(batch_chunk_size=64).batch_chunk_size
    64
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, colon, factor = self.chunking_method.partition(":")
            valid = not colon or (factor.isdigit() and int(factor) > 0)
            if name != "aspect_ratio" or not valid:
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        allowed = (flambeau.float16, flambeau.bfloat16, flambeau.float32, flambeau.float64)
        if self.acc_dtype is not None and self.acc_dtype not in allowed:
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
                f"torch.float64}}, got {self.acc_dtype!r}. Pass acc_dtype=None to let the op pick "
                "automatically."
            )

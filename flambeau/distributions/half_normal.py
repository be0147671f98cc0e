"""The half-normal distribution: the absolute value of a normal variable.

>>> torch.distributions.HalfNormal(1.0).mean
tensor(0.7979)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._half import Half
from .normal import Normal

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["HalfNormal"]


class HalfNormal(Half):
    """|x| for x normal with mean 0."""

    whole = Normal

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)

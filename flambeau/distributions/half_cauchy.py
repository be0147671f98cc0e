"""The half-Cauchy distribution: the absolute value of a Cauchy variable.

>>> torch.distributions.HalfCauchy(1.0).mode
tensor(0.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import flambeau

from ._half import Half
from .cauchy import Cauchy

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """|x| for x Cauchy around 0."""

    whole = Cauchy

    @property
    def mean(self) -> Tensor:
        kind = self.scale
        return flambeau.full(self._extended_shape(), math.inf, dtype=kind.dtype, device=kind.device)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

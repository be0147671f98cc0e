"""The Cauchy distribution.

>>> torch.distributions.Cauchy(0.0, 1.0).mode
tensor(0.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .distribution import Distribution
from .utils import (
    broadcast_all,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Cauchy"]


class Cauchy(Distribution):
    """1 / (pi scale (1 + ((x - loc) / scale)^2))."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        kind = self.loc
        return flambeau.full(self._extended_shape(), math.nan, dtype=kind.dtype, device=kind.device)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        kind = self.loc
        return flambeau.full(self._extended_shape(), math.inf, dtype=kind.dtype, device=kind.device)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        eps = self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_()
        return self.loc + eps * self.scale

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = ((value - self.loc) / self.scale) ** 2
        return -math.log(math.pi) - self.scale.log() - distance.log1p()

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return flambeau.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        return flambeau.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()

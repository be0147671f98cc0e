"""The generalized Pareto distribution, of what exceeds a threshold.

>>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
tensor(2.)
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

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """(1 + concentration z)^(-1 / concentration) is the probability of greater values, for
    z = (x - loc) / scale; for concentration 0 it is exp(-z).
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        upper = self.loc - self.scale / self.concentration
        bounded = self.concentration < 0
        return constraints.interval(self.loc, flambeau.where(bounded, upper, math.inf))

    def _is_exponential(self) -> Any:
        return flambeau.isclose(self.concentration, self.concentration.new_zeros(()))

    def _safe_concentration(self) -> Any:
        return flambeau.where(
            self._is_exponential(), flambeau.ones_like(self.concentration), self.concentration
        )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(flambeau.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z, safe = (value - self.loc) / self.scale, self._safe_concentration()
        power = -(1 + 1 / safe) * flambeau.log1p(safe * z)
        return flambeau.where(self._is_exponential(), -z, power) - flambeau.log(self.scale)

    def log_survival_function(self, value: Any) -> Tensor:
        """The logarithm of the probability of greater values."""
        if self._validate_args:
            self._validate_sample(value)
        z, safe = (value - self.loc) / self.scale, self._safe_concentration()
        return flambeau.where(self._is_exponential(), -z, -flambeau.log1p(safe * z) / safe)

    def log_cdf(self, value: Any) -> Tensor:
        """The logarithm of the probability of lesser values."""
        return flambeau.log1p(-flambeau.exp(self.log_survival_function(value)))

    def cdf(self, value: Any) -> Tensor:
        return flambeau.exp(self.log_cdf(value))

    def icdf(self, value: Any) -> Tensor:
        safe = self._safe_concentration()
        logs = flambeau.log1p(-value)
        z = flambeau.where(self._is_exponential(), -logs, flambeau.expm1(-safe * logs) / safe)
        return self.loc + self.scale * z

    @property
    def mean(self) -> Tensor:
        a = self.concentration
        result = self.loc + self.scale / (1 - a)
        return flambeau.where(a < 1, result, flambeau.full_like(a, math.inf))

    @property
    def variance(self) -> Tensor:
        a = self.concentration
        result = self.scale**2 / ((1 - a) ** 2 * (1 - 2 * a))
        return flambeau.where(a < 0.5, result, flambeau.full_like(a, math.inf))

    def entropy(self) -> Tensor:
        return flambeau.log(self.scale) + self.concentration + 1

    @property
    def mode(self) -> Tensor:
        return self.loc

"""The Kumaraswamy distribution, much like the beta distribution.

>>> torch.distributions.Kumaraswamy(1.0, 1.0).mean
tensor(0.5000)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import (
    AffineTransform,
    PowerTransform,
)
from .uniform import Uniform
from .utils import (
    broadcast_all,
    euler_constant,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Kumaraswamy"]


def _moment(a: Any, b: Any, n: int) -> Any:
    """The n-th moment."""
    argument = 1 + n / a
    log_beta = flambeau.lgamma(argument) + flambeau.lgamma(b) - flambeau.lgamma(argument + b)
    return b * flambeau.exp(log_beta)


class Kumaraswamy(TransformedDistribution):
    """1 - (1 - x^a)^b is the probability of lesser values."""

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        ones = flambeau.ones_like(self.concentration0)
        base = Uniform(flambeau.zeros_like(ones), ones, validate_args=validate_args)
        super().__init__(base, self._maps(), validate_args=validate_args)

    def _maps(self) -> list[Any]:
        return [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Kumaraswamy, _instance)
        new.concentration1 = self.concentration1.expand(batch_shape)
        new.concentration0 = self.concentration0.expand(batch_shape)
        new.base_dist = self.base_dist.expand(flambeau.Size(batch_shape))
        new.transforms = new._maps()
        return self._finish_expand(new, batch_shape)

    @property
    def mean(self) -> Tensor:
        return _moment(self.concentration1, self.concentration0, 1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        log_mode = a.reciprocal() * (-b).log1p() - (-a * b).log1p()
        log_mode[(b < 1) | (a < 1)] = math.nan
        return log_mode.exp()

    @property
    def variance(self) -> Tensor:
        return _moment(self.concentration1, self.concentration0, 2) - flambeau.pow(self.mean, 2)

    def entropy(self) -> Tensor:
        t1, t0 = 1 - self.concentration1.reciprocal(), 1 - self.concentration0.reciprocal()
        harmonic = flambeau.digamma(self.concentration0 + 1) + euler_constant
        logs = flambeau.log(self.concentration1) + flambeau.log(self.concentration0)
        return t0 + t1 * harmonic - logs

"""The Weibull distribution.

>>> torch.distributions.Weibull(1.0, 1.0).mean
tensor(1.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .exponential import Exponential
from .transformed_distribution import TransformedDistribution
from .transforms import (
    AffineTransform,
    PowerTransform,
)
from .utils import (
    broadcast_all,
    euler_constant,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """exp(-(x / scale)^concentration) is the probability of greater values."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None):
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(flambeau.ones_like(self.scale), validate_args=validate_args)
        super().__init__(base, self._maps(), validate_args=validate_args)

    def _maps(self) -> list[Any]:
        self.concentration_reciprocal = self.concentration.reciprocal()
        return [
            PowerTransform(exponent=self.concentration_reciprocal),
            AffineTransform(loc=0, scale=self.scale),
        ]

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Weibull, _instance)
        new.scale = self.scale.expand(batch_shape)
        new.concentration = self.concentration.expand(batch_shape)
        new.base_dist = self.base_dist.expand(flambeau.Size(batch_shape))
        new.transforms = new._maps()
        return self._finish_expand(new, batch_shape)

    @property
    def mean(self) -> Tensor:
        return self.scale * flambeau.exp(flambeau.lgamma(1 + self.concentration_reciprocal))

    @property
    def mode(self) -> Tensor:
        powers = (self.concentration - 1) / self.concentration
        return self.scale * powers ** self.concentration.reciprocal()

    @property
    def variance(self) -> Tensor:
        first = flambeau.lgamma(1 + self.concentration_reciprocal)
        second = flambeau.exp(flambeau.lgamma(1 + 2 * self.concentration_reciprocal))
        return self.scale.pow(2) * (second - flambeau.exp(2 * first))

    def entropy(self) -> Tensor:
        return (
            euler_constant * (1 - self.concentration_reciprocal)
            + flambeau.log(self.scale * self.concentration_reciprocal)
            + 1
        )

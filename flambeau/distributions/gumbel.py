"""The Gumbel distribution, of maxima.

>>> torch.distributions.Gumbel(0.0, 1.0).mean
tensor(0.5772)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import (
    AffineTransform,
    ExpTransform,
)
from .uniform import Uniform
from .utils import (
    broadcast_all,
    euler_constant,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Gumbel"]


class Gumbel(TransformedDistribution):
    """exp(-exp(-(x - loc) / scale)) is the probability of lesser values."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        info = flambeau.finfo(self.loc.dtype)
        if isinstance(loc, (int, float)) and isinstance(scale, (int, float)):
            base = Uniform(info.tiny, 1 - info.eps, validate_args=validate_args)
        else:
            base = Uniform(
                flambeau.full_like(self.loc, info.tiny),
                flambeau.full_like(self.loc, 1 - info.eps),
                validate_args=validate_args,
            )
        super().__init__(base, self._maps(), validate_args=validate_args)

    def _maps(self) -> list[Any]:
        return [
            ExpTransform().inv,
            AffineTransform(loc=0, scale=-flambeau.ones_like(self.scale)),
            ExpTransform().inv,
            AffineTransform(loc=self.loc, scale=-self.scale),
        ]

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Gumbel, _instance)
        new.loc, new.scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        new.transforms = new._maps()
        new.base_dist = self.base_dist.expand(flambeau.Size(batch_shape))
        return self._finish_expand(new, batch_shape)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + euler_constant)

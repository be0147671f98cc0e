"""The absolute value of a variable that is symmetric around 0; base of HalfNormal and HalfCauchy.

>>> torch.distributions.HalfNormal(1.0).cdf(torch.tensor(0.0))
tensor(0.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import flambeau

from . import constraints
from .distribution import Distribution
from .transformed_distribution import TransformedDistribution
from .transforms import AbsTransform

if TYPE_CHECKING:
    from flambeau import Tensor


class Half(TransformedDistribution):
    """|x| for x of the class `whole`, around 0 with some scale: twice the density of x, above 0."""

    whole: ClassVar[type[Distribution]]
    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None):
        base = self.whole(0, scale, validate_args=False)  # type: ignore[arg-type]
        super().__init__(base, AbsTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(type(self), _instance)
        return super().expand(batch_shape, _instance=new)

    @property
    def scale(self) -> Tensor:
        """The scale of the whole variable."""
        return self.base_dist.scale

    @property
    def mode(self) -> Tensor:
        return flambeau.zeros_like(self.scale)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value = flambeau.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
        log_prob = self.base_dist.log_prob(value) + math.log(2)
        return flambeau.where(value >= 0, log_prob, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, prob: Any) -> Tensor:
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)

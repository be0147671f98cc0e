"""The gamma distribution.

>>> torch.distributions.Gamma(2.0, 4.0).mean
tensor(0.5000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .exp_family import ExponentialFamily
from .utils import (
    broadcast_all,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["StandardGamma", "Gamma"]


class StandardGamma(flambeau.autograd.Function):
    """Gamma samples with the derivative by their shape: at a fixed quantile, -dP(a, x)/da / p(x),
    where P is the regularised incomplete gamma function (Figurnov, Mohamed, Mnih 2018).
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        result = flambeau._standard_gamma(concentration)
        ctx.save_for_backward(concentration, result)
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        concentration, value = ctx.saved_tensors
        return g * quantile_slope(concentration, value)


def quantile_slope(concentration: Tensor, value: Tensor) -> Tensor:
    """dx/da at a fixed quantile; dP/da by Richardson's differences in float64."""
    a, x = concentration.double(), value.double()
    step = 1e-3 * a
    wide = flambeau.igamma(a + step, x) - flambeau.igamma(a - step, x)
    narrow = flambeau.igamma(a + step / 2, x) - flambeau.igamma(a - step / 2, x)
    slope = (8 * narrow - wide) / (6 * step)
    density = flambeau.exp((a - 1) * x.log() - x - flambeau.lgamma(a))
    return (-slope / density).to(value.dtype)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Gamma samples of scale 1, with gradients."""
    return StandardGamma.apply(concentration)


class Gamma(ExponentialFamily):
    """rate^a x^(a-1) exp(-rate x) / gamma(a), for the concentration a."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=flambeau.finfo(value.dtype).tiny)
        return value

    def log_prob(self, value: Any) -> Tensor:
        value = flambeau.as_tensor(value, dtype=self.rate.dtype, device=self.rate.device)
        if self._validate_args:
            self._validate_sample(value)
        return (
            flambeau.xlogy(self.concentration, self.rate)
            + flambeau.xlogy(self.concentration - 1, value)
            - self.rate * value
            - flambeau.lgamma(self.concentration)
        )

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return flambeau.special.gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - flambeau.log(self.rate) + flambeau.lgamma(a) + (1.0 - a) * flambeau.digamma(a)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        return flambeau.lgamma(x + 1) + (x + 1) * flambeau.log(-y.reciprocal())

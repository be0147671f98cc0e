"""The continuous Bernoulli distribution (Loaiza-Ganem and Cunningham 2019): a Bernoulli's formula
for values between 0 and 1.

>>> torch.distributions.ContinuousBernoulli(torch.tensor(0.5)).mean
tensor(0.5000)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau
import flambeau.nn.functional as F

from . import constraints
from .exp_family import ExponentialFamily
from .utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ExponentialFamily):
    """C p^x (1-p)^(1-x). Near p = 1/2 (within `lims`) Taylor series stand in for quotients."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ):  # fmt: skip
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        if probs is not None:
            (self.probs,) = broadcast_all(probs)
            if validate_args is not None and not constraints.unit_interval.check(self.probs).all():
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(self.probs)
        else:
            (self.logits,) = broadcast_all(logits)
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._lims = self._lims
        return new

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.size()

    def _outside_unstable_region(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Tensor:
        low = self._lims[0] * flambeau.ones_like(self.probs)
        return flambeau.where(self._outside_unstable_region(), self.probs, low)

    def _cont_bern_log_norm(self) -> Tensor:
        """The logarithm of C."""
        cut = self._cut_probs()
        below = flambeau.where(cut <= 0.5, cut, flambeau.zeros_like(cut))
        above = flambeau.where(cut >= 0.5, cut, flambeau.ones_like(cut))
        log_norm = flambeau.log(flambeau.abs(flambeau.log1p(-cut) - flambeau.log(cut)))
        log_norm = log_norm - flambeau.where(
            cut <= 0.5, flambeau.log1p(-2.0 * below), flambeau.log(2.0 * above - 1.0)
        )
        x = flambeau.pow(self.probs - 0.5, 2)
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return flambeau.where(self._outside_unstable_region(), log_norm, taylor)

    @property
    def mean(self) -> Tensor:
        cut = self._cut_probs()
        mus = cut / (2.0 * cut - 1.0) + 1.0 / (flambeau.log1p(-cut) - flambeau.log(cut))
        x = self.probs - 0.5
        taylor = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * flambeau.pow(x, 2)) * x
        return flambeau.where(self._outside_unstable_region(), mus, taylor)

    @property
    def stddev(self) -> Tensor:
        return flambeau.sqrt(self.variance)

    @property
    def variance(self) -> Tensor:
        cut = self._cut_probs()
        spread = cut * (cut - 1.0) / flambeau.pow(1.0 - 2.0 * cut, 2)
        spread = spread + 1.0 / flambeau.pow(flambeau.log1p(-cut) - flambeau.log(cut), 2)
        x = flambeau.pow(self.probs - 0.5, 2)
        taylor = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return flambeau.where(self._outside_unstable_region(), spread, taylor)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        u = flambeau.rand(shape, dtype=self.probs.dtype, device=self.probs.device)
        return self.icdf(u)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with flambeau.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        loss = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -loss + self._cont_bern_log_norm()

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        cut = self._cut_probs()
        powers = flambeau.pow(cut, value) * flambeau.pow(1.0 - cut, 1.0 - value)
        cdfs = (powers + cut - 1.0) / (2.0 * cut - 1.0)
        inner = flambeau.where(self._outside_unstable_region(), cdfs, value)
        inner = flambeau.where(flambeau.ge(value, 1.0), flambeau.ones_like(inner), inner)
        return flambeau.where(flambeau.le(value, 0.0), flambeau.zeros_like(inner), inner)

    def icdf(self, value: Any) -> Tensor:
        cut = self._cut_probs()
        quotient = flambeau.log1p(-cut + value * (2.0 * cut - 1.0)) - flambeau.log1p(-cut)
        quotient = quotient / (flambeau.log(cut) - flambeau.log1p(-cut))
        return flambeau.where(self._outside_unstable_region(), quotient, value)

    def entropy(self) -> Tensor:
        log_p, log_q = flambeau.log(self.probs), flambeau.log1p(-self.probs)
        return self.mean * (log_q - log_p) - self._cont_bern_log_norm() - log_q

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Any:
        out = flambeau.max(flambeau.le(x, self._lims[0] - 0.5), flambeau.gt(x, self._lims[1] - 0.5))
        cut = flambeau.where(out, x, (self._lims[0] - 0.5) * flambeau.ones_like(x))
        log_norm = flambeau.log(flambeau.abs(flambeau.special.expm1(cut)))
        log_norm = log_norm - flambeau.log(flambeau.abs(cut))
        taylor = 0.5 * x + flambeau.pow(x, 2) / 24.0 - flambeau.pow(x, 4) / 2880.0
        return flambeau.where(out, log_norm, taylor)

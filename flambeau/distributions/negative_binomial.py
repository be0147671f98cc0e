"""The negative binomial distribution: successes before `total_count` failures.

>>> torch.distributions.NegativeBinomial(2.0, torch.tensor(0.5)).mean
tensor(2.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau
import flambeau.nn.functional as F

from . import constraints
from .distribution import Distribution
from .gamma import Gamma
from .utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Distribution):
    """gamma(k + n) / (k! gamma(n)) p^k (1-p)^n."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ):  # fmt: skip
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, given = ("probs", probs) if probs is not None else ("logits", logits)
        count, given = broadcast_all(total_count, given)
        self.total_count = count.type_as(given)
        setattr(self, name, given)
        super().__init__(given.size(), validate_args=validate_args)

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.size()

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def _gamma(self) -> Any:
        return Gamma(self.total_count, flambeau.exp(-self.logits), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.total_count * flambeau.exp(self.logits)

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / flambeau.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with flambeau.no_grad():
            return flambeau.poisson(self._gamma.sample(sample_shape=sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_powers = self.total_count * F.logsigmoid(-self.logits) + value * F.logsigmoid(
            self.logits
        )
        log_count = (
            -flambeau.lgamma(self.total_count + value)
            + flambeau.lgamma(1.0 + value)
            + flambeau.lgamma(self.total_count)
        )
        log_count = log_count.masked_fill(self.total_count + value == 0.0, 0.0)
        return log_powers - log_count

"""The multinomial distribution: how often each of K classes comes in `total_count` draws.

>>> torch.distributions.Multinomial(4, torch.tensor([0.25, 0.75])).mean
tensor([1., 3.])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution
from .utils import (
    broadcast_all,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """Counts of a `Categorical` drawn `total_count` times."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ):  # fmt: skip
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)
        batch = self._categorical.batch_shape
        event = self._categorical.param_shape[-1:]
        super().__init__(batch, event, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Multinomial, _instance)
        new.total_count = self.total_count
        new._categorical = self._categorical.expand(flambeau.Size(batch_shape))
        new._binomial = Binomial(total_count=self.total_count, probs=new._categorical.probs)
        return self._finish_expand(new, batch_shape)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def probs(self) -> Tensor:
        """Probabilities of the classes."""
        return self._categorical.probs

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        sample_shape = flambeau.Size(sample_shape)
        drawn = self._categorical.sample(flambeau.Size((self.total_count,)) + sample_shape)
        order = [*range(1, drawn.dim()), 0]
        drawn = drawn.permute(order)
        counts = drawn.new_zeros(self._extended_shape(sample_shape))
        counts.scatter_add_(-1, drawn, flambeau.ones_like(drawn))
        return counts.type_as(self.probs)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        logits = logits.clone(memory_format=flambeau.contiguous_format)
        factorials = flambeau.lgamma(value.sum(-1) + 1) - flambeau.lgamma(value + 1).sum(-1)
        logits[(value == 0) & (logits == -math.inf)] = 0
        return factorials + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        n = flambeau.tensor(self.total_count)
        per_draw = n * self._categorical.entropy() - flambeau.lgamma(n + 1)
        support = self._binomial.enumerate_support(expand=False)[1:]
        weights = flambeau.exp(self._binomial.log_prob(support))
        return per_draw + (weights * flambeau.lgamma(support + 1)).sum([0, -1])

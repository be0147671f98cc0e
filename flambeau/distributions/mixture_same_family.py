"""Mixtures of distributions of one family.

>>> parts = torch.distributions.Normal(torch.tensor([-1.0, 1.0]), 1.0)
>>> weights = torch.distributions.Categorical(torch.ones(2))
>>> torch.distributions.MixtureSameFamily(weights, parts).mean
tensor(0.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .categorical import Categorical
from .distribution import Distribution

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A component of `component_distribution` (its last batch dimension), chosen by
    `mixture_distribution`.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any,
        validate_args: bool | None = None,
    ):  # fmt: skip
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of "
                "torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution need to be an "
                "instance of torch.distributions.Distribution"
            )
        batch = component_distribution.batch_shape[:-1]
        pairs = zip(reversed(mixture_distribution.batch_shape), reversed(batch), strict=False)
        for size1, size2 in pairs:
            if size1 != 1 and size2 != 1 and size1 != size2:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture_distribution.batch_shape}) is "
                    "not compatible with `component_distribution.batch_shape`"
                    f"({batch})"
                )
        km, kc = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if km is not None and kc is not None and km != kc:
            raise ValueError(
                f"`mixture_distribution component` ({km}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({kc})"
            )
        self._num_component = km
        event_shape = component_distribution.event_shape
        self._event_ndims = len(event_shape)
        super().__init__(batch, event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        batch_shape = flambeau.Size(batch_shape)
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        new._component_distribution = self._component_distribution.expand(
            batch_shape + (self._num_component,)
        )
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._num_component, new._event_ndims = self._num_component, self._event_ndims
        new._event_shape = self._event_shape
        return self._finish_expand(new, batch_shape)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Any:
        """The distribution of the component's number."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The distributions of the components."""
        return self._component_distribution

    def _weights(self) -> Tensor:
        return self._pad_mixture_dimensions(self.mixture_distribution.probs)

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self.component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        probs, dim = self._weights(), -1 - self._event_ndims
        within = (probs * self.component_distribution.variance).sum(dim)
        distance = self.component_distribution.mean - self._pad(self.mean)
        return within + (probs * distance.pow(2.0)).sum(dim)

    def cdf(self, x: Any) -> Tensor:
        cdfs = self.component_distribution.cdf(self._pad(x))
        return (cdfs * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(x)
        parts = self.component_distribution.log_prob(self._pad(x))
        weights = flambeau.log_softmax(self.mixture_distribution.logits, dim=-1)
        return flambeau.logsumexp(parts + weights, dim=-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with flambeau.no_grad():
            dim = len(flambeau.Size(sample_shape)) + len(self.batch_shape)
            which = self.mixture_distribution.sample(sample_shape)
            own, shape = self.event_shape, which.shape
            values = self.component_distribution.sample(sample_shape)
            index = which.reshape(shape + (1,) * (len(own) + 1))
            index = index.repeat((1,) * len(shape) + (1,) + tuple(own))
            return flambeau.gather(values, dim, index).squeeze(dim)

    def _pad(self, x: Any) -> Any:
        return x.unsqueeze(-1 - self._event_ndims)

    def _pad_mixture_dimensions(self, x: Any) -> Any:
        batch = len(self.batch_shape)
        missing = batch - len(self.mixture_distribution.batch_shape)
        lead = x.shape[:-1] + (1,) * missing
        return x.reshape(lead + x.shape[-1:] + (1,) * self._event_ndims)

    def __repr__(self) -> str:
        inner = f"\n  {self.mixture_distribution},\n  {self.component_distribution}"
        return f"MixtureSameFamily({inner})"

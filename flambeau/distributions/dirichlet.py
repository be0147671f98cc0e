"""The Dirichlet distribution: random probabilities of K classes.

>>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
tensor([0.2500, 0.7500])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau
import flambeau.nn.functional as F

from . import constraints
from .exp_family import ExponentialFamily
from .gamma import quantile_slope

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["SampleDirichlet", "Dirichlet"]


class SampleDirichlet(flambeau.autograd.Function):
    """Gamma samples, normalised; drawn in float64, as torch does.

    With the gammas independent, the derivative by a concentration a_j of x = gamma / sum(gamma) is
    that of x_i by gamma_j times that of the gamma by its shape.
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        wide = concentration.double()
        gammas = flambeau._standard_gamma(wide).clamp(min=flambeau.finfo(flambeau.float64).tiny)
        total = gammas.sum(-1, keepdim=True)
        info = flambeau.finfo(concentration.dtype)
        result = (gammas / total).to(concentration.dtype).clamp(info.tiny, 1 - info.eps / 2)
        ctx.save_for_backward(wide, gammas)
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        concentration, gammas = ctx.saved_tensors
        total = gammas.sum(-1, keepdim=True)
        shares = gammas / total
        along = (g.double() - (g.double() * shares).sum(-1, keepdim=True)) / total
        return (along * quantile_slope(concentration, gammas)).to(g.dtype)


class Dirichlet(ExponentialFamily):
    """The product of x_k^(a_k - 1), normalised; a is `concentration`."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None):
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return SampleDirichlet.apply(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return (
            flambeau.xlogy(a - 1.0, value).sum(-1)
            + flambeau.lgamma(a.sum(-1))
            - flambeau.lgamma(a).sum(-1)
        )

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        less = (self.concentration - 1).clamp(min=0.0)
        mode = less / less.sum(-1, True)
        corners = (self.concentration < 1).all(dim=-1)
        mode[corners] = F.one_hot(mode[corners].argmax(dim=-1), less.shape[-1]).to(mode)
        return mode

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self) -> Tensor:
        a, k = self.concentration, self.concentration.size(-1)
        total = a.sum(-1)
        return (
            flambeau.lgamma(a).sum(-1)
            - flambeau.lgamma(total)
            - (k - total) * flambeau.digamma(total)
            - ((a - 1.0) * flambeau.digamma(a)).sum(-1)
        )

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration,)

    def _log_normalizer(self, x: Any) -> Any:
        return x.lgamma().sum(-1) - flambeau.lgamma(x.sum(-1))

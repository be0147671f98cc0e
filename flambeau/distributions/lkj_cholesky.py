"""The LKJ distribution of correlation matrices, by their Cholesky factors.

>>> torch.distributions.LKJCholesky(2, 1.0).event_shape
torch.Size([2, 2])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import (
    broadcast_all,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """det(L L^T)^(concentration - 1), normalised (Lewandowski, Kurowicka, Joe 2009); samples are
    made by the onion method.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None):
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        batch, event = self.concentration.size(), flambeau.Size((dim, dim))
        marginal = self.concentration + 0.5 * (dim - 2)
        offset = flambeau.arange(
            dim - 1, dtype=self.concentration.dtype, device=self.concentration.device
        )
        offset = flambeau.cat([offset.new_zeros((1,)), offset])
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        super().__init__(batch, event, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(LKJCholesky, _instance)
        batch_shape = flambeau.Size(batch_shape)
        new.dim = self.dim
        new.concentration = self.concentration.expand(batch_shape)
        new._beta = self._beta.expand(batch_shape + (self.dim,))
        return self._finish_expand(new, batch_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        y = self._beta.sample(sample_shape).unsqueeze(-1)
        shape = self._extended_shape(sample_shape)
        kind = self.concentration
        u = flambeau.randn(shape, dtype=kind.dtype, device=kind.device).tril(-1)
        sphere = u / u.norm(dim=-1, keepdim=True)
        sphere[..., 0, :].fill_(0.0)  # the first row has no direction
        w = flambeau.sqrt(y) * sphere
        tiny = flambeau.finfo(w.dtype).tiny
        diagonal = flambeau.clamp(1 - flambeau.sum(w**2, dim=-1), min=tiny).sqrt()
        return w + flambeau.diag_embed(diagonal)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = flambeau.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        unnormalized = flambeau.sum(order * diagonal.log(), dim=-1)
        rest = self.dim - 1
        alpha = self.concentration + 0.5 * rest
        denominator = flambeau.lgamma(alpha) * rest
        numerator = flambeau.mvlgamma(alpha - 0.5, rest)
        return unnormalized - (0.5 * rest * math.log(math.pi) + numerator - denominator)

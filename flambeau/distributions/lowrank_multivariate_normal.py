"""The normal distribution of vectors with a covariance of few directions and a diagonal.

>>> D = torch.distributions.LowRankMultivariateNormal
>>> D(torch.zeros(2), torch.ones(2, 1), torch.ones(2)).variance
tensor([2., 2.])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .distribution import Distribution
from .multivariate_normal import batch_mahalanobis, batch_mv
from .utils import (
    _standard_normal,
    lazy_property,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """Mean `loc`, covariance W W^T + diag(D); W is `cov_factor`, D is `cov_diag`. Determinants and
    inverses are those of a small matrix, by the formulas of Woodbury and Sylvester.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, "
                "with optional leading batch dimensions"
            )
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        batch = flambeau.broadcast_shapes(
            loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1]
        )
        self.loc = loc.expand(batch + (-1,))
        self.cov_factor = cov_factor.expand(batch + cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(batch + (-1,))
        super().__init__(batch, event, validate_args=validate_args)
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self._capacitance_tril = self._capacitance(cov_factor, cov_diag)

    @staticmethod
    def _capacitance(W: Any, D: Any) -> Any:
        """The Cholesky factor of I + W^T inv(D) W."""
        K = flambeau.matmul(W.mT / D.unsqueeze(-2), W).contiguous()
        K = K + flambeau.eye(W.size(-1), dtype=K.dtype, device=K.device)
        return flambeau.linalg.cholesky(K)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        for name in (
            "_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril"
        ):  # fmt: skip
            setattr(new, name, getattr(self, name))
        return new

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        result = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return result.expand(self._batch_shape + self._event_shape)

    def _over_batch(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        return self._over_batch(flambeau.linalg.cholesky(self.covariance_matrix))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """W W^T + diag(D)."""
        W = self._unbroadcasted_cov_factor
        return self._over_batch(
            flambeau.matmul(W, W.mT) + flambeau.diag_embed(self._unbroadcasted_cov_diag)
        )

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        W, D = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        A = flambeau.linalg.solve_triangular(
            self._capacitance_tril, W.mT / D.unsqueeze(-2), upper=False
        )
        return self._over_batch(flambeau.diag_embed(D.reciprocal()) - A.mT @ A)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        narrow = shape[:-1] + self.cov_factor.shape[-1:]
        eps_W = _standard_normal(narrow, self.loc.dtype, self.loc.device)
        eps_D = _standard_normal(shape, self.loc.dtype, self.loc.device)
        along = batch_mv(self._unbroadcasted_cov_factor, eps_W)
        return self.loc + along + self._unbroadcasted_cov_diag.sqrt() * eps_D

    def _log_det(self) -> Any:
        logs = self._capacitance_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 2 * logs + self._unbroadcasted_cov_diag.log().sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        x = value - self.loc
        W, D = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        inner = batch_mv(W.mT / D.unsqueeze(-2), x)
        distance = (x.pow(2) / D).sum(-1) - batch_mahalanobis(self._capacitance_tril, inner)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + self._log_det() + distance)

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        entropy = 0.5 * (n * (1.0 + math.log(2 * math.pi)) + self._log_det())
        return entropy if len(self._batch_shape) == 0 else entropy.expand(self._batch_shape)

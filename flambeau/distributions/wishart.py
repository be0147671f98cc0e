"""The Wishart distribution of positive definite matrices.

>>> torch.distributions.Wishart(torch.tensor(3.0), torch.eye(2)).mean
tensor([[3., 0.],
        [0., 3.]])
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import (
    precision_to_scale_tril,
)
from .utils import (
    lazy_property,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Wishart"]


def _digammas(x: Any, p: int) -> Any:
    """The derivative of the logarithm of the multivariate gamma function."""
    half = flambeau.arange(p, dtype=x.dtype, device=x.device).div(2).expand(x.shape + (-1,))
    return flambeau.digamma(x.unsqueeze(-1) - half).sum(-1)


class Wishart(ExponentialFamily):
    """The covariance of `df` normal vectors, times `df` (samples by Bartlett's decomposition)."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> dict[str, Any]:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def __init__(
        self, df: Any, covariance_matrix: Any = None, precision_matrix: Any = None,
        scale_tril: Any = None, validate_args: bool | None = None,
    ):  # fmt: skip
        given = {
            "covariance_matrix": covariance_matrix,
            "scale_tril": scale_tril,
            "precision_matrix": precision_matrix,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, "
                "with optional leading batch dimensions"
            )
        if isinstance(df, (int, float)):
            df = flambeau.tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch = flambeau.broadcast_shapes(df.shape, matrix.shape[:-2])
        event = matrix.shape[-2:]
        self._batch_shape, self._event_shape = flambeau.Size(batch), flambeau.Size(event)
        self.df = df.expand(batch)
        if self.df.le(event[-1] - 1).any():
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}."
            )
        setattr(self, name, matrix.expand(batch + (-1, -1)))
        super().__init__(batch, event, validate_args=validate_args)
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = flambeau.linalg.cholesky(covariance_matrix)
        else:
            self._unbroadcasted_scale_tril = precision_to_scale_tril(precision_matrix)
        self._dist_chi2 = self._chi_squares()

    def _chi_squares(self) -> Any:
        order = flambeau.arange(
            self._event_shape[-1], dtype=self.df.dtype, device=self.df.device
        ).expand(self._batch_shape + (-1,))
        return Chi2(df=self.df.unsqueeze(-1) - order)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Wishart, _instance)
        batch_shape = flambeau.Size(batch_shape)
        new._event_shape, new._batch_shape = self._event_shape, batch_shape
        new.df = self.df.expand(batch_shape)
        for name in ("covariance_matrix", "scale_tril", "precision_matrix"):
            if name in self.__dict__:
                setattr(new, name, getattr(self, name).expand(batch_shape + self._event_shape))
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(
            batch_shape + self._event_shape
        )
        new._dist_chi2 = new._chi_squares()
        return self._finish_expand(new, batch_shape)

    def _over_batch(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        return self._over_batch(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        factor = self._unbroadcasted_scale_tril
        return self._over_batch(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        return self._over_batch(flambeau.cholesky_inverse(self._unbroadcasted_scale_tril))

    def _wide_df(self) -> Any:
        return self.df.view(self._batch_shape + (1, 1))

    @property
    def mean(self) -> Tensor:
        return self._wide_df() * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = flambeau.where(factor <= 0, flambeau.full_like(factor, math.nan), factor)
        return factor.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        V = self.covariance_matrix
        diagonal = V.diagonal(dim1=-2, dim2=-1)
        return self._wide_df() * (V.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett(self, sample_shape: Any) -> Any:
        p = self._event_shape[-1]
        noise = self._dist_chi2.rsample(sample_shape).sqrt()
        noise = flambeau.diag_embed(noise, dim1=-2, dim2=-1)
        i, j = flambeau.tril_indices(p, p, offset=-1)
        shape = flambeau.Size(sample_shape) + self._batch_shape + (int(p * (p - 1) / 2),)
        noise[..., i, j] = flambeau.randn(shape, dtype=noise.dtype, device=noise.device)
        chol = self._unbroadcasted_scale_tril @ noise
        return chol @ chol.mT

    def _any_of_batch(self, found: Any) -> Any:
        """Per sample, whether anything was found in its batch."""
        return found.amax(tuple(range(-len(self._batch_shape), 0))) if self._batch_shape else found

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        if max_try_correction is None:
            max_try_correction = 3 if len(self._batch_shape) > 0 else 10
        sample_shape = flambeau.Size(sample_shape)
        sample = self._bartlett(sample_shape)
        # torch takes its first check the wrong way around: what is positive definite is drawn once
        # more. Its random stream depends on it, so here it is the same.
        wrong = self._any_of_batch(constraints.positive_definite.check(sample))
        if not wrong.any():
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(max_try_correction):
            again = self._bartlett(wrong[wrong].shape)
            sample[wrong] = again
            still = self._any_of_batch(~constraints.positive_definite.check(again))
            wrong[wrong.clone()] = still
            if not wrong.any():
                break
        return sample

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        logs = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        solved = flambeau.cholesky_solve(value, self._unbroadcasted_scale_tril)
        return (
            -nu * (p * math.log(2) / 2 + logs)
            - flambeau.mvlgamma(nu / 2, p=p)
            + (nu - p - 1) / 2 * flambeau.linalg.slogdet(value).logabsdet
            - solved.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / 2
        )

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        logs = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (
            (p + 1) * (p * math.log(2) / 2 + logs)
            + flambeau.mvlgamma(nu / 2, p=p)
            - (nu - p - 1) / 2 * _digammas(nu / 2, p=p)
            + nu * p / 2
        )

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        nu, p = self.df, self._event_shape[-1]
        return -self.precision_matrix / 2, (nu - p - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        logs = -flambeau.linalg.slogdet(-2 * x).logabsdet + p * math.log(2)
        return half * logs + flambeau.mvlgamma(half, p=p)

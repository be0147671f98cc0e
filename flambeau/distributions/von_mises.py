"""The von Mises distribution: a normal distribution on the circle.

>>> torch.distributions.VonMises(torch.tensor(0.0), torch.tensor(1.0)).mean
tensor(0.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .distribution import Distribution
from .utils import (
    broadcast_all,
    lazy_property,
)

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["VonMises"]


#: polynomials for log I0 and log I1 (Abramowitz and Stegun 9.8.1 to 9.8.4), below and above 3.75
SMALL = {
    0: (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    1: (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
}
LARGE = {
    0: (
        0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1,
        0.2635537e-1, -0.1647633e-1, 0.392377e-2,
    ),
    1: (
        0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1,
        -0.2895312e-1, 0.1787654e-1, -0.420059e-2,
    ),
}  # fmt: skip


def _polynomial(y: Any, coefficients: Any) -> Any:
    result = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        result = c + y * result
    return result


def log_modified_bessel(x: Any, order: int = 0) -> Any:
    """log I0(x) or log I1(x) for x > 0."""
    y = (x / 3.75).pow(2)
    small = _polynomial(y, SMALL[order])
    if order == 1:
        small = x.abs() * small
    small = small.log()
    y = 3.75 / x
    large = x - 0.5 * x.log() + _polynomial(y, LARGE[order]).log()
    return flambeau.where(x < 3.75, small, large)


class VonMises(Distribution):
    """exp(concentration cos(x - loc)) / (2 pi I0(concentration)); sampled by rejection (Best and
    Fisher 1979).
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, flambeau.Size(), validate_args)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_prob = self.concentration * flambeau.cos(value - self.loc)
        return log_prob - math.log(2 * math.pi) - log_modified_bessel(self.concentration, order=0)

    @lazy_property
    def _proposal_r(self) -> Tensor:
        kappa = self.concentration.double()
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        r = (1 + rho**2) / (2 * rho)
        taylor = 1 / kappa + kappa  # for tiny kappa
        return flambeau.where(kappa < 1e-5, taylor, r)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with flambeau.no_grad():
            shape = self._extended_shape(sample_shape)
            x = flambeau.empty(shape, dtype=flambeau.double, device=self.loc.device)
            angle = self._draw(self.concentration.double(), self._proposal_r, x)
            turned = angle + math.pi + self.loc.double()
            return ((turned % (2 * math.pi)) - math.pi).to(self.loc.dtype)

    @staticmethod
    def _draw(concentration: Any, proposal_r: Any, x: Any) -> Any:
        done = flambeau.zeros(x.shape, dtype=flambeau.bool, device=x.device)
        while not done.all():
            u = flambeau.rand((3, *x.shape), dtype=x.dtype, device=x.device)
            u1, u2, u3 = u.unbind()
            z = flambeau.cos(math.pi * u1)
            f = (1 + proposal_r * z) / (proposal_r + z)
            c = concentration * (proposal_r - f)
            accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            if accept.any():
                x = flambeau.where(accept, (u3 - 0.5).sign() * f.acos(), x)
                done = done | accept
        return x

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        ratio = log_modified_bessel(self.concentration, order=1) - log_modified_bessel(
            self.concentration, order=0
        )
        return 1 - ratio.exp()

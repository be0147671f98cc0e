"""`ExponentialFamily`: distributions whose entropy follows from the gradient of their normalizer
(Nielsen and Nock 2010).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau

from .distribution import Distribution

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """exp(<t(x), natural parameters> - log normalizer + k(x))."""

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        result = -self._mean_carrier_measure
        natural = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        gradients = flambeau.autograd.grad(normalizer.sum(), natural, create_graph=True)
        result = result + normalizer
        for parameter, gradient in zip(natural, gradients, strict=True):
            product = parameter * gradient
            result = result - product.reshape(self._batch_shape + (-1,)).sum(-1)
        return result

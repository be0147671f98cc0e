"""`Distribution`, the base of all: shapes, checks of parameters and values, defaults.

    sample_shape + batch_shape + event_shape      the shape of a sample
    batch_shape + event_shape                     that of the parameters, broadcast

>>> torch.distributions.Normal(0.0, torch.ones(3)).batch_shape
torch.Size([3])
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import flambeau

from . import constraints
from .utils import LazyProperty

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution. Subclasses name their parameters in `arg_constraints`."""

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked where nothing else is said."""
        if value not in [True, False]:
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ):
        self._batch_shape = flambeau.Size(batch_shape)
        self._event_shape = flambeau.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def _check_parameters(self) -> None:
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            arg_constraints = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. Please set "
                "`arg_constraints = {}` or initialize the distribution with "
                "`validate_args=False` to turn off validation."
            )
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), LazyProperty):
                continue  # made from the others
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    def _parameter_dims(self) -> dict[str, int]:
        """The tensors that make up the distribution, with the number of their own dimensions
        behind those of the batch.
        """
        return {
            name: constraint.event_dim
            for name, constraint in self.arg_constraints.items()
            if name in self.__dict__
        }

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution, repeated over a greater batch (without a copy).

        >>> torch.distributions.Normal(0.0, 1.0).expand((2,)).mean
        tensor([0., 0.])
        """
        new = self._get_checked_instance(type(self), _instance)
        batch_shape = flambeau.Size(batch_shape)
        for name, dims in self._parameter_dims().items():
            value = getattr(self, name)
            own = value.shape[value.dim() - dims :]
            setattr(new, name, value.expand(batch_shape + own))
        return self._finish_expand(new, batch_shape)

    def _finish_expand(self, new: Any, batch_shape: Any) -> Any:
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ "
                "method must also define a custom .expand() method."
            )
        return type(self).__new__(type(self)) if _instance is None else _instance

    @property
    def batch_shape(self) -> Any:
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of a single value."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """The constraint of each parameter."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """Where values may lie."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The expected square of the distance from the mean."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Random values, without gradients."""
        with flambeau.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Random values as functions of the parameters, with gradients."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`n` samples."""
        warnings.warn(
            "sample_n(n) will be deprecated. Use .sample((n,)) instead.", FutureWarning,
            stacklevel=2,
        )  # fmt: skip
        return self.sample(flambeau.Size((n,)))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability (density) of a value."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Tensor:
        """The probability of lesser or equal values."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Tensor:
        """The value whose `cdf` is given."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The expected information of a value, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """e to the entropy."""
        return flambeau.exp(self.entropy())

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        """The shape of samples."""
        return flambeau.Size(sample_shape) + self._batch_shape + self._event_shape

    def _spread(self, values: Tensor, expand: bool) -> Tensor:
        """Values of an enumerated support, over the batch."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, flambeau.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        own = value.shape[value.dim() - len(self._event_shape) :]
        if own != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.size()} vs {self._event_shape}."
            )
        actual, expected = value.size(), self._batch_shape + self._event_shape
        for i, j in zip(reversed(actual), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{actual} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please "
                "initialize the distribution with `validate_args=False` to turn off validation."
            )
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, but found "
                f"invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        values = {k: self.__dict__[k] for k in self.arg_constraints if k in self.__dict__}
        shown = [f"{k}: {v if v.numel() == 1 else v.size()}" for k, v in values.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

"""What distributions share: arguments as tensors of one shape, probabilities and their logits.

>>> torch.distributions.utils.probs_to_logits(torch.tensor([0.5]), is_binary=True)
tensor([0.])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from numbers import Number
from typing import TYPE_CHECKING, Any

import flambeau
import flambeau.nn.functional as F

if TYPE_CHECKING:
    from flambeau import Tensor

euler_constant = 0.57721566490153286060

__all__ = [
    "broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits",
    "tril_matrix_to_vec", "vec_to_tril_matrix",
]  # fmt: skip


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the first tensor.

    >>> torch.distributions.utils.broadcast_all(torch.zeros(2), 1)[1]
    tensor([1., 1.])
    """
    if not all(isinstance(v, (flambeau.Tensor, Number)) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, "
            "torch.Tensor or objects implementing __torch_function__."
        )
    first = next((v for v in values if isinstance(v, flambeau.Tensor)), None)
    if first is None:
        options = {"dtype": flambeau.get_default_dtype()}
    else:
        options = {"dtype": first.dtype, "device": first.device}
    tensors = [
        v if isinstance(v, flambeau.Tensor) else flambeau.tensor(v, **options) for v in values
    ]
    return tuple(flambeau.broadcast_tensors(*tensors))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    """Numbers from the normal distribution, drawn as torch draws them."""
    zeros = flambeau.zeros(shape, dtype=dtype, device=device)
    return flambeau.normal(zeros, flambeau.ones_like(zeros))


def sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` dimensions."""
    if dim == 0:
        return value
    return value.reshape((*value.shape[: value.dim() - dim], -1)).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds, or of logarithms up to a constant."""
    return flambeau.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities strictly between 0 and 1."""
    eps = flambeau.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds, or logarithms, of probabilities."""
    safe = clamp_probs(probs)
    return flambeau.log(safe) - flambeau.log1p(-safe) if is_binary else flambeau.log(safe)


class lazy_property:
    """A property that is computed once, when first asked for, with gradients.

    >>> class Circle:
    ...     @torch.distributions.utils.lazy_property
    ...     def area(self):
    ...         return torch.tensor(3.0)
    >>> Circle().area
    tensor(3.)
    """

    def __init__(self, wrapped: Callable[[Any], Any]):
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return LazyProperty(self.wrapped)
        with flambeau.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class LazyProperty(property):
    """What the class itself shows of a lazy property."""

    def __init__(self, wrapped: Callable[[Any], Any]):
        super().__init__(wrapped)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The entries of lower triangular matrices, row by row.

    >>> torch.distributions.utils.tril_matrix_to_vec(torch.tensor([[1.0, 0.0], [2.0, 3.0]]))
    tensor([1., 2., 3.])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows = flambeau.arange(n, device=mat.device)
    return mat[..., rows < rows.view(-1, 1) + (diag + 1)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Lower triangular matrices of entries that lie row by row."""
    n = (
        -(1 + 2 * diag)
        + ((1 + 2 * diag) ** 2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5
    ) / 2
    if round(n) - n > flambeau.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    size = round(n.real) if isinstance(n, complex) else round(n)
    matrix = vec.new_zeros((*vec.shape[:-1], size, size))
    rows = flambeau.arange(size, device=vec.device)
    matrix[..., rows < rows.view(-1, 1) + (diag + 1)] = vec
    return matrix

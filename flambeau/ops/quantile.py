"""quantile and nanquantile: what lies at given places of the order, between two elements in
proportion.

>>> torch.quantile(torch.tensor([1.0, 2.0, 4.0]), 0.75)
tensor(3.)
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.ops.kinds import composite
from flambeau.ops.registry import is_tensor

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def checked(name: str, input: Any, q: Any, interpolation: str) -> Any:
    """torch's errors; `q` as a tensor."""
    if not is_tensor(input):
        raise errors.argument_type_error(name, "input", 1, "Tensor", input)
    if not is_tensor(q):
        if not 0 <= q <= 1:
            raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
        q = input.new_full((), q)
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if not q.is_meta and not ((q >= 0) & (q <= 1)).all().item():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def interpolated(name: str, input: Any, q: Any, dim: Any, keepdim: bool, interpolation: str) -> Any:
    """The quantiles: ranks in the sorted rows, then the elements below and above them."""
    q = checked(name, input, q, interpolation)
    if dim is None:
        rows = input.reshape(-1)
    else:
        dim = wrap_dim(dim, input.ndim)
        rows = (
            input.unsqueeze(-1).transpose(dim, -1).squeeze(dim) if input.ndim else input.reshape(-1)
        )
    rows = rows.sort(-1)[0]
    length = rows.shape[-1]
    missing = rows.detach().isnan()
    if name == "quantile":
        ranks = q * (length - 1)
        shape = (*rows.shape[:-1], ranks.numel())
        ranks = ranks.reshape(-1).expand(shape).masked_fill(missing.any(-1, True), length - 1)
    else:
        numbers = missing.logical_not().sum(-1, True)
        ranks = (q.reshape(-1) * (numbers - 1).to(q.dtype)).masked_fill(numbers == 0, 0)
    result = between(rows, ranks, interpolation)
    if q.ndim:
        result = result.movedim(-1, 0)
    else:
        result = result.squeeze(-1)
    if keepdim and input.ndim:
        if dim is None:
            return result.reshape((*tuple(q.shape), *([1] * input.ndim)))
        return result.unsqueeze(dim + q.ndim)
    return result


def between(rows: Any, ranks: Any, interpolation: str) -> Any:
    """The elements of sorted rows at ranks that need not be whole."""
    if interpolation == "lower":
        ranks = ranks.floor()
    elif interpolation == "higher":
        ranks = ranks.ceil()
    elif interpolation == "nearest":
        ranks = ranks.round()
    low = ranks.to(dtypes.int64)
    below = rows.gather(-1, low)
    if interpolation not in ("linear", "midpoint"):
        return below
    weights = (
        ranks.detach().new_full(tuple(ranks.shape), 0.5)
        if interpolation == "midpoint"
        else ranks - low
    )
    return below.lerp(rows.gather(-1, ranks.ceil().to(dtypes.int64)), weights)


@composite
def quantile(
    input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The value below which the part `q` of the elements lies; for several `q`, stacked in front.
    NaN where there is one.

    >>> torch.quantile(torch.tensor([[1.0, 3.0], [2.0, 6.0]]), 0.5, dim=1)
    tensor([2., 4.])
    """
    return interpolated("quantile", input, q, dim, keepdim, interpolation)


@composite
def nanquantile(
    input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The quantiles of the elements that are not NaN.

    >>> torch.nanquantile(torch.tensor([1.0, float("nan"), 3.0]), 0.5)
    tensor(2.)
    """
    return interpolated("nanquantile", input, q, dim, keepdim, interpolation)

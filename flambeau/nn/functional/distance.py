"""Distances and similarities between rows. Called by `nn.modules.distance` and by users.

>>> torch.nn.functional.cosine_similarity(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
tensor([0.7071])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flambeau

from ._common import scalar_type

if TYPE_CHECKING:
    from flambeau import Tensor


@flambeau.compiler.fused
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last dimension.

    >>> torch.nn.functional.pairwise_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([5.0000])
    """
    return flambeau.norm(x1 - x2 + eps, p, -1, keepdim)


@flambeau.compiler.fused
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The dot product along `dim` over the product of the norms, each norm being `eps` at least.

    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    >>> torch.nn.functional.cosine_similarity(x, y)
    tensor([0.7071])
    """
    common = flambeau.promote_types(x1.dtype, x2.dtype)
    if not common.is_floating_point:
        kind = scalar_type(flambeau.empty(0, dtype=common))
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {kind}"
        )
    x1, x2 = flambeau.broadcast_tensors(x1.to(common), x2.to(common))
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    """`x` divided by its norm along `dim`; the gradient does not see that the norm is `eps` at
    least."""
    norm = flambeau.norm(x, 2, dim, True)
    raised = flambeau.where(norm < eps, norm - norm.detach() + eps, norm)
    return x / raised


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The p-norm distances between all pairs of rows, in the order (0, 1), (0, 2), ... (1, 2), ...

    >>> torch.nn.functional.pdist(torch.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = flambeau.triu_indices(input.size(0), input.size(0), 1, device=input.device)
    return flambeau.norm(input[first] - input[second], p, -1)


@flambeau.compiler.fused
def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """`input` divided by its p-norm along `dim`, or by `eps` where the norm is smaller.

    >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    norm = input.norm(p, dim, keepdim=True).clamp(min=eps)
    return input / norm if out is None else flambeau.div(input, norm, out=out)

"""softmax and log_softmax.

    >>> torch.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from typing import Any

from flambeau.ops.kinds import composite


@composite
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`.

    >>> torch.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    if dtype is not None:
        input = input.to(dtype)
    e = (input - input.detach().amax(dim, True)).exp()
    return e / e.sum(dim, True)


@composite
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """The logarithm of softmax along `dim`.

    >>> torch.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    if dtype is not None:
        input = input.to(dtype)
    shifted = input - input.detach().amax(dim, True)
    return shifted - shifted.exp().sum(dim, True).log()

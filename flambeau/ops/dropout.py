"""Dropout as torch's native ops have it: the result and the mask that made it.

>>> torch.native_dropout(torch.ones(2), 0.5, False)
(tensor([1., 1.]), tensor([True, True]))
"""

from __future__ import annotations

from typing import Any

from flambeau.core.dtype import bool_
from flambeau.ops.kinds import composite


@composite(methods=())
def native_dropout(input: Any, p: float, train: bool | None) -> Any:
    """Random zeros (Hinton et al. 2012), the other elements divided by 1 - p; and where they stand.

    >>> torch.native_dropout(torch.ones(2), 0.5, False)[1]
    tensor([True, True])
    """
    x = native_dropout.check_tensor(input, "input")
    if p == 0 or train is False:
        return x * 1, x.new_ones(x.shape, dtype=bool_)
    mask = x.new_empty(x.shape, dtype=bool_).bernoulli_(1 - p)
    return native_dropout_backward.call(x, mask, 0.0 if p == 1 else 1 / (1 - p)), mask


@composite(public=None, methods=())
def native_dropout_backward(grad_output: Any, mask: Any, scale: float) -> Any:
    """The gradient by the input: what the mask lets through, scaled."""
    return grad_output * mask * scale

"""Dropout as torch's native ops have it: the result and the mask that made it.

>>> torch.native_dropout(torch.ones(2), 0.5, False)
(tensor([1., 1.]), tensor([True, True]))
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.core.dtype import bool_
from flambeau.ops.kinds import composite, pointwise


def kept(g: Any, mask: Any, scale: float) -> Any:
    """What the mask lets through, scaled."""
    return choose(mask, g, 0) * scale


@pointwise(
    public=None,
    methods=(),
    inplace=False,
    numbers="static",
    promotes=("input",),
    node="NativeDropoutBackward",
    grad={"input": lambda g, mask, scale: kept(g, mask, scale)},
)
def _apply_dropout(input, mask, scale):
    """The result from the mask."""
    return kept(input, mask, scale)


@pointwise(
    public=None,
    methods=(),
    inplace=False,
    numbers="static",
    promotes=("grad_output",),
    grad={"grad_output": lambda g, mask, scale: kept(g, mask, scale)},
)
def native_dropout_backward(grad_output, mask, scale):
    """The gradient by the input."""
    return kept(grad_output, mask, scale)


@composite(methods=())
def native_dropout(input: Any, p: float, train: bool | None) -> Any:
    """Random zeros (Hinton et al. 2012), the other elements divided by 1 - p; and where they stand.

    >>> torch.native_dropout(torch.ones(2), 0.5, False)[1]
    tensor([True, True])
    """
    x = native_dropout.check_tensor(input, "input")
    if p == 0 or train is False:
        mask = x.new_ones(x.shape, dtype=bool_)
        return _apply_dropout.call(x, mask, 1.0), mask
    mask = x.new_empty(x.shape, dtype=bool_).bernoulli_(1 - p)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return _apply_dropout.call(x, mask, scale), mask

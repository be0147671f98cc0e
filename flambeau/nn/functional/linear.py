"""Linear and bilinear maps. Called by `nn.modules.linear`, by attention and by users.

>>> torch.nn.functional.linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
tensor([[11.]])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import flambeau

from ._common import c_type
from .class_loss import cross_entropy

if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`, over any number of leading dimensions.

    >>> torch.nn.functional.linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([[11.]])
    """
    return flambeau._linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x1 @ weight[k] @ x2 + bias[k]` for every `k`, over any number of leading dimensions.

    >>> x, w = torch.tensor([[1.0, 2.0]]), torch.eye(2).unsqueeze(0)
    >>> torch.nn.functional.bilinear(x, x, w)
    tensor([[5.]])
    """
    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}"
        )
    named = {"input1": input1, "input2": input2, "weight": weight}
    if bias is not None:
        named["bias"] = bias
    if any(tensor.dtype != weight.dtype for tensor in named.values()):
        dtypes = ", ".join(f"{name}: {c_type(tensor)}" for name, tensor in named.items())
        raise RuntimeError(f"All tensors must have the same dtype, got {dtypes}")
    for dim in range(input1.dim() - 1):
        if input1.size(dim) != input2.size(dim):
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {dim}: got "
                f"{input1.size(dim)} and {input2.size(dim)}"
            )
    for number, (input, dim) in enumerate(((input1, 1), (input2, 2)), 1):
        if input.size(-1) != weight.size(dim):
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got "
                f"{input.size(-1)} but expected {weight.size(dim)}"
            )
    if bias is not None and bias.size(0) != weight.size(0):
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.size(0)} but expected "
            f"{weight.size(0)}"
        )
    x1 = input1.reshape(-1, input1.size(-1))
    x2 = input2.reshape(-1, input2.size(-1))
    # (B, I) @ (I, O * J) -> (B, O, J), then the dot product with x2 over J.
    products = (x1 @ weight.permute(1, 0, 2).reshape(weight.size(1), -1)).reshape(
        -1, weight.size(0), weight.size(2)
    )
    output = (products * x2.unsqueeze(1)).sum(-1)
    output = output.reshape(*input1.shape[:-1], weight.size(0))
    return output if bias is None else output + bias


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy` of the scores `linear(input, linear_weight, linear_bias)`.

    >>> x, w = torch.ones(1, 2), torch.ones(3, 2)
    >>> torch.nn.functional.linear_cross_entropy(x, w, torch.tensor([0]))
    tensor(1.0986)
    """
    _check_linear_cross_entropy(input, linear_weight, linear_bias)
    if options is not None:
        raise NotImplementedError("linear_cross_entropy: options (computation in chunks)")
    classes, *extra, features = linear_weight.shape
    scores_shape = (*input.shape[:-1], classes, *extra)
    if target.shape == scores_shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    rows = math.prod(extra, start=classes)
    scores = linear(
        input,
        linear_weight.reshape(rows, features),
        None if linear_bias is None else linear_bias.reshape(rows),
    )
    return cross_entropy(
        scores.reshape(scores_shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )


def _check_linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None
) -> None:
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise RuntimeError(
            f"expected linear_bias shape {tuple(linear_weight.shape[:-1])}, got "
            f"{tuple(linear_bias.shape)}"
        )
    if linear_weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {input.shape[-1]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )

"""Linear and bilinear maps. Called by `nn.modules.linear`, by attention and by users.

>>> torch.nn.functional.linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
tensor([[11.]])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flambeau

from ._common import c_type

if TYPE_CHECKING:
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
    output = (products * x2.unsqueeze(1)).sum(-1, dtype=weight.dtype)
    output = output.reshape(*input1.shape[:-1], weight.size(0))
    return output if bias is None else output + bias

"""All parameters of a model as one vector, and back.

>>> layer = torch.nn.Linear(2, 1)
>>> vector = torch.nn.utils.parameters_to_vector(layer.parameters())
>>> vector.shape
torch.Size([3])
>>> torch.nn.utils.vector_to_parameters(torch.arange(3.0), layer.parameters())
>>> layer.bias
Parameter containing:
tensor([2.], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Iterable

import flambeau
from flambeau import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Join all parameters into one vector, in order; gradients flow through.

    >>> torch.nn.utils.parameters_to_vector([torch.zeros(1, 2), torch.ones(1)])
    tensor([0., 0., 1.])
    """
    listed = list(parameters)
    _check_devices(listed)
    return flambeau.cat([parameter.view(-1) for parameter in listed])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters windows on slices of `vec`, in order.

    >>> weight = torch.nn.Parameter(torch.zeros(2, 1))
    >>> torch.nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0]), [weight])
    >>> weight.tolist()
    [[1.0], [2.0]]
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {flambeau.typename(vec)}")
    listed = list(parameters)
    _check_devices(listed)
    start = 0
    for parameter in listed:
        count = parameter.numel()
        parameter.data = vec[start : start + count].view_as(parameter).data
        start += count


def _check_devices(parameters: list[Tensor]) -> None:
    if len({p.device if p.device.type == "cuda" else "elsewhere" for p in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )

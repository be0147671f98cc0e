"""`torch.nn.grad`: gradients of convolutions by input and by weight.

>>> torch.nn.grad.conv1d_weight(torch.ones(1, 1, 3), (1, 1, 2), torch.ones(1, 1, 2))
tensor([[[2., 2.]]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau

from . import functional as F


def _gradient(dims: int, by_input: bool) -> Callable[..., Any]:
    convolution = getattr(F, f"conv{dims}d")

    def by_input_of(
        input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Any:  # fmt: skip
        with flambeau.enable_grad():
            x = grad_output.new_zeros(tuple(input_size)).requires_grad_()
            y = convolution(x, weight.detach(), None, stride, padding, dilation, groups)
        return flambeau.autograd.grad(y, x, grad_output)[0]

    def by_weight(
        input: Any, weight_size: Any, grad_output: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Any:  # fmt: skip
        with flambeau.enable_grad():
            w = grad_output.new_zeros(tuple(weight_size)).requires_grad_()
            y = convolution(input.detach(), w, None, stride, padding, dilation, groups)
        return flambeau.autograd.grad(y, w, grad_output)[0]

    function = by_input_of if by_input else by_weight
    function.__name__ = f"conv{dims}d_{'input' if by_input else 'weight'}"
    function.__doc__ = f"The gradient of conv{dims}d by its {'input' if by_input else 'weight'}."
    return function


conv1d_input, conv1d_weight = _gradient(1, True), _gradient(1, False)
conv2d_input, conv2d_weight = _gradient(2, True), _gradient(2, False)
conv3d_input, conv3d_weight = _gradient(3, True), _gradient(3, False)

"""Pointwise activations, softmax and their kin. Called by `nn.modules.activation` and by users.

Every function is written in public tensor operations. The strict and non-strict comparisons decide
the gradient where a function has a kink, and they are those of torch.

>>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flambeau

from ._common import in_lower_precision, not_implemented, scalar_type

if TYPE_CHECKING:
    from flambeau import Tensor

# Klambauer et al. 2017, "Self-Normalizing Neural Networks": the fixed point of mean 0, variance 1.
_SELU_ALPHA = 1.6732632423543772848170429916717

_SELU_SCALE = 1.0507009873554804934193349852946


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """The larger of each element and zero.

    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return flambeau.relu_(input) if inplace else flambeau.relu(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Each element above `threshold`, else `value`.

    >>> torch.nn.functional.threshold(torch.tensor([0.5, 2.0]), 1.0, 9.0)
    tensor([9., 2.])
    """
    op = flambeau.ops.activation.threshold
    return (op.modified if inplace else op).call(input, threshold, value)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Each element limited to the range from `min_val` to `max_val`; the gradient is zero at both
    ends.

    >>> torch.nn.functional.hardtanh(torch.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    op = flambeau.ops.activation.hardtanh
    return (op.modified if inplace else op).call(input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Each element limited to the range from 0 to 6.

    >>> torch.nn.functional.relu6(torch.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`x` above zero, else `alpha * (exp(x) - 1)` (Clevert et al. 2015).

    >>> torch.nn.functional.elu(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    op = flambeau.ops.activation.elu
    return (op.modified if inplace else op).call(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """A scaled `elu` that keeps activations near mean 0 and variance 1 (Klambauer et al. 2017).

    >>> torch.nn.functional.selu(torch.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    op = flambeau.ops.activation.elu
    return (op.modified if inplace else op).call(input, _SELU_ALPHA, _SELU_SCALE)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`x` above zero, else `alpha * (exp(x / alpha) - 1)` (Barron 2017).

    >>> torch.nn.functional.celu(torch.tensor([-1.0, 2.0]), alpha=2.0)
    tensor([-0.7869,  2.0000])
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    op = flambeau.ops.activation.celu
    return (op.modified if inplace else op).call(input, alpha)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`x` above zero, else `negative_slope * x`.

    >>> torch.nn.functional.leaky_relu(torch.tensor([-2.0, 2.0]))
    tensor([-0.0200,  2.0000])
    """
    op = flambeau.ops.activation.leaky_relu
    return (op.modified if inplace else op).call(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """A `leaky_relu` whose slope is a tensor: one number, or one number per channel (dimension 1).

    >>> torch.nn.functional.prelu(torch.tensor([[-2.0, -2.0]]), torch.tensor([0.5, 0.25]))
    tensor([[-1.0000, -0.5000]])
    """
    if input.dtype != weight.dtype:
        input, weight = in_lower_precision(input, weight)
    if input.dtype != weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {scalar_type(input)} and "
            f"{scalar_type(weight)}"
        )
    if weight.numel() != 1:
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.size(1) if input.dim() > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        if weight.dim() > 1:
            raise RuntimeError(
                "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
                f"{weight.dim()}"
            )
    if weight.dim() != 0:
        shape = [1] * input.dim()
        if input.dim() > 1:
            shape[1] = weight.numel()
        weight = weight.reshape(shape)
    return flambeau.ops.activation.prelu_kernel.call(input, weight)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """A `leaky_relu` whose slope is drawn from `[lower, upper)` while training, else is their mean.

    >>> torch.nn.functional.rrelu(torch.tensor([-1.0, 2.0]), 0.25, 0.75)
    tensor([-0.5000,  2.0000])
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    negative = input <= 0
    noise = flambeau.ones_like(input)
    with flambeau.no_grad():
        # One draw for each element that needs one, in double precision, as torch's stream has it.
        count = int(negative.sum())
        draws = flambeau.empty(count, dtype=flambeau.float64, device=input.device)
        noise[negative] = draws.uniform_(lower, upper).to(input.dtype)
    op = flambeau.ops.activation.rrelu_with_noise
    return (op.modified if inplace else op).call(input, noise)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of `input` along `dim` times the sigmoid of the second (Dauphin et al. 2016).

    >>> torch.nn.functional.glu(torch.tensor([3.0, 0.0]))
    tensor([1.5000])
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.dim()} is size {size}"
        )
    return flambeau.ops.activation.gated.call(*input.chunk(2, dim))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`x` times the normal distribution function of `x` (Hendrycks and Gimpel 2016).

    With `approximate="tanh"` the distribution function is replaced by a hyperbolic tangent.

    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return flambeau.ops.activation.gelu.call(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * sigmoid(x)`, also called swish (Elfwing et al. 2017).

    >>> torch.nn.functional.silu(torch.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    op = flambeau.ops.activation.silu
    return (op.modified if inplace else op).call(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * tanh(softplus(x))` (Misra 2019).

    >>> torch.nn.functional.mish(torch.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    op = flambeau.ops.activation.mish
    return (op.modified if inplace else op).call(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`relu6(x + 3) / 6`, a sigmoid of straight lines.

    >>> torch.nn.functional.hardsigmoid(torch.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    op = flambeau.ops.activation.hardsigmoid
    return (op.modified if inplace else op).call(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * relu6(x + 3) / 6` (Howard et al. 2019).

    >>> torch.nn.functional.hardswish(torch.tensor([-4.0, 1.0, 4.0]))
    tensor([-0.0000, 0.6667, 4.0000])
    """
    op = flambeau.ops.activation.hardswish
    return (op.modified if inplace else op).call(input)


def logsigmoid(input: Tensor) -> Tensor:
    """`log(sigmoid(x))` without overflow.

    >>> torch.nn.functional.logsigmoid(torch.tensor([-100.0, 0.0]))
    tensor([-100.0000,   -0.6931])
    """
    return flambeau.ops.activation.log_sigmoid.call(input)


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` exceeds `threshold`.

    >>> torch.nn.functional.softplus(torch.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """
    return flambeau.ops.activation.softplus.call(input, float(beta), float(threshold))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Zero between `-lambd` and `lambd`, else `x`.

    >>> torch.nn.functional.hardshrink(torch.tensor([0.3, 2.0]))
    tensor([0., 2.])
    """
    return flambeau.ops.activation.hardshrink.call(input, float(lambd))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`x` moved towards zero by `lambd`, and zero where it would cross it.

    >>> torch.nn.functional.softshrink(torch.tensor([-2.0, 0.3, 2.0]))
    tensor([-1.5000,  0.0000,  1.5000])
    """
    if not input.is_floating_point():
        raise not_implemented("softshrink_check", input)
    largest = flambeau.finfo(input.dtype).max
    if not 0 <= lambd <= largest:
        raise RuntimeError(
            f"lambda must be in range [0, {largest:g}] for input dtype {scalar_type(input)}, "
            f"but found {lambd:g}"
        )
    return flambeau.ops.activation.softshrink.call(input, float(lambd))


def tanhshrink(input: Tensor) -> Tensor:
    """`x - tanh(x)`.

    >>> torch.nn.functional.tanhshrink(torch.tensor([2.0]))
    tensor([1.0360])
    """
    return input - input.tanh()


@flambeau.compiler.fused
def softsign(input: Tensor) -> Tensor:
    """`x / (1 + |x|)`.

    >>> torch.nn.functional.softsign(torch.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return input / (input.abs() + 1)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent.

    >>> torch.nn.functional.tanh(torch.tensor([1.0]))
    tensor([0.7616])
    """
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`.

    >>> torch.nn.functional.sigmoid(torch.tensor([0.0]))
    tensor([0.5000])
    """
    return input.sigmoid()


def relu_(input: Tensor) -> Tensor:
    """`relu` in place.

    >>> torch.nn.functional.relu_(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return flambeau.relu_(input)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place.

    >>> torch.nn.functional.threshold_(torch.tensor([0.5, 2.0]), 1.0, 9.0)
    tensor([9., 2.])
    """
    return flambeau.ops.activation.threshold.modified.call(input, threshold, value)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place.

    >>> torch.nn.functional.hardtanh_(torch.tensor([-3.0, 3.0]))
    tensor([-1.,  1.])
    """
    return hardtanh(input, min_val, max_val, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place.

    >>> torch.nn.functional.elu_(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return elu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place.

    >>> torch.nn.functional.selu_(torch.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return selu(input, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place.

    >>> torch.nn.functional.celu_(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return celu(input, alpha, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place.

    >>> torch.nn.functional.leaky_relu_(torch.tensor([-2.0, 2.0]))
    tensor([-0.0200,  2.0000])
    """
    return leaky_relu(input, negative_slope, True)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`rrelu` in place.

    >>> torch.nn.functional.rrelu_(torch.tensor([-1.0, 2.0]), 0.25, 0.75)
    tensor([-0.5000,  2.0000])
    """
    return rrelu(input, lower, upper, training, True)

"""Pointwise ops, part three: the activation functions of neural networks.

nn.functional calls them by these names; the gradients at the kinks are torch's.

    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.codegen.expr import where as choose
from flambeau.ops.kinds import SAME, pointwise

ROOT_HALF, ROOT_TWO_OVER_PI, CUBIC = math.sqrt(0.5), math.sqrt(2 / math.pi), 0.044715
NORMAL = 1 / math.sqrt(2 * math.pi)


def check_relu(input: Any) -> None:
    """torch's errors for dtypes without an order."""
    if input.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    if input.dtype.category == 0:
        raise RuntimeError("Boolean inputs not supported for relu")


@pointwise(grad=lambda g, y: choose(y <= 0, 0, g), check=check_relu)
def relu(input):
    """`input` where positive, else 0; NaN passes through.

    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return choose(input <= 0, 0, input)


def hidden(**options: Any) -> Any:
    """A pointwise op that only nn.functional names."""
    return pointwise(
        promote=SAME, public=None, methods=(), inplace=options.pop("inplace", False), **options
    )


@hidden(grad=lambda g, input: choose((input <= 0) | (input >= 6), 0, g), node="HardtanhBackward")
def relu6(input):
    """min(max(x, 0), 6)."""
    return choose(input < 0, 0, choose(input > 6, 6, input))


@hidden(
    grad=lambda g, input, min_val, max_val: choose((input <= min_val) | (input >= max_val), 0, g)
)
def hardtanh(input, min_val=-1.0, max_val=1.0):
    """`input` kept between two bounds."""
    return choose(input < min_val, min_val, choose(input > max_val, max_val, input))


@hidden(grad=lambda g, input, negative_slope: choose(input > 0, g, g * negative_slope))
def leaky_relu(input, negative_slope=0.01):
    """`input` where positive, else `negative_slope * input`."""
    return choose(input > 0, input, input * negative_slope)


@hidden(promotes=("input", "weight"), grad={
    "input": lambda g, input, weight: choose(input > 0, g, g * weight),
    "weight": lambda g, input: choose(input > 0, 0, g * input),
}, node="PreluKernelBackward", name="prelu_kernel")  # fmt: skip
def prelu_kernel(input, weight):
    """`leaky_relu` with a learned slope, already of the input's rank."""
    return choose(input > 0, input, input * weight)


@hidden(grad=lambda g, input, alpha, scale, input_scale: choose(
    input <= 0, g * input_scale * alpha * scale * (input * input_scale).exp(), g * scale
))  # fmt: skip
def elu(input, alpha=1.0, scale=1.0, input_scale=1.0):
    """`scale * input` where positive, else `scale * alpha * (exp(input_scale * input) - 1)`."""
    return choose(input <= 0, (input * input_scale).expm1() * (alpha * scale), input * scale)


@hidden(numbers="static", grad=lambda g, input, approximate: g * gelu_slope(input, approximate))
def gelu(input, *, approximate="none"):
    """x * Phi(x), or its tanh approximation (Hendrycks and Gimpel, Gaussian error linear units,
    2016).
    """
    if approximate == "tanh":
        return (
            0.5 * input * (1 + (ROOT_TWO_OVER_PI * (input + CUBIC * input * input * input)).tanh())
        )
    return input * (0.5 * (1 + (input * ROOT_HALF).erf()))


def gelu_slope(x: Any, approximate: str) -> Any:
    """Derivative of gelu."""
    if approximate == "tanh":
        t = (ROOT_TWO_OVER_PI * (x + CUBIC * x * x * x)).tanh()
        inner = ROOT_TWO_OVER_PI * (1 + 3 * CUBIC * x * x)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner
    return 0.5 * (1 + (x * ROOT_HALF).erf()) + x * NORMAL * (-0.5 * x * x).exp()


@hidden(grad=lambda g, input: g * input.sigmoid() * (1 + input * (1 - input.sigmoid())))
def silu(input):
    """x * sigmoid(x)."""
    return input / (1 + (-input).exp())


def softplus_of(x: Any) -> Any:
    """log(1 + exp(x)) without overflow."""
    return x.maximum(x * 0) + (-x.abs()).exp().log1p()


def mish_slope(x: Any) -> Any:
    """Derivative of mish."""
    t = softplus_of(x).tanh()
    return t + x * x.sigmoid() * (1 - t * t)


@hidden(grad=lambda g, input: g * mish_slope(input))
def mish(input):
    """x * tanh(softplus(x)) (Misra, 2019)."""
    return input * softplus_of(input).tanh()


@hidden(
    grad=lambda g, input, beta, threshold: choose(
        input * beta > threshold, g, g * (input * beta).sigmoid()
    )
)
def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta x)) / beta; the line itself above the threshold."""
    scaled = input * beta
    return choose(
        scaled > threshold, input, choose(scaled > threshold, 0, scaled).exp().log1p() / beta
    )


@hidden(grad=lambda g, input: g * (-input).sigmoid(), node="LogSigmoidBackward")
def log_sigmoid(input):
    """log(sigmoid(x)) without overflow."""
    return input.minimum(input * 0) - (-input.abs()).exp().log1p()


@hidden(grad=lambda g, y, lambd: choose(y == 0, 0, g))
def hardshrink(input, lambd=0.5):
    """`input` where its size exceeds `lambd`, else 0."""
    return choose((input >= -lambd) & (input <= lambd), 0, input)


@hidden(grad=lambda g, input, lambd: choose((input >= -lambd) & (input <= lambd), 0, g))
def softshrink(input, lambd=0.5):
    """`input` moved towards zero by `lambd`."""
    return choose(input > lambd, input - lambd, choose(input < -lambd, input + lambd, input * 0))


@hidden(grad=lambda g, input: choose((input > -3) & (input < 3), g / 6, 0))
def hardsigmoid(input):
    """(x + 3) / 6, kept between 0 and 1."""
    return choose(input <= -3, 0, choose(input >= 3, 1, (input + 3) / 6))


@hidden(grad=lambda g, input: choose(input < -3, 0, choose(input <= 3, g * (input / 3 + 0.5), g)))
def hardswish(input):
    """x * hardsigmoid(x)."""
    return choose(input <= -3, 0, choose(input >= 3, input, input * (input + 3) / 6))


@hidden(grad=lambda g, input, threshold: choose(input <= threshold, 0, g))
def threshold(input, threshold, value):
    """`input` where above the threshold, else `value`."""
    return choose(input <= threshold, value, input)

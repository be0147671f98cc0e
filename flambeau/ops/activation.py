"""Pointwise ops, part three: the activation functions of neural networks.

nn.functional calls them by these names; the gradients at the kinks are torch's.

    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.expr import where as choose
from flambeau.codegen.special import normal_distribution
from flambeau.ops.arithmetic import conjugate
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


def hidden(kernel: str = "", takes: str = "f", **options: Any) -> Any:
    """A pointwise op that only nn.functional names; `OP.modified` is its in-place form. `kernel`
    and `takes` say, in torch's words, which dtypes it is not for.
    """
    return pointwise(
        promote=SAME,
        public=None,
        methods=(),
        kernel=kernel,
        takes=takes,
        **{"promotes": ("input",), "inplace": False, **options},
    )


def check_bounds(name: str) -> Any:
    """A check that refuses booleans."""

    def check(input: Any, *bounds: Any, **named: Any) -> None:
        if input.dtype.category == 0:
            raise RuntimeError(f"Bool inputs not supported for {name}")

    return check


@hidden(
    takes="if",
    inplace=True,
    check=check_bounds("hardtanh"),
    grad=lambda g, input: choose((input <= 0) | (input >= 6), 0, g),
    node="HardtanhBackward",
)
def relu6(input):
    """min(max(x, 0), 6)."""
    return choose(input < 0, 0, choose(input > 6, 6, input))


@hidden(
    takes="if",
    inplace=True,
    check=check_bounds("hardtanh"),
    grad=lambda g, input, min_val, max_val: choose((input <= min_val) | (input >= max_val), 0, g),
)
def hardtanh(input, min_val=-1.0, max_val=1.0):
    """`input` kept between two bounds."""
    return choose(input < min_val, min_val, choose(input > max_val, max_val, input))


@hidden(
    kernel="leaky_relu_cpu",
    inplace=True,
    grad=lambda g, input, negative_slope: choose(input > 0, g, g * negative_slope),
)
def leaky_relu(input, negative_slope=0.01):
    """`input` where positive, else `negative_slope * input`."""
    return choose(input > 0, input, input * negative_slope)


@hidden(kernel="prelu_cpu", promotes=("input", "weight"), grad={
    "input": lambda g, input, weight: choose(input > 0, g, g * weight),
    "weight": lambda g, input: choose(input > 0, 0, g * input),
}, node="PreluKernelBackward", name="prelu_kernel")  # fmt: skip
def prelu_kernel(input, weight):
    """`leaky_relu` with a learned slope, already of the input's rank."""
    return choose(input > 0, input, input * weight)


@hidden(
    kernel="rrelu_with_noise_out_cpu",
    promotes=("input", "noise"),
    inplace=True,
    grad={"input": lambda g, input, noise: choose(input > 0, g, g * noise)},
)
def rrelu_with_noise(input, noise):
    """`leaky_relu` with a slope for each element."""
    return choose(input > 0, input, input * noise)


def elu_slope(g: Any, input: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
    """The gradient of elu."""
    steep = g * input_scale * alpha * scale * (input * input_scale).exp()
    return choose(input <= 0, steep, g * scale)


@hidden(kernel="elu_cpu", inplace=True, grad=elu_slope)
def elu(input, alpha=1.0, scale=1.0, input_scale=1.0):
    """`scale * input` where positive, else `scale * alpha * (exp(input_scale * input) - 1)`."""
    return choose(input <= 0, (input * input_scale).expm1() * (alpha * scale), input * scale)


@hidden(
    kernel="elu_cpu",
    inplace=True,
    grad=lambda g, input, alpha: choose(input <= 0, g * (input / alpha).exp(), g),
)
def celu(input, alpha=1.0):
    """`input` where positive, else `alpha * (exp(input / alpha) - 1)`."""
    return choose(input <= 0, (input / alpha).expm1() * alpha, input)


@hidden(
    kernel="glu_cpu",
    takes="fc",
    promotes=("input", "gate"),
    node="GluBackward",
    grad={
        "input": lambda g, gate: g * conjugate(gate.sigmoid()),
        "gate": lambda g, input, gate: g * conjugate(input * gate.sigmoid() * (1 - gate.sigmoid())),
    },
)
def gated(input, gate):
    """`input * sigmoid(gate)`: the two halves of glu."""
    return input * gate.sigmoid()


@hidden(
    kernel="GeluKernelImpl",
    numbers="static",
    grad=lambda g, input, approximate: g * gelu_slope(input, approximate),
)
def gelu(input, *, approximate="none"):
    """x * Phi(x), or its tanh approximation (Hendrycks and Gimpel, Gaussian error linear units,
    2016).
    """
    if approximate == "tanh":
        return (
            0.5 * input * (1 + (ROOT_TWO_OVER_PI * (input + CUBIC * input * input * input)).tanh())
        )
    return input * normal_parts(input)[0]


def normal_parts(x: Any) -> tuple[Any, Any]:
    """The standard normal distribution up to x, and exp(-x**2 / 2)."""
    if isinstance(x, Expr) and x.dtype == "float32":
        return normal_distribution(x)
    return 0.5 * (1 + (x * ROOT_HALF).erf()), (-0.5 * x * x).exp()


def gelu_slope(x: Any, approximate: str) -> Any:
    """Derivative of gelu."""
    if approximate == "tanh":
        t = (ROOT_TWO_OVER_PI * (x + CUBIC * x * x * x)).tanh()
        inner = ROOT_TWO_OVER_PI * (1 + 3 * CUBIC * x * x)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner
    below, bell = normal_parts(x)
    return below + x * NORMAL * bell


def silu_slope(x: Any) -> Any:
    """Derivative of silu."""
    y = x.sigmoid()
    return y * (1 + x * (1 - y))


@hidden(
    kernel="silu_cpu",
    takes="fc",
    inplace=True,
    grad=lambda g, input: g * conjugate(silu_slope(input)),
)
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


@hidden(kernel="mish_cpu", inplace=True, grad=lambda g, input: g * mish_slope(input))
def mish(input):
    """x * tanh(softplus(x)) (Misra, 2019)."""
    return input * softplus_of(input).tanh()


@hidden(
    kernel="softplus_cpu",
    grad=lambda g, input, beta, threshold: choose(
        input * beta > threshold, g, g * (input * beta).sigmoid()
    ),
)
def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta x)) / beta; the line itself above the threshold."""
    scaled = input * beta
    return choose(scaled > threshold, input, softplus_of(scaled) / beta)


@hidden(kernel="log_sigmoid_cpu", grad=lambda g, input: g * (-input).sigmoid())
def log_sigmoid(input):
    """log(sigmoid(x)) without overflow."""
    return input.minimum(input * 0) - (-input.abs()).exp().log1p()


@hidden(kernel="hardshrink_cpu", grad=lambda g, y, lambd: choose(y == 0, 0, g))
def hardshrink(input, lambd=0.5):
    """`input` where its size exceeds `lambd`, else 0."""
    return choose((input >= -lambd) & (input <= lambd), 0, input)


@hidden(
    kernel="softshrink_check",
    grad=lambda g, input, lambd: choose((input >= -lambd) & (input <= lambd), 0, g),
)
def softshrink(input, lambd=0.5):
    """`input` moved towards zero by `lambd`."""
    return choose(input > lambd, input - lambd, choose(input < -lambd, input + lambd, input * 0))


@hidden(
    kernel="hardsigmoid_cpu",
    inplace=True,
    grad=lambda g, input: choose((input > -3) & (input < 3), g / 6, 0),
)
def hardsigmoid(input):
    """(x + 3) / 6, kept between 0 and 1."""
    return choose(input <= -3, 0, choose(input >= 3, 1, (input + 3) / 6))


@hidden(
    kernel="hardswish_cpu",
    inplace=True,
    grad=lambda g, input: choose(input <= -3, 0, choose(input < 3, g * (input / 3 + 0.5), g)),
)
def hardswish(input):
    """x * hardsigmoid(x)."""
    lifted = input + 3
    return input * choose(lifted < 0, 0, choose(lifted > 6, 6, lifted)) / 6


@hidden(
    kernel="threshold_cpu",
    takes="if",
    inplace=True,
    grad=lambda g, input, threshold: choose(input <= threshold, 0, g),
)
def threshold(input, threshold, value):
    """`input` where above the threshold, else `value`."""
    return choose(input <= threshold, value, input)

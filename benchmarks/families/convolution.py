"""Convolutions: channels from 1 to 512, kernels from 1 to 7, strides, dilation, groups, one to
three dimensions, transposed; forward with bias, and forward with both gradients.

    for label, build in cases(torch):       # torch: either framework
        step = build()
        step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Step = Callable[[], Any]


class Case(NamedTuple):
    """One convolution: sizes of input (batch, channels, *space) and kernel, and the options."""

    input: tuple[int, ...]
    channels: int
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    transposed: bool = False

    @property
    def label(self) -> str:
        """For example "conv2d 8x64x56x56 -> 64 k3 p1"."""
        kind = "conv_transpose" if self.transposed else "conv"
        parts = [f"{kind}{len(self.kernel)}d {'x'.join(map(str, self.input))} -> {self.channels}"]
        parts.append("k" + "x".join(map(str, sorted(set(self.kernel)))))
        parts += [f"s{self.stride}"] * (self.stride > 1) + [f"p{self.padding}"] * (self.padding > 0)
        parts += [f"d{self.dilation}"] * (self.dilation > 1)
        parts += [f"g{self.groups}"] * (self.groups > 1)
        return " ".join(parts)


CASES = [
    Case((1, 3, 224, 224), 64, (7, 7), 2, 3),
    Case((16, 3, 32, 32), 16, (3, 3), 1, 1),
    Case((64, 1, 28, 28), 32, (3, 3)),
    Case((64, 32, 26, 26), 64, (3, 3)),
    Case((1, 8, 12, 12), 8, (3, 3), 1, 1),
    Case((8, 64, 56, 56), 64, (3, 3), 1, 1),
    Case((8, 128, 28, 28), 128, (3, 3), 1, 1),
    Case((8, 128, 28, 28), 256, (3, 3), 2, 1),
    Case((4, 256, 14, 14), 256, (3, 3), 1, 1),
    Case((4, 512, 7, 7), 512, (3, 3), 1, 1),
    Case((1, 64, 56, 56), 64, (1, 1)),
    Case((8, 256, 14, 14), 512, (1, 1)),
    Case((8, 256, 28, 28), 128, (1, 1), 2),
    Case((4, 64, 28, 28), 64, (5, 5), 1, 2),
    Case((8, 64, 28, 28), 64, (3, 3), 1, 2, 2),
    Case((8, 64, 28, 28), 64, (3, 3), 1, 1, 1, 4),
    Case((8, 64, 56, 56), 64, (3, 3), 1, 1, 1, 64),
    Case((8, 128, 28, 28), 128, (3, 3), 2, 1, 1, 128),
    Case((4, 96, 28, 28), 96, (7, 7), 1, 3, 1, 96),
    Case((16, 64, 256), 64, (3,), 1, 1),
    Case((4, 32, 4096), 32, (7,), 2, 3),
    Case((2, 16, 16, 32, 32), 32, (3, 3, 3), 1, 1),
    Case((4, 128, 16, 16), 64, (4, 4), 2, 1, 1, 1, True),
    Case((4, 64, 32, 32), 32, (3, 3), 1, 1, 1, 1, True),
]
TRAINED = [CASES[k] for k in (0, 2, 3, 5, 7, 9, 11, 14, 16, 19, 21, 22)]


def operands(torch: Any, case: Case, grad: bool) -> tuple[Any, Any, Any]:
    """Input, weight and bias."""
    torch.manual_seed(0)
    inner = case.channels // case.groups if case.transposed else case.input[1] // case.groups
    outer = case.input[1] if case.transposed else case.channels
    x = torch.randn(*case.input, requires_grad=grad)
    w = torch.randn(outer, inner, *case.kernel, requires_grad=grad)
    return x, w, torch.randn(case.channels, requires_grad=grad)


def function(torch: Any, case: Case) -> tuple[Any, dict[str, int]]:
    """The function and its options."""
    kind = "conv_transpose" if case.transposed else "conv"
    options = {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}
    named = getattr(torch.nn.functional, f"{kind}{len(case.kernel)}d")
    return named, {**options, "groups": case.groups}


def forward(torch: Any, case: Case) -> Step:
    """The convolution with bias."""
    x, w, b = operands(torch, case, False)
    convolve, options = function(torch, case)
    return lambda: convolve(x, w, b, **options)


def trained(torch: Any, case: Case) -> Step:
    """The convolution with the gradients of input, weight and bias."""
    operand = operands(torch, case, True)
    convolve, options = function(torch, case)
    g = torch.randn(convolve(*operand, **options).shape)
    return lambda: torch.autograd.grad(convolve(*operand, **options), operand, g)


def last_forward(torch: Any, case: Case) -> Step:
    """The convolution of images with channels last."""
    x, w, b = operands(torch, case, False)
    x = x.contiguous(memory_format=torch.channels_last)
    convolve, options = function(torch, case)
    return lambda: convolve(x, w, b, **options)


def block(nn: Any, inner: int, outer: int, stride: int, groups: int = 1) -> list[Any]:
    """Convolution, normalisation, ReLU."""
    layer = nn.Conv2d(inner, outer, 3, stride, 1, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outer), nn.ReLU()]


def network(torch: Any, separable: bool) -> Step:
    """A training step of a small network on images with channels last; if `separable`, its
    convolutions are depthwise ones and 1 x 1.
    """
    torch.manual_seed(0)
    nn = torch.nn
    layers = block(nn, 3, 32, 1)
    for inner, outer, stride in ((32, 64, 1), (64, 128, 2)):
        if separable:
            layers += [*block(nn, inner, inner, stride, inner), nn.Conv2d(inner, outer, 1)]
        else:
            layers += block(nn, inner, outer, stride)
    layers += [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(2048, 10)]
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    x = torch.randn(16, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    target = torch.arange(16) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), target).backward()
        optimizer.step()

    return step


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """Every case as (label, build); build() makes the operands and returns the step."""
    for case in CASES:
        yield case.label, lambda case=case: forward(torch, case)
    for case in TRAINED:
        yield case.label + " and gradients", lambda case=case: trained(torch, case)
    for case in CASES:
        if len(case.kernel) == 2:
            yield case.label + " channels last", lambda case=case: last_forward(torch, case)
    for separable in (False, True):
        kind = "separable" if separable else "dense"
        yield f"{kind} network, channels last", lambda s=separable: network(torch, s)

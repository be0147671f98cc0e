"""Pooling, padding, resizing and sampling of pictures: forward, and with gradients.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
Function = Callable[[Any, Any], Any]

# name, function of (nn.functional, input), input, whether it is measured with gradients too
TABLE: list[tuple[str, Function, tuple[int, ...], bool]] = [
    ("max_pool1d 3", lambda F, x: F.max_pool1d(x, 3), (16, 64, 1024), False),
    ("max_pool2d 2", lambda F, x: F.max_pool2d(x, 2), (1, 8, 16, 16), False),
    ("max_pool2d 2", lambda F, x: F.max_pool2d(x, 2), (32, 64, 56, 56), True),
    ("max_pool2d 3 s2 p1", lambda F, x: F.max_pool2d(x, 3, 2, 1), (8, 64, 112, 112), True),
    ("max_pool3d 2", lambda F, x: F.max_pool3d(x, 2), (2, 16, 16, 32, 32), False),
    ("avg_pool2d 2", lambda F, x: F.avg_pool2d(x, 2), (32, 64, 56, 56), True),
    ("avg_pool2d 3 p1", lambda F, x: F.avg_pool2d(x, 3, 1, 1), (8, 64, 28, 28), False),
    ("adaptive_avg_pool2d 1", lambda F, x: F.adaptive_avg_pool2d(x, 1), (32, 512, 7, 7), True),
    ("adaptive_avg_pool2d 7", lambda F, x: F.adaptive_avg_pool2d(x, 7), (8, 256, 15, 15), False),
    ("adaptive_max_pool2d 4", lambda F, x: F.adaptive_max_pool2d(x, 4), (8, 256, 15, 15), False),
    ("lp_pool2d 2", lambda F, x: F.lp_pool2d(x, 2, 2), (8, 64, 56, 56), False),
    ("pad constant", lambda F, x: F.pad(x, (1, 1, 1, 1)), (8, 64, 56, 56), True),
    ("pad reflect", lambda F, x: F.pad(x, (2, 2, 2, 2), "reflect"), (8, 64, 56, 56), True),
    ("pad replicate", lambda F, x: F.pad(x, (1, 1, 1, 1), "replicate"), (8, 64, 56, 56), False),
    ("pad circular", lambda F, x: F.pad(x, (1, 1, 1, 1), "circular"), (8, 64, 56, 56), False),
    ("nearest x2", lambda F, x: F.interpolate(x, scale_factor=2), (8, 64, 32, 32), True),
    (
        "bilinear x2",
        lambda F, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        (8, 64, 32, 32),
        True,
    ),
    (
        "bicubic 100x100",
        lambda F, x: F.interpolate(x, (100, 100), mode="bicubic"),
        (4, 3, 64, 64),
        True,
    ),
    (
        "bilinear antialias 96x96",
        lambda F, x: F.interpolate(x, (96, 96), mode="bilinear", antialias=True),
        (4, 3, 224, 224),
        False,
    ),
    ("unfold 3 p1", lambda F, x: F.unfold(x, 3, 1, 1), (8, 32, 28, 28), True),
]


def forward(torch: Any, function: Function, shape: tuple[int, ...]) -> Step:
    """The function alone."""
    torch.manual_seed(0)
    x = torch.randn(*shape)
    return lambda: function(torch.nn.functional, x)


def trained(torch: Any, function: Function, shape: tuple[int, ...]) -> Step:
    """The function and the gradient of its input."""
    torch.manual_seed(0)
    x = torch.randn(*shape, requires_grad=True)
    g = torch.randn(function(torch.nn.functional, x).shape)
    return lambda: torch.autograd.grad(function(torch.nn.functional, x), x, g)


def sampled(torch: Any, mode: str, size: int, grad: bool) -> Step:
    """grid_sample at random points, with the gradients of picture and points where wanted."""
    torch.manual_seed(0)
    x = torch.randn(4, 16, size, size, requires_grad=grad)
    grid = torch.rand(4, size, size, 2).mul(2).sub(1).requires_grad_(grad)
    g = torch.randn(4, 16, size, size)

    def step() -> Any:
        y = torch.nn.functional.grid_sample(x, grid, mode=mode, align_corners=False)
        return torch.autograd.grad(y, (x, grid), g) if grad else y

    return step


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """Every case as (label, build); build() makes the operands and returns the step."""
    for name, function, shape, with_gradients in TABLE:
        label = f"{name} {'x'.join(map(str, shape))}"
        yield label, lambda f=function, s=shape: forward(torch, f, s)
        if with_gradients:
            yield label + " and gradient", lambda f=function, s=shape: trained(torch, f, s)
    for mode in ("bilinear", "nearest", "bicubic"):
        yield f"grid_sample {mode} 4x16x64x64", lambda mode=mode: sampled(torch, mode, 64, False)
    yield (
        "grid_sample bilinear 4x16x64x64 and gradients",
        lambda: sampled(torch, "bilinear", 64, True),
    )

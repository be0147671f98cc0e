"""Optimizer steps, gradient clipping and zero_grad: few large and many small parameters.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "10M": [(10_000_000,)],
    "100 x 1000": [(1000,)] * 100,
    "MLP of 4 small": [(10, 20), (10,), (1, 10), (1,)],
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3},
    "SGD momentum": {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4},
    "Adam": {"lr": 1e-3},
    "AdamW": {"lr": 1e-3},
    "RMSprop": {"lr": 1e-3},
    "Adagrad": {"lr": 1e-3},
}


def parameters(torch: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    """Parameters with gradients."""
    made = [torch.nn.Parameter(torch.randn(*shape)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn(*parameter.shape)
    return made


def optimizer_step(
    torch: Any, name: str, options: dict[str, Any], shapes: list[tuple[int, ...]]
) -> Step:
    """One step of an optimizer."""
    optimizer = getattr(torch.optim, name.split()[0])(parameters(torch, shapes), **options)
    return lambda: optimizer.step()


def clip_norm(torch: Any, shapes: list[tuple[int, ...]]) -> Step:
    """All gradients scaled to a common norm."""
    made = parameters(torch, shapes)
    return lambda: torch.nn.utils.clip_grad_norm_(made, 1e-3)


def clip_value(torch: Any, shapes: list[tuple[int, ...]]) -> Step:
    """Each gradient kept within bounds."""
    made = parameters(torch, shapes)
    return lambda: torch.nn.utils.clip_grad_value_(made, 0.5)


def zero_grad(torch: Any, shapes: list[tuple[int, ...]]) -> Step:
    """Gradients set to zero in place."""
    optimizer = torch.optim.SGD(parameters(torch, shapes), lr=0.1)
    return lambda: optimizer.zero_grad(set_to_none=False)


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """The rows of this family."""
    for size, shapes in SHAPES.items():
        for name, options in OPTIMIZERS.items():
            yield (
                f"{name}, {size}",
                lambda n=name, o=options, s=shapes: optimizer_step(torch, n, o, s),
            )
        for label, make in (
            ("clip_grad_norm_", clip_norm),
            ("clip_grad_value_", clip_value),
            ("zero_grad", zero_grad),
        ):
            yield f"{label}, {size}", lambda make=make, s=shapes: make(torch, s)

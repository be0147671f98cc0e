"""Row-wise work: softmax, normalisations, losses over classes, attention; forward, and with the
gradient.

for label, build in cases(torch):       # torch: either framework
    step = build()
    step()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
Function = Callable[..., Any]
MATRICES = ((16, 16), (512, 128), (4096, 1024), (64, 65_536), (65_536, 64))
IMAGES = ((2, 16, 8, 8), (8, 64, 56, 56), (64, 512, 7, 7), (32, 3, 128, 128))
HEADS = ((1, 1, 16, 16), (8, 4, 64, 32), (4, 8, 256, 64), (1, 8, 1024, 64))


def forward(torch: Any, function: Function, *operands: Any) -> Step:
    """The function alone, nothing recorded."""

    def step() -> Any:
        with torch.no_grad():
            return function(*operands)

    return step


def with_gradient(torch: Any, function: Function, *operands: Any) -> Step:
    """The function, and the gradients by all operands."""
    leaves = [operand.requires_grad_() for operand in operands]
    grad = torch.randn(*function(*leaves).shape)
    return lambda: torch.autograd.grad(function(*leaves), leaves, grad)


def matrix_cases(torch: Any) -> Iterator[tuple[str, Function, tuple[Any, ...]]]:
    """Functions of matrices: name, function, shapes of the operands."""
    F = torch.nn.functional
    for rows, columns in MATRICES:
        size = f"{rows}x{columns}"
        yield f"softmax {size}", lambda x: F.softmax(x, 1), ((rows, columns),)
        yield f"log_softmax {size}", lambda x: F.log_softmax(x, 1), ((rows, columns),)
        yield (
            f"layer_norm {size}",
            lambda x, w, b: F.layer_norm(x, w.shape, w, b),
            ((rows, columns), (columns,), (columns,)),
        )
    yield "softmax of columns 1024x4096", lambda x: F.softmax(x, 0), ((1024, 4096),)
    yield "rms_norm 4096x1024", lambda x, w: F.rms_norm(x, w.shape, w), ((4096, 1024), (1024,))
    yield "logsumexp 4096x1024", lambda x: x.logsumexp(1), ((4096, 1024),)
    yield "var_mean 4096x1024", lambda x: torch.var_mean(x, 1)[0], ((4096, 1024),)
    yield "gelu 1024x1024", lambda x: F.gelu(x), ((1024, 1024),)


def image_cases(torch: Any) -> Iterator[tuple[str, Function, tuple[Any, ...]]]:
    """Normalisations of images."""
    F = torch.nn.functional
    for shape in IMAGES:
        size, vector = "x".join(map(str, shape)), (shape[1],)
        yield (
            f"batch_norm {size}",
            lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
            (shape, vector, vector),
        )
    shape, vector = (8, 64, 56, 56), (64,)
    yield (
        "group_norm 8x64x56x56",
        lambda x, w, b: F.group_norm(x, 8, w, b),
        (shape, vector, vector),
    )
    yield "instance_norm 8x64x56x56", lambda x: F.instance_norm(x), (shape,)


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """The rows of this family."""
    F = torch.nn.functional
    for name, function, shapes in (*matrix_cases(torch), *image_cases(torch)):
        for kind, prefix in ((forward, ""), (with_gradient, "gradient of ")):

            def build(kind: Any = kind, function: Any = function, shapes: Any = shapes) -> Step:
                step: Step = kind(torch, function, *(torch.randn(*shape) for shape in shapes))
                return step

            yield prefix + name, build
    for shape in HEADS:
        for causal in (False, True):

            def attend(q: Any, k: Any, v: Any, causal: bool = causal) -> Any:
                return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

            for kind, prefix in ((forward, ""), (with_gradient, "gradient of ")):

                def heads(kind: Any = kind, attend: Any = attend, shape: Any = shape) -> Step:
                    step: Step = kind(torch, attend, *(torch.randn(*shape) for _ in range(3)))
                    return step

                name = "causal attention" if causal else "attention"
                yield f"{prefix}{name} {'x'.join(map(str, shape))}", heads
    for rows, classes in ((32, 10), (2048, 1000), (256, 50_000)):

        def loss(rows: int = rows, classes: int = classes) -> Step:
            x = torch.randn(rows, classes, requires_grad=True)
            y = torch.randint(0, classes, (rows,))
            return lambda: torch.autograd.grad(F.cross_entropy(x, y), x)

        yield f"gradient of cross_entropy {rows}x{classes}", loss

"""Operations on shapes drawn at random: what no one has tuned.

FLAMBEAU_BENCHMARK_SEED=7 python -m benchmarks sweep drawn     # another draw

Every template below is run on shapes from 16 to about 4 M elements. The same seed draws the same
rows for both frameworks.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[], Any]
ROWS_EACH = 3  # shapes of each template


class Draw:
    """Shapes and operands for one row, from one seed."""

    def __init__(self, torch: Any, seed: str) -> None:
        self.torch = torch
        self.random = random.Random(seed)

    def between(self, low: int, high: int) -> int:
        """An integer, as often small as large."""
        return round(low * (high / low) ** self.random.random())

    def sizes(self) -> tuple[int, int]:
        """Columns and rows of a matrix."""
        columns = self.between(16, 65_536)
        return columns, self.between(1, max(1, min(65_536, 4_000_000 // columns)))

    def matrix(self, grad: bool = False) -> Any:
        """Rows by columns, 16 to 65,536 each, at most 4 M elements."""
        columns, rows = self.sizes()
        return self.torch.randn(rows, columns, requires_grad=grad)

    def images(self, grad: bool = False, channels: int = 0) -> Any:
        """A batch of images."""
        channels = channels or self.between(1, 256)
        side = self.between(4, 64)
        batch = self.between(1, max(1, min(64, 2_000_000 // (channels * side * side))))
        return self.torch.randn(batch, channels, side, side, requires_grad=grad)


def pointwise(name: str) -> Callable[[Draw], Step]:
    """A method without arguments of a matrix."""

    def build(draw: Draw) -> Step:
        x = draw.matrix().abs().add(0.1).clamp(max=0.9)
        return lambda: getattr(x, name)()

    return build


def functional(name: str, **options: Any) -> Callable[[Draw], Step]:
    """A function of nn.functional on a matrix."""

    def build(draw: Draw) -> Step:
        x, function = draw.matrix(), getattr(draw.torch.nn.functional, name)
        return lambda: function(x, **options)

    return build


def backward(function: Callable[[Any, Any], Any]) -> Callable[[Draw], Step]:
    """`function` of a matrix and the backward pass of its sum."""

    def build(draw: Draw) -> Step:
        x = draw.matrix(grad=True)

        def step() -> None:
            function(draw.torch, x).sum().backward()
            x.grad = None

        return step

    return build


def of_matrix(function: Callable[[Any, Any], Any]) -> Callable[[Draw], Step]:
    """`function` of the framework and a matrix."""

    def build(draw: Draw) -> Step:
        x = draw.matrix()
        return lambda: function(draw.torch, x)

    return build


def of_images(function: Callable[[Any, Any], Any]) -> Callable[[Draw], Step]:
    """`function` of the framework and images of at least eight by eight."""

    def build(draw: Draw) -> Step:
        x = draw.images()
        while x.shape[-1] < 8:
            x = draw.images()
        return lambda: function(draw.torch, x)

    return build


def layer(
    make: Callable[[Any, Draw, int], Any], *, train: bool = False, last: bool = False
) -> Callable[[Draw], Step]:
    """A layer on images; with `train` its backward pass too; `last`: channels last."""

    def build(draw: Draw) -> Step:
        channels = draw.between(1, 32) * 8
        x = draw.images(channels=channels)
        while x.shape[-1] < 8:
            x = draw.images(channels=channels)
        if last:
            x = x.contiguous(memory_format=draw.torch.channels_last)
        module = make(draw.torch.nn, draw, channels)
        x.requires_grad_(train)
        if not train:
            return lambda: module(x)

        def step() -> None:
            module(x).sum().backward()
            x.grad = None

        return step

    return build


def conv(kernel: int, stride: int = 1, groups: Callable[[int], int] = lambda c: 1) -> Any:
    """A convolution of that kernel to a drawn number of channels, or to as many if grouped."""

    def make(nn: Any, draw: Draw, channels: int) -> Any:
        out = channels if groups(channels) > 1 else draw.between(1, 32) * 8
        options = {"stride": stride, "padding": kernel // 2, "groups": groups(channels)}
        return nn.Conv2d(channels, out, kernel, **options)

    return make


def linear(train: bool) -> Callable[[Draw], Step]:
    """nn.Linear between drawn widths."""

    def build(draw: Draw) -> Step:
        inputs, outputs, batch = (draw.between(4, 1024) for _ in range(3))
        module = draw.torch.nn.Linear(inputs, outputs)
        x = draw.torch.randn(batch, inputs, requires_grad=train)
        if not train:
            return lambda: module(x)
        return lambda: module(x).sum().backward()

    return build


def matmul(batched: bool, transposed: bool = False, dtype: str = "float32") -> Any:
    """A product of drawn sizes."""

    def build(draw: Draw) -> Step:
        rows, inner, columns = (draw.between(4, 512) for _ in range(3))
        batch = (draw.between(2, 32),) if batched else ()
        kind = getattr(draw.torch, dtype)
        a = draw.torch.randn(*batch, rows, inner).to(kind)
        b = draw.torch.randn(*batch, inner, columns).to(kind)
        if transposed:
            b = b.transpose(-1, -2).contiguous().transpose(-1, -2)
        return lambda: a @ b

    return build


def joined(function: Callable[[Any, list[Any]], Any]) -> Callable[[Draw], Step]:
    """`function` of two to five matrices of one shape."""

    def build(draw: Draw) -> Step:
        x = draw.matrix()
        parts = [x[: max(1, len(x) // 4)].clone() for _ in range(draw.random.randint(2, 5))]
        return lambda: function(draw.torch, parts)

    return build


def indexed(function: Callable[[Any, Any, Any], Any]) -> Callable[[Draw], Step]:
    """`function` of the framework, a matrix and as many indices of its rows as it has rows."""

    def build(draw: Draw) -> Step:
        x = draw.matrix()
        index = draw.torch.randint(0, len(x), (len(x),))
        return lambda: function(draw.torch, x, index)

    return build


def flat_integers(function: Callable[[Any, Any], Any]) -> Callable[[Draw], Step]:
    """`function` of a flat tensor of integers below 1000."""

    def build(draw: Draw) -> Step:
        x = draw.torch.randint(0, 1000, (draw.between(16, 2_000_000),))
        return lambda: function(draw.torch, x)

    return build


METHODS = (
    "exp log sqrt rsqrt sin cos tan tanh sigmoid erf abs neg floor round sign reciprocal log1p"
    " expm1 atan asin sinh isnan logical_not digamma lgamma"
)
FUNCTIONS = (
    "relu gelu silu elu leaky_relu softplus logsigmoid mish hardswish hardtanh relu6 selu"
    " softsign tanhshrink"
)
MATRICES: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda torch, x: x.sum(),
    "sum dim 0": lambda torch, x: x.sum(0),
    "sum dim 1": lambda torch, x: x.sum(1),
    "mean dim 1": lambda torch, x: x.mean(1, keepdim=True),
    "max": lambda torch, x: x.max(),
    "max dim 1": lambda torch, x: x.max(1),
    "max dim 0": lambda torch, x: x.max(0),
    "argmax dim 1": lambda torch, x: x.argmax(1),
    "argmin dim 0": lambda torch, x: x.argmin(0),
    "amax dim 1": lambda torch, x: x.amax(1),
    "prod dim 1": lambda torch, x: x.prod(1),
    "std dim 1": lambda torch, x: x.std(1),
    "var dim 0": lambda torch, x: x.var(0),
    "norm dim 1": lambda torch, x: x.norm(dim=1),
    "logsumexp dim 1": lambda torch, x: x.logsumexp(1),
    "logsumexp dim 0": lambda torch, x: x.logsumexp(0),
    "any dim 1": lambda torch, x: (x > 3).any(1),
    "count_nonzero": lambda torch, x: x.count_nonzero(),
    "softmax 1": lambda torch, x: x.softmax(1),
    "softmax 0": lambda torch, x: x.softmax(0),
    "log_softmax 1": lambda torch, x: x.log_softmax(1),
    "layer_norm": lambda torch, x: torch.nn.functional.layer_norm(x, x.shape[1:]),
    "rms_norm": lambda torch, x: torch.nn.functional.rms_norm(x, x.shape[1:]),
    "normalize": lambda torch, x: torch.nn.functional.normalize(x),
    "cumsum 1": lambda torch, x: x.cumsum(1),
    "cumsum 0": lambda torch, x: x.cumsum(0),
    "cumprod 1": lambda torch, x: x.cumprod(1),
    "cummax 1": lambda torch, x: x.cummax(1),
    "sort 1": lambda torch, x: x.sort(1),
    "argsort 0": lambda torch, x: x.argsort(0),
    "topk 5": lambda torch, x: x.topk(5, 1),
    "kthvalue": lambda torch, x: x.kthvalue(8, 1),
    "median dim 1": lambda torch, x: x.median(1),
    "transposed copy": lambda torch, x: x.t().contiguous(),
    "flip": lambda torch, x: x.flip(0, 1),
    "roll": lambda torch, x: x.roll(5, 1),
    "tril": lambda torch, x: x.tril(),
    "pad": lambda torch, x: torch.nn.functional.pad(x, (1, 2, 3, 4)),
    "repeat": lambda torch, x: x.repeat(2, 1),
    "repeat_interleave": lambda torch, x: x.repeat_interleave(2, 0),
    "unfold": lambda torch, x: x.unfold(1, 4, 3).contiguous(),
    "strided slice": lambda torch, x: x[::2, ::2].contiguous(),
    "column slice": lambda torch, x: x[:, 1:-1].contiguous(),
    "masked_select": lambda torch, x: x[x > 1],
    "masked_fill": lambda torch, x: x.masked_fill(x > 1, 0.0),
    "where": lambda torch, x: torch.where(x > 0, x, -x),
    "nonzero": lambda torch, x: (x > 1).nonzero(),
    "glu": lambda torch, x: torch.nn.functional.glu(x[:, : x.shape[1] // 2 * 2]),
    "clamp": lambda torch, x: x.clamp(-1, 1),
    "pow 2": lambda torch, x: x**2,
    "pow 3": lambda torch, x: x**3,
    "pow 1.5": lambda torch, x: x.abs() ** 1.5,
    "lerp": lambda torch, x: torch.lerp(x, x, 0.3),
    "addcmul": lambda torch, x: torch.addcmul(x, x, x),
    "column minus mean": lambda torch, x: x - x.mean(1, keepdim=True),
    "outer": lambda torch, x: torch.outer(x[0, :1000], x[0, :1000]),
    "to bfloat16": lambda torch, x: x.bfloat16(),
    "to int64": lambda torch, x: x.long(),
    "to half": lambda torch, x: x.half(),
    "float64 exp": lambda torch, x: x.double().exp(),
    "dropout": lambda torch, x: torch.nn.functional.dropout(x, 0.5),
    "rand_like": lambda torch, x: torch.rand_like(x),
    "randn_like": lambda torch, x: torch.randn_like(x),
    "bernoulli": lambda torch, x: torch.bernoulli(x.sigmoid()),
    "matrix times vector": lambda torch, x: x @ x[0],
    "vector times matrix": lambda torch, x: x[:, 0] @ x,
    "isfinite all": lambda torch, x: x.isfinite().all(),
    "equal": lambda torch, x: torch.equal(x, x),
    "einsum ij->j": lambda torch, x: torch.einsum("ij->j", x),
    "histc": lambda torch, x: x.histc(50),
    "quantile": lambda torch, x: x[:100].quantile(0.3, 1),
    "bucketize": lambda torch, x: torch.bucketize(x, torch.arange(-3.0, 3.0)),
}
BACKWARD: dict[str, Callable[[Any, Any], Any]] = {
    "relu backward": lambda torch, x: x.relu(),
    "gelu backward": lambda torch, x: torch.nn.functional.gelu(x),
    "silu backward": lambda torch, x: torch.nn.functional.silu(x),
    "softmax backward": lambda torch, x: x.softmax(1) * x,
    "layer_norm backward": lambda torch, x: torch.nn.functional.layer_norm(x, x.shape[1:]) * x,
    "log_softmax backward": lambda torch, x: x.log_softmax(1)[:, 0],
    "std backward": lambda torch, x: x.std(1),
    "max backward": lambda torch, x: x.max(1)[0],
    "norm backward": lambda torch, x: x.norm(dim=1),
    "logsumexp backward": lambda torch, x: x.logsumexp(1),
    "cumsum backward": lambda torch, x: x.cumsum(1),
    "prod backward": lambda torch, x: x.prod(1),
    "transpose backward": lambda torch, x: x.t().contiguous() * 2,
    "slice backward": lambda torch, x: x[:, 1:],
    "pow backward": lambda torch, x: x**3,
    "where backward": lambda torch, x: torch.where(x > 0, x, x * 2),
    "cat backward": lambda torch, x: torch.cat([x, x], 1),
    "mse backward": lambda torch, x: torch.nn.functional.mse_loss(x, x.detach() + 1),
    "smooth_l1 backward": lambda torch, x: torch.nn.functional.smooth_l1_loss(x, x.detach() + 1),
    "bce backward": lambda torch, x: torch.nn.functional.binary_cross_entropy_with_logits(
        x, torch.full_like(x, 0.3)
    ),
}
IMAGES: dict[str, Callable[[Any, Any], Any]] = {
    "max_pool 2": lambda torch, x: torch.nn.functional.max_pool2d(x, 2),
    "max_pool 3/2": lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1),
    "avg_pool 2": lambda torch, x: torch.nn.functional.avg_pool2d(x, 2),
    "avg_pool 3/1": lambda torch, x: torch.nn.functional.avg_pool2d(x, 3, 1, 1),
    "adaptive avg 1": lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 1),
    "adaptive avg 5": lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 5),
    "adaptive max 3": lambda torch, x: torch.nn.functional.adaptive_max_pool2d(x, 3),
    "max_pool1d 3": lambda torch, x: torch.nn.functional.max_pool1d(x.flatten(2), 3),
    "upsample nearest": lambda torch, x: torch.nn.functional.interpolate(x, scale_factor=2),
    "upsample bilinear": lambda torch, x: torch.nn.functional.interpolate(
        x, scale_factor=2, mode="bilinear"
    ),
    "pixel_shuffle": lambda torch, x: torch.nn.functional.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    "reflect pad": lambda torch, x: torch.nn.functional.pad(x, (2, 2, 2, 2), "reflect"),
    "to channels last": lambda torch, x: x.contiguous(memory_format=torch.channels_last),
    "permute copy": lambda torch, x: x.permute(0, 2, 3, 1).contiguous(),
    "mean of planes": lambda torch, x: x.mean((2, 3)),
    "sum of channels": lambda torch, x: x.sum(1),
    "sum but channels": lambda torch, x: x.sum((0, 2, 3)),
    "channel bias": lambda torch, x: x + x[0, :, :1, :1],
    "unfold 3": lambda torch, x: torch.nn.functional.unfold(x, 3),
    "batch_norm eval": lambda torch, x: torch.nn.functional.batch_norm(
        x, x[0, :, 0, 0], x[0, :, 0, 1].abs()
    ),
    "instance_norm": lambda torch, x: torch.nn.functional.instance_norm(x),
    "group_norm 1": lambda torch, x: torch.nn.functional.group_norm(x, 1),
}
INDEXED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "index_select": lambda torch, x, i: x.index_select(0, i),
    "index rows": lambda torch, x, i: x[i],
    "gather 0": lambda torch, x, i: x.gather(0, i[:, None].expand_as(x)),
    "embedding": lambda torch, x, i: torch.nn.functional.embedding(i, x),
    "index_add": lambda torch, x, i: x.index_add(0, i, x),
    "scatter_add": lambda torch, x, i: torch.zeros_like(x).scatter_add_(
        0, i[:, None].expand_as(x), x
    ),
    "cross_entropy": lambda torch, x, i: torch.nn.functional.cross_entropy(x, i % x.shape[1]),
    "nll of column": lambda torch, x, i: x[torch.arange(len(x)), i % x.shape[1]],
    "index_put": lambda torch, x, i: x.index_put((i,), x[0]),
    "embedding_bag": lambda torch, x, i: torch.nn.functional.embedding_bag(
        i, x, torch.arange(0, len(i), 4)
    ),
}
INTEGERS: dict[str, Callable[[Any, Any], Any]] = {
    "integer sum": lambda torch, x: x.sum(),
    "integer add": lambda torch, x: x + x,
    "integer division": lambda torch, x: x // 7,
    "integer remainder": lambda torch, x: x % 7,
    "integer compare": lambda torch, x: x == 5,
    "integer cumsum": lambda torch, x: x.cumsum(0),
    "integer max": lambda torch, x: x.max(),
    "bincount": lambda torch, x: x.bincount(),
    "unique": lambda torch, x: x.unique(),
    "integer sort": lambda torch, x: x.sort(),
    "one_hot": lambda torch, x: torch.nn.functional.one_hot(x[:2000]),
    "integer to float": lambda torch, x: x.float(),
    "isin": lambda torch, x: torch.isin(x, x[:16]),
    "shift": lambda torch, x: x << 2,
}
LAYERS: dict[str, Callable[[Any, Draw, int], Any]] = {
    "conv 1x1": conv(1),
    "conv 3x3": conv(3),
    "conv 5x5": conv(5),
    "conv 3x3/2": conv(3, 2),
    "depthwise": conv(3, 1, lambda channels: channels),
    "depthwise/2": conv(3, 2, lambda channels: channels),
    "grouped": conv(3, 1, lambda channels: 4),
    "transposed": lambda nn, draw, c: nn.ConvTranspose2d(c, 16, 2, 2),
    "batch_norm": lambda nn, draw, c: nn.BatchNorm2d(c),
    "group_norm": lambda nn, draw, c: nn.GroupNorm(8, c),
    "max_pool": lambda nn, draw, c: nn.MaxPool2d(2),
    "avg_pool": lambda nn, draw, c: nn.AvgPool2d(2),
}


def templates() -> Iterator[tuple[str, Callable[[Draw], Step]]]:
    """Every kind of row with the function that builds it from a draw."""
    for name in METHODS.split():
        yield name, pointwise(name)
    for name in FUNCTIONS.split():
        yield name, functional(name)
    for table, builder in ((MATRICES, of_matrix), (BACKWARD, backward), (IMAGES, of_images)):
        for name, function in table.items():
            yield name, builder(function)
    for name, choice in INDEXED.items():
        yield name, indexed(choice)
    for name, function in INTEGERS.items():
        yield name, flat_integers(function)
    for name, make in LAYERS.items():
        yield name, layer(make)
        yield f"{name} training", layer(make, train=True)
        yield f"{name} channels_last", layer(make, last=True)
    for train in (False, True):
        yield f"linear{' training' if train else ''}", linear(train)
    for batched in (False, True):
        yield f"matmul{' batched' if batched else ''}", matmul(batched)
        yield f"matmul{' batched' if batched else ''} transposed", matmul(batched, True)
    for dtype in ("float64", "bfloat16"):
        yield f"matmul {dtype}", matmul(False, dtype=dtype)
    for dim in (0, 1):
        yield f"cat {dim}", joined(lambda torch, parts, dim=dim: torch.cat(parts, dim))
        yield f"stack {dim}", joined(lambda torch, parts, dim=dim: torch.stack(parts, dim))
    yield "stack last", joined(lambda torch, parts: torch.stack(parts, -1))


def cases(torch: Any) -> Iterator[tuple[str, Callable[[], Step]]]:
    """Each template on a few drawn shapes."""
    seed = os.environ.get("FLAMBEAU_BENCHMARK_SEED", "0")
    for name, build in templates():
        for number in range(ROWS_EACH):
            key = f"{seed}/{name}/{number}"
            yield f"{name} #{number}", lambda build=build, key=key: build(Draw(torch, key))

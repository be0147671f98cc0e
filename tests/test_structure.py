"""The structure behind the speed: how many kernels a piece of program launches, and how many bytes
they read and write. Times depend on the machine and its load; these figures do not.

The table holds today's figures as limits: a change may lower them (lower the table too, then), and
must not raise them without a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.ops.launches import record

ROWS, WIDTH = 64, 100
PLANE = 4 * ROWS * WIDTH  # bytes of the matrix that most cases work on
CASES: list[Case] = []


class Case(NamedTuple):
    """A step, and at most how many kernels it launches and bytes it moves."""

    build: Callable[[], Callable[[], Any]]
    launches: int
    bytes: int


def case(launches: int, bytes: int) -> Callable[[Any], Any]:
    """Decorator: the function builds the step of a case."""

    def enter(build: Callable[[], Callable[[], Any]]) -> Callable[[], Callable[[], Any]]:
        CASES.append(Case(build, launches, bytes))
        return build

    return enter


def recorded(step: Callable[[], Any]) -> Any:
    """The recording of one step, plans made and state there."""
    for _ in range(4):  # a compiled step watches a few calls before it replays
        step()
    with record() as kernels:
        step()
    return kernels


def matrix(requires_grad: bool = False) -> Any:
    return torch.randn(ROWS, WIDTH, requires_grad=requires_grad)


@case(launches=1, bytes=3 * PLANE)
def add() -> Callable[[], Any]:
    a, b = matrix(), matrix()
    return lambda: a + b


@case(launches=1, bytes=2 * PLANE)
def gelu() -> Callable[[], Any]:
    x = matrix()
    return lambda: nn.functional.gelu(x)


@case(launches=1, bytes=2 * PLANE)
def softmax() -> Callable[[], Any]:
    x = matrix()
    return lambda: torch.softmax(x, 1)


@case(launches=2, bytes=5 * PLANE)
def softmax_backward() -> Callable[[], Any]:
    """One kernel each way: the second reads y and g and writes the gradient."""
    x, g = matrix(requires_grad=True), matrix()
    return lambda: torch.autograd.grad(torch.softmax(x, 1), x, g)


@case(launches=1, bytes=2 * PLANE + 8 * (WIDTH + ROWS))
def layer_norm() -> Callable[[], Any]:
    x, weight, bias = matrix(), torch.randn(WIDTH), torch.randn(WIDTH)
    return lambda: nn.functional.layer_norm(x, (WIDTH,), weight, bias)


@case(launches=3, bytes=7 * PLANE + 24 * ROWS + 20 * WIDTH)
def layer_norm_backward() -> Callable[[], Any]:
    """One kernel forward, one for the gradient by the input, one for those by weight and bias."""
    x, g = matrix(requires_grad=True), matrix()
    weight, bias = (torch.randn(WIDTH, requires_grad=True) for _ in range(2))

    def step() -> Any:
        return torch.autograd.grad(
            nn.functional.layer_norm(x, (WIDTH,), weight, bias), (x, weight, bias), g
        )

    return step


@case(launches=2, bytes=5 * PLANE + 33 * 4 * 6)
def batch_norm_backward() -> Callable[[], Any]:
    """One kernel each way."""
    x, g = (torch.randn(4, 4, 20, 20) for _ in range(2))
    x.requires_grad_()

    def step() -> Any:
        return torch.autograd.grad(nn.functional.batch_norm(x, None, None, training=True), x, g)

    return step


@case(launches=2, bytes=(12 * 32 + 2) * 4 * 4 * 2 * 64)
def attention_backward() -> Callable[[], Any]:
    """Scores never reach memory."""
    q, k, v = (torch.randn(2, 4, 64, 32, requires_grad=True) for _ in range(3))
    g = torch.randn(2, 4, 64, 32)

    def step() -> Any:
        output = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.autograd.grad(output, (q, k, v), g)

    return step


@case(launches=2, bytes=5 * PLANE)
def gelu_backward() -> Callable[[], Any]:
    x, g = matrix(requires_grad=True), matrix()
    return lambda: torch.autograd.grad(nn.functional.gelu(x), x, g)


@case(launches=1, bytes=2 * PLANE)
def compiled_chain() -> Callable[[], Any]:
    """Four operations in one kernel."""
    x, chain = matrix(), torch.compile(lambda x: ((x * 2).exp() + 1).tanh())
    return lambda: chain(x)


@case(launches=1, bytes=5 * PLANE + 4 * WIDTH * (WIDTH + 1))
def compiled_product() -> Callable[[], Any]:
    """A product with its bias, the activation and the residual in one kernel."""
    x, weight, bias = matrix(), torch.randn(WIDTH, WIDTH), torch.randn(WIDTH)
    block = torch.compile(lambda x: x + nn.functional.gelu(nn.functional.linear(x, weight, bias)))
    return lambda: block(x)


def compiled(function: Callable[..., Any], *operands: Any) -> Callable[[], Any]:
    """The compiled function on these operands."""
    fast = torch.compile(function)
    return lambda: fast(*operands)


@case(launches=1, bytes=3 * PLANE)
def compiled_scores() -> Callable[[], Any]:
    """Softmax computes what it reads."""
    return compiled(lambda x, mask: torch.softmax(x * 0.125 + mask, 1), matrix(), matrix())


@case(launches=1, bytes=4 * PLANE)
def compiled_softmax_with_dropout() -> Callable[[], Any]:
    """... and what follows from its results."""
    mask = torch.rand(ROWS, WIDTH).gt(0.1).float()
    return compiled(lambda x, y: torch.softmax(x + y, 1) * mask, matrix(), matrix())


@case(launches=1, bytes=16 * PLANE + 8 * WIDTH)
def compiled_residual_and_layer_norm() -> Callable[[], Any]:
    """The sum is written as well."""
    weight, bias = torch.randn(WIDTH), torch.randn(WIDTH)

    def step(x: Any, y: Any) -> Any:
        total = x + y
        return total, nn.functional.layer_norm(total, (WIDTH,), weight, bias)

    return compiled(step, torch.randn(4 * ROWS, WIDTH), torch.randn(4 * ROWS, WIDTH))


@case(launches=1, bytes=2 * PLANE)
def compiled_batch_norm_and_activation() -> Callable[[], Any]:
    """A row is a channel of the batch: several segments."""
    step = lambda x: nn.functional.batch_norm(x, None, None, training=True).relu()
    return compiled(step, matrix().view(4, 16, WIDTH))


def by_hand(x: Any) -> Any:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1) + 1e-5).sqrt()[:, None]


@case(launches=1, bytes=2 * PLANE)
def compiled_norm_by_hand() -> Callable[[], Any]:
    """Reductions over the same rows and what is between them, views too."""
    return compiled(by_hand, matrix())


@case(launches=6, bytes=16 * PLANE)
def norm_by_hand() -> Callable[[], Any]:
    """The same in eager code."""
    x = matrix()
    return lambda: by_hand(x)


@case(launches=1, bytes=2 * PLANE)
def compiled_softmax_by_hand() -> Callable[[], Any]:
    def step(x: Any) -> Any:
        powers = (x - x.amax(-1, keepdim=True)).exp()
        return powers / powers.sum(-1, keepdim=True)

    return compiled(step, torch.randn(8, 8 * WIDTH))


@case(launches=1, bytes=PLANE + 12 * ROWS)
def compiled_sums_of_rows() -> Callable[[], Any]:
    """One pass over the elements."""
    return compiled(lambda x: (x.sum(1), x.amax(1), (x * x).mean(1)), matrix())


@case(launches=1, bytes=2 * PLANE + 4)
def compiled_distance() -> Callable[[], Any]:
    """What follows from a sum alone belongs to its kernel."""
    return compiled(lambda x, y: ((x - y) ** 2).mean().sqrt() / 3, matrix(), matrix())


@case(launches=2, bytes=40 * PLANE)
def compiled_block_backward() -> Callable[[], Any]:
    """Residual, layer norm, activation and their gradients; 9 kernels in eager code."""
    x, y, g = (torch.randn(4 * ROWS, WIDTH) for _ in range(3))
    x.requires_grad_()

    def step() -> Any:
        h = nn.functional.layer_norm(x + y, (WIDTH,)).relu()
        return torch.autograd.grad(h * 2 + x, x, g)

    return torch.compile(step)


@case(launches=3, bytes=7 * PLANE)
def accumulated_gradient() -> Callable[[], Any]:
    """Forward, the gradient, and its sum with what is in `x.grad`."""
    x, g = matrix(requires_grad=True), matrix()
    return lambda: (-x).backward(g)


def mlp() -> Any:
    return nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, 10))


PARAMETERS = 4 * (WIDTH * 32 + 32 + 32 * 10 + 10)


@case(launches=5, bytes=84_000)
def mlp_forward() -> Callable[[], Any]:
    """Two layers with their biases, the activation, and the loss in two kernels."""
    model, x, y = mlp(), matrix(), torch.randint(0, 10, (ROWS,))
    return lambda: nn.functional.cross_entropy(model(x), y)


@case(launches=15, bytes=315_000)
def mlp_training_step() -> Callable[[], Any]:
    model, x, y = mlp(), matrix(), torch.randint(0, 10, (ROWS,))
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> Any:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


@case(launches=15, bytes=315_000)
def compiled_training_step() -> Callable[[], Any]:
    """What a replay launches is counted too."""
    return torch.compile(mlp_training_step())


@case(launches=1, bytes=7 * PARAMETERS)
def adam_step() -> Callable[[], Any]:
    """One kernel for all parameters: reads them, their gradients and two moments, writes all but
    the second.
    """
    model = mlp()
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape)
    return torch.optim.Adam(model.parameters()).step


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.build.__name__)
def test_launches_and_bytes(case: Case) -> None:
    kernels = recorded(case.build())
    assert kernels.launches <= case.launches, kernels
    assert kernels.bytes <= case.bytes, kernels


def test_views_and_metadata_launch_nothing() -> None:
    x = matrix()
    step = lambda: (x.t()[3:7].unsqueeze(0).expand(2, 4, ROWS), x.shape, x.detach(), x.numel())
    assert recorded(step).launches == 0


def test_what_was_watched_runs_as_before() -> None:
    """A recording sees plans older than itself, and leaves nothing behind."""
    x = matrix()
    expected = x.exp()
    with record() as outer:
        torch.exp(x)
        with record() as inner:
            fresh = x.expm1()
    assert [launch.op for launch in outer.log] == ["exp", "expm1"]
    assert [launch.op for launch in inner.log] == ["expm1"]
    assert torch.equal(x.exp(), expected) and torch.equal(x.expm1(), fresh)
    assert outer.launches == 2


def test_plans_of_numpy_code_are_seen() -> None:
    x = torch.randn(4, 4)
    names = [launch.op for launch in recorded(lambda: torch.linalg.eigh(x)).log]
    assert names == ["linalg_eigh"], names


def test_large_kernels_count_once() -> None:
    """A kernel that runs in pieces over the threads is one launch."""
    x = torch.randn(1 << 20)
    kernels = recorded(lambda: x + x)
    assert (kernels.launches, kernels.bytes) == (1, 3 << 22)


def test_reading_a_broadcast_operand_counts_its_own_bytes() -> None:
    row = torch.randn(WIDTH)
    assert recorded(lambda: row.expand(ROWS, WIDTH) + 1.0).bytes == PLANE + 4 * WIDTH

"""`flambeau.compile` on the training steps that people write: the same losses, parameters,
gradients and buffers as without it, to the last bit, after nine steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F


class Program(NamedTuple):
    """A step, the module whose state it changes, and what makes the arguments of a call."""

    step: Callable[..., Any]
    module: nn.Module
    inputs: Callable[[], tuple[Any, ...]]


PROGRAMS: dict[str, Callable[[], Program]] = {}


def program(make: Callable[[], Program]) -> Callable[[], Program]:
    PROGRAMS[make.__name__] = make
    return make


def trainer(module: nn.Module, loss: Callable[..., Any], inputs: Any, optimizer: Any = None) -> Any:
    optimizer = optimizer or torch.optim.Adam(module.parameters(), lr=1e-2)

    def step(*arguments: Any) -> Any:
        optimizer.zero_grad()
        value = loss(module, *arguments)
        value.backward()
        optimizer.step()
        return value

    return Program(step, module, inputs)


def squares(module: nn.Module, x: Any) -> Any:
    found = module(x)
    return (found[0] if isinstance(found, tuple) else found).pow(2).mean()


@program
def lstm() -> Program:
    module = nn.LSTM(5, 8, num_layers=2, batch_first=True)
    return trainer(module, squares, lambda: (torch.randn(3, 6, 5),))


@program
def packed_lstm() -> Program:
    module = nn.LSTM(3, 4, bidirectional=True, batch_first=True)

    def loss(module: nn.Module, x: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, [4, 3, 2], batch_first=True)
        padded, _ = nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)
        return padded.pow(2).mean()

    return trainer(module, loss, lambda: (torch.randn(3, 4, 3),))


@program
def attention() -> Program:
    module = nn.MultiheadAttention(16, 4)
    loss = lambda module, x: module(x, x, x)[0].pow(2).mean()
    return trainer(module, loss, lambda: (torch.randn(6, 3, 16),))


@program
def transformer() -> Program:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)  # with dropout
    return trainer(nn.TransformerEncoder(layer, 2), squares, lambda: (torch.randn(3, 6, 16),))


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        return F.relu(x + self.norm(self.first(x)))


@program
def resnet() -> Program:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), Block(8), Block(8), *head)
    loss = lambda module, x, y: F.cross_entropy(module(x), y)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    make = lambda: (torch.randn(4, 3, 16, 16), torch.randint(0, 4, (4,)))
    return trainer(module, loss, make, optimizer)


@program
def upsampling() -> Program:
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.ConvTranspose2d(4, 2, 2, 2), nn.GroupNorm(2, 2),
    )  # fmt: skip
    return trainer(module, squares, lambda: (torch.randn(2, 1, 8, 8),))


@program
def variational_autoencoder() -> Program:
    module = nn.ModuleList([nn.Linear(6, 4), nn.Linear(2, 6)])

    def loss(module: Any, x: Any) -> Any:
        mean, spread = module[0](x).chunk(2, -1)
        sample = mean + torch.randn_like(mean) * (0.5 * spread).exp()
        rebuilt = F.mse_loss(module[1](sample), x, reduction="sum")
        return rebuilt - 0.5 * torch.sum(1 + spread - mean.pow(2) - spread.exp())

    return trainer(module, loss, lambda: (torch.randn(4, 6),))


@program
def adversarial_networks() -> Program:
    maker = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 3), nn.Tanh())
    judge = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    first = torch.optim.Adam(judge.parameters())
    second = torch.optim.Adam(maker.parameters())
    judged = F.binary_cross_entropy_with_logits

    def step(x: Any) -> Any:
        ones, zeros = torch.ones(x.shape[0], 1), torch.zeros(x.shape[0], 1)
        first.zero_grad()
        made = maker(torch.randn(x.shape[0], 2))
        loss = judged(judge(x), ones) + judged(judge(made.detach()), zeros)
        loss.backward()
        first.step()
        second.zero_grad()
        fooled = judged(judge(made), ones)
        fooled.backward()
        second.step()
        return loss, fooled

    return Program(step, nn.ModuleList([maker, judge]), lambda: (torch.randn(4, 3),))


@program
def embedding() -> Program:
    module = nn.Sequential(nn.Embedding(10, 4, padding_idx=0), nn.Flatten(), nn.Linear(12, 2))
    return trainer(module, squares, lambda: (torch.randint(0, 10, (5, 3)),))


@program
def weight_norm() -> Program:
    module = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    return trainer(module, squares, lambda: (torch.randn(3, 4),))


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


@program
def custom_function() -> Program:
    loss = lambda module, x: Cube.apply(module(x)).mean()
    return trainer(nn.Linear(4, 2), loss, lambda: (torch.randn(3, 4),))


@program
def moving_average() -> Program:
    module = nn.Linear(4, 2)
    average = copy.deepcopy(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = module(x).pow(2).sum()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(average.parameters(), module.parameters()):
                old.mul_(0.9).add_(new, alpha=0.1)
        return loss

    return Program(step, nn.ModuleList([module, average]), lambda: (torch.randn(3, 4),))


@program
def accumulation_and_clipping() -> Program:
    module = nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(module.parameters(), 0.1)

    def step(x: Any) -> Any:
        for part in x.chunk(2):
            (module(part).pow(2).sum() / 2).backward()
        nn.utils.clip_grad_value_(module.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        return module.weight.norm()

    return Program(step, module, lambda: (torch.randn(4, 4),))


@program
def updates_by_hand() -> Program:
    weight = nn.Parameter(torch.randn(4, 2))

    def step(x: Any) -> Any:
        loss = (x @ weight).pow(2).sum()
        loss.backward()
        weight.data -= 0.01 * weight.grad.data
        weight.grad = None
        return loss

    return Program(step, nn.ParameterList([weight]), lambda: (torch.randn(3, 4),))


@program
def evaluation() -> Program:
    module = nn.Linear(4, 3)

    def step(x: Any, y: Any) -> Any:
        with torch.no_grad():
            scores = module(x)
            order = scores.sort(descending=True)[1]
            return (scores.argmax(1) == y).float().mean(), scores.topk(2).values, order

    return Program(step, module, lambda: (torch.randn(5, 4), torch.randint(0, 3, (5,))))


@program
def indexing() -> Program:
    module = nn.Linear(4, 4)

    def step(x: Any) -> Any:
        module.zero_grad()
        found = module(x)
        found = torch.cat([found[:, ::2], found[:, 1:2]], 1)
        found[0, 0] = 3
        table = torch.zeros(5, 3).scatter_add(1, torch.tensor([[0, 1, 2]] * 5), found)
        loss = table.cumsum(0).tril().where(table > 0, found).sum()
        loss.backward()
        return loss

    return Program(step, module, lambda: (torch.randn(5, 4),))


@program
def gradient_penalty() -> Program:
    module = nn.Linear(4, 2)

    def step(x: Any) -> Any:
        value = module(x).pow(2).sum()
        grads = torch.autograd.grad(value, list(module.parameters()), create_graph=True)
        loss = sum((grad * grad).sum() for grad in grads)
        module.zero_grad()
        loss.backward()
        return loss

    return Program(step, module, lambda: (torch.randn(3, 4),))


@program
def differential_equation() -> Program:
    module = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(module: nn.Module) -> Any:
        x = torch.linspace(0, 1, 16).reshape(-1, 1).requires_grad_()
        u = module(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return (bend + u).pow(2).mean() + (module(torch.zeros(1, 1)) - 1).pow(2).sum()

    return trainer(module, loss, lambda: ())


@program
def mixed_precision() -> Program:
    def loss(module: nn.Module, x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = module(x)
        return found.float().pow(2).mean()

    return trainer(nn.Linear(4, 2), loss, lambda: (torch.randn(3, 4),))


@program
def hooks() -> Program:
    module = nn.Linear(4, 2)
    module.register_forward_hook(lambda module, inputs, output: output * 2)
    module.weight.register_hook(lambda grad: grad * 0.5)
    return trainer(module, squares, lambda: (torch.randn(3, 4),))


@program
def dictionaries() -> Program:
    loss = lambda module, batch: F.cross_entropy(module(batch["x"]), batch["y"])
    make = lambda: ({"x": torch.randn(3, 4), "y": torch.randint(0, 2, (3,))},)
    return trainer(nn.Linear(4, 2), loss, make)


def run(name: str, compiled: bool) -> tuple[list[Any], Any]:
    """All that nine steps leave behind, and the step."""
    torch.manual_seed(0)
    made = PROGRAMS[name]()
    step = torch.compile(made.step) if compiled else made.step
    torch.manual_seed(0)
    seen = []
    for _ in range(9):
        results = step(*made.inputs())
        results = results if isinstance(results, tuple) else (results,)
        seen += [x.detach().clone() for x in results]
    seen += [x.clone() for x in made.module.state_dict().values()]
    seen += [p.grad for p in made.module.parameters()]
    return seen, step


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_and_not(name: str) -> None:
    expected, _ = run(name, compiled=False)
    found, step = run(name, compiled=True)
    assert step.reason is None
    assert len(step.entries) == 1
    for a, b in zip(expected, found, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)

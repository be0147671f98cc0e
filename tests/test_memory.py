"""The allocator: what is held and kept for reuse, what happens when memory is out, and that loops
and graphs leave nothing behind."""

from __future__ import annotations

import gc
import sys

import pytest

import flambeau as torch

TOO_MUCH = (
    r"^\[enforce fail at alloc_cpu.cpp:127\] err == 0. DefaultCPUAllocator: can't allocate memory: "
    r"you tried to allocate {} bytes. Error code 12 \(Cannot allocate memory\)\n"
    r"  tensors hold \d+ bytes, and \d+ more were kept for reuse$"
)


def used() -> int:
    return torch.memory_stats()["used_bytes"]


def test_memory_is_counted_and_reused() -> None:
    gc.collect()
    torch.empty_cache()
    before = torch.memory_stats()
    x = torch.empty(1000, 1000)
    during = torch.memory_stats()
    assert 4_000_000 <= during["used_bytes"] - before["used_bytes"] <= 5_000_000
    assert during["peak_bytes"] >= during["used_bytes"]
    address = x.data_ptr()
    del x
    after = torch.memory_stats()
    assert after["used_bytes"] == before["used_bytes"]
    assert after["cached_bytes"] - before["cached_bytes"] >= 4_000_000
    y = torch.empty(1000, 1000)
    assert y.data_ptr() == address
    assert torch.memory_stats()["reused"] == after["reused"] + 1
    del y
    torch.empty_cache()
    assert torch.memory_stats()["cached_bytes"] == 0


def test_the_cache_is_bounded() -> None:
    limit = torch.memory_stats()["cache_limit"]
    assert 0 < limit < 1 << 50
    words = torch.zeros(0)._storage  # any storage: the engine has started
    assert words is not None
    from flambeau.runtime.memory import CACHE_LIMIT
    from flambeau.runtime.system import engine

    torch.empty_cache()
    engine.core.memory[CACHE_LIMIT] = 1 << 20
    try:
        blocks = [torch.empty(1 << 16) for _ in range(16)]
        del blocks
        assert torch.memory_stats()["cached_bytes"] <= 1 << 20
    finally:
        engine.core.memory[CACHE_LIMIT] = limit


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(1 << 50),
        lambda: torch.zeros(1).expand(1 << 50) + 1,
        lambda: torch.zeros(1).expand(1 << 50).clone(),
        lambda: torch.ones(3).new_empty(1 << 50),
        lambda: torch.ones(3).resize_(1 << 50),
        lambda: torch.tensor([1.0]).repeat(1 << 50),
        lambda: torch.nn.Linear(1 << 25, 1 << 25),
    ],
)
def test_memory_that_is_not_there(make) -> None:
    with pytest.raises(RuntimeError, match=TOO_MUCH.format(4 << 50)):
        make()
    assert (torch.ones(3) + 1).tolist() == [2, 2, 2]


def test_sizes_beyond_a_machine_word() -> None:
    for device in ("cpu", "meta"):
        with pytest.raises(RuntimeError, match="^Storage size calculation overflowed with sizes="):
            torch.empty(1 << 62, 4, device=device)
    with pytest.raises(RuntimeError, match="^numel: integer multiplication overflow$"):
        torch.zeros(1).expand(1 << 62, 1 << 10)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs ulimit -v")
def test_a_process_with_little_address_space(command_line) -> None:
    program = """
import resource, flambeau as torch
(torch.ones(4) + 1).sum()
size = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (size + (300 << 20), -1))
held = []
try:
    while True:
        held.append(torch.ones(4 << 20))
except RuntimeError as error:
    print(len(held) > 10, str(error).splitlines()[0].endswith("(Cannot allocate memory)"))
x = held.pop()
try:
    (x.view(2048, 2048) @ x.view(2048, 2048)).exp() + torch.cat(held)
except RuntimeError as error:
    print("no memory", "DefaultCPUAllocator" in str(error))
held.clear()
print((torch.ones(4 << 20) + x).sum().item())
"""
    done = command_line("-c", program, env={"OMP_NUM_THREADS": "1"})
    assert done.stdout == "True True\nno memory True\n8388608.0\n", done.stderr


# ---- nothing is left behind ----------------------------------------------------------------------


def train(steps: int) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.Tanh(), torch.nn.Linear(30, 5))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(16, 20), torch.randint(5, (16,))
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_a_training_loop_is_flat() -> None:
    train(3)
    gc.collect()
    gc.disable()  # nothing may depend on the collector
    try:
        before = used()
        train(1)
        kept = used() - before
        objects = len(gc.get_objects())
        before = used()
        train(300)
        assert used() - before <= kept + 4096
        assert len(gc.get_objects()) - objects < 200
    finally:
        gc.enable()


class Same(torch.autograd.Function):
    """A node written in Python that saves its input."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g * 1


DEEP = {
    "pointwise": (lambda y: y * 1.0, 100_000),
    "view": (lambda y: y[0:].view(3), 50_000),
    "in place": (lambda y: y.mul_(1.0), 50_000),
    "several results": (lambda y: y.expand(2, 3).max(0)[0], 20_000),
    "function": (Same.apply, 20_000),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_graphs_are_freed_without_recursion(name: str) -> None:
    function, length = DEEP[name]
    gc.collect()
    before = used()
    x = torch.ones(3, requires_grad=True)
    for backward in (True, False):
        y = x * 1
        for _ in range(length):
            y = function(y)
        if backward:
            y.sum().backward()
            assert x.grad.tolist() == [1, 1, 1]
    del x, y
    gc.collect()
    assert used() - before <= 1024


def test_wide_and_deep_graphs() -> None:
    x = torch.ones(2, requires_grad=True)
    sums = [x * i for i in range(500)]
    while len(sums) > 1:
        sums = [a + b for a, b in zip(sums[::2], sums[1::2], strict=False)] + (
            [sums[-1]] if len(sums) % 2 else []
        )
    sums[0].sum().backward()
    assert x.grad.tolist() == [sum(range(500))] * 2


def test_graphs_of_graphs_are_freed() -> None:
    gc.collect()
    before = used()
    for _ in range(20):
        x = torch.randn(1000, requires_grad=True)
        (g,) = torch.autograd.grad((x * x * x).sum(), x, create_graph=True)
        g.sum().backward()
        del x, g
    gc.collect()
    assert used() - before <= 1024


def test_saved_tensors_go_with_the_backward_pass() -> None:
    x = torch.randn(1 << 18, requires_grad=True)
    before = used()
    y = x.exp().tanh().sin().sum()
    assert used() - before >= 2 << 20
    y.backward()
    assert used() - before <= (1 << 20) + (1 << 18)  # the gradient


def test_errors_in_the_middle_of_a_pass_leave_nothing() -> None:
    gc.collect()
    before = used()

    def fail(grad):
        raise ValueError("no")

    for _ in range(5):
        x = torch.randn(10_000, requires_grad=True)
        y = x * 2
        y.register_hook(fail)
        with pytest.raises(ValueError, match="no"):
            ((y + 1) * x).sum().backward()
        del x, y
    gc.collect()
    assert used() - before <= 1024

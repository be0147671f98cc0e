"""The thread pool beside Python's threads, forks, interrupts and the end of the process."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import flambeau as torch

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")
SIZE = 1 << 20  # elements: well above what one thread does alone


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def total(x: torch.Tensor) -> float:
    """A few long kernels, one after the other."""
    return float(((x * 2 + 1).tanh() + x.exp()).double().sum())


# ---- numbers of threads --------------------------------------------------------------------------


def test_the_number_of_threads_can_be_changed() -> None:
    x = torch.linspace(-1, 1, SIZE)
    found = set()
    for count in (1, 2, 4, 1, 3):
        torch.set_num_threads(count)
        assert torch.get_num_threads() == count
        found.add(total(x))
    assert len(found) == 1  # reductions are split by the data, not by the threads


@pytest.mark.parametrize("count", [0, -1])
def test_wrong_numbers(count: int) -> None:
    with pytest.raises(RuntimeError, match="expects a positive integer"):
        torch.set_num_threads(count)
    with pytest.raises(RuntimeError, match="expects a positive integer"):
        torch.set_num_interop_threads(count)


def test_interop_threads_are_set_once(command_line) -> None:
    program = """
import flambeau as torch
torch.set_num_interop_threads(3)
print(torch.get_num_interop_threads())
try:
    torch.set_num_interop_threads(4)
except RuntimeError as error:
    print(error)
"""
    assert command_line("-c", program).stdout == (
        "3\nError: cannot set number of interop threads after parallel work has started or "
        "set_num_interop_threads called\n"
    )


@pytest.mark.parametrize(
    ("env", "count"),
    [
        ({"FLAMBEAU_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"FLAMBEAU_THREADS": "1"}, 1),
    ],
)
def test_switches(command_line, env: dict[str, str], count: int) -> None:
    program = "import flambeau as t; print(t.get_num_threads(), float((t.ones(1 << 20) + 1).sum()))"
    assert command_line("-c", program, env=env).stdout == f"{count} 2097152.0\n"


# ---- beside Python's threads ---------------------------------------------------------------------


def on_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """The results of `work(i)`, each on a thread of its own."""
    found: list[object] = [None] * count

    def run(i: int) -> None:
        found[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_kernels_of_several_threads_at_once() -> None:
    x = torch.linspace(-1, 1, SIZE)
    alone = total(x)
    assert on_threads(4, lambda i: [total(x) for _ in range(5)]) == [[alone] * 5] * 4


def test_training_on_several_threads() -> None:
    """Graphs, modes and gradients of one thread do not concern another."""

    def work(i: int) -> list[float]:
        w = torch.full((64, 64), 0.01, requires_grad=True)
        x = torch.ones(128, 64)
        for step in range(20):
            with torch.no_grad() if (i + step) % 2 else torch.enable_grad():
                y = (x @ w).relu()
            assert y.requires_grad == ((i + step) % 2 == 0)
            (x @ w).tanh().sum().backward()
        return [float(w.grad.sum())]

    results = on_threads(4, work)
    assert all(r == results[0] and r is not None for r in results)


def test_passes_of_several_threads_reach_the_same_leaf() -> None:
    small, large = torch.zeros(8, requires_grad=True), torch.zeros(SIZE, requires_grad=True)
    shared = (large * 1.0) + 0.0  # a graph that all of them walk at once

    def work(i: int) -> None:
        for _ in range(10):
            (small * 1.0).sum().backward()
            shared.sum().backward(retain_graph=True)

    on_threads(4, work)
    assert small.grad.tolist() == [40.0] * 8
    assert float(large.grad.min()) == float(large.grad.max()) == 40.0


@pytest.mark.parametrize("name", ["exp", "sort", "matmul", "sum", "conv", "backward"])
def test_long_kernels_let_other_threads_run(name: str) -> None:
    v, m = torch.rand(3 * SIZE), torch.rand(900, 900)
    image, weight = torch.rand(8, 32, 48, 48), torch.rand(32, 32, 3, 3)
    w = torch.rand(900, 900, requires_grad=True)
    work = {
        "exp": lambda: v.exp().log().tanh(),
        "sort": v.sort,
        "matmul": lambda: m @ m @ m,
        "sum": lambda: [v.std() for _ in range(8)],
        "conv": lambda: torch.nn.functional.conv2d(image, weight, padding=1),
        "backward": lambda: ((m @ w) @ m).sum().backward(),
    }[name]
    work()
    gaps: list[float] = []
    done = threading.Event()

    def watch() -> None:
        before = time.perf_counter()
        while not done.is_set():
            time.sleep(0.0002)
            now = time.perf_counter()
            gaps.append(now - before)
            before = now

    watcher = threading.Thread(target=watch)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    watcher.start()
    try:
        start = time.perf_counter()
        while time.perf_counter() - start < 0.15:
            work()
        seconds = time.perf_counter() - start
    finally:
        sys.setswitchinterval(interval)
        done.set()
        watcher.join()
    assert len(gaps) > 10, f"{len(gaps)} looks in {seconds:.2f} s"


# ---- forks, interrupts, the end ------------------------------------------------------------------


@POSIX
def test_a_forked_child_has_a_pool_of_its_own(command_line) -> None:
    program = """
import os, threading, flambeau as torch
torch.set_num_threads(2)
x = torch.ones(1 << 20)
busy = True
def work():
    while busy:
        (x + 1).sum()
threads = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in threads]
good = 0
for _ in range(5):
    child = os.fork()
    if child == 0:
        y = torch.linspace(0, 1, 1 << 20, requires_grad=True)
        (y.sinh() * 2).sum().backward()              # compiles, too
        os._exit(0 if float((x * 3).sum()) == 3 << 20 and y.grad is not None else 1)
    good += os.waitpid(child, 0)[1] == 0
busy = False
[t.join() for t in threads]
print(good, float((x + 1).sum()))
"""
    done = command_line("-c", program, timeout=60)
    assert (done.stdout, done.stderr) == ("5 2097152.0\n", "")


def test_workers_of_a_data_loader(command_line) -> None:
    program = """
import flambeau as torch
from flambeau.utils.data import DataLoader, TensorDataset
class Squares(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, i): return (torch.full((1 << 18,), float(i)) ** 2).sum() / (1 << 18)
if __name__ == "__main__":
    torch.set_num_threads(2)
    (torch.ones(1 << 20) + 1).sum()
    print([round(float(v)) for batch in DataLoader(Squares(), 2, num_workers=2) for v in batch])
"""
    done = command_line("-c", program, timeout=60)
    assert (done.stdout, done.stderr) == ("[0, 1, 4, 9, 16, 25, 36, 49]\n", "")


INTERRUPTED = """
import os, signal, threading, time, flambeau as torch
torch.set_num_threads(2)
def work():
    {work}
x = torch.rand(1 << 20)
w = torch.ones(4, requires_grad=True)
def after():
    time.sleep(0.4)
    os.kill(os.getpid(), signal.SIGINT)
(x.exp() + 1).sum()
threading.Thread(target=after).start()
start = time.perf_counter()
try:
    work()
except KeyboardInterrupt:
    print("interrupted", time.perf_counter() - start < 3)
y = (w * 2).tanh().sum()
y.backward()
print(float((torch.ones(1 << 20) + 1).sum()), w.grad is not None)
"""


@POSIX
@pytest.mark.parametrize(
    "work",
    [
        "while True: x.exp().sum()",
        "while True: (w * w).sum().backward()",
        "y = w\n    for _ in range(100000): y = y * 1\n    y = y.sum()\n"
        "    while True: y.backward(retain_graph=True)",
        "m = torch.rand(1500, 1500)\n    while True: m = m @ m",
    ],
)
def test_an_interrupt_ends_the_work_and_leaves_all_usable(command_line, work: str) -> None:
    done = command_line("-c", INTERRUPTED.format(work=work), timeout=60)
    assert (done.stdout, done.stderr) == ("interrupted True\n2097152.0 True\n", "")


def test_the_process_ends_while_threads_compute(command_line) -> None:
    program = """
import threading, flambeau as torch
x = torch.rand(1 << 21)
def work():
    while True:
        x.exp().sum()
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
for _ in range(20):
    (x + 1).sum()
print("end")
"""
    done = command_line("-c", program, timeout=60)
    assert (done.stdout, done.returncode) == ("end\n", 0), done.stderr

"""Starting the engine: at first use, once, from several threads, and again where it failed."""

from __future__ import annotations

import pytest

FAIL_AT = """
import sys
class Interrupt:
    name = {module!r}
    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            self.name = None
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
"""
PROGRAM = """
import flambeau as torch
try:
    torch.ones(2)
except KeyboardInterrupt:
    print("interrupted")
x = torch.ones(2, requires_grad=True)
y = (x * 3).exp().log()
y += 1
y.sum().backward()
print(y.tolist(), x.grad.tolist(), torch.Tensor.add(x, 1).tolist(), torch.zeros(2).add_(1).tolist())
"""
ANSWER = "[4.0, 4.0] [3.0, 3.0] [2.0, 2.0] [1.0, 1.0]\n"


@pytest.mark.parametrize(
    "module", ["runtime.native", "ops.arithmetic", "ops.softmax", "ops.kernels.strided", "ops.nn"]
)
def test_a_start_that_was_interrupted_begins_anew(command_line, module: str) -> None:
    done = command_line("-c", FAIL_AT.format(module=f"flambeau.{module}") + PROGRAM)
    assert (done.stdout, done.stderr) == ("interrupted\n" + ANSWER, "")


@pytest.mark.parametrize("calls", [1, 300, 900])
def test_also_where_the_ops_are_attached(command_line, calls: int) -> None:
    wrap = f"""
import flambeau.start as start
publish, left = start.publish, [{calls}]
def interrupted(*args):
    left[0] -= 1
    if left[0] == 0:
        raise KeyboardInterrupt
    publish(*args)
start.publish = interrupted
"""
    done = command_line("-c", wrap + PROGRAM)
    assert (done.stdout.splitlines()[-1] + "\n", done.stderr) == (ANSWER, "")


def test_threads_that_start_it_together(command_line) -> None:
    program = """
import threading, flambeau as torch
gate, found = threading.Barrier(6), []
def work():
    gate.wait()
    found.append(torch.ones(3).add(1).sum().item())
threads = [threading.Thread(target=work) for _ in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
print(found)
"""
    done = command_line("-c", program)
    assert (done.stdout, done.stderr) == ("[6.0, 6.0, 6.0, 6.0, 6.0, 6.0]\n", "")

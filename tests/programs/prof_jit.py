import torch, torch.nn as nn, io

torch.manual_seed(0)


class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 2)

    def forward(self, x):
        return self.l(x).relu()


m = M().eval()
x = torch.ones(1, 2)
from torch.profiler import profile, record_function, ProfilerActivity, schedule

with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as prof:
    with record_function("model_inference"):
        m(x)
table = prof.key_averages().table(sort_by="cpu_time_total", row_limit=10)
print("model_inference" in table, len(prof.key_averages()) > 0)
with torch.autograd.profiler.profile() as p2:
    m(x)
print(len(p2.key_averages()) > 0)
import torch.utils.benchmark as benchmark

t = benchmark.Timer(
    stmt="m(x)",
    globals={"m": m, "x": x},
    label="lin",
    sub_label="s",
    description="d",
    num_threads=1,
)
r = t.timeit(10)
print(type(r).__name__, r.mean > 0, r.median > 0)
r2 = t.blocked_autorange(min_run_time=0.01)
print(r2.number_per_run > 0)
c = benchmark.Compare([r, r2])
print("lin" in str(c))


def f(x: torch.Tensor) -> torch.Tensor:
    if x.sum() > 0:
        return x
    return -x


s = torch.jit.script(f)
print(s(-x))
tm = torch.jit.trace(m, x)
print(torch.equal(tm(x), m(x)))


@torch.jit.script
def g(a, b):
    return a + b


print(g(x, x))
sm = torch.jit.script(m)
print(torch.equal(sm(x), m(x)))


@torch.jit.ignore
def h(x):
    return x


@torch.no_grad()
def k():
    return (x * 1).requires_grad


print(k(), torch.jit.is_scripting())


@torch.compile
def fn(x):
    return torch.sin(x) + torch.cos(x)


print(fn(torch.zeros(2)))
import torch.distributed as dist

print(dist.is_initialized() if dist.is_available() else False)


class Scale(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {})


z = torch.ones(2).as_subclass(Scale)
print(type(z + 1).__name__, type(torch.add(z, 1)).__name__)


class ScalarTensor:
    def __init__(self, N, value):
        self._N, self._value = N, value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.mean:
            return args[0]._value / args[0]._N
        return NotImplemented


print(torch.mean(ScalarTensor(5, 2.0)))
try:
    torch.add(ScalarTensor(5, 2.0), 1)
except TypeError as e:
    print(str(e).split("\n")[0][:80])

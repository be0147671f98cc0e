import torch, torch.nn as nn, torch.nn.functional as F, math, random, operator
from functools import partial, wraps
from torch import tensor
from torch.nn import init
from collections import OrderedDict

torch.manual_seed(42)
torch.set_printoptions(precision=2, linewidth=140, sci_mode=False)


class Subclass(torch.Tensor):
    def show(self):
        return f"{type(self).__name__} {tuple(self.shape)}"


x = torch.rand(3, 4).as_subclass(Subclass)
print(
    x.show(),
    type(x + 1).__name__,
    type(x[0]).__name__,
    type(x.mean()).__name__,
    type(x.numpy()).__name__,
    type(torch.cat([x, x])).__name__,
)
print(x)


class TensorImage(torch.Tensor):
    @staticmethod
    def __new__(cls, x, *a, **k):
        return torch.as_tensor(x).as_subclass(cls)


ti = TensorImage([[1.0, 2.0], [3.0, 4.0]])
print(ti * 2, type(ti * 2).__name__, (ti == ti).all(), ti.sum().item())


class Hook:
    def __init__(self, m, f):
        self.hook = m.register_forward_hook(partial(f, self))

    def remove(self):
        self.hook.remove()

    def __del__(self):
        self.remove()


def append_stats(hook, mod, inp, outp):
    if not hasattr(hook, "stats"):
        hook.stats = ([], [])
    hook.stats[0].append(outp.data.mean())
    hook.stats[1].append(outp.data.std())


class GeneralRelu(nn.Module):
    def __init__(self, leak=None, sub=None, maxv=None):
        super().__init__()
        self.leak, self.sub, self.maxv = leak, sub, maxv

    def forward(self, x):
        x = F.leaky_relu(x, self.leak) if self.leak is not None else F.relu(x)
        if self.sub is not None:
            x -= self.sub
        if self.maxv is not None:
            x.clamp_max_(self.maxv)
        return x


def conv(ni, nf, ks=3, stride=2, act=True):
    layers = [nn.Conv2d(ni, nf, stride=stride, kernel_size=ks, padding=ks // 2)]
    if act:
        layers.append(GeneralRelu(0.1, 0.4, 6.0))
    return nn.Sequential(*layers)


model = nn.Sequential(
    conv(1, 8), conv(8, 16), conv(16, 10, act=False), nn.Flatten(), nn.Linear(10 * 4, 10)
)
hooks = [Hook(l, append_stats) for l in model[:2]]


def lsuv(m, m_in, xb):
    h = Hook(m, append_stats)
    with torch.no_grad():
        k = 0
        while (
            model(xb) is not None
            and (abs(h.stats[1][-1] - 1) > 1e-3 or abs(h.stats[0][-1]) > 1e-3)
            and k < 5
        ):
            m_in.bias -= h.stats[0][-1]
            m_in.weight.data /= h.stats[1][-1]
            k += 1
    h.remove()


xb, yb = torch.randn(32, 1, 16, 16), torch.randint(0, 10, (32,))
for l in model[:2]:
    lsuv(l, l[0], xb)
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=6e-2, total_steps=6)
for i in range(6):
    loss = F.cross_entropy(model(xb), yb)
    loss.backward()
    opt.step()
    opt.zero_grad()
    sched.step()
    print(f"{loss.item():.3f} {sched.get_last_lr()[0]:.5f} {opt.param_groups[0]['betas'][0]:.3f}")
print([round(float(s), 2) for s in hooks[0].stats[0][-3:]])


class BaseSchedCB:
    pass


def accuracy(out, yb):
    return (out.argmax(dim=1) == yb).float().mean()


print(accuracy(model(xb), yb))


class Dataset:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


ds = Dataset(xb, yb)
print([t.shape for t in ds[0:5]])


def fit(epochs):
    for e in range(epochs):
        for i in range((len(ds) - 1) // 8 + 1):
            s = slice(i * 8, min(len(ds), i * 8 + 8))
            xb_, yb_ = ds[s]
    return xb_.shape


print(fit(1))


def plot_func(f, tx=None):
    return f(torch.linspace(-2, 2, 5))


print(plot_func(partial(F.leaky_relu, negative_slope=0.1)), plot_func(torch.erf))


class Learner:
    def __getattr__(self, name):
        if name in ("predict", "get_loss"):
            return partial(self.cb, name)
        raise AttributeError(name)

    def cb(self, n):
        return n


print(Learner().predict())
state = {k: v.shape for k, v in model.state_dict().items()}
print(state)
inp = torch.randn(2, 3)
n = tensor([1, 2, 3])
print(n.float().std(), n.tolist(), (inp**2).mean().sqrt(), inp.lt(0).sum(), inp.t() @ inp)
m = {k: v for k, v in zip(["a", "b"], torch.eye(2))}
print(m)
print(torch.stack([v for v in m.values()]).max(0))


class SingleBatchCB:
    order = 1


noise = torch.randn(3, 3)
ab = torch.linspace(1, 0, 5).cumprod(0).clip(0, 0.99)
print(
    ab,
    ab.reshape(-1, 1, 1).shape,
    (noise * ab[2] ** 0.5 + (1 - ab[2]) ** 0.5).shape,
    torch.randint(0, 5, (3,), dtype=torch.long).shape,
)

import torch, torch.nn as nn, torch.nn.functional as F, math, warnings, contextlib, threading, gc, weakref, sys, os

torch.manual_seed(0)


class MySGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1, m=0.9):
        super().__init__(params, dict(lr=lr, m=m))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for g in self.param_groups:
            for p in g["params"]:
                if p.grad is None:
                    continue
                st = self.state[p]
                if len(st) == 0:
                    st["step"] = 0
                    st["buf"] = torch.zeros_like(p)
                st["step"] += 1
                st["buf"].mul_(g["m"]).add_(p.grad)
                p.add_(st["buf"], alpha=-g["lr"])
        return loss


w = nn.Parameter(torch.tensor([3.0, -2.0]))
o = MySGD([w])
for i in range(5):
    o.zero_grad()
    l = (w**2).sum()
    l.backward()
    o.step()
print(w, o.state[w]["step"], o)
print(o.state_dict())


class LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(x, weight, bias):
        return x.mm(weight.t()) + bias

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, weight, bias = inputs
        ctx.save_for_backward(x, weight, bias)

    @staticmethod
    def backward(ctx, g):
        x, weight, bias = ctx.saved_tensors
        gi = gw = gb = None
        if ctx.needs_input_grad[0]:
            gi = g.mm(weight)
        if ctx.needs_input_grad[1]:
            gw = g.t().mm(x)
        if ctx.needs_input_grad[2]:
            gb = g.sum(0)
        return gi, gw, gb


print(
    torch.autograd.gradcheck(
        LinearFunction.apply,
        (
            torch.randn(2, 3, dtype=torch.double, requires_grad=True),
            torch.randn(4, 3, dtype=torch.double, requires_grad=True),
            torch.randn(4, dtype=torch.double, requires_grad=True),
        ),
    )
)


class Quant(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


x = torch.tensor([0.3, 1.7], requires_grad=True)
Quant.apply(x).sum().backward()
print(x.grad, Quant.apply(x))
a = torch.randn(3, requires_grad=True)
b = a * 2
b.retain_grad()
c = b.sum()
c.backward()
print(b.grad, a.grad)
try:
    c.backward()
except RuntimeError as e:
    print(str(e)[:60])
try:
    z = torch.ones(2, requires_grad=True)
    q = z.exp()
    q.add_(1)
    q.sum().backward()
except RuntimeError as e:
    print(str(e)[:100])
with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
    y = (a**2).sum()
    y.backward()
with torch.autograd.set_detect_anomaly(False):
    pass
gs = []


def hook(g):
    gs.append(g.clone())


p = nn.Linear(2, 2)
h = p.weight.register_hook(hook)
p.weight.register_post_accumulate_grad_hook(lambda t: gs.append("acc"))
p(torch.ones(1, 2)).sum().backward()
print(gs)
h.remove()
print(
    torch.autograd.grad((a**3).sum(), a, create_graph=True)[0].requires_grad,
    torch.autograd.grad(a.sum(), [a], grad_outputs=torch.tensor(2.0)),
    torch.autograd.functional.jvp(lambda t: t**2, a.detach(), torch.ones(3))[1].shape,
    torch.autograd.functional.hvp(lambda t: (t**3).sum(), torch.ones(2), torch.ones(2)),
)
t = torch.zeros(2)
th = [threading.Thread(target=lambda i=i: t[i].add_(i + 1)) for i in range(2)]
[k.start() for k in th]
[k.join() for k in th]
print(t)
r = weakref.ref(torch.ones(1))
gc.collect()
print(r() is None)


class Buf(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("tmp", torch.ones(1), persistent=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)])
        self.d = nn.ParameterDict({"a": nn.Parameter(torch.ones(1))})

    def forward(self, x):
        for l in self.layers:
            x = l(x)
        return x * self.scale + self.mean

    def extra_repr(self):
        return "hello=1"


m = Buf()
print(m)
print(
    list(m.state_dict()),
    [n for n, _ in m.named_parameters()],
    [n for n, _ in m.named_buffers()],
    m.double().scale.dtype,
    m.float().half().mean.dtype,
    sum(1 for _ in m.children()),
    m.training,
    m.eval().training,
    [n for n, _ in m.named_modules()],
)
m.float()
m.requires_grad_(False)
print(any(p.requires_grad for p in m.parameters()))
m.zero_grad()
print(m.get_buffer("mean"), m._modules.keys())
try:
    m.foo
except AttributeError as e:
    print(e)
try:
    m.register_parameter("x.y", None)
except KeyError as e:
    print(e)
try:
    m.load_state_dict({"scale": torch.ones(2), "zzz": torch.ones(1)})
except RuntimeError as e:
    print(str(e))
try:
    nn.Linear(2, 3)(torch.ones(3))
except RuntimeError as e:
    print(str(e).split("\n")[0])
try:
    nn.Module()(1)
except NotImplementedError as e:
    print(str(e)[:80])
print(
    nn.init.calculate_gain("leaky_relu", 0.2),
    nn.init.xavier_uniform_(torch.empty(2, 3)).shape,
    nn.init.eye_(torch.empty(2, 2)),
    nn.init.trunc_normal_(torch.empty(3)),
    nn.init.kaiming_uniform_(torch.empty(2, 2), a=math.sqrt(5)),
    nn.init.sparse_(torch.empty(3, 2), 0.5),
    nn.init.dirac_(torch.empty(1, 1, 3)),
    nn.init.orthogonal_(torch.empty(2, 2)).abs().sum() > 1,
)
f = torch.compile(lambda q: (q * 2).relu().sum())
print(f(torch.tensor([-1.0, 2.0])))
print(torch.cuda.amp is not None, torch.random.fork_rng is not None)
with torch.random.fork_rng():
    torch.manual_seed(5)
    u = torch.rand(1)
print(torch.rand(1), torch.initial_seed(), torch.seed() > 0)
g = torch.Generator()
g.manual_seed(7)
print(
    torch.rand(2, generator=g),
    g.initial_seed(),
    torch.randperm(5, generator=g),
    torch.normal(0.0, 1.0, (2,), generator=g),
    torch.empty(3).exponential_(generator=g),
    torch.empty(2).log_normal_(generator=g),
    torch.bernoulli(torch.full((3,), 0.5), generator=g),
    torch.multinomial(torch.ones(4), 2, generator=g),
    torch.empty(3).geometric_(0.5, generator=g),
    torch.empty(2).cauchy_(generator=g),
    torch.poisson(torch.ones(3), generator=g),
    torch.randint(3, (2, 2), generator=g),
)
st = g.get_state()
v1 = torch.rand(1, generator=g)
g.set_state(st)
print(v1 == torch.rand(1, generator=g))
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

warnings.warn("hi") if False else None
print(
    torch.nn.functional.one_hot(torch.tensor([0, 2])),
    F.normalize(torch.tensor([[3.0, 4.0]])),
    F.cosine_similarity(torch.ones(1, 2), torch.tensor([[1.0, 0.0]])),
    F.glu(torch.ones(4)),
    F.softplus(torch.tensor(1.0)),
    F.hardswish(torch.tensor([1.0])),
    F.mish(torch.tensor([1.0])),
    F.logsigmoid(torch.tensor([0.0])),
    F.softmin(torch.tensor([1.0, 2.0]), dim=0),
    F.poisson_nll_loss(torch.tensor([1.0]), torch.tensor([2.0])),
    F.gaussian_nll_loss(torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([1.0])),
    F.multilabel_soft_margin_loss(torch.ones(1, 2), torch.ones(1, 2)),
    F.soft_margin_loss(torch.ones(2), torch.ones(2)),
    F.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2), pos_weight=torch.tensor(2.0)),
    F.cross_entropy(torch.eye(2), torch.tensor([[0.5, 0.5], [0.0, 1.0]])),
    F.smooth_l1_loss(torch.ones(2), torch.zeros(2), beta=0.5),
    F.kl_div(torch.tensor([0.5]).log(), torch.tensor([0.5]), reduction="sum"),
)

import torch, torch.nn as nn, torch.nn.functional as F, math
from torch.func import (
    functional_call,
    vmap,
    grad,
    jacrev,
    jacfwd,
    hessian,
    vjp,
    jvp,
    grad_and_value,
    stack_module_state,
)

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 1))
params = dict(net.named_parameters())
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for it in range(4):
    meta = 0.0
    for task in range(3):
        amp, ph = torch.rand(1) * 4.9 + 0.1, torch.rand(1) * math.pi
        x = torch.rand(5, 1) * 10 - 5
        y = amp * torch.sin(x + ph)
        loss = F.mse_loss(functional_call(net, params, (x,)), y)
        gs = torch.autograd.grad(loss, params.values(), create_graph=True)
        fast = {k: p - 0.01 * g for (k, p), g in zip(params.items(), gs)}
        x2 = torch.rand(5, 1) * 10 - 5
        meta = meta + F.mse_loss(functional_call(net, fast, (x2,)), amp * torch.sin(x2 + ph))
    opt.zero_grad()
    meta.backward()
    opt.step()
    print(f"{meta.item():.4f}")


def compute_loss(p, x, y):
    return F.mse_loss(functional_call(net, p, (x.unsqueeze(0),)), y.unsqueeze(0))


x, y = torch.randn(6, 1), torch.randn(6, 1)
pd = {k: v.detach() for k, v in net.named_parameters()}
per = vmap(grad(compute_loss), in_dims=(None, 0, 0))(pd, x, y)
print({k: tuple(v.shape) for k, v in per.items()}, f"{per['0.weight'].norm():.4f}")
full = grad(lambda p: F.mse_loss(functional_call(net, p, (x,)), y))(pd)
print(torch.allclose(per["2.bias"].mean(0), full["2.bias"], atol=1e-5))
f = lambda v: v.sin().sum()
print(
    grad(f)(torch.tensor([0.0, 1.0])),
    jacrev(torch.sin)(torch.tensor([0.0, 1.0])),
    jacfwd(torch.cos)(torch.tensor([0.0, 1.0])),
)
print(hessian(lambda v: (v**3).sum())(torch.tensor([1.0, 2.0])))
out, vf = vjp(torch.sin, torch.tensor([0.0, 1.0]))
print(out, vf(torch.ones(2)))
print(jvp(torch.sin, (torch.tensor([0.0, 1.0]),), (torch.ones(2),)))
print(grad_and_value(f)(torch.tensor([0.5])))
print(vmap(torch.dot)(torch.ones(3, 4), torch.arange(12.0).view(3, 4)))
print(vmap(lambda a, b: a @ b, in_dims=(0, None))(torch.ones(2, 3), torch.eye(3)))
print(vmap(vmap(torch.mul))(torch.ones(2, 3), torch.arange(6.0).view(2, 3)))
print(vmap(lambda a: (a.sum(), {"m": a.max()}), out_dims=0)(torch.arange(6.0).view(2, 3)))
print(vmap(torch.sum, in_dims=1, out_dims=0)(torch.arange(6.0).view(2, 3)))
models = [nn.Linear(2, 2) for _ in range(3)]
ps, bs = stack_module_state(models)
print(ps["weight"].shape)
import copy

base = copy.deepcopy(models[0]).to("meta")
print(
    vmap(lambda p, b, z: functional_call(base, (p, b), (z,)), in_dims=(0, 0, None))(
        ps, bs, torch.ones(4, 2)
    ).shape
)
print(grad(grad(lambda a: a**4))(torch.tensor(2.0)))
jac = jacrev(lambda a, b: a * b, argnums=(0, 1))(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
print(jac)
print(torch.vmap(lambda a: a + 1)(torch.zeros(2)))

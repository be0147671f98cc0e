import torch, torch.nn as nn, copy, os, tempfile

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
X, y = torch.randn(64, 10), torch.randn(64, 1)
scaler = torch.amp.GradScaler("cpu", enabled=False)
for i in range(4):
    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        out = model(X[i * 16 : (i + 1) * 16])
        loss = nn.functional.mse_loss(out.float(), y[i * 16 : (i + 1) * 16])
    if i == 0:
        print(out.dtype, loss.dtype)
    scaler.scale(loss / 2).backward()
    if i % 2:
        scaler.unscale_(opt)
        n = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
        print(f"{loss.item():.3f} {n.item():.3f}")
with torch.amp.autocast("cpu", dtype=torch.bfloat16):
    a = torch.randn(4, 4)
    print(
        (a @ a).dtype,
        (a + a).dtype,
        torch.nn.functional.softmax(a @ a, -1).dtype,
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
    )
    with torch.autocast("cpu", enabled=False):
        print((a @ a).dtype)


class EarlyStopper:
    def __init__(self, patience=1):
        self.patience, self.c, self.best = patience, 0, float("inf")

    def __call__(self, v):
        if v < self.best:
            self.best, self.c = v, 0
        else:
            self.c += 1
        return self.c >= self.patience


es = EarlyStopper(2)
best = None
for ep in range(20):
    opt.zero_grad()
    loss = nn.functional.huber_loss(model(X), y)
    loss.backward()
    opt.step()
    if es(loss.item()):
        print("stop", ep)
        break
    best = copy.deepcopy(model.state_dict())
d = tempfile.mkdtemp()
path = os.path.join(d, "c.pt")
torch.save(
    {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": opt.state_dict(),
        "loss": loss,
        "rng": torch.get_rng_state(),
    },
    path,
)
ck = torch.load(path)
print(ck["epoch"], sorted(ck), ck["loss"], type(ck["model_state_dict"]).__name__, ck["rng"].shape)
m2 = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
m2.load_state_dict(ck["model_state_dict"])
o2 = torch.optim.AdamW(m2.parameters())
o2.load_state_dict(ck["optimizer_state_dict"])
print(o2.param_groups[0]["lr"], o2.state_dict()["state"][0]["step"])
ema = copy.deepcopy(model)
with torch.no_grad():
    for pe, p in zip(ema.parameters(), model.parameters()):
        pe.mul_(0.99).add_(p, alpha=0.01)
        pe.lerp_(p, 0.1)
print(f"{ema[0].weight.norm().item():.4f}")
from torch.nn.utils import (
    weight_norm,
    spectral_norm,
    parametrize,
    prune,
    remove_weight_norm,
    parameters_to_vector,
    vector_to_parameters,
)
import warnings

warnings.simplefilter("ignore")
wn = weight_norm(nn.Linear(4, 3), name="weight")
print(wn, wn.weight_g.shape, [n for n, _ in wn.named_parameters()])
print(remove_weight_norm(wn))
sn = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))
print(sn)
print(f"{torch.linalg.matrix_norm(sn.weight, 2).item():.2f}")
wn2 = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
print(wn2, sorted(wn2.state_dict()))


class Sym(nn.Module):
    def forward(self, X):
        return X.triu() + X.triu(1).transpose(-1, -2)


lin = nn.Linear(3, 3)
parametrize.register_parametrization(lin, "weight", Sym())
print(lin, torch.allclose(lin.weight, lin.weight.T), parametrize.is_parametrized(lin))
parametrize.remove_parametrizations(lin, "weight")
print(lin)
orth = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))
print(torch.allclose(orth.weight @ orth.weight.T, torch.eye(3), atol=1e-5))
l = nn.Linear(4, 3)
prune.random_unstructured(l, name="weight", amount=0.3)
print(list(l.named_parameters()), list(l.named_buffers()))
prune.l1_unstructured(l, "bias", amount=1)
print(l.bias, l._forward_pre_hooks.values().__len__())
prune.ln_structured(l, "weight", amount=0.5, n=2, dim=0)
print(l.weight)
print(prune.is_pruned(l))
prune.remove(l, "weight")
print(list(l.state_dict()))
net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
prune.global_unstructured(
    [(net[0], "weight"), (net[1], "weight")], pruning_method=prune.L1Unstructured, amount=0.2
)
print(sum(int((m.weight == 0).sum()) for m in net))
v = parameters_to_vector(l.parameters())
print(v.shape)
vector_to_parameters(torch.zeros_like(v), l.parameters())
print(l.weight if hasattr(l, "weight") else "")
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

z = torch.randn(2, 10, requires_grad=True)
checkpoint(model, z, use_reentrant=False).sum().backward()
print(z.grad.shape)
checkpoint_sequential(model, 2, z, use_reentrant=False).sum().backward()

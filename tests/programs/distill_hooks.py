import torch, torch.nn as nn, torch.nn.functional as F
from collections import OrderedDict

torch.manual_seed(7)
teacher = nn.Sequential(
    OrderedDict(
        [
            ("conv", nn.Conv2d(1, 16, 3, padding=1)),
            ("bn", nn.BatchNorm2d(16)),
            ("act", nn.ReLU()),
            ("pool", nn.AdaptiveAvgPool2d((2, 2))),
            ("flat", nn.Flatten()),
            ("fc", nn.Linear(64, 10)),
        ]
    )
)
student = nn.Sequential(
    OrderedDict(
        [
            ("conv", nn.Conv2d(1, 4, 3, padding=1)),
            ("act", nn.ReLU()),
            ("pool", nn.AdaptiveAvgPool2d((2, 2))),
            ("flat", nn.Flatten()),
            ("fc", nn.Linear(16, 10)),
        ]
    )
)
x = torch.randn(16, 1, 8, 8)
y = torch.randint(0, 10, (16,))
T = 2
teacher.eval()
opt = torch.optim.Adam(student.parameters(), lr=1e-2)
for i in range(4):
    opt.zero_grad()
    with torch.no_grad():
        tl = teacher(x)
    sl = student(x)
    soft_t = F.softmax(tl / T, dim=-1)
    soft_p = F.log_softmax(sl / T, dim=-1)
    kd = torch.sum(soft_t * (soft_t.log() - soft_p)) / soft_p.size()[0] * (T**2)
    kl = nn.KLDivLoss(reduction="batchmean")(soft_p, soft_t)
    loss = 0.25 * kd + 0.75 * F.cross_entropy(sl, y)
    loss.backward()
    opt.step()
    print(f"{loss.item():.4f} {kl.item():.5f}")
activation = {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


h1 = teacher.conv.register_forward_hook(get_activation("conv"))
h2 = teacher.fc.register_forward_pre_hook(lambda m, inp: print("pre", [t.shape for t in inp]))
h3 = teacher.fc.register_full_backward_hook(
    lambda m, gi, go: print(
        "bwd", [None if g is None else tuple(g.shape) for g in gi], [tuple(g.shape) for g in go]
    )
)
out = teacher(x)
out.sum().backward()
print(activation["conv"].shape, f"{activation['conv'].mean():.4f}")
h1.remove()
h2.remove()
h3.remove()
v = torch.tensor([0.0, 0.0, 0.0], requires_grad=True)
h = v.register_hook(lambda grad: grad * 2)
v.backward(torch.tensor([1.0, 2.0, 3.0]))
print(v.grad)
h.remove()
for name, module in teacher.named_modules():
    print(name, "->", module.__class__.__name__)
for name, child in student.named_children():
    print(name, child)
print(teacher[0], teacher[-1], len(teacher), teacher[:2])
for p in teacher.parameters():
    p.requires_grad = False
print([n for n, p in teacher.named_parameters() if p.requires_grad])
teacher.fc = nn.Linear(64, 3)
print([n for n, p in teacher.named_parameters() if p.requires_grad])


def summary(m):
    total = 0
    for n, p in m.named_parameters():
        total += p.numel()
        print(f"{n:<20}{str(list(p.shape)):<20}{p.numel():>8}")
    print("total", total)


summary(student)
student.add_module("extra", nn.Identity())
print(student)
print(student.get_submodule("fc"), student.get_parameter("fc.bias").shape)
ad = nn.ModuleDict({"lin": nn.Linear(2, 2), "act": nn.PReLU()})
print(ad, list(ad.keys()))
pl = nn.ParameterList([nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(1, 3))])
print(pl)
try:
    student.load_state_dict({"conv.weight": torch.ones(2)})
except RuntimeError as e:
    print(e)
print(student.load_state_dict({}, strict=False))

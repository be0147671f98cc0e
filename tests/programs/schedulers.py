import torch, warnings
from torch.optim import lr_scheduler as S

m = torch.nn.Linear(2, 1)


def run(name, make, n=6, metric=False, lr=0.1):
    opt = torch.optim.SGD(m.parameters(), lr=lr, momentum=0.9)
    s = make(opt)
    out = []
    for i in range(n):
        opt.step()
        out.append(round(opt.param_groups[0]["lr"], 6))
        s.step(1.0) if metric else s.step()
    print(name, out)
    return s


run("step", lambda o: S.StepLR(o, 2, 0.5))
run("multi", lambda o: S.MultiStepLR(o, [1, 3]))
run("exp", lambda o: S.ExponentialLR(o, 0.9))
run("cos", lambda o: S.CosineAnnealingLR(o, 5))
run("lambda", lambda o: S.LambdaLR(o, lambda e: 0.95**e))
run("mult", lambda o: S.MultiplicativeLR(o, lambda e: 0.9))
run("const", lambda o: S.ConstantLR(o, 0.5, 3))
run("linear", lambda o: S.LinearLR(o, 0.5, total_iters=4))
run("poly", lambda o: S.PolynomialLR(o, 5, 2))
run("warm", lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2))
run("onecycle", lambda o: S.OneCycleLR(o, 0.5, total_steps=10))
run("cyclic", lambda o: S.CyclicLR(o, 0.01, 0.1, 2))
run("plateau", lambda o: S.ReduceLROnPlateau(o, patience=1), metric=True)
run("seq", lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)], [2]))
run("chained", lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)]))
s = run("sd", lambda o: S.StepLR(o, 2))
print(s.state_dict(), s.get_last_lr(), s.last_epoch)


class Noam(S.LRScheduler):
    def __init__(self, opt, d, w):
        self.d, self.w = d, w
        super().__init__(opt)

    def get_lr(self):
        k = max(1, self.last_epoch)
        return [self.d**-0.5 * min(k**-0.5, k * self.w**-1.5) for _ in self.base_lrs]


run("noam", lambda o: Noam(o, 64, 3))
from torch.optim.swa_utils import AveragedModel, SWALR, update_bn, get_ema_multi_avg_fn

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
swa = AveragedModel(net)
ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
sw = SWALR(opt, swa_lr=0.05, anneal_epochs=2)
xs = torch.randn(8, 3)
for i in range(4):
    opt.zero_grad()
    net(xs).pow(2).mean().backward()
    opt.step()
    swa.update_parameters(net)
    ema.update_parameters(net)
    sw.step()
update_bn([xs, xs], swa)
print(swa(xs)[:2], ema.module[0].bias, swa.n_averaged, opt.param_groups[0]["lr"])
for name in [
    "SGD",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Adagrad",
    "Adadelta",
    "ASGD",
    "Adafactor",
]:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(3))
    o = getattr(torch.optim, name)([p], lr=0.01)
    for _ in range(5):
        o.zero_grad()
        (p**2).sum().backward()
        o.step()
    print(name, p.data, sorted(o.state_dict()["state"][0]) if o.state_dict()["state"] else None)
o = torch.optim.SGD(
    [
        {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 1e-2},
        {"params": [torch.nn.Parameter(torch.ones(1))]},
    ],
    lr=1e-3,
    momentum=0.9,
)
print(o)
try:
    torch.optim.SGD([], lr=0.1)
except ValueError as e:
    print(e)
try:
    torch.optim.Adam([torch.ones(1)], lr=-1)
except ValueError as e:
    print(e)

import torch, torch.nn as nn, torch.nn.functional as F, copy

torch.manual_seed(0)


class STN(nn.Module):
    def __init__(self):
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=7),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
            nn.Conv2d(8, 10, kernel_size=5),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
        )
        self.fc_loc = nn.Sequential(nn.Linear(10 * 3 * 3, 32), nn.ReLU(True), nn.Linear(32, 6))
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
        self.out = nn.Linear(784, 10)

    def stn(self, x):
        xs = self.localization(x).view(-1, 90)
        theta = self.fc_loc(xs).view(-1, 2, 3)
        return F.grid_sample(
            x, F.affine_grid(theta, x.size(), align_corners=False), align_corners=False
        )

    def forward(self, x):
        return F.log_softmax(self.out(self.stn(x).flatten(1)), 1)


m = STN()
o = torch.optim.SGD(m.parameters(), lr=0.01)
x, y = torch.randn(8, 1, 28, 28), torch.randint(0, 10, (8,))
for i in range(3):
    o.zero_grad()
    l = F.nll_loss(m(x), y)
    l.backward()
    o.step()
    print(f"{l.item():.4f}")


def fgsm(image, eps, g):
    return torch.clamp(image + eps * g.sign(), 0, 1)


img = torch.rand(1, 1, 28, 28, requires_grad=True)
l = F.nll_loss(m(img), torch.tensor([3]))
m.zero_grad()
l.backward()
p = fgsm(img, 0.1, img.grad.data)
print(p.shape, f"{(p - img).abs().max().item():.2f}", m(p).max(1, keepdim=True)[1].shape)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, i, o, s=1):
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, s, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.downsample = (
            nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))
            if s != 1 or i != o
            else None
        )

    def forward(self, x):
        idn = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            idn = self.downsample(x)
        out += idn
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 5)
        for mod in self.modules():
            if isinstance(mod, nn.Conv2d):
                nn.init.kaiming_normal_(mod.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(mod, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(mod.weight, 1)
                nn.init.constant_(mod.bias, 0)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


r = ResNet()
print(r)
x = torch.randn(4, 3, 32, 32)
y = torch.tensor([0, 1, 2, 3])
crit = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0]))
o = torch.optim.SGD(r.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
best = copy.deepcopy(r.state_dict())


def train(phase):
    r.train() if phase == "train" else r.eval()
    o.zero_grad()
    with torch.set_grad_enabled(phase == "train"):
        out = r(x)
        _, preds = torch.max(out, 1)
        loss = crit(out, y)
        if phase == "train":
            loss.backward()
            o.step()
    return loss.item() * x.size(0), torch.sum(preds == y.data)


for e in range(2):
    for ph in ("train", "val"):
        l, c = train(ph)
        print(f"{ph} {l:.3f} {c.double() / 4:.2f}")


def accuracy(output, target, topk=(1,)):
    with torch.no_grad():
        _, pred = output.topk(max(topk), 1, True, True)
        pred = pred.t()
        correct = pred.eq(target.view(1, -1).expand_as(pred))
        return [
            correct[:k].reshape(-1).float().sum(0, keepdim=True).mul_(100.0 / target.size(0))
            for k in topk
        ]


print(accuracy(torch.randn(4, 5), y, (1, 3)))
r.load_state_dict(best)
print(r.bn1.num_batches_tracked, r.bn1.running_mean[:3])
xc = x.contiguous(memory_format=torch.channels_last)
print(
    xc.stride(),
    xc.is_contiguous(memory_format=torch.channels_last),
    r.to(memory_format=torch.channels_last)(xc).shape,
)
feat = {}
r.layer1[0].register_forward_hook(lambda mod, i, out: feat.update(x=out))
r(x)
print(feat["x"].shape)


def style_gram(t):
    a, b, c, d = t.size()
    f = t.view(a * b, c * d)
    return torch.mm(f, f.t()).div(a * b * c * d)


c_img = torch.rand(1, 3, 8, 8).requires_grad_(True)
lb = torch.optim.LBFGS([c_img])
tgt = torch.rand(1, 3, 8, 8)
run = [0]


def closure():
    with torch.no_grad():
        c_img.clamp_(0, 1)
    lb.zero_grad()
    loss = F.mse_loss(style_gram(c_img), style_gram(tgt)) * 1e4 + F.mse_loss(c_img, tgt)
    loss.backward()
    run[0] += 1
    return loss


lb.step(closure)
print(run[0] > 3)
for mode in ["nearest", "bilinear", "bicubic", "area", "nearest-exact"]:
    print(mode, F.interpolate(torch.arange(16.0).view(1, 1, 4, 4), size=(3, 5), mode=mode).sum())
print(
    F.pad(torch.ones(1, 1, 2, 2), (1, 1, 1, 1), mode="reflect").shape,
    F.pad(torch.arange(4.0).view(1, 1, 4), (2, 1), "circular"),
    F.pad(torch.ones(2), (1, 1), value=3),
    F.unfold(torch.arange(9.0).view(1, 1, 3, 3), 2)[0, :, 0],
    F.max_pool2d(torch.arange(16.0).view(1, 1, 4, 4), 2, return_indices=True),
    F.avg_pool1d(torch.arange(6.0).view(1, 1, 6), 2),
    F.adaptive_max_pool2d(torch.arange(16.0).view(1, 1, 4, 4), 2),
    F.lp_pool1d(torch.ones(1, 1, 4), 2, 2),
    F.local_response_norm(torch.ones(1, 3, 2, 2), 2)[0, :, 0, 0],
    F.pixel_unshuffle(torch.arange(4.0).view(1, 1, 2, 2), 2).flatten(),
    nn.Conv2d(4, 4, 3, groups=4, dilation=2, padding="same", padding_mode="reflect")(
        torch.ones(1, 4, 6, 6)
    ).shape,
    nn.ConvTranspose1d(2, 3, 4, stride=2)(torch.ones(1, 2, 5)).shape,
    nn.Conv3d(1, 2, 2)(torch.ones(1, 1, 3, 3, 3)).shape,
    F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), stride=2, padding=1),
)
opt = torch.optim.Adam(
    [
        {"params": r.fc.parameters(), "lr": 1e-3},
        {"params": [p for n, p in r.named_parameters() if "fc" not in n]},
    ],
    lr=1e-4,
)
print(len(opt.param_groups), opt.param_groups[0]["lr"])
opt.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
print(len(opt.param_groups))

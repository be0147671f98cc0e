import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(3)


class DoubleConv(nn.Module):
    def __init__(self, i, o, mid=None):
        super().__init__()
        if not mid:
            mid = o
        self.double_conv = nn.Sequential(
            nn.Conv2d(i, mid, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, o, 3, padding=1, bias=False),
            nn.GroupNorm(2, o),
            nn.SiLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(i, o))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, i, o, bilinear=True):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(i, o, i // 2)
        else:
            self.up = nn.ConvTranspose2d(i, i // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(i, o)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        dY, dX = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dX // 2, dX - dX // 2, dY // 2, dY - dY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, bilinear):
        super().__init__()
        self.inc = DoubleConv(3, 4)
        self.down1 = Down(4, 8)
        f = 2 if bilinear else 1
        self.down2 = Down(8, 16 // f)
        self.up1 = Up(16, 8 // f, bilinear)
        self.up2 = Up(8, 4, bilinear)
        self.outc = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        return self.outc(self.up2(self.up1(x3, x2), x1))


def dice_coeff(inp, target, eps=1e-6):
    inter = 2 * (inp * target).sum(dim=(-1, -2))
    s = inp.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
    s = torch.where(s == 0, inter, s)
    return ((inter + eps) / (s + eps)).mean()


for bl in (True, False):
    net = UNet(bl)
    if not bl:
        print(net)
    x = torch.randn(2, 3, 15, 18)
    m = (torch.rand(2, 15, 18) > 0.5).long()
    opt = torch.optim.RMSprop(
        net.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9, foreach=True
    )
    sch = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, "max", patience=1)
    for i in range(3):
        o = net(x)
        loss = (
            nn.CrossEntropyLoss()(o, m)
            + 1
            - dice_coeff(F.softmax(o, dim=1).float(), F.one_hot(m, 2).permute(0, 3, 1, 2).float())
        )
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        sch.step(0.5)
        print(f"{loss.item():.4f}", opt.param_groups[0]["lr"])

import torch
from torch import nn

torch.manual_seed(0)


class AE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 7),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 7),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


m = AE()
print(m)
opt = torch.optim.AdamW(m.parameters(), lr=1e-3, weight_decay=1e-5)
x = torch.rand(16, 1, 28, 28)
for i in range(4):
    noisy = x + 0.1 * torch.randn_like(x)
    loss = nn.MSELoss()(m(noisy.clamp(0, 1)), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"Epoch:{i + 1}, Loss:{loss.item():.4f}")
pool = nn.MaxPool2d(2, stride=2, return_indices=True)
unpool = nn.MaxUnpool2d(2, stride=2)
inp = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
o, ind = pool(inp)
print(ind)
print(unpool(o, ind))
fold = nn.Fold(output_size=(4, 5), kernel_size=(2, 2))
u = nn.Unfold(2)
z = torch.randn(1, 3, 4, 5)
print(torch.allclose(fold(u(z)), fold(u(torch.ones_like(z))) * z))

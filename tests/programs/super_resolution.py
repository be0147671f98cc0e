import torch, torch.nn as nn, torch.nn.init as init
from math import log10

torch.manual_seed(123)


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super(Net, self).__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 64, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(64, 64, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(64, 32, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(32, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        x = self.pixel_shuffle(self.conv4(x))
        return x

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv2.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv3.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv4.weight)


model = Net(3)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
target = torch.rand(4, 1, 24, 24)
low = nn.functional.interpolate(target, scale_factor=1 / 3, mode="bicubic", align_corners=False)
print(low.shape, f"{low.mean():.4f}")
for epoch in range(4):
    optimizer.zero_grad()
    loss = criterion(model(low), target)
    loss.backward()
    optimizer.step()
    print(
        "Epoch {} Loss {:.4f} PSNR {:.2f} dB".format(
            epoch, loss.item(), 10 * log10(1 / loss.item())
        )
    )
print(model)

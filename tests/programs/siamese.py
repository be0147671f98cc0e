import torch, torch.nn as nn, torch.nn.functional as F, torch.optim as optim
from torch.utils.data import Dataset, DataLoader

torch.manual_seed(0)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, label):
        d = F.pairwise_distance(a, b, keepdim=True).squeeze(1)
        return torch.mean(
            (1 - label) * d.pow(2) + label * torch.clamp(self.margin - d, min=0.0).pow(2)
        )


class Pairs(Dataset):
    def __init__(self, n):
        g = torch.Generator()
        g.manual_seed(5)
        self.x = torch.randn(n, 10, generator=g)
        self.y = torch.randint(2, (n,), generator=g)

    def __len__(self):
        return len(self.x) // 2

    def __getitem__(self, i):
        return self.x[2 * i], self.x[2 * i + 1], (self.y[2 * i] != self.y[2 * i + 1]).float()


net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(inplace=True), nn.Linear(32, 4))
opt = optim.RMSprop(net.parameters(), lr=1e-3, alpha=0.9, momentum=0.1)
crit, trip, cos = (
    ContrastiveLoss(),
    nn.TripletMarginLoss(margin=1.0, p=2),
    nn.CosineEmbeddingLoss(margin=0.1),
)
loader = DataLoader(Pairs(64), batch_size=8, shuffle=True, drop_last=True)
for ep in range(2):
    for a, b, l in loader:
        opt.zero_grad(set_to_none=True)
        ea, eb = net(a), net(b)
        loss = crit(ea, eb, l) + trip(ea, eb, eb.roll(1, 0)) + cos(ea, eb, 1 - 2 * l)
        loss.backward()
        opt.step()
    print(ep, f"{loss.item():.4f}")
m = nn.MultiMarginLoss()
print(m(torch.eye(3), torch.tensor([0, 1, 1])))
print(
    nn.HingeEmbeddingLoss()(torch.tensor([1.0, -2.0]), torch.tensor([1.0, -1.0])),
    nn.MarginRankingLoss(0.5)(torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([1.0])),
)
print(
    F.cosine_similarity(torch.eye(2), torch.ones(2, 2)),
    torch.cosine_similarity(torch.ones(3), torch.arange(3.0), dim=0),
    torch.pairwise_distance(torch.ones(2, 3), torch.zeros(2, 3)),
)
print(
    F.triplet_margin_with_distance_loss(
        torch.ones(2, 2),
        torch.zeros(2, 2),
        torch.rand(2, 2),
        distance_function=nn.PairwiseDistance(p=1),
    )
)

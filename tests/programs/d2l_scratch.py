import torch, random, math, time, collections, inspect
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
random.seed(0)


def synthetic_data(w, b, n):
    X = torch.normal(0, 1, (n, len(w)))
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


true_w = torch.tensor([2, -3.4])
X, y = synthetic_data(true_w, 4.2, 200)
print("features:", X[0], "\nlabel:", y[0])


def data_iter(bs, X, y):
    idx = list(range(len(X)))
    random.shuffle(idx)
    for i in range(0, len(X), bs):
        j = torch.tensor(idx[i : min(i + bs, len(X))])
        yield X[j], y[j]


w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)


def sgd(params, lr, bs):
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad / bs
            p.grad.zero_()


for epoch in range(3):
    for Xb, yb in data_iter(10, X, y):
        l = (Xb @ w + b - yb.reshape((Xb @ w).shape)) ** 2 / 2
        l.sum().backward()
        sgd([w, b], 0.03, 10)
    with torch.no_grad():
        print(f"epoch {epoch + 1}, loss {float(((X @ w + b - y) ** 2 / 2).mean()):f}")
print(f"error {(true_w - w.reshape(true_w.shape)).abs().max().item() < 0.05}")


def corr2d(X, K):
    h, w = K.shape
    Y = torch.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


print(corr2d(torch.arange(9.0).reshape(3, 3), torch.tensor([[0.0, 1.0], [2.0, 3.0]])))


class Residual(nn.Module):
    def __init__(self, c, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.LazyConv2d(c, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.LazyConv2d(c, kernel_size=3, padding=1)
        self.conv3 = nn.LazyConv2d(c, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = nn.LazyBatchNorm2d()
        self.bn2 = nn.LazyBatchNorm2d()

    def forward(self, X):
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3:
            X = self.conv3(X)
        return F.relu(Y + X)


blk = Residual(6, True, 2)
print(blk)
print(blk(torch.randn(4, 3, 6, 6)).shape)
print(blk)


def masked_softmax(X, valid_lens):
    def _sm(X, vl, value=0):
        mask = torch.arange(X.size(1), dtype=torch.float32)[None, :] < vl[:, None]
        X[~mask] = value
        return X

    if valid_lens is None:
        return F.softmax(X, dim=-1)
    shape = X.shape
    vl = (
        torch.repeat_interleave(valid_lens, shape[1])
        if valid_lens.dim() == 1
        else valid_lens.reshape(-1)
    )
    return F.softmax(_sm(X.reshape(-1, shape[-1]), vl, value=-1e6).reshape(shape), dim=-1)


print(masked_softmax(torch.rand(2, 2, 4), torch.tensor([2, 3])))
print(masked_softmax(torch.rand(2, 2, 4), torch.tensor([[1, 3], [2, 4]])))


def multibox_prior(data, sizes, ratios):
    h, w = data.shape[-2:]
    st, rt = torch.tensor(sizes), torch.tensor(ratios)
    n = len(sizes) + len(ratios) - 1
    ch, cw = (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w
    sy, sx = torch.meshgrid(ch, cw, indexing="ij")
    sy, sx = sy.reshape(-1), sx.reshape(-1)
    W = torch.cat((st * torch.sqrt(rt[0]), sizes[0] * torch.sqrt(rt[1:]))) * h / w
    H = torch.cat((st / torch.sqrt(rt[0]), sizes[0] / torch.sqrt(rt[1:])))
    m = torch.stack((-W, -H, W, H)).T.repeat(h * w, 1) / 2
    g = torch.stack([sx, sy, sx, sy], dim=1).repeat_interleave(n, dim=0)
    return (g + m).unsqueeze(0)


print(multibox_prior(torch.rand(1, 3, 4, 4), [0.75, 0.5], [1, 2, 0.5])[0, :3])


def box_iou(a, b):
    area = lambda x: (x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1])
    lt = torch.max(a[:, None, :2], b[:, :2])
    rb = torch.min(a[:, None, 2:], b[:, 2:])
    inter = (rb - lt).clamp(min=0)
    i = inter[:, :, 0] * inter[:, :, 1]
    return i / (area(a)[:, None] + area(b) - i)


print(
    box_iou(
        torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[0.5, 0.5, 1.5, 1.5], [0, 0, 1, 1]])
    )
)


class Accumulator:
    def __init__(self, n):
        self.data = [0.0] * n

    def add(self, *a):
        self.data = [x + float(y) for x, y in zip(self.data, a)]


m = Accumulator(2)
m.add(torch.tensor(1.5), 2)
print(m.data)
print(
    [n for n, _ in inspect.signature(nn.Linear.__init__).parameters.items()],
    nn.Linear.__doc__ is not None,
)
vocab = collections.Counter("hello world")
freqs = sorted(vocab.items(), key=lambda x: -x[1])
print(freqs[:2])
X = torch.arange(12, dtype=torch.float32).reshape((3, 4))
print(
    X.sum(axis=0),
    X.sum(axis=[0, 1]),
    X.mean(axis=1, keepdims=True),
    X.cumsum(axis=0),
    torch.cat((X, X), dim=0).shape,
    X == X.clone(),
    id(X) == id(X),
    X[-1],
    X[1:3],
)
X[1, 2] = 17
X[:2, :] = 12
print(X)
A = X.numpy()
B = torch.from_numpy(A)
print(type(A), type(B), torch.abs(torch.tensor([3.0, -4.0])).sum(), torch.norm(torch.ones(4, 9)))
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def init_normal(module):
    if type(module) == nn.Linear:
        nn.init.normal_(module.weight, mean=0, std=0.01)
        nn.init.zeros_(module.bias)


net.apply(init_normal)
print(net[0].weight.data[0], net[0].bias.data[0], type(net[2].bias), net[2].bias.data)
for xp, tp in [(torch.tensor([1.0, 2.0]), torch.tensor(3.0))]:
    x = xp.requires_grad_(True)
    yv = 2 * torch.dot(x, x)
    yv.backward()
    print(x.grad == 4 * x)
    x.grad.zero_()
    u = (x * x).detach()
    (u * x).sum().backward()
    print(x.grad == u)

import torch, torch.nn.functional as F, random

words = [
    "emma",
    "olivia",
    "ava",
    "isabella",
    "sophia",
    "charlotte",
    "mia",
    "amelia",
    "harper",
    "evelyn",
    "abigail",
    "emily",
] * 3
N = torch.zeros((27, 27), dtype=torch.int32)
chars = sorted(set("abcdefghijklmnopqrstuvwxyz"))
stoi = {s: i + 1 for i, s in enumerate(chars)}
stoi["."] = 0
itos = {i: s for s, i in stoi.items()}
for w in words:
    chs = ["."] + list(w) + ["."]
    for a, b in zip(chs, chs[1:]):
        N[stoi[a], stoi[b]] += 1
print(N[0], N.sum())
P = (N + 1).float()
P /= P.sum(1, keepdims=True)
print(P[0].sum(), P.shape)
g = torch.Generator().manual_seed(2147483647)
for i in range(3):
    out, ix = [], 0
    while True:
        p = P[ix]
        ix = torch.multinomial(p, num_samples=1, replacement=True, generator=g).item()
        out.append(itos[ix])
        if ix == 0:
            break
    print("".join(out))
ll, n = 0.0, 0
for w in words[:3]:
    chs = ["."] + list(w) + ["."]
    for a, b in zip(chs, chs[1:]):
        lp = torch.log(P[stoi[a], stoi[b]])
        ll += lp
        n += 1
print(f"{ll=}", f"{-ll / n}")
xs, ys = [], []
for w in words:
    chs = ["."] + list(w) + ["."]
    for a, b in zip(chs, chs[1:]):
        xs.append(stoi[a])
        ys.append(stoi[b])
xs, ys = torch.tensor(xs), torch.tensor(ys)
g = torch.Generator().manual_seed(2147483647)
W = torch.randn((27, 27), generator=g, requires_grad=True)
for k in range(5):
    xenc = F.one_hot(xs, num_classes=27).float()
    logits = xenc @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(len(xs)), ys].log().mean() + 0.01 * (W**2).mean()
    print(f"{loss.item():.4f}")
    W.grad = None
    loss.backward()
    W.data += -50 * W.grad
block = 3
X, Y = [], []
for w in words:
    ctx = [0] * block
    for ch in w + ".":
        X.append(ctx)
        Y.append(stoi[ch])
        ctx = ctx[1:] + [stoi[ch]]
X, Y = torch.tensor(X), torch.tensor(Y)
print(X.shape, X.dtype, Y.shape)
C = torch.randn((27, 10), generator=g)
W1 = torch.randn((30, 64), generator=g) * (5 / 3) / (30**0.5)
W2 = torch.randn((64, 27), generator=g) * 0.01
b2 = torch.zeros(27)
bngain, bnbias = torch.ones((1, 64)), torch.zeros((1, 64))
rm, rs = torch.zeros((1, 64)), torch.ones((1, 64))
params = [C, W1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in params))
for p in params:
    p.requires_grad = True
for i in range(20):
    ix = torch.randint(0, X.shape[0], (32,), generator=g)
    emb = C[X[ix]]
    h = emb.view(emb.shape[0], -1) @ W1
    m, s = h.mean(0, keepdim=True), h.std(0, keepdim=True)
    h = bngain * (h - m) / s + bnbias
    with torch.no_grad():
        rm = 0.9 * rm + 0.1 * m
        rs = 0.9 * rs + 0.1 * s
    logits = torch.tanh(h) @ W2 + b2
    loss = F.cross_entropy(logits, Y[ix])
    for p in params:
        p.grad = None
    loss.backward()
    for p in params:
        p.data += -0.1 * p.grad
    if i % 5 == 4:
        print(f"{i:7d}: {loss.item():.3f}")


def cmp(s, dt, t):
    ex = torch.all(dt == t.grad).item()
    app = torch.allclose(dt, t.grad, atol=1e-6)
    print(f"{s:10s} | approximate: {str(app):5s}")


logits = torch.randn(4, 5, requires_grad=True, generator=g)
y = torch.tensor([0, 1, 2, 3])
F.cross_entropy(logits, y).backward()
d = F.softmax(logits, 1)
d[range(4), y] -= 1
d /= 4
cmp("logits", d, logits)
t = torch.zeros(3, 4)
t[torch.arange(3), torch.tensor([0, 2, 1])] = torch.tensor([1.0, 2.0, 3.0])
print(t)
print(t[:, [0, 2]], t[[True, False, True]], t.ravel()[::3] if True else 0)

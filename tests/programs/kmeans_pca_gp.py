import torch, math

torch.manual_seed(0)
x = torch.cat([torch.randn(50, 2) + torch.tensor([3.0, 0]), torch.randn(50, 2) - 3])


def kmeans(x, k, iters=10):
    c = x[torch.randperm(len(x))[:k]].clone()
    for _ in range(iters):
        d = torch.cdist(x, c)
        lab = d.argmin(1)
        c = torch.stack([x[lab == i].mean(0) for i in range(k)])
    return c, lab


c, lab = kmeans(x, 2)
print(c, torch.bincount(lab))
mu = x.mean(0, keepdim=True)
U, S, Vh = torch.linalg.svd(x - mu, full_matrices=False)
print(S, (S**2 / (S**2).sum()))
print(Vh.abs())
cov = torch.cov(x.T)
print(cov)
L, V = torch.linalg.eigh(cov)
print(L)
print(torch.corrcoef(x.T))
U2, S2, V2 = torch.pca_lowrank(x)
print(S2)


def rbf(a, b, l=1.0, s=1.0):
    return s**2 * torch.exp(-0.5 * torch.cdist(a, b) ** 2 / l**2)


tx = torch.linspace(-3, 3, 12).unsqueeze(1)
ty = torch.sin(tx).squeeze() + 0.1 * torch.randn(12)
ls = torch.nn.Parameter(torch.tensor(0.0))
noise = torch.nn.Parameter(torch.tensor(-1.0))
opt = torch.optim.Adam([ls, noise], lr=0.1)
for i in range(20):
    opt.zero_grad()
    d2 = (tx - tx.T) ** 2
    K = torch.exp(-0.5 * d2 / ls.exp() ** 2) + (noise.exp() ** 2 + 1e-5) * torch.eye(12)
    Lc = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(ty.unsqueeze(1), Lc)
    nll = 0.5 * ty @ alpha.squeeze() + Lc.diagonal().log().sum() + 6 * math.log(2 * math.pi)
    nll.backward()
    opt.step()
    if i % 5 == 4:
        print(f"{nll.item():.3f} {ls.item():.3f} {noise.item():.3f}")
xs = torch.linspace(-3, 3, 5).unsqueeze(1)
Ks = rbf(tx, xs, ls.exp())
print((Ks.T @ alpha).detach().squeeze())
A = torch.tensor([[4.0, 1.0], [1.0, 3.0]])
b = torch.tensor([1.0, 2.0])
print(
    torch.linalg.solve(A, b),
    torch.linalg.inv(A),
    torch.det(A),
    torch.linalg.matrix_rank(A),
    torch.trace(A),
    A.logdet(),
)
print(torch.linalg.norm(A), torch.linalg.norm(A, 2), torch.norm(A, p=1), torch.linalg.cond(A))
print(torch.linalg.eigvals(torch.tensor([[0.0, 1.0], [-1.0, 0.0]])))
q, r = torch.linalg.qr(torch.arange(6.0).view(3, 2))
print((q @ r))
print(torch.linalg.lstsq(torch.randn(5, 2), torch.randn(5, 1)).solution.shape)
print(
    torch.inverse(torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
    torch.linalg.det(torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
    torch.matrix_exp(torch.zeros(2, 2)),
    torch.linalg.pinv(torch.arange(6.0).view(2, 3)),
)

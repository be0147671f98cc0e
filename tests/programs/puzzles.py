import torch

a = torch.arange(24).reshape(2, 3, 4)
f = a.float()
print(
    torch.einsum("ijk->kji", a).shape,
    torch.einsum("ijk,ikl->ijl", f, f.mT).sum(),
    torch.einsum("ii->i", torch.eye(3)),
    torch.einsum("i,j->ij", torch.arange(3), torch.arange(2)),
    torch.einsum("...ij->...ji", f).shape,
    torch.einsum("bij,bij->b", f, f),
)
print(
    a[:, 1],
    a[..., -1],
    a[0, [0, 2]],
    a[a % 5 == 0],
    a[:, :, ::2].shape,
    a[None].shape,
    a[1, torch.tensor([0, 1]), torch.tensor([2, 3])],
)
b = a.clone()
b[:, 0] = 0
b[b > 15] = -1
b[0, 1:, 1:3] += 100
print(b)
print(
    torch.where(a > 10, a, torch.zeros_like(a))[1],
    torch.where(a[0] > 5),
    torch.gather(a[0], 1, torch.tensor([[0, 1], [2, 3], [0, 0]])),
    torch.take(a, torch.tensor([0, 5])),
    a.index_select(2, torch.tensor([0, 3]))[0],
)
x = torch.arange(5)
print(
    x.unfold(0, 3, 1),
    x.roll(2),
    x.flip(0),
    torch.outer(x, x),
    x.cumsum(0),
    x.diff(),
    torch.searchsorted(x, torch.tensor([2, 7])),
    torch.bucketize(torch.tensor([1.5]), x.float()),
)
print(
    torch.tril(torch.ones(3, 3)),
    torch.triu_indices(3, 3),
    torch.combinations(x[:3]),
    torch.cartesian_prod(x[:2], x[:2]),
    torch.meshgrid(x[:2], x[:3], indexing="ij"),
)
print(
    a.sum((0, 2)),
    f.mean(-1),
    f.std(),
    f.var(1, unbiased=False),
    f.max(dim=2),
    f.median(),
    f.amax((0, 1)),
    f.argmax(),
    f.quantile(torch.tensor([0.25, 0.5])),
    torch.topk(f.flatten(), 3),
    f.flatten().kthvalue(3),
    a.prod(2),
    f.norm(dim=1),
    f.logsumexp(2),
    torch.mode(torch.tensor([1, 2, 2, 3])),
)
print(
    torch.sort(torch.tensor([3, 1, 2]), descending=True),
    torch.argsort(torch.tensor([3.0, 1.0, 2.0])),
    torch.unique(torch.tensor([1, 3, 1, 2]), return_counts=True),
    torch.unique_consecutive(torch.tensor([1, 1, 2, 1])),
    torch.histc(f, 4),
    torch.histogram(f.flatten(), 3),
    torch.bincount(torch.tensor([0, 1, 1])),
    torch.isin(x, torch.tensor([1, 2])),
    torch.nonzero(x > 2),
    torch.argwhere(x > 2),
)
print(
    torch.cat([a, a], 1).shape,
    torch.stack([x, x], 1),
    torch.chunk(x, 2),
    torch.split(x, [2, 3]),
    torch.hstack([x, x]),
    torch.vstack([x, x]),
    torch.tensor_split(x, 2),
    x.repeat(2, 2),
    x.tile(2),
    x.repeat_interleave(2),
    torch.block_diag(torch.ones(1, 2), torch.ones(2, 1)),
)
print(
    x / 2,
    x // 2,
    x % 3,
    x**2,
    -x,
    x == 2,
    ~(x > 2),
    x & 1,
    x << 1,
    2**x,
    10 - x,
    1 / (x + 1),
    x.float().div(2, rounding_mode="floor"),
    torch.clamp(x, 1, 3),
    x.to(torch.uint8) - 1,
    torch.tensor(5) // torch.tensor(-2),
    torch.remainder(torch.tensor(-5), 3),
    torch.fmod(torch.tensor(-5), 3),
    torch.bitwise_xor(x, 1),
)
print(
    a.view(6, 4).shape,
    a.permute(2, 0, 1).is_contiguous(),
    a.stride(),
    a.T.shape if a.dim() == 2 else a.mT.shape,
    a.squeeze().shape,
    a.unsqueeze(0).shape,
    a.flatten(1).shape,
    a.reshape(-1, 2).shape,
    a.expand(5, 2, 3, 4).shape,
    a.movedim(0, -1).shape,
    a.swapaxes(0, 1).shape,
    a.ravel().shape,
    torch.atleast_2d(x).shape,
    a.narrow(1, 0, 2).shape,
    a.unbind(0)[0].shape,
    a.diagonal(0, 1, 2).shape,
    torch.broadcast_shapes((3, 1), (1, 4)),
    a.view_as(a).shape,
    a.numel(),
    a.nelement(),
    a.element_size(),
    a.itemsize,
    a.nbytes,
)
print(
    torch.tensor([0.1, 0.2]).tolist(),
    torch.tensor(1).item(),
    float(torch.tensor(2.5)),
    int(torch.tensor(7)),
    bool(torch.tensor([1])),
    len(a),
    [i.item() for i in x],
    x.tolist(),
    3 in x,
    a.data_ptr() == a.view(-1).data_ptr(),
    list(map(int, x)),
)
for fn in [
    lambda: a.view(5, 5),
    lambda: a @ a,
    lambda: x[10],
    lambda: torch.cat([a, x]),
    lambda: torch.ones(2, 3) + torch.ones(2, 4),
    lambda: torch.tensor([1, [2]]),
    lambda: bool(x),
    lambda: x.item(),
    lambda: torch.zeros(2).requires_grad_().numpy(),
    lambda: torch.stack([a, x]),
    lambda: a.squeeze(9),
    lambda: torch.ones(2).long().mean(),
    lambda: torch.mm(torch.ones(2, 3), torch.ones(2, 3)),
    lambda: torch.arange(3).requires_grad_(),
    lambda: torch.nn.Linear(3, 2)(torch.ones(2, 4)),
    lambda: torch.nn.functional.cross_entropy(torch.ones(2, 3), torch.tensor([0, 5])),
    lambda: torch.tensor(1.0).backward(),
    lambda: torch.from_numpy([1]),
    lambda: x.nope,
    lambda: torch.nn.Conv2d(1, 2, 3)(torch.ones(1, 2, 5, 5)),
    lambda: torch.eye(2).cuda(),
    lambda: torch.randn(2, device="cuda"),
    lambda: torch.tensor("a"),
    lambda: torch.reshape(x, (2, 2)),
    lambda: torch.zeros(-1),
    lambda: torch.load("/nonexistent"),
]:
    try:
        print("no error", fn())
    except Exception as e:
        print(type(e).__name__, str(e).split("\n")[0])

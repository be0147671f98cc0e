import torch, torch.nn as nn, torch.nn.functional as F, math
from torch.nn.parameter import Parameter

torch.manual_seed(42)


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.mm(adj, support)
        return output + self.bias if self.bias is not None else output

    def __repr__(self):
        return (
            self.__class__.__name__
            + " ("
            + str(self.in_features)
            + " -> "
            + str(self.out_features)
            + ")"
        )


class GAT(nn.Module):
    def __init__(self, fin, fout, heads):
        super().__init__()
        self.W = nn.Parameter(torch.empty(fin, heads * fout))
        self.a = nn.Parameter(torch.empty(heads, 2 * fout, 1))
        self.heads, self.fout = heads, fout
        self.leakyrelu = nn.LeakyReLU(0.2)
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def forward(self, h, adj):
        n = h.shape[0]
        h = (h @ self.W).view(n, self.heads, self.fout).permute(1, 0, 2)
        s = torch.matmul(h, self.a[:, : self.fout, :])
        t = torch.matmul(h, self.a[:, self.fout :, :])
        e = self.leakyrelu(s + t.mT)
        e = torch.where(adj > 0, e, -9e16 * torch.ones_like(e))
        att = F.dropout(F.softmax(e, dim=-1), 0.6, self.training)
        return F.elu(torch.matmul(att, h).permute(1, 0, 2).reshape(n, -1))


n = 30
adj = (torch.rand(n, n) < 0.15).float()
adj = ((adj + adj.T) > 0).float() + torch.eye(n)
adj = (adj > 0).float()
deg = adj.sum(1)
d = torch.diag(deg.pow(-0.5))
norm = d @ adj @ d
x = torch.randn(n, 8)
y = (x[:, 0] > 0).long()
mask = torch.zeros(n, dtype=torch.bool)
mask[:20] = True
gc1, gc2 = GraphConvolution(8, 16), GraphConvolution(16, 2, bias=False)
print(gc1, nn.ModuleList([gc1, gc2]))
gat = GAT(8, 4, 2)
head = nn.Linear(8, 2)
opt = torch.optim.Adam(
    [*gc1.parameters(), *gc2.parameters(), *gat.parameters(), *head.parameters()],
    lr=0.01,
    weight_decay=5e-4,
)
for ep in range(30):
    opt.zero_grad()
    out = F.log_softmax(gc2(F.dropout(F.relu(gc1(x, norm)), 0.5), norm), 1)
    out2 = head(gat(x, adj)).log_softmax(1)
    loss = F.nll_loss(out[mask], y[mask]) + F.nll_loss(out2[mask], y[mask])
    loss.backward()
    opt.step()
    if ep % 10 == 9:
        acc = (out[~mask].argmax(1) == y[~mask]).double().mean()
        print(ep, f"{loss:.4f}", acc)
idx = adj.nonzero(as_tuple=False)
print(idx.shape, idx[:3])
src, dst = idx.t()
agg = torch.zeros(n, 8).index_add_(0, dst, x[src])
print(agg[0])
agg2 = torch.zeros(n, 8).scatter_add_(0, dst[:, None].expand(-1, 8), x[src])
print(torch.allclose(agg, agg2))
print(torch.zeros(n).scatter_reduce(0, dst, x[src, 0], reduce="amax", include_self=False)[:5])
indices = torch.tensor([[0, 1], [2, 0]])

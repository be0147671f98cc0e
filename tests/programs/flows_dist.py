import torch, torch.nn as nn, torch.distributions as D

torch.manual_seed(0)
base = D.MultivariateNormal(torch.zeros(2), torch.eye(2))


class RealNVP(nn.Module):
    def __init__(self):
        super().__init__()
        self.mask = nn.Parameter(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), requires_grad=False)
        self.s = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 2), nn.Tanh())
                for _ in range(2)
            ]
        )
        self.t = nn.ModuleList(
            [nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 2)) for _ in range(2)]
        )

    def log_prob(self, x):
        ld, z = x.new_zeros(x.shape[0]), x
        for i in reversed(range(2)):
            z_ = self.mask[i] * z
            s = self.s[i](z_) * (1 - self.mask[i])
            t = self.t[i](z_) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + z_
            ld -= s.sum(dim=1)
        return base.log_prob(z) + ld


flow = RealNVP()
opt = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad], lr=1e-2)
x = torch.randn(64, 2) * torch.tensor([2.0, 0.5]) + 1
for i in range(5):
    loss = -flow.log_prob(x).mean()
    opt.zero_grad()
    loss.backward(retain_graph=True)
    opt.step()
    print(f"{loss.item():.4f}")
torch.manual_seed(1)
for d in [
    D.Normal(0.0, 1.0),
    D.Normal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])),
    D.Uniform(0.0, 2.0),
    D.Bernoulli(0.3),
    D.Bernoulli(logits=torch.tensor([0.0, 2.0])),
    D.Categorical(torch.tensor([0.2, 0.3, 0.5])),
    D.Categorical(logits=torch.randn(2, 3)),
    D.Exponential(2.0),
    D.Laplace(0.0, 1.0),
    D.Gamma(2.0, 3.0),
    D.Beta(2.0, 3.0),
    D.Poisson(4.0),
    D.Geometric(0.3),
    D.Dirichlet(torch.ones(3)),
    D.StudentT(5.0),
    D.Cauchy(0.0, 1.0),
    D.Gumbel(0.0, 1.0),
    D.HalfNormal(1.0),
    D.LogNormal(0.0, 1.0),
    D.Binomial(10, torch.tensor([0.3, 0.6])),
    D.Multinomial(5, torch.ones(3) / 3),
    D.OneHotCategorical(torch.tensor([0.1, 0.9])),
    D.Weibull(1.0, 2.0),
    D.Pareto(1.0, 2.0),
    D.Chi2(3.0),
    D.MultivariateNormal(torch.zeros(2), torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
    D.Kumaraswamy(1.0, 2.0),
    D.VonMises(0.0, 1.0),
    D.NegativeBinomial(5.0, torch.tensor(0.3)),
    D.FisherSnedecor(2.0, 3.0),
    D.HalfCauchy(1.0),
    D.InverseGamma(3.0, 1.0),
    D.ContinuousBernoulli(0.3),
    D.RelaxedBernoulli(torch.tensor(0.5), 0.3),
    D.RelaxedOneHotCategorical(torch.tensor(0.5), torch.tensor([0.2, 0.8])),
    D.LogisticNormal(torch.zeros(2), torch.ones(2)),
    D.LKJCholesky(3, 0.5),
    D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2)),
    D.Wishart(torch.tensor(3.0), torch.eye(2)),
]:
    print(d)
    s = d.sample((2,))
    print(" ", s.shape, s.flatten()[:3])
    try:
        print("  lp", d.log_prob(s).flatten()[:3])
    except NotImplementedError as e:
        print("  lp NI")
    for a in ("mean", "variance", "stddev"):
        try:
            print("  ", a, getattr(d, a))
        except (NotImplementedError, AttributeError) as e:
            print("  ", a, type(e).__name__)
    try:
        print("   ent", d.entropy())
    except NotImplementedError:
        print("   ent NI")
    print("  ", d.batch_shape, d.event_shape, d.has_rsample)
print(
    D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 2.0)),
    D.kl.kl_divergence(
        D.Categorical(torch.ones(3)), D.Categorical(torch.tensor([0.5, 0.25, 0.25]))
    ),
)
ind = D.Independent(D.Normal(torch.zeros(3, 2), torch.ones(3, 2)), 1)
print(ind, ind.log_prob(torch.zeros(3, 2)))
mix = D.MixtureSameFamily(
    D.Categorical(torch.ones(2)), D.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2))
)
print(mix.log_prob(torch.tensor(0.0)), mix.sample(), mix)
td = D.TransformedDistribution(
    D.Normal(0.0, 1.0), [D.transforms.ExpTransform(), D.transforms.AffineTransform(1.0, 2.0)]
)
print(td.log_prob(torch.tensor(3.0)), td.rsample((2,)), td)
try:
    D.Normal(torch.tensor([0.0]), torch.tensor([-1.0]))
except ValueError as e:
    print(e)
try:
    D.Categorical(torch.tensor([0.5, 0.5])).log_prob(torch.tensor(5))
except ValueError as e:
    print(e)
m = D.Normal(torch.tensor(0.0, requires_grad=True), torch.tensor(1.0, requires_grad=True))
s = m.rsample()
m.log_prob(s).backward()
print(m.loc.grad, m.scale.grad)
print(
    D.Normal(0.0, 1.0).cdf(torch.tensor(1.0)),
    D.Normal(0.0, 1.0).icdf(torch.tensor(0.975)),
    D.Normal(torch.zeros(3), 1.0).expand((2, 3)).batch_shape,
    D.constraints.positive.check(torch.tensor([1.0, -1.0])),
)
print(
    D.Categorical(torch.ones(3)).enumerate_support(),
    D.biject_to(D.constraints.positive)(torch.tensor(1.0)),
    D.transform_to(D.constraints.simplex)(torch.zeros(2)),
)

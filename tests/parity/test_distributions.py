"""Every distribution beside torch's: samples from the same seed, densities, moments, entropies,
gradients, divergences, maps and their texts.
"""

from __future__ import annotations

import itertools
import warnings

import pytest

torch = pytest.importorskip("torch")
import flambeau

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = """
Bernoulli(0.3); Bernoulli(logits=t([0.0, 2.0])); Beta(2.0, 3.0)
Beta(t([0.5, 2.0]), t([1.0, 3.0])); Binomial(10, t([0.3, 0.6]))
Binomial(t([4.0]), logits=t([0.2])); Categorical(t([0.2, 0.3, 0.5]))
Categorical(logits=t([[0.1, 0.2], [1.0, -1.0]])); Cauchy(0.0, 1.0); Chi2(3.0); Chi2(t([1.0, 5.0]))
ContinuousBernoulli(0.3); ContinuousBernoulli(t([0.5, 0.9])); Dirichlet(t([1.0, 2.0, 3.0]))
Exponential(t([2.0, 0.5])); FisherSnedecor(3.0, 5.0); Gamma(t([0.3, 2.0]), t([1.0, 3.0]))
GeneralizedPareto(0.0, 1.0, 0.25); Geometric(0.3); Geometric(logits=t([0.4])); Gumbel(0.0, 1.0)
Gumbel(t([0.0, 1.0]), t([1.0, 2.0])); HalfCauchy(1.0); HalfNormal(t([1.0, 2.0]))
Independent(Normal(t([[0.0, 1.0]]), t([[1.0, 2.0]])), 1); InverseGamma(3.0, 2.0)
Kumaraswamy(1.5, 2.0); Laplace(t([0.0, 1.0]), t([1.0, 2.0])); LKJCholesky(3, 1.5)
LogNormal(0.5, 0.7); LogisticNormal(t([0.0, 0.5]), t([1.0, 2.0]))
LowRankMultivariateNormal(t([0.0, 1.0]), t([[1.0], [0.5]]), t([1.0, 2.0]))
MixtureSameFamily(Categorical(t([1.0, 3.0])), Normal(t([-1.0, 1.0]), t([1.0, 0.5])))
Multinomial(5, t([0.2, 0.8])); MultivariateNormal(t([0.0, 1.0]), t([[2.0, 0.5], [0.5, 1.0]]))
MultivariateNormal(t([0.0, 1.0]), precision_matrix=t([[2.0, 0.5], [0.5, 1.0]]))
MultivariateNormal(t([0.0, 1.0]), scale_tril=t([[2.0, 0.0], [0.5, 1.0]]))
NegativeBinomial(5.0, t([0.3])); Normal(t([0.0, 1.0]), t([1.0, 2.0])); Normal(0.0, 1.0)
OneHotCategorical(t([0.25, 0.75])); OneHotCategoricalStraightThrough(t([0.25, 0.75]))
Pareto(1.0, t([3.0, 4.0])); Poisson(t([4.0, 0.5])); RelaxedBernoulli(t(0.5), t([0.3, 0.9]))
RelaxedOneHotCategorical(t(0.5), t([0.2, 0.8])); StudentT(t([3.0, 5.0]))
Uniform(0.0, t([2.0, 3.0]))
TransformedDistribution(Normal(0.0, 1.0), [ExpTransform(), AffineTransform(1.0, 2.0)])
VonMises(t([0.0, 1.0]), t([1.0, 4.0])); Weibull(t([1.0, 2.0]), t([1.5, 2.0]))
Wishart(t(3.0), t([[2.0, 0.5], [0.5, 1.0]]))
"""
PAIRS = (
    "Bernoulli(0.3)", "Beta(2.0, 3.0)", "Categorical(t([0.2, 0.8]))", "Exponential(2.0)",
    "Gamma(2.0, 3.0)", "Gumbel(0.5, 2.0)", "Laplace(0.0, 2.0)", "Normal(0.5, 2.0)",
    "Pareto(t([1.0]), t([3.0]))", "Poisson(t([4.0]))", "Uniform(t([1.5]), t([2.0]))",
    "Geometric(0.3)", "Dirichlet(t([1.0, 2.0]))", "HalfNormal(1.5)", "Cauchy(0.0, 2.0)",
    "MultivariateNormal(t([0.0, 1.0]), t([[2.0, 0.5], [0.5, 1.0]]))", "LogNormal(0.0, 2.0)",
    "LowRankMultivariateNormal(t([0.0, 1.0]), t([[1.0], [0.5]]), t([1.0, 2.0]))",
    "ContinuousBernoulli(0.3)", "Binomial(3, t([0.5]))", "OneHotCategorical(t([0.2, 0.8]))",
    "Independent(Normal(t([0.5]), t([2.0])), 1)", "ContinuousBernoulli(t([0.7]))",
)  # fmt: skip
WRONG = """
Normal(0.0, -1.0); Normal(t([0.0]), t([float('nan')])); Bernoulli(); Bernoulli(0.5, 0.5)
Bernoulli(2.0); Categorical(t(1.0)); Categorical(t([-1.0, 2.0]))
Normal(0.0, 1.0).log_prob(t(float('nan')))
Normal(t([0.0, 1.0]), 1.0).log_prob(t([0.0, 1.0, 2.0])); Normal('a', 1.0); Uniform(2.0, 1.0)
Dirichlet(t(1.0)); MultivariateNormal(t([0.0]), t([[-1.0]]))
MultivariateNormal(t(0.0), t([[1.0]])); Binomial(2, t(0.5)).log_prob(t(5.0))
Normal(0.0, 1.0).enumerate_support(); Poisson(-1.0); kl_divergence(Normal(0.0, 1.0), Poisson(1.0))
Independent(Normal(0.0, 1.0), 1); LKJCholesky(1); biject_to(constraints.boolean); Beta(0.0, 1.0)
Geometric(0.0); Normal(0.0, 1.0).log_prob(1.0); Categorical(t([0.5, 0.5])).log_prob(t(5))
StudentT(-1.0); Multinomial(t(5.0), t([0.5, 0.5]))
"""
MAPS = """
ExpTransform(); PowerTransform(t(2.0)); SigmoidTransform(); SoftplusTransform(); TanhTransform()
AffineTransform(1.0, 2.0); AffineTransform(t([1.0]), t([-2.0])); StickBreakingTransform()
SoftmaxTransform(); ComposeTransform([ExpTransform(), AffineTransform(0.0, 3.0)]); AbsTransform()
LowerCholeskyTransform(); CorrCholeskyTransform(); ExpTransform().inv
ReshapeTransform((3,), (1, 3)); IndependentTransform(ExpTransform(), 1)
PositiveDefiniteTransform()
CatTransform([ExpTransform(), TanhTransform()], lengths=[1, 2], dim=-1)
StackTransform([ExpTransform(), TanhTransform(), SigmoidTransform()], dim=-1)
biject_to(constraints.interval(1.0, 3.0)); transform_to(constraints.greater_than(2.0))
"""


def parts(text):
    return [part.strip() for line in text.strip().splitlines() for part in line.split(";")]


def names_of(module):
    names = {n: getattr(module.distributions, n) for n in module.distributions.__all__}
    return {**names, "t": module.tensor, "constraints": module.distributions.constraints}


def outcome(action):
    try:
        return action()
    except Exception as error:  # noqa: BLE001 (the error is the result)
        return error


def same(ours, theirs):
    if isinstance(theirs, Exception):
        assert type(ours).__name__ == type(theirs).__name__, ours
        assert str(ours).replace("'flambeau.", "'torch.") == str(theirs)
    elif isinstance(theirs, torch.Tensor):
        assert isinstance(ours, flambeau.Tensor), ours
        assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
        flat = zip(ours.flatten().tolist(), theirs.flatten().tolist(), strict=True)
        for a, b in flat:
            assert a == pytest.approx(b, rel=2e-4, abs=1e-5, nan_ok=True), (ours, theirs)
    else:
        assert str(ours) == str(theirs)


def everything(module, expression):
    """What a distribution gives, in order."""
    distribution = eval(expression, names_of(module))
    yield str(distribution)
    yield distribution.batch_shape + distribution.event_shape
    module.manual_seed(7)
    sample = distribution.sample((3,))
    yield sample
    yield outcome(lambda: distribution.log_prob(sample))
    for name in ("mean", "mode", "variance", "stddev", "support"):
        yield outcome(lambda name=name: getattr(distribution, name))
    for name in ("entropy", "enumerate_support", "perplexity"):
        yield outcome(lambda name=name: getattr(distribution, name)())
    yield outcome(lambda: distribution.cdf(sample))
    yield outcome(lambda: distribution.icdf(module.full_like(sample, 0.3)))
    wide = distribution.expand((2, *distribution.batch_shape))
    yield str(wide)
    module.manual_seed(8)
    yield wide.sample()
    yield distribution.has_rsample
    module.manual_seed(9)
    yield outcome(lambda: distribution.rsample((2,)))


@pytest.mark.parametrize("expression", parts(CASES))
def test_distribution(expression):
    pairs = zip(everything(flambeau, expression), everything(torch, expression), strict=True)
    for ours, theirs in pairs:
        same(ours, theirs)


@pytest.mark.parametrize("p, q", itertools.product(PAIRS, PAIRS))
def test_divergence(p, q):
    def divergence(module):
        names = names_of(module)
        return outcome(lambda: names["kl_divergence"](eval(p, names), eval(q, names)))

    ours, theirs = divergence(flambeau), divergence(torch)
    if isinstance(theirs, Exception):
        assert type(ours).__name__ == type(theirs).__name__
    else:
        same(ours, theirs)


@pytest.mark.parametrize("expression", parts(WRONG))
def test_wrong_arguments(expression):
    ours, theirs = (
        outcome(lambda module=module: eval(expression, names_of(module)))
        for module in (flambeau, torch)
    )
    assert isinstance(theirs, Exception)
    same(ours, theirs)


@pytest.mark.parametrize("expression", parts(MAPS))
def test_transform(expression):
    def results(module):
        transform = eval(expression, names_of(module))
        yield repr(transform)
        dims = transform.domain.event_dim
        x = [[0.2, 0.5, 0.9]] if dims < 2 else [[0.2, 0.5], [0.9, 0.3]]
        x = module.tensor(x)
        y = outcome(lambda: transform(x))
        yield y
        yield outcome(lambda: transform.inv(y))
        yield outcome(lambda: transform.log_abs_det_jacobian(x, y))
        yield outcome(lambda: tuple(transform.forward_shape(x.shape)))
        yield outcome(lambda: transform.sign)
        yield transform.bijective

    for ours, theirs in zip(results(flambeau), results(torch), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize(
    "expression",
    ["Gamma(a, 2.0)", "StudentT(a)", "Normal(a, 1.0)", "Chi2(a)"],
)
def test_gradients_of_samples(expression):
    def gradient(module):
        a = module.tensor([0.5, 2.0, 7.0], dtype=module.float64, requires_grad=True)
        module.manual_seed(3)
        sample = eval(expression, {**names_of(module), "a": a}).rsample((4,))
        (sample * module.arange(1.0, 13.0).reshape(sample.shape)).sum().backward()
        return sample.detach(), a.grad

    for ours, theirs in zip(gradient(flambeau), gradient(torch), strict=True):
        same(ours, theirs)


def test_seeded_wishart_warns_as_torch():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flambeau.distributions.Wishart(flambeau.tensor(3.0), flambeau.eye(2)).sample()
    assert any("Singular sample detected." in str(w.message) for w in caught)

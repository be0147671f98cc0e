"""Divergences between distributions of two families. Registered in `kl`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import flambeau

from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .continuous_bernoulli import ContinuousBernoulli
from .exponential import Exponential
from .gamma import Gamma
from .gumbel import Gumbel
from .kl import register_kl
from .laplace import Laplace
from .normal import Normal
from .pareto import Pareto
from .poisson import Poisson
from .uniform import Uniform
from .utils import euler_constant


def _infinite_like(tensor: Any) -> Any:
    return flambeau.full_like(tensor, math.inf)


def _x_log_x(tensor: Any) -> Any:
    return flambeau.special.xlogy(tensor, tensor)


@register_kl(Bernoulli, Poisson)
def _kl_bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, Uniform)
def _kl_beta_uniform(p: Any, q: Any) -> Any:
    result = -p.entropy() + (q.high - q.low).log()
    result[(q.low > p.support.lower_bound) | (q.high < p.support.upper_bound)] = math.inf
    return result


@register_kl(Exponential, Gamma)
def _kl_exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    t1 = -q.concentration * flambeau.log(ratio)
    tail = q.concentration.lgamma() + q.concentration * euler_constant - (1 + euler_constant)
    return t1 + ratio + tail


@register_kl(Exponential, Gumbel)
def _kl_exponential_gumbel(p: Any, q: Any) -> Any:
    product, shift = p.rate * q.scale, q.loc / q.scale
    t3 = shift.exp() * product / (product + 1)
    return product.log() - 1 - shift + product.reciprocal() + t3


@register_kl(Exponential, Normal)
def _kl_exponential_normal(p: Any, q: Any) -> Any:
    variance, squares = q.scale.pow(2), p.rate.pow(2)
    t1 = 0.5 * flambeau.log(squares * variance * 2 * math.pi)
    t2 = squares.reciprocal()
    t3 = q.loc / p.rate
    return t1 - 1 + (t2 - t3 + q.loc.pow(2) * 0.5) / variance


@register_kl(Gamma, Exponential)
def _kl_gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _kl_gamma_gumbel(p: Any, q: Any) -> Any:
    product, shift = p.rate * q.scale, q.loc / q.scale
    a = p.concentration
    t1 = (a - 1) * a.digamma() - a.lgamma() - a
    t2 = product.log() + a / product
    return t1 + t2 + shift.exp() * (1 + product.reciprocal()).pow(-a) - shift


@register_kl(Gamma, Normal)
def _kl_gamma_normal(p: Any, q: Any) -> Any:
    variance, a = q.scale.pow(2), p.concentration
    squares = p.rate.pow(2)
    t1 = 0.5 * flambeau.log(squares * variance * 2 * math.pi) - a - a.lgamma()
    t2 = 0.5 * (a.pow(2) + a) / squares
    t3 = q.loc * a / p.rate
    return t1 + (a - 1) * a.digamma() + (t2 - t3 + 0.5 * q.loc.pow(2)) / variance


@register_kl(Gumbel, Normal)
def _kl_gumbel_normal(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    t1 = (ratio / math.sqrt(2 * math.pi)).log()
    t2 = (math.pi * ratio * 0.5).pow(2) / 3
    t3 = ((p.loc + p.scale * euler_constant - q.loc) / q.scale).pow(2) * 0.5
    return -t1 + t2 + t3 - (euler_constant + 1)


@register_kl(Laplace, Normal)
def _kl_laplace_normal(p: Any, q: Any) -> Any:
    variance = q.scale.pow(2)
    ratio = p.scale.pow(2) / variance
    t1 = 0.5 * flambeau.log(2 * ratio / math.pi)
    t2, t3 = 0.5 * p.loc.pow(2), p.loc * q.loc
    return -t1 + ratio + (t2 - t3 + 0.5 * q.loc.pow(2)) / variance - 1


@register_kl(Normal, Gumbel)
def _kl_normal_gumbel(p: Any, q: Any) -> Any:
    mean, spread, shift = p.loc / q.scale, (p.scale / q.scale).pow(2), q.loc / q.scale
    t1 = mean - shift
    t2 = flambeau.exp(-mean + 0.5 * spread + shift)
    t3 = 0.5 * (1 + flambeau.log(2 * math.pi * spread))
    return t1 + t2 - t3


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p: Any, q: Any) -> Any:
    distance = p.loc - q.loc
    ratio, spread = p.scale / q.scale, distance / p.scale
    t1 = flambeau.log(ratio)
    t2 = math.sqrt(2 / math.pi) * p.scale * flambeau.exp(-0.5 * spread.pow(2))
    t3 = distance * flambeau.erf(math.sqrt(0.5) * spread)
    return -t1 + (t2 + t3) / q.scale - (0.5 * (1 + math.log(0.5 * math.pi)))


@register_kl(Pareto, Exponential)
def _kl_pareto_exponential(p: Any, q: Any) -> Any:
    rate = p.scale * q.rate
    result = (p.alpha / rate).log() - p.alpha.reciprocal() + p.alpha * rate / (p.alpha - 1) - 1
    result[p.alpha <= 1] = math.inf
    return result


@register_kl(Pareto, Gamma)
def _kl_pareto_gamma(p: Any, q: Any) -> Any:
    common = p.scale.log() + p.alpha.reciprocal()
    t1 = p.alpha.log() - common
    t2 = q.concentration.lgamma() - q.concentration * q.rate.log()
    t3 = (1 - q.concentration) * common
    result = t1 + t2 + t3 + q.rate * p.alpha * p.scale / (p.alpha - 1) - 1
    result[p.alpha <= 1] = math.inf
    return result


@register_kl(Pareto, Normal)
def _kl_pareto_normal(p: Any, q: Any) -> Any:
    variance = 2 * q.scale.pow(2)
    mean = p.scale * p.alpha / (p.alpha - 1)
    t1 = (math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log()
    t3 = p.alpha * p.scale.pow(2) / ((p.alpha - 1).pow(2) * (p.alpha - 2))
    result = t1 - p.alpha.reciprocal() + (t3 + (mean - q.loc).pow(2)) / variance - 1
    result[p.alpha <= 2] = math.inf
    return result


@register_kl(Uniform, Exponential)
def _kl_uniform_exponential(p: Any, q: Any) -> Any:
    result = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    result[p.low < q.support.lower_bound] = math.inf
    return result


@register_kl(Uniform, Gamma)
def _kl_uniform_gamma(p: Any, q: Any) -> Any:
    common = p.high - p.low
    t1 = common.log()
    t2 = q.concentration.lgamma() - q.concentration * q.rate.log()
    t3 = (1 - q.concentration) * (_x_log_x(p.high) - _x_log_x(p.low) - common) / common
    result = -t1 + t2 + t3 + q.rate * (p.high + p.low) / 2
    result[p.low < q.support.lower_bound] = math.inf
    return result


@register_kl(Uniform, Gumbel)
def _kl_uniform_gumbel(p: Any, q: Any) -> Any:
    common = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    t1 = common.log() + 0.5 * (high + low)
    return t1 - common * (flambeau.exp(-high) - flambeau.exp(-low))


@register_kl(Uniform, Normal)
def _kl_uniform_normal(p: Any, q: Any) -> Any:
    common = p.high - p.low
    t1 = (math.sqrt(math.pi * 2) * q.scale / common).log()
    t2 = common.pow(2) / 12
    t3 = ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return t1 + 0.5 * (t2 + t3) / q.scale.pow(2)


@register_kl(Uniform, Pareto)
def _kl_uniform_pareto(p: Any, q: Any) -> Any:
    width = p.high - p.low
    t1 = (q.alpha * q.scale.pow(q.alpha) * width).log()
    t2 = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    result = t2 * (q.alpha + 1) - t1
    result[p.low < q.support.lower_bound] = math.inf
    return result


def _expected_normal(mean: Any, variance: Any, q: Any) -> Any:
    """E[-log q(x)] for normal q, from the mean and variance of x."""
    squares = q.scale.pow(2)
    return 0.5 * (squares * 2 * math.pi).log() + 0.5 * (variance + (mean - q.loc).pow(2)) / squares


@register_kl(Beta, ContinuousBernoulli)
def _kl_beta_continuous_bernoulli(p: Any, q: Any) -> Any:
    logs = flambeau.log1p(-q.probs) + q._cont_bern_log_norm()
    return -p.entropy() - p.mean * q.logits - logs


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
def _kl_bounded_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _kl_beta_gamma(p: Any, q: Any) -> Any:
    log_x = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    t2 = q.concentration.lgamma() - q.concentration * q.rate.log()
    return -p.entropy() + t2 - (q.concentration - 1) * log_x + q.rate * p.mean


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
def _kl_bounded_normal(p: Any, q: Any) -> Any:
    return -p.entropy() + _expected_normal(p.mean, p.variance, q)


@register_kl(ContinuousBernoulli, Uniform)
def _kl_continuous_bernoulli_uniform(p: Any, q: Any) -> Any:
    result = -p.entropy() + (q.high - q.low).log()
    outside = q.low.ge(p.support.lower_bound) | q.high.le(p.support.upper_bound)
    return flambeau.where(outside, flambeau.ones_like(result) * math.inf, result)


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p: Any, q: Any) -> Any:
    width = p.high - p.low
    log_x = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    log_rest = (_x_log_x(1 - p.high) - _x_log_x(1 - p.low) + width) / width
    t2 = (q.concentration1 - 1) * log_x
    t3 = (q.concentration0 - 1) * log_rest
    norm = q.concentration1.lgamma() + q.concentration0.lgamma()
    norm = norm - (q.concentration1 + q.concentration0).lgamma()
    result = t3 + norm - width.log() - t2
    outside = (p.high > q.support.upper_bound) | (p.low < q.support.lower_bound)
    result[outside] = math.inf
    return result


@register_kl(Uniform, ContinuousBernoulli)
def _kl_uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    logs = flambeau.log1p(-q.probs) + q._cont_bern_log_norm()
    result = -p.entropy() - p.mean * q.logits - logs
    outside = p.high.ge(q.support.upper_bound) | p.low.le(q.support.lower_bound)
    return flambeau.where(outside, flambeau.ones_like(result) * math.inf, result)


# ---- pairs whose supports differ: never finite -----------------------------------------------

_INFINITE: dict[type, tuple[tuple[type, ...], Callable[[Any], Any]]] = {
    Bernoulli: ((), lambda p: p.probs),
    Beta: ((Pareto,), lambda p: p.concentration1),
    ContinuousBernoulli: ((Pareto,), lambda p: p.probs),
    Exponential: ((Beta, ContinuousBernoulli, Pareto, Uniform), lambda p: p.rate),
    Gamma: ((Beta, ContinuousBernoulli, Pareto, Uniform), lambda p: p.concentration),
    Gumbel: (
        (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform), lambda p: p.loc
    ),
    Laplace: (
        (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform), lambda p: p.loc
    ),
    Normal: (
        (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform), lambda p: p.loc
    ),
    Pareto: ((Beta, ContinuousBernoulli, Uniform), lambda p: p.scale),
    Poisson: ((Bernoulli, Binomial), lambda p: p.rate),
}  # fmt: skip


def _infinite(parameter: Any, p: Any, q: Any) -> Any:
    return _infinite_like(parameter(p))


for _type, (_others, _parameter) in _INFINITE.items():
    for _other in _others:
        register_kl(_type, _other)(functools.partial(_infinite, _parameter))

"""Random samples whose parameters are tensors: normal, bernoulli, multinomial, poisson, binomial.

>>> torch.bernoulli(torch.tensor([0.0, 1.0]))
tensor([0., 1.])
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.core import dtype as dtypes
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.ops import draws
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.arrays import raw_array
from flambeau.ops.creation import like
from flambeau.ops.creation_arguments import finish, no_gradient
from flambeau.ops.kinds import NONE, pointwise
from flambeau.ops.random import (
    bernoulli_,
    checks,
    engine_of,
    new,
    normal_,
    storage_order,
    stream_of,
    streams,
)
from flambeau.ops.registry import is_tensor


@pointwise(
    promote=NONE,
    promotes=("samples",),
    public=None,
    methods=(),
    inplace=False,
    node=lambda node, **rest: node,
    grad={"first": no_gradient, "second": no_gradient},
)
def _independent(samples, first, second=None, node=""):
    """The samples, as a result of tensors that have a gradient of zero: their parameters."""
    return samples


def of_parameters(samples: Any, node: str, *parameters: Any) -> Any:
    """The samples in the graph, if it has one of their parameters: torch's `node` is there."""
    tensors = [p for p in parameters if is_tensor(p)]
    if is_grad_enabled() and any(p.requires_grad for p in tensors):
        return _independent.call(samples, *tensors, node=node)
    return samples


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Any = None,
    **options: Any,
) -> Any:
    """Normal samples with given means and deviations, numbers or tensors.

    >>> torch.normal(torch.zeros(2), 0.0)
    tensor([0., 0.])
    """
    if size is not None or not is_tensor(mean) and not is_tensor(std):
        made, _, requires_grad = new("normal", (tuple(size or ()),), {**options, "out": out})
        return finish(normal_(made, mean, std, generator=generator), requires_grad)
    if is_tensor(std) and std.numel() and (std.detach() < 0).any():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    if not is_tensor(std) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    wide = mean if not is_tensor(std) else std if not is_tensor(mean) else (mean + std)
    made = normal_(like(wide, None, None, None, None), generator=generator)
    made = made * (std.detach() if is_tensor(std) else std) + (
        mean.detach() if is_tensor(mean) else mean
    )
    if out is not None:
        return out.resize_(made.shape).copy_(made)
    overload = 1 + is_tensor(std) * (1 + is_tensor(mean))
    return of_parameters(made, f"NormalBackward{overload}", mean, std)


def bernoulli(input: Any, p: Any = None, *, generator: Any = None, out: Any = None) -> Any:
    """Ones with the probabilities in `input` (or with probability `p`), zeros otherwise.

    >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    if out is not None:
        return bernoulli_(out.resize_(input.shape), input if p is None else p, generator=generator)
    spec = input._spec
    if p is None and spec.contiguous and draws.bernoulli_each.takes(spec.dtype):
        return draws.bernoulli_each.call(input, stream_of(generator).address)
    made = like(input, None, None, None, None)
    made = bernoulli_(made, input if p is None else p, generator=generator)
    return of_parameters(made, "BernoulliBackward0", input if p is None else p)


def multinomial(
    input: Any,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Any = None,
) -> Any:
    """Categories drawn by the weights in each row.

    >>> torch.multinomial(torch.tensor([0.0, 1.0]), 1)
    tensor([1])
    """
    checks().check_multinomial(input.dtype, tuple(input.shape), num_samples, replacement)
    if out is not None and out.dtype is not dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.scalar_name}")
    rows = input.detach().reshape(-1, input.shape[-1]).contiguous()
    narrow = input.dtype is dtypes.bfloat16
    checks().check_weights(
        rows.float().numpy() if input.dtype.itemsize < 4 else rows.numpy(), num_samples, replacement
    )
    made = empty_of(Spec.of((rows.shape[0], num_samples), None, dtypes.int64, input.device))
    weights = raw_array(rows, "uint16") if narrow else rows.numpy()
    with engine_of(generator).locked() as engine:
        streams().multinomial(
            engine, raw_array(made, "int64"), weights, replacement, bfloat16=narrow
        )
    made = made if input.ndim == 2 else made.squeeze(0)
    return made if out is None else out.resize_(made.shape).copy_(made)


def poisson(input: Any, generator: Any = None) -> Any:
    """Poisson counts with the rates in `input`.

    >>> torch.poisson(torch.zeros(2))
    tensor([0., 0.])
    """
    rates = input.detach().contiguous()
    wide = rates if rates.dtype.itemsize >= 4 else rates.float()
    checks().check_poisson(input.dtype, wide.numpy())
    made = empty_of(Spec.of(tuple(rates.shape), None, wide.dtype, rates.device))
    with engine_of(generator).locked() as engine:
        streams().poisson(engine, storage_order(made), wide.numpy().reshape(-1))
    return of_parameters(made.to(input.dtype), "PoissonBackward0", input)


def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Successes in `count` trials of probability `prob`.

    >>> torch.binomial(torch.tensor([4.0]), torch.tensor([1.0]))
    tensor([4.])
    """
    shape = tuple(broadcast_shapes(count.shape, prob.shape))
    counts, chances = (t.detach().expand(shape).contiguous() for t in (count, prob))
    made = empty_of(Spec.of(shape, None, count.dtype, count.device))
    with engine_of(generator).locked() as engine:
        streams().binomial(
            engine, storage_order(made), counts.numpy().reshape(-1), chances.numpy().reshape(-1)
        )
    return made


def _standard_gamma(input: Any, generator: Any = None) -> Any:
    """Gamma samples of the shapes in `input` and scale 1."""
    shapes = input.detach().contiguous()
    made = empty_of(Spec.of(tuple(shapes.shape), None, shapes.dtype, shapes.device))
    with engine_of(generator).locked() as engine:
        streams().standard_gamma(engine, storage_order(made), shapes.numpy().reshape(-1))
    return made


METHODS = [bernoulli, multinomial]
__all__ = ["_standard_gamma", "bernoulli", "binomial", "multinomial", "normal", "poisson"]

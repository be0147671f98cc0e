"""Random tensors: rand, randn, randint, randperm, normal, bernoulli, multinomial ..., and the
in-place forms.

The numbers are torch's, bit for bit, for the same seed: ops.kernels.random_streams says how each
kind is drawn. Here are the public functions: arguments, checks, and where the samples go.

    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from flambeau.autograd.inplace import adopt, check_modifiable
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.generator import default_generator
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.arrays import from_array, raw_array
from flambeau.ops.creation import like
from flambeau.ops.creation_arguments import (
    check_dtype,
    check_layout,
    finish,
    number_of,
    place,
    sizes_of,
)
from flambeau.ops.registry import is_tensor


def engine_of(generator: Any) -> Any:
    """The stream of a generator, or of the default one."""
    return (default_generator() if generator is None else generator).engine


def storage_order(tensor: Any) -> Any:
    """The elements of a contiguous tensor as a 1-D array (complex ones as pairs of reals, bfloat16
    as its bits), or None for other tensors.
    """
    import numpy

    spec = tensor._spec
    if not spec.contiguous:
        return None
    kind = spec.dtype.to_real() if spec.dtype.is_complex else spec.dtype
    name = "uint16" if kind is dtypes.bfloat16 else kind.name
    count = spec.numel * spec.itemsize // kind.itemsize
    if not count:
        return numpy.empty(0, name)
    return numpy.ndarray((count,), name, tensor._storage, tensor._offset * spec.itemsize)


def sample(tensor: Any, draw: Callable[..., None], generator: Any, **options: Any) -> Any:
    """Fills the tensor by `draw(engine, flat array, bfloat16=..., **options)`;
    the version counts up.
    """
    check_modifiable(tensor)
    if tensor.device.type == "meta":
        return tensor
    narrow = tensor.dtype is dtypes.bfloat16
    array = storage_order(tensor)
    if array is not None:
        draw(engine_of(generator), array, bfloat16=narrow, **options)
        tensor._storage.version += 1
    else:
        order = sorted(range(tensor.ndim), key=lambda d: -tensor._spec.strides[d])
        filled = empty_of(
            Spec.of(tuple(tensor.shape[d] for d in order), None, tensor.dtype, tensor.device)
        )
        extra = {"contiguous": False} if draw.__name__ == "normal" else {}
        draw(engine_of(generator), storage_order(filled), bfloat16=narrow, **options, **extra)
        inverse = [order.index(d) for d in range(tensor.ndim)]
        tensor.detach().copy_(filled.permute(inverse))
    adopt(tensor, None)
    return tensor


@cache
def streams() -> Any:
    """The drawing functions, imported when numbers are first drawn."""
    from flambeau.ops.kernels import random_streams

    return random_streams


@cache
def checks() -> Any:
    """The checks of arguments."""
    from flambeau.ops.kernels import random_checks

    return random_checks


# ---- in place ------------------------------------------------------------------------------------


def uniform_(
    self: Any, from_: float = 0, to: float = 1, *, generator: Any = None, **named: Any
) -> Any:
    """Fills with uniform samples from [from, to)."""
    low = number_of(named.pop("from", from_))
    checks().check_uniform(self.dtype, low, number_of(to))
    if low > to:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={to:g}"
        )
    return sample(self, streams().uniform, generator, low=float(low), high=float(to))


def normal_(self: Any, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
    """Fills with normal samples."""
    checks().check_normal(self.dtype, number_of(std))
    mean, std = number_of(mean), number_of(std)
    if self.dtype.is_complex:
        std /= math.sqrt(2)
    return sample(self, streams().normal, generator, mean=float(mean), std=float(std))


def random_(
    self: Any, from_: Any = None, to: Any = None, *, generator: Any = None, **named: Any
) -> Any:
    """Fills with integers: below `to`, from `from` to below `to`,
    or over the dtype's whole range.
    """
    from_ = named.pop("from", from_)
    if from_ is None and to is None:
        checks().check_unbounded(self.dtype)
        return sample(self, streams().integers_of_dtype, generator)
    if to is None and "from" not in named and not named:
        from_, to = 0, from_
    base, count = checks().integer_range(self.dtype, int(from_), None if to is None else int(to))
    return sample(self, streams().integers, generator, base=base, count=count)


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fills with ones of probability `p`, zeros otherwise."""
    if is_tensor(p):
        probabilities = p.detach().expand(self.shape).contiguous()
        values = (
            probabilities.numpy() if p.dtype is dtypes.float64 else probabilities.float().numpy()
        )
        checks().check_bernoulli_each(self.dtype, values, p.dtype)
        return sample(self, streams().bernoulli_each, generator, probabilities=values.reshape(-1))
    checks().check_bernoulli(self.dtype, p)
    return sample(self, streams().bernoulli, generator, probability=float(p))


def in_place(
    name: str, check: Callable[..., None], draw: str, parameters: dict[str, Any], text: str
) -> Callable[..., Any]:
    """An in-place sampler whose parameters are plain numbers."""
    names = list(parameters)

    def method(self: Any, *args: Any, generator: Any = None, **named: Any) -> Any:
        values = {**parameters, **dict(zip(names, args, strict=False)), **named}
        if any(v is None for v in values.values()):
            raise errors.missing_arguments(name, [n for n in names if values[n] is None])
        check(self.dtype, *[values[n] for n in names][-1:])
        renamed = {"lambd": "rate"}
        return sample(
            self,
            getattr(streams(), draw),
            generator,
            **{renamed.get(n, n): float(values[n]) for n in names},
        )

    method.__name__, method.__doc__ = name, text
    return method


exponential_ = in_place(
    "exponential_",
    lambda *a: checks().check_exponential(*a),
    "exponential",
    {"lambd": 1},
    "Fills with exponential samples.",
)
cauchy_ = in_place(
    "cauchy_",
    lambda *a: checks().check_cauchy(*a),
    "cauchy",
    {"median": 0, "sigma": 1},
    "Fills with Cauchy samples.",
)
log_normal_ = in_place(
    "log_normal_",
    lambda *a: checks().check_log_normal(*a),
    "log_normal",
    {"mean": 1, "std": 2},
    "Fills with log-normal samples.",
)
geometric_ = in_place(
    "geometric_",
    lambda *a: checks().check_geometric(*a),
    "geometric",
    {"p": None},
    "Fills with geometric samples.",
)


# ---- new tensors ---------------------------------------------------------------------------------


def new(name: str, size: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """An uninitialised tensor for `size` and the usual options;
    with the generator and the wish for gradients.
    """
    if "size" in options:
        size = (tuple(options.pop("size")),)
    shape = sizes_of(name, size or ((),))
    generator, out = options.pop("generator", None), options.pop("out", None)
    requires_grad, dtype = (
        options.pop("requires_grad", False),
        check_dtype(name, options.pop("dtype", None)),
    )
    check_layout(options.pop("layout", None))
    where = place(options.pop("device", None))
    for ignored in ("pin_memory", "names"):
        options.pop(ignored, None)
    if options:
        raise errors.unexpected_argument(name, next(iter(options)))
    return (
        empty_of(Spec.of(shape, None, dtype, where)) if out is None else out.resize_(shape),
        generator,
        requires_grad,
    )


def rand(*size: Any, **options: Any) -> Any:
    """Uniform samples from [0, 1).

    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    made, generator, requires_grad = new("rand", size, options)
    return finish(
        uniform_(made, generator=generator)
        if not made.dtype.is_complex
        else sample(made, streams().uniform, generator),
        requires_grad,
    )


def randn(*size: Any, **options: Any) -> Any:
    """Samples of the standard normal distribution.

    >>> _ = torch.manual_seed(0)
    >>> torch.randn(2)
    tensor([ 1.5410, -0.2934])
    """
    made, generator, requires_grad = new("randn", size, options)
    return finish(normal_(made, generator=generator), requires_grad)


def randint(*args: Any, **options: Any) -> Any:
    """Integers from [low, high): `randint(high, size)` or `randint(low, high, size)`.

    >>> _ = torch.manual_seed(0)
    >>> torch.randint(10, (3,))
    tensor([4, 9, 3])
    """
    values = list(args)
    size = options.pop("size", None)
    if size is None:
        size = values.pop() if values and isinstance(values[-1], (tuple, list)) else None
    low, high = options.pop("low", None), options.pop("high", None)
    if high is None and values:
        high = values.pop()
    if low is None:
        low = values.pop() if values else 0
    if size is None or values:
        raise TypeError("randint() received an invalid combination of arguments")
    options.setdefault("dtype", dtypes.int64)
    options["dtype"] = options["dtype"] or dtypes.int64
    made, generator, requires_grad = new("randint", (tuple(size),), options)
    return finish(
        random_(made, int(number_of(low)), int(number_of(high)), generator=generator), requires_grad
    )


def randperm(n: int, **options: Any) -> Any:
    """A random order of 0 ... n - 1.

    >>> _ = torch.manual_seed(0)
    >>> torch.randperm(4)
    tensor([0, 1, 3, 2])
    """
    options["dtype"] = options.get("dtype") or dtypes.int64
    if options["dtype"] is dtypes.bool_ or options["dtype"].is_complex:
        raise errors.not_implemented_for("randperm", options["dtype"].scalar_name)
    made, generator, requires_grad = new("randperm", ((n,),), options)
    return finish(sample(made, streams().permutation, generator), requires_grad)


def likes(name: str, fill: Callable[..., Any]) -> Callable[..., Any]:
    """rand_like and randn_like."""

    def function(
        input: Any,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        generator: Any = None,
    ) -> Any:
        return finish(
            fill(like(input, dtype, layout, device, memory_format), generator=generator),
            requires_grad,
        )

    function.__name__, function.__doc__ = name, f"`{name[:-5]}` of the input's shape and dtype."
    return function


rand_like, randn_like = likes("rand_like", uniform_), likes("randn_like", normal_)


def randint_like(
    input: Any, *bounds: Any, low: Any = None, high: Any = None, **options: Any
) -> Any:
    """`randint` of the input's shape and dtype.

    >>> torch.randint_like(torch.zeros(2), 1)
    tensor([0., 0.])
    """
    values = list(bounds)
    if high is None:
        high = values.pop()
    if low is None:
        low = values.pop() if values else 0
    generator, requires_grad = options.pop("generator", None), options.pop("requires_grad", False)
    made = like(
        input,
        options.get("dtype"),
        options.get("layout"),
        options.get("device"),
        options.get("memory_format"),
    )
    return finish(
        random_(made, int(number_of(low)), int(number_of(high)), generator=generator), requires_grad
    )


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
    return made if out is None else out.resize_(made.shape).copy_(made)


def bernoulli(input: Any, p: Any = None, *, generator: Any = None, out: Any = None) -> Any:
    """Ones with the probabilities in `input` (or with probability `p`), zeros otherwise.

    >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    made = like(input, None, None, None, None) if out is None else out.resize_(input.shape)
    return bernoulli_(made, input if p is None else p, generator=generator)


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
    rows = input.detach().reshape(-1, input.shape[-1]).contiguous()
    narrow = input.dtype is dtypes.bfloat16
    checks().check_weights(
        rows.float().numpy() if input.dtype.itemsize < 4 else rows.numpy(), num_samples, replacement
    )
    made = empty_of(Spec.of((rows.shape[0], num_samples), None, dtypes.int64, input.device))
    weights = raw_array(rows, "uint16") if narrow else rows.numpy()
    streams().multinomial(
        engine_of(generator), raw_array(made, "int64"), weights, replacement, bfloat16=narrow
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
    streams().poisson(engine_of(generator), storage_order(made), wide.numpy().reshape(-1))
    return made.to(input.dtype)


def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Successes in `count` trials of probability `prob`.

    >>> torch.binomial(torch.tensor([4.0]), torch.tensor([1.0]))
    tensor([4.])
    """
    shape = tuple(broadcast_shapes(count.shape, prob.shape))
    counts, chances = (t.detach().expand(shape).contiguous() for t in (count, prob))
    made = empty_of(Spec.of(shape, None, count.dtype, count.device))
    streams().binomial(
        engine_of(generator),
        storage_order(made),
        counts.numpy().reshape(-1),
        chances.numpy().reshape(-1),
    )
    return made


def _standard_gamma(input: Any, generator: Any = None) -> Any:
    """Gamma samples of the shapes in `input` and scale 1."""
    shapes = input.detach().contiguous()
    made = empty_of(Spec.of(tuple(shapes.shape), None, shapes.dtype, shapes.device))
    streams().standard_gamma(engine_of(generator), storage_order(made), shapes.numpy().reshape(-1))
    return made


METHODS = [
    uniform_,
    normal_,
    random_,
    bernoulli_,
    exponential_,
    cauchy_,
    log_normal_,
    geometric_,
    bernoulli,
    multinomial,
]
__all__ = [
    "_standard_gamma", "bernoulli", "binomial", "multinomial", "normal", "poisson", "rand",
    "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm",
]  # fmt: skip
_ = from_array

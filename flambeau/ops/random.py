"""Random tensors: rand, randn, randint, randperm and their kin, and the in-place samplers.

The numbers are torch's, bit for bit, for the same seed: ops.kernels.random_streams says how each
kind is drawn. Here are the public functions: arguments, checks, and where the samples go. Samples
whose parameters are tensors are in ops.random_samples.

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
from flambeau.core.device import get_default_device
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import is_non_overlapping_and_dense
from flambeau.generator import default_generator
from flambeau.ops import draws
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.creation import like
from flambeau.ops.creation_arguments import (
    blank,
    check_dtype,
    check_layout,
    finish,
    number_of,
    place,
    sizes_of,
)
from flambeau.ops.registry import engine, is_tensor


def stream_of(generator: Any) -> Any:
    """The stream of a generator, or of the default one."""
    return (default_generator() if generator is None else generator).engine


def engine_of(generator: Any) -> Any:
    """The same, for draws that no kernel makes and that can therefore not be replayed."""
    if engine.tape is not None:
        engine.tape.stop("it draws random numbers in a way that has no kernel")
    return stream_of(generator)


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


def sample(tensor: Any, draw: Callable[..., None], generator: Any, *options: Any) -> Any:
    """Fills the tensor by `draw(engine, flat array, *options, bfloat16=...)`;
    the version counts up. For what no kernel does: 16-bit types, tensors that are not contiguous.
    """
    check_modifiable(tensor)
    if tensor.device.type == "meta":
        return tensor
    narrow = tensor.dtype is dtypes.bfloat16
    array = storage_order(tensor)
    if array is not None:
        with engine_of(generator).locked() as stream:
            draw(stream, array, *options, bfloat16=narrow)
        tensor._storage.version += 1
    else:
        order = sorted(range(tensor.ndim), key=lambda d: -tensor._spec.strides[d])
        filled = empty_of(
            Spec.of(tuple(tensor.shape[d] for d in order), None, tensor.dtype, tensor.device)
        )
        extra = {"contiguous": False} if draw.__name__ == "normal" else {}
        with engine_of(generator).locked() as stream:
            draw(stream, storage_order(filled), *options, bfloat16=narrow, **extra)
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


def draw_into(
    tensor: Any, op: draws.Draw, generator: Any, numbers: tuple[Any, ...], options: Any = None
) -> Any:
    """Draws over the tensor: by a kernel with `numbers` if there is one, else by the function of
    random_streams that has the op's name, with `options` (None: the same numbers).
    """
    spec = tensor._spec
    if spec.contiguous and op.takes(spec.dtype):
        return op.in_place.call(tensor, stream_of(generator).address, *numbers)
    if op is not draws.normal and is_drawn_in_memory_order(tensor) and op.takes(spec.dtype):
        row = Spec.of((spec.numel,), None, spec.dtype, spec.device)
        alias = engine.core.make_tensor(tensor._storage, row, tensor._offset)
        op.in_place.call(alias, stream_of(generator).address, *numbers)
        return tensor
    options = numbers if options is None else options
    return sample(tensor, getattr(streams(), op.kernel), generator, *options)


def is_drawn_in_memory_order(tensor: Any) -> bool:
    """Whether the elements lie without gaps, in whatever order, and no graph is concerned."""
    spec = tensor._spec
    return tensor._edge is None and is_non_overlapping_and_dense(spec.shape, spec.strides)


def real_of(value: Any) -> float:
    """A float from a number, a NumPy scalar or a 0-d tensor."""
    return value if type(value) is float else float(number_of(value))


def uniform_(
    self: Any, from_: float = 0, to: float = 1, *, generator: Any = None, **named: Any
) -> Any:
    """Fills with uniform samples from [from, to)."""
    low, high = real_of(named.pop("from", from_) if named else from_), real_of(to)
    if named:
        raise errors.unexpected_argument("uniform_", next(iter(named)))
    checks().check_uniform(self._spec.dtype, low, high)
    return draw_into(self, draws.uniform, generator, (low, high))


def normal_(self: Any, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
    """Fills with normal samples."""
    mean, std, dtype = real_of(mean), real_of(std), self._spec.dtype
    checks().check_normal(dtype, std)
    if dtype.is_complex:
        std /= math.sqrt(2)
    return draw_into(self, draws.normal, generator, (mean, std))


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
    return random_between(self, int(from_), None if to is None else int(to), generator)


def random_between(tensor: Any, low: int, high: int | None, generator: Any) -> Any:
    """Fills with integers from `low` to below `high`."""
    base, count, numbers = checks().integer_draw(tensor._spec.dtype, low, high)
    return draw_into(tensor, draws.integers, generator, numbers, (base, count))


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fills with ones of probability `p`, zeros otherwise."""
    if is_tensor(p):
        return bernoulli_each_(self, p, generator)
    threshold = checks().check_bernoulli(self._spec.dtype, p)
    return draw_into(self, draws.bernoulli, generator, (threshold,), (float(p),))


def bernoulli_each_(tensor: Any, p: Any, generator: Any) -> Any:
    """Fills with ones, with one probability for each element."""
    probabilities = p.detach().expand(tensor.shape).contiguous()
    values = probabilities.numpy() if p.dtype is dtypes.float64 else probabilities.float().numpy()
    checks().check_bernoulli_each(tensor.dtype, values, p.dtype)
    return sample(tensor, streams().bernoulli_each, generator, values.reshape(-1))


def in_place(
    op: draws.Draw, check: str, parameters: dict[str, Any], text: str
) -> Callable[..., Any]:
    """An in-place sampler whose parameters are plain numbers."""
    names, name = list(parameters), op.kernel + "_"

    def method(self: Any, *args: Any, generator: Any = None, **named: Any) -> Any:
        values = {**parameters, **dict(zip(names, args, strict=False)), **named}
        if any(v is None for v in values.values()):
            raise errors.missing_arguments(name, [n for n in names if values[n] is None])
        getattr(checks(), check)(self.dtype, values[names[-1]])
        numbers = tuple(real_of(values[n]) for n in names)
        return draw_into(self, op, generator, numbers)

    method.__name__, method.__doc__ = name, text
    return method


exponential_ = in_place(
    draws.exponential, "check_exponential", {"lambd": 1}, "Fills with exponential samples."
)
cauchy_ = in_place(
    draws.cauchy, "check_cauchy", {"median": 0, "sigma": 1}, "Fills with Cauchy samples."
)
log_normal_ = in_place(
    draws.log_normal, "check_log_normal", {"mean": 1, "std": 2}, "Fills with log-normal samples."
)
geometric_ = in_place(
    draws.geometric, "check_geometric", {"p": None}, "Fills with geometric samples."
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


def fresh(name: str, size: tuple[Any, ...], op: draws.Draw, *numbers: float) -> Any:
    """A new tensor without any options, which is the usual wish; None where that takes more."""
    dtype = dtypes.get_default_dtype()
    if get_default_device() is not CPU or not op.takes(dtype):
        return None
    made = blank.call(size or ((),), dtype, name)
    op.in_place.call(made, default_generator().engine.address, *numbers)
    made._storage.version = 0
    return made


def rand(*size: Any, **options: Any) -> Any:
    """Uniform samples from [0, 1).

    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    if not options and (made := fresh("rand", size, draws.uniform, 0.0, 1.0)) is not None:
        return made
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
    if not options and (made := fresh("randn", size, draws.normal, 0.0, 1.0)) is not None:
        return made
    made, generator, requires_grad = new("randn", size, options)
    return finish(normal_(made, generator=generator), requires_grad)


def randint(*args: Any, **options: Any) -> Any:
    """Integers from [low, high): `randint(high, size)` or `randint(low, high, size)`.

    >>> _ = torch.manual_seed(0)
    >>> torch.randint(10, (3,))
    tensor([4, 9, 3])
    """
    values = list(args)
    size = options.pop("size", None) if options else None
    if size is None:
        size = values.pop() if values and isinstance(values[-1], (tuple, list)) else None
    low, high = options.pop("low", None), options.pop("high", None)
    if high is None and values:
        high = values.pop()
    if low is None:
        low = values.pop() if values else 0
    if size is None or values:
        raise TypeError("randint() received an invalid combination of arguments")
    if not options and get_default_device() is CPU:
        made, generator, requires_grad = blank.call((size,), dtypes.int64, "randint"), None, False
    else:
        options["dtype"] = options.get("dtype") or dtypes.int64
        made, generator, requires_grad = new("randint", (tuple(size),), options)
    random_between(made, int(number_of(low)), int(number_of(high)), generator)
    return finish(made, requires_grad)


def randperm(n: int, **options: Any) -> Any:
    """A random order of 0 ... n - 1.

    >>> _ = torch.manual_seed(0)
    >>> torch.randperm(4)
    tensor([0, 1, 3, 2])
    """
    if not options and get_default_device() is CPU:
        made = blank.call(((n,),), dtypes.int64, "randperm")
        return finish(draw_into(made, draws.permutation, None, ()), False)
    options["dtype"] = options.get("dtype") or dtypes.int64
    if options["dtype"] is dtypes.bool_ or options["dtype"].is_complex:
        raise errors.not_implemented_for("randperm", options["dtype"].scalar_name)
    made, generator, requires_grad = new("randperm", ((n,),), options)
    return finish(draw_into(made, draws.permutation, generator, ()), requires_grad)


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
            pin_memory,
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


METHODS = [
    uniform_,
    normal_,
    random_,
    bernoulli_,
    exponential_,
    cauchy_,
    log_normal_,
    geometric_,
]
__all__ = ["rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm"]

"""Norms and distances: vector norms, norm, dist, renorm, logsumexp, and closeness: isclose,
allclose.

>>> torch.norm(torch.tensor([3.0, 4.0]))
tensor(5.)
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.codegen import monoids
from flambeau.codegen.dtypes import KIND
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.promotion import Promotion
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.kinds import FLOAT, Dims, composite, pointwise, reduced_dims, reduction
from flambeau.ops.reduce import restored
from flambeau.ops.registry import OPS, is_tensor

OWN_KERNEL = (0, 1, 2, math.inf, -math.inf)  # orders that need no powers


def real_dtype(dtype: Any) -> Any:
    """The dtype of absolute values."""
    return dtype.to_real()


# ---- vector norms --------------------------------------------------------------------------------


def check_norm(input: Spec, ord: Any, dim: Any, dtype: Any = None, **rest: Any) -> None:
    """torch's errors for vector norms."""
    name = "linalg.vector_norm"
    if isinstance(ord, str) or not isinstance(ord, (int, float)):
        raise errors.argument_type_error("linalg_vector_norm", "ord", 2, "Number", ord)
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{input.dtype.scalar_name}"
        )
    if dtype is not None:
        if not (dtype.is_floating_point or dtype.is_complex):
            raise RuntimeError(
                f"{name}: dtype should be floating point or complex, but got {dtype.scalar_name}"
            )
        if dtype.is_complex != input.dtype.is_complex:
            kind = "complex" if input.dtype.is_complex else "real"
            raise RuntimeError(
                f"{name}: dtype should be {kind} for {kind} inputs, but got {dtype.scalar_name}"
            )
        if (dtype.itemsize, dtype.category) < (input.dtype.itemsize, input.dtype.category):
            raise RuntimeError(
                f"{name}: the dtype of the input ({input.dtype.scalar_name}) should be convertible "
                "without narrowing to the specified "
                f"dtype ({dtype.scalar_name})"
            )
    if not input.numel and (ord < 0 or ord == math.inf):
        if dim is None or dim == ():
            raise RuntimeError(
                f"{name} cannot compute the {float(ord):g} norm on an empty tensor because the "
                "operation does not have an identity"
            )
        for d in reduced_dims(dim, input.ndim):
            if not input.shape[d]:
                raise RuntimeError(
                    f"{name} cannot compute the {float(ord):g} norm on the dimension {d}because "
                    "this dimension is empty and the operation "
                    "does not have an identity"
                )


def norm_gradient(g: Any, y: Any, x: Any, p: float, dims: Any) -> Any:
    """d|x|_p / dx, zero where the norm is zero; g and y have all dimensions."""
    if p == 0:
        return x * 0
    if p == 1:
        return x.sgn() * g
    if p == 2:
        return g * (x / y).masked_fill(y == 0, 0)
    if math.isinf(p):
        size = x.abs()
        hit = (size == y) | size.isnan()
        return x.sgn() * ((g / hit.sum(dims, True)) * hit)
    if p < 1:
        return x.sgn() * x.abs().pow(p - 1).masked_fill(x == 0, 0) * g * y.pow(1 - p)
    scale = (g / y.pow(p - 1)).masked_fill(y == 0, 0)
    if p < 2:
        return x.sgn() * x.abs().pow(p - 1) * scale
    return x * x.abs().pow(p - 2) * scale


def vector_norm_gradient(g: Any, y: Any, input: Any, ord: float, dim: Any, keepdim: bool) -> Any:
    """The rule of vector norms."""
    spec = input._spec
    return norm_gradient(
        restored(g, spec, dim, keepdim),
        restored(y, spec, dim, keepdim),
        input,
        ord,
        reduced_dims(dim, spec.ndim),
    )


def norm_monoid(element: str, out: Any, ord: float, **rest: Any) -> Any:
    """The reduction of a norm of order `ord`."""
    return monoids.norm_of(element, out[0], float(ord) if ord in OWN_KERNEL else None)


def norm_parameters(ord: float, **rest: Any) -> tuple[float, ...]:
    """The order, where the kernel takes it at run time."""
    return () if ord in OWN_KERNEL else (float(ord),)


@reduction(
    public=None,
    methods=(),
    monoid=norm_monoid,
    parameters=norm_parameters,
    check=check_norm,
    outputs=lambda own, compute, **_: (real_dtype(compute),),
    grad=lambda g, y, input, ord, dim, keepdim: vector_norm_gradient(
        g, y, input, ord, dim, keepdim
    ),
)
def linalg_vector_norm(input, ord=2, dim: Dims = None, keepdim=False, *, dtype=None):
    """The norm of order `ord` of the elements, over `dim`: linalg.vector_norm."""
    return input.abs() if KIND[input.dtype] == "c" else input


@composite
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """The norm of the elements as a vector, of all or over `dim`; with p "nuc" the nuclear norm of
    matrices.

    >>> torch.norm(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), dim=1)
    tensor([ 5., 10.])
    """
    if not is_tensor(input):
        raise errors.argument_type_error("norm", "input", 1, "Tensor", input)
    dims = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
    if isinstance(p, str):
        if p == "fro" and (dims is None or len(dims) <= 2):
            return linalg_vector_norm.call(input, 2, dims, keepdim, dtype=dtype)
        if "linalg_matrix_norm" not in OPS:
            raise errors.unsupported(f"norm with p={p!r}")
        return OPS["linalg_matrix_norm"].call(
            input, p, tuple(range(input.ndim)) if dims is None else dims, keepdim, dtype=dtype
        )
    return linalg_vector_norm.call(input, 2.0 if p is None else p, dims, keepdim, dtype=dtype)


# ---- distances -----------------------------------------------------------------------------------


def check_dist(input: Spec, **rest: Any) -> None:
    """torch's error for integers."""
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{input.dtype.scalar_name} instead."
        )


def distance_gradient(g: Any, y: Any, input: Any, other: Any, p: float) -> Any:
    """By `input`; by `other` it is the opposite."""
    difference = input - other
    return norm_gradient(g, y, difference, p, tuple(range(difference.ndim)))


@reduction(
    monoid=lambda element, out, p, **_: norm_monoid(element, out, p),
    parameters=lambda p, **_: norm_parameters(p),
    check=check_dist,
    outputs=lambda own, compute, **_: (real_dtype(compute),),
    grad={
        "input": lambda g, y, input, other, p: distance_gradient(g, y, input, other, p),
        "other": lambda g, y, input, other, p: -distance_gradient(g, y, input, other, p),
    },
)
def dist(input, other, p=2):
    """The p-norm of the difference of two tensors.

    >>> torch.dist(torch.tensor([1.0, 5.0]), torch.tensor([4.0, 1.0]))
    tensor(5.)
    """
    difference = input - other
    return difference.abs() if KIND[difference.dtype] == "c" else difference


@composite(fused=True)
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """The parts of a tensor along `dim`, those with a norm above `maxnorm` scaled down to it.

    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    if not is_tensor(input):
        raise errors.argument_type_error("renorm", "input", 1, "Tensor", input)
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim <= 1:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    dim = wrap_dim(dim, input.ndim)
    narrow = input.dtype in (dtypes.float16, dtypes.bfloat16)
    rest = tuple(d for d in range(input.ndim) if d != dim)
    size = linalg_vector_norm.call(input, p, rest, True, dtype=dtypes.float32 if narrow else None)
    factor = (maxnorm / (size + 1e-7)).masked_fill(size <= maxnorm, 1.0)
    return input * factor.to(input.dtype)


def renorm_(self: Any, p: float, dim: int, maxnorm: float) -> Any:
    """`renorm`, written over the tensor."""
    return self.copy_(renorm.call(self, p, dim, maxnorm))


# ---- logarithm of a sum --------------------------------------------------------------------------


def check_logsumexp(input: Spec, dim: Any, **rest: Any) -> None:
    """The dimension must be given."""
    if dim is None:
        raise TypeError("logsumexp(): argument 'dim' must be tuple of ints, not NoneType")


@reduction(
    name="_logsumexp",
    public=None,
    methods=(),
    node=lambda **_: "LogsumexpBackward0",
    promote=FLOAT,
    check=check_logsumexp,
    monoid=lambda element, out, **_: monoids.logsumexp_of(element, out[0]),
    grad=lambda g, y, input, dim, keepdim: (
        restored(g, input._spec, dim, keepdim)
        * (input - restored(y, input._spec, dim, keepdim)).exp()
    ),
)
def real_logsumexp(input, dim, keepdim=False):
    """The reduction behind logsumexp."""
    return input


@composite
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) over `dim`, without overflow.

    >>> torch.logsumexp(torch.zeros(2), 0)
    tensor(0.6931)
    """
    if not is_tensor(input):
        raise errors.argument_type_error("logsumexp", "input", 1, "Tensor", input)
    if input.dtype.is_complex:
        top = input.detach().real.amax(dim, True)
        top = top.masked_fill(top.isinf(), 0)
        result = (input - top).exp().sum(dim, True).log() + top
        return result if keepdim else result.reshape(tuple(result.sum(dim).shape))
    return real_logsumexp.call(input, dim, keepdim)


# ---- closeness -----------------------------------------------------------------------------------


def check_close(input: Any, other: Any, rtol: float, atol: float, **rest: Any) -> None:
    """torch's errors for isclose."""
    if not is_tensor(other):
        raise errors.argument_type_error("isclose", "other", 2, "Tensor", other)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.scalar_name} did not match {other.dtype.scalar_name}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value:g}")


@pointwise(
    numbers="static",
    inplace=False,
    promote=Promotion.BOOL_RESULT,
    promotes=("input", "other"),
    check=check_close,
)
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where |input - other| <= atol + rtol |other|; equal infinities are close.

    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    close = input == other
    kind = KIND[input.dtype]
    if kind == "b":
        return close
    if equal_nan and kind in "fc":
        close = close | (input != input) & (other != other)
    apart = (input - other).abs()
    near = apart <= (other * rtol).abs() + atol
    return close | (near & apart.isfinite() if kind in "fc" else near)


@composite
def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, as a Python bool.

    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    True
    """
    answer: bool = isclose.call(input, other, rtol, atol, equal_nan).all().item()
    return answer


METHODS = [renorm_]

"""Norms of matrices, and `linalg.norm`, which takes vectors and matrices.

Vector norms are a reduction (flambeau.ops.norms); the spectral ones come from singular values.

    >>> torch.linalg.matrix_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), ord=2)
    tensor(4.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.kinds import composite
from flambeau.ops.linalg.common import check_floating, check_matrix
from flambeau.ops.linalg.spectral import linalg_svdvals
from flambeau.ops.norms import linalg_vector_norm
from flambeau.ops.registry import OPS


def check_result_dtype(name: str, spec: Spec, dtype: Any) -> None:
    """torch's checks of `dtype=`."""
    if dtype is None:
        return
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"{name}: dtype should be floating point or complex, but got {dtype.scalar_name}"
        )
    if dtype.is_complex != spec.dtype.is_complex:
        kind = "complex" if spec.dtype.is_complex else "real"
        raise RuntimeError(
            f"{name}: dtype should be {kind} for {kind} inputs, but got {dtype.scalar_name}"
        )
    if dtype.itemsize < spec.dtype.itemsize:
        raise RuntimeError(
            f"{name}: the dtype of the input ({spec.dtype.scalar_name}) should be convertible "
            f"without narrowing to the specified dtype ({dtype.scalar_name})"
        )


def pair_of(dim: Any, ndim: int) -> tuple[int, int]:
    """The dimensions of the matrices: rows, columns."""
    dims = [dim] if isinstance(dim, int) else list(dim)
    if len(dims) != 2:
        shown = " ".join(map(str, dims))
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {shown}")
    first, second = (wrap_dim(d, ndim) for d in dims)
    if first == second:
        raise RuntimeError(
            f"linalg.matrix_norm: dims must be different. Got ({dims[0]}, {dims[1]})"
        )
    return first, second


def greatest(x: Any, dim: int, keepdim: bool) -> Any:
    """The maximum of values that are not negative, along `dim`: zero where there are none."""
    return x.amax(dim, keepdim) if x.shape[dim] else x.sum(dim, keepdim)


def spectral_norm(x: Any, order: Any, dims: tuple[int, int], keepdim: bool) -> Any:
    """Norms that are functions of the singular values."""
    values = linalg_svdvals.call(x.movedim(dims, (-2, -1)))
    if order == "nuc":
        result = values.sum(-1, keepdim)
    elif order > 0:
        result = greatest(values, -1, keepdim)
    else:
        result = values.amin(-1, keepdim)
    return result.unsqueeze(-1).movedim((-2, -1), dims) if keepdim else result


@composite(public=None, methods=())
def linalg_matrix_norm(
    input: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """A norm of matrices: "fro", "nuc", inf, -inf, 1, -1, 2 or -2.

    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), ord=1)
    tensor(6.)
    """
    name = "linalg.matrix_norm"
    spec = OPS["linalg_matrix_norm"].check_tensor(input, "input")._spec
    if ord is None:
        raise TypeError("linalg_matrix_norm() received an invalid combination of arguments")
    if isinstance(ord, str) and ord not in ("fro", "nuc"):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    check_matrix(name, spec)
    check_floating(name, spec)
    dims = pair_of(dim, spec.ndim)
    check_result_dtype(name, spec, dtype)
    if not isinstance(ord, str) and abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord:g} not supported.")
    if ord == "fro":
        result = linalg_vector_norm.call(input, 2, dims, keepdim, dtype=dtype)
    elif ord == "nuc" or abs(ord) == 2:
        check_floating(name, spec, low_precision=False)
        x = input if dtype is None else input.to(dtype)
        result = spectral_norm(x, ord, dims, keepdim)
    else:
        inner, outer = dims if abs(ord) == 1 else dims[::-1]
        if not keepdim and outer > inner:
            outer -= 1
        sums = linalg_vector_norm.call(input, 1, (inner,), keepdim, dtype=dtype)
        result = greatest(sums, outer, keepdim) if ord > 0 else sums.amin(outer, keepdim)
    return result if out is None else out.resize_(result.shape).copy_(result)


def check_order_alone(spec: Spec, order: Any) -> None:
    """An order without dimensions needs a vector or a matrix."""
    if spec.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
            f"Got {spec.ndim}D."
        )


@composite(public=None, methods=())
def linalg_norm(
    input: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """A norm of vectors or matrices, by the number of dimensions; without an order the 2-norm of
    all.

    >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    spec = OPS["linalg_norm"].check_tensor(input, "input")._spec
    dims: Sequence[int] | None = (dim,) if isinstance(dim, int) else dim
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is specified, it must be of length 1 or 2. "
            f"Got {errors.brackets(dims)}"
        )
    if dims is None and ord is not None:
        check_order_alone(spec, ord)
    options = {"dtype": dtype, "out": out}
    if isinstance(ord, str):
        return linalg_matrix_norm.call(
            input, ord, (-2, -1) if dims is None else dims, keepdim, **options
        )
    if ord is not None and (spec.ndim == 2 if dims is None else len(dims) == 2):
        return linalg_matrix_norm.call(
            input, ord, (0, 1) if dims is None else dims, keepdim, **options
        )
    if dims is not None:
        dims = tuple(dims)
    order = 2 if ord is None else ord
    result = linalg_vector_norm.call(input, order, dims, keepdim, dtype=dtype)
    return result if out is None else out.resize_(result.shape).copy_(result)

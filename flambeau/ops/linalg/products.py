"""Products: cross, vecdot, chains of matrices, Vandermonde matrices, and views of diagonals.

>>> torch.linalg.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]))
tensor([0, 0, 1])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes, wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import broadcast_strides
from flambeau.ops.join import cat
from flambeau.ops.kernels import cross as kernels
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import check_floating, check_same_dtype, tensor_spec, warn_once
from flambeau.ops.matmul import matmul
from flambeau.ops.registry import OPS, is_tensor
from flambeau.ops.window import diagonal

# ---- cross -----------------------------------------------------------------------------------


def check_cross(a: Spec, b: Spec, dim: int) -> int:
    """torch's checks; the dimension, counted from 0."""
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    wrapped = wrap_dim(dim, a.ndim)
    if a.shape[wrapped] != 3 or b.shape[wrapped] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. "
            f"Got {a.shape[wrapped]} and {b.shape[wrapped]}"
        )
    return wrapped


@structured(
    public=None,
    methods=(),
    grad={
        "input": lambda g, other, dim: linalg_cross.call(other.conj(), g, dim=dim),
        "other": lambda g, input, dim: linalg_cross.call(g, input.conj(), dim=dim),
    },
)
def linalg_cross(call, input, other, *, dim=-1):
    """The cross product of vectors of three elements along `dim`.

    >>> torch.linalg.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = tensor_spec(call, input, "input"), tensor_spec(call, other, "other")
    wrapped = check_cross(a, b, dim)
    shape = tuple(broadcast_shapes(a.shape, b.shape))
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected scalar type {a.dtype.scalar_name} but found {b.dtype.scalar_name}"
        )
    if a.dtype is dtypes.bool_:
        raise errors.not_implemented_for("cross", "Bool")
    plan = call.plan(["input", "other"], [Spec.of(shape, None, a.dtype, a.device)])
    if plan.is_meta:
        return plan.use_native(0, ())
    steps = [broadcast_strides(s.shape, s.strides, shape) for s in (a, b, plan.outputs[0])]
    params, items = kernels.layout(shape, wrapped, [[n * a.itemsize for n in s] for s in steps])
    return plan.use_native(kernels.kernel(a.dtype), params, items, work=items, grain=1 << 14)


@composite
def cross(input: Any, other: Any, dim: Any = None, *, out: Any = None) -> Any:
    """The cross product; without `dim` along the first dimension of size 3.

    >>> torch.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]), dim=0)
    tensor([0, 0, 1])
    """
    OPS["cross"].check_tensor(input, "input")
    if dim is None:
        dim = next((d for d, size in enumerate(input.shape) if size == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
        warn_once(
            "Using torch.cross without specifying the dim arg is deprecated.\nPlease either pass "
            "the dim explicitly or simply use torch.linalg.cross.\nThe default value of dim will "
            "change to agree with that of linalg.cross in a future release."
        )
    return linalg_cross.call(input, other, dim=dim, out=out)


# ---- products of vectors and matrices --------------------------------------------------------


@composite(public=None, methods=(), fused=True)
def linalg_vecdot(x: Any, y: Any, *, dim: int = -1, out: Any = None) -> Any:
    """The inner product of vectors along `dim`, the first conjugated.

    >>> torch.linalg.vecdot(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    op = OPS["linalg_vecdot"]
    a, b = op.check_tensor(x, "x")._spec, op.check_tensor(y, "y")._spec
    check_floating("linalg.vecdot", a)
    check_same_dtype("linalg.vecdot", "x", a, "y", b)
    if a.ndim == b.ndim == 1:
        result = x.conj().dot(y) if a.dtype.is_complex else x.dot(y)
    else:
        result = (x.conj() * y if a.dtype.is_complex else x * y).sum(dim)
    return result if out is None else out.resize_(result.shape).copy_(result)


@composite(public=None, methods=())
def linalg_matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """Matrix product: see torch.matmul.

    >>> torch.linalg.matmul(torch.ones(2, 3), torch.ones(3)).shape
    torch.Size([2])
    """
    return matmul.call(input, other, out=out)


@composite(public=None, methods=())
def linalg_diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """A view of the diagonals of matrices.

    >>> torch.linalg.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    OPS["linalg_diagonal"].check_tensor(A, "A")
    return diagonal.call(A, offset, dim1, dim2)


# ---- chains of matrices ----------------------------------------------------------------------


def check_chain(tensors: Sequence[Any]) -> None:
    """torch's checks of multi_dot."""
    count = len(tensors)
    if count < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {count}")
    for end, which in ((tensors[0], "first"), (tensors[-1], "last")):
        if end.ndim not in (1, 2):
            raise RuntimeError(
                f"multi_dot(): the {which} tensor must be 1D or 2D but got {end.ndim}D"
            )
    kind = tensors[0].dtype
    for i, tensor in enumerate(tensors):
        if 0 < i < count - 1 and tensor.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {tensor.ndim}D")
        if tensor.dtype is not kind:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{kind.c_name} and tensor {i} {tensor.dtype.c_name}"
            )


def best_splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of the chain so that the products cost least; matrix i is of
    sizes[i] by sizes[i + 1].

    Cormen, Leiserson, Rivest, Stein: Introduction to Algorithms, section on matrix-chain products.
    """
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j], splits[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return splits


@composite(public=None, methods=())
def linalg_multi_dot(tensors: Any, *, out: Any = None) -> Any:
    """The product of several matrices, in the order that costs least; the ends may be vectors.

    >>> torch.linalg.multi_dot([torch.ones(2), torch.ones(2, 3), torch.ones(3)])
    tensor(6.)
    """
    items = list(tensors)
    for item in items:
        if not is_tensor(item):
            raise errors.argument_type_error(
                "linalg_multi_dot", "tensors", 1, "tuple of Tensors", tensors
            )
    check_chain(items)
    shape = []
    if items[0].ndim == 1:
        items[0] = items[0].unsqueeze(0)
    else:
        shape.append(items[0].shape[0])
    if items[-1].ndim == 1:
        items[-1] = items[-1].unsqueeze(-1)
    else:
        shape.append(items[-1].shape[1])
    for i in range(len(items) - 1):
        if items[i].shape[1] != items[i + 1].shape[0]:
            sizes = [errors.brackets(items[k].shape) for k in (i, i + 1)]
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {sizes[0]} and "
                f"{sizes[1]} cannot "
                "be multiplied"
            )
    splits = best_splits([x.shape[0] for x in items] + [items[-1].shape[1]])

    def product(i: int, j: int) -> Any:
        if i == j:
            return items[i]
        k = splits[i, j]
        return product(i, k).mm(product(k + 1, j))

    result = product(0, len(items) - 1).view(shape)
    return result if out is None else out.resize_(result.shape).copy_(result)


# ---- Vandermonde matrices --------------------------------------------------------------------


@composite(public=None, methods=())
def linalg_vander(x: Any, *, N: Any = None) -> Any:
    """The powers 0 to N - 1 of each element as rows.

    >>> torch.linalg.vander(torch.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    spec = OPS["linalg_vander"].check_tensor(x, "x")._spec
    dtype = spec.dtype
    if dtype in (dtypes.bool_, dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got "
            f"{dtype.scalar_name}"
        )
    if not spec.ndim:
        x = x.unsqueeze(-1)
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand(*x.shape, count - 1).cumprod(-1)
    ones = powers.new_ones((*x.shape, 1))
    return cat.call([ones, powers], -1)


@composite(methods=())
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """The powers of each element as rows, from the highest down unless `increasing`.

    >>> torch.vander(torch.tensor([2, 3]))
    tensor([[2, 1],
            [3, 1]])
    """
    spec = OPS["vander"].check_tensor(x, "x")._spec
    if spec.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = spec.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    kind = dtypes.int64 if spec.dtype.category < 2 else spec.dtype
    result = x.new_ones((spec.shape[0], min(1, count)), dtype=kind)
    if count > 1:
        powers = x.to(kind).unsqueeze(-1).expand(spec.shape[0], count - 1).cumprod(-1)
        result = cat.call([result, powers], -1)
    return result if increasing else result.flip(1)

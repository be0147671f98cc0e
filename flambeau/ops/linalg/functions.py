"""Functions of matrices: powers, the exponential, condition numbers, inverses of tensors.

>>> torch.linalg.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
tensor([[1., 3.],
        [0., 1.]])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.core import errors
from flambeau.core.shape import numel
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import check_floating, check_square, tensor_spec
from flambeau.ops.linalg.norms import linalg_matrix_norm
from flambeau.ops.linalg.solve import linalg_inv, linalg_inv_ex, linalg_solve
from flambeau.ops.linalg.spectral import linalg_svdvals
from flambeau.ops.registry import OPS

# ---- powers ----------------------------------------------------------------------------------


@composite
def matrix_power(input: Any, n: int, *, out: Any = None) -> Any:
    """The n-th power of a square matrix; of its inverse where n is negative.

    >>> torch.matrix_power(torch.tensor([[2.0]]), -2)
    tensor([[0.2500]])
    """
    return powered("matrix_power", input, n, out)


@composite(public=None, methods=())
def linalg_matrix_power(input: Any, n: int, *, out: Any = None) -> Any:
    """The n-th power of a square matrix; of its inverse where n is negative.

    >>> torch.linalg.matrix_power(torch.tensor([[2.0]]), 3)
    tensor([[8.]])
    """
    return powered("linalg_matrix_power", input, n, out)


def powered(name: str, input: Any, n: int, out: Any) -> Any:
    """`matrix_power` under either name."""
    spec = OPS[name].check_tensor(input, "input")._spec
    if not isinstance(n, int) or isinstance(n, bool):
        raise errors.argument_type_error(name, "n", 2, "int", n)
    check_square("linalg.matrix_power", spec)
    result = power(linalg_inv.call(input) if n < 0 else input, abs(n))
    return result if out is None else out.resize_(result.shape).copy_(result)


def power(x: Any, n: int) -> Any:
    """By squaring: one product for each binary digit, and one more for each that is 1."""
    if n == 0:
        ones = x.new_ones((x.shape[-1],)).diag_embed()
        return x.clone().copy_(ones.expand(tuple(x.shape)))
    if n == 1:
        return x.clone()
    if n == 3:
        return x @ x @ x
    result, square = None, x
    while n:
        if n & 1:
            result = square if result is None else result @ square
        n >>= 1
        if n:
            square = square @ square
    return result


# ---- exponential -----------------------------------------------------------------------------

# Coefficients of the numerator of the diagonal Pade approximant of degree 13, and the greatest
# 1-norm for which it is exact to float64: Higham, The scaling and squaring method for the matrix
# exponential revisited (2005), table 2.3.
PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
LARGEST = 5.371920351148152


def exponentials(numpy: Any, x: Any) -> Any:
    """exp of matrices of float64 or complex128, shape (batch, n, n): scaled down by a power of two,
    approximated, and squared as often."""
    n = x.shape[-1]
    size = numpy.abs(x).sum(-2).max(-1)
    finite = numpy.isfinite(size)
    with numpy.errstate(divide="ignore", invalid="ignore", over="ignore"):
        times = numpy.ceil(numpy.log2(numpy.where(finite, size, 0) / LARGEST))
        times = numpy.clip(numpy.nan_to_num(times), 0, 2000).astype(int)
        x = numpy.where(finite[:, None, None], x, 0) * (0.5**times)[:, None, None]
        identity = numpy.eye(n)
        x2 = x @ x
        x4 = x2 @ x2
        x6 = x4 @ x2
        b = [float(c) for c in PADE]
        odd = x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2)
        odd = x @ (odd + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * identity)
        even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2)
        even = even + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * identity
        result = numpy.linalg.solve(even - odd, even + odd)
        for k in range(int(times.max(initial=0))):
            more = times > k
            result[more] = result[more] @ result[more]
    result[~finite] = numpy.nan
    return result


def exponential_gradient(g: Any, input: Any) -> Any:
    """The upper right block of exp([[X.mH, g], [0, X.mH]]).

    Mathias: A chain rule for matrix functions and applications (1996); Al-Mohy and Higham:
    Computing the Frechet derivative of the matrix exponential (2009).
    """
    n = input.shape[-1]
    adjoint = input.mH
    top = cat.call([adjoint, g], -1)
    bottom = cat.call([g.new_zeros(tuple(g.shape)), adjoint], -1)
    return linalg_matrix_exp.call(cat.call([top, bottom], -2)).narrow(-2, 0, n).narrow(-1, n, n)


@structured(node="LinalgMatrixExpBackward", grad={"input": exponential_gradient})
def matrix_exp(call, input):
    """The exponential of a square matrix.

    >>> torch.matrix_exp(torch.zeros(1, 1))
    tensor([[1.]])
    """
    return exponential_plan(call, input)


@structured(public=None, methods=(), grad={"input": exponential_gradient})
def linalg_matrix_exp(call, input):
    """The exponential of a square matrix.

    >>> torch.linalg.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return exponential_plan(call, input)


def exponential_plan(call: Any, input: Any) -> Any:
    """The plan of matrix_exp."""
    spec = tensor_spec(call, input, "input")
    check_square("linalg.matrix_exp", spec)
    check_floating("linalg.matrix_exp", spec)

    def compute(array: Any) -> Any:
        import numpy

        wide = array.astype("complex128" if array.dtype.kind == "c" else "float64")
        if not wide.size:
            return array
        return exponentials(numpy, wide.reshape(-1, *array.shape[-2:])).reshape(array.shape)

    return call.numpy(["input"], [spec.like(tuple(spec.shape))], compute)


# ---- condition numbers -----------------------------------------------------------------------


def check_condition(spec: Any, p: Any) -> None:
    """torch's checks of the norm of `cond`."""
    if isinstance(p, str):
        known = p in ("fro", "nuc")
    else:
        known = abs(p) in (1, 2, math.inf)
    if isinstance(p, str) or known:
        rows, columns = spec.shape[-2:]
        if rows != columns and (isinstance(p, str) or abs(p) != 2):
            shown = p if isinstance(p, str) else format(p, "g")
            raise RuntimeError(
                f"linalg.cond(ord={shown}): A must be batches of square matrices, but they are "
                f"{rows} by {columns} matrices"
            )
    if not known:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")


@composite(public=None, methods=())
def linalg_cond(input: Any, p: Any = None, *, out: Any = None) -> Any:
    """|A| |inv(A)| in the norm `p` (2 if None): how much errors may grow in equations with A.

    >>> torch.linalg.cond(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    spec = OPS["linalg_cond"].check_tensor(input, "input")._spec
    if spec.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p is not None:
        check_condition(spec, p)
    if p is None or not isinstance(p, str) and abs(p) == 2:
        values = linalg_svdvals.call(input)
        if not spec.numel:
            result = values.new_zeros(tuple(spec.shape[:-2]))
        else:
            first, last = values.narrow(-1, 0, 1), values.narrow(-1, values.shape[-1] - 1, 1)
            result = (last / first if p == -2 else first / last).squeeze(-1)
    elif not spec.numel:
        result = input.abs().sum((-2, -1))
    else:
        inverse, info = linalg_inv_ex.call(input)
        wrong = info.view(*info.shape, 1, 1) != 0
        inverse = inverse.masked_fill(wrong, math.inf)
        result = linalg_matrix_norm.call(input, p) * linalg_matrix_norm.call(inverse, p)
        result = result.masked_fill(info != 0, math.inf).nan_to_num(nan=math.inf, posinf=math.inf)
    return result if out is None else out.resize_(result.shape).copy_(result)


# ---- tensors as matrices ---------------------------------------------------------------------


def check_split(shape: Sequence[int], place: int, name: str) -> None:
    """Whether the leading and the trailing dimensions hold as many elements."""
    if place > len(shape):
        raise RuntimeError(f"ArrayRef: invalid slice, N = {place}; size = {len(shape)}")
    lead, trail = numel(tuple(shape[:place])), numel(tuple(shape[place:]))
    if lead != trail:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[{name}:]) == "
            f"prod(self.shape[:{name}]), but got {trail} != {lead}"
        )


@composite(public=None, methods=())
def linalg_tensorinv(input: Any, ind: int = 2, *, out: Any = None) -> Any:
    """The inverse of the map that the tensor is, from its last dimensions to its first `ind`.

    >>> torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4), ind=2).shape
    torch.Size([4, 2, 2])
    """
    OPS["linalg_tensorinv"].check_tensor(input, "input")
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = tuple(input.shape)
    check_split(shape, ind, "ind")
    order = numel(shape[ind:])
    inverse, info = linalg_inv_ex.call(input.reshape(order, order))
    if info.device.type != "meta" and info.item():
        raise RuntimeError("Failed to invert the input tensor, because it is singular.")
    result = inverse.reshape(*shape[ind:], *shape[:ind])
    return result if out is None else out.resize_(result.shape).copy_(result)


@composite(public=None, methods=())
def linalg_tensorsolve(input: Any, other: Any, dims: Any = None, *, out: Any = None) -> Any:
    """The X with tensordot(input, X, X.ndim) = other; `dims` are moved to the end first.

    >>> torch.linalg.tensorsolve(torch.eye(4).reshape(2, 2, 4), torch.ones(2, 2))
    tensor([1., 1., 1., 1.])
    """
    op = OPS["linalg_tensorsolve"]
    op.check_tensor(input, "input"), op.check_tensor(other, "other")
    x = input
    if dims is not None:
        dims = [d % x.ndim for d in dims]
        x = x.movedim(dims, list(range(x.ndim - len(dims), x.ndim)))
    shape = tuple(x.shape)
    if other.ndim > len(shape):
        raise RuntimeError("cannot create std::vector larger than max_size()")
    lead, trail = other.numel(), numel(shape[other.ndim :])
    if lead != trail:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {trail} != {lead}"
        )
    matrix = x.reshape(other.numel(), trail)
    result = linalg_solve.call(matrix, other.reshape(-1)).reshape(*shape[other.ndim :])
    return result if out is None else out.resize_(result.shape).copy_(result)

"""Determinants: det, slogdet, logdet, from the LU factors, which also serve their gradients.

>>> torch.linalg.det(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
tensor(5.)
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.autograd.modes import is_grad_enabled
from flambeau.core import dtype as dtypes
from flambeau.core.spec import Spec
from flambeau.ops.choice import where
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import (
    check_floating,
    check_kernel,
    check_square,
    column_major,
    contiguous,
    from_parts,
    lies_by_rows,
    real_dtype,
    tensor_spec,
)
from flambeau.ops.linalg.lu import factorise, linalg_lu_solve
from flambeau.ops.linalg.solve import linalg_solve
from flambeau.ops.linalg.spectral import linalg_svd
from flambeau.ops.registry import OPS
from flambeau.runtime import matrices
from flambeau.runtime.lapack import Program


def adjugate_gradient(g: Any, A: Any) -> Any:
    """The gradient of det for singular matrices too, from A = U diag(S) Vh: the adjugate's
    transpose.

    Each singular value is replaced by the product of all others (Higham, What is the adjugate of a
    matrix?, 2020).
    """
    U, S, Vh = linalg_svd.call(A)
    scale = (linalg_det.call(U) * linalg_det.call(Vh)).conj() * g
    ones = S.new_ones((*S.shape[:-1], 1))
    rest = max(0, S.shape[-1] - 1)
    before = cat.call([ones, S.narrow(-1, 0, rest)], -1).cumprod(-1)
    after = cat.call([ones, S.narrow(-1, 1, rest).flip(-1)], -1).cumprod(-1).flip(-1)
    factors = (before * after) * scale.unsqueeze(-1)
    return (U * factors.unsqueeze(-2)) @ Vh


def determinant_gradient(g: Any, y: Any, y1: Any, y2: Any, A: Any) -> Any:
    """Solves A.mH G = conj(det) g I; where A is singular, see `adjugate_gradient`.

    Differs from torch: the first derivative at a matrix whose determinant is exactly 0 is the
    adjugate too (torch gives zeros there, and the adjugate only with create_graph).
    """
    if not A.numel() or A.device.type == "meta":
        return A.new_zeros(tuple(A.shape))
    right = (g * y.conj()).unsqueeze(-1).expand(tuple(A.shape[:-1])).diag_embed()
    again = is_grad_enabled()
    if again:  # near a singular matrix the derivative of the solution is worthless
        singular = y.detach().abs() < 100 * dtypes.finfo(real_dtype(A._spec)).eps
    else:
        singular = y == 0
    if not singular.any().item():
        if again:
            return linalg_solve.call(A.mH, right)
        return linalg_lu_solve.call(y1, y2, right, adjoint=not lies_by_rows(A._spec))
    if singular.all().item():
        return adjugate_gradient(g, A)
    regular = singular.logical_not()
    result = A.new_zeros(tuple(A.shape))
    result = result.index_put((singular,), adjugate_gradient(g[singular], A[singular]))
    return result.index_put((regular,), linalg_solve.call(A[regular].mH, right[regular]))


@structured(
    public=None,
    methods=(),
    grad={"A": lambda g, y, y1, y2, A: determinant_gradient(g, y, y1, y2, A)},
)
def linalg_det(call, A):
    """The determinant of a square matrix.

    >>> torch.linalg.det(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(5.)
    """
    return plain_determinant(call, A)


@structured(
    node="LinalgDetBackward",
    grad={"input": lambda g, y, y1, y2, input: determinant_gradient(g, y, y1, y2, input)},
)
def det(call, input):
    """The determinant of a square matrix.

    >>> torch.det(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(5.)
    """
    return plain_determinant(call, input)


def plain_determinant(call: Any, A: Any) -> Any:
    """The plan of det."""
    spec = tensor_spec(call, A, call.op.first)
    check_square("linalg.det", spec)
    check_floating("linalg.det", spec)
    check_kernel("lu_cpu", spec)
    return determinant_plan(call, spec, False).finish(lambda determinant, *factors: determinant)


def determinant_plan(call: Any, spec: Spec, logarithm: bool) -> Any:
    """A plan with the determinant (or sign and logarithm), then LU and pivots for the gradient."""
    *batch, n, _ = spec.shape
    results = [contiguous(spec, batch)]
    if logarithm:
        results.append(contiguous(spec, batch, real_dtype(spec)))
    factors = [column_major(spec, spec.shape), contiguous(spec, (*batch, n), dtypes.int32)]
    program = Program(call.plan([call.op.first], [*results, *factors]), batch)
    count, info = len(results), program.scratch(8)
    lu = program.output(count)
    matrix = program.input(0)
    pivots = factorise(program, matrix.transposed if lies_by_rows(spec) else matrix, lu, info)
    program.helper(matrices.narrow, pivots, program.output(count + 1, 1), program.number(n))
    what = matrices.log_determinant if logarithm else matrices.determinant
    program.helper(what, lu, pivots, n, *[program.output(k, 0) for k in range(count)])
    return program.finish(n**3)


def log_determinant_gradient(g0: Any, g1: Any, y0: Any, y2: Any, y3: Any, A: Any) -> Any:
    """G = inv(A.mH) times a number: that of the logarithm,
    and for complex matrices that of the phase.
    """
    number = g1
    if A.dtype.is_complex and g0 is not None:
        turning = (g0.conj() * y0).imag
        real = turning * 0 if g1 is None else g1
        number = from_parts(real, -turning)
    if number is None:
        return A.new_zeros(tuple(A.shape))
    right = number.unsqueeze(-1).expand(tuple(A.shape[:-1])).diag_embed().to(A.dtype)
    if is_grad_enabled():
        return linalg_solve.call(A.mH, right)
    return linalg_lu_solve.call(y2, y3, right, adjoint=not lies_by_rows(A._spec))


@structured(
    public=None,
    methods=(),
    grad={"A": lambda g0, g1, y0, y2, y3, A: log_determinant_gradient(g0, g1, y0, y2, y3, A)},
)
def linalg_slogdet(call, A):
    """Sign (or phase) of the determinant, and the logarithm of its absolute value.

    >>> torch.linalg.slogdet(torch.tensor([[2.0, 1.0], [1.0, 3.0]])).sign
    tensor(-1.)
    """
    spec = tensor_spec(call, A, "A")
    check_square("linalg.slogdet", spec)
    check_floating("linalg.slogdet", spec, low_precision=False)
    make = return_types.linalg_slogdet.of
    plan = determinant_plan(call, spec, True)
    return plan.finish(lambda sign, logarithm, *factors: make(sign, logarithm))


@composite
def slogdet(input):
    """Sign (or phase) of the determinant, and the logarithm of its absolute value.

    >>> torch.slogdet(torch.eye(2)).logabsdet
    tensor(0.)
    """
    OPS["slogdet"].check_tensor(input, "input")
    return return_types.slogdet.of(*linalg_slogdet.call(input))


@composite
def logdet(input):
    """The logarithm of the determinant; NaN where that is negative.

    >>> torch.logdet(torch.eye(2))
    tensor(0.)
    """
    spec = OPS["logdet"].check_tensor(input, "input")._spec
    check_square("logdet", spec)
    check_floating("logdet", spec, low_precision=False)
    sign, logarithm = linalg_slogdet.call(input)
    if input.dtype.is_complex:
        return sign.log() + logarithm
    return where(sign == -1.0, float("nan"), logarithm)

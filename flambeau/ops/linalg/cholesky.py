"""Cholesky factorisation of Hermitian positive-definite matrices, and solving and inverting with
it.

    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 10.0]]))
    tensor([[2., 0.],
            [1., 3.]])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core import dtype as dtypes
from flambeau.core.spec import Spec
from flambeau.ops.kinds import structured
from flambeau.ops.linalg.common import (
    batch_of,
    check_floating,
    check_kernel,
    check_square,
    column_major,
    contiguous,
    failure,
    tensor_spec,
    warn_once,
)
from flambeau.ops.linalg.triangular import (
    check_older,
    check_older_dtype,
    linalg_solve_triangular,
)
from flambeau.runtime import matrices
from flambeau.runtime.lapack import Program


def factor_gradient(g: Any, y: Any, upper: bool) -> Any:
    """inv(L.mH) P(L.mH g) inv(L), where P halves the diagonal of the lower triangle and makes it
    Hermitian.

    Iain Murray: Differentiation of the Cholesky decomposition (2016), section 3.1.
    """
    L, lower = (y.mH, g.mH) if upper else (y, g)
    inner = (L.mH @ lower).tril()
    inner = (inner + inner.tril(-1).mH) * 0.5
    inner = linalg_solve_triangular.call(L.mH, inner, upper=True)
    return linalg_solve_triangular.call(L, inner, upper=False, left=False)


def cholesky_plan(call: Any, spec: Spec, upper: bool, with_info: bool, check: bool) -> Any:
    """A plan of the factor, and of LAPACK's info."""
    *batch, n, _ = spec.shape
    outputs = [column_major(spec, spec.shape), contiguous(spec, batch, dtypes.int32)]
    program = Program(call.plan([call.op.first], outputs[: 1 + with_info]), batch)
    factor, info = program.output(0), program.scratch(8)
    program.copy(program.input(0), factor, matrices.UPPER if upper else matrices.LOWER)
    program.call("potrf", "U" if upper else "L", n, factor, max(1, n), info)
    program.helper(matrices.check_diagonal, factor, program.table([n, *factor.steps]), info)
    if with_info:
        program.helper(matrices.narrow, info, program.output(1, 0), program.number(1))
    if check:
        program.fail_on(info)
    return program.finish(n**3 // 3)


def checked(call: Any, input: Any) -> Spec:
    """The input's spec, after the checks of linalg.cholesky."""
    spec = tensor_spec(call, input, "input")
    check_square("linalg.cholesky", spec)
    check_floating("linalg.cholesky", spec)
    check_kernel("cholesky_cpu", spec)
    return spec


@structured(public=None, methods=(), node="LinalgCholeskyExBackward", grad=factor_gradient)
def linalg_cholesky(call, input, *, upper=False):
    """The lower triangular L with L L.mH = input (the upper one, L.mH, with `upper`).

    >>> torch.linalg.cholesky(4 * torch.eye(1))
    tensor([[2.]])
    """
    return cholesky_plan(call, checked(call, input), upper, False, True)


@structured(public=None, methods=(), grad=factor_gradient)
def linalg_cholesky_ex(call, input, *, upper=False, check_errors=False):
    """The factor, and 0 or the order of the first leading minor that is not positive-definite.

    >>> torch.linalg.cholesky_ex(-torch.eye(1)).info
    tensor(1, dtype=torch.int32)
    """
    plan = cholesky_plan(call, checked(call, input), upper, True, check_errors)
    return plan.finish(return_types.linalg_cholesky_ex.of)


@structured(grad=factor_gradient)
def cholesky(call, input, upper=False):
    """The Cholesky factor; the older name of linalg.cholesky.

    >>> torch.cholesky(4 * torch.eye(1))
    tensor([[2.]])
    """
    spec = tensor_spec(call, input, "input")
    warn_once(
        "torch.cholesky is deprecated in favor of torch.linalg.cholesky and will be removed in a "
        "future PyTorch release.\nL = torch.cholesky(A)\nshould be replaced with\n"
        "L = torch.linalg.cholesky(A)\nand\nU = torch.cholesky(A, upper=True)\nshould be replaced "
        "with\nU = torch.linalg.cholesky(A).mH\nThis transform will produce equivalent results "
        "for all valid (symmetric positive definite) inputs."
    )
    check_square("cholesky", spec)
    check_kernel("cholesky_cpu", spec)
    return cholesky_plan(call, spec, upper, False, True)


linalg_cholesky.failure = linalg_cholesky_ex.failure = failure("linalg.cholesky", "cholesky")
cholesky.failure = failure("cholesky", "cholesky")


# ---- with the factor -------------------------------------------------------------------------


def solved_factor_gradient(g: Any, y: Any, input2: Any, upper: bool) -> Any:
    """Of L, where A = L L.mH and A X = B: -(S + S.mH) L with S = inv(A) g X.mH."""
    product = cholesky_solve.call(g, input2, upper) @ y.mH
    both = product + product.mH
    return -(input2 @ both) if upper else -(both @ input2)


@structured(
    grad={
        "input": lambda g, input2, upper: cholesky_solve.call(g, input2, upper),
        "input2": solved_factor_gradient,
    }
)
def cholesky_solve(call, input, input2, upper=False):
    """Solves A X = input from the Cholesky factor `input2` of A.

    >>> torch.cholesky_solve(torch.ones(1, 1), 2 * torch.eye(1))
    tensor([[0.2500]])
    """
    b, a = tensor_spec(call, input, "input"), tensor_spec(call, input2, "input2")
    for spec, name in ((b, "b"), (a, "u")):
        if spec.ndim < 2:
            raise RuntimeError(
                f"{name} should have at least 2 dimensions, but has {spec.ndim} dimensions instead"
            )
    check_older_dtype(a, b)
    check_older(a, b, "cholesky_solve")
    batch, n, count = batch_of(a, b), a.shape[-1], b.shape[-1]
    plan = call.plan(["input", "input2"], [column_major(b, (*batch, n, count))])
    check_kernel("cholesky_solve_cpu", a)
    program = Program(plan, batch)
    program.copy(program.input(0), program.output(0))
    factor, leading, by_rows = program.readable(program.input(1))
    if by_rows and program.is_complex:
        window = program.input(1)
        factor, leading, by_rows = program.matrix(n, n), max(1, n), False
        program.copy(window, factor)
    letter = "U" if upper != by_rows else "L"
    info = program.scratch(8)
    program.call("potrs", letter, n, count, factor, leading, program.output(0), max(1, n), info)
    return program.finish(2 * n * n * count)


def inverted_factor_gradient(g: Any, y: Any, input: Any, upper: bool) -> Any:
    """Of L, where the result is inv(L L.mH): -Y (g + g.mH) Y L."""
    both = y @ (g + g.mH) @ y
    return -(input @ both) if upper else -(both @ input)


@structured(grad=inverted_factor_gradient)
def cholesky_inverse(call, input, upper=False):
    """The inverse of A from its Cholesky factor.

    >>> torch.cholesky_inverse(2 * torch.eye(1))
    tensor([[0.2500]])
    """
    spec = tensor_spec(call, input, "input")
    check_square("cholesky_inverse", spec)
    check_kernel("cholesky_inverse_out_cpu", spec)
    *batch, n, _ = spec.shape
    program = Program(call.plan(["input"], [column_major(spec, spec.shape)]), batch)
    result, info = program.output(0), program.scratch(8)
    program.copy(program.input(0), result)
    program.call("potri", "U" if upper else "L", n, result, max(1, n), info)
    part = matrices.UPPER if upper else matrices.LOWER
    program.helper(matrices.mirror, result, program.table([n, *result.steps, part]))
    program.fail_on(info)
    return program.finish(n**3)


cholesky_inverse.failure = failure("cholesky_inverse", "inv")

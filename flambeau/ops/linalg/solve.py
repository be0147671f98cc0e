"""Inverses and solutions of square systems: inv, solve and their forms that report instead of
failing.

    >>> A = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> torch.linalg.solve(A, torch.ones(2))
    tensor([0.5000, 0.2500])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.autograd.modes import is_grad_enabled
from flambeau.autograd.recording import record
from flambeau.core import dtype as dtypes
from flambeau.core.spec import Spec
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import (
    batch_of,
    check_equation,
    check_floating,
    check_kernel,
    check_same_dtype,
    check_square,
    column_major,
    contiguous,
    failure,
    lies_by_rows,
    raise_first,
    tensor_spec,
)
from flambeau.ops.linalg.lu import (
    factorise,
    linalg_lu_factor_ex,
    linalg_lu_solve,
    substitute,
)
from flambeau.ops.registry import OPS
from flambeau.runtime import matrices
from flambeau.runtime.lapack import Program, Window

# ---- inverse ---------------------------------------------------------------------------------


def inverse_gradient(g: Any, y: Any) -> Any:
    """-inv(A).mH g inv(A).mH, see Giles: Collected matrix derivative results for forward and
    reverse mode algorithmic differentiation (2008), section 2.2.3.
    """
    adjoint = y.mH
    return -(adjoint @ g @ adjoint)


def inverse_plan(call: Any, A: Any, with_info: bool, check: bool) -> Any:
    """A plan of the inverse (the solution of A X = I, as in torch), and of LAPACK's info."""
    spec = tensor_spec(call, A, "A")
    check_square("linalg.inv", spec)
    check_floating("linalg.inv", spec, low_precision=False)
    *batch, n, _ = spec.shape
    outputs = [column_major(spec, spec.shape), contiguous(spec, batch, dtypes.int32)]
    program = Program(call.plan(["A"], outputs[: 1 + with_info]), batch)
    inverse, lu, info = program.output(0), program.matrix(n, n), program.scratch(8)
    matrix, by_rows = program.input(0), lies_by_rows(spec)
    pivots = factorise(program, matrix.transposed if by_rows else matrix, lu, info)
    program.helper(matrices.fill_diagonal, inverse, program.table([n, n, *inverse.steps, 1]))
    substitute(program, lu, pivots, inverse, n, True, by_rows, program.scratch(8), guard=info)
    if with_info:
        program.helper(matrices.narrow, info, program.output(1, 0), program.number(1))
    if check:
        program.fail_on(info)
    return program.finish(3 * n**3)


@structured(public=None, methods=(), node="LinalgInvExBackward", grad={"A": inverse_gradient})
def linalg_inv(call, A):
    """The inverse of a square matrix.

    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return inverse_plan(call, A, False, True)


@structured(public=None, methods=(), grad={"A": inverse_gradient})
def linalg_inv_ex(call, A, *, check_errors=False):
    """The inverse, and 0 or the number of the first zero on the diagonal of U.

    >>> torch.linalg.inv_ex(torch.zeros(2, 2)).info
    tensor(1, dtype=torch.int32)
    """
    return inverse_plan(call, A, True, check_errors).finish(return_types.linalg_inv_ex.of)


linalg_inv.failure = linalg_inv_ex.failure = failure("linalg.inv", "inv")


@composite
def inverse(input):
    """The inverse of a square matrix; the older name of linalg.inv.

    >>> torch.inverse(torch.eye(1) * 2)
    tensor([[0.5000]])
    """
    OPS["inverse"].check_tensor(input, "input")
    return linalg_inv.call(input)


# ---- solve -----------------------------------------------------------------------------------


def is_vector(a: Spec, b: Spec) -> bool:
    """Whether B counts as a vector, or a batch of them."""
    return b.ndim == 1 or a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1])


def adjoint_solution(g: Any, A: Any, LU: Any, pivots: Any, left: bool) -> Any:
    """inv(A.mH) g. The factors save work; what is to be differentiated again needs A itself."""
    if is_grad_enabled():
        return linalg_solve.call(A.mH, g, left=left)
    return linalg_lu_solve.call(LU, pivots, g, left=left, adjoint=True)


def matrix_gradient(g0: Any, y0: Any, y1: Any, y2: Any, A: Any, B_like: Any, left: bool) -> Any:
    """-inv(A.mH) g X.mH (Giles 2008, section 2.3.1)."""
    if is_vector(A._spec, B_like):
        back = adjoint_solution(g0.unsqueeze(-1), A, y1, y2, left)
        return -(back @ y0.unsqueeze(-1).mH)
    back = adjoint_solution(g0, A, y1, y2, left)
    return -(back @ y0.mH if left else y0.mH @ back)


def right_gradient(g0: Any, y1: Any, y2: Any, A: Any, B_like: Any, left: bool) -> Any:
    """inv(A.mH) g."""
    if is_vector(A._spec, B_like):
        return adjoint_solution(g0.unsqueeze(-1), A, y1, y2, left).squeeze(-1)
    return adjoint_solution(g0, A, y1, y2, left)


def column(window: Window) -> Window:
    """A vector as a matrix of one column."""
    return Window(window.place, (*window.shape, 1), (*window.steps, 0))


def solve_plan(call: Any, A: Any, B: Any, left: bool, check: bool, make: Any) -> Any:
    """A plan of the solution, with LU and pivots for the gradient, and info;
    `make` picks what is returned.
    """
    a, b = tensor_spec(call, A, "A"), tensor_spec(call, B, "B")
    name = "linalg.solve"
    check_floating(name, a)
    check_same_dtype(name, "A", a, "B", b)
    vector = is_vector(a, b)
    right = b.like((*b.shape, 1)) if vector else b
    check_equation(name, a, right, left)
    check_kernel("lu_cpu", a)
    batch, own, n = batch_of(a, right), a.shape[:-2], a.shape[-1]
    if vector:
        result = contiguous(b, (*batch, n))
    else:
        result = (column_major if left else contiguous)(b, (*batch, *b.shape[-2:]))
    outputs = [
        result, column_major(a, a.shape), contiguous(a, (*own, n), dtypes.int32),
        contiguous(a, own, dtypes.int32),
    ]  # fmt: skip
    plan = call.plan(["A", "B"], outputs)
    if tuple(own) != tuple(batch):
        return plan.use_python(lambda A, B: solve_shared(plan, A, B, left, vector, check, make))
    program = Program(plan, batch)
    right_window, x = program.input(1, 1 if vector else 2), program.output(0, 1 if vector else 2)
    if vector:
        right_window, x = column(right_window), column(x)
    lu, info = program.output(1), program.scratch(8)
    pivots = factorise(program, program.input(0), lu, info)
    program.copy(right_window, x)
    count = x.shape[1 if left else 0]
    substitute(program, lu, pivots, x, count, left, False, program.scratch(8), guard=info)
    program.helper(matrices.narrow, pivots, program.output(2, 1), program.number(n))
    program.helper(matrices.narrow, info, program.output(3, 0), program.number(1))
    if check:
        program.fail_on(info)
    program.finish(n * n * (n + count))
    return plan.finish(make)


def solve_shared(
    plan: Any, A: Any, B: Any, left: bool, vector: bool, check: bool, make: Any
) -> Any:
    """The same where one matrix serves several right sides of the batch: it is factorised once."""
    packed, pivots, info = linalg_lu_factor_ex.call(A.detach())
    if check and not plan.is_meta:
        raise_first(info, plan.op.failure, plan)
    right = B.detach()
    if vector:
        result = linalg_lu_solve.call(packed, pivots, right.unsqueeze(-1), left=left).squeeze(-1)
    else:
        result = linalg_lu_solve.call(packed, pivots, right, left=left)
    results = (result, packed, pivots, info)
    record(plan, (A, B), results)
    return make(*results)


SOLVE_RULES = {"A": matrix_gradient, "B": right_gradient}


@structured(public=None, methods=(), node="LinalgSolveExBackward", grad=SOLVE_RULES)
def linalg_solve(call, A, B, *, left=True):
    """The solution of A X = B (X A = B if not `left`) for a square matrix A.

    >>> torch.linalg.solve(2 * torch.eye(2), torch.ones(2, 1))
    tensor([[0.5000],
            [0.5000]])
    """
    return solve_plan(call, A, B, left, True, lambda result, *rest: result)


@structured(public=None, methods=(), grad=SOLVE_RULES)
def linalg_solve_ex(call, A, B, *, left=True, check_errors=False):
    """The solution, and 0 or the number of the first zero on the diagonal of U.

    >>> torch.linalg.solve_ex(torch.zeros(1, 1), torch.ones(1)).info
    tensor(1, dtype=torch.int32)
    """
    make = return_types.linalg_solve_ex.of
    return solve_plan(
        call, A, B, left, check_errors, lambda result, lu, pivots, info: make(result, info)
    )


linalg_solve.failure = failure("torch.linalg.solve", "solve")
linalg_solve_ex.failure = failure("torch.linalg.solve_ex", "solve")

"""LDL factorisation of Hermitian and symmetric matrices that need not be definite, and solving with
it.

    >>> LD, pivots = torch.linalg.ldl_factor(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    >>> torch.linalg.ldl_solve(LD, pivots, torch.ones(2, 1))
    tensor([[0.5000],
            [0.2500]])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.kinds import structured
from flambeau.ops.linalg.common import (
    batch_of,
    check_floating,
    check_kernel,
    check_same_dtype,
    check_square,
    column_major,
    contiguous,
    failure,
    tensor_spec,
)
from flambeau.ops.linalg.triangular import check_older
from flambeau.ops.rules import no_derivative
from flambeau.runtime import matrices
from flambeau.runtime.lapack import LWORK, WORK, Program

FACTOR_RULE = no_derivative(
    "derivative for aten::linalg_ldl_factor_ex is not implemented", RuntimeError
)
SOLVE_RULE = no_derivative("derivative for aten::linalg_ldl_solve is not implemented", RuntimeError)


def factor_plan(call: Any, input: Any, hermitian: bool, with_info: bool, check: bool) -> Any:
    """A plan of the factors (Bunch and Kaufman's, lower triangle), pivots and info."""
    name = "torch.linalg.ldl_factor_ex"
    spec = tensor_spec(call, input, "input")
    check_square(name, spec)
    check_floating(name, spec)
    check_kernel("ldl_factor_kernel_cpu", spec)
    *batch, n, _ = spec.shape
    outputs = [
        column_major(spec, spec.shape),
        contiguous(spec, (*batch, n), dtypes.int32),
        contiguous(spec, batch, dtypes.int32),
    ]
    plan = call.plan(["input"], outputs[: 2 + with_info])
    plan.node_name = "NotImplemented"
    program = Program(plan, batch)
    factors, pivots, info = program.output(0), program.scratch(8 * n), program.scratch(8)
    program.copy(program.input(0), factors, matrices.LOWER)
    routine = "hetrf" if hermitian and program.is_complex else "sytrf"
    program.call(routine, "L", n, factors, max(1, n), pivots, WORK, LWORK, info)
    program.helper(matrices.narrow, pivots, program.output(1, 1), program.number(n))
    if with_info:
        program.helper(matrices.narrow, info, program.output(2, 0), program.number(1))
    if check:
        program.fail_on(info)
    return program.finish(n**3 // 3)


@structured(public=None, methods=(), grad=FACTOR_RULE)
def linalg_ldl_factor(call, input, *, hermitian=False):
    """L and D packed into one matrix, and the pivots.

    >>> torch.linalg.ldl_factor(torch.tensor([[2.0, 0.0], [0.0, 4.0]])).pivots
    tensor([1, 2], dtype=torch.int32)
    """
    plan = factor_plan(call, input, hermitian, False, True)
    return plan.finish(return_types.linalg_ldl_factor.of)


@structured(public=None, methods=(), grad=FACTOR_RULE)
def linalg_ldl_factor_ex(call, input, *, hermitian=False, check_errors=False):
    """The factors, the pivots, and 0 or the number of the first zero of D.

    >>> torch.linalg.ldl_factor_ex(torch.zeros(1, 1)).info
    tensor(1, dtype=torch.int32)
    """
    plan = factor_plan(call, input, hermitian, True, check_errors)
    return plan.finish(return_types.linalg_ldl_factor_ex.of)


UNKNOWN = "Unknown error code: {}."
linalg_ldl_factor.failure = failure("torch.linalg.ldl_factor", UNKNOWN)
linalg_ldl_factor_ex.failure = failure("torch.linalg.ldl_factor_ex", UNKNOWN)


def check_solve(ld: Spec, pivots: Spec, b: Spec) -> None:
    """torch's checks of ldl_solve."""
    name = "torch.linalg.ldl_solve"
    check_square(name, ld)
    check_floating(name, ld)
    if b.ndim < 2:
        wrap_dim(-2, b.ndim)
    check_older(ld, b, name)
    if tuple(pivots.shape) != tuple(ld.shape[:-1]):
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {errors.brackets(pivots.shape)} instead"
        )
    if pivots.dtype.category != 1:
        raise RuntimeError(
            f"{name}: Expected pivots to be integers. Got {pivots.dtype.scalar_name}"
        )
    check_same_dtype(name, "LD", ld, "B", b)


@structured(public=None, methods=(), grad={"LD": SOLVE_RULE, "B": SOLVE_RULE})
def linalg_ldl_solve(call, LD, pivots, B, *, hermitian=False):
    """Solves A X = B from the LDL factors of A.

    >>> torch.linalg.ldl_solve(2 * torch.eye(1), torch.tensor([1]), torch.ones(1, 1))
    tensor([[0.5000]])
    """
    ld, places, b = (
        tensor_spec(call, value, name) for value, name in ((LD, "LD"), (pivots, "pivots"), (B, "B"))
    )
    check_solve(ld, places, b)
    if places.dtype not in (dtypes.int32, dtypes.int64):
        return call.op.call(LD, pivots.to(dtypes.int64), B, hermitian=hermitian)
    check_kernel("ldl_solve_kernel_cpu", ld)
    batch, n, count = batch_of(ld, b), ld.shape[-1], b.shape[-1]
    plan = call.plan(["LD", "pivots", "B"], [column_major(b, (*batch, n, count))])
    plan.node_name = "NotImplemented"
    program = Program(plan, batch)
    factors, exchanges, result = program.matrix(n, n), program.input(1, 1), program.output(0)
    program.copy(program.input(0), factors)
    wide, info = program.scratch(8 * n), program.scratch(8)
    helper = matrices.widen if places.dtype is dtypes.int32 else matrices.widen_long
    program.helper(helper, exchanges, wide, program.table([n, *exchanges.steps]))
    program.copy(program.input(2), result)
    routine = "hetrs" if hermitian and program.is_complex else "sytrs"
    program.call(routine, "L", n, count, factors, max(1, n), wide, result, max(1, n), info)
    return program.finish(2 * n * n * count)

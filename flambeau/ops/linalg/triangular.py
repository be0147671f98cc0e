"""Equations with triangular matrices: solve_triangular and the older triangular_solve.

>>> A = torch.tensor([[2.0, 1.0], [0.0, 4.0]])
>>> torch.linalg.solve_triangular(A, torch.ones(2, 1), upper=True)
tensor([[0.3750],
        [0.2500]])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core.spec import Spec
from flambeau.ops.kinds import structured
from flambeau.ops.linalg.common import (
    batch_of,
    check_equation,
    check_kernel,
    column_major,
    tensor_spec,
    warn_once,
)
from flambeau.runtime.lapack import Program, Window

MIRRORED = {"U": "L", "L": "U"}
TURNED = {"N": "T", "T": "N"}


def substitution(
    program: Program, a: Window, result: Window, upper: bool, mark: str, left: bool, unit: bool
) -> None:
    """Adds the steps that solve op(A) X = B in place of B; `mark` says which op: N, T or C."""
    matrix, leading, by_rows = program.readable(a)
    triangle = "U" if upper else "L"
    # A.mH of rows: no mark says "conjugate only"
    if by_rows and mark == "C" and program.is_complex:
        column_wise = program.matrix(*a.shape)
        program.copy(a, column_wise)
        matrix, leading, by_rows = column_wise, max(1, a.shape[0]), False
    if by_rows:
        triangle, mark = MIRRORED[triangle], TURNED["T" if mark == "C" else mark]
    rows, columns = result.shape
    program.call(
        "trsm", "L" if left else "R", triangle, mark, "U" if unit else "N", rows, columns,
        program.real(1.0), matrix, leading, result, max(1, rows),
    )  # fmt: skip


def triangular_plan(
    call: Any, names: tuple[str, str], a: Spec, b: Spec, upper: bool, mark: str, left: bool,
    unit: bool, clone: bool,
) -> Any:  # fmt: skip
    """A plan that solves; with `clone` a copy of A is the second result."""
    batch = batch_of(a, b)
    outputs = [column_major(b, (*batch, *b.shape[-2:]))]
    if clone:
        outputs.append(column_major(a, (*batch, *a.shape[-2:])))
    program = Program(call.plan(list(names), outputs), batch)
    first, second = (program.input(i) for i in range(2))
    matrix, right = (first, second) if names[0] == "A" else (second, first)
    program.copy(right, program.output(0))
    if clone:
        program.copy(matrix, program.output(1))
        matrix = program.output(1)
    substitution(program, matrix, program.output(0), upper, mark, left, unit)
    return program.finish(a.shape[-1] ** 2 * b.shape[-1 if left else -2])


def triangle(x: Any, upper: bool, unit: bool) -> Any:
    """The part of a gradient that belongs to a triangular matrix."""
    return x.triu(int(unit)) if upper else x.tril(-int(unit))


def coefficient_gradient(
    g: Any, y: Any, A: Any, upper: bool, left: bool, unitriangular: bool
) -> Any:
    """The gradient of A: -inv(A.mH) g X.mH, as far as A's triangle goes."""
    back = side_gradient(g, A, upper, left, unitriangular)
    whole = back @ y.mH if left else y.mH @ back
    return triangle(-whole, upper, unitriangular)


def side_gradient(g: Any, A: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    """The gradient of B: the solution for A.mH."""
    return linalg_solve_triangular.call(
        A.mH, g, upper=not upper, left=left, unitriangular=unitriangular
    )


@structured(public=None, methods=(), grad={"A": coefficient_gradient, "B": side_gradient})
def linalg_solve_triangular(call, A, B, *, upper, left=True, unitriangular=False):
    """Solves A X = B (X A = B if not `left`) for a triangular A; its other triangle is not read.

    >>> torch.linalg.solve_triangular(2 * torch.eye(1), torch.ones(1, 1), upper=False)
    tensor([[0.5000]])
    """
    a, b = tensor_spec(call, A, "input"), tensor_spec(call, B, "B")
    check_equation("linalg.solve_triangular", a, b, left)
    check_kernel("triangular_solve_cpu", a)
    if a.dtype is not b.dtype:
        return call.op.call(A, B.to(a.dtype), upper=upper, left=left, unitriangular=unitriangular)
    return triangular_plan(call, ("A", "B"), a, b, upper, "N", left, unitriangular, False)


# ---- the older function ----------------------------------------------------------------------


def check_older(a: Spec, b: Spec, name: str = "triangular_solve") -> None:
    """The checks of triangular_solve and cholesky_solve."""
    if a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            "A must be batches of square matrices, but they are "
            f"{a.shape[-2]} by {a.shape[-1]} matrices"
        )
    if a.shape[-2] != b.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {a.shape[-1]} by "
            f"{a.shape[-1]} but each b matrix is {b.shape[-2]} by {b.shape[-1]}"
        )


def check_older_dtype(a: Spec, b: Spec) -> None:
    """torch's error for operands of different dtypes."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {b.dtype.scalar_name} "
            f"and A of type {a.dtype.scalar_name} instead."
        )


def older_side_gradient(g0: Any, A: Any, upper: bool, transpose: bool, unitriangular: bool) -> Any:
    """The gradient of b: the solution for the adjoint of op(A)."""
    if g0 is None:
        return None
    if transpose:
        back = triangular_solve.call(g0.conj(), A, upper, False, unitriangular)[0]
        return back.conj()
    return triangular_solve.call(g0, A.conj(), upper, True, unitriangular)[0]


def older_coefficient_gradient(
    g0: Any, g1: Any, y0: Any, A: Any, upper: bool, transpose: bool, unitriangular: bool
) -> Any:
    """The gradient of A: from the solution, and from its copy."""
    if g0 is None:
        return g1
    back = older_side_gradient(g0, A, upper, transpose, unitriangular)
    whole = -(y0.conj() @ back.mT if transpose else back @ y0.mH)
    whole = triangle(whole, upper, unitriangular)
    return whole if g1 is None else whole + g1


@structured(grad={"input": older_side_gradient, "A": older_coefficient_gradient})
def triangular_solve(call, input, A, upper=True, transpose=False, unitriangular=False):
    """Solves A X = input (A.mT X = input with `transpose`) for a triangular A; also a copy of A.

    >>> torch.triangular_solve(torch.ones(1, 1), 2 * torch.eye(1)).solution
    tensor([[0.5000]])
    """
    b, a = tensor_spec(call, input, "input"), tensor_spec(call, A, "A")
    for spec, name in ((b, "b"), (a, "A")):
        if spec.ndim < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it "
                f"has {spec.ndim} dimensions instead"
            )
    warn_once(
        "torch.triangular_solve is deprecated in favor of torch.linalg.solve_triangularand will be "
        "removed in a future PyTorch release.\ntorch.linalg.solve_triangular has its arguments "
        "reversed and does not return a copy of one of the inputs.\n"
        "X = torch.triangular_solve(B, A).solution\nshould be replaced with\n"
        "X = torch.linalg.solve_triangular(A, B)."
    )
    check_older_dtype(a, b)
    check_older(a, b)
    check_kernel("triangular_solve_cpu", a)
    mark = "T" if transpose else "N"
    plan = triangular_plan(call, ("input", "A"), a, b, upper, mark, True, unitriangular, True)
    return plan.finish(return_types.triangular_solve.of)

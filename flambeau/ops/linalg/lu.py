"""LU factorisation with exchanges of rows, and what follows from it: lu_solve and determinants.

`A = P L U`; LAPACK packs L (unit lower) and U (upper) into one matrix, and notes with which row
each row was exchanged, counting from 1.

    >>> P, L, U = torch.linalg.lu(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> U
    tensor([[4., 4.],
            [0., 1.]])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import (
    USE_OF_ZERO,
    batch_of,
    check_equation,
    check_floating,
    check_kernel,
    check_same_dtype,
    check_square,
    column_major,
    contiguous,
    failure,
    not_differentiable,
    tensor_spec,
    warn_once,
)
from flambeau.ops.linalg.triangular import linalg_solve_triangular
from flambeau.ops.registry import OPS, is_tensor
from flambeau.runtime import matrices
from flambeau.runtime.lapack import Place, Program, Window

# ---- the factorisation -----------------------------------------------------------------------


def factorise(program: Program, a: Window, lu: Window, info: Place) -> Place:
    """Adds the steps that factorise `a` into `lu` (column-major); returns the pivots (64 bits)."""
    rows, columns = a.shape
    pivots = program.scratch(8 * min(rows, columns))
    program.copy(a, lu)
    program.call("getrf", rows, columns, lu, max(1, rows), pivots, info)
    return pivots


def check_factors(name: str, spec: Spec, pivot: bool) -> None:
    """The checks of lu and lu_factor."""
    if spec.ndim < 2:
        size = errors.brackets(spec.shape)
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {size} instead"
        )
    check_kernel("lu_cpu", spec)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


def factor_plan(call: Any, spec: Spec, outputs: tuple[str, ...], check: bool) -> Any:
    """A plan whose outputs are those of lu_factor or lu_factor_ex."""
    *batch, rows, columns = spec.shape
    count = min(rows, columns)
    specs = [
        column_major(spec, spec.shape),
        contiguous(spec, (*batch, count), dtypes.int32),
        contiguous(spec, batch, dtypes.int32),
    ]
    program = Program(call.plan(["A"], specs[: len(outputs)]), batch)
    info = program.scratch(8)
    pivots = factorise(program, program.input(0), program.output(0), info)
    program.helper(matrices.narrow, pivots, program.output(1, 1), program.number(count))
    if "info" in outputs:
        program.helper(matrices.narrow, info, program.output(2, 0), program.number(1))
    if check:
        program.fail_on(info)
    return program.finish(rows * columns * count)


def triangles_gradient(lower: Any, upper: Any, P: Any, L: Any, U: Any) -> Any:
    """The gradient of A from those of L and U, for square, wide and tall matrices.

    A wide matrix has U = [U1 U2] with U2 = inv(L) inv(P) A2; a tall one L = [L1; L2] with
    L2 = A2 inv(U). What comes through U2 or L2 is added to the gradients of the square part, whose
    formula is that of de Hoog, Anderssen, Lukas: Differentiation of matrix functionals using
    triangular factorization (2011).
    """
    rows, columns = L.shape[-2], U.shape[-1]
    count = min(rows, columns)
    L1, U1 = L.narrow(-2, 0, count), U.narrow(-1, 0, count)
    inner: Any = 0
    if lower is not None:
        inner = inner + (L1.mH @ lower.narrow(-2, 0, count)).tril(-1)
    if upper is not None:
        inner = inner + (upper.narrow(-1, 0, count) @ U1.mH).triu()
    rest = None
    if columns > count:
        U2 = U.narrow(-1, count, columns - count)
        rest = (
            upper.narrow(-1, count, columns - count)
            if upper is not None
            else U2.new_zeros(tuple(U2.shape))
        )
        inner = inner - (rest @ U2.mH).tril(-1)
    if rows > count:
        L2 = L.narrow(-2, count, rows - count)
        rest = (
            lower.narrow(-2, count, rows - count)
            if lower is not None
            else L2.new_zeros(tuple(L2.shape))
        )
        inner = inner - (L2.mH @ rest).triu()
    triangular = linalg_solve_triangular.call
    first = triangular(U1.mH, inner, upper=False, left=False)
    first = triangular(L1.mH, first, upper=True, unitriangular=True)
    if columns > count:
        rest = triangular(L1.mH, rest, upper=True, unitriangular=True)
        first = cat.call([first, rest], -1)
    if rows > count:
        rest = triangular(U1.mH, rest, upper=False, left=False)
        first = cat.call([first, rest], -2)
    return P @ first


def packed_gradient(g: Any, y: Any, y1: Any) -> Any:
    """The gradient of A from that of the packed factors."""
    P, L, U = lu_unpack.call(y, y1)
    count = L.shape[-1]
    return triangles_gradient(
        g.narrow(-1, 0, count).tril(-1), g.narrow(-2, 0, count).triu(), P, L, U
    )


@structured(public=None, methods=(), grad={"A": packed_gradient})
def linalg_lu_factor_ex(call, A, *, pivot=True, check_errors=False):
    """L and U packed into one matrix, the pivots, and 0 or the first zero on U's diagonal.

    >>> torch.linalg.lu_factor_ex(torch.zeros(2, 2)).info
    tensor(1, dtype=torch.int32)
    """
    spec = tensor_spec(call, A, "A")
    check_factors("torch.lu_factor", spec, pivot)
    plan = factor_plan(call, spec, ("LU", "pivots", "info"), check_errors)
    return plan.finish(return_types.linalg_lu_factor_ex.of)


@structured(public=None, methods=(), node="LinalgLuFactorExBackward", grad={"A": packed_gradient})
def linalg_lu_factor(call, A, *, pivot=True):
    """L and U packed into one matrix, and the pivots.

    >>> torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]])).LU
    tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]])
    """
    spec = tensor_spec(call, A, "A")
    check_factors("torch.lu_factor", spec, pivot)
    return factor_plan(call, spec, ("LU", "pivots"), True).finish(return_types.linalg_lu_factor.of)


linalg_lu_factor.failure = failure("torch.linalg.lu_factor", USE_OF_ZERO)
linalg_lu_factor_ex.failure = failure("torch.linalg.lu_factor_ex", USE_OF_ZERO)


def triangles(program: Program, lu: Window, lower: Window, upper: Window) -> None:
    """Adds the steps that unpack L and U."""
    rows, columns = lu.shape
    count = min(rows, columns)
    program.copy(lu.part((0, rows), (0, count)), lower, matrices.LOWER)
    table = program.table([count, count, *lower.steps, 0])
    program.helper(matrices.fill_diagonal, lower, table)
    program.copy(lu.part((0, count), (0, columns)), upper, matrices.UPPER)


@structured(
    public=None,
    methods=(),
    grad={"A": lambda g1, g2, y0, y1, y2: triangles_gradient(g1, g2, y0, y1, y2)},
)
def linalg_lu(call, A, *, pivot=True):
    """The matrices P, L, U with A = P L U.

    >>> torch.linalg.lu(torch.tensor([[1.0, 2.0], [4.0, 4.0]])).P
    tensor([[0., 1.],
            [1., 0.]])
    """
    spec = tensor_spec(call, A, "A")
    check_factors("linalg.lu", spec, pivot)
    *batch, rows, columns = spec.shape
    count = min(rows, columns)
    shapes = ((rows, rows), (rows, count), (count, columns))
    plan = call.plan(["A"], [contiguous(spec, (*batch, *shape)) for shape in shapes])
    not_differentiable(plan, 0)
    program = Program(plan, batch)
    info, lu = program.scratch(8), program.matrix(rows, columns)
    pivots = factorise(program, program.input(0), lu, info)
    short, order = program.scratch(4 * count), program.scratch(8 * rows)
    program.helper(matrices.narrow, pivots, short, program.number(count))
    permutation(program, short, order, rows, count, 4, info)
    triangles(program, lu, program.output(1), program.output(2))
    program.finish(rows * columns * count)
    return plan.finish(return_types.linalg_lu.of)


def permutation(
    program: Program, pivots: Any, order: Place, rows: int, count: int, step: int, info: Place
) -> None:
    """Adds the steps that make the permutation matrix (output 0) of 32-bit pivots."""
    target = program.output(0)
    program.helper(matrices.permute, pivots, program.table([rows, count, step]), order, info)
    table = program.table([rows, *target.steps])
    program.helper(matrices.permutation_matrix, order, table, target, guard=info)


# ---- unpacking -------------------------------------------------------------------------------


def unpacking_gradient(g1: Any, g2: Any, LU_data: Any) -> Any:
    """The gradients of L and U, packed as the factors are."""
    spec = LU_data._spec
    *batch, rows, columns = spec.shape
    count = min(rows, columns)
    total = None
    if g1 is not None:
        wide = (*batch, rows, columns - count)
        total = cat.call([g1.tril(-1), g1.new_zeros(wide)], -1)
    if g2 is not None:
        tall = cat.call([g2.triu(), g2.new_zeros((*batch, rows - count, columns))], -2)
        total = tall if total is None else total + tall
    return total


def bad_pivots(plan: Any, code: int) -> Exception:
    """A pivot that names no row."""
    return RuntimeError(
        "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive."
        "Did you properly pass the result of lu_factor?"
    )


@structured(
    methods=(),
    grad={"LU_data": lambda g1, g2, LU_data: unpacking_gradient(g1, g2, LU_data)},
)
def lu_unpack(call, LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """The matrices P, L, U from what lu_factor returns; those not asked for are empty.

    >>> P, L, U = torch.lu_unpack(*torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]])))
    >>> L
    tensor([[1.0000, 0.0000],
            [0.2500, 1.0000]])
    """
    spec, pivots = tensor_spec(call, LU_data, "LU_data"), tensor_spec(call, LU_pivots, "LU_pivots")
    if spec.ndim < 2:
        size = errors.brackets(spec.shape)
        raise RuntimeError(
            f"torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: {size} instead"
        )
    if unpack_pivots and pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
            "\nNote: this function is intended to be used with the output produced by "
            "torch.linalg.lu_factor"
        )
    *batch, rows, columns = spec.shape
    count = min(rows, columns)
    if unpack_pivots and pivots.shape[-1] != count:
        raise bad_pivots(None, 0)
    shapes: list[tuple[int, ...]] = [(0,), (0,), (0,)]
    if unpack_pivots:
        shapes[0] = (*batch, rows, rows)
    if unpack_data:
        shapes[1:] = (*batch, rows, count), (*batch, count, columns)
    plan = call.plan(["LU_data", "LU_pivots"], [contiguous(spec, shape) for shape in shapes])
    plan.finish(return_types.lu_unpack.of)
    not_differentiable(plan, 0)
    if plan.is_meta:
        return plan.use_native(0, ())
    check_kernel("lu_unpack_cpu", spec)
    program = Program(plan, batch)
    if unpack_pivots:
        order, info, exchanges = program.scratch(8 * rows), program.scratch(8), program.input(1, 1)
        permutation(program, exchanges, order, rows, count, exchanges.steps[0], info)
        program.fail_on(info)
    if unpack_data:
        triangles(program, program.input(0), program.output(1), program.output(2))
    return program.finish(rows * rows)


lu_unpack.failure = bad_pivots


@composite
def lu(input, pivot=True, get_infos=False):
    """The packed factors and pivots, as `torch.lu` returns them.

    >>> torch.lu(torch.eye(2))[1]
    tensor([1, 2], dtype=torch.int32)
    """
    if not is_tensor(input):
        raise errors.argument_type_error("_lu_with_info", "input", 1, "Tensor", input)
    warn_once(
        "torch.lu is deprecated in favor of torch.linalg.lu_factor / torch.linalg.lu_factor_ex and "
        "will be removed in a future PyTorch release.\nLU, pivots = torch.lu(A, compute_pivots)\n"
        "should be replaced with\nLU, pivots = torch.linalg.lu_factor(A, compute_pivots)\nand\n"
        "LU, pivots, info = torch.lu(A, compute_pivots, get_infos=True)\nshould be replaced with\n"
        "LU, pivots, info = torch.linalg.lu_factor_ex(A, compute_pivots)"
    )
    packed, pivots, info = linalg_lu_factor_ex.call(input, pivot=pivot)
    if get_infos:
        return return_types._lu_with_info.of(packed, pivots, info)
    return packed, pivots


# ---- solving with the factors ----------------------------------------------------------------


def check_lu_solve(lu: Spec, pivots: Spec, b: Spec, left: bool) -> None:
    """torch's checks of lu_solve."""
    name = "linalg.lu_solve"
    check_floating(f"torch.{name}", lu)
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    check_same_dtype(name, "LU", lu, "B", b)
    check_square(f"torch.{name}", lu)
    check_equation(name, lu, b, left)
    if lu.shape[-1] != (pivots.shape[-1] if pivots.ndim else 1):
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix"
        )
    if tuple(lu.shape[:-1]) != tuple(pivots.shape):
        raise RuntimeError(
            f"{name}: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {errors.brackets(pivots.shape)} instead"
        )
    check_kernel("linalg.lu_solve_cpu", lu)


def factors_gradient(
    g: Any, y: Any, LU: Any, pivots: Any, B_like: Any, left: bool, adjoint: bool
) -> Any:
    """The gradient of the packed factors: first that of the matrix A = P L U,
    then through the product.
    """
    P, L, U = lu_unpack.call(LU, pivots)
    back = linalg_lu_solve.call(LU, pivots, g, left=left, adjoint=not adjoint)
    if left:
        matrix = -(y @ back.mH if adjoint else back @ y.mH)
    else:
        matrix = -(back.mH @ y if adjoint else y.mH @ back)
    inner = P.mT @ matrix
    return (inner @ U.mH).tril(-1) + (L.mH @ inner).triu()


@structured(
    public=None,
    methods=(),
    grad={
        "LU": factors_gradient,
        "B": lambda g, LU, pivots, left, adjoint: linalg_lu_solve.call(
            LU, pivots, g, left=left, adjoint=not adjoint
        ),
    },
)
def linalg_lu_solve(call, LU, pivots, B, *, left=True, adjoint=False):
    """Solves A X = B (X A = B if not `left`) from the factors of A; with `adjoint` for A.mH.

    >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    >>> torch.linalg.lu_solve(LU, pivots, torch.ones(2, 1))
    tensor([[0.5000],
            [0.2500]])
    """
    lu, places, b = (
        tensor_spec(call, value, name) for value, name in ((LU, "LU"), (pivots, "pivots"), (B, "B"))
    )
    check_lu_solve(lu, places, b, left)
    batch, n = batch_of(lu, b), lu.shape[-1]
    output = (column_major if left else contiguous)(b, (*batch, *b.shape[-2:]))
    program = Program(call.plan(["LU", "pivots", "B"], [output]), batch)
    factors, exchanges, result = program.input(0), program.input(1, 1), program.output(0)
    if tuple(factors.steps) != (lu.itemsize, max(1, n) * lu.itemsize):
        packed = program.matrix(n, n)
        program.copy(factors, packed)
        factors = packed
    wide, info = program.scratch(8 * n), program.scratch(8)
    table = program.table([n, exchanges.steps[0]])
    program.helper(matrices.widen, exchanges, wide, table)
    program.copy(program.input(2), result)
    count = b.shape[-1 if left else -2]
    substitute(program, factors, wide, result, count, left, adjoint, info)
    return program.finish(n * n * count)


def substitute(
    program: Program,
    factors: Window,
    pivots: Place,
    result: Window,
    count: int,
    left: bool,
    adjoint: bool,
    info: Place,
    guard: Place | None = None,
) -> None:
    """Adds the steps that solve with the factors, in place;
    XA = B is solved as A.mT X.mT = B.mT.
    """
    n, is_complex = factors.shape[0], program.is_complex
    mark = "N" if left else "T"
    if adjoint:
        mark = "C" if left else "N"
    turn = adjoint and not left and is_complex  # X A.mH = B: conj(A) X.mT = B.mT
    sizes = program.table([*result.shape, *result.steps])
    if turn:
        program.helper(matrices.conjugate, result, sizes, guard=guard)
    program.call(
        "getrs", mark, n, count, factors, max(1, n), pivots, result, max(1, n), info, guard=guard
    )
    if turn:
        program.helper(matrices.conjugate, result, sizes, guard=guard)


@composite(methods=("lu_solve",))
def lu_solve(input, LU_data, LU_pivots):
    """Solves A X = input from the factors of A.

    >>> torch.lu_solve(torch.ones(2, 1), *torch.linalg.lu_factor(torch.eye(2)))
    tensor([[1.],
            [1.]])
    """
    OPS["lu_solve"].check_tensor(input, "input")
    warn_once(
        "torch.lu_solve is deprecated in favor of torch.linalg.lu_solveand will be removed in a "
        "future PyTorch release.\nNote that torch.linalg.lu_solve has its arguments reversed.\n"
        "X = torch.lu_solve(B, LU, pivots)\nshould be replaced with\n"
        "X = torch.linalg.lu_solve(LU, pivots, B)"
    )
    return linalg_lu_solve.call(LU_data, LU_pivots, input)

"""Least squares: lstsq, the pseudo-inverse, and the rank of a matrix.

>>> A = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
>>> torch.linalg.lstsq(A, torch.tensor([[1.0], [3.0], [5.0]])).solution
tensor([[1.0000],
        [2.0000]])
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau import return_types
from flambeau.autograd.recording import record
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.ops.choice import where
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import (
    check_matrix,
    column_major,
    contiguous,
    failure,
    not_differentiable,
    real_dtype,
    tensor_spec,
)
from flambeau.ops.linalg.solve import column, is_vector
from flambeau.ops.linalg.spectral import linalg_eigh, linalg_eigvalsh, linalg_svd, linalg_svdvals
from flambeau.ops.registry import OPS, is_tensor
from flambeau.runtime import matrices
from flambeau.runtime.blas import LETTERS
from flambeau.runtime.lapack import IWORK, LWORK, RWORK, WORK, Array, Program, Window

# ---- lstsq -----------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A least-squares problem: specs of both sides, and how LAPACK is to solve it."""

    a: Spec
    b: Spec
    batch: tuple[int, ...]
    vector: bool
    driver: str
    rcond: float

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Rows, columns, right sides."""
        count = 1 if self.vector else self.b.shape[-1]
        return self.a.shape[-2], self.a.shape[-1], count


def checked_problem(a: Spec, b: Spec, rcond: float | None, driver: str | None) -> Problem:
    """The problem, after torch's checks."""
    name = "torch.linalg.lstsq"
    if a.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if b.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype "
            f"{a.dtype.scalar_name} and other's dtype {b.dtype.scalar_name}"
        )
    if not 0 <= a.ndim - b.ndim <= 1:
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and "
            "(input.dim() - other.dim()) <= 1"
        )
    vector = is_vector(a, b)
    if a.shape[-2] != b.shape[-1 if vector else -2]:
        raise RuntimeError(
            f"{name}: input.size(-2) should match other.size({-1 if vector else -2})"
        )
    if not vector and a.ndim != b.ndim:
        broadcast_shapes(a.shape[:-2], b.shape[:-1])
    if driver is not None and driver not in DRIVERS:
        raise RuntimeError(f"{name}: parameter `driver` should be one of ({', '.join(DRIVERS)})")
    if a.dtype.name not in LETTERS:
        raise RuntimeError("This function doesn't handle types other than float and double")
    batch = tuple(broadcast_shapes(a.shape[:-2], b.shape[: -1 if vector else -2]))
    if rcond is None:
        rcond = dtypes.finfo(real_dtype(a)).eps * max(a.shape[-2:])
    return Problem(a, b, batch, vector, driver or "gelsy", rcond)


DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def call_driver(program: Program, problem: Problem, packed: Window, right: Window) -> None:
    """Adds the step of LAPACK's driver; `right` holds B and then the solution."""
    rows, columns, count = problem.sizes
    short, driver = min(rows, columns), problem.driver
    info = program.scratch(8)
    sides = (packed, max(1, rows), right, right.steps[1] // program.itemsize)
    if driver == "gels":
        program.call("gels", "N", rows, columns, count, *sides, WORK, LWORK, info)
        program.fail_on(info)
        return
    values: Any = program.output(3, 1) if driver != "gelsy" else None
    if values is None:
        values = program.scratch(8 * columns)
        program.helper(matrices.clear_words, values, program.number(columns))
    rank, rcond = program.output(2, 0), program.real(problem.rcond)
    rest: tuple[Any, ...] = ()
    if program.is_complex:
        size = {"gelsy": 2 * columns, "gelss": 5 * short, "gelsd": 0}[driver]
        rest = (RWORK if driver == "gelsd" else Array("rwork", max(1, size)),)
    if driver == "gelsd":
        rest = (*rest, IWORK)
    sizes = (rows, columns, count)
    program.call(driver, *sizes, *sides, values, rcond, rank, WORK, LWORK, *rest, info)
    program.fail_on(info)


def least_squares_gradient(which: int) -> Any:
    """The rule of lstsq by A (0) or B (1), through the pseudo-inverse and through the residuals."""

    def rule(g0: Any, g1: Any, y0: Any, input: Any, b: Any) -> Any:
        A, B, X = input, b, y0
        vector = is_vector(input._spec, b._spec)
        if vector:
            B, X = B.unsqueeze(-1), X.unsqueeze(-1)
            g0 = None if g0 is None else g0.unsqueeze(-1)
        total: Any = None
        if g0 is not None:
            inverse = linalg_pinv.call(A)
            if which == 0:
                total = pseudo_inverse_gradient(g0 @ B.mH, inverse, A)
            else:
                total = inverse.mH @ g0
        if g1 is not None and g1.numel():
            weighted = (A @ X - B) * (2 * g1.unsqueeze(-2))
            through = weighted @ X.mH if which == 0 else -weighted
            total = through if total is None else total + through
        return total.squeeze(-1) if vector and which == 1 and total is not None else total

    return rule


@structured(
    public=None,
    methods=(),
    grad={"input": least_squares_gradient(0), "b": least_squares_gradient(1)},
)
def linalg_lstsq(call, input, b, rcond=None, *, driver=None):
    """The X that makes |input X - b| least; residuals, rank and singular values as far as LAPACK's
    driver (gels, gelsy, gelsd, gelss) gives them.

    >>> torch.linalg.lstsq(torch.ones(2, 1), torch.tensor([[1.0], [3.0]])).solution
    tensor([[2.]])
    """
    a, right = tensor_spec(call, input, "input"), tensor_spec(call, b, "b")
    problem = checked_problem(a, right, rcond, driver)
    rows, columns, count = problem.sizes
    batch, own, driver = problem.batch, a.shape[:-2], problem.driver
    with_residuals = rows > columns and driver != "gelsy"
    short = min(rows, columns)
    if problem.vector:
        solution = contiguous(right, (*batch, columns))
    else:
        solution = column_major(right, (*batch, columns, count))
    outputs = [
        solution,
        contiguous(a, (*batch, count) if with_residuals else (0,), real_dtype(a)),
        contiguous(a, (0,) if driver == "gels" else own, dtypes.int64),
        contiguous(a, (*own, short) if driver in ("gelsd", "gelss") else (0,), real_dtype(a)),
    ]
    plan = call.plan(["input", "b"], outputs)
    not_differentiable(plan, 3)
    program = Program(plan, batch)
    given, x = program.input(1, 1 if problem.vector else 2), program.output(0, 2 - problem.vector)
    if problem.vector:
        given, x = column(given), column(x)
    packed, work = program.matrix(rows, columns), program.matrix(max(rows, columns), count)
    program.copy(program.input(0), packed)
    words = max(rows, columns) * count * program.itemsize // 8
    program.helper(matrices.clear_words, work, program.number(words))
    program.copy(given, work.part((0, rows), (0, count)))
    if driver != "gels" and not short:
        program.helper(matrices.clear, program.output(2, 0))
    if short and count:
        call_driver(program, problem, packed, work)
        program.copy(work.part((0, columns), (0, count)), x)
    else:
        program.copy(program.zeros(columns, count), x)
    if with_residuals:
        table = program.table([columns, rows, count, *work.steps])
        program.helper(matrices.sum_squares, work, table, program.output(1, 1))
    program.finish(4 * rows * columns * max(short, count))
    only_full_rank = with_residuals and driver != "gels" and a.ndim == 2
    return plan.finish(reporting(columns if only_full_rank else -1))


linalg_lstsq.failure = failure("torch.linalg.lstsq", "lstsq")


def reporting(full: int) -> Any:
    """Makes the named result; without full rank there are no residuals (full -1: never asked)."""
    make = return_types.linalg_lstsq.of

    def named(solution: Any, residuals: Any, rank: Any, values: Any) -> Any:
        if full >= 0 and solution.device.type != "meta" and rank.item() != full:
            residuals = residuals.new_empty((0,))
        return make(solution, residuals, rank, values)

    return named


# ---- tolerances ------------------------------------------------------------------------------


def tolerances(name: str, input: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Both as tensors. Without any the relative one is eps * max(m, n), with an absolute one 0."""
    for value, argument in ((atol, "atol"), (rtol, "rtol")):
        if is_tensor(value) and value.dtype.is_complex:
            raise RuntimeError(
                f"{name}: {argument} tensor of complex type is not supported. "
                f"Got {value.dtype.scalar_name}"
            )
    kind = real_dtype(input._spec)
    default = dtypes.finfo(kind).eps * max(input.shape[-2:])
    if rtol is None:
        if is_tensor(atol):
            rtol = (atol <= 0).to(kind) * default
        else:
            rtol = 0.0 if atol is not None and atol > 0 else default
    atol = 0.0 if atol is None else atol
    return tuple(
        value if is_tensor(value) else input.new_full((), float(value), dtype=kind)
        for value in (atol, rtol)
    )


# ---- pseudo-inverse --------------------------------------------------------------------------


def pseudo_inverse_gradient(g: Any, y: Any, input: Any) -> Any:
    """Golub and Pereyra: The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate (1973), with the products in the order that costs least.
    """
    A, Y, adjoint = input, y, y.mH
    gh = g.mH
    if A.shape[-2] <= A.shape[-1]:
        K = gh @ Y
        outer = K @ adjoint
        return -(Y @ K).mH + outer - (A @ Y) @ outer + (adjoint @ Y) @ (gh - K @ A)
    K = Y @ gh
    outer = adjoint @ K
    return -(K @ Y).mH + (gh - A @ K) @ Y @ adjoint + outer - (outer @ Y) @ A


def invert_values(input: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    """The pseudo-inverse from singular values (eigenvalues) that are large enough."""
    if hermitian:
        values, left = linalg_eigh.call(input)
        right, sizes = left.mH, values.abs()
        greatest = sizes.amax(-1, True)
    else:
        left, values, right = linalg_svd.call(input, False)
        sizes, greatest = values, values.narrow(-1, 0, 1)
    limit = atol.unsqueeze(-1).maximum(rtol.unsqueeze(-1) * greatest)
    inverted = where(sizes > limit, values.reciprocal(), 0.0).to(input.dtype)
    return (right.mH * inverted.unsqueeze(-2)) @ left.mH


@structured(
    name="_pinv",
    public=None,
    methods=(),
    node="LinalgPinvBackward",
    grad={"input": pseudo_inverse_gradient},
)
def pseudo_inverse(call, input, atol, rtol, hermitian):
    """The op behind linalg.pinv."""
    spec = input._spec
    shape = (*spec.shape[:-2], spec.shape[-1], spec.shape[-2])
    plan = call.plan(["input", "atol", "rtol"], [spec.like(shape)])

    def run(input: Any, atol: Any, rtol: Any) -> Any:
        if spec.numel:
            result = invert_values(input.detach(), atol, rtol, hermitian)
        else:
            result = input.detach().new_empty(shape)
        record(plan, (input, atol, rtol), (result,))
        return result

    return plan.use_python(run)


@composite(public=None, methods=())
def linalg_pinv(
    input: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """The pseudo-inverse; singular values up to max(atol, rtol * greatest) count as zero.

    >>> torch.linalg.pinv(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    spec = OPS["linalg_pinv"].check_tensor(input, "input")._spec
    if rcond is not None and (atol is not None or rtol is not None):
        raise TypeError("linalg_pinv() received an invalid combination of arguments")
    if spec.ndim < 2 or spec.dtype.name not in LETTERS:
        shown = f"{spec.dtype.scalar_name}{{{errors.brackets(spec.shape)}}}"
        raise RuntimeError(
            f"linalg.pinv({shown}): expected a tensor with 2 or more dimensions of float, double, "
            "cfloat or cdouble types"
        )
    if rcond is not None:
        atol, rtol = 0.0, rcond
    atol, rtol = tolerances("torch.linalg.pinv", input, atol, rtol)
    result = pseudo_inverse.call(input, atol, rtol, hermitian)
    return result if out is None else out.resize_(result.shape).copy_(result)


@composite
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The pseudo-inverse; the older name of linalg.pinv.

    >>> torch.pinverse(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    OPS["pinverse"].check_tensor(input, "input")
    return linalg_pinv.call(input, rcond)


# ---- rank ------------------------------------------------------------------------------------


@composite(public=None, methods=())
def linalg_matrix_rank(
    input: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """How many singular values are greater than max(atol, rtol * greatest).

    >>> torch.linalg.matrix_rank(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    spec = OPS["linalg_matrix_rank"].check_tensor(input, "input")._spec
    if tol is not None and (atol is not None or rtol is not None):
        raise TypeError("linalg_matrix_rank() received an invalid combination of arguments")
    if is_tensor(atol) != is_tensor(rtol) and atol is not None and rtol is not None:
        raise TypeError("linalg_matrix_rank() received an invalid combination of arguments")
    check_matrix("torch.linalg.matrix_rank", spec, "input")
    if spec.dtype.name not in LETTERS:
        raise RuntimeError("This function doesn't handle types other than float and double")
    if tol is not None:
        atol, rtol = tol, 0.0
    atol, rtol = tolerances("torch.linalg.matrix_rank", input, atol, rtol)
    if not spec.numel:
        result = input.new_zeros(tuple(spec.shape[:-2]), dtype=dtypes.int64)
    else:
        matrix = input.detach()
        if hermitian:
            values = linalg_eigvalsh.call(matrix).abs()
            greatest = values.amax(-1, True)
        else:
            values = linalg_svdvals.call(matrix)
            greatest = values.narrow(-1, 0, 1)
        limit = atol.unsqueeze(-1).maximum(rtol.unsqueeze(-1) * greatest)
        result = (values > limit).sum(-1)
    return result if out is None else out.resize_(result.shape).copy_(result)

"""Singular values and eigenvalues: svd, eigh, eig, their values alone, and the older svd.

>>> torch.linalg.eigvalsh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
tensor([1., 2.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import return_types
from flambeau.autograd.modes import is_grad_enabled
from flambeau.core.spec import Spec
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import (
    check_floating,
    check_kernel,
    check_matrix,
    check_square,
    column_major,
    complex_dtype,
    contiguous,
    failure,
    real_dtype,
    tensor_spec,
)
from flambeau.ops.registry import OPS
from flambeau.runtime import matrices
from flambeau.runtime.lapack import (
    IWORK,
    LIWORK,
    LRWORK,
    LWORK,
    RWORK,
    WORK,
    Array,
    Place,
    Program,
    Window,
)
from flambeau.runtime.matrices import Failure


def differences(values: Any) -> Any:
    """E[i, j] = values[j] - values[i], and 1 on the diagonal: what the gradients divide by."""
    ones = values.new_ones(tuple(values.shape)).diag_embed()
    return values.unsqueeze(-2) - values.unsqueeze(-1) + ones


def check_phase(name: str, diagonal: Any) -> None:
    """torch's error for losses that depend on the phase of vectors, which is arbitrary."""
    turning = diagonal.detach().imag
    if turning.device.type != "meta" and not bool((turning.abs() <= 1e-2).all().item()):
        vectors = "singular vectors" if "svd" in name else "eigenvectors"
        raise RuntimeError(
            f"{name}: The {vectors} in the complex case are specified up to multiplication by "
            "e^{i phi}. The specified loss function depends on this quantity, so it is ill-defined."
        )


def wants_gradient(tensor: Any) -> bool:
    """Whether a call with this input is recorded."""
    return bool(tensor.requires_grad and is_grad_enabled())


# ---- singular values -------------------------------------------------------------------------


def svd_gradient(g_u: Any, g_s: Any, g_v: Any, U: Any, S: Any, Vh: Any) -> Any:
    """Giles: Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation (2008), section 3.2, with the terms of Townsend: Differentiating the singular
    value decomposition (2016) for matrices that are not square, and of Wan and Zhang: Automatic
    differentiation for complex valued SVD (2019)."""
    if g_u is None and g_v is None:
        return (U * g_s.unsqueeze(-2)) @ Vh
    inner: Any = 0
    turning: Any = None
    if g_u is not None:
        left = U.mH @ g_u
        left = left - left.mH
        inner = left * S.unsqueeze(-2)
        turning = left.diagonal(0, -2, -1)
    if g_v is not None:
        right = Vh @ g_v.mH
        right = right - right.mH
        inner = inner + S.unsqueeze(-1) * right
    if U.dtype.is_complex:
        total: Any = 0 if turning is None else turning
        check_phase("svd_backward", total if g_v is None else total + right.diagonal(0, -2, -1))
    inner = inner / differences(S * S)
    if g_s is not None:
        inner = inner + g_s.diag_embed()
    if U.dtype.is_complex and turning is not None:
        inner = inner + (turning / (2 * S)).diag_embed()
    result = U @ inner @ Vh
    if g_u is not None and U.shape[-2] > S.shape[-1]:
        scaled = g_u / S.unsqueeze(-2)
        result = result + (scaled - U @ (U.mH @ scaled)) @ Vh
    if g_v is not None and Vh.shape[-1] > S.shape[-1]:
        scaled = g_v / S.unsqueeze(-1)
        result = result + U @ (scaled - (scaled @ Vh.mH) @ Vh)
    return result


def svd_rule(g0: Any, g1: Any, g2: Any, y0: Any, y1: Any, y2: Any) -> Any:
    """The vectors beyond the singular values are arbitrary: no gradient comes through them."""
    count = y1.shape[-1]
    g_u = None if g0 is None else g0.narrow(-1, 0, count)
    g_v = None if g2 is None else g2.narrow(-2, 0, count)
    return svd_gradient(g_u, g1, g_v, y0.narrow(-1, 0, count), y1, y2.narrow(-2, 0, count))


def checked_svd(call: Any, A: Any, driver: Any) -> Spec:
    """The input's spec, after torch's checks."""
    spec = tensor_spec(call, A, "A")
    check_matrix("linalg.svd", spec)
    check_floating("linalg.svd", spec)
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend."
        )
    check_kernel("linalg_svd_cpu", spec)
    return spec


def decompose(program: Program, job: str, S: Any, U: Any, Vh: Any) -> None:
    """Adds the steps of gesdd, the divide-and-conquer SVD."""
    rows, columns = program.input(0).shape
    packed, info = program.matrix(rows, columns), program.scratch(8)
    program.copy(program.input(0), packed)
    short, long = min(rows, columns), max(rows, columns)
    real: tuple[Any, ...] = ()
    if program.is_complex:
        if job == "N":
            size = 7 * short
        else:
            size = max(5 * short * (short + 1), 2 * short * (long + short) + short)
        real = (Array("rwork", max(1, size)),)
    leading = [max(1, x.shape[0]) if isinstance(x, Window) else 1 for x in (U, Vh)]
    program.call(
        "gesdd", job, rows, columns, packed, max(1, rows), S, U, leading[0], Vh, leading[1], WORK,
        LWORK, *real, Array("iwork", max(1, 8 * short)), info,
    )  # fmt: skip
    program.fail_on(info)


@structured(
    public=None,
    methods=(),
    grad={"A": svd_rule},
)
def linalg_svd(call, A, full_matrices=True, *, driver=None):
    """U, S, Vh with A = U diag(S) Vh; without `full_matrices` only the vectors that S belongs to.

    >>> torch.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    spec = checked_svd(call, A, driver)
    *batch, rows, columns = spec.shape
    short = min(rows, columns)
    left, right = (rows, columns) if full_matrices else (short, short)
    outputs = [
        column_major(spec, (*batch, rows, left)),
        contiguous(spec, (*batch, short), real_dtype(spec)),
        column_major(spec, (*batch, right, columns)),
    ]
    program = Program(call.plan(["A"], outputs), batch)
    U, S, Vh = program.output(0), program.output(1, 1), program.output(2)
    if short:
        decompose(program, "A" if full_matrices else "S", S, U, Vh)
    else:
        for window in (U, Vh):
            table = program.table([*window.shape, *window.steps, 1])
            program.helper(matrices.fill_diagonal, window, table)
    program.finish(8 * rows * columns * short)
    return program.plan.finish(return_types.linalg_svd.of)


@structured(name="_svdvals", public=None, methods=())
def values_alone(call, A):
    """Singular values, where no gradient is wanted."""
    spec = checked_svd(call, A, None)
    *batch, rows, columns = spec.shape
    short = min(rows, columns)
    output = contiguous(spec, (*batch, short), real_dtype(spec))
    program = Program(call.plan(["A"], [output]), batch)
    if short:
        nothing = program.scratch(16)
        decompose(program, "N", program.output(0, 1), nothing, nothing)
    return program.finish(4 * rows * columns * short)


linalg_svd.failure = values_alone.failure = failure("linalg.svd", "svd")


@composite(public=None, methods=())
def linalg_svdvals(A: Any, *, driver: Any = None, out: Any = None) -> Any:
    """The singular values, from the greatest down.

    >>> torch.linalg.svdvals(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    OPS["linalg_svdvals"].check_tensor(A, "A")
    if wants_gradient(A) or driver is not None:
        return linalg_svd.call(A, False, driver=driver)[1]
    return values_alone.call(A, out=out)


@composite
def svd(input: Any, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """U, S, V with input = U diag(S) V.mH; the older form of linalg.svd.

    >>> torch.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    spec = OPS["svd"].check_tensor(input, "input")._spec
    if spec.ndim < 2:
        raise RuntimeError(
            "linalg.svd: input should have at least 2 dimensions, but has "
            f"{spec.ndim} dimensions instead"
        )
    if compute_uv:
        U, S, Vh = linalg_svd.call(input, not some)
        return return_types.svd.of(U, S, Vh.mH)
    *batch, rows, columns = spec.shape
    empty_u, empty_v = (input.new_zeros((*batch, n, n)) for n in (rows, columns))
    return return_types.svd.of(empty_u, linalg_svdvals.call(input), empty_v.mT)


# ---- eigenvalues of Hermitian matrices -------------------------------------------------------


def hermitian_gradient(g0: Any, g1: Any, y0: Any, y1: Any) -> Any:
    """V (diag(gL) + skew(V.mH gV) / E) V.mH (Giles 2008, section 3.1)."""
    V = y1
    if g1 is None:
        return (V * g0.unsqueeze(-2)) @ V.mH
    inner = V.mH @ g1
    diagonal = inner.diagonal(0, -2, -1)
    if V.dtype.is_complex:
        check_phase("linalg_eigh_backward", diagonal)
    inner = (inner - inner.mH) * 0.5  # of vectors that stay orthonormal only this part can change
    inner = (inner - inner.diagonal(0, -2, -1).diag_embed()) / differences(y0)
    if g0 is not None:
        inner = inner + g0.diag_embed()
    return V @ inner @ V.mH


def checked_eigh(call: Any, input: Any, UPLO: str) -> Spec:
    """The input's spec, after torch's checks."""
    spec = tensor_spec(call, input, "input")
    check_square("linalg.eigh", spec)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    check_kernel("linalg_eigh_cpu", spec)
    return spec


def hermitian_steps(program: Program, job: str, letter: str, values: Window, V: Window) -> None:
    """Adds the steps of syevd; where the matrix is not finite, everything is NaN."""
    n = V.shape[0]
    info, infinite = program.scratch(8), program.scratch(8)
    program.copy(program.input(0), V)
    table = program.table([n, n, *V.steps])
    program.helper(matrices.find_infinite, V, table, infinite)
    real = (RWORK, LRWORK) if program.is_complex else ()
    program.helper(matrices.clear, info)
    program.call(
        "syevd", job, letter.upper(), n, V, max(1, n), values, WORK, LWORK, *real, IWORK, LIWORK,
        info, guard=infinite,
    )  # fmt: skip
    numbers = n * n * (2 if program.is_complex else 1)
    program.helper(matrices.fill_not_a_number, V, program.number(numbers), infinite)
    program.helper(matrices.fill_not_a_number, values, program.number(n), infinite)
    program.fail_on(info)


@structured(
    public=None,
    methods=(),
    grad={"input": hermitian_gradient},
)
def linalg_eigh(call, input, UPLO="L"):
    """Eigenvalues (from the least up) and eigenvectors of a Hermitian matrix, whose lower triangle
    is read (UPLO "U": the upper one).

    >>> torch.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    spec = checked_eigh(call, input, UPLO)
    *batch, n, _ = spec.shape
    values = contiguous(spec, (*batch, n), real_dtype(spec))
    program = Program(call.plan(["input"], [values, column_major(spec, spec.shape)]), batch)
    hermitian_steps(program, "V", UPLO, program.output(0, 1), program.output(1))
    program.finish(9 * n**3)
    return program.plan.finish(return_types.linalg_eigh.of)


@structured(name="_eigvalsh", public=None, methods=())
def hermitian_values(call, input, UPLO="L"):
    """Eigenvalues of a Hermitian matrix, where no gradient is wanted."""
    spec = checked_eigh(call, input, UPLO)
    *batch, n, _ = spec.shape
    values = contiguous(spec, (*batch, n), real_dtype(spec))
    program = Program(call.plan(["input"], [values]), batch)
    hermitian_steps(program, "N", UPLO, program.output(0, 1), program.matrix(n, n))
    return program.finish(2 * n**3)


linalg_eigh.failure = hermitian_values.failure = failure("linalg.eigh", "eig")


@composite(public=None, methods=())
def linalg_eigvalsh(input: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """The eigenvalues of a Hermitian matrix, from the least up.

    >>> torch.linalg.eigvalsh(torch.eye(2))
    tensor([1., 1.])
    """
    OPS["linalg_eigvalsh"].check_tensor(input, "input")
    if wants_gradient(input):
        return linalg_eigh.call(input, UPLO)[0]
    return hermitian_values.call(input, UPLO, out=out)


# ---- eigenvalues of any square matrix --------------------------------------------------------


def eigen_gradient(g0: Any, g1: Any, y0: Any, y1: Any) -> Any:
    """inv(V.mH) (diag(gL) + (V.mH gV - V.mH V Re(diag(V.mH gV))) / conj(E)) V.mH.

    Boeddeker et al.: On the computation of complex-valued gradients with application to
    statistically optimum beamforming (2017), section 4.2: LAPACK's vectors have norm 1.
    """
    V = y1
    if g1 is None:
        return OPS["linalg_solve"].call(V.mH, g0.unsqueeze(-1) * V.mH)
    inner = V.mH @ g1
    diagonal = inner.diagonal(0, -2, -1)
    check_phase("linalg_eig_backward", diagonal)
    inner = inner - V.mH @ (V * diagonal.real.unsqueeze(-2))
    inner = inner - inner.diagonal(0, -2, -1).diag_embed()
    inner = inner / differences(y0).conj()
    if g0 is not None:
        inner = inner + g0.diag_embed()
    return OPS["linalg_solve"].call(V.mH, inner @ V.mH)


def checked_eig(call: Any, input: Any, name: str) -> Spec:
    """The input's spec, after torch's checks."""
    spec = tensor_spec(call, input, "input")
    check_square(name, spec)
    if not (spec.dtype.is_floating_point or spec.dtype.is_complex):
        raise RuntimeError(f"Unknown Complex ScalarType for {spec.dtype.scalar_name}")
    check_kernel("linalg_eig_out_cpu", spec)
    return spec


NOT_FINITE = 1  # kind of failure: the input has infs or NaNs, on which LAPACK may not return


def eigen_steps(program: Program, values: Window, vectors: Window | None) -> None:
    """Adds the steps of geev; from real matrices complex results come in two parts."""
    n = program.input(0).shape[0]
    packed, info, infinite = program.matrix(n, n), program.scratch(8), program.scratch(8)
    program.copy(program.input(0), packed)
    program.helper(matrices.find_infinite, packed, program.table([n, n, *packed.steps]), infinite)
    program.fail_on(infinite, NOT_FINITE)
    program.helper(matrices.clear, info)
    leading, count, nothing = max(1, n), program.number(n), program.scratch(16)
    job = "N" if vectors is None else "V"
    if program.is_complex:
        target: Place | Window = nothing if vectors is None else vectors
        program.call(
            "geev", "N", job, n, packed, leading, values, nothing, 1, target, leading, WORK, LWORK,
            Array("rwork", max(1, 2 * n)), info, guard=infinite,
        )  # fmt: skip
    else:
        real, imaginary = program.vector(n), program.vector(n)
        pairs: Any = nothing if vectors is None else program.matrix(n, n)
        program.call(
            "geev", "N", job, n, packed, leading, real, imaginary, nothing, 1, pairs, leading,
            WORK, LWORK, info, guard=infinite,
        )  # fmt: skip
        program.helper(matrices.join_parts, real, imaginary, count, values, guard=infinite)
        if vectors is not None:
            program.helper(matrices.join_vectors, pairs, imaginary, count, vectors, guard=infinite)
    program.fail_on(info)


def eig_failure(name: str) -> Callable[[Any, int], Exception]:
    """No convergence, or a matrix that is not finite."""
    ordinary = failure(name, "eig")

    def explain(plan: Any, code: int) -> Exception:
        if Failure.of(code).kind == NOT_FINITE:
            return RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
        return ordinary(plan, code)

    return explain


@structured(
    public=None,
    methods=(),
    grad={"input": eigen_gradient},
)
def linalg_eig(call, input):
    """Complex eigenvalues and eigenvectors (as columns, of norm 1) of a square matrix.

    >>> torch.linalg.eig(torch.tensor([[0.0, -1.0], [1.0, 0.0]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    spec = checked_eig(call, input, "linalg.eig")
    *batch, n, _ = spec.shape
    kind = complex_dtype(spec)
    outputs = [contiguous(spec, (*batch, n), kind), column_major(spec, spec.shape, kind)]
    program = Program(call.plan(["input"], outputs), batch)
    eigen_steps(program, program.output(0, 1), program.output(1))
    program.finish(25 * n**3)
    return program.plan.finish(return_types.linalg_eig.of)


@structured(name="_eigvals", public=None, methods=())
def eigen_values(call, input):
    """Eigenvalues, where no gradient is wanted."""
    spec = checked_eig(call, input, "linalg.eigvals")
    *batch, n, _ = spec.shape
    plan = call.plan(["input"], [contiguous(spec, (*batch, n), complex_dtype(spec))])
    program = Program(plan, batch)
    eigen_steps(program, program.output(0, 1), None)
    return program.finish(10 * n**3)


linalg_eig.failure = eig_failure("linalg.eig")
eigen_values.failure = eig_failure("linalg.eigvals")


@composite(public=None, methods=())
def linalg_eigvals(input: Any, *, out: Any = None) -> Any:
    """The complex eigenvalues of a square matrix.

    >>> torch.linalg.eigvals(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    tensor([0.+1.j, 0.-1.j])
    """
    OPS["linalg_eigvals"].check_tensor(input, "input")
    if wants_gradient(input):
        return linalg_eig.call(input)[0]
    return eigen_values.call(input, out=out)

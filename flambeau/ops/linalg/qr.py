"""QR factorisation, and products of Householder reflectors, which LAPACK keeps Q as.

`geqrf` packs R and the vectors v of the reflectors I - tau v v.mH into one matrix;
`householder_product` multiplies the reflectors, `ormqr` applies them to a matrix.

    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> R.abs()
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, structured
from flambeau.ops.linalg.common import (
    check_floating,
    check_kernel,
    check_matrix,
    column_major,
    contiguous,
    tensor_spec,
    warn_once,
)
from flambeau.ops.linalg.triangular import linalg_solve_triangular
from flambeau.ops.registry import OPS
from flambeau.ops.rules import no_derivative
from flambeau.runtime import matrices
from flambeau.runtime.lapack import LWORK, WORK, Program, Window

# ---- the factorisation -----------------------------------------------------------------------


def hermitian_from_upper(x: Any) -> Any:
    """The Hermitian matrix with x's upper triangle, of whose diagonal only the real part counts."""
    upper = x.triu(1)
    diagonal = x.diagonal(0, -2, -1)
    if x.dtype.is_complex:
        diagonal = diagonal.real.to(x.dtype)
    return upper + upper.mH + diagonal.diag_embed()


def square_gradient(g_q: Any, g_r: Any, Q: Any, R: Any) -> Any:
    """For a square or tall matrix: (gQ + Q H) inv(R).mH, with H the Hermitian matrix whose upper
    triangle is that of gR R.mH - Q.mH gQ.

    Walter and Lehmann: Algorithmic differentiation of linear algebra functions with application in
    optimum experimental design (2010).
    """
    inner: Any = 0
    if g_r is not None:
        inner = g_r @ R.mH
    if g_q is not None:
        inner = inner - Q.mH @ g_q
    whole = Q @ hermitian_from_upper(inner)
    if g_q is not None:
        whole = whole + g_q
    return linalg_solve_triangular.call(R.mH, whole, upper=False, left=False)


def qr_gradient(g0: Any, g1: Any, y0: Any, y1: Any, A_like: Spec, mode: str) -> Any:
    """A wide matrix is [A1 A2] with A1 = Q R1 and R2 = Q.mH A2: what comes through R2 goes to A2
    and, by way of Q, to A1 (Roberts and Roberts: QR and LQ decomposition matrix backpropagation
    algorithms for square, wide, and deep matrices, 2020).
    """
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    rows, columns = A_like.shape[-2:]
    if mode == "complete" and rows > columns:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if rows >= columns:
        return square_gradient(g0, g1, y0, y1)
    R1, R2 = y1.narrow(-1, 0, rows), y1.narrow(-1, rows, columns - rows)
    if g1 is None:
        first = square_gradient(g0, None, y0, R1)
        return cat.call([first, first.new_zeros((*first.shape[:-1], columns - rows))], -1)
    g_r1, g_r2 = g1.narrow(-1, 0, rows), g1.narrow(-1, rows, columns - rows)
    g_q = y0 @ (R2 @ g_r2.mH)
    if g0 is not None:
        g_q = g_q + g0
    return cat.call([square_gradient(g_q, g_r1, y0, R1), y0 @ g_r2], -1)


@structured(
    public=None,
    methods=(),
    grad={"A": lambda g0, g1, y0, y1, A_like, mode: qr_gradient(g0, g1, y0, y1, A_like, mode)},
)
def linalg_qr(call, A, mode="reduced"):
    """Q with orthonormal columns and an upper triangular R with A = Q R; `mode` is "reduced",
    "complete" (Q is square) or "r" (only R).

    >>> torch.linalg.qr(torch.eye(2), mode="r").R.shape
    torch.Size([2, 2])
    """
    spec = tensor_spec(call, A, "A")
    check_matrix("linalg.qr", spec)
    check_floating("linalg.qr", spec)
    if mode not in ("reduced", "r", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    *batch, rows, columns = spec.shape
    short = min(rows, columns)
    order = rows if mode == "complete" else short
    Q = contiguous(spec, (0,)) if mode == "r" else column_major(spec, (*batch, rows, order))
    plan = call.plan(["A"], [Q, column_major(spec, (*batch, order, columns))])
    plan.finish(return_types.linalg_qr.of)
    check_kernel("geqrf_cpu", spec)
    program = Program(plan, batch)
    packed, tau, info = program.matrix(rows, columns), program.vector(short), program.scratch(8)
    program.copy(program.input(0), packed)
    leading = max(1, rows)
    program.call("geqrf", rows, columns, packed, leading, tau, WORK, LWORK, info)
    program.copy(packed.part((0, order), (0, columns)), program.output(1), matrices.UPPER)
    if mode != "r":
        q = program.output(0)
        program.copy(packed.part((0, rows), (0, short)), q.part((0, rows), (0, short)))
        program.call("orgqr", rows, order, short, q, leading, tau, WORK, LWORK, info)
    return program.finish(2 * rows * columns * short)


@composite
def qr(input, some=True):
    """Q and R of a QR factorisation; the older name of linalg.qr.

    >>> torch.qr(torch.eye(2)).R.shape
    torch.Size([2, 2])
    """
    OPS["qr"].check_tensor(input, "input")
    warn_once(
        "torch.qr is deprecated in favor of torch.linalg.qr and will be removed in a future "
        "PyTorch "
        "release.\nThe boolean parameter 'some' has been replaced with a string parameter 'mode'.\n"
        "Q, R = torch.qr(A, some)\nshould be replaced with\n"
        "Q, R = torch.linalg.qr(A, 'reduced' if some else 'complete')"
    )
    return return_types.qr.of(*linalg_qr.call(input, "reduced" if some else "complete"))


@structured(grad=no_derivative("the derivative for 'geqrf' is not implemented."))
def geqrf(call, input):
    """R and the reflectors of Q packed into one matrix, and the reflectors' factors.

    >>> torch.geqrf(torch.ones(2, 1)).tau.shape
    torch.Size([1])
    """
    spec = tensor_spec(call, input, "input")
    if spec.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    check_kernel("geqrf_cpu", spec)
    *batch, rows, columns = spec.shape
    short = min(rows, columns)
    outputs = [column_major(spec, spec.shape), contiguous(spec, (*batch, short))]
    program = Program(call.plan(["input"], outputs), batch)
    packed, info = program.output(0), program.scratch(8)
    program.copy(program.input(0), packed)
    tau = program.output(1, 1)
    program.call("geqrf", rows, columns, packed, max(1, rows), tau, WORK, LWORK, info)
    program.finish(2 * rows * columns * short)
    return program.plan.finish(return_types.geqrf.of)


# ---- products of reflectors ------------------------------------------------------------------


def reflectors(packed: Any, count: int) -> Any:
    """The vectors of the reflectors as columns: ones on the diagonal, the packed values below."""
    below = packed.narrow(-1, 0, count).tril(-1)
    ones = packed.new_ones((min(packed.shape[-2], count),)).diag_embed()
    missing = packed.shape[-2] - ones.shape[0]
    return below + cat.call([ones, ones.new_zeros((missing, ones.shape[1]))], 0)


def chain_gradient(g: Any, y: Any, packed: Any, tau: Any, reverse: bool) -> tuple[Any, Any]:
    """The gradients of `packed` and `tau` where y = P1 P2 ... Pk C with Pi = I - tau_i v_i v_i.mH;
    with `reverse`, y = Pk.mH ... P1.mH C.

    From left to right: g becomes the gradient behind the factors passed, y what the factors still
    ahead make of C. A factor's inverse is I - s v v.mH with s = tau / (tau |v|^2 - 1).
    """
    count = tau.shape[-1]
    vectors = reflectors(packed, count)
    g_vectors: list[Any] = [None] * count
    g_tau: list[Any] = [None] * count
    for i in reversed(range(count)) if reverse else range(count):
        v = vectors.narrow(-1, i, 1)
        t = tau.narrow(-1, i, 1).unsqueeze(-1)
        t = t.conj() if reverse else t
        inverse = t / (t * (v.mH @ v) - 1)
        y = y - inverse * (v @ (v.mH @ y))
        g_v, y_v = g.mH @ v, y.mH @ v
        own = -(g_v.mH @ y_v)
        g_tau[i] = (own.conj() if reverse else own).squeeze(-1)
        g_vectors[i] = -(t.conj() * (g @ y_v) + t * (y @ g_v))
        g = g - t.conj() * (v @ (v.mH @ g))
    if not count:
        return packed.new_zeros(tuple(packed.shape)), tau.new_zeros(tuple(tau.shape))
    columns = cat.call(g_vectors, -1).tril(-1)
    rest = packed.shape[-1] - count
    if rest:
        columns = cat.call([columns, columns.new_zeros((*columns.shape[:-1], rest))], -1)
    return columns, cat.call(g_tau, -1)


def check_householder(input: Spec, tau: Spec) -> None:
    """torch's checks of householder_product."""
    name = "torch.linalg.householder_product"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if input.shape[-2] < input.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if not tau.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    if input.shape[-1] < tau.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if input.ndim - tau.ndim != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {tau.ndim} and input.ndim is equal to {input.ndim}"
        )
    check_same_batch(name, "tau", tau.shape[:-1], input)
    if tau.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {tau.dtype.scalar_name} does not match input dtype "
            f"{input.dtype.scalar_name}"
        )


def check_same_batch(name: str, argument: str, batch: Any, input: Spec) -> None:
    """torch's error for batches of other shapes."""
    if tuple(batch) != tuple(input.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of {argument} to be equal to input.shape[:-2], but "
            f"got {errors.brackets(batch)}"
        )


@structured(
    public=None,
    methods=(),
    grad={
        "input": lambda g, y, input, tau: chain_gradient(g, y, input, tau, False)[0],
        "tau": lambda g, y, input, tau: chain_gradient(g, y, input, tau, False)[1],
    },
)
def linalg_householder_product(call, input, tau):
    """The first columns of the product of the reflectors that geqrf returns.

    >>> torch.linalg.householder_product(*torch.geqrf(torch.ones(2, 1))).shape
    torch.Size([2, 1])
    """
    spec, factors = tensor_spec(call, input, "input"), tensor_spec(call, tau, "tau")
    check_householder(spec, factors)
    check_kernel("orgqr_cpu", spec)
    *batch, rows, columns = spec.shape
    count = factors.shape[-1]
    plan = call.plan(["input", "tau"], [column_major(spec, spec.shape)])
    program = Program(plan, batch)
    result, info = program.output(0), program.scratch(8)
    program.copy(program.input(0), result)
    tau = copied_vector(program, program.input(1, 1))
    leading = max(1, rows)
    program.call("orgqr", rows, columns, count, result, leading, tau, WORK, LWORK, info)
    return program.finish(2 * rows * columns * count)


def copied_vector(program: Program, source: Window) -> Window:
    """The vector without gaps."""
    target = program.vector(*source.shape)
    program.copy(source, target)
    return target


@composite
def orgqr(input, input2):
    """The first columns of a product of reflectors; the older name of householder_product.

    >>> torch.orgqr(*torch.geqrf(torch.ones(2, 1))).shape
    torch.Size([2, 1])
    """
    OPS["orgqr"].check_tensor(input, "input")
    return linalg_householder_product.call(input, input2)


# ---- applying reflectors ---------------------------------------------------------------------


def check_ormqr(input: Spec, tau: Spec, other: Spec, left: bool) -> None:
    """torch's checks of ormqr."""
    name = "torch.ormqr"
    for spec, argument in ((input, "input"), (other, "other")):
        if spec.ndim < 2:
            raise RuntimeError(f"{name}: {argument} must have at least 2 dimensions.")
    side = -2 if left else -1
    if other.shape[side] != input.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] != min(other.shape[side], input.shape[-1]):
        raise RuntimeError(
            f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    if input.ndim - tau.ndim != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {tau.ndim} and input.ndim is equal to {input.ndim}"
        )
    if input.ndim != other.ndim:
        raise RuntimeError(
            f"{name}: Expected other to have the same number of dimensions as input, but got "
            f"other.ndim equal to {other.ndim} and input.ndim is equal to {input.ndim}"
        )
    check_same_batch(name, "tau", tau.shape[:-1], input)
    check_same_batch(name, "other", other.shape[:-2], input)
    for spec, argument in ((tau, "tau"), (other, "other")):
        if spec.dtype is not input.dtype:
            raise RuntimeError(
                f"{name}: Expected input and {argument} to have the same dtype, but input has dtype"
                f"{input.dtype.scalar_name} and {argument} has dtype {spec.dtype.scalar_name}"
            )


def applied_gradient(which: int) -> Any:
    """The rule of ormqr by its matrix of reflectors (0) or their factors (1)."""

    def rule(g: Any, y: Any, input: Any, input2: Any, left: bool, transpose: bool) -> Any:
        if left:
            return chain_gradient(g, y, input, input2, transpose)[which]
        return chain_gradient(g.mH, y.mH, input, input2, not transpose)[which]

    return rule


@structured(
    grad={
        "input": applied_gradient(0),
        "input2": applied_gradient(1),
        "input3": lambda g, input, input2, left, transpose: ormqr.call(
            input, input2, g, left, not transpose
        ),
    }
)
def ormqr(call, input, input2, input3, left=True, transpose=False):
    """Q @ input3 (input3 @ Q if not `left`, with Q.mH for `transpose`), Q as the reflectors of
    geqrf.

    >>> torch.ormqr(torch.zeros(2, 1), torch.zeros(1), torch.ones(2, 1))
    tensor([[1.],
            [1.]])
    """
    names = ("input", "input2", "input3")
    packed, tau, other = (
        tensor_spec(call, value, name)
        for name, value in zip(names, (input, input2, input3), strict=True)
    )
    check_ormqr(packed, tau, other, left)
    check_kernel("ormqr_cpu", packed)
    *batch, rows, columns = other.shape
    program = Program(call.plan(list(names), [column_major(other, other.shape)]), batch)
    vectors, result = program.matrix(*packed.shape[-2:]), program.output(0)
    program.copy(program.input(0), vectors)
    program.copy(program.input(2), result)
    factors, info = copied_vector(program, program.input(1, 1)), program.scratch(8)
    mark = ("C" if program.is_complex else "T") if transpose else "N"
    count = tau.shape[-1]
    program.call(
        "ormqr", "L" if left else "R", mark, rows, columns, count, vectors,
        max(1, packed.shape[-2]), factors, result, max(1, rows), WORK, LWORK, info,
    )  # fmt: skip
    return program.finish(4 * rows * columns * count)

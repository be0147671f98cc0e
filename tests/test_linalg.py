"""torch.linalg and its older names against NumPy and SciPy; their gradients against finite
differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import linalg as scipy_linalg
from scipy.spatial import distance

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

L = torch.linalg
DTYPES = ["float32", "float64", "complex64", "complex128"]
SHAPES = [(1, 1), (4, 4), (3, 4, 4), (2, 1, 5, 5), (2, 20, 20)]


def array(dtype, *shape, seed=0):
    """Random numbers of a dtype."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def definite(a):
    """A Hermitian positive-definite matrix."""
    return a @ np.conj(np.swapaxes(a, -1, -2)) + a.shape[-1] * np.eye(a.shape[-1], dtype=a.dtype)


def close(ours, expected, factor=1):
    ours = ours.detach().numpy() if isinstance(ours, torch.Tensor) else np.asarray(ours)
    expected = np.asarray(expected)
    assert ours.shape == expected.shape
    tolerance = factor * (2e-3 if ours.dtype in (np.float32, np.complex64) else 1e-8)
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * scale)


def tensors(*arrays):
    return [torch.from_numpy(np.array(a)) for a in arrays]


# -- values ----------------------------------------------------------------------------------------

SQUARE = {
    "inv": (L.inv, np.linalg.inv),
    "det": (L.det, np.linalg.det),
    "slogdet": (lambda a: L.slogdet(a).logabsdet, lambda a: np.linalg.slogdet(a)[1]),
    "sign": (lambda a: L.slogdet(a).sign, lambda a: np.linalg.slogdet(a)[0]),
    "power": (lambda a: L.matrix_power(a, 5), lambda a: np.linalg.matrix_power(a, 5)),
    "power_negative": (
        lambda a: L.matrix_power(a, -2),
        lambda a: np.linalg.matrix_power(a.astype(np.result_type(a, "f8")), -2),
    ),
    "exp": (L.matrix_exp, scipy_linalg.expm),
    "cond": (L.cond, np.linalg.cond),
    "cond_1": (lambda a: L.cond(a, 1), lambda a: np.linalg.cond(a, 1)),
    "rank": (L.matrix_rank, np.linalg.matrix_rank),
    "trace": (lambda a: L.diagonal(a).sum(-1), lambda a: np.trace(a, axis1=-2, axis2=-1)),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SQUARE)
def test_square(name, dtype, shape):
    ours, numpys = SQUARE[name]
    a = array(dtype, *shape) / math.sqrt(shape[-1]) + 2 * np.eye(shape[-1], dtype=dtype)
    close(ours(*tensors(a)), numpys(a), 10)


DEFINITE = {
    "cholesky": (L.cholesky, np.linalg.cholesky),
    "upper": (lambda a: L.cholesky(a, upper=True).mH, np.linalg.cholesky),
    "eigvalsh": (L.eigvalsh, np.linalg.eigvalsh),
    "inverse": (lambda a: torch.cholesky_inverse(L.cholesky(a)), np.linalg.inv),
    "logdet": (torch.logdet, lambda a: np.linalg.slogdet(a)[1]),
    "pinv": (lambda a: L.pinv(a, hermitian=True), np.linalg.inv),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DEFINITE)
def test_definite(name, dtype, shape):
    ours, numpys = DEFINITE[name]
    a = definite(array(dtype, *shape))
    close(ours(*tensors(a)), numpys(a))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 4), (40, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_decompositions_give_the_matrix_back(dtype, shape):
    a = array(dtype, *shape)
    (A,) = tensors(a)
    for mode in ("reduced", "complete"):
        Q, R = L.qr(A, mode)
        close(Q @ R, a)
        close(Q.mH @ Q, np.broadcast_to(np.eye(Q.shape[-1]), (*shape[:-2], *[Q.shape[-1]] * 2)))
        assert torch.equal(R, R.triu())
    for full in (True, False):
        U, S, Vh = L.svd(A, full)
        k = S.shape[-1]
        close((U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :], a)
    close(L.svdvals(A), np.linalg.svd(a, compute_uv=False))
    P, lower, upper = L.lu(A)
    close(P @ lower @ upper, a)
    packed, pivots = L.lu_factor(A)
    for whole, part in zip(torch.lu_unpack(packed, pivots), (P, lower, upper), strict=True):
        assert torch.equal(whole, part)
    close(L.pinv(A), np.linalg.pinv(a))
    reflectors, tau = torch.geqrf(A)
    k = min(shape[-2:])
    Q = L.householder_product(reflectors[..., :k], tau)
    close(Q, L.qr(A).Q.numpy())
    close(torch.ormqr(reflectors[..., :k], tau, A, transpose=True), L.qr(A, "complete").R.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigenvectors(dtype):
    a = array(dtype, 3, 5, 5)
    values, vectors = L.eig(*tensors(a))
    close(torch.from_numpy(a).to(vectors.dtype) @ vectors, (vectors * values.unsqueeze(-2)).numpy())
    close(vectors.abs().pow(2).sum(-2), np.ones((3, 5)))
    close(L.eigvals(*tensors(a)).abs().sort().values, np.sort(np.abs(np.linalg.eigvals(a))))
    symmetric = a + np.conj(np.swapaxes(a, -1, -2))
    for part, triangle in (("L", np.tril), ("U", np.triu)):
        values, vectors = L.eigh(*tensors(triangle(symmetric)), UPLO=part)
        close(torch.from_numpy(symmetric) @ vectors, (vectors * values.unsqueeze(-2)).numpy())


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_solutions(dtype, left):
    a, b = array(dtype, 2, 4, 4) + 3 * np.eye(4, dtype=dtype), array(dtype, 2, 4, 3, seed=1)
    b = b if left else np.swapaxes(b, -1, -2)
    A, B = tensors(a, b)

    def check(matrix, x):
        close(matrix @ x if left else x @ matrix, b)

    check(A, L.solve(A, B, left=left))
    LU, pivots = L.lu_factor(A)
    for adjoint in (True, False):
        check(A.mH if adjoint else A, L.lu_solve(LU, pivots, B, left=left, adjoint=adjoint))
    for upper in (True, False):
        for unit in (True, False):
            triangle = A.triu(int(unit)) if upper else A.tril(-int(unit))
            triangle = triangle + torch.eye(4, dtype=A.dtype) if unit else triangle
            options = {"upper": upper, "left": left, "unitriangular": unit}
            check(triangle, L.solve_triangular(A, B, **options))
    if left:
        S = torch.from_numpy(definite(a))
        check(S, torch.cholesky_solve(B, L.cholesky(S)))
        check(S, torch.cholesky_solve(B, L.cholesky(S, upper=True), upper=True))
        for hermitian in (True, False):
            M = S if hermitian else A + A.mT
            factors, places = L.ldl_factor(M, hermitian=hermitian)
            check(M, L.ldl_solve(factors, places, B, hermitian=hermitian))


def test_vectors_and_broadcast_batches():
    a, b = array("float64", 2, 1, 3, 3), array("float64", 5, 3, 2, seed=1)
    A, B = tensors(a, b)
    close(L.solve(A, B), np.linalg.solve(a, b))
    close(L.solve(A[0, 0], B[0, :, 0]), np.linalg.solve(a[0, 0], b[0, :, 0]))
    close(
        L.solve(A[:, 0], torch.ones(2, 3, dtype=torch.float64)).squeeze(),
        np.linalg.solve(a[:, 0], np.ones((2, 3, 1)))[..., 0],
    )
    close(L.solve_triangular(A.tril(), B, upper=False), np.linalg.solve(np.tril(a), b))


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4)], ids=str)
def test_least_squares(shape, dtype, driver):
    a, b = array(dtype, *shape), array(dtype, shape[0], 2, seed=1)
    expected, residuals, rank, values = np.linalg.lstsq(a, b, rcond=None)
    found = L.lstsq(*tensors(a, b), driver=driver)
    close(found.solution, expected)
    if driver != "gels":
        assert found.rank.item() == rank
    if driver in ("gelsd", "gelss"):
        close(found.singular_values, values)
    if driver != "gelsy" and shape[0] > shape[1]:
        close(found.residuals, residuals)
    close(L.lstsq(*tensors(a, b[:, 0]), driver=driver).solution, expected[:, 0])


@pytest.mark.parametrize("order", [None, "fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2])
def test_matrix_norms(order):
    a = array("float64", 4, 3)
    close(L.norm(torch.from_numpy(a), order), np.linalg.norm(a, order))
    if order is not None:
        batch = array("complex128", 2, 4, 3)
        close(
            L.matrix_norm(torch.from_numpy(batch), order), [np.linalg.norm(x, order) for x in batch]
        )
        kept = L.matrix_norm(torch.from_numpy(batch), order, dim=(0, 2), keepdim=True)
        close(kept, np.linalg.norm(batch, order, axis=(0, 2), keepdims=True))


def test_products():
    a, b, c = (array("float64", *shape, seed=i) for i, shape in enumerate([(3, 4), (4, 5), (5, 2)]))
    close(L.multi_dot(tensors(a, b, c)), a @ b @ c)
    close(L.multi_dot(tensors(a[0], b, c[:, 0])), a[0] @ b @ c[:, 0])
    close(torch.chain_matmul(*tensors(a, b, c)), a @ b @ c)
    x, y = array("complex128", 2, 3), array("complex128", 2, 3, seed=1)
    close(L.cross(*tensors(x, y)), np.cross(x, y))
    close(L.cross(*tensors(x.T, y.T), dim=0), np.cross(x, y).T)
    close(L.vecdot(*tensors(x, y)), (np.conj(x) * y).sum(-1))
    close(L.vander(*tensors(x[0])), np.vander(x[0], increasing=True))
    close(torch.vander(*tensors(x[0])), np.vander(x[0]))
    t = array("float64", 2, 3, 6)
    close(L.tensorinv(torch.from_numpy(t)), np.linalg.tensorinv(t))
    s = array("float64", 2, 3, seed=2)
    close(L.tensorsolve(*tensors(t, s)), np.linalg.tensorsolve(t, s))


def test_cross_of_integers_and_halves():
    x, y = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5, 6]])
    assert L.cross(x, y).tolist() == [[-3, 6, -3]]
    assert L.cross(x.bfloat16(), y.bfloat16()).tolist() == [[-3, 6, -3]]


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_distances(p):
    a, b = array("float64", 30, 4), array("float64", 28, 4, seed=1)
    b[0] = a[0]
    kinds = {1.0: "cityblock", 2.0: "euclidean", math.inf: "chebyshev"}
    if p in kinds:
        expected = distance.cdist(a, b, kinds[p])
    elif p == 0:
        expected = (a[:, None] != b).sum(-1)
    else:
        expected = (np.abs(a[:, None] - b) ** p).sum(-1) ** (1 / p)
    A, B = tensors(a, b)
    close(torch.cdist(A, B, p), expected, 10)
    close(torch.cdist(A[:5], B[:3], p), expected[:5, :3])
    if p:
        close(
            torch.pdist(A[:6], p),
            torch.cdist(A[:6], A[:6], p)[tuple(torch.triu_indices(6, 6, 1))].numpy(),
        )


def test_low_rank():
    factors = array("float64", 30, 3), array("float64", 3, 20, seed=1)
    a = factors[0] @ factors[1]
    for matrix in (a, a.T):
        U, S, V = torch.svd_lowrank(torch.from_numpy(matrix.copy()), q=5)
        close((U * S) @ V.mT, matrix)
    U, S, V = torch.pca_lowrank(torch.from_numpy(a), q=3)
    close((U * S) @ V.mT, a - a.mean(0))


# -- layouts ---------------------------------------------------------------------------------------

LAYOUTS = {
    "transposed": lambda x: x.mT.contiguous().mT,
    "steps": lambda x: x.repeat_interleave(2, -1).repeat_interleave(2, -2)[..., ::2, ::2],
    "expanded": lambda x: x[:1].expand_as(x),
    "offset": lambda x: torch.cat([x.new_zeros(1, *x.shape[1:]), x])[1:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_any_strides(layout, dtype):
    (A,) = tensors(array(dtype, 3, 4, 4) + 3 * np.eye(4, dtype=dtype))
    A = LAYOUTS[layout](A)
    plain = A.contiguous()
    for f in (
        L.inv, L.det, L.qr, L.svdvals, L.eigvals, L.lu_factor, L.pinv, L.matrix_exp, torch.geqrf,
        lambda x: L.cholesky(x @ x.mH), lambda x: L.solve_triangular(x, plain, upper=True),
        lambda x: L.solve_triangular(plain, x, upper=True, left=False), lambda x: L.solve(x, x.mT),
        lambda x: L.eigvalsh(x @ x.mH), lambda x: L.lstsq(x, plain).solution,
        lambda x: L.lu_solve(*L.lu_factor(plain), x), lambda x: torch.cholesky_inverse(x.tril()),
    ):  # fmt: skip
        found, expected = f(A), f(plain)
        for ours, other in zip(
            *((r if isinstance(r, tuple) else (r,)) for r in (found, expected)), strict=True
        ):
            close(ours, other.numpy())


def test_results_lie_column_by_column():
    A = torch.eye(3).expand(2, 3, 3) * 2
    assert L.inv(A).stride() == (9, 1, 3)
    assert L.svd(A).U.stride() == (9, 1, 3)
    assert L.solve(A, A, left=False).stride() == (9, 3, 1)


def test_empty_matrices():
    for shape in ((0, 0), (2, 0, 0), (0, 3, 3)):
        A = torch.ones(*shape)
        assert L.inv(A).shape == A.shape
        assert L.det(A).tolist() == np.linalg.det(np.ones(shape)).tolist()
        assert L.eigvals(A).shape == A.shape[:-1]
    U, S, Vh = L.svd(torch.ones(0, 3))
    assert (tuple(U.shape), tuple(S.shape)) == ((0, 0), (0,)) and torch.equal(Vh, torch.eye(3))
    Q, R = L.qr(torch.ones(3, 0), "complete")
    assert torch.equal(Q, torch.eye(3)) and R.shape == (3, 0)
    assert L.lstsq(torch.ones(0, 3), torch.ones(0, 2)).solution.tolist() == [[0, 0]] * 3
    assert L.matrix_norm(torch.ones(0, 3), 2).item() == 0


@pytest.mark.parametrize("name", ["inv", "det", "qr", "svd", "eigh", "eig", "lu", "cholesky"])
def test_shapes_without_memory(name):
    A = torch.ones(2, 3, 3, device="meta")
    found, expected = (getattr(L, name)(x) for x in (A, torch.eye(3).expand(2, 3, 3)))
    for ours, other in zip(
        *((r if isinstance(r, tuple) else (r,)) for r in (found, expected)), strict=True
    ):
        assert (ours.shape, ours.dtype, ours.stride()) == (other.shape, other.dtype, other.stride())


# -- gradients -------------------------------------------------------------------------------------


def phase_free(*values):
    """Functions of vectors that are free up to their phase must not depend on it."""
    return tuple(v.abs() for v in values)


def hermitian(x):
    return x + x.mH + 4 * torch.eye(x.shape[-1], dtype=x.dtype)


GRADIENTS = {
    "inv": (L.inv, [(2, 3, 3)]),
    "det": (L.det, [(2, 3, 3)]),
    "slogdet": (lambda a: (L.slogdet(a)[0].real, L.slogdet(a)[1]), [(2, 3, 3)]),
    "solve": (L.solve, [(2, 3, 3), (2, 3, 2)]),
    "solve_right": (lambda a, b: L.solve(a, b, left=False), [(3, 3), (2, 3)]),
    "solve_vector": (L.solve, [(2, 3, 3), (3,)]),
    "solve_shared": (L.solve, [(3, 3), (2, 3, 2)]),
    "triangular": (lambda a, b: L.solve_triangular(a, b, upper=True), [(3, 3), (3, 2)]),
    "triangular_right": (
        lambda a, b: L.solve_triangular(a, b, upper=False, left=False, unitriangular=True),
        [(3, 3), (2, 3)],
    ),
    "triangular_solve": (
        lambda b, a: torch.triangular_solve(b, a, transpose=True)[0],
        [(3, 2), (3, 3)],
    ),
    "cholesky": (lambda a: L.cholesky(hermitian(a @ a.mH)), [(3, 3)]),
    "cholesky_solve": (lambda b, a: torch.cholesky_solve(b, a.tril()), [(3, 2), (3, 3)]),
    "cholesky_inverse": (
        lambda a: torch.cholesky_inverse(L.cholesky(hermitian(a @ a.mH))),
        [(3, 3)],
    ),
    "qr_tall": (L.qr, [(4, 3)]),
    "qr_wide": (L.qr, [(3, 4)]),
    "svd": (lambda a: phase_free(*L.svd(a, False)), [(3, 4)]),
    "svd_tall": (lambda a: phase_free(*L.svd(a, False)), [(4, 3)]),
    "svdvals": (L.svdvals, [(3, 4)]),
    "eigh": (lambda a: phase_free(*L.eigh(hermitian(a))), [(3, 3)]),
    "eigvalsh": (lambda a: L.eigvalsh(hermitian(a)), [(3, 3)]),
    "eig": (lambda a: phase_free(*L.eig(a)), [(3, 3)]),
    "lu": (lambda a: L.lu(a)[1:], [(3, 3)]),
    "lu_wide": (lambda a: L.lu(a)[1:], [(2, 4)]),
    "lu_tall": (lambda a: L.lu(a)[1:], [(4, 2)]),
    "lu_factor": (lambda a: L.lu_factor(a)[0], [(3, 4)]),
    "lu_solve": (lambda a, b: L.lu_solve(*L.lu_factor(a), b), [(3, 3), (3, 2)]),
    "lu_solve_adjoint": (
        lambda a, b: L.lu_solve(*L.lu_factor(a), b, left=False, adjoint=True),
        [(3, 3), (2, 3)],
    ),
    "pinv": (L.pinv, [(4, 3)]),
    "pinv_wide": (L.pinv, [(3, 4)]),
    "lstsq": (lambda a, b: L.lstsq(a, b, driver="gelsd")[:2], [(4, 2), (4, 3)]),
    "matrix_exp": (L.matrix_exp, [(2, 3, 3)]),
    "matrix_power": (lambda a: L.matrix_power(a, -3), [(3, 3)]),
    "householder": (L.householder_product, [(4, 3), (3,)]),
    "ormqr": (lambda a, t, c: torch.ormqr(a, t, c, True, True), [(4, 3), (3,), (4, 2)]),
    "ormqr_right": (lambda a, t, c: torch.ormqr(a, t, c, False, False), [(4, 3), (3,), (2, 4)]),
    "multi_dot": (lambda a, b, c: L.multi_dot([a, b, c]), [(2, 3), (3, 4), (4,)]),
    "cross": (L.cross, [(2, 3), (1, 3)]),
    "vander": (L.vander, [(3,)]),
    "cond": (L.cond, [(3, 3)]),
    "norm_nuclear": (lambda a: L.matrix_norm(a, "nuc"), [(3, 4)]),
    "norm_1": (lambda a: L.matrix_norm(a, 1), [(3, 4)]),
    "tensorinv": (lambda a: L.tensorinv(a, 1), [(4, 2, 2)]),
}
REAL_ONLY = {
    "cdist": (torch.cdist, [(3, 2), (4, 2)]),
    "cdist_1.5": (lambda a, b: torch.cdist(a, b, 1.5), [(3, 2), (4, 2)]),
    "cdist_3": (lambda a, b: torch.cdist(a, b, 3.0), [(2, 3, 2), (4, 2)]),
    "cdist_product": (
        lambda a, b: torch.cdist(a, b, 2.0, "use_mm_for_euclid_dist"),
        [(3, 2), (4, 2)],
    ),
    "pdist": (torch.pdist, [(4, 2)]),
}
CASES = [(name, "float64") for name in (*GRADIENTS, *REAL_ONLY)] + [
    (name, "complex128") for name in GRADIENTS
]


@pytest.mark.parametrize("name, dtype", CASES)
def test_gradients(name, dtype):
    function, shapes = {**GRADIENTS, **REAL_ONLY}[name]
    inputs = tensors(*(array(dtype, *shape, seed=i) for i, shape in enumerate(shapes)))
    for x in inputs:
        x.requires_grad_()
    if dtype == "complex128" and name.startswith(
        "qr"
    ):  # R's diagonal is real: only this part is free
        function = lambda a: phase_free(*L.qr(a))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_gradient_of_a_singular_determinant():
    a = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    L.det(a).backward()
    close(a.grad, [[4.0, -2.0], [-2.0, 1.0]])
    a.grad = None
    gradient = torch.autograd.grad(L.det(a), a, create_graph=True)[0]
    close(gradient, [[4.0, -2.0], [-2.0, 1.0]])


# -- failures --------------------------------------------------------------------------------------

SINGULAR = torch.stack([torch.eye(2), torch.zeros(2, 2)])
FAILURES = {
    "inv": (
        lambda: L.inv(SINGULAR),
        "linalg.inv: (Batch element 1): The diagonal element 1 is zero, the inversion "
        "could not be completed because the input matrix is singular.",
    ),
    "inv_one": (lambda: L.inv(SINGULAR[1]), "linalg.inv: The diagonal element 1 is zero"),
    "solve": (
        lambda: L.solve(SINGULAR, SINGULAR),
        "torch.linalg.solve: (Batch element 1): The solver failed because the input "
        "matrix is singular.",
    ),
    "solve_shared": (
        lambda: L.solve(SINGULAR[1], SINGULAR),
        "torch.linalg.solve: The solver failed",
    ),
    "cholesky": (
        lambda: L.cholesky(-SINGULAR),
        "linalg.cholesky: (Batch element 0): The factorization could not be completed "
        "because the input is not positive-definite (the leading minor of order 1 is not "
        "positive-definite).",
    ),
    "cholesky_nan": (lambda: L.cholesky(SINGULAR * math.nan), "linalg.cholesky: (Batch element 0)"),
    "svd": (
        lambda: L.svd(SINGULAR[0] * math.nan),
        "linalg.svd: The algorithm failed to converge because the input matrix contained "
        "non-finite values.",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(name):
    function, text = FAILURES[name]
    with pytest.raises(L.LinAlgError) as caught:
        function()
    assert str(caught.value).startswith(text)
    assert isinstance(caught.value, RuntimeError)


def test_reports_instead_of_failures():
    assert L.inv_ex(SINGULAR).info.tolist() == [0, 1]
    assert L.solve_ex(SINGULAR, SINGULAR).info.tolist() == [0, 1]
    assert L.cholesky_ex(SINGULAR).info.tolist() == [0, 1]
    assert L.lu_factor_ex(SINGULAR).info.tolist() == [0, 1]
    with pytest.raises(L.LinAlgError):
        L.inv_ex(SINGULAR, check_errors=True)


def test_eig_refuses_infinite_numbers():
    for f in (L.eig, L.eigvals):
        with pytest.raises(RuntimeError, match="input tensor should not contain infs or NaNs"):
            f(torch.full((2, 2), math.inf))


WRONG = {
    "vector": (
        lambda: L.inv(torch.ones(3)),
        "linalg.inv: The input tensor A must have at least 2 dimensions.",
    ),
    "not_square": (
        lambda: L.det(torch.ones(2, 3)),
        "linalg.det: A must be batches of square matrices, but they are 2 by 3 matrices",
    ),
    "half": (
        lambda: L.inv(torch.ones(2, 2).half()),
        "linalg.inv: Low precision dtypes not supported. Got Half",
    ),
    "integers": (
        lambda: L.qr(torch.ones(2, 2, dtype=torch.int64)),
        "linalg.qr: Expected a floating point or complex tensor as input. Got Long",
    ),
    "equation": (
        lambda: L.solve(torch.eye(3), torch.ones(2, 2)),
        "linalg.solve: Incompatible shapes of A and B for the equation AX = B (3x3 and 2x2)",
    ),
    "dtypes": (
        lambda: L.solve(torch.eye(2), torch.ones(2, 2).double()),
        "linalg.solve: Expected A and B to have the same dtype, but found A of type Float and "
        "B of type Double instead",
    ),
    "order": (
        lambda: L.matrix_norm(torch.eye(2), "foo"),
        "linalg.matrix_norm: Order foo not supported.",
    ),
    "triangle": (
        lambda: L.eigh(torch.eye(2), "X"),
        "Expected UPLO argument to be 'L' or 'U', but got X",
    ),
    "columns": (
        lambda: torch.cdist(torch.ones(2, 3), torch.ones(2, 4)),
        "X1 and X2 must have the same number of columns. X1: 3 X2: 4",
    ),
    "pivots": (
        lambda: torch.lu_unpack(torch.eye(2), torch.tensor([5, 5], dtype=torch.int32)),
        "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive.",
    ),
    "qr_gradient": (
        lambda: L.qr(torch.eye(2).requires_grad_(), "r").R.sum().backward(),
        "The derivative of linalg.qr depends on Q, which is not computed when mode='r'.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    function, text = WRONG[name]
    with pytest.raises(RuntimeError) as caught:
        function()
    assert str(caught.value).startswith(text)

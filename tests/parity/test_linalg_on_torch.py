"""torch.linalg, torch.fft and their relatives beside torch: what a call gives (kind, shape, dtype,
strides, node name, values where they are unique), what a wrong call says, gradients of single
calls."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import flambeau

pytestmark = pytest.mark.filterwarnings("ignore")


def operands(module):
    """Names that the expressions below may use."""
    rng = np.random.default_rng(0)

    def make(*shape, dtype="float64", grad=False):
        values = rng.standard_normal(shape)
        if dtype.startswith("complex"):
            values = values + 1j * rng.standard_normal(shape)
        return module.from_numpy(values.astype(dtype)).requires_grad_(grad)

    names = {
        "torch": module, "L": module.linalg, "F": module.fft, "inf": math.inf, "nan": math.nan,
        "A": make(3, 3), "B": make(3, 2), "R": make(4, 3), "W": make(3, 4), "v": make(3),
        "Ab": make(2, 3, 3), "Bb": make(2, 3, 2), "Z": make(3, 3, dtype="complex128"),
        "G": make(3, 3, grad=True), "T": make(3, 4, 5), "h": make(2, 2).half(),
        "f": make(3, 3).float(), "zero": module.zeros(2, 2), "one": make(3),
        "scalar": module.tensor(1.0), "e": module.zeros(0, 3),
        "i": module.ones(2, 2, dtype=module.int64), "nans": module.full((2, 2), math.nan),
        "p": module.tensor([2, 3, 3], dtype=module.int32), "x": make(40), "xb": make(2, 40),
        "w": module.hann_window(8, dtype=module.float64), "tau": make(3) * 0.1,
    }  # fmt: skip
    names["S"] = names["A"] @ names["A"].mT + 3 * module.eye(3, dtype=module.float64)
    names["X"] = module.stft(names["x"], 8, 2, window=names["w"], return_complex=True)
    return names


# -- what calls give -------------------------------------------------------------------------------

UNIQUE = """
L.inv(A); L.inv(Ab); L.inv_ex(A); torch.inverse(A); L.solve(A, B); L.solve(Ab, Bb); L.solve(A, v)
L.solve(A, B.mT, left=False); L.solve(A, Bb); L.solve_ex(A, B); L.det(A); L.det(Ab); torch.det(Z)
L.slogdet(A); torch.slogdet(Z); torch.logdet(S); L.cholesky(S); L.cholesky(S, upper=True)
L.cholesky_ex(S); torch.cholesky(S); torch.cholesky_solve(B, L.cholesky(S))
torch.cholesky_inverse(L.cholesky(S)); L.svdvals(R); L.eigvalsh(S); L.eigvalsh(S, 'U'); L.lu(A)
L.lu(R); L.lu(W); L.lu_factor(Ab); L.lu_factor_ex(A); torch.lu(A); torch.lu(A, get_infos=True)
torch.lu_unpack(A, p); torch.lu_unpack(A, p, False); torch.lu_unpack(A, p, True, False)
L.lu_solve(A, p, B); L.lu_solve(Z, p, Z, left=False, adjoint=True); torch.lu_solve(B, A, p)
L.solve_triangular(A, B, upper=True); L.solve_triangular(A, B.mT, upper=False, left=False)
torch.triangular_solve(B, A); torch.triangular_solve(B, A, False, True, True); L.pinv(R)
L.pinv(S, hermitian=True); L.pinv(A, rtol=0.5); L.pinv(A, atol=torch.tensor(0.5)); torch.pinverse(R)
L.matrix_rank(R); L.matrix_rank(R, 1.0); L.matrix_rank(S, hermitian=True); L.matrix_power(A, 3)
L.matrix_power(A, -2); L.matrix_power(A, 0); L.matrix_power(i, 5); torch.matrix_power(A, 2)
L.matrix_exp(A); torch.matrix_exp(Ab); L.cond(A); L.cond(A, 1); L.cond(A, 'fro'); L.cond(zero)
L.cond(zero, inf); L.cond(R, -2); L.norm(A); L.norm(A, 2); L.norm(A, 'nuc'); L.norm(v, 3)
L.norm(T, 1, (0, 2)); L.matrix_norm(T); L.matrix_norm(T, 2, (0, 1))
L.matrix_norm(T, inf, (2, 0), True); L.matrix_norm(e, 1); L.matrix_norm(f, dtype=torch.float64)
L.vector_norm(A); L.vector_norm(A, 3, dim=0); L.multi_dot([R, A, B]); L.multi_dot([v, A, v])
torch.chain_matmul(R, A, B); L.cross(A, A.mT); L.cross(A, v.unsqueeze(0), dim=1)
torch.cross(A, A.mT, dim=0); L.vecdot(A, A.mT); L.vecdot(Z, Z.mT, dim=0); L.vecdot(v, v)
L.vander(v); L.vander(v, N=5); torch.vander(v); torch.vander(v, 2, True)
torch.vander(torch.tensor([1, 2])); L.diagonal(Ab); L.matmul(A, B); L.tensorinv(A, 1)
L.tensorsolve(A, v); torch.geqrf(R); torch.ormqr(R, tau, R); torch.ormqr(R, tau, R.mT, False, True)
L.householder_product(R, tau); torch.orgqr(R, tau); L.ldl_factor(S); L.ldl_factor_ex(S)
L.ldl_solve(*L.ldl_factor(S), B)
L.lstsq(R, torch.ones(4, 2, dtype=torch.float64), driver='gelsd').residuals
L.lstsq(R, torch.ones(4, dtype=torch.float64))[2]; torch.cdist(A, R); torch.cdist(A, R, 1.0)
torch.cdist(A, R, inf); torch.cdist(Ab, R, 3.0); torch.pdist(R); torch.pdist(R, 1.0); F.fft(A)
F.fft(Z); F.ifft(A); F.rfft(A); F.rfft(A, 5, 0); F.irfft(Z); F.irfft(Z, 4, 0, 'ortho'); F.hfft(Z)
F.ihfft(A); F.fft2(A); F.ifft2(Z); F.rfft2(T); F.irfft2(Z); F.hfft2(Z); F.ihfft2(T); F.fftn(T)
F.rfftn(T, (2, 3)); F.irfftn(Z, dim=(0, 1)); F.fft(T, dim=0); F.fft2(T, dim=(0, 1)); F.fft(A.mT)
F.fft(i); F.fftfreq(5); F.fftfreq(4, 0.1); F.rfftfreq(5); F.rfftfreq(6, dtype=torch.float64)
F.fftshift(A); F.ifftshift(T, (0, 2)); torch.stft(x, 8, return_complex=True)
torch.stft(xb, 8, 2, 8, w, return_complex=True)
torch.stft(x, 16, 4, 8, w, False, return_complex=False)
torch.stft(x, 8, window=w, normalized=True, onesided=False, return_complex=True)
torch.stft(x + 0j, 8, window=w)
torch.stft(x, 16, 4, 8, w, center=False, align_to_window=True, return_complex=True)
torch.stft(x, 8, window=w, pad_mode='constant', return_complex=True); torch.istft(X, 8, 2, window=w)
torch.istft(X, 8, 2, window=w, length=33); torch.istft(X, 8, 2, window=w, length=50)
torch.hann_window(7); torch.hann_window(4, False); torch.hamming_window(5, True, 0.6, 0.3)
torch.bartlett_window(6); torch.blackman_window(7); torch.kaiser_window(6, True, 5.0)
torch.kaiser_window(7, dtype=torch.float64); torch.hann_window(1); torch.hann_window(0)
torch.signal.windows.hann(5); torch.signal.windows.kaiser(6, beta=3.0, sym=False)
torch.signal.windows.exponential(5, tau=2.0); torch.signal.windows.gaussian(4, std=2.0)
torch.signal.windows.nuttall(6); torch.signal.windows.cosine(5)
torch.signal.windows.general_cosine(5, a=[0.5, 0.3, 0.2])
"""  # fmt: skip
FREE = """
L.qr(A); L.qr(R); L.qr(W); L.qr(R, 'complete'); L.qr(R, 'r'); torch.qr(R); torch.qr(R, False)
L.svd(R); L.svd(R, False); L.svd(W); L.svd(e); torch.svd(R); torch.svd(R, False)
torch.svd(R, compute_uv=False); L.eigh(S); L.eig(A); L.eig(Z); L.eigvals(A); torch.svd_lowrank(R, 2)
torch.pca_lowrank(R); L.inv(G); L.solve(G, B); L.det(G); L.slogdet(G); L.qr(G); L.svd(G)
L.eigh(G @ G.mT); L.eig(G); L.lu(G); L.lu_factor(G); L.pinv(G); L.lstsq(A, A @ G); L.matrix_exp(G)
L.cholesky(G @ G.mT + torch.eye(3)); L.householder_product(G, tau); torch.geqrf(G)
torch.ormqr(G, tau, B); L.cross(G, G); L.multi_dot([G, B]); L.vander(G[0]); F.fft(G); F.rfft(G)
F.irfft(G + 0j); F.fft2(G); F.hfft(G); L.matrix_norm(G, 1); L.matrix_norm(G, 2); L.cond(G, 1)
L.ldl_factor(G); torch.triangular_solve(B, G); L.solve_triangular(G, B, upper=True)
"""  # fmt: skip


def expressions(text):
    return [part.strip() for line in text.strip().splitlines() for part in line.split(";")]


def outcome(module, expression):
    """What an expression gives: a list of tensors, or an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = eval(expression, {}, operands(module))
        except Exception as error:  # noqa: BLE001 (the error is the result)
            return error
    return list(found) if isinstance(found, tuple) else [found]


def described(tensor):
    """Everything about a tensor but its values."""
    node = tensor.grad_fn
    name = None if node is None else node.name().rpartition("::")[2]
    strides = tensor.stride() if tensor.numel() else None
    return str(tensor.dtype), tuple(tensor.shape), strides, name


@pytest.mark.parametrize("expression", expressions(UNIQUE))
def test_values(expression):
    expected, found = (outcome(module, expression) for module in (torch, flambeau))
    assert not isinstance(expected, Exception), expected
    if isinstance(found, Exception):
        raise found
    assert [described(t) for t in found] == [described(t) for t in expected]
    for ours, theirs in zip(found, expected, strict=True):
        tolerance = 1e-5 if theirs.dtype in (torch.float32, torch.complex64) else 1e-9
        np.testing.assert_allclose(
            ours.detach().numpy(), theirs.detach().resolve_conj().numpy(), tolerance, tolerance
        )


@pytest.mark.parametrize("expression", expressions(FREE))
def test_kinds(expression):
    """Results that are unique only up to signs or phases: everything but their values."""
    expected, found = (outcome(module, expression) for module in (torch, flambeau))
    assert not isinstance(expected, Exception), expected
    if isinstance(found, Exception):
        raise found
    assert [described(t) for t in found] == [described(t) for t in expected]


# -- what wrong calls say --------------------------------------------------------------------------

WRONG = """
L.inv(one); L.inv(B); L.inv(h); L.inv(i); L.inv('x'); L.inv(zero)
L.inv(torch.stack([torch.eye(2), zero])); L.inv_ex(scalar); L.det(one); L.det(h); L.det(i)
L.det('x'); torch.det('x'); L.slogdet(h); L.slogdet(B); torch.logdet(one); torch.logdet(h)
L.qr(one); L.qr(h); L.qr(i); L.qr(A, 'foo'); L.svd(one); L.svd(h); L.svd(i); L.svd(nans)
L.svd(A, driver='gesvd'); L.svdvals(scalar); torch.svd(one); L.eigh(B); L.eigh(h); L.eigh(i)
L.eigh(A, 'X'); L.eigvalsh('x'); L.eig(B); L.eig(i); L.eig(h); L.eig(nans); L.eigvals(one)
L.cholesky(one); L.cholesky(h); L.cholesky(i); L.cholesky(zero); L.cholesky(nans); L.cholesky(B)
torch.cholesky(zero); torch.cholesky(B); L.solve(one, B); L.solve(A, scalar); L.solve(B, B)
L.solve(A, B.mT); L.solve(A, f); L.solve(h, h); L.solve(i, i); L.solve(A, 'x'); L.solve(zero, zero)
L.solve(Ab, torch.ones(5, 3, 2, dtype=torch.float64)); L.solve(A, B, left=False)
L.solve_triangular(A, v, upper=True); L.solve_triangular(A, B); L.solve_triangular(B, B, upper=True)
L.solve_triangular(h, h, upper=True); torch.triangular_solve(v, A); torch.triangular_solve(B, v)
torch.triangular_solve(B, B); torch.triangular_solve(B, f); torch.triangular_solve(h, h)
torch.cholesky_solve(v, A); torch.cholesky_solve(B, v); torch.cholesky_solve(B.mT, A)
torch.cholesky_inverse(one); torch.cholesky_inverse(zero); torch.cholesky_inverse(i); L.lu(one)
L.lu(h); L.lu(i); L.lu(A, pivot=False); L.lu_factor(one); L.lu_factor(zero); L.lu_factor('x')
torch.lu('x'); L.lu_solve(A, p.long(), B); L.lu_solve(A, p[:2], B); L.lu_solve(Ab, p, B)
L.lu_solve(A, p, v); L.lu_solve(A, p, f); L.lu_solve(i, p, i); torch.lu_unpack(A, p.long())
torch.lu_unpack(one, p); torch.lu_unpack(A, p + 5); L.lstsq(one, B); L.lstsq(A, scalar)
L.lstsq(A, f); L.lstsq(h, h); L.lstsq(A, R); L.lstsq(A, B, driver='foo'); L.lstsq(Ab, v)
L.pinv(one); L.pinv(i); L.pinv('x'); L.pinv(A, atol=torch.tensor(1j)); torch.pinverse(h)
L.matrix_rank(one); L.matrix_rank(i); L.matrix_rank(A, rtol=torch.tensor(1j))
L.matrix_power(A, 2.0); L.matrix_power(B, 2); L.matrix_power(one, 2); L.matrix_power(zero, -1)
L.matrix_power(i, -1); torch.matrix_power(B, 2); L.matrix_exp(one); L.matrix_exp(B); L.matrix_exp(i)
torch.matrix_exp('x'); L.cond(one); L.cond(B, 1); L.cond(A, 3); L.cond(A, 'foo'); L.matrix_norm(one)
L.matrix_norm(A, 3); L.matrix_norm(A, 'foo'); L.matrix_norm(A, dim=(0, 0))
L.matrix_norm(A, dim=(0,)); L.matrix_norm(i); L.matrix_norm(h, 2)
L.matrix_norm(A, dtype=torch.int64); L.matrix_norm(A, dtype=torch.complex128); L.norm(T, 2)
L.norm(T, 2, (0, 1, 2)); L.norm(A, 'nuc', 0); L.norm(i, 2); L.norm(one, 'foo'); L.vector_norm(i)
L.vector_norm(A, 'x'); L.cross(B, B); L.cross(v, A); L.cross(A, f); torch.cross(h, h)
torch.cross(B, B, 1); L.multi_dot([]); L.multi_dot([A]); L.multi_dot([scalar, A])
L.multi_dot([A, T, A]); L.multi_dot([A, B.mT]); L.multi_dot([A, f]); torch.chain_matmul(v)
L.vecdot(v, torch.ones(2, dtype=torch.float64)); L.vecdot(v, one.float()); L.vecdot(i, i)
L.vander(scalar); L.vander(v, N=1); L.vander(h); torch.vander(A); torch.vander(v, -1)
L.householder_product(v, v); L.householder_product(W, tau)
L.householder_product(R, v[:1].expand(4)); L.householder_product(R, tau.float())
torch.ormqr(v, tau, B); torch.ormqr(A, tau, v)
torch.ormqr(A, torch.ones(4, dtype=torch.float64), B); torch.ormqr(A, tau, R)
torch.ormqr(A, tau.float(), B); torch.geqrf(one); torch.geqrf(h); L.tensorinv(B); L.tensorinv(A, 0)
L.tensorsolve(A, B); L.ldl_factor(one); L.ldl_factor(h); L.ldl_factor(i); L.ldl_solve(A, p[:2], B)
L.ldl_solve(A, tau, B); L.ldl_solve(A, p, B.mT); L.ldl_solve(B, p, B); torch.cdist(v, A)
torch.cdist(A, B); torch.cdist(A, A, -1); torch.cdist(i, i); torch.cdist(A, A, compute_mode='foo')
torch.cdist(A, f); torch.cdist(h, h); torch.cdist(Z, Z); torch.pca_lowrank(A, 5)
torch.pca_lowrank(A, niter=-1); L.qr(G, 'r')[1].sum().backward(); torch.geqrf(G)[0].sum().backward()
L.ldl_factor(G)[0].sum().backward(); L.qr(G[:, :2], 'complete')[1].sum().backward(); F.fft(A, 0)
F.fft(A, -3); F.fft(A, None, 5); F.fft(A, norm='foo'); F.fft(h); F.fft(h.bfloat16()); F.fft(scalar)
F.fft('x'); F.fft(A, 2.5); F.rfft(Z); F.ihfft(Z); F.irfft(A, 0); F.hfft(h); F.fft2(A, (3,))
F.fft2(A, dim=(0, 0)); F.fft2(v); F.fft2(A, (0, 3)); F.fftn(A, (1, 2, 3)); F.fftn(A, (3,), (0, 1))
F.rfftn(Z); F.rfftn(A, dim=()); F.irfftn(scalar); F.hfftn(A, (-2, 3)); F.ihfftn(Z)
F.fftn(A, dim=(3,)); F.fftfreq(5.0); F.fftfreq(-1); F.rfftfreq(4, dtype=torch.int64)
F.fftshift(A, 3); torch.stft(x, 8); torch.stft(T, 8, return_complex=True)
torch.stft(x, 0, return_complex=True); torch.stft(x, 100, return_complex=True)
torch.stft(x, 100, center=False, return_complex=True); torch.stft(x, 8, 0, return_complex=True)
torch.stft(x, 8, 2, 9, return_complex=True); torch.stft(x, 8, 2, 0, return_complex=True)
torch.stft(x, 8, 2, 8, w[:7], return_complex=True); torch.stft(i[0], 2, return_complex=True)
torch.stft(x + 0j, 8, onesided=True); torch.stft(x, 8, pad_mode='foo', return_complex=True)
torch.stft(x, 8, align_to_window=True, return_complex=True); torch.istft(x, 8)
torch.istft(X, 16, 2); torch.istft(X, 8, 0); torch.istft(X, 8, 9, 8); torch.istft(X, 8, 2, 10)
torch.istft(X, 8, 2, 8, w[:7]); torch.istft(X, 8, 8, 8, w)
torch.istft(X, 8, 2, 8, w, return_complex=True); torch.istft(X[:, :0], 8); torch.istft(X[0], 8)
torch.istft(X, 8, 2, 8, w + 0j); torch.hann_window(-1); torch.hann_window(5.5)
torch.hann_window(5, dtype=torch.int64); torch.kaiser_window(5, dtype=torch.complex64)
torch.signal.windows.hann(-1); torch.signal.windows.hann(5, dtype=torch.int64)
torch.signal.windows.gaussian(5, std=0); torch.signal.windows.exponential(5, tau=-1)
torch.signal.windows.exponential(5, center=1); torch.signal.windows.kaiser(5, beta=-1)
torch.signal.windows.general_cosine(5, a=[]); torch.signal.windows.general_cosine(5, a=1)
"""  # fmt: skip


@pytest.mark.parametrize("expression", expressions(WRONG))
def test_texts(expression):
    expected, found = (outcome(module, expression) for module in (torch, flambeau))
    assert isinstance(expected, Exception) and isinstance(found, Exception), (expected, found)
    assert type(found).__name__ == type(expected).__name__
    assert str(found).splitlines()[0] == str(expected).splitlines()[0]


def test_every_name_is_there():
    for space in ("linalg", "fft"):
        ours, theirs = getattr(flambeau, space), getattr(torch, space)
        names = [n for n in dir(theirs) if not n.startswith("_")]
        names = [
            n for n in names if n not in ("Tensor", "torch") and not n.endswith(("args", "notes"))
        ]
        assert [n for n in names if not hasattr(ours, n)] == []
    assert set(flambeau.signal.windows.__all__) == set(torch.signal.windows.windows.__all__)


# -- gradients -------------------------------------------------------------------------------------

SQUARE, TALL, WIDE, SIDE = (4, 4), (5, 3), (3, 5), (4, 2)


def hermitian(module, a):
    return a @ a.mH + 4 * module.eye(4, dtype=module.float64)


def packed(module):
    return module.tensor([2, 2, 4, 4], dtype=module.int32)


GRADIENTS = {
    "inv": (lambda t, a: t.linalg.inv(a), SQUARE),
    "det": (lambda t, a: t.linalg.det(a), (3, *SQUARE)),
    "slogdet": (lambda t, a: t.linalg.slogdet(a), (3, *SQUARE)),
    "logdet": (lambda t, a: t.logdet(hermitian(t, a)), SQUARE),
    "eigh": (lambda t, a: t.linalg.eigh(a), SQUARE),
    "eigh_upper": (lambda t, a: t.linalg.eigh(a, "U"), SQUARE),
    "eigvalsh": (lambda t, a: t.linalg.eigvalsh(a), SQUARE),
    "eig": (lambda t, a: t.linalg.eig(a), SQUARE),
    "cholesky": (lambda t, a: t.linalg.cholesky(hermitian(t, a)), SQUARE),
    "cholesky_upper": (lambda t, a: t.linalg.cholesky(hermitian(t, a), upper=True), SQUARE),
    "cholesky_solve": (lambda t, a, b: t.cholesky_solve(b, a), SQUARE, SIDE),
    "cholesky_solve_upper": (lambda t, a, b: t.cholesky_solve(b, a, True), SQUARE, SIDE),
    "cholesky_inverse": (lambda t, a: t.cholesky_inverse(a), SQUARE),
    "svd": (lambda t, a: t.linalg.svd(a, False), TALL),
    "svd_wide": (lambda t, a: t.linalg.svd(a, False), WIDE),
    "svdvals": (lambda t, a: t.linalg.svdvals(a), WIDE),
    "qr": (lambda t, a: t.linalg.qr(a), TALL),
    "qr_wide": (lambda t, a: t.linalg.qr(a), WIDE),
    "qr_complete": (lambda t, a: t.linalg.qr(a, "complete"), WIDE),
    "qr_r": (lambda t, a: t.linalg.qr(a)[1], WIDE),
    "lu": (lambda t, a: t.linalg.lu(a)[1:], SQUARE),
    "lu_tall": (lambda t, a: t.linalg.lu(a)[1:], TALL),
    "lu_wide": (lambda t, a: t.linalg.lu(a)[1:], WIDE),
    "lu_lower": (lambda t, a: t.linalg.lu(a)[1], WIDE),
    "lu_upper": (lambda t, a: t.linalg.lu(a)[2], TALL),
    "lu_factor": (lambda t, a: t.linalg.lu_factor(a)[0], TALL),
    "lu_unpack": (lambda t, a: t.lu_unpack(a, packed(t)[:2])[1:], (2, 5)),
    "lu_solve": (lambda t, a, b: t.linalg.lu_solve(a, packed(t), b), SQUARE, SIDE),
    "lu_solve_adjoint": (
        lambda t, a, b: t.linalg.lu_solve(a, packed(t), b, adjoint=True),
        SQUARE, SIDE,
    ),
    "lu_solve_right": (
        lambda t, a, b: t.linalg.lu_solve(a, packed(t), b.mT, left=False, adjoint=True),
        SQUARE, SIDE,
    ),
    "solve": (lambda t, a, b: t.linalg.solve(a, b), SQUARE, SIDE),
    "solve_right": (lambda t, a, b: t.linalg.solve(a, b.mT, left=False), SQUARE, SIDE),
    "solve_batches": (lambda t, a, b: t.linalg.solve(a, b), (2, 1, *SQUARE), (5, *SIDE)),
    "solve_vectors": (lambda t, a, b: t.linalg.solve(a, b), (2, *SQUARE), (2, 4)),
    "triangular": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), SQUARE, SIDE),
    "triangular_unit": (
        lambda t, a, b: t.linalg.solve_triangular(
            a, b.mT, upper=False, left=False, unitriangular=True
        ),
        SQUARE, SIDE,
    ),
    "triangular_solve": (lambda t, a, b: t.triangular_solve(b, a, True, True), SQUARE, SIDE),
    "householder": (lambda t, a, b: t.linalg.householder_product(a, b), (2, *TALL), (2, 3)),
    "ormqr": (lambda t, a, b, c: t.ormqr(a, b, c, True, True), (4, 3), (3,), SIDE),
    "ormqr_right": (lambda t, a, b, c: t.ormqr(a, b, c.mT, False, False), (4, 3), (3,), SIDE),
    "pinv": (lambda t, a: t.linalg.pinv(a), TALL),
    "lstsq": (lambda t, a, b: t.linalg.lstsq(a, b)[0], (4, 3), SIDE),
    "matrix_exp": (lambda t, a: t.linalg.matrix_exp(a), (2, *SQUARE)),
    "cross": (lambda t, a, b: t.linalg.cross(a, b), (4, 3), (1, 3)),
    "fft": (lambda t, a: t.fft.fft2(a), WIDE),
    "irfft": (lambda t, a: t.fft.irfft(t.fft.fft(a), 7), WIDE),
    "hfft": (lambda t, a: t.fft.hfftn(t.fft.ifft(a), (3, 6)), WIDE),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name, dtype):
    """Of one call, without making the input symmetric first: torch's own convention."""
    function, *shapes = GRADIENTS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    if dtype == "complex128":
        arrays = [a + 1j * rng.standard_normal(a.shape) for a in arrays]
    gradients = []
    for module in (torch, flambeau):
        inputs = [module.from_numpy(a.copy()).requires_grad_() for a in arrays]
        results = function(module, *inputs)
        loss: object = 0
        for result in results if isinstance(results, tuple) else (results,):
            if result.requires_grad:
                weights = module.linspace(1, 2, result.numel(), dtype=module.float64)
                loss = loss + (result.abs() ** 2 * weights.reshape(result.shape)).sum()
        found = module.autograd.grad(loss, inputs, allow_unused=True)
        gradients.append([None if g is None else g.resolve_conj().numpy() for g in found])
    for expected, ours in zip(*gradients, strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-8 * scale)

"""Samples of products of matrices, linear algebra and Fourier transforms.

Factors that are only unique up to a sign or a phase enter as what is unique of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as torch

linalg, fft = torch.linalg, torch.fft


def symmetric(a: Any) -> Any:
    """What eigenvalues of symmetric matrices are differentiated by."""
    return (a + a.mT) / 2


def lowered(a: Any) -> Any:
    """A matrix with a factor of Cholesky."""
    return linalg.cholesky(symmetric(a))


SAMPLES: dict[str, list[Callable[..., Any]]] = {
    # products
    "mm": [lambda x, matrix: torch.mm(x, matrix), lambda x, matrix: torch.mm(matrix, x.t())],
    "bmm": [lambda batch, second_batch: torch.bmm(batch, second_batch)],
    "mv": [lambda x, vector: torch.mv(x, vector)],
    "dot": [lambda y, vector: torch.dot(y, vector)],
    "vdot": [lambda complex_vector: torch.vdot(complex_vector, complex_vector)],
    "matmul": [
        lambda x, vector: x @ vector,
        lambda vector, matrix: vector @ matrix,
        lambda cube, second_batch: cube @ second_batch,
        lambda batch, wide: batch @ wide.t(),
        lambda integers, index: integers @ index.t(),
        lambda complex, complex_vector: complex @ complex_vector,
    ],
    "addmm": [lambda y, x, matrix: torch.addmm(y, x, matrix, beta=0.5, alpha=2)],
    "baddbmm": [lambda y, batch, second_batch: torch.baddbmm(y, batch, second_batch)],
    "addbmm": [lambda y, batch, second_batch: torch.addbmm(y, batch, second_batch)],
    "addmv": [lambda channels, x, vector: torch.addmv(channels, x, vector)],
    "outer": [lambda y, vector: torch.outer(y, vector)],
    "addr": [lambda matrix, y, vector: torch.addr(matrix, y, vector)],
    "tensordot": [lambda batch, second_batch: torch.tensordot(batch, second_batch, ([2], [1]))],
    "inner": [lambda x, w: torch.inner(x, w)],
    "kron": [lambda x, columns: torch.kron(x, columns)],
    "cross": [lambda x, w: torch.cross(x, w, dim=1)],
    "linalg_cross": [lambda x, w: linalg.cross(x, w)],
    "linalg_vecdot": [lambda x, w: linalg.vecdot(x, w)],
    "linalg_matmul": [lambda x, matrix: linalg.matmul(x, matrix)],
    "linalg_multi_dot": [lambda x, matrix, columns: linalg.multi_dot((x, matrix, columns))],
    "trace": [lambda matrix: matrix.trace()],
    "linalg_diagonal": [lambda batch: linalg.diagonal(batch)],
    "linalg_vander": [lambda vector: linalg.vander(vector)],
    "matrix_power": [lambda matrix: matrix.matrix_power(3)],
    "linalg_matrix_power": [lambda matrix: linalg.matrix_power(matrix, -2)],
    "matrix_exp": [lambda matrix: matrix.matrix_exp()],
    "linalg_matrix_exp": [lambda matrix: linalg.matrix_exp(matrix)],
    # norms and distances
    "linalg_vector_norm": [
        lambda cube: linalg.vector_norm(cube, 2, (0, 2)), lambda x: linalg.vector_norm(x, 1, 1),
        lambda x: linalg.vector_norm(x, float("inf"), 0), lambda x: linalg.vector_norm(x, 3),
    ],
    "linalg_matrix_norm": [
        lambda x: linalg.matrix_norm(x), lambda w: linalg.matrix_norm(w, 1),
        lambda x: linalg.matrix_norm(x, "nuc"),
    ],
    "linalg_norm": [lambda x: linalg.norm(x), lambda x: linalg.norm(x, 2)],
    "linalg_cond": [lambda matrix: linalg.cond(matrix)],
    "linalg_matrix_rank": [lambda x: linalg.matrix_rank(x)],
    "cdist": [
        lambda x, w: torch.cdist(x, w), lambda x, w: torch.cdist(x, w, 1.0),
        lambda x, w: torch.cdist(x, w, compute_mode="use_mm_for_euclid_dist"),
    ],
    "pdist": [lambda wide: torch.pdist(wide)],
    # factorisations
    "linalg_lu_factor_ex": [lambda matrix: linalg.lu_factor_ex(matrix)[:2]],
    "linalg_lu_factor": [lambda matrix: linalg.lu_factor(matrix)],
    "linalg_lu": [lambda matrix: linalg.lu(matrix)],
    "lu": [lambda matrix: torch.lu(matrix)],
    "lu_unpack": [lambda matrix: torch.lu_unpack(*linalg.lu_factor(matrix))],
    "linalg_cholesky": [lambda definite: lowered(definite)],
    "linalg_cholesky_ex": [lambda definite: linalg.cholesky_ex(symmetric(definite))],
    "cholesky": [lambda definite: torch.cholesky(symmetric(definite), upper=True)],
    "linalg_qr": [lambda tall: linalg.qr(tall)],
    "qr": [lambda tall: torch.qr(tall)],
    "geqrf": [lambda tall: torch.geqrf(tall)],
    "linalg_householder_product": [lambda tall, vector: linalg.householder_product(tall, vector)],
    "orgqr": [lambda tall, vector: torch.orgqr(tall, vector)],
    "ormqr": [lambda tall, vector, wide: torch.ormqr(tall, vector, wide.t())],
    "linalg_svd": [lambda tall: linalg.svd(tall, full_matrices=False)[1]],
    "linalg_svdvals": [lambda tall: linalg.svdvals(tall)],
    "svd": [lambda x: torch.svd(x)[1]],
    "linalg_eigh": [
        lambda definite: linalg.eigh(symmetric(definite))[0],
        lambda definite: linalg.eigh(symmetric(definite))[1].abs(),
    ],
    "linalg_eigvalsh": [lambda definite: linalg.eigvalsh(symmetric(definite))],
    "linalg_eig": [lambda matrix: linalg.eig(matrix)[0].abs().sum()],
    "linalg_eigvals": [lambda matrix: linalg.eigvals(matrix).abs().sum()],
    "linalg_ldl_factor": [lambda definite: linalg.ldl_factor(symmetric(definite))],
    "linalg_ldl_factor_ex": [lambda definite: linalg.ldl_factor_ex(symmetric(definite))],
    # equations
    "linalg_solve": [
        lambda matrix, columns: linalg.solve(matrix, columns),
        lambda matrix, vector: linalg.solve(matrix, vector),
    ],
    "linalg_solve_ex": [lambda matrix, columns: linalg.solve_ex(matrix, columns)[0]],
    "linalg_solve_triangular": [
        lambda lower, columns: linalg.solve_triangular(lower, columns, upper=False)
    ],
    "triangular_solve": [
        lambda columns, lower: torch.triangular_solve(columns, lower, upper=False)[0]
    ],
    "linalg_lu_solve": [
        lambda matrix, columns: linalg.lu_solve(*linalg.lu_factor(matrix), columns)
    ],
    "lu_solve": [lambda columns, matrix: torch.lu_solve(columns, *linalg.lu_factor(matrix))],
    "cholesky_solve": [lambda columns, definite: torch.cholesky_solve(columns, lowered(definite))],
    "cholesky_inverse": [lambda definite: torch.cholesky_inverse(lowered(definite))],
    "linalg_ldl_solve": [
        lambda definite, columns: linalg.ldl_solve(*linalg.ldl_factor(definite), columns)
    ],
    "linalg_lstsq": [lambda tall, wide: linalg.lstsq(tall, wide.t())[0]],
    "linalg_inv": [lambda matrix: linalg.inv(matrix)],
    "linalg_inv_ex": [lambda matrix: linalg.inv_ex(matrix)[0]],
    "inverse": [lambda matrix: matrix.inverse()],
    "linalg_pinv": [lambda tall: linalg.pinv(tall)],
    "pinverse": [lambda x: x.pinverse()],
    "linalg_tensorinv": [lambda matrix: linalg.tensorinv(matrix.view(3, 1, 3), 1)],
    "linalg_tensorsolve": [lambda matrix, vector: linalg.tensorsolve(matrix, vector)],
    "linalg_det": [lambda matrix: linalg.det(matrix)],
    "det": [lambda matrix: matrix.det()],
    "linalg_slogdet": [lambda matrix: linalg.slogdet(matrix)],
    "slogdet": [lambda matrix: matrix.slogdet()],
    "logdet": [lambda definite: definite.logdet()],
    # Fourier transforms
    "fft_fft": [lambda x: fft.fft(x), lambda complex: fft.fft(complex, 4, norm="ortho")],
    "fft_ifft": [lambda complex: fft.ifft(complex)],
    "fft_rfft": [lambda x: fft.rfft(x), lambda cube: fft.rfft(cube, dim=1)],
    "fft_irfft": [lambda complex: fft.irfft(complex), lambda complex: fft.irfft(complex, 5)],
    "fft_hfft": [lambda complex: fft.hfft(complex)],
    "fft_ihfft": [lambda x: fft.ihfft(x)],
    "fft_fftn": [lambda cube: fft.fftn(cube)],
    "fft_ifftn": [lambda complex: fft.ifftn(complex)],
    "fft_rfftn": [lambda cube: fft.rfftn(cube, dim=(0, 1))],
    "fft_irfftn": [lambda complex: fft.irfftn(complex)],
    "fft_hfftn": [lambda complex: fft.hfftn(complex)],
    "fft_ihfftn": [lambda x: fft.ihfftn(x)],
    "fft_fft2": [lambda cube: fft.fft2(cube)],
    "fft_ifft2": [lambda complex: fft.ifft2(complex)],
    "fft_rfft2": [lambda cube: fft.rfft2(cube)],
    "fft_irfft2": [lambda complex: fft.irfft2(complex)],
    "fft_hfft2": [lambda complex: fft.hfft2(complex)],
    "fft_ihfft2": [lambda x: fft.ihfft2(x)],
    "fft_fftfreq": [lambda: fft.fftfreq(5, 0.5)],
    "fft_rfftfreq": [lambda: fft.rfftfreq(6)],
    "fft_fftshift": [lambda x: fft.fftshift(x)],
    "fft_ifftshift": [lambda x: fft.ifftshift(x, 1)],
    "stft": [lambda long, window: torch.stft(long, 4, 2, window=window, return_complex=True)],
    "istft": [
        lambda long, window: torch.istft(
            torch.stft(long, 4, 2, window=window, return_complex=True), 4, 2, window=window
        )
    ],
    "polygamma": [lambda positive: torch.polygamma(1, positive)],
}  # fmt: skip

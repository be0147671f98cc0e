"""Singular values of matrices of low rank, by random projection: svd_lowrank and pca_lowrank.

>>> U, S, V = torch.svd_lowrank(torch.ones(4, 3), q=1)
>>> S
tensor([3.4641])
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.ops.linalg.qr import linalg_qr
from flambeau.ops.linalg.spectral import linalg_svd
from flambeau.ops.random import randn

Triple = tuple[Any, Any, Any]


def approximate_basis(A: Any, q: int, niter: int, M: Any) -> Any:
    """q orthonormal columns that nearly span the range of A - M.

    Halko, Martinsson and Tropp: Finding structure with randomness (2009), algorithm 4.4.
    """

    def applied(x: Any, adjoint: bool) -> Any:
        product = (A.mH if adjoint else A) @ x
        return product if M is None else product - (M.mH if adjoint else M) @ x

    Q = linalg_qr.call(applied(randn(A.shape[-1], q, dtype=A.dtype), False))[0]
    for _ in range(niter):
        Q = linalg_qr.call(applied(Q, True))[0]
        Q = linalg_qr.call(applied(Q, False))[0]
    return Q


def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> Triple:
    """U, S, V of the q greatest singular values of A - M, approximately (Halko 2009, algorithm
    5.1).

    >>> U, S, V = torch.svd_lowrank(torch.ones(3, 3), q=1)
    >>> S
    tensor([3.])
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    wide = A.shape[-2] < A.shape[-1]
    if M is not None:
        M = M.broadcast_to(tuple(A.shape))
    if wide:
        A, M = A.mH, None if M is None else M.mH
    Q = approximate_basis(A, q, niter, M)
    small = Q.mH @ A
    if M is not None:
        small = small - Q.mH @ M
    U, S, Vh = linalg_svd.call(small, False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Triple:
    """Principal components of rows of data: `svd_lowrank` of A less the mean of its rows.

    >>> torch.pca_lowrank(torch.tensor([[1.0, 1.0], [3.0, 3.0]]), q=1)[1]
    tensor([2.])
    """
    least = min(A.shape[-2:])
    if q is None:
        q = min(6, least)
    elif not 0 <= q <= least:
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={least}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if not (A.dtype.is_floating_point or A.dtype.is_complex):
        A = A.to(dtypes.get_default_dtype())
    return svd_lowrank(A - A.mean((-2,), True) if center else A, q, niter)


__all__ = ["pca_lowrank", "svd_lowrank"]

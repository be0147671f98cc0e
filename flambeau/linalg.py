"""torch.linalg: decompositions, equations, norms and functions of matrices.

The functions are ops (flambeau/ops/linalg); this module gives them their public names:

>>> torch.linalg.det(torch.eye(2))
tensor(1.)
"""

from __future__ import annotations

import importlib
from typing import Any

from flambeau.core.errors import LinAlgError as LinAlgError

FUNCTIONS = (
    "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals",
    "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve",
    "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm",
    "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve",
    "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve", "vander",
    "vecdot", "vector_norm",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """A function, at its first use."""
    if name not in FUNCTIONS:
        raise AttributeError(f"module 'torch.linalg' has no attribute '{name}'")
    engine = importlib.import_module("flambeau.start")
    engine.start()
    value = globals()[name] = engine.qualified[f"linalg_{name}"]
    return value


def __dir__() -> list[str]:
    """Every public name."""
    return sorted({*FUNCTIONS, "LinAlgError"})

"""OpenBLAS: where its functions are, and complex matrix products by it.

    gemm = gemm_address("complex64")
    plan.use_native(gemm, [function_address("cblas_cgemm"), ...], items=batch, work=m * n * k)

OpenBLAS comes from the wheel `scipy-openblas64` (the build that NumPy and SciPy ship); its
functions are called by address. Products of real numbers are in ops.kernels.gemm; the
decompositions of runtime.lapack call OpenBLAS too.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Signature,
    Unit,
    f32,
    f64,
    fill_memory,
    i32,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    sizeof,
    stack,
    void,
)
from flambeau.runtime.system import engine

ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112
# params: function, transpose of a and b, m, n, k, leading dimensions of a, b, c, then byte strides
# of a, b, c per batch item
FUNCTION, TRANS_A, TRANS_B, M, N, K, LDA, LDB, LDC, STEP_A, STEP_B, STEP_C = range(12)
Gemm = Signature(void, i32, i32, i32, i64, i64, i64, ptr, ptr, i64, ptr, i64, ptr, ptr, i64)
T = f32  # template: type of the real and imaginary parts


@native
def gemm(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """c = a @ b for each item of the batch."""
    m, n, k = params[M], params[N], params[K]
    one, zero = stack(T, 2), stack(T, 2)
    one[0] = T(1)
    one[1] = T(0)
    zero[0] = T(0)
    zero[1] = T(0)
    for item in range(start, stop):
        a, b = buffers[0] + item * params[STEP_A], buffers[1] + item * params[STEP_B]
        c = buffers[2] + item * params[STEP_C]
        if k == 0:  # BLAS leaves c as it is
            fill_memory(c, 0, m * n * 2 * sizeof(T))
            continue
        Gemm(params[FUNCTION])(
            ROW_MAJOR, params[TRANS_A], params[TRANS_B], m, n, k, one, a, params[LDA], b,
            params[LDB], zero, c, params[LDC],
        )  # fmt: skip


LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


@functools.cache
def library() -> Any:
    """OpenBLAS, loaded on first use."""
    import scipy_openblas64

    folder = scipy_openblas64.get_lib_dir()
    name = (
        "lib"
        + scipy_openblas64.get_library()
        + {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    )
    found = ctypes.CDLL(os.path.join(folder, name))
    set_threads(found)
    return found


def set_threads(handle: Any = None) -> None:
    """OpenBLAS uses as many threads as our own pool."""
    if handle is None:
        if library.cache_info().currsize == 0:
            return
        handle = library()
    handle.scipy_openblas_set_num_threads64_(ctypes.c_int(engine.core.threads()))


@functools.cache
def function_address(name: str) -> int:
    """Address of an OpenBLAS function such as `cblas_sgemm`."""
    address = ctypes.cast(getattr(library(), f"scipy_{name}64_"), ctypes.c_void_p).value
    assert address is not None
    return address


@functools.cache
def gemm_address(dtype: str) -> int:
    """Address of the kernel for a complex dtype."""
    unit = Unit(f"gemm_{dtype}", [gemm], T=f32 if dtype == "complex64" else f64)
    symbol = unit.symbol(gemm)
    return load("gemm-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def leading(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int] | None:
    """(transpose flag, leading dimension) of a matrix that BLAS can read in place;
    None when it must be copied.
    """
    (rows, columns), (row, column) = shape, strides
    if rows == 0 or columns == 0:
        return NO_TRANSPOSE, max(columns, 1)
    if (column == 1 or columns <= 1) and (row >= max(1, columns) or rows <= 1):
        return NO_TRANSPOSE, max(row if rows > 1 else columns, columns, 1)
    if (row == 1 or rows <= 1) and (column >= max(1, rows) or columns <= 1):
        return TRANSPOSE, max(column if columns > 1 else rows, rows, 1)
    return None

"""Matrix products in native code: OpenBLAS for floating and complex dtypes, a plain loop nest for
integers.

The kernels have the signature of all kernels (codegen.loops); ops.matmul prepares their parameters:

    gemm = gemm_address("float32", bias=False)
    plan.use_native(gemm, gemm_params(...), items=batch, work=2 * m * n * k)

OpenBLAS comes from the wheel `scipy-openblas64` (the build that NumPy and SciPy ship); its
functions are called by address.
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
    f32p,
    f64,
    f64p,
    fill_memory,
    i8,
    i16,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    sizeof,
    stack,
    u8,
    void,
)
from flambeau.runtime.system import engine

ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112
# params: function, transpose of a and b, m, n, k, leading dimensions of a, b, c, then byte strides
# of a, b, c, bias per batch item, and bytes of one row of c; beta is 1 when c starts from a bias
(FUNCTION, TRANS_A, TRANS_B, M, N, K, LDA, LDB, LDC, STEP_A, STEP_B, STEP_C, ROW, BIAS_STEP) = (
    range(14)
)
SGemm = Signature(void, i32, i32, i32, i64, i64, i64, f32, ptr, i64, ptr, i64, f32, ptr, i64)
DGemm = Signature(void, i32, i32, i32, i64, i64, i64, f64, ptr, i64, ptr, i64, f64, ptr, i64)
CGemm = Signature(void, i32, i32, i32, i64, i64, i64, ptr, ptr, i64, ptr, i64, ptr, ptr, i64)
T = f32  # template: element type
REAL, SINGLE, COMPLEX_PARTS = True, True, 1  # template: which BLAS function is called
BIAS = False  # template: buffers are (bias, a, b, c) instead of (a, b, c)


@native
def copy_bias(c: ptr, bias: ptr, m: i64, n: i64, pitch: i64, step: i64) -> void:
    """Writes the bias over the rows of a matrix; `step` from one row of it to the next, or 0."""
    row: pointer(T) = c
    source: pointer(T) = bias
    for _ in range(m):
        for j in range(n * COMPLEX_PARTS):
            row[j] = source[j]
        row = row + pitch * COMPLEX_PARTS
        source = source + step


@native
def gemm(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """c = a @ b, or bias + a @ b, for each item of the batch."""
    first = i64(1) if BIAS else i64(0)
    function, trans_a, trans_b = params[FUNCTION], params[TRANS_A], params[TRANS_B]
    m, n, k = params[M], params[N], params[K]
    lda, ldb, ldc = params[LDA], params[LDB], params[LDC]
    kept = f64(1.0 if BIAS else 0.0)
    one, beta = stack(f64, 2), stack(f64, 2)
    for item in range(start, stop):
        a, b = buffers[first] + item * params[STEP_A], buffers[first + 1] + item * params[STEP_B]
        c = buffers[first + 2] + item * params[STEP_C]
        if BIAS:
            copy_bias(c, buffers[0], m, n, ldc, params[BIAS_STEP])
        if k == 0:  # BLAS leaves c as it is
            if not BIAS:
                fill_memory(c, 0, m * n * COMPLEX_PARTS * sizeof(T))
            continue
        if REAL:
            if SINGLE:
                SGemm(function)(
                    ROW_MAJOR,
                    trans_a,
                    trans_b,
                    m,
                    n,
                    k,
                    f32(1.0),
                    a,
                    lda,
                    b,
                    ldb,
                    f32(kept),
                    c,
                    ldc,
                )
            else:
                DGemm(function)(
                    ROW_MAJOR, trans_a, trans_b, m, n, k, 1.0, a, lda, b, ldb, kept, c, ldc
                )
        else:
            one_parts: pointer(T) = one
            beta_parts: pointer(T) = beta
            one_parts[0] = 1.0
            one_parts[1] = 0.0
            beta_parts[0] = T(kept)
            beta_parts[1] = 0.0
            CGemm(function)(ROW_MAJOR, trans_a, trans_b, m, n, k, one, a, lda, b, ldb, beta, c, ldc)


# params of the loop nest: m, n, k, strides of a (row, column), of b, of c in elements, then the
# batch steps in bytes
@native
def integer_gemm(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """c = a @ b with wrap-around arithmetic; any strides."""
    m, n, k = params[0], params[1], params[2]
    for item in range(start, stop):
        a: pointer(T) = buffers[0] + item * params[9]
        b: pointer(T) = buffers[1] + item * params[10]
        c: pointer(T) = buffers[2] + item * params[11]
        for i in range(m):
            for j in range(n):
                c[i * params[7] + j * params[8]] = T(0)
            for p in range(k):
                factor = a[i * params[3] + p * params[4]]
                for j in range(n):
                    c[i * params[7] + j * params[8]] += factor * b[p * params[5] + j * params[6]]


INTEGERS = {"int8": i8, "int16": i16, "int32": i32, "int64": i64, "uint8": u8}
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
def gemm_address(dtype: str, bias: bool) -> int:
    """Address of the kernel for this dtype."""
    if dtype in INTEGERS:
        unit = Unit("integer_gemm_" + dtype, [integer_gemm], T=INTEGERS[dtype])
        return load("gemm-" + unit.key(), unit.text_with_intrinsics, [unit.symbol(integer_gemm)])[
            unit.symbol(integer_gemm)
        ]
    real, single = not dtype.startswith("complex"), dtype in ("float32", "complex64")
    unit = Unit(
        f"gemm_{dtype}_{bias}",
        [gemm],
        T=f32 if single else f64,
        REAL=real,
        SINGLE=single,
        COMPLEX_PARTS=1 if real else 2,
        BIAS=bias,
    )
    return load("gemm-" + unit.key(), unit.text_with_intrinsics, [unit.symbol(gemm)])[
        unit.symbol(gemm)
    ]


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


_ = (f32p, f64p, fill_memory)

"""Native helpers around LAPACK: what a step of a `Program` (runtime.lapack) does besides calling
the library.

Every function takes pointers only, as LAPACK's routines do; sizes and strides (in bytes) come in
tables. Matrices are column-major unless a table says otherwise.

    program.helper(narrow, pivots, output, program.number(n))
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.codegen.native import (
    Extern,
    f32,
    f64,
    i32,
    i32p,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    square_root,
    void,
)

log = Extern("log", f64, f64)
ALL, UPPER, LOWER = range(3)
TILE = 32

# the template: a real number, its pointer, whether elements are complex, the integer words of an
# element
T, TP, COMPLEX, PARTS = f32, pointer(f32), False, 1
U, UP, WORDS = i32, pointer(i32), 1
HUGE = 3.4028234663852886e38
NAN = float("nan")


def template(dtype: str) -> dict[str, Any]:
    """What the template's names stand for in matrices of a dtype."""
    single, is_complex = dtype in ("float32", "complex64"), dtype.startswith("complex")
    real, parts = f32 if single else f64, 2 if is_complex else 1
    word = i32 if single else i64
    return {
        "T": real, "TP": pointer(real), "COMPLEX": is_complex, "PARTS": parts, "U": word,
        "UP": pointer(word), "WORDS": parts,
        "HUGE": 3.4028234663852886e38 if single else 1.7976931348623157e308,
    }  # fmt: skip


# ---- copies --------------------------------------------------------------------------------------


@native
def copy_matrix(source: ptr, target: ptr, table: i64p) -> void:
    """target = source, or one triangle of it and zeros; table: rows, columns,
    steps of source and target, which part.
    """
    rows, columns, part = table[0], table[1], table[6]
    for top in range(0, rows, TILE):
        bottom = top + TILE if top + TILE < rows else rows
        for j in range(columns):
            first, last = top, bottom
            if part == UPPER:
                last = j + 1 if j + 1 < bottom else bottom
                last = last if last > top else top
            if part == LOWER:
                first = j if j > top else top
                first = first if first < bottom else bottom
            a: UP = source + (first * table[2] + j * table[3])
            b: UP = target + (top * table[4] + j * table[5])
            for _ in range(top, first):
                b[0] = U(0)
                if COMPLEX:
                    b[1] = U(0)
                b = ptr(b) + table[4]
            for _ in range(first, last):
                b[0] = a[0]
                if COMPLEX:
                    b[1] = a[1]
                a = ptr(a) + table[2]
                b = ptr(b) + table[4]
            for _ in range(last, bottom):
                b[0] = U(0)
                if COMPLEX:
                    b[1] = U(0)
                b = ptr(b) + table[4]


@native
def fill_diagonal(target: ptr, table: i64p) -> void:
    """Ones on the diagonal, and zeros elsewhere if asked; table: rows, columns, steps,
    whether to clear.
    """
    for j in range(table[1]):
        if table[4] != 0:
            for i in range(table[0]):
                x: TP = target + (i * table[2] + j * table[3])
                x[0] = T(0)
                if COMPLEX:
                    x[1] = T(0)
        if j < table[0]:
            y: TP = target + j * (table[2] + table[3])
            y[0] = T(1)
            if COMPLEX:
                y[1] = T(0)


@native
def mirror(target: ptr, table: i64p) -> void:
    """The other triangle from the given one (table: order, steps, UPPER or LOWER),
    as of a Hermitian matrix.
    """
    for j in range(table[0]):
        for i in range(j):  # (i, j) lies above the diagonal
            upper: TP = target + (i * table[1] + j * table[2])
            lower: TP = target + (j * table[1] + i * table[2])
            if table[3] == UPPER:
                lower[0] = upper[0]
                if COMPLEX:
                    lower[1] = -upper[1]
            else:
                upper[0] = lower[0]
                if COMPLEX:
                    upper[1] = -lower[1]


@native
def conjugate(target: ptr, table: i64p) -> void:
    """Every element's conjugate in its place; table: rows, columns, steps."""
    for j in range(table[1]):
        for i in range(table[0]):
            x: TP = target + (i * table[2] + j * table[3])
            if COMPLEX:
                x[1] = -x[1]


@native
def narrow(source: i64p, target: i32p, count: i64p) -> void:
    """LAPACK's 64-bit integers as int32."""
    for i in range(count[0]):
        target[i] = i32(source[i])


@native
def widen(source: i32p, target: i64p, table: i64p) -> void:
    """int32 numbers as LAPACK's 64-bit integers; table: count, step of the source."""
    for i in range(table[0]):
        target[i] = i64(source[0])
        source = ptr(source) + table[1]


@native
def widen_long(source: i64p, target: i64p, table: i64p) -> void:
    """The same for int64 numbers."""
    for i in range(table[0]):
        target[i] = source[0]
        source = ptr(source) + table[1]


@native
def clear_words(target: i64p, count: i64p) -> void:
    """Zeros in as many words of 8 bytes."""
    for i in range(count[0]):
        target[i] = 0


@native
def sum_squares(source: ptr, table: i64p, target: TP) -> void:
    """For each column the sum of |x|^2 over the rows from `first` on; table: first, rows, columns,
    steps.
    """
    for j in range(table[2]):
        total = f64(0)
        for i in range(table[0], table[1]):
            x: TP = source + (i * table[3] + j * table[4])
            for k in range(PARTS):
                total += f64(x[k]) * f64(x[k])
        target[j] = T(total)


@native
def clear(target: i64p) -> void:
    """Zero, in place of an info that a step that is left out does not write."""
    target[0] = 0


# ---- failures ------------------------------------------------------------------------------------


@native
def report(info: i64p, kind: i64p, flag: i64p, item: i64p) -> void:
    """Notes in the error flag that LAPACK's `info` is not 0, for the first such matrix;
    `Failure.of` reads it.
    """
    if info[0] != 0:
        code = item[0] << 34 | kind[0] << 32 | (info[0] & 4294967295)
        if flag[0] == 0 or code < flag[0]:
            flag[0] = code


class Failure(NamedTuple):
    """What `report` noted: the matrix's number in the batch, the kind that `fail_on` got,
    LAPACK's info.
    """

    item: int
    kind: int
    info: int

    @staticmethod
    def of(code: int) -> Failure:
        """Decodes the error flag."""
        info = code & 0xFFFFFFFF
        return Failure(code >> 34, code >> 32 & 3, info - (1 << 32) if info >> 31 else info)


@native
def find_infinite(source: ptr, table: i64p, info: i64p) -> void:
    """info = 1 if some element is not finite; table: rows, columns, steps."""
    info[0] = 0
    for j in range(table[1]):
        for i in range(table[0]):
            x: TP = source + (i * table[2] + j * table[3])
            for k in range(PARTS):
                if not (x[k] <= T(HUGE) and x[k] >= T(-HUGE)):
                    info[0] = 1


@native
def fill_not_a_number(target: TP, count: i64p, info: i64p) -> void:
    """NaN in `count` real numbers if info is not 0."""
    if info[0] != 0:
        for i in range(count[0]):
            target[i] = T(NAN)


@native
def check_diagonal(factor: ptr, table: i64p, info: i64p) -> void:
    """info = the first place where the diagonal is not a number, which some libraries let pass;
    table: order, steps.
    """
    for i in range(table[0]):
        x: TP = factor + i * (table[1] + table[2])
        if info[0] == 0 and x[0] != x[0]:
            info[0] = i + 1


# ---- determinants --------------------------------------------------------------------------------


@native
def determinant(lu: TP, pivots: i64p, order: i64p, result: TP) -> void:
    """The product of the diagonal of U, its sign changed for every exchange of rows."""
    n = order[0]
    real, imaginary = f64(1), f64(0)
    for i in range(n):
        x: TP = lu + PARTS * (i * n + i)
        sign = f64(1) if pivots[i] == i + 1 else f64(-1)
        a, b = sign * f64(x[0]), f64(0)
        if COMPLEX:
            b = sign * f64(x[1])
            product = real * a - imaginary * b
            imaginary = real * b + imaginary * a
            real = product
        else:
            real = real * a
    result[0] = T(real)
    if COMPLEX:
        result[1] = T(imaginary)


@native
def log_determinant(lu: TP, pivots: i64p, order: i64p, sign: TP, logarithm: TP) -> void:
    """The determinant as its sign (or phase) and the logarithm of its absolute value."""
    n = order[0]
    real, imaginary, total = f64(1), f64(0), f64(0)
    for i in range(n):
        x: TP = lu + PARTS * (i * n + i)
        a, b = f64(x[0]), f64(0)
        if pivots[i] != i + 1:
            real = -real
            imaginary = -imaginary
        if COMPLEX:
            b = f64(x[1])
        size = square_root(a * a + b * b) if COMPLEX else (-a if a < 0.0 else a)
        total += log(size)
        if COMPLEX:
            if size != 0.0:
                a = a / size
                b = b / size
            product = real * a - imaginary * b
            imaginary = real * b + imaginary * a
            real = product
        else:
            real = real * (a if a != a or a == 0.0 else f64(1) if a > 0.0 else f64(-1))
    sign[0] = T(real)
    if COMPLEX:
        sign[1] = T(imaginary)
    logarithm[0] = T(total)


# ---- eigenvectors of real matrices ---------------------------------------------------------------


@native
def join_parts(real: TP, imaginary: TP, count: i64p, target: TP) -> void:
    """Complex numbers from their parts."""
    for i in range(count[0]):
        target[2 * i] = real[i]
        target[2 * i + 1] = imaginary[i]


@native
def join_vectors(vectors: TP, imaginary: TP, order: i64p, target: TP) -> void:
    """Complex eigenvectors as geev packs them: of a conjugate pair first the real parts,
    then the imaginary parts.
    """
    n = order[0]
    for j in range(n):
        pair, partner = T(0), j
        if imaginary[j] > T(0):
            pair = T(1)
            partner = j + 1
        if imaginary[j] < T(0):
            pair = T(-1)
            partner = j - 1
        first = j if partner > j else partner
        second = partner if partner > j else j
        for i in range(n):
            target[2 * (j * n + i)] = vectors[first * n + i]
            target[2 * (j * n + i) + 1] = pair * vectors[second * n + i] if pair != T(0) else T(0)


# ---- permutations --------------------------------------------------------------------------------


@native
def permute(pivots: i32p, table: i64p, order: i64p, info: i64p) -> void:
    """The order of rows that a factorisation's exchanges (counted from 1) make; table: rows,
    exchanges, their step.

    info = 1 if a pivot is out of range.
    """
    rows = table[0]
    info[0] = 0
    for i in range(rows):
        order[i] = i
    for i in range(table[1]):
        other = i64(pivots[0]) - 1
        pivots = ptr(pivots) + table[2]
        if other < 0 or other >= rows:
            info[0] = 1
            return
        kept = order[i]
        order[i] = order[other]
        order[other] = kept


@native
def permutation_matrix(order: i64p, table: i64p, target: ptr) -> void:
    """P with P[order[i], i] = 1; table: order, steps of the target."""
    for i in range(table[0]):
        for j in range(table[0]):
            x: TP = target + (i * table[1] + j * table[2])
            x[0] = T(0)
            if COMPLEX:
                x[1] = T(0)
    for i in range(table[0]):
        y: TP = target + (order[i] * table[1] + i * table[2])
        y[0] = T(1)


_ = (WORDS, f64)

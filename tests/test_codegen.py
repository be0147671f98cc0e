"""Scalar expressions and pointwise kernels: every row of the scalar table, every loop structure."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from kernel_runner import array_dtype, pointwise

from flambeau.codegen.dtypes import ITEMSIZE, KIND, promote
from flambeau.codegen.expr import VOCABULARY, Expr, build, where
from flambeau.codegen.loops import INTEGER_DIVISION_BY_ZERO, collapse, plan_pointwise
from flambeau.codegen.table import TABLE

REAL = ("float32", "float64", "int8", "int32", "int64", "uint8", "uint64", "bool")
FLOATS = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-3, 3.7, -3.7, 10, 88, -88, 100, -100]
FLOATS += [1e10, -1e10, 1e30, -1e30, 1e-40, np.pi, np.inf, -np.inf, np.nan]
# The scalar table has no reference for these, or NumPy's differs from torch (sign of NaN, angle of
# -0.0, integer powers, booleans); they are tested on their own below.
OWN_TEST = {"erfinv", "digamma", "lgamma", "sign", "sgn", "angle", "floor_divide", "remainder"}
OWN_TEST |= {"fmod", "pow", "power", "trunc_divide", "trunc_remainder", "shift_left", "nextafter"}
OWN_TEST |= {"shift_right", "bitwise_left_shift", "bitwise_right_shift"}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    warnings.simplefilter("ignore", RuntimeWarning)


def samples(dtype: str) -> np.ndarray:
    """Values of `dtype` with the special ones."""
    if KIND[dtype] == "f":
        return np.array(FLOATS).astype(dtype)
    if dtype == "bool":
        return np.array([False, True])
    info = np.iinfo(dtype)
    values = [0, 1, 2, 3, 5, 7, 63, 64, 100, info.min, info.max]
    return np.array(values + [-1, -2, -7] if info.min else values, dtype)


def ulps(result: np.ndarray, exact: np.ndarray) -> float:
    """The greatest error in units in the last place of `result`; NaN and infinity must agree."""
    rounded = exact.astype(result.dtype)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(rounded))
    usual = np.isfinite(rounded)
    np.testing.assert_array_equal(
        result[~usual & ~np.isnan(result)], rounded[~usual & ~np.isnan(result)]
    )
    error = np.abs(result[usual].astype(np.longdouble) - exact[usual])
    return float(np.max(error / np.spacing(np.abs(rounded[usual])), initial=0))


@pytest.mark.parametrize("dtype", REAL)
def test_every_row_of_the_table(dtype: str) -> None:
    a, b = (grid.ravel().copy() for grid in np.meshgrid(samples(dtype), samples(dtype)))
    tested = 0
    for row in TABLE.values():
        if row.name in OWN_TEST or row.arity > 2 or (dtype == "bool" and row.name == "frac"):
            continue
        arrays = [a, b][: row.arity]
        expr = build(row.name, *(Expr.input(i, dtype) for i in range(row.arity)))
        try:
            (result,), error = pointwise(expr, arrays, (dtype,) * row.arity, (expr.dtype,))
        except NotImplementedError as refusal:
            assert row.name in str(refusal)
            continue
        tested += 1
        assert error == 0
        if KIND[expr.dtype] == "f":
            # Integers are computed in float32; references take the values that are really seen.
            seen = [array.astype(expr.dtype).astype(np.longdouble) for array in arrays]
            assert ulps(result, np.asarray(row.reference(np, *seen), np.longdouble)) < 3, row.name
        else:
            np.testing.assert_array_equal(result, row.reference(np, *arrays), row.name)
    assert tested > 35


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_functions_are_accurate(dtype: str) -> None:
    rng = np.random.default_rng(0)
    wide = np.exp(rng.uniform(-80, 80, 4000))
    parts = [rng.standard_normal(4000) * 3, rng.uniform(-110, 110, 4000), wide, -wide]
    x = np.concatenate([*parts, 1 + rng.standard_normal(4000) * 0.01]).astype(dtype)
    names = (
        "exp exp2 expm1 log log2 log10 log1p tanh sinh cosh asinh acosh atanh sin cos tan asin acos"
    )
    for name in [*names.split(), "atan", "erf"]:
        expr = build(name, Expr.input(0, dtype))
        (result,), _ = pointwise(expr, [x], (dtype,), (dtype,))
        with np.errstate(all="ignore"):
            exact = TABLE[name].reference(np, x.astype(np.longdouble))
        bound = 3.5 if name == "tan" else 2.6
        assert ulps(result, np.asarray(exact, np.longdouble)) < bound, name


def test_other_float_functions() -> None:
    x = np.array([-0.99, -0.5, 0.0, 0.3, 0.9, 1.0, -1.0, 1.5])
    (y,), _ = pointwise(Expr.input(0, "float64").erfinv(), [x], ("float64",), ("float64",))
    np.testing.assert_allclose([math.erf(v) for v in y[:7]], x[:7], rtol=1e-15)
    assert np.isnan(y[7])
    x = np.array([1.0, 2.5, 0.25, -0.5, -3.0, 0.0, np.inf, 100.0])
    euler = 0.5772156649015329
    (y,), _ = pointwise(Expr.input(0, "float64").digamma(), [x], ("float64",), ("float64",))
    known = [-euler, 0.7031566406452432, -4.227453533376265, 0.03648997397857652, np.nan, -np.inf]
    np.testing.assert_allclose(y, [*known, np.inf, 4.600161852738087], rtol=1e-14)
    x = np.array([0.5, 1, 10.5, -0.5, 0])
    (y,), _ = pointwise(
        Expr.input(0, "float32").lgamma(), [x.astype("f4")], ("float32",), ("float32",)
    )
    exact = [math.lgamma(v) for v in x[:4]]
    np.testing.assert_allclose(y, [*exact, np.inf], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint8"])
def test_division_and_power(dtype: str) -> None:
    a, b = (grid.ravel().copy() for grid in np.meshgrid(samples(dtype), samples(dtype)))
    if KIND[dtype] != "f":
        lowest = np.iinfo(dtype).min
        usual = b != 0
        if lowest:
            usual &= (a != lowest) | (b != -1)
        a, b = a[usual], b[usual]
    x, y = Expr.input(0, dtype), Expr.input(1, dtype)
    for name in ("floor_divide", "remainder", "fmod"):
        (result,), error = pointwise(build(name, x, y), [a, b], (dtype, dtype), (dtype,))
        expected = TABLE[name].reference(np, a, b)
        if KIND[dtype] == "f":
            # torch: dividing by zero gives what `/` gives, as does a remainder of infinity.
            usual = np.isfinite(a) & np.isfinite(b) & (b != 0)
            result, expected = result[usual], expected[usual]
        np.testing.assert_array_equal(result, expected, name)
        assert error == 0
    if KIND[dtype] != "f":
        b = np.abs(b) % 9
    (result,), _ = pointwise(x**y, [a, b], (dtype, dtype), (dtype,))
    np.testing.assert_allclose(result, np.power(a, b), rtol=1e-6 if dtype == "float32" else 1e-15)


def test_remainders_are_exact() -> None:
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        a = (rng.standard_normal(3000) * 10 ** rng.uniform(-8, 20, 3000)).astype(dtype)
        b = (rng.standard_normal(3000) * 10 ** rng.uniform(-8, 8, 3000)).astype(dtype)
        (result,), _ = pointwise(
            Expr.input(0, dtype).fmod(Expr.input(1, dtype)), [a, b], (dtype,) * 2, (dtype,)
        )
        np.testing.assert_array_equal(result, np.fmod(a, b))
    a = rng.integers(-(2**63), 2**63 - 1, 3000) >> rng.integers(0, 62, 3000)
    b = (rng.integers(-(2**63), 2**63 - 1, 3000) >> rng.integers(0, 62, 3000)) | 1
    x, y = Expr.input(0, "int64"), Expr.input(1, "int64")
    (quotient, rest), _ = pointwise((x // y, x % y), [a, b], ("int64",) * 2, ("int64",) * 2)
    np.testing.assert_array_equal(quotient, a // b)
    np.testing.assert_array_equal(rest, a % b)


def test_division_of_integers_by_zero_is_reported() -> None:
    x, y = Expr.input(0, "int64"), Expr.input(1, "int64")
    a, b = np.array([7, -7, 5, -(2**63)]), np.array([2, 2, 0, -1])
    for expr, expected in (
        (x // y, [3, -4, 0, -(2**63)]),
        (x % y, [1, 1, 0, 0]),
        (x.fmod(y), [1, -1, 0, 0]),
    ):
        (result,), error = pointwise(expr, [a, b], ("int64", "int64"), ("int64",))
        assert result.tolist() == expected and error == INTEGER_DIVISION_BY_ZERO
        assert pointwise(expr, [a, b + 10], ("int64", "int64"), ("int64",))[1] == 0
    steps = [(8,), (8,), (8,)]
    assert plan_pointwise((x // y,), ("int64",) * 2, ("int64",), (4,), steps).can_fail
    assert not plan_pointwise((x // 3,), ("int64",), ("int64",), (4,), steps[:2]).can_fail
    # In rows, a failure in an early row is still seen at the end.
    c = np.ones((6, 4, 3), np.int64)
    c[0, 0, 0] = 0
    assert pointwise(x // y, [c, c], ("int64", "int64"), ("int64",))[1] == INTEGER_DIVISION_BY_ZERO
    sliced = c[:, :, :2]
    assert pointwise(x % y, [sliced, sliced], ("int64", "int64"), ("int64",))[1]


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_shifts(dtype: str) -> None:
    bits = 8 * ITEMSIZE[dtype]
    values = samples(dtype)
    amounts = np.array([0, 1, bits - 1, bits, bits + 1], dtype)
    a, b = (grid.ravel().copy() for grid in np.meshgrid(values, amounts))
    x, y = Expr.input(0, dtype), Expr.input(1, dtype)
    (left, right), _ = pointwise((x << y, x >> y), [a, b], (dtype, dtype), (dtype, dtype))
    exact_left = [int(p) << int(q) if q < bits else 0 for p, q in zip(a, b)]
    np.testing.assert_array_equal(
        left, np.array([v % 2**bits for v in exact_left], f"u{bits // 8}").view(dtype)
    )
    np.testing.assert_array_equal(
        right, np.array([int(p) >> int(q) for p, q in zip(a, b)]).astype(dtype)
    )


def test_sign_angle_and_nextafter() -> None:
    x = samples("float32")
    v = Expr.input(0, "float32")
    (sign, angle), _ = pointwise((v.sign(), v.angle()), [x], ("float32",), ("float32",) * 2)
    np.testing.assert_array_equal(sign, np.nan_to_num(np.sign(x)))
    np.testing.assert_array_equal(angle, np.where(x < 0, np.float32(np.pi), np.where(x == x, 0, x)))
    for dtype in ("float32", "float64"):
        a, b = (grid.ravel().copy() for grid in np.meshgrid(samples(dtype), samples(dtype)))
        expr = Expr.input(0, dtype).nextafter(Expr.input(1, dtype))
        (result,), _ = pointwise(expr, [a, b], (dtype, dtype), (dtype,))
        np.testing.assert_array_equal(result, np.nextafter(a, b))


def test_floats_become_integers_as_in_torch() -> None:
    x = [300.0, -1.0, 3e9, -3e9, np.nan, np.inf, -np.inf, 1e20, 255.9, -129.0]
    low32, low64 = -(2**31), -(2**63)
    expected = {
        "uint8": [44, 255, 0, 0, 0, 0, 0, 0, 255, 127],
        "int8": [44, -1, 0, 0, 0, 0, 0, 0, -1, 127],
        "int32": [300, -1, low32, low32, low32, low32, low32, low32, 255, -129],
        "int64": [300, -1, 3 * 10**9, -3 * 10**9, low64, low64, low64, low64, 255, -129],
        "bool": [True] * 10,
    }
    for source in ("float32", "float64"):
        for target, values in expected.items():
            expr = Expr.input(0, source).to(target)
            (result,), _ = pointwise(expr, [np.array(x, source)], (source,), (target,))
            assert result.tolist() == values


def test_float16_and_bfloat16_round_to_nearest_even() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(5000) * 10 ** rng.uniform(-45, 38, 5000)).astype("f4")
    x = np.concatenate(
        [x, np.array([0, -0.0, np.inf, -np.inf, np.nan, 1 + 2**-8, 1 + 3 * 2**-8], "f4")]
    )
    v = Expr.input(0, "float32")
    (half, bits), _ = pointwise((v, v), [x], ("float32",), ("float16", "bfloat16"))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(half, x.astype("f2"))
    exact = x.view("u4").astype(np.uint64)
    rounded = ((exact + 0x7FFF + (exact >> 16 & 1)) >> 16).astype("u2")
    np.testing.assert_array_equal(bits[~np.isnan(x)], rounded[~np.isnan(x)])
    assert all(word & 0x7FFF == 0x7FC0 for word in bits[np.isnan(x)])
    (back,), _ = pointwise(Expr.input(0, "bfloat16"), [bits], ("bfloat16",), ("float32",))
    np.testing.assert_array_equal(back, (bits.astype("u4") << 16).view("f4"))
    (through,), _ = pointwise(v.to("bfloat16") * 1, [x], ("float32",), ("float32",))
    np.testing.assert_array_equal(through, back)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_functions(dtype: str) -> None:
    rng = np.random.default_rng(0)
    z = (rng.standard_normal(300) * 3 + 1j * rng.standard_normal(300)).astype(dtype)
    w = (rng.standard_normal(300) + 1j * rng.standard_normal(300)).astype(dtype)
    tolerance = 1e-5 if dtype == "complex64" else 1e-13
    x, y = Expr.input(0, dtype), Expr.input(1, dtype)
    for name in "add sub mul div pow eq ne".split():
        expr = build(name, x, y)
        (result,), _ = pointwise(expr, [z, w], (dtype, dtype), (expr.dtype,))
        expected = TABLE[name].reference(np, z.astype("c16"), w.astype("c16"))
        np.testing.assert_allclose(result, expected, tolerance, err_msg=name)
    names = (
        "abs exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan sinh cosh tanh sigmoid square"
    )
    for name in [
        *names.split(),
        *"reciprocal neg conj real imag angle isnan isinf isfinite".split(),
    ]:
        expr = build(name, x)
        (result,), _ = pointwise(expr, [z], (dtype,), (expr.dtype,))
        expected = TABLE[name].reference(np, z.astype("c16"))
        np.testing.assert_allclose(result, expected, tolerance, err_msg=name)
    with pytest.raises(NotImplementedError, match="floor"):
        pointwise(x.floor(), [z], (dtype,), (dtype,))


def test_expressions_are_shared_and_promoted() -> None:
    x, n, b = Expr.input(0, "float32"), Expr.input(1, "int32"), Expr.input(2, "bool")
    assert (x * 2 + 1) is (x * 2 + 1) and (x * 0.0) is not (x * -0.0)
    assert (x * float("nan")) is (x * float("nan"))
    assert [(x + n).dtype, (n + b).dtype, (n / n).dtype, (n + 0.5).dtype, (b + 1).dtype] == [
        "float32", "int32", "float32", "float32", "int64",
    ]  # fmt: skip
    assert (n < 3).dtype == "bool" and n.exp().dtype == "float32" and (x * 1j).dtype == "complex64"
    assert promote("uint8", "int8") == "int16" and promote("float16", "bfloat16") == "float16"
    with pytest.raises(TypeError, match="truth value"):
        bool(x > 0)
    with pytest.raises(TypeError, match="takes 2 values"):
        x.atan2()
    with pytest.raises(TypeError, match="str"):
        x + "1"
    assert {"exp", "where", "to", "maximum", "logical_not"} <= set(VOCABULARY)


def test_where_speaks_to_expressions_and_tensors() -> None:
    class Tensor:
        def __init__(self, name: str) -> None:
            self.name = name

        def where(self, condition: object, other: object) -> tuple[object, ...]:
            return "where", self, condition, other

        def logical_not(self) -> str:
            return f"not {self.name}"

    c, t = Tensor("c"), Tensor("t")
    assert where(c, t, 0) == ("where", t, c, 0)
    assert where(c, 0, t) == ("where", t, "not c", 0)
    x = Expr.input(0, "float32")
    assert where(x > 0, x, 0).dtype == "float32" and where(True, x, 0) is x
    assert where(x > 0, 1, 0.5).dtype == "float32"


def test_names_depend_on_the_kernel_only() -> None:
    code = (
        "from flambeau.codegen.expr import Expr\n"
        "from flambeau.codegen.loops import plan_pointwise\n"
        "x = Expr.input(0, 'float32')\n"
        "plan = plan_pointwise((x.exp() * 2,), ('float32',), ('float32',), (8,), ((4,), (4,)))\n"
        "print(plan.symbol_name)"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    x = Expr.input(0, "float32")
    here = plan_pointwise((x.exp() * 2,), ("float32",), ("float32",), (9,), ((4,), (4,)))
    assert names == {here.symbol_name + "\n"}
    other = plan_pointwise((x.exp() * 3,), ("float32",), ("float32",), (9,), ((4,), (4,)))
    strided = plan_pointwise((x.exp() * 2,), ("float32",), ("float32",), (9,), ((8,), (4,)))
    assert len({here.symbol_name, other.symbol_name, strided.symbol_name}) == 3


def test_dimensions_collapse() -> None:
    assert collapse((2, 1, 3), ((12, 7, 4), (0, 0, 0))) == ([6], [[4], [0]])
    assert collapse((2, 3), ((12, 4), (0, 4))) == ([2, 3], [[12, 4], [0, 4]])
    assert collapse((1, 1), ((4, 4),)) == ([], [[]])


def views(rng: np.random.Generator, dtype: str) -> list[list[np.ndarray]]:
    """Groups of arrays that broadcast together, in many layouts."""

    def make(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 5).astype(dtype)

    a = make(4, 5, 6)
    return [
        [a, make(5, 6)],
        [a.transpose(2, 0, 1), make(6, 1, 5)],
        [a[:, ::2], make(1, 1, 6)],
        [a[:, :, ::3], a[:, :, 1::3]],
        [a[:0], a[:0]],
        [a[0, 0, 0, None].reshape(()), make()],
        [make(), make(3, 2)],
        [make(2, 3, 2, 3, 2)[:, ::2, :, ::2], make(2, 2, 1, 2, 2)],
        [make(3000), make(1)],
        [make(1, 700).T, make(700, 1)],
        [np.broadcast_to(make(1, 3), (5, 3)), make(5, 1)],
    ]


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "float16", "complex64"])
def test_loop_structures(dtype: str) -> None:
    x, y = Expr.input(0, dtype), Expr.input(1, dtype)
    rng = np.random.default_rng(0)
    for a, b in views(rng, dtype):
        shape = np.broadcast_shapes(a.shape, b.shape)
        transposed = np.empty(shape[::-1], array_dtype(dtype)).T
        for outputs in (None, [np.empty(shape, array_dtype(dtype)), transposed]):
            both = (x * y, where(x != y, x, y))
            results, _ = pointwise(both, [a, b], (dtype, dtype), (dtype, dtype), outputs)
            np.testing.assert_array_equal(results[0], np.multiply(a, b))
            np.testing.assert_array_equal(results[1], np.where(a != b, a, b))


def test_outputs_may_be_the_inputs() -> None:
    rng = np.random.default_rng(0)
    x, y = Expr.input(0, "float32"), Expr.input(1, "float32")
    for shape in ((1000,), (7, 9)):
        a, b = rng.standard_normal((2, *shape)).astype("f4")
        expected = np.sin(a.astype("f8") * 1e9) + b
        a *= np.float32(1e9)
        expected = np.sin(a.astype("f8")) + b
        pointwise(x.sin() + y, [a, b], ("float32",) * 2, ("float32",), [a])
        np.testing.assert_allclose(a, expected, atol=1e-6)


def test_rare_cases_are_computed_where_they_occur() -> None:
    x = np.full(5000, 1.5, "f4")
    x[[0, 1023, 1024, 3000, 4999]] = [1e20, np.inf, -3e38, np.nan, 1e15]
    v = Expr.input(0, "float32")
    (sin, tan), _ = pointwise((v.sin(), v.tan()), [x], ("float32",), ("float32",) * 2)
    np.testing.assert_allclose(sin, np.sin(x.astype("f8")), rtol=1e-6)
    np.testing.assert_allclose(tan, np.tan(x.astype("f8")), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool", "bfloat16"])
def test_transposed_operands_are_done_in_tiles(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = Expr.input(0, dtype), Expr.input(1, dtype)
    for rows, columns in ((16, 16), (33, 70), (16, 200), (100, 17), (64, 64)):
        a = (rng.random((2, rows, columns)) * 200).astype(array_dtype(dtype))
        b = (rng.random((2, columns, rows)) * 200).astype(array_dtype(dtype))
        strides = [b.transpose(0, 2, 1).strides, a.strides]
        plan = plan_pointwise((x,), (dtype,), (dtype,), a.shape, strides)
        assert plan.symbol_name.startswith("tiles")
        (copy,), _ = pointwise(x, [b.transpose(0, 2, 1)], (dtype,), (dtype,))
        np.testing.assert_array_equal(copy, b.transpose(0, 2, 1))
        if dtype == "bfloat16":
            continue
        (product,), _ = pointwise(x * y, [a, b.transpose(0, 2, 1)], (dtype,) * 2, (dtype,))
        np.testing.assert_array_equal(product, a * b.transpose(0, 2, 1))
        line = a[:, :, :1]
        arrays = [line, b.transpose(0, 2, 1)]
        (chosen,), _ = pointwise(where(x > y, x, y), arrays, (dtype,) * 2, (dtype,))
        np.testing.assert_array_equal(chosen, np.maximum(line, b.transpose(0, 2, 1)))
        pointwise(x * y, [a, b.transpose(0, 2, 1)], (dtype,) * 2, (dtype,), [a])
        np.testing.assert_array_equal(a, product)


def test_few_long_rows_are_cut_for_the_threads() -> None:
    x, y = Expr.input(0, "float32"), Expr.input(1, "float32")
    long = ((4 * 2**20, 4), (4, 0), (4 * 2**20, 4))
    plan = plan_pointwise((x + y,), ("float32",) * 2, ("float32",), (2, 2**20), long)
    assert plan.items == 128 and plan.work == 2**21
    a, b = np.arange(2.0**18, dtype="f4").reshape(2, -1), np.array([[1], [2]], "f4")
    (total,), _ = pointwise(x + y, [a, b], ("float32",) * 2, ("float32",))
    np.testing.assert_array_equal(total, a + b)


def test_python_numbers_are_operands() -> None:
    a = np.arange(6, dtype="f4").reshape(2, 3)
    for number, dtype in (
        (np.array(2.5), "float64"),
        (np.array(3), "int64"),
        (np.array(True), "bool"),
    ):
        expr = Expr.input(0, "float32") * Expr.input(1, dtype).to("float32")
        (result,), _ = pointwise(expr, [a[:, :2], number], ("float32", dtype), ("float32",))
        np.testing.assert_array_equal(result, a[:, :2] * np.float32(number))
    expr = Expr.input(0, "float32") * Expr.input(1, "complex128").to("complex64")
    (result,), _ = pointwise(expr, [a, np.array(2 + 1j)], ("float32", "complex128"), ("complex64",))
    np.testing.assert_array_equal(result, a * np.complex64(2 + 1j))

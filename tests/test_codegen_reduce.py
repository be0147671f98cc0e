"""Reduction kernels: every monoid in every loop structure, beside NumPy in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernel_runner import reduce

from flambeau.codegen import monoids
from flambeau.codegen.expr import Expr
from flambeau.codegen.reduce import plan_reduction

# Shapes and the dimensions that are reduced: short and long rows, outer, split, all, none.
CASES = [
    ((5,), (0,)),
    ((1000,), (0,)),
    ((7, 100), (1,)),
    ((100, 7), (0,)),
    ((3, 40, 50), (0, 2)),
    ((40, 3, 50), (1,)),
    ((200000,), (0,)),
    ((6, 50000), (1,)),
    ((4, 3, 2), (0, 1, 2)),
    ((5, 1), (1,)),
    ((50, 64, 40), (0,)),
    ((20000, 33), (0, 1)),
    ((300, 5), (1,)),
    ((30, 6, 5), (1,)),
    ((20, 40, 5), (1,)),
    ((20000, 13), (0,)),
    ((9, 32), (0,)),
    ((3, 4), ()),
]


def layouts(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    a = (rng.standard_normal(shape) + 1.5).astype(dtype)
    doubled = np.repeat(a, 2, axis=-1)[..., ::2]
    return [a, np.asfortranarray(a), doubled]


def check(result: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0) if tolerance else 0
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * scale)


def flattened(a: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """The reduced dimensions as one, the last."""
    kept = [d for d in range(a.ndim) if d not in dims]
    return a.transpose(*kept, *dims).reshape([a.shape[d] for d in kept] + [-1])


@pytest.mark.parametrize(
    "dtype, shape, dims",
    [("float32", *case) for case in CASES] + [("float64", *case) for case in CASES[2::4]],
)
def test_float_reductions(dtype: str, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    x = (Expr.input(0, dtype),)
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    for a in layouts(np.random.default_rng(0), shape, dtype):
        rows = flattened(a.astype("f8"), dims)

        def run(monoid, parameters=(), outputs=(dtype,), a=a):
            return reduce(monoid, x, [a], (dtype,), outputs, dims, parameters)

        check(run(monoids.sum_of(dtype, dtype))[0], rows.sum(-1), tolerance)
        check(run(monoids.mean_of(dtype, dtype))[0], rows.mean(-1), tolerance)
        check(run(monoids.maximum_of(dtype, dtype))[0], rows.max(-1), 0)
        check(run(monoids.minimum_of(dtype, dtype))[0], rows.min(-1), 0)
        variance, mean = run(monoids.variance_of(dtype, (dtype,) * 2), (0.0,), (dtype,) * 2)
        check(variance, rows.var(-1), 3 * tolerance)
        check(mean, rows.mean(-1), tolerance)
        if rows.shape[-1] > 1:
            root = monoids.variance_of(dtype, (dtype,), root=True)
            check(run(root, (1.0,))[0], rows.std(-1, ddof=1), 3 * tolerance)
        top = rows.max(-1, keepdims=True)
        check(
            run(monoids.logsumexp_of(dtype, dtype))[0],
            np.log(np.exp(rows - top).sum(-1)) + top[..., 0],
            tolerance,
        )
        size = np.abs(rows)
        norms = {0.0: (size != 0).sum(-1), 1.0: size.sum(-1), 2.0: np.sqrt((size**2).sum(-1))}
        norms |= {np.inf: size.max(-1), -np.inf: size.min(-1)}
        for p, expected in norms.items():
            check(run(monoids.norm_of(dtype, dtype, p))[0], expected.astype("f8"), tolerance)
        check(
            run(monoids.norm_of(dtype, dtype, None), (3.0,))[0],
            (size**3).sum(-1) ** (1 / 3),
            tolerance,
        )
        one = np.where(rows > 1.5, 1.0, -1.0)
        sign = ((x[0] > 1.5).to(dtype) * 2 - 1,)
        check(
            reduce(monoids.product_of(dtype, dtype), sign, [a], (dtype,), (dtype,), dims)[0],
            one.prod(-1),
            tolerance,
        )


@pytest.mark.parametrize("shape, dims", CASES)
def test_arguments_nan_and_other_dtypes(shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    x = Expr.input(0, "float32")
    for a in layouts(np.random.default_rng(1), shape, "float32"):
        a = np.round(a * 2)  # ties
        with_nan = a.copy(order="K")
        with_nan[..., -1:] = np.nan
        for b in (a, with_nan):
            rows = flattened(b, dims)
            outputs = ("float32", "int64")
            value, index = reduce(
                monoids.argmax_of("float32", outputs), (x,), [b], ("float32",), outputs, dims
            )
            np.testing.assert_array_equal(value, rows.max(-1))
            np.testing.assert_array_equal(index, rows.argmax(-1))
            least = monoids.argmin_of("float32", ("int64",))
            (index,) = reduce(least, (x,), [b], ("float32",), ("int64",), dims)
            np.testing.assert_array_equal(index, rows.argmin(-1))
            (value,) = reduce(
                monoids.maximum_of("float32", "float32"),
                (x,),
                [b],
                ("float32",),
                ("float32",),
                dims,
            )
            np.testing.assert_array_equal(value, rows.max(-1))
        rows, axes = flattened(a, dims), tuple(dims)
        positive = ((x > 1),)
        (some,) = reduce(monoids.any_of("bool"), positive, [a], ("float32",), ("bool",), dims)
        (every,) = reduce(monoids.all_of("bool"), positive, [a], ("float32",), ("bool",), dims)
        np.testing.assert_array_equal(some, (rows > 1).any(-1))
        np.testing.assert_array_equal(every, (rows > 1).all(-1))
        n = a.astype("i4", order="K")
        count = Expr.input(0, "int32").to("int64")
        (total,) = reduce(
            monoids.sum_of("int64", "int64"), (count,), [n], ("int32",), ("int64",), dims
        )
        np.testing.assert_array_equal(total, n.astype("i8").sum(axes))
        (least_n,) = reduce(
            monoids.minimum_of("int32", "int32"),
            (Expr.input(0, "int32"),),
            [n],
            ("int32",),
            ("int32",),
            dims,
        )
        np.testing.assert_array_equal(least_n, n.min(axes))
        z = (a + 1j * a).astype("c8", order="K")
        (total,) = reduce(
            monoids.sum_of("complex64", "complex64"),
            (Expr.input(0, "complex64"),),
            [z],
            ("complex64",),
            ("complex64",),
            dims,
        )
        check(total, z.astype("c16").sum(axes), 2e-6)


def test_every_order_of_dimensions() -> None:
    x = (Expr.input(0, "float32"),)
    base = np.random.default_rng(0).standard_normal((6, 70, 9)).astype("f4")
    for order in itertools.permutations(range(3)):
        a = base.transpose(order)
        for count in range(4):
            for dims in itertools.combinations(range(3), count):
                (total,) = reduce(
                    monoids.sum_of("float32", "float32"), x, [a], ("float32",), ("float32",), dims
                )
                check(total, a.astype("f8").sum(dims) if dims else a, 1e-6)


def test_products_of_operands_are_reduced_without_a_temporary() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((300, 50)).astype("f4"), rng.standard_normal(50).astype("f4")
    expr = (Expr.input(0, "float32") * Expr.input(1, "float32"),)
    arrays = [a, np.broadcast_to(b, a.shape)]
    for dims in ((0,), (1,), (0, 1)):
        (total,) = reduce(
            monoids.sum_of("float32", "float32"), expr, arrays, ("float32",) * 2, ("float32",), dims
        )
        check(total, (a.astype("f8") * b).sum(dims), 1e-5)


def test_rare_elements_of_a_reduction() -> None:
    a = np.random.default_rng(0).standard_normal((40, 500)).astype("f4")
    a[3, 7], a[20, 499] = 1e20, -3e15
    expr = (Expr.input(0, "float32").sin(),)
    for dims in ((0,), (1,), (0, 1)):
        total = monoids.sum_of("float32", "float32")
        (result,) = reduce(total, expr, [a], ("float32",), ("float32",), dims)
        check(result, np.sin(a.astype("f8")).sum(dims), 1e-5)


def test_reductions_of_nothing() -> None:
    x = (Expr.input(0, "float32"),)
    for shape, dims in (((3, 0), (1,)), ((0,), (0,)), ((2, 0, 3), (0, 1))):
        a = np.empty(shape, "f4")
        for monoid, value in (
            (monoids.sum_of("float32", "float32"), 0.0),
            (monoids.product_of("float32", "float32"), 1.0),
            (monoids.mean_of("float32", "float32"), np.nan),
            (monoids.logsumexp_of("float32", "float32"), -np.inf),
        ):
            (result,) = reduce(monoid, x, [a], ("float32",), ("float32",), dims)
            np.testing.assert_array_equal(result, np.full(result.shape, value, "f4"))
        (result,) = reduce(
            monoids.variance_of("float32", ("float32",)),
            x,
            [a],
            ("float32",),
            ("float32",),
            dims,
            (1.0,),
        )
        assert np.isnan(result).all()
    (result,) = reduce(
        monoids.sum_of("float32", "float32"),
        x,
        [np.empty((0, 3), "f4")],
        ("float32",),
        ("float32",),
        (1,),
    )
    assert result.shape == (0,)


def test_logsumexp_of_infinities() -> None:
    x = (Expr.input(0, "float32"),)
    inf = np.inf
    for row, value in (
        ([inf, 1], inf),
        ([-inf, -inf], -inf),
        ([-inf, 1], 1),
        ([np.nan, inf], np.nan),
        ([1e30, 1e30], 1e30),
    ):
        (result,) = reduce(
            monoids.logsumexp_of("float32", "float32"),
            x,
            [np.array(row, "f4")],
            ("float32",),
            ("float32",),
            (0,),
        )
        np.testing.assert_array_equal(result, np.float32(value))


def test_long_float32_sums_are_accurate() -> None:
    a = np.full(3_000_000, 0.1, "f4")
    x = (Expr.input(0, "float32"),)
    (total,) = reduce(
        monoids.sum_of("float32", "float32"), x, [a], ("float32",), ("float32",), (0,)
    )
    assert abs(float(total) / a.astype("f8").sum() - 1) < 5e-7
    (total,) = reduce(
        monoids.sum_of("float32", "float32"),
        x,
        [a.reshape(-1, 3)],
        ("float32",),
        ("float32",),
        (0,),
    )
    np.testing.assert_allclose(total, 1e5, rtol=1e-6)
    shifted = np.random.default_rng(0).standard_normal(500_000).astype("f4") + np.float32(1000)
    (variance,) = reduce(
        monoids.variance_of("float32", ("float32",)),
        x,
        [shifted],
        ("float32",),
        ("float32",),
        (0,),
        (1.0,),
    )
    np.testing.assert_allclose(variance, shifted.astype("f8").var(ddof=1), rtol=1e-6)


def test_plans_are_checked() -> None:
    x = Expr.input(0, "int64")
    steps = ((8,),), ((8,),), ((8,),)
    with pytest.raises(ValueError, match="1 parameters, not 0"):
        plan_reduction(
            monoids.variance_of("float32", ("float32",)),
            (x,),
            ("int64",),
            ("float32",),
            (4,),
            (9,),
            *steps,
        )
    with pytest.raises(NotImplementedError, match="integer division"):
        plan_reduction(
            monoids.sum_of("int64", "int64"), (x // x,), ("int64",), ("int64",), (4,), (9,), *steps
        )

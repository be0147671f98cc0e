"""Matrix products against NumPy in float64: every layout, dtype, size of tile, and empty sizes."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import flambeau as torch
from flambeau.ops.kernels import gemm, gemm_tiles, transposers, vector_text

FLOATS = {"float32": 2e-6, "float64": 1e-14, "bfloat16": 8e-3, "float16": 1e-3}
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")
LAYOUTS = ("rows", "columns", "steps", "expanded", "inside")


def values(generator: random.Random, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    numbers = np.random.default_rng(generator.randrange(1 << 30))
    if dtype in FLOATS:
        return torch.from_numpy(numbers.standard_normal(shape)).to(getattr(torch, dtype))
    return torch.from_numpy(numbers.integers(0, 50, shape)).to(getattr(torch, dtype))


def matrix(
    generator: random.Random, shape: tuple[int, ...], dtype: str, layout: str
) -> torch.Tensor:
    """A tensor whose last two dimensions lie in memory as `layout` says."""
    *batch, m, n = shape
    if layout == "rows":
        return values(generator, shape, dtype)
    if layout == "columns":
        return values(generator, (*batch, n, m), dtype).mT
    if layout == "steps":
        return values(generator, (*batch, 2 * m, 3 * n), dtype)[..., ::2, ::3]
    if layout == "expanded":
        return values(generator, (*batch, m, 1), dtype).expand(shape)
    return values(generator, (*batch, m + 2, n + 3), dtype)[..., 1 : m + 1, 2 : n + 2]


def exact(tensor: torch.Tensor) -> np.ndarray:
    wide = torch.float64 if tensor.dtype.is_floating_point else torch.int64
    return tensor.detach().to(wide).numpy()


def check(result: torch.Tensor, *terms: tuple[np.ndarray, ...]) -> None:
    """result == sum of the products of each term's arrays, within the rounding of its dtype."""
    dtype = str(result.dtype).removeprefix("torch.")
    total = sum(np.matmul(*t) if len(t) == 2 else t[0] for t in terms)
    assert tuple(result.shape) == np.shape(total)
    if dtype in INTEGERS:
        np.testing.assert_array_equal(result.numpy(), np.asarray(total).astype(dtype))
        return
    size = sum(np.matmul(*map(np.abs, t)) if len(t) == 2 else np.abs(t[0]) for t in terms)
    error = np.abs(exact(result) - total) / (size + 1)
    assert error.size == 0 or error.max() <= 4 * FLOATS[dtype]


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_layouts(dtype):
    generator = random.Random(dtype)
    sizes = [1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 50, 64, 97, 130]
    for left, right in itertools.product(LAYOUTS, LAYOUTS):
        m, n = generator.choice(sizes), generator.choice(sizes)
        k = generator.choice([1, 2, 5, 16, 33, 200, 517])
        a = matrix(generator, (m, k), dtype, left)
        b = matrix(generator, (k, n), dtype, right)
        check(a @ b, (exact(a), exact(b)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64"])
def test_every_tile(dtype):
    generator = random.Random(0)
    for m in range(1, 18):
        for n in (1, 15, 16, 17, 40, 49, 100, 129):
            a, b = values(generator, (m, 35), dtype), values(generator, (35, n), dtype)
            check(a @ b, (exact(a), exact(b)))
            b = matrix(generator, (35, n), dtype, "columns")
            check(a @ b, (exact(a), exact(b)))


@pytest.mark.parametrize("width, registers", [(32, 16), (16, 16), (16, 32)])
def test_narrower_vectors(monkeypatch, width, registers):
    """The same kernels for processors with other vector registers."""
    caches = (
        gemm_tiles.lanes_of,
        gemm_tiles.has_pairs,
        transposers.transposer_address,
        gemm.code,
    )
    for module in (vector_text, gemm_tiles, gemm):
        monkeypatch.setattr(module, "machine_vectors", lambda: (width, registers))
    for cache in caches:
        cache.cache_clear()
    try:
        generator = random.Random(width + registers)
        for dtype in ("float32", "float64", "bfloat16", "int8"):
            for m, n, k, right in (
                (width + 5, registers + 38, 61, "rows"),
                (width + 6, registers + 39, 67, "columns"),
                (2, registers + 25, width + 333, "columns"),
                (width + 301, 1, registers + 77, "rows"),
            ):
                a, b = values(generator, (m, k), dtype), matrix(generator, (k, n), dtype, right)
                check(a @ b, (exact(a), exact(b)))
    finally:
        for cache in caches:
            cache.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_and_threaded(dtype):
    generator = random.Random(1)
    for m, n, k in (
        (300, 310, 700),
        (1, 900, 1500),
        (1500, 1, 900),
        (513, 40, 129),
        (5, 2000, 300),
    ):
        for left, right in itertools.product(("rows", "columns"), repeat=2):
            a = matrix(generator, (m, k), dtype, left)
            b = matrix(generator, (k, n), dtype, right)
            check(a @ b, (exact(a), exact(b)))


def test_sizes_of_one_with_odd_strides():
    """The stride of a dimension of size 1 means nothing and may be anything."""
    store = torch.arange(200.0)
    row = store.as_strided((1, 6), (77, 1))
    column = store.as_strided((6, 1), (1, 91))
    step = store.as_strided((6, 1), (3, 0))
    single = store.as_strided((1, 1), (5, 9))
    wide = torch.arange(18.0).view(6, 3)
    for a, b in itertools.product((row, single, column.t(), step.t()), (wide, column, step)):
        if a.shape[1] == b.shape[0]:
            check(a @ b, (exact(a), exact(b)))
    check(single @ row, (exact(single), exact(row)))
    check(column @ row, (exact(column), exact(row)))
    weight, bias = torch.arange(12.0).view(2, 6), torch.arange(2.0)
    linear = torch.nn.functional.linear
    for x in (row, store.as_strided((1, 1, 6), (3, 5, 1)), store.as_strided((4, 1, 6), (6, 99, 1))):
        check(linear(x, weight, bias), (exact(x), exact(weight).T), (exact(bias),))
    thin = store.as_strided((1, 6), (0, 1))
    check(linear(row, thin), (exact(row), exact(thin).T))
    thin = store.as_strided((5, 1), (1, 40))
    check(linear(torch.ones(3, 1), thin), (np.ones((3, 1)), exact(thin).T))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "complex64"])
def test_products_over_nothing(dtype):
    """A sum of no products is zero, or what it is added to."""
    kind = getattr(torch, dtype)
    torch.full((4, 3), 7.0).sum()  # memory that is handed out again is not zero
    left, right = torch.ones(4, 0, dtype=kind), torch.ones(0, 3, dtype=kind)
    for result in (
        left @ right,
        left.expand(2, 4, 0).bmm(right.expand(2, 0, 3)),
        left.mv(right[:, 0]),
        right[:, 0].dot(left[0]),
    ):
        assert torch.equal(result, torch.zeros_like(result))
    start = torch.arange(3).to(kind)
    result = torch.addmm(start, torch.ones(4, 0, dtype=kind), torch.ones(0, 3, dtype=kind), beta=2)
    assert torch.equal(result, (2 * start).expand(4, 3))
    if dtype != "int64":
        linear = torch.nn.functional.linear
        result = linear(torch.ones(4, 0, dtype=kind), torch.ones(3, 0, dtype=kind), start)
        assert torch.equal(result, start.expand(4, 3))


@pytest.mark.parametrize(
    "shapes", [((0, 3), (3, 2)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 4)), ((4, 0, 2, 3), (3, 1))]
)
def test_empty_results(shapes):
    a, b = (torch.ones(s) for s in shapes)
    assert (a @ b).shape == np.matmul(a.numpy(), b.numpy()).shape


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_sums_with_products(dtype):
    generator = random.Random(2)
    for m, n, k in ((5, 7, 3), (40, 33, 64), (1, 50, 300), (64, 1, 20)):
        a = matrix(generator, (m, k), dtype, generator.choice(LAYOUTS))
        b = matrix(generator, (k, n), dtype, generator.choice(LAYOUTS))
        whole = values(generator, (m, n), dtype)
        for start in (
            whole,
            values(generator, (n,), dtype),
            whole[:, :1],
            whole.t().contiguous().t(),
        ):
            for beta, alpha in ((1, 1), (0.5, 2), (0, 1), (1, -1)):
                result = torch.addmm(start, a, b, beta=beta, alpha=alpha)
                first = exact(start) * beta * np.ones((m, n))
                check(result, (first,), (exact(a) * alpha, exact(b)))
        first, second = a.expand(3, m, k), values(generator, (3, k, n), dtype)
        result = torch.baddbmm(whole, first, second, beta=2, alpha=0.5)
        check(result, (2 * exact(whole) + np.zeros((3, m, n)),), (exact(first) / 2, exact(second)))


def test_nan_is_ignored_where_beta_is_zero():
    start = torch.full((2, 2), float("nan"))
    result = torch.addmm(start, torch.ones(2, 3), torch.ones(3, 2), beta=0)
    assert torch.equal(result, torch.full((2, 2), 3.0))


@pytest.mark.parametrize(
    "left, right",
    [
        ((3, 1, 4, 5), (2, 5, 6)),
        ((2, 3, 4, 5), (5, 6)),
        ((4, 5), (2, 3, 5, 6)),
        ((2, 3, 4, 5), (5,)),
        ((5,), (2, 3, 5, 4)),
        ((2, 1, 3, 1, 5), (4, 1, 5, 2)),
        ((1, 2, 3), (4, 3, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "complex64"])
def test_batches(left, right, dtype):
    numbers = np.random.default_rng(0)
    a, b = (
        torch.from_numpy(numbers.integers(-3, 4, s)).to(getattr(torch, dtype))
        for s in (left, right)
    )
    for x in (a, a.mT.contiguous().mT if a.ndim > 1 else a):
        expected = np.matmul(x.to(torch.complex64).numpy(), b.to(torch.complex64).numpy())
        np.testing.assert_array_equal((x @ b).to(torch.complex64).numpy(), expected)


def test_batches_of_permuted_dimensions():
    """Heads of attention: two batch dimensions whose strides do not join."""
    x = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 7, 3, 5)))
    q, k = x.transpose(1, 2), (x * 2).permute(0, 2, 3, 1)
    check(q @ k, (exact(q), exact(k)))
    deep = x.view(2, 7, 1, 3, 5).expand(2, 7, 4, 3, 5).transpose(1, 2)
    check(deep @ x[0, 0].t(), (exact(deep), exact(x[0, 0].t())))


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 3), (3, 2)),
        ((2, 4, 3), (3, 2)),
        ((2, 4, 3), (2, 3, 2)),
        ((2, 1, 4, 3), (5, 3, 2)),
        ((4, 3), (3,)),
        ((3,), (2, 3, 2)),
        ((3,), (3,)),
    ],
)
def test_gradients(shapes):
    a, b = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes)
    assert torch.autograd.gradcheck(torch.matmul, (a, b))
    assert torch.autograd.gradgradcheck(torch.matmul, (a, b))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_gradients_of_linear(shape):
    inputs = [
        torch.randn(s, dtype=torch.float64, requires_grad=True) for s in (shape, (5, 3), (5,))
    ]
    assert torch.autograd.gradcheck(torch.nn.functional.linear, inputs)
    assert torch.autograd.gradgradcheck(torch.nn.functional.linear, inputs)
    turned = torch.randn(3, *shape[:-1], dtype=torch.float64, requires_grad=True)

    def of_turned(x, w, b):
        return torch.nn.functional.linear(x.movedim(0, -1), w, b)

    assert torch.autograd.gradcheck(of_turned, [turned, *inputs[1:]])


def test_gradients_of_sums_with_products():
    shapes = ((2, 4, 1), (2, 4, 3), (2, 3, 5))
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]

    def batched(c, a, b):
        return torch.baddbmm(c.expand(2, 4, 5), a, b, beta=2, alpha=3)

    def single(c, a, b):
        return torch.addmm(c[0].expand(4, 5), a[0], b[0], beta=2, alpha=3)

    assert torch.autograd.gradcheck(batched, inputs)
    assert torch.autograd.gradgradcheck(batched, inputs)
    assert torch.autograd.gradcheck(single, inputs)


MISMATCH = "mat1 and mat2 shapes cannot be multiplied"
BATCHES = "Expected size for first two dimensions of batch2 tensor to be:"


@pytest.mark.parametrize(
    "left, right, message",
    [
        (torch.ones(2, 3), torch.ones(2, 3), f"{MISMATCH} (2x3 and 2x3)"),
        (torch.ones(4, 2, 3), torch.ones(2, 3), f"{MISMATCH} (8x3 and 2x3)"),
        (torch.ones(4, 2, 3), torch.ones(4, 2, 3), f"{BATCHES} [4, 3] but got: [4, 2]."),
        (
            torch.ones(2, 3),
            torch.ones(3, 2).long(),
            "expected m1 and m2 to have the same dtype, but got: float != long int",
        ),
        (
            torch.ones(3),
            torch.ones(4),
            "inconsistent tensor size, expected tensor [3] and src [4] to have the same number of "
            "elements, but got 3 and 4 elements respectively",
        ),
    ],
)
def test_errors(left, right, message):
    with pytest.raises(RuntimeError) as raised:
        left @ right
    assert str(raised.value).splitlines()[0] == message


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("ij,jk", ((2, 3), (3, 4))),
        ("bihd,bjhd->bhij", ((2, 3, 4, 5), (2, 6, 4, 5))),
        ("bhij,bjhd->bihd", ((2, 4, 3, 6), (2, 6, 4, 5))),
        ("i,j->ji", ((3,), (4,))),
        ("ij,ij->", ((3, 4), (3, 4))),
        ("ii->i", ((4, 4),)),
        ("iij,kj->ki", ((3, 3, 4), (2, 4))),
        ("bi,bij,bj->b", ((2, 3), (2, 3, 4), (2, 4))),
        ("...ij,...jk->...ik", ((5, 1, 2, 3), (4, 3, 2))),
        ("ab,cd->ad", ((2, 3), (4, 5))),
        ("abc,cbd->d", ((2, 3, 4), (4, 3, 5))),
        ("ij,jk->ik", ((2, 0), (0, 4))),
    ],
)
def test_einsum(equation, shapes):
    generator = random.Random(equation)
    operands = [values(generator, shape, "float64") for shape in shapes]
    for _ in range(2):  # the second call knows what the equation means
        expected = np.einsum(equation, *map(exact, operands))
        np.testing.assert_allclose(torch.einsum(equation, *operands).numpy(), expected, atol=1e-12)
    leaves = [x.requires_grad_() for x in operands]
    if all(x.numel() for x in leaves):
        assert torch.autograd.gradcheck(lambda *x: torch.einsum(equation, *x), leaves)


@pytest.mark.parametrize("dims", [0, 1, 2, ([0, 2], [1, 0])])
def test_tensordot(dims):
    a, b = torch.arange(60.0).view(3, 4, 5), torch.arange(60.0).view(5, 3, 4)
    if dims in (1, 2):
        b = b if dims == 1 else b.permute(2, 0, 1)
    expected = np.tensordot(a.numpy(), b.numpy(), dims)
    np.testing.assert_allclose(torch.tensordot(a, b, dims).numpy(), expected)

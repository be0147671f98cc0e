"""Scans: cumsum, cumprod, cummax, cummin, logcumsumexp, and what is made of them: trapezoid,
cumulative_trapezoid, diff.

>>> torch.tensor([1, 2, 3]).cumsum(0)
tensor([1, 3, 6])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.dtype import finfo
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.kernels import scans
from flambeau.ops.kinds import composite, structured
from flambeau.ops.registry import OPS, is_tensor


def checked_dim(name: str, dim: Any, ndim: int) -> int:
    """A dimension counted from the front."""
    if not hasattr(dim, "__index__") or isinstance(dim, bool):
        raise errors.argument_type_error(name, "dim", 2, "int", dim)
    return wrap_dim(dim, ndim)


def geometry(
    spec: Spec, out: Spec, complex_pairs: bool
) -> tuple[tuple[int, ...], list[tuple[int, ...]], list[int]]:
    """Shape, byte strides of input and result, and item sizes; complex numbers are pairs of reals
    where parts do not mix.
    """
    shape, sizes = tuple(spec.shape) or (1,), [spec.itemsize, out.itemsize]
    steps = [tuple(s * n for s in spec.strides) or (n,) for n in sizes[:1]]
    steps.append(tuple(s * sizes[1] for s in contiguous_strides(shape)))
    if complex_pairs:
        sizes = [n // 2 for n in sizes]
        shape, steps = (*shape, 2), [(*s, n) for s, n in zip(steps, sizes, strict=True)]
    return shape, steps, sizes


def scan_plan(call: Any, mode: str, input: Any, dim: int, dtype: Any, reverse: bool = False) -> Any:
    """The plan of a scan with one result."""
    spec = input._spec
    out = Spec.of(spec.shape, None, dtype, spec.device)
    plan = call.plan(["input"], [out])
    if plan.is_meta:
        return plan.use_native(0, ())
    shape, steps, sizes = geometry(spec, out, spec.dtype.is_complex)
    params, items = scans.layout(shape, dim, steps, sizes, True, reverse)
    real = {"complex64": dtypes.float32, "complex128": dtypes.float64, "complex32": dtypes.float16}
    address = scans.kernel(mode, real.get(spec.dtype.name, spec.dtype), real.get(dtype.name, dtype))
    grain = max(1, (1 << 16) * items // max(1, spec.numel))
    return plan.use_native(address, params, items, spec.numel, grain)


def summed_dtype(input: Any, dtype: Any) -> Any:
    """The result's dtype: integers and bool give int64."""
    if dtype is not None:
        return dtype
    return dtypes.int64 if input.dtype.category < 2 else input.dtype


# ---- sums ----------------------------------------------------------------------------------------


@structured(grad=lambda g, dim: g._cumsum_back(dim))
def cumsum(call, input, dim, *, dtype=None):
    """Running sums along `dim`.

    >>> torch.cumsum(torch.tensor([[1, 2], [3, 4]]), 0)
    tensor([[1, 2],
            [4, 6]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim("cumsum", dim, spec.ndim)
    out = summed_dtype(input, dtype)
    if out is dtypes.bool_:
        raise errors.not_implemented_for("cumsum_out_cpu", "Bool")
    if out.is_complex != spec.dtype.is_complex:
        return cumsum.call(input.to(out), dim)
    return scan_plan(call, "sum", input, dim, out)


@structured(public=None, node="CumsumBackward", grad=lambda g, dim: g.cumsum(dim))
def _cumsum_back(call, input, dim):
    """Running sums from the end: the gradient of cumsum."""
    return scan_plan(
        call, "sum", input, wrap_dim(dim, input._spec.ndim), input._spec.dtype, reverse=True
    )


# ---- products ------------------------------------------------------------------------------------


def product_gradient(g: Any, y: Any, input: Any, dim: int) -> Any:
    """Without zeros, running sums of g * y from the end, divided by x. With zeros, r[k] = g[k] +
    x[k + 1] r[k + 1] from the end, times the
    product of what comes before k."""
    size = input.shape[dim] if input.ndim else 1
    if size <= 1 or not input.numel():
        return g
    if not (input == 0).any().item():
        return (g * y.conj())._cumsum_back(dim) / input.conj()
    factor = input.conj()
    rest = g.select(dim, size - 1)
    parts = [rest]
    for k in range(size - 2, -1, -1):
        rest = g.select(dim, k) + factor.select(dim, k + 1) * rest
        parts.append(rest)
    before = OPS["cat"].call(
        [input.narrow(dim, 0, 1).detach() * 0 + 1, y.narrow(dim, 0, size - 1)], dim
    )
    return OPS["stack"].call(parts[::-1], dim) * before.conj()


@structured(grad=lambda g, y, input, dim: product_gradient(g, y, input, dim))
def cumprod(call, input, dim, *, dtype=None):
    """Running products along `dim`.

    >>> torch.cumprod(torch.tensor([1, 2, 3]), 0)
    tensor([1, 2, 6])
    """
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim("cumprod", dim, spec.ndim)
    out = summed_dtype(input, dtype)
    if out is dtypes.bool_:
        raise errors.not_implemented_for("cumprod_out_cpu", "Bool")
    if out.is_complex != spec.dtype.is_complex:
        return cumprod.call(input.to(out), dim)
    if out.is_complex:
        import numpy

        results = [Spec.of(spec.shape, None, out, spec.device)]
        return call.numpy(
            ["input"],
            results,
            lambda a: numpy.cumprod(a, axis=dim, dtype=out.numpy_name).reshape(a.shape),
        )
    return scan_plan(call, "product", input, dim, out)


# ---- logarithms of sums --------------------------------------------------------------------------


def logarithmic_gradient(g: Any, y: Any, input: Any, dim: int) -> Any:
    """exp(x[k]) times the sum of g[i] exp(-y[i]) over i >= k, in logarithms; positive and negative
    gradients apart.
    """
    if input.ndim == 0 or not input.numel():
        return g
    if input.dtype.is_complex:
        terms = (g.log() - y.conj()).flip(dim).logcumsumexp(dim).flip(dim)
        return (terms + input.conj()).exp()

    least = finfo(
        input.dtype
    ).min  # not minus infinity: its differences would be NaN in second derivatives

    def part(positive: Any) -> Any:
        terms = positive.where(positive > 0, 1).log().where(positive > 0, least) - y
        return (terms.flip(dim).logcumsumexp(dim).flip(dim) + input).exp()

    return part(g) - part(-g)


@structured(grad=lambda g, y, input, dim: logarithmic_gradient(g, y, input, dim))
def logcumsumexp(call, input, dim):
    """The logarithm of running sums of exp(x) along `dim`.

    >>> torch.logcumsumexp(torch.zeros(2), 0)
    tensor([0.0000, 0.6931])
    """
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim("logcumsumexp", dim, spec.ndim)
    if spec.dtype.category < 2:
        raise errors.not_implemented_for("logcumsumexp_out_cpu", spec.dtype.scalar_name)
    if spec.dtype.is_complex:
        return call.numpy(["input"], [spec.like()], lambda a: complex_logcumsumexp(a, dim))
    return scan_plan(call, "logsumexp", input, dim, spec.dtype)


def complex_logcumsumexp(a: Any, dim: int) -> Any:
    """logcumsumexp of an array of complex numbers, position by position."""
    import numpy

    lines = numpy.moveaxis(numpy.array(a, ndmin=1), dim, 0)
    result = lines.copy()
    for j in range(1, len(lines)):
        below = result[j - 1].real < lines[j].real
        low, high = (
            numpy.where(below, result[j - 1], lines[j]),
            numpy.where(below, lines[j], result[j - 1]),
        )
        with numpy.errstate(all="ignore"):
            result[j] = numpy.where(
                numpy.isinf(high.real), high, numpy.log1p(numpy.exp(low - high)) + high
            )
    return numpy.moveaxis(result, 0, dim).reshape(a.shape)


# ---- extremes ------------------------------------------------------------------------------------


def extreme_gradient(g: Any, y1: Any, input_like: Spec, dim: int) -> Any:
    """To the element that was the extreme, as often as it was."""
    if input_like.ndim == 0:
        return g
    return g.new_zeros(tuple(input_like.shape)).scatter_add(dim, y1, g)


def extreme_plan(call: Any, name: str, mode: str, input: Any, dim: Any) -> Any:
    """The plan of cummax or cummin."""
    spec = call.op.check_tensor(input, "input")._spec
    dim = checked_dim(name, dim, spec.ndim)
    if spec.dtype.is_complex:
        raise errors.not_implemented_for(f"{name}_cpu", spec.dtype.scalar_name)
    values = Spec.of(spec.shape, None, spec.dtype, spec.device)
    plan = call.plan(["input"], [values, Spec.of(spec.shape, None, dtypes.int64, spec.device)])
    plan.finish(getattr(return_types, name).of)
    if plan.is_meta:
        return plan.use_native(0, ())
    shape, steps, sizes = geometry(spec, values, False)
    steps.append(tuple(s * 8 for s in contiguous_strides(shape)))
    params, items = scans.layout(shape, dim, steps, (*sizes, 8), True)
    grain = max(1, (1 << 15) * items // max(1, spec.numel))
    return plan.use_native(
        scans.kernel(mode, spec.dtype, spec.dtype), params, items, spec.numel, grain
    )


@structured(grad=lambda g, y1, input_like, dim: extreme_gradient(g, y1, input_like, dim))
def cummax(call, input, dim):
    """The greatest element so far along `dim`, and its index (the last one's among equals).

    >>> torch.cummax(torch.tensor([1, 3, 2]), 0).values
    tensor([1, 3, 3])
    """
    return extreme_plan(call, "cummax", "maximum", input, dim)


@structured(grad=lambda g, y1, input_like, dim: extreme_gradient(g, y1, input_like, dim))
def cummin(call, input, dim):
    """The least element so far along `dim`, and its index (the last one's among equals).

    >>> torch.cummin(torch.tensor([3, 1, 2]), 0).indices
    tensor([0, 1, 1])
    """
    return extreme_plan(call, "cummin", "minimum", input, dim)


# ---- in place ------------------------------------------------------------------------------------


def check_same(target: Any, dtype: Any) -> None:
    """torch's error for another dtype than that of the tensor written over."""
    if dtype is not None and dtype is not target.dtype:
        raise RuntimeError(
            f"Bad in-place call: input tensor dtype {target.dtype.c_name} and output tensor "
            f"dtype {dtype.c_name} should match"
        )


def cumsum_(self: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running sums, written over the tensor."""
    check_same(self, dtype)
    return self.copy_(cumsum.call(self, dim, dtype=self.dtype))


def cumprod_(self: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running products, written over the tensor."""
    check_same(self, dtype)
    return self.copy_(cumprod.call(self, dim, dtype=self.dtype))


# ---- differences and integrals -------------------------------------------------------------------


@composite
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `dim`, n times over.

    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not is_tensor(input):
        raise errors.argument_type_error("diff", "input", 1, "Tensor", input)
    for extra in (prepend, append):
        if extra is not None and (extra.ndim != input.ndim):
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    dim = wrap_dim(dim, input.ndim)
    for extra in (prepend, append):
        for d in range(input.ndim):
            if extra is not None and d != dim and extra.shape[d] != input.shape[d]:
                raise RuntimeError(
                    "diff expects the shape of tensor to prepend or append to match that of input "
                    "except along the differencing "
                    f"dimension; input.size({d}) = {input.shape[d]}, but got tensor.size({d}) = "
                    f"{extra.shape[d]}"
                )
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if prepend is not None or append is not None:
        input = OPS["cat"].call([x for x in (prepend, input, append) if x is not None], dim)
    n = min(n, input.shape[dim])
    if n == 0 and not input.shape[dim]:
        return input.new_zeros(tuple(input.shape))
    for _ in range(n):
        size = input.shape[dim] - 1
        a, b = input.narrow(dim, 1, size), input.narrow(dim, 0, size)
        input = a.logical_xor(b) if input.dtype is dtypes.bool_ else a - b
    return input.clone() if n == 0 else input


TRAPEZOID = ("(Tensor y, Tensor x, *, int dim = -1)", "(Tensor y, *, Number dx = 1, int dim = -1)")


def trapezoids(name: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, Any]:
    """The sums of neighbouring samples, and the widths between them (a tensor or a number)."""
    if x is not None and dx is not None:
        raise errors.invalid_combination(name, [y, x], {"dx": dx}, TRAPEZOID)
    if y.dtype is dtypes.bool_:
        raise RuntimeError(f"{name}: received a bool input for `y`, but bool is not supported")
    dim = wrap_dim(dim, y.ndim)
    if x is None:
        width = 1 if dx is None else dx
    else:
        if x.dtype is dtypes.bool_:
            raise RuntimeError(f"{name}: received a bool input for `x`, but bool is not supported")
        if x.ndim == 1:
            if x.shape[0] != y.shape[dim]:
                raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
            x = x.view(tuple(-1 if d == dim else 1 for d in range(y.ndim)))
        elif x.ndim < y.ndim:
            x = x.view((1,) * (y.ndim - x.ndim) + tuple(x.shape))
        along = dim - y.ndim
        width = x.narrow(along, 1, x.shape[along] - 1) - x.narrow(along, 0, x.shape[along] - 1)
    size = y.shape[dim] - 1
    return y.narrow(dim, 1, size) + y.narrow(dim, 0, size), width


@composite(methods=(), fused=True)
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral of samples by the trapezoidal rule.

    >>> torch.trapezoid(torch.tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    if not is_tensor(y):
        raise errors.argument_type_error("trapezoid", "y", 1, "Tensor", y)
    if y.shape[dim] == 0:
        return y.new_zeros([n for d, n in enumerate(y.shape) if d != wrap_dim(dim, y.ndim)])
    pairs, width = trapezoids("trapezoid", y, x, dx, dim)
    if is_tensor(width):
        return (pairs * width).sum(dim) / 2.0
    return pairs.sum(dim) * (width / 2.0)


@composite(methods=())
def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral of samples by the trapezoidal rule; the older name of trapezoid.

    >>> torch.trapz(torch.tensor([1.0, 2.0]), dx=2)
    tensor(3.)
    """
    return trapezoid.call(y, x, dx=dx, dim=dim)


@composite(methods=())
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The running integral of samples by the trapezoidal rule.

    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 3.0]))
    tensor([1.5000, 4.0000])
    """
    if not is_tensor(y):
        raise errors.argument_type_error("cumulative_trapezoid", "y", 1, "Tensor", y)
    pairs, width = trapezoids("cumulative_trapezoid", y, x, dx, dim)
    if is_tensor(width):
        return (pairs * width).cumsum(dim) / 2.0
    return (pairs * (width / 2.0)).cumsum(dim)


METHODS = [cumsum_, cumprod_]

"""Discrete Fourier transforms: torch.fft.

Three ops do the work, each over several dimensions at once: complex to complex, real to complex,
complex to real. The public functions sort out sizes, dimensions and normalisation. NumPy
transforms; a result's memory is laid out as torch's: the other dimensions first, then those
transformed.

    >>> torch.fft.rfft(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import into
from flambeau.ops.registry import OPS

NONE, ROOT, FULL = range(3)  # scale: 1, 1 / sqrt(n), 1 / n
NUMPY_NORM = {True: ("backward", "ortho", "forward"), False: ("forward", "ortho", "backward")}

# ---- the transforms --------------------------------------------------------------------------


def sorted_dims(spec: Spec, dims: Sequence[int], keep_last: bool) -> list[int]:
    """The dimensions in the order of their strides, the greatest first;
    the last may have to stay.
    """
    last = list(dims[-1:]) if keep_last else []
    rest = list(dims[:-1]) if keep_last else list(dims)
    return sorted(rest, key=lambda d: -spec.strides[d]) + last


def result_spec(spec: Spec, shape: Sequence[int], dims: Sequence[int], dtype: Any) -> Spec:
    """The result's spec: in memory the dimensions that are not transformed come first."""
    batch = [d for d in range(spec.ndim) if d not in dims]
    order = sorted(batch, key=lambda d: -spec.strides[d]) + list(dims)
    strides = [0] * spec.ndim
    for d, stride in zip(order, contiguous_strides([shape[d] for d in order]), strict=True):
        strides[d] = stride
    return Spec.of(tuple(shape), tuple(strides), dtype, spec.device)


def transform(call: Any, output: Spec, compute: Any) -> Any:
    """A plan that lets NumPy compute; empty tensors need nothing."""

    def run(array: Any) -> Any:
        import numpy

        if not output.numel:
            return numpy.empty(tuple(output.shape), output.dtype.numpy_name)
        return compute(numpy.fft, array)

    return call.numpy(["input"], [output], run)


@structured(
    public="_fft_c2c",
    methods=(),
    node="FftC2CBackward",
    grad=lambda g, dim, normalization, forward: _fft_c2c.call(g, dim, normalization, not forward),
)
def _fft_c2c(call, input, dim, normalization, forward):
    """Complex to complex over the dimensions `dim`."""
    spec = input._spec
    dims = sorted_dims(spec, dim, False)
    output = result_spec(spec, spec.shape, dims, spec.dtype)
    norm = NUMPY_NORM[forward][normalization]

    def compute(fft: Any, x: Any) -> Any:
        return (fft.fftn if forward else fft.ifftn)(x, axes=dims, norm=norm)

    return transform(call, output, compute)


def half_gradient(g: Any, input_like: Spec, dim: Any, normalization: int, onesided: bool) -> Any:
    """The adjoint of the real transform; frequencies that were left out count as zeros."""
    if onesided:
        last, size = dim[-1], input_like.shape[dim[-1]]
        missing = list(g.shape)
        missing[last] = size - g.shape[last]
        g = cat.call([g, g.new_zeros(missing)], last)
    return _fft_c2c.call(g, dim, normalization, False).real


@structured(public="_fft_r2c", methods=(), node="FftR2CBackward", grad=half_gradient)
def _fft_r2c(call, input, dim, normalization, onesided):
    """Real to complex; `onesided` leaves out the frequencies of the last dimension that follow
    by symmetry.
    """
    spec = input._spec
    dims = sorted_dims(spec, dim, True)
    shape = list(spec.shape)
    if onesided:
        shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    output = result_spec(spec, shape, dims, spec.dtype.to_complex())
    norm = NUMPY_NORM[True][normalization]

    def compute(fft: Any, x: Any) -> Any:
        return (fft.rfftn if onesided else fft.fftn)(x, axes=dims, norm=norm)

    return transform(call, output, compute)


def real_gradient(g: Any, dim: Any, normalization: int) -> Any:
    """The adjoint of the transform to real numbers: frequencies that stand for two count twice."""
    half = _fft_r2c.call(g, dim, normalization, True)
    last = dim[-1]
    size, doubled = half.shape[last], g.shape[last] - half.shape[last]
    if doubled <= 0:
        return half
    factors = [1.0] + [2.0] * doubled + [1.0] * (size - 1 - doubled)
    shape = [1] * half.ndim
    shape[last] = size
    return half * g.new_tensor(factors).reshape(shape)


@structured(public="_fft_c2r", methods=(), node="FftC2RBackward", grad=real_gradient)
def _fft_c2r(call, input, dim, normalization, last_dim_size):
    """Complex to real: inverse of the one-sided transform,
    to a last dimension of the given size.
    """
    spec = input._spec
    dims = sorted_dims(spec, dim, True)
    shape = list(spec.shape)
    shape[dims[-1]] = last_dim_size
    output = result_spec(spec, shape, dims[-1:], spec.dtype.to_real())
    norm = NUMPY_NORM[False][normalization]

    def compute(fft: Any, x: Any) -> Any:
        if dims[:-1]:
            x = fft.ifftn(x, axes=dims[:-1], norm=norm)
        return fft.irfft(x, last_dim_size, axis=dims[-1], norm=norm)

    return transform(call, output, compute)


# ---- arguments -------------------------------------------------------------------------------


def scale_of(norm: str | None, forward: bool) -> int:
    """The normalisation that a name means for a transform in this direction."""
    if norm is None or norm == "backward":
        return NONE if forward else FULL
    if norm == "forward":
        return FULL if forward else NONE
    if norm == "ortho":
        return ROOT
    raise RuntimeError(f'Invalid normalization mode: "{norm}"')


def promoted(input: Any, to_complex: bool = False) -> Any:
    """The input in a dtype that can be transformed."""
    dtype = input.dtype
    if dtype.category < 2:
        dtype = dtypes.get_default_dtype()
    if dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise RuntimeError(f"Unsupported dtype {dtype.scalar_name}")
    if to_complex:
        dtype = dtype.to_complex()
    return input if dtype is input.dtype else input.to(dtype)


def check_size(n: int) -> None:
    """torch's error for transforms of nothing."""
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def resized(x: Any, dims: Sequence[int], sizes: Sequence[int]) -> Any:
    """Cut or padded with zeros to the given sizes."""
    for d, size in zip(dims, sizes, strict=True):
        have = x.shape[d]
        if size < have:
            x = x.narrow(d, 0, size)
        elif size > have:
            missing = list(x.shape)
            missing[d] = size - have
            x = cat.call([x, x.new_zeros(missing)], d)
    return x


def sizes_and_dims(input: Any, s: Any, dim: Any) -> tuple[list[int], list[int]]:
    """The sizes and dimensions of a transform over several dimensions, after torch's checks."""
    s = [s] if isinstance(s, int) else s
    dim = [dim] if isinstance(dim, int) else dim
    dims: list[int] = []
    if dim is not None:
        dims = [wrap_dim(d, input.ndim, wrap_scalar=False) for d in dim]
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    if s is None:
        if dim is None:
            dims = list(range(input.ndim))
        sizes = [input.shape[d] for d in dims]
    else:
        if dim is not None and len(dims) != len(s):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
        if len(s) > input.ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {input.ndim} dimensions."
            )
        if dim is None:
            dims = list(range(input.ndim - len(s), input.ndim))
        sizes = [input.shape[d] if n == -1 else n for n, d in zip(s, dims, strict=True)]
    for n in sizes:
        check_size(n)
    return sizes, dims


def real_sizes_and_dims(
    name: str, input: Any, s: Any, dim: Any
) -> tuple[list[int], list[int], int]:
    """The same for transforms to real numbers;
    also the size of the last dimension of the result.
    """
    given = [s] if isinstance(s, int) else s
    sizes, dims = sizes_and_dims(input, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    last = sizes[-1]
    if given is None or given[-1] == -1:
        last = 2 * (input.shape[dims[-1]] - 1)
    check_size(last)
    sizes[-1] = last // 2 + 1
    return sizes, dims, last


# ---- one dimension ---------------------------------------------------------------------------


def to_complex(name: str, input: Any, n: Any, dim: int, norm: Any, forward: bool) -> Any:
    """fft and ifft."""
    x = promoted(OPS[name].check_tensor(input, "input"))
    d = wrap_dim(dim, x.ndim, wrap_scalar=False)
    size = x.shape[d] if n is None else n
    check_size(size)
    x, scale = resized(x, [d], [size]), scale_of(norm, forward)
    if x.dtype.is_complex:
        return _fft_c2c.call(x, (d,), scale, forward)
    result = _fft_r2c.call(x, (d,), scale, False)
    return result if forward else result.conj()


def half_of(name: str, input: Any, n: Any, dim: int, norm: Any, forward: bool) -> Any:
    """rfft and ihfft."""
    OPS[name].check_tensor(input, "input")
    if input.dtype.is_complex:
        short = name.removeprefix("fft_")
        raise RuntimeError(
            f"{short} expects a real input tensor, but got {input.dtype.scalar_name}"
        )
    x = promoted(input)
    d = wrap_dim(dim, x.ndim, wrap_scalar=False)
    size = x.shape[d] if n is None else n
    check_size(size)
    result = _fft_r2c.call(resized(x, [d], [size]), (d,), scale_of(norm, forward), True)
    return result if forward else result.conj()


def to_real(name: str, input: Any, n: Any, dim: int, norm: Any, forward: bool) -> Any:
    """irfft and hfft."""
    x = promoted(OPS[name].check_tensor(input, "input"), True)
    d = wrap_dim(dim, x.ndim, wrap_scalar=False)
    size = 2 * (x.shape[d] - 1) if n is None else n
    check_size(size)
    x, scale = resized(x, [d], [size // 2 + 1]), scale_of(norm, forward)
    return _fft_c2r.call(x.conj() if forward else x, (d,), scale, size)


@composite(public=None, methods=())
def fft_fft(
    input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The discrete Fourier transform along `dim`.

    >>> torch.fft.fft(torch.tensor([1.0, 0.0]))
    tensor([1.+0.j, 1.+0.j])
    """
    return into(to_complex("fft_fft", input, n, dim, norm, True), out)


@composite(public=None, methods=())
def fft_ifft(
    input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The inverse transform along `dim`.

    >>> torch.fft.ifft(torch.tensor([2.0, 0.0]))
    tensor([1.+0.j, 1.+0.j])
    """
    return into(to_complex("fft_ifft", input, n, dim, norm, False), out)


@composite(public=None, methods=())
def fft_rfft(
    input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The transform of real numbers: its first half, from which the rest follows.

    >>> torch.fft.rfft(torch.ones(4))
    tensor([4.+0.j, 0.+0.j, 0.+0.j])
    """
    return into(half_of("fft_rfft", input, n, dim, norm, True), out)


@composite(public=None, methods=())
def fft_irfft(
    input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The inverse of rfft, to `n` real numbers.

    >>> torch.fft.irfft(torch.tensor([4.0, 0.0, 0.0]))
    tensor([1., 1., 1., 1.])
    """
    return into(to_real("fft_irfft", input, n, dim, norm, False), out)


@composite(public=None, methods=())
def fft_hfft(
    input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The transform of a signal whose second half mirrors its first: real numbers.

    >>> torch.fft.hfft(torch.tensor([1.0, 1.0]))
    tensor([2., 0.])
    """
    return into(to_real("fft_hfft", input, n, dim, norm, True), out)


@composite(public=None, methods=())
def fft_ihfft(
    input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The inverse of hfft.

    >>> torch.fft.ihfft(torch.tensor([2.0, 0.0]))
    tensor([1.-0.j, 1.-0.j])
    """
    return into(half_of("fft_ihfft", input, n, dim, norm, False), out)

"""Counting: bincount, histc, histogram, histogramdd.

Bins are half open but for the last, which has its right edge. NumPy finds the bins and counts.

    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from typing import Any

from flambeau import return_types
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.arrays import as_array, from_array
from flambeau.ops.kernels.histograms import counting_kernels, histogram_kernel
from flambeau.ops.kinds import composite, structured
from flambeau.ops.ranges import linspace
from flambeau.ops.registry import engine, is_tensor


@composite
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, 2 ... occurs, or the sum of its weights.

    >>> torch.bincount(torch.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    import numpy

    if not is_tensor(input):
        raise errors.argument_type_error("bincount", "input", 1, "Tensor", input)
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if input.dtype.category != 1:
        raise errors.not_implemented_for("bincount_cpu", input.dtype.scalar_name)
    if weights is not None and (weights.ndim != 1 or weights.shape != input.shape):
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if weights is None and input.ndim == 1 and input.numel() and not input.is_meta:
        return counted(input.contiguous(), minlength)
    values = as_array(input).astype("int64", copy=False)
    try:
        counts = numpy.bincount(values, None if weights is None else as_array(weights), minlength)
    except ValueError:  # several dimensions, or a negative number
        raise not_counted() from None
    if weights is None:
        return from_array(counts.astype("int64", copy=False))
    kind = dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64
    return from_array(counts.astype("float64", copy=False), kind)


def not_counted() -> RuntimeError:
    """torch's error for what bincount does not take."""
    return RuntimeError("bincount only supports 1-d non-negative integral inputs.")


def counted(values: Any, least: int) -> Any:
    """The counts of a contiguous vector of integers, at least so many."""
    end, count = counting_kernels(values.dtype)
    params = (ctypes.c_int64 * 1)(values.numel())
    size = engine.core.call_kernel(end, ctypes.addressof(params), 1, 0, values)
    if size < 0:
        raise not_counted()
    counts = values.new_zeros(max(size, least), dtype=dtypes.int64)
    engine.core.call_kernel(count, ctypes.addressof(params), 1, 0, values, counts)
    return counts


@composite
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal intervals from `min` to `max` (by default
    the least and greatest element).

    >>> torch.histc(torch.tensor([0.0, 0.5, 1.0]), bins=2)
    tensor([1., 2.])
    """
    if not is_tensor(input):
        raise errors.argument_type_error("histc", "input", 1, "Tensor", input)
    if not input.dtype.is_floating_point:
        raise errors.not_implemented_for("histogram_cpu", input.dtype.scalar_name)
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if min > max:
        raise RuntimeError("torch.histc: max must be larger than min")
    if input.is_meta:
        return input.new_empty(bins)
    low, high = float(min), float(max)
    if low == high and input.numel():
        low, high = (float(v.item()) for v in input.detach().aminmax())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    return count_even.call(input.detach().contiguous(), low, high, bins)


@structured(public=None, methods=())
def count_even(call, input, low, high, bins):
    """How many elements of a contiguous tensor fall into each of equal intervals."""
    spec = input._spec
    plan = call.plan(["input"], [Spec.of((bins,), None, spec.dtype, spec.device)])
    bounds = [struct.unpack("<q", struct.pack("<d", bound))[0] for bound in (low, high)]
    params, kernel = [spec.numel, bins, *bounds], histogram_kernel(spec.dtype)
    return plan.use_native(kernel, params, 1, spec.numel * 4, scratch=8 * bins)


def check_bins(bins: Any, dim: int) -> None:
    """The number of bins must be positive."""
    if bins <= 0:
        raise RuntimeError(
            f"torch.histogram(): bins must be > 0, but got {bins} for dimension {dim}"
        )


def outer_edges(columns: Any, range: Sequence[float] | None) -> list[tuple[float, float]]:
    """Where the bins of each dimension begin and end."""
    count = columns.shape[1]
    if range is not None:
        if len(range) != 2 * count:
            raise RuntimeError(
                f"torch.histogramdd: for a {count}-dimensional histogram range should have "
                f"{2 * count} elements, but got {len(range)}"
            )
        pairs = [(float(range[2 * d]), float(range[2 * d + 1])) for d in _range(count)]
    elif columns.shape[0]:
        pairs = [(float(columns[:, d].min()), float(columns[:, d].max())) for d in _range(count)]
    else:
        pairs = [(0.0, 1.0)] * count
    for d, (low, high) in enumerate(pairs):
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(
                f"torch.histogramdd: dimension {d}'s range [{low:g}, {high:g}] is not finite"
            )
        if low > high:
            raise RuntimeError(
                f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} "
                f"for dimension {d}"
            )
    return [(low - 0.5, high + 0.5) if low == high else (low, high) for low, high in pairs]


_range = range


def count_bins(columns: Any, edges: Sequence[Any], weight: Any, density: bool, dtype: Any) -> Any:
    """The histogram of points (rows of `columns`) over the bins between edges, as a tensor."""
    import numpy

    sizes = [len(e) - 1 for e in edges]
    flat, inside = numpy.zeros(len(columns), "int64"), numpy.ones(len(columns), bool)
    for d, edge in enumerate(edges):
        values = columns[:, d]
        place = numpy.searchsorted(edge, values, side="right") - 1
        place[values == edge[-1]] = sizes[d] - 1
        inside &= (values >= edge[0]) & (values <= edge[-1])
        flat = flat * sizes[d] + place
    weights = None if weight is None else weight[inside]
    total = math.prod(sizes)
    hist = numpy.bincount(flat[inside], weights, total)[:total].astype(columns.dtype).reshape(sizes)
    if density:
        hist = hist / hist.sum()
        for d, edge in enumerate(edges):
            hist = hist / numpy.diff(edge).reshape(
                [-1 if k == d else 1 for k in _range(len(sizes))]
            )
    return from_array(hist, dtype)


def check_histogram(input: Any, weight: Any, shape: Any) -> None:
    """torch's errors for histograms."""
    if not is_tensor(input):
        raise errors.argument_type_error("histogram", "input", 1, "Tensor", input)
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise errors.not_implemented_for("histogramdd", input.dtype.scalar_name)
    if weight is not None:
        if weight.dtype is not input.dtype:
            raise RuntimeError(
                "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor "
                "should have the same dtype, but got "
                f"input({CPP_NAMES[input.dtype.name]}), and "
                f"weight({CPP_NAMES.get(weight.dtype.name, weight.dtype.name)})"
            )
        if tuple(weight.shape) != shape:
            raise RuntimeError(
                "torch.histogramdd: if weight tensor is provided it should have the same shape as "
                "the input tensor excluding its innermost "
                f"dimension, but got input with shape {list(input.shape)} and weight with shape "
                f"{list(weight.shape)}"
            )


CPP_NAMES = {
    "float32": "float",
    "float64": "double",
    "int64": "long int",
    "int32": "int",
    "bool": "bool",
}


def make_edges(input: Any, columns: Any, bins: Sequence[Any], range: Any) -> list[Any]:
    """The edges of each dimension: given ones, or equally spaced."""
    if all(is_tensor(b) for b in bins):
        for d, b in enumerate(bins):
            if b.dtype is not input.dtype:
                names = CPP_NAMES[input.dtype.name], CPP_NAMES.get(b.dtype.name, b.dtype.name)
                raise RuntimeError(
                    "torch.histogramdd: input tensor and bins tensors should have the same dtype, "
                    f"but got input with dtype {names[0]} and "
                    f"bins for dimension {d} with dtype {names[1]}"
                )
        return [b.detach().clone() for b in bins]
    for d, b in enumerate(bins):
        check_bins(b, d)
    ends = outer_edges(columns, range)
    return [
        linspace(low, high, b + 1, dtype=input.dtype)
        for b, (low, high) in zip(bins, ends, strict=True)
    ]


@composite
def histogram(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """Counts (or sums of weights, or a density) in bins, and the edges of the bins.

    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 3.0)).hist
    tensor([2., 1.])
    """
    check_histogram(input, weight, tuple(input.shape) if is_tensor(input) else ())
    columns = as_array(input).reshape(-1, 1)
    edges = make_edges(input, columns, [bins], range)
    weights = None if weight is None else as_array(weight).reshape(-1)
    return return_types.histogram.of(
        count_bins(columns, [as_array(e) for e in edges], weights, density, input.dtype), edges[0]
    )


@composite(methods=())
def histogramdd(
    input: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """The histogram of points whose coordinates are the input's last dimension, and the edges of
    each coordinate's bins.

    >>> torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), bins=[2, 2]).hist
    tensor([[0., 1.],
            [1., 0.]])
    """
    check_histogram(input, weight, tuple(input.shape[:-1]) if is_tensor(input) else ())
    if input.ndim < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{input.ndim}"
        )
    count = input.shape[-1]
    bins = [bins] * count if isinstance(bins, int) else list(bins)
    if len(bins) != count:
        raise RuntimeError(
            f"torch.histogramdd: expected {count} sequences of bin edges for a {count}-dimensional "
            f"histogram but got {len(bins)}"
        )
    columns = as_array(input).reshape(-1, count)
    edges = make_edges(input, columns, bins, range)
    weights = None if weight is None else as_array(weight).reshape(-1)
    return return_types.histogramdd.of(
        count_bins(columns, [as_array(e) for e in edges], weights, density, input.dtype),
        tuple(edges),
    )

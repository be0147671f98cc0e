"""Padding and resizing as one linear op: elements of the result are weighted sums of elements of
the input, found one axis at a time.

    resample(input, maps, transposed, value)
    maps = (None, None, ("reflect", 8, 11, 1), ("linear", 8, 16, 0.5, False))   # one per dimension

A map is (kind, size of the input, size of the result, options). Its gradient is the same op with
the maps turned round, whose gradient is again the op itself: derivatives of any order need no more
code.
Called through `flambeau.ops.nn` by nn.functional.padding and nn.functional.resize.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

from flambeau.core.spec import Spec
from flambeau.core.strides import channels_last_strides, suggests_channels_last
from flambeau.ops.conv import threading
from flambeau.ops.kernels import resampling as kernels
from flambeau.ops.kernels.resampling import Axis
from flambeau.ops.kinds import Call, structured
from flambeau.ops.plan import RELEASE_FROM

Map = tuple[Any, ...]
GRAIN = 1 << 15  # elements that a thread takes at a time


# ---- which elements an index of the result sees -------------------------------------------------


def padded_axis(kind: str, inputs: int, outputs: int, before: int) -> Axis:
    """Padding: `before` indices come first (or, if negative, are cut off)."""
    import numpy

    places = numpy.arange(-before, outputs - before)
    if kind == "constant":
        places = numpy.where((places >= 0) & (places < inputs), places, -1)
    elif kind == "replicate":
        places = places.clip(0, max(inputs - 1, 0))
    elif kind == "reflect":  # about the first and about the last element
        places = (inputs - 1) - abs((inputs - 1) - abs(places))
    else:  # circular: what is cut off does not come back on the other side
        start, stop = max(-before, 0), inputs + min(outputs - inputs - before, 0)
        places = (places - start) % max(stop - start, 1) + start
    return Axis.of_places(inputs, places)


def source_places(outputs: int, scale: float, align_corners: bool, double: bool) -> Any:
    """Where the results lie between the inputs, in the precision that torch computes them in."""
    import numpy

    kind = numpy.float64 if double else numpy.float32
    steps, factor = numpy.arange(outputs, dtype=kind), kind(scale)
    return steps * factor if align_corners else (steps + kind(0.5)) * factor - kind(0.5)


def nearest_axis(kind: str, inputs: int, outputs: int, scale: float) -> Axis:
    """Nearest neighbours, in single precision whatever the input is."""
    import numpy

    steps = numpy.arange(outputs, dtype=numpy.float32)
    if kind == "nearest-exact":
        steps += numpy.float32(0.5)
    places = (steps * numpy.float32(scale)).astype(numpy.int64).clip(max=inputs - 1)
    return Axis.of_places(inputs, places)


def linear_axis(
    kind: str, inputs: int, outputs: int, scale: float, align_corners: bool, double: bool
) -> Axis:
    """Two neighbours, weighted by distance."""
    import numpy

    source = source_places(outputs, scale, align_corners, double).clip(min=0)
    low = numpy.minimum(numpy.floor(source), inputs - 1)
    fraction = (source - low).clip(0, 1)
    low = low.astype(numpy.int64)
    places = numpy.stack([low, numpy.minimum(low + 1, inputs - 1)], 1)
    weights = numpy.stack([1 - fraction, fraction], 1)
    return Axis(inputs, numpy.arange(0, 2 * outputs + 1, 2), places.ravel(), weights.ravel())


def cubic_axis(
    kind: str, inputs: int, outputs: int, scale: float, align_corners: bool, double: bool
) -> Axis:
    """Four neighbours, weighted by a cubic (Keys, 1981, a = -0.75)."""
    import numpy

    source = source_places(outputs, scale, align_corners, double)
    base = numpy.floor(source)
    t, a = source - base, source.dtype.type(-0.75)

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    weights = numpy.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], 1)
    places = base.astype(numpy.int64)[:, None] + numpy.arange(-1, 3)
    places = places.clip(0, inputs - 1)
    return Axis(inputs, numpy.arange(0, 4 * outputs + 1, 4), places.ravel(), weights.ravel())


def triangle(x: float) -> float:
    """The filter of linear interpolation."""
    return max(0.0, 1.0 - abs(x))


def cubic(x: float, a: float = -0.5) -> float:
    """The filter of cubic interpolation when it is widened."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def lanczos(x: float) -> float:
    """The windowed sine of reach 3."""
    if not -3 < x < 3:
        return 0.0
    if x == 0:
        return 1.0
    y = math.pi * x
    return 3 * math.sin(y) * math.sin(y / 3) / (y * y)


# the filter of a kind and the distance at which it ends
FILTERS: dict[str, tuple[Callable[[float], float], int]] = {
    "widened linear": (triangle, 1),
    "widened cubic": (cubic, 2),
    "widened lanczos": (lanczos, 3),
}


def widened_axis(kind: str, inputs: int, outputs: int, scale: float) -> Axis:
    """A filter as wide as the picture shrinks: every element counts (anti-aliasing)."""
    import numpy

    function, reach = FILTERS[kind]
    stretch = max(scale, 1.0)
    starts: list[int] = [0]
    places: list[int] = []
    weights: list[float] = []
    for i in range(outputs):
        centre = scale * (i + 0.5)
        start = max(int(centre - reach * stretch + 0.5), 0)
        stop = min(int(centre + reach * stretch + 0.5), inputs)
        row = [function((j - centre + 0.5) / stretch) for j in range(start, stop)]
        total = sum(row)
        places += range(start, stop)
        weights += [weight / total if total else weight for weight in row]
        starts.append(len(places))
    return Axis(inputs, numpy.array(starts), numpy.array(places), numpy.array(weights))


KINDS: dict[str, Callable[..., Axis]] = {
    **dict.fromkeys(("constant", "reflect", "replicate", "circular"), padded_axis),
    **dict.fromkeys(("nearest", "nearest-exact"), nearest_axis),
    **dict.fromkeys(FILTERS, widened_axis),
    "linear": linear_axis,
    "cubic": cubic_axis,
}


@lru_cache(maxsize=256)
def axis_of(entry: Map, transposed: bool) -> Axis:
    """The axis that a map describes."""
    axis = KINDS[entry[0]](*entry)
    return axis.transposed() if transposed else axis


# ---- the op -------------------------------------------------------------------------------------

DIMS = {3: "1D", 4: "2D", 5: "3D"}
NODES = {
    "reflect": "ReflectionPad{}", "replicate": "ReplicationPad{}", "nearest": "UpsampleNearest{}",
    "nearest-exact": "UpsampleNearestExact{}", "cubic": "UpsampleBicubic{}",
    "widened linear": "UpsampleBilinear{}Aa", "widened cubic": "UpsampleBicubic{}Aa",
    "widened lanczos": "UpsampleLanczos{}Aa", "circular": "PadCircular{}",
}  # fmt: skip
LINEAR_NODES = {1: "UpsampleLinear{}", 2: "UpsampleBilinear{}", 3: "UpsampleTrilinear{}"}


def node_name(maps: tuple[Map | None, ...], transposed: bool) -> str:
    """The name of the node as torch calls it."""
    spatial = [entry for entry in maps if entry is not None]
    kind = spatial[0][0] if spatial else "constant"
    if kind == "constant":
        return "ConstantPadNdBackward0"
    name = LINEAR_NODES[len(spatial)] if kind == "linear" else NODES[kind]
    return name.format(f"{len(spatial)}D") + ("BackwardBackward0" if transposed else "Backward0")


def bit_pattern(spec: Spec, value: Any) -> int:
    """The constant as an element's bits."""
    if not value:
        return 0
    if spec.dtype.name == "bfloat16":
        bits = struct.unpack("<I", struct.pack("<f", value))[0]
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 if value == value else 0x7FC0
    import numpy

    return int(numpy.array(value).astype(spec.dtype.numpy_name).view(f"u{spec.itemsize}"))


def gradient(g: Any, maps: tuple[Map | None, ...], transposed: bool) -> Any:
    """The op with its maps turned round."""
    return resample.call(g, maps, not transposed, 0.0)


def resampled(
    call: Call, input: Any, maps: tuple[Map | None, ...], transposed: bool, value: float
) -> Any:
    """The plan of one of the ops below."""
    x = input._spec
    shape = tuple(
        n if entry is None else entry[1 if transposed else 2]
        for n, entry in zip(x.shape, maps, strict=True)
    )
    circular = any(entry is not None and entry[0] == "circular" for entry in maps)
    last = not circular and x.ndim in (4, 5) and suggests_channels_last(x.shape, x.strides)
    out = x.like(shape, channels_last_strides(shape) if last else None)
    plan = call.plan(("input",), [out])
    plan.node_name = node_name(maps, transposed)
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    axes = [None if entry is None else axis_of(entry, transposed) for entry in maps]
    dims = kernels.loops(x, out, axes)
    itemsize, kind = x.itemsize, x.dtype.name
    if x.dtype.is_complex:  # pairs of real numbers
        dims = kernels.loops_of_pairs(dims)
        itemsize, kind = itemsize // 2, "float64" if x.itemsize == 16 else "float32"
    rows = prod(dim.size for dim in dims[:-1])
    grain = max(1, GRAIN // dims[-1].size)
    if all(axis is None or axis.copies for axis in axes):
        params = kernels.copy_params(dims, bit_pattern(x, value))
        return plan.use_native(kernels.copy_address(itemsize), params, rows, out.numel, grain)
    if len(dims) > kernels.COMBINED:
        return call.op.call(input.contiguous(), maps, transposed, value)
    parallel, threads = threading()
    work = 2 * out.numel
    shared = grain if work >= RELEASE_FROM and threads > 1 else 0
    params, scratch = kernels.combine_params(dims, parallel, threads, shared)
    return plan.use_native(kernels.combine_address(kind), params, 1, work, 1, scratch)


@structured(public=None, methods=(), node="ResampleBackward", grad={"input": gradient})
def resample(call, input, maps, transposed, value):
    """Every axis with a map is read as it says; `value` is what an index without entries gets."""
    return resampled(call, input, maps, transposed, value)


@structured(
    public=None,
    methods=(),
    grad={"input": lambda g, input, maps: resample.call(g, maps, True, 0.0)},
)
def mirror(call, input, maps):
    """`resample` for padding that reflects or replicates: torch's gradient hangs on its input."""
    return resampled(call, input, maps, False, 0.0)


def _upsample_bilinear2d_aa(
    input: Any,
    output_size: Any,
    align_corners: bool,
    scales_h: Any = None,
    scales_w: Any = None,
    scale_factors: Any = None,
) -> Any:
    """Bilinear resizing whose filter widens as the picture shrinks, as `torch.ops.aten` has it."""
    if isinstance(scales_h, list | tuple):
        scale_factors = scales_h
    factors = scale_factors or (scales_h, scales_w)
    if output_size is None:
        output_size = [int(n * f) for n, f in zip(input.shape[2:], factors)]
    maps = []
    for old, new, factor in zip(input.shape[2:], output_size, factors):
        scale = (
            (old - 1) / max(new - 1, 1) if align_corners else 1 / factor if factor else old / new
        )
        maps.append(("widened linear", old, new, scale))
    return resample.call(input, (None, None, *maps), False, 0.0)


__all__ = ["_upsample_bilinear2d_aa"]

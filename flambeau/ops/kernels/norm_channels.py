"""Group normalisation of images whose channels are neighbours in memory (channels last), and its
gradient by the input, in native code.

A group's channels are few, so vectors run over all channels of some positions at once: lines of
LINE elements or more. One pass sums every channel, then each group's sums give coefficients for its
channels, and a second pass computes y = a x + b, or dx = a g + b x + c. One item of the parallel
loop is an image. Called by ops.normalization:

    address = norm_address(normalise_channels, "float32")
    plan.use_native(address, norm_params(spec, groups, eps, weight=1, bias=2, outputs=3), items=...)
"""

from __future__ import annotations

import struct
from math import gcd

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    bitcast,
    f32,
    f64,
    f64p,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    square_root,
    stack,
    void,
)
from flambeau.core.spec import Spec

X, XP, BACKWARD = f32, pointer(f32), False  # replaced by `Unit`
POSITIONS, CHANNELS, GROUPS, LINES, EPS, WEIGHT_AT, BIAS_AT, OUT_AT = range(8)
LONGEST, LINE, BLOCK = 2048, 128, 64  # elements of a line, and lines that are summed in X
TYPES = {"float32": f32, "float64": f64}


@native
def sum_lines(x: XP, g: XP, shift: XP, sums: XP, products: XP, count: i64) -> void:
    """Another line: of x and its square, less a shift, or of g and its product with x."""
    for j in range(count):
        deviation = x[j] - shift[j]
        value = g[j] if BACKWARD else deviation
        sums[j] = sums[j] + value
        products[j] = products[j] + value * deviation


@native
def sum_image(params: i64p, x: XP, g: XP, shift: XP, totals: f64p, squares: f64p) -> void:
    """Every channel's sums over an image; `shift`, the image's first position, keeps the squares
    small.
    """
    sums, products = stack(X, LONGEST), stack(X, LONGEST)
    channels, lines = params[CHANNELS], params[LINES]
    size, line = params[POSITIONS] * channels, lines * channels
    for j in range(line):
        shift[j] = x[j % channels]
    for c in range(channels):
        totals[c], squares[c] = f64(0), f64(0)
    for first in range(0, size, BLOCK * line):
        last = first + BLOCK * line if first + BLOCK * line < size else size
        for j in range(line):
            sums[j], products[j] = X(0), X(0)
        for i in range(first, last, line):
            sum_lines(x + i, g + i, shift, sums, products, line if last - i > line else last - i)
        for r in range(lines):
            for c in range(channels):
                totals[c] = totals[c] + f64(sums[r * channels + c])
                squares[c] = squares[c] + f64(products[r * channels + c])


@native
def repeat_line(params: i64p, values: XP) -> void:
    """The channels' values again and again, to the end of a line."""
    channels = params[CHANNELS]
    for j in range(channels, params[LINES] * channels):
        values[j] = values[j - channels]


@native
def normalise_channels(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel. Buffers: input, weight and bias if any, result, means, scales."""
    totals, squares = stack(f64, LONGEST), stack(f64, LONGEST)
    shift, slope, offset = stack(X, LONGEST), stack(X, LONGEST), stack(X, LONGEST)
    channels, groups = params[CHANNELS], params[GROUPS]
    each, size, eps = channels // groups, params[POSITIONS] * channels, bitcast(f64, params[EPS])
    number, line = f64(params[POSITIONS]), params[LINES] * channels
    weight: XP = buffers[params[WEIGHT_AT]]
    bias: XP = buffers[params[BIAS_AT]]
    for item in range(start, stop):
        x: XP = buffers[0]
        y: XP = buffers[params[OUT_AT]]
        means: XP = buffers[params[OUT_AT] + 1]
        scales: XP = buffers[params[OUT_AT] + 2]
        x, y = x + item * size, y + item * size
        sum_image(params, x, x, shift, totals, squares)
        for k in range(groups):
            mean, variance = f64(0), f64(0)
            for c in range(k * each, (k + 1) * each):
                mean = mean + f64(shift[c]) * number + totals[c]
            mean = mean / (number * f64(each))
            for c in range(k * each, (k + 1) * each):
                apart = f64(shift[c]) - mean
                variance = variance + squares[c] + (2.0 * totals[c] + number * apart) * apart
            variance = variance / (number * f64(each))
            scale = 1.0 / square_root((variance if variance > 0.0 else f64(0)) + eps)
            if variance != variance:
                scale = variance
            means[item * groups + k], scales[item * groups + k] = X(mean), X(scale)
            for c in range(k * each, (k + 1) * each):
                factor = scale * f64(weight[c]) if params[WEIGHT_AT] != 0 else scale
                slope[c] = X(factor)
                offset[c] = X((f64(bias[c]) if params[BIAS_AT] != 0 else f64(0)) - mean * factor)
        repeat_line(params, slope)
        repeat_line(params, offset)
        for i in range(0, size, line):
            for j in range(line if size - i > line else size - i):
                y[i + j] = x[i + j] * slope[j] + offset[j]


@native
def normalise_channels_back(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel. Buffers: gradient of the result, input, means, scales, weight if any, result."""
    totals, squares = stack(f64, LONGEST), stack(f64, LONGEST)
    shift, by_g, by_x = stack(X, LONGEST), stack(X, LONGEST), stack(X, LONGEST)
    offset = stack(X, LONGEST)
    channels, groups = params[CHANNELS], params[GROUPS]
    each, size, line = channels // groups, params[POSITIONS] * channels, params[LINES] * channels
    number = f64(params[POSITIONS] * each)
    weight: XP = buffers[params[WEIGHT_AT]]
    for item in range(start, stop):
        g: XP = buffers[0]
        x: XP = buffers[1]
        means: XP = buffers[2]
        scales: XP = buffers[3]
        target: XP = buffers[params[OUT_AT]]
        g, x, target = g + item * size, x + item * size, target + item * size
        sum_image(params, x, g, shift, totals, squares)
        for k in range(groups):
            mean, scale = f64(means[item * groups + k]), f64(scales[item * groups + k])
            level, along = f64(0), f64(0)
            for c in range(k * each, (k + 1) * each):
                factor = f64(weight[c]) if params[WEIGHT_AT] != 0 else f64(1)
                level = level + factor * totals[c]
                along = along + factor * (squares[c] + (f64(shift[c]) - mean) * totals[c])
            level, along = level / number, along * scale / number
            for c in range(k * each, (k + 1) * each):
                factor = f64(weight[c]) if params[WEIGHT_AT] != 0 else f64(1)
                by_g[c], by_x[c] = X(scale * factor), X(-scale * scale * along)
                offset[c] = X(scale * (mean * scale * along - level))
        repeat_line(params, by_g)
        repeat_line(params, by_x)
        repeat_line(params, offset)
        for i in range(0, size, line):
            for j in range(line if size - i > line else size - i):
                target[i + j] = g[i + j] * by_g[j] + (x[i + j] * by_x[j] + offset[j])


def lines_of(channels: int) -> int:
    """Positions of a line: whole vectors of 16 elements, and enough of them."""
    whole = 16 // gcd(channels, 16)
    return whole * max(1, -(-LINE // (channels * whole)))


def suits(*specs: Spec) -> bool:
    """Whether the kernels compute on such images and vectors of channels."""
    dtypes = {spec.dtype.name for spec in specs}
    channels = specs[0].shape[1]
    return (
        len(dtypes) == 1
        and dtypes <= TYPES.keys()
        and lines_of(channels) * channels <= LONGEST
        and all(spec.contiguous for spec in specs if spec.ndim == 1)
    )


def norm_params(
    spec: Spec, groups: int, eps: float, weight: int, bias: int, outputs: int
) -> list[int]:
    """The parameters; `weight`, `bias` and `outputs` say which buffers they are, 0 for none."""
    channels = spec.shape[1]
    bits = struct.unpack("q", struct.pack("d", eps))[0]
    positions = spec.numel // (spec.shape[0] * channels)
    return [positions, channels, groups, lines_of(channels), bits, weight, bias, outputs]


def norm_address(kernel: NativeFunction, dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    element, backward = TYPES[dtype], kernel is normalise_channels_back
    unit = Unit(
        f"{kernel.name}_{dtype}", [kernel], X=element, XP=pointer(element), BACKWARD=backward
    )
    symbol = unit.symbol(kernel)
    return load("norm-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]

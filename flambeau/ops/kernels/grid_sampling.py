"""Native kernels of grid_sample and its gradients: pixels at points that are given as numbers.

For a block of points each axis finds its taps (places, weights, slopes of the weights); the corners
are their products, as tables over the block. Then all channels read through the tables. Every loop
over a block has no branches, so that LLVM makes vectors of it; mode, padding and alignment are
compiled in. Elements are contiguous. Used by ops.grid_sample:

    address = kernel_address(sample, "float32", 2, "bilinear", "zeros", align=False)
    plan.use_native(address, [images, channels, points, depth, height, width, ...], items=..., ...)
"""

from __future__ import annotations

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Unit,
    f32,
    f64,
    fill_memory,
    floor_of,
    i32,
    i32p,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    stack,
    void,
)  # fmt: skip

# replaced by `Unit`: the element type; which mode, padding, alignment and number of dimensions
X, XP, SIZE = f32, pointer(f32), 4
MODE, PADDING, ALIGN, DIMS, TAPS, CORNERS = 1, 0, False, 2, 2, 4
NEAREST, LINEAR, CUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)
BLOCK = 64  # points together
AXIS = BLOCK * 4  # elements of an axis' tables: at most four taps
TABLE = BLOCK * 16  # elements of the corners' tables

CHANNELS, POINTS, SIZES, BLOCKS, PARTS = 0, 1, 2, 5, 6  # SIZES: depth, height, width


@native
def in_pixels(value: X, size: i64) -> X:
    """A coordinate from -1 to 1 in pixels."""
    moved = value + X(1)
    return moved / X(2) * X(size - 1) if ALIGN else (moved * X(size) - X(1)) / X(2)


@native
def folds(value: X, size: i64) -> X:
    """How often a coordinate is reflected at the two borders."""
    span = X(size - 1) if ALIGN else X(size)
    distance = value - (X(0) if ALIGN else X(-0.5))
    distance = distance if distance > X(0) else X(0) - distance
    return floor_of(distance / span) if span > X(0) else X(0)


@native
def reflected(value: X, size: i64) -> X:
    """A coordinate reflected at the borders until it is inside."""
    low, span = X(0) if ALIGN else X(-0.5), X(size - 1) if ALIGN else X(size)
    distance = value - low
    distance = distance if distance > X(0) else X(0) - distance
    times = folds(value, size)
    extra = distance - times * span
    even = times == X(2) * floor_of(times / X(2))
    found = extra + low if even else span - extra + low
    return found if span > X(0) else X(0)


@native
def brought_inside(value: X, size: i64) -> X:
    """What the padding mode makes of a coordinate."""
    found = value
    if PADDING != ZEROS:
        top = X(size - 1)
        found = reflected(value, size) if PADDING == REFLECTION else value
        found = found if found < top else top
        found = found if found > X(0) else X(0)
    return found


@native
def slope_of(value: X, size: i64) -> X:
    """The derivative of the coordinate inside by the one from -1 to 1."""
    slope = X(size - 1) / X(2) if ALIGN else X(size) / X(2)
    if PADDING != ZEROS:
        found = value
        if PADDING == REFLECTION:
            times = folds(value, size)
            even = times == X(2) * floor_of(times / X(2))
            rises = value >= (X(0) if ALIGN else X(-0.5))
            slope = slope if rises == even else X(0) - slope
            found = reflected(value, size)
        clipped = (found <= X(0)) | (found >= X(size - 1))
        slope = X(0) if clipped else slope
    return slope


@native
def nearest(value: X) -> X:
    """To the nearest whole number, halves to the even one."""
    up = floor_of(value + X(0.5))
    odd = up != X(2) * floor_of(up / X(2))
    return up - X(1) if (up - value == X(0.5)) & odd else up


@native
def near_weight(x: X) -> X:
    """The cubic kernel within one pixel (Keys, 1981, a = -0.75)."""
    return (X(1.25) * x - X(2.25)) * x * x + X(1)


@native
def far_weight(x: X) -> X:
    """The cubic kernel from one pixel to two."""
    return ((X(-0.75) * x + X(3.75)) * x - X(6)) * x + X(3)


@native
def near_slope(x: X) -> X:
    """The derivative of `near_weight`."""
    return (X(3.75) * x - X(4.5)) * x


@native
def far_slope(x: X) -> X:
    """The derivative of `far_weight`."""
    return (X(-2.25) * x + X(7.5)) * x - X(6)


@native
def put_tap(
    places: i32p, weights: XP, slopes: XP, at: i64, place: X, weight: X, slope: X, size: i64
) -> void:
    """One tap of one point; outside the picture it weighs nothing."""
    seen = (place >= X(0)) & (place < X(size))
    places[at] = i32(place if seen else X(0))
    weights[at] = weight if seen else X(0)
    slopes[at] = slope if seen else X(0)


@native
def find_taps(points: XP, size: i64, places: i32p, weights: XP, slopes: XP) -> void:
    """The taps of one axis for a block of points."""
    for i in range(BLOCK):
        value = in_pixels(points[i], size)
        if MODE == CUBIC:
            base = floor_of(value)
            t, rise = value - base, X(size - 1) / X(2) if ALIGN else X(size) / X(2)
            a, b = brought_inside(base - X(1), size), brought_inside(base, size)
            c, d = brought_inside(base + X(1), size), brought_inside(base + X(2), size)
            u, v = X(1) - t, X(2) - t
            put_tap(places, weights, slopes, i, a, far_weight(t + X(1)),
                    far_slope(t + X(1)) * rise, size)  # fmt: skip
            put_tap(places, weights, slopes, BLOCK + i, b, near_weight(t), near_slope(t) * rise,
                    size)  # fmt: skip
            put_tap(places, weights, slopes, 2 * BLOCK + i, c, near_weight(u),
                    X(0) - near_slope(u) * rise, size)  # fmt: skip
            put_tap(places, weights, slopes, 3 * BLOCK + i, d, far_weight(v),
                    X(0) - far_slope(v) * rise, size)  # fmt: skip
        elif MODE == LINEAR:
            x, rise = brought_inside(value, size), slope_of(value, size)
            base = floor_of(x)
            put_tap(places, weights, slopes, i, base, base + X(1) - x, X(0) - rise, size)
            put_tap(places, weights, slopes, BLOCK + i, base + X(1), x - base, rise, size)
        else:
            x = nearest(brought_inside(value, size))
            put_tap(places, weights, slopes, i, x, X(1), X(0), size)


@native
def read_points(grid: XP, points: XP, first: i64, count: i64) -> void:
    """The coordinates of a block axis by axis, the last (x) first; none is far outside."""
    for d in range(DIMS):
        for i in range(BLOCK):
            points[d * BLOCK + i] = X(0)
        for i in range(count):
            value = grid[(first + i) * DIMS + d]
            value = value if value > X(-1.0e9) else X(-1.0e9)
            points[d * BLOCK + i] = value if value < X(1.0e9) else X(1.0e9)


@native
def find_corners(
    params: i64p, places: i32p, weights: XP, slopes: XP, offsets: i32p, products: XP, axis: i64
) -> void:
    """Where the corners of every point are and what they weigh; with `axis` 0, 1 or 2 (x, y, z)
    the derivative by that coordinate.
    """
    ax: XP = slopes if axis == 0 else weights
    ay: XP = (slopes if axis == 1 else weights) + AXIS
    az: XP = (slopes if axis == 2 else weights) + 2 * AXIS
    px, py, pz = places, places + AXIS, places + 2 * AXIS
    height, width = i32(params[SIZES + 1]), i32(params[SIZES + 2])
    for k in range(CORNERS):
        x, y, z = k % TAPS * BLOCK, k // TAPS % TAPS * BLOCK, k // TAPS // TAPS * BLOCK
        for i in range(BLOCK):
            if DIMS == 3:
                row = pz[z + i] * height + py[y + i]
                products[k * BLOCK + i] = ax[x + i] * ay[y + i] * az[z + i]
            else:
                row = py[y + i]
                products[k * BLOCK + i] = ax[x + i] * ay[y + i]
            offsets[k * BLOCK + i] = row * width + px[x + i]


@native
def find_axes(
    params: i64p, grid: XP, first: i64, count: i64, places: i32p, weights: XP, slopes: XP
) -> void:
    """The taps of all axes for a block of points."""
    points = stack(X, 192)
    read_points(grid, points, first, count)
    for d in range(DIMS):
        find_taps(
            points + d * BLOCK,
            params[SIZES + 2 - d],
            places + d * AXIS,
            weights + d * AXIS,
            slopes + d * AXIS,
        )


@native
def four(line: XP, plane: XP, offsets: i32p, products: XP) -> void:
    """Adds four corners of one channel to a line."""
    for i in range(BLOCK):
        a = products[i] * plane[offsets[i]]
        b = products[BLOCK + i] * plane[offsets[BLOCK + i]]
        c = products[2 * BLOCK + i] * plane[offsets[2 * BLOCK + i]]
        d = products[3 * BLOCK + i] * plane[offsets[3 * BLOCK + i]]
        line[i] = line[i] + ((a + b) + (c + d))


@native
def gather(line: XP, plane: XP, offsets: i32p, products: XP) -> void:
    """Of one channel: the weighted sum over the corners, for a block of points. The line lies in
    the stack, so that the loops may read and write in any order.
    """
    if CORNERS == 1:
        for i in range(BLOCK):
            line[i] = products[i] * plane[offsets[i]]
    else:
        for i in range(BLOCK):
            line[i] = X(0)
        for k in range(0, CORNERS, 4):
            four(line, plane, offsets + k * BLOCK, products + k * BLOCK)


@native
def sample(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: blocks of points. Buffers: picture, grid, result."""
    places, offsets = stack(i32, 768), stack(i32, TABLE)
    weights, slopes, products = stack(X, 768), stack(X, 768), stack(X, TABLE)
    line = stack(X, BLOCK)
    total, channels = params[POINTS], params[CHANNELS]
    volume = params[SIZES] * params[SIZES + 1] * params[SIZES + 2]
    for item in range(start, stop):
        image, first = item // params[BLOCKS], item % params[BLOCKS] * BLOCK
        count = total - first if total - first < BLOCK else i64(BLOCK)
        x: XP = buffers[0]
        grid: XP = buffers[1]
        y: XP = buffers[2]
        x, y = x + image * channels * volume, y + (image * channels * total + first)
        find_axes(params, grid + image * total * DIMS, first, count, places, weights, slopes)
        find_corners(params, places, weights, slopes, offsets, products, -1)
        for c in range(channels):
            gather(line, x + c * volume, offsets, products)
            for i in range(count):
                y[c * total + i] = line[i]


@native
def spread_samples(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the picture's gradient, some channels of one picture. Buffers: gradient, grid,
    result.
    """
    places, offsets = stack(i32, 768), stack(i32, TABLE)
    weights, slopes, products = stack(X, 768), stack(X, 768), stack(X, TABLE)
    total, channels, parts = params[POINTS], params[CHANNELS], params[PARTS]
    volume = params[SIZES] * params[SIZES + 1] * params[SIZES + 2]
    for item in range(start, stop):
        image, part = item // parts, item % parts
        begin, end = part * channels // parts, (part + 1) * channels // parts
        g: XP = buffers[0]
        grid: XP = buffers[1]
        out: XP = buffers[2]
        g, out = g + image * channels * total, out + image * channels * volume
        fill_memory(out + begin * volume, 0, (end - begin) * volume * SIZE)
        for first in range(0, total, BLOCK):
            count = total - first if total - first < BLOCK else i64(BLOCK)
            find_axes(params, grid + image * total * DIMS, first, count, places, weights, slopes)
            find_corners(params, places, weights, slopes, offsets, products, -1)
            for c in range(begin, end):
                plane, line = out + c * volume, g + (c * total + first)
                for k in range(CORNERS):
                    for i in range(count):
                        where = offsets[k * BLOCK + i]
                        plane[where] = plane[where] + products[k * BLOCK + i] * line[i]


@native
def slope_samples(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the grid's gradient, blocks of points. Buffers: gradient, picture, grid, result."""
    places, offsets = stack(i32, 768), stack(i32, TABLE)
    weights, slopes, products = stack(X, 768), stack(X, 768), stack(X, TABLE)
    line, sums = stack(X, BLOCK), stack(X, BLOCK)
    total, channels = params[POINTS], params[CHANNELS]
    volume = params[SIZES] * params[SIZES + 1] * params[SIZES + 2]
    for item in range(start, stop):
        image, first = item // params[BLOCKS], item % params[BLOCKS] * BLOCK
        count = total - first if total - first < BLOCK else i64(BLOCK)
        g: XP = buffers[0]
        x: XP = buffers[1]
        grid: XP = buffers[2]
        out: XP = buffers[3]
        g, x = g + (image * channels * total + first), x + image * channels * volume
        out = out + (image * total + first) * DIMS
        find_axes(params, grid + image * total * DIMS, first, count, places, weights, slopes)
        for axis in range(DIMS):
            find_corners(params, places, weights, slopes, offsets, products, axis)
            for i in range(BLOCK):
                sums[i] = X(0)
            for c in range(channels):
                gather(line, x + c * volume, offsets, products)
                for i in range(count):
                    sums[i] = sums[i] + line[i] * g[c * total + i]
            for i in range(count):
                out[i * DIMS + axis] = sums[i]


ELEMENTS = {"float32": f32, "float64": f64}
MODES = {"nearest": NEAREST, "bilinear": LINEAR, "bicubic": CUBIC}
PADDINGS = {"zeros": ZEROS, "border": BORDER, "reflection": REFLECTION}


def kernel_address(
    kernel: NativeFunction, dtype: str, dims: int, mode: str, padding: str, align: bool
) -> int:
    """Machine code of a kernel for one kind of sampling."""
    element, taps = ELEMENTS[dtype], {"nearest": 1, "bilinear": 2, "bicubic": 4}[mode]
    unit = Unit(
        f"{kernel.name}_{dtype}_{mode}_{padding}_{align:d}_{dims}", [kernel], X=element,
        XP=pointer(element), SIZE=element.bits // 8, MODE=MODES[mode], PADDING=PADDINGS[padding],
        ALIGN=align, DIMS=dims, TAPS=taps, CORNERS=taps**dims,
    )  # fmt: skip
    symbol = unit.symbol(kernel)
    return load("grid-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]

"""Random samples written into NumPy arrays: torch 2.13's bits on the CPU for the same state.

Called by `ops/random.py` with a tensor's storage seen as a contiguous array:

    values = np.empty(3, np.float32)
    uniform(MT19937(0), values)           # as torch.manual_seed(0); torch.rand(3)

Every function takes the engine first and fills `array` in order; the engine then stands where
torch's would. The array's dtype says what is made; bfloat16 is a uint16 array with
`bfloat16=True`, and samples of the 16-bit types are computed in float32 and rounded. Complex
tensors are filled as arrays of twice the length (`normal` with `std / sqrt(2)`). A tensor that is
not contiguous is filled in the order of its memory: the dimension of least stride runs fastest.

Arguments are not checked here: see `random_checks.py`.
"""

from __future__ import annotations

import math

import numpy as np

from flambeau.codegen.native import Unit
from flambeau.ops.arrays import as_array, from_array
from flambeau.ops.kernels import random_native as loops
from flambeau.ops.kernels import random_rejection as rejection
from flambeau.ops.kernels.random_checks import division
from flambeau.ops.kernels.random_native import BLOCK
from flambeau.ops.sort import topk
from flambeau.runtime.binding import link
from flambeau.runtime.mt19937 import MT19937

Array = np.ndarray
SINGLE, DOUBLE = "f", "d"  # dtype.char


def uniform(
    engine: MT19937, array: Array, low: float = 0.0, high: float = 1.0, bfloat16: bool = False
) -> None:
    """Uniform on [low, high): 24 bits of a word (float64: 53 bits of two) times the span, + `low`.

    A value that rounding made equal to `high` becomes `low`.
    """
    kind = array.dtype.char
    if kind == SINGLE:
        link(loops.UNIFORM).uniform32(engine.address, array, array.size, low, high, high)
    elif kind == DOUBLE:
        link(loops.UNIFORM).uniform64(engine.address, array, array.size, low, high)
    else:  # the comparison with `high` comes after the rounding to 16 bits
        values = np.empty(array.size, np.float32)
        link(loops.UNIFORM).uniform32(engine.address, values, array.size, low, high, math.inf)
        _narrow(values, array, bfloat16)
        ends = np.empty(2, array.dtype)
        _narrow(np.array([low, high], np.float32), ends, bfloat16)
        array[array == ends[1]] = ends[0]


def normal(
    engine: MT19937,
    array: Array,
    mean: float = 0.0,
    std: float = 1.0,
    bfloat16: bool = False,
    contiguous: bool = True,
) -> None:
    """Normal samples by Box-Muller, `value * std + mean` in one rounding.

    From 16 elements on: uniforms first, then blocks of 8 radii and 8 angles give 8 cosine and 8
    sine samples; if 16 does not divide the size, the last 16 elements are made anew from 16 further
    uniforms. Fewer elements, or a tensor that is not contiguous (`contiguous=False`): one by one in
    float64, the sine sample of each pair waiting in the engine, even across calls.
    """
    size, kind = array.size, array.dtype.char
    if size < BLOCK or not contiguous:
        _fill_floats(loops.SERIAL_NORMAL_UNITS, "normal_serial", engine, array, bfloat16, mean, std)
    elif kind == SINGLE:
        link(loops.NORMAL).normal32(engine.address, array, size, mean, std)
    elif kind == DOUBLE:
        link(loops.NORMAL).normal64(engine.address, array, size, mean, std)
    else:  # the 16-bit types draw no uniforms for an incomplete block
        flat, rest = array.reshape(-1), size % BLOCK
        values = np.empty(size - rest, np.float32)
        link(loops.NORMAL).normal32(engine.address, values, values.size, mean, std)
        _narrow(values, flat[: values.size], bfloat16)
        if rest:
            link(loops.NORMAL).normal32(engine.address, values, BLOCK, mean, std)
            _narrow(values[:BLOCK], flat[size - BLOCK :], bfloat16)


def log_normal(
    engine: MT19937, array: Array, mean: float = 1.0, std: float = 2.0, bfloat16: bool = False
) -> None:
    """exp of serial normal samples (see `normal`), in float64."""
    _fill_floats(loops.SERIAL_NORMAL_UNITS, "log_normal", engine, array, bfloat16, mean, std)


def exponential(engine: MT19937, array: Array, rate: float = 1.0, bfloat16: bool = False) -> None:
    """-1 / rate * log1p(-u), u of 53 bits, in float64."""
    _fill_floats(loops.FLOAT_UNITS, "exponential", engine, array, bfloat16, rate)


def cauchy(
    engine: MT19937, array: Array, median: float = 0.0, sigma: float = 1.0, bfloat16: bool = False
) -> None:
    """median + sigma * tan(pi * (u - 1/2)), u of 53 bits, in float64."""
    _fill_floats(loops.FLOAT_UNITS, "cauchy", engine, array, bfloat16, median, sigma)


def geometric(engine: MT19937, array: Array, p: float, bfloat16: bool = False) -> None:
    """ceil(log(u) / log1p(-p)), u of 53 bits, in float64; integer types take it too."""
    if bfloat16 or array.dtype.kind == "f":
        _fill_floats(loops.FLOAT_UNITS, "geometric", engine, array, bfloat16, p)
        return
    values = np.empty(array.shape, np.float64)
    _fill_floats(loops.FLOAT_UNITS, "geometric", engine, values, False, p)
    array[...] = values.astype(np.int64)


def bernoulli(engine: MT19937, array: Array, probability: float, bfloat16: bool = False) -> None:
    """1 where a float64 uniform of 53 bits is below `probability`, else 0; for every dtype."""
    # u * 2**53 is an integer, so u < p exactly where it is below ceil(p * 2**53).
    threshold = math.ceil(probability * 2.0**53)
    one = 0x3F80 if bfloat16 else _ONE_BITS[array.dtype.char]
    unit = loops.BIT_UNITS[array.itemsize]
    link(unit).bernoulli(engine.address, array, array.size, threshold, one)


def bernoulli_each(
    engine: MT19937, array: Array, probabilities: Array, bfloat16: bool = False
) -> None:
    """As `bernoulli` with one probability for each element.

    float64 probabilities meet uniforms of 53 bits; all others (float32, or 16-bit ones converted to
    float32 beforehand) meet float32 uniforms of 24 bits.
    """
    units = np.empty(array.shape, np.float64 if probabilities.dtype.char == DOUBLE else np.float32)
    uniform(engine, units)
    hits = units < probabilities
    array[...] = hits * np.uint16(0x3F80) if bfloat16 else hits


def integers(engine: MT19937, array: Array, base: int, count: int, bfloat16: bool = False) -> None:
    """base + draw % count, a draw being one 32-bit word if `count` < 2**28, else two.

    `count` = 2**64 takes the draws whole.
    """
    _modulo(engine, array, base, count, count >= 1 << 28, bfloat16)


def integers_of_dtype(engine: MT19937, array: Array, bfloat16: bool = False) -> None:
    """`random_()` without bounds: from 0 to the greatest integer, or 2**mantissa bits of a float.

    int64 and float64 take two words for each value, all others one.
    """
    kind = array.dtype.kind
    if bfloat16:
        count = 2**8 + 1
    elif kind == "f":
        count = 2 ** (np.finfo(array.dtype).nmant + 1) + 1
    else:
        count = 2 if kind == "b" else int(np.iinfo(array.dtype).max) + 1
    _modulo(engine, array, 0, count, kind in "fi" and array.itemsize == 8, bfloat16)


def permutation(engine: MT19937, array: Array, bfloat16: bool = False) -> None:
    """A random order of 0 ... n-1: Fisher-Yates, each step one word modulo the number of choices.

    From (2**32 - 1) // 20 elements on, the inside-out form with 64-bit words.
    """
    size = array.size
    if size >= (2**32 - 1) // 20:
        order = array if array.dtype == np.int64 else np.empty(size, np.int64)
        link(loops.PERMUTATION).permutation_large(engine.address, order, size)
    else:
        order = np.empty(size, np.uint32)  # half the memory of int64: the swaps miss the cache less
        link(loops.PERMUTATION).permutation(engine.address, order, size)
    if bfloat16:
        _narrow(order.astype(np.float32), array, True)
    elif order is not array:
        array[...] = order


def multinomial(
    engine: MT19937, array: Array, weights: Array, replacement: bool, bfloat16: bool = False
) -> None:
    """Fill `array` (rows, samples) of int64 with categories drawn by `weights` (rows, categories).

    With replacement: positions of 53-bit uniforms in the running sum, divided by its last value;
    16-bit weights are summed in float32. A single sample, or without replacement: the greatest of
    weights / q in order, q exponential of rate 1, all in the type of `weights`; equal ones by
    position.
    """
    wide = _widen(weights) if bfloat16 else weights
    if replacement and array.shape[1] > 1:
        rows = np.ascontiguousarray(wide, np.float64 if wide.itemsize == 8 else np.float32)
        sums = np.empty(rows.shape[1], rows.dtype)
        loop = link(loops.CATEGORY_UNITS[rows.itemsize]).categories
        loop(engine.address, array, rows, sums, *rows.shape, array.shape[1])
        return
    times = np.empty(weights.shape, weights.dtype)
    exponential(engine, times, bfloat16=bfloat16)
    with np.errstate(over="ignore"):
        keys = wide / (_widen(times) if bfloat16 else times)
    if bfloat16:
        _narrow(keys, times, True)
        keys = _widen(times)
    if array.shape[1] == 1:
        array[...] = keys.argmax(axis=1, keepdims=True)
    else:
        array[...] = as_array(topk.call(from_array(keys), array.shape[1])[1])


def poisson(engine: MT19937, array: Array, rates: Array) -> None:
    """Poisson counts; `rates` has the array's dtype (16-bit types go through float32)."""
    link(rejection.UNITS[array.itemsize]).fill_poisson(engine.address, array, rates, array.size)


def binomial(engine: MT19937, array: Array, counts: Array, probabilities: Array) -> None:
    """Successes in `counts` trials each of probability `probabilities`."""
    loop = link(rejection.UNITS[array.itemsize]).fill_binomial
    loop(engine.address, array, counts, probabilities, array.size)


def standard_gamma(engine: MT19937, array: Array, shapes: Array) -> None:
    """Gamma samples of shape `shapes` and scale 1."""
    least = float(np.finfo(array.dtype).tiny)
    link(rejection.UNITS[array.itemsize]).fill_gamma(
        engine.address, array, shapes, array.size, least
    )


# The bits of 1 in each dtype.
_ONE_BITS = {"f": 0x3F800000, "d": 0x3FF0000000000000, "e": 0x3C00} | dict.fromkeys(
    "?bBhHiIlLqQ", 1
)


def _narrow(values: Array, array: Array, bfloat16: bool) -> None:
    """Round contiguous float32 `values` into a 16-bit array."""
    if bfloat16:
        link(loops.UNIFORM).narrow_bfloat16(values, array, values.size)
    else:
        with np.errstate(over="ignore"):
            array.reshape(-1)[...] = values.reshape(-1)


def _widen(bits: Array) -> Array:
    """The float32 values of bfloat16 bits."""
    values: Array = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values


def _fill_floats(
    units: dict[int, Unit],
    name: str,
    engine: MT19937,
    array: Array,
    bfloat16: bool,
    *parameters: float,
) -> None:
    """Run a loop of the float templates; 16-bit types round twice, through float32, as in torch."""
    if array.itemsize > 2:
        loop = getattr(link(units[array.itemsize]), name)
        loop(engine.address, array, array.size, *parameters)
    else:
        values = np.empty(array.size, np.float32)
        getattr(link(units[4]), name)(engine.address, values, array.size, *parameters)
        _narrow(values, array, bfloat16)


def _modulo(
    engine: MT19937, array: Array, base: int, count: int, wide: bool, bfloat16: bool
) -> None:
    """base + draw % count, `wide` draws being of 64 bits."""
    short = bfloat16 or array.dtype.char == "e"
    target = np.empty(array.size, np.float32) if short else array
    unit = link(loops.INTEGER_UNITS["f" if target.dtype.kind == "f" else "i", target.itemsize])
    loop = unit.integers64 if wide else unit.integers32
    loop(engine.address, target, array.size, base, *division(count, 64 if wide else 32))
    if short:
        _narrow(target, array, bfloat16)

"""Argument checks of the random ops, with torch's texts: `random_streams.py` relies on them.

Called by `ops/random.py` before anything is drawn:

    base, count = integer_range(uint8, 0, 300)     # RuntimeError: to - 1 is out of bounds for ...
    integers(engine, array, base, count)

torch checks before it looks whether the tensor is empty: bad arguments fail for empty ones too.
"""

from __future__ import annotations

import math
import struct
import warnings
from functools import lru_cache

import numpy as np

from flambeau.core.dtype import dtype, finfo, iinfo
from flambeau.core.errors import not_implemented_for

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
# Bits of the mantissa, the hidden one included.
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def integer_range(type: dtype, low: int, high: int | None) -> tuple[int, int]:
    """`base` and `count` for `integers` from the bounds of `random_(low, high)`, high excluded.

    `high=None` goes up to the greatest integer, or to 2**mantissa bits of a float. Bounds that a
    float cannot hold move inwards, so that rounding never leaves the range.
    """
    if high is None and low == INT64_MIN:
        _check_full_range(type)
        return 0, 1 << 64
    if high is None:
        if type.is_complex:
            raise RuntimeError(
                "random_from_to_impl handles only integral, floating-point and boolean types"
            )
        return _open_range(type, low)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    if type.is_floating_point:
        low, high = _raised(type, low), _lowered(type, high)
        if low >= high:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                f"but got from={low} >= to={high}"
            )
    _check_bounds(type, low, high - 1)
    return low, high - low


@lru_cache(256)
def integer_draw(type: dtype, low: int, high: int | None) -> tuple[int, int, tuple[int, ...]]:
    """`integer_range`, and the numbers of the kernel that draws such integers."""
    base, count = integer_range(type, low, high)
    wide = count >= 1 << 28
    numbers = (wide, base, *division(count, 64 if wide else 32))
    return base, count, tuple(int(n) - (1 << 64 if n >> 63 > 0 else 0) for n in numbers)


@lru_cache(1024)
def division(divisor: int, bits: int) -> tuple[int, int, int, int]:
    """Divisor, magic, halve and shift of `random_native`'s remainder; zeros keep the draw whole."""
    if divisor >> bits:
        return 0, 0, 0, 0
    length = (divisor - 1).bit_length()
    magic = ((1 << bits) * ((1 << length) - divisor) // divisor + 1) % (1 << bits)
    return divisor, magic, min(length, 1), max(length - 1, 0)


@lru_cache(256)
def check_unbounded(type: dtype) -> None:
    """The dtypes of `random_()`."""
    if type.is_complex or (type.kind == "u" and type.itemsize > 1):
        raise not_implemented_for("random_kernel_cpu", type.scalar_name)


@lru_cache(256)
def check_uniform(type: dtype, low: float, high: float) -> None:
    """The arguments of `uniform_`; a complex tensor is checked as its real view."""
    type = type.to_real()
    if not type.is_floating_point:
        raise not_implemented_for("check_uniform_bounds", type.scalar_name)
    greatest = finfo(type).max
    for value, name in ((low, "from"), (high, "to")):
        if not -greatest <= value <= greatest:
            raise RuntimeError(f"{name} is out of bounds for {type.c_name}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > greatest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{type.scalar_name}>::max(), but "
            f"found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


@lru_cache(256)
def check_normal(type: dtype, std: float) -> None:
    """The arguments of `normal_`."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if not type.to_real().is_floating_point:
        raise not_implemented_for("normal_kernel_cpu", type.scalar_name)


@lru_cache(256)
def check_log_normal(type: dtype, std: float) -> None:
    """The arguments of `log_normal_`."""
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    if not type.is_floating_point:
        raise not_implemented_for("log_normal_cpu", type.scalar_name)


@lru_cache(256)
def check_exponential(type: dtype, rate: float) -> None:
    """The arguments of `exponential_`."""
    if not rate > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate:g}")
    if not type.is_floating_point:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {type.scalar_name}"
        )


@lru_cache(256)
def check_cauchy(type: dtype, sigma: float) -> None:
    """The arguments of `cauchy_`."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    if not type.is_floating_point:
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {type.c_name}"
        )


@lru_cache(256)
def check_geometric(type: dtype, p: float) -> None:
    """The arguments of `geometric_`."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    if type.is_complex or type.kind == "b" or (type.kind == "u" and type.itemsize > 1):
        raise not_implemented_for("geometric_cpu", type.scalar_name)


@lru_cache(256)
def check_bernoulli(type: dtype, p: float) -> int:
    """The arguments of `bernoulli_` with one probability, and below which integer of 53 bits a draw
    is a one: u * 2**53 is an integer, so u < p exactly where it is below ceil(p * 2**53).
    """
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    if type.is_complex or (type.kind == "u" and type.itemsize > 1):
        raise not_implemented_for("bernoulli_scalar_cpu_", type.scalar_name)
    return math.ceil(p * 2.0**53)


def check_bernoulli_each(type: dtype, probabilities: np.ndarray, of_type: dtype) -> None:
    """The arguments of `bernoulli_` with one probability for each element."""
    if type.is_complex or (type.kind == "u" and type.itemsize > 1):
        raise not_implemented_for("bernoulli_tensor_cpu_self_", type.scalar_name)
    if not of_type.is_floating_point:
        raise not_implemented_for("bernoulli_tensor_cpu_p_", of_type.scalar_name)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise probability_error()


def probability_error() -> RuntimeError:
    """torch's error for a probability outside [0, 1]."""
    return RuntimeError(
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message "
        "be improved?  If so, please report an enhancement request to PyTorch.)"
    )


def check_multinomial(type: dtype, shape: tuple[int, ...], samples: int, replacement: bool) -> None:
    """The arguments of `multinomial` that do not depend on the weights' values."""
    if not 0 < len(shape) <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not type.is_floating_point:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {type.scalar_name}"
        )
    if samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and samples > shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")


def check_weights(weights: np.ndarray, samples: int, replacement: bool) -> None:
    """The values of `multinomial`'s weights (rows, categories), as floats."""
    good = ((weights >= 0) & (weights < np.inf)).all()
    if good and (weights.sum(axis=1) > 0).all():
        return
    if replacement and samples > 1:
        for row in weights:  # torch reports the first bad entry, row by row
            bad = row[~((row >= 0) & np.isfinite(row))]
            if bad.size:
                kind = "= infinity or NaN" if bad[0] > 0 else "< 0"
                raise RuntimeError(
                    f"invalid multinomial distribution (encountering probability entry {kind})"
                )
            if not row.sum() > 0:
                raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        return
    if not good:
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (weights.sum(axis=1) == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def check_poisson(type: dtype, rates: np.ndarray) -> None:
    """The arguments of `poisson`."""
    if not type.is_floating_point:
        raise not_implemented_for("poisson_cpu", type.scalar_name)
    if not (rates >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")


def _check_full_range(type: dtype) -> None:
    """`random_(-2**63, None)` draws whole 64-bit integers."""
    if type.kind in "ui" and not (type.kind == "u" and type.itemsize > 1):
        if type.itemsize == 8:
            return
    elif type.name in ("float32", "float64", "bfloat16"):
        return
    else:
        raise not_implemented_for("random_full_64_bits_range_kernel_cpu", type.scalar_name)
    raise RuntimeError(
        "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16"
    )


def _open_range(type: dtype, low: int) -> tuple[int, int]:
    """The range from `low` up to the greatest value, included."""
    if type.is_floating_point:
        last = 1 << _DIGITS[type.name]
        low = _raised(type, low)
        if low >= last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={last}"
            )
    else:
        last = 1 if type.kind == "b" else int(iinfo(type).max)
        last = last if last <= INT64_MAX else -1  # torch keeps 2**64 - 1 in an int64
    _check_bounds(type, low, last)
    return low, last - low + 1


def _check_bounds(type: dtype, low: int, last: int) -> None:
    if type.is_complex:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    if type.is_floating_point:
        least, most = -finfo(type).max, finfo(type).max
    elif type.kind == "b":
        least, most = 0, 1
    else:
        least, most = iinfo(type).min, min(iinfo(type).max, INT64_MAX)
    for value, name in ((low, "from"), (last, "to - 1")):
        if not least <= value <= most:
            raise RuntimeError(f"{name} is out of bounds for {type.c_name}")
    if type.is_floating_point:
        digits = _DIGITS[type.name]
        for value, name in ((low, "from"), (last, "to - 1")):
            if abs(value) > 1 << digits:
                warnings.warn(
                    f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                    f"limitations {type.c_name} can support discrete uniform distribution only "
                    "within this range. This warning will become an error in version 1.7 release, "
                    "please fix the code in advance",
                    UserWarning,
                )


def _rounded(type: dtype, value: int) -> int:
    """`value` after a conversion to `type` and back to int64."""
    if type.name == "float64":
        rounded = float(value)
    else:
        single = np.float32(value)
        if type.name == "float16":
            with np.errstate(over="ignore"):
                single = np.float32(np.float16(single))
        elif type.name == "bfloat16":
            (bits,) = struct.unpack("<I", struct.pack("<f", single))
            bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
            (single,) = struct.unpack("<f", struct.pack("<I", bits))
        rounded = float(single)
    if abs(rounded) >= 2.0**63:  # what x86 makes of an integer that does not fit
        return INT64_MIN
    return int(rounded)


def _raised(type: dtype, low: int) -> int:
    following = _rounded(type, low + 1)
    if following >= low:
        return low
    return following + (1 << (abs(low + 1).bit_length() - 1 - _DIGITS[type.name] + 1))


def _lowered(type: dtype, high: int) -> int:
    preceding = _rounded(type, high - 1)
    if preceding < high:
        return high
    return preceding - (1 << (abs(high - 1).bit_length() - 1 - _DIGITS[type.name] + 1))

"""The older window functions: hann_window and its relatives.

They are periodic unless told otherwise; flambeau.signal.windows has the newer ones.

    >>> torch.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.ops.creation import ones
from flambeau.ops.creation_arguments import finish
from flambeau.ops.join import cat
from flambeau.ops.ranges import arange


def described(dtype: Any, device: Any, layout: Any) -> str:
    """The options as torch's errors show them."""
    kind = "float (default)" if dtype is None else dtype.c_name
    where = "cpu" if device is None else device
    form = "Strided (default)" if layout is None else "Sparse"
    return (
        f"TensorOptions(dtype={kind}, device={where}, layout={form}, "
        "requires_grad=false (default), "
        "pinned_memory=false, memory_format=(nullopt))"
    )


def make(
    name: str, length: Any, periodic: bool, formula: Callable[[Any, int], Any], *, dtype: Any,
    layout: Any, device: Any, requires_grad: bool, pin_memory: bool,
) -> Any:  # fmt: skip
    """A window by its formula, a function of (0, 1, ..., count - 1) and the count."""
    if not hasattr(length, "__index__") or isinstance(length, bool):
        raise errors.argument_type_error(name, "window_length", 1, "int", length)
    if layout is not None and layout is not layouts.strided:
        shown = described(dtype, device, layout)
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {shown}")
    if dtype is not None and dtype.category < 2:
        shown = described(dtype, device, layout)
        raise RuntimeError(f"{name} expects floating point dtypes, got: {shown}")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    kind = dtype or dtypes.get_default_dtype()
    if length <= 1:
        return finish(ones(length, dtype=kind, device=device), requires_grad, pin_memory)
    if kind.is_complex:
        raise errors.not_implemented_for("arange_cpu", kind.scalar_name)
    count = length + 1 if periodic else length
    window = formula(arange(count, dtype=kind, device=device), count)
    return finish(window.narrow(0, 0, length) if periodic else window, requires_grad, pin_memory)


def raised_cosine(alpha: float, beta: float) -> Callable[[Any, int], Any]:
    """alpha - beta cos."""
    return lambda x, n: x.mul(2 * math.pi / (n - 1)).cos().mul(-beta).add(alpha)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """0.5 - 0.5 cos.

    >>> torch.hann_window(3, periodic=False)
    tensor([0., 1., 0.])
    """
    return make(
        "hann_window", window_length, periodic, raised_cosine(0.5, 0.5), dtype=dtype,
        layout=layout, device=device, requires_grad=requires_grad, pin_memory=pin_memory,
    )  # fmt: skip


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
    dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """alpha - beta cos.

    >>> torch.hamming_window(3, periodic=False)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return make(
        "hamming_window", window_length, periodic, raised_cosine(alpha, beta), dtype=dtype,
        layout=layout, device=device, requires_grad=requires_grad, pin_memory=pin_memory,
    )  # fmt: skip


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A triangle.

    >>> torch.bartlett_window(5, periodic=False)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """

    def triangle(x: Any, n: int) -> Any:
        rising, half = x.mul(2 / (n - 1)), ((n - 1) >> 1) + 1
        falling = rising.narrow(0, half, n - half).mul(-1).add(2)
        return cat.call([rising.narrow(0, 0, half), falling])

    return make(
        "bartlett_window", window_length, periodic, triangle, dtype=dtype, layout=layout,
        device=device, requires_grad=requires_grad, pin_memory=pin_memory,
    )  # fmt: skip


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """0.42 - 0.5 cos + 0.08 cos of twice the angle.

    >>> torch.blackman_window(4)[2]
    tensor(1.)
    """

    def cosines(x: Any, n: int) -> Any:
        angle = x.mul(math.pi / (n - 1))
        return angle.mul(4).cos().mul(0.08) - angle.mul(2).cos().mul(0.5) + 0.42

    return make(
        "blackman_window", window_length, periodic, cosines, dtype=dtype, layout=layout,
        device=device, requires_grad=requires_grad, pin_memory=pin_memory,
    )  # fmt: skip


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """I0(beta sqrt(1 - x^2)) / I0(beta) for x from -1 to 1.

    >>> torch.kaiser_window(3, periodic=False, beta=1.0)
    tensor([0.7898, 1.0000, 0.7898])
    """

    def bessel(x: Any, n: int) -> Any:
        middle, kind = (n - 1) / 2, x.dtype
        x = ((x.to(dtypes.float64) - middle) / middle).pow(2).neg().add(1).clamp(min=0).sqrt()
        return ((x * beta).i0() / x.new_tensor(beta).i0()).to(kind)

    return make(
        "kaiser_window", window_length, periodic, bessel, dtype=dtype, layout=layout,
        device=device, requires_grad=requires_grad, pin_memory=pin_memory,
    )  # fmt: skip


__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]

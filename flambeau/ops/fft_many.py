"""Fourier transforms over several dimensions: fftn, rfftn, hfftn, their inverses, their forms for
two.

>>> torch.fft.fft2(torch.ones(2, 2))[0, 0]
tensor(4.+0.j)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.ops.fft import (
    _fft_c2c,
    _fft_c2r,
    _fft_r2c,
    promoted,
    real_sizes_and_dims,
    resized,
    scale_of,
    sizes_and_dims,
)
from flambeau.ops.kinds import composite
from flambeau.ops.outputs import into
from flambeau.ops.registry import OPS

Dims = Sequence[int]


def many_to_complex(input: Any, s: Any, dim: Any, norm: Any, forward: bool) -> Any:
    """fftn and ifftn."""
    x = promoted(input, True)
    sizes, dims = sizes_and_dims(x, s, dim)
    x, scale = resized(x, dims, sizes), scale_of(norm, forward)
    return _fft_c2c.call(x, tuple(dims), scale, forward) if dims else x.clone()


def many_halves(input: Any, s: Any, dim: Any, norm: Any, name: str) -> Any:
    """rfftn and ihfftn."""
    forward = name == "rfftn"
    if input.dtype.is_complex:
        text = f"{name} expects a real-valued input tensor, but got"
        text = text if forward else "Only supports floating-point dtypes, but found:"
        raise RuntimeError(f"{text} {input.dtype.scalar_name}")
    x = promoted(input)
    sizes, dims = sizes_and_dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    x, scale = resized(x, dims, sizes), scale_of(norm, forward)
    if forward:
        return _fft_r2c.call(x, tuple(dims), scale, True)
    half = _fft_r2c.call(x, tuple(dims[-1:]), scale, True).conj()
    return _fft_c2c.call(half, tuple(dims[:-1]), scale, False) if dims[:-1] else half


def many_to_real(input: Any, s: Any, dim: Any, norm: Any, name: str) -> Any:
    """irfftn and hfftn."""
    forward = name == "hfftn"
    x = promoted(input, True)
    sizes, dims, last = real_sizes_and_dims(name, x, s, dim)
    x, scale = resized(x, dims, sizes), scale_of(norm, forward)
    if not forward:
        return _fft_c2r.call(x, tuple(dims), scale, last)
    if dims[:-1]:
        x = _fft_c2c.call(x, tuple(dims[:-1]), scale, True)
    return _fft_c2r.call(x.conj(), tuple(dims[-1:]), scale, last)


@composite(public=None, methods=())
def fft_fftn(
    input: Any, s: Dims | None = None, dim: Dims | None = None, norm: str | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The transform over several dimensions (all if none are named).

    >>> torch.fft.fftn(torch.ones(2, 2))[0, 0]
    tensor(4.+0.j)
    """
    OPS["fft_fftn"].check_tensor(input, "input")
    return into(many_to_complex(input, s, dim, norm, True), out)


@composite(public=None, methods=())
def fft_ifftn(
    input: Any, s: Dims | None = None, dim: Dims | None = None, norm: str | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The inverse transform over several dimensions.

    >>> torch.fft.ifftn(torch.ones(2, 2))[0, 0]
    tensor(1.+0.j)
    """
    OPS["fft_ifftn"].check_tensor(input, "input")
    return into(many_to_complex(input, s, dim, norm, False), out)


@composite(public=None, methods=())
def fft_rfftn(
    input: Any, s: Dims | None = None, dim: Dims | None = None, norm: str | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The transform of real numbers over several dimensions, half of it in the last.

    >>> torch.fft.rfftn(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """
    OPS["fft_rfftn"].check_tensor(input, "input")
    return into(many_halves(input, s, dim, norm, "rfftn"), out)


@composite(public=None, methods=())
def fft_irfftn(
    input: Any, s: Dims | None = None, dim: Dims | None = None, norm: str | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The inverse of rfftn.

    >>> torch.fft.irfftn(torch.fft.rfftn(torch.ones(2, 4))).shape
    torch.Size([2, 4])
    """
    OPS["fft_irfftn"].check_tensor(input, "input")
    return into(many_to_real(input, s, dim, norm, "irfftn"), out)


@composite(public=None, methods=())
def fft_hfftn(
    input: Any, s: Dims | None = None, dim: Dims | None = None, norm: str | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The transform of signals that mirror themselves, over several dimensions.

    >>> torch.fft.hfftn(torch.ones(2, 2)).shape
    torch.Size([2, 2])
    """
    OPS["fft_hfftn"].check_tensor(input, "input")
    return into(many_to_real(input, s, dim, norm, "hfftn"), out)


@composite(public=None, methods=())
def fft_ihfftn(
    input: Any, s: Dims | None = None, dim: Dims | None = None, norm: str | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The inverse of hfftn.

    >>> torch.fft.ihfftn(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """
    OPS["fft_ihfftn"].check_tensor(input, "input")
    return into(many_halves(input, s, dim, norm, "ihfftn"), out)


def _two_dimensional(name: str) -> None:
    """Registers NAME2: NAMEn over the last two dimensions."""
    general = OPS[f"fft_{name}n"]

    def function(
        input: Any, s: Dims | None = None, dim: Dims = (-2, -1), norm: str | None = None, *,
        out: Any = None,
    ) -> Any:  # fmt: skip
        OPS[f"fft_{name}2"].check_tensor(input, "input")
        return general.call(input, s, dim, norm, out=out)

    function.__name__ = function.__qualname__ = f"fft_{name}2"
    function.__doc__ = f"torch.fft.{name}n over two dimensions, the last ones if none are named."
    composite(function, public=None, methods=())


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _two_dimensional(_name)

"""Around Fourier transforms: the frequencies of their elements, moving frequency 0 to the middle.

>>> torch.fft.fftshift(torch.fft.fftfreq(4))
tensor([-0.5000, -0.2500,  0.0000,  0.2500])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.ops.kinds import composite
from flambeau.ops.outputs import into
from flambeau.ops.ranges import arange
from flambeau.ops.registry import OPS
from flambeau.ops.shape import roll

Dims = Sequence[int]


def check_frequencies(name: str, n: Any, dtype: Any) -> None:
    """torch's errors for counts and dtypes."""
    if not isinstance(n, int) or isinstance(n, bool):
        raise errors.argument_type_error(f"fft_{name}", "n", 1, "int", n)
    if dtype is not None and dtype.category < 2:
        raise RuntimeError(f"{name} requires a floating point or complex dtype")


@composite(public=None, methods=())
def fft_fftfreq(
    n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, **options: Any
) -> Any:
    """The frequencies that belong to the elements of a transform of n samples, d apart.

    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    check_frequencies("fftfreq", n, dtype)
    if n < 0:
        raise errors.negative_dimension((n,), n)
    counts = arange(n, dtype=dtype or dtypes.get_default_dtype(), **options)
    wrapped = counts.detach() - n * (counts.detach() >= (n + 1) // 2).to(counts.dtype)
    result = wrapped.mul(1 / (n * d) if n * d else math.inf)
    return into(result.requires_grad_(options.get("requires_grad", False)), out)


@composite(public=None, methods=())
def fft_rfftfreq(
    n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, **options: Any
) -> Any:
    """The frequencies of the elements of rfft of n samples, d apart.

    >>> torch.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    check_frequencies("rfftfreq", n, dtype)
    counts = arange(int(n / 2) + 1, dtype=dtype or dtypes.get_default_dtype(), **options)
    result = counts.detach().mul(1 / (n * d) if n * d else math.inf)
    return into(result.requires_grad_(options.get("requires_grad", False)), out)


def shifted(input: Any, dim: Any, back: bool) -> Any:
    """Rolls each dimension by half of its size."""
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    wrapped = [wrap_dim(d, input.ndim) for d in dims]
    sizes = [input.shape[d] for d in wrapped]
    return roll.call(input, [(n + 1) // 2 if back else n // 2 for n in sizes], wrapped)


@composite(public=None, methods=())
def fft_fftshift(input: Any, dim: Dims | None = None) -> Any:
    """Moves the frequency 0 from the beginning to the middle.

    >>> torch.fft.fftshift(torch.tensor([0, 1, 2, -2, -1]))
    tensor([-2, -1,  0,  1,  2])
    """
    OPS["fft_fftshift"].check_tensor(input, "input")
    return shifted(input, dim, False)


@composite(public=None, methods=())
def fft_ifftshift(input: Any, dim: Dims | None = None) -> Any:
    """Undoes fftshift.

    >>> torch.fft.ifftshift(torch.tensor([-2, -1, 0, 1, 2]))
    tensor([ 0,  1,  2, -2, -1])
    """
    OPS["fft_ifftshift"].check_tensor(input, "input")
    return shifted(input, dim, True)

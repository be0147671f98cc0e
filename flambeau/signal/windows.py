"""Window functions: weights for the samples of a signal before it is transformed.

`sym=True` gives windows for filter design, which are symmetric; `sym=False` periodic ones, for
spectra.

>>> torch.signal.windows.hann(5, sym=False)
tensor([0.0000, 0.3455, 0.9045, 0.9045, 0.3455])
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flambeau

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


class Options:
    """What every window takes: its kind of tensor, and whether it is symmetric."""

    def __init__(
        self, name: str, sym: bool, dtype: Any, layout: Any, device: Any, requires_grad: bool
    ) -> None:
        self.name, self.sym, self.layout = name, sym, layout
        self.dtype = flambeau.get_default_dtype() if dtype is None else dtype
        self.kind = {"dtype": self.dtype, "device": device, "requires_grad": requires_grad}

    def check(self, M: int) -> None:
        """torch's checks."""
        if M < 0:
            raise ValueError(f"{self.name} requires non-negative window length, got M={M}")
        if self.layout is not flambeau.strided:
            raise ValueError(
                f"{self.name} is implemented for strided tensors only, got: {self.layout}"
            )
        if self.dtype not in (flambeau.float32, flambeau.float64):
            raise ValueError(f"{self.name} expects float32 or float64 dtypes, got: {self.dtype}")

    def length(self, M: int) -> int:
        """Samples after which the window repeats itself, less one."""
        return M - 1 if self.sym else M

    def ramp(self, M: int, start: float, end: float) -> Tensor:
        """M numbers from start to end."""
        return flambeau.linspace(start, end, M, **self.kind)

    def short(self, M: int) -> Tensor | None:
        """Windows of length 0 and 1 do not depend on the formula."""
        return flambeau.ones(M, **self.kind) if M <= 1 else None


def _window(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a formula (M, options, own arguments) torch's signature."""

    @functools.wraps(formula)
    def window(
        M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, **own: Any,
    ) -> Tensor:  # fmt: skip
        layout = flambeau.strided if layout is None else layout
        options = Options(formula.__name__, sym, dtype, layout, device, requires_grad)
        return formula(M, options, **own)

    shown, common = inspect.signature(formula), inspect.signature(window, follow_wrapped=False)
    first, _, *own = shown.parameters.values()
    rest = [p for p in common.parameters.values() if p.default is not p.empty]
    window.__signature__ = shown.replace(parameters=[first, *own, *rest])  # type: ignore[attr-defined]
    return window


@_window
def general_cosine(M: int, options: Options, *, a: Iterable[float]) -> Tensor:
    """A sum of cosines with the weights `a`, their signs alternating.

    >>> torch.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    options.check(M)
    short = options.short(M)
    if short is not None:
        return short
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    step = 2 * math.pi / options.length(M)
    angles = options.ramp(M, 0, (M - 1) * step)
    weights = flambeau.tensor([(-1) ** i * w for i, w in enumerate(a)], **options.kind)
    orders = flambeau.arange(weights.shape[0], **options.kind)
    return (weights.unsqueeze(-1) * flambeau.cos(orders.unsqueeze(-1) * angles)).sum(0)


@_window
def general_hamming(M: int, options: Options, *, alpha: float = 0.54) -> Tensor:
    """alpha - (1 - alpha) cos: a raised cosine.

    >>> torch.signal.windows.general_hamming(3, alpha=0.5)
    tensor([0., 1., 0.])
    """
    return _cosines(M, options, [alpha, 1.0 - alpha])


def _cosines(M: int, options: Options, weights: list[float]) -> Tensor:
    """`general_cosine` with the options of another window."""
    return general_cosine(M, a=weights, sym=options.sym, layout=options.layout, **options.kind)


@_window
def hamming(M: int, options: Options) -> Tensor:
    """0.54 - 0.46 cos.

    >>> torch.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return _cosines(M, options, [0.54, 1.0 - 0.54])


@_window
def hann(M: int, options: Options) -> Tensor:
    """0.5 - 0.5 cos.

    >>> torch.signal.windows.hann(3)
    tensor([0., 1., 0.])
    """
    return _cosines(M, options, [0.5, 0.5])


@_window
def blackman(M: int, options: Options) -> Tensor:
    """Three cosines: 0.42, 0.5, 0.08.

    >>> torch.signal.windows.blackman(3).round(decimals=2).abs()
    tensor([0., 1., 0.])
    """
    options.check(M)
    return _cosines(M, options, [0.42, 0.5, 0.08])


@_window
def nuttall(M: int, options: Options) -> Tensor:
    """Four cosines, with the sidelobes as low as they get.

    Nuttall: Some windows with very good sidelobe behavior (1981).

    >>> torch.signal.windows.nuttall(3)
    tensor([3.6280e-04, 1.0000e+00, 3.6280e-04])
    """
    return _cosines(M, options, [0.3635819, 0.4891775, 0.1365995, 0.0106411])


@_window
def bartlett(M: int, options: Options) -> Tensor:
    """A triangle.

    >>> torch.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    options.check(M)
    short = options.short(M)
    if short is not None:
        return short
    return 1 - options.ramp(M, -1, -1 + (M - 1) * (2 / options.length(M))).abs()


@_window
def cosine(M: int, options: Options) -> Tensor:
    """Half a period of a sine.

    >>> torch.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    options.check(M)
    if M == 0:
        return flambeau.empty(0, **options.kind)
    step = math.pi / (M + 1 if not options.sym and M > 1 else M)
    return options.ramp(M, 0.5 * step, (0.5 + (M - 1)) * step).sin()


@_window
def exponential(
    M: int, options: Options, *, center: float | None = None, tau: float = 1.0
) -> Tensor:
    """exp(-|n - center| / tau).

    >>> torch.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    options.check(M)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if options.sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if M == 0:
        return flambeau.empty(0, **options.kind)
    if center is None:
        center = (M if not options.sym and M > 1 else M - 1) / 2.0
    scale = 1 / tau
    return options.ramp(M, -center * scale, (-center + (M - 1)) * scale).abs().neg().exp()


@_window
def gaussian(M: int, options: Options, *, std: float = 1.0) -> Tensor:
    """exp(-n^2 / (2 std^2)), n counted from the middle.

    >>> torch.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    options.check(M)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    if M == 0:
        return flambeau.empty(0, **options.kind)
    start = -(M if not options.sym and M > 1 else M - 1) / 2.0
    scale = 1 / (std * math.sqrt(2))
    return flambeau.exp(-(options.ramp(M, start * scale, (start + (M - 1)) * scale) ** 2))


@_window
def kaiser(M: int, options: Options, *, beta: float = 12.0) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta) for x from -1 to 1.

    >>> torch.signal.windows.kaiser(3, beta=1.0)
    tensor([0.7898, 1.0000, 0.7898])
    """
    options.check(M)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    short = options.short(M)
    if short is not None:
        return short
    scale = flambeau.tensor(beta, dtype=options.dtype)  # rounded as the window is
    end = flambeau.minimum(scale, (M - 1) * (2.0 * scale / options.length(M)) - scale)
    x = options.ramp(M, -scale.item(), end.item())
    return flambeau.i0(flambeau.sqrt(scale * scale - x**2)) / flambeau.i0(scale)

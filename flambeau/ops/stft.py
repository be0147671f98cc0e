"""Short-time Fourier transforms: spectra of overlapping windows of a signal, and the way back.

>>> x = torch.arange(16.0)
>>> X = torch.stft(x, 4, window=torch.ones(4), return_complex=True)
>>> X.shape
torch.Size([3, 17])
>>> torch.istft(X, 4, window=torch.ones(4)).sub(x).abs().max() < 1e-5
tensor(True)
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.ops.fft import FULL, NONE, ROOT, _fft_c2c, _fft_c2r, _fft_r2c
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite
from flambeau.ops.linalg.common import warn_once
from flambeau.ops.window import unfold_backward

NO_WINDOW = (
    "A window was not provided. A rectangular window will be applied,which is known to cause "
    "spectral leakage. Other windows such as torch.hann_window or torch.hamming_window are "
    "recommended to reduce spectral leakage.To suppress this warning and use a rectangular window, "
    "explicitly set `window=torch.ones(n_fft, device=<device>)`."
)
ONE_SIDED = "Cannot have onesided output if window or input is complex"


class Frames(NamedTuple):
    """How a signal is cut into frames."""

    n_fft: int
    hop: int
    length: int  # of the window

    @staticmethod
    def of(n_fft: int, hop_length: int | None, win_length: int | None) -> Frames:
        """With torch's defaults: a quarter of a frame apart, windows as long as the frame."""
        hop = n_fft // 4 if hop_length is None else hop_length
        return Frames(n_fft, hop, n_fft if win_length is None else win_length)


def shown_window(window: Any) -> str:
    """The window as error texts show it."""
    if window is None:
        return "None"
    return f"{window.dtype.tensor_type}{{{errors.brackets(window.shape)}}}"


def shown_flag(flag: Any) -> str:
    """A bool as C++ prints it."""
    return "None" if flag is None else str(int(flag))


def full_window(window: Any, frames: Frames, like: Any) -> Any:
    """The window with zeros on both sides, as long as a frame."""
    missing = frames.n_fft - frames.length
    if window is None:
        if not missing:
            return None
        window = like.new_ones((frames.length,), dtype=like.dtype.to_real())
    if not missing:
        return window
    left = missing // 2
    sides = [window.new_zeros((n,)) for n in (left, missing - left)]
    return cat.call([sides[0], window, sides[1]])


# ---- forward ---------------------------------------------------------------------------------


def padded(x: Any, amount: int, mode: str) -> Any:
    """The signals (last dimension) continued on both sides."""
    size = x.shape[-1]
    if mode == "constant":
        zeros = x.new_zeros((*x.shape[:-1], amount))
        return cat.call([zeros, x, zeros], -1)
    if mode == "reflect":
        if amount >= size:
            shape = errors.brackets((*[1] * (3 - x.ndim), *x.shape))
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({amount}, {amount}) at dimension 2 of input {shape}"
            )
        sides = [x.narrow(-1, 1, amount).flip(-1), x.narrow(-1, size - 1 - amount, amount).flip(-1)]
    elif mode == "replicate":
        sides = [x.narrow(-1, place, 1).expand(*x.shape[:-1], amount) for place in (0, size - 1)]
    elif mode == "circular":
        sides = [x.narrow(-1, size - amount, amount), x.narrow(-1, 0, amount)]
    else:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return cat.call([sides[0], x, sides[1]], -1)


def check_stft(x: Any, frames: Frames, window: Any, shown: str) -> None:
    """torch's checks of the signal and its frames."""
    n_fft, hop, length = frames
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise RuntimeError(f"{shown}expected a tensor of floating point or complex values")
    if not 1 <= x.ndim <= 2:
        raise RuntimeError(f"{shown}expected a 1D or 2D tensor")
    size = x.shape[-1]
    if not 0 < n_fft <= size:
        raise RuntimeError(f"{shown}expected 0 < n_fft < {size}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{shown}expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{shown}expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and tuple(window.shape) != (length,):
        raise RuntimeError(
            f"{shown}expected a 1D window tensor of size equal to win_length={length}, but got "
            f"window with size {errors.brackets(window.shape)}"
        )


def wants_complex(return_complex: bool | None, complex_input: bool) -> bool:
    """Whether the result is complex; for real signals that must be said."""
    if return_complex is None and not complex_input:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further "
            "require that return_complex=True in a future PyTorch release."
        )
    return return_complex is None or bool(return_complex)


@composite
def stft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Any = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:  # fmt: skip
    """Spectra of windows of a signal (or a batch of signals): frequencies by frames.

    >>> torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 9])
    """
    if align_to_window is not None and center:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    x, frames = input, Frames.of(n_fft, hop_length, win_length)
    if window is None:
        warn_once(NO_WINDOW)
    if center and n_fft // 2:
        x = padded(x if x.ndim else x.reshape(1), n_fft // 2, pad_mode)
    shown = (
        f"stft({x.dtype.tensor_type}{errors.brackets(x.shape)}, n_fft={n_fft}, "
        f"hop_length={frames.hop}, win_length={frames.length}, window={shown_window(window)}, "
        f"normalized={shown_flag(normalized)}, onesided={shown_flag(onesided)}, "
        f"return_complex={shown_flag(return_complex)}, "
        f"align_to_window={shown_flag(align_to_window)}) : "
    )
    complex_input = x.dtype.is_complex or window is not None and window.dtype.is_complex
    as_complex = wants_complex(return_complex, complex_input)
    check_stft(x, frames, window, shown)
    onesided = not complex_input if onesided is None else onesided
    if onesided and complex_input:
        raise RuntimeError(ONE_SIDED)
    whole, missing = full_window(window, frames, x), n_fft - frames.length
    if align_to_window and missing:  # frames then begin where their windows do
        left = missing // 2
        sides = [x.new_zeros((*x.shape[:-1], n)) for n in (left, missing - left)]
        x = cat.call([sides[0], x, sides[1]], -1)
    result = spectra(x, frames, whole, onesided, normalized)
    return result if as_complex else result.view_as_real()


def spectra(x: Any, frames: Frames, window: Any, onesided: bool, normalized: bool) -> Any:
    """The transforms of the frames, frequencies before frames."""
    cut = x.unfold(-1, frames.n_fft, frames.hop)
    if window is not None:
        cut = cut * window
    scale, last = ROOT if normalized else NONE, (cut.ndim - 1,)
    if cut.dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise RuntimeError(f"MKL FFT doesn't support tensors of type: {cut.dtype.scalar_name}")
    if cut.dtype.is_complex:
        found = _fft_c2c.call(cut, last, scale, True)
    else:
        found = _fft_r2c.call(cut, last, scale, onesided)
    return found.transpose(-1, -2)


# ---- backward --------------------------------------------------------------------------------


def check_istft(x: Any, frames: Frames, window: Any, onesided: bool, shown: str) -> None:
    """torch's checks of the spectra."""
    n_fft, hop, length = frames
    bins = x.shape[wrap_dim(-2, x.ndim) if x.ndim >= 2 else wrap_dim(-3, x.ndim + 1)]
    if not x.numel():
        raise RuntimeError(f"{shown} : input tensor cannot be empty.")
    if x.ndim not in (2, 3):
        raise RuntimeError(
            f"{shown} : expected a tensor with 3 or 4 dimensions, but got {x.ndim + 1}"
        )
    wanted, text = (n_fft // 2 + 1, "n_fft / 2 + 1") if onesided else (n_fft, "n_fft")
    if bins != wanted:
        raise RuntimeError(
            f"{shown} : expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match {text} when onesided={onesided}, but got {bins}"
        )
    if not 0 < hop <= length:
        raise RuntimeError(f"{shown} : expected 0 < hop_length <= win_length")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{shown} : expected 0 < win_length <= n_fft")
    if window is not None and tuple(window.shape) != (length,):
        raise RuntimeError(
            f"{shown} : Invalid window shape. window has to be 1D and length of `win_length`"
        )


@composite
def istft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Any = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Any:  # fmt: skip
    """The signal whose spectra these are: frames are added up and divided by their windows'
    squares.

    Griffin and Lim: Signal estimation from modified short-time Fourier transform (1984).

    >>> X = torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True)
    >>> torch.istft(X, 4, window=torch.ones(4))
    tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    x, frames = input, Frames.of(n_fft, hop_length, win_length)
    if window is None:
        warn_once(NO_WINDOW)
    shown = (
        f"istft(CPU{x.dtype.scalar_name}Type{errors.brackets(x.shape)}, n_fft={n_fft}, "
        f"hop_length={frames.hop}, win_length={frames.length}, window={shown_window(window)}, "
        f"center={shown_flag(center)}, normalized={shown_flag(normalized)}, "
        f"onesided={shown_flag(onesided)}, length={length}, "
        f"return_complex={shown_flag(return_complex)})"
    )
    if not x.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if x.ndim < 2:
        wrap_dim(-3, x.ndim + 1)
    half = x.shape[-2] != n_fft if onesided is None else onesided
    check_istft(x, frames, window, half, shown)
    if return_complex and half:
        raise RuntimeError(ONE_SIDED)
    if not return_complex and window is not None and window.dtype.is_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    whole = full_window(window, frames, x)
    pieces = signals(x, frames, normalized, half, return_complex)
    return overlapped(pieces, frames, whole, center, length, shown)


def signals(x: Any, frames: Frames, normalized: bool, half: bool, as_complex: bool) -> Any:
    """The frames, each from its spectrum."""
    spectrum, scale = x.transpose(-1, -2), ROOT if normalized else FULL
    last = (spectrum.ndim - 1,)
    if as_complex:
        return _fft_c2c.call(spectrum, last, scale, False)
    if not half:
        spectrum = spectrum.narrow(-1, 0, frames.n_fft // 2 + 1)
    return _fft_c2r.call(spectrum, last, scale, frames.n_fft)


def overlapped(
    pieces: Any, frames: Frames, window: Any, center: bool, length: int | None, shown: str
) -> Any:
    """The frames added up where they belong, over the sum of the squared windows."""
    n_fft, hop, _ = frames
    count = pieces.shape[-2]
    size = n_fft + hop * (count - 1)
    if window is None:
        window = pieces.new_ones((n_fft,), dtype=pieces.dtype.to_real())
    shape = (*pieces.shape[:-2], size)
    total = unfold_backward(pieces * window, shape, len(shape) - 1, n_fft, hop)
    squares = unfold_backward(window.pow(2).expand(count, n_fft), (size,), 0, n_fft, hop)
    start = n_fft // 2 if center else 0
    end = size - n_fft // 2 if center else size
    if length is not None:
        end = start + length
    total, squares = total[..., start:end], squares[start:end]
    lowest = squares.detach().abs().min()
    if lowest.device.type != "meta" and lowest.item() < 1e-11:
        raise RuntimeError(f"{shown} window overlap add min: 1")
    result = total / squares
    if end > size:
        warnings.warn(
            "The length of signal is shorter than the length parameter. "
            "Result is being padded with "
            "zeros in the tail. Please check your center and hop_length settings.",
            UserWarning,
            stacklevel=3,
        )
        result = cat.call([result, result.new_zeros((*result.shape[:-1], end - size))], -1)
    return result

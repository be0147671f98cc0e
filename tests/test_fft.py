"""torch.fft, stft and window functions against NumPy and SciPy; their gradients against finite
differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft as scipy_fft
from scipy import signal as scipy_signal

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

F = torch.fft
NORMS = [None, "backward", "ortho", "forward"]


def array(dtype, *shape, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def close(ours, expected):
    ours = ours.detach().numpy()
    assert ours.shape == expected.shape
    tolerance = 1e-4 if ours.dtype in (np.float32, np.complex64) else 1e-10
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * 10)


# -- transforms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 3, 8, 11])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension(name, n, norm):
    for dtype in ("float32", "float64", "complex64", "complex128"):
        if dtype.startswith("complex") and name in ("rfft", "ihfft"):
            continue
        x = array(dtype, 3, 7, 5)
        for dim in (-1, 1, 0):
            found = getattr(F, name)(torch.from_numpy(x), n, dim, norm)
            close(found, getattr(scipy_fft, name)(x, n, dim, norm))
            wide = dtype in ("float64", "complex128")
            real = name in ("irfft", "hfft")
            kind = "float" if real else "complex"
            assert str(found.dtype) == f"torch.{kind}{(64 if wide else 32) * (1 if real else 2)}"


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_several_dimensions(name, norm):
    for dtype in ("float64", "complex128"):
        if dtype.startswith("complex") and name in ("rfft", "ihfft"):
            continue
        x = array(dtype, 4, 3, 6)
        many, two = getattr(F, name + "n"), getattr(F, name + "2")
        reference = getattr(scipy_fft, name + "n")
        for s, dim in (
            (None, None),
            ((5, 4), (0, 2)),
            (None, (2, 0)),
            ((3, 7), None),
            ((4,), (1,)),
        ):
            close(many(torch.from_numpy(x), s, dim, norm), reference(x, s, dim, norm))
        close(two(torch.from_numpy(x), norm=norm), getattr(scipy_fft, name + "2")(x, norm=norm))


def test_integers_and_layouts():
    x = torch.arange(12).reshape(3, 4)
    close(F.fft(x), np.fft.fft(x.numpy()).astype("complex64"))
    close(F.rfft(x.bool()), np.fft.rfft(x.numpy().astype(bool)).astype("complex64"))
    y = torch.from_numpy(array("complex128", 4, 6))
    close(F.fft(y.mT), np.fft.fft(y.numpy().T))
    close(F.ifft(y[:, ::2]), np.fft.ifft(y.numpy()[:, ::2]))
    assert F.fft(y, dim=0).stride() == (1, 4)  # transformed dimensions lie innermost
    assert F.fft2(y).stride() == (6, 1)


def test_meta_and_empty():
    x = torch.ones(3, 8, device="meta")
    assert (F.rfft(x).shape, F.rfft(x).dtype) == ((3, 5), torch.complex64)
    assert F.fft(torch.ones(0, 4)).shape == (0, 4)
    assert F.fftn(torch.ones(2, 2), dim=()).dtype == torch.complex64


def test_frequencies_and_shifts():
    for n in (1, 4, 7):
        close(F.fftfreq(n, 0.5, dtype=torch.float64), np.fft.fftfreq(n, 0.5))
        close(F.rfftfreq(n, 0.5, dtype=torch.float64), np.fft.rfftfreq(n, 0.5))
    x = array("float64", 3, 4, 5)
    for dim in (None, 0, (1, 2)):
        close(F.fftshift(torch.from_numpy(x), dim), np.fft.fftshift(x, dim))
        close(F.ifftshift(torch.from_numpy(x), dim), np.fft.ifftshift(x, dim))


GRADIENTS = {
    "fft": (F.fft, "complex128"),
    "fft_real": (F.fft, "float64"),
    "ifft": (lambda x: F.ifft(x, 7, 0), "complex128"),
    "rfft": (F.rfft, "float64"),
    "rfft_odd": (lambda x: F.rfft(x, 5, norm="ortho"), "float64"),
    "irfft": (F.irfft, "complex128"),
    "irfft_odd": (lambda x: F.irfft(x, 5, 0), "complex128"),
    "hfft": (F.hfft, "complex128"),
    "ihfft": (F.ihfft, "float64"),
    "fft2": (F.fft2, "complex128"),
    "rfft2": (lambda x: F.rfft2(x, (3, 6), norm="forward"), "float64"),
    "irfft2": (F.irfft2, "complex128"),
    "hfft2": (F.hfft2, "complex128"),
    "stft": (
        lambda x: torch.stft(x, 4, 2, window=WINDOW, return_complex=True),
        "float64",
    ),
    "istft": (lambda x: torch.istft(F.rfft(x.T.real, 4, 0), 4, 1, window=WINDOW), "float64"),
}
WINDOW = torch.tensor([0.5, 1.0, 0.75, 0.25], dtype=torch.float64)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, dtype = GRADIENTS[name]
    x = torch.from_numpy(array(dtype, 3, 6)).requires_grad_()
    assert gradcheck(function, x)
    assert gradgradcheck(lambda x: function(x * x), x)


WRONG = {
    "nothing": (lambda: F.fft(torch.ones(3), 0), "Invalid number of data points (0) specified"),
    "complex": (
        lambda: F.rfft(torch.ones(3) + 0j),
        "rfft expects a real input tensor, but got ComplexFloat",
    ),
    "norm": (lambda: F.fft(torch.ones(3), norm="foo"), 'Invalid normalization mode: "foo"'),
    "twice": (lambda: F.fft2(torch.ones(2, 2), dim=(0, 0)), "FFT dims must be unique"),
    "lengths": (
        lambda: F.fftn(torch.ones(2, 2), (3,), (0, 1)),
        "When given, dim and shape arguments must have the same length",
    ),
    "none": (lambda: F.rfftn(torch.ones(2), dim=()), "rfftn must transform at least one axis"),
    "half": (lambda: F.fft(torch.ones(4).half()), "Unsupported dtype Half"),
    "stft": (
        lambda: torch.stft(torch.ones(9), 4),
        "stft requires the return_complex parameter be given for real inputs",
    ),
    "istft": (
        lambda: torch.istft(torch.ones(3, 5), 4),
        "istft requires a complex-valued input tensor",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:A window was not provided")
def test_wrong_arguments(name):
    function, text = WRONG[name]
    with pytest.raises(RuntimeError) as caught:
        function()
    assert str(caught.value).startswith(text)


# -- short-time transforms -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40,), (3, 40)])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
def test_stft(shape, center, onesided):
    x, window = array("float64", *shape), scipy_signal.get_window("hann", 8)
    found = torch.stft(
        torch.from_numpy(x), 10, 4, 8, torch.from_numpy(window), center=center, onesided=onesided,
        return_complex=True,
    )  # fmt: skip
    sides = [(0, 0)] * (x.ndim - 1) + [(5, 5)]
    signal = np.pad(x, sides, "reflect") if center else x
    frames = np.lib.stride_tricks.sliding_window_view(signal, 10, -1)[..., ::4, :]
    spectra = (np.fft.rfft if onesided else np.fft.fft)(frames * np.pad(window, (1, 1)))
    close(found, np.swapaxes(spectra, -1, -2))
    parts = torch.stft(
        torch.from_numpy(x), 10, 4, 8, torch.from_numpy(window), center=center, onesided=onesided,
        return_complex=False,
    )  # fmt: skip
    assert torch.equal(parts, torch.view_as_real(found))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
def test_istft_undoes_stft(mode, normalized, onesided):
    x, window = torch.from_numpy(array("float64", 2, 50)), torch.hann_window(8, dtype=torch.float64)
    options = {"normalized": normalized, "onesided": onesided}
    X = torch.stft(x, 8, 2, window=window, pad_mode=mode, return_complex=True, **options)
    for length in (None, 50, 47):
        found = torch.istft(X, 8, 2, window=window, length=length, **options)
        close(found, x[:, : found.shape[-1]].numpy())


# -- windows ---------------------------------------------------------------------------------------

WINDOWS = {
    "bartlett": {},
    "blackman": {},
    "cosine": {},
    "exponential": {"tau": 2.5},
    "gaussian": {"std": 1.7},
    "general_cosine": {"a": [0.4, 0.4, 0.2]},
    "general_hamming": {"alpha": 0.7},
    "hamming": {},
    "hann": {},
    "kaiser": {"beta": 5.0},
    "nuttall": {},
}


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name, count, sym):
    ours = getattr(torch.signal.windows, name)(count, sym=sym, dtype=torch.float64, **WINDOWS[name])
    theirs = getattr(scipy_signal.windows, name)(count, sym=sym, **WINDOWS[name])
    close(ours, theirs)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hann", "kaiser"])
def test_older_windows(name, periodic):
    options = {"beta": 12.0} if name == "kaiser" else {}
    for count in (0, 1, 2, 7, 8):
        ours = getattr(torch, f"{name}_window")(count, periodic, dtype=torch.float64)
        theirs = getattr(scipy_signal.windows, name)(count, sym=not periodic, **options)
        close(ours, theirs)

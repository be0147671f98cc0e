"""Fits the polynomials of flambeau/codegen/bessel_tables.py, which it writes.

Each function is brought into a smooth form on an interval (see FITS: the form, the variable t in
[-1, 1] and the degree) and interpolated at Chebyshev points in double precision; the coefficients
are those of Chebyshev polynomials of t, summed by Clenshaw's recurrence in `codegen/bessel.py`.

    python tools/fit_functions.py          # needs SciPy; prints the greatest error of each fit
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special as s

TARGET = Path(__file__).resolve().parent.parent / "flambeau" / "codegen" / "bessel_tables.py"
PI = np.pi


def squares(x2: Any, function: Callable[[Any], Any], odd: bool) -> Any:
    """An even function of x (or an odd one over x) in terms of x**2."""
    x = np.sqrt(x2)
    return np.where(
        x == 0,
        function(1e-9) / (1e-9 if odd else 1),
        function(x) / (np.where(x == 0, 1, x) if odd else 1),
    )


def hankel(order: int, part: int, square: Any) -> Any:
    """The asymptotic series of P (part 0) and of Q x in 1 / x**2 (NIST 10.17.1)."""
    total, term = 0.0, 1.0
    for k in range(1, 25):
        if (k - 1) % 2 == part:
            total = total + (-1) ** ((k - 1) // 2) * term * square ** ((k - 1 - part) // 2)
        term = term * (4 * order * order - (2 * k - 1) ** 2) / (8 * k)
    return total


def wave(order: int, part: int) -> Callable[[Any], Any]:
    """P and Q x in J(x) = sqrt(2 / pi x) (P cos(c) - Q sin(c)), c = x - (2 order + 1) pi / 4, by
    1 / x**2."""

    def form(square: Any) -> Any:
        x = 1 / np.sqrt(np.maximum(square, 1 / 900))
        c = x - (2 * order + 1) * PI / 4
        j, y = (s.j0(x), s.y0(x)) if order == 0 else (s.j1(x), s.y1(x))
        size = np.sqrt(PI * x / 2)
        near = (
            size * (j * np.cos(c) + y * np.sin(c))
            if part == 0
            else size * (y * np.cos(c) - j * np.sin(c)) * x
        )
        return np.where(square < 1 / 900, hankel(order, part, square), near)

    return form


def airy_series(part: int, square: Any) -> Any:
    """The asymptotic series of P and of Q z in 1 / z**2 (NIST 9.7.9)."""
    total, term = 0.0, 1.0
    for k in range(24):
        if k % 2 == part:
            total = total + (-1) ** (k // 2) * term * square ** ((k - part) // 2)
        term = term * (6 * k + 1) * (6 * k + 3) * (6 * k + 5) / (216 * (k + 1) * (2 * k + 1))
    return total


def airy_wave(part: int) -> Callable[[Any], Any]:
    """P and Q z in Ai(-x) = (P cos(z - pi/4) + Q sin(z - pi/4)) / (sqrt(pi) x**(1/4)),
    z = 2/3 x**1.5, by 1 / z**2."""

    def form(square: Any) -> Any:
        z = 1 / np.sqrt(np.maximum(square, 1 / 400))
        x = (1.5 * z) ** (2 / 3)
        a, _, b, _ = s.airy(-x)
        size, c = np.sqrt(PI) * x**0.25, z - PI / 4
        near = (
            size * (a * np.cos(c) - b * np.sin(c))
            if part == 0
            else size * (a * np.sin(c) + b * np.cos(c)) * z
        )
        return np.where(square < 1 / 400, airy_series(part, square), near)

    return form


def inverse_normal_tail(r: Any) -> Any:
    """-ndtri(p) - r for p = exp(-r**2 / 2), times r."""
    return (-s.ndtri_exp(-r * r / 2) - r) * r


# name: (function of u, interval of u, degree); the variable is t = (2 u - a - b) / (b - a)
FITS: dict[str, tuple[Callable[[Any], Any], float, float, int]] = {
    "I0E_SMALL": (s.i0e, 0, 8, 28),
    "I0E_LARGE": (
        lambda u: s.i0e(1 / np.maximum(u, 1e-9)) / np.sqrt(np.maximum(u, 1e-9)),
        0,
        1 / 8,
        22,
    ),
    "I1E_SMALL": (
        lambda u: np.where(
            u == 0, 0.5, s.i1e(np.where(u == 0, 1e-9, u)) / np.where(u == 0, 1e-9, u)
        ),
        0,
        8,
        28,
    ),
    "I1E_LARGE": (
        lambda u: s.i1e(1 / np.maximum(u, 1e-9)) / np.sqrt(np.maximum(u, 1e-9)),
        0,
        1 / 8,
        22,
    ),
    "K0_SMALL": (
        lambda u: squares(u, lambda x: s.k0(x) + np.log(x / 2) * s.i0(x), False),
        0,
        4,
        12,
    ),
    "K0_LARGE": (
        lambda u: s.k0e(1 / np.maximum(u, 1e-9)) / np.sqrt(np.maximum(u, 1e-9)),
        0,
        0.5,
        24,
    ),
    "K1_SMALL": (
        lambda u: squares(u, lambda x: x * (s.k1(x) - np.log(x / 2) * s.i1(x)), False),
        0,
        4,
        12,
    ),
    "K1_LARGE": (
        lambda u: s.k1e(1 / np.maximum(u, 1e-9)) / np.sqrt(np.maximum(u, 1e-9)),
        0,
        0.5,
        24,
    ),
    "J0_SMALL": (lambda u: squares(u, s.j0, False), 0, 25, 18),
    "J1_SMALL": (lambda u: squares(u, s.j1, True), 0, 25, 18),
    "Y0_SMALL": (
        lambda u: squares(u, lambda x: s.y0(x) - 2 / PI * np.log(x) * s.j0(x), False),
        0,
        25,
        18,
    ),
    "Y1_SMALL": (
        lambda u: squares(u, lambda x: x * (s.y1(x) - 2 / PI * np.log(x) * s.j1(x)), False),
        0,
        25,
        18,
    ),
    "P0": (wave(0, 0), 0, 0.04, 18),
    "Q0": (wave(0, 1), 0, 0.04, 18),
    "P1": (wave(1, 0), 0, 0.04, 18),
    "Q1": (wave(1, 1), 0, 0.04, 18),
    "AIRY_P": (airy_wave(0), 0, 0.25, 28),
    "AIRY_Q": (airy_wave(1), 0, 0.25, 28),
    "AIRY_LARGE": (
        lambda u: (
            s.airye((1.5 / np.maximum(u, 1e-9)) ** (2 / 3))[0]
            * (1.5 / np.maximum(u, 1e-9)) ** (1 / 6)
        ),
        0,
        0.5,
        24,
    ),
    "AIRY_MIDDLE": (lambda u: s.airy(u)[0], -2.09, 2.09, 26),
    "ERFCX": (
        lambda u: (
            s.erfcx(3.75 * (1 + u) / (1 - np.minimum(u, 1 - 1e-12)))
            * (1 + 7.5 * (1 + u) / (1 - np.minimum(u, 1 - 1e-12)))
        ),
        -1,
        1,
        28,
    ),
    "NDTRI_CENTRE": (
        lambda u: np.where(
            u == 0, np.sqrt(2 * PI), s.ndtri(0.5 + np.sqrt(u)) / np.where(u == 0, 1, np.sqrt(u))
        ),
        0,
        0.15,
        18,
    ),
    "NDTRI_NEAR": (inverse_normal_tail, 1.8, 6, 26),
    "NDTRI_FAR": (lambda u: inverse_normal_tail(1 / u) / np.log(1 / u), 1 / 45, 1 / 6, 24),
}


def fit(function: Callable[[Any], Any], low: float, high: float, degree: int) -> tuple[Any, float]:
    """Chebyshev coefficients and the greatest relative error between the points."""
    nodes = np.cos((np.arange(4 * degree) + 0.5) * PI / (4 * degree))
    chebyshev = np.polynomial.chebyshev
    coefficients = chebyshev.chebfit(
        nodes, function((low + high) / 2 + (high - low) / 2 * nodes), degree
    )
    t = np.linspace(-0.9999, 1, 4001)
    exact = function((low + high) / 2 + (high - low) / 2 * t)
    error = np.abs(chebyshev.chebval(t, coefficients) - exact) / np.abs(exact).max()
    return coefficients, float(np.nanmax(error))


def main() -> None:
    lines = [
        (
            '"""Chebyshev coefficients of the forms in tools/fit_functions.py, '
            'which wrote this file."""'
        ),
        "",
        "# fmt: off",
        "# name: (interval of the variable, coefficients)",
        "TABLES = {",
    ]
    for name, (function, low, high, degree) in FITS.items():
        coefficients, error = fit(function, low, high, degree)
        print(f"{name:14} degree {degree:2} error {error:.1e} last {abs(coefficients[-1]):.1e}")
        lines.append(f'    "{name}": (({low!r}, {high!r}), (')
        numbers = [f"{float(c)!r}," for c in coefficients]
        lines += [f"        {' '.join(numbers[k : k + 3])}" for k in range(0, len(numbers), 3)]
        lines.append("    )),")
    lines += ["}", "# fmt: on"]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Pointwise ops, part nine: Bessel and Airy functions, orthogonal polynomials. `torch.special` has
their public names.

    >>> torch.special.i0(torch.tensor([0.0]))
    tensor([1.])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen import bessel, special_loops
from flambeau.codegen.expr import where as choose
from flambeau.ops.elementary import function
from flambeau.ops.gamma_functions import either, special
from flambeau.ops.kinds import FLOAT, pointwise

i1_of, i0e_of, i1e_of = (either(getattr(bessel, n), f"special_{n}") for n in ("i1", "i0e", "i1e"))
i0_of = either(bessel.i0, "i0")


def slope_of_odd(g: Any, x: Any, slope: Any) -> Any:
    """A derivative that contains y / x: a half at 0."""
    return g * choose(x == 0, 0.5, slope)


def safe(x: Any) -> Any:
    """`x`, and 1 in place of 0."""
    return choose(x == 0, 1.0, x)


i0 = function(
    "i0",
    lambda g, input: g * i1_of(input),
    "Modified Bessel function of the first kind, of order 0.",
    bessel.i0,
    kernel="i0_vml_cpu",
    takes="f",
)
special_i0e = special(
    "i0e",
    bessel.i0e,
    lambda g, input, y: g * (i1e_of(input) - input.sgn() * y),
    "exp(-|x|) I0(x).",
)
special_i1 = special(
    "i1",
    bessel.i1,
    lambda g, input, y: slope_of_odd(g, input, i0_of(input) - y / safe(input)),
    "Modified Bessel function of the first kind, of order 1.",
)
special_i1e = special(
    "i1e",
    bessel.i1e,
    lambda g, input, y: slope_of_odd(g, input, i0e_of(input) - y * (input.sgn() + 1 / safe(input))),
    "exp(-|x|) I1(x).",
)

WITHOUT_GRADIENT = {
    "bessel_j0": ("Bessel function of the first kind, of order 0.", bessel.bessel_j0),
    "bessel_j1": ("Bessel function of the first kind, of order 1.", bessel.bessel_j1),
    "bessel_y0": ("Bessel function of the second kind, of order 0.", bessel.bessel_y0),
    "bessel_y1": ("Bessel function of the second kind, of order 1.", bessel.bessel_y1),
    "modified_bessel_i0": ("Modified Bessel function of the first kind, of order 0.", bessel.i0),
    "modified_bessel_i1": ("Modified Bessel function of the first kind, of order 1.", bessel.i1),
    "modified_bessel_k0": (
        "Modified Bessel function of the second kind, of order 0.",
        bessel.modified_bessel_k0,
    ),
    "modified_bessel_k1": (
        "Modified Bessel function of the second kind, of order 1.",
        bessel.modified_bessel_k1,
    ),
    "scaled_modified_bessel_k0": ("exp(x) K0(x).", bessel.scaled_modified_bessel_k0),
    "scaled_modified_bessel_k1": ("exp(x) K1(x).", bessel.scaled_modified_bessel_k1),
    "spherical_bessel_j0": ("sin(x) / x.", bessel.spherical_bessel_j0),
    "airy_ai": ("Airy function Ai.", bessel.airy_ai),
}
for _name, (_text, _compute) in WITHOUT_GRADIENT.items():
    special(_name, _compute, None, _text, kernel=f"{_name}_cpu")


# ---- orthogonal polynomials ----------------------------------------------------------------------


def polynomial(name: str, text: str, loop: str, shifted: bool = False) -> Any:
    """The polynomial of degree `n` at `x`."""

    def body(x, n):
        return special_loops.call(loop, 2 * x - 1 if shifted else x, n)

    body.__name__, body.__doc__ = f"special_{name}", text
    return pointwise(
        public=f"_special_{name}",
        methods=(),
        inplace=False,
        promote=FLOAT,
        kernel=f"{name}_cpu",
        takes="f",
        plain_numbers="any",
    )(body)


for _kind, _ordinal in (("t", "first"), ("u", "second"), ("v", "third"), ("w", "fourth")):
    for _prefix in ("", "shifted_"):
        polynomial(
            f"{_prefix}chebyshev_polynomial_{_kind}",
            f"{_prefix.replace('_', ' ').capitalize()}Chebyshev polynomial of the {_ordinal} kind.",
            f"chebyshev_{_kind}",
            bool(_prefix),
        )
polynomial("hermite_polynomial_h", "Physicist's Hermite polynomial.", "hermite_h")
polynomial("hermite_polynomial_he", "Probabilist's Hermite polynomial.", "hermite_he")
polynomial("laguerre_polynomial_l", "Laguerre polynomial.", "laguerre_l")
polynomial("legendre_polynomial_p", "Legendre polynomial.", "legendre_p")

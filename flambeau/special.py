"""`torch.special`: functions with the names that SciPy's special module gave them.

>>> torch.special.expit(torch.tensor([0.0]))
tensor([0.5000])
>>> torch.special.zeta(torch.tensor([2.0]), 1)
tensor([1.6449])
"""

from __future__ import annotations

from typing import Any

import flambeau

#: names that are functions of the package under another name, or the same one
SAME = {
    "digamma": "digamma", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "exp2": "exp2",
    "expit": "sigmoid", "expm1": "expm1", "gammainc": "igamma", "gammaincc": "igammac",
    "gammaln": "lgamma", "i0": "i0", "log1p": "log1p", "log_softmax": "log_softmax",
    "logit": "logit", "logsumexp": "logsumexp", "multigammaln": "mvlgamma",
    "polygamma": "polygamma", "psi": "digamma", "round": "round", "sinc": "sinc",
    "softmax": "softmax", "xlogy": "xlogy",
}  # fmt: skip
#: names that only this module has
OWN = (
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t",
    "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w", "entr", "erfcx",
    "hermite_polynomial_h", "hermite_polynomial_he", "i0e", "i1", "i1e", "laguerre_polynomial_l",
    "legendre_polynomial_p", "log_ndtr", "modified_bessel_i0", "modified_bessel_i1",
    "modified_bessel_k0", "modified_bessel_k1", "ndtr", "ndtri", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "spherical_bessel_j0",
    "xlog1py", "zeta",
)  # fmt: skip

__all__ = sorted([*SAME, *OWN])


def __getattr__(name: str) -> Any:
    """A function, at its first use."""
    if name not in SAME and name not in OWN:
        raise AttributeError(f"module 'torch.special' has no attribute '{name}'")
    value = getattr(flambeau, SAME.get(name, f"_special_{name}"))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name."""
    return __all__

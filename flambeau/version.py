"""The version, in one place: the build reads `release` from here, `flambeau.__version__` comes from
here, and so does `torch.version` under the alias.

>>> torch.version.__version__ == f"{torch.version.api_level}+flambeau.{torch.version.release}"
True
"""

from __future__ import annotations

from flambeau.torch_version import TorchVersion

# The release of torch whose names and behaviour this release follows: programs gate on it.
api_level = "2.13.0"
# The version of the distribution itself.
release = "0.1.0"

__version__ = TorchVersion(f"{api_level}+flambeau.{release}")

# What programs look up in `torch.version`: no compiled back end belongs to the distribution.
debug = False
cuda: str | None = None
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
git_version: str | None = None

"""Version counters of tensors from outside: keep one from counting.

with torch.autograd._unsafe_preserve_version_counter(x):
    x.add_(1)                       # x._version is what it was, afterwards
"""

from __future__ import annotations

from typing import Any

from flambeau.runtime.system import engine


class _unsafe_preserve_version_counter:
    """Changes of the tensors inside this block do not count: backward does not notice them."""

    def __init__(self, tensors: Any):
        self.tensors = (tensors,) if isinstance(tensors, engine.Tensor) else tuple(tensors)

    def __enter__(self) -> None:
        self.versions = [tensor._storage.version for tensor in self.tensors]

    def __exit__(self, *error: object) -> None:
        for tensor, version in zip(self.tensors, self.versions, strict=True):
            tensor._storage.version = version

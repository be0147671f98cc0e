"""`torch.backends`: which libraries of torch's are there, and their switches.

Flambeau has none of them; the answers say so, and the switches are kept so that programs that set
them run.

    >>> torch.backends.cudnn.is_available(), torch.backends.mps.is_built()
    (False, False)
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any


class Backend(types.ModuleType):
    """A namespace of switches whose library is absent."""

    def __init__(self, name: str, **switches: Any):
        super().__init__(
            f"flambeau.backends.{name}",
            f"Switches of torch.backends.{name}; the library itself is absent.",
        )
        for key, value in switches.items():
            setattr(self, key, value)
        sys.modules[self.__name__] = self

    def is_available(self) -> bool:
        """Whether the library can be used."""
        return False

    def is_built(self) -> bool:
        """Whether it was built in."""
        return False

    @contextlib.contextmanager
    def flags(self, **values: Any) -> Iterator[None]:
        """Sets switches for a block."""
        before = {key: getattr(self, key) for key in values}
        for key, value in values.items():
            setattr(self, key, value)
        try:
            yield
        finally:
            for key, value in before.items():
                setattr(self, key, value)


cudnn = Backend(
    "cudnn",
    enabled=True,
    benchmark=False,
    deterministic=False,
    allow_tf32=True,
    benchmark_limit=10,
    version=lambda: None,
)
mps = Backend("mps")
mkl = Backend("mkl")
mkldnn = Backend("mkldnn", enabled=False)
openmp = Backend("openmp")
opt_einsum = Backend("opt_einsum", enabled=False, strategy=None)
cuda = Backend(
    "cuda",
    matmul=types.SimpleNamespace(
        allow_tf32=False,
        allow_fp16_reduced_precision_reduction=True,
        allow_bf16_reduced_precision_reduction=True,
    ),
    flash_sdp_enabled=lambda: False,
    enable_flash_sdp=lambda enabled: None,
    math_sdp_enabled=lambda: True,
    enable_math_sdp=lambda enabled: None,
    mem_efficient_sdp_enabled=lambda: False,
    enable_mem_efficient_sdp=lambda enabled: None,
)


class _Cpu(Backend):
    def get_cpu_capability(self) -> str:
        """Name of the widest vector instructions that kernels use."""
        from flambeau.codegen.llvm import engine

        features = engine().features
        return "AVX512" if "+avx512f" in features else "AVX2" if "+avx2" in features else "DEFAULT"


cpu = _Cpu("cpu")

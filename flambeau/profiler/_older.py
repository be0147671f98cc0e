"""The older names of `torch.profiler`, public as `torch.autograd.profiler`.

>>> with torch.autograd.profiler.profile() as prof:
...     with torch.autograd.profiler.record_function("work"):
...         pass
>>> [event.key for event in prof.key_averages()]
['work']
"""

from __future__ import annotations

from typing import Any

from flambeau import profiler
from flambeau.profiler import record_function as record_function


class profile(profiler.profile):
    """Measures what runs inside the block."""

    def __init__(self, enabled: bool = True, **options: Any):
        super().__init__()
        self.enabled = enabled

    def start(self) -> None:
        """Begins to measure."""
        if self.enabled:
            super().start()

    def stop(self) -> None:
        """Stops measuring."""
        if self.enabled:
            super().stop()


class emit_nvtx:
    """Marks for NVIDIA's tools: there is no GPU."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False):
        if enabled:
            raise NotImplementedError("emit_nvtx is not implemented in Flambeau: there is no GPU")

    def __enter__(self) -> emit_nvtx:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        pass

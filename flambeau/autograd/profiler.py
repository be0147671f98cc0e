"""`torch.autograd.profiler`: the older names of `torch.profiler`, where the code is.

>>> with torch.autograd.profiler.profile() as prof:
...     with torch.autograd.profiler.record_function("work"):
...         pass
>>> [event.key for event in prof.key_averages()]
['work']
"""

from __future__ import annotations

import importlib

_older = importlib.import_module(
    "flambeau.profiler._older"
)  # library code: not known to the engine
emit_nvtx, profile, record_function = _older.emit_nvtx, _older.profile, _older.record_function

__all__ = ["emit_nvtx", "profile", "record_function"]

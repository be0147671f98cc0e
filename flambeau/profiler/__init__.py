"""`torch.profiler`: how long marked blocks took, and (on request) every call of a module.

Ops run in native code, which is not interrupted to be measured: a profile has the blocks marked by
`record_function`, and the forward passes of modules. For kernels: FLAMBEAU_DEBUG=2.

>>> with torch.profiler.profile() as prof:
...     with torch.profiler.record_function("work"):
...         _ = torch.ones(2) + 1
>>> prof.key_averages()[0].key
'work'
"""

from ._profile import ProfilerAction as ProfilerAction
from ._profile import ProfilerActivity as ProfilerActivity
from ._profile import profile as profile
from ._profile import record_function as record_function
from ._profile import schedule as schedule
from ._profile import supported_activities as supported_activities
from ._profile import tensorboard_trace_handler as tensorboard_trace_handler

__all__ = [
    "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule",
    "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip

"""`torch.utils.benchmark`: times of statements, as measurements that can be compared.

>>> timer = torch.utils.benchmark.Timer("x + 1", globals={"x": torch.ones(2)})
>>> timer.timeit(10).mean > 0
True
"""

from ._timer import Compare as Compare
from ._timer import Measurement as Measurement
from ._timer import Timer as Timer
from ._timer import timer as timer

__all__ = ["Compare", "Measurement", "Timer", "timer"]

"""`torch.nn.parallel`: modules on several devices. Without GPUs `DataParallel` runs its module, as
torch's does; training in several processes is not there.

>>> torch.nn.DataParallel(torch.nn.Linear(1, 2))(torch.ones(3, 1)).shape
torch.Size([3, 2])
"""

from __future__ import annotations

from .data_parallel import DataParallel as DataParallel
from .data_parallel import data_parallel as data_parallel
from .distributed import DistributedDataParallel as DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]

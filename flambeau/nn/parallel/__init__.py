"""`torch.nn.parallel`: modules on several devices. Without GPUs `DataParallel` runs its module, as
torch's does; training in several processes is not there.

>>> torch.nn.DataParallel(torch.nn.Linear(1, 2))(torch.ones(3, 1)).shape
torch.Size([3, 2])
"""

from __future__ import annotations

from typing import Any

from ..modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class DataParallel(Module):
    """Splits batches over GPUs; without any it calls the module itself."""

    def __init__(
        self, module: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ):
        super().__init__()
        self.module, self.device_ids, self.output_device, self.dim = module, [], None, dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's result."""
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """A module whose gradients are averaged over processes: not there."""

    def __init__(self, module: Any, *args: Any, **kwargs: Any):
        raise NotImplementedError(
            "DistributedDataParallel is not implemented in Flambeau: training in several "
            "processes is not there\n  hint: use the module itself in one process"
        )


def data_parallel(
    module: Any, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0,
    module_kwargs: Any = None,
) -> Any:  # fmt: skip
    """`DataParallel` as a function."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*inputs, **(module_kwargs or {}))

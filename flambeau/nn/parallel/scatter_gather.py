"""Spreading tensors over several GPUs and collecting them again, which is not there."""

from __future__ import annotations

from typing import Any, NoReturn


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.nn.parallel.scatter_gather.{name} is not implemented in Flambeau: there is one "
        "device\n  hint: call the module itself"
    )


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> NoReturn:
    """Parts of tensors on several GPUs; raises NotImplementedError."""
    _refuse("scatter")


def gather(outputs: Any, target_device: Any, dim: int = 0) -> NoReturn:
    """Tensors of several GPUs on one device; raises NotImplementedError."""
    _refuse("gather")

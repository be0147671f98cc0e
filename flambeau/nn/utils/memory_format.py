"""Storing the weights of a model's convolutions in another memory format.

>>> model = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3))
>>> converted = torch.nn.utils.convert_conv2d_weight_memory_format(model, torch.channels_last)
>>> model[0].weight.is_contiguous(memory_format=torch.channels_last)
True
"""

from __future__ import annotations

from typing import Any

import flambeau

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Convert the weights of all Conv2d and ConvTranspose2d in `module`."""
    return _convert(module, memory_format, (flambeau.nn.Conv2d, flambeau.nn.ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Convert the weights of all Conv3d and ConvTranspose3d in `module`."""
    return _convert(module, memory_format, (flambeau.nn.Conv3d, flambeau.nn.ConvTranspose3d))


def _convert(module: Any, memory_format: Any, classes: tuple[type, ...]) -> Any:
    for part in module.modules():
        if isinstance(part, classes):
            part.weight.data = part.weight.detach().clone(memory_format=memory_format)
    return module

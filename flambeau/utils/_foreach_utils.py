"""Groups of tensors for optimizers that are written for lists of them; libraries import it from
torch's private part.

>>> from flambeau.utils import _foreach_utils
>>> lists = [[torch.ones(1), torch.ones(2)], [torch.zeros(1), None]]
>>> ((key, (grouped, places)),) = _foreach_utils._group_tensors_by_device_and_dtype(lists).items()
>>> key, len(grouped)
((device(type='cpu'), torch.float32), 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TensorLists = Sequence[Sequence[Any]]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: TensorLists, with_indices: bool = False
) -> dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]]:
    """The lists, split by the device and dtype of the first one's tensors; with the place of each
    if asked.
    """
    groups: dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]] = {}
    for place, column in enumerate(zip(*tensorlistlist, strict=True)):
        first = column[0]
        lists, places = groups.setdefault(
            (first.device, first.dtype), ([[] for _ in tensorlistlist], [])
        )
        for values, value in zip(lists, column, strict=True):
            values.append(value)
        if with_indices:
            places.append(place)
    return groups


def _get_foreach_kernels_supported_devices() -> list[str]:
    """The kinds of devices on which optimizers of libraries should work on lists."""
    return ["cuda"]


def _get_fused_kernels_supported_devices() -> list[str]:
    """The kinds of devices with fused optimizer steps."""
    return ["cpu", "cuda"]


def _device_has_foreach_support(device: Any) -> bool:
    """Whether the functions of lists work on a device."""
    return device.type in ("cpu", "cuda")


def _has_foreach_support(tensors: Sequence[Any], device: Any) -> bool:
    """Whether they work for these tensors."""
    return _device_has_foreach_support(device)

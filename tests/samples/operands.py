"""The operands that samples name. Values keep away from kinks (0, 0.5, 1, 3), ties and poles, so
that gradients can be compared with differences.

>>> operand("positive").shape
torch.Size([2, 3])
"""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau as torch

_random = np.random.default_rng(7)


def _spread(*shape: int) -> np.ndarray:
    """Distinct values between -2 and 2, none near 0, a half or a whole number."""
    count = int(np.prod(shape))
    values = (np.arange(count) + 0.37) / count * 1.9 + 0.07
    values += np.where(np.abs(values % 0.5 - 0.25) > 0.22, 0.06, 0.0)
    signs = np.where(np.arange(count) % 2, 1.0, -1.0)
    return _random.permutation(values * signs).reshape(shape)


OPERANDS: dict[str, np.ndarray] = {
    # real numbers
    "x": np.array([[-1.7, -0.6, 0.3], [0.8, 1.3, 2.2]]),
    "y": np.array([0.7, -1.1, 1.6]),
    "z": np.array([[1.4], [-0.4]]),
    "w": np.array([[0.9, -1.4, 0.2], [1.7, -0.3, -2.1]]),
    "vector": np.array([0.4, -1.2, 2.1]),
    "number": np.array(0.7),
    "positive": np.array([[0.3, 1.7, 0.8], [2.4, 0.45, 1.2]]),
    "positive_vector": np.array([1.3, 0.7, 2.3]),
    "unit": np.array([[-0.8, 0.35, 0.6], [0.15, -0.45, 0.9]]),
    "fraction": np.array([[0.2, 0.65, 0.4], [0.85, 0.1, 0.7]]),
    "above_one": np.array([[1.2, 2.7, 1.6], [3.4, 1.05, 2.1]]),
    "sorted": np.array([-1.5, -0.2, 0.45, 1.8]),
    "cube": _spread(2, 3, 4),
    "long": _spread(24),
    # complex numbers
    "complex": np.array([[0.7 - 1.2j, -0.4 + 0.3j, 1.1 + 0.8j], [0.2 + 1.5j, -1.3 - 0.6j, 0.9j]]),
    "complex_vector": np.array([0.5 + 0.2j, -0.7j, 1.3 - 0.4j]),
    "pairs": _spread(3, 2),
    # matrices
    "matrix": np.array([[2.1, 0.4, -0.7], [0.3, -1.8, 0.6], [-0.5, 0.9, 2.6]]),
    "other": np.array([[0.6, -1.1, 0.35], [1.4, 0.2, -0.8], [-0.3, 0.75, 1.2]]),
    "definite": np.array([[3.1, 0.5, -0.4], [0.5, 2.2, 0.3], [-0.4, 0.3, 1.7]]),
    "lower": np.array([[1.6, 0.0, 0.0], [0.4, 1.3, 0.0], [-0.7, 0.2, 1.9]]),
    "tall": _spread(4, 3),
    "wide": _spread(3, 4),
    "columns": _spread(3, 2),
    "batch": _spread(2, 3, 4),
    "second_batch": _spread(2, 4, 3),
    # whole numbers and flags
    "integers": np.array([[4, -7, 2], [9, 3, -5]]),
    "naturals": np.array([[4, 7, 2], [9, 3, 5]]),
    "bits": np.array([1, 3, 0]),
    "index": np.array([[2, 0, 1], [1, 2, 0]]),
    "rows": np.array([1, 0]),
    "places": np.array([0, 2, 4]),
    "classes": np.array([1, 2]),
    "mask": np.array([[True, False, True], [False, True, True]]),
    "flags": np.array([True, False, True]),
    # for layers
    "sequence": _spread(2, 4, 6),
    "image": _spread(1, 2, 5, 4),
    "volume": _spread(1, 2, 3, 4, 3),
    "kernel1": _spread(3, 4, 2),
    "kernel2": _spread(3, 2, 2, 3),
    "kernel3": _spread(2, 2, 2, 2, 2),
    "transposed1": _spread(4, 2, 3),
    "transposed2": _spread(2, 3, 2, 2),
    "transposed3": _spread(2, 2, 2, 2, 2),
    "bias": np.array([0.3, -0.8, 1.1]),
    "weights": np.array([0.8, 1.4, 0.6]),
    "channels": np.array([0.9, -1.3]),
    "channel_weights": np.array([1.2, 0.7]),
    "grid": np.array([[[[-0.6, 0.3], [0.2, -0.45]], [[0.55, 0.7], [-0.15, 0.85]]]]),
    "theta": np.array([[[0.9, 0.2, -0.1], [-0.3, 1.1, 0.25]]]),
    "signs": np.array([1.0, -1.0]),
    "targets": np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]),
    "table": _spread(5, 3),
    "window": np.array([0.3, 0.8, 1.0, 0.8]),
}


def operand(name: str) -> Any:
    """A fresh tensor of the operand's values."""
    return torch.tensor(OPERANDS[name])


def scattered(tensor: Any) -> Any:
    """The same values in memory that is neither contiguous nor dense."""
    if tensor.ndim == 0:
        return tensor
    doubled = torch.stack((tensor, torch.zeros_like(tensor)), -1)
    apart = doubled.flatten(-2)[..., ::2]
    order = list(range(tensor.ndim))[::-1]
    return apart.permute(order).clone().permute(order) if tensor.ndim > 2 else apart

"""`make_tensor`: random tensors for tests, of any dtype, within bounds.

>>> torch.testing.make_tensor(3, dtype=torch.int64, device="cpu", low=5, high=6)
tensor([5, 5, 5])
"""

from __future__ import annotations

from typing import Any

import flambeau

#: the bounds where none are given
BOUNDS = {"bool": (0, 2), "uint8": (0, 10)}
INTEGERS, FLOATS = (-9, 10), (-9.0, 9.0)


def make_tensor(
    *shape: Any, dtype: Any, device: Any, low: float | None = None, high: float | None = None,
    requires_grad: bool = False, noncontiguous: bool = False, exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:  # fmt: skip
    """Numbers from `low` (included) to `high` (excluded), evenly distributed."""
    size = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    size = flambeau.Size(size)
    name = str(dtype).removeprefix("torch.")
    real = dtype.is_floating_point or dtype.is_complex
    bounds = BOUNDS.get(name, FLOATS if real else INTEGERS)
    low, high = bounds[0] if low is None else low, bounds[1] if high is None else high
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    wide = (*size[:-1], size[-1] * 2) if noncontiguous and len(size) else tuple(size)
    if dtype.is_complex:
        part = flambeau.float64 if dtype == flambeau.complex128 else flambeau.float32
        halves = [flambeau.empty(wide, dtype=part).uniform_(low, high) for _ in range(2)]
        result = flambeau.complex(*halves).to(dtype)
    elif real:
        result = flambeau.empty(wide, dtype=flambeau.float32).uniform_(low, high).to(dtype)
    else:
        result = flambeau.randint(int(low), int(high), wide, dtype=flambeau.int64).to(dtype)
    result = result.to(device)
    if noncontiguous and len(size):
        result = result[..., ::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = flambeau.finfo(dtype).tiny if dtype.is_floating_point else 1
    return result.requires_grad_(requires_grad)

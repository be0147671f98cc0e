"""`pad`: a tensor with a border. Called by convolutions, by `nn.modules.padding` and by users.

>>> torch.nn.functional.pad(torch.tensor([1, 2]), (1, 2))
tensor([0, 1, 2, 0, 0])
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import not_implemented

if TYPE_CHECKING:
    from flambeau import Tensor


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """`input` with `pad` = (left, right, top, bottom, ...) elements added, last dimension first.

    `mode` is "constant" (filled with `value`), "reflect", "replicate" or "circular". Negative
    numbers cut.

    >>> torch.nn.functional.pad(torch.tensor([[1, 2, 3]]), (1, 1), mode="reflect")
    tensor([[2, 1, 2, 3, 2]])
    """
    if mode != "constant" and value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode in ("reflect", "replicate") and input.dtype == flambeau.bool:
        name = "reflection" if mode == "reflect" else "replication"
        raise not_implemented(f"{name}_pad{len(pad) // 2}d", input)
    maps = _maps_of(input.shape, tuple(pad), mode)
    if mode in ("reflect", "replicate"):
        return flambeau.ops.nn.mirror(input, maps)
    if value and input.is_complex():
        return flambeau.ops.nn.resample(input - value, maps, False, 0) + value
    return flambeau.ops.nn.resample(input, maps, False, 0 if value is None else value)


@lru_cache(maxsize=1024)
def _maps_of(shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> tuple[Any, ...]:
    """What `ops.resample` needs to know about each dimension, or an error: both follow from the
    shape.
    """
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * len(shape):
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {len(shape)}"
        )
    sides = [(-1 - d, pad[2 * d], pad[2 * d + 1]) for d in range(len(pad) // 2)]
    _check(shape, sides, mode)
    maps: list[Any] = [None] * len(shape)
    for dim, before, after in sides:
        if before or after:
            maps[dim] = (mode, shape[dim], shape[dim] + before + after, before)
    if mode in ("reflect", "replicate"):
        _check_result(shape, sides)
    result = [size if entry is None else entry[2] for size, entry in zip(shape, maps)]
    if min(result, default=0) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(result)}: {result}"
        )
    return tuple(maps)


def _check(shape: tuple[int, ...], sides: list[tuple[int, int, int]], mode: str) -> None:
    if mode == "constant":
        for dim, before, after in sides:
            if max(-before, 0) + max(-after, 0) > shape[dim] and (before < 0 or after < 0):
                raise RuntimeError("narrow(): length must be non-negative.")
        return
    spatial = len(sides)
    plain = len(shape) in (spatial + 1, spatial + 2) and 1 <= spatial <= 3
    if mode not in ("reflect", "replicate", "circular") and plain:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if mode not in ("reflect", "replicate", "circular") or not (plain or mode == "circular"):
        raise NotImplementedError(
            f"Padding size {2 * spatial} is not supported for {len(shape)}D input tensor."
        )
    for dim, before, after in sides:
        _check_indexed(shape, dim, before, after, mode)


def _check_result(shape: tuple[int, ...], sides: list[tuple[int, int, int]]) -> None:
    sizes = shape[-len(sides) :]
    after = [shape[dim] + a + b for dim, a, b in reversed(sides)]
    if min(after) >= 1 or len(sizes) == 3:
        return
    if len(sizes) == 1:
        shown, result = f"(W: {sizes[0]})", f"W: {after[0]}"
    else:
        shown, result = f"(H: {sizes[0]}, W: {sizes[1]} )", f"H: {after[0]} W: {after[1]}"
    raise RuntimeError(f"input {shown} is too small. Calculated output {result}")


def _check_indexed(shape: tuple[int, ...], dim: int, before: int, after: int, mode: str) -> None:
    length = shape[dim]
    if mode == "reflect" and (before >= length or after >= length):
        raise RuntimeError(
            f"Argument #{2 - 2 * dim}: Padding size should be less than the corresponding input "
            f"dimension, but got: padding ({before}, {after}) at dimension {len(shape) + dim} of "
            f"input {list(shape)}"
        )
    if mode == "circular":
        if before > length or after > length:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if before + length + after < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")

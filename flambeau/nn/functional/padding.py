"""`pad`: a tensor with a border. Called by convolutions, by `nn.modules.padding` and by users.

>>> torch.nn.functional.pad(torch.tensor([1, 2]), (1, 2))
tensor([0, 1, 2, 0, 0])
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index as as_int
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
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return _constant_pad(input, pad, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    spatial = len(pad) // 2
    if mode not in ("reflect", "replicate", "circular"):
        if input.dim() in (spatial + 1, spatial + 2) and 1 <= spatial <= 3:
            raise NotImplementedError(f"Unrecognised padding mode {mode}")
    elif mode == "circular" or (input.dim() in (spatial + 1, spatial + 2) and 1 <= spatial <= 3):
        for dim, before, after in _sides(pad):
            _check_indexed(input, dim, before, after, mode)
        return _padded(input, pad, mode)
    raise NotImplementedError(
        f"Padding size {len(pad)} is not supported for {input.dim()}D input tensor."
    )


def _sides(pad: Sequence[int]) -> list[tuple[int, int, int]]:
    """(dimension from the end, before, after), last dimension first."""
    return [(-1 - d, pad[2 * d], pad[2 * d + 1]) for d in range(len(pad) // 2)]


def _constant_pad(input: Tensor, pad: Sequence[int], value: complex) -> Tensor:
    if input.is_complex() and value:
        return _constant_pad(input - value, pad, 0) + value
    maps = _constant_maps(tuple(input.shape), tuple(map(as_int, pad)))
    return flambeau.ops.nn.resample(input, maps, False, value)


@lru_cache(256)
def _constant_maps(shape: tuple[int, ...], pad: tuple[int, ...]) -> tuple[Any, ...]:
    """The maps of a constant border around a tensor of this shape; torch's errors."""
    for dim, before, after in _sides(pad):
        if max(-before, 0) + max(-after, 0) > shape[dim] and (before < 0 or after < 0):
            raise RuntimeError("narrow(): length must be non-negative.")
    return _maps(shape, pad, "constant")


def _maps(shape: Sequence[int], pad: Sequence[int], mode: str) -> tuple[Any, ...]:
    """Where the elements of each padded dimension come from; None for the others."""
    maps: list[Any] = [None] * len(shape)
    for dim, before, after in _sides(pad):
        if before or after:
            maps[dim] = (mode, shape[dim], shape[dim] + before + after, before)
    result = [size if entry is None else entry[2] for size, entry in zip(shape, maps)]
    if min(result, default=0) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(result)}: {result}"
        )
    return tuple(maps)


def _padded(input: Tensor, pad: Sequence[int], mode: str) -> Tensor:
    """The op itself for borders that repeat elements, with a map for each padded dimension."""
    if mode in ("reflect", "replicate"):
        _check_result(input, pad)
    maps = _maps(input.shape, pad, mode)
    if mode in ("reflect", "replicate") and input.dtype == flambeau.bool:
        name = "reflection" if mode == "reflect" else "replication"
        raise not_implemented(f"{name}_pad{len(pad) // 2}d", input)
    if mode in ("reflect", "replicate"):
        return flambeau.ops.nn.mirror(input, maps)
    return flambeau.ops.nn.resample(input, maps, False, 0)


def _check_result(input: Tensor, pad: Sequence[int]) -> None:
    sizes = input.shape[-len(pad) // 2 :]
    after = [input.size(dim) + a + b for dim, a, b in reversed(_sides(pad))]
    if min(after) >= 1 or len(sizes) == 3:
        return
    if len(sizes) == 1:
        shown, result = f"(W: {sizes[0]})", f"W: {after[0]}"
    else:
        shown, result = f"(H: {sizes[0]}, W: {sizes[1]} )", f"H: {after[0]} W: {after[1]}"
    raise RuntimeError(f"input {shown} is too small. Calculated output {result}")


def _check_indexed(input: Tensor, dim: int, before: int, after: int, mode: str) -> None:
    length = input.size(dim)
    if mode == "reflect" and (before >= length or after >= length):
        raise RuntimeError(
            f"Argument #{2 - 2 * dim}: Padding size should be less than the corresponding input "
            f"dimension, but got: padding ({before}, {after}) at dimension {input.dim() + dim} of "
            f"input {list(input.shape)}"
        )
    if mode == "circular":
        if before > length or after > length:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if before + length + after < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")

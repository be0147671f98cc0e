"""`pad`: a tensor with a border. Called by convolutions, by `nn.modules.padding` and by users.

>>> torch.nn.functional.pad(torch.tensor([1, 2]), (1, 2))
tensor([0, 1, 2, 0, 0])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import flambeau

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
        return _indexed_pad(input, pad, mode)
    raise NotImplementedError(
        f"Padding size {len(pad)} is not supported for {input.dim()}D input tensor."
    )


def _sides(pad: Sequence[int]) -> list[tuple[int, int, int]]:
    """(dimension from the end, before, after), last dimension first."""
    return [(-1 - d, pad[2 * d], pad[2 * d + 1]) for d in range(len(pad) // 2)]


def _constant_pad(input: Tensor, pad: Sequence[int], value: float) -> Tensor:
    shape = list(input.shape)
    inside = [slice(None)] * input.dim()
    for dim, before, after in _sides(pad):
        if before < 0 or after < 0:
            start, stop = max(-before, 0), shape[dim] - max(-after, 0)
            if stop < start:
                raise RuntimeError("narrow(): length must be non-negative.")
            input = input.narrow(dim, start, stop - start)
        length = input.size(dim)
        shape[dim] = max(before, 0) + length + max(after, 0)
        inside[dim] = slice(max(before, 0), max(before, 0) + length)
    if all(side <= 0 for side in pad):
        return input.clone()
    output = flambeau.full(shape, value, dtype=input.dtype, device=input.device)
    output[tuple(inside)] = input
    return output


def _check_indexed(input: Tensor, dim: int, before: int, after: int, mode: str) -> None:
    length = input.size(dim)
    if mode == "reflect" and (before >= length or after >= length):
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({before}, {after}) at dimension {input.dim() + dim} of input "
            f"{list(input.shape)}"
        )
    if mode == "circular":
        if before > length or after > length:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if before + length + after < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")


def _indexed_pad(input: Tensor, pad: Sequence[int], mode: str) -> Tensor:
    """Padding that repeats elements of the input: one lookup for each padded dimension."""
    for dim, before, after in _sides(pad):
        _check_indexed(input, dim, before, after, mode)
    for dim, before, after in _sides(pad):
        if before == after == 0:
            continue
        length = input.size(dim)
        places = flambeau.arange(-before, max(length + after, -before), device=input.device)
        if mode == "replicate":
            places = places.clamp(0, max(length - 1, 0))
        elif mode == "circular":  # what is cut off does not come back on the other side
            start, stop = max(-before, 0), length + min(after, 0)
            places = (places - start) % max(stop - start, 1) + start
        else:  # reflect about the first and about the last element
            places = (length - 1) - ((length - 1) - places.abs()).abs()
        input = input.index_select(dim, places)
    return input

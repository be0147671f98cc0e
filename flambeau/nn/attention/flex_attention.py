"""Attention whose scores a function of the user's changes or masks: `flex_attention`.

Scores are computed whole and the function is applied to all of them at once: it gets the indices of
batch, head, query and key as tensors that broadcast against one another. Dong et al. 2024, "Flex
Attention: A Programming Model for Generating Optimized Attention Kernels" (arXiv:2412.05496).

>>> from flambeau.nn.attention.flex_attention import create_block_mask, flex_attention
>>> causal = create_block_mask(lambda b, h, q, k: q >= k, None, None, 4, 4)
>>> x = torch.ones(1, 1, 4, 2)
>>> flex_attention(x, x, x.cumsum(2), block_mask=causal)[0, 0, :, 0]
tensor([1.0000, 1.5000, 2.0000, 2.5000])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flambeau
from flambeau import Tensor

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask",
    "flex_attention", "noop_mask", "or_masks",
]  # fmt: skip

_DEFAULT_SPARSE_BLOCK_SIZE = 128

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


class AuxRequest(NamedTuple):
    """What else `flex_attention` should return."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for with an `AuxRequest`; the rest is None."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """A mask that lets everything through."""
    return flambeau.ones((), dtype=flambeau.bool, device=token_q.device)


def _combined(name: str, mods: tuple[MaskMod, ...], start: bool) -> MaskMod:
    if not all(callable(mod) for mod in mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mods}")

    def mask(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        result = flambeau.full((), start, dtype=flambeau.bool, device=q.device)
        for mod in mods:
            result = result & mod(b, h, q, k) if start else result | mod(b, h, q, k)
        return result

    mask.__name__ = name
    return mask


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """A mask that lets through what all of them let through.

    >>> window = and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 2)
    >>> create_mask(window, None, None, 3, 3)[0, 0].int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [0, 1, 1]], dtype=torch.int32)
    """
    return _combined("and_mask", mask_mods, True)


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """A mask that lets through what one of them lets through."""
    return _combined("or_mask", mask_mods, False)


def _indices(shape: tuple[int, ...], device: Any) -> tuple[Tensor, ...]:
    """The index along each dimension, shaped to broadcast."""
    return tuple(
        flambeau.arange(size, device=device).view([-1 if d == i else 1 for d in range(4)])
        for i, size in enumerate(shape)
    )


def create_mask(
    mod_fn: MaskMod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:
    """The mask as a (B, H, Q_LEN, KV_LEN) tensor of booleans; B and H are 1 where None.

    >>> create_mask(lambda b, h, q, k: q >= k, None, None, 2, 2)
    tensor([[[[ True, False],
              [ True,  True]]]])
    """
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    return mod_fn(*_indices(shape, device)).expand(shape).contiguous()


class BlockMask:
    """A mask with what is known of its blocks: for each row of blocks, how many of them have
    something to let through and which (`kv_num_blocks`, `kv_indices`), apart from those that let
    everything through (`full_kv_num_blocks`, `full_kv_indices`). Made by `create_block_mask`.
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None,
        BLOCK_SIZE: tuple[int, int] = (128, 128),
        mask_mod: MaskMod = noop_mask,
    ):
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices

    @property
    def shape(self) -> tuple[int, ...]:
        """Batch, heads, queries, keys."""
        return (*self.kv_num_blocks.shape[:-1], *self.seq_lengths)

    def numel(self) -> int:
        """How many scores the mask is for."""
        return math.prod(self.shape)

    def to_dense(self) -> Tensor:
        """1 for every block that lets something through."""
        found = _blocks(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            found = found | _blocks(self.full_kv_num_blocks, self.full_kv_indices)
        return found.to(flambeau.int32)

    def sparsity(self) -> float:
        """Percentage of the scores that lie in no block; blocks beyond the edge count as whole."""
        rows, columns = self.BLOCK_SIZE
        return 100 * (1 - self.to_dense().sum().item() * rows * columns / self.numel())

    def to(self, device: Any) -> BlockMask:
        """The mask on a device."""
        tensors = (
            self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices
        )  # fmt: skip
        moved = [None if x is None else x.to(device) for x in tensors]
        return BlockMask(self.seq_lengths, *moved, self.BLOCK_SIZE, self.mask_mod)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        picture = []
        blocks = self.to_dense()
        for b, h in [(b, h) for b in range(blocks.shape[0]) for h in range(blocks.shape[1])]:
            rows = ["".join("██" if x else "  " for x in row) for row in blocks[b, h].tolist()]
            picture.append("\n".join([f"({b}, {h})", *rows]))
        return (
            f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n"
            + "\n".join(picture)
            + "\n)"
        )


def _blocks(numbers: Tensor, indices: Tensor) -> Tensor:
    """Where the first `numbers` of `indices` in each row point, as booleans."""
    count = indices.shape[-1]
    chosen = flambeau.arange(count) < numbers.unsqueeze(-1)
    return flambeau.zeros_like(chosen).scatter(-1, indices.long(), chosen)


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of each row are set, and their places before those of the others."""
    places = blocks.int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1).to(flambeau.int32), places.to(flambeau.int32)


def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
) -> BlockMask:
    """The `BlockMask` of a function of batch, head, query and key that is true where attention may
    go.

    >>> create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256).sparsity()
    25.0
    """
    rows, columns = BLOCK_SIZE if isinstance(BLOCK_SIZE, tuple) else (BLOCK_SIZE, BLOCK_SIZE)
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    beyond = (0, -KV_LEN % columns, 0, -Q_LEN % rows)
    mask = flambeau.nn.functional.pad(mask.int(), beyond)
    tiles = mask.unflatten(-1, (-1, columns)).unflatten(-3, (-1, rows)).sum((-3, -1))
    full = tiles == rows * columns
    partial = _listed((tiles > 0) & ~full)
    return BlockMask((Q_LEN, KV_LEN), *partial, *_listed(full), (rows, columns), mask_mod)


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: dict[str, Any] | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention with `score_mod(score, b, h, q_idx, kv_idx)` applied to the scores.

    query (B, Hq, L, E), key (B, Hkv, S, E) and value (B, Hkv, S, Ev) give (B, Hq, L, Ev). A query
    that may look nowhere gets zeros. With `return_lse` or `return_aux` also the logarithms of the
    sums of exponentials (B, Hq, L), and the greatest scores.

    >>> q = torch.ones(1, 1, 2, 4)
    >>> flex_attention(q, q, q, lambda score, b, h, q, k: score - (q - k).abs()).shape
    torch.Size([1, 1, 2, 4])
    """
    _check(query, key, value, enable_gqa)
    if enable_gqa:
        groups = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    shape = tuple(scores.shape)
    indices = _indices(shape, query.device)
    if score_mod is not None:
        scores = score_mod(scores, *indices).expand(shape)
    if block_mask is not None:
        scores = scores.masked_fill(~block_mask.mask_mod(*indices), -math.inf)
    totals = scores.logsumexp(-1)
    nowhere = (totals == -math.inf).unsqueeze(-1)
    weights = (scores - totals.unsqueeze(-1).masked_fill(nowhere, 0)).exp()
    result = weights.to(query.dtype) @ value
    if return_aux is not None:
        greatest = scores.amax(-1) if return_aux.max_scores else None
        return result, AuxOutput(totals if return_aux.lse else None, greatest)
    return (result, totals) if return_lse else result


def _check(query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool) -> None:
    if not query.dim() == key.dim() == value.dim() == 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    if not query.dtype == key.dtype == value.dtype:
        raise ValueError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype}, key.dtype: {key.dtype}, and value.dtype: {value.dtype} instead."
        )
    heads, shared = query.shape[1], key.shape[1]
    if not enable_gqa and heads != shared:
        raise ValueError(
            "Expect query and key/value to have the same number of heads but got "
            f"Hq={heads} and Hkv={shared}. Try setting enable_gqa=True for GQA."
        )
    if enable_gqa and heads % shared:
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={heads} and Hkv={shared}."
        )

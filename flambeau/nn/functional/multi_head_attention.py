"""Multi-head attention with its projections (Vaswani et al. 2017).

Called by `nn.modules.attention`, `nn.modules.transformer` and by users. Shapes: L target length, S
source length, N batch, H heads, E features, D features of a head.

>>> x, w = torch.ones(3, 1, 4), torch.zeros(12, 4)
>>> f = torch.nn.functional.multi_head_attention_forward
>>> f(x, x, x, 4, 2, w, None, None, None, False, 0.0, torch.eye(4), None)[0].shape
torch.Size([3, 1, 4])
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import flambeau

from .attention import scaled_dot_product_attention
from .dropout import dropout
from .linear import linear
from .padding import pad

if TYPE_CHECKING:
    from flambeau import Tensor, dtype


def _mask_error(name: str, query: Tensor, allowed: str, mask: Tensor) -> AssertionError:
    kind = "batched (3-D)" if query.dim() == 3 else "unbatched (2-D)"
    return AssertionError(
        f"For {kind} `query`, expected `{name}` to be `None`{allowed} but found "
        f"{mask.dim()}-D tensor instead"
    )


def _mha_shape_check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Check the ranks of multi-head attention; whether the input has a batch dimension."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            "query should be unbatched 2D or batched 3D tensor but received "
            f"{query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    ndim = query.dim()
    if key.dim() != ndim or value.dim() != ndim:
        kind = "batched (3-D)" if batched else "unbatched (2-D)"
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {ndim}-D but found "
            f"{key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != ndim - 1:
        raise _mask_error("key_padding_mask", query, f" or {ndim - 1}-D", key_padding_mask)
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise _mask_error("attn_mask", query, ", 2-D or 3-D", attn_mask)
        expected = (num_heads, query.shape[0], key.shape[0])
        if not batched and attn_mask.dim() == 3 and attn_mask.shape != expected:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}"
            )
    return batched


def _canonical_mask(
    mask: Tensor | None,
    mask_name: str,
    other_type: dtype | None,
    other_name: str,
    target_type: dtype,
    check_other: bool = True,
) -> Tensor | None:
    """A mask to be added to the scores: minus infinity where a boolean mask is True."""
    if mask is None:
        return None
    is_float = mask.is_floating_point()
    if mask.dtype != flambeau.bool and not is_float:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. "
            "Use same type for both instead.",
            stacklevel=2,
        )
    if is_float:
        return mask
    return flambeau.zeros_like(mask, dtype=target_type).masked_fill_(mask, -math.inf)


def _none_or_dtype(input: Tensor | None) -> dtype | None:
    return None if input is None else input.dtype


def _in_projection_packed(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Query, key and value through the three projections stacked in `w`: one product where inputs
    agree."""
    if q is k and k is v:
        return linear(q, w, b).chunk(3, -1)
    w_q, w_k, w_v = w.chunk(3)
    b_q, b_k, b_v = (None, None, None) if b is None else b.chunk(3)
    return linear(q, w_q, b_q), linear(k, w_k, b_k), linear(v, w_v, b_v)


def _in_projection(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    b_q: Tensor | None = None,
    b_k: Tensor | None = None,
    b_v: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value, of sizes of their own, through their projections."""
    features = q.size(-1)
    parts = (("query", q, w_q, b_q), ("key", k, w_k, b_k), ("value", v, w_v, b_v))
    for name, input, weight, bias in parts:
        if weight.shape != (features, input.size(-1)):
            raise AssertionError(
                f"expecting {name} weights shape of {(features, input.size(-1))}, but got "
                f"{weight.shape}"
            )
        if bias is not None and bias.shape != (features,):
            raise AssertionError(
                f"expecting {name} bias shape of {(features,)}, but got {bias.shape}"
            )
    return linear(q, w_q, b_q), linear(k, w_k, b_k), linear(v, w_v, b_v)


def _check_attn_mask(
    attn_mask: Tensor, batch: int, num_heads: int, target: int, source: int
) -> Tensor:
    """A mask with a leading dimension of 1 or N * H."""
    if attn_mask.dim() == 2:
        if attn_mask.shape != (target, source):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be "
                f"{(target, source)}."
            )
        return attn_mask.unsqueeze(0)
    if attn_mask.dim() == 3:
        if attn_mask.shape != (batch * num_heads, target, source):
            raise RuntimeError(
                f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be "
                f"{(batch * num_heads, target, source)}."
            )
        return attn_mask
    raise RuntimeError(f"attn_mask's dimension {attn_mask.dim()} is not supported")


def _check_projections(
    embed_dim: int,
    embed_dim_to_check: int,
    num_heads: int,
    key: Tensor,
    value: Tensor,
    separate: bool,
) -> None:
    if embed_dim != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}"
        )
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if separate:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's "
                f"{value.shape[:2]}"
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _require_weights(
    separate: bool, names: tuple[str, ...], weights: tuple[Tensor | None, ...]
) -> None:
    for name, weight in zip(names, weights):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is {separate} but {name} is None")


def _heads(input: Tensor, rows: int, head_dim: int) -> Tensor:
    """(L, N, H * D) as (N * H, L, D)."""
    return input.reshape(input.size(0), rows, head_dim).transpose(0, 1)


def _with_batch(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A batch dimension for each; inputs that are one tensor stay one, so that one product projects
    them."""
    q = query.unsqueeze(1)
    k = q if key is query else key.unsqueeze(1)
    v = q if value is query else k if value is key else value.unsqueeze(1)
    return q, k, v


def _pad_masks(mask: Tensor | None, padding: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The masks with one more source position, which may be attended to."""
    return (
        None if mask is None else pad(mask, (0, 1)),
        None if padding is None else pad(padding, (0, 1)),
    )


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    need_weights: bool,
    num_heads: int,
) -> tuple[Tensor, Tensor | None]:
    """Attention of (N * H, L, D) heads: the output (L, N, E) and, if asked for, the weights (N, H,
    L, S)."""
    rows, target, head_dim = q.shape
    batch, source = rows // num_heads, k.size(1)
    weights = None
    if need_weights:
        scaled = q * math.sqrt(1.0 / head_dim)
        scores = flambeau.bmm(scaled, k.transpose(1, 2))
        if mask is not None:
            scores = scores + mask
        weights = scores.softmax(-1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p)
        output = flambeau.bmm(weights, v)
        weights = weights.reshape(batch, num_heads, target, source)
    else:
        q, k, v = (x.reshape(batch, num_heads, -1, head_dim) for x in (q, k, v))
        if mask is not None:
            mask = (
                mask.unsqueeze(0)
                if mask.size(0) == 1
                else mask.reshape(batch, num_heads, -1, source)
            )
        output = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
        output = output.reshape(rows, target, head_dim)
    return output.transpose(0, 1).reshape(target, batch, num_heads * head_dim), weights


def _static_or_heads(
    static: Tensor | None, input: Tensor, name: str, rows: int, head_dim: int
) -> Tensor:
    """The heads that a caller projected already, or those of `input`."""
    if static is None:
        return _heads(input, rows, head_dim)
    if static.size(0) != rows:
        raise AssertionError(f"expecting {name}.size(0) of {rows}, but got {static.size(0)}")
    if static.size(2) != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {static.size(2)}")
    return static


def _append_biases(
    k: Tensor,
    v: Tensor,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    static_k: Tensor | None,
    static_v: Tensor | None,
    mask: Tensor | None,
    padding: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Keys and values (S, N, E) with one more source position, the learnt one if there is one; the
    masks let it through."""
    if bias_k is None and bias_v is None:
        return k, v, mask, padding
    if bias_k is None:
        raise AssertionError("bias_v is set but bias_k is None")
    if bias_v is None:
        raise AssertionError("bias_k is set but bias_v is None")
    if static_k is not None:
        raise AssertionError("bias cannot be added to static key.")
    if static_v is not None:
        raise AssertionError("bias cannot be added to static value.")
    batch = k.size(1)
    return (
        flambeau.cat([k, bias_k.repeat(1, batch, 1)]),
        flambeau.cat([v, bias_v.repeat(1, batch, 1)]),
        *_pad_masks(mask, padding),
    )


def _merge_padding(
    attn_mask: Tensor | None, padding: Tensor, batch: int, num_heads: int, source: int
) -> Tensor:
    """The padding mask (N, S) added to the attention mask, for every head: (N * H, 1 or L, S)."""
    if padding.shape[0] != batch:
        raise AssertionError(
            f"Expected key_padded_mask.shape[0] to be {batch}, but got {padding.shape[0]}"
        )
    if padding.shape[1] != source:
        raise AssertionError(
            f"Expected key_padded_mask.shape[1] to be {source}, but got {padding.shape[1]}"
        )
    spread = padding.reshape(batch, 1, 1, source).expand(-1, num_heads, -1, -1)
    spread = spread.reshape(batch * num_heads, 1, source)
    return spread if attn_mask is None else attn_mask + spread


def _masks(
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    query: Tensor,
    key: Tensor,
    num_heads: int,
    is_causal: bool,
    need_weights: bool,
) -> tuple[Tensor | None, Tensor | None, bool]:
    """The padding mask and the attention mask to be added, and whether the causal kernel serves."""
    padding = _canonical_mask(
        key_padding_mask, "key_padding_mask", _none_or_dtype(attn_mask), "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    # `is_causal` says that `attn_mask` is the causal mask: alone, it takes the place of that mask.
    if is_causal and padding is None and not need_weights:
        return None, None, True
    mask = _canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
    if mask is not None:
        mask = _check_attn_mask(mask, query.size(1), num_heads, query.size(0), key.size(0))
    return padding, mask, False


def _project(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weights: tuple[Tensor | None, ...],
    bias: Tensor | None,
) -> tuple[Tensor, ...]:
    """Query, key and value through their projections: three weights, or one that stacks them."""
    if len(weights) == 1:
        _require_weights(False, ("in_proj_weight",), weights)
        return _in_projection_packed(query, key, value, weights[0], bias)
    _require_weights(True, ("q_proj_weight", "k_proj_weight", "v_proj_weight"), weights)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return _in_projection(query, key, value, *weights, *biases)


def _split_heads(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    num_heads: int,
    static_k: Tensor | None,
    static_v: Tensor | None,
    add_zero_attn: bool,
    mask: Tensor | None,
    padding: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The projections as (N * H, length, D), with a source of zeros if asked; one mask for both."""
    batch, head_dim = q.size(1), q.size(2) // num_heads
    rows = batch * num_heads
    q = _heads(q, rows, head_dim)
    k = _static_or_heads(static_k, k, "static_k", rows, head_dim)
    v = _static_or_heads(static_v, v, "static_v", rows, head_dim)
    if add_zero_attn:
        zeros = k.new_zeros((rows, 1, head_dim))
        k, v = flambeau.cat([k, zeros], 1), flambeau.cat([v, zeros], 1)
        mask, padding = _pad_masks(mask, padding)
    if padding is not None:
        mask = _merge_padding(mask, padding, batch, num_heads, k.size(1))
    return q, k, v, mask


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Multi-head attention (Vaswani et al. 2017) on (L, N, E), or (L, E) without a batch.

    Returns the output and, if `need_weights`, the attention weights (N, L, S), averaged over heads
    or (N, H, L, S). See `torch.nn.MultiheadAttention` for the arguments, this file for an example.
    """
    batched = _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    padding, mask, is_causal = _masks(
        key_padding_mask, attn_mask, query, key, num_heads, is_causal, need_weights
    )
    _check_projections(
        query.size(2), embed_dim_to_check, num_heads, key, value, use_separate_proj_weight
    )
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = separate if use_separate_proj_weight else (in_proj_weight,)
    q, k, v = _project(query, key, value, weights, in_proj_bias)
    k, v, mask, padding = _append_biases(k, v, bias_k, bias_v, static_k, static_v, mask, padding)
    q, k, v, mask = _split_heads(
        q, k, v, num_heads, static_k, static_v, add_zero_attn, mask, padding
    )
    dropout_p = dropout_p if training else 0.0
    output, attention = _attend(q, k, v, mask, dropout_p, is_causal, need_weights, num_heads)
    output = linear(output, out_proj_weight, out_proj_bias)  # (L, N, E)
    if attention is not None and average_attn_weights:
        attention = attention.mean(1)
    if batched:
        return output, attention
    return output.squeeze(1), None if attention is None else attention.squeeze(0)

"""Scaled dot-product attention.

Called by `multi_head_attention_forward` and by users. Shapes: L target length, S source length, N
batch, E features.

>>> q = torch.zeros(1, 2, 4)
>>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
torch.Size([1, 2, 4])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import flambeau

from ._common import c_type, in_lower_precision
from .dropout import dropout

if TYPE_CHECKING:
    from flambeau import Tensor


def _check_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> None:
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{c_type(query)} key.dtype: {c_type(key)} and value.dtype: {c_type(value)} instead."
        )
    if query.dim() < 2 or key.dim() < 2 or value.dim() < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()} key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if attn_mask is not None and attn_mask.dtype not in (
        flambeau.bool,
        flambeau.float32,
        query.dtype,
    ):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {c_type(attn_mask)} and  query.dtype: {c_type(query)} instead."
        )


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`softmax(query @ key.mT * scale + mask) @ value`; the scale is `1 / sqrt(features)` if not
    given.

    Args: query (N, ..., L, E), key (N, ..., S, E), value (N, ..., S, Ev). A boolean mask (L, S) is
    True where attention may go; a floating point mask is added. `is_causal` masks positions after
    the query's. `enable_gqa` shares each head of key and value among several heads of the query.

    >>> q = torch.zeros(1, 2, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 4])
    """
    attention = flambeau.ops.nn
    if dropout_p == 0.0:
        result = attention.direct_attention(query, key, value, attn_mask, is_causal, scale)
        if result is not None:
            return result
    query, key, value, attn_mask = in_lower_precision(query, key, value, attn_mask)
    _check_attention(query, key, value, attn_mask)
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")
    if dropout_p == 0.0:
        result = attention.fused_attention(
            query, key, value, attn_mask, is_causal, scale, enable_gqa
        )
        if result is not None:
            return result
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    if scale is None:
        scale = 1.0 / math.sqrt(query.size(-1))
    weights = attention.attention_weights(query, key, attn_mask, is_causal, scale)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    return weights @ value

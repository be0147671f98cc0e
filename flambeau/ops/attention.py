"""Scaled dot-product attention: in blocks that stay in the cache (ops.kernels.attention), or as
tensor algebra where weights are dropped, the mask needs a gradient, or a graph of the gradients is
wanted.

Called by nn.functional:

    flambeau.ops.nn.fused_attention(query, key, value, None, True, None, False)
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.core.dtype import bool_
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.core.strides import broadcast_strides, contiguous_strides, elementwise_strides
from flambeau.ops.kernels import attention as kernels
from flambeau.ops.kernels import attention_native as native
from flambeau.ops.kinds import structured
from flambeau.ops.registry import engine, is_tensor
from flambeau.ops.softmax import _safe_softmax
from flambeau.runtime.plan_block import B_DIFFERENTIABLE

HALVES = ("float16", "bfloat16")
KERNEL_DTYPES = ("float32", "float64", *HALVES)
COMPOSED = "UnsafeViewBackward0"  # torch's last node where it composes attention from products


def matrices(spec: Spec, lead: tuple[int, ...]) -> kernels.Matrices:
    """The last two dimensions as matrices, one for each index into `lead`."""
    strides = broadcast_strides(spec.shape[:-2], spec.strides[:-2], lead)
    steps = [[i * step for i in range(size)] for size, step in zip(lead, strides, strict=True)]
    offsets = tuple(sum(index) for index in itertools.product(*steps))
    row, column = (
        0 if size == 1 else step
        for size, step in zip(spec.shape[-2:], spec.strides[-2:], strict=True)
    )
    return kernels.Matrices(row, column if spec.shape[-1] > 1 else 1, offsets)


def lines(spec: Spec, lead: tuple[int, ...]) -> kernels.Matrices:
    """A number for each row of each matrix."""
    strides = contiguous_strides((*lead, spec.shape[-1]))
    steps = [[i * s for i in range(size)] for size, s in zip(lead, strides[:-1], strict=True)]
    return kernels.Matrices(1, 1, tuple(sum(index) for index in itertools.product(*steps)))


def shape_of(specs: Sequence[Spec], mask: Any, causal: bool, scale: Any) -> kernels.Shape:
    """What is computed, in the kernels' terms."""
    query, key, value = specs
    return kernels.Shape(
        query.dtype.name,
        query.shape[-2],
        key.shape[-2],
        query.shape[-1],
        value.shape[-1],
        causal,
        1 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        None if mask is None else mask._spec.dtype.name,
    )


def laid_out(spec: Spec, columns: int) -> Spec:
    """A result whose dimensions lie in memory in the order of those of `spec`, rows of `columns`
    elements in one piece.
    """
    shape = (*spec.shape[:-1], columns)
    strides = elementwise_strides(shape, [(shape, spec.strides)])
    return spec.like(shape, strides if strides[-1] == 1 or columns == 1 else None)


def by_position(spec: Spec) -> Spec:
    """The gradient of an operand: as in torch, heads of a position are neighbours in memory, which
    is how projections make them.
    """
    if spec.ndim != 4:
        return spec.like(spec.shape)
    batch, heads, length, columns = spec.shape
    strides = (length * heads * columns, columns, heads * columns, 1)
    return spec.like(spec.shape, strides)


def finished(plan: Any, task: kernels.Task) -> Any:
    """The plan with its kernel."""
    plan.keep.extend(task.keep)
    return plan.use_native(
        task.address, task.params, task.items, task.work, task.grain, task.scratch
    )


def attention_gradient(
    needed: Any, g0: Any, query: Any, key: Any, value: Any, attn_mask: Any, y0: Any, y1: Any,
    is_causal: bool, scale: Any,
) -> Any:  # fmt: skip
    """By query, key and value."""
    if g0 is None:
        return None, None, None
    if is_grad_enabled():
        return by_algebra(g0, query, key, value, attn_mask, is_causal, scale)
    return _attention_backward.call(g0, query, key, value, attn_mask, y0, y1, is_causal, scale)


def by_algebra(
    g: Any, query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: Any
) -> Any:
    """The gradients as tensor algebra, which can be differentiated again."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    weights = attention_weights(query, key, mask, is_causal, factor)
    by_weights = g.matmul(value.mT)
    slopes = weights * (by_weights - (by_weights * weights).sum(-1, True)) * factor
    return slopes.matmul(key), slopes.mT.matmul(query), weights.mT.matmul(g)


@structured(public=None, methods=())
def _attention_backward(call, grad, query, key, value, attn_mask, output, sums, is_causal, scale):
    """The gradients by query, key and value."""
    specs = [x._spec for x in (query, key, value)]
    results = [by_position(spec) for spec in specs]
    names = ["grad", "query", "key", "value", "attn_mask", "output", "sums"]
    plan = call.plan(names, results)
    if plan.is_meta:
        return plan.use_native(0, (), 0)
    lead = tuple(query.shape[:-2])
    operands = {
        place: matrices(spec, lead)
        for place, spec in zip(
            (native.AT_QUERY, native.AT_KEY, native.AT_VALUE, native.AT_BY_QUERY,
             native.AT_BY_KEY, native.AT_BY_VALUE, native.AT_GRAD, native.AT_OUTPUT),
            (*specs, *results, grad._spec, output._spec),
            strict=True,
        )
    }  # fmt: skip
    operands[native.AT_SUM] = lines(sums._spec, lead)
    if attn_mask is not None:
        operands[native.AT_MASK] = mask_matrices(attn_mask._spec, lead, query, key)
    shape = shape_of(specs, attn_mask, is_causal, scale)
    size = 0 if attn_mask is None else attn_mask._spec.itemsize
    return finished(plan, kernels.backward(shape, operands, size, engine.core.threads()))


def mask_matrices(spec: Spec, lead: tuple[int, ...], query: Any, key: Any) -> kernels.Matrices:
    """The mask, broadcast to the scores."""
    whole = (*lead, query.shape[-2], key.shape[-2])
    return matrices(spec.like(whole, broadcast_strides(spec.shape, spec.strides, whole)), lead)


@structured(
    methods=(),
    node="ScaledDotProductFlashAttentionForCpuBackward",
    grad={("query", "key", "value"): attention_gradient},
)
def _scaled_dot_product_flash_attention_for_cpu(
    call, query, key, value, dropout_p=0.0, is_causal=False, *, attn_mask=None, scale=None
):
    """Attention, and for each query the logarithm of the sum of exponentials of its scores.

    >>> q = torch.zeros(1, 1, 2, 4)
    >>> torch._scaled_dot_product_flash_attention_for_cpu(q, q, q)[1]
    tensor([[[0.6931, 0.6931]]])
    """
    kind = query.dtype
    if kind.name in HALVES:  # scores are computed in float32
        wide = (query.float(), key.float(), value.float())
        mask = attn_mask.float() if attn_mask is not None and attn_mask.dtype is kind else attn_mask
        results = call.op.call(*wide, dropout_p, is_causal, attn_mask=mask, scale=scale)
        return results[0].to(kind), results[1]
    specs = [x._spec for x in (query, key, value)]
    output = laid_out(specs[0], value.shape[-1])
    sums = specs[0].like(tuple(query.shape[:-1]))
    plan = call.plan(["query", "key", "value", "attn_mask"], [output, sums])
    plan.words[B_DIFFERENTIABLE] &= 1
    if query.ndim != 4 or query.shape[-1] != value.shape[-1]:
        plan.node_name = COMPOSED
    if plan.is_meta:
        return plan.use_native(0, (), 0)
    lead = tuple(query.shape[:-2])
    operands = {
        place: matrices(spec, lead)
        for place, spec in zip(
            (native.AT_QUERY, native.AT_KEY, native.AT_VALUE, native.AT_OUTPUT),
            (*specs, output),
            strict=True,
        )
    }
    operands[native.AT_SUM] = lines(sums, lead)
    if attn_mask is not None:
        operands[native.AT_MASK] = mask_matrices(attn_mask._spec, lead, query, key)
    shape = shape_of(specs, attn_mask, is_causal, scale)
    size = 0 if attn_mask is None else attn_mask._spec.itemsize
    return finished(plan, kernels.forward(shape, operands, size, engine.core.threads()))


# ---- tensor algebra ------------------------------------------------------------------------------


def attention_weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """The softmax of the masked scores; a query that may attend to nothing gets zeros, not NaN."""
    # The square root goes to both factors, so that half precision does not overflow.
    root = math.sqrt(abs(scale))
    scores = (query * math.copysign(root, scale)).matmul((key * root).mT)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == bool_ else scores + mask
    if is_causal:
        allowed = query.new_ones((query.shape[-2], key.shape[-2]), dtype=bool_).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    return _safe_softmax.call(scores, -1)


@functools.lru_cache(maxsize=1024)
def _fits(query: Spec, key: Spec, value: Spec, mask: Spec | None) -> bool:
    """Whether operands of these specs go into the kernel as they are."""
    lead, kind = query.shape[:-2], query.dtype
    return (
        kind.name in KERNEL_DTYPES
        and query.ndim >= 3
        and all(s.device.type == "cpu" and s.numel and s.dtype is kind for s in (query, key, value))
        and lead == key.shape[:-2] == value.shape[:-2]
        and key.shape[-1] == query.shape[-1]
        and key.shape[-2] == value.shape[-2]
        and (mask is None or mask.shape == (query.shape[-2], key.shape[-2]))
        and (mask is None or mask.dtype is kind or mask.dtype is bool_)
    )


def direct_attention(
    query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: Any
) -> Any:
    """Attention where the operands need no preparation; else None."""
    if not (is_tensor(query) and is_tensor(key) and is_tensor(value)):
        return None
    if mask is not None and (not is_tensor(mask) or mask.requires_grad):
        return None
    if not _fits(query._spec, key._spec, value._spec, None if mask is None else mask._spec):
        return None
    return _scaled_dot_product_flash_attention_for_cpu.call(
        query, key, value, 0.0, is_causal, attn_mask=mask, scale=scale
    )[0]


def fused_attention(
    query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: Any, enable_gqa: bool
) -> Any:
    """Attention by its kernel; None where it does not apply."""
    if (
        query.ndim < 3
        or query.dtype.name not in KERNEL_DTYPES
        or not query.is_cpu
        or not query.shape[-1]
    ):
        return None
    if key.shape[-1] != query.shape[-1] or key.shape[-2] != value.shape[-2]:
        return None
    if not (query.numel() and key.numel() and value.numel()):
        return None
    if mask is not None and (mask.requires_grad or not mask.is_cpu):
        return None
    grouped = enable_gqa and query.shape[-3] != key.shape[-3]
    if grouped:  # several heads of the query share one of the key
        heads, groups = query.shape[-3], key.shape[-3]
        query = query.unflatten(-3, (groups, heads // groups))
        key, value = key.unsqueeze(-3), value.unsqueeze(-3)
        if mask is not None and mask.ndim > 2:
            split = (groups, heads // groups) if mask.shape[-3] != 1 else (1, 1)
            mask = mask.unflatten(-3, split)
    lead = broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    query, key, value = (
        x if x.shape[:-2] == lead else x.expand(*lead, *x.shape[-2:]) for x in (query, key, value)
    )
    if mask is not None:
        broadcast_shapes((*lead, query.shape[-2], key.shape[-2]), mask.shape)  # raises if it fails
    result = _scaled_dot_product_flash_attention_for_cpu.call(
        query, key, value, 0.0, is_causal, attn_mask=mask, scale=scale
    )[0]
    return result.flatten(-4, -3) if grouped else result

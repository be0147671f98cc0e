"""`linear_cross_entropy`: the loss of a linear classifier, if asked for in chunks of the batch.

Called by `nn.LinearCrossEntropyLoss` and by users.

>>> x, w = torch.ones(1, 2), torch.ones(3, 2)
>>> torch.nn.functional.linear_cross_entropy(x, w, torch.tensor([0]))
tensor(1.0986)
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import REDUCTIONS, reduce_loss
from .class_loss import cross_entropy
from .linear import linear

if TYPE_CHECKING:
    from flambeau import Tensor

    from ..modules.linear_cross_entropy_options import LinearCrossEntropyOptions


class _ChunkedLosses(flambeau.autograd.Function):
    """The loss of each sample; the scores of a chunk are computed again for its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int,
        rows: int,
    ) -> Tensor:
        ctx.save_for_backward(input, linear_weight, linear_bias, target, weight)
        ctx.ignore_index, ctx.rows = ignore_index, rows
        losses = [
            cross_entropy(
                linear(x, linear_weight, linear_bias),
                t,
                weight,
                ignore_index=ignore_index,
                reduction="none",
            )
            for x, t in zip(input.split(rows), target.split(rows))
        ]
        return flambeau.cat(losses)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, linear_weight, linear_bias, target, weight = ctx.saved_tensors
        of_input, of_parameters = [], None
        chunks = zip(*(x.split(ctx.rows) for x in (input, target, grad)))
        for x, t, g in chunks:
            leaves = [
                p.detach().requires_grad_()
                for p in (x, linear_weight, linear_bias)
                if p is not None
            ]
            with flambeau.enable_grad():
                losses = cross_entropy(
                    linear(*leaves), t, weight, ignore_index=ctx.ignore_index, reduction="none"
                )
            first, *others = flambeau.autograd.grad(losses, leaves, g)
            of_input.append(first)
            if of_parameters is None:
                of_parameters = others
            else:
                of_parameters = [a + b for a, b in zip(of_parameters, others)]
        of_weight, *of_bias = of_parameters
        return flambeau.cat(of_input), of_weight, *(of_bias or [None]), None, None, None, None


def _rows_at_once(
    options: LinearCrossEntropyOptions, samples: int, features: int, classes: int, input: Tensor
) -> int:
    """How many samples to take at once."""
    method = options.chunking_method
    if method == "auto":
        if options.batch_chunk_size is not None:
            method = None
        else:
            short = input.dtype in (flambeau.float16, flambeau.bfloat16)
            on_cpu = short and input.device.type == "cpu"
            method = "aspect_ratio" if on_cpu else "aspect_ratio:2"
    given = None if options.batch_chunk_size is None else min(options.batch_chunk_size, samples)
    if method is None:
        return max(1, samples if given is None else given)
    factor = int(method.partition(":")[2] or 1)
    target = -(-samples // -(-classes // features))
    rows = min((1 << (target - 1).bit_length()) // factor, samples)
    if options.batch_chunk_size not in (None, rows):
        raise ValueError(
            f"batch_chunk_size (={options.batch_chunk_size}) and chunking_method ('{method}') "
            f"give different chunk sizes ({options.batch_chunk_size} vs {rows}); pass only one."
        )
    return max(1, rows)


def _in_chunks(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    weight: Tensor | None,
    reduction: str,
    ignore_index: int,
    options: LinearCrossEntropyOptions,
) -> Tensor:
    single = input.dim() == 1
    samples = input.unsqueeze(0) if single else input
    targets = target.reshape(1) if single else target
    rows = _rows_at_once(options, samples.size(0), samples.size(1), linear_weight.size(0), input)
    losses = _ChunkedLosses.apply(
        samples, linear_weight, linear_bias, targets, weight, ignore_index, rows
    )
    if reduction == "mean":
        kept = targets != ignore_index
        return losses.sum() / (kept.sum() if weight is None else weight[targets[kept]].sum())
    return reduce_loss(losses.squeeze(0) if single else losses, reduction)


def _warn_options(
    linear_bias: Tensor | None,
    target: Tensor,
    reduction: str,
    label_smoothing: float,
    out_features: tuple[int, ...],
) -> None:
    bias_shape = None if linear_bias is None else tuple(linear_bias.shape)
    warnings.warn(
        "linear_cross_entropy: ``options`` ignored; chunked path needs reduction in "
        "{'mean','sum','none'}, label_smoothing == 0, target.dtype == int64, out_features == (). "
        f"Got reduction={reduction!r}, label_smoothing={label_smoothing}, "
        f"target.dtype={target.dtype}, out_features={out_features}, tracing=False, "
        f"linear_bias.shape={bias_shape}.",
        stacklevel=3,
    )


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """`cross_entropy` of the scores `linear(input, linear_weight, linear_bias)`.

    With `options` the batch is split, so that the scores never exist for all samples at once.

    >>> x, w = torch.ones(1, 2), torch.ones(3, 2)
    >>> torch.nn.functional.linear_cross_entropy(x, w, torch.tensor([0]))
    tensor(1.0986)
    """
    _check_linear_cross_entropy(input, linear_weight, linear_bias)
    classes, *extra, features = linear_weight.shape
    scores_shape = (*input.shape[:-1], classes, *extra)
    if target.shape == scores_shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    if options is not None:
        if (
            reduction in REDUCTIONS
            and not label_smoothing
            and not extra
            and target.dtype == flambeau.int64
        ):
            return _in_chunks(
                input, linear_weight, target, linear_bias, weight, reduction, ignored, options
            )
        _warn_options(linear_bias, target, reduction, label_smoothing, tuple(extra))
    rows = math.prod(extra, start=classes)
    scores = linear(
        input,
        linear_weight.reshape(rows, features),
        None if linear_bias is None else linear_bias.reshape(rows),
    )
    return cross_entropy(
        scores.reshape(scores_shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=ignored,
        label_smoothing=label_smoothing,
    )


def _check_linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None
) -> None:
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise RuntimeError(
            f"expected linear_bias shape {tuple(linear_weight.shape[:-1])}, got "
            f"{tuple(linear_bias.shape)}"
        )
    if linear_weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {input.shape[-1]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )

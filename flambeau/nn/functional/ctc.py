"""Connectionist temporal classification (Graves et al. 2006). Called by `nn.modules.loss` and by
users.

A target l1 l2 ... is extended by blanks to _ l1 _ l2 _ ...; `alpha[t, s]` is the log-probability of
having read the first s + 1 extended labels in the first t + 1 steps, `beta[t, s]` that of reading
those from s on in the steps from t on. T steps, N samples, C classes, S extended labels.

>>> x = torch.zeros(2, 1, 2).log_softmax(2)
>>> torch.nn.functional.ctc_loss(x, torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1]))
tensor(0.2877)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import REDUCTIONS, in_full_precision, invalid_reduction, not_implemented, reduce_loss

if TYPE_CHECKING:
    from flambeau import Tensor


def _as_list(lengths: Any) -> list[int]:
    return lengths.reshape(-1).tolist() if hasattr(lengths, "tolist") else list(lengths)


def _check_lengths(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: list[int],
    target_lengths: list[int],
    blank: int,
) -> None:
    steps, batch, classes = log_probs.shape
    where = "(while checking arguments for ctc_loss_allocate_outputs)"
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    for name, lengths in (("input", input_lengths), ("target", target_lengths)):
        if len(lengths) != batch:
            raise RuntimeError(f"{name}_lengths must be of size batch_size")
    longest = max(target_lengths, default=0)
    if targets.dim() == 1:
        if targets.numel() != sum(target_lengths):
            raise RuntimeError(
                f"Expected tensor to have size {sum(target_lengths)} at dimension 0, but got size "
                f"{targets.numel()} for argument #2 'targets' {where}"
            )
    elif targets.size(1) < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{targets.size(1)} for argument #2 'targets' {where}"
        )
    for length in input_lengths:
        if length > steps:
            raise RuntimeError(
                f"Expected input_lengths to have value at most {steps}, but got value {length} "
                f"{where}"
            )


def _extended_labels(targets: Tensor, target_lengths: list[int], blank: int) -> Tensor:
    """The labels with blanks between and around them, (N, S); blanks after the end."""
    longest = max(target_lengths, default=0)
    batch = len(target_lengths)
    labels = flambeau.full(
        (batch, 2 * longest + 1), blank, dtype=flambeau.int64, device=targets.device
    )
    start = 0
    for n, length in enumerate(target_lengths):
        if targets.dim() == 1:
            row = targets[start : start + length]
            start += length
        else:
            row = targets[n, :length]
        labels[n, 1 : 2 * length + 1 : 2] = row.long()
    return labels


def _shifted(values: Tensor, places: int) -> Tensor:
    """`values` (N, S) moved right by `places` (left if negative); minus infinity comes in."""
    edge = values.new_full((values.size(0), min(abs(places), values.size(1))), -math.inf)
    if places > 0:
        return flambeau.cat([edge, values[:, : values.size(1) - edge.size(1)]], 1)
    return flambeau.cat([values[:, edge.size(1) :], edge], 1)


def _log_add(parts: Sequence[Tensor]) -> Tensor:
    return flambeau.logsumexp(flambeau.stack(list(parts)), 0)


class _CTC(flambeau.autograd.Function):
    """The loss of each sample. The gradient is that of scores before a log-softmax, as torch has
    it."""

    @staticmethod
    def forward(
        ctx: Any,
        log_probs: Tensor,
        labels: Tensor,
        input_lengths: list[int],
        target_lengths: list[int],
        zero_infinity: bool,
    ) -> Tensor:
        steps, batch, _ = log_probs.shape
        device = log_probs.device
        slots = flambeau.arange(labels.size(1), device=device)
        ends = 2 * flambeau.tensor(target_lengths, dtype=flambeau.int64, device=device).unsqueeze(1)
        # (T, N, S): the log-probability of each extended label; none after the end.
        emitted = log_probs.gather(2, labels.expand(steps, -1, -1))
        emitted = emitted.masked_fill((slots > ends).unsqueeze(0), -math.inf)
        # A step may skip a blank between two labels that differ.
        skip = flambeau.zeros_like(labels, dtype=flambeau.bool)
        skip[:, 2:] = (labels[:, 2:] != labels[:, :-2]) & (slots[2:] % 2 == 1)
        alpha = emitted.new_full((batch, labels.size(1)), -math.inf)
        alpha[:, :2] = emitted[0, :, :2]
        alphas = [alpha]
        lengths = flambeau.tensor(input_lengths, dtype=flambeau.int64, device=device).unsqueeze(1)
        for t in range(1, steps):
            skipped = _shifted(alpha, 2).masked_fill(~skip, -math.inf)
            moved = _log_add([alpha, _shifted(alpha, 1), skipped]) + emitted[t]
            alpha = flambeau.where(t < lengths, moved, alpha)
            alphas.append(alpha)
        at_end = alpha.gather(1, ends).squeeze(1)
        before_end = alpha.gather(1, (ends - 1).clamp(min=0)).squeeze(1)
        before_end = before_end.masked_fill(ends.squeeze(1) == 0, -math.inf)
        losses = -_log_add([at_end, before_end])
        # Without a single step only the empty target can be read.
        empty = (lengths == 0).squeeze(1)
        nothing = flambeau.where(ends.squeeze(1) == 0, 0.0, math.inf).to(losses.dtype)
        losses = flambeau.where(empty, nothing, losses)
        ctx.save_for_backward(
            log_probs, labels, emitted, flambeau.stack(alphas), skip, ends, lengths, losses
        )
        ctx.zero_infinity = zero_infinity
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        result = _CTCBackward.apply(grad, ctx.zero_infinity, *ctx.saved_tensors)
        return result, None, None, None, None


class _CTCBackward(flambeau.autograd.Function):
    """The gradient of the loss by the log-probabilities; as in torch it has none itself."""

    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        zero_infinity: bool,
        log_probs: Tensor,
        labels: Tensor,
        emitted: Tensor,
        alphas: Tensor,
        skip: Tensor,
        ends: Tensor,
        lengths: Tensor,
        losses: Tensor,
    ) -> Tensor:
        steps, batch, classes = log_probs.shape
        slots = flambeau.arange(labels.size(1), device=log_probs.device)
        final = (slots == ends) | ((slots == ends - 1) & (ends > 0))
        start = flambeau.where(final, 0.0, -math.inf).to(log_probs.dtype)
        # `skip` says how a slot is entered: seen from the slot that is left it lies two further.
        left = flambeau.zeros_like(skip)
        left[:, :-2] = skip[:, 2:]
        result = flambeau.zeros_like(log_probs)
        beta = start
        for t in range(steps - 1, -1, -1):
            skipped = _shifted(beta, -2).masked_fill(~left, -math.inf)
            moved = _log_add([beta, _shifted(beta, -1), skipped])
            beta = flambeau.where(t == lengths - 1, start, moved) + emitted[t]
            # The share of all alignments that are at slot s at time t.
            shares = flambeau.exp(alphas[t] + beta - emitted[t] + losses.unsqueeze(1))
            shares = flambeau.where(flambeau.isnan(shares) & (emitted[t] == -math.inf), 0.0, shares)
            used = flambeau.zeros_like(log_probs[t]).scatter_add(1, labels, shares)
            part = (flambeau.exp(log_probs[t]) - used) * grad.unsqueeze(1)
            result[t] = flambeau.where(t < lengths, part, 0.0)
            beta = flambeau.where(t < lengths, beta, start)
        if zero_infinity:
            impossible = (losses == math.inf).reshape(1, batch, 1)
            result = result.masked_fill(impossible, 0.0)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> None:
        raise RuntimeError("derivative for aten::_ctc_loss_backward is not implemented")


@in_full_precision
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of `targets`, summed over all alignments with the steps of
    `log_probs`.

    Args: log_probs (T, N, C) or (T, C) after a log-softmax; targets (N, longest) or all in one row;
    the lengths (N). The mean is over samples, each loss divided by the length of its target.
    `zero_infinity` makes an impossible alignment cost nothing.

    >>> x = torch.zeros(2, 1, 2).log_softmax(2)
    >>> torch.nn.functional.ctc_loss(x, torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1]))
    tensor(0.2877)
    """
    if reduction not in REDUCTIONS:
        raise invalid_reduction(reduction)
    if not log_probs.is_floating_point():
        raise not_implemented("ctc_loss_cpu", log_probs)
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.dim() == 1 else targets
    inputs, lengths = _as_list(input_lengths), _as_list(target_lengths)
    _check_lengths(log_probs, targets, inputs, lengths, blank)
    labels = _extended_labels(targets, lengths, blank).to(log_probs.device)
    losses = _CTC.apply(log_probs, labels, inputs, lengths, zero_infinity)
    if zero_infinity:
        losses = flambeau.where(losses == math.inf, 0.0, losses)
    if reduction == "mean":
        divisors = flambeau.tensor(lengths, dtype=losses.dtype, device=losses.device)
        return (losses / divisors.clamp(min=1)).mean()
    return reduce_loss(losses if batched or reduction == "sum" else losses.squeeze(0), reduction)

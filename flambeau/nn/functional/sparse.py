"""Tables looked up by index: embedding, embedding_bag, one_hot. Called by `nn.modules.sparse` and
by users.

>>> torch.nn.functional.embedding(torch.tensor([1, 0]), torch.tensor([[1.0], [2.0]]))
tensor([[2.],
        [1.]])
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import flambeau

from ._common import scalar_type

if TYPE_CHECKING:
    from flambeau import Tensor


def _check_indices(indices: Tensor, name: str) -> None:
    if indices.dtype not in (flambeau.int64, flambeau.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{scalar_type(indices)}Tensor instead (while checking "
            f"arguments for {name})"
        )


def _renormalise(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows in use, in place, to a norm of at most `max_norm`."""
    table = weight.detach()
    used = indices.reshape(-1).unique()
    rows = table[used]
    norms = flambeau.norm(rows, norm_type, 1, True)
    scale = flambeau.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
    table[used] = rows * scale


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names. Row `padding_idx` gets no gradient.

    `max_norm` first scales the rows in use, in place. `scale_grad_by_freq` divides the gradient of
    a row by how often it is used.

    >>> torch.nn.functional.embedding(torch.tensor([1, 0]), torch.tensor([[1.0], [2.0]]))
    tensor([[2.],
            [1.]])
    """
    if padding_idx is None:
        padding_idx = -1
    else:
        if not -weight.size(0) <= padding_idx < weight.size(0):
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= weight.size(0)
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    if sparse and weight.requires_grad and flambeau.is_grad_enabled():
        raise NotImplementedError("embedding: sparse=True (a sparse gradient)")
    return flambeau.embedding(weight, input, padding_idx, scale_grad_by_freq)


def _check_bags(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    per_sample_weights: Tensor | None,
    mode: str,
) -> None:
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then "
            f"it must have the same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
    elif input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )


def _bag_starts(input: Tensor, offsets: Tensor, include_last_offset: bool) -> Tensor:
    """Where each bag starts, and the end of the last one."""
    if offsets.numel():
        first, last = int(offsets[0]), int(offsets[-1])
        if first != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
                f"from position 0. However, got {first}"
            )
        if last > input.numel():
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {input.numel()} but got "
                f"offsets[-1] of {last}"
            )
    if include_last_offset:
        return offsets
    return flambeau.cat([offsets, offsets.new_full((1,), input.numel())])


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum over bags of rows of `weight`, without entries equal to
    `padding_idx`.

    A 2-D `input` has one bag a row; with a 1-D `input`, `offsets` says where each bag starts.

    >>> table = torch.tensor([[1.0], [2.0], [3.0]])
    >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1], [1, 2]]), table, mode="sum")
    tensor([[3.],
            [5.]])
    """
    if weight.dtype == flambeau.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage "
            "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
            "`embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    _check_bags(input, weight, offsets, per_sample_weights, mode)
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    _check_indices(input, "embedding_bag")
    if sparse and weight.requires_grad and flambeau.is_grad_enabled():
        raise NotImplementedError("embedding_bag: sparse=True (a sparse gradient)")
    if offsets is None:
        rows, length = input.shape
        starts = flambeau.arange(rows + 1, device=input.device) * length
        input = input.reshape(-1)
        per_sample_weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    else:
        _check_indices(offsets, "embedding_bag")
        starts = _bag_starts(input, offsets, include_last_offset)
    _check_range(input, weight.size(0))
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    padding = -1 if padding_idx is None else padding_idx % weight.size(0)
    if padding >= 0 or scale_grad_by_freq:
        entries = flambeau.embedding(weight, input, padding, scale_grad_by_freq)
    else:
        entries = weight.index_select(0, input)
    if per_sample_weights is not None:
        entries = entries * per_sample_weights.unsqueeze(1)
    return _reduce_bags(entries, None if padding < 0 else input != padding, starts, mode)


def _check_range(indices: Tensor, rows: int) -> None:
    wrong = (indices < 0) | (indices >= rows)
    if not wrong.is_meta and bool(wrong.any()):
        place = int(wrong.nonzero()[0])
        raise RuntimeError(
            f"Index {place} of input takes value {int(indices[place])} which is not in the valid "
            f"range [0, {rows})"
        )


def _reduce_bags(rows: Tensor, counted: Tensor | None, starts: Tensor, mode: str) -> Tensor:
    """Reduce the runs of `rows` that begin at `starts`; entries not `counted` are left out (None:
    all are counted).
    """
    if mode == "max":
        return _max_of_bags(rows, counted, starts.tolist())
    lengths = starts.diff()
    bags = lengths.numel()
    total = None if not lengths.is_meta else rows.size(0)  # how long the bags are is in memory
    bag = flambeau.arange(bags, device=rows.device).repeat_interleave(lengths, output_size=total)
    rows = rows[: bag.numel()]
    counts = lengths.to(rows.dtype)
    if counted is not None:
        counted = counted[: bag.numel()]
        rows = rows.masked_fill(~counted.unsqueeze(1), 0)
        counts = rows.new_zeros(bags).index_add(0, bag, counted.to(rows.dtype))
    sums = rows.new_zeros((bags, rows.size(1))).index_add(0, bag, rows)
    return sums if mode == "sum" else sums / counts.clamp(min=1).unsqueeze(1)


def _max_of_bags(rows: Tensor, counted: Tensor | None, starts: list[int]) -> Tensor:
    """The maximum over each bag; zero for an empty one."""
    results = []
    for start, stop in zip(starts, starts[1:]):
        part = rows[start:stop] if counted is None else rows[start:stop][counted[start:stop]]
        results.append(part.max(0)[0] if part.size(0) else rows.new_zeros(rows.size(1)))
    return flambeau.stack(results) if results else rows.new_zeros((0, rows.size(1)))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A 1 at the place that each element names and 0 elsewhere, along a new last dimension.

    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor.dtype != flambeau.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0 or tensor.is_meta:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return tensor.new_zeros((*tensor.shape, num_classes))
    if int(tensor.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(tensor.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif largest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return tensor.new_zeros((*tensor.shape, num_classes)).scatter_(-1, tensor.unsqueeze(-1), 1)

"""Sequences of different lengths in one tensor, padded or packed.

A packed batch holds, time step by time step, only the rows of sequences that are still running;
the sequences must be sorted by length, longest first.

>>> padded = torch.tensor([[1, 2, 3], [4, 0, 0]])
>>> packed = torch.nn.utils.rnn.pack_padded_sequence(padded, [3, 1], batch_first=True)
>>> packed.data, packed.batch_sizes
(tensor([1, 4, 2, 3]), tensor([2, 1, 1]))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import flambeau
from flambeau import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _PackedFields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_PackedFields):
    """What `pack_padded_sequence` and `pack_sequence` return and recurrent layers take.

    `batch_sizes[t]` rows of `data` belong to step t. The indices tell how the batch was sorted.

    >>> torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]).data
    tensor([1, 3, 2])
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. "
                "Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with_data(self, data: Tensor) -> PackedSequence:
        if data is self.data:
            return self
        indices = [i if i is None else i.to(data.device) for i in self[2:]]
        return type(self)(data, self.batch_sizes, *indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert `data` as `Tensor.to` does; the indices follow to its device.

        >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2])])
        >>> packed.to(torch.float32).data
        tensor([1., 2.])
        """
        return self._with_data(self.data.to(*args, **kwargs))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move to a CUDA device."""
        return self._with_data(self.data.cuda(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move to the CPU."""
        return self._with_data(self.data.cpu(*args, **kwargs))

    def double(self) -> PackedSequence:
        """Convert `data` to float64."""
        return self.to(dtype=flambeau.float64)

    def float(self) -> PackedSequence:
        """Convert `data` to float32."""
        return self.to(dtype=flambeau.float32)

    def half(self) -> PackedSequence:
        """Convert `data` to float16."""
        return self.to(dtype=flambeau.float16)

    def long(self) -> PackedSequence:
        """Convert `data` to int64."""
        return self.to(dtype=flambeau.int64)

    def int(self) -> PackedSequence:
        """Convert `data` to int32."""
        return self.to(dtype=flambeau.int32)

    def short(self) -> PackedSequence:
        """Convert `data` to int16."""
        return self.to(dtype=flambeau.int16)

    def char(self) -> PackedSequence:
        """Convert `data` to int8."""
        return self.to(dtype=flambeau.int8)

    def byte(self) -> PackedSequence:
        """Convert `data` to uint8."""
        return self.to(dtype=flambeau.uint8)

    def pin_memory(self) -> PackedSequence:
        """Copy into page-locked memory."""
        indices = [i if i is None else i.pin_memory() for i in self[2:]]
        return type(self)(self.data.pin_memory(), self.batch_sizes, *indices)

    def is_pinned(self) -> bool:
        """Whether `data` lies in page-locked memory."""
        return self.data.is_pinned()

    @property
    def is_cuda(self) -> bool:
        """Whether `data` lies on a CUDA device."""
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`.

    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    positions = flambeau.arange(permutation.numel(), device=permutation.device)
    return flambeau.empty_like(permutation).scatter_(0, permutation, positions)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch: T x B x *, or B x T x * with `batch_first`.

    Without `enforce_sorted` the sequences are sorted here and their order is remembered.

    >>> padded = torch.tensor([[1, 0], [2, 3]])
    >>> packed = torch.nn.utils.rnn.pack_padded_sequence(
    ...     padded, [1, 2], batch_first=True, enforce_sorted=False
    ... )
    >>> packed.data, packed.sorted_indices
    (tensor([2, 1, 3]), tensor([1, 0]))
    """
    if isinstance(lengths, Tensor):
        lengths = lengths.to(dtype=flambeau.int64)
    else:
        lengths = flambeau.as_tensor(lengths, dtype=flambeau.int64, device="cpu")
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = flambeau.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    _check_lengths(lengths)
    steps_first = input.transpose(0, 1) if batch_first else input
    counts = lengths.tolist()
    _check_counts(counts, steps_first.size(1))
    batch_sizes = [sum(count > step for count in counts) for step in range(counts[0])]
    # Steps with the same number of running sequences are one block of rows.
    blocks = []
    start = 0
    for step in range(1, counts[0] + 1):
        if step == counts[0] or batch_sizes[step] != batch_sizes[start]:
            block = steps_first[start:step, : batch_sizes[start]]
            blocks.append(block.reshape(-1, *input.shape[2:]))
            start = step
    sizes = flambeau.tensor(batch_sizes, dtype=flambeau.int64)
    return PackedSequence(flambeau.cat(blocks), sizes, sorted_indices, None)


def _check_lengths(lengths: Tensor) -> None:
    if lengths.dim() != 1 or lengths.device.type != "cpu" or lengths.dtype != flambeau.int64:
        kind = "Long" if lengths.dtype == flambeau.int64 else str(lengths.dtype)
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, "
            f"but got {lengths.dim()}D {lengths.device} {kind} tensor"
        )


def _check_counts(counts: list[int], batch_size: int) -> None:
    if len(counts) != batch_size:
        raise RuntimeError(
            "Expected `len(lengths)` to be equal to batch_size, "
            f"but got {len(counts)} (batch_size={batch_size})"
        )
    if counts[-1] <= 0 or min(counts) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element "
            "in 'lengths' that is <= 0"
        )
    if any(first < second for first, second in zip(counts, counts[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence "
            "to sidestep this requirement if you do not need ONNX exportability."
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: the padded batch, in its first order, and the lengths.

    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    _check_lengths(sequence.batch_sizes)
    batch_sizes = sequence.batch_sizes.tolist()
    steps = len(batch_sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length "
                "of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    lengths = [sum(size > i for size in batch_sizes) for i in range(batch_sizes[0])]
    data = sequence.data
    output = data.new_full((steps, batch_sizes[0], *data.shape[1:]), padding_value)
    row = start = 0
    for step in range(1, len(batch_sizes) + 1):
        if step == len(batch_sizes) or batch_sizes[step] != batch_sizes[start]:
            size = batch_sizes[start]
            count = (step - start) * size
            block = data[row : row + count].view(step - start, size, *data.shape[1:])
            output[start:step, :size] = block
            row, start = row + count, step
    if batch_first:
        output = output.transpose(0, 1)
    length_tensor = flambeau.tensor(lengths, dtype=flambeau.int64)
    order = sequence.unsorted_indices
    if order is None:
        return output, length_tensor
    return output.index_select(0 if batch_first else 1, order), length_tensor[order.cpu()]


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences along a new batch dimension, filled up to the longest.

    >>> torch.nn.utils.rnn.pad_sequence(
    ...     [torch.tensor([1, 2]), torch.tensor([3])], batch_first=True
    ... )
    tensor([[1, 2],
            [3, 0]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(sequence).__name__}"
            )
    longest = max(sequence.size(0) for sequence in sequences)
    shape = (len(sequences), longest, *sequences[0].shape[1:])
    output = sequences[0].new_full(shape, padding_value)
    for i, sequence in enumerate(sequences):
        length = sequence.size(0)
        start = longest - length if padding_side == "left" else 0
        output[i, start : start + length] = sequence
    return output if batch_first else output.transpose(0, 1).contiguous()


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Undo `pad_sequence`.

    >>> torch.nn.utils.rnn.unpad_sequence(torch.tensor([[1, 3], [2, 0]]), torch.tensor([2, 1]))
    [tensor([1, 2]), tensor([3])]
    """
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    positions = flambeau.arange(batch.shape[1], device=lengths.device)
    return [sequence[positions < length] for sequence, length in zip(batch, lengths)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences.

    >>> torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]).batch_sizes
    tensor([2, 1])
    """
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo `pack_sequence`.

    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> torch.nn.utils.rnn.unpack_sequence(packed)
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)

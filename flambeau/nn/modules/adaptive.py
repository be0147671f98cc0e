"""`AdaptiveLogSoftmaxWithLoss`: a softmax over many classes whose rare ones are grouped (Grave et
al. 2016).

>>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6])
>>> layer.log_prob(torch.zeros(2, 4)).shape
torch.Size([2, 10])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import flambeau

from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log-probability of the target class, and the mean loss.

    Classes are sorted by frequency. The head scores those below `cutoffs[0]` and one entry for each
    further group; group i of the tail scores its own classes on `in_features / div_value ** i`
    features.

    Args:
        in_features, n_classes: features of the input and number of classes.
        cutoffs: where the groups of classes start.
        div_value: by how much each group has fewer features than the one before.
        head_bias: whether the head has a bias.

    Shape: input (N, in_features) or (in_features), target (N) or () -> output of the shape of the
    target.

    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6])
    >>> layer(torch.zeros(2, 4), torch.tensor([0, 9])).output.shape
    torch.Size([2])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(set(cutoffs))
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            outputs = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **options),
                    Linear(hidden, outputs, bias=False, **options),
                )
            )

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.head.reset_parameters()
        for to_hidden, to_output in self.tail:
            to_hidden.reset_parameters()
            to_output.reset_parameters()

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input.dim() != target.dim() + 1:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but "
                f"found inputs with size {input.size()}"
            )

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        self._check(input_, target_)
        batched = target_.dim() > 0
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        if target.numel() and not bool(((target >= 0) & (target < self.n_classes)).all()):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        # The entry of the head: the class itself, or the group it belongs to.
        entries = target.clone()
        output = input.new_zeros(target.size(0))
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            scores = self.tail[i](input.index_select(0, rows))
            within = (target.index_select(0, rows) - low).unsqueeze(1)
            log_probabilities = F.log_softmax(scores, dim=1).gather(1, within).squeeze(1)
            output = output.index_copy(0, rows, log_probabilities)
            entries.index_fill_(0, rows, self.shortlist_size + i)
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, entries.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        """The log-probabilities of all classes, given the scores of the head."""
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, group in enumerate(self.tail):
            entry = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(group(input), dim=1) + entry)
        return flambeau.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, (N, n_classes).

        >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])
        >>> layer.log_prob(torch.zeros(2, 4)).exp().sum(1)
        tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)
        """
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row; groups are only looked into where they win.

        >>> torch.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3]).predict(torch.zeros(2, 4)).shape
        torch.Size([2])
        """
        scores = self.head(input)
        output = flambeau.argmax(scores, dim=1)
        rows = (output >= self.shortlist_size).nonzero().squeeze(1)
        if rows.numel() == 0:
            return output
        full = self._get_full_log_prob(input.index_select(0, rows), scores.index_select(0, rows))
        return output.index_copy(0, rows, flambeau.argmax(full, dim=1))

"""Fetches the samples of one batch from a dataset and joins them.

Used by the DataLoader in its own process and by each of its workers.

>>> fetcher = _MapDatasetFetcher([10, 20, 30], True, torch.utils.data.default_collate, False)
>>> fetcher.fetch([2, 0])
tensor([30, 10])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.utils.data._utils.collate import default_collate
from flambeau.utils.data.dataset import Subset, TensorDataset


class _DatasetFetcher:
    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def fetch(self, index: Any) -> Any:
        """The batch, or the single sample, at `index`."""
        raise NotImplementedError


class _IterableDatasetFetcher(_DatasetFetcher):
    """Takes as many samples from the stream as there are indices."""

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        super().__init__(dataset, auto_collation, collate_fn, drop_last)
        self.dataset_iter = iter(dataset)
        self.ended = False

    def fetch(self, index: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.dataset_iter))
        samples = []
        for _ in index:
            try:
                samples.append(next(self.dataset_iter))
            except StopIteration:
                self.ended = True
                break
        if len(samples) == 0 or (self.drop_last and len(samples) < len(index)):
            raise StopIteration
        return self.collate_fn(samples)


class _MapDatasetFetcher(_DatasetFetcher):
    """Asks the dataset for each index, or for all of them if it has `__getitems__`."""

    def fetch(self, index: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate:
            batch = _rows_of_tensors(self.dataset, index)
            if batch is not None:
                return batch
        if getattr(self.dataset, "__getitems__", None):
            return self.collate_fn(self.dataset.__getitems__(index))
        return self.collate_fn([self.dataset[i] for i in index])


def _rows_of_tensors(dataset: Any, indices: list[int]) -> list[flambeau.Tensor] | None:
    """The batch of a plain TensorDataset (or of a subset of one) by one indexing per tensor.

    It equals stacking the rows one by one, which costs a hundred times as much. None for other
    datasets, and where gradients flow, whose graph would differ.
    """
    while type(dataset) is Subset:
        indices = [dataset.indices[i] for i in indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or any(t.requires_grad for t in dataset.tensors):
        return None
    rows = flambeau.tensor(indices)
    return [t[rows] for t in dataset.tensors]

"""Reading data: datasets, samplers, and the DataLoader that makes batches of them.

>>> data = torch.utils.data.TensorDataset(torch.arange(5))
>>> for (batch,) in torch.utils.data.DataLoader(data, batch_size=2):
...     print(batch)
tensor([0, 1])
tensor([2, 3])
tensor([4])
"""

from flambeau.utils.data.dataloader import DataLoader as DataLoader
from flambeau.utils.data.dataloader import _DatasetKind as _DatasetKind
from flambeau.utils.data.dataloader import default_collate as default_collate
from flambeau.utils.data.dataloader import default_convert as default_convert
from flambeau.utils.data.dataloader import get_worker_info as get_worker_info
from flambeau.utils.data.dataset import ChainDataset as ChainDataset
from flambeau.utils.data.dataset import ConcatDataset as ConcatDataset
from flambeau.utils.data.dataset import Dataset as Dataset
from flambeau.utils.data.dataset import IterableDataset as IterableDataset
from flambeau.utils.data.dataset import StackDataset as StackDataset
from flambeau.utils.data.dataset import Subset as Subset
from flambeau.utils.data.dataset import TensorDataset as TensorDataset
from flambeau.utils.data.dataset import random_split as random_split
from flambeau.utils.data.distributed import DistributedSampler as DistributedSampler
from flambeau.utils.data.sampler import BatchSampler as BatchSampler
from flambeau.utils.data.sampler import RandomSampler as RandomSampler
from flambeau.utils.data.sampler import Sampler as Sampler
from flambeau.utils.data.sampler import SequentialSampler as SequentialSampler
from flambeau.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from flambeau.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "_DatasetKind",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]

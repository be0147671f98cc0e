import torch, random, numpy as np
from torch.utils.data import *
from torch.utils.data import Dataset, DataLoader, Sampler, IterableDataset, get_worker_info

torch.manual_seed(0)


class Sq(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return {
            "x": torch.tensor([i, i * i]),
            "name": f"n{i}",
            "v": float(i),
            "arr": np.array([i]),
            "t": (i, [i]),
        }


for b in DataLoader(Sq(), batch_size=4):
    print(b)


def collate(batch):
    return torch.stack([b["x"] for b in batch]).sum(0), [b["name"] for b in batch]


for b in DataLoader(Sq(), 4, shuffle=True, collate_fn=collate, drop_last=True):
    print(b)


class Even(Sampler):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(0, self.n, 2))

    def __len__(self):
        return self.n // 2


print([b["name"] for b in DataLoader(Sq(), sampler=Even(10), batch_size=2)])


class It(IterableDataset):
    def __iter__(self):
        w = get_worker_info()
        k, n = (0, 1) if w is None else (w.id, w.num_workers)
        return iter(range(k, 8, n))


print(
    [b.tolist() for b in DataLoader(It(), batch_size=3)],
    [b.tolist() for b in DataLoader(It(), batch_size=2, num_workers=2)],
)
print([b["v"].tolist() for b in DataLoader(Sq(), 5, num_workers=2, shuffle=True)])
a, b = random_split(Sq(), [7, 3], generator=torch.Generator().manual_seed(42))
print(a.indices, len(b))
print([len(s) for s in random_split(range(11), [0.5, 0.3, 0.2])])
print(
    len(ConcatDataset([a, b])),
    Subset(range(10), [1, 3])[1],
    list(WeightedRandomSampler([0.1, 0.9], 6)),
    list(BatchSampler(SequentialSampler(range(7)), 3, False)),
    list(RandomSampler(range(5))),
    list(SubsetRandomSampler([3, 5, 7])),
)
print(
    default_collate([torch.ones(2), torch.zeros(2)]),
    default_collate([1, 2]),
    default_collate([{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]),
)
g = torch.Generator().manual_seed(0)


def seed_worker(worker_id):
    s = torch.initial_seed() % 2**32
    np.random.seed(s)
    random.seed(s)


dl = DataLoader(
    TensorDataset(torch.arange(6), torch.arange(6) * 2),
    batch_size=2,
    shuffle=True,
    generator=g,
    worker_init_fn=seed_worker,
    num_workers=1,
    persistent_workers=True,
)
for ep in range(2):
    print([x.tolist() for x, y in dl])
print(len(dl), dl.batch_size, dl.dataset.tensors[0].shape, next(iter(dl)))
it = iter(DataLoader(range(4)))
print(next(it), len(it))
try:
    DataLoader(Sq(), batch_size=0)
except ValueError as e:
    print(e)
ch = ChainDataset([It(), It()])
print(list(ch))
st = StackDataset(range(3), range(3, 6))
print(st[1])
print(TensorDataset(torch.ones(2))[0])
from torch.utils.data.distributed import DistributedSampler

print(list(DistributedSampler(range(10), num_replicas=3, rank=1, shuffle=True)))

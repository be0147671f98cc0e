"""Datasets, samplers and DataLoaders: how single samples become shuffled batches.

Run it with `flambeau run examples/dataset_and_dataloader.py`.
"""

import torch
from torch import nn
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)


class Sentences(Dataset):
    """Sequences of different length: word numbers and a label. Samples are made when asked for."""

    def __init__(self, count, transform=None):
        self.count = count
        self.transform = transform

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        words = torch.arange(1, 2 + index % 4) * (index + 1)
        if self.transform is not None:
            words = self.transform(words)
        return {"words": words, "label": index % 2, "name": f"s{index}"}


def pad(batch):
    """A collate function: fill up to the longest sequence and remember the lengths."""
    words = [sample["words"] for sample in batch]
    return {
        "words": nn.utils.rnn.pad_sequence(words, batch_first=True),
        "lengths": torch.tensor([len(w) for w in words]),
        "label": torch.tensor([sample["label"] for sample in batch]),
    }


class Countdown(IterableDataset):
    """A stream: no length and no index, only the next sample."""

    def __init__(self, start):
        self.start = start

    def __iter__(self):
        return iter(range(self.start, 0, -1))


def mapping_style():
    data = Sentences(7)
    print(len(data), data[2])
    torch.manual_seed(4)
    for batch in DataLoader(data, batch_size=3, shuffle=True, collate_fn=pad):
        print(batch["words"].tolist(), batch["lengths"], batch["label"])
    # Without a collate function of one's own, equal shapes are stacked and names kept as a list.
    short = Sentences(6, transform=lambda words: words[:1].float())
    for batch in DataLoader(short, batch_size=4):
        print(batch)


def order():
    """The order follows from the seed; each epoch has its own."""
    data = TensorDataset(torch.arange(8), torch.arange(8) ** 2)
    print(data[3], data[:2])
    generator = torch.Generator().manual_seed(21)
    loader = DataLoader(data, batch_size=3, shuffle=True, drop_last=True, generator=generator)
    print("batches:", len(loader), type(loader.sampler).__name__)
    for epoch in range(2):
        print(f"epoch {epoch}:", [x.tolist() for x, _ in loader])
    print(list(SequentialSampler(data)))
    weights = [0.0, 1, 0, 1, 0, 2, 0, 0]
    print(list(WeightedRandomSampler(weights, 6, generator=generator)))
    print([b.tolist() for b in DataLoader(torch.arange(5), batch_sampler=[[4, 0], [1], [2, 3]])])


def pieces():
    """Datasets can be cut and joined."""
    data = TensorDataset(torch.linspace(0, 1, 10))
    train, held_out = random_split(data, [0.7, 0.3], generator=torch.Generator().manual_seed(0))
    print(len(train), len(held_out), held_out.indices)
    joined = ConcatDataset([Subset(data, [9, 8]), held_out])
    print(len(joined), joined.cumulative_sizes, joined[0], joined[-1])


def streams():
    print([batch.tolist() for batch in DataLoader(Countdown(5), batch_size=2)])
    print(list(DataLoader(Countdown(3), batch_size=None)))
    try:
        len(DataLoader(Countdown(3)))
    except TypeError as error:
        print("TypeError:", str(error).splitlines()[0])
    try:
        DataLoader(Countdown(3), shuffle=True)
    except ValueError as error:
        print("ValueError:", str(error).splitlines()[0])


def training():
    """What it is all for."""
    torch.manual_seed(0)
    x = torch.rand(96, 3)
    y = (x @ torch.tensor([[2.0], [-1.0], [0.5]])) + 0.1
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for epoch in range(5):
        total = 0.0
        for inputs, targets in loader:
            loss = nn.functional.mse_loss(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        print(f"epoch {epoch}  mean loss {total / len(x):.4f}")
    print(model.weight.data, model.bias.data)


def main():
    for part in (mapping_style, order, pieces, streams, training):
        print(f"-- {part.__name__}")
        part()


if __name__ == "__main__":
    main()

"""The same numbers every time: seeds, generators, saved states, and what uses the random stream.

Run it with `flambeau run examples/reproducibility.py`.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader


def global_seed():
    """One seed fixes every draw that follows, in order."""
    torch.manual_seed(2024)
    first = torch.rand(3), torch.randn(2, 2), torch.randint(0, 100, (5,)), torch.randperm(6)
    torch.manual_seed(2024)
    second = torch.rand(3), torch.randn(2, 2), torch.randint(0, 100, (5,)), torch.randperm(6)
    for draw in first:
        print(draw)
    print("repeated:", all(torch.equal(a, b) for a, b in zip(first, second)))
    print("seed:", torch.initial_seed())


def distributions():
    """What one can draw, filled in place or made new."""
    torch.manual_seed(5)
    print(torch.empty(4).uniform_(-1, 1))
    print(torch.empty(4).normal_(10, 2))
    print(torch.normal(torch.tensor([0.0, 50.0]), torch.tensor([1.0, 0.5])))
    print(torch.randn(20).mean(), torch.randn(20).std())  # from 16 numbers on: drawn in pairs
    print(torch.bernoulli(torch.tensor([0.1, 0.5, 0.9])))
    print(torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 5, replacement=True))
    print(torch.rand(2, dtype=torch.float64), torch.randint(-5, 5, (4,), dtype=torch.int8))


def generators():
    """A generator of one's own leaves the global stream alone."""
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    own = torch.Generator().manual_seed(99)
    print(torch.rand(2, generator=own), torch.randperm(4, generator=own))
    print("global stream undisturbed:", torch.equal(torch.rand(2), expected))
    print(own.initial_seed(), own.device)


def states():
    """A state is a tensor of bytes: save it, go on, come back."""
    torch.manual_seed(1)
    torch.rand(10)
    state = torch.get_rng_state()
    print(state.dtype, state.shape)
    a = torch.randn(3)
    torch.set_rng_state(state)
    b = torch.randn(3)
    with torch.random.fork_rng():  # what happens in here does not count
        torch.manual_seed(77)
        torch.rand(1000)
    c, torch_state_moved = torch.randn(3), not torch.equal(state, torch.get_rng_state())
    print(a, torch.equal(a, b), torch.equal(b, c), torch_state_moved)


def initialisation():
    """Parameters come from the same stream, layer after layer."""
    torch.manual_seed(3)
    layer = nn.Linear(3, 2)
    embedding = nn.Embedding(4, 2)
    convolution = nn.Conv2d(1, 2, 2)
    print(layer.weight, layer.bias)
    print(embedding.weight.data)
    print(convolution.weight.flatten().data)
    print(nn.init.xavier_uniform_(torch.empty(2, 3)))
    print(nn.init.orthogonal_(torch.empty(2, 2)).abs().round(decimals=3))
    print(nn.init.trunc_normal_(torch.empty(4), std=0.02))


def training_run(seed):
    """A whole training run: data, order of the batches, weights."""
    torch.manual_seed(seed)
    x = torch.randn(40, 4)
    y = x @ torch.tensor([1.0, -2.0, 0.5, 3.0]) + 0.1 * torch.randn(40)
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(list(zip(x, y)), batch_size=8, shuffle=True, generator=order)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    for _ in range(3):
        for batch, target in loader:
            loss = (model(batch).squeeze(1) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.weight.detach().clone()


def main():
    for part in (global_seed, distributions, generators, states, initialisation):
        print(f"-- {part.__name__}")
        part()
    print("-- two runs")
    one, two, other = training_run(8), training_run(8), training_run(9)
    print(one)
    print("same seed, same bits:", torch.equal(one, two), " other seed:", torch.equal(one, other))


if __name__ == "__main__":
    main()

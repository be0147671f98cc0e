"""Indexing, views and copies: which results share memory with their source, and which do not.

Run it with `flambeau run examples/indexing_and_views.py`.
"""

import torch


def shares(a, b):
    """Whether two tensors look into the same storage."""
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def describe(name, tensor, source):
    print(
        f"{name:24s} shape {tuple(tensor.shape)!s:12s} stride {tensor.stride()!s:14s} "
        f"offset {tensor.storage_offset():2d}  view: {shares(tensor, source)}"
    )


def views(x):
    """The same memory, described by other sizes, strides and offsets."""
    describe("x", x, x)
    describe("x[1]", x[1], x)
    describe("x[:, 1:3]", x[:, 1:3], x)
    describe("x[::2, ::3]", x[::2, ::3], x)
    describe("x[..., None]", x[..., None], x)
    describe("x.t()", x.t(), x)
    describe("x.view(2, 12)", x.view(2, 12), x)
    describe("x.view(2, 2, 6).mT", x.view(2, 2, 6).mT, x)
    describe("x.reshape(-1)", x.reshape(-1), x)
    describe("x.t().reshape(-1)", x.t().reshape(-1), x)  # no stride can say this: a copy
    describe("x.diagonal()", x.diagonal(), x)
    describe("x.unfold(1, 3, 2)", x.unfold(1, 3, 2), x)
    describe("x[0].expand(3, 6)", x[0].expand(3, 6), x)
    describe("x.as_strided((3,), (7,))", x.as_strided((3,), (7,)), x)
    describe("x.unflatten(1, (2, 3))", x.unflatten(1, (2, 3)), x)
    print([tuple(part.shape) for part in x.split([1, 3])], [len(c) for c in x.chunk(3, dim=1)])


def advanced(x):
    """Lists, integer tensors and masks pick elements: always a copy."""
    rows = torch.tensor([0, 2, 2])
    describe("x[rows]", x[rows], x)
    print(x[rows, [1, 0, 5]])
    print(x[rows[:, None], torch.tensor([0, 5])])
    print(x[:, [True, False, False, True, False, True]])
    print(x[x % 7 == 0])
    print(x[x[:, 0] > 6, -2:])
    print(torch.nonzero(x > 20), torch.where(x[0] > 2, x[0], -1))
    print(x.gather(1, torch.tensor([[0, 1], [2, 3], [4, 5], [0, 0]])))
    print(x.take(torch.tensor([0, 8, -1])), x.index_select(1, torch.tensor([5, 0]))[0])


def assignment():
    """Every form of index may stand on the left as well."""
    x = torch.zeros(4, 6, dtype=torch.long)
    x[1] = torch.arange(6)
    x[:, 0] = -1
    x[2:, 2:4] = torch.tensor([[5], [6]])
    x[[0, 3], [5, 5]] = torch.tensor([70, 80])
    x[x == 0] = 9
    x[..., -2] += 100
    print(x)
    x.t()[0].fill_(0)  # through a view
    x[0, :3], x[3, :3] = x[3, :3].clone(), x[0, :3].clone()
    print(x)
    counts = torch.zeros(5, dtype=torch.long)
    labels = torch.tensor([0, 3, 3, 1, 3])
    counts.index_add_(0, labels, torch.ones_like(labels))
    print(counts, torch.zeros(3, 5).scatter_(1, labels[:3, None], 1.0))


def gradients():
    """Gradients flow through indices and views back to the places that were read."""
    x = torch.arange(1.0, 7.0).view(2, 3).requires_grad_()
    y = x[:, 1:] * 10 + x[[0, 0], 0].sum()
    print(y)
    y.sum().backward()
    print(x.grad)
    z = x.detach().clone().requires_grad_()
    w = z * 1
    w[0].mul_(3)  # in-place on a view rewrites the graph of its base
    print(w)
    w.sum().backward()
    print(z.grad)


def errors(x):
    """What goes wrong says why."""
    attempts = {
        "x[4]": lambda: x[4],
        "x[0, 0, 0]": lambda: x[0, 0, 0],
        "x.view(5, 5)": lambda: x.view(5, 5),
        "x[[1, 2], [0, 1, 2]]": lambda: x[[1, 2], [0, 1, 2]],
        "x[torch.tensor([True])]": lambda: x[torch.tensor([True])],
        "x.select(2, 0)": lambda: x.select(2, 0),
        "x.expand(3, 4, 7)": lambda: x.expand(3, 4, 7),
    }
    for text, attempt in attempts.items():
        try:
            attempt()
        except (IndexError, RuntimeError) as error:
            print(f"{text}: {type(error).__name__}: {str(error).splitlines()[0]}")


def main():
    x = torch.arange(24).view(4, 6)
    print(x)
    views(x)
    advanced(x)
    assignment()
    gradients()
    errors(x)


if __name__ == "__main__":
    main()

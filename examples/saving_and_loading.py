"""Checkpoints: what a state_dict holds, saving, loading, resuming, and what can go wrong.

Run it with `flambeau run examples/saving_and_loading.py`.
"""

import io
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn


def make_model():
    return nn.Sequential(
        OrderedDict(
            [
                ("embed", nn.Linear(4, 8)),
                ("norm", nn.BatchNorm1d(8)),
                ("act", nn.ReLU()),
                ("head", nn.Linear(8, 2, bias=False)),
            ]
        )
    )


def make_data():
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(32, 4, generator=generator)
    return x, (x.sum(1) > 0).long()


def train(model, optimizer, x, y, steps):
    """Losses of so many steps."""
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 4))
    return losses


def show_state(title, state):
    print(title)
    for key, value in state.items():
        print(f"  {key:26s} {tuple(value.shape)!s:8s} {value.dtype}")


def tensors_and_plain_data(folder):
    """Any nesting of tensors, numbers, texts, lists and dictionaries can be saved."""
    base = torch.arange(10.0)
    data = {
        "view": base[2:5],
        "base": base,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "names": ["a", ("b", None)],
        "options": {"lr": 0.1, "flag": True},
        "shape": torch.Size([2, 3]),
        "parameter": nn.Parameter(torch.zeros(2)),
    }
    path = folder / "data.pt"
    torch.save(data, path)
    loaded = torch.load(path)
    print(loaded["view"], loaded["half"], loaded["names"], loaded["options"], loaded["shape"])
    print(loaded["parameter"])
    loaded["base"][2] = -1  # the view and its base still share their memory
    print(loaded["view"])
    with zipfile.ZipFile(path) as archive:
        members = sorted(name for name in archive.namelist() if "/data/" in name)
        print(members, [archive.getinfo(name).file_size for name in members])


def checkpoints(folder):
    """Training is interrupted, and goes on as if nothing had happened."""
    torch.manual_seed(0)
    x, y = make_data()
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    print("losses", train(model, optimizer, x, y, 5))
    show_state("model:", model.state_dict())
    state = optimizer.state_dict()
    print("optimizer:", list(state), state["param_groups"][0]["lr"], list(state["state"][0]))

    # A checkpoint: all that is needed to go on exactly where one was.
    path = folder / "checkpoint.pt"
    torch.save({"step": 5, "model": model.state_dict(), "optimizer": state}, path)
    expected = train(model, optimizer, x, y, 3)

    resumed = make_model()  # other random weights, until the checkpoint is loaded
    resumed_optimizer = torch.optim.Adam(resumed.parameters(), lr=1.0)
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    print(sorted(checkpoint), checkpoint["step"])
    print(resumed.load_state_dict(checkpoint["model"]))
    resumed_optimizer.load_state_dict(checkpoint["optimizer"])
    print("resumed exactly:", train(resumed, resumed_optimizer, x, y, 3) == expected, expected)

    # Through memory instead of a file.
    buffer = io.BytesIO()
    torch.save(model.head.weight, buffer)
    buffer.seek(0)
    print("bits kept:", torch.equal(torch.load(buffer), model.head.weight))

    # A part of the parameters, by name, and what does not fit.
    partial = {k: v for k, v in model.state_dict().items() if k.startswith("embed")}
    result = make_model().load_state_dict({**partial, "extra": torch.zeros(1)}, strict=False)
    print("missing:", result.missing_keys)
    print("unexpected:", result.unexpected_keys)
    broken = dict(model.state_dict(), **{"head.weight": torch.zeros(3, 8)})
    del broken["embed.bias"]
    try:
        make_model().load_state_dict(broken)
    except RuntimeError as error:
        print(error)
    try:
        torch.load(folder / "missing.pt")
    except FileNotFoundError as error:
        print("FileNotFoundError:", error.strerror)


def main():
    with tempfile.TemporaryDirectory() as name:
        tensors_and_plain_data(Path(name))
        checkpoints(Path(name))


if __name__ == "__main__":
    main()

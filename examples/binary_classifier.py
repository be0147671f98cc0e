"""A small network that separates two rings, with the measures one reports for a classifier.

Run it with `flambeau run examples/binary_classifier.py`.
"""

import math

import torch
from torch import nn


def make_rings(count, generator):
    """Half of the points near the unit circle (class 0), half near radius 2 (class 1)."""
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    label = (torch.arange(count) % 2).float()
    radius = 1 + label + 0.35 * torch.randn(count, generator=generator)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return points, label.unsqueeze(1)


class RingClassifier(nn.Module):
    """Two hidden layers and one output: the logit of class 1."""

    def __init__(self, hidden=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, x):
        return self.layers(x)

    def extra_repr(self):
        return f"parameters={sum(p.numel() for p in self.parameters())}"


def confusion(predicted, actual):
    """Counts as a 2 x 2 tensor: row = actual class, column = predicted class."""
    cell = 2 * actual.long() + predicted.long()
    return torch.bincount(cell.flatten(), minlength=4).reshape(2, 2)


def report(model, x, y, name):
    """Print loss, accuracy, precision and recall."""
    model.eval()
    with torch.inference_mode():
        logits = model(x)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y)
        table = confusion(logits > 0, y)
    true_negative, false_positive, false_negative, true_positive = table.flatten().tolist()
    accuracy = (true_positive + true_negative) / len(x)
    precision = true_positive / (true_positive + false_positive)
    recall = true_positive / (true_positive + false_negative)
    print(
        f"{name:5s} loss {loss:.4f} accuracy {accuracy:.3f} "
        f"precision {precision:.3f} recall {recall:.3f}"
    )
    print(table)
    return accuracy


def main():
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(42)  # the data has a random stream of its own
    x_train, y_train = make_rings(400, generator)
    x_test, y_test = make_rings(200, generator)
    print(x_train.size(), y_train.size(), "class balance", y_train.mean().item())
    print(x_train.min(dim=0))
    print(x_train.max(dim=0).values)

    model = RingClassifier()
    print(model)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    print(criterion, "\n" + repr(optimizer))

    for epoch in range(60):
        model.train()
        loss = criterion(model(x_train), y_train)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if epoch % 10 == 0:
            norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
            print(f"epoch {epoch:2d}  loss {loss.item():.4f}  gradient norm {norm.item():.4f}")

    report(model, x_train, y_train, "train")
    accuracy = report(model, x_test, y_test, "test")
    print("separated:", accuracy > 0.9)

    # Where a point lies decides: inside the inner ring, between the rings, outside.
    probes = torch.tensor([[0.0, 1.0], [0.0, 1.5], [1.4, 1.4]])
    with torch.no_grad():
        print(torch.sigmoid(model(probes)).round(decimals=2).flatten().tolist()[::2])


if __name__ == "__main__":
    main()

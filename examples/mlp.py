"""A multilayer perceptron written as a Module of one's own, trained on three spiral arms.

Run it with `flambeau run examples/mlp.py`.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def make_spirals(per_class=100, classes=3):
    """Points on `classes` arms that wind around the origin, with a little noise."""
    radius = torch.linspace(0.05, 1, per_class)
    points, labels = [], []
    for c in range(classes):
        angle = 2 * math.pi * c / classes + 3.5 * radius + 0.12 * torch.randn(per_class)
        points.append(torch.stack((radius * torch.sin(angle), radius * torch.cos(angle)), 1))
        labels.append(torch.full((per_class,), c))
    return torch.cat(points), torch.cat(labels)


class MLP(nn.Module):
    """Linear layers with GELU between them; the sizes say how many and how wide."""

    def __init__(self, sizes):
        super().__init__()
        self.hidden = nn.ModuleList(
            nn.Linear(before, after) for before, after in zip(sizes[:-2], sizes[1:-1])
        )
        self.head = nn.Linear(sizes[-2], sizes[-1])
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.apply(self.init_weights)

    @staticmethod
    def init_weights(module):
        """Called by `apply` for every submodule: He initialisation, no bias to begin with."""
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x, targets=None):
        if self.training:
            self.seen += len(x)  # a buffer: saved with the model, never trained
        for layer in self.hidden:
            x = F.gelu(layer(x))  # (B, width)
        logits = self.head(x)  # (B, classes)
        loss = None if targets is None else F.cross_entropy(logits, targets, label_smoothing=0.05)
        return logits, loss


def parameter_groups(model, weight_decay):
    """Matrices decay, biases do not."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def main():
    torch.manual_seed(3)
    x, y = make_spirals()
    print(x.shape, y.shape, y.dtype, torch.bincount(y))

    model = MLP([2, 32, 32, 3])
    print(model)
    for name, tensor in model.state_dict().items():
        print(f"{name:16s} {tuple(tensor.shape)!s:9s} {tensor.dtype}")
    total = sum(p.numel() for p in model.parameters())
    print("parameters:", total, "first weights:", model.hidden[0].weight[0])

    epochs = 80
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), lr=0.02)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        logits, loss = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.3)
        optimizer.step()
        scheduler.step()
        if epoch % 10 == 0 or epoch == epochs - 1:
            accuracy = (logits.argmax(dim=1) == y).float().mean().item()
            rate = scheduler.get_last_lr()[0]
            print(
                f"epoch {epoch:2d}  lr {rate:.4f}  loss {loss.item():.3f}  "
                f"accuracy {accuracy:.2f}  clipped {bool(norm > 0.3)}"
            )

    model.eval()
    with torch.no_grad():
        logits, _ = model(x)
        probabilities = logits.softmax(dim=-1)
    confidence, predicted = probabilities.max(dim=-1)
    print("accuracy above 95 %:", bool((predicted == y).float().mean() > 0.95))
    print("mean confidence above 0.8:", bool(confidence.mean() > 0.8))
    print("rows sum to one:", torch.allclose(probabilities.sum(-1), torch.ones(len(x))))
    print("samples seen in training:", model.seen)


if __name__ == "__main__":
    main()

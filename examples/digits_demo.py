"""The demo: learn to read handwritten digits, and show how well it went.

Run it with `flambeau run examples/digits_demo.py --output build/demo`.

Trains a small convolutional network on the 1797 images that scikit-learn bundles, keeps a fifth of
them out of the training, writes a checkpoint and a picture, and checks that a fresh model loaded
from the checkpoint answers the same.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split


class DigitReader(nn.Module):
    """Two normalised convolutions, a pooling, and two linear layers behind a dropout."""

    def __init__(self, channels=16, hidden=64, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(2 * channels)
        self.dropout = nn.Dropout(0.4)
        self.fc1 = nn.Linear(2 * channels * 4 * 4, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):  # (B, 1, 8, 8)
        x = F.relu(self.norm1(self.conv1(x)))  # (B, C, 8, 8)
        x = F.relu(self.norm2(self.conv2(x)))  # (B, 2C, 8, 8)
        x = F.max_pool2d(x, 2)  # (B, 2C, 4, 4)
        x = F.relu(self.fc1(self.dropout(x.flatten(1))))  # (B, hidden)
        return self.fc2(x)  # (B, classes)


class Progress:
    """A bar that redraws itself on a terminal; one plain line per epoch elsewhere."""

    def __init__(self, total, stream=sys.stderr):
        self.total = total
        self.stream = stream
        self.live = stream.isatty()
        self.start = time.perf_counter()
        self.done = 0

    def step(self, note):
        self.done += 1
        if not self.live:
            return
        filled = 30 * self.done // self.total
        left = (time.perf_counter() - self.start) * (self.total - self.done) / self.done
        bar = "█" * filled + "░" * (30 - filled)
        self.stream.write(f"\r{bar} {100 * self.done // self.total:3d} %  {note}  {left:3.0f} s ")
        self.stream.flush()

    def line(self, text):
        if self.live:
            self.stream.write("\r\033[K")  # the bar makes room for the line
        print(text, file=self.stream, flush=True)


def load_data(held_out):
    """Training and held-out images, the same split every time."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    sizes = [len(images) - held_out, held_out]
    return random_split(
        TensorDataset(images, labels), sizes, generator=torch.Generator().manual_seed(0)
    )


@torch.no_grad()
def predict(model, dataset):
    """Images, labels and predicted probabilities of a whole dataset."""
    model.eval()
    images, labels = next(iter(DataLoader(dataset, batch_size=len(dataset))))
    return images, labels, model(images).softmax(dim=1)


def accuracy_of(model, dataset):
    _, labels, probabilities = predict(model, dataset)
    return (probabilities.argmax(1) == labels).float().mean().item()


def train(model, train_set, test_set, epochs, batch_size):
    """Train with Adam and a falling learning rate; returns the losses and the accuracies."""
    loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
    steps = epochs * len(loader)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    progress, losses, accuracies = Progress(steps), [], []
    for epoch in range(1, epochs + 1):
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
            progress.step(f"loss {losses[-1]:.4f}")
        accuracies.append(accuracy_of(model, test_set))
        mean = sum(losses[-len(loader) :]) / len(loader)
        progress.line(f"epoch {epoch:2d}/{epochs}  loss {mean:.4f}  held-out {accuracies[-1]:.2%}")
    return losses, accuracies


def draw(path, model, test_set, losses, accuracies):
    """One picture: how the loss fell, what is confused with what, and some answers."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    blue, red, grey = "#30638e", "#d1495b", "#5c6770"
    plt.rcParams.update(
        {"font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold",
         "axes.spines.top": False, "axes.spines.right": False, "text.color": "#22272b",
         "axes.edgecolor": grey, "axes.labelcolor": grey, "xtick.color": grey, "ytick.color": grey}
    )  # fmt: skip
    figure = plt.figure(figsize=(13, 7.6), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.25, 1], hspace=0.04)
    curve, matrix = top.subplots(1, 2, width_ratios=[1.5, 1])
    draw_curves(curve, losses, accuracies, blue, red)
    images, labels, probabilities = predict(model, test_set)
    draw_confusion(matrix, labels, probabilities.argmax(1))
    draw_answers(bottom, images, labels, probabilities, blue, red)
    top.suptitle(
        f"Handwritten digits: {accuracies[-1]:.1%} of {len(labels)} held-out images read correctly",
        fontsize=15, fontweight="bold",
    )  # fmt: skip
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_curves(axes, losses, accuracies, blue, red):
    """The loss of every step with its running mean, and the accuracy after each epoch."""
    per_epoch = len(losses) // len(accuracies)
    x = [(step + 1) / per_epoch for step in range(len(losses))]
    half = per_epoch // 3
    windows = [losses[max(0, i - half) : i + half + 1] for i in range(len(losses))]
    smooth = [sum(window) / len(window) for window in windows]
    axes.semilogy(x, losses, color=blue, alpha=0.25, linewidth=0.8)
    axes.semilogy(x, smooth, color=blue, linewidth=2)
    axes.set(xlabel="epoch", title="Training loss and held-out accuracy", xlim=(0, x[-1]))
    axes.set_ylabel("cross-entropy", color=blue)
    axes.grid(axis="y", which="major", alpha=0.25)
    right = axes.twinx()
    epochs = list(range(1, len(accuracies) + 1))
    right.plot(epochs, [100 * a for a in accuracies], "o-", color=red, markersize=4, linewidth=1.5)
    right.set_ylabel("accuracy in %", color=red)
    right.set_ylim(top=100.4)
    right.spines["right"].set_visible(True)


def draw_confusion(axes, labels, predicted):
    """How often each digit (row) was read as which (column)."""
    counts = torch.bincount(10 * labels + predicted, minlength=100).view(10, 10)
    share = counts / counts.sum(dim=1, keepdim=True)
    axes.imshow(share.numpy() ** 0.4, cmap="Blues", vmin=0, vmax=1)  # the power shows rare ones
    for row in range(10):
        for column in range(10):
            count = counts[row, column].item()
            if count:
                axes.text(column, row, count, ha="center", va="center", fontsize=8,
                          color="white" if row == column else "#b3243a")  # fmt: skip
    axes.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="digit",
             title="Confusion matrix")  # fmt: skip
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_answers(figure, images, labels, probabilities, blue, red):
    """First row: the mistakes, then the least certain answers. Second row: one of each digit."""
    confidence, predicted = probabilities.max(dim=1)
    wrong = (predicted != labels).float()
    order = torch.argsort(confidence - 2 * wrong)
    surest = [order[labels[order] == digit][-1].item() for digit in range(10)]
    grid = figure.subplots(2, 10)
    for axes, index in zip(grid.flat, order[:10].tolist() + surest):
        right = predicted[index] == labels[index]
        axes.imshow(images[index, 0].numpy(), cmap="gray_r", interpolation="bilinear")
        answer = f"{predicted[index].item()}  {confidence[index].item():.0%}"
        if not right:
            answer += f"  is a {labels[index].item()}"
        axes.set_title(answer, fontsize=9, color=blue if right else red, pad=3)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color=blue if right else red, linewidth=1 if right else 2)
    figure.suptitle(
        "Answers and their certainty: the hardest above (mistakes in red), the surest below",
        fontsize=11, fontweight="bold",
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description="Learn to read handwritten digits.")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    train_set, test_set = load_data(held_out=360)
    model = DigitReader()
    count = sum(p.numel() for p in model.parameters())
    print(f"{len(train_set)} images to learn from, {len(test_set)} held out, {count} parameters")

    start = time.perf_counter()
    losses, accuracies = train(model, train_set, test_set, options.epochs, options.batch_size)
    seconds = time.perf_counter() - start
    print(f"trained in {seconds:.1f} s ({1000 * seconds / len(losses):.2f} ms a step)")

    checkpoint = options.output / "digits.pt"
    torch.save({"model": model.state_dict(), "losses": losses}, checkpoint)
    reloaded = DigitReader()
    reloaded.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    accuracy = accuracy_of(reloaded, test_set)
    if accuracy != accuracies[-1]:
        sys.exit(f"the checkpoint reads {accuracy:.2%}, the model {accuracies[-1]:.2%}")
    picture = options.output / "digits.png"
    draw(picture, reloaded, test_set, losses, accuracies)

    print(f"held-out accuracy {accuracy:.2%}, the same from the checkpoint")
    print(f"checkpoint  {checkpoint}")
    print(f"picture     {picture}")
    if accuracy < 0.97:
        sys.exit("that is less than the 97 % this demo is meant to reach")


if __name__ == "__main__":
    main()

"""A convolutional network on real data: the 8 x 8 handwritten digits that scikit-learn bundles.

Run it with `flambeau run examples/cnn_digits.py`.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class DigitNet(nn.Module):
    """Two convolutions with normalisation, a pooling each, and a linear classifier."""

    def __init__(self, classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(16 * 2 * 2, classes))

    def forward(self, x):  # (B, 1, 8, 8)
        return self.classifier(self.features(x))  # (B, classes)


def load_data():
    """Images with a channel dimension, values between 0 and 1; labels as integers.

    In double precision: training amplifies the last bits, which differ between processors, and
    here every digit printed shall be the same everywhere.
    """
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float64).unsqueeze(1) / 16
    labels = torch.from_numpy(digits.target).long()
    return TensorDataset(images, labels)


def show(image):
    """Print one image with characters: dark pixels dense."""
    for row in (image.squeeze() * 4).round().int().tolist():
        print("".join(" .:*#"[value] * 2 for value in row))


def evaluate(model, loader):
    """Mean loss and number of correct answers."""
    model.eval()
    loss, correct, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
            count += len(labels)
    return loss / count, correct / count


def main():
    torch.manual_seed(0)
    data = load_data()
    train_set, test_set = random_split(data, [1500, 297])
    image, label = train_set[0]
    print("data:", len(data), "image:", tuple(image.shape), "label:", label)
    show(image)

    train_loader = DataLoader(train_set, batch_size=100, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=297)

    model = DigitNet().double()
    print(model)
    print("parameters:", sum(p.numel() for p in model.parameters()))
    x = image.unsqueeze(0)
    for layer in model.features:  # how the picture shrinks on its way
        x = layer(x)
        print(f"{type(layer).__name__:12s} {tuple(x.shape)}")

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(6):
        model.train()
        for step, (images, labels) in enumerate(train_loader):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if epoch == 0 and step < 5:
                print(f"step {step}  batch {tuple(images.shape)}  loss {loss.item():.4f}")
        test_loss, accuracy = evaluate(model, test_loader)
        print(f"epoch {epoch}  test loss {test_loss:.4f}  accuracy {accuracy:.4f}")

    print("better than 90 %:", accuracy > 0.9)
    print("batches seen by the normalisation:", model.features[1].num_batches_tracked)
    images, labels = next(iter(test_loader))
    with torch.no_grad():
        print("predicted:", model(images[:12]).argmax(dim=1))
    print("actual:   ", labels[:12])


if __name__ == "__main__":
    main()

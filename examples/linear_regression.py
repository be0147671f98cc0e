"""Fit a straight line to noisy points by gradient descent, check it against the exact answer.

Run it with `flambeau run examples/linear_regression.py --plot fit.png`.
"""

import argparse

import torch
from torch import nn


def make_points(count=60):
    """Points around the line y = 1.5 x - 4, with noise of standard deviation 0.8."""
    x = torch.linspace(-3, 7, count).unsqueeze(1)  # (count, 1): one feature per row
    y = 1.5 * x - 4 + 0.8 * torch.randn(count, 1)
    return x, y


def exact_line(x, y):
    """Slope and intercept of least squares, from the textbook formula."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx * dy).sum() / (dx * dx).sum()
    return slope, y.mean() - slope * x.mean()


def train(model, x, y, epochs=200, lr=0.05):
    """Plain gradient descent on the mean squared error; returns the loss of every epoch."""
    loss_function = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = []
    for epoch in range(epochs):
        loss = loss_function(model(x), y)
        optimizer.zero_grad()  # gradients add up unless they are cleared
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if epoch % 25 == 0 or epoch == epochs - 1:
            slope, intercept = model.weight.item(), model.bias.item()
            print(f"epoch {epoch:3d}  loss {loss.item():8.4f}  y = {slope:.3f} x {intercept:+.3f}")
    return losses


def plot(path, x, y, model):
    """Draw the points and the fitted line into an image file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with torch.no_grad():
        fitted = model(x)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.scatter(x.numpy(), y.numpy(), s=16, color="#4c72b0", alpha=0.7, label="data")
    axes.plot(x.numpy(), fitted.numpy(), color="#c44e52", linewidth=2, label="fit")
    axes.set(xlabel="x", ylabel="y", title="Linear regression")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    print("picture:", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", metavar="FILE", help="draw the fit (needs matplotlib)")
    options = parser.parse_args()

    torch.manual_seed(7)
    x, y = make_points()
    print("x", x.shape, x.dtype, "y", tuple(y.shape))
    print("first rows:")
    print(torch.cat([x, y], dim=1)[:4])

    model = nn.Linear(1, 1)
    print(model)
    for name, parameter in model.named_parameters():
        print(f"{name:6s} {tuple(parameter.shape)!s:7s} requires_grad={parameter.requires_grad}")
    print("before training:", model.weight, model.bias)

    losses = train(model, x, y)

    slope, intercept = exact_line(x, y)
    print("least squares:  ", slope, intercept)
    print("gradient descent:", model.weight.data, model.bias.data)
    print("same line:", torch.allclose(model.weight.squeeze(), slope, atol=1e-2))

    with torch.no_grad():
        residual = y - model(x)
    r2 = 1 - residual.square().sum() / (y - y.mean()).square().sum()
    print(f"R^2 {r2.item():.4f}  residual std {residual.std().item():.4f}")
    print("loss fell at every step:", all(b < a for a, b in zip(losses[:20], losses[1:21])))
    print("prediction at x = 10:", model(torch.tensor([[10.0]])))

    if options.plot:
        plot(options.plot, x, y, model)


if __name__ == "__main__":
    main()

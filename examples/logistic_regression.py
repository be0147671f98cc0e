"""Logistic regression seen as a computation graph: what autograd records, and what it computes.

Run it with `flambeau run examples/logistic_regression.py`.
"""

import torch
import torch.nn.functional as F


def draw_graph(node, depth=0):
    """Print the recorded graph below a node: one line each, inputs indented below their result."""
    if node is None:  # an input that needs no gradient
        return
    note = ""
    if hasattr(node, "variable"):  # the end of a path: a leaf that collects its gradient
        note = f"  <- leaf of shape {tuple(node.variable.shape)}"
    print("  " * depth + node.name() + note)
    for child, _ in node.next_functions:
        draw_graph(child, depth + 1)


def one_neuron():
    """A single sample, small enough to check each derivative with pencil and paper."""
    x = torch.tensor([1.1, -0.4])
    target = torch.tensor(1.0)
    w = torch.tensor([2.2, 0.5], requires_grad=True)
    b = torch.tensor(0.3, requires_grad=True)

    z = torch.dot(w, x) + b  # the net input
    a = torch.sigmoid(z)  # the predicted probability of class 1
    loss = -(target * torch.log(a) + (1 - target) * torch.log(1 - a))
    print("z", z)
    print("a", a)
    print("loss", loss)
    print("leaves:", [t.is_leaf for t in (x, w, b, z, a, loss)])
    draw_graph(loss.grad_fn)

    # Intermediate results give their gradient up unless they are asked to keep it.
    z.retain_grad()
    a.register_hook(lambda g: print("gradient that arrives at a:", g))
    loss.backward()
    print("dloss/dw", w.grad)
    print("dloss/db", b.grad)
    print("dloss/dz", z.grad, "= a - target:", (a - target).detach())
    print("by formula dloss/dw", ((a - target) * x).detach())
    print("the library agrees:", torch.allclose(F.binary_cross_entropy(a, target), loss))


def make_two_clouds(count=100):
    """Two overlapping clouds of points around (-1, -1) and (1, 1)."""
    centres = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    labels = torch.arange(count) % 2
    points = centres[labels] + 0.9 * torch.randn(count, 2)
    return points, labels.float()


def train_by_hand():
    """The training loop without modules or optimizers: tensors, gradients, and a step downhill."""
    torch.manual_seed(123)
    x, y = make_two_clouds()
    w = torch.zeros(2, requires_grad=True)
    b = torch.zeros((), requires_grad=True)
    for epoch in range(1, 31):
        logits = x @ w + b
        loss = F.binary_cross_entropy_with_logits(logits, y)
        grad_w, grad_b = torch.autograd.grad(loss, (w, b))
        with torch.no_grad():  # the step itself must not be recorded
            w -= 0.8 * grad_w
            b -= 0.8 * grad_b
        if epoch % 5 == 0 or epoch == 1:
            accuracy = ((logits > 0) == y.bool()).float().mean()
            print(f"epoch {epoch:2d}  loss {loss.item():.4f}  accuracy {accuracy.item():.2f}")
    print("w", w)
    print("b", b)
    return x, y, w, b


def main():
    print("-- one neuron")
    one_neuron()
    print("-- training")
    x, y, w, b = train_by_hand()
    print("-- the decision boundary")
    print(f"x2 = {(-w[0] / w[1]).item():.3f} x1 {(-b / w[1]).item():+.3f}")
    probabilities = torch.sigmoid(x[:5] @ w + b)
    print(probabilities)
    print(torch.stack([probabilities.round(), y[:5]]).detach())
    # The second derivative is there too: the curvature of the loss in w.
    hessian = torch.autograd.functional.hessian(
        lambda v: F.binary_cross_entropy_with_logits(x @ v + b.detach(), y), w.detach()
    )
    print(hessian)


if __name__ == "__main__":
    main()

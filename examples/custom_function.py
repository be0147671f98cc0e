"""Operations of one's own with a derivative written by hand: torch.autograd.Function.

Run it with `flambeau run examples/custom_function.py`.
"""

import torch
from torch.autograd import Function, gradcheck, gradgradcheck
from torch.autograd.function import once_differentiable


class Cube(Function):
    """x**3. The context carries what the backward pass needs."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad_output  # tensor operations: so this has a derivative as well


class Affine(Function):
    """x @ weight.T + bias, in the newer form: `forward` computes, `setup_context` saves."""

    @staticmethod
    def forward(x, weight, bias):
        return x @ weight.t() + bias

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx, grad_output):
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:  # compute only what someone asked for
            grad_x = grad_output @ weight
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t() @ x
        if ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_x, grad_weight, grad_bias


class RoundStraightThrough(Function):
    """Rounds, and pretends in the backward pass that it did not."""

    @staticmethod
    def forward(ctx, x, steps):
        return (x * steps).round() / steps

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output, None  # one value per argument; `steps` is no tensor


class SortedWithOrder(Function):
    """Two results, of which the second has no gradient."""

    @staticmethod
    def forward(ctx, x):
        values, order = x.sort()
        ctx.mark_non_differentiable(order)
        ctx.save_for_backward(order)
        return values, order

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_values, _):
        (order,) = ctx.saved_tensors
        return torch.zeros_like(grad_values).scatter(0, order, grad_values)


class AddInPlace(Function):
    """Changes its input, and says so."""

    @staticmethod
    def forward(ctx, x, amount):
        ctx.mark_dirty(x)
        return x.add_(amount)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output, None


class Mistaken(Function):
    """Its derivative is wrong: gradcheck compares with finite differences and says so."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output * 3


def main():
    x = torch.tensor([1.0, 2.0, -3.0], requires_grad=True)
    y = Cube.apply(x)
    print(y, y.grad_fn.name())
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    print("first derivative ", first)
    print("second derivative", second)

    torch.manual_seed(0)
    double = dict(dtype=torch.float64, requires_grad=True)
    inputs = torch.randn(4, 3, **double), torch.randn(2, 3, **double), torch.randn(2, **double)
    print("gradcheck:", gradcheck(Affine.apply, inputs), gradgradcheck(Affine.apply, inputs))
    out = Affine.apply(*inputs)
    out.sum().backward()
    print(out)
    print(inputs[2].grad)

    rounded = RoundStraightThrough.apply(x / 7, 10)
    print(rounded)
    print("through the rounding:", torch.autograd.grad(rounded.sum(), x))

    values, order = SortedWithOrder.apply(x)
    print(values, order, order.requires_grad)
    (values * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    print(x.grad)
    (grad,) = torch.autograd.grad(SortedWithOrder.apply(x)[0].square().sum(), x, create_graph=True)
    try:
        grad.sum().backward()
    except RuntimeError as error:
        print("RuntimeError:", str(error).splitlines()[0])

    z = x * 2
    w = AddInPlace.apply(z, 5)
    print(w is z, z._version, z)

    print("a mistake passes:", gradcheck(Mistaken.apply, inputs[2], raise_exception=False))


if __name__ == "__main__":
    main()

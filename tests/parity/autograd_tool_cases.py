"""Programs for test_autograd.py: checkpointing and torch.func."""

from importlib import import_module


def checkpoints(torch, nn, say, attempt):
    tools = import_module(torch.__name__ + ".utils.checkpoint")
    w = torch.tensor([0.5, 1.5], requires_grad=True)
    runs = []

    def block(x, scale=1.0):
        runs.append(torch.is_grad_enabled())
        return (x * w).tanh().exp() * scale

    for reentrant in (False, True):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        runs.clear()
        y = tools.checkpoint(block, x, use_reentrant=reentrant)
        say(y, y.requires_grad)
        y.sum().backward()
        say(x.grad, w.grad, runs)
        w.grad = None
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = tools.checkpoint(block, x, use_reentrant=False, scale=3.0)
    attempt(lambda: torch.autograd.grad(y.sum(), (x, w)))
    attempt(lambda: tools.checkpoint(block, x, use_reentrant=True, scale=3.0))
    y = tools.checkpoint(block, x, use_reentrant=True)
    attempt(lambda: torch.autograd.grad(y.sum(), x))
    attempt(lambda: y.sum().backward(inputs=[x]))
    attempt(lambda: tools.checkpoint(block, x))
    attempt(lambda: tools.checkpoint(block, x.detach(), use_reentrant=True).requires_grad)
    attempt(lambda: tools.checkpoint(block, x.detach(), use_reentrant=False).requires_grad)
    attempt(lambda: tools.checkpoint(lambda v: v.detach(), x, use_reentrant=True).sum().backward())
    y = tools.checkpoint(block, x, use_reentrant=False)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    say(x.grad)
    attempt(lambda: y.sum().backward())
    (g,) = torch.autograd.grad(
        tools.checkpoint(block, x, use_reentrant=False).sum(), x, create_graph=True
    )
    say(torch.autograd.grad(g.sum(), x))


def checkpoints_with_chance(torch, nn, say, attempt):
    tools = import_module(torch.__name__ + ".utils.checkpoint")
    x = torch.ones(8, requires_grad=True)
    for reentrant in (False, True):
        torch.manual_seed(3)
        y = tools.checkpoint(lambda v: nn.functional.dropout(v * 2), x, use_reentrant=reentrant)
        torch.rand(3)
        y.sum().backward()
        say(y.detach(), x.grad, torch.rand(2))
        x.grad = None
    torch.manual_seed(3)
    y = tools.checkpoint(torch.bernoulli, x.detach() / 2, use_reentrant=False)
    say(y)


def checkpoints_in_checkpoints(torch, nn, say, attempt):
    tools = import_module(torch.__name__ + ".utils.checkpoint")
    layers = [nn.Linear(3, 3) for _ in range(4)]
    count = []

    def inner(i, v):
        count.append(i)
        return torch.sigmoid(layers[i](v)) * v

    def outer(v):
        for i in range(4):
            v = tools.checkpoint(inner, i, v, use_reentrant=False)
        return v

    x = torch.ones(2, 3, requires_grad=True)
    y = tools.checkpoint(outer, x, use_reentrant=False)
    y.sum().backward()
    say(x.grad, layers[0].weight.grad, len(count) > 8)
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    x = torch.ones(2, 3, requires_grad=True)
    for reentrant in (False, True):
        y = tools.checkpoint_sequential(model, 2, x, use_reentrant=reentrant)
        y.sum().backward()
        say(x.grad, model[0].weight.grad)
    attempt(lambda: tools.checkpoint_sequential(model, 2, x).shape)


def checkpoints_that_differ(torch, nn, say, attempt):
    tools = import_module(torch.__name__ + ".utils.checkpoint")
    x = torch.ones(2, requires_grad=True)
    sizes = [1, 2]

    def complaint(action):
        try:
            action()
        except RuntimeError as error:
            return type(error).__name__, str(error).split("Tip:")[0]

    def changing(v):
        n = sizes.pop()
        return (v[:n] * v[:n]).sum()

    y = tools.checkpoint(changing, x, use_reentrant=False)
    attempt(lambda: complaint(y.backward))
    steps = [3, 1]

    def shorter(v):
        for _ in range(steps.pop(0)):
            v = v.sin()
        return v

    y = tools.checkpoint(shorter, x, use_reentrant=False)
    attempt(lambda: complaint(y.sum().backward))
    with tools.set_checkpoint_early_stop(False):
        calls = []
        y = tools.checkpoint(lambda v: [v.sin(), calls.append(1)][0], x, use_reentrant=False)
    y.sum().backward()
    say(len(calls), x.grad)
    attempt(lambda: tools.checkpoint(torch.sin, x, use_reentrant=True, debug=True))
    attempt(lambda: tools.detach_variable([x]))


CASES = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__
]

"""Programs for test_autograd.py: autograd.Function, and the tools of autograd.functional, gradcheck
and anomaly mode.
"""

import warnings


def plain_functions(torch, nn, say, attempt):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor=1, name="n"):
            ctx.save_for_backward(x)
            ctx.factor = factor
            say(ctx.needs_input_grad, torch.is_grad_enabled(), type(ctx).__name__, ctx.name())
            return x**3 * factor

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            say(g.requires_grad, torch.is_grad_enabled(), ctx.needs_input_grad)
            return 3 * x**2 * g * ctx.factor, None, None

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = Cube.apply(x, 2)
    say(
        y,
        y.grad_fn.name(),
        type(y.grad_fn).__name__,
        y.grad_fn.next_functions[0][0].variable is x,
        y.grad_fn.factor,
    )
    say(isinstance(y.grad_fn, torch.autograd.graph.Node), y.grad_fn.saved_tensors[0] is x)
    y.sum().backward()
    say(x.grad)
    attempt(lambda: y.sum().backward())
    attempt(lambda: y.grad_fn.saved_tensors)
    attempt(lambda: Cube.apply(x.detach()))
    with torch.no_grad():
        attempt(lambda: Cube.apply(x))
    attempt(lambda: type(Cube()).__name__)
    attempt(lambda: Cube.apply(x, factor=3))
    (g,) = torch.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
    attempt(lambda: torch.autograd.grad(g.sum(), x))


def several_results(torch, nn, say, attempt):
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b, keep):
            ctx.set_materialize_grads(keep)
            return a * b, a + b, 7, None

        @staticmethod
        def backward(ctx, *grads):
            say(grads)
            return None, grads[1], None

    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    p, s, seven, nothing = Two.apply(a, b, True)
    say(p.output_nr, s.output_nr, seven, nothing, p.grad_fn is s.grad_fn)
    s.sum().backward()
    say(a.grad, b.grad)
    p, s, _, _ = Two.apply(a, b, False)
    p.sum().backward()
    say(a.grad, b.grad)

    class Listed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return [a * 2, a * 3]

        @staticmethod
        def backward(ctx, *grads):
            return grads[0] + grads[1]

    attempt(lambda: type(Listed.apply(a)))

    class Dictionary(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return {"a": a * 2}

        @staticmethod
        def backward(ctx, g):
            return g

    attempt(lambda: Dictionary.apply(a)["a"].requires_grad)


def separate_context(torch, nn, say, attempt):
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, k = inputs
            ctx.k = k
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            say(x.tolist(), y.tolist(), y.grad_fn is not None)
            return g * ctx.k, None

    x = torch.ones(2, requires_grad=True)
    y = Scale.apply(x, 3)
    y.sum().backward()
    say(x.grad, y)

    class Vjp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 20

    Vjp.apply(x).sum().backward()
    say(x.grad)


def mistakes(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)

    def function(backward, forward=lambda ctx, x, k=None: x * 2):
        return type(
            "Custom",
            (torch.autograd.Function,),
            {"forward": staticmethod(forward), "backward": staticmethod(backward)},
        )

    for backward in (
        lambda ctx, g: (g, g, g),
        lambda ctx, g: g,
        lambda ctx, g: (g, None, None),
        lambda ctx, g: (g, g),
        lambda ctx, g: (g[:1], None),
        lambda ctx, g: (torch.ones(3), None),
        lambda ctx, g: (3, None),
        lambda ctx, g: None,
        lambda ctx, g: (None, None),
        lambda ctx, g: (g.double(), None),
        lambda ctx, g: (torch.ones(4, 2), None),
        lambda ctx, g: "text",
    ):
        x.grad = None
        attempt(lambda backward=backward: function(backward).apply(x, 5).sum().backward())
        say(x.grad)

    class Nothing(torch.autograd.Function):
        pass

    attempt(lambda: Nothing.apply(x))

    class NoBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    attempt(lambda: NoBackward.apply(x).sum().backward())

    class SavesNumber(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

    attempt(lambda: SavesNumber.apply(x))

    class SavesNone(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, None)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            say(ctx.saved_tensors)
            return g

    SavesNone.apply(x).sum().backward()

    class NotStatic(torch.autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, g):
            return g

    attempt(lambda: NotStatic.apply(x).sum().backward())
    attempt(lambda: NotStatic()(x))

    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

        @staticmethod
        def vjp(ctx, g):
            return g

    attempt(lambda: Both.apply(x).sum().backward())

    class Raises(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise ValueError("in backward")

    attempt(lambda: Raises.apply(x).sum().backward())
    (x * 2).sum().backward()


def changed_inputs(torch, nn, say, attempt):
    class Increase(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 10

    leaf = torch.ones(2, requires_grad=True)
    attempt(lambda: Increase.apply(leaf))
    y = leaf * 2
    z = Increase.apply(y)
    say(z is y, y, y._version)
    z.sum().backward()
    say(leaf.grad)
    plain = torch.ones(2)
    say(Increase.apply(plain) is plain, plain)
    v = (leaf * 2)[:1]
    attempt(lambda: Increase.apply(v))
    base = leaf * 2
    v = base[:1]
    Increase.apply(v)
    leaf.grad = None
    base.sum().backward()
    say(leaf.grad, base)

    class Unmarked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    y = leaf * 2
    attempt(lambda: Unmarked.apply(y) is y)

    class DirtyNotReturned(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            ctx.mark_dirty(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

    attempt(lambda: DirtyNotReturned.apply(leaf * 2))

    class DirtyPlain(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, out):
            out.copy_(x * 5)
            ctx.mark_dirty(out)
            return out

        @staticmethod
        def backward(ctx, g):
            return g * 5, None

    out = torch.zeros(2)
    result = DirtyPlain.apply(leaf, out)
    say(result is out, out)
    leaf.grad = None
    out.sum().backward()
    say(leaf.grad)


def returned_inputs_and_views(torch, nn, say, attempt):
    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x = torch.ones(2, requires_grad=True)
    y = Same.apply(x)
    say(y is x, y, y._is_view(), y.data_ptr() == x.data_ptr())
    y.sum().backward()
    say(x.grad)
    attempt(lambda: Same.apply(x * 2).add_(1))
    plain = torch.ones(2)
    say(Same.apply(plain) is plain)

    class View(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(2, 1)

        @staticmethod
        def backward(ctx, g):
            return g.view(2)

    y = View.apply(x * 2)
    say(y.grad_fn.name(), y.shape)
    attempt(lambda: y.mul_(2))
    attempt(lambda: View.apply(x).mul_(2))

    class Detached(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.detach()

        @staticmethod
        def backward(ctx, g):
            return g

    y = Detached.apply(x)
    say(y.requires_grad, y._is_view())

    class MarkedInput(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            z = (x > 0).float()
            ctx.mark_non_differentiable(z)
            return y, z

        @staticmethod
        def backward(ctx, g, unused):
            say(unused)
            return g * 2

    y, z = MarkedInput.apply(x)
    say(y.requires_grad, z.requires_grad, z.grad_fn)
    x.grad = None
    y.sum().backward()
    say(x.grad)

    class Integers(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.long(), x * 2

        @staticmethod
        def backward(ctx, g, h):
            say(g, h)
            return h

    i, y = Integers.apply(x)
    say(i.requires_grad, y.requires_grad)
    y.sum().backward()


def once_only(torch, nn, say, attempt):
    from importlib import import_module

    once_differentiable = import_module(torch.__name__ + ".autograd.function").once_differentiable

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            say(torch.is_grad_enabled())
            (x,) = ctx.saved_tensors
            return 2 * x * g

    x = torch.ones(2, requires_grad=True)
    Square.apply(x).sum().backward()
    say(x.grad)
    (g,) = torch.autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    say(g.requires_grad)
    attempt(lambda: g.sum().backward())


def saved_results_that_changed(torch, nn, say, attempt):
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = torch.ones(2, requires_grad=True)
    y = Exp.apply(x)
    y.add_(1)
    attempt(lambda: y.sum().backward())
    y = Exp.apply(x)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    attempt(lambda: torch.autograd.grad(g.sum(), x))

    class SavesInput(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x

    z = x * 1
    y = SavesInput.apply(z)
    z.mul_(2)
    attempt(lambda: y.sum().backward())
    with torch.no_grad():
        u = torch.ones(2)
    y = SavesInput.apply(x)
    with torch.no_grad():
        x.add_(1)
    attempt(lambda: y.sum().backward())
    say(u)


def nested_functions(torch, nn, say, attempt):
    class Outer(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                y = (leaf * leaf).sum()
                (g,) = torch.autograd.grad(y, leaf)
            ctx.save_for_backward(g)
            return y.detach()

        @staticmethod
        def backward(ctx, g):
            with torch.enable_grad():
                t = torch.ones(2, requires_grad=True)
                (t * 3).sum().backward()
                say(t.grad)
            return g * ctx.saved_tensors[0]

    x = torch.tensor([1.0, 3.0], requires_grad=True)
    Outer.apply(x).backward()
    say(x.grad)


def functional_first_derivatives(torch, nn, say, attempt):
    F = torch.autograd.functional
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    scalar = lambda a: (a**3).sum()
    attempt(lambda: F.jacobian(lambda a: a.exp(), x))
    attempt(lambda: F.jacobian(lambda a, b: (a * b, a.sum()), (x, y)))
    attempt(lambda: F.jacobian(lambda a: a.exp(), x, vectorize=True))
    attempt(lambda: F.jacobian(lambda a: a.view(2, 1) * torch.ones(2, 3), x).shape)
    attempt(lambda: F.jacobian(scalar, x, create_graph=True))
    attempt(lambda: F.jacobian(lambda a: y, x))
    attempt(lambda: F.jacobian(lambda a: y, x, strict=True))
    attempt(lambda: F.jacobian(lambda a, b: a * 2, (x, y)))
    attempt(lambda: F.jacobian(lambda a, b: a * 2, (x, y), strict=True))
    attempt(lambda: F.jacobian(lambda a: 3, x))
    attempt(lambda: F.jacobian(scalar, 3))
    attempt(lambda: F.jacobian(lambda a: (a, 3), x))
    attempt(lambda: F.vjp(lambda a: a**2, x, y))
    attempt(lambda: F.vjp(scalar, x))
    attempt(lambda: F.vjp(lambda a: a**2, x))
    attempt(lambda: F.vjp(lambda a: a**2, x, torch.ones(3)))
    attempt(lambda: F.vjp(lambda a: a**2, x, (y, y)))
    attempt(lambda: F.vjp(lambda a: y * 2, x, y))
    attempt(lambda: F.vjp(lambda a: y * 2, x, y, strict=True))
    attempt(lambda: F.vjp(lambda a, b: (a * b, a), (x, y), (y, x), create_graph=True))
    attempt(lambda: F.jvp(lambda a: a**2, x, y))
    attempt(lambda: F.jvp(lambda a: a.sum(), torch.ones(1)))
    attempt(lambda: F.jvp(lambda a: a**2, x))
    attempt(lambda: F.jvp(lambda a: a**2, x, torch.ones(3)))
    attempt(lambda: F.jvp(lambda a: y * 2, x, y))
    attempt(lambda: F.jvp(lambda a: y * 2, x, y, strict=True))
    attempt(lambda: F.jvp(lambda a: a * 2, x, y, strict=True))
    attempt(lambda: F.jvp(lambda a: a**3, x, y, create_graph=True))
    z = x.clone().requires_grad_()
    value, product = F.vjp(lambda a: a**3, z, y, create_graph=True)
    say(value, product.requires_grad)
    say(torch.autograd.grad(product.sum(), z))
    value, product = F.vjp(lambda a: a**3, z, y)
    say(value.requires_grad, product.requires_grad)


def functional_second_derivatives(torch, nn, say, attempt):
    F = torch.autograd.functional
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    scalar = lambda a: (a**3).sum()
    attempt(lambda: F.hessian(scalar, x))
    attempt(lambda: F.hessian(lambda a, b: (a * b * b).sum(), (x, y)))
    attempt(lambda: F.hessian(scalar, x, vectorize=True))
    attempt(lambda: F.hessian(scalar, x, create_graph=True))
    attempt(lambda: F.hessian(lambda a: a * 2, x))
    attempt(lambda: F.hessian(lambda a: a.sum(), x))
    attempt(lambda: F.hessian(lambda a: a.sum(), x, strict=True))
    attempt(lambda: F.hessian(lambda a: y.sum(), x, strict=True))
    attempt(lambda: F.hessian(lambda a: y.sum(), x))
    attempt(lambda: F.hessian(lambda a: (a.sum(), a.sum()), x))
    attempt(lambda: F.hvp(scalar, x, y))
    attempt(lambda: F.hvp(scalar, x))
    attempt(lambda: F.hvp(lambda a: a.sum(), x, y))
    attempt(lambda: F.hvp(lambda a: a.sum(), x, y, strict=True))
    attempt(lambda: F.hvp(lambda a: y.sum(), x, y, strict=True))
    attempt(lambda: F.hvp(lambda a: a * 2, x, y))
    attempt(lambda: F.hvp(lambda a, b: (a * b * a).sum(), (x, y), (y, x)))
    attempt(lambda: F.hvp(scalar, x, y, create_graph=True))
    attempt(lambda: F.vhp(scalar, x, y))
    attempt(lambda: F.vhp(scalar, x))
    attempt(lambda: F.vhp(lambda a: a.sum(), x, y))
    attempt(lambda: F.vhp(lambda a: a.sum(), x, y, strict=True))
    attempt(lambda: F.vhp(lambda a: y.sum(), x, y, strict=True))
    attempt(lambda: F.vhp(lambda a: a * 2, x, y))
    attempt(lambda: F.vhp(lambda a, b: (a * b * a).sum(), (x, y), (y, x)))
    attempt(lambda: F.vhp(scalar, x, y, create_graph=True))
    attempt(lambda: F.vhp(scalar, x, torch.ones(3)))
    attempt(lambda: F.vhp(scalar, (x, 3)))


def anomalies(torch, nn, say, attempt):
    import re

    def run(action):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                say(action())
            except Exception as error:  # noqa: BLE001
                say(type(error).__name__, str(error))
        for warning in caught:
            text = str(warning.message)
            say(
                warning.category.__name__,
                re.sub(r"\s*\(Triggered internally at.*?\)", "", text.split("\n")[0]),
                "nan_maker" in text,
            )

    def nan_maker(v):
        return torch.sqrt(v - 1)

    x = torch.zeros(2, requires_grad=True)

    def guarded():
        with torch.autograd.detect_anomaly():
            (nan_maker(x) * 0).sum().backward()

    def unguarded_forward():
        y = (nan_maker(x) * 0).sum()
        with torch.autograd.detect_anomaly():
            y.backward()

    def unchecked():
        with torch.autograd.detect_anomaly(check_nan=False):
            (nan_maker(x) * 0).sum().backward()

    def failing():
        class Fails(torch.autograd.Function):
            @staticmethod
            def forward(ctx, v):
                return v * 2

            @staticmethod
            def backward(ctx, g):
                raise ValueError("in backward")

        with torch.autograd.detect_anomaly():
            Fails.apply(x).sum().backward()

    def switched():
        with torch.autograd.set_detect_anomaly(True):
            say(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
            with torch.autograd.set_detect_anomaly(False):
                say(torch.is_anomaly_enabled())
        say(torch.is_anomaly_enabled())
        torch.autograd.set_detect_anomaly(True)
        torch.autograd.set_detect_anomaly(False)

    def notes():
        with torch.autograd.detect_anomaly():
            y = x * 2
        say(
            sorted(y.grad_fn.metadata),
            type(y.grad_fn.metadata["traceback_"]).__name__,
            "notes" in "".join(y.grad_fn.metadata["traceback_"]),
        )

    def nested():
        t = torch.zeros(2, requires_grad=True)
        with torch.autograd.detect_anomaly():
            (g,) = torch.autograd.grad((t.abs() ** 1.5).sum(), t, create_graph=True)
            g.sum().backward()

    for action in (guarded, unguarded_forward, unchecked, failing, switched, notes, nested):
        run(action)
    say(torch.is_anomaly_enabled())


def gradient_checks(torch, nn, say, attempt):
    gradcheck, gradgradcheck = torch.autograd.gradcheck, torch.autograd.gradgradcheck
    x = torch.tensor([0.3, 0.7], dtype=torch.double, requires_grad=True)
    z = torch.tensor([0.3 + 1j, 0.7 - 0.2j], dtype=torch.cdouble, requires_grad=True)

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    class WrongComplex(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2j

        @staticmethod
        def backward(ctx, g):
            return g * 2j

    class Zeros(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return None

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x.detach() * 2

    attempt(lambda: gradcheck(torch.sin, x))
    attempt(lambda: gradcheck(torch.sin, (x,)))
    attempt(
        lambda: gradcheck(lambda a, b: (a * b, a.sum()), (x, x.detach().clone().requires_grad_()))
    )
    attempt(lambda: gradcheck(torch.exp, z))
    attempt(lambda: gradcheck(lambda a: a.abs(), z))
    attempt(lambda: gradcheck(lambda a: torch.complex(a, a * 2), x))
    attempt(lambda: gradcheck(torch.sin, x, fast_mode=True))
    attempt(lambda: gradcheck(Wrong.apply, x))
    attempt(lambda: gradcheck(Wrong.apply, x, raise_exception=False))
    attempt(lambda: gradcheck(WrongComplex.apply, z))
    attempt(lambda: gradcheck(Zeros.apply, x))
    attempt(lambda: gradcheck(Wrong.apply, x, atol=10))
    attempt(lambda: gradcheck(torch.sin, x.detach()))
    attempt(lambda: gradcheck(torch.sin, torch.ones(2)))
    attempt(lambda: gradcheck(torch.sin, torch.ones(2, requires_grad=True), eps=1e-3, atol=1e-2))
    attempt(lambda: gradcheck(lambda a: a.detach(), x))
    attempt(lambda: gradcheck(lambda a: torch.ones(2, dtype=torch.double), x))
    attempt(lambda: gradcheck(lambda a: 3, x))
    attempt(lambda: gradcheck(lambda a: a.long(), x))
    attempt(lambda: gradcheck(torch.sin, x[:1].expand(3)))
    attempt(lambda: gradcheck(lambda a, b: a * b, (x, 3)))
    attempt(
        lambda: gradcheck(lambda a: a.sum(), torch.ones(0, dtype=torch.double, requires_grad=True))
    )
    attempt(lambda: gradgradcheck(torch.sin, x))
    attempt(lambda: gradgradcheck(Twice.apply, x, x.detach().requires_grad_()))
    attempt(lambda: gradgradcheck(torch.exp, z))
    attempt(
        lambda: gradgradcheck(
            lambda a: a**3, x, torch.ones(2, dtype=torch.double, requires_grad=True)
        )
    )
    attempt(lambda: gradgradcheck(lambda a, b: a * b, (x, x.detach().clone().requires_grad_())))
    attempt(lambda: gradcheck(torch.sin, x, nondet_tol=-1.0))
    attempt(lambda: gradcheck(torch.sin, x, check_forward_ad=False, check_backward_ad=False))
    attempt(lambda: gradcheck(torch.sin, x, check_batched_grad=True))


CASES = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__
]

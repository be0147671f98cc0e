"""Programs for test_autograd.py: in-place changes, views of changed tensors, version counters,
detach and data.
"""


def leaf(torch, *shape):
    return torch.ones(*shape, requires_grad=True)


def on_leaves(torch, nn, say, attempt):
    x = leaf(torch, 2, 2)
    attempt(lambda: x.add_(1))
    attempt(lambda: x.mul_(x))
    attempt(lambda: x.zero_())
    attempt(lambda: x.fill_(2))
    attempt(lambda: x[0].add_(1))
    attempt(lambda: x.view(4).mul_(2))
    attempt(lambda: x.copy_(torch.zeros(2, 2)))
    attempt(lambda: x.__setitem__(0, 1.0))
    attempt(lambda: x.__setitem__((0, torch.tensor([0])), 1.0))
    attempt(lambda: x.index_fill_(0, torch.tensor([0]), 1.0))
    attempt(lambda: x.masked_fill_(x > 0, 1.0))
    attempt(lambda: x.t_())
    attempt(lambda: x.unsqueeze_(0))
    attempt(lambda: x.uniform_())
    attempt(lambda: x.__iadd__(1))
    attempt(lambda: x.relu_())
    attempt(lambda: x.clamp_(0, 1))
    attempt(lambda: x.index_add_(0, torch.tensor([0]), torch.ones(1, 2)))
    attempt(lambda: x.scatter_(0, torch.zeros(1, 2, dtype=torch.long), 1.0))
    with torch.no_grad():
        attempt(lambda: x.add_(1))
        x[0].zero_()
        attempt(lambda: x.__setitem__(0, 7.0))
    say(x, x.is_leaf, x._version)
    attempt(lambda: x.detach().add_(1))
    attempt(lambda: x.data.add_(1))
    say(x, x._version)
    attempt(lambda: x.unbind(0)[0].add_(1))
    y = torch.ones(2)
    attempt(lambda: y.add_(leaf(torch, 2)))
    say(y.is_leaf, y.requires_grad)
    z = torch.ones(2, dtype=torch.long)
    attempt(lambda: z.add_(leaf(torch, 2)))
    attempt(lambda: torch.add(y, 1, out=x))
    attempt(lambda: torch.add(x, 1, out=torch.zeros(2, 2)))


def on_intermediates(torch, nn, say, attempt):
    x = leaf(torch, 3)
    y = x * 2
    first = y.grad_fn
    y.mul_(3)
    say(y, y._version, y.grad_fn is first, y.grad_fn.next_functions[0][0] is first)
    y += x
    y -= 1
    y[0] = 5
    y[1:] *= x[1:]
    y.sum().backward()
    say(y, x.grad)
    x.grad = None
    for change in (
        lambda t: t.zero_(),
        lambda t: t.exp_(),
        lambda t: t.relu_(),
        lambda t: t.clamp_(torch.tensor(0.0), torch.tensor(1.0)),
        lambda t: t.copy_(x),
        lambda t: t.masked_fill_(t > 1, 0),
        lambda t: t.index_fill_(0, torch.tensor([0]), 1.0),
        lambda t: t.pow_(2),
        lambda t: t.div_(x),
        lambda t: t.neg_(),
        lambda t: t.sqrt_(),
        lambda t: t.tanh_(),
        lambda t: t.sigmoid_(),
        lambda t: t.addcmul_(x, x),
        lambda t: t.lerp_(x, 0.5),
        lambda t: t.sub_(x, alpha=2),
        lambda t: t.index_add_(0, torch.tensor([1]), x[:1]),
        lambda t: t.scatter_(0, torch.tensor([1]), x[:1]),
        lambda t: t.index_put_((torch.tensor([1]),), x[:1]),
        lambda t: t.view(3, 1).t_(),
    ):
        z = x * 1.5
        out = change(z)
        attempt(lambda out=out: out.sum().backward())
        say(z.shape, z.grad_fn.name(), out is z, x.grad, z._version)
        x.grad = None


def base_changes_after_views(torch, nn, say, attempt):
    x = leaf(torch, 4)
    base = x * 1
    view = base[1:3]
    base.mul_(3)
    say(view, view.requires_grad, view.grad_fn.name(), view.grad_fn is view.grad_fn)
    (view * view).sum().backward()
    say(x.grad)
    x.grad = None
    base = x * 1
    view, other = base[:2], base[1:]
    view.mul_(2)
    other.mul_(3)
    view.add_(1)
    say(base, view, other)
    (base.sum() * view.sum() * other.sum()).backward()
    say(x.grad)
    x.grad = None
    base = x * 1
    a = base.view(2, 2)
    b = a[0]
    c = a.t()
    b.exp_()
    say(base, a, b, c)
    say([t.grad_fn.name() for t in (base, a, b, c)])
    (c * c).sum().backward()
    say(x.grad)


def plain_bases_become_recorded(torch, nn, say, attempt):
    w = leaf(torch, 2)
    base = torch.zeros(2, 2)
    row = base[0]
    other = base[1]
    row.copy_(w)
    say(base.requires_grad, row.requires_grad, other.requires_grad, base.is_leaf, other.is_leaf)
    say(base, row, other)
    base.sum().backward()
    say(w.grad)
    w.grad = None
    base = torch.zeros(3, 2)
    rows = [base[i] for i in range(3)]
    for i in range(3):
        base[i] = w * i
    (rows[1] * 2 + rows[2]).sum().backward()
    say(w.grad, rows)
    w.grad = None
    base = torch.zeros(2)
    early = base.view(2, 1)
    base.add_(w)
    late = base.view(1, 2)
    say(early.requires_grad, late.requires_grad, early.grad_fn.name(), late.grad_fn.name())
    (early.sum() * 2 + late.sum()).backward()
    say(w.grad)
    base = torch.zeros(2)
    early = base[:1]
    say(early.requires_grad)
    base.requires_grad_()
    say(early.requires_grad, early.is_leaf)
    attempt(lambda: early.mul_(2))


def slices_and_loops(torch, nn, say, attempt):
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    out = torch.zeros(4, 3)
    h = w
    for t in range(4):
        h = torch.tanh(h * w)
        out[t] = h
    (out**2).sum().backward()
    say(w.grad)
    w.grad = None
    out = torch.zeros(3)
    for i in range(3):
        out[i] = w[i] * (out[i - 1].clone() if i else 1)
    out.sum().backward()
    say(out, w.grad)
    w.grad = None
    y = w * 1
    y[torch.tensor([0, 2])] = w[:2] * 10
    y[y > 15] *= 2
    y.sum().backward()
    say(y, w.grad)
    w.grad = None
    y = (w * 1).expand(2, 3).clone()
    y[:, 1] = y[:, 0] * 2
    y[..., -1].add_(y[:, 1])
    y.sum().backward()
    say(y, w.grad)


def second_derivatives_through_changes(torch, nn, say, attempt):
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.double, requires_grad=True)
    y = x * x
    v = y[1:3]
    v.mul_(x[:2])
    y[0] = x[3] ** 3
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    say(g.detach())
    (h,) = torch.autograd.grad((g * g).sum(), x)
    say(h)


def views_that_may_not_change(torch, nn, say, attempt):
    x = leaf(torch, 4)
    y = x * 1
    a, b = y.chunk(2)
    attempt(lambda: a.mul_(2))
    attempt(lambda: a[:1].mul_(2))
    attempt(lambda: y.split(1)[2].zero_())
    attempt(lambda: y.unbind(0)[3].add_(1))
    say(a.requires_grad, (a * 2).sum())
    y.mul_(2)
    attempt(lambda: a.grad_fn)
    attempt(lambda: a * 2)
    c, d = torch.zeros(4).chunk(2)
    attempt(lambda: c.mul_(leaf(torch, 2)))
    attempt(lambda: c.mul_(2))
    with torch.no_grad():
        y = x * 1
        v = torch.zeros(4)[:2]
        attempt(lambda: v.mul_(leaf(torch, 2)).requires_grad)
        z = leaf(torch, 3)[:2]
        say(z.requires_grad)
    attempt(lambda: v.mul_(leaf(torch, 2)))
    attempt(lambda: v.mul_(2))
    attempt(lambda: z.mul_(2))
    y = x * 1
    with torch.no_grad():
        v = y[:2]
        say(v.requires_grad, v.grad_fn)
    say(v.requires_grad, v.grad_fn)
    attempt(lambda: v.mul_(2))
    y = x * 1
    with torch.no_grad():
        v = y[:2]
    y.mul_(2)
    attempt(lambda: v.requires_grad)
    attempt(lambda: v.grad_fn)
    attempt(lambda: v + 1)
    attempt(lambda: x.expand(2, 4).add_(1))
    attempt(lambda: (x * 1).expand(2, 4).add_(1))
    attempt(lambda: torch.zeros(1).expand(3).add_(leaf(torch, 3)))
    attempt(lambda: y[:3].add_(y[1:]))
    attempt(lambda: (x * 1).mul_(torch.ones(2, 4)))


def saved_values_that_changed(torch, nn, say, attempt):
    x = leaf(torch, 2)

    def tried(build):
        attempt(lambda: build().sum().backward())

    def exponent():
        y = x.exp()
        y.add_(1)
        return y

    def product():
        y = x * 1
        z = y * y
        y[0] = 3
        return z

    def factor():
        w = torch.ones(2)
        y = x * w
        w.add_(1)
        return y

    def by_detached():
        y = x.sigmoid()
        y.detach().zero_()
        return y

    def by_data():
        y = x.sigmoid()
        y.data.zero_()
        return y

    def by_no_grad():
        y = x.sin()
        z = y.cos()
        with torch.no_grad():
            y.zero_()
        return z

    def leaf_changed():
        y = x * x
        with torch.no_grad():
            x.add_(0)
        return y

    def not_needed():
        y = x + 1
        y.add_(1)
        y.mul_(2)
        return y

    def by_view():
        y = x * 1
        z = y.exp() * y
        y.view(2, 1).add_(1)
        return z

    def matrix():
        m = torch.ones(2, 2)
        y = m @ x
        m.add_(1)
        return y

    def long_values():
        i = torch.tensor([0, 1])
        y = x.gather(0, i)
        i.zero_()
        return y

    for build in (
        exponent,
        product,
        factor,
        by_detached,
        by_data,
        by_no_grad,
        leaf_changed,
        not_needed,
        by_view,
        matrix,
        long_values,
    ):
        tried(build)
    say(x.grad)


def versions(torch, nn, say, attempt):
    x = torch.zeros(3)
    say(x._version)
    x.add_(1)
    x[0] = 2
    x.view(3, 1).mul_(2)
    say(x._version, x.detach()._version, x.data._version, x[1:]._version)
    x.data.add_(1)
    say(x._version)
    x.detach().add_(1)
    say(x._version)
    y = x.view(3)
    y.zero_()
    say(x._version, y._version)
    x.data = torch.ones(2)
    say(x._version, x)
    x.copy_(torch.zeros(2))
    x.requires_grad_()
    say(x._version)
    with torch.no_grad():
        x.add_(1)
    say(x._version)
    x.grad = torch.ones(2)
    x.grad.zero_()
    say(x.grad._version)
    say(torch.empty(3).normal_()._version, torch.empty(3).copy_(torch.ones(3))._version)
    attempt(lambda: setattr(x, "_version", 3))
    with torch.autograd._unsafe_preserve_version_counter(x):
        x.data.add_(1)
    say(x._version)


def detaching(torch, nn, say, attempt):
    x = leaf(torch, 3)
    y = x * 2
    d = y.detach()
    say(d.requires_grad, d.is_leaf, d.data_ptr() == y.data_ptr(), d._base is None, d._is_view())
    d.add_(1)
    say(y)
    y.detach_()
    say(y.requires_grad, y.grad_fn, y.is_leaf)
    attempt(lambda: (x * 2)[:1].detach_())
    attempt(lambda: torch.ones(2)[:1].detach_())
    attempt(lambda: x.detach_())
    say(x.requires_grad)
    z = (leaf(torch, 3) * 1).detach().requires_grad_()
    z.sum().backward()
    say(z.grad)
    p = leaf(torch, 2)
    p.data = torch.full((3,), 2.0)
    (p * p).sum().backward()
    say(p, p.grad)
    attempt(lambda: setattr(p, "data", 1))
    attempt(lambda: setattr(p, "data", torch.ones(2, dtype=torch.long)))
    q = leaf(torch, 2)
    say(q.data.requires_grad, q.data.is_leaf, q.data._base)
    q.data.mul_(5)
    say(q)
    r = torch.zeros(2)
    s = leaf(torch, 2) * 1
    r.set_(s.detach())
    say(r)


def views_and_their_bases(torch, nn, say, attempt):
    x = leaf(torch, 4)
    v = x[1:]
    w = v[1:]
    say(v._is_view(), v._base is x, w._base is x, x._is_view(), x._base)
    say((x * 1)._is_view(), x.view(2, 2)._base is x, x.reshape(4)._is_view(), x.contiguous() is x)
    with torch.no_grad():
        say(x[1:]._base is x)
    say(
        x.t()._base is x,
        x.expand(2, 4)._base is x,
        x.chunk(2)[0]._base is x,
        x.unbind()[0]._base is x,
    )
    say(x.detach()[1:]._is_view())


def replaced_by_its_own_view(torch, nn, say, attempt):
    x = leaf(torch, 2, 3)
    y = x * 1
    y.t_()
    say(y.shape)
    y.squeeze_()
    y.unsqueeze_(0)
    say(y.shape)
    (y * torch.arange(6.0).view(1, 3, 2)).sum().backward()
    say(x.grad)
    z = (x * 1).view(6)
    z.unsqueeze_(0)
    z.mul_(2)
    z.sum().backward()
    say(z.shape, x.grad)


def complex_and_real_views(torch, nn, say, attempt):
    z = torch.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    y = z * 1
    y.real.mul_(2)
    (y.abs() ** 2).sum().backward()
    say(y, z.grad)
    z.grad = None
    y = z * 1
    r = torch.view_as_real(y)
    r[:, 1] = 0
    say(y)
    torch.view_as_real(y).sum().backward()
    say(z.grad)


CASES = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and name != "leaf"
]

"""Programs for test_autograd.py: leaves, gradients, graph attributes, hooks, backward and its
errors.
"""

import copy
import gc
import io
import pickle
import weakref


def leaves(torch, nn, say, attempt):
    x = torch.ones(2)
    say(x.requires_grad, x.is_leaf, x.grad_fn, x.output_nr, x.grad)
    x.requires_grad = True
    say(x, x.is_leaf, x.grad_fn)
    y = x * 2
    say(y, y.is_leaf, y.output_nr)
    say(y.detach().requires_grad, y.detach().is_leaf, y.data.requires_grad)
    attempt(lambda: y.grad)
    attempt(lambda: y.requires_grad_(False))
    attempt(lambda: setattr(y, "requires_grad", False))
    attempt(lambda: y.requires_grad_(True).requires_grad)
    attempt(lambda: torch.ones(2, dtype=torch.long).requires_grad_())
    attempt(lambda: torch.ones(2, dtype=torch.long, requires_grad=True))
    attempt(lambda: torch.tensor([1, 2], requires_grad=True))
    attempt(lambda: setattr(torch.ones(2, dtype=torch.bool), "requires_grad", True))
    attempt(lambda: torch.ones(2, dtype=torch.complex64, requires_grad=True))
    attempt(lambda: x.requires_grad_(False).requires_grad)
    attempt(lambda: x.numpy())
    attempt(lambda: x.requires_grad_().numpy())
    attempt(lambda: y.numpy(force=True))
    attempt(lambda: x.tolist())
    attempt(lambda: float(y.sum().detach()))
    with torch.no_grad():
        attempt(lambda: x.numpy())
        attempt(lambda: x[:1].numpy())
    attempt(lambda: torch.tensor(y))
    z = torch.ones(3, requires_grad=True)
    say(z[0].item(), [float(v) for v in z])


def gradients_of_leaves(torch, nn, say, attempt):
    x = torch.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    say(x.grad, x.grad.requires_grad)
    x.grad = None
    say(x.grad)
    del x.grad
    attempt(lambda: setattr(x, "grad", 1))
    attempt(lambda: setattr(x, "grad", torch.ones(2)))
    attempt(lambda: setattr(x, "grad", torch.ones(3, dtype=torch.double)))
    attempt(lambda: setattr(x, "grad", x))
    x.grad = torch.full((3,), 5.0)
    (x * 2).sum().backward()
    say(x.grad)
    kept = x.grad
    x.sum().backward()
    say(kept is x.grad, kept)
    x.grad.zero_()
    say(kept)
    before = x.grad
    (x * x).sum().backward(create_graph=True)
    say(x.grad is before, x.grad)
    y = torch.ones(2, 3, requires_grad=True)
    y.t().sum().backward()
    say(y.grad.stride())
    z = torch.ones(3, 2).t().requires_grad_()
    (z * 2).sum().backward()
    say(z.grad.stride(), z.stride())
    w = torch.ones(2, requires_grad=True)
    w.grad = torch.ones(2)
    w.requires_grad_(False)
    say(w.grad)


def accumulated_gradients_are_not_shared(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = torch.ones(2, requires_grad=True)
    g = torch.full((2,), 4.0)
    (x + y).backward(g)
    x.grad.add_(1)
    say(g, x.grad, y.grad)
    a = torch.ones(2, requires_grad=True)
    (a + a).sum().backward()
    say(a.grad, a.grad.stride())
    b = torch.ones(3, requires_grad=True)
    b.sum().backward()
    b.grad.mul_(2)
    say(b.grad, b.grad.stride())


def non_leaf_gradients(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    say(y.retains_grad, x.retains_grad)
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    say(y.retains_grad, x.retains_grad)
    (y * y).sum().backward(retain_graph=True)
    say(y.grad, x.grad)
    (y * y).sum().backward()
    say(y.grad, x.grad)
    attempt(lambda: torch.ones(2).retain_grad())
    z = x * 3
    z.retain_grad()
    z.mul_(2)
    (z * z).sum().backward()
    say(z.grad)
    u = x * 3
    u.register_hook(lambda g: g * 10)
    u.retain_grad()
    u.register_hook(lambda g: g + 1)
    u.sum().backward()
    say(u.grad)


def roots_and_their_gradients(torch, nn, say, attempt):
    x = torch.ones(2, 2, requires_grad=True)
    attempt(lambda: (x * 2).backward())
    attempt(lambda: torch.ones(2).sum().backward())
    attempt(lambda: (x * 2).backward(torch.ones(3)))
    attempt(lambda: (x * 2).backward(torch.ones(2, 2, dtype=torch.double)))
    attempt(lambda: (x * 2).backward(torch.ones(2, 2, dtype=torch.cfloat)))
    attempt(lambda: (x * 2).backward(1.0))
    attempt(lambda: (x * 2).backward([torch.ones(2, 2)]))
    attempt(lambda: torch.autograd.backward([x.sum(), x.sum()], [torch.ones(())]))
    attempt(lambda: torch.autograd.backward([x.sum(), (x * 3).sum()], [torch.ones(()), None]))
    attempt(lambda: torch.autograd.backward((x * 3, x.sum()), [torch.ones(2, 2), None]))
    say(x.grad)
    attempt(lambda: torch.autograd.backward([]))
    attempt(lambda: torch.autograd.backward(x.sum(), grad_variables=torch.ones(())))
    attempt(lambda: torch.autograd.backward(x.sum(), torch.ones(()), grad_variables=torch.ones(())))
    attempt(lambda: x.sum().backward(torch.tensor(2.0)))
    attempt(lambda: x.sum().backward(torch.ones(1)))
    attempt(lambda: x.backward(x))
    say(x.grad)
    attempt(lambda: (x.to(torch.cfloat) * 1j).sum().backward())


def second_passes(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    attempt(y.backward)
    z = x.exp().sum()
    z.backward(retain_graph=True)
    z.backward()
    attempt(z.backward)
    s = (x + 1).sum()
    s.backward()
    attempt(s.backward)
    e = x.exp()
    e.sum().backward()
    attempt(lambda: e.grad_fn._saved_result)
    say(x.grad)


def grad_function(torch, nn, say, attempt):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([3.0, 4.0], requires_grad=True)
    grad = torch.autograd.grad
    attempt(lambda: grad((x * y).sum(), (x, y)))
    attempt(lambda: grad((x * y).sum(), [x]))
    attempt(lambda: grad(x * y, x, torch.ones(2)))
    attempt(lambda: grad([x * y, x.sum()], [x, y], [torch.ones(2), None]))
    attempt(lambda: grad(x.sum(), y))
    attempt(lambda: grad(x.sum(), y, allow_unused=True))
    attempt(lambda: grad(x.sum(), [x, y], allow_unused=True))
    attempt(lambda: grad(x.sum(), [x, y], materialize_grads=True))
    attempt(lambda: grad(x.sum(), [x, y], allow_unused=False, materialize_grads=True))
    attempt(lambda: grad(x.sum(), [torch.ones(1)]))
    attempt(lambda: grad(x.sum(), []))
    attempt(lambda: grad(x * y, x))
    attempt(lambda: grad(x.detach().sum(), x))
    attempt(lambda: grad(x.sum(), x, only_inputs=False))
    attempt(lambda: grad(x * 2, x, torch.ones(3)))
    attempt(lambda: grad(x, x, torch.ones(2)))
    attempt(lambda: grad((x * x).sum(), x, create_graph=True))
    (g,) = grad((x**3).sum(), x, create_graph=True)
    attempt(lambda: grad(g.sum(), x, create_graph=True))
    attempt(lambda: grad(g.sum(), x))
    z = x * y
    attempt(lambda: grad((z * z).sum(), z))
    attempt(lambda: grad((z * z).sum(), (z, x)))
    attempt(lambda: grad(z.sum(), (x, x)))
    say(x.grad, y.grad)
    attempt(lambda: grad(x * y, (x, y), torch.eye(2), is_grads_batched=True))
    attempt(lambda: grad((x * y).sum(), (x, y), torch.ones(3), is_grads_batched=True))


def given_inputs(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = torch.ones(2, requires_grad=True)
    z = x * 3
    attempt(lambda: (z * y).sum().backward(inputs=[x], retain_graph=True))
    say(x.grad, y.grad)
    attempt(lambda: (z * y).sum().backward(inputs=y, retain_graph=True))
    say(x.grad, y.grad)
    attempt(lambda: (z * y).sum().backward(inputs=[z], retain_graph=True))
    attempt(lambda: z.grad)
    attempt(lambda: (z * y).sum().backward(inputs=[], retain_graph=True))
    attempt(lambda: (z * y).sum().backward(inputs=[torch.ones(2)], retain_graph=True))
    attempt(lambda: z.sum().backward(inputs=[y]))
    say(x.grad, y.grad)
    attempt(lambda: torch.autograd.backward(z.sum(), inputs=(x, y)))
    say(x.grad)


def second_derivatives(torch, nn, say, attempt):
    x = torch.tensor([0.5, 1.0], dtype=torch.double, requires_grad=True)
    for f in (
        torch.sin,
        torch.exp,
        torch.tanh,
        torch.sigmoid,
        torch.log,
        torch.sqrt,
        torch.relu,
        torch.abs,
    ):
        (g,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        attempt(lambda g=g: torch.autograd.grad(g.sum(), x, allow_unused=True))
    y = (x.sin() * x).sum()
    for _ in range(4):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        say(y.detach())
    y = x**3
    y.sum().backward(create_graph=True)
    say(x.grad)
    x.grad.sum().backward()
    say(x.grad)


def graph_attributes(torch, nn, say, attempt):
    x = torch.ones(2, 3, requires_grad=True)
    y = x * 2
    node = y.grad_fn
    say(type(node).__name__, node.name(), len(node.next_functions), node.next_functions[0][1])
    leaf = node.next_functions[0][0]
    say(leaf.name(), type(leaf).__name__, leaf.variable is x, leaf.next_functions)
    say(node.next_functions[1:])
    say((x * x).grad_fn.next_functions[1][0] is leaf)
    say(y.grad_fn is y.grad_fn, y.grad_fn == node, hash(node) == hash(y.grad_fn))
    say(isinstance(node, torch.autograd.graph.Node), isinstance(leaf, torch.autograd.graph.Node))
    say(node.metadata)
    node.metadata["a"] = 1
    say(y.grad_fn.metadata)
    say((x + 1).grad_fn.next_functions[0][1], len((x + torch.ones(3)).grad_fn.next_functions))
    a, b = x.unbind(0)
    say(a.output_nr, b.output_nr, a.grad_fn is b.grad_fn, (b * 2).grad_fn.next_functions[0][1])
    m = x.max(1)
    say(m.values.output_nr, m.indices.requires_grad, m.values.grad_fn.name())
    say(torch.ones(1).grad_fn, x.grad_fn)
    attempt(lambda: leaf.variable.shape)
    for other in (
        x.exp(),
        x.sum(),
        x.sum(1),
        x.mean(),
        x.view(6),
        x.t(),
        x[0],
        x[0, 1],
        x[:1],
        x.reshape(3, 2),
        x @ x.t(),
    ):
        say(other.grad_fn.name(), type(other.grad_fn).__name__)
    for other in (
        x.relu(),
        x.clone(),
        x.to(torch.double),
        x.expand(1, 2, 3),
        x.squeeze(),
        x.unsqueeze(0),
        x.pow(2),
        x / 2,
        -x,
        x - 1,
    ):
        say(other.grad_fn.name())
    for other in (
        torch.cat([x, x]),
        torch.stack([x, x]),
        x.var(),
        x.std(),
        x.prod(),
        x.norm(),
        x.softmax(1),
        x.log_softmax(1),
        x.cumsum(0),
    ):
        say(other.grad_fn.name())
    for other in (
        x.split(1)[0],
        x.chunk(2)[1],
        x.permute(1, 0),
        x.gather(0, torch.zeros(1, 3, dtype=torch.long)),
        x.index_select(0, torch.tensor([0])),
    ):
        say(other.grad_fn.name())
    for other in (
        x[torch.tensor([0])],
        x.masked_fill(x > 2, 0),
        torch.where(x > 0, x, x),
        x.abs(),
        x.max(),
        x.flatten(),
        x.repeat(2, 1),
    ):
        say(other.grad_fn.name())


def saved_attributes(torch, nn, say, attempt):
    x = torch.ones(2, 3, requires_grad=True)
    w = torch.full((2, 3), 2.0, requires_grad=True)
    p = x * w
    say(p.grad_fn._saved_self is x, p.grad_fn._saved_other)
    e = x.exp()
    say(e.grad_fn._saved_result, e.grad_fn._saved_result is e)
    s = x.sum(1, keepdim=True)
    say(s.grad_fn._saved_dim, s.grad_fn._saved_keepdim, s.grad_fn._saved_self_sym_sizes)
    say((x**2).grad_fn._saved_exponent, (x**2).grad_fn._saved_self is x)
    say((x * 2).grad_fn._saved_self, (x * 2).grad_fn._saved_other)
    say(x.transpose(0, 1).grad_fn._saved_dim0, x.transpose(0, 1).grad_fn._saved_dim1)
    m = x @ w.t()
    say(m.grad_fn._saved_self is x, m.grad_fn._saved_mat2.shape)
    say(torch.cat([x, w], 1).grad_fn._saved_dim)
    attempt(lambda: x.exp().grad_fn._saved_nothing)
    raw = x.sin().grad_fn._raw_saved_self
    say(type(raw).__name__)
    out = x.sin()
    out.grad_fn._raw_saved_self.register_hooks(lambda t: t * 2, lambda t: t)
    out.sum().backward()
    say(x.grad)
    attempt(lambda: out.grad_fn._saved_self)


def tensor_hooks(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    order = []
    y.register_hook(lambda g: order.append(("y1", g.tolist())))
    second = y.register_hook(lambda g: order.append(("y2", g.tolist())) or g * 3)
    y.register_hook(lambda g: order.append(("y3", g.tolist())))
    x.register_hook(lambda g: order.append(("x", g.tolist())) or g + 1)
    y.sum().backward(retain_graph=True)
    say(order, x.grad)
    second.remove()
    second.remove()
    order.clear()
    y.sum().backward()
    say(order, x.grad)
    attempt(lambda: torch.ones(2).register_hook(print))
    attempt(lambda: x.detach().register_hook(print))
    for wrong in (lambda g: g[:1], lambda g: g.double(), lambda g: 3, lambda g: (g,)):
        z = x * 2
        z.register_hook(wrong)
        attempt(lambda z=z: z.sum().backward())
    z = x * 2

    def failing(g):
        raise ValueError("from the hook")

    z.register_hook(failing)
    attempt(lambda: z.sum().backward())
    with (x * 2).register_hook(lambda g: g):
        pass
    u = x * 1
    u.register_hook(lambda g: say("hook sees", g.requires_grad, torch.is_grad_enabled()))
    (u * u).sum().backward(create_graph=True)
    x.grad = None


def hooks_and_in_place_changes(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("after", g.tolist())))
    y.sum().backward()
    say(seen)
    seen.clear()
    w = torch.ones(2, requires_grad=True)
    w.register_hook(lambda g: seen.append(("leaf", g.tolist())))
    with torch.no_grad():
        w.mul_(5)
    (w * w).sum().backward()
    say(seen)
    seen.clear()
    v = torch.ones(4, requires_grad=True) * 1
    part = v[:2]
    v.mul_(2)
    say(part.grad_fn.name())
    part.register_hook(lambda g: seen.append(("part", g.tolist())))
    (v.sum() + part.sum()).backward()
    say(seen)


def node_hooks(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    order = []
    node = y.grad_fn
    node.register_hook(lambda gi, go: order.append(("post", gi[0].tolist(), go[0].tolist())))
    node.register_prehook(lambda go: order.append(("pre", go[0].tolist())))
    y.register_hook(lambda g: order.append(("tensor", g.tolist())))
    leaf = node.next_functions[0][0]
    leaf.register_hook(lambda gi, go: order.append(("leaf post", gi, go[0].tolist())))
    leaf.register_prehook(lambda go: order.append(("leaf pre", go[0].tolist())))
    x.register_hook(lambda g: order.append(("leaf tensor", g.tolist())))
    x.register_post_accumulate_grad_hook(
        lambda t: order.append(("accumulated", t.grad.tolist(), t is x))
    )
    y.sum().backward()
    for entry in order:
        say(entry)
    z = x * 2
    z.grad_fn.register_hook(lambda gi, go: (gi[0] * 10, None))
    z.grad_fn.register_prehook(lambda go: (go[0] + 1,))
    x.grad = None
    z.sum().backward()
    say(x.grad)
    for wrong in (
        lambda gi, go: (gi[0],),
        lambda gi, go: gi[0] * 2,
        lambda gi, go: (gi[0], gi[0]),
        lambda gi, go: 3,
        lambda gi, go: (3, None),
    ):
        z = x * 2
        z.grad_fn.register_hook(wrong)
        attempt(lambda z=z: z.sum().backward())
    for wrong in (
        lambda go: go[0] * 2,
        lambda go: (go[0], go[0]),
        lambda go: (go[0][:1],),
        lambda go: 3,
    ):
        z = x * 2
        z.grad_fn.register_prehook(wrong)
        attempt(lambda z=z: z.sum().backward())
    handle = z.grad_fn.register_hook(lambda gi, go: say("never"))
    handle.remove()


def post_accumulate_hooks(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    attempt(lambda: (x * 2).register_post_accumulate_grad_hook(print))
    attempt(lambda: torch.ones(2).register_post_accumulate_grad_hook(print))

    def step(p):
        with torch.no_grad():
            p.sub_(p.grad)
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 0.5).sum().backward()
    say(x, x.grad)
    handle.remove()
    (x * 0.5).sum().backward()
    say(x, x.grad)
    torch.autograd.grad(x.sum(), x)


def captured_gradients_and_hooks(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 5)
    x.register_hook(lambda g: g + 100)
    y.grad_fn.register_hook(lambda gi, go: say("post", gi))
    y.grad_fn.register_prehook(lambda go: say("pre", go))
    say(torch.autograd.grad(y.sum(), y, retain_graph=True))
    say(torch.autograd.grad(y.sum(), x, retain_graph=True))
    say(torch.autograd.grad(y.sum(), (y, x), retain_graph=True))
    y.retain_grad()
    say(torch.autograd.grad(y.sum(), x, retain_graph=True), y.grad, x.grad)


def hooks_keep_their_order_over_branches(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    order = []
    parts = []
    for i in range(4):
        part = x * (i + 1)
        part.register_hook(lambda g, i=i: order.append(i))
        parts.append(part)
    (parts[2] + (parts[0] * parts[3]) + parts[1]).sum().backward()
    say(order)


def names_of_graph_module(torch, nn, say, attempt):
    graph = torch.autograd.graph
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    edge = graph.get_gradient_edge(y)
    say(type(edge).__name__, edge.node is y.grad_fn, edge.output_nr, edge._fields[:2])
    leaf = graph.get_gradient_edge(x)
    say(leaf.node.name(), leaf.output_nr)
    attempt(lambda: graph.get_gradient_edge(torch.ones(1)))
    attempt(lambda: torch.autograd.grad(y.sum(), edge))
    attempt(lambda: torch.autograd.grad((y * 3).sum(), (edge, leaf)))
    attempt(lambda: torch.autograd.grad(edge, leaf, torch.ones(2)))
    attempt(lambda: torch.autograd.backward(graph.get_gradient_edge((x * 7).sum()), torch.ones(())))
    attempt(lambda: torch.autograd.backward(edge))
    attempt(lambda: torch.autograd.grad(edge, x))
    say(x.grad)
    say(x._version)
    graph.increment_version(x)
    say(x._version)
    graph.increment_version([x, x])
    say(x._version)
    a, b = torch.ones(2, 2, requires_grad=True).unbind(0)
    edge = graph.get_gradient_edge(b)
    say(edge.output_nr)
    attempt(lambda: torch.autograd.grad((b * 3).sum(), edge))


def multi_grad_hooks(torch, nn, say, attempt):
    graph = torch.autograd.graph
    a, b, c = (torch.ones(2, requires_grad=True) for _ in range(3))
    handle = graph.register_multi_grad_hook(
        (a, b, c), lambda gs: say("all", [g is not None for g in gs])
    )
    (a * b).sum().backward(retain_graph=True)
    (a * b * c).sum().backward()
    handle.remove()
    (a * b).sum().backward()
    graph.register_multi_grad_hook((a, b, c), lambda g: say("any", g.tolist()), mode="any")
    (a * b * 2).sum().backward()
    attempt(lambda: graph.register_multi_grad_hook((a,), print, mode="each"))


def saved_tensors_hooks(torch, nn, say, attempt):
    graph = torch.autograd.graph
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def pack(t):
        say("pack", t.tolist(), t.is_leaf)
        return t.tolist()

    def unpack(values):
        say("unpack", values)
        return torch.tensor(values)

    with graph.saved_tensors_hooks(pack, unpack):
        y = x.exp() * x
    say("built")
    y.sum().backward()
    say(x.grad)
    x.grad = None
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t * 2):
        with graph.saved_tensors_hooks(lambda t: t + 1, lambda t: t):
            inner = x * x
        outer = x * x
    plain = x * x
    for z in (inner, outer, plain):
        say(torch.autograd.grad(z.sum(), x))
    with graph.saved_tensors_hooks(lambda t: 3, lambda t: t):
        z = x * x
    attempt(lambda: z.sum().backward())
    attempt(lambda: z.grad_fn._saved_self)

    def in_place(t):
        t.mul_(2)
        return t

    with graph.saved_tensors_hooks(in_place, lambda t: t):
        attempt(lambda: x.detach().clone().requires_grad_().clone().sin())

    def failing(t):
        raise ValueError("in pack")

    with graph.saved_tensors_hooks(failing, lambda t: t):
        attempt(lambda: x.sin())
    with graph.disable_saved_tensors_hooks("not here"):
        attempt(lambda: graph.saved_tensors_hooks(pack, unpack).__enter__())
    with graph.save_on_cpu():
        z = (x * x).exp()
    z.sum().backward()
    say(x.grad)
    attempt(lambda: torch.autograd.graph.saved_tensors_hooks())
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = (x * 1).exp()
    say(y.grad_fn._saved_result is y, y.grad_fn._saved_result)


def mutation_of_saved_tensors(torch, nn, say, attempt):
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        a = torch.ones(2, 3, requires_grad=True)
        b = a.clone()
        out = (b**2).sum()
        b.sin_()
        out.sum().backward()
    say(a.grad)


def threads(torch, nn, say, attempt):
    import threading

    seen = []
    with torch.no_grad():
        worker = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        worker.start()
        worker.join()
    say(seen, torch.is_grad_enabled())

    def leave_it_off():
        torch.set_grad_enabled(False)
        seen.append(torch.is_grad_enabled())

    for target in (leave_it_off, lambda: seen.append(torch.is_grad_enabled())) * 3:
        worker = threading.Thread(target=target)
        worker.start()
        worker.join()
    say(seen)
    w = torch.ones(3, requires_grad=True)

    def work():
        for _ in range(50):
            (w * 2).sum().backward()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    say(w.grad)


def copies_of_recorded_tensors(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    attempt(lambda: copy.deepcopy(y))
    attempt(lambda: copy.deepcopy(x))
    x.grad = torch.ones(2)
    attempt(lambda: copy.deepcopy(x).grad)
    attempt(lambda: copy.copy(y).requires_grad)
    attempt(lambda: pickle.loads(pickle.dumps(x)))
    attempt(lambda: pickle.loads(pickle.dumps(y)))
    file = io.BytesIO()
    torch.save(y, file)
    file.seek(0)
    attempt(lambda: torch.load(file))
    attempt(lambda: pickle.dumps(y.grad_fn))
    attempt(lambda: copy.deepcopy(y.detach()))


def nothing_is_kept_alive(torch, nn, say, attempt):
    gc.disable()
    try:
        x = torch.ones(3, requires_grad=True)
        y = x.exp()
        z = y * y
        references = [weakref.ref(t) for t in (y, z)]
        out = z.sum()
        del y, z
        say([r() is None for r in references])
        out.backward()
        del out
        say([r() is None for r in references])
        reference = weakref.ref(x)
        del x
        say(reference() is None)
        v = torch.ones(4, requires_grad=True) * 1
        w = v[:2]
        w.mul_(2)
        v.add_(1)
        references = [weakref.ref(v), weakref.ref(w)]
        v.sum().backward()
        del v, w
        say([r() is None for r in references])
    finally:
        gc.enable()


def modes(torch, nn, say, attempt):
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        say((x * 2).requires_grad, torch.is_grad_enabled())
        with torch.enable_grad():
            say((x * 2).requires_grad)
        with torch.set_grad_enabled(True):
            say((x * 2).requires_grad)
        say((x * 2).requires_grad)
        leaf = torch.ones(1, requires_grad=True)
        say(leaf.requires_grad, leaf.is_leaf)
    torch.set_grad_enabled(False)
    say(torch.is_grad_enabled())
    torch.set_grad_enabled(True)

    @torch.no_grad()
    def off(v):
        return (v * 2).requires_grad

    @torch.no_grad
    def off_too(v):
        return (v * 2).requires_grad

    @torch.enable_grad()
    def on(v):
        return (v * 2).requires_grad

    @torch.set_grad_enabled(False)
    def never(v):
        return (v * 2).requires_grad

    @torch.inference_mode()
    def inference(v):
        return (v * 2).is_inference()

    say(off(x), off_too(x), on(x), never(x), inference(x), torch.is_grad_enabled())

    @torch.no_grad()
    def numbers():
        got = yield torch.is_grad_enabled()
        yield (got, torch.is_grad_enabled())

    generator = numbers()
    say(next(generator), torch.is_grad_enabled(), generator.send(5), torch.is_grad_enabled())
    with torch.no_grad():
        say(on(x))
    try:
        with torch.no_grad():
            raise KeyError
    except KeyError:
        say(torch.is_grad_enabled())
    say(torch.no_grad().__class__.__name__, torch.autograd.no_grad is torch.no_grad)


def inference(torch, nn, say, attempt):
    w = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        say(torch.is_inference_mode_enabled(), torch.is_grad_enabled())
        x = torch.ones(2)
        y = w * 2
        view = w.view(2, 1)
        say(
            x.is_inference(),
            y.is_inference(),
            view.is_inference(),
            y.requires_grad,
            torch.is_inference(x),
        )
        say(x[:1].is_inference(), x.detach().is_inference(), w.is_inference())
        x.add_(1)
        attempt(lambda: x._version)
        leaf = torch.ones(2, requires_grad=True)
        say(leaf.requires_grad, leaf.is_inference())
        with torch.inference_mode(False):
            say(torch.ones(1).is_inference(), torch.is_grad_enabled())
        with torch.enable_grad():
            say(torch.is_grad_enabled(), torch.ones(1).is_inference())
    say(x.is_inference(), y, torch.is_inference_mode_enabled())
    attempt(lambda: w * x)
    attempt(lambda: (w + x).requires_grad)
    attempt(lambda: x.add_(1))
    attempt(lambda: x.requires_grad_())
    attempt(lambda: setattr(x, "requires_grad", True))
    attempt(lambda: x.requires_grad_(False).requires_grad)
    attempt(lambda: x._version)
    attempt(lambda: x.clone().is_inference())
    attempt(lambda: (x * 2).is_inference())
    attempt(lambda: x.view(2, 1).is_inference())
    attempt(lambda: x.view(2, 1).add_(1))
    attempt(lambda: x.clone().requires_grad_().requires_grad)
    attempt(lambda: (w * 1).mul_(x))
    attempt(lambda: view.mul_(w.detach()))
    attempt(lambda: (w * 1).add_(x).requires_grad)
    attempt(lambda: x.copy_(w))
    attempt(lambda: x.zero_())
    with torch.no_grad():
        attempt(lambda: (w * x).is_inference())
        attempt(lambda: x.mul_(2))
    attempt(lambda: torch.exp(x).is_inference())
    normal = torch.zeros(3)
    with torch.inference_mode():
        view = normal[:2]
        normal.add_(1)
        say(view.is_inference(), normal._version)
    attempt(lambda: view.mul_(2))
    attempt(lambda: view.mul_(w))


CASES = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__
]

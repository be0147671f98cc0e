"""nn.Module, its containers, nn.init and nn.utils beside torch's: one program, two libraries.

Each scenario gets a library and a `say` that collects what it observes; torch's list is the
expected one. An error is observed as its class and the first line of its text.
"""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
from observing import observe

import flambeau

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


# ---------------------------------------------------------------------------------------------
# Models used below, made for whichever library is observed


def leaf_class(torch, nn):
    class Leaf(nn.Module):
        def __init__(self, size=2):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(float(size)))
            self.register_parameter("bias", None)
            self.register_buffer("mean", torch.zeros(size))
            self.register_buffer("cache", torch.ones(1), persistent=False)

        def forward(self, x, scale=1):
            return x * self.weight * scale

        def extra_repr(self):
            return f"size={self.weight.numel()}"

    return Leaf


def tree(torch, nn):
    Leaf = leaf_class(torch, nn)

    class Tree(nn.Module):
        def __init__(self):
            super().__init__()
            self.left = Leaf()
            self.right = nn.Sequential(Leaf(), nn.Sequential(Leaf()))
            self.again = self.left
            self.nothing = None
            self.root = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.right(self.left(x)) + self.root

    return Tree()


@scenario
def registering(torch, nn, say, attempt):
    Leaf = leaf_class(torch, nn)
    m = Leaf()
    for name in (3, "a.b", "", "weight", "forward", "mean", "training"):
        attempt(lambda name=name: m.register_parameter(name, nn.Parameter(torch.ones(1))))
        attempt(lambda name=name: m.register_buffer(name, torch.ones(1)))
        attempt(lambda name=name: m.add_module(name, Leaf()))
        attempt(lambda name=name: m.register_module(name, None))
    attempt(lambda: m.register_parameter("p", torch.ones(1)))
    attempt(lambda: m.register_parameter("p", 3))
    attempt(lambda: m.register_parameter("p", nn.Parameter(torch.ones(1)) * 2))
    attempt(lambda: m.register_buffer("p", 3))
    attempt(lambda: m.register_buffer("p", "text"))
    attempt(lambda: m.add_module("p", 3))
    attempt(lambda: m.add_module("p", torch.ones(1)))
    say(list(m._parameters), list(m._buffers), list(m._modules), m._non_persistent_buffers_set)


@scenario
def before_init(torch, nn, say, attempt):
    class Early(nn.Module):
        def __init__(self, value):
            self.value = value
            super().__init__()

    class Never(nn.Module):
        def __init__(self):
            pass

    attempt(lambda: Early(nn.Parameter(torch.ones(1))))
    attempt(lambda: Early(nn.ReLU()))
    attempt(lambda: Early(3).value)
    attempt(lambda: Never().register_buffer("a", torch.ones(1)))
    attempt(lambda: Never().register_parameter("a", None))
    attempt(lambda: Never().missing)
    attempt(lambda: nn.Module(3))
    attempt(lambda: nn.Module(x=3))
    attempt(lambda: nn.Module()(1))


@scenario
def attributes(torch, nn, say, attempt):
    Leaf = leaf_class(torch, nn)

    def put(m, name, value):
        setattr(m, name, value)
        tables = (list(m._parameters), list(m._buffers), list(m._modules))
        return tables, m._non_persistent_buffers_set, type(getattr(m, name)).__name__

    values = [
        lambda: None,
        lambda: 3,
        lambda: "text",
        lambda: torch.ones(1),
        lambda: nn.Parameter(torch.ones(1)),
        lambda: nn.Buffer(torch.ones(1)),
        lambda: nn.Buffer(torch.ones(1), persistent=False),
        lambda: nn.ReLU(),
        lambda: [1],
    ]
    for name in ("weight", "bias", "mean", "cache", "child", "plain", "fresh"):
        for value in values:
            m = Leaf()
            m.child = nn.ReLU()
            m.plain = 1
            attempt(lambda m=m, name=name, value=value: put(m, name, value()))
    m = Leaf()
    for name in ("weight", "mean", "cache", "bias", "training", "missing"):
        attempt(lambda name=name: delattr(m, name))
        attempt(lambda name=name: getattr(m, name))
    say(list(m._parameters), list(m._buffers), m._non_persistent_buffers_set)


@scenario
def tables_written_directly(torch, nn, say, attempt):
    m = leaf_class(torch, nn)()
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
    m._parameters["weight"] = p
    say(m.weight is p)
    m._parameters["other"] = q
    say(m.other is q)
    del m._parameters["other"]
    attempt(lambda: m.other)
    say(m._parameters.pop("weight") is p, m._parameters.pop("weight", None))
    attempt(lambda: m.weight)
    m._parameters.update(weight=q)
    say(m.weight is q, m._parameters.setdefault("weight", p) is q, m._parameters.popitem()[0])
    m._parameters |= {"bias": p}
    say(m.bias is p)
    m._parameters.clear()
    attempt(lambda: m.bias)
    attempt(lambda: m._parameters.popitem())
    m._buffers["mean"] = None
    say(m.mean)
    m._parameters = OrderedDict(a=p)
    say(m.a is p)
    m._parameters["b"] = q
    say(m.b is q)
    object.__setattr__(m, "b", 5)
    say(m.b, list(m._parameters))
    m._modules = {"child": nn.ReLU()}
    say(m.child)
    m._parameters = m._parameters.copy()
    say(m.b, m.a is p)

    class Hidden(nn.Module):
        act = None

        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.type = nn.Tanh()

    say(Hidden().act, callable(Hidden().type), Hidden())


@scenario
def tree_walks(torch, nn, say, attempt):
    m = tree(torch, nn)
    for duplicates in (True, False):
        say([n for n, _ in m.named_modules(remove_duplicate=duplicates)])
        say([n for n, _ in m.named_modules(prefix="p", remove_duplicate=duplicates)])
        say([n for n, _ in m.named_parameters(remove_duplicate=duplicates)])
        say([n for n, _ in m.named_buffers("p", remove_duplicate=duplicates)])
        say(len(list(m.modules(remove_duplicate=duplicates))))
    say([n for n, _ in m.named_parameters("p", recurse=False)], len(list(m.parameters())))
    say([n for n, _ in m.named_children()], len(list(m.children())), len(list(m.buffers(False))))
    say(m)
    order = []
    say(m.apply(lambda module: order.append(type(module).__name__)) is m, order)
    say(m.train(False).training, [c.training for c in m.modules()], m.train().right.training)
    attempt(lambda: m.train(1))
    say([p.requires_grad for p in m.requires_grad_(False).parameters()])


@scenario
def dotted_names(torch, nn, say, attempt):
    m = tree(torch, nn)
    for name in ("", "right.1.0", "right", "nope", "right.7", "root", "right.0.weight", "nothing"):
        attempt(lambda name=name: m.get_submodule(name))
        attempt(lambda name=name: m.get_parameter(name))
        attempt(lambda name=name: m.get_buffer(name))
    attempt(lambda: m.get_parameter("left.weight"))
    attempt(lambda: m.get_parameter("left.mean"))
    attempt(lambda: m.get_buffer("left.mean"))
    for name in ("", "left", "right.1.0", "right.5", "nope.x", "root", "left.weight", "new"):
        attempt(lambda name=name: m.set_submodule(name, nn.ReLU()))
        attempt(lambda name=name: m.set_submodule(name, nn.ReLU(), strict=True))
    attempt(lambda: m.set_submodule("left", 3))
    say(m)


@scenario
def directory(torch, nn, say, attempt):
    m = tree(torch, nn)
    public = [n for n in dir(m) if not n.startswith("_")]
    say([n for n in public if n in ("left", "right", "again", "nothing", "root", "training")])
    say([n for n in dir(m.right) if n.isdigit()], "0" in dir(nn.ModuleList([nn.ReLU()])))
    say(sorted(set(public)) == sorted(public))


@scenario
def state_dicts(torch, nn, say, attempt):
    m = tree(torch, nn)
    state = m.state_dict()
    say(list(state), type(state).__name__, state._metadata)
    say({n: (t.requires_grad, type(t).__name__) for n, t in state.items()})
    kept = m.state_dict(prefix="p.", keep_vars=True)
    say({n: (t.requires_grad, type(t).__name__) for n, t in kept.items()})
    attempt(lambda: list(m.state_dict({}, "q.", True)))
    attempt(lambda: list(m.state_dict(destination={"x": 1})))
    attempt(lambda: m.load_state_dict(state))
    attempt(lambda: m.load_state_dict({}))
    attempt(lambda: m.load_state_dict({}, strict=False))
    attempt(lambda: m.load_state_dict([]))
    attempt(lambda: m.load_state_dict({**state, "extra": 1, "left.more": 2, "right.0.a.b": 3}))
    attempt(lambda: m.load_state_dict({**state, "extra": 1, "left.more": 2}, strict=False))
    attempt(lambda: m.load_state_dict({**state, "root": torch.ones(2), "left.mean": 3}))
    attempt(lambda: m.load_state_dict({**state, "root": torch.ones(2)}, strict=False))
    scalar = nn.Module()
    scalar.s = nn.Parameter(torch.tensor(1.0))
    attempt(lambda: scalar.load_state_dict({"s": torch.tensor([4.0])}))
    attempt(lambda: scalar.load_state_dict({"s": torch.ones(1, 1)}))
    say(scalar.s)
    new = {n: t.clone() + 1 for n, t in state.items()}
    kept_objects = dict(m.named_parameters())
    attempt(lambda: m.load_state_dict(new, assign=True))
    say([m.get_parameter(n) is p for n, p in kept_objects.items()])
    say(m.left.weight, m.right[0].mean, m.left.weight.data_ptr() == new["left.weight"].data_ptr())
    m.root.requires_grad_(False)
    attempt(lambda: m.load_state_dict(kept, strict=False, assign=True))
    say(m.root.requires_grad)


@scenario
def extra_state(torch, nn, say, attempt):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = nn.Sequential(Counter()), nn.Sequential(Counter())
    a[0].count = 7
    say(a.state_dict())
    attempt(lambda: b.load_state_dict(a.state_dict()))
    say(b[0].count)
    attempt(lambda: b.load_state_dict({}))
    attempt(lambda: nn.Sequential(nn.ReLU()).load_state_dict(a.state_dict()))
    attempt(lambda: nn.ReLU().get_extra_state())
    attempt(lambda: nn.ReLU().set_extra_state(1))


@scenario
def state_hooks(torch, nn, say, attempt):
    m = tree(torch, nn)

    def post(module, state, prefix, metadata):
        say(type(module).__name__, prefix, metadata)
        state[prefix + "added"] = torch.ones(1)

    def replacing(module, state, prefix, metadata):
        return OrderedDict(replaced=torch.zeros(1))

    m.left.register_state_dict_pre_hook(lambda *args: say(type(args[0]).__name__, args[1:]))
    handle = m.left.register_state_dict_post_hook(post)
    say(list(m.state_dict()))
    attempt(lambda: m._register_state_dict_hook(post))
    handle.remove()
    m._register_state_dict_hook(replacing)
    say(list(m.state_dict()))
    n = nn.ReLU()
    n.register_state_dict_post_hook(lambda *args: 3)
    attempt(lambda: n.state_dict())

    loaded = tree(torch, nn)
    source = tree(torch, nn).state_dict()
    loaded.register_load_state_dict_pre_hook(
        lambda module, state, prefix, metadata, strict, missing, unexpected, errors: say(
            type(module).__name__, len(state), prefix, metadata, strict, missing, unexpected, errors
        )
    )
    loaded.left._register_load_state_dict_pre_hook(
        lambda state, prefix, *rest: state.pop(prefix + "mean")
    )
    loaded.left.register_load_state_dict_post_hook(lambda module, keys: say(keys))
    attempt(lambda: loaded.load_state_dict(source))
    loaded.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    attempt(lambda: loaded.load_state_dict(source))
    loaded.register_load_state_dict_post_hook(lambda module, keys: 3)
    attempt(lambda: loaded.load_state_dict(source))


@scenario
def forward_hooks(torch, nn, say, attempt):
    m = leaf_class(torch, nn)()
    x = torch.ones(2)
    say(m(x))
    h1 = m.register_forward_pre_hook(lambda module, args: say("pre", args))
    h2 = m.register_forward_pre_hook(lambda module, args: args[0] + 1)
    h3 = m.register_forward_pre_hook(lambda module, a, k: (a, {"scale": 2}), with_kwargs=True)
    h4 = m.register_forward_pre_hook(lambda module, args: say("first", args), prepend=True)
    say(m(x))
    h5 = m.register_forward_hook(lambda module, args, out: say("post", args, out))
    h6 = m.register_forward_hook(lambda module, args, out: out * 10, prepend=True)
    h7 = m.register_forward_hook(lambda module, a, k, out: say(a, k, out), with_kwargs=True)
    say(m(x, scale=5))
    for h in (h1, h3, h4, h6):
        h.remove()
    say(m(x))
    with m.register_forward_hook(lambda *args: 3):
        say(m(x))
    h2.remove(), h5.remove(), h7.remove(), h7.remove()
    say(m(x), len(m._forward_hooks), len(m._forward_pre_hooks))
    m.register_forward_pre_hook(lambda module, a, k: 3, with_kwargs=True)
    attempt(lambda: m(x))
    m._forward_pre_hooks.clear()
    attempt(lambda: m(x))
    m._forward_hooks = OrderedDict()
    m.register_forward_hook(lambda *args: say("after clearing"))
    attempt(lambda: m(x))


@scenario
def always_called_hooks(torch, nn, say, attempt):
    class Picky(leaf_class(torch, nn)):
        def forward(self, x, scale=1):
            if scale != 1:
                raise ValueError(f"no {scale}")
            return x + self.weight

    m = Picky()
    m.register_forward_hook(lambda module, args, out: say("always", args, out), always_call=True)
    m.register_forward_hook(
        lambda module, a, k, out: say(a, k, out), always_call=True, with_kwargs=True
    )
    m.register_forward_hook(lambda *args: say("only after success"))
    attempt(lambda: m(torch.ones(2)))
    attempt(lambda: m(torch.ones(2), scale="b"))
    m.register_forward_hook(lambda *args: [][1], always_call=True)
    attempt(lambda: m(torch.ones(2), scale="b"))
    attempt(lambda: m(torch.ones(2)))


@scenario
def backward_hooks(torch, nn, say, attempt):
    m = tree(torch, nn)
    m.left.register_full_backward_hook(lambda module, i, o: say("left", i, o))
    m.right.register_full_backward_hook(lambda module, i, o: (i[0] * 10,))
    m.right.register_full_backward_pre_hook(lambda module, o: say("pre", o))
    m.right.register_full_backward_pre_hook(lambda module, o: (o[0] + 1,), prepend=True)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    m(x).sum().backward()
    say(x.grad, m.left.weight.grad, m.root.grad)
    attempt(lambda: m(torch.ones(2)).sum().backward())
    attempt(lambda: m.right.register_backward_hook(print))
    with torch.no_grad():
        say(m(x).requires_grad)
    bad = nn.Identity()
    bad.register_full_backward_hook(lambda module, i, o: (i[0], i[0]))
    attempt(lambda: bad(x).sum().backward())
    bad = nn.Identity()
    bad.register_full_backward_pre_hook(lambda module, o: ())
    attempt(lambda: bad(x).sum().backward())
    bad = leaf_class(torch, nn)()
    bad.register_full_backward_hook(lambda module, i, o: (torch.ones(1),))
    attempt(lambda: bad(torch.ones(2)).sum().backward())

    class Several(nn.Module):
        def forward(self, a, b, c):
            return a * b, c, b + 1

    several = Several()
    several.register_full_backward_hook(lambda module, i, o: say(i, o))
    y = several(x, torch.ones(2), 3)
    (y[0].sum() + y[2].sum()).backward()

    class Dicts(nn.Module):
        def forward(self, a):
            return {"out": a * 2}

    dicts = Dicts()
    dicts.register_full_backward_hook(lambda module, i, o: say(i, o))
    attempt(lambda: type(dicts(x)).__name__)


@scenario
def old_backward_hooks(torch, nn, say, attempt):
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    class Two(nn.Module):
        def forward(self, a):
            return (a * 2) * 3

    class Nested(nn.Module):
        def forward(self, a):
            return [a * 2]

    class Pair(nn.Module):
        def forward(self, a):
            return a * 2, a + 1

    for module in (nn.Tanh(), Two(), Pair(), Nested()):
        module.register_backward_hook(lambda m, i, o: say(type(m).__name__, i, o))
        attempt(lambda module=module: module(x))
        out = module(x)
        out = out if isinstance(out, torch.Tensor) else out[0]
        out.sum().backward()
    attempt(lambda: module.register_full_backward_hook(print))


@scenario
def global_hooks(torch, nn, say, attempt):
    every = nn.modules.module
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    m = tree(torch, nn)
    name = lambda module: type(module).__name__
    handles = [
        every.register_module_forward_pre_hook(lambda module, args: say("pre", name(module), args)),
        every.register_module_forward_hook(
            lambda module, args, out: say("post", name(module), out)
        ),
        every.register_module_forward_hook(lambda m, a, k, out: say(k), with_kwargs=True),
        every.register_module_full_backward_hook(lambda m, i, o: say("back", name(m), i, o)),
        every.register_module_full_backward_pre_hook(lambda m, o: say("before", name(m), o)),
    ]
    m(x).sum().backward()
    attempt(lambda: every.register_module_backward_hook(print))
    say(bool(every._has_any_global_hook()))
    for handle in handles:
        handle.remove()
    say(m(x))
    handles = [
        every.register_module_parameter_registration_hook(lambda m, n, p: say(name(m), n, p)),
        every.register_module_buffer_registration_hook(lambda m, n, b: b + 1),
        every.register_module_module_registration_hook(lambda m, n, c: say(name(m), n, name(c))),
    ]
    m = tree(torch, nn)
    say(m.left.mean)
    for handle in handles:
        handle.remove()


@scenario
def conversions(torch, nn, say, attempt):
    def kinds(m):
        return [
            (n, t.dtype, t.requires_grad) for n, t in [*m.named_parameters(), *m.named_buffers()]
        ]

    m = leaf_class(torch, nn)()
    m.register_buffer("steps", torch.tensor(3))
    weight = m.weight
    m(torch.ones(2)).sum().backward()
    for method in ("double", "half", "bfloat16", "float", "cpu"):
        say(method, kinds(getattr(m, method)()), m.weight is weight, m.weight.grad)
    say(kinds(m.type(torch.float64)), kinds(m.float()))
    say(kinds(m.to(torch.float64)), kinds(m.to(torch.ones(1))), kinds(m.to("cpu", torch.float64)))
    say(kinds(m.to(device="cpu")), kinds(m.to(dtype=torch.float32, non_blocking=True)))
    say(kinds(m.to(None)), kinds(m.to(torch.device("cpu"), torch.float16, False)))
    attempt(lambda: kinds(m.to(torch.complex64)))
    wrong = [
        ((torch.int32,), {}),
        ((torch.ones(1, dtype=torch.int32),), {}),
        ((torch.float, torch.float), {}),
        (("cpu", "cpu"), {}),
        ((torch.strided,), {}),
        ((), {"foo": 1}),
        ((), {"dtype": 3}),
        ((), {"device": 3.5}),
        ((torch.preserve_format,), {}),
        (("cpu", torch.float64, True, True), {}),
        ((1, 2, 3, 4, 5), {}),
        ((), {"other": torch.ones(1)}),
        (("cpu",), {"copy": True}),
        (([1],), {}),
        ((torch.float64,), {"device": "cpu"}),
        (("cpu", None, 1), {}),
        ((torch.ones(1), torch.float), {}),
        (("cpu",), {"memory_format": 3}),
        (("nonsense",), {}),
    ]
    for args, kwargs in wrong:
        attempt(lambda args=args, kwargs=kwargs: m.to(*args, **kwargs))


@scenario
def meta_conversions(torch, nn, say, attempt):
    m = leaf_class(torch, nn)()
    weight = m.weight
    m.to("meta")
    say(m.weight.device, m.weight is weight, m.mean.device, m.weight.requires_grad)
    attempt(lambda: m.to("cpu"))
    attempt(lambda: m.load_state_dict(leaf_class(torch, nn)().state_dict()))
    m.to_empty(device="cpu")
    say(m.weight.device, m.weight.shape, m.bias)
    meta = leaf_class(torch, nn)().to("meta")
    attempt(lambda: meta.load_state_dict(leaf_class(torch, nn)().state_dict(), assign=True))
    say(meta.weight, meta.mean)


@scenario
def gradients(torch, nn, say, attempt):
    m = tree(torch, nn)
    m(torch.ones(2)).sum().backward()
    m.zero_grad(set_to_none=False)
    say([p.grad for p in m.parameters()])
    m.zero_grad()
    say([p.grad for p in m.parameters()])


@scenario
def parameters(torch, nn, say, attempt):
    data = torch.ones(2)
    p = nn.Parameter(data)
    say(p, p.data_ptr() == data.data_ptr(), p.is_leaf, type(p * 2).__name__, type(p.data).__name__)
    say(nn.Parameter(), nn.Parameter(data, requires_grad=False), nn.Parameter(p))
    with torch.no_grad():
        say(nn.Parameter(data).requires_grad)
    copied = copy.deepcopy(p)
    say(copied, copied is p, type(copied).__name__, type(copy.copy(p)).__name__)
    say(isinstance(p, nn.Parameter), isinstance(data, nn.Parameter), isinstance(p, torch.Tensor))
    attempt(lambda: nn.Parameter(torch.ones(2, dtype=torch.int64)))
    attempt(lambda: nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False))
    attempt(lambda: nn.Parameter(3))
    attempt(lambda: nn.Parameter([1.0]))
    for value in (p, nn.Parameter(data, requires_grad=False)):
        say(pickle.loads(pickle.dumps(value)))
    b = nn.Buffer(data, persistent=False)
    say(b, isinstance(b, nn.Buffer), isinstance(data, nn.Buffer), b.persistent)
    say(isinstance(b, nn.Parameter), nn.Buffer())


@scenario
def lazy_tensors(torch, nn, say, attempt):
    p = nn.UninitializedParameter(dtype=torch.float64)
    b = nn.UninitializedBuffer()
    say(p, b, nn.parameter.is_lazy(p), nn.parameter.is_lazy(b), isinstance(p, nn.Parameter))
    attempt(lambda: p.shape)
    attempt(lambda: p.share_memory_())
    say(copy.deepcopy(p), p.requires_grad, p.dtype)
    p.materialize((2, 3))
    say(type(p).__name__, p.shape, p.dtype, p.requires_grad)
    b.materialize(2, dtype=torch.int64)
    say(type(b).__name__, b.shape, b.dtype)


@scenario
def lazy_modules(torch, nn, say, attempt):
    class Scale(nn.Module):
        def __init__(self, device=None):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x * self.weight

    class LazyScale(nn.modules.lazy.LazyModuleMixin, Scale):
        cls_to_become = Scale

        def __init__(self):
            super().__init__()
            self.weight = nn.UninitializedParameter()

        def initialize_parameters(self, x):
            if self.has_uninitialized_params():
                with torch.no_grad():
                    self.weight.materialize(x.shape[-1:])
                    self.weight.fill_(2.0)

    m = nn.Sequential(LazyScale())
    say(m, list(m.state_dict()), m[0].weight, m[0].has_uninitialized_params())
    attempt(lambda: Scale().load_state_dict(m[0].state_dict()))
    say(m(torch.ones(3)), m, m[0].weight, hasattr(m[0], "_initialize_hook"))
    other = LazyScale()
    attempt(lambda: other.load_state_dict(m[0].state_dict()))
    say(other.weight, other)
    say(other(torch.ones(3)), other)
    fresh = LazyScale()
    attempt(lambda: fresh.load_state_dict(LazyScale().state_dict()))

    class Unfinished(nn.modules.lazy.LazyModuleMixin, Scale):
        def __init__(self):
            super().__init__()
            self.weight = nn.UninitializedParameter()

    attempt(lambda: Unfinished()(torch.ones(1)))
    Unfinished.initialize_parameters = lambda self, x: None
    attempt(lambda: Unfinished()(torch.ones(1)))


@scenario
def copies(torch, nn, say, attempt):
    m = tree(torch, nn)
    m.left.register_forward_hook(hook_for_copies)
    deep = copy.deepcopy(m)
    say(deep, deep.again is deep.left, deep.left.weight is m.left.weight, deep.left.weight)
    say(len(deep.left._forward_hooks), deep(torch.ones(2)))
    deep.left.weight = nn.Parameter(torch.zeros(2))
    deep.left._parameters["bias"] = nn.Parameter(torch.ones(2))
    say(deep.left.weight, deep.left.bias, m.left.weight, m.left.bias)
    shallow = copy.copy(m)
    say(shallow.left is m.left, shallow.root is m.root)
    shallow.root = nn.Parameter(torch.zeros(1))
    say(shallow.root is m.root, m.root)
    del shallow.root
    attempt(lambda: m.root)
    say(sorted(k for k in m.left.__getstate__() if not k.startswith("_")))


def hook_for_copies(module, args, output):
    return output + 1


@scenario
def pickles(torch, nn, say, attempt):
    m = nn.Sequential(nn.ReLU(), nn.ModuleList([nn.Tanh()]), nn.ParameterDict({"a": torch.ones(2)}))
    m[0].register_forward_hook(hook_for_copies)
    m.register_buffer("mean", torch.zeros(1), persistent=False)
    back = pickle.loads(pickle.dumps(m))
    say(back, back[2]["a"], list(back.state_dict()), back[0](torch.ones(1)), back.training)
    say(back.mean, [n for n, _ in back.named_parameters()])
    back[2]["a"] = torch.zeros(1)
    say(back[2].a, back[2]._parameters["a"])


class OwnState:
    """Mixed into a module: pickles its `__dict__` past Module's own methods."""

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__ = state


@scenario
def own_state_methods(torch, nn, say, attempt):
    class Own(OwnState, nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.act = nn.ReLU()

    m = Own()
    deep = copy.deepcopy(m)
    say(deep, deep.weight is m.weight, deep.weight is deep._parameters["weight"])
    deep._parameters["weight"] = nn.Parameter(torch.zeros(1))
    say(deep.weight, m.weight)
    deep.to("meta")
    say(deep.weight.device)
    replica = m._replicate_for_data_parallel()
    say(list(replica._parameters), replica.act is m.act)
    replica.weight = torch.ones(1)
    say(list(replica._parameters), m.weight)


@scenario
def sequential(torch, nn, say, attempt):
    def make():
        return nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.ELU())

    s = make()
    say(s, len(s), s[0], s[-1], s[1:3], s[::2], list(s), nn.Sequential())
    for index in (4, -5, "a", 1.5):
        attempt(lambda index=index: s[index])
        attempt(lambda index=index: make().pop(index))
    s[1] = nn.GELU()
    del s[0]
    say(s)
    del s[1:]
    say(s, s.append(nn.ReLU()) is s, s.extend([nn.Tanh(), nn.ELU()]))
    say(s.insert(0, nn.Sigmoid()), s.insert(-1, nn.SELU()))
    attempt(lambda: s.insert(9, nn.ReLU()))
    attempt(lambda: s.append(3))
    say(make().pop(1), make().pop(slice(0, 2)), make() + make())
    attempt(lambda: make() + [nn.ReLU()])
    t = make()
    t += nn.Sequential(nn.SELU())
    say(t)

    def add_wrong():
        t = make()
        t += 3

    attempt(add_wrong)
    say(nn.Sequential(nn.ReLU()) * 3, 2 * nn.Sequential(nn.ReLU(), nn.Tanh()))
    for factor in (0, -1, 1.5, "a"):
        attempt(lambda factor=factor: make() * factor)
    u = nn.Sequential(nn.ReLU(), nn.Tanh())
    u *= 2
    say(u)
    named = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Tanh()))
    say(named, named.first, named[1], named[0:1], named(torch.ones(1)))
    attempt(lambda: nn.Sequential(3))
    attempt(lambda: nn.Sequential(OrderedDict({"a.b": nn.ReLU()})))
    attempt(lambda: nn.Sequential([nn.ReLU()]))
    same = nn.ReLU()
    say(len(list(nn.Sequential(same, same).children())), nn.Sequential(same, same))


@scenario
def module_lists(torch, nn, say, attempt):
    items = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)] + [nn.ReLU(), nn.ReLU(), nn.Tanh()])
    say(items, nn.ModuleList(), len(items), items[-1], items[1:3], nn.ModuleList([items, items]))
    for index in (6, -7, "a"):
        attempt(lambda index=index: items[index])
    items[0] = nn.Sigmoid()
    items.insert(1, nn.ELU())
    del items[2]
    del items[-1]
    del items[0:2]
    say(items, items.append(nn.GELU()) is items, items.extend([nn.SELU()]), items.pop(0))
    items += [nn.ReLU()]
    say(items, items + [nn.Tanh()], list(items._modules))
    attempt(lambda: items.extend(3))
    attempt(lambda: items.append(3))
    attempt(lambda: items(1))
    attempt(lambda: nn.ModuleList(nn.ReLU()))


@scenario
def module_dicts(torch, nn, say, attempt):
    d = nn.ModuleDict({"b": nn.ReLU(), "a": nn.Tanh()})
    say(d, len(d), list(d), "a" in d, list(d.keys()), list(d.items()), list(d.values()), d["a"])
    d["c"] = nn.ELU()
    d.update([("x", nn.ReLU()), ["y", nn.Tanh()]])
    d.update(nn.ModuleDict({"z": nn.ReLU()}))
    say(d.pop("x"), d)
    del d["b"]
    for wrong in (3, [3], [(1, 2, 3)], [("q", 3)], {"keys": nn.ReLU()}, {"a.b": nn.ReLU()}):
        attempt(lambda wrong=wrong: d.update(wrong))
    attempt(lambda: d["nope"])
    attempt(lambda: d.pop("nope"))
    attempt(lambda: d(1))
    d.clear()
    say(d, len(d))
    attempt(lambda: d.a)


@scenario
def parameter_lists(torch, nn, say, attempt):
    ps = nn.ParameterList([nn.Parameter(torch.ones(2, 3)), torch.zeros(2), 3, "text"])
    say(ps, len(ps), ps[1], ps[-1], ps[0:2], list(ps)[2:], nn.ParameterList())
    ps[2] = torch.ones(1)
    ps += [torch.ones(4)]
    say(ps.append(nn.Parameter(torch.tensor(1.0))), ps.extend([1]), list(ps.state_dict()))
    for index in (99, -99, "a"):
        attempt(lambda index=index: ps[index])
    attempt(lambda: ps.extend(3))
    attempt(lambda: ps.extend(torch.ones(2)))
    attempt(lambda: ps())
    attempt(lambda: ps.pop())
    say("0" in dir(ps), [n for n, _ in ps.named_parameters()])


@scenario
def parameter_dicts(torch, nn, say, attempt):
    d = nn.ParameterDict({"b": torch.ones(2, 3), "a": nn.Parameter(torch.zeros(2)), "n": 3})
    say(d, len(d), list(d), list(reversed(d)), "a" in d, d["a"], list(d.items()), list(d.values()))
    say(list(nn.ParameterDict(OrderedDict(b=torch.ones(1), a=torch.ones(1)))))
    say(list(nn.ParameterDict([("b", torch.ones(1)), ("a", torch.ones(1))])))
    say(d.get("nope"), d.get("nope", 5), d.setdefault("s", torch.ones(1)), d.setdefault("a"))
    say(d.copy(), d.fromkeys(["x", "y"], 3), d.pop("n"), d.popitem(), list(d.keys()))
    say(d | nn.ParameterDict({"z": torch.ones(1)}), nn.ParameterDict({"z": 1}) | d)
    d |= {"i": torch.ones(1)}
    del d["i"]
    for wrong in (3, [3], [(1, 2, 3)], {3: torch.ones(1)}):
        attempt(lambda wrong=wrong: nn.ParameterDict().update(wrong))
    attempt(lambda: d[3])
    attempt(lambda: d["nope"])
    attempt(lambda: d("x"))
    attempt(lambda: nn.ParameterDict().popitem())
    d.clear()
    say(d, len(d))


@scenario
def printing(torch, nn, say, attempt):
    class Odd(nn.Module):
        def __init__(self, text):
            super().__init__()
            self.text = text

        def extra_repr(self):
            return self.text

    for text in ("", "a=1", "a=1\nb=2", "a\n\nb"):
        plain = Odd(text)
        say(plain, nn.Sequential(plain, plain), nn.ModuleList([plain, plain, nn.ReLU()]))
        plain.child = nn.Sequential(Odd(text), nn.ReLU())
        say(plain, nn.ModuleList([plain, plain]), nn.ModuleDict({"k": plain}))
    say(str(nn.Sequential()), nn.Module())
    empty = nn.Module()
    empty.register_module("none", None)
    say(empty)


@scenario
def initialization(torch, nn, say, attempt):
    init = nn.init
    calls = [
        (init.uniform_, (-2.0, 3.0)),
        (init.normal_, (1.0, 2.0)),
        (init.trunc_normal_, ()),
        (init.trunc_normal_, (0.0, 1.0, 1.5, 3.0)),
        (init.trunc_normal_, (5.0, 1.0, -1.0, 1.0)),
        (init.constant_, (0.3,)),
        (init.ones_, ()),
        (init.zeros_, ()),
        (init.eye_, ()),
        (init.dirac_, ()),
        (init.xavier_uniform_, ()),
        (init.xavier_uniform_, (2.0,)),
        (init.xavier_normal_, ()),
        (init.kaiming_uniform_, ()),
        (init.kaiming_uniform_, (0.1, "fan_out", "leaky_relu")),
        (init.kaiming_uniform_, (0, "fan_in", "relu")),
        (init.kaiming_uniform_, (0, "nonsense")),
        (init.kaiming_normal_, (0, "fan_out", "tanh")),
        (init.sparse_, (0.4,)),
        (init.uniform, ()),
        (init.xavier_normal, ()),
    ]
    for shape in ((4, 5), (2, 3, 3), (0, 3), (7,)):
        for function, args in calls:
            say(function.__name__, shape)
            p = nn.Parameter(torch.zeros(shape))
            attempt(lambda p=p, function=function, args=args: function(p, *args))
    for kind in ("linear", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "nope"):
        attempt(lambda kind=kind: init.calculate_gain(kind))
    for slope in (0.3, 2, True, "a"):
        attempt(lambda slope=slope: init.calculate_gain("leaky_relu", slope))
    attempt(lambda: init.dirac_(torch.zeros(4, 2, 3, 3), 2))
    attempt(lambda: init.dirac_(torch.zeros(3, 2, 3), 2))
    generator = torch.Generator().manual_seed(3)
    say(init.xavier_uniform_(torch.zeros(2, 2), generator=generator))


@scenario
def orthogonal_initialization(torch, nn, say, attempt):
    # The factors of a QR differ in the last digits between libraries of linear algebra.
    for shape in ((3, 5), (5, 3), (4, 2, 2), (0, 3), (3,)):
        attempt(
            lambda shape=shape: (nn.init.orthogonal_(torch.zeros(shape), 2) * 1000).round() + 0.0
        )


@scenario
def factory_arguments(torch, nn, say, attempt):
    say(nn.factory_kwargs(None), nn.factory_kwargs({"dtype": torch.float64, "device": None}))
    say(nn.factory_kwargs({"factory_kwargs": {"dtype": torch.float32}}))
    attempt(lambda: nn.factory_kwargs({"nope": 1}))
    attempt(lambda: nn.factory_kwargs({"dtype": 1, "factory_kwargs": {"dtype": 2}}))


@pytest.mark.parametrize("function", SCENARIOS, ids=lambda f: f.__name__)
def test_scenario(function):
    assert observe(function, flambeau) == observe(function, torch)

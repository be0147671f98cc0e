"""nn.Module and its surroundings, without torch: tables, attributes, hooks, state, printing."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import flambeau as torch
from flambeau import nn


class Leaf(nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.register_parameter("bias", None)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("cache", torch.zeros(1), persistent=False)

    def forward(self, x, scale=1):
        return x * self.weight * scale


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = Leaf()
        self.right = nn.Sequential(Leaf(), nn.Sequential(Leaf()))
        self.again = self.left

    def forward(self, x):
        return self.right(self.left(x))


def test_every_listed_name_exists():
    for name in nn.__all__:
        assert getattr(nn, name) is not None
        assert name in dir(nn)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nn.nonsense


# ---- tables and attributes -----------------------------------------------------------------------


def test_entries_are_plain_attributes():
    m = Leaf()
    assert m.__dict__["weight"] is m._parameters["weight"]
    assert m.__dict__["bias"] is None
    assert list(m._parameters) == ["weight", "bias"]
    assert list(m._buffers) == ["mean", "cache"]
    assert dir(m).count("weight") == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda table, p: table.__setitem__("weight", p),
        lambda table, p: table.update(weight=p),
        lambda table, p: table.update({"weight": p}),
        lambda table, p: table.__ior__({"weight": p}),
        lambda table, p: (table.pop("weight"), table.setdefault("weight", p)),
    ],
)
def test_writing_to_a_table_shows_in_the_attribute(write):
    m = Leaf()
    p = nn.Parameter(torch.zeros(3))
    write(m._parameters, p)
    assert m.weight is p
    assert m.__dict__["weight"] is p


@pytest.mark.parametrize(
    "remove",
    [
        lambda m: delattr(m, "weight"),
        lambda m: m._parameters.pop("weight"),
        lambda m: m._parameters.__delitem__("weight"),
        lambda m: m._parameters.clear(),
        lambda m: (m._parameters.pop("bias"), m._parameters.popitem()),
    ],
)
def test_removing_from_a_table_removes_the_attribute(remove):
    m = Leaf()
    remove(m)
    with pytest.raises(AttributeError, match="'Leaf' object has no attribute 'weight'"):
        m.weight
    assert "weight" not in m.__dict__


def test_a_table_of_the_users_own_is_obeyed():
    m = Leaf()
    own = OrderedDict(weight=nn.Parameter(torch.zeros(1)))
    m._parameters = own
    assert m._parameters is own
    assert m.weight is own["weight"]
    own["weight"] = nn.Parameter(torch.zeros(4))
    assert m.weight.shape == (4,)
    assert not hasattr(m, "bias")


def test_an_entry_does_not_hide_what_the_class_defines():
    class Odd(nn.Module):
        act = "class attribute"

        def __init__(self):
            super().__init__()
            self.act = nn.Identity()
            self.half = nn.Identity()

    m = Odd()
    assert m.act == "class attribute"
    assert m.half() is m
    assert list(m._modules) == ["act", "half"]


def test_an_attribute_set_past_the_module_hides_the_entry():
    m = Leaf()
    p = m.weight
    object.__setattr__(m, "weight", "hidden")
    m._parameters["weight"] = nn.Parameter(torch.zeros(5))
    assert m.weight == "hidden"
    del m.__dict__["weight"]
    assert m.weight.shape == (5,)
    m.weight = p
    assert m.__dict__["weight"] is p


def test_moving_a_name_between_the_kinds():
    m = nn.Module()
    m.x = None
    m.x = nn.Parameter(torch.ones(1))
    assert list(m._parameters) == ["x"]
    m.x = None
    assert m._parameters == {"x": None}
    del m.x
    m.x = nn.Buffer(torch.ones(1), persistent=False)
    assert list(m._buffers) == ["x"] and m._non_persistent_buffers_set == {"x"}
    m.x = nn.Identity()
    assert not m._buffers and not m._non_persistent_buffers_set
    m.x = nn.Parameter(torch.ones(1))
    assert list(m._parameters) == ["x"] and not m._modules


def test_a_module_is_freed_without_the_collector():
    gc.disable()
    try:
        m = Tree()
        inner = weakref.ref(m.right[1][0])
        del m
        assert inner() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("action", "error", "text"),
    [
        (
            lambda m: m.register_parameter("a.b", None),
            KeyError,
            'parameter name can\'t contain "."',
        ),
        (lambda m: m.register_buffer("", None), KeyError, "buffer name can't be empty string"),
        (lambda m: m.add_module("forward", None), KeyError, "attribute 'forward' already exists"),
        (lambda m: m.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (
            lambda m: m.register_parameter("x", torch.ones(1)),
            TypeError,
            "cannot assign 'torch.FloatTensor' object to parameter 'x' "
            "(torch.nn.Parameter or None required)",
        ),
        (
            lambda m: m.register_parameter("x", m.weight * 2),
            TypeError,
            "cannot assign 'torch.FloatTensor' object to parameter 'x'",
        ),
        (
            lambda m: setattr(m, "weight", torch.ones(1)),
            TypeError,
            "cannot assign 'torch.FloatTensor' as parameter 'weight' "
            "(torch.nn.Parameter or None expected)",
        ),
        (
            lambda m: setattr(m, "mean", 3),
            TypeError,
            "cannot assign 'int' as buffer 'mean' (torch.nn.Buffer, torch.Tensor or None expected)",
        ),
        (lambda m: nn.Module(1), TypeError, "Module.__init__() takes 1 positional argument but 2"),
        (lambda m: nn.Module()(1), NotImplementedError, 'missing the required "forward" function'),
        (lambda m: m.get_submodule("nope"), AttributeError, "Leaf has no attribute `nope`"),
        (lambda m: m.train(1), ValueError, "training mode is expected to be boolean"),
        (
            lambda m: m.to(torch.int32),
            TypeError,
            "nn.Module.to only accepts floating point or complex dtypes, but got desired "
            "dtype=torch.int32",
        ),
        (
            lambda m: m.to("cpu", 3),
            TypeError,
            "to() received an invalid combination of arguments - got (str, int), "
            "but expected one of:",
        ),
    ],
)
def test_wrong_use(action, error, text):
    with pytest.raises(error) as raised:
        action(Leaf())
    assert text in raised.value.args[0]


# ---- walks ---------------------------------------------------------------------------------------


def test_walks():
    m = Tree()
    names = ["", "left", "right", "right.0", "right.1", "right.1.0"]
    assert [n for n, _ in m.named_modules()] == names
    assert [n for n, _ in m.named_modules(remove_duplicate=False)] == [*names, "again"]
    own = ["p.left.weight", "p.right.0.weight", "p.right.1.0.weight"]
    assert [n for n, _ in m.named_parameters("p")] == own
    assert len(list(m.parameters())) == 3
    assert len(list(m.named_parameters(remove_duplicate=False))) == 4
    assert [n for n, _ in m.named_children()] == ["left", "right"]
    order = []
    m.apply(lambda module: order.append(type(module).__name__))
    assert order == ["Leaf", "Leaf", "Leaf", "Sequential", "Sequential", "Tree"]
    assert not any(c.training for c in m.eval().modules())


def test_overridden_walks_are_used():
    class Own(Leaf):
        def named_parameters(self, *args, **kwargs):
            yield "own", self.weight

        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            yield prefix + "!", self

    assert [n for n, _ in nn.Sequential(Own()).named_modules()] == ["", "0!"]
    assert len(list(Own().parameters())) == 1


# ---- hooks ---------------------------------------------------------------------------------------


def test_modules_without_hooks_hold_no_tables():
    m = Leaf()
    m(torch.ones(2))
    m.state_dict()
    assert not any("hooks" in name for name in m.__dict__)


def test_forward_hooks_in_order():
    m, seen = Leaf(), []
    m.register_forward_pre_hook(lambda module, args: seen.append("pre"))
    m.register_forward_pre_hook(lambda module, a, k: (a, {"scale": 3}), with_kwargs=True)
    m.register_forward_hook(lambda module, args, out: seen.append("post"))
    m.register_forward_hook(lambda module, args, out: out + 1, prepend=True)
    assert m(torch.ones(2)).tolist() == [4.0, 4.0]
    assert seen == ["pre", "post"]


def test_hooks_written_straight_into_the_table():
    m, seen = nn.Identity(), []
    m._forward_hooks[7] = lambda *args: seen.append(1)
    m(1)
    m._forward_hooks.clear()
    m(1)
    m._forward_hooks = OrderedDict()
    m(1)
    handle = m.register_forward_hook(lambda *args: seen.append(2))
    m(1)
    handle.remove()
    m(1)
    assert seen == [1, 2]


def test_always_called_hook_runs_when_forward_fails():
    m, seen = Leaf(), []
    m.register_forward_hook(lambda module, args, out: seen.append(out), always_call=True)
    with pytest.raises(TypeError):
        m(None)
    assert seen == [None]


def test_global_hooks():
    seen = []
    hook = nn.modules.module.register_module_forward_hook(lambda m, i, o: seen.append(m))
    m = nn.Sequential(nn.Identity())
    m(1)
    hook.remove()
    m(1)
    assert seen == [m[0], m]
    assert not m._has_call_hooks


def test_backward_hooks():
    m, seen = Leaf(), []
    m.register_full_backward_hook(lambda module, i, o: seen.append((i[0], o[0])))
    m.register_full_backward_pre_hook(lambda module, o: (o[0] * 2,))
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    m(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    assert m.weight.grad.tolist() == [2.0, 4.0]
    assert [[t.tolist() for t in pair] for pair in seen] == [[[2.0, 2.0], [2.0, 2.0]]]
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full"):
        m.register_backward_hook(print)


# ---- state ---------------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_has_versions():
    m = Tree()
    state = m.state_dict()
    assert list(state)[:2] == ["left.weight", "left.mean"]
    assert not state["left.weight"].requires_grad
    assert state["left.weight"].data_ptr() == m.left.weight.data_ptr()
    assert state._metadata["right.1"] == {"version": 1}
    assert m.state_dict(keep_vars=True)["left.weight"] is m.left.weight


def test_load_state_dict_reports_everything_at_once():
    m = nn.Sequential(Leaf(), Leaf())
    state = m.state_dict()
    del state["0.mean"]
    state["1.weight"] = torch.ones(3)
    state["more"] = torch.ones(1)
    with pytest.raises(RuntimeError) as raised:
        m.load_state_dict(state)
    assert str(raised.value) == (
        "Error(s) in loading state_dict for Sequential:\n"
        '\tMissing key(s) in state_dict: "0.mean". \n'
        '\tUnexpected key(s) in state_dict: "more". \n'
        "\tsize mismatch for 1.weight: copying a param with shape torch.Size([3]) from checkpoint, "
        "the shape in current model is torch.Size([2])."
    )
    del state["1.weight"]
    keys = m.load_state_dict(state, strict=False)
    assert keys == (["0.mean", "1.weight"], ["more"])
    assert repr(keys) == (
        "_IncompatibleKeys(missing_keys=['0.mean', '1.weight'], unexpected_keys=['more'])"
    )


def test_load_state_dict_copies_or_assigns():
    source, copied, assigned = Leaf(), Leaf(), Leaf()
    source.weight.data.fill_(5.0)
    kept = copied.weight
    assert repr(copied.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert copied.weight is kept and kept.tolist() == [5.0, 5.0]
    assigned.load_state_dict(source.state_dict(), assign=True)
    assert assigned.weight.data_ptr() == source.weight.data_ptr()
    assert assigned.weight.requires_grad


def test_conversion_keeps_the_parameter_object():
    m = Leaf()
    m.register_buffer("steps", torch.tensor(3))
    weight = m.weight
    m(torch.ones(2)).sum().backward()
    m.double()
    assert m.weight is weight and weight.dtype == torch.float64
    assert weight.grad.dtype == torch.float64 and weight.requires_grad
    assert m.mean.dtype == torch.float64 and m.steps.dtype == torch.int64
    m.to("meta")
    assert m.weight is not weight and m.weight.is_meta
    m.to_empty(device="cpu")
    assert m.weight.shape == (2,)


# ---- copies --------------------------------------------------------------------------------------


def test_deepcopy_is_independent():
    m = Tree()
    twin = copy.deepcopy(m)
    assert twin.again is twin.left and twin.left is not m.left
    twin.left._parameters["weight"] = nn.Parameter(torch.zeros(2))
    assert twin.left.weight.tolist() == [0.0, 0.0] and m.left.weight.tolist() == [1.0, 1.0]


def test_shallow_copy_shares_the_tables():
    m = Leaf()
    twin = copy.copy(m)
    twin.weight = nn.Parameter(torch.zeros(3))
    assert m.weight is twin.weight
    del m.weight
    assert not hasattr(twin, "weight")


def add_one(module, args, output):
    return output + 1


def test_pickle():
    m = Tree()
    m.left.register_forward_hook(add_one)
    back = pickle.loads(pickle.dumps(m))
    assert repr(back) == repr(m)
    assert torch.equal(back(torch.ones(2)), m(torch.ones(2)))
    back.left._parameters["weight"] = nn.Parameter(torch.zeros(2))
    assert back.left.weight.tolist() == [0.0, 0.0]
    p = pickle.loads(pickle.dumps(nn.Parameter(torch.ones(2), requires_grad=False)))
    assert type(p) is nn.Parameter and not p.requires_grad


# ---- printing and containers ---------------------------------------------------------------------


def test_printing():
    m = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Sequential(nn.Identity())])
    assert repr(m) == (
        "ModuleList(\n  (0-1): 2 x Identity()\n  (2): Sequential(\n    (0): Identity()\n  )\n)"
    )
    assert repr(nn.Parameter(torch.zeros(2))) == (
        "Parameter containing:\ntensor([0., 0.], requires_grad=True)"
    )
    parameters = nn.ParameterDict({"a": torch.ones(2, 3), "n": 3})
    assert repr(parameters) == (
        "ParameterDict(\n"
        "    (a): Parameter containing: [torch.FloatTensor of size 2x3]\n"
        "    (n): Object of type: int\n"
        ")"
    )


def test_sequential_is_a_list():
    a, b, c = nn.Identity(), Leaf(), nn.Identity()
    s = nn.Sequential(a, b, c)
    assert s[-1] is c and list(s[1:]) == [b, c]
    del s[0]
    assert list(s._modules) == ["0", "1"] and s[0] is b
    s.insert(0, a).append(c)
    assert list(s) == [a, b, c, c]
    assert s.pop(1) is b and len(s * 2) == 6 and len(s + s) == 6
    assert s._modules["1"] is s.__dict__["1"]
    with pytest.raises(IndexError, match="index 3 is out of range"):
        s[3]


# ---- initialization and clipping -----------------------------------------------------------------


def test_initialization_draws_as_torch_does():
    # Printed by torch 2.13 for the same seed.
    torch.manual_seed(0)
    values = nn.init.xavier_uniform_(torch.empty(2, 3)).flatten().tolist()
    expected = [-0.008201, 0.587645, -0.901601, -0.806181, -0.421915, 0.293752]
    assert values == pytest.approx(expected, abs=1e-5)
    values = nn.init.kaiming_normal_(torch.empty(2, 3)).flatten().tolist()
    expected = [1.032426, -0.561281, 0.130951, -0.495165, -0.639369, 0.867259]
    assert values == pytest.approx(expected, abs=1e-5)


def test_clipping():
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5.0
    assert p.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)
    nn.utils.clip_grad_value_([p], 0.7)
    assert p.grad.tolist() == pytest.approx([0.6, 0.7], rel=1e-5)

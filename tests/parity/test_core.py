"""flambeau.core against torch: dtypes, promotion, shapes, strides, devices, and their error texts.

Strides have their own file, test_core_strides.py.
"""

import copy
import pickle
import random

import pytest

torch = pytest.importorskip("torch")

import numpy

from flambeau.core import device as devices
from flambeau.core import dtype as dtypes
from flambeau.core import errors, layout, promotion, shape
from flambeau.core.dtype import DTYPES

NAMES = list(DTYPES)


def outcome(call):
    """What a call gives: its value, or its exception's class and first line."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - every class is compared
        return type(error), str(error).split("\n")[0]


def as_torch(dtype):
    return getattr(torch, dtype.name)


# -- dtype -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_dtype_attributes(name):
    ours, theirs = DTYPES[name], getattr(torch, name)
    for attribute in ("itemsize", "is_floating_point", "is_complex", "is_signed", "abbr"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert repr(ours) == str(ours) == repr(theirs)
    assert ours.tensor_type == torch.empty(0, dtype=theirs).type()
    assert str(outcome(ours.to_complex)) == str(outcome(theirs.to_complex))
    assert repr(ours.to_real()) == repr(theirs.to_real())
    assert pickle.loads(pickle.dumps(ours)) is copy.deepcopy(ours) is copy.copy(ours) is ours
    if ours.numpy_name:
        assert numpy.dtype(ours.numpy_name).itemsize == ours.itemsize
    bare = name in ("bfloat16", "complex32") or name.startswith("float8")
    assert (ours.numpy_name is None) == bare


def test_dtype_c_names():
    for name, ours in DTYPES.items():
        other = torch.float32 if name != "float32" else torch.float64
        with pytest.raises(RuntimeError) as error:
            torch.mm(torch.zeros(1, 1, dtype=getattr(torch, name)), torch.zeros(1, 1, dtype=other))
        c_name = "float" if name != "float32" else "double"
        text = str(errors.same_dtype_matmul(ours.c_name, c_name)).split("\n")[0]
        assert text == str(error.value)


def test_dtype_aliases_and_types():
    for alias, ours in dtypes.ALIASES.items():
        assert getattr(torch, alias) == as_torch(ours)
    assert repr(dtypes.dtype) == repr(torch.dtype)
    assert repr(dtypes.finfo) == repr(torch.finfo)
    assert repr(shape.Size) == repr(torch.Size)
    assert repr(devices.device) == repr(torch.device)
    assert repr(layout.layout) == repr(torch.layout)


@pytest.mark.parametrize("name", NAMES)
def test_limits(name):
    for limits in ("finfo", "iinfo"):
        ours = outcome(lambda: getattr(dtypes, limits)(DTYPES[name]))  # noqa: B023
        theirs = outcome(lambda: getattr(torch, limits)(getattr(torch, name)))  # noqa: B023
        assert repr(ours) == repr(theirs)
        for attribute in dir(theirs):
            if not attribute.startswith("_") and not isinstance(theirs, tuple):
                assert getattr(ours, attribute) == getattr(theirs, attribute), attribute


PUBLIC = {
    "finfo": dtypes.finfo,
    "iinfo": dtypes.iinfo,
    "dtype": dtypes.dtype,
    "Size": shape.Size,
    "device": devices.device,
    "layout": layout.layout,
    "memory_format": layout.memory_format,
    "strided": layout.strided,
    "channels_last": layout.channels_last,
    "preserve_format": layout.preserve_format,
    "set_default_dtype": dtypes.set_default_dtype,
    "get_default_dtype": dtypes.get_default_dtype,
    "promote_types": promotion.promote_types,
    "can_cast": promotion.can_cast,
    "set_default_device": devices.set_default_device,
    "get_default_device": devices.get_default_device,
    "broadcast_shapes": lambda *shapes: shape.check_broadcast_shapes(shapes),
    **DTYPES,
    **dtypes.ALIASES,
}

SAME_EXPRESSIONS = """
    t.finfo()
    t.finfo(None)
    t.finfo("a")
    t.finfo(foo=1)
    t.finfo(type=t.float64)
    t.finfo(t.float32, t.float32)
    t.finfo(t.complex64) == t.finfo(t.float32)
    t.iinfo()
    t.iinfo(3)
    t.iinfo(t.int8) == t.iinfo(t.int8)
    t.iinfo(t.int8) == t.finfo()
    t.finfo().max.hex()
    t.finfo(t.bfloat16).tiny
    setattr(t.finfo(), "max", 1)
    t.dtype()
    t.layout()
    t.memory_format()
    type("D", (t.dtype,), {})
    type("D", (t.Size,), {})
    type("D", (t.finfo,), {})
    type("D", (t.layout,), {})
    setattr(t.float32, "itemsize", 1)
    setattr(t.float32, "foo", 1)
    t.float32.foo
    t.strided
    t.channels_last
    t.preserve_format
    t.set_default_dtype(t.int64)
    t.set_default_dtype(t.complex64)
    t.set_default_dtype("float32")
    t.set_default_dtype(None)
    t.promote_types(1, t.int8)
    t.promote_types(t.int8, "a")
    t.can_cast(1, t.int8)
    t.can_cast(t.int8, to=t.float32)
    t.Size([2, 3])
    t.Size()
    t.Size([1.5])
    t.Size(["a"])
    t.Size(3)
    t.Size([True])
    t.Size((2, 3))[0:1]
    t.Size((2, 3))[-1]
    t.Size((2, 3))[5]
    t.Size([2]) + t.Size([3])
    t.Size([2]) + (3,)
    (3,) + t.Size([2])
    t.Size([2]) + [3]
    t.Size([2]) + ("a",)
    t.Size([2]) * 2
    2 * t.Size([2])
    t.Size([2]) * 1.5
    t.Size([2]) * True
    t.Size([2]).numel(), t.Size([]).numel(), t.Size([0, 3]).numel()
    t.Size([2, 3]) == (2, 3), hash(t.Size([2])) == hash((2,))
    f"{t.Size([2, 3])} %s" % (t.Size([4]),)
    t.Size([2, 3]).index(3), t.Size([2, 2]).count(2)
    list(t.Size([2, 3]))
    t.broadcast_shapes((2,), (3, 1), (1, 1, 1))
    t.broadcast_shapes()
    t.broadcast_shapes(3, (2, 1))
    t.broadcast_shapes((3,), (5,))
    t.broadcast_shapes((2, 3), (5, 3), (1,))
    t.broadcast_shapes((0,), (1,))
    t.broadcast_shapes((0,), (3,))
    t.broadcast_shapes((3,), (0,))
    t.broadcast_shapes((-1,), (5,))
    t.broadcast_shapes(1.5)
    t.broadcast_shapes((1.5,))
    t.device("cpu"), str(t.device("cpu")), t.device("cpu").index, t.device("cpu").type
    t.device("cuda:0"), str(t.device("cuda:0")), t.device("cuda:1").index
    t.device("cuda"), t.device("meta"), t.device("mps"), t.device("xla:3")
    t.device("cuda", 1) == t.device("cuda:1"), t.device("cpu") == t.device("cpu:0")
    t.device("cpu") == "cpu"
    t.device("foo")
    t.device("foo:1")
    t.device("foo:x")
    t.device("_")
    t.device("CUDA")
    t.device("")
    t.device("cuda:")
    t.device("cuda:-1")
    t.device("cuda:01")
    t.device("cuda:a")
    t.device("cuda:0:1")
    t.device(":0")
    t.device("cuda ")
    t.device("cuda1")
    t.device("cuda:99999999999999999999")
    t.device("cuda:1", 1)
    t.device("cuda:1", None)
    t.device("cuda", None)
    t.device("cuda", -1)
    t.device("foo", 1)
    t.device("", 1)
    t.device(-1)
    t.device()
    t.device(1.0)
    t.device(None)
    t.device(True)
    t.device([1])
    t.device([])
    t.device((1, "a"))
    t.device((1,))
    t.device({1: 2})
    t.device("foo:99999999999999")
    t.device(device=None)
    t.device(index=1)
    t.device(foo="cpu")
    t.device("cpu", foo=1)
    t.device("cpu", type="cuda")
    t.device(type="cpu", device="cpu")
    t.device(type=3)
    t.device(1, 2)
    t.device(None, 1)
    t.device("cuda", "a")
    t.device("cuda", True)
    t.device("cuda", 1.5)
    t.device("cuda", 1, 2)
    t.device(t.device("cpu"))
    t.device(t.device("cuda"), 1)
    t.device(type="cuda"), t.device(type="cuda", index=2), t.device(device="cuda")
    t.device("cpu").foo
    setattr(t.device("cpu"), "index", 3)
    setattr(t.device("cpu"), "foo", 3)
    delattr(t.device("cpu"), "type")
    type("D", (t.device,), {})
    t.device("cuda:1").__reduce__()[1], t.device("cpu").__reduce__()[1]
    t.set_default_device("foo")
    t.set_default_device(1.5)
    t.set_default_device(-1)
    t.get_default_device()
    t.get_default_dtype()
"""


class _Ours:
    pass


for _name, _value in PUBLIC.items():
    setattr(_Ours, _name, staticmethod(_value) if callable(_value) else _value)


@pytest.mark.parametrize("text", [line.strip() for line in SAME_EXPRESSIONS.strip().split("\n")])
def test_same_result_or_error(text):
    code = compile(text, text, "eval")
    assert repr(whole(lambda: eval(code, {"t": _Ours}))) == repr(
        whole(lambda: eval(code, {"t": torch}))
    )


def whole(call):
    """Like `outcome`, with every line of an error that lists signatures."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - every class is compared
        lines = str(error).split("\n")
        # A line that helps starts with two blanks and a word; torch's own start with a bullet.
        kept = [line for line in lines if "*" in line or "didn't match" in line]
        return type(error), lines[0], kept


def test_default_dtype_follows():
    for name in ("float64", "bfloat16", "float16", "float32"):
        dtypes.set_default_dtype(DTYPES[name])
        torch.set_default_dtype(getattr(torch, name))
        try:
            assert repr(dtypes.finfo()) == repr(torch.finfo())
            assert repr(dtypes.default_complex_dtype()) == repr(
                torch.result_type(torch.empty(1), 1j)
            )
        finally:
            dtypes.set_default_dtype(dtypes.float32)
            torch.set_default_dtype(torch.float32)


def test_default_device():
    for name in ("meta", None):
        devices.set_default_device(name)
        torch.set_default_device(name)
        assert repr(devices.get_default_device()) == repr(torch.get_default_device())
    with devices.device("meta") as entered:
        assert entered is devices.get_default_device() is devices.device("meta")
        with devices.device("cpu"):
            assert devices.get_default_device().type == "cpu"
        assert devices.get_default_device().type == "meta"
    assert devices.get_default_device().type == "cpu"
    decorated = devices.device("meta")(devices.get_default_device)
    assert decorated().type == "meta"


def test_constants_survive_copies():
    for each in (devices.device("cuda:1"), devices.device("cpu"), layout.strided):
        assert pickle.loads(pickle.dumps(each)) is copy.deepcopy(each) is copy.copy(each) is each
    size = shape.Size([2, 3])
    assert type(pickle.loads(pickle.dumps(size))) is type(copy.deepcopy(size)) is shape.Size
    assert shape.Size([numpy.int64(3)]) == (3,)
    assert type(shape.Size([numpy.int64(3)])[0]) is int
    assert devices.device("cuda", numpy.int64(1)) is devices.device("cuda:1")


def test_type_names():
    samples = [1, "a", None, 1.5, [1], (1,), numpy.zeros(1), numpy.float32(1), pytest]
    pairs = [(each, each) for each in samples]
    pairs += [(dtypes.float32, torch.float32), (shape.Size([1]), torch.Size([1]))]
    pairs += [(devices.device("cpu"), torch.device("cpu")), (layout.strided, torch.strided)]
    pairs += [(dtypes.finfo(), torch.finfo()), (layout.channels_last, torch.channels_last)]
    for ours, theirs in pairs:
        error = errors.argument_type_error("tanh", "input", 1, "Tensor", ours)
        with pytest.raises(TypeError) as expected:
            torch.tanh(theirs)
        assert str(error) == str(expected.value)


# -- promotion -------------------------------------------------------------------------------------


def test_promote_types_and_can_cast():
    for a in DTYPES.values():
        for b in DTYPES.values():
            ours = outcome(lambda: promotion.promote_types(a, b))  # noqa: B023
            theirs = outcome(lambda: torch.promote_types(as_torch(a), as_torch(b)))  # noqa: B023
            assert repr(ours) == repr(theirs)
            assert promotion.can_cast(a, b) == torch.can_cast(as_torch(a), as_torch(b))


@pytest.mark.parametrize("default", ["float32", "float64", "float16"])
def test_result_dtype(default):
    """All pairs of dtypes in all ranks, Python numbers included."""
    numbers = [True, 3, 2.5, 1j]
    dtypes.set_default_dtype(DTYPES[default])
    torch.set_default_dtype(getattr(torch, default))
    try:
        operands = [((promotion.number_dtype(value), promotion.NUMBER), value) for value in numbers]
        for each in DTYPES.values():
            dimensioned = torch.empty(2, dtype=as_torch(each))
            operands.append(((each, promotion.DIMENSIONED), dimensioned))
            operands.append(((each, promotion.ZERO_DIM), dimensioned[0]))
        for entry_a, value_a in operands:
            for entry_b, value_b in operands:
                ours = outcome(lambda: promotion.result_dtype([entry_a, entry_b]))  # noqa: B023
                theirs = outcome(lambda: torch.result_type(value_a, value_b))  # noqa: B023
                assert repr(ours) == repr(theirs), (entry_a, entry_b)
    finally:
        dtypes.set_default_dtype(dtypes.float32)
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        (promotion.Promotion.SAME, torch.neg),
        (promotion.Promotion.FLOAT, torch.tanh),
        (promotion.Promotion.BOOL_RESULT, torch.isnan),
        (promotion.Promotion.INT_TO_LONG, torch.sum),
        (promotion.Promotion.COMPLEX_TO_FLOAT, torch.abs),
    ],
)
def test_promotion_kinds(kind, function):
    compared = 0
    for each in DTYPES.values():
        operand = torch.ones(2, dtype=as_torch(each))
        try:
            expected = function(operand).dtype
        except (RuntimeError, NotImplementedError):
            continue  # torch has no kernel for this dtype
        result = promotion.resolve(kind, [(each, promotion.DIMENSIONED)])[1]
        assert as_torch(result) == expected, each
        compared += 1
    assert compared >= 10


# -- shapes ----------------------------------------------------------------------------------------


def test_broadcast_shapes():
    rng = random.Random(0)
    for _ in range(400):
        sizes = [
            tuple(rng.choice((0, 1, 1, 2, 3)) for _ in range(rng.randint(0, 3))) for _ in range(3)
        ]
        ours = outcome(lambda: shape.broadcast_shapes(*sizes))  # noqa: B023
        theirs = outcome(
            lambda: tuple(torch.broadcast_tensors(*map(torch.empty, sizes))[0].shape)  # noqa: B023
        )
        assert ours == theirs, sizes


def test_wrapped_dims():
    for ndim in range(4):
        tensor = torch.empty((2,) * ndim)
        for dim in range(-5, 5):
            expected = outcome(lambda: tuple(tensor.sum(dim, keepdim=True).shape))  # noqa: B023
            ours = outcome(
                lambda: shape.reduced_shape(
                    tensor.shape,  # noqa: B023
                    [shape.wrap_dim(dim, ndim)],  # noqa: B023
                    True,
                )
            )
            assert ours == expected
            strict = outcome(lambda: shape.wrap_dim(dim, ndim, wrap_scalar=False))  # noqa: B023
            size = outcome(lambda: tensor.size(dim))  # noqa: B023
            assert (strict if isinstance(strict, tuple) else 2) == size
            for other in range(-5, 5):
                ours = outcome(
                    lambda: shape.reduced_shape(
                        tensor.shape,  # noqa: B023
                        shape.wrap_dims((dim, other), ndim),  # noqa: B023
                        False,
                    )
                )
                expected = outcome(lambda: tuple(tensor.sum((dim, other)).shape))  # noqa: B023
                assert ours == expected


def test_infer_shape():
    rng = random.Random(1)
    for _ in range(600):
        numel = rng.choice((0, 1, 6, 12))
        sizes = tuple(rng.choice((-2, -1, -1, 0, 1, 2, 3, 4, 6)) for _ in range(rng.randint(0, 3)))
        ours = outcome(lambda: shape.infer_shape(sizes, numel))  # noqa: B023
        theirs = outcome(lambda: tuple(torch.empty(numel).view(sizes).shape))  # noqa: B023
        assert ours == theirs, (sizes, numel)

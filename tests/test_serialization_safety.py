"""Files that are damaged or made to do harm: every one is refused, none has an effect."""

from __future__ import annotations

import collections
import fractions
import io
import os
import pickle
import random
import struct
import zipfile

import pytest

import flambeau as torch
from flambeau import nn

# What a damaged file may raise, whatever the damage.
CLEAN_ERRORS = (pickle.UnpicklingError, EOFError, RuntimeError, ValueError)


def saved(obj, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(obj, buffer, **options)
    return buffer.getvalue()


def loaded(content: bytes, **options):
    return torch.load(io.BytesIO(content), **options)


def archive(pickled: bytes, **records: bytes) -> bytes:
    """A checkpoint around a pickle made by hand."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        contents = {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little", **records}
        for name, content in contents.items():
            file.writestr(f"archive/{name}", content)
    return buffer.getvalue()


# Damage


def damaged_files(content: bytes, count: int):
    draw = random.Random(0)
    for _ in range(count):
        position = draw.randrange(len(content))
        yield content[:position]
        yield content[:position] + bytes([draw.randrange(256)]) + content[position + 1 :]
        yield content[:position] + content[position + draw.choice((1, 2, 4)) :]
        yield content[:position] + draw.randbytes(2) + content[position:]


def sample() -> dict:
    base = torch.arange(6.0).reshape(2, 3)
    return {
        "tensors": [base, base.t()[1:], torch.ones(2, dtype=torch.bfloat16), torch.zeros(0)],
        "parameter": nn.Parameter(torch.ones(2)),
        "state": nn.Linear(3, 2).state_dict(),
        "data": [2**80, 1.5, "text", (1, 2), {3}, 1j, b"x", bytearray(b"y"), torch.Size([1])],
        "names": [torch.int8, torch.device("cpu"), torch.strided],
        "meta": torch.zeros(2, device="meta"),
    }


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_damage_anywhere_raises_a_clean_error(kind):
    content = saved(sample(), _use_new_zipfile_serialization=kind != "legacy")
    records = {}
    if kind == "pickle":
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            records = {name[8:]: file.read(name) for name in file.namelist()}
        content = records.pop("data.pkl")
    refused = 0
    for damaged in damaged_files(content, 300):
        try:
            loaded(archive(damaged, **records) if kind == "pickle" else damaged)
        except CLEAN_ERRORS:
            refused += 1
    assert refused > 600


def test_random_pickles_raise_a_clean_error():
    draw = random.Random(1)
    for _ in range(1000):
        pickled = b"\x80\x02" + draw.randbytes(draw.randrange(1, 60)) + b"."
        try:
            loaded(archive(pickled))
        except CLEAN_ERRORS:
            pass


# Attacks: pickles written by hand. `text`, `name` and `call` are its operations.


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


HUGE = b"\x8a\x06" + (10**13).to_bytes(6, "little")
COMMAND = text("touch stolen")
STORAGE = (
    b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x02tQ"
)
META = call(
    name("torch._utils", "_rebuild_meta_tensor_no_storage"), name("torch", "int8"), b"))\x89"
)
FROM_TYPE = name("torch._tensor", "_rebuild_from_type_v2")
MAKE_META = name("torch._utils", "_rebuild_meta_tensor_no_storage")
META_ARGUMENTS = b"(" + name("torch", "int8") + b"))\x89t"
TENSOR = name("torch", "Tensor")
DEEP = b")" + b"\x85" * 200_000


def view(offset: bytes, size: bytes, stride: bytes) -> bytes:
    return call(name("torch._utils", "_rebuild_tensor_v2"), STORAGE, offset, size, stride, b"\x89N")


ATTACKS = {
    "os.system": call(name("os", "system"), COMMAND),
    "posix.system": call(name("posix", "system"), COMMAND),
    "nt.system": call(name("nt", "system"), COMMAND),
    "eval": call(name("__builtin__", "eval"), text("open('stolen', 'w')")),
    "exec": call(name("builtins", "exec"), text("open('stolen', 'w')")),
    "import": call(name("builtins", "__import__"), text("os")),
    "open": call(name("builtins", "open"), text("stolen"), text("w")),
    "subprocess": call(name("subprocess", "Popen"), COMMAND),
    "runpy": call(name("runpy", "run_path"), text("stolen.py")),
    "pickle": call(name("pickle", "loads"), text("x")),
    "torch.load": call(name("torch", "load"), text("x")),
    "torch.hub": call(name("torch.hub", "load"), text("x"), text("y")),
    "flambeau": call(name("flambeau", "save"), text("x"), text("stolen")),
    "getattr": call(
        name("__builtin__", "getattr"), name("collections", "OrderedDict"), text("clear")
    ),
    "dotted name": text("torch") + text("os.system") + b"\x93" + COMMAND + b"\x85R",
    "globals by dots": name("collections", "OrderedDict.__init__.__globals__"),
    "sys.modules": name("sys", "modules"),
    "name by number": text("os") + b"K\x01\x93",
    "INST": b"(" + COMMAND + b"ios\nsystem\n",
    "OBJ": b"(" + name("collections", "OrderedDict") + b"o",
    "EXT1": b"\x82\x01)R",
    "NEWOBJ of a fixed class": name("collections", "OrderedDict") + b")\x81",
    "NEWOBJ of a tensor": TENSOR + b")\x81",
    "call of a tensor class": call(TENSOR, b"K\x05"),
    "call of text": text("os.system") + COMMAND + b"\x85R",
    "call of a result": call(name("collections", "OrderedDict")) + b")R",
    "arguments not a tuple": name("collections", "OrderedDict") + b"]R",
    "BUILD on a class": name("collections", "OrderedDict") + b"}" + text("get") + text("x") + b"sb",
    "BUILD on a function": MAKE_META + b"}" + text("__code__") + text("x") + b"sb",
    "BUILD on a tensor": META + b"}" + text("_spec") + text("x") + b"sb",
    "BUILD on a list": b"]}b",
    "codec that decompresses": call(name("_codecs", "encode"), text("x"), text("zip")),
    "codec that imports": call(name("_codecs", "encode"), text("x"), text("os.path")),
    "bytearray of a size": call(name("builtins", "bytearray"), HUGE),
    "bytes of a size": call(name("builtins", "bytes"), HUGE),
    "subclass by os.system": call(FROM_TYPE, name("os", "system"), TENSOR, COMMAND + b"\x85", b"N"),
    "subclass by bytearray": call(
        FROM_TYPE, name("builtins", "bytearray"), TENSOR, HUGE + b"\x85", b"N"
    ),
    "subclass of dict": call(
        FROM_TYPE, MAKE_META, name("collections", "OrderedDict"), META_ARGUMENTS, b"N"
    ),
    "subclass by itself": call(FROM_TYPE, FROM_TYPE, TENSOR, b")", b"N"),
    "attribute __class__": call(
        FROM_TYPE, MAKE_META, TENSOR, META_ARGUMENTS, b"}" + text("__class__") + TENSOR + b"s"
    ),
    "attribute data": call(
        FROM_TYPE, MAKE_META, TENSOR, META_ARGUMENTS, b"}" + text("data") + b"K\x01s"
    ),
    "attribute _grad": call(
        FROM_TYPE, MAKE_META, TENSOR, META_ARGUMENTS, b"}" + text("_grad") + b"K\x01s"
    ),
    "storage by name": text("/etc/passwd") + b"Q",
    "id of another kind": text("module") + text("/etc/passwd") + b"\x86Q",
    "huge storage": STORAGE.replace(b"K\x02tQ", HUGE + b"tQ"),
    "negative storage": STORAGE.replace(b"K\x02tQ", b"J\xff\xff\xff\xfftQ"),
    "size beyond the storage": view(b"K\x00", b"K\x03\x85", b"K\x01\x85"),
    "offset beyond the storage": view(b"K\x02", b"K\x01\x85", b"K\x01\x85"),
    "stride beyond the storage": view(b"K\x00", b"K\x02\x85", b"K\x09\x85"),
    "negative offset": view(b"J\xff\xff\xff\xff", b"K\x01\x85", b"K\x01\x85"),
    "negative stride": view(b"K\x01", b"K\x02\x85", b"J\xff\xff\xff\xff\x85"),
    "size and stride of other lengths": view(b"K\x00", b"K\x01\x85", b")"),
    "overflowing size": view(b"K\x00", HUGE + HUGE + b"\x86", HUGE + HUGE + b"\x86"),
    "fractional size": view(b"K\x00", b"G?\xf0\0\0\0\0\0\0\x85", b"K\x01\x85"),
    "deep key": b"}" + DEEP + b"K\x01s",
    "deep member of a set": b"\x8f(" + DEEP + b"\x90",
    "deep member of a set, called": call(name("builtins", "set"), b"](" + DEEP + b"e"),
    "deep key, called": call(name("collections", "OrderedDict"), b"](](" + DEEP + b"K\x01ee"),
    "negative length": b"\x8b\xff\xff\xff\xff",
    "text longer than the file": b"X\xff\xff\xff\xffabc",
    "extending a tensor": META + b"(K\x01e",
    "item of a list": b"]K\x00K\x01s",
}


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_without_effect(attack, weights_only, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = archive(b"\x80\x02" + ATTACKS[attack] + b".", **{"data/0": b"\0" * 8})
    with pytest.raises(CLEAN_ERRORS):
        loaded(content, weights_only=weights_only)
    assert os.listdir(tmp_path) == []


def test_the_refused_name_and_the_remedy_are_told():
    content = saved(fractions.Fraction(1, 3))
    with pytest.raises(pickle.UnpicklingError) as caught:
        loaded(content)
    message = str(caught.value)
    assert message.startswith("Weights only load failed. This file can still be loaded, to do so")
    assert "GLOBAL fractions.Fraction was not an allowed global by default" in message
    assert "add_safe_globals([fractions.Fraction])" in message
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    assert unsafe == ["fractions.Fraction"]


def test_records_may_not_overlap():
    content = saved([torch.zeros(64), torch.zeros(64)])
    entries = content.index(b"PK\x01\x02")
    second = content.index(b"archive/data/1", entries) - 46
    first = content.index(b"archive/data/0", entries) - 46
    offset = content[first + 42 : first + 46]
    sizes = struct.pack("<2I", *(len(content),) * 2)
    changed = content[: second + 20] + sizes + content[second + 28 : second + 42] + offset
    with pytest.raises(RuntimeError, match="overlap"):
        loaded(changed + content[second + 46 :])


# What the program allows


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    def forward(self, x):
        return self.layers(x)


class Recorder:
    """Its state is set by BUILD."""


def test_allowed_globals():
    add, clear = torch.serialization.add_safe_globals, torch.serialization.clear_safe_globals
    content = saved([fractions.Fraction(1, 3), collections.defaultdict(list, a=[1])])
    try:
        add([fractions.Fraction, collections.defaultdict, (list, "builtins.list")])
        assert loaded(content) == [fractions.Fraction(1, 3), {"a": [1]}]
        assert set(torch.serialization.get_safe_globals()) >= {fractions.Fraction}
    finally:
        clear()
    assert torch.serialization.get_safe_globals() == []
    recorder = Recorder()
    recorder.values = [torch.ones(2)]
    with torch.serialization.safe_globals([Recorder]):
        assert loaded(saved(recorder)).values[0].tolist() == [1.0, 1.0]
    with pytest.raises(pickle.UnpicklingError):
        loaded(saved(recorder))


def test_names_that_run_code_can_not_be_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    renamed = call(name("some", "thing"), COMMAND)
    with torch.serialization.safe_globals([os.system, (os.system, "some.thing"), eval]):
        for attack in (ATTACKS["os.system"], ATTACKS["eval"], renamed):
            with pytest.raises(pickle.UnpicklingError, match="is blocked"):
                loaded(archive(b"\x80\x02" + attack + b"."))
    assert os.listdir(tmp_path) == []


def test_whole_modules():
    model, x = Model(), torch.ones(1, 2)
    content = saved(model)
    with pytest.raises(pickle.UnpicklingError, match="Model was not an allowed global"):
        loaded(content)
    assert loaded(content, weights_only=False)(x).tolist() == model(x).tolist()
    with torch.serialization.safe_globals([Model, nn.Sequential, nn.Linear, nn.ReLU]):
        assert loaded(content)(x).tolist() == model(x).tolist()


def test_only_modules_that_the_program_has_loaded():
    for attempt in (
        name("json.tool", "Linear") + b")\x81",
        name("torch.nn.modules.linear", "Linear") + b")R",
        name("torch.nn.modules.linear", "Linear") + b"K\x01\x85\x81",
        name(__name__, "Recorder") + b")\x81",
    ):
        with pytest.raises(pickle.UnpicklingError):
            loaded(archive(b"\x80\x02" + attempt + b"."), weights_only=False)

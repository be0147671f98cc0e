"""Checkpoints exchanged with torch in both directions, byte for byte, and the same errors."""

from __future__ import annotations

import collections
import io
import pathlib
import pickle
import zipfile

import pytest

torch = pytest.importorskip("torch")
import flambeau

DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 "
    "uint16 uint32 uint64"
).split()


def samples(library) -> dict:
    nn = library.nn
    matrix = library.arange(6.0).reshape(2, 3)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    for number, parameter in enumerate(model.parameters()):
        parameter.data.fill_(number / 8)
    optimizer = library.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(library.ones(5, 3)).sum().backward()
    for parameter in model.parameters():
        parameter.grad.fill_(0.5)
    optimizer.step()
    noted, noted_parameter = library.ones(2), nn.Parameter(library.ones(2))
    noted.note, noted_parameter.note = {"x": library.zeros(1)}, 3
    endless = [1]
    endless.append(endless)
    return {
        "tensor": matrix,
        "views": [matrix, matrix.t(), matrix[1:], matrix[:, ::2], matrix.expand(4, 2, 3)],
        "dtypes": [library.tensor([0, 1, 100]).to(getattr(library, name)) for name in DTYPES],
        "shapes": [library.tensor(3.5), library.zeros(0, 3), library.zeros(1, 1)],
        "gradients": [library.ones(2, requires_grad=True), library.ones(2, requires_grad=True) * 2],
        "parameter": nn.Parameter(matrix),
        "attributes": [noted, noted_parameter],
        "meta": library.zeros(2, 3, device="meta"),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "numbers": [0, 255, 256, -1, 65536, 2**31, -(2**31), 2**80, 1.5, 1j, None, True],
        "text": ["", "é", "x" * 300, b"bytes\xff", bytearray(b"bytes")],
        "containers": [[], (), {}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {1, 2}],
        "ordered": collections.OrderedDict(b=1, a=matrix),
        "counter": collections.Counter("abca"),
        "names": [library.Size([2, 3]), library.float16, library.strided],
        "devices": [library.device("cpu"), library.device("cuda", 1)],
        "endless": endless,
    }


KINDS = list(samples(torch))


def saved(library, obj, **options) -> bytes:
    buffer = io.BytesIO()
    library.save(obj, buffer, **options)
    return buffer.getvalue()


def described(obj, seen: tuple = ()):
    """An object of either library as plain data."""
    if id(obj) in seen:
        return "itself"
    seen = (*seen, id(obj))
    if hasattr(obj, "storage_offset"):
        content = None if obj.device.type == "meta" else obj.tolist()
        note = {name: described(value) for name, value in vars(obj).items() if name == "note"}
        geometry = (tuple(obj.shape), obj.stride(), obj.storage_offset())
        return type(obj).__name__, str(obj.dtype), geometry, obj.requires_grad, content, note
    if isinstance(obj, dict):
        items = [(key, described(value, seen)) for key, value in obj.items()]
        return (
            type(obj).__name__,
            items,
            described(vars(obj), seen) if hasattr(obj, "__dict__") else None,
        )
    if isinstance(obj, (list, tuple)):
        return type(obj).__name__, [described(value, seen) for value in obj]
    return repr(obj)


@pytest.mark.parametrize(
    "options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_both_read_what_the_other_has_written(kind, options):
    theirs, ours = samples(torch)[kind], samples(flambeau)[kind]
    expected = described(theirs)
    assert described(ours) == expected
    assert described(flambeau.load(io.BytesIO(saved(torch, theirs, **options)))) == expected
    if kind == "dtypes" and options:
        return  # torch can not read its own legacy files with unsigned dtypes in them
    content = saved(flambeau, ours, **options)
    for weights_only in (True, False):
        assert described(torch.load(io.BytesIO(content), weights_only=weights_only)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_the_same_bytes(kind):
    files = [saved(library, samples(library)[kind]) for library in (torch, flambeau)]
    # The last record is a digest of the others, which torch computes in its own way.
    ends = [content.index(b"archive/.data/serialization_id") for content in files]
    assert files[0][: ends[0]] == files[1][: ends[1]]
    assert len(files[0]) == len(files[1])


def test_names_inside_archives(tmp_path):
    for name in ("a.pt", "a.b.pt", "noextension", "x y.tar.gz", "é.pt"):
        folders = []
        for library in (torch, flambeau):
            library.save(1, tmp_path / name)
            with zipfile.ZipFile(tmp_path / name) as file:
                folders.append(file.namelist()[0])
        assert folders[0] == folders[1]


def models(library):
    return library.nn.Sequential(library.nn.Linear(2, 3), library.nn.ReLU())


def test_whole_modules():
    for writer, reader in ((torch, flambeau), (flambeau, torch), (flambeau, flambeau)):
        model = models(writer)
        result = reader.load(io.BytesIO(saved(writer, model)), weights_only=False)
        assert result(reader.ones(1, 2)).tolist() == model(writer.ones(1, 2)).tolist()
        nn = reader.nn
        with reader.serialization.safe_globals([nn.Sequential, nn.Linear, nn.ReLU]):
            result = reader.load(io.BytesIO(saved(writer, model)))
        assert result(reader.ones(1, 2)).tolist() == model(writer.ones(1, 2)).tolist()


def test_classes_are_written_under_the_names_that_torch_reads():
    from flambeau.serialization.names import torch_global

    for package in ("nn", "optim", "optim.lr_scheduler"):
        theirs, ours = torch, flambeau
        for part in package.split("."):
            theirs, ours = getattr(theirs, part), getattr(ours, part)
        for name, cls in vars(theirs).items():
            is_own = isinstance(cls, type) and cls.__module__.startswith(f"torch.{package}")
            if is_own and not name.startswith("_") and hasattr(ours, name):
                assert torch_global(getattr(ours, name)) == (cls.__module__, cls.__qualname__)


# Errors


def archive(pickled: bytes, **records: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in {"data.pkl": pickled, "version": b"3\n", **records}.items():
            file.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def named(module: str, name: str) -> bytes:
    return archive(f"\x80\x02c{module}\n{name}\n)R.".encode("latin1"))


def without_storage(library, **records: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(saved(library, library.ones(3)))) as file:
        return archive(file.read("archive/data.pkl"), **records)


def shared_memory(library):
    tensor = library.ones(2)
    return [tensor, tensor.view(library.int32)]


ONE = b"\x80\x02K\x01."
WRONG_CALLS = {
    "a number as file": lambda lib: lib.save(1, 3),
    "no such folder": lambda lib: lib.save(1, "no/such/a.pt"),
    "no such folder as Path": lambda lib: lib.save(1, pathlib.Path("none/b.pt")),
    "two dtypes": lambda lib: saved(lib, shared_memory(lib)),
    "a local function": lambda lib: saved(lib, [lib.ones(2), lambda: 1]),
    "a generator": lambda lib: saved(lib, (each for each in ())),
    "load a number": lambda lib: lib.load(3),
    "no such file": lambda lib: lib.load("no-such-file.pt"),
    "a folder": lambda lib: lib.load("."),
    "no seek": lambda lib: lib.load(io.RawIOBase()),
    "empty": lambda lib: lib.load(io.BytesIO()),
    "truncated": lambda lib: lib.load(io.BytesIO(saved(lib, 1)[:-30])),
    "truncated early": lambda lib: lib.load(io.BytesIO(saved(lib, 1)[:150])),
    "first bytes only": lambda lib: lib.load(io.BytesIO(b"PK\x03\x04")),
    "another pickle": lambda lib: lib.load(io.BytesIO(pickle.dumps(1, 2))),
    "no storage": lambda lib: lib.load(io.BytesIO(without_storage(lib))),
    "short storage": lambda lib: lib.load(io.BytesIO(without_storage(lib, **{"data/0": b"123"}))),
    "long storage": lambda lib: lib.load(io.BytesIO(without_storage(lib, **{"data/0": b"1" * 60}))),
    "byte order": lambda lib: lib.load(io.BytesIO(archive(ONE, byteorder=b"middle"))),
    "os.system": lambda lib: lib.load(io.BytesIO(named("os", "system"))),
    "eval": lambda lib: lib.load(io.BytesIO(named("__builtin__", "eval"))),
    "some class": lambda lib: lib.load(io.BytesIO(named("some.module", "Class"))),
    "unknown operation": lambda lib: lib.load(io.BytesIO(archive(b"\x80\x02\xff."))),
    "pickle_module": lambda lib: lib.load(
        io.BytesIO(saved(lib, 1)), pickle_module=pickle, weights_only=True
    ),
    "mapped buffer": lambda lib: lib.load(io.BytesIO(saved(lib, 1)), mmap=True),
    "to cuda": lambda lib: lib.load(io.BytesIO(saved(lib, lib.ones(2))), map_location="cuda:1"),
    "to nowhere": lambda lib: lib.load(io.BytesIO(saved(lib, lib.ones(2))), map_location="moon"),
    "to a number": lambda lib: lib.load(io.BytesIO(saved(lib, lib.ones(2))), map_location=3),
    "two in one entry": lambda lib: lib.load(
        io.BytesIO(saved(lib, 1, _use_new_zipfile_serialization=False)[:-20])
    ),
}

# Where torch's first line goes on about its own internals, ours ends earlier.
INTERNALS = (" This is an internal miniz error.", " In PyTorch 2.6, we changed")


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_errors(case, tmp_path, monkeypatch):
    if case == "to cuda" and torch.cuda.is_available():
        pytest.skip("the device is there")
    monkeypatch.chdir(tmp_path)
    errors = []
    for library in (torch, flambeau):
        with pytest.raises(Exception) as caught:
            WRONG_CALLS[case](library)
        errors.append(caught.value)
    expected, error = errors
    assert type(error) is type(expected)
    first = str(expected).partition("\n")[0].partition(" at 0x")[0]
    for internal in INTERNALS:
        first = first.partition(internal)[0]
    assert str(error).startswith(first)

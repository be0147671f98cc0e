"""save and load: what comes back, which files are refused, and that no file runs code."""

from __future__ import annotations

import base64
import collections
import io
import os
import pathlib
import pickle
import struct
import zipfile
import zlib

import pytest

import flambeau as torch
from flambeau import nn

# Two files that torch 2.13 has written, in its zip format and in the one before 1.6.
ZIP = """
c-o~_%~Km?7=M$H5VpvdRVXTcYpOJ``KC~UYrCkcEi59j7T0C-
mh8Amc(QMRc7_>doM4&hq4nVO)bW4tpf`K*;L(Ggym?Sh_U<_NzVC*xy9`Z*h5bn0=lA@6@AH+NQ$igGMWg7@(T4_*UNcJOI
vy+PM31k1Zpl&)y6QQ$gIj=N1?mH>=r)FcL8=rK*XqQyY(cBxmAYvaHG(U4wWh5n1PI1rg-
&X3Q%ijnL&$*$vQ^c|g7c*S9fbh38HaEoMDNC09U@AEK<B)Il%NvYfv6Hv0z1&PYZz6_!Ui#`6<fGcE8-
e1UNj9NfN)lYQv|wIc!DcjH}MAal&FAGsMJvkm$=K`c_lzy26v#3K2Xp7yCsGkAn>FLr#Z5uTi4+!2icS>alK-urTA&CScF0
9Hb7vADGfB>47&_FE}tRrtP0QZE!D*gjI@bXQh?_VDC5nD35ykSV+|Ku%r9`}1iVO@g9Kh`GQZ3&uQ<%FHdWWn3e_yYYXn|b
Ayx?UMCb&=S#I}6tPr7JZD4b?MBvT+SaE_Rj5-A8I01`ToCc02Vay>JCm^bjaH_%7ZAg0XDM&e?NjC*%*d^;=a|9+-
IA7m_$wC)3*2<XZtnOfnuU{yzqJ-
%!$n)x1$2FT~9A=b&ZQCmxv!>T{3d1#c>xjU%ECi4|+S2g0v$u=9z#4FgX_FmovjpBz;oV#O!+T$XqQd)plV#I3;Dcqj98&_
bGaXLj@D+kL30%2+%L&t*p=nG2F)NxT*qGMl{4%IYNN>P`3LkowjcR$#!kYpt&hGc(Z2qD1umc~duw-aPwTKN{z!ml&K!N9R
<p#kve9RMQ>C~ABS9jnO6|OatzhK^^#>;GbpEf{K;j`ufEsC4~dh=5eubT!nTxqqQ(SV`~7}w)-
N@rBM_T%P5y2Q@8Bj?8;I@OvV@$1!EStnXEX|mM0KSo66@Vmc%`+_Bboku$yM%e?0%~sHK%UrFLafQfI(l?qO>&T>-
fcysh6{HlwM+)di`IZ0{>nfWyvNU-d-u=Te39&HK(75pX8J4-oBQ^A(Y0p$18<(Z?ClKIx-Okg?4E?9)Ha)+YVTuOt{Bd`PE
)2C%H0o6(%2MpH6+Or^rrUpBnra{a9wd3060$UXlHk*0Z;$aKw6}K*{^ZH|saqQR2R|?s<=u^68Ev$UiYc#(lq}`Y3HW)gZ{
NSS#O78<8}1n|cUqRF(8>1CYHyoY!JYZYFYWi=izZtdTJt1(ToFluG5>sjb+LW^M^NHm0P*eHxMtD`bW>+9ADUT|rTG68A|^
7qbS9ge$V_BX^e>SSMKPOAO{5cIHj_(bQ>lqmHaE^x{u}yfDMod~xXJ(%+tTTt$$f{E``_dIX!igf^dQ-
f+7VOS@5DVshdoa2x}6-
F+<rgqLD=u{GZ03H2e2RRo?1N~_}5|No1K2Fdk%TAv4{^V`mydA;>CXD$0qz(cjtSt1D!r>@{nd%=X$aC{MeKq>+U!&_H@*T
P5ZI#p6T`Sy0Ayoio29Yyc_O9ZJKOOi9|;CTQYR6h3xj-{|P$x@4K8k#jzJh^lj6?dD{p_985R2cWnOya{UYa
"""
LEGACY = """
c-nPS$#T;`5Y^%&AV>)NzHbgoa1`6vYz`0-Kx9)`1XN0;$U`JbvHYZQSgKOxi%r5eaNx*akl*3Pl`0OjmIP8bQ_|E-
PtSY(rn{TcXT|&dW$f3fx8J4@4>qNVA2Q9$5VA(UAPDuq=f3TG<`N4+*RMe&2cwrxJePBinXFcIts0~iLm?yoP-kZ7eq<r!W
n{8O7a2px4>-Cs$&hL1);PMgjFE{j{MrI~v`nM1&KX(ft&l;qxgXfhpxNNA7b<4J<{Pe8H94z=eqb)C3Z!h-
=!x*j(^_DVlPk)Y=UaR>F)GLyedJTlmx}r8B{g3zsksum;!x~*gF@+^<mj2v1WnT9HnwT9CbqGC)h5**vpI<lm8qc00#+S$Z
LUBW(6NJKr;gq@-X)j4L!U$8II`1`ZkLnL^v`G_(MWCVrUkL>S#=_`y&U^=?2pkL%X@<Z30f-XUaV-SxS{FbCX#}hQ%fZrA`
+2E4o6zV7LG*I(S+a_$8jAel5}v3Gn|a=r?N&jncgvX!QnXlzlLJDm@DM-
!z#`YyhQM4WB5qJIg&z8bv~iEz;RJWnnBkJF|Y+%VYryXr8L;fX|PwK>1u*B$Z<_auCa_EV>?|n7a6yz7Pp|r=fegW1>~1ei
1WW*nng_v!*D*nQ?~+(uCV~uw<x3y4+W);xhtr}@{o#hs{2M<A}!pEBE6MFdYj{pj><~B8To{}I_|{}u;_+1?$2Q~tBK<yk%
dNl!r6O{2a_ww6OP%Y8HK~$nrSK_qv{%;!$VEBT6m=6@up+jU#xrVy#j4qNXK~PXR>JHiH-
@|wEZfxLxt6%g@VaA<MSUlHRM#BYR@9DAxyV1qeD*%Y?eA!!E7Y&X$#MEJWmg(SxX9Dq`N9xa&2-
nHoE6!3$Jv%W>NpnMg7~MaKujempZkH+^MWPCZ&rFO2Wpd2*TQT@$Y`5TljZ0E0K*p`kVBB9a;BXt4N!?nw3Ao22iE
"""


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b85decode("".join(text.split())))


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


def pickle_of(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return file.read("archive/data.pkl")


def assert_same(actual, expected):
    assert type(actual) is type(expected)
    if isinstance(expected, torch.Tensor):
        for name in ("dtype", "shape", "requires_grad", "device"):
            assert getattr(actual, name) == getattr(expected, name)
        assert actual.stride() == expected.stride()
        assert actual.storage_offset() == expected.storage_offset()
        assert expected.device.type == "meta" or actual.tolist() == expected.tolist()
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected)
        for pair in zip(actual, expected):
            assert_same(*pair)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key in expected:
            assert_same(actual[key], expected[key])
    else:
        assert actual == expected


def dtypes():
    names = (
        "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
    )
    return [getattr(torch, name) for name in (names + " uint16 uint32 uint64").split()]


def sample_objects():
    matrix = torch.arange(6.0).reshape(2, 3)
    return {
        "numbers": [0, 255, 256, -1, 65536, 2**31, -(2**31), 2**80, -(2**80), 1.5, 1j, None, True],
        "text": ["", "text", "é\n\t", "x" * 300, b"", b"bytes\xff", bytearray(b"bytes")],
        "containers": [[], (), {}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {1, 2}, frozenset({3})],
        "keys": {1: 2, (1, 2): 3, None: 4, "a": {"b": [{}]}},
        "ordered": collections.OrderedDict(b=1, a=matrix),
        "counter": collections.Counter("abca"),
        "values": [torch.Size([2, 3]), torch.float16, torch.device("cpu"), torch.strided],
        "devices": [torch.device("cuda", 1), torch.device("meta")],
        "dtypes": [torch.tensor([0, 1, 100]).to(dtype) for dtype in dtypes()],
        "shapes": [torch.tensor(3.5), torch.zeros(0, 3), torch.zeros(2, 0), torch.zeros(1, 1)],
        "views": [matrix, matrix.t(), matrix[1:], matrix[:, ::2], matrix.expand(4, 2, 3)],
        "gradients": [torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True) * 2],
        "parameters": [nn.Parameter(matrix), nn.Parameter(matrix, requires_grad=False)],
        "meta": torch.zeros(2, 3, device="meta"),
    }


@pytest.mark.parametrize("kind", sample_objects())
@pytest.mark.parametrize(
    "options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"]
)
def test_round_trip(kind, options):
    obj = sample_objects()[kind]
    assert_same(loaded(saved(obj, **options)), obj)


@pytest.mark.parametrize("protocol", range(1, 6))
def test_every_protocol(protocol):
    obj = sample_objects()
    assert_same(loaded(saved(obj, pickle_protocol=protocol)), obj)


def test_tensors_on_one_storage_share_it_again():
    base = torch.arange(6.0)
    first, second, other = loaded(saved([base, base[2:], base.clone()]))
    second[0] = 50.0
    assert first.tolist() == [0.0, 1.0, 50.0, 3.0, 4.0, 5.0]
    assert other.tolist() == base.tolist()


def test_one_object_that_occurs_twice_is_one_object_again():
    tensor, shared = torch.ones(2), [1]
    result = loaded(saved({"a": tensor, "b": [tensor, shared], "c": shared}))
    assert result["a"] is result["b"][0] and result["c"] is result["b"][1]


def test_a_list_can_hold_itself():
    endless = [1]
    endless.append(endless)
    result = loaded(saved(endless))
    assert result[1] is result


def test_bare_storages():
    tensor = torch.tensor([1.0, 2.0])
    untyped = tensor.untyped_storage()
    typed = torch.TypedStorage(wrap_storage=untyped, dtype=torch.float32, _internal=True)
    for storage, values in ((typed, [1.0, 2.0]), (untyped, list(bytes(untyped)))):
        result = loaded(saved({"storage": storage}))["storage"]
        assert type(result) is torch.TypedStorage and list(result) == values


def test_one_storage_under_two_dtypes_is_refused():
    tensor = torch.ones(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        saved([tensor, tensor.view(torch.int32)])


def test_attributes_of_tensors_are_kept():
    tensor, parameter = torch.ones(2), nn.Parameter(torch.ones(2))
    tensor.note, parameter.note = "plain", ["parameter"]
    parameter.sum().backward()
    results = loaded(saved([tensor, parameter]))
    assert [type(each) for each in results] == [torch.Tensor, nn.Parameter]
    assert [each.note for each in results] == ["plain", ["parameter"]]
    assert results[1].grad is None


def test_state_dict_of_module_and_optimizer():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    state = loaded(saved({"model": model.state_dict(), "optimizer": optimizer.state_dict()}))
    assert_same(state["model"], model.state_dict())
    assert state["model"]._metadata == model.state_dict()._metadata
    assert_same(state["optimizer"], optimizer.state_dict())


def test_files_of_torch():
    for content in (unpacked(ZIP), unpacked(LEGACY)):
        result = loaded(content)
        assert result["base"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        assert result["view"].tolist() == [[1.0, 4.0], [2.0, 5.0]]
        result["view"][0, 0] = 9.0
        assert result["base"][0, 1] == 9.0
        assert result["half"].dtype == torch.bfloat16 and result["half"].item() == 1.5
        assert result["state"]["weight"].tolist() == [[0.5, -1.5]]
        assert result["state"]._metadata == {"": {"version": 1}}
        assert type(result["parameter"]) is nn.Parameter and result["parameter"].requires_grad
        scalars = [1, 2.5, "text", None, True, (1, 2), {3}, 1j, b"bytes"]
        assert_same(result["misc"], [*scalars, torch.Size([2]), torch.int8, torch.device("cpu")])
    assert loaded(unpacked(ZIP))["u16"].tolist() == [65535]


def test_a_file_is_byte_for_byte_what_torch_writes():
    content = unpacked(ZIP)
    # Only the identity of the contents, the last record, is computed in another way.
    end = content.index(b"archive/.data/serialization_id") - 30
    ours = saved(loaded(content))
    assert ours[:end] == content[:end] and len(ours) == len(content)


def test_storages_start_at_multiples_of_64_bytes():
    content = saved([torch.full((3,), value) for value in (1.0, 2.0, 3.0)])
    for value in (1.0, 2.0, 3.0):
        assert content.index(struct.pack("<3f", value, value, value)) % 64 == 0


def test_equal_objects_give_equal_files():
    assert saved({"a": torch.arange(9)}) == saved({"a": torch.arange(9)})


# Places


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_paths(tmp_path, kind):
    path = kind(tmp_path / "weights.v1.pt")
    torch.save({"a": torch.ones(2)}, path)
    assert torch.load(path)["a"].tolist() == [1.0, 1.0]
    with zipfile.ZipFile(path) as file:
        assert file.namelist()[0] == "weights.v1/data.pkl"
    with open(path, "rb") as file:
        assert torch.load(file)["a"].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["weights.v1.pt"]


def test_an_archive_may_begin_inside_a_file():
    buffer = io.BytesIO(b"header" + saved(torch.ones(2)))
    buffer.seek(6)
    assert torch.load(buffer).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("failure", ["pickling", "writing"])
def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch, failure):
    path = tmp_path / "weights.pt"
    torch.save("old", path)
    if failure == "pickling":
        with pytest.raises((AttributeError, pickle.PicklingError)):
            torch.save([torch.ones(3), lambda: 1], path)
    else:

        def broken(descriptor):
            raise OSError("disk full")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="disk full"):
            torch.save("new", path)
    assert torch.load(path) == "old" and os.listdir(tmp_path) == ["weights.pt"]


@pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX systems")
def test_saving_keeps_the_mode_and_the_link(tmp_path):
    path, link = tmp_path / "real.pt", tmp_path / "link.pt"
    torch.save("old", path)
    path.chmod(0o640)
    link.symlink_to(path)
    torch.save("new", link)
    assert link.is_symlink() and torch.load(path) == "new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_mapped_files(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.arange(1000.0), "b": torch.zeros(0)}, path)
    mapped = torch.load(path, mmap=True)
    assert mapped["a"].tolist() == list(map(float, range(1000))) and mapped["b"].numel() == 0
    mapped["a"][0] = 7.0
    assert torch.load(path)["a"][0] == 0.0
    with pytest.raises(ValueError, match="must be a file path"):
        loaded(saved(1), mmap=True)


def test_map_location():
    content = saved({"a": torch.ones(2), "b": nn.Parameter(torch.ones(2))})
    seen = []

    def remember(storage, location):
        seen.append((type(storage), storage.nbytes(), location))
        return storage

    for place in (
        None,
        "cpu",
        torch.device("cpu"),
        {"cpu": "cpu"},
        {},
        lambda s, l: None,
        remember,
    ):
        assert loaded(content, map_location=place)["a"].device.type == "cpu"
    assert seen == [(torch.UntypedStorage, 8, "cpu")] * 2
    for place in ("meta", torch.device("meta"), {"cpu": "meta"}):
        result = loaded(content, map_location=place)
        assert result["a"].device.type == result["b"].device.type == "meta"
        assert type(result["b"]) is nn.Parameter and result["b"].shape == (2,)
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        loaded(content, map_location="moon")
    with pytest.raises(TypeError, match="'int' object is not callable"):
        loaded(content, map_location=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is not there")
def test_a_missing_device_is_named():
    with pytest.raises(RuntimeError, match="on a CUDA device but torch.cuda.is_available"):
        loaded(saved(torch.ones(2)), map_location="cuda")


# Wrong calls


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: torch.save(1, 3), AttributeError, "expected 'f' to be string, path, or a file"),
        (lambda: torch.save(1, "no/such/a.pt"), RuntimeError, "Parent directory no/such does not"),
        (lambda: torch.save(1, "."), RuntimeError, "Is a directory"),
        (lambda: torch.save(1, io.BytesIO(), pickle_module=io), NotImplementedError, "'io'"),
        (lambda: torch.load(3), AttributeError, "'int' object has no attribute .* is seekable"),
        (lambda: torch.load("no-such.pt"), FileNotFoundError, "No such file or directory"),
        (lambda: torch.load("model.safetensors"), NotImplementedError, "safetensors"),
        (lambda: loaded(b""), EOFError, "incomplete"),
        (lambda: loaded(b"not a checkpoint"), pickle.UnpicklingError, "Weights only load failed"),
        (lambda: loaded(pickle.dumps(1, 2)), RuntimeError, "Invalid magic number; corrupt file?"),
        (
            lambda: loaded(saved(1), pickle_module=pickle, weights_only=True),
            RuntimeError,
            "explicit",
        ),
        (lambda: loaded(b"PK\x03\x04"), RuntimeError, "not a ZIP archive"),
        (lambda: loaded(saved(1)[:-30]), RuntimeError, "failed finding central directory"),
        (lambda: loaded(archive(b"\x80\x02K\x01.", version=b"99")), RuntimeError, "version 99"),
        (
            lambda: loaded(archive(b"\x80\x02K\x01.", version=b"x")),
            RuntimeError,
            "parse the version",
        ),
        (
            lambda: loaded(archive(b"", byteorder=b"odd")),
            ValueError,
            "Unknown endianness type: odd",
        ),
        (lambda: loaded(archive(b"", **{"constants.pkl": b""})), RuntimeError, "TorchScript"),
        (
            lambda: loaded(archive(pickle_of(saved(torch.ones(2))))),
            RuntimeError,
            "locating file data/0",
        ),
        (
            lambda: loaded(archive(pickle_of(saved(torch.ones(2))), **{"data/0": b"123"})),
            RuntimeError,
            r"record size \(3 bytes\) does not match expected size \(8 bytes",
        ),
    ],
)
def test_wrong_calls(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_other_byte_order_is_refused():
    with pytest.raises(NotImplementedError, match="big-endian"):
        loaded(archive(b"\x80\x02K\x01.", byteorder=b"big"))


def test_compressed_records_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02K\x01.")
        file.writestr("archive/version", b"3\n")
    with pytest.raises(RuntimeError, match="unsupported compression method"):
        loaded(buffer.getvalue())


def test_a_changed_byte_of_a_tensor_is_noticed():
    content = bytearray(saved(torch.ones(4)))
    content[content.index(struct.pack("<f", 1.0))] ^= 1
    with pytest.raises(RuntimeError, match="CRC-32 check failed"):
        loaded(bytes(content))

import torch, numpy as np, copy, pickle, io

t = torch.arange(6).reshape(2, 3).float()
a = t.numpy()
a[0, 0] = 100
print(t, a.dtype, a.flags["WRITEABLE"])
print(
    np.asarray(t),
    np.array(t).sum(),
    np.mean(t.numpy()),
    t + np.ones((2, 3), dtype=np.float32),
    np.ones(3) @ np.ones(3),
    torch.tensor(np.pi),
    torch.as_tensor([np.float32(1), np.float32(2)]).dtype,
    torch.tensor(np.array([1, 2], dtype=np.int32)).dtype,
    torch.tensor(np.array([True])).dtype,
    np.sqrt(t)[0],
)
print(
    t.numpy().T.shape,
    torch.from_numpy(a.T).stride(),
    torch.from_numpy(np.arange(3)[::1]),
    t.double().numpy().dtype,
    torch.from_numpy(np.float16([1])).dtype,
    torch.tensor(a[::-1].copy()),
)
try:
    torch.from_numpy(a[::-1])
except ValueError as e:
    print(str(e).split("\n")[0])
try:
    torch.from_numpy(np.array(["a"]))
except TypeError as e:
    print(str(e).split("\n")[0])
try:
    print(torch.tensor([1, "a"]))
except (TypeError, ValueError) as e:
    print(type(e).__name__, e)
print(
    t.type(torch.int64),
    t.int().dtype,
    t.long().dtype,
    t.bool(),
    t.half().dtype,
    t.to(torch.complex64)[0],
    t.to("cpu", torch.float64).dtype,
    t.type("torch.DoubleTensor").dtype,
    t.byte().dtype,
    t.to(t.double()).dtype,
    t.bfloat16(),
)
b = copy.deepcopy(t)
b += 1
c = copy.copy(t)
print(t[0], b[0], c.data_ptr() == t.data_ptr())
d = pickle.loads(pickle.dumps(t))
print(torch.equal(d, t))
buf = io.BytesIO()
torch.save({"a": t, "l": [1, (2, t[0])], "s": "x"}, buf)
buf.seek(0)
o = torch.load(buf)
print(o["l"][1][1], o["a"].storage_offset())
print(
    torch.result_type(torch.tensor([1]), 1.5),
    torch.promote_types(torch.int8, torch.float16),
    (torch.tensor([1]) + 1.5).dtype,
    (torch.tensor(1.5, dtype=torch.float64) + torch.tensor([1.0])).dtype,
    (torch.ones(1, dtype=torch.uint8) * 300),
    torch.tensor([1, 2]) / 2,
    torch.tensor([True]) + torch.tensor([True]),
    torch.tensor([5]) // 2,
    torch.tensor([-5]) % 3,
    -7 // torch.tensor([2]),
    torch.can_cast(torch.float, torch.int),
)
print(
    torch.tensor([1.7, -1.7]).int(),
    torch.tensor([2.5, 3.5, -0.5]).round(),
    torch.tensor(1e20).long() < 0,
    torch.tensor([1.123456789], dtype=torch.float64),
    torch.tensor([300]).to(torch.uint8),
    torch.tensor([1.5]).item(),
    round(torch.tensor(1.567).item(), 2),
    f"{torch.tensor(1.5):.3f}",
    "{:>8.2f}".format(torch.tensor(2.0)),
    "%d" % torch.tensor(3),
    str(torch.tensor([1.0]).item()),
    torch.tensor([[1, 2], [3, 4]]).sum().item(),
    max(torch.tensor([1, 5, 2])),
    sorted(torch.tensor([3, 1, 2]).tolist()),
    sum(torch.tensor([1, 2, 3])),
    any(torch.tensor([0, 1])),
    list(torch.tensor([1, 2])),
    [*torch.tensor([1.0, 2.0])],
    dict(zip("ab", torch.tensor([1, 2]))),
    torch.tensor(5).__index__(),
    [10, 20, 30][torch.tensor(1)],
    range(torch.tensor(3)),
    torch.tensor(2) ** torch.tensor(3),
    divmod(7, 2),
    abs(torch.tensor(-1)),
    torch.tensor(3.7).__int__(),
    isinstance(torch.ones(1), torch.Tensor),
    type(torch.ones(1).shape),
    torch.ones(2, 3).shape[-1],
    len(torch.ones(2, 3).shape),
    torch.ones(2, 3).shape == (2, 3),
    torch.Size((2, 3)).numel(),
    torch.ones(2, 3).size()[1:],
    (*torch.ones(2, 3).shape, 4),
)
x = torch.zeros(2, 2)
x[0] = torch.tensor([1.0, 2.0])
x[:, 1] += 5
x[x > 6] = 0
x[1, 1].add_(3)
y = x.view(-1)
y[0] = 9
z = x.clone()
z.fill_(1)
print(x, y.is_contiguous(), x.T.is_contiguous(), x.t().contiguous().stride(), x._version, z)
x.resize_(3, 2)
print(
    x.shape,
    x.storage().size() if hasattr(x, "storage") else 0,
    x.untyped_storage().nbytes(),
    x.stride(),
    x.storage_offset(),
    x[1:].storage_offset(),
)
try:
    x.view(5)
except RuntimeError as e:
    print(str(e).split("\n")[0])
try:
    torch.ones(2, 3).t().view(6)
except RuntimeError as e:
    print(str(e).split("\n")[0])
w = torch.ones(3, requires_grad=True)
try:
    w += 1
except RuntimeError as e:
    print(str(e).split("\n")[0])
try:
    w[0] = 5
except RuntimeError as e:
    print(str(e).split("\n")[0])
with torch.no_grad():
    w[0] = 5
    w.mul_(2)
    w -= 1
print(w, w.is_leaf, (w * 2).is_leaf, w.grad is None, w.data, w.detach().requires_grad)
print(
    torch.set_default_dtype(torch.float64),
    torch.ones(1).dtype,
    torch.tensor(1.5).dtype,
    torch.get_default_dtype(),
    torch.set_default_dtype(torch.float32),
)
print(
    torch.randint(0, 10, (3,)).dtype,
    torch.empty((2, 0)).numel(),
    torch.zeros(()).dim(),
    torch.tensor(3).ndim,
    torch.scalar_tensor(2.0),
    torch.zeros(1, 2).squeeze().shape,
    torch.arange(0, 1, 0.25),
    torch.arange(5, 0, -2),
    torch.linspace(0, 10, steps=5),
    torch.logspace(0, 2, 3),
    torch.full_like(torch.ones(2), 7),
    torch.empty_like(torch.ones(2, dtype=torch.int)).dtype,
    torch.eye(2, 3),
    torch.complex(torch.tensor([1.0]), torch.tensor([2.0])),
    torch.polar(torch.tensor([1.0]), torch.tensor([0.0])),
    torch.view_as_real(torch.tensor([1 + 2j])),
    torch.tensor([3 + 4j]).abs(),
    torch.tensor([1 + 1j]).angle(),
    torch.tensor([1 + 1j]).conj(),
    torch.fft.fft(torch.tensor([1.0, 2.0, 3.0, 4.0])),
    torch.fft.rfft(torch.ones(4)),
    torch.fft.ifft(torch.fft.fft(torch.ones(2))),
)

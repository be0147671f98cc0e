"""A table of wrong calls: each line is a program that must fail as it does in torch.

`tests/parity/test_wrong_calls.py` runs every line under torch and Flambeau,
`tests/test_wrong_calls.py` compares Flambeau with what `tools/record_wrong_calls.py` once recorded
of torch. A line starts with the names that `names` makes; its last statement fails:

>>> CALLS["shapes of products"][0]
'x @ x'
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import re
import warnings
import zipfile
from typing import Any

import numpy

# fmt: off
_TOPICS = {
"shapes that do not broadcast": """
x + torch.ones(4)
x * torch.ones(2, 4)
x - torch.ones(3, 2)
x / torch.ones(2)
x == torch.ones(4)
x < torch.ones(5, 3)
torch.maximum(x, torch.ones(4))
torch.atan2(x, torch.ones(2))
torch.pow(x, torch.ones(4))
torch.where(x > 1, x, torch.ones(4))
torch.where(torch.ones(4) > 0, x, x)
torch.lerp(x, torch.ones(4), 0.5)
torch.addcmul(x, x, torch.ones(4))
torch.logical_and(x, torch.ones(4))
torch.clamp(x, min=torch.ones(4))
torch.broadcast_to(x, (4, 3))
torch.broadcast_tensors(x, torch.ones(4))
torch.broadcast_shapes((2, 3), (4,))
x.expand(3, 3)
x.expand(3)
x.expand(-1, 2, 3)
x.expand_as(torch.ones(3, 3))
x.masked_fill(torch.ones(4) > 0, 0.0)
x.add_(torch.ones(4, 2, 3))
x.mul_(torch.ones(4))
x.copy_(torch.ones(4))
x += torch.ones(3, 1, 3)
x.fill_(torch.ones(2))
torch.ones(3).add_(torch.ones(2, 3))
""",
"shapes of products": """
x @ x
torch.mm(x, x)
torch.mm(x, torch.ones(3))
torch.mv(x, torch.ones(2))
torch.mv(torch.ones(3), torch.ones(3))
torch.dot(torch.ones(2), torch.ones(3))
torch.dot(x, x)
torch.bmm(x, x)
torch.bmm(torch.ones(2, 3, 4), torch.ones(2, 3, 4))
torch.bmm(torch.ones(2, 3, 4), torch.ones(3, 4, 5))
torch.matmul(torch.ones(2, 3, 4), torch.ones(3, 4, 5))
torch.matmul(torch.ones(3), torch.ones(4))
torch.matmul(x, torch.ones(2))
torch.matmul(torch.tensor(1.0), x)
torch.matmul(torch.ones(2, 3, 4), torch.ones(5))
torch.addmm(torch.ones(2, 2), x, x)
torch.addmm(torch.ones(5), x, torch.ones(3, 4))
torch.outer(x, torch.ones(2))
torch.einsum('ij,jk->ik', x, x)
torch.einsum('ij->k', x)
torch.einsum('ijk->i', x)
torch.einsum('ij,jk->ik', x)
torch.einsum('i!->i', x)
torch.tensordot(x, torch.ones(4, 2), dims=1)
torch.linalg.norm(x, ord='bad')
x.T @ torch.ones(4)
torch.cross(torch.ones(2, 4), torch.ones(2, 4), dim=1)
""",
"shapes of views": """
x.view(4, 2)
x.view(-1, 4)
x.view(-1, -1)
x.view(2, -2)
x.t().view(6)
x.reshape(4)
x.reshape(-1, 4)
torch.ones(0, 3).view(-1, 0)
x.permute(0, 0)
x.permute(0)
x.permute(0, 2)
x.transpose(0, 2)
x.transpose(0)
torch.ones(2, 3, 4).t()
x.squeeze(2)
x.unsqueeze(4)
x.flatten(1, 0)
x.flatten(0, 3)
x.unflatten(1, (2, 2))
x.narrow(0, 1, 2)
x.narrow(1, 4, 1)
x.narrow(0, 0, -1)
x.select(0, 2)
x.select(3, 0)
x.split([1, 2], 0)
x.split(-1)
x.split(0)
x.chunk(0)
x.chunk(-2, 1)
x.unbind(2)
x.diagonal(0, 0, 0)
torch.diag(torch.ones(2, 2, 2))
x.as_strided((4, 4), (4, 1))
x.unfold(0, 3, 1)
x.unfold(0, 1, 0)
x.movedim(0, 2)
x.swapaxes(0, 5)
x.repeat(2)
x.tile(-1)
x.resize_(-1)
x.roll(1, (0, 1))
x.flip(2)
x.flip(0, 0)
torch.rot90(torch.ones(3))
torch.tril(torch.ones(3))
torch.meshgrid(torch.ones(2), torch.ones(2), indexing='yx')
""",
"joining": """
torch.cat([x, torch.ones(2, 4)])
torch.cat([x, torch.ones(3, 3)], dim=1)
torch.cat([])
torch.cat([x, torch.ones(3)])
torch.cat([x, x], dim=2)
torch.cat(x)
torch.cat([x, 1])
torch.cat([torch.tensor(1.0), torch.tensor(2.0)])
torch.cat(x, x)
torch.stack([])
torch.stack([x, torch.ones(3, 2)])
torch.stack([x, x], dim=4)
torch.stack(x)
torch.hstack([x, torch.ones(3, 3)])
torch.vstack([x, torch.ones(2, 4)])
torch.column_stack([x, torch.ones(3)])
""",
"reductions": """
x.sum(2)
x.sum((0, 0))
x.sum('a')
x.mean(-3)
n.mean()
n.std()
n.var(0)
torch.tensor([True]).mean()
x.max(2)
torch.ones(0).max()
torch.ones(0).argmax()
torch.ones(0, 3).max(0)
torch.ones(0).min()
torch.ones(0, 2).amax(0)
x.argmax(5)
x.softmax(2)
n.softmax(0)
x.log_softmax(-3)
x.logsumexp(3)
x.cumsum(2)
x.cumsum()
n.norm()
x.median(2)
x.sort(2)
x.topk(4)
x.topk(1, dim=2)
x.topk(-1)
x.kthvalue(4)
x.prod(2)
x.all(2)
torch.quantile(x, 2.0)
torch.quantile(n, 0.5)
torch.std(x, 7)
torch.bincount(torch.tensor([-1]))
torch.bincount(x)
torch.histc(n)
torch.diff(torch.tensor(1.0))
torch.cdist(x, torch.ones(2, 4))
""",
"dtypes": """
torch.mm(x, torch.ones(3, 2).double())
x @ n.t()
torch.dot(torch.ones(2), torch.ones(2).long())
torch.bmm(torch.ones(1, 2, 2), torch.ones(1, 2, 2).double())
x & x
x | 1
n << 1.5
~x
x ^ True
n.add_(1.5)
n.div_(2)
n += 0.5
n.mul_(x)
b.add_(1)
b - b
b - 1
1 - b
-b
n.exp_()
n.sqrt_()
n.pow(-1)
n ** -2
torch.tensor([1, 2], requires_grad=True)
n.requires_grad_()
n.requires_grad = True
b.requires_grad_(True)
torch.bitwise_and(x, 1)
torch.bitwise_not(x)
torch.gcd(x, x)
torch.add(n, 1, alpha=0.5)
torch.add(x, x, alpha='a')
torch.sub(b, b)
torch.lerp(n, n, 0.5)
torch.lerp(x, x.double(), 0.5)
torch.where(n, x, x)
torch.masked_fill(x, n, 0.0)
torch.masked_fill(n, n > 0, 'a')
torch.rand(2, dtype=torch.long)
torch.randn(2, dtype=torch.int32)
torch.normal(0, 1, (2,), dtype=torch.long)
torch.zeros(2, dtype='float32')
torch.zeros(2, dtype=float64)
torch.tensor([1.0], dtype=int64)
torch.view_as_complex(x)
torch.view_as_real(x)
torch.complex(n, n)
torch.complex(x, x.double())
torch.sort(torch.tensor([1j, 2j]))
torch.max(torch.tensor([1j]))
torch.tensor([1j]) < torch.tensor([2j])
torch.tensor([1j]).floor()
torch.tensor([1j]) % 2
torch.angle('a')
F.one_hot(x)
F.one_hot(torch.tensor([-1]))
F.one_hot(torch.tensor([3]), 2)
F.dropout(n, 0.5)
F.gelu(n)
F.leaky_relu(n)
F.softmax(n, dim=0)
F.linear(x, torch.ones(4, 3).double())
F.embedding(torch.ones(2), x)
F.mse_loss(n, n)
torch.finfo(torch.int32)
torch.iinfo(torch.float32)
torch.set_default_dtype(torch.int32)
x.type('torch.BadTensor')
torch.promote_types(torch.float32, 'x')
torch.linspace(0, 1, 3, dtype=torch.bool)
torch.arange(0, 1, 0.1, dtype=torch.bool)
n.bernoulli()
n.normal_()
b.uniform_()
""",
"devices": """
x.to('cuda')
x.cuda()
torch.zeros(2, device='cuda')
torch.ones(2, device='cuda:0')
torch.tensor([1.0], device='cuda')
torch.device('gpu')
torch.device('cuda:x')
torch.device('cpu:-1')
torch.device('')
torch.device(1.5)
x.to('gpu')
x.to('nowhere')
torch.zeros(2, device='bad')
torch.zeros(2, device=1.5)
nn.Linear(2, 3).to('cuda')
nn.Linear(2, 3).cuda()
nn.Linear(2, 3, device='cuda')
torch.zeros(2, device='meta').item()
torch.zeros(1, device='meta').item()
torch.zeros(2, device='meta').tolist()
torch.zeros(2, device='meta').numpy()
torch.zeros(2, device='meta').to('cpu')
torch.zeros(2, device='meta') + x[0, :2]
bool(torch.zeros(1, device='meta'))
torch.cuda.current_device()
torch.cuda.synchronize()
torch.cuda.get_device_name(0)
torch.set_default_device('bad')
""",
"indices": """
x[2]
x[-3]
x[0, 3]
x[0, 0, 0]
x[:, :, 0]
x['a']
x[1.0]
x[torch.tensor([2])]
x[torch.tensor([0, 1]), torch.tensor([0, 1, 2])]
x[torch.tensor([True, False, True])]
x[x]
x[torch.tensor([0.0])]
x[[0, 5]]
x[::-1]
x[0:2:0]
x[None, 0, 0, 0]
x[torch.ones(2, 2) > 0]
x[5] = 0
x[0] = torch.ones(4)
x[:, 0] = torch.ones(3)
x[x > 2] = torch.ones(2)
x[torch.tensor([True])] = 0
x[0] = 'a'
x[0] = None
x['a'] = 1
x[0, 0, 0] = 1
torch.tensor(1.0)[0]
torch.tensor(1.0)[:]
torch.tensor(1.0)[0] = 1
torch.index_select(x, 0, torch.tensor([2]))
torch.index_select(x, 2, torch.tensor([0]))
torch.index_select(x, 0, torch.tensor([0.5]))
torch.index_select(x, 0, torch.tensor([[0]]))
torch.index_select(x, 0, [0])
torch.gather(x, 0, torch.tensor([[2]]))
torch.gather(x, 0, torch.tensor([0]))
torch.gather(x, 0, torch.tensor([[0.0]]))
torch.gather(x, 2, torch.tensor([[0]]))
torch.gather(x, 0, torch.zeros(1, 4, dtype=torch.long))
x.scatter(0, torch.tensor([[2]]), 1.0)
x.scatter(0, torch.tensor([0]), 1.0)
x.scatter(0, torch.tensor([[0]]), torch.ones(1, 1).double())
x.scatter(0, torch.tensor([[0.0]]), 1.0)
x.scatter_(1, torch.tensor([[0, 1]]), torch.ones(1, 1))
x.scatter_add(0, torch.tensor([[0]]), 1.0)
x.scatter_reduce(0, torch.tensor([[0]]), x, reduce='bad')
x.index_add(0, torch.tensor([0]), torch.ones(2, 3))
x.index_add(0, torch.tensor([5]), torch.ones(1, 3))
x.index_fill(0, torch.tensor([3]), 1.0)
x.index_copy(0, torch.tensor([0, 1]), torch.ones(1, 3))
torch.take(x, torch.tensor([6]))
torch.take_along_dim(x, torch.tensor([0]), 1)
torch.masked_select(x, torch.ones(4) > 0)
torch.masked_select(x, n)
torch.nonzero(x, 1, 2)
torch.searchsorted(torch.tensor([1.0, 2.0]), torch.ones(2, 2), sorter=torch.tensor([0.5]))
torch.bucketize(x, torch.ones(2, 2))
F.embedding(torch.tensor([2]), x)
F.embedding(torch.tensor([-1]), x)
F.embedding(torch.tensor([0]), torch.ones(3))
nn.Embedding(3, 2)(torch.tensor([3]))
x.put_(torch.tensor([6]), torch.tensor([1.0]))
""",
"types of arguments": """
torch.tanh('x')
torch.tanh()
torch.tanh(x, x)
torch.tanh(x, foo=1)
torch.tanh(1.0)
torch.tanh(None)
torch.relu([1.0])
torch.exp([1, 2])
torch.abs(None)
torch.sigmoid(np.ones(2))
torch.add(x)
torch.add('a', 'b')
torch.add(x, 'a')
torch.mul(x, [1, 2])
torch.mul(x, None)
torch.sub(x, None)
torch.div(x, 'a')
torch.pow(x, 'a')
torch.div(x, 2, rounding_mode='up')
x + 'a'
x + None
'a' + x
x + [1]
x * None
x - {}
x / 'a'
x // 'a'
x % 'a'
x ** 'a'
x ** None
x @ 2
x @ [1.0]
2 @ x
x < 'a'
x >= None
x & 'a'
-'a' + x
x.add()
x.add(x, x, x)
x.add('a')
x.mul('a')
x.matmul(2)
x.view('a')
x.view()
x.view(1.5)
x.view(2.0, 3.0)
x.reshape('a')
x.reshape(None)
x.reshape(2, 3.0)
x.permute('a')
x.permute(0.5, 1)
x.transpose('a', 0)
x.transpose(0, 1, 2)
x.expand('a')
x.sum(1, 2, 3)
x.sum(foo=1)
x.sum(dim=[0.5])
x.mean(dim='a')
x.max('a')
x.argmax('a')
x.softmax()
x.sort('a', 'b')
x.to([1])
x.type(5)
x.clamp()
x.clamp('a')
x.masked_fill(x > 0)
x.masked_fill(1, 2)
x.squeeze('a')
x.unsqueeze()
x.unsqueeze('a')
x.repeat('a')
x.fill_('a')
x.copy_('a')
x.foo
x.foo()
x.size('a')
x.size(2)
x.stride(5)
torch.mm(x)
torch.mm(x, 2)
torch.mm(x, x, x)
torch.matmul(x)
torch.matmul(x, 2)
torch.bmm(x, 2)
torch.sum()
torch.sum('a')
torch.sum(1)
torch.mean([1.0])
torch.max()
torch.max(5)
torch.cat()
torch.cat(1)
torch.stack(1)
torch.where(1)
torch.where(x > 0, x)
torch.where(x > 0, 'a', x)
torch.where([True], x, x)
torch.zeros()
torch.zeros('a')
torch.zeros(2.5)
torch.zeros(2, 'a')
torch.zeros(-1)
torch.zeros(None)
torch.ones((2, -3))
torch.ones(2, foo=1)
torch.empty('a')
torch.full((2, 3))
torch.full((2,), 'a')
torch.full(2, 1.0)
torch.zeros_like(1)
torch.ones_like([1])
torch.eye(-1)
torch.eye('a')
torch.arange()
torch.arange('a')
torch.arange(5, 1)
torch.arange(0, 5, -1)
torch.arange(0, 5, 0)
torch.arange(1, 2, 3, 4)
torch.linspace(0, 1)
torch.linspace(0, 1, -2)
torch.linspace(0, 1, 2.5)
torch.logspace(0, 1, -1)
torch.rand('a')
torch.rand(-1)
torch.randint(5)
torch.randint(5, 2, (3,))
torch.randint(0, 5)
torch.randint(0, 0, (3,))
torch.randperm(-1)
torch.randperm('a')
torch.tensor()
torch.tensor('a')
torch.tensor(None)
torch.tensor([1, 'a'])
torch.tensor([[1, 2], [3]])
torch.tensor([1, [2]])
torch.tensor([None])
torch.tensor({})
torch.tensor({1: 2})
torch.tensor(object())
torch.tensor([1], 2)
torch.tensor(10 ** 30)
torch.tensor([300], dtype=torch.uint8)
torch.tensor([x, x])
torch.as_tensor('a')
torch.from_numpy([1])
torch.from_numpy(np.array(['a']))
torch.from_numpy(x)
torch.tensor(np.array(['a', 'b']))
torch.tensor(np.array([None]))
torch.FloatTensor('a')
torch.FloatTensor([1, 'a'])
torch.Tensor(2, 'a')
torch.LongTensor([1.5, 'a'])
torch.numel(1)
torch.is_tensor()
torch.is_floating_point(1)
torch.manual_seed('a')
torch.isnan(1.0)
torch.isclose(x, 1.0)
torch.allclose(x, 1)
torch.equal(x, 1)
torch.flatten(1)
torch.transpose(x, 0)
torch.unsqueeze(x)
torch.clamp(x)
torch.topk(x)
torch.sort(1)
torch.softmax(x)
torch.nonexistent
torch.nn.Nonexistent
torch.nn.functional.nonexistent
torch.optim.Nonexistent
torch.utils.data.Nonexistent
torch.seed(1)
torch.Size(['a'])
torch.Size(1)
torch.dtype('float')
torch.set_grad_enabled()
""",
"values in Python": """
x.item()
torch.ones(0).item()
bool(x)
bool(torch.ones(0))
if_(x > 0)
x and x
int(x)
float(x)
complex(x)
int(torch.tensor([1.5, 2.5]))
[1, 2, 3][x]
[1, 2, 3][torch.tensor(1.0)]
range(torch.tensor(1.5))
len(torch.tensor(1.0))
list(torch.tensor(1.0))
iter(torch.tensor(1.0))
float(torch.tensor(1j))
int(torch.tensor(float('nan')))
int(torch.tensor(float('inf')))
'%d' % x
f'{x:d}'
f'{x:.2f}'
f'{torch.tensor(1.5):d}'
x in 'a'
'a' in x
None in x
w.numpy()
np.array(w)
w.detach().requires_grad_().numpy()
x.bfloat16().numpy()
np.asarray(torch.zeros(2, device='meta'))
w.__dlpack__()
torch.tensor(np.zeros(2)[::-1])
torch.from_numpy(np.zeros(3)[::-1])
hash(x) == hash(x.numpy())
x.numpy().reshape(5)
copy.deepcopy(w * 2)
setattr(x, 'grad', 1)
setattr(x, 'grad', torch.ones(4))
setattr(x, 'grad', torch.ones(2, 3).double())
setattr(x, 'data', 1)
""",
"autograd": """
w.backward()
x.sum().backward()
(w * 2).backward()
y = (w * w).sum(); y.backward(); y.backward()
y = w.exp(); z = y.sum(); y.add_(1); z.backward()
y = w * 1; z = (y * y).sum(); y += 1; z.backward()
w.add_(1)
w += 1
w[0] = 1
w.zero_()
w.view(6).add_(1)
w.data = w.double(); w.fill_(1)
w.sum().backward(torch.ones(2))
(w * 2).backward(torch.ones(3))
(w * 2).backward('a')
(w * 2).backward(torch.ones(2, 3).double(), 1, 2, 3, 4)
w.sum().backward(retain_graph='a', foo=1)
torch.autograd.backward(w.sum(), torch.ones(2))
torch.autograd.grad(w * 2, w)
torch.autograd.grad(w.sum(), x)
torch.autograd.grad(x.sum(), w)
torch.autograd.grad(w.sum(), torch.ones(1, requires_grad=True))
torch.autograd.grad(w.sum(), [])
torch.autograd.grad(w.sum(), w, grad_outputs=torch.ones(3))
torch.autograd.grad((w * w).sum(), w)[0].backward()
torch.autograd.grad(w.sum(), 1)
torch.autograd.grad(1, w)
y = w.sum(); y.requires_grad = False
y = w * 2; y.requires_grad_(False)
y = w * 2; y.retain_grad(); x.retain_grad()
x.register_hook(print)
y = w * 2; y.register_hook(1); y.sum().backward()
y = w.detach(); y.sum().backward()
with_no_grad = torch.no_grad(); y = with_no_grad.__enter__(); z = (w * 2).sum(); with_no_grad.__exit__(None, None, None); z.backward()
w.detach_(); w.sum().backward()
y = w * 2; v = y[0]; v.detach_()
y = (w * 2).unbind(0); y[0].add_(1)
y = w.expand(2, 2, 3); y.add_(1)
torch.set_grad_enabled('a', 'b')
Square.apply(w).sum().backward()
Wrong.apply(w).sum().backward()
Bare()(w)
Unsaved.apply(w)
torch.autograd.functional.jacobian(lambda v: 1, x)
torch.autograd.gradcheck(lambda v: v * 1, (x,))
y = w * 2; del w; torch.autograd.grad(y, z)
""",
"convolution and pooling": """
F.conv2d(torch.ones(1, 2, 5, 5), torch.ones(4, 3, 3, 3))
F.conv2d(torch.ones(1, 3, 2, 2), torch.ones(4, 3, 3, 3))
F.conv2d(torch.ones(5, 5), torch.ones(4, 3, 3, 3))
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3))
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3), torch.ones(5))
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3), stride=0)
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3), padding=-1)
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3), padding='bad')
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3), padding='same', stride=2)
F.conv2d(torch.ones(1, 4, 5, 5), torch.ones(3, 2, 3, 3), groups=2)
F.conv2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3), stride=(1, 2, 3))
nn.Conv2d(3, 4, 3)(torch.ones(1, 2, 5, 5))
nn.Conv2d(3, 4, 3)(torch.ones(5))
nn.Conv2d(3, 4, 3, groups=2)
nn.Conv2d(3, 4)
nn.Conv1d(3, 4, 3)(torch.ones(1, 2, 5))
nn.Conv2d(0, 4, 3, groups=0)
F.max_pool2d(torch.ones(1, 1, 2, 2), 3)
F.max_pool2d(torch.ones(4, 4)[0], 2)
F.max_pool2d(torch.ones(1, 1, 4, 4), 2, padding=2)
F.max_pool2d(torch.ones(1, 1, 4, 4), 0)
F.avg_pool2d(torch.ones(1, 1, 4, 4), 2, padding=2)
F.avg_pool2d(torch.ones(1, 1, 2, 2), 3)
F.adaptive_avg_pool2d(torch.ones(3), 2)
nn.MaxPool2d(2)(torch.ones(3))
F.conv_transpose2d(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3))
F.pad(x, (1,))
F.pad(x, (1, 1), mode='bad')
F.pad(x, (3, 3), mode='reflect')
F.unfold(x, 2)
F.interpolate(torch.ones(1, 1, 4, 4))
F.interpolate(torch.ones(1, 1, 4, 4), size=2, scale_factor=2)
F.interpolate(torch.ones(1, 1, 4, 4), size=2, mode='bad')
F.pixel_shuffle(torch.ones(1, 3, 2, 2), 2)
""",
"layers and losses": """
nn.Linear(3, 4)(torch.ones(2, 5))
nn.Linear(3, 4)(n)
nn.Linear(3, 4)('a')
nn.Linear(3)
nn.Linear(3, 'a')
nn.Linear(-1, 2)
nn.Bilinear(2, 3, 4)(torch.ones(1, 2), torch.ones(1, 2))
F.linear(x, torch.ones(4, 2))
F.linear(x, torch.ones(4, 3), torch.ones(5))
nn.BatchNorm1d(3)(torch.ones(2, 4))
nn.BatchNorm1d(3)(torch.ones(1, 3))
nn.BatchNorm2d(3)(torch.ones(2, 3))
nn.LayerNorm(4)(x)
nn.GroupNorm(2, 3)
nn.Dropout(1.5)
nn.Dropout(-0.1)
F.dropout(x, 2.0)
nn.Embedding(3, 2)(x)
nn.Embedding(3, 2, padding_idx=5)
nn.LSTM(3, 4)(torch.ones(2, 2, 5))
nn.LSTM(3, 4)(torch.ones(2))
nn.LSTM(3, 4)(torch.ones(2, 1, 3), torch.ones(1, 1, 4))
nn.LSTM(3, 4)(torch.ones(2, 1, 3), (torch.ones(1, 1, 5), torch.ones(1, 1, 4)))
nn.GRU(3, 4)(torch.ones(2, 1, 3), torch.ones(2, 1, 4))
nn.RNN(3, 4, nonlinearity='bad')
nn.MultiheadAttention(5, 2)
nn.Flatten(1, 5)(x)
nn.Unflatten(1, (2, 2))(x)
nn.Softmax(5)(x)
nn.PReLU(5)(torch.ones(2, 3))
nn.Hardtanh(2, 1)
nn.Upsample()(torch.ones(1, 1, 2))
nn.CosineSimilarity()(x, torch.ones(3, 4))
F.mse_loss(x, torch.ones(4))
F.mse_loss(x, x, reduction='bad')
F.mse_loss(x, 1)
F.mse_loss(x)
F.l1_loss(x, x, reduction='bad')
F.cross_entropy(x, torch.tensor([0]))
F.cross_entropy(x, torch.tensor([0, 3]))
F.cross_entropy(x, torch.tensor([0, -1]))
F.cross_entropy(x, torch.tensor([0.0, 1.0]))
F.cross_entropy(x, torch.tensor([0, 1], dtype=torch.int32))
F.cross_entropy(x, torch.tensor([[0], [1]]))
F.cross_entropy(x, torch.tensor([0, 1]), weight=torch.ones(2))
F.cross_entropy(x, torch.tensor([0, 1]), reduction='bad')
F.cross_entropy(x, torch.tensor([0, 1]), label_smoothing=2.0)
F.cross_entropy(n, torch.tensor([0, 1]))
F.cross_entropy(torch.tensor(1.0), torch.tensor(1))
F.cross_entropy(x, x[:, :2])
F.nll_loss(x, torch.tensor([0, 5]))
F.nll_loss(x, torch.tensor([0]))
F.nll_loss(x, torch.tensor([0.0, 1.0]))
F.nll_loss(torch.ones(1, 2, 3), torch.tensor([[0, 1]]))
F.nll_loss(x, torch.tensor([0, 1]), weight=torch.ones(4))
F.binary_cross_entropy(x, x)
F.binary_cross_entropy(torch.sigmoid(x), torch.ones(2))
F.binary_cross_entropy(torch.sigmoid(x), n)
F.binary_cross_entropy_with_logits(x, torch.ones(2))
F.binary_cross_entropy_with_logits(x, n)
F.smooth_l1_loss(x, x, beta=-1.0)
F.huber_loss(x, x, delta=0.0)
F.kl_div(x, torch.ones(4))
F.gaussian_nll_loss(x, x, -torch.ones(2, 3))
F.margin_ranking_loss(x, x, torch.ones(4, 3))
F.cosine_embedding_loss(x, x, torch.ones(3))
F.triplet_margin_loss(x, x, torch.ones(4, 4))
F.multi_margin_loss(x, torch.tensor([0, 5]))
F.ctc_loss(torch.ones(2, 1, 3), torch.ones(1, 1, dtype=torch.long), [5], [1])
nn.CrossEntropyLoss()(x, torch.tensor([0, 1, 2]))
nn.CrossEntropyLoss()(x, None)
nn.NLLLoss()(x)
nn.BCELoss()(x, torch.ones(2, 3))
F.glu(x)
F.glu(torch.ones(2, 3), 1)
F.gelu(x, approximate='bad')
F.softmax(x, dim=4)
F.normalize(x, dim=3)
F.celu(x, alpha=0.0)
F.hardtanh(x, 2.0, 1.0)
F.relu('a')
F.softplus([1.0])
F.layer_norm(x, (4,))
F.batch_norm(x, None, None, training=False)
F.batch_norm(torch.ones(1, 3), torch.zeros(3), torch.ones(3), training=True)
F.group_norm(x, 2)
F.embedding_bag(torch.tensor([0]), x)
F.scaled_dot_product_attention(x, torch.ones(3, 4), x)
F.gumbel_softmax(n)
F.multi_head_attention_forward(x)
F.local_response_norm(torch.ones(2), 2)
""",
"modules": """
Bare()(x)
Bare().missing
NoInit(3)
Late()
m = nn.Linear(2, 3); m.weight = torch.ones(3, 2)
m = nn.Linear(2, 3); m.weight = 'a'
m = nn.Linear(2, 3); del m.foo
m = Bare(); m.register_parameter('w', torch.ones(2))
m = Bare(); m.register_parameter('w', 'a')
m = Bare(); m.register_parameter('a.b', None)
m = Bare(); m.register_parameter('', None)
m = Bare(); m.register_parameter(1, None)
m = Bare(); m.child = nn.ReLU(); m.register_parameter('child', None)
m = Bare(); m.register_parameter('w', nn.Parameter(w) * 2)
m = Bare(); m.register_buffer('b', 'a')
m = Bare(); m.register_buffer('a.b', x)
m = Bare(); m.register_buffer('', x)
m = Bare(); m.register_buffer('forward', x)
m = Bare(); m.add_module('a.b', nn.ReLU())
m = Bare(); m.add_module('', nn.ReLU())
m = Bare(); m.add_module('c', 1)
m = Bare(); m.add_module(1, nn.ReLU())
m = Bare(); m.get_parameter('w')
m = Bare(); m.get_buffer('w')
m = Bare(); m.get_submodule('a.b')
m = Bare(); m.register_module('forward', nn.ReLU())
nn.Linear(2, 3).load_state_dict({})
nn.Linear(2, 3).load_state_dict({'weight': torch.ones(3, 2)})
nn.Linear(2, 3).load_state_dict({'weight': torch.ones(2, 2), 'bias': torch.ones(3)})
nn.Linear(2, 3).load_state_dict({'weight': torch.ones(3, 2), 'bias': torch.ones(3), 'extra': torch.ones(1)})
nn.Linear(2, 3).load_state_dict({'weight': 'a', 'bias': torch.ones(3)})
nn.Linear(2, 3).load_state_dict(1)
nn.Linear(2, 3).load_state_dict('state.pt')
nn.Sequential(nn.Linear(2, 3), nn.ReLU()).load_state_dict({'0.weight': torch.ones(3, 2), '1.weight': torch.ones(1)})
nn.Sequential(nn.ReLU())[1]
nn.Sequential(nn.ReLU())['a']
nn.Sequential(1)
nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 5))(torch.ones(1, 2))
nn.ModuleList([nn.ReLU()])[1]
nn.ModuleList([1])
nn.ModuleList([nn.ReLU()])(x)
nn.ModuleList(5)
nn.ModuleDict({'a': 1})
nn.ModuleDict({'a': nn.ReLU()})['b']
nn.ParameterList([1])[3]
nn.Parameter(n)
nn.Parameter('a')
nn.Parameter(torch.ones(2), 1, 2)
nn.Linear(2, 3)(x, x)
nn.Linear(2, 3).to('a', 'b')
nn.Linear(2, 3).to(torch.int32)
nn.Linear(2, 3).train('a')
nn.Linear(2, 3).apply(1)
nn.Module(1)
nn.Module(foo=1)
nn.Linear(2, 3).register_forward_hook(1)(x)
nn.init.xavier_uniform_(torch.ones(3))
nn.init.kaiming_normal_(torch.ones(3))
nn.init.calculate_gain('bad')
nn.init.eye_(torch.ones(3))
nn.init.orthogonal_(torch.ones(3))
nn.init.kaiming_uniform_(x, mode='bad')
nn.init.trunc_normal_('a')
nn.utils.clip_grad_norm_([torch.full((1,), float('nan')).requires_grad_()], 1.0, 'a')
nn.utils.clip_grad_value_(1, 1.0)
nn.utils.parameters_to_vector([])
nn.utils.vector_to_parameters([1.0], nn.Linear(2, 3).parameters())
nn.utils.rnn.pad_sequence([])
nn.utils.rnn.pack_padded_sequence(torch.ones(2, 2, 3), [1, 2])
nn.utils.rnn.pack_padded_sequence(torch.ones(2, 2, 3), [2, 0])
""",
"optimizers and schedulers": """
torch.optim.SGD([], lr=0.1)
torch.optim.SGD([w], lr=-1.0)
torch.optim.SGD([w], lr=0.1, momentum=-1.0)
torch.optim.SGD([w], lr=0.1, nesterov=True)
torch.optim.SGD([w], lr=0.1, weight_decay=-1.0)
torch.optim.SGD([x * w], lr=0.1)
torch.optim.SGD([1], lr=0.1)
torch.optim.SGD(w, lr=0.1)
torch.optim.SGD([{'params': [w]}, {'params': [w]}], lr=0.1)
torch.optim.SGD([w], lr='a')
torch.optim.SGD({'params': [w]}, lr=0.1)
torch.optim.SGD()
torch.optim.SGD([w], foo=1)
torch.optim.Adam([w], lr=-1.0)
torch.optim.Adam([w], betas=(1.5, 0.9))
torch.optim.Adam([w], betas=(0.9, 1.0))
torch.optim.Adam([w], eps=-1.0)
torch.optim.Adam([w], weight_decay=-1.0)
torch.optim.AdamW([w], lr=-1.0)
torch.optim.RMSprop([w], alpha=-1.0)
torch.optim.RMSprop([w], momentum=-1.0)
torch.optim.Adagrad([w], lr_decay=-1.0)
torch.optim.Adagrad([w], initial_accumulator_value=-1.0)
torch.optim.Adadelta([w], rho=2.0)
torch.optim.Adamax([w], betas=(-1.0, 0.9))
torch.optim.LBFGS([{'params': [w]}, {'params': [torch.ones(1, requires_grad=True)]}])
torch.optim.LBFGS([w]).step()
torch.optim.Rprop([w], etas=(2.0, 0.5))
torch.optim.Optimizer([w], {}).step()
o = torch.optim.SGD([w], lr=0.1); o.add_param_group({'params': [w]})
o = torch.optim.SGD([w], lr=0.1); o.add_param_group([w])
o = torch.optim.SGD([w], lr=0.1); o.add_param_group({'params': [w * 2]})
o = torch.optim.SGD([w], lr=0.1); o.load_state_dict({})
o = torch.optim.SGD([w], lr=0.1); o.load_state_dict({'state': {}, 'param_groups': []})
o = torch.optim.SGD([w], lr=0.1); o.load_state_dict({'state': {}, 'param_groups': [{'params': [0, 1]}]})
o = torch.optim.SGD([w], lr=0.1); torch.optim.lr_scheduler.StepLR(o)
torch.optim.lr_scheduler.StepLR(1, 2)
torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([w], lr=0.1), [abs, abs])
torch.optim.lr_scheduler.MultiplicativeLR(torch.optim.SGD([w], lr=0.1), [abs, abs])
torch.optim.lr_scheduler.StepLR(torch.optim.SGD([w], lr=0.1), 2, last_epoch=5)
torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD([w], lr=0.1), factor=2.0)
torch.optim.lr_scheduler.LinearLR(torch.optim.SGD([w], lr=0.1), start_factor=2.0)
torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([w], lr=0.1), factor=2.0)
torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([w], lr=0.1), mode='bad')
torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([w], lr=0.1), threshold_mode='bad')
torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([w], lr=0.1)).step()
torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([w], lr=0.1), min_lr=[1, 2])
torch.optim.lr_scheduler.CyclicLR(torch.optim.SGD([w], lr=0.1, momentum=0.9), 0.1, 0.2, mode='bad')
torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([w], lr=0.1), 0.1)
torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([w], lr=0.1, momentum=0.9), 0.1, total_steps=-1)
torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([w], lr=0.1, momentum=0.9), 0.1, total_steps=10, pct_start=2.0)
torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(torch.optim.SGD([w], lr=0.1), 0)
torch.optim.lr_scheduler.SequentialLR(torch.optim.SGD([w], lr=0.1), [], [1])
torch.optim.lr_scheduler.ChainedScheduler([])
torch.optim.swa_utils.AveragedModel(nn.Linear(2, 3)).missing
""",
"data": """
DataLoader(Items(3), batch_size=0)
DataLoader(Items(3), batch_size=-1)
DataLoader(Items(3), batch_size='a')
DataLoader(Items(3), batch_size=1.5)
DataLoader(Items(3), num_workers=-1)
DataLoader(Items(3), timeout=-1)
DataLoader(Items(3), shuffle=True, sampler=[0])
DataLoader(Items(3), batch_sampler=[[0]], batch_size=2)
DataLoader(Items(3), batch_sampler=[[0]], shuffle=True)
DataLoader(Items(3), batch_size=None, drop_last=True)
DataLoader(Stream(), shuffle=True)
DataLoader(Stream(), sampler=[0])
DataLoader(Items(3), prefetch_factor=2)
DataLoader(Items(3), persistent_workers=True)
DataLoader(Items(3), multiprocessing_context='bad', num_workers=1)
DataLoader(Items(0), shuffle=True)
DataLoader()
len(DataLoader(Stream()))
list(DataLoader([object()]))
list(DataLoader([None]))
list(DataLoader([torch.ones(2), torch.ones(3)], batch_size=2))
list(DataLoader([[1, 2], [3]], batch_size=2))
list(DataLoader([{'a': 1}, {'b': 1}], batch_size=2))
list(DataLoader(Items(3), sampler=[5]))
list(DataLoader(Broken(), batch_size=2))
list(DataLoader([1, 'a'], batch_size=2))
list(DataLoader([torch.ones(2), torch.ones(2).long(), 'a'], batch_size=3))
data.TensorDataset(torch.ones(2), torch.ones(3))
data.TensorDataset(torch.ones(2))[5]
data.TensorDataset(1)
data.Dataset()[0]
len(data.Dataset())
data.Subset(Items(3), [5])[0]
data.ConcatDataset([])
data.ConcatDataset([Items(2)])[5]
data.ConcatDataset([Items(2)])[-5]
data.ConcatDataset([Stream()])
data.random_split(Items(3), [1, 1])
data.random_split(Items(3), [0.5, 0.6])
data.random_split(Items(3), [0.5, -0.5, 1.0])
data.RandomSampler([])
data.RandomSampler(Items(3), replacement='a')
data.RandomSampler(Items(3), num_samples=0)
data.RandomSampler(Items(3), num_samples=1.5)
data.WeightedRandomSampler([1.0], 0)
data.WeightedRandomSampler([1.0], 1, replacement='a')
data.WeightedRandomSampler(torch.ones(2, 2), 1)
data.BatchSampler([0], 0, False)
data.BatchSampler([0], 2, 'a')
data.BatchSampler([0], True, False)
list(data.Sampler())
data.StackDataset(Items(2), Items(3))
data.ChainDataset([Items(2)])[0]
data.default_collate([])
data.default_collate([object()])
""",
"random numbers": """
torch.normal(0.0, -1.0, (2,))
torch.normal(x, -1.0)
torch.normal(torch.ones(2), torch.ones(3))
x.normal_(0, -1)
x.uniform_(2, 1)
x.exponential_(-1)
x.exponential_(0)
x.geometric_(2.0)
x.geometric_(0)
x.log_normal_(1, -1)
x.cauchy_(1, -1)
x.random_(5, 2)
x.random_(0)
torch.bernoulli(x)
torch.bernoulli(torch.tensor([-0.5]))
torch.bernoulli(x, 2.0)
torch.multinomial(torch.tensor([0.0, 0.0]), 1)
torch.multinomial(torch.tensor([1.0, -1.0]), 1)
torch.multinomial(torch.tensor([1.0, float('nan')]), 1)
torch.multinomial(torch.ones(2), 3)
torch.multinomial(torch.ones(2), 0)
torch.multinomial(torch.ones(2), -1)
torch.multinomial(torch.ones(2, 2, 2), 1)
torch.multinomial(torch.tensor([1, 2]), 1)
torch.multinomial(torch.ones(2))
torch.poisson(torch.tensor([-1.0]))
torch.randint(3, 3, (2,))
torch.randint(0, 300, (2,), dtype=torch.uint8)
torch.rand(2, generator=1)
torch.set_rng_state(torch.ones(3))
torch.set_rng_state(torch.ones(3, dtype=torch.uint8))
torch.set_rng_state('a')
torch.Generator().manual_seed('a')
torch.Generator().set_state('a')
torch.randperm(3, dtype=torch.bool)
""",
"in place, out and overlap": """
x.expand(2, 2, 3).add_(1)
torch.ones(1).expand(3).mul_(2)
v = torch.zeros(3); v[1:].add_(v[:-1])
torch.add(x, 1, out=n)
torch.add(x, 1, out='a')
torch.add(w, 1, out=x)
torch.add(x, x, out=torch.zeros(2, 3, dtype=torch.bool))
torch.mm(x, x.t(), out=torch.zeros(2, 2).double())
torch.sum(x, out=n)
torch.exp(n, out=n)
x.resize_(4, 4).view(3, 3)
w.resize_(2)
x.t_().foo()
x.swapaxes_(0, 3)
x.transpose_(0, 5)
x.squeeze_(4)
n.copy_('a')
n.sub_(True, alpha=0.5)
n.floor_divide_(0)
n // 0
n % 0
n.remainder_(0)
torch.div(n, 0, rounding_mode='floor')
torch.fmod(n, 0)
b.sub_(b)
n.true_divide_(2)
n.lerp_(n, 0.5)
n[0] = 1j
x.masked_scatter_(x > 0, torch.ones(1))
n.sigmoid_()
n.addcdiv_(n, n)
x.addcmul_(x, torch.ones(4))
x.clamp_()
x.index_put_((torch.tensor([5]),), torch.tensor(1.0))
n.cumsum_(3)
x.unsqueeze_(5)
x.fill_diagonal_(1.0, 2, 3)
torch.ones(3).fill_diagonal_(1.0)
x.tril_(1.5)
""",
"files": """
torch.load('does_not_exist.pt')
torch.load(io.BytesIO(b''))
torch.load(io.BytesIO(b'not a checkpoint'))
torch.load(1)
torch.load(None)
torch.load(io.BytesIO(saved(x)[:40]))
torch.load(io.BytesIO(saved(x)[:-30]))
torch.load(io.BytesIO(saved(x)), map_location='cuda')
torch.load(io.BytesIO(saved(x)), map_location='bad')
torch.load(io.BytesIO(saved(x)), weights_only=True, pickle_module=pickle)
torch.load(io.BytesIO(saved(print)))
torch.load(io.BytesIO(saved({'f': os.system})))
torch.load(io.BytesIO(zipped({'a.txt': b'hello'})))
torch.load(io.BytesIO(zipped({'archive/data.pkl': b''})))
torch.load(io.BytesIO(saved(x)), mmap=True)
torch.save()
torch.save(x)
torch.save(x, 1)
torch.save(x, None)
torch.save(x, 'no_such_folder/x.pt')
torch.load()
""",
}
# fmt: on

CALLS: dict[str, list[str]] = {topic: text.strip().split("\n") for topic, text in _TOPICS.items()}


def names(torch: Any) -> dict[str, Any]:
    """What every line may use, on `torch` or what stands for it."""
    nn, data = torch.nn, torch.utils.data

    class Bare(nn.Module):
        """Has no forward."""

    class NoInit(nn.Module):
        def __init__(self, width: int):
            self.layer = nn.Linear(width, width)

    class Late(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(torch.ones(1))
            super().__init__()

    class Square(torch.autograd.Function):
        """Its backward gives two gradients for one input."""

        @staticmethod
        def forward(ctx: Any, input: Any) -> Any:
            return input * input

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad, grad

    class Wrong(Square):
        """Its backward gives a gradient of another shape."""

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return torch.ones(7)

    class Unsaved(Square):
        """Its forward gives what is no tensor to save_for_backward."""

        @staticmethod
        def forward(ctx: Any, input: Any) -> Any:
            ctx.save_for_backward("text")
            return input * 2

    class Items(data.Dataset):
        def __init__(self, size: int):
            self.size = size

        def __len__(self) -> int:
            return self.size

        def __getitem__(self, index: int) -> Any:
            if index >= self.size:
                raise IndexError(f"no item {index}")
            return torch.ones(2)

    class Broken(Items):
        """Its items cannot be read."""

        def __init__(self) -> None:
            super().__init__(2)

        def __getitem__(self, index: int) -> Any:
            raise OSError("disk error")

    class Stream(data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(3))

    def saved(value: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    def zipped(files: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    made = {
        "x": torch.arange(6.0).reshape(2, 3),
        "n": torch.arange(6).reshape(2, 3),
        "b": torch.tensor([True, False]),
        "w": torch.ones(2, 3, requires_grad=True),
        "F": nn.functional,
        "DataLoader": data.DataLoader,
        "np": numpy,
        "Parameter": nn.Parameter,
    }
    modules = {"copy": copy, "io": io, "os": os, "pickle": pickle}
    return {**modules, **locals(), **made}


def run(line: str, space: dict[str, Any]) -> Exception | None:
    """The exception with which a line fails among the names of `space`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(line, "<call>", "exec"), space)
        except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
            return error
    return None


def outcome(torch: Any, line: str) -> list[str]:
    """[class, text] of the exception with which `line` fails; ["", ""] when it does not."""
    error = run(line, names(torch))
    return ["", ""] if error is None else [type(error).__name__, first_sentence(str(error))]


def agrees(ours: list[str], theirs: list[str]) -> bool:
    """The same class, and torch's text where it has one."""
    return ours[0] == theirs[0] and theirs[1] in ("", ours[1])


def first_sentence(text: str) -> str:
    """The first line, without addresses, traces and folders, which differ from run to run."""
    line = text.strip().split("\n")[0].replace("flambeau", "torch")
    line = re.sub(r"0x[0-9a-f]+", "0x", line)
    line = re.sub(r"^\[enforce fail at .*?\] \. ", "", line)
    return re.split(
        r"\s*(?:This is an internal miniz|(?<=load failed\. ).*|\(Could this error)", line
    )[0]

import torch, torch.nn as nn, torch.nn.functional as F
import torch.utils.data, warnings

torch.manual_seed(0)
# testing
torch.testing.assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.000001]))
for a, b in [
    (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
    (torch.tensor([1]), torch.tensor([1.0])),
    (torch.ones(2), torch.ones(3)),
    (1.0, 2.0),
    ([1, 2], [1]),
    ({"a": torch.ones(1)}, {"a": torch.zeros(1)}),
    (torch.arange(6).view(2, 3), torch.zeros(2, 3, dtype=torch.int64)),
    ("a", "b"),
]:
    try:
        torch.testing.assert_close(a, b)
    except Exception as e:
        print(type(e).__name__, e)
torch.testing.assert_close(torch.tensor([1.0]), torch.tensor([1]), check_dtype=False)
torch.testing.assert_close(
    torch.tensor([float("nan")]), torch.tensor([float("nan")]), equal_nan=True
)
torch.testing.assert_close(1.0, 1.05, rtol=0.1, atol=0)
print(torch.testing.make_tensor((2, 3), dtype=torch.float32, device="cpu", low=0, high=1).shape)


# jit
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 2)

    def forward(self, x):
        return self.l(x).relu()


# types & misc
print(
    torch.get_num_threads() >= 1,
    torch.is_grad_enabled(),
    torch.are_deterministic_algorithms_enabled(),
    torch.get_float32_matmul_precision(),
)
torch.set_float32_matmul_precision("high")
print(
    torch.backends.cudnn.benchmark,
    torch.backends.mkl.is_available() in (True, False),
    torch.backends.openmp.is_available() in (True, False),
    torch.cuda.is_available(),
    torch.cuda.is_bf16_supported() if torch.cuda.is_available() else None,
    torch.distributed.is_available() in (True, False),
)
print(torch.cuda.memory_allocated(), torch.cuda.device_count(), torch.cuda.is_initialized())
torch.cuda.manual_seed_all(0)
torch.cuda.empty_cache()
dp = nn.DataParallel(M())
print(dp)
print(dp(torch.ones(1, 2)).shape, dp.module.l.weight.shape)
from torch.nn.attention import SDPBackend, sdpa_kernel

q = torch.randn(1, 2, 4, 8)
with sdpa_kernel(SDPBackend.MATH):
    print(F.scaled_dot_product_attention(q, q, q, is_causal=True).shape)
with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
    pass
print(SDPBackend.MATH)
from torch.utils.dlpack import to_dlpack, from_dlpack

print(from_dlpack(torch.arange(3)), torch.from_dlpack(torch.ones(2)))
t = torch.ones(3)
t.share_memory_()
print(
    t.is_shared(),
    t.is_pinned(),
    torch.ones(2).apply_(lambda x: x * 3),
    torch.ones(2).map_(torch.tensor([2.0, 3.0]), lambda a, b: a + b),
    t.new([1, 2]),
    t.new_tensor([5]),
)
print(
    torch.multiprocessing.get_start_method() in ("fork", "spawn", "forkserver"),
    torch.multiprocessing.cpu_count() > 0,
)
from torch.utils._pytree import tree_map

print(tree_map(lambda x: x * 2, {"a": [torch.ones(1)]}))
from torch.types import Number, Device

print(isinstance(3, Number))
from torch import Tensor
from typing import *
from torch.nn import Parameter

print(torch.nn.grad.conv2d_input((1, 1, 4, 4), torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)))
with torch.no_grad(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print(torch.utils.checkpoint.checkpoint(M(), torch.ones(1, 2)).shape)
print(
    torch.ops.aten.add(torch.ones(1), 2),
    torch.ops.aten.mm.default(torch.eye(2), torch.ones(2, 2)),
    torch.ops.aten.relu(torch.tensor([-1.0, 1.0])),
)
with torch.device("cpu"):
    print(torch.ones(1).device)
with torch.device("meta"):
    m = nn.Linear(2, 2)
    print(m.weight.device)
print(m.to_empty(device="cpu").weight.device, torch.empty(2, device="meta"))
print(
    torch.tensor([1, 2, 3]).float().index_fill(0, torch.tensor([0]), -1),
    torch.vander(torch.tensor([1.0, 2.0])),
    torch.gradient(torch.tensor([1.0, 4.0, 9.0, 16.0])),
    torch.heaviside(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5])),
    torch.special.expit(torch.tensor(0.0)),
)
print(torch.hub.get_dir().endswith("hub"))
print(torch.utils.data.get_worker_info())

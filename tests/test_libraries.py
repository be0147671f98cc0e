"""What libraries written for torch ask for besides tensors: names to import, to annotate with and
to compare with, some of them for parts that are not there."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.nn.attention.flex_attention import (
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    or_masks,
)


def test_names_of_parts_that_are_not_there_can_be_imported_but_not_used() -> None:
    from flambeau.distributed import ProcessGroup, ReduceOp, all_reduce

    assert ReduceOp.SUM.name == "SUM" and not torch.distributed.is_available()
    assert not isinstance(torch.ones(1), (ProcessGroup, torch.fx.Proxy))
    assert (torch.cuda.CUDAGraph | None) is not None
    for use in (ProcessGroup, all_reduce, torch.fx.Graph, torch.fx.symbolic_trace):
        with pytest.raises(NotImplementedError, match="is not implemented in Flambeau"):
            use(None)
    with pytest.raises(AttributeError):
        torch.distributed.no_such_name


def test_no_module_is_a_script() -> None:
    assert not isinstance(torch.nn.Linear(1, 1), torch.jit.ScriptModule)
    assert isinstance(torch.compile(torch.nn.ReLU()), torch._dynamo.eval_frame.OptimizedModule)


def test_dtypes_of_eight_bits_have_limits_and_no_kernels() -> None:
    limits = torch.finfo(torch.float8_e4m3fn)
    assert (limits.max, limits.eps, limits.bits) == (448.0, 0.125, 8)
    assert torch.float8_e5m2.itemsize == 1 and torch.float8_e5m2.is_floating_point
    with pytest.raises(RuntimeError, match="Promotion for Float8 Types is not supported"):
        torch.promote_types(torch.float8_e5m2, torch.float32)
    with pytest.raises(NotImplementedError, match="Float8_e4m3fn"):
        torch.ones(2).to(torch.float8_e4m3fn)


def test_a_storage_says_what_memory_it_takes() -> None:
    small, large = (torch.ones(n).untyped_storage() for n in (1, 1001))
    assert sys.getsizeof(large) - sys.getsizeof(small) == 4000


def test_views_by_keyword() -> None:
    assert torch.ones(2).view(dtype=torch.int32).dtype == torch.int32
    assert torch.ones(4).view(size=(2, 2)).shape == (2, 2)


def test_tensors_over_files(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    torch.from_file(str(path), shared=True, size=3, dtype=torch.int32).copy_(torch.arange(3))
    assert torch.from_file(str(path), size=3, dtype=torch.int32).tolist() == [0, 1, 2]
    private = torch.from_file(str(path), size=3, dtype=torch.int32)
    private[0] = 9  # of this process alone
    assert torch.from_file(str(path), size=3, dtype=torch.int32)[0] == 0
    with pytest.raises(RuntimeError, match="size <12> is smaller than the required"):
        torch.UntypedStorage.from_file(str(path), False, 13)
    with pytest.raises(RuntimeError, match="unable to open file"):
        torch.from_file(str(tmp_path / "missing"), size=1)


def test_flex_attention_changes_and_masks_scores() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 10, 4, requires_grad=True) for _ in range(3))
    slopes = torch.tensor([0.5, 0.25, 0.125])
    causal = lambda b, h, i, j: i >= j
    near = and_masks(causal, lambda b, h, i, j: i - j < 4)
    found = flex_attention(
        q, k, v, lambda score, b, h, i, j: score + slopes[h] * (j - i),
        create_block_mask(near, None, None, 10, 10, BLOCK_SIZE=4),
    )  # fmt: skip
    distance = torch.arange(10) - torch.arange(10)[:, None]
    bias = slopes[:, None, None] * distance
    bias = bias.masked_fill((distance > 0) | (distance < -3), float("-inf"))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, bias)
    assert torch.allclose(found, expected, atol=1e-6)
    pairs = [torch.autograd.grad(x.square().sum(), (q, k, v)) for x in (found, expected)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*pairs, strict=True))
    either = or_masks(causal, lambda b, h, i, j: j == 9)
    assert create_mask(either, None, None, 10, 10).sum() == 55 + 9


def test_flex_attention_of_queries_that_may_look_nowhere() -> None:
    q = torch.ones(1, 1, 4, 2)
    mask = create_block_mask(lambda b, h, i, j: (i > 1) & (j >= 0), None, None, 4, 4)
    result, totals = flex_attention(q, q, q, block_mask=mask, return_lse=True)
    assert result[0, 0, :, 0].tolist() == pytest.approx([0, 0, 1, 1])
    assert totals[0, 0, 0] == -float("inf")


def test_masks_know_their_blocks() -> None:
    mask = create_block_mask(lambda b, h, i, j: i >= j, 1, 1, 256, 256, BLOCK_SIZE=64)
    assert mask.kv_num_blocks.tolist() == [[[1, 1, 1, 1]]]
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1, 2, 3]]]
    assert mask.to_dense()[0, 0].tolist() == torch.ones(4, 4).tril().int().tolist()
    assert repr(mask).startswith("BlockMask(shape=(1, 1, 256, 256), sparsity=37.50%, \n(0, 0)\n██ ")


def test_futures_of_other_threads() -> None:
    futures = [torch.futures.Future() for _ in range(3)]
    doubled = [future.then(lambda done: done.value() * 2) for future in futures]
    threads = [
        threading.Thread(target=future.set_result, args=(i,)) for i, future in enumerate(futures)
    ]
    for thread in threads:
        thread.start()
    assert torch.futures.wait_all(doubled) == [0, 2, 4]
    failing = torch.futures.Future().then(lambda done: 1 / 0)
    assert not failing.done()
    broken = torch.futures.Future()
    after = broken.then(lambda done: done.value())
    broken.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        after.wait()
    with pytest.raises(RuntimeError, match="completed once"):
        futures[0].set_result(5)


def test_modes_of_functions_are_refused_when_entered() -> None:
    class Logged(torch.overrides.TorchFunctionMode):
        pass

    with pytest.raises(NotImplementedError, match="Logged"), Logged():
        pass

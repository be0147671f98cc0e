"""Questions about tensors, and settings of the running engine: threads, memory, determinism.

>>> torch.is_tensor(torch.ones(1)), torch.numel(torch.ones(2, 3))
(True, 6)
"""

from __future__ import annotations

import os
from typing import Any

from flambeau.core import errors
from flambeau.core.promotion import DIMENSIONED, NUMBER, ZERO_DIM, number_dtype, result_dtype
from flambeau.core.shape import Size, check_broadcast_shapes
from flambeau.ops.registry import engine
from flambeau.ops.registry import is_tensor as _is_tensor
from flambeau.runtime import blas, threads
from flambeau.runtime import memory as m
from flambeau.storage import UntypedStorage


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor.

    >>> torch.is_tensor(3)
    False
    """
    return _is_tensor(obj)


def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, UntypedStorage)


def _method(name: str) -> Any:
    def function(input: Any) -> Any:
        if not _is_tensor(input):
            raise errors.argument_type_error(name, "input", 1, "Tensor", input)
        return getattr(input, name)()

    function.__name__, function.__doc__ = name, f"`input.{name}()`."
    return function


is_floating_point, is_complex, is_signed, is_inference, numel, is_conj, is_neg = (
    _method(n)
    for n in (
        "is_floating_point",
        "is_complex",
        "is_signed",
        "is_inference",
        "numel",
        "is_conj",
        "is_neg",
    )
)


def is_nonzero(input: Any) -> bool:
    """Whether a tensor of one element is not zero.

    >>> torch.is_nonzero(torch.tensor([0.0]))
    False
    """
    return bool(input)


def is_same_size(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape."""
    return bool(input.shape == other.shape)


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of `tensor1 + tensor2`; either may be a number.

    >>> torch.result_type(torch.tensor([1, 2]), 1.0)
    torch.float32
    """
    entries = [
        (v.dtype, DIMENSIONED if v.ndim else ZERO_DIM)
        if _is_tensor(v)
        else (number_dtype(v), NUMBER)
        for v in (tensor1, tensor2)
    ]
    return result_dtype(entries)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which the given ones broadcast.

    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    return check_broadcast_shapes(shapes)


def typename(obj: Any, /) -> str:
    """The name of an object's type, of tensors with their dtype.

    >>> torch.typename(torch.ones(1)), torch.typename(3)
    ('torch.FloatTensor', 'int')
    """
    if _is_tensor(obj):
        return str(obj.type())
    kind = obj if isinstance(obj, type) or hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", None) or ""
    qualified = getattr(kind, "__qualname__", None) or type(obj).__qualname__
    return qualified if module in ("", "builtins", "__builtin__") else f"{module}.{qualified}"


# ---- threads -------------------------------------------------------------------------------------


def set_num_threads(int: int) -> None:
    """Sets how many threads a long kernel runs on."""
    if isinstance(int, bool) or not hasattr(int, "__index__"):
        raise RuntimeError(f"set_num_threads expects an int, but got {errors.type_name(int)}")
    if int <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    engine.core.set_threads(int)
    blas.set_threads()


def get_num_threads() -> int:
    """How many threads a long kernel runs on."""
    return engine.core.threads()


_interop = [os.cpu_count() or 1]  # then what was set, once


def set_num_interop_threads(int: int) -> None:
    """Kept for torch's programs, once a process: calls are never run side by side."""
    if isinstance(int, bool) or not hasattr(int, "__index__"):
        raise RuntimeError(
            f"set_num_interop_threads expects an int, but got {errors.type_name(int)}"
        )
    if int <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    if len(_interop) > 1:
        raise RuntimeError(
            "Error: cannot set number of interop threads after parallel work has started or "
            "set_num_interop_threads called"
        )
    _interop.append(int)


def get_num_interop_threads() -> int:
    """The number that `set_num_interop_threads` was given."""
    return _interop[-1]


# ---- memory --------------------------------------------------------------------------------------


def memory_stats() -> dict[str, int]:
    """Bytes in use, kept for reuse, at most in use, and the counts of allocations.

    >>> sorted(torch.memory_stats())
    ['allocations', 'cache_limit', 'cached_bytes', 'peak_bytes', 'reused', 'used_bytes']
    """
    words = engine.core.memory
    return {
        "used_bytes": words[m.IN_USE], "cached_bytes": words[m.CACHED],
        "cache_limit": words[m.CACHE_LIMIT], "peak_bytes": words[m.PEAK],
        "allocations": words[m.ALLOCATIONS], "reused": words[m.REUSED],
    }  # fmt: skip


def empty_cache() -> None:
    """Gives memory kept for reuse back to the system."""
    engine.core.release_cached()


# ---- determinism ---------------------------------------------------------------------------------

_deterministic = [False, False]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted as in torch: every algorithm here is deterministic anyway."""
    _deterministic[:] = [bool(mode), bool(warn_only)]


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was given."""
    return _deterministic[0]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The `warn_only` that `use_deterministic_algorithms` was given."""
    return _deterministic[1]


_precision = ["highest"]


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted as in torch: products of float32 matrices are always exact float32 on the CPU."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"'{precision}' is not one of 'highest', 'high', or 'medium'")
    _precision[0] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given."""
    return _precision[0]


__all__ = [
    "are_deterministic_algorithms_enabled", "broadcast_shapes", "empty_cache",
    "get_float32_matmul_precision", "get_num_interop_threads", "get_num_threads", "is_complex",
    "is_conj", "is_deterministic_algorithms_warn_only_enabled", "is_floating_point", "is_inference",
    "is_neg", "is_nonzero", "is_same_size", "is_signed", "is_storage", "is_tensor", "memory_stats",
    "numel", "result_type", "set_float32_matmul_precision", "set_num_interop_threads",
    "set_num_threads", "typename", "use_deterministic_algorithms",
]  # fmt: skip
METHODS = [is_nonzero, is_same_size]
_ = threads

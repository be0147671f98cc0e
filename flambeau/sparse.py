"""`torch.sparse`: tensors that list the places of their values are not there; each name says so.

>>> torch.sparse_coo_tensor([[0], [1]], [1.0])
Traceback (most recent call last):
NotImplementedError: torch.sparse_coo_tensor is not implemented in Flambeau: there are no sparse tensors
"""  # noqa: E501 (the example shows the whole text)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: functions of torch itself
CREATION = (
    "sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor",
    "sparse_bsc_tensor", "sparse_compressed_tensor", "spmm", "smm", "hspmm", "sspaddmm", "saddmm",
    "dsmm", "hsmm",
)  # fmt: skip
OWN = ("addmm", "mm", "softmax", "log_softmax", "spdiags", "spsolve", "sum", "sampled_addmm")


def missing(name: str) -> Callable[..., Any]:
    """A function that raises: it needs sparse tensors."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{name} is not implemented in Flambeau: there are no sparse tensors\n"
            "  hint: use a dense tensor; to_dense() of one gives itself"
        )

    function.__name__, function.__doc__ = name.rpartition(".")[2], f"`{name}`: not there."
    return function


globals().update({name: missing(f"torch.{name}") for name in CREATION})
globals().update({name: missing(f"torch.sparse.{name}") for name in OWN})
FloatTensor = DoubleTensor = LongTensor = missing("torch.sparse.FloatTensor")
__all__ = [*CREATION, *OWN]

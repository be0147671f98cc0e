"""Copies and conversions: copy_, clone, contiguous, to and its relatives.

    >>> torch.tensor([1.5]).to(torch.int64)
    tensor([1])
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import layout as layouts
from flambeau.core.strides import contiguous_strides, dense_strides
from flambeau.ops.kinds import NONE, SAME, pointwise


def format_strides(shape: Any, specs: Any, arguments: Any) -> Any:
    """Strides of a copy in the asked memory format."""
    from flambeau.core.strides import format_strides as in_format

    asked = arguments.get("memory_format")
    if asked is None or asked is layouts.preserve_format:
        return dense_strides(shape, specs[0].strides)
    return in_format(shape, asked)


@pointwise(grad=lambda g: g, methods=("clone",), inplace=False, strides=format_strides)
def clone(input, *, memory_format=None):
    """A copy with memory of its own; gradients flow through.

    >>> torch.clone(torch.tensor([1, 2]))
    tensor([1, 2])
    """
    return input


@pointwise(grad=lambda g: g, public=None, methods=(), inplace=False, strides=lambda shape, specs, arguments: contiguous_strides(shape), node="CloneBackward")
def _row_major_copy(input):
    """A copy in row-major order."""
    return input


@pointwise(
    grad=lambda g: g, public=None, methods=(), inplace=False, node="ToCopyBackward", strides=format_strides,
    result=lambda compute, dtype, **rest: dtype, numbers="static", promote=NONE, promotes=("input",),
)  # fmt: skip
def _to_copy(input, dtype, memory_format=None):
    """A copy in another dtype."""
    return input


@pointwise(
    grad={"src": lambda g: g}, public=None, methods=("copy",), inplace=True, node="CopyBackwards", promote=NONE,
    promotes=("input",),
)  # fmt: skip
def copy(input, src, non_blocking=False):
    """`src` in the dtype and shape of `input`; `copy_` writes it into `input`."""
    return src


__all__: list[str] = []
METHODS: list[Any] = []
_ = (dtypes, SAME)

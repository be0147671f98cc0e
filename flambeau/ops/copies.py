"""The `*_copy` forms of the view ops: the same values in row-major memory of their own.

>>> torch.transpose_copy(torch.tensor([[1, 2]]), 0, 1)
tensor([[1],
        [2]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core.layout import contiguous_format
from flambeau.ops.kinds import composite
from flambeau.ops.outputs import into

METHOD_VIEWS = (
    "transpose", "t", "permute", "squeeze", "unsqueeze", "expand", "select", "diagonal",
    "as_strided", "view_as_real", "view_as_complex", "detach", "view", "narrow",
)  # fmt: skip
SEQUENCES = ("split", "split_with_sizes", "unbind")
METHODS_TOO = ("diagonal", "narrow")


def fresh(view: Any) -> Any:
    """A row-major copy."""
    return view.clone(memory_format=contiguous_format)


def copying(name: str, doc: str) -> Callable[..., Any]:
    """`NAME_copy`: the view op, then a copy."""

    def copy(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = fresh(getattr(input, name)(*args, **kwargs))
        return into(result, out, input)

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = doc
    return copy


def copying_each(name: str, doc: str) -> Callable[..., Any]:
    """`NAME_copy` of an op with several results."""

    def copy(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        results = tuple(fresh(piece) for piece in getattr(input, name)(*args, **kwargs))
        if out is None:
            return results
        for target, piece in zip(out, results, strict=True):
            target.resize_(piece.shape).copy_(piece)
        return None

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = doc
    return copy


for _name in METHOD_VIEWS:
    composite(
        copying(_name, f"A copy of `input.{_name}(...)`."),
        methods=(f"{_name}_copy",) if _name in METHODS_TOO else (),
    )
for _name in SEQUENCES:
    composite(copying_each(_name, f"Copies of the pieces of `input.{_name}(...)`."), methods=())


@composite(methods=())
def slice_copy(
    input: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    out: Any = None,
) -> Any:
    """A copy of a range of one dimension.

    >>> torch.slice_copy(torch.arange(5), 0, 1, 4, 2)
    tensor([1, 3])
    """
    dims = dim % input.ndim if input.ndim else dim
    result = fresh(input[(slice(None),) * dims + (slice(start, end, step),)])
    return into(result, out, input)


@composite(methods=())
def alias_copy(input: Any, *, out: Any = None) -> Any:
    """A row-major copy.

    >>> torch.alias_copy(torch.tensor([1]))
    tensor([1])
    """
    result = fresh(input)
    return into(result, out, input)

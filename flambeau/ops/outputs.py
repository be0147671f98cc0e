"""`out=` of the indexing and copying ops: what torch checks before it writes there, and the
writing.

Ops with a plan set `out_check` (ops.registry.with_out calls it); composites pass their result
through `into`:

    text = "Expected out tensor to have dtype {wanted}, but got {given} instead"
    gather.out_check = same_dtype(text)
    return into(result, out, input, index)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import errors
from flambeau.core.strides import is_expanded, is_non_overlapping_and_dense
from flambeau.ops.registry import is_tensor, write_out

Check = Callable[[Any, Sequence[Any], Any], None]
OUT_DTYPE = "Expected out tensor to have dtype {wanted}, but got {given} instead"


def tensors_in(values: Sequence[Any]) -> list[Any]:
    """The tensors among arguments and in their lists."""
    found: list[Any] = []
    for value in values:
        if is_tensor(value):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [item for item in value if is_tensor(item)]
    return found


def check_apart(target: Any, inputs: Sequence[Any], result: Any) -> None:
    """The output, in the size that it will have,
    must not share memory with itself or with an input.
    """
    if is_expanded(target._spec.shape, target._spec.strides):
        raise errors.written_overlap()
    for other in tensors_in(inputs):
        if shares_elements(target, other, result):
            raise errors.partial_overlap()


def shares_elements(target: Any, other: Any, result: Any) -> bool:
    """Whether the output certainly has an element in common with an input:
    tensors without gaps are compared by their ends.
    """
    if target._storage is not other._storage or not result.numel():
        return False
    if target is other:
        return True
    if not other.numel() or not all(
        is_non_overlapping_and_dense(t._spec.shape, t._spec.strides) for t in (target, other)
    ):
        return False
    first, second = target._offset * target.itemsize, other._offset * other.itemsize
    return bool(first < second + other.nbytes and second < first + result.numel() * target.itemsize)


def same_dtype(text: str = OUT_DTYPE) -> Check:
    """An `out_check`: no shared memory, and the dtype of the first input."""

    def check(target: Any, inputs: Sequence[Any], result: Any) -> None:
        wanted = tensors_in(inputs)[0].dtype
        if target.dtype is not wanted:
            names = {
                "wanted": wanted.c_name, "given": target.dtype.c_name, "Wanted": wanted.scalar_name,
                "Given": target.dtype.scalar_name,
            }  # fmt: skip
            raise RuntimeError(text.format(**names))
        check_apart(target, inputs, result)

    return check


def castable(text: str) -> Check:
    """An `out_check` of cat: no shared memory, and a dtype that the inputs can be cast to."""

    def check(target: Any, inputs: Sequence[Any], result: Any) -> None:
        if any(t.dtype.category > target.dtype.category for t in tensors_in(inputs)):
            raise TypeError(text.format(target.dtype.scalar_name))
        check_apart(target, inputs, result)

    return check


def into(result: Any, out: Any, *inputs: Any, check: Check | None = None) -> Any:
    """The result, written into `out` if there is one."""
    if out is None:
        return result
    if check is not None:
        check(out, inputs, result)
    write_out(out, result)
    return out

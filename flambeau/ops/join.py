"""Joining tensors: cat, stack and their relatives.

Up to 16 tensors are joined by a native plan, more by the same kernel called from Python.

    >>> torch.cat([torch.tensor([1]), torch.tensor([2, 3])])
    tensor([1, 2, 3])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.core import errors
from flambeau.core.promotion import DIMENSIONED, ZERO_DIM, Promotion, resolve
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import channels_last_strides, contiguous_strides, suggests_channels_last
from flambeau.ops.kernels.strided import Window, join_params, address, join_now
from flambeau.ops.kinds import structured
from flambeau.ops.outputs import castable
from flambeau.ops.registry import engine, is_tensor
from flambeau.runtime.dispatch import MAX_INPUTS


def check_tensors(name: str, tensors: Any) -> list[Any]:
    """The list of tensors, or torch's TypeErrors."""
    if not isinstance(tensors, (tuple, list)):
        raise errors.argument_type_error(name, "tensors", 1, "tuple of Tensors", tensors)
    for position, item in enumerate(tensors):
        if not is_tensor(item):
            raise TypeError(f"expected Tensor as element {position} in argument 0, but got {errors.type_name(item)}")
    return list(tensors)


def common_dtype(tensors: Sequence[Any]) -> Any:
    """The promoted dtype of the tensors."""
    first = tensors[0]._spec.dtype
    if all(t._spec.dtype is first for t in tensors):
        return first
    entries = [(t.dtype, DIMENSIONED if t.ndim else ZERO_DIM) for t in tensors]
    return resolve(Promotion.SAME, entries)[1]


# ---- cat -------------------------------------------------------------------------------------------------------------------


def cat_shape(tensors: Sequence[Any], dim: int) -> tuple[tuple[int, ...], int, list[int]]:
    """Shape of the joined tensor, its wrapped dimension, and each tensor's share of it; torch's checks."""
    for position, item in enumerate(tensors):
        if item.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {position}) cannot be concatenated")
    full = [t for t in tensors if tuple(t.shape) != (0,)]
    if not full:
        return (0,), wrap_dim(dim, 1), [0] * len(tensors)
    first = full[0].shape
    dim = wrap_dim(dim, len(first))
    total, sizes = 0, []
    for position, item in enumerate(tensors):
        shape = item.shape
        if tuple(shape) == (0,):
            sizes.append(0)
            continue
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for d, (a, b) in enumerate(zip(first, shape, strict=True)):
            if d != dim and a != b:
                raise errors.cat_size_mismatch(dim, a, b, position)
        sizes.append(shape[dim])
        total += shape[dim]
    return (*first[:dim], total, *first[dim + 1 :]), dim, sizes


def cat_strides(tensors: Sequence[Any], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of the joined tensor: channels last if all tensors are."""
    if len(shape) == 4 and all(suggests_channels_last(t.shape, t.stride()) for t in tensors if tuple(t.shape) != (0,)):
        return channels_last_strides(shape)
    return contiguous_strides(shape)


def cat_gradient(g: Any, dim: int, sizes: Sequence[int], empty: Sequence[bool], index: int) -> Any:
    """The part of the gradient that belongs to one tensor."""
    if empty[index]:
        return g.new_zeros((0,))
    return g.narrow(dim, sum(sizes[:index]), sizes[index])


@structured(aliases=("concat", "concatenate"), methods=(), node="CatBackward", grad={"tensors": cat_gradient})
def cat(call, tensors, dim=0):  # type: ignore[no-untyped-def]
    """The tensors one after the other along `dim`.

    >>> torch.cat([torch.zeros(1, 2), torch.ones(1, 2)], 1)
    tensor([[0., 0., 1., 1.]])
    """
    items = check_tensors("cat", tensors)
    if not items:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    dtype = common_dtype(items)
    shape, dim, sizes = cat_shape(items, dim)
    if any(t.dtype is not dtype for t in items):
        return cat([t.to(dtype) for t in items], dim)
    output = Spec.of(shape, cat_strides(items, shape), dtype, items[0].device)
    empty = [tuple(t.shape) == (0,) for t in items]
    windows, start = [], 0
    for item, size, missing in zip(items, sizes, empty, strict=True):
        part = item.shape if missing else (*shape[:dim], size, *shape[dim + 1 :])
        windows.append(Window.of(part, contiguous_strides(part) if missing else output.strides, dtype.itemsize, start))
        start += size * output.strides[dim]
    options = {"dim": dim, "sizes": tuple(sizes), "empty": tuple(empty)}
    return joined(call, items, output, windows, options, cat_gradient)


def joined(call: Any, items: list[Any], output: Spec, windows: Sequence[Window], options: dict[str, Any], rule: Any) -> Any:
    """The plan that copies each tensor into its window; above 16 tensors the result itself."""
    sources = [Window.of(t.shape, t.stride(), output.itemsize) for t in items]
    params, lines, longest = join_params(sources, windows)
    if len(items) > MAX_INPUTS:
        return join_now(call, items, output, params, lines, options, rule)
    plan = call.plan(["tensors"], [output], **options)
    grain = max(1, (1 << 18) // max(1, longest * output.itemsize))
    return plan.use_native(address("copy_windows", output.itemsize), params, lines, output.numel, grain)


cat.out_check = castable("torch.cat(): input types can't be cast to the desired output type {}")

# ---- stack -----------------------------------------------------------------------------------------------------------------


def stack_gradient(g: Any, dim: int, index: int) -> Any:
    """The slice of the gradient that belongs to one tensor."""
    return g.select(dim, index)


@structured(methods=(), grad={"tensors": stack_gradient})
def stack(call, tensors, dim=0):  # type: ignore[no-untyped-def]
    """The tensors, all of one shape, along a new dimension.

    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], 1)
    tensor([[1, 3],
            [2, 4]])
    """
    items = check_tensors("stack", tensors)
    if not items:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = items[0].shape
    dim = wrap_dim(dim, len(first) + 1)
    for position, item in enumerate(items):
        if item.shape != first:
            raise errors.stack_size_mismatch(first, item.shape, position)
    dtype = common_dtype(items)
    if any(t.dtype is not dtype for t in items):
        return stack([t.to(dtype) for t in items], dim)
    shape = (*first[:dim], len(items), *first[dim:])
    output = Spec.of(shape, None, dtype, items[0].device)
    strides = (*output.strides[:dim], *output.strides[dim + 1 :])
    windows = [Window.of(first, strides, dtype.itemsize, k * output.strides[dim]) for k in range(len(items))]
    return joined(call, items, output, windows, {"dim": dim}, stack_gradient)


_ = engine

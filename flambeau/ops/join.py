"""Joining tensors: cat, stack and their relatives.

As many tensors as a plan takes are joined by a native plan, more by the same kernel called from
Python.

    >>> torch.cat([torch.tensor([1]), torch.tensor([2, 3])])
    tensor([1, 2, 3])
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import index as as_int
from typing import Any, NamedTuple

from flambeau.autograd.modes import is_grad_enabled
from flambeau.autograd.nodes import Node, named
from flambeau.core import errors
from flambeau.core.promotion import DIMENSIONED, ZERO_DIM, Promotion, resolve
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import channels_last_strides, contiguous_strides, suggests_channels_last
from flambeau.ops.arrays import empty
from flambeau.ops.kernels.strided import (
    Window,
    address,
    are_in_turn,
    interleaved,
    join_params,
    line_grain,
)
from flambeau.ops.kinds import Structured
from flambeau.ops.outputs import castable
from flambeau.ops.plan import RELEASE_FROM
from flambeau.ops.registry import engine, is_tensor, run
from flambeau.runtime.plan_block import MAX_INPUTS

EMPTY = (0,)  # the shape of empty vectors, which cat ignores


def check_tensors(name: str, tensors: Any) -> list[Any]:
    """The list of tensors, or torch's TypeErrors."""
    if not isinstance(tensors, (tuple, list)):
        raise errors.argument_type_error(name, "tensors", 1, "tuple of Tensors", tensors)
    for position, item in enumerate(tensors):
        if not is_tensor(item):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, "
                f"but got {errors.type_name(item)}"
            )
    return list(tensors)


def common_dtype(tensors: Sequence[Any]) -> Any:
    """The promoted dtype of the tensors."""
    first = tensors[0]._spec.dtype
    if all(t._spec.dtype is first for t in tensors):
        return first
    entries = [(t.dtype, DIMENSIONED if t.ndim else ZERO_DIM) for t in tensors]
    return resolve(Promotion.SAME, entries)[1]


class Join(Structured):
    """cat and stack: long lists do not go the way of other calls that have no plan."""

    layout: Any = None  # the function that says where each tensor goes
    rule: Any = None  # the gradient of one of the tensors

    def run(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A call that native code left to Python,
        mostly because the list is longer than a plan takes.
        """
        tensors: Any = args[0] if args else None
        if (
            type(tensors) in (list, tuple)
            and len(tensors) > MAX_INPUTS
            and not kwargs
            and len(args) <= 2
        ):
            kind, dim = engine.Tensor, args[1] if len(args) == 2 else 0
            specs = tuple([t._spec for t in tensors if type(t) is kind])
            if (
                len(specs) == len(tensors)
                and type(dim) is int
                and all(s.dtype is specs[0].dtype for s in set(specs))
            ):
                return join_many(
                    self.node_name, tensors, prepare(self.layout, specs, dim), self.rule
                )
        return run(self, tuple(args), kwargs)


def join(**options: Any) -> Callable[[Callable[..., Any]], Join]:
    """An op that joins a list of tensors."""
    return lambda function: Join(function, methods=(), **options)


# ---- cat -----------------------------------------------------------------------------------------


class Layout(NamedTuple):
    """Where each tensor goes: the result, a window of it for every tensor,
    and what the gradient rule is told.
    """

    output: Spec
    windows: tuple[Window, ...]
    options: dict[str, Any]


def cat_shape(specs: Sequence[Spec], dim: int) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Shape of the joined tensor, its wrapped dimension, and each tensor's share of it;
    torch's checks.
    """
    for position, spec in enumerate(specs):
        if spec.ndim == 0:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {position}) cannot be concatenated"
            )
    full = [spec for spec in specs if spec.shape != EMPTY]
    if not full:
        return EMPTY, wrap_dim(dim, 1), (0,) * len(specs)
    first = full[0].shape
    dim = wrap_dim(dim, len(first))
    sizes = []
    for position, spec in enumerate(specs):
        shape = spec.shape
        if shape == EMPTY:
            sizes.append(0)
            continue
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for d, (a, b) in enumerate(zip(first, shape, strict=True)):
            if d != dim and a != b:
                raise errors.cat_size_mismatch(dim, a, b, position)
        sizes.append(shape[dim])
    return (*first[:dim], sum(sizes), *first[dim + 1 :]), dim, tuple(sizes)


def cat_layout(specs: tuple[Spec, ...], dim: int) -> Layout:
    """The layout of cat for tensors of one dtype; empty vectors are left out,
    as torch has always done.
    """
    shape, dim, sizes = cat_shape(specs, dim)
    last = len(shape) == 4 and all(
        suggests_channels_last(s.shape, s.strides) for s in specs if s.shape != EMPTY
    )
    strides = channels_last_strides(shape) if last else contiguous_strides(shape)
    dtype = specs[0].dtype
    windows, start = [], 0
    for spec, size in zip(specs, sizes, strict=True):
        part, steps = (
            (EMPTY, (1,))
            if spec.shape == EMPTY
            else ((*shape[:dim], size, *shape[dim + 1 :]), strides)
        )
        windows.append(Window.of(part, steps, dtype.itemsize, start))
        start += size * strides[dim]
    empty_vectors = tuple(spec.shape == EMPTY for spec in specs)
    options = {"dim": dim, "sizes": sizes, "empty": empty_vectors}
    return Layout(Spec.of(shape, strides, dtype, specs[0].device), tuple(windows), options)


def cat_gradient(g: Any, dim: int, sizes: Sequence[int], empty: Sequence[bool], index: int) -> Any:
    """The part of the gradient that belongs to one tensor."""
    if empty[index]:
        return g.new_zeros((0,))
    return g.narrow(dim, sum(sizes[:index]), sizes[index])


@join(aliases=("concat", "concatenate"), node="CatBackward", grad={"tensors": cat_gradient})
def cat(call, tensors, dim=0):
    """The tensors one after the other along `dim`.

    >>> torch.cat([torch.zeros(1, 2), torch.ones(1, 2)], 1)
    tensor([[0., 0., 1., 1.]])
    """
    items = check_tensors("cat", tensors)
    if not items:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    dtype = common_dtype(items)
    if any(t._spec.dtype is not dtype for t in items):
        return cat([t.to(dtype) for t in items], dim)
    return joined(call, items, cat_layout, dim, cat_gradient)


cat.layout, cat.rule = cat_layout, cat_gradient
cat.out_check = castable("torch.cat(): input types can't be cast to the desired output type {}")

# ---- stack ---------------------------------------------------------------------------------------


def stack_layout(specs: tuple[Spec, ...], dim: int) -> Layout:
    """The layout of stack for tensors of one dtype."""
    first = specs[0].shape
    dim = wrap_dim(dim, len(first) + 1)
    for position, spec in enumerate(specs):
        if spec.shape != first:
            raise errors.stack_size_mismatch(first, spec.shape, position)
    dtype = specs[0].dtype
    output = Spec.of((*first[:dim], len(specs), *first[dim:]), None, dtype, specs[0].device)
    steps = (*output.strides[:dim], *output.strides[dim + 1 :])
    windows = tuple(
        Window.of(first, steps, dtype.itemsize, k * output.strides[dim]) for k in range(len(specs))
    )
    return Layout(output, windows, {"dim": dim})


def stack_gradient(g: Any, dim: int, index: int) -> Any:
    """The slice of the gradient that belongs to one tensor."""
    return g.select(dim, index)


@join(grad={"tensors": stack_gradient})
def stack(call, tensors, dim=0):
    """The tensors, all of one shape, along a new dimension.

    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], 1)
    tensor([[1, 3],
            [2, 4]])
    """
    items = check_tensors("stack", tensors)
    if not items:
        raise RuntimeError("stack expects a non-empty TensorList")
    dtype = common_dtype(items)
    if any(t._spec.dtype is not dtype for t in items):
        stack_layout(tuple(t._spec for t in items), dim)
        return stack([t.to(dtype) for t in items], dim)
    return joined(call, items, stack_layout, dim, stack_gradient)


stack.layout, stack.rule = stack_layout, stack_gradient

# ---- running -------------------------------------------------------------------------------------


def joined(call: Any, items: list[Any], layout: Callable[..., Layout], dim: int, rule: Any) -> Any:
    """The plan that copies each tensor into its window;
    for more tensors than a plan takes the result itself.
    """
    specs = tuple(t._spec for t in items)
    if len(items) > MAX_INPUTS:
        return join_many(call.op.node_name, items, prepare(layout, specs, as_int(dim)), rule)
    output, windows, options = layout(specs, as_int(dim))
    sources = [Window.of(s.shape, s.strides, s.itemsize) for s in specs]
    plan = call.plan(["tensors"], [output], **options)
    if are_in_turn(sources, windows, output.itemsize):
        return interleaved(plan, len(specs), output)
    params, lines, longest = join_params(sources, windows)
    kernel = address("copy_windows", output.itemsize)
    return plan.use_native(
        kernel, params, lines, output.numel, line_grain(longest, output.itemsize)
    )


class Prepared(NamedTuple):
    """A join of many tensors, ready to run: the parameters of `copy_windows`
    and how its lines are shared out.
    """

    output: Spec
    options: dict[str, Any]
    params: Any
    lines: int
    grain: int


@lru_cache(256)
def prepare(layout: Callable[..., Layout], specs: tuple[Spec, ...], dim: int) -> Prepared:
    """The join of tensors of these specs."""
    output, windows, options = layout(specs, dim)
    params, lines, longest = join_params(
        [Window.of(s.shape, s.strides, s.itemsize) for s in specs], windows
    )
    grain = line_grain(longest, output.itemsize) if output.numel >= RELEASE_FROM else 0
    return Prepared(output, options, (ctypes.c_int64 * len(params))(*params), lines, grain)


def join_many(name: str, items: Sequence[Any], work: Prepared, rule: Any) -> Any:
    """Runs `copy_windows` on any number of tensors."""
    result = empty(work.output)
    if work.output.device.type != "meta":
        kernel = address("copy_windows", work.output.itemsize)
        engine.core.call_kernel(
            kernel, ctypes.addressof(work.params), work.lines, work.grain, *items, result
        )
    nodes = [t._node for t in items]
    if nodes.count(None) < len(nodes) and work.output.dtype.category >= 2 and is_grad_enabled():
        result._node = named(Joined, name)(tuple(nodes), rule, work.options)
    return result


class Joined(Node):
    """The graph node of a join of more tensors than a plan takes."""

    __slots__ = ("rule", "options")

    def __init__(self, edges: tuple[Any, ...], rule: Any, options: dict[str, Any]):
        super().__init__(None, edges)
        self.rule, self.options = rule, options

    def apply(self, grads: list[Any]) -> Any:
        """The rule's gradient for every tensor that needs one."""
        return [
            None if edge is None else self.rule(grads[0], **self.options, index=i)
            for i, edge in enumerate(self._edges)
        ]

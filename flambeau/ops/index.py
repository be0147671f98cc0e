"""Indexing with tensors: the ops behind `x[i, j]` and `x[i, j] = v`, index_put and their gradients.

The core ops take `dims`, the dimensions that are indexed, and one int64 tensor for each; masks and
None entries are resolved before (`resolve`). The index tensors broadcast to one shape, which takes
the place of the indexed dimensions where these are neighbours, else comes first. Gradients are the
same ops the other way round: reading sums into zeros, writing reads.

    >>> torch.arange(12).view(3, 4)[torch.tensor([0, 2]), torch.tensor([1, 3])]
    tensor([ 1, 11])
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.core.strides import (
    broadcast_strides,
    contiguous_strides,
    elementwise_strides,
    view_strides,
)
from flambeau.ops.kernels.indexed import Nest, read_kernel, write_kernel
from flambeau.ops.kernels.phases import Phase, clear_then, phase_params
from flambeau.ops.kinds import composite, structured
from flambeau.ops.mask import check_covers, is_canonical
from flambeau.ops.plan import RELEASE_FROM
from flambeau.ops.registry import is_tensor
from flambeau.ops.update import update
from flambeau.runtime import plan_block as fields


class Layout:
    """Where the rows of an indexed table lie: the shape that an index gives,
    and the loop nest over it.
    """

    def __init__(self, table: Spec, indices: Sequence[Spec], dims: Sequence[int]):
        self.table, self.indices, self.dims = table, list(indices), list(dims)
        self.index_size = indices[0].itemsize
        try:
            self.index_shape = broadcast_shapes(*[i.shape for i in indices])
        except RuntimeError:
            shapes = ", ".join(errors.brackets(i.shape) for i in indices)
            raise IndexError(
                "shape mismatch: indexing tensors could not be broadcast together with shapes "
                f"{shapes}"
            ) from None
        rest = [d for d in range(table.ndim) if d not in self.dims]
        neighbours = self.dims == list(range(self.dims[0], self.dims[0] + len(self.dims)))
        split = self.dims[0] if neighbours else 0
        self.before, self.after = [d for d in rest if d < split], [d for d in rest if d >= split]
        self.shape = (
            *(table.shape[d] for d in self.before), *self.index_shape,
            *(table.shape[d] for d in self.after),
        )  # fmt: skip
        self.sizes = tuple(table.shape[d] for d in self.dims)
        if 0 in self.sizes and 0 not in self.index_shape:
            raise IndexError("index is out of bounds for dimension with size 0")

    def nest(self, itemsize: int, row_strides: Sequence[int], pairs: bool) -> Nest:
        """The loop nest over the rows, whose side has these strides (in elements)."""
        nest = Nest(itemsize, pairs)
        table, size = self.table, itemsize
        nothing = (0,) * len(self.dims)
        places = iter(row_strides)
        steps = [broadcast_strides(i.shape, i.strides, self.index_shape) for i in self.indices]
        for d in self.before:
            nest.add(table.shape[d], table.strides[d] * size, next(places) * size, nothing)
        for k, length in enumerate(self.index_shape):
            nest.add(length, 0, next(places) * size, [s[k] * self.index_size for s in steps])
        for d in self.after:
            nest.add(table.shape[d], table.strides[d] * size, next(places) * size, nothing)
        return nest

    def strides(self) -> tuple[int, ...]:
        """Strides of the result: its dimensions lie in the order in which those of the table
        and the indices do.
        """
        own = self.table.strides
        rows = (
            *(own[d] for d in self.before), *(0 for _ in self.index_shape),
            *(own[d] for d in self.after),
        )  # fmt: skip
        operands: list[Any] = [(self.shape, rows)]
        wide = (*(1 for _ in self.before), *self.index_shape, *(1 for _ in self.after))
        for index in self.indices:
            read = broadcast_strides(index.shape, index.strides, self.index_shape)
            operands.append(
                (wide, view_strides(self.index_shape, read, wide) or contiguous_strides(wide))
            )
        return elementwise_strides(self.shape, operands)

    @property
    def steps(self) -> list[int]:
        """Byte steps of the indexed dimensions."""
        return [self.table.strides[d] * self.table.itemsize for d in self.dims]

    @property
    def rows(self) -> int:
        """Number of elements on the rows' side."""
        count = 1
        for size in self.shape:
            count *= size
        return count


def index_failure(plan: Any, code: int) -> Exception:
    """An index outside its dimension."""
    position = (code - 1) & 15
    return errors.index_out_of_bounds(code >> 4, position, plan.options["bounds"][position])


# ---- reading -------------------------------------------------------------------------------------


def index_plan(
    op: Any,
    places: Any,
    input: Any,
    indices: Sequence[Any],
    dims: Sequence[int],
    wrap: bool = True,
    keeps_order: bool = True,
    **options: Any,
) -> Any:
    """The plan that reads `input` at int64 (or all int32) tensors; the call's operands must contain
    all of them. `options` are more arguments of the gradient rule.
    """
    spec = input._spec
    layout = Layout(spec, [i._spec for i in indices], dims)
    output = Spec.of(
        layout.shape, layout.strides() if keeps_order else None, spec.dtype, spec.device
    )
    arguments = {
        "input": input,
        "indices": list(indices),
        "dims": tuple(dims),
        "bounds": layout.sizes,
        **options,
    }
    plan = op.plan(arguments, places, ["input", "indices"], [output])
    count = len(dims)
    nest = layout.nest(spec.itemsize, output.strides, spec.itemsize == 16)
    params, items = nest.params(
        layout.sizes, layout.steps, wrap=wrap, places=(0, count + 1, count + 2, 1)
    )
    if not plan.is_meta:
        grain = max(1, (1 << 15) * items // max(1, output.numel))
        plan.use_native(
            read_kernel(spec.itemsize, count, layout.index_size), params, items, output.numel, grain
        )
    else:
        plan.use_native(0, params)
    return can_fail(plan)


def can_fail(plan: Any) -> Any:
    """Marks that the plan's kernel reports errors."""
    plan.words[fields.B_CAN_FAIL] = 1
    return plan


@structured(
    public=None,
    node="IndexBackward",
    grad=lambda g, indices, dims, input_like: g._index_sum(indices, dims, tuple(input_like.shape)),
)
def _index(call, input, indices, dims):
    """The elements of `input` at index tensors for the dimensions `dims`."""
    return index_plan(call.op, call.places, input, indices, dims)


_index.failure = index_failure


# ---- writing -------------------------------------------------------------------------------------


@structured(
    public=None, node="IndexPutBackward", grad=lambda g, indices, dims: g._index(indices, dims)
)
def _index_sum(call, input, indices, dims, size):
    """Zeros of a size to which `input` is added at index tensors: the gradient of `_index`."""
    spec = input._spec
    output = Spec.of(tuple(size), None, spec.dtype, spec.device)
    layout = Layout(output, [i._spec for i in indices], dims)
    count = len(dims)
    strides = broadcast_strides(spec.shape, spec.strides, layout.shape)
    nest = layout.nest(output.itemsize, strides, output.dtype.is_complex)
    params, items = nest.params(
        layout.sizes, layout.steps, wrap=True, places=(count + 1, 0, count + 2, 1), writes=True
    )
    plan = call.plan(["input", "indices"], [output], bounds=layout.sizes)
    if not plan.is_meta:
        words = (ctypes.c_int64 * len(params))(*params)
        plan.keep.append(words)
        grain = nest.grain if layout.rows >= RELEASE_FROM else 0
        phase = Phase(
            write_kernel(output.dtype, "add", count, layout.index_size),
            ctypes.addressof(words),
            items,
            grain,
        )
        plan.use_native(
            clear_then(),
            phase_params(count + 1, [phase], output.nbytes),
            1,
            max(layout.rows, output.numel),
        )
    else:
        plan.use_native(0, ())
    return can_fail(plan)


@update(
    public=None,
    node="IndexPutBackward",
    failure=index_failure,
    dense=True,
    grad={
        "input": lambda g, indices, dims, accumulate: (
            g if accumulate else g._index_put(indices, dims, g.new_zeros(()), False)
        ),
        "values": lambda g, indices, dims, values_like: gathered_like(
            g._index(indices, dims), values_like.shape
        ),
    },
)
def _index_put(call, input, indices, dims, values, accumulate):
    """`input` with `values` written (or added) at index tensors for the dimensions `dims`."""
    target, source = call.target, values._spec
    layout = Layout(target, [i._spec for i in indices], dims)
    if source.dtype is not target.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{target.dtype.scalar_name} for the destination and {source.dtype.scalar_name} for "
            "the source."
        )
    shape = source.shape
    extra = len(shape) - len(layout.shape)
    fits = all(n == 1 for n in shape[: max(extra, 0)]) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(layout.shape))
    )
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {errors.brackets(shape)} cannot be broadcast "
            "to indexing result of shape "
            f"{errors.brackets(layout.shape)}"
        )
    skipped = max(extra, 0)
    strides = broadcast_strides(shape[skipped:], source.strides[skipped:], layout.shape)
    mode = "add" if accumulate else "set"
    pairs = target.dtype.is_complex if accumulate else target.itemsize == 16
    count = len(dims)
    nest = layout.nest(target.itemsize, strides, pairs)
    places = (count + 2, count + 1, count + 3, 1)
    params, items = nest.params(layout.sizes, layout.steps, wrap=True, places=places, writes=True)
    address = write_kernel(target.dtype, mode, count, layout.index_size)
    return call.update(
        ["input", "indices", "values"],
        address,
        params,
        items,
        layout.rows,
        nest.grain,
        bounds=layout.sizes,
    )


def gathered_like(g: Any, shape: Sequence[int]) -> Any:
    """A gradient of rows for values that were broadcast,
    and that may have more dimensions (all of size 1).
    """
    extra = max(len(shape) - g.ndim, 0)
    return g.sum_to_size(tuple(shape[extra:])).reshape(tuple(shape))


_index_sum.failure = index_failure

# ---- any indices ---------------------------------------------------------------------------------


def resolve(input: Any, indices: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Index entries (int or bool tensors, None for a whole dimension) as int64 tensors
    and the dimensions that they index.
    """
    tensors: list[Any] = []
    dims: list[int] = []
    dim = 0
    for entry in indices:
        if entry is None:
            dim += 1
            continue
        name = entry.dtype.name
        if name in ("bool", "uint8"):
            check_covers(input._spec, entry, dim)
            found = (
                entry.nonzero(as_tuple=True)
                if entry.ndim
                else (entry.unsqueeze(0).nonzero(as_tuple=True)[0],)
            )
            for column in found:
                tensors.append(column)
                dims.append(dim)
                dim += 1
            continue
        if name not in ("int64", "int32"):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        tensors.append(entry if name == "int64" else entry.to(dtypes.int64))
        dims.append(dim)
        dim += 1
    if dim > input.ndim:
        raise errors.too_many_indices(input.ndim)
    return tensors, dims


def index_at(input: Any, indices: Sequence[Any]) -> Any:
    """`input[indices]` for a list of tensors and Nones."""
    if (
        len(indices) == 1
        and indices[0] is not None
        and indices[0].dtype is dtypes.bool_
        and indices[0].ndim
        and is_canonical(input._spec)
    ):
        return input._mask_take(indices[0])
    tensors, dims = resolve(input, indices)
    return input._index(tensors, tuple(dims))


def check_indices(name: str, indices: Any) -> list[Any]:
    """The list of index tensors, or torch's TypeError."""
    if not isinstance(indices, (tuple, list)):
        raise errors.argument_type_error(name, "indices", 2, "tuple of Tensors", indices)
    for position, entry in enumerate(indices):
        if not is_tensor(entry):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, "
                f"but got {errors.type_name(entry)}"
            )
    return list(indices)


@composite(methods=("index_put",))
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy with `values` written at index tensors, or added with `accumulate`.

    >>> torch.index_put(torch.zeros(3), (torch.tensor([0, 0]),), torch.ones(2), accumulate=True)
    tensor([2., 0., 0.])
    """
    tensors, dims = resolve(input, check_indices("index_put", indices))
    if not tensors:
        return input + values if accumulate else values.expand(input.shape).clone()
    return input._index_put(tensors, tuple(dims), values, bool(accumulate))


@composite(public="index_put_", methods=("index_put_",))
def index_put_(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """`index_put` in place.

    >>> torch.zeros(3).index_put_((torch.tensor([1]),), torch.tensor(5.0))
    tensor([0., 5., 0.])
    """
    tensors, dims = resolve(input, check_indices("index_put_", indices))
    if not tensors:
        return input.add_(values) if accumulate else input.copy_(values)
    return input._index_put_(tensors, tuple(dims), values, bool(accumulate))

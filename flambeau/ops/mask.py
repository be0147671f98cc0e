"""Masks: masked_fill, masked_select, masked_scatter, nonzero and what `x[mask]` runs on.

>>> torch.masked_select(torch.arange(4), torch.tensor([True, False, True, False]))
tensor([0, 2])
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flambeau.autograd.inplace import replace
from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.promotion import number_dtype
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides, elementwise_strides, expand_strides
from flambeau.ops import creation, join
from flambeau.ops.arrays import empty, record
from flambeau.ops.kernels.masks import Found, kernel
from flambeau.ops.kinds import NONE, Pointwise, composite, structured
from flambeau.ops.outputs import into, same_dtype
from flambeau.ops.registry import engine, is_tensor

# the C++ types that torch converts numbers to, and the largest value of the floating ones
NUMBER_TYPES = {
    "uint8": "uint8_t",
    "int8": "int8_t",
    "int16": "int16_t",
    "int64": "int64_t",
    "float16": "double",
    "bfloat16": "double",
}
LARGEST = {"float32": 3.4028234663852886e38, "complex64": 3.4028234663852886e38}

# ---- masked_fill ---------------------------------------------------------------------------------


def check_masked_fill(input: Any, mask: Any, value: Any) -> None:
    """torch's errors of masked_fill."""
    if not is_tensor(mask):
        raise errors.argument_type_error("masked_fill", "mask", 1, "Tensor", mask)
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype.c_name}"
        )
    if is_tensor(value):
        if value.ndim:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, "
                f"but got tensor with {value.ndim} dimension(s)."
            )
        given = value.dtype
    else:
        given = number_dtype(check_number(value, input.dtype))
    if given.is_complex and not input.dtype.is_complex:
        raise errors.conversion_overflow(input.dtype.name)


def does_not_fit(dtype: Any) -> RuntimeError:
    """torch's error for a number that a dtype cannot hold."""
    return RuntimeError(
        f"value cannot be converted to type {NUMBER_TYPES.get(dtype.name, dtype.c_name)} without "
        "overflow"
    )


def check_number(value: Any, dtype: Any) -> Any:
    """The number, if the dtype can hold it.

    Integers may wrap around below zero; complex numbers may be real ones.
    """
    category = dtype.category
    if category == 2 and type(value) is not complex and -65504 <= value <= 65504:
        return value
    if category == 0:
        return bool(value)
    if isinstance(value, complex):
        if category == 3:
            return value
        if value.imag:
            raise does_not_fit(dtype)
        value = value.real
    if category == 1:
        high = (1 << (8 * dtype.itemsize - dtype.is_signed)) - 1
        fits = (-high - dtype.is_signed) <= value <= high
    else:
        high = LARGEST.get(dtype.name, float("inf"))
        fits = value != value or abs(value) <= high or abs(value) == float("inf")
    if not fits:
        raise does_not_fit(dtype)
    return value


@lru_cache(1024)
def constant(text: str, value: Any, dtype: Any) -> Any:
    """A 0-d tensor of a number; `text` tells 0.0 from -0.0 and 1 from True.

    Nobody may write into it.
    """
    return creation.full((), value, dtype=dtype)


def number_tensor(value: Any, like: Any) -> Any:
    """A Python number as a 0-d tensor for `like`; torch's error where it does not fit."""
    value = check_number(value, like._spec.dtype)
    if like._spec.device.type == "cpu":
        return constant(repr(value), value, like._spec.dtype)
    return creation.full((), value, dtype=like._spec.dtype, device=like._spec.device)


class MaskedFill(Pointwise):
    """The node's name tells tensors from numbers."""

    def make(self, arguments: dict[str, Any], places: Any) -> Any:
        input, mask = arguments["input"], arguments["mask"]
        if is_tensor(mask) and self.target:
            # torch's errors
            expand_strides(mask.shape, mask._spec.strides, input.shape, mask.dtype.tensor_type)
        elif is_tensor(mask):
            broadcast_shapes(mask.shape, input.shape)
        plan = super().make(arguments, places)
        if is_tensor(arguments["value"]) and self.name == "masked_fill":
            plan.node_name = "MaskedFillBackward1"
        return plan

    def in_place(self) -> Any:
        """`masked_fill_`."""
        other = super().in_place()
        other.__class__ = MaskedFill
        return other


def fill_where(input, mask, value):
    """`value` where the mask is true, else `input`.

    >>> torch.masked_fill(torch.zeros(2), torch.tensor([True, False]), 5)
    tensor([5., 0.])
    """
    if isinstance(value, (bool, int, float, complex)):
        return choose(mask, value, input)
    return choose(mask, value.to(input.dtype), input)


masked_fill = MaskedFill(
    fill_where,
    name="masked_fill",
    promote=NONE,
    promotes=("input",),
    numbers="static",
    check=check_masked_fill,
    strides=lambda shape, specs, arguments: contiguous_strides(shape),
    grad={"input": lambda g, mask: choose(mask, 0, g), "value": lambda g, mask: choose(mask, g, 0)},
)


_mask_assign = MaskedFill(
    fill_where,
    name="_mask_assign",
    public=None,
    promote=NONE,
    promotes=("input",),
    numbers="static",
    check=check_masked_fill,
    grad=masked_fill.rules.functions if masked_fill.rules else None,
    node="IndexPutBackward",
)

# ---- positions -----------------------------------------------------------------------------------


def unrecorded(tensor: Any) -> Any:
    """The same memory without the graph."""
    return (
        engine.core.make_tensor(tensor._storage, tensor._spec, tensor._offset)
        if tensor._node is not None
        else tensor
    )


def as_mask(tensor: Any) -> Any:
    """The tensor as a row-major mask, without a graph."""
    if tensor._spec.dtype is dtypes.bool_:
        return tensor if tensor._spec.contiguous else tensor.contiguous()
    return (unrecorded(tensor) != 0).contiguous()


def positions(input: Any) -> Any:
    """Coordinates of the elements that are not 0: a row for each, stored column after column."""
    rank = input.ndim
    found = Found(as_mask(input), input._spec.shape)
    result = empty(Spec.of((found.total, rank), (1, found.total), dtypes.int64, input.device))
    if found.total and rank:
        found.run(kernel("list_flat" if rank == 1 else "list_positions"), rank, result)
    return result


@structured()
def nonzero(call, input, *, as_tuple=False):
    """Indices of the elements that are not 0: a row for each, or a tuple of one tensor for each
    dimension.

    >>> torch.nonzero(torch.tensor([0, 3, 0, 4]))
    tensor([[1],
            [3]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.device.type == "meta":
        raise NotImplementedError(
            "nonzero of a meta tensor: the size of its result depends on values"
        )
    dummy = Spec.of((0,), None, dtypes.int64, spec.device)
    plan = call.plan(["input"], [dummy])
    if not as_tuple:
        return plan.use_python(positions)
    return plan.use_python(
        lambda x: (positions(x) if x.ndim else positions(x.reshape(1))).unbind(1)
    )


@composite
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """`nonzero` with a fixed number of rows: cut off, or filled up with `fill_value`.

    >>> torch.nonzero_static(torch.tensor([0, 3]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    if input.is_meta:
        return input.new_empty((size, input.ndim), dtype=dtypes.int64)
    found = input.nonzero()
    result = found.new_full((size, input.ndim), fill_value)
    count = min(size, found.shape[0])
    result[:count] = found[:count]
    return result


@composite
def argwhere(input: Any) -> Any:
    """Indices of the elements that are not 0, a row for each.

    >>> torch.argwhere(torch.tensor([[0, 1]]))
    tensor([[0, 1]])
    """
    return input.nonzero()


# ---- rows of a mask ------------------------------------------------------------------------------


def row_words(spec: Spec, rank: int) -> tuple[int, int]:
    """A table's rows below its first `rank` dimensions: number of words, and the size of a word."""
    count = 1
    for size in spec.shape[rank:]:
        count *= size
    word = min(spec.itemsize, 8)
    return count * (spec.itemsize // word), word


def is_canonical(spec: Spec) -> bool:
    """Whether the strides are those of a fresh row-major tensor, in dimensions of size 1 too."""
    return spec.strides == contiguous_strides(spec.shape)


def few_rows(spec: Spec, rank: int, total: int) -> tuple[int, ...]:
    """Strides of `x[mask]` with one row or none:
    torch orders dimensions by what it finds in the operands.
    """
    shape = (total, *spec.shape[rank:])
    table = (shape, (0, *spec.strides[rank:]))
    index = (total, *(1 for _ in spec.shape[rank:]))
    return elementwise_strides(shape, [table, *[(index, contiguous_strides(index))] * rank])


def check_covers(spec: Spec, mask: Any, dim: int = 0) -> None:
    """torch's error for a mask whose shape is not that of the dimensions from `dim` on."""
    for d, size in enumerate(mask.shape):
        if dim + d >= spec.ndim:
            raise errors.too_many_indices(spec.ndim)
        if spec.shape[dim + d] != size:
            raise IndexError(
                f"The shape of the mask {errors.brackets(mask.shape)} at index {d} does not match "
                "the shape of the indexed tensor "
                f"{errors.brackets(spec.shape)} at index {dim + d}"
            )


@structured(
    public=None,
    node="IndexBackward",
    grad=lambda g, mask, input_like: g._mask_put(mask, tuple(input_like.shape)),
)
def _mask_take(call, input, mask):
    """`input[mask]`: rows of `input` where a mask over its first dimensions is true."""
    spec, rank = input._spec, mask.ndim
    check_covers(spec, mask)
    plan = call.plan(["input", "mask"], [spec])
    row, word = row_words(spec, rank)
    address = kernel("take_rows", word)

    def take(table: Any, mask: Any) -> Any:
        found = Found(as_mask(mask))
        total = found.total
        shape = (total, *spec.shape[rank:])
        strides = None if total > 1 or rank == spec.ndim else few_rows(spec, rank, total)
        result = empty(Spec.of(shape, strides, spec.dtype, spec.device))
        if total and row:
            found.run(
                address, row, table if spec.contiguous else unrecorded(table).contiguous(), result
            )
        if table._node is not None:
            record(plan, [table, mask], [result])
        return result

    return plan.use_python(take)


@structured(public=None, node="IndexPutBackward", grad=lambda g, mask: g._mask_take(mask))
def _mask_put(call, input, mask, size):
    """Zeros of a size with the rows of `input` where the mask is true:
    the gradient of `_mask_take`.
    """
    spec = input._spec
    output = Spec.of(tuple(size), None, spec.dtype, spec.device)
    plan = call.plan(["input", "mask"], [output])

    def put(rows: Any, mask: Any) -> Any:
        result = empty(output).zero_()
        fill_rows(result, Found(as_mask(mask)), unrecorded(rows))
        record(plan, [rows, mask], [result])
        return result

    return plan.use_python(put)


def fill_rows(table: Any, found: Found, rows: Any) -> None:
    """Writes `rows`, one after the other, into a row-major table where the mask is true."""
    row, word = row_words(table._spec, found.mask.ndim)
    if found.total and row:
        found.run(kernel("put_rows", word), row, rows.contiguous(), table)


@composite
def masked_select(input: Any, mask: Any, *, out: Any = None) -> Any:
    """The elements where the (broadcast) mask is true, as one dimension.

    >>> torch.masked_select(torch.tensor([[1, 2], [3, 4]]), torch.tensor([True, False]))
    tensor([1, 3])
    """
    if not is_tensor(mask):
        raise errors.argument_type_error("masked_select", "mask", 2, "Tensor", mask)
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    if out is not None:
        check = same_dtype("masked_select(): self and result must have the same scalar type")
        return into(masked_select(input, mask), out, input, mask, check=check)
    if input.shape == mask.shape:
        return input._mask_select(mask)
    shape = broadcast_shapes(mask.shape, input.shape)
    return input.expand(shape)._mask_select(mask.expand(shape))


@structured(
    public=None,
    node="MaskedSelectBackward",
    grad=lambda g, mask, input_like: g._mask_put(mask, tuple(input_like.shape)),
)
def _mask_select(call, input, mask):
    """`masked_select` for equal shapes."""
    plan = _mask_take.function(call, input=input, mask=mask)
    return plan


# ---- masked_scatter ------------------------------------------------------------------------------


def check_masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """torch's errors; the mask in the input's shape."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{mask.dtype.scalar_name}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.scalar_name} and {source.dtype.scalar_name}"
        )
    return mask if mask.shape == input.shape else mask.expand(input.shape)


def scattered_source(g: Any, mask: Any, source_like: Spec) -> Any:
    """The gradient of masked_scatter's source: the elements where the mask is true, then zeros."""
    found = g.masked_select(mask)
    missing = source_like.numel - found.numel()
    if missing > 0:
        found = join.cat([found, found.new_zeros(missing)])
    return found.reshape(source_like.shape)


@structured(
    public=None,
    node="MaskedScatterBackward",
    grad={
        "input": lambda g, mask: g.masked_fill(mask, 0),
        "source": lambda g, mask, source_like: scattered_source(g, mask, source_like),
    },
)
def _masked_scatter(call, input, mask, source):
    """`masked_scatter` with the mask in the input's shape."""
    output = Spec.of(input._spec.shape, None, input._spec.dtype, input._spec.device)
    plan = call.plan(["input", "mask", "source"], [output])

    def scatter(input: Any, mask: Any, source: Any) -> Any:
        if plan.is_meta:
            return empty(output)
        found = Found(as_mask(mask))
        if found.total > source.numel():
            raise RuntimeError("Number of elements of source < number of ones in mask")
        result = empty(output)
        result.copy_(unrecorded(input))
        fill_rows(result, found, unrecorded(source))
        record(plan, [input, mask, source], [result])
        return result

    return plan.use_python(scatter)


@composite
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the elements of `source`, in order, where the mask is true.

    >>> mask = torch.tensor([True, False, True])
    >>> torch.masked_scatter(torch.zeros(3), mask, torch.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    shape = broadcast_shapes(input.shape, mask.shape)
    wide = input if input.shape == shape else input.expand(shape)
    return wide._masked_scatter(check_masked_scatter(wide, mask, source), source)


@composite(public=None, methods=("masked_scatter_",))
def masked_scatter_(input: Any, mask: Any, source: Any) -> Any:
    """`masked_scatter` in place.

    >>> torch.zeros(2).masked_scatter_(torch.tensor([False, True]), torch.tensor([7.0]))
    tensor([0., 7.])
    """
    wide = check_masked_scatter(input, mask, source)
    return replace(input, lambda: input._masked_scatter(wide, source))

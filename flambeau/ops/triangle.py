"""Triangles and diagonals: tril, triu, their indices, diag, diag_embed, diagflat, fill_diagonal_,
and the *_scatter ops.

    >>> torch.tril(torch.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
"""

from __future__ import annotations

from operator import index as as_int
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    u8,
    u16,
    u32,
    u64,
    void,
)
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.arrays import from_array
from flambeau.ops.creation_arguments import check_layout, finish
from flambeau.ops.kernels.strided import Window, address, copy_params, embed
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import into
from flambeau.ops.registry import is_tensor
from flambeau.ops.retype import view_as_complex, view_as_real
from flambeau.ops.update import update
from flambeau.ops.window import diagonal_of, selected, sliced

# ---- triangles -----------------------------------------------------------------------------------

T, TP, SIZE = u8, pointer(u8), 1  # replaced by `Unit`
ROWS, COLUMNS, ROW_STEP, COLUMN_STEP, DIAGONAL, UPPER, RANK, OUTER = range(8)


@native
def clear_triangle(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: zeros below (UPPER) or above a diagonal; an item is a row of one of the matrices."""
    for item in range(start, stop):
        row = item % params[ROWS]
        rest = item // params[ROWS]
        place = buffers[1] + row * params[ROW_STEP]
        for k in range(params[RANK]):
            axis = params + OUTER + 2 * (params[RANK] - 1 - k)
            place = place + (rest % axis[0]) * axis[1]
            rest = rest // axis[0]
        edge = row + params[DIAGONAL]
        low = i64(0) if params[UPPER] != 0 else edge + 1
        high = edge if params[UPPER] != 0 else params[COLUMNS]
        low = low if low > 0 else i64(0)
        high = high if high < params[COLUMNS] else params[COLUMNS]
        if params[COLUMN_STEP] == SIZE and high > low:
            fill_memory(place + low * SIZE, 0, (high - low) * SIZE)
        else:
            for column in range(low, high):
                where: TP = place + column * params[COLUMN_STEP]
                where[0] = T(0)


WORDS = {1: u8, 2: u16, 4: u32, 8: u64}


def triangle_plan(call: Any, input: Any, diagonal: int, upper: bool, name: str) -> Any:
    """The plan of tril and triu."""
    target = call.target
    if target.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    size = target.itemsize
    *outer, rows, columns = target.shape
    *outer_steps, row_step, column_step = (s * size for s in target.strides)
    if size == 16:  # a column is two words: twice as many columns, the diagonal counts in pairs
        return wide_triangle(call, input, diagonal, upper)
    params = [rows, columns, row_step, column_step, diagonal, int(upper), len(outer)]
    items = rows
    for n, step in zip(outer, outer_steps, strict=True):
        params += [n, step]
        items *= n
    word = WORDS[size]
    unit = Unit(f"triangle-{word.name}", [clear_triangle], T=word, TP=pointer(word), SIZE=size)
    symbol = unit.symbol(clear_triangle)
    kernel = load(f"triangle-{word.name}-{unit.key()}", unit.text_with_intrinsics, [symbol])[symbol]
    grain = max(1, (1 << 16) // max(1, columns))
    return call.update(["input"], kernel, params, items, target.numel, grain, can_fail=False)


def wide_triangle(call: Any, input: Any, diagonal: int, upper: bool) -> Any:
    """complex128, by way of its two parts."""
    parts = view_as_real(input).movedim(-1, 0)
    cut = parts.triu(diagonal) if upper else parts.tril(diagonal)
    result = view_as_complex(cut.movedim(0, -1).contiguous())
    return input.copy_(result) if call.in_place else result


@update(grad=lambda g, diagonal: g.tril(diagonal))
def tril(call, input, diagonal=0):
    """A copy with zeros above a diagonal of the last two dimensions.

    >>> torch.tril(torch.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return triangle_plan(call, input, as_int(diagonal), False, "tril")


@update(grad=lambda g, diagonal: g.triu(diagonal))
def triu(call, input, diagonal=0):
    """A copy with zeros below a diagonal of the last two dimensions.

    >>> torch.triu(torch.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return triangle_plan(call, input, as_int(diagonal), True, "triu")


def triangle_indices(
    row: int,
    col: int,
    offset: int,
    upper: bool,
    *,
    dtype: Any,
    device: Any,
    layout: Any,
    requires_grad: bool,
    pin_memory: bool,
) -> Any:
    """Row and column numbers of a triangle's elements, in row-major order."""
    import numpy

    check_layout(layout)
    for name, value in (("row", row), ("col", col)):
        if value < 0:
            raise RuntimeError(f"{name} must be non-negative, got{value}")
    kind = dtypes.int64 if dtype is None else dtype
    if kind.name not in ("int32", "int64"):
        name = "triu_indices" if upper else "tril_indices"
        raise NotImplementedError(f"\"{name}\" not implemented for '{kind.scalar_name}'")
    inside = (
        numpy.triu(numpy.ones((row, col), bool), offset)
        if upper
        else numpy.tril(numpy.ones((row, col), bool), offset)
    )
    found = from_array(numpy.array(numpy.nonzero(inside), kind.numpy_name))
    return finish(found if device is None else found.to(device), requires_grad, pin_memory)


@composite(methods=())
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Indices of the lower triangle of a matrix: row numbers, then column numbers.

    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    options = {"requires_grad": requires_grad, "pin_memory": pin_memory, "layout": layout}
    return triangle_indices(row, col, offset, False, dtype=dtype, device=device, **options)


@composite(methods=())
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Indices of the upper triangle of a matrix: row numbers, then column numbers.

    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    options = {"requires_grad": requires_grad, "pin_memory": pin_memory, "layout": layout}
    return triangle_indices(row, col, offset, True, dtype=dtype, device=device, **options)


# ---- diagonals -----------------------------------------------------------------------------------


@structured(grad=lambda g, offset, dim1, dim2: g.diagonal(offset, dim1, dim2))
def diag_embed(call, input, offset=0, dim1=-2, dim2=-1):
    """Matrices with the last dimension's elements on a diagonal, zeros elsewhere.

    >>> torch.diag_embed(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim == 0:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got -2)")
    ndim = spec.ndim + 1
    first, second = wrap_dim(as_int(dim1), ndim), wrap_dim(as_int(dim2), ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    side = spec.shape[-1] + abs(offset)
    batch = iter(spec.shape[:-1])
    shape = tuple(side if d in (first, second) else next(batch) for d in range(ndim))
    output = Spec.of(shape, None, spec.dtype, spec.device)
    sizes, strides, start = diagonal_of(output, as_int(offset), first, second)
    source = Window.of(spec.shape, spec.strides, spec.itemsize)
    return embed(
        call.plan(["input"], [output]),
        spec.itemsize,
        source,
        Window.of(sizes, strides, spec.itemsize, start),
    )


@composite
def diag(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """A matrix with a vector on its diagonal, or a copy of a matrix's diagonal.

    >>> torch.diag(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    result = input.diag_embed(diagonal) if input.ndim == 1 else input.diagonal_copy(diagonal)
    return into(result, out, input)


@composite
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements on its diagonal.

    >>> torch.diagflat(torch.tensor([[1, 2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return input.reshape(-1).diag_embed(offset)


@composite(methods=("fill_diagonal_",), public="fill_diagonal_")
def fill_diagonal_(input: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Fills the main diagonal in place; with `wrap` the diagonal of a tall matrix starts again
    after each square.

    >>> torch.zeros(2, 2).fill_diagonal_(5)
    tensor([[5., 0.],
            [0., 5.]])
    """
    if input.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    shape, strides = input.shape, input.stride()
    if input.ndim > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step = sum(strides)
    if input.ndim == 2:
        main = input.diagonal()
    else:
        main = input.as_strided((shape[0],), (step,), input.storage_offset())
    main.fill_(fill_value)
    if wrap and input.ndim == 2 and shape[0] > shape[1] + 1:
        columns = shape[1]
        start = strides[0] * (columns + 1)
        for row in range(columns + 1, shape[0], columns + 1):
            length = min(columns, shape[0] - row)
            input.as_strided((length,), (step,), input.storage_offset() + start).fill_(fill_value)
            start += strides[0] * (columns + 1)
    return input


# ---- a copy with one window replaced -------------------------------------------------------------


def replaced(call: Any, src: Any, window: tuple[Any, Any, int], name: str) -> Any:
    """The plan that writes `src` into a window of the target."""
    target, source = call.target, src._spec
    sizes, strides, start = window
    if tuple(source.shape) != tuple(sizes):
        raise RuntimeError(
            f"expected src to have a size equal to the {name} of self. "
            f"src size = {errors.brackets(source.shape)}, {name} size = "
            f"{errors.brackets(sizes)}"
        )
    size = target.itemsize
    params, lines = copy_params(
        Window.of(sizes, source.strides, size), Window.of(sizes, strides, size, start)
    )
    kernel = address("copy_second", size)
    return call.update(["input", "src"], kernel, params, lines, can_fail=False)


@update(
    dense=True,
    grad={
        "input": lambda g, offset, dim1, dim2, src_like: g.diagonal_scatter(
            g.new_zeros(src_like.shape), offset, dim1, dim2
        ),
        "src": lambda g, offset, dim1, dim2: g.diagonal(offset, dim1, dim2),
    },
)
def diagonal_scatter(call, input, src, offset=0, dim1=0, dim2=1):
    """A copy with `src` on a diagonal.

    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return replaced(
        call, as_source(input, src), diagonal_of(call.target, offset, dim1, dim2), "slice"
    )


@update(
    dense=True,
    grad={
        "input": lambda g, dim, index, src_like: g.select_scatter(
            g.new_zeros(src_like.shape), dim, index
        ),
        "src": lambda g, dim, index: g.select(dim, index),
    },
)
def select_scatter(call, input, src, dim, index):
    """A copy with `src` at one index of a dimension.

    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    return replaced(
        call, as_source(input, src), selected(call.target, as_int(dim), as_int(index)), "slice"
    )


@update(
    dense=True,
    grad={
        "input": lambda g, dim, start, end, step, src_like: g.slice_scatter(
            g.new_zeros(src_like.shape), dim, start, end, step
        ),
        "src": lambda g, dim, start, end, step: g[
            (slice(None),) * (dim % g.ndim) + (slice(start, end, step),)
        ],
    },
)
def slice_scatter(call, input, src, dim=0, start=None, end=None, step=1):
    """A copy with `src` in a range of a dimension.

    >>> torch.slice_scatter(torch.zeros(3), torch.ones(2), 0, 1)
    tensor([0., 1., 1.])
    """
    return replaced(
        call,
        as_source(input, src),
        sliced(call.target, as_int(dim), start, end, as_int(step)),
        "slice",
    )


def as_source(input: Any, src: Any) -> Any:
    """`src` in the input's dtype."""
    if not is_tensor(src):
        raise TypeError(f"argument 'src' must be Tensor, not {errors.type_name(src)}")
    if src.dtype is not input.dtype:
        raise NotImplementedError("*_scatter ops with a source of another dtype: convert it first")
    return src


_ = (dtypes, ptr)

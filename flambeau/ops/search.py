"""Looking values up: searchsorted, bucketize, isin, unravel_index.

>>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([2, 3]))
tensor([1, 1])
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.promotion import promote_types
from flambeau.core.spec import Spec
from flambeau.ops import from_data
from flambeau.ops.join import stack
from flambeau.ops.kernels.search import search_kernel
from flambeau.ops.kinds import composite, structured
from flambeau.ops.outputs import into
from flambeau.ops.reduce_at import plain
from flambeau.ops.registry import is_tensor

ISIN_SIGNATURES = [
    (
        "(Tensor elements, Tensor test_elements, *, bool assume_unique = False, "
        "bool invert = False, "
        "Tensor out = None)"
    ),
    (
        "(Number element, Tensor test_elements, *, bool assume_unique = False, "
        "bool invert = False, "
        "Tensor out = None)"
    ),
    (
        "(Tensor elements, Number test_element, *, bool assume_unique = False, "
        "bool invert = False, "
        "Tensor out = None)"
    ),
]


def check_search(
    boundaries: Any, values: Any, right: bool, side: str | None, sorter: Any, scalar: bool
) -> bool:
    """torch's checks; whether to search after equal values."""
    head = "torch.searchsorted(): "
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(f"{head}side can only be 'left' or 'right' but got {side}")
        if right and side == "left":
            raise RuntimeError(
                f"{head}side and right can't be set to opposites, "
                "got side of left while right was True"
            )
    if values.ndim == 0 and boundaries.ndim != 1:
        raise RuntimeError(
            f"{head}input value can be a scalar only when boundaries tensor dimension is 1, "
            "but we got boundaries tensor "
            f"dim({boundaries.ndim}) and input value's dim({values.ndim}) numel({values.numel()})"
        )
    if boundaries.ndim == 0:
        raise RuntimeError(
            f"{head}boundaries tensor should have positive dimension, but got 0 dimension"
        )
    if boundaries.ndim > 1 and (
        boundaries.ndim != values.ndim or boundaries.shape[:-1] != values.shape[:-1]
    ):
        raise RuntimeError(
            f"{head}boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            "boundaries tensor and input value tensor "
            f"must match, but we got boundaries tensor {errors.brackets(boundaries.shape)} and "
            "input value tensor "
            f"{errors.brackets(values.shape)}"
        )
    if sorter is not None:
        if sorter.shape != boundaries.shape:
            raise RuntimeError(
                f"{head}boundary and sorter must have the same size, "
                f"but got boundary tensor {errors.brackets(boundaries.shape)}and "
                f"got sorter tensor {errors.brackets(sorter.shape)}"
            )
        if sorter.dtype is not dtypes.int64:
            raise RuntimeError(
                f"{head}sorter must be a tensor of long dtype but got dtype "
                f"{sorter.dtype.scalar_name}"
            )
        if sorter.numel() and (int(sorter.min()) < 0 or int(sorter.max()) >= boundaries.shape[-1]):
            raise RuntimeError(f"{head}sorter index out of range")
    return right or side == "right"


def search(boundaries: Any, values: Any, out_int32: bool, right: bool) -> Any:
    """Places in the sorted rows at which the values would be put in."""
    kind = boundaries.dtype
    if values.dtype is not kind:
        kind = promote_types(kind, values.dtype)
    if kind.category == 0 or kind.is_complex:
        raise NotImplementedError(
            f"\"searchsorted_out_cpu\" not implemented for '{kind.scalar_name}'"
        )
    rows, wanted = plain(boundaries).to(kind).contiguous(), plain(values).to(kind).contiguous()
    return places_of.call(rows, wanted, out_int32, right)


@structured(public=None, methods=())
def places_of(call, rows, values, short, right):
    """`search` of contiguous tensors of one dtype."""
    table, wanted = rows._spec, values._spec
    index = dtypes.int32 if short else dtypes.int64
    plan = call.plan(["rows", "values"], [Spec.of(wanted.shape, None, index, wanted.device)])
    if plan.is_meta:
        return plan.use_native(0, ())
    last = wanted.shape[-1] if wanted.ndim else 1
    params = [table.shape[-1], last, 1 if table.ndim == 1 else wanted.numel // max(last, 1)]
    kernel = search_kernel(table.dtype.name, index.name, right)
    return plan.use_native(kernel, params, wanted.numel, wanted.numel * 8, 1 << 14)


def as_values(input: Any, like: Any) -> Any:
    """A number as a tensor: of the boundaries' dtype,
    or the default floating dtype where it is a fraction.
    """
    if is_tensor(input):
        return input
    kind = (
        dtypes.get_default_dtype()
        if isinstance(input, float) and not like.dtype.is_floating_point
        else like.dtype
    )
    return from_data.tensor(input, dtype=kind)


@composite(methods=())
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
    out: Any = None,
) -> Any:
    """The index in the sorted (last) dimension at which each value would keep the order: before
    equal ones, or after with `right`.

    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3]), right=True)
    tensor([2])
    """
    values = as_values(input, sorted_sequence)
    after = check_search(sorted_sequence, values, right, side, sorter, not is_tensor(input))
    expected = dtypes.int32 if out_int32 else dtypes.int64
    if out is not None and out.dtype is not expected:
        raise RuntimeError(
            "torch.searchsorted(): output tensor's dtype is wrong, "
            "it can only be Int(int32) or Long(int64) depending on whether "
            f"out_int32 flag is True, but we got output tensor's dtype {out.dtype.scalar_name} "
            f"and out_int32 flag is {out_int32}"
        )
    rows = sorted_sequence if sorter is None else sorted_sequence.gather(-1, sorter)
    result = search(rows, values, out_int32, after)
    return into(result, out)


@composite(methods=())
def bucketize(
    input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False, out: Any = None
) -> Any:
    """The number of the interval between sorted boundaries that each value falls into.

    >>> torch.bucketize(torch.tensor([0, 4]), torch.tensor([1, 3, 5]))
    tensor([0, 2])
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


@composite(methods=())
def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    out: Any = None,
) -> Any:
    """Whether each element is among the test elements.

    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 5]))
    tensor([False,  True, False])
    """
    if not is_tensor(elements) and not is_tensor(test_elements):
        raise errors.invalid_combination("isin", (elements, test_elements), {}, ISIN_SIGNATURES)
    pair = [
        x if is_tensor(x) else as_values(x, elements if is_tensor(elements) else test_elements)
        for x in (elements, test_elements)
    ]
    for tensor in pair:
        if tensor.dtype.category in (0, 3):
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): {tensor.dtype.scalar_name}"
            )
    if pair[0].is_meta:
        return pair[0].new_empty(pair[0].shape, dtype=dtypes.bool_)
    kind = promote_types(pair[0].dtype, pair[1].dtype)
    left, right = (plain(t).to(kind).contiguous() for t in pair)
    if kind.is_floating_point:
        right = right[right == right]  # NaN equals nothing
    if right.numel():
        ordered = right.reshape(-1).sort()[0]
        places = search(ordered, left, False, False).clamp_(max=ordered.shape[0] - 1)
        found = ordered.take(places) == left
        result = found.logical_not() if invert else found
    else:
        result = left.new_full(left.shape, bool(invert), dtype=dtypes.bool_)
    return into(result, out)


@composite(methods=())
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Coordinates of flat indices in a tensor of the given shape, a tensor for each dimension.

    >>> torch.unravel_index(torch.tensor([4]), (2, 3))
    (tensor([1]), tensor([1]))
    """
    if indices.is_complex() or indices.is_floating_point() or indices.dtype is dtypes.bool_:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if isinstance(shape, int):
        sizes = [shape]
    elif isinstance(shape, (tuple, list)):
        for size in shape:
            if not isinstance(size, int):
                raise TypeError(
                    f"expected 'shape' sequence to only contain ints, but got {type(size)}"
                )
        sizes = list(shape)
    else:
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    indices = indices.to(dtypes.int64)
    coordinates, step = [], 1
    for size in reversed(sizes):
        coordinates.append(indices.floor_divide(step).remainder(size))
        step *= size
    if not sizes:
        return ()
    return stack(list(reversed(coordinates)), -1).unbind(-1)

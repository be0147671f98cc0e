"""Distinct elements: unique and unique_consecutive.

The size of the result depends on the values, so these run at once, without plans; the order comes
from `sort`, the rest is NumPy.

    >>> torch.tensor([2, 1, 2]).unique(return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
"""

from __future__ import annotations

from typing import Any

from flambeau.core import errors
from flambeau.core.dtype import bool_
from flambeau.core.shape import wrap_dim
from flambeau.ops.arrays import as_array, from_array
from flambeau.ops.creation import full, ones
from flambeau.ops.join import cat
from flambeau.ops.kinds import composite
from flambeau.ops.registry import is_tensor
from flambeau.ops.sort import sort


def check_unique(name: str, input: Any, dim: Any) -> int | None:
    """torch's errors; the dimension counted from the front."""
    if not is_tensor(input):
        raise errors.argument_type_error(name, "input", 1, "Tensor", input)
    if input.dtype.is_complex:
        raise errors.not_implemented_for(name, input.dtype.scalar_name)
    if dim is None:
        return None
    if input.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    place: int = wrap_dim(dim, input.ndim)
    if any(n == 0 for d, n in enumerate(input.shape) if d != place):
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    return place


def as_rows(input: Any, dim: int) -> Any:
    """A NumPy matrix whose rows are the parts along `dim`."""
    import numpy

    array = numpy.moveaxis(as_array(input), dim, 0)
    return array.reshape(array.shape[0], array.size // max(1, array.shape[0]))


def runs(rows: Any) -> Any:
    """Where runs of equal rows (or elements) begin, as a mask."""
    import numpy

    new = numpy.ones(len(rows), bool)
    changed = rows[1:] != rows[:-1]
    new[1:] = changed.any(1) if changed.ndim == 2 else changed
    return new


def answer(
    input: Any,
    dim: int,
    order: Any,
    new: Any,
    return_inverse: bool,
    return_counts: bool,
) -> Any:
    """The results for parts along `dim`, from their order (None: as they are) and the mask of those
    that begin a run.
    """
    import numpy

    first = numpy.flatnonzero(new)
    places = first if order is None else order[first]
    results = [input.detach().index_select(dim, from_array(places.astype("int64")))]
    if return_inverse:
        numbers = numpy.cumsum(new, dtype="int64") - 1
        if order is not None:
            inverse = numpy.empty_like(numbers)
            inverse[order] = numbers
            numbers = inverse
        results.append(from_array(numbers))
    if return_counts:
        results.append(from_array(numpy.diff(numpy.append(first, len(new))).astype("int64")))
    return results[0] if len(results) == 1 else tuple(results)


@composite
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or, with `dim`, the distinct parts) in order; where each element went,
    how often each occurs.

    >>> torch.unique(torch.tensor([3, 1, 3]), return_inverse=True)
    (tensor([1, 3]), tensor([1, 0, 1]))
    """
    dim = check_unique("unique", input, dim)
    if dim is None:
        values, order = sort.call(input.detach().reshape(-1))
        return of_vector(values, input, return_inverse, return_counts, order)
    import numpy

    rows = as_rows(input, dim)
    order = numpy.lexsort(rows.T[::-1]) if rows.shape[1] else numpy.arange(len(rows))
    return answer(input, dim, order, runs(rows[order]), return_inverse, return_counts)


@composite
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or parts) without those that equal their predecessor.

    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    dim = check_unique("unique_consecutive", input, dim)
    if dim is None:
        return of_vector(input.detach().reshape(-1), input, return_inverse, return_counts)
    rows = as_rows(input, dim)
    return answer(input, dim, None, runs(rows), return_inverse, return_counts)


def of_vector(
    flat: Any, input: Any, return_inverse: bool, return_counts: bool, order: Any = None
) -> Any:
    """The results for all elements, in their own order or in the given one."""
    count = flat.shape[0]
    new = cat([ones(min(count, 1), dtype=bool_), flat[1:] != flat[:-1]])
    results = [flat[new]]
    if return_inverse:
        numbers = new.cumsum(0) - 1
        if order is not None:
            numbers = numbers.scatter(0, order, numbers)
        results.append(numbers.reshape(input.shape))
    if return_counts:
        places = cat([new.nonzero().reshape(-1), full((1,), count)])
        results.append(places.diff())
    return results[0] if len(results) == 1 else tuple(results)

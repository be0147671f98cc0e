"""Samples of ops that read or write by index or mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as torch


def assigned(x: Any, index: Any, value: Any) -> Any:
    """A copy of `x` after `x[index] = value`."""
    result = x.clone()
    result[index] = value
    return result


SAMPLES: dict[str, list[Callable[..., Any]]] = {
    "getitem": [
        lambda cube: cube[1, ..., ::2],
        lambda cube: cube[:, None, 1:],
        lambda cube, rows: cube[rows],
        lambda cube, rows: cube[:, rows, rows],
        lambda x, mask: x[mask],
        lambda cube, flags: cube[:, flags, 1],
    ],
    "setitem": [
        lambda x: assigned(x, (0, slice(1, None)), 5.0),
        lambda x, rows, y: assigned(x, rows, y),
        lambda x, mask: assigned(x, mask, 0.0),
        lambda cube, number: assigned(cube, (..., 2), number),
    ],
    "gather": [lambda x, index: x.gather(1, index)],
    "index_select": [lambda cube, rows: cube.index_select(1, rows)],
    "take": [lambda x, places: x.take(places)],
    "take_along_dim": [lambda x, index: torch.take_along_dim(x, index, 1)],
    "masked_select": [lambda x, mask: x.masked_select(mask)],
    "masked_scatter": [lambda x, mask, cube: x.masked_scatter(mask, cube)],
    "masked_scatter_": [lambda x, mask, cube: x.clone().masked_scatter_(mask, cube)],
    "nonzero": [lambda mask: mask.nonzero(), lambda x: x.nonzero(as_tuple=True)],
    "nonzero_static": [lambda mask: torch.nonzero_static(mask, size=5)],
    "argwhere": [lambda mask: torch.argwhere(mask)],
    "index_put": [
        lambda x, rows, y: x.index_put((rows,), y),
        lambda x, rows, y: x.index_put((rows,), y, accumulate=True),
    ],
    "index_put_": [lambda x, rows, y: x.clone().index_put_((rows,), y)],
    "scatter": [
        lambda x, index, w: x.scatter(1, index, w),
        lambda x, index: x.scatter(1, index, 0.5),
    ],
    "scatter_": [lambda x, index, w: x.clone().scatter_(1, index, w)],
    "scatter_add": [lambda x, index, w: x.scatter_add(1, index, w)],
    "scatter_add_": [lambda x, index, w: x.clone().scatter_add_(1, index, w)],
    "scatter_reduce": [
        lambda x, index, w: x.scatter_reduce(1, index, w, "prod"),
        lambda x, index, w: x.scatter_reduce(1, index, w, "amax", include_self=False),
        lambda x, index, w: x.scatter_reduce(1, index, w, "mean"),
    ],
    "scatter_reduce_": [lambda x, index, w: x.clone().scatter_reduce_(1, index, w, "sum")],
    "index_add": [lambda x, rows, w: x.index_add(0, rows, w, alpha=2)],
    "index_add_": [lambda x, rows, w: x.clone().index_add_(0, rows, w)],
    "index_copy": [lambda x, rows, w: x.index_copy(0, rows, w)],
    "index_fill": [lambda x, rows: x.index_fill(1, rows, 0.5)],
    "index_fill_": [lambda x, rows, number: x.clone().index_fill_(1, rows, number)],
    "index_reduce": [lambda x, rows, w: x.index_reduce(0, rows, w, "prod")],
    "index_reduce_": [lambda x, rows, w: x.clone().index_reduce_(0, rows, w, "amin")],
    "put": [lambda cube, rows, channels: cube.put(rows, channels)],
    "put_": [lambda cube, rows, channels: cube.clone().put_(rows, channels, accumulate=True)],
    "masked_fill_": [lambda x, mask: x.clone().masked_fill_(mask, 0.5)],
    "fill_diagonal_": [lambda matrix: matrix.clone().fill_diagonal_(0.5)],
    "diagonal_scatter": [lambda matrix, vector: matrix.diagonal_scatter(vector)],
    "select_scatter": [lambda x, channels: x.select_scatter(channels, 1, 2)],
    "slice_scatter": [lambda x, z: x.slice_scatter(z, 1, 1, 2)],
    "segment_reduce": [
        lambda sorted, bits: torch.segment_reduce(sorted, "sum", lengths=bits),
        lambda sorted, bits: torch.segment_reduce(sorted, "mean", lengths=bits[:2]),
    ],
    "_unsafe_masked_index": [
        lambda vector, flags, bits: torch._unsafe_masked_index(vector, flags, [bits], 0.5)
    ],
    "_unsafe_masked_index_put_accumulate": [
        lambda vector, flags, bits, y: torch._unsafe_masked_index_put_accumulate(
            vector, flags, [bits], y
        )
    ],
    "searchsorted": [lambda sorted, x: torch.searchsorted(sorted, x)],
    "bucketize": [lambda x, sorted: torch.bucketize(x, sorted, right=True)],
    "isin": [lambda integers, bits: torch.isin(integers, bits)],
    "unravel_index": [lambda places: torch.unravel_index(places, (2, 3))],
    "bincount": [lambda places: torch.bincount(places, minlength=3)],
    "histc": [lambda x: torch.histc(x, 4)],
    "histogram": [lambda x, sorted: torch.histogram(x, sorted)],
    "histogramdd": [lambda columns: torch.histogramdd(columns, (2, 3))],
    "unique": [lambda index: torch.unique(index, return_inverse=True, return_counts=True)],
    "unique_consecutive": [lambda bits: torch.unique_consecutive(bits)],
}

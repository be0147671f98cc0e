"""`vmap`: a function of single elements, over a batch.

It calls the function once for each element and stacks the results: right for everything that can
be written, control flow that depends on values included. What has a batched form of its own (a
module on a batch, `torch.bmm`) is faster written so.

>>> torch.func.vmap(lambda x: x.sum())(torch.ones(2, 3))
tensor([3., 3.])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.utils._pytree import broadcast_prefix, tree_flatten, tree_unflatten

Dims = Any


def vmap(
    func: Callable[..., Any], in_dims: Dims = 0, out_dims: Dims = 0, randomness: str = "error",
    *, chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """`func` over the dimensions `in_dims` of its arguments (None: the same for all); the results
    are stacked along `out_dims`.

    randomness: "same" gives every element the same random numbers, "different" goes on drawing.

    >>> torch.vmap(torch.dot, in_dims=(0, None))(torch.eye(2), torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. "
            f"Got {randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        dims = _in_dims(in_dims, args, leaves, func)
        size = _batch_size(leaves, dims)
        named, named_spec = tree_flatten(kwargs)
        named_dims = [0 if isinstance(v, flambeau.Tensor) else None for v in named]
        state = flambeau.get_rng_state() if randomness == "same" else None
        results = []
        for i in range(size):
            if state is not None:
                flambeau.set_rng_state(state)
            element = tree_unflatten(_at(leaves, dims, i), spec)
            options = tree_unflatten(_at(named, named_dims, i), named_spec)
            results.append(func(*element, **options))
        return _stacked(results, out_dims)

    return wrapped


def _name(func: Any) -> str:
    return getattr(func, "__name__", repr(func))


def _in_dims(in_dims: Dims, args: tuple[Any, ...], leaves: list[Any], func: Any) -> list[Any]:
    """The dimension of each leaf of the arguments, from 0."""
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int "
            f"or a (potentially nested) tuple matching the structure of inputs, got: "
            f"{type(in_dims)}."
        )
    if not leaves:
        raise ValueError(
            f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
            "are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    dims = broadcast_prefix(in_dims, args)
    if dims is None:
        raise ValueError(
            f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible "
            f"with the structure of inputs."
        )
    result = []
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is None or isinstance(in_dims, int) and not isinstance(leaf, flambeau.Tensor):
            result.append(None)
            continue
        if not isinstance(leaf, flambeau.Tensor):
            raise ValueError(
                f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for an "
                f"input but the input is of type {type(leaf)}. We cannot vmap over non-Tensor "
                "arguments, please use None as the respective in_dim"
            )
        if not -leaf.dim() <= dim < leaf.dim():
            raise ValueError(
                f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for some "
                f"input, but that input is a Tensor of dimensionality {leaf.dim()} so expected "
                f"in_dim to satisfy -{leaf.dim()} <= in_dim < {leaf.dim()}."
            )
        result.append(dim % leaf.dim())
    return result


def _batch_size(leaves: list[Any], dims: list[Any]) -> int:
    sizes = [leaf.size(dim) for leaf, dim in zip(leaves, dims, strict=True) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return int(sizes[0])


def _at(leaves: list[Any], dims: list[Any], i: int) -> list[Any]:
    """Element `i` of every batched leaf."""
    return [
        leaf if dim is None else leaf.select(dim, i) for leaf, dim in zip(leaves, dims, strict=True)
    ]


def _stacked(results: list[Any], out_dims: Dims) -> Any:
    """The results of all elements as one tree of tensors."""
    flat = [tree_flatten(result) for result in results]
    spec = flat[0][1]
    for leaves, _ in flat:
        for leaf in leaves:
            if not isinstance(leaf, flambeau.Tensor):
                raise ValueError(
                    "vmap: `func` must only return Tensors, got type "
                    f"{type(leaf)}. Did you mean to set out_dims= to None for output?"
                )
    first = results[0]
    dims = broadcast_prefix(out_dims, first)
    if dims is None:
        raise ValueError(
            f"vmap(..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the "
            "structure of outputs."
        )
    columns = zip(*[leaves for leaves, _ in flat], strict=True)
    stacked = [
        column[0] if dim is None else flambeau.stack(column, dim)
        for column, dim in zip(columns, dims, strict=True)
    ]
    return tree_unflatten(stacked, spec)

"""Sums of products of two labelled tensors, planned once and then run: what einsum is made of.

    run = contraction(("i", "j"), (2, 3), ("j", "k"), (3, 4), keep={"i", "k"})
    run.labels, run.shape                       # ["i", "k"], (2, 4)
    result = run(a, b)                          # a.matmul(b)

A pair is brought to (batch, rows, summed) @ (batch, summed, columns) by permuting and, only where
several labels share a place, flattening; labels that nobody needs any more are summed first. With
nothing to sum it is a broadcast product.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from flambeau.core import errors

Shape = tuple[int, ...]


class Arrangement(NamedTuple):
    """What happens to an operand first; None for what is not needed."""

    sums: Shape | None
    order: Shape | None
    expanded: Shape | None
    shape: Shape | None

    def __call__(self, tensor: Any) -> Any:
        if self.sums is not None:
            tensor = tensor.sum(self.sums)
        if self.order is not None:
            tensor = tensor.permute(self.order)
        if self.expanded is not None:
            tensor = tensor.expand(self.expanded)
        return tensor if self.shape is None else tensor.reshape(self.shape)


class Contraction(NamedTuple):
    """A planned pair: both arrangements, how they meet, and what the result is seen as."""

    left: Arrangement
    right: Arrangement
    method: str
    result: Shape | None
    labels: list[str]
    shape: Shape

    def __call__(self, a: Any, b: Any) -> Any:
        if self.method != "mul" and a.dtype is not b.dtype:
            raise errors.expected_scalar_type(a.dtype.scalar_name, b.dtype.scalar_name)
        product = getattr(self.left(a), self.method)(self.right(b))
        return product if self.result is None else product.reshape(self.result)


def arrangement(
    labels: Sequence[str],
    shape: Sequence[int],
    order: Sequence[str],
    sizes: dict[str, int],
    final: Sequence[int],
) -> Arrangement:
    """The labels of an operand in `order`, of `sizes`, then in the shape `final`; others summed."""
    sums = tuple(d for d, label in enumerate(labels) if label not in order)
    kept = [(label, size) for label, size in zip(labels, shape, strict=True) if label in order]
    names = [label for label, _ in kept]
    places = tuple(names.index(label) for label in order)
    here = tuple(kept[p][1] for p in places)
    there = tuple(sizes[label] for label in order)
    moved = places != tuple(range(len(places)))
    return Arrangement(
        sums or None,
        places if moved else None,
        there if there != here else None,
        tuple(final) if tuple(final) != there else None,
    )


def contraction(
    la: Sequence[str], sa: Sequence[int], lb: Sequence[str], sb: Sequence[int], keep: set[str]
) -> Contraction:
    """Plans the product of two operands, given by labels and sizes; what is not in `keep` is
    summed.
    """
    la_kept, lb_kept = (
        [x for x in own if x in keep or x in other] for own, other in ((la, lb), (lb, la))
    )
    left, right = dict(zip(la, sa, strict=True)), dict(zip(lb, sb, strict=True))
    shared = [x for x in la_kept if x in lb_kept]
    sizes = {**left, **right}
    for x in shared:
        sizes[x] = 0 if 0 in (left[x], right[x]) else max(left[x], right[x])
    batch, inner = [x for x in shared if x in keep], [x for x in shared if x not in keep]
    rows, columns = [x for x in la_kept if x not in lb], [x for x in lb_kept if x not in la]
    lead, tall, deep, wide = ([sizes[x] for x in part] for part in (batch, rows, inner, columns))
    labels, shape = [*batch, *rows, *columns], (*lead, *tall, *wide)
    if not inner:
        return Contraction(
            arrangement(la, sa, [*batch, *rows], sizes, (*lead, *tall, *[1] * len(columns))),
            arrangement(lb, sb, [*batch, *columns], sizes, (*lead, *[1] * len(rows), *wide)),
            "mul", None, labels, shape,
        )  # fmt: skip
    if not labels:
        left_flat, right_flat = (
            arrangement(own, s, inner, sizes, (prod(deep),)) for own, s in ((la, sa), (lb, sb))
        )
        return Contraction(left_flat, right_flat, "dot", None, labels, shape)
    found = (*lead, prod(tall), prod(wide))
    return Contraction(
        arrangement(la, sa, [*batch, *rows, *inner], sizes, (*lead, prod(tall), prod(deep))),
        arrangement(lb, sb, [*batch, *inner, *columns], sizes, (*lead, prod(deep), prod(wide))),
        "matmul", shape if found != shape else None, labels, shape,
    )  # fmt: skip


def permuted(tensor: Any, labels: Sequence[str], output: Sequence[str]) -> Any:
    """The tensor with its labels in another order."""
    order = [labels.index(x) for x in output]
    return tensor if order == list(range(len(order))) else tensor.permute(order)

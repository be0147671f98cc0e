"""Plans for row programs (codegen.rows): which dimensions of the operands are rows, which lie along
a row.

Called by ops.softmax, ops.normalization and others whose results depend on sums over a row:

    plan_over(plan, program, Layout(shape, rows=(0,), along=(1,)), [x, weight, y, mean])

Operands are (spec, strides): one stride in elements for each dimension of the common shape, 0 where
the operand does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau.codegen.expr import Expr, where
from flambeau.codegen.loops import collapse
from flambeau.codegen.monoids import Stage, lowest
from flambeau.codegen.rows import RowProgram, plan_rows
from flambeau.core.spec import Spec
from flambeau.ops.plan import Rows

LONG = 1 << 16  # elements of a row from which sums are kept in float64, as many small ones add up


class Operand(NamedTuple):
    """A tensor in the common shape."""

    spec: Spec
    strides: tuple[int, ...]


class Layout(NamedTuple):
    """The common shape, the dimensions that count rows and those along a row."""

    shape: tuple[int, ...]
    rows: tuple[int, ...]
    along: tuple[int, ...]

    @property
    def length(self) -> int:
        """Elements of a row."""
        total = 1
        for d in self.along:
            total *= self.shape[d]
        return total


def spread(spec: Spec, places: Sequence[int], ndim: int) -> Operand:
    """A tensor whose dimensions are the dimensions `places` of the common shape."""
    strides = [0] * ndim
    for d, place in enumerate(places):
        strides[place] = spec.strides[d]
    return Operand(spec, tuple(strides))


def slot(name: str, dtype: str) -> Expr:
    """A value that the loop provides."""
    return Expr.slot(name, dtype)


def summing(*elements: Expr, wide: bool = False) -> Stage:
    """The stage that sums expressions of the elements, in float64 if `wide`."""
    dtypes = ["float64" if wide else element.dtype for element in elements]
    totals = [slot(f"acc{k}", dtype) for k, dtype in enumerate(dtypes)]
    others = [slot(f"other{k}", dtype) for k, dtype in enumerate(dtypes)]
    return Stage(
        tuple(Expr.constant(0, dtype) for dtype in dtypes),
        tuple(t + element.to(t.dtype) for t, element in zip(totals, elements, strict=True)),
        tuple(t + other for t, other in zip(totals, others, strict=True)),
    )


def greatest(dtype: str) -> Stage:
    """The stage that finds the greatest x0, passing over NaN: what is subtracted before
    exponentials, whose sum NaN reaches anyway.
    """
    x, best, other = (slot(name, dtype) for name in ("x0", "acc0", "other0"))
    return Stage((lowest(dtype),), (where(x > best, x, best),), (where(other > best, other, best),))


def is_long(length: int) -> bool:
    """Whether sums over a row of this length should be wide."""
    return length > LONG


def in_order(layout: Layout, operands: Sequence[Operand]) -> tuple[int, ...]:
    """The dimensions along a row as they lie in memory, innermost last."""
    return tuple(sorted(layout.along, key=lambda d: abs(operands[0].strides[d]), reverse=True))


def levels(layout: Layout, operands: Sequence[Operand]) -> tuple[list[int], list[list[int]]]:
    """The dimensions along a row, collapsed, and every operand's byte strides along them."""
    order = in_order(layout, operands)
    strides = [[o.strides[d] * o.spec.itemsize for d in order] for o in operands]
    sizes, steps = collapse([layout.shape[d] for d in order], strides)
    return sizes, steps


def fits(layout: Layout, operands: Sequence[Operand]) -> bool:
    """Whether the operands' rows are one or several evenly spaced segments."""
    return len(levels(layout, operands)[0]) <= 2


def plan_over(
    plan: Any,
    program: RowProgram,
    layout: Layout,
    operands: Sequence[Operand],
    parameters: Sequence[float] = (),
) -> Any:
    """Finishes `plan` with the program's kernel; `operands` are its inputs, then its results."""
    inputs = len(plan.inputs)
    if plan.is_meta or not any(o.spec.numel for o in operands[inputs:]):
        return plan.use_native(0, (), 0)
    sizes, steps = levels(layout, operands)
    while len(sizes) < 2:
        sizes.insert(0, 1)
        steps = [[0, *step] for step in steps]
    loops = plan_rows(
        program,
        [o.spec.dtype.name for o in operands[:inputs]],
        [o.spec.dtype.name for o in operands[inputs:]],
        [layout.shape[d] for d in layout.rows],
        sizes[1],
        [[o.strides[d] * o.spec.itemsize for d in layout.rows] for o in operands],
        [step[1] for step in steps],
        parameters,
        sizes[0],
        [step[0] for step in steps],
    )
    strides = tuple([tuple([s * o.spec.itemsize for s in o.strides]) for o in operands])
    plan.formula = Rows(
        program,
        tuple(layout.shape),
        in_order(layout, operands),
        strides,
        tuple(parameters),
        loops.order,
    )
    return plan.use_kernel(loops)

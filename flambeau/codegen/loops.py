"""Pointwise loop nests: from expressions, shapes and strides to a kernel's name, its LLVM IR text
and its parameters.

Called by the dispatcher (`ops/`) when it makes a plan; the plan is cached, so everything here runs
once per kind of call:

    >>> x = Expr.input(0, "float32")
    >>> plan = plan_pointwise((x.exp(),), ("float32",), ("float32",), (4, 3), ((12, 4), (12, 4)))
    >>> plan.items, plan.work, plan.params
    (12, 56, (0, 0))

Every kernel has the signature `void name(ptr buffers, ptr params, i64 start, i64 stop)`. `buffers`
holds the addresses of the first element of each operand, inputs then outputs, then, if the plan
says `can_fail`, of an int64 that the kernel sets to `INTEGER_DIVISION_BY_ZERO`. `[start, stop)` is
the part of the parallel axis to do; the whole is `[0, plan.items)`.

Structures: `flat` runs over elements (params: a byte stride per operand); `rows` runs over rows
with a loop inside (params: row length, outer rank, outer sizes, then per operand the inner byte
stride and the outer byte strides). The class of an operand along the inner axis is '0' (does not
move), '1' (contiguous), '2' to '4' (every second to every fourth element) or 's' (any stride). An
input may be the very memory of an output; partly overlapping ones are the caller's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from flambeau.codegen.dtypes import ITEMSIZE, KIND
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.nest import INTEGER_DIVISION_BY_ZERO as INTEGER_DIVISION_BY_ZERO
from flambeau.codegen.pointwise_writer import PointwiseWriter
from flambeau.codegen.sources import version_of
from flambeau.codegen.tile_writer import BAND, TileWriter

Strides = Sequence[int]
SHORT, LONG, MOST_ROWS = 8, 32, 1024  # elements of a very short row; rows that go inside
FEW_ROWS, LONG_ROW = 64, 1 << 16  # fewer and longer rows than these are cut, for the threads
LIGHT, MIN_TILE = (
    8,
    16,
)  # expression nodes up to which tiles are unrolled, elements of a tile's side
# What an operation on a float32 takes, in units of a whole addition in memory (about 0.05 ns); on a
# float64 it takes twice as much. Others are lost beside the memory's.
COSTS = {
    **dict.fromkeys(("exp", "exp2", "expm1", "atan", "asin", "acos"), 4),
    **dict.fromkeys(("log", "log1p", "sigmoid", "tanh", "sin", "cos", "tan", "erf", "atan2"), 6),
    **dict.fromkeys(("fmod", "remainder", "floor_divide", "sinh", "cosh"), 8),
    **dict.fromkeys(("pow", "erfinv", "erfc", "digamma", "lgamma"), 40),
    "library": 250,
    "native": 1000,
}
COSTLY = frozenset(COSTS)


@dataclass(frozen=True)
class LoopPlan:
    """What a dispatcher needs to run a kernel. `ir_text()` makes the text; it is only called when
    no object code is cached. order: in which a reduction or a row program takes its elements;
    plans of equal order add up the same sums.
    """

    symbol_name: str
    ir_text: Callable[[], str]
    params: tuple[int, ...]
    items: int
    work: int
    can_fail: bool
    scratch_bytes: int = 0
    then: LoopPlan | None = None
    order: tuple[Any, ...] = ()


@dataclass(frozen=True)
class PointwiseKernel:
    """What a pointwise kernel's machine code depends on."""

    exprs: tuple[Expr, ...]
    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    classes: str
    structure: str

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes of all operands in memory."""
        return self.input_dtypes + self.output_dtypes

    @property
    def symbol_name(self) -> str:
        """A name that equal kernels share, in every process."""
        return symbol(
            self.structure, self.exprs, self.input_dtypes, self.output_dtypes, self.classes
        )

    @property
    def can_fail(self) -> bool:
        """Whether the kernel reports errors."""
        return can_fail(self.exprs)

    def ir_text(self) -> str:
        """The kernel as LLVM IR."""
        return (TileWriter if self.structure == "tiles" else PointwiseWriter)(self).text()


def symbol(structure: str, exprs: Sequence[Expr], *identity: object) -> str:
    """A deterministic kernel name from everything that the machine code depends on."""
    key = repr((version_of(__name__), structure, [expr.digest.hex() for expr in exprs], identity))
    return f"{structure}_{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


def can_fail(exprs: Sequence[Expr]) -> bool:
    """Whether some element can fail: integer division by what is not a nonzero constant."""
    for node in postorder(exprs):
        if node.op == "checked":
            return True
        if node.op in ("floor_divide", "remainder", "fmod") and KIND[node.dtype] in "iu":
            divisor = node.args[1]
            if divisor.op != "constant" or divisor.value == 0:
                return True
    return False


def collapse(sizes: Sequence[int], strides: Sequence[Strides]) -> tuple[list[int], list[list[int]]]:
    """Drop dimensions of size 1 and merge neighbours that every operand walks through evenly;
    innermost last.

    >>> collapse((2, 1, 3), ((12, 7, 4), (0, 0, 0)))
    ([6], [[4], [0]])
    """
    kept: list[int] = []
    kept_strides: list[list[int]] = [[] for _ in strides]
    for d, size in enumerate(sizes):
        if size == 1:
            continue
        if kept and all(rows[-1] == full[d] * size for rows, full in zip(kept_strides, strides)):
            kept[-1] *= size
            for rows, full in zip(kept_strides, strides):
                rows[-1] = full[d]
        else:
            kept.append(size)
            for rows, full in zip(kept_strides, strides):
                rows.append(full[d])
    return kept, kept_strides


def order(sizes: Sequence[int], strides: Sequence[Strides], outputs: int) -> list[int]:
    """A permutation of the dimensions: outer ones first, by the strides of the outputs, then of the
    inputs.
    """
    ranked = [*strides[len(strides) - outputs :], *strides[: len(strides) - outputs]]
    return sorted(
        range(len(sizes)), key=lambda d: [abs(operand[d]) for operand in ranked], reverse=True
    )


def classify(stride: int, dtype: str) -> str:
    """The class of an operand along the inner axis."""
    return "0" if stride == 0 else "1" if stride == ITEMSIZE[dtype] else "s"


def plan_pointwise(
    exprs: Sequence[Expr],
    input_dtypes: Sequence[str],
    output_dtypes: Sequence[str],
    sizes: Sequence[int],
    strides: Sequence[Strides],
) -> LoopPlan:
    """Plan `outputs = exprs(inputs)` over `sizes`; `strides` are in bytes, inputs then outputs, 0
    where broadcast.
    """
    exprs, input_dtypes, output_dtypes = as_bits(exprs, input_dtypes, output_dtypes)
    dtypes = (*input_dtypes, *output_dtypes)
    permutation = order(sizes, strides, len(output_dtypes))
    loops, steps = collapse(
        [sizes[d] for d in permutation], [[operand[d] for d in permutation] for operand in strides]
    )
    total = prod(sizes)
    if not loops:
        loops, steps = [1], [[ITEMSIZE[dtype]] for dtype in dtypes]
    loops, steps = lengthened(loops, steps)
    classes = "".join(classify(operand[-1], dtype) for operand, dtype in zip(steps, dtypes))
    structure = "flat"
    items, params = total, [step[0] if cls == "s" else 0 for step, cls in zip(steps, classes)]
    if len(loops) > 1:
        structure, items, params = "rows", *_rows(loops, steps)
        across = _across(exprs, dtypes, loops, steps, classes, len(output_dtypes))
        if across is not None and total:
            classes = classes.replace("s", "t")
            structure, items, params = "tiles", *_tiles(loops, steps, across)
    if structure != "tiles":
        classes = _with_small_steps(classes, [step[-1] for step in steps], input_dtypes)
    kernel = PointwiseKernel(exprs, input_dtypes, output_dtypes, classes, structure)
    items, work = items if total else 0, round(total * cost(exprs, dtypes))
    return LoopPlan(kernel.symbol_name, kernel.ir_text, tuple(params), items, work, kernel.can_fail)


def lengthened(loops: list[int], steps: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Very short rows go outside: the loop inside then runs over as many rows as the first-level
    cache holds, and what a row costs on top of its elements is spent once for all of them.

    >>> lengthened([1000, 3], [[12, 4], [4, 0]])
    ([3, 1000], [[4, 12], [0, 4]])
    """
    if len(loops) < 2 or loops[-1] > SHORT or loops[-2] < LONG:
        return loops, steps
    rows = loops[-2]
    piece = max((k for k in range(LONG, MOST_ROWS + 1) if rows % k == 0), default=0)
    if rows <= MOST_ROWS:
        piece = rows
    if not piece:
        return loops, steps
    sizes = [*loops[:-2], rows // piece, loops[-1], piece]
    moved = [[*step[:-2], step[-2] * piece, step[-1], step[-2]] for step in steps]
    return collapse(sizes, moved)


def cost(exprs: Sequence[Expr], dtypes: Sequence[str]) -> float:
    """What an element takes, in units of an addition of float32: its share of the memory's time,
    and the operations'.

    >>> x = Expr.input(0, "float32")
    >>> cost((x + 1, x.exp()), ("float32", "float32", "float32"))
    5.0
    """
    memory = sum(ITEMSIZE[dtype] for dtype in dtypes) / 12
    return memory + sum(
        COSTS.get(node.op, 0) * (2 if ITEMSIZE[node.dtype] > 4 else 1) for node in postorder(exprs)
    )


def _with_small_steps(classes: str, strides: Sequence[int], input_dtypes: Sequence[str]) -> str:
    """The classes of the operands; inputs of which every second to fourth element is read get that
    number, because vectors of neighbours are loaded and sorted faster than elements are gathered.
    """
    found = list(classes)
    for operand, dtype in enumerate(input_dtypes):
        factor, rest = divmod(strides[operand], ITEMSIZE[dtype])
        if found[operand] == "s" and rest == 0 and 2 <= factor <= 4 and KIND[dtype] != "c":
            found[operand] = str(factor)
    return "".join(found)


def as_bits(
    exprs: Sequence[Expr], input_dtypes: Sequence[str], output_dtypes: Sequence[str]
) -> tuple[tuple[Expr, ...], tuple[str, ...], tuple[str, ...]]:
    """A mere copy as one of unsigned integers: a kernel serves all dtypes of a size."""
    if len(exprs) == 1 and len(input_dtypes) == 1 and exprs[0].op == "input":
        size = ITEMSIZE[input_dtypes[0]]
        if input_dtypes[0] == output_dtypes[0] and size <= 8:
            bits = f"uint{8 * size}"
            return (Expr.input(0, bits),), (bits,), (bits,)
    return tuple(exprs), tuple(input_dtypes), tuple(output_dtypes)


def _rows(loops: list[int], steps: list[list[int]]) -> tuple[int, list[int]]:
    """Items and parameters of the structure `rows`. Long rows are cut where there are few."""
    if prod(loops[:-1]) < FEW_ROWS and loops[-1] >= LONG_ROW:
        pieces = max(k for k in range(1, FEW_ROWS + 1) if loops[-1] % k == 0)
        loops = [*loops[:-1], pieces, loops[-1] // pieces]
        steps = [[*step[:-1], step[-1] * loops[-1], step[-1]] for step in steps]
    params = [loops[-1], len(loops) - 1, *loops[:-1]]
    for operand in steps:
        params += [operand[-1], *operand[:-1]]
    return prod(loops[:-1]), params


def _across(
    exprs: Sequence[Expr],
    dtypes: Sequence[str],
    loops: list[int],
    steps: list[list[int]],
    classes: str,
    outputs: int,
) -> int | None:
    """The dimension along which some inputs are contiguous, if tiles along it and the innermost one
    pay: all operands must be contiguous or constant along one of the two, and the work be light.
    """
    nodes = list(postorder(exprs))
    if set(classes[len(classes) - outputs :]) != {"1"} or len(nodes) > LIGHT:
        return None
    if can_fail(exprs) or any(node.op in COSTLY or KIND[node.dtype] == "c" for node in nodes):
        return None
    if any(KIND[dtype] == "c" for dtype in dtypes) or loops[-1] < MIN_TILE:
        return None
    strided = [operand for operand, cls in enumerate(classes) if cls == "s"]
    for d in reversed(range(len(loops) - 1)):
        fits = [steps[operand][d] == ITEMSIZE[dtypes[operand]] for operand in strided]
        if strided and all(fits) and loops[d] >= MIN_TILE:
            return d
    return None


def _tiles(loops: list[int], steps: list[list[int]], across: int) -> tuple[int, list[int]]:
    """Items and parameters of the structure `tiles`."""
    outer = [d for d in range(len(loops) - 1) if d != across]
    bands = -(-loops[across] // BAND)
    params = [loops[-1], loops[across], len(outer) + 1]
    params += [operand[across] for operand in steps]
    params += [*(loops[d] for d in outer), bands]
    for operand in steps:
        params += [operand[-1], *(operand[d] for d in outer), operand[across] * BAND]
    params += [0, *(0 for _ in outer), BAND]
    return prod(loops[d] for d in outer) * bands, params

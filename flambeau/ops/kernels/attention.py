"""Plans of attention: the tables that the native loops of attention_native follow.

    shape = Shape(matrices, queries, keys, features, values, causal, scale)
    task = forward(shape, operands)
    plan.use_native(task.address, task.params, task.items, task.work, task.grain, task.scratch)

A step is a block of queries against a block of keys. Equal steps share their kernels' parameters.
Called by ops.attention.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau.codegen.exponential import exp_below
from flambeau.codegen.expr import Expr, where
from flambeau.codegen.llvm import load
from flambeau.codegen.monoids import Stage, lowest
from flambeau.codegen.native import Unit, f32, f64, pointer
from flambeau.codegen.rows import RowProgram, plan_rows
from flambeau.ops.kernels import attention_native as native
from flambeau.ops.kernels import gemm
from flambeau.ops.row_plans import greatest, slot

QUERIES = 64  # of a block
TILE_BYTES = 1 << 17  # the scores of a block of queries and one of keys
PER_THREAD = 4  # chunks that a thread should find, so that the threads end together
SIZE = {"float32": 4, "float64": 8}


class Matrices(NamedTuple):
    """An operand: strides of its rows and columns in elements, and where each matrix of the batch
    begins, in elements.
    """

    row: int
    column: int
    offsets: tuple[int, ...]


class Shape(NamedTuple):
    """What is computed: numbers of queries, keys, features of both and of the values."""

    dtype: str
    queries: int
    keys: int
    features: int
    values: int
    causal: bool
    scale: float
    mask: str | None  # its dtype

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return SIZE[self.dtype]

    @property
    def block(self) -> int:
        """Keys of a block."""
        return min(self.keys, TILE_BYTES // QUERIES // self.size)

    @property
    def rows(self) -> int:
        """Queries of a block."""
        return min(self.queries, QUERIES)


class Task(NamedTuple):
    """What Plan.use_native takes, and what must stay in memory."""

    address: int
    params: list[int]
    items: int
    work: int
    grain: int
    scratch: int
    keep: list[Any]


# ---- row programs --------------------------------------------------------------------------------


def finite(x: Expr) -> Expr:
    """0 for minus infinity: what the scores of a row without keys are measured from."""
    result: Expr = where(x == float("-inf"), 0.0, x)
    return result


def carried(dtype: str, names: Sequence[str]) -> Stage:
    """A stage that hands on numbers of the row."""
    values = tuple(slot(name, dtype) for name in names)
    kept = tuple(slot(f"acc{k}", dtype) for k in range(len(names)))
    return Stage(tuple(Expr.constant(0, dtype) for _ in names), values, kept)


def masked(shape: Shape, place: int) -> Expr:
    """A score under the mask, which is the input number `place`."""
    score = Expr.input(0, shape.dtype)
    if shape.mask is None:
        return score
    mask = Expr.input(place, shape.mask)
    if shape.mask == "bool":
        return where(mask, score, lowest(shape.dtype))
    return score + mask.to(shape.dtype)


def exponentials(shape: Shape, first: bool) -> RowProgram:
    """Exponentials of the scores, their greatest and their sum; after the first block of keys also
    the factor for what was summed before.
    """
    dtype, places = shape.dtype, 1 if shape.mask is None else 2
    best, top = greatest(dtype), slot("stage0.0", dtype)
    elements: tuple[Expr, ...] = (masked(shape, 1),)
    if not first:
        before = carried(dtype, ("x1", "x2"))
        renamed = {f"acc{k}": f"acc{k + 1}" for k in range(2)}
        merge = tuple(e.renamed(renamed) for e in before.merge)
        best = Stage(best.start + before.start, best.step + before.step, best.merge + merge)
        old, total = slot("stage0.1", dtype), slot("stage0.2", dtype)
        top = where(old > top, old, top)
        elements += tuple(Expr.input(places + k, dtype) for k in range(2))
    share, kept = slot(f"x{len(elements)}", dtype), len(elements)
    elements += (exp_below(elements[0] - finite(top)),)
    acc, other, here = (slot(name, dtype) for name in ("acc0", "other0", "stage1.0"))
    stages = (best, Stage((Expr.constant(0, dtype),), (acc + share,), (acc + other,)))
    results: tuple[Expr, ...] = (top, here)
    if not first:
        factor = exp_below(old - finite(top))
        results = (top, total * factor + here, factor)
    return RowProgram(elements, stages, (share,), results, kept=((kept, 0),))


def finish(shape: Shape) -> RowProgram:
    """The output from the sums of values, and the logarithm of the exponentials' sum."""
    dtype = shape.dtype
    top, total = slot("stage0.0", dtype), slot("stage0.1", dtype)
    share = where(total == 0, 0.0, 1 / total)
    elements = tuple(Expr.input(k, dtype) for k in range(3))
    stage = carried(dtype, ("x1", "x2"))
    return RowProgram(elements, (stage,), (slot("x0", dtype) * share,), (top + total.log(),))


def projection(shape: Shape) -> RowProgram:
    """Sums of gradient times output."""
    dtype = shape.dtype
    acc, other = slot("acc0", dtype), slot("other0", dtype)
    product = slot("x0", dtype) * slot("x1", dtype)
    stage = Stage((Expr.constant(0, dtype),), (acc + product,), (acc + other,))
    elements = tuple(Expr.input(k, dtype) for k in range(2))
    return RowProgram(elements, (stage,), (), (slot("stage0.0", dtype),))


def slopes(shape: Shape) -> RowProgram:
    """The shares again, from the logarithms of their sums, and the gradient of the scores."""
    dtype = shape.dtype
    score, change, total, along = (slot(f"x{k}", dtype) for k in range(4))
    share = exp_below(score - finite(total))
    slope = share * (change - along) * slot("param0", "float64").to(dtype)
    elements = (masked(shape, 4), *(Expr.input(k, dtype) for k in range(1, 4)))
    return RowProgram(elements, (), (share, slope), parameters=1)


# ---- tables --------------------------------------------------------------------------------------


class Tables:
    """The parameters of all steps, each made once."""

    def __init__(self, shape: Shape):
        self.shape = shape
        self.keep: list[Any] = []
        self.known: dict[Any, tuple[int, int, int]] = {}

    def array(self, values: Sequence[int]) -> int:
        """The address of a table."""
        table = (ctypes.c_int64 * max(1, len(values)))(*values)
        self.keep.append(table)
        return ctypes.addressof(table)

    def product(
        self, m: int, n: int, k: int, a: tuple[int, int], b: tuple[int, int], c: int,
        adds: bool = False, alpha: float = 1.0,
    ) -> tuple[int, int, int]:  # fmt: skip
        """c = alpha a b, or c += a b; (row, column) strides of a and b, row stride of c."""
        key = (m, n, k, a, b, c, adds, alpha)
        if key not in self.known:
            init = (0, 0, c) if adds else None
            task = gemm.Product(
                self.shape.dtype, m, n, k, (1, 1), (0, 0, *a), (0, 0, *b), (0, 0, c), init, alpha
            )
            found = gemm.kernel(task, 1)
            self.known[key] = found.address, self.array(found.params), found.items
        return self.known[key]

    def program(
        self, program: RowProgram, rows: int, length: int, inputs: Sequence[tuple[str, int, int]],
        outputs: Sequence[tuple[int, int]], parameters: Sequence[float] = (),
    ) -> tuple[int, int, int]:  # fmt: skip
        """A row program over `rows` rows; inputs are (dtype, row stride, stride along) in bytes,
        outputs the strides.
        """
        key = (program.expressions(), rows, length, tuple(inputs), tuple(outputs))
        if key not in self.known:
            strides = [*(pair[1:] for pair in inputs), *outputs]
            loops = plan_rows(
                program,
                [dtype for dtype, _, _ in inputs],
                [self.shape.dtype] * len(outputs),
                [rows],
                length,
                [[row] for row, _ in strides],
                [along for _, along in strides],
                parameters,
                in_place=True,
            )
            address = load(loops.symbol_name, loops.ir_text)[loops.symbol_name]
            self.known[key] = address, self.array(loops.params), loops.items
        return self.known[key]

    def steps(self, make: Any) -> dict[int, int]:
        """The table of steps and that of each block's first step, as words; `make(rows, keys,
        first)` gives the kernels of a step.
        """
        shape, steps, firsts = self.shape, [], [0]
        for begin in range(0, shape.queries, shape.rows):
            rows = min(shape.rows, shape.queries - begin)
            end = min(shape.keys, begin + rows) if shape.causal else shape.keys
            for key in range(0, end, shape.block):
                keys = min(shape.block, end - key)
                kernels = [word for task in make(rows, keys, key == 0) for word in task]
                words = [key, keys, *kernels]
                steps += words + [0] * (native.STEP_WORDS - len(words))
            firsts.append(len(steps) // native.STEP_WORDS)
        return {native.STEPS: self.array(steps), native.FIRST: self.array(firsts)}

    def offsets(self, operands: dict[int, Matrices], sizes: dict[int, int]) -> int:
        """The table of the operands' offsets in bytes."""
        count = len(operands[native.AT_QUERY].offsets)
        table = [0] * (count * native.OFFSET_WORDS)
        for place, operand in operands.items():
            for number, offset in enumerate(operand.offsets):
                table[number * native.OFFSET_WORDS + place] = offset * sizes[place]
        return self.array(table)


@functools.cache
def code(name: str, dtype: str, is_masked: bool) -> int:
    """Machine code of the loops."""
    function = native.attention if name == "attention" else native.attention_gradient
    element = f32 if dtype == "float32" else f64
    unit = Unit(
        f"{name}_{dtype}_{int(is_masked)}",
        [function],
        T=element,
        TP=pointer(element),
        MASKED=int(is_masked),
    )
    symbol = unit.symbol(function)
    return load("attention-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def common_words(
    shape: Shape, tables: Tables, operands: dict[int, Matrices], mask_size: int
) -> tuple[dict[int, int], dict[int, int]]:
    """The words that both passes have, and bytes of the operands' elements."""
    size = shape.size
    sizes = {place: mask_size if place == native.AT_MASK else size for place in operands}
    mask = operands.get(native.AT_MASK, Matrices(0, 0, ()))
    words = {
        native.TILE: shape.rows * shape.block * size,
        native.BLOCKS: -(-shape.queries // shape.rows),
        native.ROWS: shape.rows,
        native.LENGTH: shape.queries,
        native.COLUMNS: shape.values,
        native.CAUSAL: int(shape.causal),
        native.PITCH: shape.block,
        native.QUERY_ROW: operands[native.AT_QUERY].row * size,
        native.KEY_ROW: operands[native.AT_KEY].row * size,
        native.VALUE_ROW: operands[native.AT_VALUE].row * size,
        native.MASK_ROW: mask.row * mask_size,
        native.MASK_COLUMN: mask.column * mask_size,
        native.OUTPUT_ROW: operands[native.AT_OUTPUT].row * size,
        native.OFFSETS: tables.offsets(operands, sizes),
    }
    return words, sizes


def task(
    name: str, shape: Shape, tables: Tables, words: dict[int, int], items: int, slot_bytes: int,
    threads: int, work: int,
) -> Task:  # fmt: skip
    """The finished task."""
    grain = max(1, -(-items // (PER_THREAD * threads)))
    slot_bytes = (slot_bytes + 63) & -64
    params = [0] * native.WORDS
    for place, value in {**words, native.GRAIN: grain, native.SLOT: slot_bytes}.items():
        params[place] = value
    address = code(name, shape.dtype, shape.mask is not None)
    slots = -(-items // grain)  # one for each chunk, whoever takes it
    return Task(address, params, items, work >> 3, grain, slots * slot_bytes, tables.keep)


def work_of(shape: Shape, matrices: int) -> int:
    """Multiplications of the forward pass."""
    seen = shape.queries * shape.keys // (2 if shape.causal else 1)
    return matrices * seen * (shape.features + shape.values)


def mask_input(
    shape: Shape, operands: dict[int, Matrices], size: int
) -> list[tuple[str, int, int]]:
    """The mask as an input of row programs."""
    if shape.mask is None:
        return []
    mask = operands[native.AT_MASK]
    return [(shape.mask, mask.row * size, mask.column * size)]


def forward(shape: Shape, operands: dict[int, Matrices], mask_size: int, threads: int) -> Task:
    """The task of the forward pass."""
    tables, size = Tables(shape), shape.size
    words, _ = common_words(shape, tables, operands, mask_size)
    query, key, value = (operands[k] for k in (native.AT_QUERY, native.AT_KEY, native.AT_VALUE))
    dtype, pitch, columns = shape.dtype, shape.block * size, shape.values * size
    first_program, program = exponentials(shape, True), exponentials(shape, False)
    mask = mask_input(shape, operands, mask_size)

    def step(rows: int, keys: int, first: bool) -> list[tuple[int, int, int]]:
        scores = tables.product(
            rows, keys, shape.features, (query.row, query.column), (key.column, key.row),
            shape.block, alpha=shape.scale,
        )  # fmt: skip
        per_row = [(dtype, size, 0)] * (0 if first else 2)
        shares = tables.program(
            first_program if first else program,
            rows,
            keys,
            [(dtype, pitch, size), *mask, *per_row],
            [(pitch, size), *[(size, 0)] * (2 if first else 3)],
        )
        result = tables.product(
            rows, shape.values, keys, (shape.block, 1), (value.row, value.column), shape.values,
            adds=not first,
        )  # fmt: skip
        return [scores, shares, result]

    words.update(tables.steps(step))
    output = operands[native.AT_OUTPUT]
    inputs = [(dtype, columns, size), (dtype, size, 0), (dtype, size, 0)]
    outputs = [(output.row * size, output.column * size), (size, 0)]
    for place, rows in ((native.FINISH, shape.rows), (native.LAST_FINISH, last_rows(shape))):
        found = tables.program(finish(shape), rows, shape.values, inputs, outputs)
        words[native.FINISH_KERNEL], words[place] = found[0], found[1]
    items = len(query.offsets) * words[native.BLOCKS]
    room = 2 * words[native.TILE] + shape.rows * (shape.values + 3) * size
    work = work_of(shape, len(query.offsets))
    return task("attention", shape, tables, words, items, room, threads, work)


def last_rows(shape: Shape) -> int:
    """Queries of the last block."""
    return shape.queries - (shape.queries - 1) // shape.rows * shape.rows


def backward(shape: Shape, operands: dict[int, Matrices], mask_size: int, threads: int) -> Task:
    """The task of the gradients."""
    tables, size, dtype = Tables(shape), shape.size, shape.dtype
    words, _ = common_words(shape, tables, operands, mask_size)
    query, key, value, grad, output, by_query, by_key, by_value = (
        operands[k]
        for k in (
            native.AT_QUERY, native.AT_KEY, native.AT_VALUE, native.AT_GRAD, native.AT_OUTPUT,
            native.AT_BY_QUERY, native.AT_BY_KEY, native.AT_BY_VALUE,
        )
    )  # fmt: skip
    pitch, block, program = shape.block * size, shape.block, slopes(shape)
    mask = mask_input(shape, operands, mask_size)

    def step(rows: int, keys: int, first: bool) -> list[tuple[int, int, int]]:
        scores = tables.product(
            rows, keys, shape.features, (query.row, query.column), (key.column, key.row), block,
            alpha=shape.scale,
        )  # fmt: skip
        changes = tables.product(
            rows, keys, shape.values, (grad.row, grad.column), (value.column, value.row), block
        )
        tile, number = (dtype, pitch, size), (dtype, size, 0)
        shares = tables.program(
            program, rows, keys, [tile, tile, number, number, *mask], [tile[1:]] * 2, (shape.scale,)
        )
        across = (1, block)
        to_value = tables.product(
            keys, shape.values, rows, across, (grad.row, grad.column), by_value.row, adds=True
        )
        to_key = tables.product(
            keys, shape.features, rows, across, (query.row, query.column), by_key.row, adds=True
        )
        to_query = tables.product(
            rows, shape.features, keys, (block, 1), (key.row, key.column), by_query.row,
            adds=not first,
        )  # fmt: skip
        return [scores, shares, (0, 0, 0), changes, to_value, to_key, to_query]

    words.update(tables.steps(step))
    inputs = [(dtype, o.row * size, o.column * size) for o in (grad, output)]
    for place, rows in ((native.FINISH, shape.rows), (native.LAST_FINISH, last_rows(shape))):
        found = tables.program(projection(shape), rows, shape.values, inputs, [(size, 0)])
        words[native.FINISH_KERNEL], words[place] = found[0], found[1]
    words.update({
        native.GRAD_ROW: grad.row * size, native.BY_QUERY_ROW: by_query.row * size,
        native.BY_KEY_ROW: by_key.row * size, native.BY_VALUE_ROW: by_value.row * size,
        native.KEYS: shape.keys, native.BY_KEY_BYTES: shape.features * size,
        native.BY_VALUE_BYTES: shape.values * size,
    })  # fmt: skip
    items = len(query.offsets)
    room = 4 * words[native.TILE] + shape.rows * size
    work = 3 * work_of(shape, items)
    return task("attention_gradient", shape, tables, words, items, room, threads, work)

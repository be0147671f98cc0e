"""LAPACK on batches of matrices: a short program of library calls that native code runs for every
matrix.

LAPACK works in place on column-major matrices, and all its arguments are pointers. So a step is a
function's address and a row of places: constants, scratch memory, windows of the operands.
`Program` collects the steps while a plan is made (ops.linalg does that); `run_steps` does them for
one matrix of the batch after the other, over threads when there is enough work:

    program = Program(plan, batch=(5,))                    # inverses of five matrices
    a, inverse = program.input(0), program.output(0)
    info, pivots = program.scratch(8), program.scratch(8 * n)
    program.copy(a, inverse)
    program.call("getrf", n, n, inverse, n, pivots, info)
    # skipped where info is not 0
    program.call("getri", n, inverse, n, pivots, WORK, LWORK, info, guard=info)
    program.fail_on(info)
    return program.finish(work=n**3)

Sizes of work arrays are asked from LAPACK itself when the plan is made. The routines come from
OpenBLAS (runtime.blas).
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    NativeFunction,
    Signature,
    Unit,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    void,
)
from flambeau.core.spec import Spec
from flambeau.core.strides import broadcast_strides
from flambeau.runtime import blas, matrices
from flambeau.runtime.plan_block import B_CAN_FAIL

Routine = Signature(void, *([ptr] * 16))
MAX_ARGUMENTS, MAX_BUFFERS = 16, 12
RELEASE_FROM = 1 << 15  # about as many operations as 20 us of work
LONG = 1 << 20  # elements of a kernel that certainly runs without the GIL
SLOTS = 16  # at most so many threads work at once: each has scratch memory of its own

# words of the parameters; then come the constants, the dimensions of the batch and the steps
BUFFERS, RANK, STEPS, SCRATCH, SLOT, GRAIN, FLAG, BATCH, PROGRAM, CONSTANTS = range(10)
# bases of places: constants lie in the parameters themselves; a VALUE is passed as it is
VALUE = -1
CONSTANT, ITEM, SCRATCH_BASE, FLAG_BASE, FIRST_BUFFER = range(5)


@native
def run_steps(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: items are the matrices of the batch."""
    bases, arguments, number = stack(i64, 20), stack(ptr, 16), stack(i64, 1)
    bases[0] = i64(params)
    bases[1] = i64(number)
    bases[2] = i64(buffers[params[SCRATCH]]) + start // params[GRAIN] * params[SLOT]
    bases[3] = i64(buffers[params[FLAG]])
    for item in range(start, stop):
        number[0] = item
        for b in range(params[BUFFERS]):
            bases[FIRST_BUFFER + b] = i64(buffers[b])
        rest = item
        dim = params + params[BATCH]
        for _ in range(params[RANK]):
            digit = rest % dim[0]
            rest = rest // dim[0]
            for b in range(params[BUFFERS]):
                bases[FIRST_BUFFER + b] += digit * dim[1 + b]
            dim = dim + (1 + params[BUFFERS])
        step = params + params[PROGRAM]
        for _ in range(params[STEPS]):
            guard: i64p = ptr(bases[step[1]] + step[2])
            if guard[0] == 0:
                for k in range(step[3]):
                    base = step[4 + 2 * k]
                    arguments[k] = ptr(
                        step[5 + 2 * k]
                        if base < 0
                        else bases[base if base > 0 else 0] + step[5 + 2 * k]
                    )
                Routine(step[0])(
                    arguments[0],
                    arguments[1],
                    arguments[2],
                    arguments[3],
                    arguments[4],
                    arguments[5],
                    arguments[6],
                    arguments[7],
                    arguments[8],
                    arguments[9],
                    arguments[10],
                    arguments[11],
                    arguments[12],
                    arguments[13],
                    arguments[14],
                    arguments[15],
                )
            step = step + (4 + 2 * step[3])


class Place(NamedTuple):
    """Where an argument lies: a base of the running step, and bytes from there."""

    base: int
    offset: int


class Window(NamedTuple):
    """A matrix (or vector) of the batch: its place, its shape, and its steps in bytes."""

    place: Place
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def transposed(self) -> Window:
        """The same matrix with rows and columns exchanged."""
        return Window(self.place, self.shape[::-1], self.steps[::-1])

    def part(self, rows: tuple[int, int], columns: tuple[int, int]) -> Window:
        """The rows and columns in the given ranges (start, stop)."""
        offset = rows[0] * self.steps[0] + columns[0] * self.steps[1]
        shape = (rows[1] - rows[0], columns[1] - columns[0])
        return Window(Place(self.place.base, self.place.offset + offset), shape, self.steps)


class Array(NamedTuple):
    """A work array of a routine ("work" of its dtype, "rwork" of the real one,
    "iwork" of integers), or its length.
    """

    kind: str
    size: int = 0  # elements; 0: ask the routine
    is_length: bool = False


WORK, RWORK, IWORK = Array("work"), Array("rwork"), Array("iwork")
LWORK, LRWORK, LIWORK = Array("work", 0, True), Array("rwork", 0, True), Array("iwork", 0, True)
COMPLEX_NAMES = {"orgqr": "ungqr", "ormqr": "unmqr", "syevd": "heevd"}


class Program:
    """See the module's first lines.

    `plan` has its inputs and outputs already; `batch` is the shape of the batch.
    """

    def __init__(self, plan: Any, batch: Sequence[int], dtype: Any = None):
        self.plan, self.batch = plan, tuple(batch)
        self.dtype = dtype or plan.inputs[0].spec.dtype
        self.name = self.dtype.name
        self.itemsize = self.dtype.itemsize
        self.is_complex = self.dtype.is_complex
        self.real_size = self.itemsize // 2 if self.is_complex else self.itemsize
        self.batch_steps: dict[int, tuple[int, ...]] = {}
        self.constants: list[int] = [0]
        self.steps: list[int] = []
        self.count = self.scratch_bytes = 0
        self.can_fail = False
        self.no_guard = Place(CONSTANT, 8 * CONSTANTS)

    # ---- places ----------------------------------------------------------
    def input(self, index: int, core: int = 2) -> Window:
        """The matrices (core 2), vectors (1) or numbers (0) of an input."""
        return self._window(index, self.plan.inputs[index].spec, core)

    def output(self, index: int, core: int = 2) -> Window:
        """Those of an output."""
        return self._window(len(self.plan.inputs) + index, self.plan.outputs[index], core)

    def _window(self, buffer: int, spec: Spec, core: int) -> Window:
        lead = spec.ndim - core
        steps = broadcast_strides(spec.shape[:lead], spec.strides[:lead], self.batch)
        self.batch_steps[buffer] = tuple(s * spec.itemsize for s in steps)
        inner = tuple(s * spec.itemsize for s in spec.strides[lead:])
        return Window(Place(FIRST_BUFFER + buffer, 0), tuple(spec.shape[lead:]), inner)

    def scratch(self, nbytes: int) -> Place:
        """Memory of this thread."""
        place = Place(SCRATCH_BASE, self.scratch_bytes)
        self.scratch_bytes += -(-max(nbytes, 8) // 64) * 64
        return place

    def matrix(self, rows: int, columns: int) -> Window:
        """A column-major matrix of this thread's own."""
        size = self.itemsize
        return Window(
            self.scratch(rows * columns * size), (rows, columns), (size, max(1, rows) * size)
        )

    def zeros(self, rows: int, columns: int) -> Window:
        """A matrix of zeros: one element seen everywhere."""
        return Window(self.real(0.0), (rows, columns), (0, 0))

    def vector(self, count: int) -> Window:
        """A vector of this thread's own."""
        return Window(self.scratch(count * self.itemsize), (count,), (self.itemsize,))

    def number(self, value: int) -> Place:
        """An integer constant."""
        if value not in self.constants:
            self.constants.append(value)
        return Place(CONSTANT, 8 * (CONSTANTS + self.constants.index(value)))

    def table(self, values: Sequence[int]) -> Place:
        """Several integers in a row."""
        self.constants += values
        return Place(CONSTANT, 8 * (CONSTANTS + len(self.constants) - len(values)))

    def real(self, value: float) -> Place:
        """A floating constant of the matrices' dtype."""
        letter = "f" if self.real_size == 4 else "d"
        parts = struct.pack(
            f"{2 if self.is_complex else 1}{letter}",
            *([value, 0.0] if self.is_complex else [value]),
        )
        padded = parts.ljust(-(-len(parts) // 8) * 8, b"\0")
        return self.table(struct.unpack(f"{len(padded) // 8}q", padded))

    def readable(self, window: Window) -> tuple[Window, int, bool]:
        """The matrix where routines can read it, its leading dimension,
        and whether it is stored row by row there.
        """
        (rows, columns), (row, column) = window.shape, (s // self.itemsize for s in window.steps)
        if (row == 1 or rows <= 1) and (column >= max(1, rows) or columns <= 1):
            return window, max(1, rows, column if columns > 1 else 0), False
        if (column == 1 or columns <= 1) and (row >= max(1, columns) or rows <= 1):
            return window, max(1, columns, row if rows > 1 else 0), True
        packed = self.matrix(rows, columns)
        self.copy(window, packed)
        return packed, max(1, rows), False

    # ---- steps -----------------------------------------------------------
    def call(self, routine: str, *arguments: Any, guard: Place | None = None) -> None:
        """A LAPACK routine by its name without the dtype's letter;
        ints and letters are constants.
        """
        if self.plan.is_meta:
            return
        name = blas.LETTERS[self.name] + (
            COMPLEX_NAMES.get(routine, routine) if self.is_complex else routine
        )
        sizes = {a.kind: a.size for a in arguments if isinstance(a, Array) and not a.is_length}
        if any(size == 0 for size in sizes.values()):
            asked = work_sizes(
                name,
                self.name,
                tuple(a if isinstance(a, (int, str, Array)) else None for a in arguments),
            )
            sizes = {kind: size or asked[kind] for kind, size in sizes.items()}
        places, hidden = [], 0
        for argument in arguments:
            if isinstance(argument, Array):
                size = sizes[argument.kind]
                places.append(
                    self.number(size)
                    if argument.is_length
                    else self.scratch(size * self._element_size(argument.kind))
                )
            elif isinstance(argument, str):
                hidden += 1  # Fortran compilers append the lengths of texts
                places.append(self.number(ord(argument)))
            else:
                places.append(argument)
        self._add(blas.function_address(name + "_"), [*places, *[Place(VALUE, 1)] * hidden], guard)

    def helper(self, function: NativeFunction, *arguments: Any, guard: Place | None = None) -> None:
        """One of our own functions (runtime.matrices)."""
        if not self.plan.is_meta:
            self._add(helper_address(function, self.name), arguments, guard)

    def copy(
        self, source: Window, target: Window, part: int = matrices.ALL, guard: Place | None = None
    ) -> None:
        """Copies a matrix or vector; with a `part` (UPPER, LOWER) only that triangle,
        the other becomes zero.
        """
        shape, steps = source.shape, (*source.steps, *target.steps)
        if len(shape) == 1:
            shape, steps = (*shape, 1), (source.steps[0], 0, target.steps[0], 0)
        self.helper(
            matrices.copy_matrix, source, target, self.table([*shape, *steps, part]), guard=guard
        )

    def fail_on(self, info: Place, kind: int = 0) -> None:
        """The call fails where `info` is not 0: the op's `failure` gets
        `matrices.failure_of(...)`'s encoding of it.
        """
        self.can_fail = True
        self.helper(matrices.report, info, self.number(kind), Place(FLAG_BASE, 0), Place(ITEM, 0))

    def _element_size(self, kind: str) -> int:
        sizes: dict[str, int] = {"work": self.itemsize, "rwork": self.real_size, "iwork": 8}
        return sizes[kind]

    def _add(self, address: int, arguments: Sequence[Any], guard: Place | None) -> None:
        places = []
        for argument in arguments:
            if isinstance(argument, Window):
                argument = argument.place
            places.append(self.number(argument) if isinstance(argument, int) else argument)
        assert len(places) <= MAX_ARGUMENTS
        guard = guard or self.no_guard
        self.steps += [address, guard.base, guard.offset, len(places)]
        for place in places:
            self.steps += place
        self.count += 1

    # ---- the plan --------------------------------------------------------
    def finish(self, work: int) -> Any:
        """The plan, ready to run; `work` is the number of operations for one matrix."""
        if self.plan.is_meta:
            return self.plan.use_native(0, ())
        buffers = len(self.plan.inputs) + len(self.plan.outputs)
        assert buffers <= MAX_BUFFERS
        items = 1
        dims: list[int] = []
        for position in reversed(range(len(self.batch))):
            size = self.batch[position]
            items *= size
            if size != 1:
                dims.append(size)
                dims += [
                    self.batch_steps[b][position] if b in self.batch_steps else 0
                    for b in range(buffers)
                ]
        total = work * items
        slots = min(SLOTS, items) if total >= RELEASE_FROM and items > 1 else 1
        grain = max(1, -(-items // slots))
        rank = len(dims) // (1 + buffers)
        batch_at = CONSTANTS + len(self.constants)
        params = [
            buffers, rank, self.count, buffers if self.scratch_bytes else 0, self.scratch_bytes,
            grain, buffers + (1 if self.scratch_bytes else 0) if self.can_fail else 0, batch_at,
            batch_at + len(dims), *self.constants, *dims, *self.steps,
        ]  # fmt: skip
        self.plan.use_native(
            helper_address(run_steps, self.name),
            params,
            items,
            work=0 if total < RELEASE_FROM else max(total, LONG),
            grain=0 if slots == 1 else grain,
            scratch=slots * self.scratch_bytes,
        )
        self.plan.words[B_CAN_FAIL] = int(self.can_fail)
        return self.plan


@functools.cache
def helper_address(function: NativeFunction, dtype: str) -> int:
    """Address of one of our native functions for matrices of this dtype."""
    unit = Unit(f"matrices-{function.name}-{dtype}", [function], **matrices.template(dtype))
    return load(f"{unit.name}-{unit.key()}", unit.text_with_intrinsics, [unit.symbol(function)])[
        unit.symbol(function)
    ]


@functools.lru_cache(maxsize=1024)
def work_sizes(name: str, dtype: str, arguments: tuple[Any, ...]) -> dict[str, int]:
    """Sizes of the work arrays that a routine wants for these sizes and letters:
    it answers when a length is -1.
    """
    first: dict[str, Any] = {"iwork": (ctypes.c_int64 * 4)(0)}
    for kind, double in (
        ("work", dtype in ("float64", "complex128")),
        ("rwork", dtype in ("float64", "complex128")),
    ):
        first[kind] = ((ctypes.c_double if double else ctypes.c_float) * 8)(0)
    passed: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Array):
            passed.append(
                ctypes.byref(ctypes.c_int64(-1))
                if argument.is_length
                else ctypes.byref(first[argument.kind])
            )
        elif isinstance(argument, str):
            passed.append(ctypes.c_char_p(argument.encode()))
        elif isinstance(argument, int):
            passed.append(ctypes.byref(ctypes.c_int64(argument)))
        else:
            passed.append(ctypes.byref((ctypes.c_double * 8)()))
    hidden = [ctypes.c_size_t(1)] * sum(isinstance(a, str) for a in arguments)
    function = ctypes.cast(blas.function_address(name + "_"), ctypes.CFUNCTYPE(None))
    function(*passed, *hidden)
    return {kind: max(1, int(values[0])) for kind, values in first.items()}

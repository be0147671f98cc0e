"""Pointwise loop nests: from expressions, shapes and strides to a kernel's name, its LLVM IR text and its parameters.

Called by the dispatcher (`ops/`) when it makes a plan; the plan is cached, so everything here runs once per kind of call:

    >>> x = Expr.input(0, "float32")
    >>> plan = plan_pointwise((x.exp(),), ("float32",), ("float32",), (4, 3), ((12, 4), (12, 4)))
    >>> plan.items, plan.work, plan.params
    (12, 12, (0, 0))

Every kernel has the signature `void name(ptr buffers, ptr params, i64 start, i64 stop)`. `buffers` holds the addresses of the first
element of each operand, inputs then outputs, then, if the plan says `can_fail`, of an int64 that the kernel sets to
`INTEGER_DIVISION_BY_ZERO`. `[start, stop)` is the part of the parallel axis to do; the whole is `[0, plan.items)`.

Structures: `flat` runs over elements (params: a byte stride per operand); `rows` runs over rows with a loop inside
(params: row length, outer rank, outer sizes, then per operand the inner byte stride and the outer byte strides).
The class of an operand along the inner axis is '0' (does not move), '1' (contiguous) or 's' (any stride).
An input may be the very memory of an output; partly overlapping ones are the caller's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flambeau.codegen.emit import VERSION, Emitter, llvm_type, lower, memory_type
from flambeau.codegen.expr import ITEMSIZE, KIND, Expr, postorder

INTEGER_DIVISION_BY_ZERO = 1
Strides = Sequence[int]


@dataclass(frozen=True)
class LoopPlan:
    """What a dispatcher needs to run a kernel. `ir_text()` makes the text; it is only called when no object code is cached."""

    symbol_name: str
    ir_text: Callable[[], str]
    params: tuple[int, ...]
    items: int
    work: int
    can_fail: bool
    scratch_bytes: int = 0
    then: LoopPlan | None = None


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
        return symbol(self.structure, self.exprs, self.input_dtypes, self.output_dtypes, self.classes)

    @property
    def can_fail(self) -> bool:
        """Whether the kernel reports errors."""
        return can_fail(self.exprs)

    def ir_text(self) -> str:
        """The kernel as LLVM IR."""
        return _flat(self) if self.structure == "flat" else _rows(self)


def symbol(structure: str, exprs: Sequence[Expr], *identity: object) -> str:
    """A deterministic kernel name from everything that the machine code depends on."""
    key = repr((VERSION, structure, [expr.digest.hex() for expr in exprs], identity))
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
    """Drop dimensions of size 1 and merge neighbours that every operand walks through evenly; innermost last.

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
    """A permutation of the dimensions: outer ones first, by the strides of the outputs, then of the inputs."""
    ranked = [*strides[len(strides) - outputs :], *strides[: len(strides) - outputs]]
    return sorted(range(len(sizes)), key=lambda d: [abs(operand[d]) for operand in ranked], reverse=True)


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
    """Plan `outputs = exprs(inputs)` over `sizes`; `strides` are in bytes, inputs then outputs, 0 where broadcast."""
    dtypes = (*input_dtypes, *output_dtypes)
    permutation = order(sizes, strides, len(output_dtypes))
    inner_sizes, inner_strides = collapse(
        [sizes[d] for d in permutation], [[operand[d] for d in permutation] for operand in strides]
    )
    total = 1
    for size in sizes:
        total *= size
    if not inner_sizes:
        inner_sizes, inner_strides = [1], [[ITEMSIZE[dtype]] for dtype in dtypes]
    classes = "".join(classify(operand[-1], dtype) for operand, dtype in zip(inner_strides, dtypes))
    structure = "flat" if len(inner_sizes) == 1 else "rows"
    if structure == "flat":
        items = total
        params = [operand[0] if cls == "s" else 0 for operand, cls in zip(inner_strides, classes)]
    else:
        items = total // inner_sizes[-1] if total else 0
        params = [inner_sizes[-1], len(inner_sizes) - 1, *inner_sizes[:-1]]
        for operand in inner_strides:
            params += [operand[-1], *operand[:-1]]
    kernel = PointwiseKernel(tuple(exprs), tuple(input_dtypes), tuple(output_dtypes), classes, structure)
    return LoopPlan(kernel.symbol_name, kernel.ir_text, tuple(params), items, total, kernel.can_fail)


class _Body:
    """Writes the loads, the computation and the stores of one element."""

    def __init__(self, kernel: PointwiseKernel) -> None:
        self.kernel = kernel
        self.emitter = Emitter()
        known: dict[Expr, tuple[Expr, ...]] = {}
        self.lowered = [lower(expr, known) for expr in kernel.exprs]
        self.inputs: dict[tuple[int, int], str] = {}

    def loads(self, addresses: Sequence[str], classes: str) -> None:
        """Load the inputs whose class is in `classes`."""
        for index, dtype in enumerate(self.kernel.input_dtypes):
            if self.kernel.classes[index] in classes:
                note = ", !llvm.access.group !1" if classes != "0" else ""
                for part, name in enumerate(load(self.emitter, addresses[index], dtype, note)):
                    self.inputs[index, part] = name

    def stores(self, addresses: Sequence[str]) -> None:
        """Compute and store the outputs."""
        known: dict[Expr, str] = {}
        first = len(self.kernel.input_dtypes)
        values = [[self.emitter.value(part, self.inputs, 1, known) for part in parts] for parts in self.lowered]
        for index, parts in enumerate(self.lowered):
            dtypes = [part.dtype for part in parts]
            store(
                self.emitter,
                addresses[first + index],
                values[index],
                dtypes,
                self.kernel.output_dtypes[index],
                ", !llvm.access.group !1",
            )

    def address(self, operand: int, base: str, counter: str, stride: str) -> str:
        """The address of an operand's element `counter` from `base`."""
        cls = self.kernel.classes[operand]
        if cls == "0":
            return base
        if cls == "1":
            dtype = self.kernel.dtypes[operand]
            element = memory_type(dtype)
            if KIND[dtype] == "c":
                element = f"[2 x {element}]"
            return self.emitter.let(f"getelementptr inbounds {element}, ptr {base}, i64 {counter}")
        offset = self.emitter.let(f"mul nsw i64 {counter}, {stride}")
        return self.emitter.let(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")


def load(emitter: Emitter, address: str, dtype: str, note: str = "", lanes: int = 1) -> list[str]:
    """Load one element (its parts if complex) as computed values."""
    memory = memory_type(dtype, lanes)
    align = ITEMSIZE[dtype] // (2 if KIND[dtype] == "c" else 1)
    names = [emitter.let(f"load {memory}, ptr {address}, align {align}{note}")]
    if KIND[dtype] == "c":
        second = emitter.let(f"getelementptr inbounds {memory}, ptr {address}, i64 1")
        names.append(emitter.let(f"load {memory}, ptr {second}, align {align}{note}"))
    return [emitter.after_load(name, dtype, lanes) for name in names]


def store(
    emitter: Emitter,
    address: str,
    values: Sequence[str],
    value_dtypes: Sequence[str],
    dtype: str,
    note: str = "",
    lanes: int = 1,
) -> None:
    """Store one element; a complex output takes a real value with a zero imaginary part."""
    memory = memory_type(dtype, lanes)
    align = ITEMSIZE[dtype] // (2 if KIND[dtype] == "c" else 1)
    parts = [emitter.before_store(v, d, dtype, lanes) for v, d in zip(values, value_dtypes)]
    emitter.line(f"store {memory} {parts[0]}, ptr {address}, align {align}{note}")
    if KIND[dtype] == "c":
        second = emitter.let(f"getelementptr inbounds {memory}, ptr {address}, i64 1")
        imaginary = parts[1] if len(parts) > 1 else "0.0"
        emitter.line(f"store {memory} {imaginary}, ptr {second}, align {align}{note}")


def param(emitter: Emitter, index: int) -> str:
    """Load params[index]."""
    address = emitter.let(f"getelementptr inbounds i64, ptr %params, i64 {index}")
    return emitter.let(f"load i64, ptr {address}, align 8, !invariant.load !2")


def buffer(emitter: Emitter, index: int) -> str:
    """Load buffers[index]."""
    address = emitter.let(f"getelementptr inbounds ptr, ptr %buffers, i64 {index}")
    return emitter.let(f"load ptr, ptr {address}, align 8, !invariant.load !2")


HEADER = "define void @{name}(ptr noundef %buffers, ptr noundef %params, i64 %start, i64 %stop) nounwind {{"
FOOTER = ("}", "!0 = distinct !{!0, !3}", "!1 = distinct !{}", "!2 = !{}", '!3 = !{!"llvm.loop.parallel_accesses", !1}')


def report(emitter: Emitter, failed: str | None, operand: int) -> None:
    """End the kernel; where `failed` holds, set the error word, which is buffer `operand`."""
    if failed is not None:
        emitter.line(f"br i1 {failed}, label %failed, label %done")
        emitter.label("failed")
        word = buffer(emitter, operand)
        emitter.line(f"store i64 {INTEGER_DIVISION_BY_ZERO}, ptr {word}, align 8")
    emitter.line("br label %done")
    emitter.label("done")
    emitter.line("ret void")


def _inner_loop(
    body: _Body, bases: Sequence[str], strides: Sequence[str], start: str, stop: str, failed: str | None
) -> str | None:
    """The innermost loop over a nonempty range; returns whether something has failed. Ends the present block."""
    emitter = body.emitter
    body.loads(bases, "0")
    loop, after, before = emitter.fresh("loop"), emitter.fresh("after"), emitter.block
    emitter.line(f"br label %{loop}")
    emitter.label(loop)
    index = emitter.phi("i64", start, before)
    failing = emitter.phi("i1", failed, before) if failed is not None else None
    addresses = [body.address(operand, base, index, strides[operand]) for operand, base in enumerate(bases)]
    body.loads(addresses, "1s")
    body.stores(addresses)
    result = failing
    if failing is not None:
        for flag in emitter.failures:
            result = emitter.let(f"or i1 {result}, {flag}")
        emitter.arrive(failing, str(result))
    following = emitter.let(f"add nuw nsw i64 {index}, 1")
    emitter.arrive(index, following)
    more = emitter.let(f"icmp slt i64 {following}, {stop}")
    emitter.line(f"br i1 {more}, label %{loop}, label %{after}, !llvm.loop !0")
    emitter.label(after)
    return result


def _flat(kernel: PointwiseKernel) -> str:
    body = _Body(kernel)
    emitter, count = body.emitter, len(kernel.dtypes)
    emitter.line("entry:")
    bases = [buffer(emitter, index) for index in range(count)]
    strides = [param(emitter, index) if kernel.classes[index] == "s" else "" for index in range(count)]
    some = emitter.let("icmp slt i64 %start, %stop")
    emitter.line(f"br i1 {some}, label %begin, label %done")
    emitter.label("begin")
    failed = _inner_loop(body, bases, strides, "%start", "%stop", "false" if kernel.can_fail else None)
    report(emitter, failed, count)
    return emitter.text([HEADER.format(name=kernel.symbol_name)], FOOTER)


def _rows(kernel: PointwiseKernel) -> str:
    body = _Body(kernel)
    emitter, count = body.emitter, len(kernel.dtypes)
    emitter.line("entry:")
    buffers = [buffer(emitter, index) for index in range(count)]
    size, rank = param(emitter, 0), param(emitter, 1)
    odometer = Odometer(emitter, rank, emitter.let("getelementptr inbounds i64, ptr %params, i64 2"), count)
    strides = [odometer.inner_stride(index) if kernel.classes[index] == "s" else "" for index in range(count)]
    some = emitter.let("icmp slt i64 %start, %stop")
    emitter.line(f"br i1 {some}, label %begin, label %done")
    emitter.label("begin")
    first = odometer.seek("%start")
    before = emitter.block
    emitter.line("br label %head")
    emitter.label("head")
    row = emitter.phi("i64", "%start", before)
    failing = emitter.phi("i1", "false", before) if kernel.can_fail else None
    offsets = [emitter.phi("i64", offset, before) for offset in first]
    bases = [
        emitter.let(f"getelementptr inbounds i8, ptr {base}, i64 {offset}") for base, offset in zip(buffers, offsets)
    ]
    failed = _inner_loop(body, bases, strides, "0", size, failing)
    following = emitter.let(f"add nuw nsw i64 {row}, 1")
    again = emitter.let(f"icmp slt i64 {following}, %stop")
    emitter.line(f"br i1 {again}, label %next, label %finished")
    emitter.label("next")
    for offset, new in zip(offsets, odometer.advance(offsets)):
        emitter.arrive(offset, new)
    emitter.arrive(row, following)
    if failing is not None:
        emitter.arrive(failing, str(failed))
    emitter.line("br label %head")
    emitter.label("finished")
    report(emitter, failed, count)
    return emitter.text([HEADER.format(name=kernel.symbol_name)], FOOTER)


class Odometer:
    """A multi-index of runtime rank over the outer dimensions, with the byte offset of every operand.

    Its parameters lie at `table`: `rank` sizes, then per operand an inner stride and `rank` outer strides.
    """

    def __init__(self, emitter: Emitter, rank: str, table: str, operands: int) -> None:
        self.emitter, self.rank, self.sizes = emitter, rank, table
        self.indices = emitter.let("alloca [64 x i64], align 8")
        step = emitter.let(f"add nsw i64 {rank}, 1")
        self.strides = [self._entry(table, rank)]
        for _ in range(operands):
            self.strides.append(self._entry(self.strides[-1], step))
        self.end = self.strides.pop()

    def _entry(self, table: str, index: str) -> str:
        return self.emitter.let(f"getelementptr inbounds i64, ptr {table}, i64 {index}")

    def _load(self, address: str) -> str:
        return self.emitter.let(f"load i64, ptr {address}, align 8, !invariant.load !2")

    def inner_stride(self, operand: int) -> str:
        """The inner byte stride of an operand."""
        return self._load(self.strides[operand])

    def _stride(self, operand: int, dimension: str) -> str:
        return self._load(self._entry(self._entry(self.strides[operand], dimension), "1"))

    def seek(self, row: str) -> list[str]:
        """Set the index to `row`; the operands' offsets. Ends the present block."""
        emitter = self.emitter
        loop, step, ready = emitter.fresh("seek"), emitter.fresh("digit"), emitter.fresh("ready")
        before = emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        left, dimension = emitter.phi("i64", row, before), emitter.phi("i64", self.rank, before)
        offsets = [emitter.phi("i64", "0", before) for _ in self.strides]
        more = emitter.let(f"icmp sgt i64 {dimension}, 0")
        emitter.line(f"br i1 {more}, label %{step}, label %{ready}")
        emitter.label(step)
        inner = emitter.let(f"add nsw i64 {dimension}, -1")
        size = self._load(self._entry(self.sizes, inner))
        quotient = emitter.let(f"udiv i64 {left}, {size}")
        digit = emitter.let(f"urem i64 {left}, {size}")
        emitter.line(f"store i64 {digit}, ptr {self._entry(self.indices, inner)}, align 8")
        for operand, offset in enumerate(offsets):
            distance = emitter.let(f"mul nsw i64 {digit}, {self._stride(operand, inner)}")
            emitter.arrive(offset, emitter.let(f"add nsw i64 {offset}, {distance}"))
        emitter.arrive(left, quotient)
        emitter.arrive(dimension, inner)
        emitter.line(f"br label %{loop}")
        emitter.label(ready)
        return offsets

    def reset(self) -> None:
        """Set the index to zero. Ends the present block."""
        emitter = self.emitter
        loop, step, ready = emitter.fresh("reset"), emitter.fresh("digit"), emitter.fresh("ready")
        before = emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        dimension = emitter.phi("i64", "0", before)
        more = emitter.let(f"icmp slt i64 {dimension}, {self.rank}")
        emitter.line(f"br i1 {more}, label %{step}, label %{ready}")
        emitter.label(step)
        emitter.line(f"store i64 0, ptr {self._entry(self.indices, dimension)}, align 8")
        emitter.arrive(dimension, emitter.let(f"add nsw i64 {dimension}, 1"))
        emitter.line(f"br label %{loop}")
        emitter.label(ready)

    def advance(self, offsets: Sequence[str]) -> list[str]:
        """Step to the next row, which must exist; the new offsets. Ends the present block."""
        emitter = self.emitter
        loop, carry, ready = emitter.fresh("advance"), emitter.fresh("carry"), emitter.fresh("advanced")
        before = emitter.block
        emitter.line(f"br label %{loop}")
        emitter.label(loop)
        dimension = emitter.phi("i64", self.rank, before)
        sums = [emitter.phi("i64", offset, before) for offset in offsets]
        inner = emitter.let(f"add nsw i64 {dimension}, -1")
        cell = self._entry(self.indices, inner)
        old = emitter.let(f"load i64, ptr {cell}, align 8")
        new = emitter.let(f"add nsw i64 {old}, 1")
        inside = emitter.let(f"icmp slt i64 {new}, {self._load(self._entry(self.sizes, inner))}")
        strides = [self._stride(operand, inner) for operand in range(len(offsets))]
        emitter.line(f"br i1 {inside}, label %{ready}, label %{carry}")
        emitter.label(carry)
        emitter.line(f"store i64 0, ptr {cell}, align 8")
        for total, stride in zip(sums, strides):
            distance = emitter.let(f"mul nsw i64 {old}, {stride}")
            emitter.arrive(total, emitter.let(f"sub nsw i64 {total}, {distance}"))
        emitter.arrive(dimension, inner)
        emitter.line(f"br label %{loop}")
        emitter.label(ready)
        emitter.line(f"store i64 {new}, ptr {cell}, align 8")
        return [emitter.let(f"add nsw i64 {total}, {stride}") for total, stride in zip(sums, strides)]

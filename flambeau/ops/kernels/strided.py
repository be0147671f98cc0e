"""Native copies between strided windows, for every element size: what cat, stack, roll, repeat and
the view ops' gradients run.

Elements are moved as unsigned words of their size, so one kernel serves all dtypes of that size
(16-byte elements are pairs of 8-byte words). A `Window` says where the elements lie, in bytes;
`copy_params` turns source and target into a kernel's parameters:

    source = Window.of(spec)                      # from the operand's first element
    target = Window.of(spec_of_part, offset=16)   # 16 elements into the result
    plan.use_native(address("copy_window", 4), copy_params(source, target), ...)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    copy_memory,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    u8,
    u8p,
    u16,
    u32,
    u32p,
    u64,
    u64p,
    void,
)
from flambeau.core.strides import collapse
from flambeau.runtime import plan_block as fields

WORDS = {1: u8, 2: u16, 4: u32, 8: u64, 16: u64}
T = u8  # the word that is moved: replaced by `Unit`
TP = pointer(u8)
SIZE = 1  # bytes of T: replaced by `Unit`

# words of a window copy's parameters
RANK, INNER, INNER_SOURCE, INNER_TARGET, SOURCE_OFFSET, TARGET_OFFSET, CLEARED, OUTER = range(8)
PART = 256  # elements that `interleave` takes of each operand at a time


@native
def copy_short(target: ptr, source: ptr, size: i64) -> void:
    """Bytes of a line that is often too short for a call: two words that may overlap."""
    if size > 64:
        copy_memory(target, source, size)
    elif size >= 8:
        a: u64p = target
        b: u64p = source
        last = b[0]
        x: u64p = ptr(b) + (size - 8)
        last = x[0]
        for i in range((size - 1) // 8):
            a[i] = b[i]
        y: u64p = ptr(a) + (size - 8)
        y[0] = last
    elif size >= 4:
        c: u32p = target
        d: u32p = source
        z: u32p = source + (size - 4)
        w: u32p = target + (size - 4)
        c[0], w[0] = d[0], z[0]
    else:
        e: u8p = target
        f: u8p = source
        for i in range(size):
            e[i] = f[i]


@native
def copy_line(target: ptr, source: ptr, count: i64, target_step: i64, source_step: i64) -> void:
    """`count` words along one line; steps in bytes."""
    a: TP = target
    b: TP = source
    if target_step == SIZE and source_step == SIZE:
        copy_short(target, source, count * SIZE)
        return
    if source_step == 0:
        value = b[0]
        if target_step == SIZE:
            for i in range(count):
                a[i] = value
            return
        for _ in range(count):
            a[0] = value
            a = ptr(a) + target_step
        return
    if target_step == SIZE:
        if source_step == 0 - SIZE:
            for i in range(count):
                a[i] = b[0 - i]
            return
        for i in range(count):
            a[i] = b[0]
            b = ptr(b) + source_step
        return
    for _ in range(count):
        a[0] = b[0]
        a = ptr(a) + target_step
        b = ptr(b) + source_step


@native
def copy_lines(target: ptr, source: ptr, params: i64p, start: i64, stop: i64) -> void:
    """Lines `start` to `stop` of the window:
    the outer sizes and steps count like the digits of a number.
    """
    rank = params[RANK]
    digits = stack(i64, 64)
    rest, a, b = start, target + params[TARGET_OFFSET], source + params[SOURCE_OFFSET]
    for k in range(rank):
        axis = params + OUTER + 3 * (rank - 1 - k)
        digits[rank - 1 - k] = rest % axis[0]
        b = b + (rest % axis[0]) * axis[1]
        a = a + (rest % axis[0]) * axis[2]
        rest = rest // axis[0]
    for _ in range(start, stop):
        copy_line(a, b, params[INNER], params[INNER_TARGET], params[INNER_SOURCE])
        for k in range(rank):
            dim = rank - 1 - k
            axis = params + OUTER + 3 * dim
            digits[dim] += 1
            a = a + axis[2]
            b = b + axis[1]
            if digits[dim] < axis[0]:
                break
            digits[dim] = 0
            a = a - axis[0] * axis[2]
            b = b - axis[0] * axis[1]


@native
def copy_window(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: operand 0's window into the result's window."""
    copy_lines(buffers[1], buffers[0], params, start, stop)


@native
def embed_window(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: a result of zeros but for one window, which holds operand 0."""
    fill_memory(buffers[1], 0, params[CLEARED])
    lines = i64(1)
    for k in range(params[RANK]):
        lines = lines * params[OUTER + 3 * k]
    if params[INNER] > 0:
        copy_lines(buffers[1], buffers[0], params, 0, lines)


@native
def interleave(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: contiguous operands of one size, their elements in turn. An item is PART of each, so
    that the result is in the cache while all of them are written.

    Parameters: count, elements of each.
    """
    count, total = params[0], params[1]
    for item in range(start, stop):
        first = item * PART
        size = total - first if total - first < PART else i64(PART)
        target: TP = buffers[count] + first * count * SIZE
        a: TP = buffers[0] + first * SIZE
        b: TP = buffers[1] + first * SIZE
        if count == 2:
            for i in range(size):
                target[2 * i], target[2 * i + 1] = a[i], b[i]
        elif count == 3:
            third: TP = buffers[2] + first * SIZE
            for i in range(size):
                target[3 * i], target[3 * i + 1], target[3 * i + 2] = a[i], b[i], third[i]
        elif count == 4:
            c: TP = buffers[2] + first * SIZE
            d: TP = buffers[3] + first * SIZE
            for i in range(size):
                target[4 * i], target[4 * i + 1] = a[i], b[i]
                target[4 * i + 2], target[4 * i + 3] = c[i], d[i]
        else:
            for k in range(count):
                source: TP = buffers[k] + first * SIZE
                for i in range(size):
                    target[i * count + k] = source[i]


@native
def copy_windows(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: each of several operands into its window of the result.

    Parameters: count, then where each window's words are.

    Items are the lines of all windows, one window after the other.
    """
    count = params[0]
    first = i64(0)
    for i in range(count):
        window = params + params[1 + i]
        lines = params[1 + count + i]
        if start < first + lines and stop > first:
            low = start - first if start > first else i64(0)
            high = stop - first if stop < first + lines else lines
            copy_lines(buffers[count], buffers[i], window, low, high)
        first += lines


@native
def copy_pieces(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: several windows of operand 0 into windows of the result;
    parameters and items as for `copy_windows`.
    """
    count = params[0]
    first = i64(0)
    for i in range(count):
        window = params + params[1 + i]
        lines = params[1 + count + i]
        if start < first + lines and stop > first:
            low = start - first if start > first else i64(0)
            high = stop - first if stop < first + lines else lines
            copy_lines(buffers[1], buffers[0], window, low, high)
        first += lines


@native
def copy_second(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel of an update: operand 1's window into the target, which is operand 2."""
    copy_lines(buffers[2], buffers[1], params, start, stop)


KERNELS = [copy_second, copy_window, copy_windows, copy_pieces, embed_window, interleave]


class Window(NamedTuple):
    """Where elements lie: sizes, steps and the first element's distance,
    all but the sizes in bytes.
    """

    sizes: tuple[int, ...]
    steps: tuple[int, ...]
    offset: int

    @staticmethod
    def of(shape: Sequence[int], strides: Sequence[int], itemsize: int, offset: int = 0) -> Window:
        """The window of a tensor's geometry, `offset` elements further on."""
        sizes, steps = tuple(shape), tuple(s * itemsize for s in strides)
        if itemsize == 16:
            sizes, steps = (*sizes, 2), (*steps, 8)
        return Window(sizes, steps, offset * itemsize)


def copy_params(source: Window, target: Window, cleared: int = 0) -> tuple[list[int], int]:
    """Parameters of `copy_window` or `embed_window`, and the number of lines."""
    ranked = sorted(
        range(len(source.sizes)), key=lambda d: (-abs(target.steps[d]), -abs(source.steps[d]))
    )
    sizes, (from_steps, to_steps) = collapse(
        [source.sizes[d] for d in ranked],
        [[source.steps[d] for d in ranked], [target.steps[d] for d in ranked]],
    )
    if not sizes:
        sizes, from_steps, to_steps = (1,), (0,), (0,)
    params = [
        len(sizes) - 1,
        sizes[-1],
        from_steps[-1],
        to_steps[-1],
        source.offset,
        target.offset,
        cleared,
    ]
    lines = 1
    for size, a, b in zip(sizes[:-1], from_steps[:-1], to_steps[:-1], strict=True):
        params += [size, a, b]
        lines *= size
    return params, lines if sizes[-1] else 0


def join_params(sources: Sequence[Window], targets: Sequence[Window]) -> tuple[list[int], int, int]:
    """Parameters of `copy_windows`, the number of lines and the length of the longest one."""
    count = len(sources)
    params = [count] + [0] * (2 * count)
    total = longest = 0
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        words, lines = copy_params(source, target)
        params[1 + i], params[1 + count + i] = len(params), lines
        params += words
        total += lines
        longest = max(longest, words[INNER])
    return params, total, longest


def are_in_turn(sources: Sequence[Window], targets: Sequence[Window], itemsize: int) -> bool:
    """Whether the elements of contiguous operands follow one another in turn."""
    count = len(sources)
    for source, target in zip(sources, targets, strict=True):
        words, lines = copy_params(source, target)
        steps = words[INNER_SOURCE], words[INNER_TARGET]
        if lines != 1 or words[INNER] < 2 or steps != (itemsize, count * itemsize):
            return False
    return count > 1


def interleaved(plan: Any, count: int, output: Any) -> Any:
    """Finishes a plan that takes the elements of `count` contiguous operands in turn."""
    each, kernel = output.numel // count, address("interleave", output.itemsize)
    grain = line_grain(PART * count, output.itemsize)
    return plan.use_native(kernel, [count, each], -(-each // PART), output.numel, grain)


@cache
def address(name: str, itemsize: int) -> int:
    """Address of a kernel of this module for elements of `itemsize` bytes."""
    word = WORDS[itemsize]
    unit = Unit(f"strided-{word.name}", KERNELS, T=word, TP=pointer(word), SIZE=word.bits // 8)
    symbols = load(
        f"strided-{word.name}-" + unit.key(),
        unit.text_with_intrinsics,
        [unit.symbol(k) for k in KERNELS],
    )
    return symbols[f"strided-{word.name}.{name}"]


def line_grain(longest: int, itemsize: int) -> int:
    """Lines that a thread takes at a time: about 64 KB."""
    return max(1, (1 << 16) // max(1, longest * itemsize))


def copy_all(plan: Any, itemsize: int, source: Window, target: Window) -> Any:
    """Finishes a plan that copies operand 0's window into the result's."""
    params, lines = copy_params(source, target)
    return plan.use_native(
        address("copy_window", itemsize),
        params,
        lines,
        plan.outputs[0].numel,
        line_grain(params[INNER], itemsize),
    )


def copy_each(
    plan: Any, itemsize: int, sources: Sequence[Window], targets: Sequence[Window]
) -> Any:
    """Finishes a plan that copies several windows of operand 0 into windows of the result."""
    params, lines, longest = join_params(sources, targets)
    return plan.use_native(
        address("copy_pieces", itemsize),
        params,
        lines,
        plan.outputs[0].numel,
        line_grain(longest, itemsize),
    )


def embed(plan: Any, itemsize: int, source: Window, target: Window) -> Any:
    """Finishes a plan whose result is zero but for `target`, which takes operand 0."""
    params, _ = copy_params(source, target, plan.words[fields.B_OUTPUT + 1])
    return plan.use_native(address("embed_window", itemsize), params)

"""Native kernel of the cross product of vectors of three elements.

params, items = layout(shape, dim, (byte strides of a, of b, of the result))
plan.use_native(kernel(float32), params, items)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import Unit, f32, i64, i64p, native, pointer, ptr, ptrp, void
from flambeau.core.strides import collapse
from flambeau.ops.kernels.indexed import NUMBERS

# replaced by `Unit`: stored type, its pointer, type of arithmetic, whether elements are complex
T, TP, C, COMPLEX = f32, pointer(f32), f32, False
STEP_A, STEP_B, STEP_C, RANK, DIMS = range(5)


@native
def element(a: ptr, b: ptr, result: ptr, params: i64p, i: i64, j: i64) -> void:
    """One element: a[i] b[j] - a[j] b[i]."""
    ai: TP = a + i * params[STEP_A]
    aj: TP = a + j * params[STEP_A]
    bi: TP = b + i * params[STEP_B]
    bj: TP = b + j * params[STEP_B]
    target: TP = result
    if COMPLEX:
        real = C(ai[0]) * C(bj[0]) - C(ai[1]) * C(bj[1])
        imaginary = C(ai[0]) * C(bj[1]) + C(ai[1]) * C(bj[0])
        target[0] = T(real - (C(aj[0]) * C(bi[0]) - C(aj[1]) * C(bi[1])))
        target[1] = T(imaginary - (C(aj[0]) * C(bi[1]) + C(aj[1]) * C(bi[0])))
    else:
        target[0] = T(C(ai[0]) * C(bj[0]) - C(aj[0]) * C(bi[0]))


@native
def cross(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: items are pairs of vectors."""
    for item in range(start, stop):
        a, b, result = buffers[0], buffers[1], buffers[2]
        rest = item
        for d in range(params[RANK]):
            dim = params + (DIMS + 4 * d)
            digit = rest % dim[0]
            rest = rest // dim[0]
            a = a + digit * dim[1]
            b = b + digit * dim[2]
            result = result + digit * dim[3]
        element(a, b, result, params, 1, 2)
        element(a, b, result + params[STEP_C], params, 2, 0)
        element(a, b, result + 2 * params[STEP_C], params, 0, 1)


def layout(
    shape: Sequence[int], dim: int, operands: Sequence[Sequence[int]]
) -> tuple[list[int], int]:
    """Parameters and the number of items; `operands` are the byte strides of a,
    b and the result.
    """
    others = [d for d in range(len(shape)) if d != dim]
    sizes, strides = collapse(
        [shape[d] for d in others], [[steps[d] for d in others] for steps in operands]
    )
    params, items = [*(steps[dim] for steps in operands), len(sizes)], 1
    for d in reversed(range(len(sizes))):
        params += [sizes[d], *(steps[d] for steps in strides)]
        items *= sizes[d]
    return params, items


def kernel(dtype: Any) -> int:
    """Address of the kernel for a dtype."""
    stored = NUMBERS[dtype.name]
    compute = f32 if stored.kind == "float" and stored.bits == 16 else stored
    options = {"T": stored, "TP": pointer(stored), "C": compute, "COMPLEX": dtype.is_complex}
    unit = Unit(f"cross-{dtype.name}", [cross], **options)
    name = f"{unit.name}-{unit.key()}"
    return load(name, unit.text_with_intrinsics, [unit.symbol(cross)])[unit.symbol(cross)]

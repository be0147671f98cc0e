"""Transposed convolution whose windows lie side by side (the kernel is as long as the stride), of
images with channels last: matrix products.

    y[s i + a, s j + b, o] = sum over channels c of x[i, j, c] * w[c, o, a, b]

For one row a of the kernel, a row of the image times w[:, (b, o)] is a row of the result, so the
product (ops.kernels.gemm) has the rows as its batch. The weights are put in that order first.

    params, scratch, work = patches_params(task, *threading())
    plan.use_native(patches_address("float32"), params, items=1, work=work, scratch=scratch)
"""

from __future__ import annotations

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Signature,
    f32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    void,
)
from flambeau.core.strides import is_channels_last
from flambeau.ops.kernels import gemm
from flambeau.ops.kernels.conv_padding import COMPUTE, unit_for
from flambeau.ops.kernels.conv_points import turn_address
from flambeau.ops.kernels.conv_strips import Task, work_of
from flambeau.ops.kernels.vector_text import ELEMENT

X, XP = f32, pointer(f32)  # replaced by `Unit`
Parallel = Signature(void, ptr, ptr, ptr, i64, i64)
Turn = Signature(void, ptr, i64, i64, i64, ptr, i64)

(
    PARALLEL, PRODUCT, ITEMS, GRAIN, HAS_BIAS, CHANNELS, RESULTS, KERNEL_ROWS, KERNEL_COLUMNS,
    W_CHANNEL, W_RESULT, W_ROW, W_COLUMN, TURN, BIASES, WORDS,
) = range(16)  # fmt: skip


@native
def order_weights(params: i64p, target: XP, source: XP) -> void:
    """The weights as (row, channel, column, result)."""
    results, columns = params[RESULTS], params[KERNEL_COLUMNS]
    for a in range(params[KERNEL_ROWS]):
        for c in range(params[CHANNELS]):
            matrix = source + (c * params[W_CHANNEL] + a * params[W_ROW])
            if params[W_COLUMN] == 1:
                Turn(params[TURN])(matrix, params[W_RESULT], results, columns, target, results)
            else:
                for b in range(columns):
                    for o in range(results):
                        place = o * params[W_RESULT] + b * params[W_COLUMN]
                        target[b * results + o] = matrix[place]
            target = target + columns * results


@native
def convolve_patches(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Kernel: the whole convolution. Buffers: input, weight, bias if any, result, scratch."""
    given, operands = params[HAS_BIAS], stack(ptr, 4)
    weights: XP = buffers[3 + given]
    order_weights(params, weights, buffers[1])
    operands[given] = buffers[0]
    operands[given + 1] = buffers[3 + given]
    operands[given + 2] = buffers[2 + given]
    if given != 0:
        biases = weights + params[BIASES]
        bias: XP = buffers[2]
        for b in range(params[KERNEL_COLUMNS]):
            for o in range(params[RESULTS]):
                biases[b * params[RESULTS] + o] = bias[o]
        operands[0] = ptr(biases)
    Parallel(params[PARALLEL])(
        ptr(params[PRODUCT]), operands, params + WORDS, params[ITEMS], params[GRAIN]
    )


def suits(task: Task, stride: tuple[int, ...], padding: tuple[int, ...]) -> bool:
    """Whether a transposed convolution is of this kind."""
    x, out, kind = task.x, task.out, task.x.dtype.name
    exact = all(n * s == m for n, m, s in zip(x.shape[2:], out.shape[2:], stride[5 - x.ndim :]))
    last = all(is_channels_last(s.shape, s.strides) for s in (x, out)) and not x.contiguous
    whole = task.kernel == stride and stride[0] == 1 and not any(padding) and exact
    return whole and last and task.groups == 1 and COMPUTE[kind] == kind and task.rows > 1


def patches_params(task: Task, parallel: int, threads: int) -> tuple[list[int], int, int]:
    """(parameters, bytes of scratch memory, work)."""
    kind, (_, rows, columns) = task.out.dtype.name, task.kernel
    channels, results = task.channels, task.rows
    width, line = task.x.shape[-1], task.out.shape[-1] * results
    lines, wide = task.x.numel // (width * channels), columns * results
    product = gemm.Product(
        kind, width, wide, channels, (rows, lines), (0, width * channels, channels, 1),
        (channels * wide, 0, wide, 1), (line, rows * line, wide),
        (0, 0, 0) if task.has_bias else None,
    )  # fmt: skip
    kernel = gemm.kernel(product, threads, parallel)
    weights = rows * channels * wide
    params = [
        parallel, kernel.address, kernel.items, kernel.grain, int(task.has_bias), channels, results,
        rows, columns, task.weight[2], task.weight[1], *task.kernel_steps[1:], turn_address(kind),
        weights, *kernel.params,
    ]  # fmt: skip
    work = work_of(task, lines * width // task.x.shape[0] * rows * columns, 1)
    return params, (weights + wide) * ELEMENT[kind][1], work


def patches_address(dtype: str) -> int:
    """Machine code for elements of `dtype`."""
    unit = unit_for("convolve_patches", [convolve_patches], dtype)
    symbol = unit.symbol(convolve_patches)
    return load("conv-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]

"""Convolution in any number of dimensions, its transpose, and the gradients of both: three linear
ops that are each other's derivatives, so gradients of any order follow from two rules each.

    convolution         y = sum over the window of x * w; transposed: x spread over windows by w
    convolution_weight  the gradient of the weight: products of x and g, summed over batch and space

Integers and complex numbers are computed on NumPy arrays (ops.kernels.conv_arrays). Floating dtypes
run in native code, which never writes the unrolled input down: every kernel pads the channels it
needs into planes (conv_padding, conv_planes) and reads them through tables of distances.

    conv_forward          vectors of neighbouring positions; few channels, 1 x 1, and transposed
                          with strides
    conv_forward_points   vectors of output channels; borders, strides, small images
    conv_winograd         3 x 3 kernels with enough channels: fewer products
    conv_patches          transposed, windows side by side, channels last: matrix products
    conv_channels         depthwise, of images with channels last: vectors of channels
    conv_weight_channels  the weight's gradient, depthwise and channels last
    conv_weight_points    the weight's gradient with vectors of channels
    conv_weight           the weight's gradient with vectors of positions; few channels
    conv_depthwise        one input channel for each output channel; all gradients

conv_strips cuts the result for the threads. conv_points, conv_copies and the files whose names end
with tiles are the inner loops as LLVM IR, compiled for a machine's vectors and shared by all
shapes. Called through `flambeau.ops.nn.convolution` by nn.functional.conv.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.core import errors
from flambeau.core.layout import channels_last, channels_last_3d
from flambeau.core.spec import Spec
from flambeau.core.strides import (
    channels_last_strides,
    is_channels_last,
    suggests_channels_last,
)
from flambeau.ops.kernels import (
    conv_arrays,
    conv_channels,
    conv_depthwise,
    conv_forward,
    conv_forward_points,
    conv_patches,
    conv_weight,
    conv_weight_channels,
    conv_weight_points,
    conv_winograd,
    gemm,
)
from flambeau.ops.kernels.conv_padding import COMPUTE
from flambeau.ops.kernels.conv_planes import (
    Geometry,
    forward_planes,
    transposed_planes,
    whole_planes,
)
from flambeau.ops.kernels.conv_strips import Task
from flambeau.ops.kinds import Call, structured
from flambeau.ops.registry import engine
from flambeau.runtime.threads import parallel_for

Sizes = Sequence[int]


def three(sizes: Sizes, fill: int) -> tuple[int, ...]:
    """Numbers for three dimensions: the missing ones come first."""
    return (*(fill,) * (3 - len(sizes)), *sizes)


def is_native(*specs: Spec) -> bool:
    """Whether native code computes on such operands."""
    return specs[0].dtype.name in COMPUTE and specs[0].ndim <= 5 and all(s.numel for s in specs)


def threading() -> tuple[int, int]:
    """Where native code finds the parallel loop, and the number of threads."""
    return engine.core.address(parallel_for), engine.core.threads()


def result_space(
    x: Spec,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
) -> tuple[int, ...]:
    """The spatial sizes of the result."""
    if not transposed:
        return conv_arrays.positions(x.shape[2:], kernel, stride, padding, dilation)
    return tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, s, p, d, k, o in zip(x.shape[2:], stride, padding, dilation, kernel, output_padding)
    )


def native_convolution(
    call: Call,
    names: Sequence[str],
    out: Spec,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    groups: int,
) -> Any:
    """The plan of a convolution in native code."""
    x, w = call.arguments["input"]._spec, call.arguments["weight"]._spec
    kernel, channels = three(w.shape[2:], 1), x.shape[1] // groups
    geometry = Geometry(
        three(x.shape[2:], 1), three(out.shape[2:], 1), kernel, three(stride, 1),
        three(padding, 0), three(dilation, 1), transposed,
    )  # fmt: skip
    steps = w.strides
    if transposed:
        planes, rows = transposed_planes(*geometry[:6]), w.shape[1]
        weight = (channels * steps[0], steps[1], steps[0])
    else:
        planes, rows = forward_planes(*geometry[:6]), w.shape[0] // groups
        weight = (rows * steps[0], steps[0], steps[1])
    task = Task(
        x, out, planes, groups, rows, channels, weight, kernel, three(steps[2:], 0), len(names) > 2
    )
    plan = call.plan(names, [out])
    if plan.is_meta:
        return plan.use_native(0, ())
    product = product_of(task, geometry)
    if product is not None:
        plan = call.plan(("bias", *names[:2]) if task.has_bias else names, [out])
        return plan.use_native(*gemm.kernel(product, threading()[1], threading()[0]))
    return plan.use_native(*convolution_kernel(task, geometry))


def convolution_kernel(task: Task, geometry: Geometry) -> tuple[Any, ...]:
    """The native function for a convolution, and how it is called (`use_native`)."""
    g, kind = geometry, task.x.dtype.name
    moves = (1, 1, 1) if g.transposed else g.stride
    if conv_depthwise.suits(task, g):
        found = conv_depthwise.depthwise_params(task, g, threading()[1])
        return conv_depthwise.depthwise_address(kind), *found
    if conv_channels.suits(task):
        axes = conv_channels.axes_of(g[:6], g.transposed)
        params, scratch, work = conv_channels.channels_params(task, axes, threading()[0])
        address = conv_channels.channels_address(kind)
    elif g.transposed and conv_patches.suits(task, g.stride, g.padding):
        params, scratch, work = conv_patches.patches_params(task, *threading())
        address = conv_patches.patches_address(kind)
    elif conv_winograd.suits(task, g):
        params, scratch, work = conv_winograd.winograd_params(task, g, *threading())
        address = conv_winograd.winograd_address(kind)
    elif task.planes.result_step == (1, 1, 1) and conv_forward_points.suits(task, moves, g.counts):
        if not g.transposed:
            task = task._replace(planes=whole_planes(*g[:6]))
        params, scratch, work = conv_forward_points.points_params(
            task, g.counts, moves, *threading()
        )
        address = conv_forward_points.points_address(kind)
    else:
        params, scratch, work = conv_forward.convolve_params(task, *threading())
        address = conv_forward.convolve_address(kind)
    return address, params, 1, work, 1, scratch


def is_pointwise(geometry: Geometry) -> bool:
    """Whether every result sees one position, and they all lie side by side: 1 x 1."""
    return all(k == s == 1 and not p for k, s, p in zip(*geometry[2:5]))


def are_last(x: Spec, y: Spec) -> bool:
    """Whether both lie with their channels last."""
    return all(is_channels_last(s.shape, s.strides) for s in (x, y)) and not x.contiguous


def product_of(task: Task, geometry: Geometry) -> gemm.Product | None:
    """A convolution as a matrix product of positions by channels, where it is one: 1 x 1, channels
    last. Groups are its batch.
    """
    x, out = task.x, task.out
    if not is_pointwise(geometry) or not are_last(x, out) or task.groups > 1 and task.rows == 1:
        return None
    group, row, channel = task.weight
    return gemm.Product(
        x.dtype.name, x.numel // x.shape[1], task.rows, task.channels, (1, task.groups),
        (0, task.channels, x.shape[1], 1), (0, group, channel, row),
        (0, task.rows, out.shape[1]), (0, task.rows, 0) if task.has_bias else None,
    )  # fmt: skip


def leftover(
    space: Sizes, result: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[int, ...]:
    """The output_padding with which a transposed convolution of `result` gives back `space`."""
    return tuple(
        n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
        for n, m, k, s, p, d in zip(space, result, kernel, stride, padding, dilation)
    )


def as_input(g: Any, input: Spec) -> Any:
    """A gradient in the layout of the input: channels last where that is."""
    if suggests_channels_last(input.shape, input.strides):
        return g.contiguous(memory_format=channels_last if g.ndim == 4 else channels_last_3d)
    return g


def conjugate(x: Any) -> Any:
    """The complex conjugate; a real tensor itself."""
    return x.conj() if x.dtype.is_complex else x


def input_gradient(
    g: Any,
    input_like: Any,
    weight: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    groups: int,
) -> Any:
    """The gradient of the input: the transposed operation with the same weight."""
    space, kernel = input_like.shape[2:], weight.shape[2:]
    g = as_input(g, input_like)
    if not transposed:
        extra = leftover(space, g.shape[2:], kernel, stride, padding, dilation)
        return convolution.call(
            g, conjugate(weight), None, stride, padding, dilation, True, extra, groups
        )
    none = (0,) * len(stride)
    full = convolution.call(
        g, conjugate(weight), None, stride, padding, dilation, False, none, groups
    )
    for d in range(2, full.ndim):  # an output padding >= stride adds windows that saw no input
        if full.shape[d] != input_like.shape[d]:
            full = full.narrow(d, 0, input_like.shape[d])
    return full


def weight_gradient(
    g: Any,
    input: Any,
    weight_like: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    groups: int,
) -> Any:
    """The gradient of the weight; the transpose has the roles of input and gradient exchanged."""
    kernel = tuple(weight_like.shape[2:])
    g = as_input(g, input._spec)
    x, other = (g, conjugate(input)) if transposed else (conjugate(input), g)
    return convolution_weight.call(x, other, kernel, stride, padding, dilation, groups)


def bias_gradient(g: Any, input: Any, weight: Any) -> Any:
    """The sum over batch and space; it names the operands because torch's gradient
    hangs on them.
    """
    return g.sum((0, *range(2, g.ndim)))


def check_dtypes(x: Spec, w: Spec, bias: Spec | None) -> None:
    """All operands have one dtype."""
    if x.dtype is not w.dtype:
        raise RuntimeError(
            f"expected scalar type {x.dtype.scalar_name} but found {w.dtype.scalar_name}"
        )
    if bias is not None and bias.dtype is not x.dtype:
        raise RuntimeError(
            f"Input type ({x.dtype.c_name}) and bias type ({bias.dtype.c_name}) should be the same"
        )


def result_spec(x: Spec, w: Spec, shape: tuple[int, ...], plain: bool) -> Spec:
    """The result's spec: channels last where an operand is. Torch has no such kernel for doubles in
    three dimensions, nor there for an output padding as large as the stride (not `plain`).
    """
    last = any(suggests_channels_last(s.shape, s.strides) for s in (x, w))
    if len(shape) == 5 and (x.dtype.name == "float64" or not plain):
        last = False
    return x.like(shape, channels_last_strides(shape) if last else None)


@structured(
    public=None,
    methods=(),
    node="ConvolutionBackward",
    grad={"input": input_gradient, "weight": weight_gradient, "bias": bias_gradient},
)
def convolution(
    call, input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
):
    """Convolution, or transposed convolution, of (batch, channels, *space)."""
    x, w = input._spec, weight._spec
    check_dtypes(x, w, None if bias is None else bias._spec)
    kernel = w.shape[2:]
    channels = w.shape[1] * groups if transposed else w.shape[0]
    space = result_space(x, kernel, stride, padding, dilation, transposed, output_padding)
    if any(n < 0 for n in space):
        raise errors.InternalError(
            f"convolution of {tuple(x.shape)} with {tuple(w.shape)} has no result"
        )
    if bias is not None and not bias._spec.contiguous:  # the kernel reads its numbers in a row
        options = (stride, padding, dilation, transposed, output_padding, groups)
        return convolution.call(input, weight, bias.contiguous(), *options)
    plain = not transposed or all(o < s for o, s in zip(output_padding, stride))
    out = result_spec(x, w, (x.shape[0], channels, *space), plain)
    names = ("input", "weight") if bias is None else ("input", "weight", "bias")
    if is_native(x, w, out):
        return native_convolution(call, names, out, stride, padding, dilation, transposed, groups)

    def run(x_array: Any, w_array: Any, b_array: Any = None) -> Any:
        options = (stride, padding, dilation, groups)
        if transposed:
            y = conv_arrays.transposed_forward(x_array, w_array, *options, output_padding)
        else:
            y = conv_arrays.forward(x_array, w_array, *options)
        return y if b_array is None else y + b_array.reshape(1, -1, *(1,) * len(kernel))

    return call.numpy(names, [out], run)


def weight_input_gradient(
    g: Any,
    input_like: Any,
    other: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Any:
    """convolution_weight is linear in both operands; by its input it is a transposed convolution
    with g as weight.
    """
    kernel = g.shape[2:]
    extra = leftover(input_like.shape[2:], other.shape[2:], kernel, stride, padding, dilation)
    return convolution.call(
        other, conjugate(g), None, stride, padding, dilation, True, extra, groups
    )


def weight_other_gradient(
    g: Any,
    input: Any,
    other_like: Any,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Any:
    """By its second operand it is a plain convolution of the input with g as weight."""
    none = (0,) * len(stride)
    full = convolution.call(
        conjugate(input), g, None, stride, padding, dilation, False, none, groups
    )
    for d in range(2, full.ndim):
        if full.shape[d] != other_like.shape[d]:
            full = full.narrow(d, 0, other_like.shape[d])
    return full


@structured(
    public=None,
    methods=(),
    node="ConvolutionBackwardBackward",
    grad={"input": weight_input_gradient, "other": weight_other_gradient},
)
def convolution_weight(call, input, other, kernel, stride, padding, dilation, groups):
    """Products of every window of `input` with `other`, summed over batch and positions."""
    x, g = input._spec, other._spec
    out = x.like((g.shape[1], x.shape[1] // groups, *kernel))
    if not is_native(x, g, out):
        return call.numpy(
            ("input", "other"),
            [out],
            lambda x_array, g_array: conv_arrays.weight_forward(
                x_array, g_array, kernel, stride, padding, dilation, groups
            ),
        )
    plan = call.plan(("input", "other"), [out])
    if plan.is_meta:
        return plan.use_native(0, ())
    geometry = Geometry(
        three(x.shape[2:], 1), three(g.shape[2:], 1), three(kernel, 1), three(stride, 1),
        three(padding, 0), three(dilation, 1), False,
    )  # fmt: skip
    rows, channels = g.shape[1] // groups, x.shape[1] // groups
    task = conv_weight.WeightTask(x, g, whole_planes(*geometry[:6]), groups, rows, channels)
    if is_pointwise(geometry) and are_last(x, g) and min(rows, channels) > 1:
        shape = x.dtype.name, rows, channels, x.numel // x.shape[1], (1, groups)
        a, b = (0, rows, 1, g.shape[1]), (0, channels, x.shape[1], 1)
        product = gemm.Product(*shape, a, b, (0, rows * channels, channels))
        plan = call.plan(("other", "input"), [out])
        return plan.use_native(*gemm.kernel(product, threading()[1], threading()[0]))
    return plan.use_native(*weight_kernel(task, geometry))


def weight_kernel(task: conv_weight.WeightTask, geometry: Geometry) -> tuple[Any, ...]:
    """The native function for a weight's gradient, and how it is called (`use_native`)."""
    g, kind = geometry, task.x.dtype.name
    if conv_depthwise.suits(task, g):
        return conv_depthwise.weight_address(kind), *conv_depthwise.weight_params(task, g)
    if conv_weight_channels.suits(task):
        axes = conv_channels.axes_of(g[:6], False)
        found = conv_weight_channels.channels_params(task, axes, g.kernel, *threading())
        address = conv_weight_channels.channels_address(kind)
    elif conv_weight_points.suits(task):
        found = conv_weight_points.points_params(task, g.counts, g.stride, *threading())
        address = conv_weight_points.points_address(kind)
    else:
        task = task._replace(planes=forward_planes(*g[:6]))
        found, address = (
            conv_weight.weight_params(task, *threading()),
            conv_weight.weight_address(kind),
        )
    params, scratch, work = found
    return address, params, 1, work, 1, scratch

"""Pooling: maximum with indices, average, and their adaptive forms, in one, two or three
dimensions.

Native code (ops.kernels.pooling and its neighbours) does one plane per item of the parallel loop.
The gradient of a maximum goes back to the places it came from, that of an average is shared out;
both are ops with gradients of their own. Called through `flambeau.ops.nn` by nn.functional.pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.layout import channels_last, channels_last_3d, contiguous_format
from flambeau.core.spec import Spec
from flambeau.core.strides import channels_last_strides, suggests_channels_last
from flambeau.ops.kernels import pooling_planes
from flambeau.ops.kernels.pooling import ELEMENTS, Windows, kernel_address, pool_params
from flambeau.ops.kernels.pooling_average import pool_average, spread_average
from flambeau.ops.kernels.pooling_channels import (
    TOGETHER,
    average_channels,
    channels_address,
    maximum_channels,
    spread_average_channels,
    spread_maximum_channels,
)
from flambeau.ops.kernels.pooling_maximum import pool_maximum, spread_maximum, take_maximum
from flambeau.ops.kinds import Call, structured

Sizes = Sequence[int]
GRAIN = 1 << 15  # elements that a thread takes at a time


def pooled_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Number of windows along a dimension; the last one must begin inside the input or its left
    padding.
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def pooled_shape(
    space: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[int, ...]:
    """Windows along each dimension."""
    return tuple(pooled_size(*a, ceil_mode) for a in zip(space, kernel, stride, padding, dilation))


def result_spec(x: Spec, space: Sizes) -> Spec:
    """The spec of results over windows: channels last where the input is."""
    shape = (*x.shape[:2], *space)
    last = suggests_channels_last(x.shape, x.strides)
    return x.like(shape, channels_last_strides(shape) if last else None)


def check_dtype(name: str, x: Spec) -> None:
    """Integers and floating dtypes only."""
    if x.dtype.name not in ELEMENTS:
        raise errors.not_implemented_for(name, x.dtype.scalar_name)


def over_threads(plan: Any, address: int, params: list[int], items: int, work: int) -> Any:
    """Finishes a plan, over threads where there is enough to do."""
    return plan.use_native(address, params, items, work, max(1, GRAIN * items // max(1, work)))


def by_planes(plan: Any, address: int, params: list[int], larger: Spec, taps: int = 1) -> Any:
    """Finishes a plan that works on planes."""
    planes = larger.shape[0] * larger.shape[1]
    return over_threads(plan, address, params, planes, larger.numel * taps)


def are_neighbours(*specs: Spec) -> bool:
    """Whether vectors of channels are the better choice: they lie side by side in all of them."""
    return specs[0].shape[1] >= 4 and all(s.strides[1] == 1 for s in specs)


def pool(
    plan: Any, kernels: tuple[Any, Any], x: Spec, y: Spec, windows: Windows, larger: Spec,
    places: bool = True,
) -> Any:  # fmt: skip
    """Finishes a plan of windows with one of two kernels: over planes, or over rows of channels."""
    name, params = x.dtype.name, pool_params(x, y, windows)
    taps = prod(windows.kernel)
    if are_neighbours(x, y):
        address = channels_address(kernels[1], name, x.shape[1], places)
        rows = y.numel // (y.shape[1] * y.shape[-1])
        return over_threads(plan, address, params, rows, larger.numel * taps)
    if pooling_planes.suits(x, y, windows):
        maximum = kernels is MAXIMUM
        address = pooling_planes.planes_address(name, maximum, places and maximum)
        params, items = pooling_planes.planes_params(x, y, windows)
        return over_threads(plan, address, params, items, larger.numel * taps)
    address = kernel_address(kernels[0], name, x.strides[-1] == 1, places)
    return by_planes(plan, address, params, larger, taps)


MAXIMUM = pool_maximum, maximum_channels
AVERAGE = pool_average, average_channels


def spread(plan: Any, out: Spec, g: Spec, windows: Windows) -> Any:
    """Finishes the plan of an average's gradient."""
    name, params, taps = out.dtype.name, pool_params(out, g, windows), prod(windows.kernel)
    if out.strides[1] == 1:
        address = channels_address(spread_average_channels, name, out.shape[1])
        return by_channels(plan, address, params, out, taps)
    address = kernel_address(spread_average, name, True)
    return by_planes(plan, address, params, out, taps)


def by_channels(plan: Any, address: int, params: list[int], out: Spec, taps: int = 1) -> Any:
    """Finishes a plan that works on some channels of an image at a time."""
    items = out.shape[0] * -(-out.shape[1] // TOGETHER)
    return over_threads(plan, address, params, items, out.numel * taps)


# ---- maximum -------------------------------------------------------------------------------------


def put_back(g: Any, indices: Any, input: Any) -> Any:
    """The gradient of maxima at the places that they came from."""
    return spread_maxima.call(g, indices, tuple(input.shape), lies_last(indices))


def lies_last(x: Any) -> bool:
    """Whether gradients of `x` have their channels last."""
    return suggests_channels_last(tuple(x.shape), x.stride())


def like_input(g: Spec, shape: tuple[int, ...], last: bool) -> Spec:
    """The spec of a gradient of an input of this shape."""
    return g.like(shape, channels_last_strides(shape) if last else None)


def max_plan(
    call: Call, places: bool, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
    ceil_mode: bool,
) -> Any:  # fmt: skip
    """The plan of a maximum, with or without places."""
    x = call.arguments["input"]._spec
    check_dtype("max_pool2d", x)
    space = pooled_shape(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    out = result_spec(x, space)
    outputs = [out, out.like(out.shape, out.strides, dtypes.int64)] if places else [out]
    plan = call.plan(("input",), outputs)
    name = f"MaxPool{len(kernel)}DWithIndicesBackward0"
    plan.node_name = "SqueezeBackward1" if len(kernel) == 1 else name
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    return pool(plan, MAXIMUM, x, out, Windows(kernel, stride, padding, dilation), out, places)


@structured(
    public=None,
    methods=(),
    node="MaxPool2DWithIndicesBackward",
    grad={"input": lambda g0, y1, input: put_back(g0, y1, input)},
)
def max_pool_with_indices(call, input, kernel, stride, padding, dilation, ceil_mode):
    """The greatest element of every window, and where it lies."""
    return max_plan(call, True, kernel, stride, padding, dilation, ceil_mode)


@structured(public=None, methods=())
def max_pool(call, input, kernel, stride, padding, dilation, ceil_mode):
    """The greatest element of every window, where no gradient is wanted."""
    return max_plan(call, False, kernel, stride, padding, dilation, ceil_mode)


@structured(
    public=None,
    methods=(),
    node="MaxPool2DWithIndicesBackwardBackward",
    grad={"input": lambda g, indices: take_maxima.call(g, indices)},
)
def spread_maxima(call, input, indices, shape, last):
    """Values added at flat places of planes of zeros: the transpose of taking them from there."""
    format = layout(len(shape), last)
    if not all(t.is_contiguous(memory_format=format) for t in (input, indices)):
        operands = (t.contiguous(memory_format=format) for t in (input, indices))
        return call.op.call(*operands, shape, last)
    out = like_input(input._spec, shape, last)
    plan = call.plan(("input", "indices"), [out])
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    params, name = [prod(input.shape[2:]), prod(shape[2:])], out.dtype.name
    if last:
        address = channels_address(spread_maximum_channels, name, shape[1])
        return by_channels(plan, address, [*params, shape[1]], out)
    return by_planes(plan, kernel_address(spread_maximum, name, True), params, out)


def layout(ndim: int, last: bool) -> Any:
    """The memory format of row-major tensors, or of those with their channels last."""
    return (channels_last if ndim == 4 else channels_last_3d) if last else contiguous_format


def max_pool2d_with_indices_backward(
    grad_output: Any, self: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, indices: Any,
) -> Any:  # fmt: skip
    """The gradient of the input of a maximum, as `torch.ops.aten` has it: the places say all."""
    if self.dim() == 3:
        found = put_back(grad_output.unsqueeze(0), indices.unsqueeze(0), self.unsqueeze(0))
        return found.squeeze(0)
    return put_back(grad_output, indices, self)


FRACTIONAL_NODES = {4: "FractionalMaxPool2DBackward0", 5: "FractionalMaxPool3DBackward0"}


@structured(
    public=None,
    methods=(),
    grad={"input": lambda g, input, indices: put_back(g, indices, input)},
)
def take_maxima(call, input, indices):
    """What lies at flat places of planes: maxima whose places are known."""
    x, places = input._spec, indices._spec
    if not (x.contiguous and places.contiguous):
        return call.op.call(input.contiguous(), indices.contiguous())
    out = x.like(places.shape)
    plan = call.plan(("input", "indices"), [out])
    plan.node_name = FRACTIONAL_NODES.get(x.ndim, "TakeMaximaBackward0")
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    address = kernel_address(take_maximum, x.dtype.name, True)
    params = [prod(places.shape[2:]), prod(x.shape[2:])]
    return by_planes(plan, address, params, out)


# ---- average -------------------------------------------------------------------------------------

AVERAGE_NODES = {1: "SqueezeBackward1", 2: "AvgPool2DBackward0", 3: "AvgPool3DBackward0"}


def average_gradient(
    g: Any, input: Any, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Any:  # fmt: skip
    """The gradient of the input of `avg_pool`."""
    return average_back.call(
        g, tuple(input.shape), lies_last(input) and input.ndim == 4, kernel, stride, padding,
        ceil_mode, count_include_pad, divisor_override,
    )  # fmt: skip


@structured(public=None, methods=(), node="AvgPool2DBackward", grad=average_gradient)
def avg_pool(call, input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """The mean of every window."""
    x = input._spec
    check_dtype("avg_pool2d", x)
    ones = (1,) * len(kernel)
    space = pooled_shape(x.shape[2:], kernel, stride, padding, ones, ceil_mode)
    out = x.like((*x.shape[:2], *space)) if len(kernel) == 3 else result_spec(x, space)
    plan = call.plan(("input",), [out])
    plan.node_name = AVERAGE_NODES[len(kernel)]
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    options = (kernel, stride, padding, ones, count_include_pad, divisor_override or 0)
    return pool(plan, AVERAGE, x, out, Windows(*options), out)


@structured(
    public=None,
    methods=(),
    node="AvgPool2DBackwardBackward",
    grad=lambda g, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        avg_pool.call(g, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    ),
)
def average_back(
    call, input, shape, last, kernel, stride, padding, ceil_mode, count_include_pad,
    divisor_override,
):  # fmt: skip
    """The transpose of `avg_pool`: each window's value shared out over its places."""
    g = input._spec
    out = like_input(g, shape, last)
    plan = call.plan(("input",), [out])
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    ones = (1,) * len(kernel)
    options = (kernel, stride, padding, ones, count_include_pad, divisor_override or 0)
    return spread(plan, out, g, Windows(*options))


# ---- adaptive forms ------------------------------------------------------------------------------


def adaptive_windows(space: Sizes, sizes: Sizes) -> Windows:
    """The windows that divide `space` into `sizes`: regular ones where they are all alike."""
    ones, zeros = (1,) * len(sizes), (0,) * len(sizes)
    if any(n % m for n, m in zip(space, sizes)):
        return Windows(ones, ones, zeros, ones, adaptive=True)
    even = tuple(n // m for n, m in zip(space, sizes))
    return Windows(even, even, zeros, ones)


@structured(
    public=None,
    methods=(),
    grad=lambda g, input: adaptive_back.call(
        g, tuple(input.shape[2:]), lies_last(input) and input.ndim == 4
    ),
)
def adaptive_avg_pool(call, input, sizes):
    """Averages of windows that divide the input evenly into `sizes`."""
    x = input._spec
    out = x.like((*x.shape[:2], *sizes)) if len(sizes) == 3 else result_spec(x, sizes)
    plan = call.plan(("input",), [out])
    names = {1: "SqueezeBackward1", 2: "AdaptiveAvgPool2DBackward0"}
    plan.node_name = names.get(len(sizes), "AdaptiveAvgPool3DBackward0")
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    return pool(plan, AVERAGE, x, out, adaptive_windows(x.shape[2:], sizes), x)


@structured(
    public=None,
    methods=(),
    node="AdaptiveAvgPool2DBackwardBackward",
    grad=lambda g, input_like: adaptive_avg_pool.call(g, tuple(input_like.shape[2:])),
)
def adaptive_back(call, input, sizes, last):
    """The transpose of `adaptive_avg_pool`."""
    g = input._spec
    out = like_input(g, (*g.shape[:2], *sizes), last)
    plan = call.plan(("input",), [out])
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    if not g.numel:
        return input.new_zeros(out.shape)
    return spread(plan, out, g, adaptive_windows(sizes, g.shape[2:]))


@structured(public=None, methods=(), grad={"input": lambda g0, y1, input: put_back(g0, y1, input)})
def adaptive_max_pool_with_indices(call, input, sizes):
    """The greatest element of windows that divide the input evenly into `sizes`, and its place."""
    x = input._spec
    out = x.like((*x.shape[:2], *sizes)) if len(sizes) == 3 else result_spec(x, sizes)
    plan = call.plan(("input",), [out, out.like(out.shape, out.strides, dtypes.int64)])
    names = {1: "SqueezeBackward1", 2: "AdaptiveMaxPool2DBackward0"}
    plan.node_name = names.get(len(sizes), "AdaptiveMaxPool3DBackward0")
    if plan.is_meta or not out.numel:
        return plan.use_native(0, (), 0)
    return pool(plan, MAXIMUM, x, out, adaptive_windows(x.shape[2:], sizes), x)


__all__ = ["max_pool2d_with_indices_backward"]

"""Normalisation over parts of a tensor: layer and group normalisation, and the programs of all.

A part (the last dimensions, a group of channels of a sample, a channel of the batch) is a row of a
row program: mean and variance in two sweeps, the results in a third, all while the part lies in the
cache. The gradients by the input are such programs too. Where a graph of the gradients is wanted,
the rules are tensor algebra instead (ops.normalization_rules):

    output, mean, scale = flambeau.native_layer_norm(x, (8,), weight, bias, 1e-5)

Called by nn.functional and under torch's native names; ops.batch_normalization and
ops.rms_normalization build on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau.autograd.modes import is_grad_enabled
from flambeau.codegen.expr import Expr
from flambeau.codegen.monoids import Stage, sums_of
from flambeau.codegen.reduce import plan_reduction
from flambeau.codegen.rows import RowProgram
from flambeau.core.layout import channels_last, channels_last_3d
from flambeau.core.spec import Spec
from flambeau.core.strides import (
    channels_last_strides,
    contiguous_strides,
    is_channels_last,
    suggests_channels_last,
)
from flambeau.ops.kernels.norm_channels import (
    norm_address,
    norm_params,
    normalise_channels,
    normalise_channels_back,
    suits,
)
from flambeau.ops.kinds import composite, compute_name, structured
from flambeau.ops.normalization_checks import check_groups, check_last_dimensions, statistic_dtype
from flambeau.ops.normalization_rules import by_algebra
from flambeau.ops.row_plans import Layout, Operand, fits, is_long, plan_over, slot, summing


class Frame(NamedTuple):
    """The common shape of a normalisation's operands: which dimensions are normalised over
    (`along`), which tell parts apart (`rows`), along which the weight lies. With groups the
    channels are two dimensions of it, the second of size `split`.
    """

    shape: tuple[int, ...]
    rows: tuple[int, ...]
    along: tuple[int, ...]
    weight: tuple[int, ...]
    split: int = 0

    @property
    def layout(self) -> Layout:
        """The rows of its row programs."""
        return Layout(self.shape, self.rows, self.along)

    def tensor(self, spec: Spec) -> Operand:
        """The input, or another tensor of its shape."""
        strides = spec.strides
        if self.split:
            strides = (strides[0], strides[1] * self.split, *strides[1:])
        return Operand(spec, tuple(strides))

    def parameter(self, spec: Spec) -> Operand:
        """Weight or bias."""
        steps = (spec.strides[0] * self.split, spec.strides[0]) if self.split else spec.strides
        return self._placed(spec, self.weight, steps)

    def statistic(self, spec: Spec) -> Operand:
        """A number for each part, in order."""
        return self._placed(spec, self.rows, contiguous_strides([self.shape[d] for d in self.rows]))

    def _placed(self, spec: Spec, dims: Sequence[int], steps: Sequence[int]) -> Operand:
        strides = [0] * len(self.shape)
        for d, step in zip(dims, steps, strict=True):
            strides[d] = step
        return Operand(spec, tuple(strides))


def last_dimensions(shape: Sequence[int], count: int) -> Frame:
    """The frame of layer normalisation."""
    ndim = len(shape)
    along = tuple(range(ndim - count, ndim))
    return Frame(tuple(shape), tuple(range(ndim - count)), along, along)


def channel_groups(shape: Sequence[int], groups: int) -> Frame:
    """The frame of group normalisation: (samples, groups, channels of a group, ...)."""
    split = shape[1] // groups
    whole = (shape[0], groups, split, *shape[2:])
    return Frame(whole, (0, 1), tuple(range(2, len(whole))), (1, 2), split)


def channels(shape: Sequence[int]) -> Frame:
    """The frame of batch normalisation."""
    return Frame(tuple(shape), (1,), tuple(d for d in range(len(shape)) if d != 1), (1,))


# ---- programs ------------------------------------------------------------------------------------


class Moments(NamedTuple):
    """The sweeps that find a part's mean and variance, and these as later expressions see them."""

    stages: tuple[Stage, ...]
    mean: Expr
    variance: Expr
    scale: Expr


def moments(compute: str, long: bool) -> Moments:
    """Mean, variance and 1 / sqrt(variance + param0) of x0."""
    total = "float64" if long else compute
    x, size = slot("x0", compute), slot("size", "int64").to(total)
    mean = slot("stage0.0", total) / size
    deviation = x - mean.to(compute)
    stages = (summing(x, wide=long), summing(deviation * deviation, wide=long))
    variance = slot("stage1.0", total) / size
    scale = (variance + slot("param0", "float64").to(total)).rsqrt()
    return Moments(stages, mean, variance, scale)


def elements(compute: str, operands: Sequence[Operand]) -> tuple[Expr, ...]:
    """The operands' elements, in the dtype of the computation."""
    return tuple(Expr.input(i, o.spec.dtype.name).to(compute) for i, o in enumerate(operands))


def forward_plan(
    call: Any,
    frame: Frame,
    output: Spec,
    results: Sequence[tuple[str, Spec]],
    parameters: Sequence[float],
) -> Any:
    """The plan of a forward pass: the output, then `results` (mean, scale, variance) of each part;
    None where an operand must be copied first.
    """
    arguments, names = call.arguments, ["input"]
    inputs = [frame.tensor(arguments["input"]._spec)]
    for name in ("weight", "bias"):
        if arguments[name] is not None:
            names.append(name)
            inputs.append(frame.parameter(arguments[name]._spec))
    operands = [*inputs, frame.tensor(output), *(frame.statistic(spec) for _, spec in results)]
    if not fits(frame.layout, operands):
        return None
    plan = call.plan(names, [output, *(spec for _, spec in results)])
    compute = compute_name(output.dtype)
    found = moments(compute, is_long(frame.layout.length))
    value = (slot("x0", compute) - found.mean.to(compute)) * found.scale.to(compute)
    if "weight" in names:
        value = value * slot("x1", compute)
    if "bias" in names:
        value = value + slot(f"x{names.index('bias')}", compute)
    program = RowProgram(
        elements(compute, inputs),
        found.stages,
        (value,),
        tuple(getattr(found, name).to(compute_name(spec.dtype)) for name, spec in results),
        parameters=1,
    )
    return plan_over(plan, program, frame.layout, operands, parameters)


def backward_plan(call: Any, frame: Frame, output: Spec, by_parameters: Sequence[Spec] = ()) -> Any:
    """The plan of the gradient by the input (arguments grad, input, mean, scale, weight); where a
    part has one weight, also the gradients by weight and bias.
    """
    arguments = call.arguments
    names = ["grad", "input", "mean", "scale"]
    tensors = [frame.tensor(arguments[name]._spec) for name in names[:2]]
    inputs = [*tensors, *(frame.statistic(arguments[name]._spec) for name in names[2:])]
    if arguments["weight"] is not None:
        names.append("weight")
        inputs.append(frame.parameter(arguments["weight"]._spec))
    operands = [*inputs, frame.tensor(output), *(frame.statistic(s) for s in by_parameters)]
    plan = call.plan(names, [output, *by_parameters])
    compute, long = compute_name(output.dtype), is_long(frame.layout.length)
    total = "float64" if long else compute
    g, x, mean, scale = (slot(f"x{k}", compute) for k in range(4))
    factor, within = scale, g
    if "weight" in names and not by_parameters:
        within = g * slot("x4", compute)
    elif "weight" in names:
        factor = scale * slot("x4", compute)
    standard = (x - mean) * scale
    stage = summing(within, within * standard, wide=long)
    sums = slot("stage0.0", total), slot("stage0.1", total)
    size = slot("size", "int64").to(total)
    shift, slope = ((each / size).to(compute) for each in sums)
    program = RowProgram(
        elements(compute, inputs),
        (stage,),
        (factor * (within - shift - standard * slope),),
        tuple(
            each.to(compute_name(spec.dtype))
            for each, spec in zip(reversed(sums), by_parameters, strict=False)
        ),
    )
    return plan_over(plan, program, frame.layout, operands)


def parameter_plan(call: Any, frame: Frame, outputs: Sequence[Spec]) -> Any:
    """The plan of the gradients by weight and bias: sums of grad * standardised input and of grad,
    over what the weight does not lie along.
    """
    arguments, names = call.arguments, ["grad", "input", "mean", "scale"]
    operands = [frame.tensor(arguments[name]._spec) for name in names[:2]]
    operands += [frame.statistic(arguments[name]._spec) for name in names[2:]]
    plan = call.plan(names, list(outputs))
    compute = compute_name(arguments["input"]._spec.dtype)
    g, x, mean, scale = elements(compute, operands)
    kept = frame.weight
    summed = [d for d in range(len(frame.shape)) if d not in kept]
    strides = [[s * o.spec.itemsize for s in o.strides] for o in operands]
    steps = contiguous_strides([frame.shape[d] for d in kept])
    loops = plan_reduction(
        sums_of(compute, tuple(compute_name(spec.dtype) for spec in outputs)),
        (g * ((x - mean) * scale), g),
        tuple(o.spec.dtype.name for o in operands),
        tuple(spec.dtype.name for spec in outputs),
        [frame.shape[d] for d in kept],
        [frame.shape[d] for d in summed],
        [[s[d] for d in kept] for s in strides],
        [[s[d] for d in summed] for s in strides],
        [[s * spec.itemsize for s in steps] for spec in outputs],
    )
    return plan.use_kernel(loops)


def result_spec(input: Spec) -> Spec:
    """The output: channels last if the input is, else row-major."""
    last = suggests_channels_last(input.shape, input.strides)
    return input.like(input.shape, channels_last_strides(input.shape) if last else None)


def in_layout(tensor: Any, like: Spec) -> Any:
    """The tensor, or a copy of it that lies as `like` does."""
    if tensor._spec.strides == like.strides:
        return tensor
    if like.contiguous:
        return tensor.contiguous()
    return tensor.contiguous(memory_format=channels_last if like.ndim == 4 else channels_last_3d)


def plain(tensor: Any) -> Any:
    """The tensor, or a copy of it in row-major order."""
    return tensor if tensor is None or tensor._spec.contiguous else tensor.contiguous()


def part_specs(kept: Sequence[int], input: Spec, dtype: Any, count: int) -> list[Any]:
    """Specs of `count` results that have a number for each part."""
    return [Spec.of(tuple(kept), None, dtype, input.device)] * count


# ---- layer normalisation -------------------------------------------------------------------------


def layer_norm_gradient(
    needed: Any, g0: Any, g1: Any, g2: Any, input: Any, weight: Any, y1: Any, y2: Any,
    normalized_shape: Any, eps: float,
) -> Any:  # fmt: skip
    """By input, weight and bias."""
    frame = last_dimensions(input.shape, len(normalized_shape))
    if g1 is not None or g2 is not None or is_grad_enabled():
        return by_algebra(needed, (g0, g1, g2), input, weight, frame, eps)
    return in_kernels(needed, g0, input, y1, y2, weight, frame, 0, normalized_shape)


def in_kernels(
    needed: Any, g: Any, input: Any, mean: Any, scale: Any, weight: Any, frame: Frame,
    groups: int, shape: Any,
) -> Any:  # fmt: skip
    """The gradients of layer and group normalisation, by a kernel for the input and one for weight
    and bias.
    """
    if g is None:
        return None, None, None
    result, slope, shift = None, None, None
    count = len(frame.along)
    if needed[0]:
        tensors, like = (g, input), gradient_spec(input._spec, groups)
        if not fits(frame.layout, [frame.tensor(s) for s in (g._spec, input._spec, like)]):
            tensors = (in_layout(g, like), in_layout(input, like))
        result = _norm_backward.call(*tensors, mean, scale, plain(weight), groups, count)
    if needed[1] or needed[2]:
        slope, shift = _norm_backward_parameters.call(g, input, mean, scale, groups, count, shape)
    return result, slope, shift


def frame_of(input: Spec, groups: int, count: int) -> Frame:
    """The frame of layer (groups 0) or group normalisation."""
    return channel_groups(input.shape, groups) if groups else last_dimensions(input.shape, count)


def gradient_spec(input: Spec, groups: int) -> Spec:
    """The layout of the output, and of the gradient by the input."""
    return result_spec(input) if groups else input.like(input.shape)


@structured(public=None, methods=())
def _norm_backward(call, grad, input, mean, scale, weight, groups, count):
    """The gradient by the input."""
    spec = input._spec
    if groups and spec.strides == grad._spec.strides and by_channels(spec, weight):
        names = ["grad", "input", "mean", "scale", *(["weight"] if weight is not None else [])]
        plan = call.plan(names, [gradient_spec(spec, groups)])
        params = norm_params(spec, groups, 0.0, 4 * (weight is not None), 0, len(names))
        return over_images(plan, normalise_channels_back, spec, params)
    return backward_plan(call, frame_of(spec, groups, count), gradient_spec(spec, groups))


@structured(public=None, methods=())
def _norm_backward_parameters(call, grad, input, mean, scale, groups, count, shape):
    """The gradients by weight and bias, of this shape."""
    outputs = part_specs(shape, input._spec, mean.dtype, 2)
    return parameter_plan(call, frame_of(input._spec, groups, count), outputs)


@structured(methods=(), grad={("input", "weight", "bias"): layer_norm_gradient})
def native_layer_norm(call, input, normalized_shape, weight, bias, eps):
    """Layer normalisation over the last dimensions (Ba et al. 2016), with each part's mean and
    1 / sqrt(variance + eps).

    >>> torch.native_layer_norm(torch.tensor([[1.0, 3.0]]), (2,), None, None, 0.0)
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    spec = call.op.check_tensor(input, "input")._spec
    check_last_dimensions("layer_norm", "LayerNormKernelImpl", spec, normalized_shape, weight, bias)
    count = len(normalized_shape)
    kept = (*spec.shape[: spec.ndim - count], *(1,) * count)
    dtype = statistic_dtype(spec, weight, bias)
    mean, scale = part_specs(kept, spec, dtype, 2)
    frame = last_dimensions(spec.shape, count)
    results = (("mean", mean), ("scale", scale))
    plan = forward_plan(call, frame, spec.like(spec.shape), results, (float(eps),))
    if plan is None:
        return call.op.call(plain(input), normalized_shape, plain(weight), plain(bias), eps)
    return plan


# ---- group normalisation -------------------------------------------------------------------------


def group_norm_gradient(
    needed: Any, g0: Any, g1: Any, g2: Any, input: Any, weight: Any, y1: Any, y2: Any,
    group: int, C: int, eps: float,
) -> Any:  # fmt: skip
    """By input, weight and bias."""
    frame = channel_groups(input.shape, group)
    if g1 is not None or g2 is not None or is_grad_enabled():
        return by_algebra(needed, (g0, g1, g2), input, weight, frame, eps)
    return in_kernels(needed, g0, input, y1, y2, weight, frame, group, (C,))


def by_channels(spec: Spec, *parameters: Any) -> bool:
    """Whether the kernels for channels that are neighbours take such an image."""
    given = [p._spec for p in parameters if p is not None]
    last = is_channels_last(spec.shape, spec.strides) and not spec.contiguous
    return last and spec.numel > 0 and suits(spec, *given)


def over_images(plan: Any, kernel: Any, spec: Spec, params: list[int]) -> Any:
    """Finishes a plan that works on one image at a time."""
    if plan.is_meta:
        return plan.use_native(0, (), 0)
    address = norm_address(kernel, spec.dtype.name)
    return plan.use_native(address, params, spec.shape[0], 2 * spec.numel, 1)


def channels_plan(call: Any, outputs: Sequence[Spec], groups: int, eps: float) -> Any:
    """The plan of the forward pass for channels that are neighbours."""
    names = ["input"] + [n for n in ("weight", "bias") if call.arguments[n] is not None]
    weight, bias = (names.index(name) if name in names else 0 for name in ("weight", "bias"))
    spec = call.arguments["input"]._spec
    params = norm_params(spec, groups, eps, weight, bias, len(names))
    return over_images(call.plan(names, outputs), normalise_channels, spec, params)


@structured(methods=(), grad={("input", "weight", "bias"): group_norm_gradient})
def native_group_norm(call, input, weight, bias, N, C, HxW, group, eps):
    """Normalisation of each sample over groups of neighbouring channels (Wu and He 2018), with each
    group's mean and 1 / sqrt(variance + eps).

    >>> torch.native_group_norm(torch.tensor([[1.0, 3.0]]), None, None, 1, 2, 1, 1, 0.0)
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    spec = call.op.check_tensor(input, "input")._spec
    check_groups(spec, weight, bias, group)
    mean, scale = part_specs((N, group), spec, statistic_dtype(spec, weight, bias), 2)
    results = (("mean", mean), ("scale", scale))
    frame = channel_groups(spec.shape, group)
    output = gradient_spec(spec, group)
    if by_channels(spec, weight, bias):
        return channels_plan(call, [output, mean, scale], group, float(eps))
    plan = forward_plan(call, frame, output, results, (float(eps),))
    if plan is None:
        return call.op.call(in_layout(input, output), weight, bias, N, C, HxW, group, eps)
    return plan


# ---- torch's names -------------------------------------------------------------------------------


@composite(methods=())
def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Any:  # fmt: skip
    """Layer normalisation over the last dimensions.

    >>> torch.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    return native_layer_norm.call(input, normalized_shape, weight, bias, eps)[0]


@composite(methods=())
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """Normalisation of each sample over groups of neighbouring channels.

    >>> torch.group_norm(torch.tensor([[1.0, 3.0]]), 1)
    tensor([[-1.0000,  1.0000]])
    """
    spec = group_norm.check_tensor(input, "input")._spec
    if spec.ndim < 2:
        check_groups(spec, weight, bias, num_groups)
    samples, count = spec.shape[:2]
    places = math.prod(spec.shape[2:])
    return native_group_norm.call(input, weight, bias, samples, count, places, num_groups, eps)[0]

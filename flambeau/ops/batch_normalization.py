"""Batch normalisation (Ioffe and Szegedy 2015), while training and with running statistics, and
instance normalisation, which is that of each sample on its own.

While training a channel of the batch is a row of a row program (see ops.normalization), and so is
the gradient, which gives weight and bias theirs in the same kernel. With running statistics the
output is one pointwise kernel.

>>> torch.batch_norm(torch.tensor([[1.0], [3.0]]), None, None, None, None, True, 0.1, 0.0, False)
tensor([[-1.],
        [ 1.]])
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.codegen.expr import Expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.core import dtype as dtypes
from flambeau.ops.kinds import byte_strides, composite, compute_name, structured
from flambeau.ops.normalization import (
    backward_plan,
    channels,
    forward_plan,
    in_layout,
    parameter_plan,
    part_specs,
    result_spec,
)
from flambeau.ops.normalization_checks import check_channels, statistic_dtype
from flambeau.ops.normalization_rules import by_algebra, by_parameter, parameter_shape
from flambeau.ops.registry import is_tensor
from flambeau.runtime.plan_block import B_DIFFERENTIABLE

# ---- training ------------------------------------------------------------------------------------


def training_gradient(
    needed: Any, g0: Any, input: Any, weight: Any, y1: Any, y2: Any, eps: float
) -> Any:
    """By input, weight and bias."""
    if g0 is None:
        return None, None, None
    if is_grad_enabled():
        return by_algebra(needed, (g0, None, None), input, weight, channels(input.shape), eps)
    if not needed[0]:
        return (None, *_channel_sums.call(g0, input, y1, y2))
    like = result_spec(input._spec)
    return _batch_norm_backward.call(in_layout(g0, like), in_layout(input, like), y1, y2, weight)


@structured(public=None, methods=())
def _channel_sums(call, grad, input, mean, scale):
    """The gradients by weight and bias alone."""
    spec = input._spec
    outputs = part_specs((spec.shape[1],), spec, mean.dtype, 2)
    return parameter_plan(call, channels(spec.shape), outputs)


@structured(public=None, methods=())
def _batch_norm_backward(call, grad, input, mean, scale, weight):
    """The gradients by input, weight and bias."""
    spec = input._spec
    sums = part_specs((spec.shape[1],), spec, mean.dtype, 2)
    return backward_plan(call, channels(spec.shape), result_spec(spec), sums)


@structured(
    public=None,
    methods=(),
    node="NativeBatchNormBackward",
    grad={("input", "weight", "bias"): training_gradient},
)
def _batch_norm_training(call, input, weight, bias, dtype, eps):
    """The output, each channel's mean, 1 / sqrt(variance + eps) and variance."""
    spec = input._spec
    output, frame = result_spec(spec), channels(spec.shape)
    mean, scale, variance = part_specs((spec.shape[1],), spec, dtype, 3)
    results = (("mean", mean), ("scale", scale), ("variance", variance))
    plan = forward_plan(call, frame, output, results, (float(eps),))
    if plan is None:
        return call.op.call(in_layout(input, output), weight, bias, dtype, eps)
    plan.words[B_DIFFERENTIABLE] &= 1  # as in torch, statistics are constants
    return plan


def train(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float,
    eps: float,
) -> Any:  # fmt: skip
    """The results of training, and the running statistics moved towards those of the batch."""
    dtype = statistic_dtype(input._spec, weight, bias, running_mean)
    output, mean, scale, variance = _batch_norm_training.call(input, weight, bias, dtype, eps)
    count = input.numel() // max(input.shape[1], 1)
    if count:
        if running_mean is not None:
            running_mean.lerp_(mean, momentum)
        if running_var is not None:
            running_var.mul_(1 - momentum)
            running_var.add_(variance, alpha=momentum * count / max(count - 1, 1))
    return output, mean, scale


# ---- running statistics --------------------------------------------------------------------------


def running_gradient(
    needed: Any, g: Any, input: Any, weight: Any, running_mean: Any, running_scale: Any, factor: Any
) -> Any:
    """By input, weight and bias."""
    frame = channels(input.shape)
    shape, like = parameter_shape(frame), [input.shape[1]]
    if is_grad_enabled():
        scale = running_scale.reshape(shape)
        h = g if weight is None else g * weight.reshape(shape)
        standard = (input - running_mean.reshape(shape)) * scale
        return (
            h * scale if needed[0] else None,
            by_parameter(g * standard, frame, like) if needed[1] else None,
            by_parameter(g, frame, like) if needed[2] else None,
        )
    result = g * factor.reshape(shape) if needed[0] else None
    if not (needed[1] or needed[2]):
        return result, None, None
    return (result, *_channel_sums.call(g, input, running_mean, running_scale))


@structured(
    public=None,
    methods=(),
    node="NativeBatchNormBackward",
    grad={("input", "weight", "bias"): running_gradient},
)
def _batch_norm_running(call, input, factor, shift, weight, bias, running_mean, running_scale):
    """input * factor + shift in each channel; weight, bias and statistics, from which these come,
    are there for the gradient.
    """
    spec, vectors = input._spec, [factor._spec, shift._spec]
    names = ["input", "factor", "shift", "weight", "bias", "running_mean", "running_scale"]
    plan = call.plan(names, [result_spec(spec)])
    compute, output = compute_name(spec.dtype), plan.outputs[0]
    used = [spec, *vectors]
    x, a, b = (Expr.input(i, s.dtype.name).to(compute) for i, s in enumerate(used))
    still = (0,) * spec.ndim
    per_channel = [
        tuple(s.strides[0] * s.itemsize * (d == 1) for d in range(spec.ndim)) for s in vectors
    ]
    unused = len(plan.inputs) - len(used)
    loops = plan_pointwise(
        (x * a + b,),
        [operand.spec.dtype.name for operand in plan.inputs],
        [output.dtype.name],
        spec.shape,
        [byte_strides(spec, spec.shape), *per_channel, *[still] * unused,
         byte_strides(output, spec.shape)],
    )  # fmt: skip
    return plan.use_kernel(loops)


@structured(public=None, methods=())
def _running_factors(call, running_mean, running_var, weight, bias, eps):
    """What the running statistics, weight and bias do to a channel: a factor and a shift; and 1 /
    sqrt(variance + eps). Constants for the graph: the rule sees what they come from.
    """
    given = [running_var, running_mean, *(t for t in (weight, bias) if t is not None)]
    names = ["running_var", "running_mean", "weight", "bias"]
    kind = given[2].dtype if len(given) > 2 else running_var.dtype
    outputs = [running_var._spec.like((running_var.numel(),), None, kind)] * 3
    plan = call.plan(names, outputs)
    compute = compute_name(kind)
    values = {
        name: Expr.input(i, t.dtype.name).to(compute)
        for i, (name, t) in enumerate(zip(plan.names, given, strict=True))
    }
    scale = (values["running_var"] + float(eps)).rsqrt()
    factor = scale * values["weight"] if "weight" in values else scale
    shift = -values["running_mean"] * factor
    shift = shift + values["bias"] if "bias" in values else shift
    specs = [operand.spec for operand in plan.inputs] + outputs
    loops = plan_pointwise(
        (factor, shift, scale),
        [t.dtype.name for t in given],
        [kind.name] * 3,
        outputs[0].shape,
        [byte_strides(spec, outputs[0].shape) for spec in specs],
    )
    return plan.use_kernel(loops)


def evaluate(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, eps: float
) -> Any:
    """The output with the running statistics."""
    factor, shift, scale = _running_factors.call(running_mean, running_var, weight, bias, eps)
    return _batch_norm_running.call(input, factor, shift, weight, bias, running_mean, scale)


# ---- torch's names -------------------------------------------------------------------------------


@composite(methods=())
def native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    """Batch normalisation, with each channel's mean and 1 / sqrt(variance + eps).

    >>> x = torch.tensor([[1.0], [3.0]])
    >>> torch.native_batch_norm(x, None, None, None, None, True, 0.1, 0.0)[1:]
    (tensor([2.]), tensor([1.]))
    """
    spec = native_batch_norm.check_tensor(input, "input")._spec
    check_channels(spec, training, running_mean, running_var, weight, bias)
    if training:
        return train(input, weight, bias, running_mean, running_var, momentum, eps)
    output = evaluate(input, weight, bias, running_mean, running_var, eps)
    dtype = statistic_dtype(spec, weight, bias, running_mean)
    return output, *(running_mean.new_empty(0, dtype=dtype) for _ in range(2))


@composite(methods=())
def _native_batch_norm_legit(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: Any,
    momentum: Any = None, eps: Any = None,
) -> Any:  # fmt: skip
    """`native_batch_norm`; the running statistics may be left out of the arguments."""
    if not is_tensor(running_mean) and momentum is None:
        training, momentum, eps = running_mean, running_var, training
        running_mean = running_var = None
    return native_batch_norm.call(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )


@composite(methods=(), public=None)
def _batch_norm_with_update(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float,
    eps: float,
) -> Any:  # fmt: skip
    """`native_batch_norm` while training, with the memory that other devices reserve."""
    results = native_batch_norm.call(
        input, weight, bias, running_mean, running_var, True, momentum, eps
    )
    return *results, input.new_empty(0, dtype=dtypes.uint8)


@composite(methods=())
def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """Batch normalisation, as nn.functional.batch_norm calls it.

    >>> x = torch.tensor([[1.0], [3.0]])
    >>> torch.batch_norm(x, None, None, None, None, True, 0.1, 0.0, False)
    tensor([[-1.],
            [ 1.]])
    """
    spec = batch_norm.check_tensor(input, "input")._spec
    check_channels(spec, training, running_mean, running_var, weight, bias)
    if training:
        return train(input, weight, bias, running_mean, running_var, momentum, eps)[0]
    return evaluate(input, weight, bias, running_mean, running_var, eps)


@composite(methods=())
def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """Batch normalisation of each sample on its own (Ulyanov et al. 2016).

    >>> x = torch.tensor([[[1.0, 3.0]]])
    >>> torch.instance_norm(x, None, None, None, None, True, 0.1, 0.0, False)
    tensor([[[-1.,  1.]]])
    """
    spec = instance_norm.check_tensor(input, "input")._spec
    check_channels(spec, True, running_mean, running_var, weight, bias)
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    samples, count = spec.shape[:2]
    vectors = [
        None if vector is None else vector.repeat(samples)
        for vector in (weight, bias, running_mean, running_var)
    ]
    # Every (sample, channel) becomes a channel of one large sample.
    flat = input.contiguous().view(1, samples * count, *spec.shape[2:])
    output = native_batch_norm.call(flat, *vectors, use_input_stats, momentum, eps)[0]
    if use_input_stats:
        for running, moved in ((running_mean, vectors[2]), (running_var, vectors[3])):
            if running is not None and moved is not None:
                running.detach().copy_(moved.view(samples, count).mean(0))
    return output.view(spec.shape)
